-- A chain that the collector must walk.
-- ends: not enough memory|stopped after
return function(view)
  local t = {}
  while true do t = { t } end
end
