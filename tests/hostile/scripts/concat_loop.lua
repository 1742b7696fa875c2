-- A megabyte copied for each instruction.
-- ends: stopped after
return function(view)
  local text = ('x'):rep(1e6)
  while true do local other = text .. 'x' end
end
