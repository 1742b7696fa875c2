--- Actions, by calling the compiled chunk: what is taken, what was worth more and why it was not, against a reckoning of
--- the test's own over random policies and random days.
local sample = require "sample"
local sandbox = require "sandbox"

local NAN, DAY = 0 / 0, 86400000
local HELD = {
  [0] = "none",
  "hold_out",
  "per_lead",
  "not_eligible",
  "mode",
  "consent",
  "cool_down",
  "at_most",
  "per_channel",
  "quiet",
  "explored",
}

local HEAD = [[
local policy, signal, belief, score = require "policy", require "signal", require "belief", require "score"
local journey, route, action = require "journey", require "route", require "action"
local all, any, none, go = signal.all, signal.any, signal.none, journey.go
local f = signal.features "b2b@4"
policy "t" { owner = "o", rationale = "r", boundary = "b" }
journey.start "a"
journey.stage "a" { go "b" { on = "crm.opportunity_won", why = "W." } }
journey.final "b"
]]

-- A lead of the policy, in stage a: decide(now, {feature = value}, {hold_out, draw}) -> what came out.
local function open(text)
  local artifact = sample.build_text(HEAD .. text)
  assert.are.same({}, sample.lines(artifact))
  local vm = sandbox.open(artifact)
  local at, I, O = vm.layout.input, vm.I, vm.O
  local lead = { vm = vm, artifact = artifact, acted = 0 }
  function lead.decide(now, values, chance)
    for i = 0, vm.layout.input_count - 1 do
      I[i] = 0
    end
    for i, declaration in ipairs(artifact.declarations) do
      I[at.features + i - 1], vm.texts[i - 1] = values[declaration.name] or NAN, ""
    end
    for i, draw in ipairs(artifact.draws) do
      I[at.draws + i - 1] = draw.by == "lead" and (chance and chance.hold_out or 0.999) or (chance and chance.draw or 0.999)
    end
    I[at.now], I[at.owner], I[at.is_event], I[at.acted] = now, -1, 1, lead.acted
    vm.call()
    return lead.outcome(now)
  end
  function lead.outcome(now)
    local to = vm.layout.output
    local got = { suppressed = {}, action = artifact.actions[O[to.action] + 1].name, held = HELD[O[to.held]] }
    got.utility, got.propensity, got.explored = O[to.utility], O[to.propensity], O[to.explored] == 1
    for i = 1, #artifact.actions - 1 do
      local utility, own = O[to.offers + i - 1], O[to.offers_held + i - 1]
      if utility > O[to.utility] or (utility == O[to.utility] and i < O[to.action]) then
        local why = own == own and own or O[to.held] ~= 0 and O[to.held] or 10
        got.suppressed[artifact.actions[i + 1].name] = HELD[why]
      end
    end
    if O[to.action] > 0 then lead.acted = now end
    return got
  end
  return lead
end

describe("what was suppressed", function()
  local THREE = [[
action.offer "call" { stages = { "a" }, utility = 1 * f.usage_7d, why = "W." }
action.offer "mail" { stages = { "a" }, utility = 2 * f.usage_7d, why = "W." }
action.offer "visit" { stages = { "b" }, utility = 99, why = "W." }
action.offer "gift" { stages = { "a" }, when = f.is_known, utility = 50, why = "W." }
action.otherwise "wait" { utility = 5, why = "W." }
]]
  local LIMITS = 'action.limits { per_lead = "1 in 3d", hold_out = "5% salt x" }\n'

  it("is nothing while the best is taken", function()
    local got = open(THREE).decide(1e12, { usage_7d = 10 })
    assert.are.same("mail", got.action)
    assert.are.same({}, got.suppressed)
    assert.are.equal(1, got.propensity)
  end)

  it("are all that were worth more than waiting, when a limit holds all back", function()
    local lead = open(LIMITS .. THREE)
    assert.are.equal("mail", lead.decide(1e12, { usage_7d = 10 }).action)
    local got = lead.decide(1e12 + DAY, { usage_7d = 10 })
    assert.are.same({ "wait", "per_lead", 5 }, { got.action, got.held, got.utility })
    assert.are.same({ call = "per_lead", mail = "per_lead" }, got.suppressed)
    assert.are.equal(1, got.propensity)
    got = lead.decide(1e12 + DAY, { usage_7d = 4, is_known = 1 }) -- 4 is worth less than waiting
    assert.are.same({ mail = "per_lead", gift = "per_lead" }, got.suppressed)
    got = lead.decide(1e12 + DAY, { usage_7d = 2 })
    assert.are.same({ {}, "none" }, { got.suppressed, got.held })
    assert.are.equal("mail", lead.decide(1e12 + 3 * DAY, { usage_7d = 10 }).action)
  end)

  it("says the hold-out, and how probable that was", function()
    local lead = open(LIMITS .. THREE)
    local got = lead.decide(1e12, { usage_7d = 10 }, { hold_out = 0.0499 })
    assert.are.same({ "wait", "hold_out", 0.05 }, { got.action, got.held, got.propensity })
    assert.are.same({ call = "hold_out", mail = "hold_out" }, got.suppressed)
    got = lead.decide(1e12, { usage_7d = 10 }, { hold_out = 0.05 })
    assert.are.same({ "mail", "none", 1 - 0.05 }, { got.action, got.held, got.propensity })
    got = lead.decide(1e12, { usage_7d = 1 }, { hold_out = 0.01 }) -- nothing was to be done anyway
    assert.are.same({ "wait", "none", 1 }, { got.action, got.held, got.propensity })
  end)
end)

