--- intent import: rows of a table become events by a map that its user wrote.
--- input {columns = {names}, rows = {{fields}…}} -> {events = {{row, event}…}, failed = {row, text} or nothing}. `row`
--- counts from 1 in this batch.
local map = require "map"

local function is_empty(value)
  local keys = 0
  for _ in pairs(value) do keys = keys + 1 end
  return keys == 0
end

local function is_list(value) return value[1] ~= nil or is_empty(value) end

local function bad(what)
  error("the map returns an event (a table with userId or anonymousId), a list of events, or nil, not " .. what, 0)
end

-- A table without anything in it would be taken for an empty list where a map is wanted: it is left out.
local function without_empty(event)
  for _, key in ipairs { "properties", "traits", "context" } do
    local part = event[key]
    if type(part) == "table" and is_empty(part) then event[key] = nil end
  end
  return event
end

local function take(events, row, made)
  if made == nil then return end
  if type(made) ~= "table" then bad("a " .. type(made)) end
  local list = is_list(made) and made or { made }
  for i, event in ipairs(list) do
    if type(event) ~= "table" then bad(("a list whose entry %d is a %s"):format(i, type(event))) end
    events[#events + 1] = { row, without_empty(event) }
  end
end

-- A column that the file does not have is nil; but one that is nearly there is misspelt, and nil would hide it.
local function row_of(columns)
  return {
    __index = function(_, name)
      local near = type(name) == "string" and host.suggest(name, columns)
      if near then error(("no column '%s'; did you mean '%s'?"):format(name, near), 2) end
      return nil
    end,
  }
end

return function(input)
  if type(map) ~= "function" then error("the map file returns a function: return function(row) … end", 0) end
  local events, meta = {}, row_of(input.columns)
  for number, fields in ipairs(input.rows) do
    local row = {}
    for i, name in ipairs(input.columns) do row[name] = fields[i] end
    setmetatable(row, meta)
    local ok, raised = pcall(function() take(events, number, map(row)) end)
    if not ok then return { events = events, failed = { number, tostring(raised) } } end
  end
  return { events = events }
end
