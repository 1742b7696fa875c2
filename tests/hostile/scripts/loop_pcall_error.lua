-- Few instructions, many errors.
-- ends: stopped after
return function(view)
  while true do pcall(error) end
end
