-- Linear, again and again.
-- ends: stopped after
return function(view)
  local text = ('a'):rep(1e6)
  while true do text:find('aaaab', 1, true) end
end
