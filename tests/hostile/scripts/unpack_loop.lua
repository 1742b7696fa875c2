-- Many values for one instruction.
-- ends: stopped after
return function(view)
  while true do pcall(unpack, {}, 1, 7000) end
end
