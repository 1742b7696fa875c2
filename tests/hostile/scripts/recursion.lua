-- Lua's stack.
-- ends: stack overflow
return function(view)
  local function again(n) return 1 + again(n + 1) end
  return again(1)
end
