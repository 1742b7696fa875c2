-- A global would be state between calls.
-- ends: assignment to the global count
return function()
  count = (count or 0) + 1
  return count
end
