-- A counter in a table in a table, behind a helper.
-- build: same
-- call: no modification allowed: n
local state = { inner = { { n = 0 } } }
local helper = { get = function() return state.inner[1] end }
return function()
  local inner = helper.get()
  inner.n = inner.n + 1
  return inner.n
end
