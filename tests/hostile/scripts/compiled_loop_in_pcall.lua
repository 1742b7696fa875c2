-- Compiled code does not look at hooks: only a deadline ends it.
-- ends: stopped after
return function(view)
  while true do
    pcall(function() local s = 0 for i = 1, 1e9 do s = s + i end return s end)
  end
end
