--- What checks of every part use: names in a list, and what a reader calls an entry.
local freeze = require "frozen"
local numbers = require "numbers"

local naming = {}

--- The names of a list's entries, in its order.
function naming.all(list)
  local names = {}
  for i, entry in ipairs(list) do
    names[i] = entry.name
  end
  return names
end

--- The entry of that name and its place; nil when there is none.
function naming.find(list, name)
  for index, entry in ipairs(list) do
    if entry.name == name then return entry, index end
  end
end

--- "stage 'mql'", "visitor -> mql"
function naming.called(entry)
  if entry.kind == "go" then return ("%s -> %s"):format(entry.from or "?", entry.name) end
  return ("%s '%s'"):format(entry.kind, entry.name)
end

--- A bound of a value as the policy writes it: "3", "2d".
function naming.limit(node, x)
  if node.is_duration then return numbers.show_duration(x) end
  return numbers.show(x)
end

return freeze("naming", naming)
