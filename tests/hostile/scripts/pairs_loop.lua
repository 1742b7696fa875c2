-- Sorts a table's keys for each instruction.
-- ends: stopped after|not enough memory
return function(view)
  local t = {}
  for i = 1, 2e4 do t[i] = i end
  while true do pairs(t) end
end
