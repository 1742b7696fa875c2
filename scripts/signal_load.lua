--- Reads a signal set into tree.signals: its head, its features' and schemas' declarations, its rules for sources. What
--- the declarations say is judged by the engine (core/feature/feature.h, core/schema/schema.h).
local declare = require "declare"
local freeze = require "frozen"
local signal_set = require "signal_set"
local tree = require "tree"

local signal_load = {}

local ORDERED = { funnel = true, sequence = true, co_occurrence = true }
local DURATIONS = { recency = true, gap = true, session_length = true }

-- These keep a text when told so, or when they take a part of one; channels and events' names are texts.
local PICKS = { first = true, last = true, most_common = true, account = true }
local function is_text(declaration)
  if not PICKS[declaration.op] then return false end
  return declaration.text == true or declaration.part ~= nil or declaration.of == "channel" or declaration.of == "event"
end

local function file_of(name, file) return { path = ("policies/signals/%s/%s.lua"):format(name, file), line = 0 } end

local HEAD = {
  name = "text!",
  version = "number!",
  owner = "text",
  rationale = "text",
  events = "table",
  personal = "table",
  lateness = "duration",
  labels = "table",
}
-- Where the values of an event lie, and the keys beside them that a sender may fill with something personal.
local ROOTS = { properties = true, traits = true, context = true, groupId = true, name = true }

-- A list of texts, or nil.
local function texts(entry, key, list)
  if type(list) ~= "table" then return nil end -- absent, or reported
  for i, text in pairs(list) do
    if type(i) ~= "number" or type(text) ~= "string" then
      tree.problem(entry, "%s '%s': %s is a list of texts", entry.kind, entry.name, key)
      return nil
    end
  end
  return list
end

local LABEL = { name = "text!", event = "text!", within = "duration!", unless = "texts", read_by = "texts" }

local function is_in(list, word)
  for _, member in ipairs(list) do
    if member == word then return true end
  end
  return false
end

-- What training asks of each decision: did this event come within that time after it, and none of `unless` before it?
-- {{name, event, within_ms, unless = {events}, read_by = {features that may be fed by these events}}…}
local function read_labels(entry, list, events)
  local labels, seen = {}, {}
  for i, given in ipairs(list or {}) do
    local place = { kind = "label", name = tostring(type(given) == "table" and given.name or "#" .. i) }
    place.path, place.line = entry.path, entry.line
    local fields = declare.fields(place, LABEL, given)
    if fields.name and seen[fields.name] then tree.problem(entry, "label '%s' is declared twice", fields.name) end
    seen[fields.name or ""] = true
    local unless = fields.unless or {}
    for _, event in ipairs { fields.event, unpack(unless) } do
      if events and not is_in(events, event) then
        tree.problem(entry, "label '%s': no event '%s' in events%s", place.name, event, tree.hint(event, events))
      end
    end
    if is_in(unless, fields.event) then
      tree.problem(entry, "label '%s': '%s' can't be its event and what rules it out", place.name, fields.event)
    end
    labels[i] = { name = fields.name, event = fields.event, within_ms = fields.within, unless = unless, read_by = fields.read_by or {} }
  end
  return labels
end

-- A misspelt head must not pass: without `personal`, what it should have named is stored in the open.
local function read_head(name, head)
  local entry = file_of(name, "signals")
  entry.kind, entry.name = "signal set", name
  local fields = declare.fields(entry, HEAD, head)
  if fields.name and fields.name ~= name then
    tree.problem(entry, "the signal set in folder '%s' must have that name, not '%s'", name, fields.name)
  end
  if fields.version and (fields.version < 0 or fields.version % 1 ~= 0) then
    tree.problem(entry, "%s '%s': version is a whole number", entry.kind, name)
  end
  fields.events = texts(entry, "events", fields.events)
  fields.personal = texts(entry, "personal", fields.personal)
  fields.labels = read_labels(entry, fields.labels, fields.events)
  for _, path in ipairs(fields.personal or {}) do
    if not ROOTS[path:match "^[^.]*"] then
      tree.warn(
        entry,
        "personal: '%s' is a key of the event itself; write 'traits.%s' or 'properties.%s' when one of these is meant",
        path,
        path,
        path
      )
    end
  end
  return fields
end

-- The features' declarations of all files, and the file of each; or nil and a problem.
local function load_declarations(name)
  local declarations, file_of_each = {}, {}
  for _, path in ipairs(tree.input.files or {}) do
    if path == file_of(name, "features").path then
      tree.problem(file_of(name, "features"), "features lie in files of a folder: move it to features/NAME.lua")
      return nil
    end
  end
  local is_good = signal_set.each(name, "features", "features", function(declaration, file)
    declarations[#declarations + 1], file_of_each[#file_of_each + 1] = declaration, file
  end)
  if is_good and #declarations == 0 then
    local place = { path = ("policies/signals/%s/features"):format(name), line = 0 }
    tree.problem(place, "no feature is declared: its *.lua files return the lists of the set's features")
    return nil
  end
  return is_good and declarations, file_of_each
end

-- A declaration whose op keeps matches in order has the head's lateness when it names none; others take no such key.
local function with_lateness(declarations, lateness)
  for i, declaration in ipairs(declarations) do
    if type(declaration) == "table" and ORDERED[declaration.op] and declaration.lateness == nil then
      local copy = { lateness = lateness }
      for key, x in pairs(declaration) do
        copy[key] = x
      end
      declarations[i] = copy
    end
  end
  return declarations
end

-- The set's schemas, and the file of each; none when there are none. What one says is judged by the engine
-- (core/schema/schema.h).
local function load_schemas(name)
  local schemas, files = {}, {}
  local is_good = signal_set.each(name, "schemas", "schemas", function(schema, file)
    schemas[#schemas + 1], files[#files + 1] = schema, file
  end)
  return is_good and schemas or {}, files
end

-- The rules of quality.lua, as they are; none when there is no such file.
local function load_quality(name)
  local place = file_of(name, "quality")
  for _, path in ipairs(tree.input.files or {}) do
    if path == place.path then
      local rules = require("signals." .. name .. ".quality")
      if type(rules) == "table" then return rules end
      tree.problem(place, "it must return a list of rules")
    end
  end
  return {}
end

-- The set's head and declarations, or nil and a problem.
local function load_set(name)
  for _, set in ipairs(tree.input.sets or { name }) do
    if set == name then
      local ok, head = pcall(require, "signals." .. name .. ".signals")
      if not ok then error(head, 0) end
      local declarations, files = load_declarations(name)
      if not declarations then return nil end
      local fields = read_head(name, head)
      return fields, fields.lateness and with_lateness(declarations, head.lateness) or declarations, files
    end
  end
  tree.problem(nil, "no signal set '%s' (signals/%s/signals.lua)%s", name, name, tree.hint(name, tree.input.sets))
  return nil
end

-- The names of tracked events that an `on` waits for. What is wrong with the form is found later.
local function tracked(on, names)
  if type(on) == "table" and (on.type or on.event or on.channel) then on = { on } end
  for _, alternative in ipairs(type(on) == "table" and on or { on }) do
    if type(alternative) == "string" then
      names[#names + 1] = alternative
    elseif type(alternative) == "table" and (alternative.type or "track") == "track" then
      names[#names + 1] = type(alternative.event) == "string" and alternative.event or nil
    end
  end
  return names
end

-- And those of a declaration, of which each step may wait for some.
local function tracked_by(declaration)
  local names = tracked(declaration.on, {})
  for _, step in ipairs(type(declaration.steps) == "table" and declaration.steps or {}) do
    local is_whole = type(step) == "table" and (step.on ~= nil or step.where ~= nil)
    tracked(is_whole and step.on or not is_whole and step or nil, names)
  end
  return names
end

-- A feature may count events that no list names; but one that is nearly in the list is more likely misspelt.
local function check_events(events, declaration, file)
  local known = {}
  for _, event in ipairs(events) do
    known[event] = true
  end
  for _, event in ipairs(tracked_by(declaration)) do
    local hint = known[event] and "" or tree.hint(event, events)
    if hint ~= "" then
      tree.warn(
        { path = file.path, line = 0 },
        "feature '%s' waits for '%s', which is not among the events of signals.lua%s",
        declaration.name,
        event,
        hint
      )
    end
  end
end

local function check_once(set, name, file)
  local first = set.by_name[name]
  if not first then return end
  local place = { path = file.path, line = 0 }
  tree.problem(place, "feature '%s' is declared twice; first in %s", name, first.path)
end

local ACCOUNT_DURATIONS = { latest = true, first_touch = true, last_touch = true }
-- A difference of two durations is one.
local function find_durations(set)
  for _, declaration in ipairs(set.declarations) do
    if type(declaration) == "table" and declaration.op == "difference" and set.by_name[declaration.name] then
      local of = type(declaration.of) == "table" and declaration.of or {}
      local a, b = set.by_name[of[1]], set.by_name[of[2]]
      set.by_name[declaration.name].is_duration = a ~= nil and b ~= nil and a.is_duration and b.is_duration
    end
  end
end

-- `files`: the file of each declaration.
local function read_set(name, head, declarations, files)
  local set = {
    name = name,
    version = head.version,
    owner = head.owner,
    rationale = head.rationale,
    personal = head.personal or {},
    labels = head.labels or {},
    declarations = declarations,
    files = files,
    quality = load_quality(name),
    events = head.events,
    by_name = {},
    names = {},
  }
  set.schemas, set.schema_files = load_schemas(name)
  for index, declaration in ipairs(declarations) do
    local feature = type(declaration) == "table" and declaration.name
    if type(feature) == "string" then
      check_once(set, feature, files[index])
      if set.events then check_events(set.events, declaration, files[index]) end
      set.names[#set.names + 1] = feature
      set.by_name[feature] = {
        index = index - 1,
        path = files[index].path,
        op = declaration.op,
        max_age = type(declaration.max_age) == "string" and declaration.max_age or nil,
        is_text = is_text(declaration),
        is_duration = DURATIONS[declaration.op] or (declaration.op == "account" and ACCOUNT_DURATIONS[declaration.roll]) or false,
      }
    end
  end
  find_durations(set)
  return set
end

--- The set of that name, as tree.signals has it; nil: there is none, or its text is no set; a problem says so. What
--- its files raise goes through.
---@param name string
function signal_load.set(name)
  local head, declarations, files = load_set(name)
  return head and read_set(name, head, declarations, files)
end

local function paths(files)
  local list = {}
  for i, file in ipairs(files) do
    list[i] = file.path
  end
  return list
end

--- What the engine reads of a set (core/policy/artifact.h), added to `into`.
function signal_load.put(set, into)
  into.signals = ("%s@%d"):format(set.name, set.version or 0)
  into.signal_set = set.name
  into.declarations = set.declarations
  into.feature_files = paths(set.files)
  into.personal = set.personal
  into.labels = set.labels
  into.schemas = set.schemas
  into.schema_files = paths(set.schema_files)
  into.quality = set.quality
  return into
end

return freeze("signal_load", signal_load)
