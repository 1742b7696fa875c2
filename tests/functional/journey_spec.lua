--- A journey with stages inside of stages, a region and timers, in a running daemon: what its decisions say, what is kept over a
--- crash, and what the tool's specs expect of it.
local harness = require "harness"
local lfs = require "lfs"
local wire = require "wire"

local NIL = wire.NIL
local event = harness.event

local POLICY = [[
local policy, signal, journey, action = require "policy", require "signal", require "journey", require "action"
local score, go = require "score", require("journey").go
local f = signal.features "b2b@4"
policy "deals" { owner = "a@example.com", rationale = "A test.", boundary = "Nothing." }
score.combined { 40 }
journey.start "visitor"
journey.stage "visitor" { go "deal" { on = "crm.opportunity_created", why = "W." } }
journey.stage "deal" { start = "talks", on_entry = { journey.note "tell finance" }, on_exit = { journey.note "close the file" },
  go "visitor" { after = "10d", why = "Forgotten." },
  go "paused" { on = "Subscription Cancelled", why = "W." },
}
journey.stage "talks" { inside = "deal", go "signing" { on = "crm.meeting_held", why = "W." } }
journey.stage "signing" { inside = "deal", go "won" { on = "crm.opportunity_won", why = "W." } }
journey.final "won" { on_entry = { journey.note "celebrate" } }
journey.stage "paused" { go "deal" { on = "crm.opportunity_moved", resume = true, why = "W." } }
journey.region "mail" { start = "unasked", why = "Consent." }
journey.stage "unasked" { inside = "mail", go "may_write" { on = "Email Link Clicked", why = "W." } }
journey.stage "may_write" { inside = "mail", go "unasked" { on = "Unsubscribed", why = "W." } }
action.offer "newsletter" { stages = { "deal", "visitor" }, when = journey.at "may_write", utility = 6, why = "W." }
action.offer "welcome" { stages = { "deal" }, when = journey.entered "deal", utility = 9, why = "Once." }
action.otherwise "wait" { utility = 5, why = "W." }
]]

local SPEC = [[
return {
  { name = "forgotten after ten days, wherever it stood",
    events = {
      { at = "2026-01-05T09:00:00Z", event = "crm.opportunity_created", userId = "maria" },
      { after = "9d", event = "crm.meeting_held" },
      { after = "2d" },
    },
    expect_each = {
      { stage = "talks", inside = "deal", notes = { "tell finance" }, action = "welcome", regions = { mail = "unasked" } },
      { stage = "signing", inside = "deal", notes = {}, action = "wait" },
      { stage = "visitor", transitions = { "deal -> visitor" }, notes = { "close the file" } },
    } },
}
]]

describe("a journey of many parts", function()
  local daemon, client, policies
  local function start()
    policies = harness.policies()
    assert(lfs.mkdir(policies .. "/deals"))
    harness.write(policies .. "/deals/policy.lua", POLICY)
    harness.write(policies .. "/deals/policy_spec.lua", SPEC)
    daemon = harness.start { policies = policies, policy = "deals", watch = "no" }
    client = daemon:connect()
  end
  after_each(harness.finish)

  local function said(name) return client:must("event.ingest", event { event = name }) end
  local function notes(decision)
    local out = {}
    for _, reason in ipairs(decision.reasons) do
      if reason.kind == "note" then out[#out + 1] = reason.name end
    end
    return out
  end

  it("says where the lead is, and what was done on the way", function()
    start()
    local first = said "Pricing Viewed"
    assert.same({ "visitor", nil, { mail = "unasked" } }, { first.stage, first.inside, first.regions })
    local deal = said "crm.opportunity_created"
    assert.same({ "talks", { "deal" }, "welcome" }, { deal.stage, deal.inside, deal.action })
    assert.same({ "tell finance" }, notes(deal))
    assert.equal("wait", said("crm.call_logged").action)
    local mail = said "Email Link Clicked"
    assert.same({ "talks", { mail = "may_write" }, "newsletter" }, { mail.stage, mail.regions, mail.action })
    assert.equal("signing", said("crm.meeting_held").stage)
    local paused = said "Subscription Cancelled"
    assert.same({ "paused", nil }, { paused.stage, paused.inside })
    assert.same({ "close the file" }, notes(paused))
    -- All of it is there again after a crash, and history too.
    local before = select(2, client:must("lead.get", "u1"))
    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    assert.equal(before, select(2, client:must("lead.get", "u1")))
    local back = said "crm.opportunity_moved"
    assert.same({ "signing", { "deal" }, { mail = "may_write" } }, { back.stage, back.inside, back.regions })
    assert.equal("deal -> visitor", client:must("lead.get", "u1").lead.timers[1].transition)
    local won = said "crm.opportunity_won"
    assert.same({ "close the file", "celebrate" }, notes(won))
    for _, decision in ipairs { first, deal, mail, paused, back, won } do
      assert.is_true(client:must("decision.explain", decision.decision_id).reproduced)
    end
    assert.equal(NIL, client:must("policy.status").error)
  end)

  it("keeps where the lead is in a version that calls things otherwise", function()
    start()
    said "crm.opportunity_created"
    said "crm.meeting_held"
    said "Email Link Clicked"
    local before = client:must("lead.get", "u1").lead
    local file = policies .. "/deals/policy.lua"
    local text = harness.read(file):gsub('"signing"', '"contract"'):gsub('"may_write"', '"yes"')
    harness.write(file, text)
    daemon:expect_errors "reload_failed"
    daemon:expect_errors "policy_problem"
    local admin = daemon:admin()
    local _, err = admin:call "policy.reload"
    assert.is_truthy(err.detail:find("stage 'signing' is gone", 1, true), err.detail)
    harness.edit(file, "journey.start", [[journey.was "signing" { now = "contract", why = "W." }
journey.was "may_write" { now = "yes", why = "W." }
journey.start]])
    assert.is_true(admin:must("policy.reload").changed)
    local decision = said "Pricing Viewed"
    assert.same({ "contract", { "deal" }, { mail = "yes" } }, { decision.stage, decision.inside, decision.regions })
    local after = client:must("lead.get", "u1").lead
    assert.equal(before.stage_since, after.stage_since)
    assert.equal(before.timers[1].due, after.timers[1].due) -- of the stage around it
  end)

  it("is what a spec can expect", function()
    start()
    local pipe = io.popen(("'%s/intent' test '%s/deals' --coverage 2>&1"):format(os.getenv "INTENTD_BIN", policies))
    local out = pipe:read "*a"
    pipe:close()
    assert.is_truthy(out:find("1 passed, 0 failed", 1, true), out)
    assert.is_nil(out:find("never true: transition 'deal -> visitor'", 1, true), out)
    assert.is_truthy(out:find("never true: transition 'deal -> paused'", 1, true), out)
  end)
end)
