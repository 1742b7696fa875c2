-- A sort whose order is not total is still the same each time.
-- build: same
-- call: -
return function()
  local t = {}
  for i = 1, 500 do t[i] = { key = i % 7, i = i } end
  table.sort(t, function(a, b) return a.key < b.key end)
  return t
end
