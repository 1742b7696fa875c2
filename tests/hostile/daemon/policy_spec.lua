--- The attacks of tests/hostile/scripts as custom functions of a policy that a running daemon serves: each stops its
--- own event and nothing else.
local attacks = require "attacks"
local harness = require "harness"

local event = harness.event
local FIRST, policies_with = attacks.FIRST, attacks.policies

local function ends_as(expected, detail)
  for part in (expected .. "|"):gmatch "(.-)|" do
    if detail:find(part, 1, true) then return true end
  end
  return false
end

describe("an attacking policy on a running daemon", function()
  after_each(harness.finish)

  it("stops the events that it attacks, each for its own reason, and nothing else", function()
    local list = attacks.list()
    assert.is_true(#list > 60)
    local policies = policies_with(list)
    local daemon = harness.start { policies = policies, shards = 2, ["policy.deadline_us"] = 20000 }
    local client, neighbour = daemon:connect(), daemon:connect()
    local start = daemon:resident()

    local before = {}
    for i in ipairs(list) do
      client:must("event.ingest", event { userId = "victim" .. i })
      before[i] = select(2, client:must("lead.get", "victim" .. i))
    end
    local attack_ids, neighbour_ids = {}, {}
    for i in ipairs(list) do
      attack_ids[i] = client:send(
        "event.ingest",
        event { userId = "victim" .. i, messageId = i, event = "Attack", properties = { attack = FIRST + i } }
      )
      for n = 1, 5 do
        neighbour_ids[#neighbour_ids + 1] =
          neighbour:send("event.ingest", event { userId = "neighbour" .. n, event = "Docs Viewed" })
      end
    end
    local wrong, details = {}, {}
    for i, attack in ipairs(list) do
      local err = client:answer(attack_ids[i]).error or { code = "no error", detail = "" }
      details[i] = err.detail
      if err.code ~= "policy_stopped" or err.retryable or not ends_as(attack.ends, err.detail) then
        wrong[#wrong + 1] = ("%s: %s, %s; expected %s"):format(attack.name, err.code, err.detail, attack.ends)
      end
    end
    assert.equal("", table.concat(wrong, "\n"))
    for _, id in ipairs(neighbour_ids) do
      assert.is_nil(neighbour:answer(id).error)
    end
    for n = 1, 5 do
      local lead = neighbour:must("lead.get", "neighbour" .. n).lead
      assert.equal(#list, lead.decisions)
      assert.equal(#list, lead.features.docs_views_30d)
    end

    assert.equal(#list, daemon:metric "intentd_stopped_total")
    assert.equal(#list, daemon:metric "intentd_quarantined_total")
    assert.equal(#list, daemon:metric("intentd_errors_total", 'code="policy_stopped"'))
    assert.is_true(daemon:resident() - start < 200e6)

    local function check_victims()
      for i in ipairs(list) do
        local who = "victim" .. i
        assert.equal(before[i], select(2, client:must("lead.get", who)), "the lead has changed")
        local again = event { userId = who, messageId = i, event = "Attack" }
        local _, err = client:call("event.ingest", again)
        assert.equal("policy_stopped", err.code)
        assert.equal(details[i], err.detail)
      end
    end
    check_victims()
    assert.equal(#list, daemon:metric "intentd_stopped_total") -- a duplicate is not run again

    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    check_victims()
    for i in ipairs(list) do
      local decision = client:must("event.ingest", event { userId = "victim" .. i })
      assert.equal("2", decision.decision_id:match "%d+$")
      assert.is_true(client:must("decision.explain", decision.decision_id).reproduced)
    end
  end)

  it("is stopped in a dry run and in an explanation too, and gone with the next version", function()
    local policies = policies_with { { name = "loop" }, { name = "error_table" } }
    local daemon = harness.start { policies = policies, shards = 1, watch = "no" }
    local client = daemon:connect()
    for i = 1, 2 do
      local _, err = client:call("event.validate", event { event = "Attack", properties = { attack = FIRST + i } })
      assert.equal("policy_stopped", err.code)
    end
    local _, missing = client:call("lead.get", "u1")
    assert.equal("not_found", missing.code)
    local attack = event { event = "Attack", messageId = "m1", properties = { attack = FIRST + 1 } }
    local _, err = client:call("event.ingest", attack)
    assert.equal("policy_stopped", err.code)
    harness.edit(policies .. "/b2b_saas/policy.lua", "odd:at_least(1)", "odd:at_least(2)")
    harness.edit(policies .. "/b2b_saas/policy.lua", "return attack and attack(view) or 0", "return 0")
    assert.is_true(daemon:admin():must("policy.reload").changed)
    local _, again = client:call("event.ingest", attack) -- what was stopped stays stopped: it is the same event
    assert.equal("policy_stopped", again.code)
    attack.messageId = "m2"
    assert.equal("1", client:must("event.ingest", attack).decision_id:match "%d+$")
  end)

  it("never gets into force when its self-test runs into the attack", function()
    local policies = policies_with { { name = "loop" } }
    harness.edit(policies .. "/b2b_saas/policy.lua", "attacks[view.attack]", "attacks[1001]")
    local status, log = harness.start_fails { policies = policies }
    assert.equal(78, status)
    assert.is_truthy(log:find("self-test", 1, true))
    assert.is_truthy(log:find("stopped after", 1, true))
  end)
end)
