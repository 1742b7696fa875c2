--- Exact shares of features in decisions that act: kept with the decision as what the model read, so that they are there after a
--- crash, after a checkpoint, and when the lead's history before is gone.
local harness = require "harness"
local lfs = require "lfs"
local trees = require "trees"
local wire = require "wire"

-- region in {amer} ? (usage_7d < 3 ? 0 : 2) : (usage_7d < 3 ? -2 : -1), and email_domain in {acme.example} ? 0.5 : -0.25.
local TREES = {
  [=["left_children": [1, 3, 5, -1, -1, -1, -1], "right_children": [2, 4, 6, -1, -1, -1, -1],
  "split_indices": [1, 0, 0, 0, 0, 0, 0], "split_conditions": [NaN, 3, 3, -2, -1, 0, 2], "sum_hessian": [16, 12, 4, 8, 4, 2, 2],
  "default_left": [1, 1, 1, 0, 0, 0, 0], "split_type": [1, 0, 0, 0, 0, 0, 0],
  "categories": [1], "categories_nodes": [0], "categories_segments": [0], "categories_sizes": [1]]=],
  [=["left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [2, 0, 0],
  "split_conditions": [NaN, -0.25, 0.5], "sum_hessian": [16, 12, 4], "default_left": [1, 0, 0], "split_type": [1, 0, 0],
  "categories": [0], "categories_nodes": [0], "categories_segments": [0], "categories_sizes": [1]]=],
}
local DOMAIN = "secret-domain.example"

local function policies()
  local weights = trees.booster(3, TREES)
  local text = harness.read(harness.root .. "/policies/b2b_saas/policy.lua")
  text = text:gsub("models = %b{}", 'models = { split = "ready" }'):gsub("score.combined { 0.3.-}\n", "")
  text = text:gsub(', hold_out = "5%% salt 2026q4"', "") -- every lead acts
  local who = "signals/b2b/features/who.lua"
  return harness.policies {
    [who] = harness.read(harness.root .. "/policies/" .. who):gsub('part = "domain",', '%0 personal = true,'),
    ["b2b_saas/policy.lua"] = text,
    ["models/ready/1/weights.json"] = weights,
    ["models/ready/1/model.json"] = trees.head("ready", "1", weights, {
      '{"name": "usage_7d", "definition": null}', '{"name": "region", "definition": null, "categories": ["emea", "amer"]}',
      ('{"name": "email_domain", "definition": null, "categories": ["%s"]}'):format(DOMAIN) }),
  }
end

-- The shares of somebody in amer who used the product `usage` times, by the definition: over both orders of being told.
local function shares(usage)
  local leaf = { region = usage < 3 and 0 or 2, none = usage < 3 and -2 or -1 }
  local nothing, region = -1, 1
  local used = (12 * leaf.none + 4 * leaf.region) / 16
  local both = leaf.region
  return {
    region = ((region - nothing) + (both - used)) / 2,
    usage_7d = ((used - nothing) + (both - region)) / 2,
    email_domain = 0.5 - (12 * -0.25 + 4 * 0.5) / 16,
  }, -1 + (12 * -0.25 + 4 * 0.5) / 16, both + 0.5
end

local function near(want, got, what) assert.is_true(math.abs(want - got) < 1e-5, ("%s: %.9g, not %.9g"):format(what, want, got)) end

-- Holds what is said of a decision against the definition.
local function assert_exact(explained, usage, kept)
  local want, base, margin = shares(usage)
  local model = explained.shapley.models[1]
  assert.equal(1, #explained.shapley.models)
  assert.equal(kept, explained.shapley.kept)
  assert.same({ "split", "ready", "1" }, { model.role, model.name, model.version })
  near(base, model.base, "base")
  near(margin, model.margin, "margin")
  local sum = model.base
  for _, term in ipairs(model.terms) do
    near(want[term.name], term.contribution, term.name)
    near(term.contribution * 10 / math.log(2), term.points, "points of " .. term.name)
    if term.name == "email_domain" then assert.is_true(term.value) end -- personal
    sum = sum + term.contribution
  end
  near(model.margin, sum, "the sum")
end

describe("the shares in a decision that acts", function()
  after_each(harness.finish)
  local at = 1767600000000

  local function send(client, keys)
    at = at + 60000
    keys.timestamp, keys.userId = at, keys.userId or "kim"
    return client:must("event.ingest", harness.event(keys))
  end

  -- Up to the demo, in so many uses; the last decision acts.
  local function live(client, who, usage)
    send(client, { userId = who, event = false, type = "identify", traits = { email = who .. "@" .. DOMAIN, region = "amer" } })
    for _ = 1, usage do send(client, { userId = who, event = "Feature Used", channel = "product" }) end
    local waits = send(client, { userId = who, event = "Something Else" })
    assert.equal("wait", waits.action)
    local acts = send(client, { userId = who, event = "Demo Requested" })
    assert.equal("call", acts.action)
    return waits, acts
  end

  local function count_in(folder, text)
    local found = 0
    for name in lfs.dir(folder) do
      local path = folder .. "/" .. name
      if lfs.attributes(path, "mode") == "file" and harness.read(path):find(text, 1, true) then found = found + 1 end
    end
    return found
  end

  it("are exact, kept, and the same after a checkpoint, a crash and a restart", function()
    local daemon = harness.start { policies = policies(), clock = "event", ["checkpoint.interval"] = "100ms" }
    local client, decided = daemon:connect(), {}
    for usage = 1, 4 do
      local waits, acts = live(client, "lead" .. usage, usage)
      assert_exact(client:must("decision.explain", waits.decision_id), usage, false)
      decided[usage] = { id = acts.decision_id, was = client:must("decision.explain", acts.decision_id) }
      assert_exact(decided[usage].was, usage, true)
      assert.is_true(decided[usage].was.reproduced)
    end
    assert.equal(4, daemon:metric "intentd_decision_inputs_total")
    harness.wait("a checkpoint of all", function() return client:must("server.info").storage.dirty_bytes == 0 end)
    assert.is_true(daemon:metric "intentd_checkpoints_total" > 0)
    local function again()
      client = daemon:connect()
      for _, d in ipairs(decided) do assert.same(d.was, client:must("decision.explain", d.id)) end
    end
    again()
    daemon:kill()
    daemon:restart()
    again()
    daemon:stop()
    daemon:restart()
    again()
    -- What was read is personal, too: it is nowhere in the clear, and gone with the lead.
    assert.equal(0, count_in(daemon.data .. "/journal", DOMAIN))
    daemon:admin():must("lead.forget", "lead4")
    local _, gone = daemon:connect():call("decision.explain", decided[4].id)
    assert.equal("not_found", gone.code)
    local pipe = io.popen(("'%s/intent' explain --to 127.0.0.1:%d %s"):format(harness.bin, daemon.ports.listen, decided[3].id))
    local text = pipe:read "*a"
    pipe:close()
    assert.is_truthy(text:find("exact shares in points (Shapley values): ready@1, log-odds 2.500 of which -1.062 are everybody's; from what was kept", 1, true), text)
    daemon:stop()
    pipe = io.popen(("'%s/intent' replay --json --data '%s'"):format(harness.bin, daemon.data))
    text = pipe:read "*a"
    pipe:close()
    assert.equal(0, tonumber(text:match '"different":(%d+)'), text)
  end)

  it("are there when what the lead did before is gone", function()
    local daemon = harness.start { policies = policies(), clock = "event", shards = 1 }
    local client = daemon:connect()
    for _ = 1, 3 do send(client, { event = "Feature Used", channel = "product" }) end
    for i = 1, 160 do send(client, { userId = "other" .. i, properties = { text = ("x"):rep(60000) } }) end -- a segment and more
    local _, acts = live(client, "kim", 0)
    assert_exact(client:must("decision.explain", acts.decision_id), 3, true)
    daemon:stop()
    local journal = daemon.data .. "/journal"
    for _, ending in ipairs { "log", "seg" } do os.remove(journal .. "/00-00000001." .. ending) end
    harness.write(journal .. "/00-00000001.gone", "")
    assert.is_nil(lfs.attributes(daemon.data .. "/bases", "mode")) -- else the lead's state could come from one
    daemon:restart()
    client = daemon:connect()
    local explained = client:must("decision.explain", acts.decision_id)
    assert_exact(explained, 3, true)
    assert.equal(acts.decision_id, explained.decision.decision_id)
    assert.equal("table", type(explained.event))
    for _, key in ipairs { "reproduced", "features", "conditions", "signals" } do assert.equal(wire.NIL, explained[key], key) end
    local _, why = client:call("decision.explain", (acts.decision_id:gsub("%d+$", function(n) return tostring(n - 1) end)))
    assert.equal("not_found", why.code)
    assert.is_truthy(why.detail:find("let go", 1, true), why.detail)
  end)
end)
