-- Catches the stop at every depth.
-- ends: stopped after
return function(view)
  local function again()
    pcall(again)
    while true do pcall(again) end
  end
  while true do pcall(again) end
end
