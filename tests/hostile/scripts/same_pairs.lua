-- The order of a table's keys must not depend on the state.
-- build: same
-- call: -
return function()
  local t, list = {}, {}
  for i = 1, 2000 do t['key ' .. (i * 7919) % 2003] = i end
  for i = 1, 50 do t['key ' .. i] = nil end
  for i = -20, 20 do t[i * 0.5] = true end
  for key in pairs(t) do list[#list + 1] = tostring(key) end
  return { list, t }
end
