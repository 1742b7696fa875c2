--- `intent test` with specs that are lives, its reports for CI, and recorded leads.
local harness = require "harness"
local intent = require "intent"
local run, has, lacks = intent.run, intent.has, intent.lacks

-- A policy of few rules, whose coverage can be told by hand.
local POLICY = [[
local policy, signal, belief = require "policy", require "signal", require "belief"
local journey, route, action, score = require "journey", require "route", require "action", require "score"
local go = journey.go
local f = signal.features "b2b@4"
policy "small" { owner = "a@example.com", rationale = "A test of the tool.", boundary = "Nothing.", team = "team",
  eligible = signal.none { f.is_employee } }
belief.channel "web" {}
belief.evidence "prices" { when = f.pricing_views_7d:at_least(3), points = 50, channel = "web", half_life = "7d",
  why = "Compares plans." }
belief.evidence "docs" { when = signal.any { f.docs_views_30d:at_least(5), f.case_studies_30d:at_least(2) }, points = 10,
  channel = "web", why = "Reads." }
score.adjust "demo" { when = f.demo_requested_30d, points = 8, why = "Asked." }
journey.start "visitor"
journey.stage "visitor" {
  go "lead" { when = belief.intent:at_least(40), why = "Looked three times." },
  go "cold" { after = "21d", why = "Silence." },
}
journey.stage "lead" {
  go "won" { on = "crm.opportunity_created", why = "Sales says so." },
}
journey.stage "cold" {
  go "lead" { when = belief.intent:at_least(40), why = "Woke up." },
}
journey.final "won"
route.on_enter "lead"
route.to "emea" { when = f.region:is "emea", why = "Same law." }
route.otherwise "amer" { why = "All others." }
action.offer "call" { stages = { "lead" }, utility = belief.intent, why = "While it is warm." }
action.otherwise "wait" { utility = 5, why = "Leave people alone." }
]]
local TEAM = "name,team,weight\nann,amer,1\neva,emea,1\n"

local function small(spec, more)
  local files = { ["small/policy.lua"] = POLICY, ["small/data/team.csv"] = TEAM, ["small/policy_spec.lua"] = spec }
  for path, text in pairs(more or {}) do files["small/" .. path] = text end
  return harness.policies(files) .. "/small"
end

describe("specs that are lives", function()
  after_each(harness.finish)

  it("tell a life in its order, by a clock of its own", function()
    local dir = small [[
describe("prices", function()
  local visitor
  before_each(function() visitor = lead { anonymousId = "a1", channel = "web", at = "2026-03-01T00:00:00Z" } end)

  it("make a lead at the third look", function()
    visitor:views("pricing", 2):expect_stage("visitor"):expect_transitions {}
      :expect_feature("pricing_views_7d", 2):expect_feature("region", nil)
      :wait("6d"):views("pricing", 1)
      :expect_stage("lead"):expect_transitions { "visitor -> lead" }:expect_owner { "ann", "eva" }:expect_action("call")
      :expect_fired("prices"):expect_not_fired("docs"):expect_intent(50):expect { band = "none", eligible = true }
  end)
  it("are forgotten after a week", function()
    visitor:views("pricing", 2):wait("8d"):views("pricing", 2, "1h"):expect_stage("visitor"):expect_intent { at_most = 0 }
  end)
  it("are told apart by lead", function()
    local other = lead { userId = "eva", channel = "web" }
    visitor:views("pricing", 3):expect_stage("lead")
    other:identify({ region = "emea" }):views("pricing", 2):expect_stage("visitor"):expect_no_owner()
    visitor:wait("1h"):track("crm.opportunity_created", { channel = "crm" }):expect_stage("won")
    other:views("pricing"):expect_stage("lead"):expect_owner("eva"):expect_transitions { "visitor -> lead" }
  end)
  describe("and silence", function()
    it("ends in the cold, by a timer", function()
      visitor:page("Home"):expect_timer("visitor -> cold", "21d"):wait("20d"):expect_stage("visitor")
        :wait("1d"):expect_stage("cold"):expect_transitions { "visitor -> cold" }
      visitor:at("2026-04-01T00:00:00Z"):views("pricing", 3):expect_stage("lead")
    end)
  end)
end)
pending "what becomes of the won"
]]
    local out, code = run { "test", dir }
    assert.are.equal(0, code, out)
    has(out, "ok      prices make a lead at the third look\n")
    has(out, "ok      prices and silence ends in the cold, by a timer\n")
    has(out, "pending what becomes of the won\n")
    has(out, "4 passed, 0 failed, 1 pending\n")
  end)

  it("say what was and why", function()
    local dir = small [[
describe("bad", function()
  it("stage", function() lead():views("pricing", 2):expect_stage("lead") end)
  it("misspelt stage", function() lead():views("pricing", 2):expect_stage("laed") end)
  it("score", function() lead():views("pricing", 3):expect_intent(40) end)
  it("offer", function() lead():views("pricing", 2):expect_action("call") end)
  it("rule", function() lead():views("docs", 2):expect_fired("docs"):expect_fired("doc") end)
  it("feature", function() lead():views("docs", 2):expect_feature("docs_views_30d", 3):expect_feature("docs_view_30d", 2) end)
  it("timer", function() lead():page("Home"):expect_timer("visitor -> cold", "20d"):expect_timer("lead -> won") end)
  it("list", function() lead():page("Home"):expect_owner { "ann", "eva" } end)
end)
]]
    local out, code = run { "test", dir }
    assert.are.equal(1, code)
    for _, part in ipairs {
      "line 2: stage is 'visitor', not 'lead'\n", "transition 'visitor -> lead' did not fire (policies/small/policy.lua:15)\n",
      "does not hold: intent at least 40 (intent is 0)\n", "no stage 'laed'; did you mean 'lead'?\n",
      "line 4: intent is 50, above 40.05\n", "+50.0 evidence prices\n", "offer 'call' is open in lead; the lead is in visitor\n",
      "'docs' did not fire\n", "does not hold: docs_views_30d at least 5 (docs_views_30d is 2)\n", "no rule 'doc'; did you mean 'docs'?",
      "docs_views_30d is 2, not 3\n", "no feature 'docs_view_30d'; did you mean 'docs_views_30d'?\n",
      "the timer of visitor -> cold is due in 21d, not in 20d\n", "no timer 'lead -> won' runs, but visitor -> cold\n",
      "owner is 'none', none of ann, eva\n",
    } do has(out, part) end
    local json = run { "test", dir, "--json" }
    has(json, '"because":["transition \'visitor -> lead\' did not fire')
  end)

  -- Each is one case that fails with this text; the others of the file go on.
  local WRONG = {
    { [[lead():idenify {}]], "a lead has no 'idenify'; did you mean 'identify'?" },
    { [[lead():track("Pricing View")]], "no event 'Pricing View' in the signal set 'b2b'; did you mean 'Pricing Viewed'?" },
    { [[lead():track("Pricing Viewed")]], "expects nothing, so it can't fail" },
    { [[lead():expect_stage("visitor")]], "nothing has happened yet" },
    { [[lead():track("Pricing Viewed", { chanel = "web" })]], "no key 'chanel' of an event; did you mean 'channel'?" },
    { [[lead():track("Pricing Viewed", "web")]], "a number of times or a table" },
    { [[lead():views("pricing", 0)]], "times is a whole number from 1 to 10000" },
    { [[lead():wait("soon")]], 'wait takes a duration such as "2d 4h", not soon' },
    { [[lead():page("x"):at("2025-01-01T00:00:00Z")]], "lies before what this lead did last" },
    { [[lead { usrId = "x" }]], "lead: no key 'usrId'; did you mean 'userId'?" },
    { [[lead():page("x"):expect { stge = "x" }]], "expect knows no 'stge'; did you mean 'stage'?" },
    { [[lead():page("x"):expect_intent { least = 3 }]], "at_least and at_most with a number, not 'least'" },
    { [[fixture "none.jsonl"]], "fixture 'none.jsonl': cannot open" },
    { [[fixture "../policy.lua"]], "it lies in the policy's folder" },
    { [[fixture "/etc/passwd"]], "it lies in the policy's folder" },
    { [[fixture "broken.jsonl"]], "fixture 'broken.jsonl': line 2: " },
    { [[fixture "list.jsonl"]], "no event: a line is a JSON object" },
    { [[fixture "timeless.jsonl"]], "event 1 has no timestamp" },
    { [[for i = 1, 20 do lead() end]], "at most 16 leads in a case" },
    { [[it("inside", function() end)]], "it stands outside of another it" },
    { [[lead():event(3)]], "event takes a table" },
    { [[error("my own")]], "my own" },
  }
  it("name the line of what can't be meant", function()
    local cases = {}
    for i, wrong in ipairs(WRONG) do cases[i] = ("it('case %d', function() %s end)"):format(i, wrong[1]) end
    cases[#cases + 1] = "it('a good one', function() lead():page('x'):expect_stage('visitor') end)"
    local dir = small(table.concat(cases, "\n"), { ["broken.jsonl"] = '{"type":"page","timestamp":0}\n{"type":\n',
      ["list.jsonl"] = "[1]\n", ["timeless.jsonl"] = '{"type":"page"}\n' })
    local out, code = run { "test", dir }
    assert.are.equal(1, code)
    has(out, ("1 passed, %d failed\n"):format(#WRONG))
    for i, wrong in ipairs(WRONG) do
      local text = assert(out:match(("\nnot ok  case %d\n([^\n]*)"):format(i)) or out:match(("^not ok  case %d\n([^\n]*)"):format(i)), out)
      has(text, wrong[2])
      if not wrong[1]:find "error" then has(text, ("policies/small/policy_spec.lua:%d: "):format(i)) end
    end
  end)

  it("are refused as a whole when they can't be read", function()
    for text, why in pairs {
      ["return { } , it('x', function() end)"] = "not both",
      ["local x = 1"] = "returns a list of cases, or says",
      ["it(3, function() end)"] = 'it("does what"',
      ["it('x', 3)"] = 'it("does what"',
      ["lead()"] = "a lead lives within it",
      ["before_each(function() end)"] = "before_each stands within describe",
      ["describe('x')"] = "describe(",
      ["io.open('x')"] = "unknown name io",
      ["while true do end"] = "instructions",
    } do
      local out, code = run { "test", small(text) }
      assert.are.equal(1, code, text)
      has(out, "policies/small/policy_spec.lua")
      has(out, why)
    end
  end)

  it("go on beside lists of cases, which need none of the words", function()
    local dir = small([[return { { name = "a list", events = { { at = "2026-01-05T09:00:00Z", type = "page", name = "x" } },
      expect = { stage = "visitor" } } }]], { ["other_spec.lua"] = "it('a life', function() lead():page('x'):expect_stage('visitor') end)" })
    local out, code = run { "test", dir }
    assert.are.equal(0, code, out)
    has(out, "ok      a life\nok      a list\n")
  end)
end)

describe("the policy guide's life", function()
  after_each(harness.finish)

  it("holds, and falls short as the page says", function()
    local page = harness.read(harness.root .. "/docs/policy-guide.md")
    local first, spec, cases = page:match "```lua first\n(.-)```", page:match "```lua lives\n(.-)```", page:match "```lua spec\n(.-)```"
    local policies = harness.policies { ["prices/policy.lua"] = first, ["prices/lives_spec.lua"] = spec, ["prices/policy_spec.lua"] = cases }
    local out, code = run { "test", policies .. "/prices" }
    assert.are.equal(0, code, out)
    has(out, "4 passed, 0 failed\n")
    harness.edit(policies .. "/prices/lives_spec.lua", [[:wait("2d"):views("pricing")]], [[:wait("8d"):views("pricing")]])
    local short, failed = run { "test", policies .. "/prices" }
    assert.are.equal(1, failed)
    has(short, page:match "\n(not ok  three looks.-)```")
  end)
end)

describe("reports for CI", function()
  after_each(harness.finish)

  it("are JUnit's XML, whatever the names are", function()
    local dir = small([[
it("passes & <passes> \"quoted\" \1\27[31m", function() lead():page("x"):expect_stage("visitor") end)
it("fails", function() lead():page("x"):expect_stage("<lead>") end)
it("waits")
]], { ["broken_spec.lua"] = "it('x', 3)" })
    local file = harness.folder() .. "/junit.xml"
    local _, code = run { "test", dir, "--junit", file }
    assert.are.equal(1, code)
    harness.write(file .. ".py", [[
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == "testsuites"
def number(element, name): return int(element.get(name))
suites = [s for s in root]
assert all(s.tag == "testsuite" for s in suites)
for name in ("tests", "failures", "errors", "skipped"):
    assert number(root, name) == sum(number(s, name) for s in suites), name
for s in suites:
    cases = list(s)
    assert all(c.tag == "testcase" and c.get("name") and c.get("classname") and float(c.get("time")) >= 0 for c in cases)
    assert number(s, "tests") == len(cases)
    assert number(s, "failures") == sum(c.find("failure") is not None for c in cases)
    assert number(s, "errors") == sum(c.find("error") is not None for c in cases)
    assert number(s, "skipped") == sum(c.find("skipped") is not None for c in cases)
    assert float(s.get("time")) >= 0
mine = {c.get("name"): c for s in suites if s.get("name").startswith("policies/small/") for c in s}
assert len([s for s in suites if s.get("name").startswith("policies/small/")]) == 2
failure = mine["fails"].find("failure")
assert failure.get("message") == "stage is 'visitor', not '<lead>'", failure.get("message")
assert "no stage '<lead>'" in failure.text
assert mine["fails"].get("line") == "2"
assert mine["waits"].find("skipped") is not None
assert mine["the file"].find("error") is not None
assert any(name.startswith('passes & <passes> "quoted" ') for name in mine)
print("good")
]])
    local pipe = io.popen(("python3 %s.py %s 2>&1"):format(file, file))
    assert.are.equal("good\n", pipe:read "*a")
    pipe:close()
    -- of a set's own specs, too
    local _, ok = run { "test", harness.root .. "/policies/signals/b2b", "--junit", file }
    assert.are.equal(0, ok)
    has(harness.read(file), 'failures="0" errors="0"')
    local _, unwritten, why = run { "test", harness.root .. "/policies/signals/b2b", "--junit", "/nowhere/at/all.xml" }
    assert.are.equal(2, unwritten)
    has(why, "/nowhere/at/all.xml")
  end)

  local function coverage_of(spec, ...)
    local out, code, err = run { "test", small(spec), ... }
    return out, code, err
  end

  it("name the rules that no spec looks at", function()
    local out, code = coverage_of([[
it("looks", function() lead():views("pricing", 2):expect_stage("visitor"):views("pricing"):expect_stage("lead") end)
]], "--coverage")
    assert.are.equal(0, code, out)
    -- By hand. eligible: true; prices: both; docs: false; demo: false; visitor -> lead: both; visitor -> cold: false;
    -- lead -> won: false; cold -> lead: not tried; emea: false; amer: chosen; call: open, and it has no condition; wait: yes.
    has(out, "coverage: 13 of 21 outcomes of 12 rules, 61.9 %\n")
    for _, line in ipairs {
      ":5: never false: eligible 'eligible'", ":10: never true: evidence 'docs'", ":12: never true: adjust 'demo'",
      ":16: never true: transition 'visitor -> cold'", ":19: never true: transition 'lead -> won'",
      ":22: never tried: transition 'cold -> lead'", ":26: never true: route 'emea'",
    } do has(out, "/small/policy.lua" .. line .. "\n") end
    lacks(out, "'prices'")
    lacks(out, "'call'")
    lacks(out, "'amer'")
  end)

  it("are whole when all was seen, and fail below what is asked for", function()
    local all = [[
local function someone() return lead { channel = "web" } end
it("a", function() someone():views("pricing", 3):expect_stage("lead"):track("crm.opportunity_created"):expect_stage("won") end)
it("b", function() someone():identify({ region = "emea" }):views("pricing", 3):expect_owner("eva") end)
it("c", function() someone():identify({ email = "x@ourcompany.example", employee = true }):page("x"):expect { stage = "visitor" } end)
it("d", function() someone():page("x"):wait("22d"):expect_stage("cold"):page("y"):views("pricing", 3):expect_stage("lead") end)
it("e", function() someone():views("docs", 5):track("Demo Requested"):expect_fired("docs") end)
]]
    local out, code, err = coverage_of(all, "--coverage-least", "90%")
    assert.are.equal(0, code, out .. err)
    local percent = tonumber(out:match "outcomes of 12 rules, ([%d.]+) %%")
    assert.is_true(percent >= 95, out)
    local _, short, why = coverage_of("it('a', function() lead():page('x'):expect_stage('visitor') end)", "--coverage-least", "80")
    assert.are.equal(1, short)
    has(why, "below the 80 % that --coverage-least asks for")
    for _, bad in ipairs { "x", "101%", "-1", "80%%", "nan" } do
      local _, usage, said = coverage_of(all, "--coverage-least", bad)
      assert.are.equal(2, usage)
      has(said, "--coverage-least takes a share such as 80%")
    end
    local json = coverage_of(all, "--coverage", "--json")
    assert.is_truthy(json:match '\n{"coverage":{"all":21,"rules":%[{.*"kind":"evidence".*%],"seen":%d+},"percent":%d')
  end)
end)

describe("a recorded lead", function()
  after_each(harness.finish)

  it("is a fixture without anybody's name, and decides as it did", function()
    local policies = harness.policies { ["small/policy.lua"] = POLICY, ["small/data/team.csv"] = TEAM }
    local daemon = harness.start { policies = policies, policy = "small", clock = "event", seed = harness.SEED }
    local client = daemon:connect()
    local function say(event) return client:must("event.ingest", event) end
    say { type = "identify", userId = "maria@acme.example", timestamp = 1767603600000, messageId = "m-1",
      traits = { email = "maria@acme.example", firstName = "Maria", region = "emea", employees = 420 } }
    for i = 1, 3 do
      say { type = "track", event = "Pricing Viewed", userId = "maria@acme.example", timestamp = 1767603600000 + i * 3600000,
        messageId = "p-" .. i, channel = "web", properties = { plan = "pro" }, context = { ip = "203.0.113.7" } }
    end
    local last = client:must("lead.get", "maria@acme.example")
    assert.are.equal("lead", last.lead.stage)
    local folder = policies .. "/small/fixtures"
    os.execute("mkdir -p " .. folder)
    local _, code, err = run { "lead", "maria@acme.example", "--data", daemon.data, "--fixture", folder .. "/maria.jsonl" }
    assert.are.equal(0, code, err)
    has(err, "4 events written to ")
    has(err, "personal values left out")
    local text = harness.read(folder .. "/maria.jsonl")
    for _, secret in ipairs { "maria", "Maria", "203.0.113.7", "m-1", "p-1" } do lacks(text, secret) end
    has(text, '"region":"emea"')
    has(text, '"plan":"pro"')
    has(text, '"userId":"lead"')
    has(text, '"timestamp":"2026-01-05T10:00:00Z"')
    harness.write(policies .. "/small/policy_spec.lua", [[
it("decides as it did", function()
  fixture("fixtures/maria.jsonl"):expect_stage("lead"):expect_feature("pricing_views_7d", 3):expect_owner("eva")
    :wait("1d"):track("crm.opportunity_created", { channel = "crm" }):expect_stage("won")
end)]])
    local out, ok = run { "test", policies .. "/small" }
    assert.are.equal(0, ok, out)
    -- by the lead's own id no daemon is asked; and what is not there is said
    local again = harness.folder() .. "/again.jsonl"
    local _, by_id = run { "lead", last.lead.lead, "--data", daemon.data, "--fixture", again }
    assert.are.equal(0, by_id)
    assert.are.equal(text, harness.read(again))
    assert.are.equal(1, select(2, run { "lead", "nobody", "--data", daemon.data, "--fixture", again }))
    assert.are.equal(1, select(2, run { "lead", ("0"):rep(32), "--data", daemon.data, "--fixture", again }))
    -- and it can be sent
    local sent, sent_code = run({ "send", "--to", "127.0.0.1:" .. daemon.ports.listen, again })
    assert.are.equal(0, sent_code, sent)
  end)
end)
