-- The clock.
-- ends: unknown name os
return function(view)
  return os
end
