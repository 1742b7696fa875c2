--- Actions, by calling the compiled chunk: what is taken, what was worth more and why it was not, against a reckoning of
--- the test's own over random policies and random days.
local sample = require "sample"
local sandbox = require "sandbox"

local SEED = tonumber(os.getenv "SEED") or os.time() % 100000
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
-- `may_warn`: of limits that say nothing.
local function open(text, may_warn)
  local artifact = sample.build_text(HEAD .. text)
  for _, problem in ipairs(artifact.problems) do
    assert.is_true(may_warn and not problem.error, problem.text)
  end
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


describe("exploration", function()
  local OFFERS = [[
action.offer "call" { stages = { "a" }, utility = 1 * f.usage_7d, why = "W." }
action.offer "mail" { stages = { "a" }, consent = f.is_known, utility = 20, why = "W." }
action.offer "case" { stages = { "a" }, utility = 10, why = "W." }
action.offer "gift" { stages = { "a" }, when = f.demo_attended, utility = 15, why = "W." }
action.otherwise "wait" { utility = 5, why = "W." }
action.limits { per_lead = "1 in 1d", hold_out = "5% salt x" }
action.explore { rate = "30%", among = { "mail", "case", "gift" }, why = "To learn." }
]]
  -- What comes out for draws spread evenly over [0, 1), with how probable each said that it was.
  local function spread(lead, values, now)
    local shares, said, count = {}, {}, 4000
    for i = 0, count - 1 do
      lead.acted = 0
      local got = lead.decide(now or 1e12, values, { draw = (i + 0.5) / count, hold_out = 0.5 })
      shares[got.action] = (shares[got.action] or 0) + 1 / count
      assert.is_true(said[got.action] == nil or said[got.action] == got.propensity)
      said[got.action] = got.propensity
    end
    return shares, said
  end
  local function agree(lead, values, wanted)
    local shares, said = spread(lead, values)
    local sum = 0.05 -- of the hold-out
    for action, propensity in pairs(said) do
      sum = sum + propensity
      assert.is_true(math.abs(shares[action] * 0.95 - propensity) < 1e-3, action)
      assert.is_true(math.abs(wanted[action] - propensity) < 1e-12, action)
    end
    assert.is_true(math.abs(sum - 1) < 1e-12)
  end

  it("gives each offer that could be taken the probability that the decision says", function()
    local lead = open(OFFERS)
    agree(lead, { is_known = 1, demo_attended = 1 }, { mail = 0.95 * 0.8, gift = 0.95 * 0.1, case = 0.95 * 0.1 })
    agree(lead, { is_known = 1 }, { mail = 0.95 * 0.85, case = 0.95 * 0.15 })
    agree(lead, { demo_attended = 1 }, { gift = 0.95 * 0.85, case = 0.95 * 0.15 }) -- mail lacks consent
    agree(lead, {}, { case = 0.95 }) -- nothing to choose from
    agree(lead, { usage_7d = 30, is_known = 1 }, { call = 0.95 }) -- no trial takes the place of a call
  end)

  it("says what was worth more", function()
    local lead = open(OFFERS)
    local got = lead.decide(1e12, { is_known = 1, demo_attended = 1 }, { draw = 0.15, hold_out = 0.5 })
    assert.are.same({ "case", 10, true }, { got.action, got.utility, got.explored })
    assert.are.same({ mail = "explored", gift = "explored" }, got.suppressed)
    lead.acted = 0
    got = lead.decide(1e12, { demo_attended = 1 }, { draw = 0.16, hold_out = 0.5 })
    assert.are.same({ mail = "consent" }, got.suppressed)
    assert.are.same({ "gift", true }, { got.action, got.explored }) -- drawn, and the best anyway
  end)

  it("waits for the limits of the lead", function()
    local lead = open(OFFERS)
    lead.acted = 1e12 - 3600000
    local got = lead.decide(1e12, { is_known = 1, demo_attended = 1 }, { draw = 0.01, hold_out = 0.5 })
    assert.are.same({ "wait", "per_lead", 1, false }, { got.action, got.held, got.propensity, got.explored })
  end)
end)

-- ---- against a reckoning of the test's own ----

-- A list of what holds back, written once for the policy and once for the reckoning.
local function some_limits(random, most)
  local limits = {}
  for i = 1, random(0, most) do
    limits[i] = { count = random(1, 4), hours = random(1, 60) }
  end
  return limits
end

local function as_text(limits)
  local texts = {}
  for i, limit in ipairs(limits) do
    texts[i] = ('"%d in %dh"'):format(limit.count, limit.hours)
  end
  return #texts > 0 and "{ " .. table.concat(texts, ", ") .. " }" or "nil"
end

local CONSENTS = { "usage_7d", "is_known", "demo_attended" } -- any features that may be unknown to the chunk
local UTILITIES = { "sessions", "docs_views_30d", "invites_30d" }

local function some_policy(random)
  local made = { ways = {}, offers = {}, per_lead = some_limits(random, 2), hold_out = random() < 0.3 and 0.25 }
  local lines = {}
  for i = 1, random(1, 3) do
    local way = { name = "way" .. i, limits = some_limits(random, 2), consent = random() < 0.6 and CONSENTS[random(1, 3)] }
    made.ways[i] = way
    lines[#lines + 1] = ('action.channel "%s" { consent = %s, at_most = %s, why = "W." }'):format(
      way.name,
      way.consent and "f." .. way.consent or "nil",
      as_text(way.limits)
    )
  end
  for i = 1, random(2, 6) do
    local offer = {
      name = "offer" .. i,
      limits = some_limits(random, 2),
      way = random() < 0.7 and made.ways[random(1, #made.ways)] or nil,
      consent = random() < 0.2 and CONSENTS[random(1, 3)],
      cool_down = random() < 0.5 and random(1, 90),
      of = UTILITIES[random(1, 3)],
      less = random(0, 3),
    }
    made.offers[i] = offer
    lines[#lines + 1] = (
      'action.offer "%s" { stages = { "a" }, channel = %s, consent = %s, cool_down = %s, at_most = %s, '
      .. 'utility = 1 * f.%s - %d, why = "W." }'
    ):format(
      offer.name,
      offer.way and '"' .. offer.way.name .. '"' or "nil",
      offer.consent and "f." .. offer.consent or "nil",
      offer.cool_down and ('"%dh"'):format(offer.cool_down) or "nil",
      as_text(offer.limits),
      offer.of,
      offer.less
    )
  end
  lines[#lines + 1] = 'action.otherwise "wait" { utility = 2, why = "W." }'
  lines[#lines + 1] = ("action.limits { per_lead = %s, hold_out = %s }"):format(
    as_text(made.per_lead),
    made.hold_out and '"25% salt x"' or "nil"
  )
  return made, table.concat(lines, "\n")
end

-- Whether `count` of the actions that `is_one` picks lie within the time before now.
local function is_full(log, limit, now, is_one)
  local count = 0
  for _, past in ipairs(log) do
    if is_one(past) and now - past.at < limit.hours * 3600000 then count = count + 1 end
  end
  return count >= limit.count
end

local function own_reason(offer, log, now, values)
  local function given(feature) return not feature or (values[feature] or 0) ~= 0 end
  if not given(offer.way and offer.way.consent) or not given(offer.consent) then return "consent" end
  local function is_offer(past) return past.offer == offer end
  if offer.cool_down and is_full(log, { count = 1, hours = offer.cool_down }, now, is_offer) then return "cool_down" end
  for _, limit in ipairs(offer.limits) do
    if is_full(log, limit, now, is_offer) then return "at_most" end
  end
  for _, limit in ipairs(offer.way and offer.way.limits or {}) do
    if is_full(log, limit, now, function(past) return past.offer.way == offer.way end) then return "per_channel" end
  end
end

local function reckon(made, log, now, values, held_out)
  local candidates, best, best_held = {}, nil, nil
  for _, offer in ipairs(made.offers) do
    local utility = values[offer.of] and values[offer.of] - offer.less
    if utility and utility > 2 then
      local one = { offer = offer, utility = utility, why = own_reason(offer, log, now, values) }
      candidates[#candidates + 1] = one
      if one.why then
        if not best_held or utility > best_held.utility then best_held = one end
      elseif not best or utility > best.utility then
        best = one
      end
    end
  end
  local want = { action = "wait", utility = 2, held = "none", propensity = 1, explored = false, suppressed = {} }
  local often = false
  for _, limit in ipairs(made.per_lead) do
    often = often or is_full(log, limit, now, function() return true end)
  end
  if not best then
    want.held = best_held and best_held.why or "none"
  elseif often or held_out then
    want.held = held_out and "hold_out" or "per_lead"
    want.propensity = often and 1 or 0.25
  else
    want.action, want.utility = best.offer.name, best.utility
    want.propensity = made.hold_out and 0.75 or 1
    log[#log + 1] = { at = now, offer = best.offer }
  end
  for _, one in ipairs(candidates) do
    if one.utility > want.utility or (one.why and best and one.utility == want.utility and one.offer.name < want.action) then
      want.suppressed[one.offer.name] = one.why or want.held
    end
  end
  return want
end

-- The library is built for many policies in one process here, which Debian's LuaJIT does not always survive when it compiles it. The
-- daemon compiles the chunk alone; tests/unit/policy/test_house.c runs that.
describe("actions of random policies", function()
  lazy_setup(function() require("jit").off() end)
  lazy_teardown(function() require("jit").on() end)

  it("are what a reckoning from all that was done gives (SEED=" .. SEED .. ")", function()
    local state = SEED
    local function random(low, high)
      state = (state * 16807 + 11) % 2147483647
      local x = state / 2147483647
      return low and low + math.floor(x * (high - low + 1)) or x
    end
    local seen = {}
    for _ = 1, 20 do
      local made, text = some_policy(random)
      local lead, log, now = open(text, true), {}, 1e12
      for _ = 1, 100 do
        now = now + random(0, 9) * 3600000 + random(0, 1)
        local values = {}
        for _, list in ipairs { CONSENTS, UTILITIES } do
          for _, name in ipairs(list) do
            if random() < 0.8 then values[name] = random(0, 6) end
          end
        end
        local held_out = made.hold_out and random() < 0.2
        local got = lead.decide(now, values, { hold_out = held_out and 0.2 or 0.9 })
        local want = reckon(made, log, now, values, held_out)
        assert.are.same(want, got)
        seen[got.held] = true
        for _, why in pairs(got.suppressed) do
          seen[why] = true
        end
      end
    end
    for _, what in ipairs { "none", "hold_out", "per_lead", "consent", "cool_down", "at_most", "per_channel" } do
      assert.is_true(seen[what], "never " .. what)
    end
  end)
end)
