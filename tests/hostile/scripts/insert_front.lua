-- Moves everything each time.
-- ends: stopped after|not enough memory
return function(view)
  local t = {}
  for i = 1, 1e6 do table.insert(t, 1, i) end
  while true do table.insert(t, 1, 0) end
end
