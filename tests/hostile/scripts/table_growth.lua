-- Grows one table.
-- ends: not enough memory|stopped after
return function(view)
  local t = {}
  for i = 1, 1e12 do t[i] = i end
end
