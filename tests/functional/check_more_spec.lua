--- What `intent check` says beyond loading: rules made by loops, reasons that give none, luacheck's findings, what a decision costs.
local harness = require "harness"
local intent = require "intent"
local run, has, lacks = intent.run, intent.has, intent.lacks

local POLICY = [[
local policy, signal, belief = require "policy", require "signal", require "belief"
local journey, action = require "journey", require "action"
local f = signal.features "b2b@4"
policy "odd" { owner = "a@example.com", rationale = "A test of the tool.", boundary = "Nothing is done to anybody." }
belief.channel "web" {}
journey.start "a"
journey.stage "a" { journey.go "b" { on = "Trial Started", why = "They began a trial." } }
journey.final "b"
action.otherwise "wait" { why = "Leave people alone." }
]]

local function odd(more, modules)
  local files = { ["odd/policy.lua"] = POLICY .. (more or "") }
  for path, text in pairs(modules or {}) do files["odd/" .. path] = text end
  return harness.policies(files) .. "/odd"
end

local function is_there(program) return os.execute("command -v " .. program .. " >/dev/null 2>&1") == 0 end

describe("intent check", function()
  after_each(harness.finish)

  it("warns of rules that a loop or a function made", function()
    local dir = odd([[
for i = 1, 3 do
  belief.evidence("views_" .. i) { when = f.pricing_views_7d:at_least(i), points = i, channel = "web", why = "Looks at prices." }
end
local helper = require "odd.helper"
helper.rule("docs", f.docs_views_30d:at_least(2))
belief.evidence "one" { when = f.demo_attended, points = 1, channel = "web", why = "Was there." }; belief.evidence 'two' {
  when = f.demo_requested_30d, points = 1, channel = "web", why = "Asked for it." }
]], { ["helper.lua"] = [[
local belief = require "belief"
local helper = {}
function helper.rule(name, when)
  belief.evidence(name) { when = when, points = 1, channel = "web", why = "Made by a function." }
end
return helper
]] })
    local out, code = run { "check", dir }
    assert.are.equal(0, code, out)
    has(out, "/odd/policy.lua:11: warning: evidence 'views_1' and 2 more are made by a loop or a function")
    has(out, "/odd/helper.lua:4: warning: evidence 'docs' is made by a loop or a function")
    lacks(out, "'one'")
    lacks(out, "'two'")
    has(out, ", 2 warnings\n")
  end)

  it("warns of reasons that give none", function()
    local out, code = run { "check", odd [[
belief.evidence "demo" { when = f.demo_attended, points = 1, channel = "web", why = "…" }
belief.evidence "asked" { when = f.demo_requested_30d, points = 1, channel = "web", why = "Asked!" }
belief.evidence "docs" { when = f.docs_views_30d:at_least(2), points = 1, channel = "web", why = "TODO" }
belief.evidence "fine" { when = f.is_known, points = 1, channel = "web", why = "Gave a name." }
]] }
    assert.are.equal(0, code, out)
    for _, name in ipairs { "demo", "asked", "docs" } do has(out, ("warning: evidence '%s': its why ("):format(name)) end
    lacks(out, "'fine'")
  end)

  it("hands on what luacheck finds, with the sandbox's names and a spec's", function()
    if not is_there "luacheck" then return pending "luacheck is not installed" end
    local dir = odd("local forgotten = 3\nlocal g = f\nfor _, g in ipairs {} do assert(g) end\n",
      { ["odd_spec.lua"] = "it('x', function() lead():page('x'):expect_stage('a') end)\n" })
    local out, code = run { "check", dir }
    assert.are.equal(0, code, out)
    has(out, "/odd/policy.lua:10: warning: (W211) unused variable 'forgotten'")
    has(out, "/odd/policy.lua:12: warning: (W421) shadowing definition")
    lacks(out, "odd_spec.lua")
    local json = run { "check", dir, "--json" }
    has(json, '"severity":"warning","text":"(W211) unused variable \'forgotten\'"')
    has(json, '"luacheck":true')
    -- without the program it says so
    local without, ok, said = run({ "check", dir }, nil, { env = "PATH=/nowhere" })
    assert.are.equal(0, ok)
    lacks(without, "W211")
    has(said, "luacheck is not installed")
    has(run({ "check", dir, "--json" }, nil, { env = "PATH=/nowhere" }), '"luacheck":false')
  end)

  it("measures what a decision costs", function()
    local out, code = run { "check", harness.root .. "/policies/b2b_saas", "--cost" }
    assert.are.equal(0, code)
    local middle, most = out:match "\na decision costs (%d+) ns in the middle and (%d+) ns at most; stage '%l+' costs most\n$"
    assert.is_true(tonumber(middle) > 0 and tonumber(most) > 0)
    local json = run { "check", harness.root .. "/policies/b2b_saas", "--cost", "--json" }
    assert.is_truthy(json:match '"cost":{"calls":%d+,"ns_p50":%d+,"ns_max":%d+,"stage":"%l+","stage_ns_p50":%d+}}\n$')
    lacks(run { "check", harness.root .. "/policies/b2b_saas" }, "costs")
  end)

  it("finds nothing in the shipped policies, and refuses a contradiction", function()
    for _, name in ipairs { "b2b_saas", "consumer_loans", "ecommerce" } do
      lacks(run { "check", harness.root .. "/policies/" .. name }, "warning")
    end
    local out, code = run { "check", odd [[
belief.evidence "never" { when = signal.all { f.docs_views_30d:at_least(5), f.docs_views_30d:under(3) }, points = 1, channel = "web",
  why = "Can't be." }
]] }
    assert.are.equal(1, code)
    has(out, "/odd/policy.lua:10: error: 'all of (docs_views_30d at least 5; docs_views_30d under 3)' can never hold")
  end)
end)
