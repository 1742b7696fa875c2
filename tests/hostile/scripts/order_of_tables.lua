-- Keys whose only order is that of their addresses.
-- ends: only numbers and strings have an order
return function(view)
  local t = { [{}] = 1, [{}] = 2 }
  for key in pairs(t) do return key end
end
