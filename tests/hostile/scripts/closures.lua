-- A chain of functions.
-- ends: not enough memory|stopped after
return function(view)
  local f
  while true do
    local g = f
    f = function() return g end
  end
end
