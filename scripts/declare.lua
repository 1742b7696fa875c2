--- How a declaration reads its body: `name { key = … }` against a list of allowed keys. Everything wrong is reported,
--- not only the first.
local calendar = require "calendar"
local freeze = require "frozen"
local numbers = require "numbers"
local tree = require "tree"
local value = require "value"

local declare = {}

-- What a key may hold: each gives the accepted form, or nil and what is wanted.
local kinds = {}

function kinds.text(x)
  if type(x) == "string" and x:find "%S" then return x end
  return nil, "a text"
end
function kinds.number(x)
  if numbers.is_finite(x) then return x end
  return nil, "a number"
end
function kinds.duration(x)
  local ms = numbers.duration_ms(x)
  if ms and ms > 0 then return ms end
  return nil, 'a duration such as "7d" (units w d h m s ms)'
end
function kinds.wait(x)
  local wait = calendar.duration(x)
  if wait then return wait end
  return nil, "a time: " .. calendar.DURATIONS
end
function kinds.clock(x)
  local clock = calendar.clock(x)
  if clock then return clock end
  return nil, "a time of the day: " .. calendar.CLOCKS
end
function kinds.condition(x)
  local node = value.as_condition(x)
  if node then return node end
  if type(x) == "boolean" then
    return nil,
      "a condition; `not`, `and`, `or` and `==` are Lua's own and are done with at load: "
        .. "write none { … }, all { … }, any { … }"
  end
  return nil, "a condition, such as f.name:at_least(3) or all { … }"
end
function kinds.value(x)
  local node = value.as_value(x)
  if node then return node end
  return nil, "a number, or arithmetic on values, such as 1.2 * belief.intent - 40"
end
function kinds.texts(x)
  local list = type(x) == "string" and { x } or x
  if type(list) ~= "table" or value.open(list) then return nil, "a text or a list of texts" end
  for key, member in pairs(list) do
    if type(key) ~= "number" or not kinds.text(member) then return nil, "a text or a list of texts" end
  end
  if #list == 0 then return nil, "at least one text" end
  return list
end
function kinds.feature(x)
  local node = value.open(x)
  if node and (node.kind == "feature" or node.kind == "unknown") then return node end
  return nil, "a feature, such as f.country"
end
function kinds.truth(x)
  if type(x) == "boolean" then return x end
  return nil, "true or false"
end
-- A text, or a feature of text.
function kinds.zone(x)
  local node = value.open(x)
  if kinds.text(x) or (node and (node.kind == "unknown" or (node.kind == "feature" and node.is_text))) then return node or x end
  return nil, 'a zone such as "Europe/Berlin", or a feature of text, such as f.timezone'
end
function kinds.table(x)
  if type(x) == "table" and not value.open(x) then return x end
  return nil, "a table { … }"
end

--- The fields of `body` by `keys` = {key = kind, or kind .. "!" when required}; wrong ones are reported and left out.
function declare.fields(entry, keys, body)
  local called = ("%s '%s'"):format(entry.kind, entry.name)
  local fields, names = {}, {}
  entry.body = type(body) == "table" and not value.open(body) and body or nil -- as it was written, for those who show it
  tree.said[#tree.said + 1] = entry
  for key in pairs(keys) do
    names[#names + 1] = key
  end
  table.sort(names)
  if type(body) ~= "table" or value.open(body) then
    tree.problem(entry, "%s takes a table { … } with %s", called, table.concat(names, ", "))
    return fields
  end
  for key in pairs(body) do
    if not keys[key] then
      tree.problem(
        entry,
        "%s: no key '%s'%s",
        called,
        tostring(key),
        type(key) == "string" and tree.hint(key, names) or ""
      )
    end
  end
  for _, key in ipairs(names) do
    local kind, required = keys[key]:match "^(%l+)(!?)$"
    if body[key] ~= nil then
      local accepted, wanted = kinds[kind](body[key])
      if accepted == nil then
        tree.problem(
          entry,
          "%s: %s is %s; it takes %s",
          called,
          key,
          type(body[key]) == "string" and "'" .. body[key] .. "'" or "a " .. type(body[key]),
          wanted
        )
        fields[key .. "_wrong"] = true
      else
        fields[key] = accepted
      end
    elseif required == "!" then
      tree.problem(entry, key == "why" and "%s has no why: a rule says what it is for" or "%s has no %s", called, key)
      fields[key .. "_wrong"] = true
    end
  end
  return fields
end

--- Reports a second declaration of the same name in `list` and otherwise appends.
function declare.add(list, entry)
  for _, other in ipairs(list) do
    if other.name == entry.name then
      tree.problem(entry, "%s '%s' is declared twice; first in %s:%d", entry.kind, entry.name, other.path, other.line)
      return false
    end
  end
  list[#list + 1] = entry
  return true
end

--- An entry for a name used in a declaration; raises at the policy's line when it is no name.
function declare.entry(kind, name)
  if type(name) ~= "string" or not name:find "^[%w_][%w_ .%-]*$" then
    error(("%s takes a name in quotes (letters, digits, _ . -)"):format(kind), 3)
  end
  local place = tree.place()
  return { kind = kind, name = name, path = place.path, line = place.line }
end

--- Makes `kind "name" { body }`: `accept(entry, fields)` gets what was said; a body that never comes is reported.
function declare.named(kind, keys, accept)
  return function(name)
    local entry = declare.entry(kind, name)
    tree.pending[#tree.pending + 1] = entry
    return function(body)
      entry.has_body = true
      return accept(entry, declare.fields(entry, keys, body))
    end
  end
end

return freeze("declare", declare)
