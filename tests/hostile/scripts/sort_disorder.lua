-- A comparison that is none.
-- ends: invalid order function|stopped after
return function(view)
  local t = {}
  for i = 1, 5000 do t[i] = i % 17 end
  while true do table.sort(t, function(a, b) return a ~= b end) end
end
