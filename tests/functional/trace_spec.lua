--- The trace of a decision: told when it is made and told later, from what was kept with it, are the same; whatever became
--- of the lead's history. What is asked for beside changes no decision.
local harness = require "harness"
local lfs = require "lfs"
local wire = require "wire"

local at = 1767600000000
local function event(keys)
  at = at + 60000
  keys.timestamp, keys.userId = at, keys.userId or "kim"
  return harness.event(keys)
end

-- Up to an offer that is made; the last decision acts.
local function live(client, who, wants)
  client:must("event.ingest", event { userId = who, event = false, type = "identify", traits = { email = who .. "@acme.example", region = "amer" } })
  for _ = 1, 3 do client:must("event.ingest", event { userId = who, event = "Pricing Viewed", channel = "web" }) end
  local waits = client:must("event.ingest", event { userId = who, event = "Feature Used", channel = "product" })
  return waits, client:must("event.ingest", event { userId = who, event = "Demo Requested", channel = "web" }, wants)
end

local function rule_of(trace, kind, name, step)
  for _, rule in ipairs(trace) do
    if rule.kind == kind and rule.name == name and (not step or rule.step == step) then return rule end
  end
  error("no " .. kind .. " " .. name)
end

local SHIPPED = harness.root .. "/policies"

-- The shipped policy, of which nobody is held out and that may act again at once.
local function policies()
  local folder = harness.folder()
  os.execute(("cp -r '%s/.' '%s'"):format(SHIPPED, folder))
  local path = folder .. "/b2b_saas/policy.lua"
  local text, found = harness.read(path):gsub("\naction%.limits [^\n]*", "")
  assert.equal(1, found)
  harness.write(path, text)
  return folder
end

describe("the trace of a decision", function()
  after_each(harness.finish)

  it("is told when it is made, and the same later: after a checkpoint, a crash and a restart", function()
    local daemon = harness.start { policies = policies(), clock = "event", ["checkpoint.interval"] = "100ms" }
    local client = daemon:connect()
    local waits, acts = live(client, "kim", { trace = true, times = true })
    assert.equal("call", acts.action)
    assert.is_nil(waits.trace)
    local function later()
      client = daemon:connect()
      local explained = client:must("decision.explain", acts.decision_id, { trace = true })
      assert.same(acts.trace, explained.trace)
      assert.is_true(explained.reproduced)
      assert.is_nil(explained.times)
      assert.is_nil(client:must("decision.explain", acts.decision_id).trace)
    end
    later()
    harness.wait("a checkpoint of all", function() return client:must("server.info").storage.dirty_bytes == 0 end)
    daemon:kill()
    daemon:restart()
    later()
    -- One that does not act is traced by its history.
    local first = client:must("decision.explain", waits.lead .. "-1", { trace = true })
    assert.equal("wait", first.decision.action)
    assert.equal("fired", rule_of(first.trace, "transition", "visitor -> engaged", 1).outcome)
    -- What the rules say.
    local asked = rule_of(acts.trace, "transition", "engaged -> sql", 1)
    assert.equal("fired", asked.outcome)
    assert.equal("demo_requested_30d is 1; is_known is 1", asked.reason)
    assert.same({ demo_requested_30d = 1 }, asked.looked[1].features)
    local waiting = rule_of(acts.trace, "transition", "sql -> opportunity", 2)
    assert.equal("an event or a timer counts for the first step alone", waiting.reason)
    assert.equal("an earlier transition was taken", rule_of(acts.trace, "transition", "engaged -> mql").reason)
    assert.equal("not_reached", rule_of(acts.trace, "transition", "engaged -> mql").outcome)
    local manual = rule_of(acts.trace, "evidence", "reads_the_manual")
    assert.same({ "no", "docs_views_30d is 0, needs 5", 1 }, { manual.outcome, manual.reason, manual.distance })
    assert.equal("region is 'amer', not so: region is emea", rule_of(acts.trace, "route", "emea").reason)
    assert.equal("fired", rule_of(acts.trace, "route", "amer").outcome)
    assert.equal("fired", rule_of(acts.trace, "offer", "call").outcome)
    -- Its time is told apart, and is no part of it.
    assert.is_true(#acts.times.rules > 30 and acts.times.plain_ns > 0 and acts.times.runs > 0)
    for _, rule in ipairs(acts.trace) do assert.is_nil(rule.ns) end
  end)

  it("changes no decision", function()
    local told, decided = {}, {}
    for i, wants in ipairs { { trace = true, times = true }, { trace = false } } do
      local daemon = harness.start { policies = policies(), clock = "event" }
      local client = daemon:connect()
      at = 1767600000000
      local _, acts = live(client, "kim", wants)
      local again = event { event = "Docs Viewed", messageId = "m1" }
      local dry = client:must("event.validate", again, { trace = true })
      told[i] = { acts.trace or client:must("decision.explain", acts.decision_id, { trace = true }).trace, dry.decision.trace }
      assert.equal(i == 1, acts.trace ~= nil)
      decided[i] = { acts, (client:must("event.ingest", again)) }
      assert.equal(dry.decision.hash, decided[i][2].hash)
      acts.trace, acts.times = nil, nil
      for _, decision in ipairs(decided[i]) do -- ids differ from run to run, and what is drawn by them
        decision.hash, decision.lead, decision.decision_id, decision.owner = nil, nil, nil, nil
      end
      -- A duplicate gets the first answer, which has none.
      local first = client:must("event.ingest", again, { trace = true })
      assert.is_true(first.duplicate)
      assert.is_nil(first.trace)
      daemon:stop()
      local pipe = io.popen(("'%s/intent' replay --json --data '%s'"):format(harness.bin, daemon.data))
      local text = pipe:read "*a"
      pipe:close()
      assert.equal(0, tonumber(text:match '"different":(%d+)'), text)
    end
    assert.same(decided[1], decided[2])
    assert.same(told[1], told[2])
  end)

  it("is there when what the lead did before is gone, and goes with the lead", function()
    local daemon = harness.start { policies = policies(), clock = "event", shards = 1 }
    local client = daemon:connect()
    for _ = 1, 3 do client:must("event.ingest", event { event = "Pricing Viewed", channel = "web" }) end
    for i = 1, 160 do client:must("event.ingest", event { userId = "other" .. i, properties = { text = ("x"):rep(60000) } }) end
    local _, acts = live(client, "kim", { trace = true })
    assert.equal("call", acts.action)
    daemon:stop()
    local journal = daemon.data .. "/journal"
    for _, ending in ipairs { "log", "seg" } do os.remove(journal .. "/00-00000001." .. ending) end
    harness.write(journal .. "/00-00000001.gone", "")
    daemon:restart()
    client = daemon:connect()
    local explained = client:must("decision.explain", acts.decision_id, { trace = true, times = true })
    assert.equal(wire.NIL, explained.reproduced)
    assert.same(acts.trace, explained.trace)
    assert.is_true(#explained.times.rules > 30)
    -- What was read is personal: nowhere in the clear, and gone with the lead.
    for name in lfs.dir(journal) do
      local path = journal .. "/" .. name
      if lfs.attributes(path, "mode") == "file" then assert.is_nil(harness.read(path):find("acme.example", 1, true)) end
    end
    daemon:admin():must("lead.forget", "kim")
    local _, why = client:call("decision.explain", acts.decision_id, { trace = true })
    assert.equal("not_found", why.code)
  end)

  it("is asked for by words that are known", function()
    local daemon = harness.start { policies = SHIPPED, clock = "event" }
    local client = daemon:connect()
    for _, wants in ipairs { { tracing = true }, { trace = 1 }, "trace", { trace = true, more = true } } do
      local _, why = client:call("event.ingest", event { event = "Page" }, wants)
      assert.equal("invalid_argument", why.code)
      assert.is_truthy(why.detail:find("{trace: true, times: true}", 1, true), why.detail)
    end
    local _, why = client:call("lead.get", "kim", { trace = true })
    assert.equal("lead.get takes 1 parameter, not 2", why.detail)
  end)
end)
