--- `intent repl`: what it says of an expression is what the policy makes of it; nothing leaks, and nothing is changed.
local harness = require "harness"
local intent = require "intent"
local run, has = intent.run, intent.has

local COUNTS = { "pricing_views_7d", "docs_views_30d", "case_studies_30d", "invites_30d", "talks_30d", "email_clicks_7d" }
local EVENTS = { "Pricing Viewed", "Docs Viewed", "Case Study Downloaded", "Teammate Invited", "crm.call_logged", "Email Link Clicked" }
local REGIONS = { "emea", "amer", "apac" }
local OPS = { "at_least", "above", "at_most", "under", "is" }

-- A condition on one feature.
local function leaf(name)
  local pick, n = math.random(7), math.random(1, 3)
  if pick == 1 then return ("f.%s:is_known()"):format(name) end
  if pick == 2 then return ("any { f.%s }"):format(name) end
  if pick == 3 then return ("(f.%s + 2 * f.%s):at_least(%d)"):format(name, name, 3 * n) end
  if pick == 4 then return ("f.%s:within(%d, %d)"):format(name, n, n + 1) end
  if pick == 5 then return ("f.%s:default(%d):at_most(%d)"):format(name, n, n) end
  return ("f.%s:%s(%d)"):format(name, OPS[math.random(#OPS)], n)
end

-- Each feature once in it, so that no two parts contradict each other.
local function condition()
  local names = { unpack(COUNTS) }
  local function take() return leaf(table.remove(names, math.random(#names))) end
  local function group(depth)
    local items = { take() }
    if depth < 2 and math.random(2) == 1 then items[#items + 1] = group(depth + 1) end
    if #names > 1 and math.random(2) == 1 then items[#items + 1] = take() end
    if depth == 0 and math.random(3) == 1 then items[#items + 1] = ('f.region:is "%s"'):format(REGIONS[math.random(3)]) end
    return ("%s { %s }"):format(({ "all", "any", "none" })[math.random(3)], table.concat(items, ", "))
  end
  return math.random(3) == 1 and take() or group(0)
end

local HEAD = [[
local policy, signal, belief = require "policy", require "signal", require "belief"
local journey, action = require "journey", require "action"
local all, any, none = signal.all, signal.any, signal.none
local f = signal.features "b2b@4"
policy "tried" { owner = "a@example.com", rationale = "A test of the tool.", boundary = "Nothing." }
belief.channel "web" {}
belief.channel "sales" { reliability = 0.5, at_most = 3 }
belief.gate "warm" { when = belief.intent:at_least(10), why = "Warm enough." }
belief.evidence "talk" { when = f.talks_30d:at_least(1), points = 20, half_life = "3d", channel = "sales", why = "Talks." }
journey.start "a"
journey.stage "a" { journey.go "b" { on = "Trial Started", when = belief.passed "warm", why = "Began." } }
journey.final "b"
action.otherwise "wait" { why = "Leave people alone." }
]]

describe("intent repl", function()
  after_each(harness.finish)

  it("says of a condition what the policy's decision says", function()
    local seed = tonumber(os.getenv "SEED") or 20260105
    print("SEED=" .. seed)
    math.randomseed(seed)
    local expressions, text = {}, { HEAD }
    for i = 1, 40 do
      expressions[i] = condition()
      text[#text + 1] = ('belief.evidence "e%d" { when = %s, points = 1, channel = "web", why = "Tried." }'):format(i, expressions[i])
    end
    local policies = harness.policies { ["tried/policy.lua"] = table.concat(text, "\n") .. "\n" }
    local daemon = harness.start { policies = policies, policy = "tried", clock = "event", seed = harness.SEED }
    local client, seen = daemon:connect(), { yes = 0, no = 0 }
    for lead = 1, 4 do
      local user, at = "u" .. lead .. "@acme.example", 1767603600000
      local decision = client:must("event.ingest", { type = "identify", userId = user, timestamp = at, traits = { region = REGIONS[lead % 3 + 1], email = user } })
      for _ = 1, math.random(4, 14) do
        at = at + math.random(1, 2880) * 60000
        decision = client:must("event.ingest", { type = "track", event = EVENTS[math.random(#EVENTS)], userId = user, timestamp = at, channel = "web" })
      end
      local fired = {}
      for _, reason in ipairs(decision.reasons) do
        if reason.kind == "evidence" then fired[reason.name] = true end
      end
      local out, code, err = run({ "repl", user, "--data", daemon.data, "--policy", policies .. "/tried" }, table.concat(expressions, "\n") .. "\n")
      assert.are.equal(0, code, out .. err)
      local i = 0
      for line in out:gmatch "[^\n]+" do
        local said = line:match "^(%l+)"
        if line:sub(1, 1) ~= " " then
          i = i + 1
          assert.are.equal(fired["e" .. i] and "yes" or "no", said, expressions[i])
          seen[said] = seen[said] + 1
        end
      end
      assert.are.equal(40, i)
      -- and of what is made of many: the decision's own figures
      local json = run({ "repl", user, "--data", daemon.data, "--policy", policies .. "/tried", "--json" },
        'belief.intent\nbelief.channels\nbelief.passed "warm"\n')
      local intent_points, channels, warm = json:match '"value":([%-%d.]+).-"value":(%d+).-"holds":(%l+)'
      assert.are.equal(decision.scores.intent, tonumber(intent_points) * 1000)
      local positive = (fired.talk and 1 or 0) + (next(fired) and not (fired.talk and next(fired, next(fired)) == nil) and 1 or 0)
      assert.are.equal(positive, tonumber(channels))
      assert.are.equal(tostring(decision.scores.intent >= 10000), warm)
    end
    assert.is_true(seen.yes > 20 and seen.no > 20)
  end)

  it("shows no personal value of a daemon's lead, and changes nothing", function()
    local policies = harness.policies { ["signals/b2b/features/name.lua"] = [[return {
      { name = "first_name", op = "last", on = { { type = "identify" } }, of = "traits.firstName", text = true, class = "profile", personal = true } }]] }
    local daemon = harness.start { policies = policies, policy = "b2b_saas", clock = "event", seed = harness.SEED }
    local client = daemon:connect()
    client:must("event.ingest", { type = "identify", userId = "maria@acme.example", timestamp = 1767603600000,
      traits = { firstName = "Maria", region = "emea" } })
    local before = client:must("lead.get", "maria@acme.example")
    local words = { "repl", "maria@acme.example", "--data", daemon.data, "--policy", policies .. "/b2b_saas" }
    local out, code, err = run(words, 'f.first_name\nf.first_name:is "Maria"\nf.first_name:is_known()\n'
      .. 'any { f.first_name:is "Maria", f.region:is "emea" }\nall { f.first_name:is "Maria", f.region:is "emea" }\n')
    assert.are.equal(0, code, err)
    local said = "can't be said: it asks for a personal value"
    assert.are.equal(table.concat({ "known (personal: not shown)", said .. " (first_name is known (personal: not shown))",
      "yes (first_name is known (personal: not shown))", "yes", "  " .. said .. " first_name is Maria", "  yes  region is emea", said,
      "  " .. said .. " first_name is Maria", "  yes  region is emea", "" }, "\n"), out)
    assert.are.same(before, client:must("lead.get", "maria@acme.example"))
  end)

  it("works on a recorded lead, and names what can't be tried", function()
    local file = harness.folder() .. "/lead.jsonl"
    local lines = { '{"type":"identify","userId":"lead","timestamp":"2026-01-05T09:00:00Z","traits":{"email":"m@acme.example"}}' }
    for hour = 10, 12 do
      lines[#lines + 1] = ('{"type":"track","event":"Pricing Viewed","userId":"lead","timestamp":"2026-01-05T%d:00:00Z"}'):format(hour)
    end
    harness.write(file, table.concat(lines, "\n") .. "\n")
    local words = { "repl", "--fixture", file, "--policy", harness.root .. "/policies/b2b_saas" }
    local out, code = run(words, 'f.pricing_views_7d\n  f.pricing_views_7d:at_least(3)  \n\nbelief.intent\nf.email_domain\n'
      .. 'all { f.pricing_views_7d:at_least(3), none { f.is_known } }\n2 * f.pricing_views_7d + 1\nexit\nf.never_read\n')
    assert.are.equal(0, code)
    assert.are.equal("3\nyes (pricing_views_7d is 3)\n20 (it can be -12 to 104)\nacme.example\nno\n  yes  pricing_views_7d at least 3\n"
      .. "  no   none of (is_known)\n    yes  is_known\n7\n", out)
    for expression, why in pairs {
      ["f.pricing_view_7d"] = "did you mean 'pricing_views_7d'?", ["1 +"] = "unexpected symbol near '<eof>'", ["os.exit()"] = "unknown name os",
      ["(function() while true do end end)()"] = "instructions", ['belief.passed "x"'] = "no gate 'x'", ["f.region:at_least(3)"] = "is text",
      ["string.rep('x', 1e9)"] = "", ["error('mine')"] = "mine", ["require 'b2b_saas.secret'"] = "",
    } do
      local said, failed = run(words, expression .. "\n")
      assert.are.equal(1, failed, expression)
      has(said, why)
    end
    local json, ok = run({ "repl", "--fixture", file, "--policy", harness.root .. "/policies/b2b_saas", "--json" },
      "f.pricing_views_7d\nf.is_known\nf.nope\n")
    assert.are.equal(1, ok)
    has(json, '{"expression":"f.pricing_views_7d","kind":"value","text":"3","value":3}\n')
    has(json, '"error":"no feature \'nope\' in b2b@4"')
    for _, wrong in ipairs {
      { { "repl" }, "a lead of a running daemon, or --fixture" }, { { "repl", "x", "--fixture", file }, "one of them" },
      { { "repl", "--fixture", file }, "--fixture needs --policy" },
      { { "repl", "--fixture", "/nowhere.jsonl", "--policy", harness.root .. "/policies/b2b_saas" }, "/nowhere.jsonl" },
      { { "repl", "--fixture", file, "--policy", harness.root .. "/policies/signals/b2b" }, "is a signal set" },
    } do
      local _, usage, err = run(wrong[1])
      assert.are.equal(2, usage)
      has(err, wrong[2])
    end
    assert.are.equal(3, select(2, run({ "repl", "x", "--to", "127.0.0.1:1" }, "1\n")))
  end)
end)
