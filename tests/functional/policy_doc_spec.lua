--- `intent policy doc`: a policy's boundaries as a page, with everything that the policy's text declares.
local harness = require "harness"
local intent = require "intent"
local run, has, lacks = intent.run, intent.has, intent.lacks

-- Cells of each row of a Markdown table must be as many as its head's.
local function check_tables(text)
  local width, tables
  for line in text:gmatch "([^\n]*)\n" do
    if line:sub(1, 1) == "|" then
      local cells = select(2, line:gsub("\\|", ""):gsub("|", ""))
      if not width then
        width, tables = cells, (tables or 0) + 1
      end
      assert.are.equal(width, cells, line)
    else
      width = nil
    end
  end
  return tables
end

describe("intent policy doc", function()
  after_each(harness.finish)

  it("tells all that the shipped policies declare, with each reason", function()
    for _, name in ipairs { "b2b_saas", "consumer_loans", "ecommerce" } do
      local page, code = run { "policy", "doc", harness.root .. "/policies/" .. name }
      assert.are.equal(0, code)
      assert.is_true(check_tables(page) >= 5)
      local text = harness.read(harness.root .. "/policies/" .. name .. "/policy.lua")
      local names, reasons = 0, 0
      for kind, rule in text:gmatch '\n([%l]+%.[%l_]+) "([^"]+)" {' do
        if kind ~= "journey.stage" then
          names = names + 1
          assert.is_truthy(page:find("\n| " .. rule .. " ", 1, true), kind .. " " .. rule)
        end
      end
      for why in text:gmatch 'why = "([^"]+)"' do
        reasons = reasons + 1
        has(page, "| " .. why:gsub("|", "\\|") .. " |")
      end
      for from, body in text:gmatch '\njourney%.stage "([^"]+)" (%b{})' do
        for to in body:gmatch 'go "([^"]+)"' do
          has(page, ("\n| %s -> %s |"):format(from, to))
          assert.is_truthy(page:find(("\n  %s %%-%%-> %s: "):format(from, to)), from .. " -> " .. to)
        end
      end
      assert.is_true(names > 15 and reasons > 20)
      has(page, "```mermaid\nstateDiagram-v2\n  [*] --> ")
    end
  end)

  local POLICY = [[
local policy, signal, belief, score = require "policy", require "signal", require "belief", require "score"
local journey, action = require "journey", require "action"
local f = signal.features "b2b@4"
policy "small" { owner = "a@example.com", rationale = "Shows <b>bold</b> & such.", boundary = "One | two.",
  models = { fit = "b2b_fit" }, eligible = signal.all { f.is_known, signal.none { f.is_employee } } }
belief.channel "web" { reliability = 0.5, at_most = 12 }
belief.evidence "much" { when = f.pricing_views_7d:at_least(3), points = 40, channel = "web", why = "A </script> of it." }
belief.evidence "silence" { when = f.idle:at_least "10d", points = -10, channel = "web", half_life = "2d", why = "Quiet." }
score.adjust "demo" { when = f.demo_requested_30d, points = 7.5, why = "Asked." }
score.combined { 0.5 * score.fit }
journey.start "new one"
journey.stage "new one" { journey.go "won" { on = { "Trial Started", "Demo Attended" }, when = f.is_known, why = "Began." } }
journey.final "won"
local odd = signal.custom("odd", { reads = { f.sessions }, why = "Bots." }, function(view) return view.sessions > 50 end)
score.adjust "bot" { when = odd, points = -30, why = "Not a person." }
action.otherwise "wait" { utility = 1, why = "Rest." }
]]

  it("reckons what can be reached, and lets no text break the page", function()
    local dir = harness.policies { ["small/policy.lua"] = POLICY } .. "/small"
    local page, code = run { "policy", "doc", dir }
    assert.are.equal(0, code, page)
    check_tables(page)
    -- 40 and -10 at half reliability, capped at 12; half of 100 and 7.5 more
    has(page, "All together reach -5 to 12.")
    has(page, "| web | 12 | 0.5 | -5 to 12 |")
    has(page, "| much | pricing_views_7d at least 3 | 40 |  | web | 20 |")
    has(page, "| silence | idle at least 10d | -10 | 2d | web | -5 |")
    has(page, "It reaches 0 to 57.5.")
    has(page, "- all of these hold:\n  - is_known\n  - none of these holds:\n    - is_employee\n")
    has(page, '  state "new one" as new_one\n  [*] --> new_one\n  new_one --> won: on Trial Started, Demo Attended, is_known\n  won --> [*]\n')
    has(page, "| never | One \\| two. |")
    has(page, "| odd | sessions | Bots. |")
    local file = harness.folder() .. "/page.html"
    local out, ok = run { "policy", "doc", dir, "--html", file }
    assert.are.equal(0, ok)
    assert.are.equal("", out)
    local html = harness.read(file)
    has(html, "Shows &lt;b&gt;bold&lt;/b&gt; &amp; such.")
    has(html, "A &lt;/script&gt; of it.")
    harness.write(file .. ".py", [[
import sys
from html.parser import HTMLParser
class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.count = [], {}
    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag != "meta": self.open.append(tag)
    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag
page = Page()
page.feed(open(sys.argv[1], encoding="utf-8").read())
assert not page.open, page.open
assert "script" not in page.count and "b" not in page.count
print(page.count["table"], page.count["h1"], page.count["pre"])
]])
    local pipe = io.popen(("python3 %s.py %s 2>&1"):format(file, file))
    assert.is_truthy(pipe:read("*a"):match "^%d+ 1 1\n$")
    pipe:close()
    has(run { "policy", "doc", dir, "--json" }, '{"markdown":"# small\\n')
  end)

  local NESTED = [[
local policy, signal, belief = require "policy", require "signal", require "belief"
local journey, action = require "journey", require "action"
local go = journey.go
local f = signal.features "b2b@4"
policy "nest" { owner = "a@example.com", rationale = "A test of the tool.", boundary = "Nothing." }
belief.channel "web" {}
journey.start "open"
journey.stage "open" { start = "new",
  go "won" { on = "crm.opportunity_won", why = "Bought." },
}
journey.stage "new" { inside = "open", go "warm" { when = f.pricing_views_7d:at_least(2), why = "Looks." } }
journey.stage "warm" { inside = "open", go "new" { after = "7d", why = "Cooled." } }
journey.final "won"
journey.region "consent" { start = "unasked", why = "Beside the journey." }
journey.stage "unasked" { inside = "consent", go "asked" { on = "Demo Requested", why = "Said so." } }
journey.stage "asked" { inside = "consent", go "unasked" { on = "Unsubscribed", why = "Took it back." } }
action.otherwise "wait" { why = "Leave people alone." }
]]

  it("draws stages inside of stages, and a spec's coverage counts them", function()
    local dir = harness.policies { ["nest/policy.lua"] = NESTED, ["nest/nest_spec.lua"] = [[
it("buys", function()
  lead():views("pricing", 2):expect_stage("warm"):track("Demo Requested"):track("crm.opportunity_won"):expect_stage("won")
end)
]] } .. "/nest"
    local page, code = run { "policy", "doc", dir }
    assert.are.equal(0, code, page)
    check_tables(page)
    has(page, "  state open {\n    [*] --> new\n    new\n    warm\n  }\n  state consent {\n    [*] --> unasked\n")
    has(page, "\n| warm | open |")
    has(page, "| consent |  | unasked | Beside the journey. |")
    lacks(page, "Signal set")
    local out, ok = run { "test", dir, "--coverage" }
    assert.are.equal(0, ok, out)
    has(out, "never true: transition 'warm -> new'\n")
    has(out, "never true: transition 'asked -> unasked'\n")
    has(out, "coverage: 9 of 11 outcomes of 6 rules, 81.8 %\n")
  end)

  it("says what is wrong instead", function()
    for _, wrong in ipairs {
      { { "policy", "doc" }, "doc takes a policy's folder" }, { { "policy", "status", "x" }, "status takes options only" },
      { { "policy", "doc", "/nowhere" }, "is no folder" }, { { "policy", "dco", "x" }, "did you mean doc?" },
      { { "policy", "doc", harness.root .. "/policies/signals/b2b" }, "is a signal set" },
    } do
      local _, code, err = run(wrong[1])
      assert.are.equal(2, code)
      has(err, wrong[2])
    end
    local dir = harness.policies { ["small/policy.lua"] = POLICY:gsub("is_employee", "is_emploee") } .. "/small"
    local out, code = run { "policy", "doc", dir }
    assert.are.equal(1, code)
    has(out, "did you mean 'is_employee'?")
    lacks(out, "# small")
  end)
end)
