--- intent switch: what a workspace lets its policy do with all leads, on a running daemon, through crashes, and in replay.
local harness = require "harness"
local wire = require "wire"
local tool = require "intent"
local holds = tool.holds
local intent = tool.said

local NIL = wire.NIL
local event = harness.event

-- Somebody with a name asks for a demo: the policy routes and calls, unless it may not.
local function ask(client, who, n)
  client:must("event.ingest", event { userId = who, type = "identify", messageId = "i" .. n, traits = { email = who .. "@acme.example", region = "amer" } })
  return client:must("event.ingest", event { userId = who, event = "Demo Requested", messageId = "d" .. n })
end

local function reproduced(client, decision)
  local why = client:must("decision.explain", decision.decision_id)
  assert.is_true(why.reproduced)
  assert.are.equal(decision.hash, why.decision.hash)
end

describe("the workspace's switch", function()
  after_each(harness.finish)

  it("holds every lead back at once, through a crash, until it is switched again", function()
    local daemon = harness.start { shards = 2, partitions = 4, clock = "wall", seed = ("5a"):rep(32) }
    local client, admin = daemon:connect(), daemon:admin()
    local before = ask(client, "before", 1)
    assert.are.same({ "sql", "call", NIL }, { before.stage, before.action, before.held })
    assert.are.equal("call", before.action)

    local done = admin:must("workspace.switch", { to = "score", why = "Mails go out twice." })
    assert.is_true(done.changed)
    assert.are.equal("act", done.before)
    for i = 1, 12 do
      local scored = ask(client, "scored" .. i, 100 + i)
      assert.are.same({ "sql", "wait", "switch" }, { scored.stage, scored.action, scored.held })
      assert.are_not.equal(NIL, scored.owner)
    end
    local kept = ask(client, "kept", 2)
    assert.are.equal(1, daemon:metric("intentd_switch", 'to="score"'))

    daemon:kill()
    daemon:restart()
    client, admin = daemon:connect(), daemon:admin()
    local status = client:must("policy.status").switch
    assert.are.same({ "score", "Mails go out twice." }, { status.to, status.why })
    assert.is_truthy(status.by:find "^uid %d+$")
    assert.are.equal("switch", ask(client, "after", 3).held)

    admin:must("workspace.switch", { to = "collect", why = "Looking." })
    local collected = ask(client, "collected", 4)
    assert.are.same({ "visitor", "wait", "switch" }, { collected.stage, collected.action, collected.held })
    assert.are.equal(NIL, collected.owner)

    -- A reload keeps it.
    daemon:hup()
    assert.are.equal("switch", ask(client, "reloaded", 5).held)
    local again = admin:must("workspace.switch", { to = "act", why = "Mended." })
    assert.are.equal("collect", again.before)
    assert.are.equal("call", ask(client, "acted", 6).action)
    for _, decision in ipairs { before, kept, collected } do
      reproduced(client, decision)
    end

    daemon:stop()
    local text, code = intent("replay", "--data", daemon.data)
    assert.are.equal(0, code, text)
    text = intent("journal", "show", "--data", daemon.data, "--kind", "release", "--json")
    holds(text, "switch to score: Mails go out twice.", "switch to act: Mended.")
  end)

  it("is asked for in words, by whoever runs the daemon", function()
    local daemon = harness.start { shards = 1, partitions = 2, clock = "wall" }
    local text, code = intent("switch", "scor", "--data", daemon.data, "--why", "x")
    assert.are.equal(2, code)
    holds(text, "did you mean score?")
    text, code = intent("switch", "score", "--data", daemon.data)
    assert.are.equal(2, code)
    holds(text, "--why TEXT")
    text, code = intent("switch", "score", "--data", daemon.data, "--why", "A test.")
    assert.are.equal(0, code, text)
    holds(text, "act -> score since ", ": A test.")
    holds(intent("switch", "--data", daemon.data), "score since ", "A test.")
    holds(intent("policy", "status", "--data", daemon.data), "switch", "score since ")
    local _, err = daemon:connect():call("workspace.switch", { to = "act", why = "w" })
    assert.are.equal("unauthorized", err.code)
    for _, wrong in ipairs { { to = "act" }, { to = "act", why = "" }, { why = "w" }, { to = "acts", why = "w" } } do
      _, err = daemon:admin():call("workspace.switch", wrong)
      assert.are.equal("invalid_argument", err.code)
    end
  end)
end)
