-- Sorting is one instruction.
-- ends: stopped after|not enough memory
return function(view)
  local t = {}
  for i = 1, 1e5 do t[i] = i * 7919 % 100003 end
  while true do table.sort(t) end
end
