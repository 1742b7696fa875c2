-- Doubles a text.
-- ends: not enough memory
-- call: not enough memory|stopped after
return function(view)
  local text = 'x'
  while true do text = text .. text end
end
