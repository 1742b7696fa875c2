-- A counter in an upvalue.
-- build: same
-- call: assignment to count
local count = 0
return function()
  count = count + 1
  return count
end
