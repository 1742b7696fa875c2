-- Fourfold each time.
-- ends: not enough memory|stopped after
return function(view)
  local text = 'x'
  while true do text = text:gsub('.', '%0%0%0%0') end
end
