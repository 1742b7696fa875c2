--- What a source does, as data for people: input {name, module, path} -> {name, path, owner, rationale, sign, fields =
--- {{key, text}…}, rules = {{name, why, is_skip, when, each, events = {{{key, text}…}…}}…}, custom = {{name, why}…},
--- keys = {paths}}.
local source = require "source"
local source_text = require "source_text"

local function fields_of(fields)
  local out = {}
  for key, node in pairs(fields) do
    out[#out + 1] = { key, type(node) == "string" and node or source_text.value(node) }
  end
  return out
end

local function customs_of(value, out)
  if type(value) ~= "table" then return out end
  if value.op == "custom" then out[#out + 1] = { value.name, value.why } end
  for _, member in pairs(value) do customs_of(member, out) end
  return out
end

local function events_of(rule)
  if rule.is_skip then return {} end
  local events = {}
  for i, event in ipairs(rule.events or { {} }) do
    local all = {}
    for key, node in pairs(rule.fields) do all[key] = node end
    for key, node in pairs(event) do all[key] = node end
    events[i] = fields_of(all)
  end
  return events
end

-- The paths that anything in the source reads of a payload as a whole: what a table's columns must be called.
local function keys_of(made)
  local out, seen = {}, {}
  local function add(node)
    for _, path in ipairs(source_text.paths(node)) do
      if not seen[path] and path ~= "." then out[#out + 1] = path end
      seen[path] = true
    end
  end
  local function add_fields(fields)
    for _, node in pairs(fields) do
      if type(node) == "table" then add(node) end
    end
  end
  add_fields(made.fields)
  for _, rule in ipairs(made.rules) do
    if rule.when then add(rule.when) end
    if not rule.each then
      add_fields(rule.fields)
      for _, event in ipairs(rule.events or {}) do add_fields(event) end
    end
  end
  return out
end

return function(input)
  local made = require(input.module)
  if not source.is_source(made) then error(input.path .. ": it must return s.source \"name\" { … }", 0) end
  local rules = {}
  for i, rule in ipairs(made.rules) do
    rules[i] = {
      name = rule.name,
      why = rule.why,
      is_skip = rule.is_skip or false,
      when = rule.when and source_text.condition(rule.when),
      each = rule.each and rule.each.text,
      events = events_of(rule),
    }
  end
  return {
    name = made.name,
    path = input.path,
    owner = made.owner,
    rationale = made.rationale,
    sign = made.sign,
    fields = fields_of(made.fields),
    rules = rules,
    custom = customs_of(made, {}),
    keys = keys_of(made),
  }
end
