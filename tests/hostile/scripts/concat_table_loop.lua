-- Joins the same list again and again.
-- ends: stopped after|not enough memory
return function(view)
  local t = {}
  for i = 1, 1e4 do t[i] = 'xxxxxxxxxx' end
  while true do table.concat(t) end
end
