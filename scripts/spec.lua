--- Specs of policies: what a lead does, and what the policy should then think of it. A spec file (NAME_spec.lua,
--- beside the policy) returns a list of cases and is data only; whoever runs it asks this module twice: for the cases,
--- spelled out event by event, and then for what the decisions that came back fall short of. docs/policy-guide.md
--- shows a spec.
local numbers = require "numbers"
local parse_time = require("times").parse

local CASE_KEYS = { "name", "clock", "hold_out", "explore", "events", "expect", "expect_each" }
local ENTRY_KEYS = {
  "at",
  "after",
  "times",
  "every",
  "type",
  "event",
  "name",
  "userId",
  "anonymousId",
  "groupId",
  "previousId",
  "messageId",
  "properties",
  "traits",
  "context",
  "channel",
  "account",
}
local EXPECT_KEYS = {
  "stage",
  "owner",
  "owner_in",
  "action",
  "action_in",
  "eligible",
  "ineligible",
  "held",
  "suppressed",
  "band",
  "sales",
  "memory",
  "transitions",
  "notes",
  "inside",
  "regions",
  "min_combined",
  "max_combined",
  "min_fit",
  "max_fit",
  "min_engagement",
  "max_engagement",
  "min_intent",
  "max_intent",
}
local NOT_OF_EVENT = { at = true, after = true, times = true, every = true, account = true }
local REPEATS_MAX = 10000

local function known(list, word)
  for _, name in ipairs(list) do
    if name == word then return true end
  end
  return false
end

-- Collects problems of one file.
local function new_report(path)
  local report = { problems = {} }
  function report.add(where, text, ...)
    report.problems[#report.problems + 1] =
      { path = path, line = 0, error = true, text = where .. ": " .. text:format(...) }
  end
  function report.keys(where, given, allowed)
    for key in pairs(given) do
      if not known(allowed, key) then
        local near = type(key) == "string" and host.suggest(key, allowed)
        report.add(where, "no key '%s'%s", tostring(key), near and ("; did you mean '" .. near .. "'?") or "")
      end
    end
  end
  return report
end

-- RFC 3339, all of it, to milliseconds; nil when it is none.
local function time_ms(text)
  if type(text) ~= "string" or not text:find "^%d%d%d%d%-%d%d%-%d%d[Tt ]%d%d:%d%d:%d%d.*[Zz%d]$" then return nil end
  if not text:find "[Zz]$" and not text:find "[+-]%d%d:%d%d$" then return nil end
  return parse_time(text, "rfc3339")
end

-- What the lead's account says from this entry on: by the features' names numbers, durations as texts, or texts. Which it is
-- the feature knows (core/cli/test.c).
local function account_of(report, where, entry)
  local values
  for name, said in pairs(type(entry.account) == "table" and entry.account or {}) do
    if type(said) ~= "number" and type(said) ~= "string" then
      report.add(where, "account: '%s' is a number, a duration or a text", tostring(name))
    else
      values = values or {}
      values[name] = said
    end
  end
  if entry.account ~= nil and not values then
    report.add(where, 'account is a map such as { account_demo_ago = "2h" }')
  end
  return values
end

-- One entry of `events` as decisions to ask for: {at_ms, event = map or nil: only time passes, entry, is_last}.
local function expand_entry(report, where, entry, number, state, out)
  report.keys(where, entry, ENTRY_KEYS)
  if entry.at ~= nil and entry.after ~= nil then report.add(where, "at or after, not both") end
  local at = entry.at ~= nil and time_ms(entry.at) or nil
  if entry.at ~= nil and not at then report.add(where, 'at is a time such as "2026-01-05T09:00:00Z"') end
  if entry.at == nil and state.now then
    local gap = entry.after == nil and 0 or numbers.duration_ms(entry.after)
    if not gap then report.add(where, 'after is a duration such as "2h"') end
    at = state.now + (gap or 0)
  end
  if not at then
    if entry.at == nil then report.add(where, "the first entry says at which time") end
    return
  end
  if state.now and at < state.now then report.add(where, "lies before the entry above it") end
  local times, every = entry.times or 1, entry.every and numbers.duration_ms(entry.every) or 0
  if type(times) ~= "number" or times < 1 or times > REPEATS_MAX or times ~= math.floor(times) then
    report.add(where, "times is a whole number from 1 to %d", REPEATS_MAX)
    times = 1
  end
  if entry.every ~= nil and every == 0 then report.add(where, 'every is a duration such as "10m"') end
  local account = account_of(report, where, entry)
  state.user = entry.userId or state.user or (not entry.anonymousId and not state.anonymous and "lead") or nil
  state.anonymous = entry.anonymousId or state.anonymous
  for i = 1, times do
    local event
    if entry.event or entry.type then
      event = { type = entry.type or "track", timestamp = at, userId = state.user, anonymousId = state.anonymous }
      for key, member in pairs(entry) do
        if not NOT_OF_EVENT[key] and event[key] == nil then event[key] = member end
      end
    end
    out[#out + 1] = { at_ms = at, event = event, entry = number, is_last = i == times, account = account }
    state.now, at = at, at + every
  end
end

local function read_expect(report, where, expect)
  report.keys(where, expect, EXPECT_KEYS)
  for _, key in ipairs { "transitions", "notes", "regions" } do
    if expect[key] ~= nil and type(expect[key]) ~= "table" then report.add(where, "%s is a table { … }", key) end
  end
  local suppressed = expect.suppressed
  if suppressed ~= nil and type(suppressed) ~= "table" and suppressed ~= "none" then
    report.add(where, 'suppressed is "none", or a map such as { call = "per_lead" }: offers, and why each was held back')
  end
end

local function read_case(report, case, number)
  local where = type(case) == "table" and type(case.name) == "string" and ("case '%s'"):format(case.name)
    or ("case %d"):format(number)
  if type(case) ~= "table" or type(case.name) ~= "string" or type(case.events) ~= "table" then
    report.add(where, "a case is { name = …, events = { … }, expect = { … } }")
    return nil
  end
  report.keys(where, case, CASE_KEYS)
  if case.clock ~= nil and case.clock ~= "event" then
    report.add(where, 'clock is "event": specs know no other time')
  end
  if not case.expect and not case.expect_each then report.add(where, "expects nothing, so it can't fail") end
  local expect_each = case.expect_each or {}
  if #expect_each > #case.events then report.add(where, "expect_each has more entries than events") end
  for i, expect in ipairs(expect_each) do
    read_expect(report, ("%s, expect_each %d"):format(where, i), expect)
  end
  if case.expect then read_expect(report, where .. ", expect", case.expect) end
  local steps, state = {}, {}
  for i, entry in ipairs(case.events) do
    expand_entry(report, ("%s, entry %d"):format(where, i), entry, i, state, steps)
  end
  if steps[1] and not steps[1].event then
    report.add(where, "the first entry is an event: without one there is no lead")
  end
  return { name = case.name, hold_out = case.hold_out or false, explore = case.explore or false, steps = steps, entries = #case.events }
end

-- ---- judging ----

local function quote(x) return type(x) == "string" and "'" .. x .. "'" or tostring(x) end

local function equals(key)
  return function(wanted, got)
    if got[key] ~= wanted then return ("%s is %s, not %s"):format(key, quote(got[key]), quote(wanted)) end
  end
end

local function one_of(key)
  return function(wanted, got)
    if not known(wanted, got[key]) then
      return ("%s is %s, none of %s"):format(key, quote(got[key]), table.concat(wanted, ", "))
    end
  end
end

local function at_least(key)
  return function(wanted, got)
    if got[key] < wanted then
      return ("%s is %s, below %s"):format(key, numbers.show(got[key]), numbers.show(wanted))
    end
  end
end

local function at_most(key)
  return function(wanted, got)
    if got[key] > wanted then
      return ("%s is %s, above %s"):format(key, numbers.show(got[key]), numbers.show(wanted))
    end
  end
end

local function same_list(key)
  return function(wanted, got)
    local text = table.concat(got[key], ", ")
    if text ~= table.concat(wanted, ", ") then return ("%s are %s"):format(key, text == "" and "none" or text) end
  end
end

local JUDGES = {
  stage = equals "stage",
  owner = equals "owner",
  owner_in = one_of "owner",
  action = equals "action",
  action_in = one_of "action",
  eligible = equals "eligible",
  ineligible = equals "ineligible",
  held = equals "held",
  suppressed = function(wanted, got)
    local said = {}
    for _, row in ipairs(got.suppressed) do
      said[#said + 1] = ("%s (%s)"):format(row.action, row.why)
    end
    said = #said == 0 and "none" or table.concat(said, ", ")
    if type(wanted) ~= "table" then return wanted ~= said and ("suppressed are %s"):format(said) or nil end
    for action, why in pairs(wanted) do
      local found
      for _, row in ipairs(got.suppressed) do
        if row.action == action then found = row.why end
      end
      if found ~= why then
        return ("suppressed are %s; '%s' is not among them because of '%s'"):format(said, action, tostring(why))
      end
    end
  end,
  band = equals "band",
  memory = function(wanted, got)
    for name, x in pairs(wanted) do
      local kept = (got.memory or {})[name]
      if kept == nil then kept = "none" end
      if kept ~= x then return ("what is kept as '%s' is %s, not %s"):format(tostring(name), quote(kept), quote(x)) end
    end
  end,
  sales = function(wanted, got)
    local said = table.concat(got.sales or {}, ", ")
    if said ~= table.concat(wanted, ", ") then return ("sales says %s"):format(said == "" and "nothing" or said) end
  end,
  transitions = same_list "transitions",
  notes = same_list "notes",
  inside = function(wanted, got)
    if not known(got.inside, wanted) then
      return ("the stage lies inside of %s, not '%s'"):format(#got.inside > 0 and table.concat(got.inside, ", ") or "no other", tostring(wanted))
    end
  end,
  regions = function(wanted, got)
    for region, stage in pairs(wanted) do
      if got.regions[region] ~= stage then
        return ("region '%s' is at %s, not %s"):format(tostring(region), quote(got.regions[region]), quote(stage))
      end
    end
  end,
}
for _, key in ipairs { "combined", "fit", "engagement", "intent" } do
  JUDGES["min_" .. key], JUDGES["max_" .. key] = at_least(key), at_most(key)
end

local function judge(expect, got, failures, where)
  for key, wanted in pairs(expect) do
    local falls_short = JUDGES[key](wanted, got)
    if falls_short then failures[#failures + 1] = { where = where, text = falls_short } end
  end
end

--- outcomes: one a step: {stage, owner ("none"), action, eligible, ineligible ("none"), held ("none"), band ("none"),
--- suppressed = {{action, why}…}, sales = {"owner_set"}, memory = {name = value}, transitions = {"a -> b"} (of the whole entry), combined, fit,
--- engagement, intent (points)}. Returns {{where, text}…}, empty when all is well.
local function judge_case(case, steps, outcomes)
  local failures, last = {}, nil
  for i, step in ipairs(steps) do
    last = outcomes[i]
    local expect = case.expect_each and case.expect_each[step.entry]
    if expect and step.is_last then judge(expect, last, failures, ("entry %d"):format(step.entry)) end
  end
  if case.expect then judge(case.expect, last, failures, "at the end") end
  return failures
end

--- input {spec = "b2b_saas.policy_spec", path = "policies/…"} -> {problems, cases = {{name, hold_out, explore, entries, steps =
--- {{at_ms, event, entry, is_last}…}}…}}. A case that is not a hold-out's is run for a lead that no hold-out takes.
--- input {…, case = number, outcomes = {…}} -> {failures = {{where, text}…}}.
--- For specs that are written another way (scripts/cli/life.lua): input {words = true} -> the words of `expect`;
--- input {expect, outcome, where} -> {{where, text}…}.
return function(input)
  if input.words then return EXPECT_KEYS end
  if input.expect then
    local failures = {}
    judge(input.expect, input.outcome, failures, input.where)
    return failures
  end
  local list = require(input.spec)
  local report = new_report(input.path or input.spec)
  if type(list) ~= "table" then
    report.add("spec", "the file returns a list of cases")
    return { problems = report.problems }
  end
  if input.case then
    local case = list[input.case]
    return { failures = judge_case(case, read_case(report, case, input.case).steps, input.outcomes) }
  end
  local cases = {}
  for i, case in ipairs(list) do
    cases[#cases + 1] = read_case(report, case, i)
  end
  if #list == 0 then report.add("spec", "no cases") end
  return { problems = report.problems, cases = cases }
end
