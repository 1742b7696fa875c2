--- What sales says of a lead, by events and by an administrator's word: on a running daemon, through a crash, and in replay.
local harness = require "harness"
local wire = require "wire"
local tool = require "intent"
local holds = tool.holds
local intent = tool.said

local NIL = wire.NIL
local event = harness.event

local function said(decision)
  local list = {}
  for _, reason in ipairs(decision.reasons) do
    if reason.kind == "sales" then list[#list + 1] = reason.name .. " " .. tostring(reason.value) end
  end
  return list
end

describe("what sales says of a lead", function()
  after_each(harness.finish)

  it("holds through a crash and a new version, and comes out again in replay", function()
    local policies = harness.policies()
    local daemon = harness.start { shards = 2, partitions = 4, clock = "wall", policies = policies }
    local client = daemon:connect()
    local function tell(who, name, properties)
      return client:must("event.ingest", event { userId = who, event = name, properties = properties })
    end
    client:must("event.ingest", event { userId = "u1", type = "identify", traits = { email = "a@acme.example", region = "amer" } })
    local set = tell("u1", "crm.owner_set", { owner = "Ingrid", by = "kim@acme.example", why = "An old friend." })
    assert.are.equal("Ingrid", set.owner)
    assert.are.same({ "owner_set Ingrid, by kim@acme.example: An old friend." }, said(set))
    local out = tell("u1", "crm.lead_disqualified", { reason = "A student." })
    assert.are.same({ false, "disqualified", "wait" }, { out.eligible, out.ineligible, out.action })

    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    harness.edit(policies .. "/b2b_saas/policy.lua", "utility = 5", "utility = 6")
    daemon:admin():must("policy.reload")
    local still = tell("u1", "Demo Requested")
    assert.are.same({ "Ingrid", "disqualified" }, { still.owner, still.ineligible })
    assert.are.same(
      { "owner_set Ingrid, by kim@acme.example: An old friend.", "disqualified A student." },
      said(still)
    )
    local lead = client:must("lead.get", "u1").lead
    assert.are.same({ "An old friend.", "A student." }, { lead.sales.owner_set.why, lead.sales.disqualified.why })
    local why = client:must("decision.explain", still.decision_id)
    assert.is_true(why.reproduced)

    daemon:stop()
    local text, code = intent("replay", "--data", daemon.data)
    assert.are.equal(0, code, text)
  end)

  it("may be said by whoever runs the daemon, who is noted", function()
    local daemon = harness.start { shards = 2, partitions = 4, clock = "wall" }
    local client, data = daemon:connect(), daemon.data
    client:must("event.ingest", event { userId = "u1", type = "identify", traits = { email = "a@acme.example", region = "amer" } })
    client:must("event.ingest", event { userId = false, anonymousId = "a1", type = "page", name = "Home" })
    local text, code = intent("lead", "u1", "--owner", "chen", "--why", "Knows them.", "--data", data)
    assert.are.equal(0, code, text)
    holds(text, "owner_set: chen, by uid ", ": Knows them.", ", owner chen")
    holds(intent("lead", "u1", "--data", data), "chen, by hand since ", ", by uid ", ": Knows them.")
    text = intent("lead", "u1", "--accept", "--why", "Called.", "--data", data)
    holds(text, "accepted: chen, by uid ")
    text = intent("lead", "u1", "--reject", "--why", "No budget.", "--data", data)
    holds(text, "rejected: chen, by uid ")
    holds(intent("lead", "u1", "--data", data), "given back", ", by chen")
    text = intent("lead", "a1", "--disqualify", "--why", "A bot.", "--data", data)
    holds(text, "disqualified: by uid ", ": A bot.")
    holds(intent("lead", "a1", "--data", data), "disqualified", ": A bot.", "left out")
    text = intent("lead", "u1", "--stage", "sql", "--why", "Met them.", "--data", data)
    holds(text, "stage_set: sql, by uid ", "stage sql")
    assert.are_not.equal("chen", client:must("lead.get", "u1").lead.owner) -- sql has routes, which pass chen by
    for _, wrong in ipairs {
      { { "lead", "u1", "--why", "w" }, 2, "--why of what?" },
      { { "lead", "u1", "--reject" }, 2, "--why TEXT" },
      { { "lead", "u1", "--reject", "--accept", "--why", "w" }, 2, "not both" },
      { { "lead", "nobody", "--reject", "--why", "w" }, 1, "no lead" },
    } do
      wrong[1][#wrong[1] + 1], wrong[1][#wrong[1] + 2] = "--data", data
      text, code = intent(unpack(wrong[1]))
      assert.are.equal(wrong[2], code, text)
      holds(text, wrong[3])
    end
    local _, err = client:call("lead.sales", { lead = "u1", say = "rejected", why = "w" })
    assert.are.equal("unauthorized", err.code)
    _, err = daemon:admin():call("lead.sales", { lead = "u1", say = "reject", why = "w" })
    assert.are.equal("invalid_argument", err.code)
    holds(err.detail, "did you mean rejected?")
    local decision = daemon:admin():must("lead.sales", { lead = client:must("lead.get", "u1").lead.lead, say = "owner_cleared", why = "w" })
    assert.are.equal("owner_cleared", decision.reasons and said(decision)[1]:match "^%S+")
    assert.are.equal(NIL, decision.ineligible)
  end)
end)

describe("what a policy keeps of a lead", function()
  after_each(harness.finish)

  local KEEPS = [[
local memory = require "memory"
local calls = memory.number "calls_made" { at_most = 100, merge = "sum", why = "How often we rang." }
local plan = memory.choice "plan" { of = { "free", "pro" }, why = "What they pay for." }
memory.on "crm.call_logged" { add = { calls_made = 1 }, why = "Every call counts." }
journey.start "visitor"]]

  it("is shown, goes over to a new version, and comes out again in explanation and replay", function()
    local policies = harness.policies()
    local file = policies .. "/b2b_saas/policy.lua"
    harness.edit(file, 'journey.start "visitor"', KEEPS)
    harness.edit(file, 'when = any { belief.intent:at_least(20), f.is_known }', 'set = { plan = "pro" }, when = f.is_known')
    harness.edit(file, 'utility = 0.3 * belief.intent,', 'utility = 0.3 * belief.intent - calls + 0 * calls,')
    harness.edit(file, 'go "nurture" { after = "21d",', 'go "nurture" { after = "21d", when = plan:is "pro",')
    local daemon = harness.start { shards = 2, partitions = 4, clock = "wall", policies = policies }
    local client = daemon:connect()
    local function call() return client:must("event.ingest", event { userId = "u1", event = "crm.call_logged" }) end
    client:must("event.ingest", event { userId = "u1", type = "identify", traits = { email = "a@acme.example" } })
    assert.are.same({ calls_made = 1, plan = "pro" }, call().memory)
    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    harness.edit(file, '{ "free", "pro" }', '{ "trial", "free", "pro" }')
    daemon:admin():must("policy.reload")
    local second = call()
    assert.are.same({ calls_made = 2, plan = "pro" }, second.memory)
    assert.are.same({ calls_made = 2, plan = "pro" }, client:must("lead.get", "u1").lead.memory)
    holds(intent("lead", "u1", "--data", daemon.data), "keeps", "calls_made 2", "plan pro")
    holds(intent("explain", "u1", "--data", daemon.data), "calls_made 2")
    assert.is_true(client:must("decision.explain", second.decision_id).reproduced)
    -- A lead that is merged into it brings its own.
    client:must("event.ingest", event { userId = false, anonymousId = "a1", event = "crm.call_logged" })
    client:must("event.ingest", event { userId = "u1", anonymousId = "a1", type = "identify" })
    harness.wait("the merge", function() return client:must("lead.get", "u1").lead.memory.calls_made == 3 end)
    daemon:stop()
    local text, code = intent("replay", "--data", daemon.data)
    assert.are.equal(0, code, text)
  end)
end)
