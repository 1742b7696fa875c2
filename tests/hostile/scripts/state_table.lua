-- A counter in a table.
-- build: same
-- call: no modification allowed: n
local state = { n = 0 }
return function()
  state.n = state.n + 1
  return state.n
end
