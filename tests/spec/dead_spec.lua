--- scripts/check_dead.lua: conditions whose parts contradict each other, or leave nothing out; against trying all values.
local sandbox = require "sandbox"

local HEAD = [[
local policy, signal, belief = require "policy", require "signal", require "belief"
local journey, action = require "journey", require "action"
local all, any, none = signal.all, signal.any, signal.none
local f = signal.features "b2b@4"
policy "dead" { owner = "a@example.com", rationale = "A test.", boundary = "Nothing." }
belief.channel "web" {}
journey.start "a"
journey.stage "a" { journey.go "b" { on = "Trial Started", why = "Because of it." } }
journey.final "b"
action.otherwise "wait" { why = "Because of it." }
]]

local function problems_of(condition)
  local text = HEAD .. ('belief.evidence "e" { when = %s, points = 1, channel = "web", why = "Because of it." }\n'):format(condition)
  return sandbox.build(".", "dead", { ["policies/dead/policy.lua"] = text }).problems
end

local function is_dead(problems)
  for _, problem in ipairs(problems) do
    if problem.error and problem.text:find("can never hold", 1, true) then return true end
  end
  return false
end

local function is_always(problems)
  for _, problem in ipairs(problems) do
    if not problem.error and problem.text:find("one always does", 1, true) then return true end
  end
  return false
end

describe("conditions that contradict themselves", function()
  it("are told, once, with the two parts", function()
    local cases = {
      { "all { f.docs_views_30d:at_least(5), f.docs_views_30d:under(3) }",
        "'all of (docs_views_30d at least 5; docs_views_30d under 3)' can never hold: 'docs_views_30d at least 5' and "
          .. "'docs_views_30d under 3' exclude each other" },
      { "all { f.docs_views_30d:at_least(5), f.is_known, all { f.docs_views_30d:is(4), f.unsubscribed } }", "exclude each other" },
      { 'all { f.region:is "emea", f.region:is "amer" }', "'region is emea' and 'region is amer' exclude each other" },
      { "all { f.is_known, none { f.is_known } }", "'is_known' would have to hold and not to hold" },
      { "all { f.is_known, none { any { f.unsubscribed, f.is_known } } }", "'is_known' would have to hold and not to hold" },
    }
    for _, case in ipairs(cases) do
      local found = problems_of(case[1])
      assert.are.equal(1, #found, case[1])
      assert.is_true(found[1].error)
      assert.is_truthy(found[1].text:find(case[2], 1, true), found[1].text)
      assert.are.equal(11, found[1].line)
    end
  end)

  it("that leave nothing out are warned of", function()
    local found = problems_of "any { f.docs_views_30d:at_least(5), f.docs_views_30d:under(5) }"
    assert.are.equal(1, #found)
    assert.is_false(found[1].error)
    assert.is_truthy(found[1].text:find("holds whenever the value is known", 1, true))
  end)

  it("are not seen where there are none", function()
    for _, condition in ipairs {
      "all { f.docs_views_30d:at_least(5), f.docs_views_30d:under(6) }", 'all { f.region:is "emea", f.email_domain:is "amer" }',
      "any { f.docs_views_30d:at_least(6), f.docs_views_30d:under(5) }", "all { f.is_known, none { f.unsubscribed } }",
      "any { f.is_known, none { f.is_known } }", "all { any { f.docs_views_30d:under(2), f.is_known }, f.docs_views_30d:at_least(3) }",
    } do
      assert.are.same({}, problems_of(condition), condition)
    end
  end)

  local OPS = { at_least = function(x, b) return x >= b end, above = function(x, b) return x > b end,
    at_most = function(x, b) return x <= b end, under = function(x, b) return x < b end, is = function(x, b) return x == b end }
  local NAMES = { "at_least", "above", "at_most", "under", "is" }

  -- A feature that may be below 0 too, so that no bound of the value itself is in the way.
  it("are those that no value meets", function()
    local seed = tonumber(os.getenv "SEED") or 20260105
    print("SEED=" .. seed)
    math.randomseed(seed)
    local seen = { [true] = 0, [false] = 0 }
    for _ = 1, tonumber(os.getenv "ROUNDS") or 40 do
      local first, second = { NAMES[math.random(5)], math.random(-3, 3) }, { NAMES[math.random(5)], math.random(-3, 3) }
      local both, either = false, true
      for x = -4, 4, 0.5 do
        local a, b = OPS[first[1]](x, first[2]), OPS[second[1]](x, second[2])
        both, either = both or (a and b), either and (a or b)
      end
      local text = ("{ f.v:%s(%d), f.v:%s(%d) }"):format(first[1], first[2], second[1], second[2])
      text = text:gsub("f%.v", "(f.docs_views_30d - f.case_studies_30d)")
      assert.are.equal(not both, is_dead(problems_of("all " .. text)), text)
      assert.are.equal(either, is_always(problems_of("any " .. text)), text)
      seen[both] = seen[both] + 1
    end
    assert.is_true(seen[true] > 2 and seen[false] > 2)
  end)
end)
