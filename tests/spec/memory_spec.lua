--- What a policy keeps of a lead: what check finds in it, and what the compiled chunk makes of it, against a plain record.
local sample = require "sample"
local sandbox = require "sandbox"

local SEED = tonumber(os.getenv "SEED") or os.time() % 100000

local HEAD = [[
local policy, signal, memory = require "policy", require "signal", require "memory"
local journey, action = require "journey", require "action"
local go, f = journey.go, signal.features "b2b@4"
policy "t" { owner = "o", rationale = "r", boundary = "b" }
local calls = memory.number "calls_made" { at_most = 5, merge = "sum", why = "How often we rang." }
local quiet = memory.flag "asked_for_quiet" { why = "Said so." }
local last = memory.time "last_call" { why = "When we rang." }
local plan = memory.choice "plan" { of = { "free", "pro" }, why = "What they are on." }
memory.on "crm.call_logged" { add = { calls_made = 1 }, set = { last_call = "now" }, why = "W." }
memory.on { "Unsubscribed" } { set = { asked_for_quiet = true }, when = none_yet, why = "W." }
journey.start "a"
journey.stage "a" {
  go "b" { when = calls:at_least(2), set = { plan = "pro" }, add = { calls_made = -1 }, why = "W." },
}
journey.stage "b" { go "c" { when = plan:is "pro", on_c, why = "W." } }
journey.final "c"
action.offer "ring" { stages = { "a", "b" }, when = signal.none { quiet, last:under "1d" }, utility = 50 - calls, why = "W." }
action.otherwise "wait" { utility = 1, why = "W." }
]]

local function text(changes)
  local source = HEAD:gsub(", when = none_yet", ""):gsub("on_c, ", "")
  for from, to in pairs(changes or {}) do
    source = sample.replace(source, from, to)
  end
  return source
end

local function problems(changes)
  local list = {}
  for i, problem in ipairs(sample.build_text(text(changes)).problems) do
    list[i] = problem.text
  end
  return list
end

describe("what is kept of a lead", function()
  it("is read by rules, and changed by events and transitions", function() assert.are.same({}, problems()) end)

  local CASES = {
    {
      { ["calls_made = 1 }"] = "call_made = 1 }" },
      "memory.on 'crm.call_logged': add: nothing is kept as 'call_made'; did you mean 'calls_made'?",
    },
    {
      { ["calls_made = 1 }"] = "calls_made = 9 }" },
      "memory.on 'crm.call_logged': add: 'calls_made' takes a number that is not 0 and moves it within 0 to 5, not 9",
    },
    {
      { ['plan = "pro" }'] = 'plan = "prof" }' },
      "a -> b: set: 'plan' takes one of free, pro, or none; did you mean 'pro'?, not 'prof'",
    },
    { { ['plan:is "pro"'] = 'plan:is "por"' }, "'plan' is one of free, pro, not 'por'; did you mean 'pro'?" },
    { { ['plan:is "pro"'] = "plan" }, "'plan' is a choice: as a condition write :is(…) or :is_known()" },
    { { ['plan:is "pro"'] = "plan:at_least(1)" }, "'plan' is a choice: :at_least compares numbers; write :is(…)" },
    { { ["50 - calls"] = "50 - plan" }, "'plan' is a choice and can't be reckoned with" },
    {
      { ["calls:at_least(2)"] = "calls:at_least(6)" },
      "'calls_made at least 6' can never hold: needs 6, 'calls_made' reaches at most 5",
    },
    {
      { ['last_call = "now"'] = 'last_call = "today"' },
      "memory.on 'crm.call_logged': set: 'last_call' takes \"now\" or \"never\", not 'today'",
    },
    {
      { ["asked_for_quiet = true"] = "asked_for_quiet = 1" },
      "memory.on 'Unsubscribed': set: 'asked_for_quiet' takes true or false, not 1",
    },
    {
      { ["add = { calls_made = -1 }"] = "add = { plan = 1 }", ['set = { plan = "pro" }, '] = "" },
      "a -> b: add: 'plan' is a choice, and only numbers are added to",
    },
    {
      { ['set = { plan = "pro" }, add = { calls_made'] = "set = { calls_made = 1 }, add = { calls_made" },
      "a -> b: 'calls_made' stands in set and in add",
    },
    { { ["at_most = 5, merge"] = "at_most = 0, merge" }, "memory.number 'calls_made': at_least is below at_most" },
    {
      { ['merge = "sum"'] = 'merge = "last"' },
      "memory.number 'calls_made': merge is max or sum or latest, not 'last'",
    },
    {
      { ['memory.on "crm.call_logged"'] = 'memory.on "crm.call_loged"' },
      "no event 'crm.call_loged' in the signal set 'b2b'; did you mean 'crm.call_logged'?",
    },
    { { ["signal.none { quiet, "] = "signal.none { " }, "'asked_for_quiet' is kept, and no rule reads it" },
    {
      { ["set = { asked_for_quiet = true }"] = "set = { calls_made = 0 }" },
      "'asked_for_quiet' never changes: no set or add names it",
    },
  }
  for _, case in ipairs(CASES) do
    it("is told: " .. case[2], function()
      local found = problems(case[1])
      local is_there = false
      for _, problem in ipairs(found) do is_there = is_there or problem == case[2] end
      assert.is_true(is_there, table.concat(found, "\n"))
    end)
  end

  it("is what a plain record says, over random events", function()
    print("SEED=" .. SEED)
    math.randomseed(SEED)
    local artifact = sample.build_text(text { ['when = plan:is "pro"'] = 'when = plan:is "pro", on = "Unsubscribed"' })
    assert.are.same({}, artifact.problems)
    local vm = sandbox.open(artifact)
    local at, slot = vm.layout.input, {}
    for i = 0, vm.layout.input_count - 1 do vm.I[i] = 0 end
    for i = 0, 2 do vm.I[at.barred + i] = -1 end
    for i = 1, #artifact.declarations do vm.I[at.features + i - 1] = 0 / 0 vm.texts[i - 1] = "" end
    for i, entry in ipairs(artifact.memory) do vm.M[i - 1] = entry.initial end
    for _, field in ipairs(artifact.fields) do slot[field.name] = field.slot end
    local kept = { calls = 0, quiet = 0, last = -1, plan = -1, stage = 0 }
    local now = 1e12
    for _ = 1, 400 do
      now = now + math.random(0, 20) * 3600000
      local event = ({ "crm.call_logged", "Unsubscribed", "Demo Requested" })[math.random(3)]
      vm.I[at.now], vm.I[at.stage] = now, kept.stage
      for i, name in ipairs(artifact.events) do vm.I[at.events + i - 1] = name == event and 1 or 0 end
      vm.call(math.random(2) == 1) -- the tracing variant is no other
      if event == "crm.call_logged" then kept.calls, kept.last = math.min(5, kept.calls + 1), now end
      if event == "Unsubscribed" then kept.quiet = 1 end
      if kept.stage == 0 and kept.calls >= 2 then
        kept.stage, kept.plan, kept.calls = 1, 1, kept.calls - 1
      elseif kept.stage == 1 and kept.plan == 1 and event == "Unsubscribed" then
        kept.stage = 2
      end
      local stage = vm.O[vm.layout.output.stage]
      assert.are.same(
        { kept.calls, kept.quiet, kept.last, kept.plan, kept.stage },
        { vm.M[slot.calls_made], vm.M[slot.asked_for_quiet], vm.M[slot.last_call], vm.M[slot.plan], stage }
      )
      local rings = kept.stage < 2 and kept.quiet == 0 and not (kept.last >= 0 and now - kept.last < 86400000)
      assert.are.equal(rings and 1 or 0, vm.O[vm.layout.output.action])
      if rings then assert.are.equal(50 - kept.calls, vm.O[vm.layout.output.utility]) end
      if kept.stage == 2 or math.random(12) == 1 then
        kept = { calls = 0, quiet = 0, last = -1, plan = -1, stage = 0 }
        for i, entry in ipairs(artifact.memory) do vm.M[i - 1] = entry.initial end
      end
    end
  end)

  it("changes by transitions of regions, too", function()
    local artifact = sample.build_text(text {
      ['journey.final "c"'] = [[journey.final "c"
journey.region "mail" { start = "unasked", why = "W." }
journey.stage "unasked" { inside = "mail", go "said_no" { on = "Unsubscribed", add = { calls_made = 3 }, why = "W." } }
journey.stage "said_no" { inside = "mail", go "unasked" { on = "Email Link Clicked", why = "W." } }]],
    })
    assert.are.same({}, artifact.problems)
    local vm = sandbox.open(artifact)
    local at, slot = vm.layout.input, artifact.fields[1].slot
    for i = 0, vm.layout.input_count - 1 do
      vm.I[i] = 0
    end
    for i = 0, 2 do
      vm.I[at.barred + i] = -1
    end
    for i, stage in ipairs(artifact.stages) do
      if stage.name == "unasked" then vm.I[at.places] = i - 1 end
    end
    for i, name in ipairs(artifact.events) do
      vm.I[at.events + i - 1] = name == "Unsubscribed" and 1 or 0
    end
    vm.I[at.now] = 1e12
    vm.call()
    -- The main machine reads in its next turn what the region set: a -> b, which takes one off, and b -> c.
    assert.are.equal(3, vm.O[vm.layout.output.steps])
    assert.are.equal(2, vm.M[slot])
  end)
end)
