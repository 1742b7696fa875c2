-- Errors without an end, each with another text.
-- ends: stopped after|not enough memory
return function(view)
  local n = 0
  while true do
    n = n + 1
    pcall(error, 'storm ' .. n)
    pcall(error, { n })
    pcall(function() return n.x.y end)
  end
end
