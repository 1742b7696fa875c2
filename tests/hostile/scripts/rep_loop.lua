-- Much copying, few instructions.
-- ends: stopped after
return function(view)
  while true do pcall(string.rep, 'x', 1e6) end
end
