-- New megabytes each time.
-- ends: stopped after|not enough memory
return function(view)
  local text = ('xy'):rep(5e5)
  while true do text = text:reverse() end
end
