--- Specs of sources: what payloads become. A spec file (NAME_spec.lua, beside the source NAME.lua) returns a list of cases
--- and is data only: { name, file = "fixtures/x.json" or json = "text", events = {…}, skipped = "rule", refused = "part of
--- the reason" }. An expected event is compared key by key: what it names must be exactly so, what it does not name may be
--- anything. docs/sources.md shows a spec.
local spec = require "spec"

local CASE_KEYS = { "name", "file", "json", "events", "skipped", "refused" }
local EVENT_KEYS = { "type", "event", "name", "userId", "anonymousId", "groupId", "previousId", "messageId", "timestamp",
  "channel", "schema", "properties", "traits", "context" }

local function unknown_key(given, allowed)
  for key in pairs(given) do
    local is_known = false
    for _, name in ipairs(allowed) do is_known = is_known or name == key end
    if not is_known then
      local near = type(key) == "string" and host.suggest(key, allowed)
      return ("no key '%s'%s"):format(tostring(key), near and ("; did you mean '" .. near .. "'?") or "")
    end
  end
end

-- Why a case can't be run, or nil.
local function wrong(case)
  if type(case) ~= "table" or type(case.name) ~= "string" then return "a case is { name = …, file = …, events = { … } }" end
  local why = unknown_key(case, CASE_KEYS)
  if why then return why end
  if (type(case.file) == "string") == (type(case.json) == "string") then return "a case has either file or json" end
  if not case.events and not case.skipped and not case.refused then return "expects nothing, so it can't fail" end
  if case.events ~= nil and type(case.events) ~= "table" then return "events is a list of events" end
  for i, event in ipairs(case.events or {}) do
    why = type(event) ~= "table" and "it is no table" or unknown_key(event, EVENT_KEYS)
    if why then return ("event %d: %s"):format(i, why) end
  end
end

-- ---- judging ----

local function show(value, depth)
  if type(value) == "string" then return "'" .. value .. "'" end
  if type(value) ~= "table" then return tostring(value) end
  if (depth or 0) > 3 then return "{ … }" end
  local parts = {}
  for key, member in pairs(value) do
    parts[#parts + 1] = (type(key) == "string" and key .. " = " or "") .. show(member, (depth or 0) + 1)
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

local function is_same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, member in pairs(a) do
    if not is_same(member, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function judge_event(wanted, got, where, failures)
  for key, value in pairs(wanted) do
    if not is_same(value, got[key]) then
      failures[#failures + 1] = { where = where, text = ("%s is %s, not %s"):format(key, show(got[key]), show(value)) }
    end
  end
end

local function reasons(list)
  local texts = {}
  for i, entry in ipairs(list) do texts[i] = entry[2] == "" and entry[3] or ("%s: %s"):format(entry[2], entry[3]) end
  return #texts == 0 and "nothing" or table.concat(texts, "; ")
end

local function judge(case, outcome)
  local failures = {}
  local function fail(where, text, ...) failures[#failures + 1] = { where = where, text = text:format(...) } end
  local wanted = case.events or {}
  if #outcome.events ~= #wanted then
    local names = {}
    for i, event in ipairs(outcome.events) do names[i] = event.event or event.type end
    fail("events", "%d (%s), not %d", #outcome.events, table.concat(names, ", "), #wanted)
  end
  for i, event in ipairs(wanted) do
    if outcome.events[i] then judge_event(event, outcome.events[i], ("event %d"):format(i), failures) end
  end
  local refused, skipped = reasons(outcome.refused), reasons(outcome.skipped)
  if case.refused and not refused:find(case.refused, 1, true) then fail("refused", "%s, not '%s'", refused, case.refused) end
  if not case.refused and #outcome.refused > 0 then fail("refused", "%s", refused) end
  if case.skipped and not (outcome.skipped[1] and outcome.skipped[1][2] == case.skipped) then
    fail("skipped", "%s, not by rule '%s'", skipped, case.skipped)
  end
  if not case.skipped and #outcome.skipped > 0 then fail("skipped", "%s", skipped) end
  return failures
end

--- input {} -> {problems = {text}, cases = {{name, file, json}…}}; input {case = number, outcome = {events, refused =
--- {{index, rule, why}…}, skipped}} -> {failures = {{where, text}…}}.
return function(input)
  if type(spec) ~= "table" then return { problems = { "the file returns a list of cases" } } end
  if input.case then return { failures = judge(spec[input.case], input.outcome) } end
  local problems, cases = {}, {}
  for i, case in ipairs(spec) do
    local why = wrong(case)
    if why then
      problems[#problems + 1] = ("case %s: %s"):format(type(case) == "table" and show(case.name) or tostring(i), why)
    else
      cases[#cases + 1] = { number = i, name = case.name, file = case.file, json = case.json }
    end
  end
  if #spec == 0 then problems[1] = "no cases" end
  return { problems = problems, cases = cases }
end
