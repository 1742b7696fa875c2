-- The plainest of them.
-- ends: stopped after
return function(view)
  while true do end
end
