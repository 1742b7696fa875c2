-- Doubles a text.
-- ends: not enough memory
return function(view)
  local text = 'x'
  while true do text = text .. text end
end
