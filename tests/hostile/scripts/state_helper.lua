-- A counter in an upvalue of a helper.
-- build: same
-- call: assignment to count
local count = 0
local helpers = { { count = function() count = count + 1 return count end } }
return function() return helpers[1].count() end
