--- What `check` says of a signal set's sources: each file declares one, under its own name, whose events the set knows,
--- and no personal part of an event stands where the set does not protect it.
local freeze = require "frozen"
local signal_set = require "signal_set"
local source = require "source"
local tree = require "tree"

local source_check = {}

-- Keys that are personal data in whatever they stand.
local PERSONAL = { "email", "phone", "firstName", "lastName", "name", "address", "ip", "birthday" }
local MAPS = { "properties", "traits", "context" }

local function has(list, word)
  for _, member in ipairs(list or {}) do
    if member == word then return true end
  end
  return false
end

local function check_event_name(rule, node, events)
  local name = node and node.op == "const" and node.value
  if type(name) ~= "string" or not events or has(events, name) then return end
  local hint = tree.hint(name, events)
  if hint ~= "" then
    tree.warn(rule, "rule '%s' sends '%s', which is not among the events of signals.lua%s", rule.name, name, hint)
  end
end

local function check_personal(rule, map, node, personal)
  if not node or node.op ~= "record" then return end
  for _, key in ipairs(PERSONAL) do
    local path = map .. "." .. key
    if node.fields[key] and not has(personal, path) and not has(personal, map) then
      tree.warn(
        rule,
        "rule '%s' sends %s, which is not in the list personal of signals.lua: it would be stored in the open",
        rule.name,
        path
      )
    end
  end
end

local function check_fields(rule, fields, set)
  check_event_name(rule, fields.event, set.events)
  for _, map in ipairs(MAPS) do check_personal(rule, map, fields[map], set.personal) end
end

local function check_source(file, made, set)
  if not source.is_source(made) then
    tree.problem({ path = file.path, line = 0 }, 'it must return s.source "%s" { … } (docs/sources.md)', file.name)
    return
  end
  if made.name ~= file.name then
    tree.problem(made, "source '%s' lies in the file of '%s': a source is named by its file", made.name, file.name)
  end
  check_fields(made, made.fields, set)
  for _, rule in ipairs(made.rules) do
    check_fields(rule, rule.fields, set)
    for _, event in ipairs(rule.events or {}) do check_fields(rule, event, set) end
  end
end

-- What a file's text raised, at its place.
local function raised_problem(file, raised)
  local path, line, text = tostring(raised):match "^(.-):(%d+): (.*)$"
  tree.problem({ path = path or file.path, line = tonumber(line) or 0 }, "%s", text or tostring(raised))
end

--- Checks all sources of the signal set that the policy reads.
function source_check.run()
  local set = tree.signals
  if not set then return end
  for _, file in ipairs(signal_set.files(set.name, "sources")) do
    local ok, made = pcall(require, file.module)
    if ok then
      check_source(file, made, set)
    else
      raised_problem(file, made)
    end
  end
end

return freeze("source_check", source_check)
