-- Catches the stop and goes on.
-- ends: stopped after
return function(view)
  while true do
    pcall(function() while true do end end)
  end
end
