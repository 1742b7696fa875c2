-- A place that takes forever to reach.
-- ends: the place must be from 1 to #t + 1
return function(view)
  local t = {}
  table.insert(t, -1e15, 1)
end
