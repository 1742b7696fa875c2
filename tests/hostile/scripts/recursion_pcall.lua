-- Lua's stack, and catching its end.
-- ends: stopped after|stack overflow
return function(view)
  local function again() pcall(again) again() end
  while true do pcall(again) end
end
