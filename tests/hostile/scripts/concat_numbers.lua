-- Texts of numbers, ever new ones.
-- ends: stopped after|not enough memory
return function(view)
  local i = 0
  while true do i = i + 0.1 local s = i .. '' .. i * 3 end
end
