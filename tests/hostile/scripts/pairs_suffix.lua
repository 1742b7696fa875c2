-- Keys that are alike for long.
-- ends: stopped after
return function(view)
  local t = {}
  for i = 1, 100 do t[('x'):rep(1e4) .. i] = i end
  while true do pairs(t) end
end
