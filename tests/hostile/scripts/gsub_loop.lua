-- Calls back from C.
-- ends: stopped after
return function(view)
  local text = ('ab'):rep(1e5)
  while true do text:gsub('.', function(c) return c end) end
end
