-- A megabyte each time.
-- ends: stopped after
return function(view)
  local text = ('x'):rep(1e6)
  while true do text:upper() end
end
