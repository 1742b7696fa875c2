-- A list that grows.
-- build: same
-- call: no modification allowed
local seen = {}
return function()
  table.insert(seen, 1)
  return #seen
end
