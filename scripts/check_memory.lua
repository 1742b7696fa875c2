--- What is kept of a lead: what changes it must fit its type and bounds, and somebody must read it and change it. Makes the
--- assignments of each rule: entry.assigns = {{field, op = "set" | "add" | "now", number}…}, in the order of the fields.
local freeze = require "frozen"
local naming = require "naming"
local numbers = require "numbers"
local sales = require "sales"
local tree = require "tree"

local check_memory = {}

local FIELDS_MAX = 64

local function names_of(list)
  local names = {}
  for i, entry in ipairs(list) do
    names[i] = entry.name
  end
  return names
end

local function find(name)
  for _, entry in ipairs(tree.fields) do
    if entry.name == name then return entry end
  end
end

local called = naming.called

-- Each gives the assignment, or nil and what may stand there.
local SET = {}
function SET.number(field, x)
  local is_there = numbers.is_finite(x) and x >= field.least and x <= field.most
  if is_there then return { op = "set", number = x } end
  return nil, ("a number from %s to %s"):format(numbers.show(field.least), numbers.show(field.most))
end
function SET.flag(_, x)
  if type(x) == "boolean" then return { op = "set", number = x and 1 or 0 } end
  return nil, "true or false"
end
function SET.time(_, x)
  if x == "now" then return { op = "now" } end
  if x == "never" then return { op = "set", number = -1 } end
  return nil, '"now" or "never"'
end
function SET.choice(field, x)
  if x == "none" then return { op = "set", number = -1 } end
  for i, option in ipairs(field.options) do
    if option == x then return { op = "set", number = i - 1 } end
  end
  return nil, ("one of %s, or none%s"):format(table.concat(field.options, ", "), tree.hint(x, field.options))
end

local function show(x) return type(x) == "string" and "'" .. x .. "'" or tostring(x) end

local function read_one(entry, list, word, name, x)
  local field = find(name)
  if not field then
    tree.problem(
      entry,
      "%s: %s: nothing is kept as '%s'%s",
      called(entry),
      word,
      tostring(name),
      tree.hint(name, names_of(tree.fields))
    )
    return
  end
  field.is_written = true
  for _, other in ipairs(list) do
    if other.field == field then
      tree.problem(entry, "%s: '%s' stands in set and in add", called(entry), name)
    end
  end
  local assign, wanted
  if word == "set" then
    assign, wanted = SET[field.type](field, x)
  elseif field.type ~= "number" then
    tree.problem(entry, "%s: add: '%s' is a %s, and only numbers are added to", called(entry), name, field.type)
    return
  elseif numbers.is_finite(x) and x ~= 0 and math.abs(x) <= field.most - field.least then
    assign = { op = "add", number = x }
  else
    wanted = ("a number that is not 0 and moves it within %s to %s"):format(numbers.show(field.least), numbers.show(field.most))
  end
  if not assign then
    tree.problem(entry, "%s: %s: '%s' takes %s, not %s", called(entry), word, name, wanted, show(x))
    return
  end
  assign.field = field
  list[#list + 1] = assign
end

local function read(entry)
  local list = {}
  for _, word in ipairs { "set", "add" } do
    for name, x in pairs(entry[word] or {}) do
      read_one(entry, list, word, name, x)
    end
  end
  local order = {}
  for i, field in ipairs(tree.fields) do
    order[field] = i
  end
  table.sort(list, function(a, b) return order[a.field] < order[b.field] end)
  entry.assigns = list
end

local function check_events(entry)
  local events = tree.signals and tree.signals.events
  for _, event in ipairs(events and entry.events or {}) do
    local is_known = sales.meaning(event) ~= nil
    for _, name in ipairs(events) do
      is_known = is_known or name == event
    end
    if not is_known then
      tree.problem(entry, "no event '%s' in the signal set '%s'%s", event, tree.signals.name, tree.hint(event, events))
    end
  end
end

-- Behind the other rules, which mark what they read.
local function check_use()
  for _, field in ipairs(tree.fields) do
    if not field.is_written then tree.warn(field, "'%s' never changes: no set or add names it", field.name) end
    if not field.is_read then tree.warn(field, "'%s' is kept, and no rule reads it", field.name) end
  end
end

--- Reports into the tree; `visit(entry, node, rank)` reads a condition.
function check_memory.run(visit)
  if #tree.fields > FIELDS_MAX then
    tree.problem(tree.fields[FIELDS_MAX + 1], "at most %d fields are kept of a lead", FIELDS_MAX)
  end
  for _, entry in ipairs(tree.remembers) do
    read(entry)
    check_events(entry)
    visit(entry, entry.when, 0)
    if #entry.assigns == 0 and not entry.set and not entry.add then
      tree.problem(entry, "memory.on '%s' changes nothing: it takes set = { … } or add = { … }", entry.name)
    end
  end
  for _, go in ipairs(tree.goes) do
    if go.set or go.add then read(go) end
  end
  for _, node in ipairs(tree.made) do
    if node.kind == "memory" and node.used then node.field.is_read = true end
  end
  check_use()
end

return freeze("check_memory", check_memory)
