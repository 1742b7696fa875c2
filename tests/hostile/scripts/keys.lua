-- Many texts as keys.
-- ends: not enough memory|stopped after
return function(view)
  local t = {}
  for i = 1, 1e9 do t['k' .. i] = i end
end
