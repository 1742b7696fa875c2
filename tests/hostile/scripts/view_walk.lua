-- The view is no table.
-- build: -
-- call: table expected
return function(view)
  for _ in pairs(view) do end
end
