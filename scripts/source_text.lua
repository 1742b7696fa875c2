--- A source's combinators as a reader would say them: for reasons to refuse a payload (which name where something should
--- stand, never what stood there: that may be personal) and for `intent source show`.
local freeze = require "frozen"
local numbers = require "numbers"

local source_text = {}
local value_of, condition_of

local function quote(value) return type(value) == "string" and '"' .. value .. '"' or tostring(value) end

local function of(name)
  return function(node) return ("%s(%s)"):format(name, value_of(node.of)) end
end

local function list_of(list, between)
  local texts = {}
  for i, member in ipairs(list) do texts[i] = value_of(member) end
  return table.concat(texts, between)
end

local VALUES = {
  pick = function(node) return node.path.text == "." and "the whole" or "'" .. node.path.text .. "'" end,
  whole = function(node) return ("'%s' of the payload"):format(node.path.text) end,
  const = function(node) return quote(node.value) end,
  first = function(node) return "first of " .. list_of(node.list, ", ") end,
  text = of "text",
  lower = of "lower",
  domain = of "domain",
  need = of "need",
  maybe = of "maybe",
  map = function(node) return ("map(%s)"):format(value_of(node.of)) end,
  number = function(node) return ("number(%s%s)"):format(value_of(node.of), node.comma and ", decimal comma" or "") end,
  divide = function(node) return ("%s / %s"):format(value_of(node.of), numbers.show(node.by)) end,
  time = function(node) return ("time(%s, %s)"):format(value_of(node.of), node.format) end,
  epoch = function(node) return ("%s(%s)"):format(node.unit_ms == 1 and "epoch_ms" or "epoch_s", value_of(node.of)) end,
  name = function(node) return ("%s name of %s"):format(node.part, value_of(node.of)) end,
  join = function(node) return ("join(%s)"):format(list_of(node.list, ", ")) end,
  template = function(node) return quote(node.text) end,
  given = function(node) return ("%s given %s"):format(value_of(node.of), condition_of(node.when)) end,
  custom = function(node) return ("custom '%s'"):format(node.name) end,
  record = function(node)
    local texts = {}
    for key, member in pairs(node.fields) do texts[#texts + 1] = key .. " = " .. value_of(member) end
    return "{ " .. table.concat(texts, ", ") .. " }"
  end,
}

value_of = function(node) return VALUES[node.op](node) end

local function several(between)
  return function(condition)
    local texts = {}
    for i, member in ipairs(condition.list) do texts[i] = condition_of(member) end
    return #texts == 1 and texts[1] or "(" .. table.concat(texts, between) .. ")"
  end
end

local CONDITIONS = {
  is = function(condition)
    local texts = {}
    for i, value in ipairs(condition.values) do texts[i] = quote(value) end
    return ("%s is %s"):format(value_of(condition.of), table.concat(texts, " or "))
  end,
  has = function(condition) return ("%s is there"):format(value_of(condition.of)) end,
  starts = function(condition) return ("%s starts with %s"):format(value_of(condition.of), quote(condition.prefix)) end,
  all = several " and ",
  any = several " or ",
  none = function(condition) return "none of " .. several ", "(condition) end,
}

condition_of = function(condition) return CONDITIONS[condition.op](condition) end

-- Appends the paths that a node, or a condition, reads.
local function add_paths(node, out)
  if node.path then out[#out + 1] = node.path.text end
  for _, key in ipairs { "of", "when" } do
    if node[key] then add_paths(node[key], out) end
  end
  for _, member in ipairs(node.list or node.parts or {}) do
    if type(member) == "table" then add_paths(member, out) end
  end
  for _, member in pairs(node.fields or {}) do add_paths(member, out) end
end

--- A value's combinators, a condition, as text.
function source_text.value(node) return value_of(node) end
function source_text.condition(condition) return condition_of(condition) end

--- The paths that a value or a condition reads, each once, sorted.
function source_text.paths(node)
  local all, unique = {}, {}
  add_paths(node, all)
  table.sort(all)
  for i, path in ipairs(all) do
    if path ~= all[i - 1] then unique[#unique + 1] = path end
  end
  return unique
end

return freeze("source_text", source_text)
