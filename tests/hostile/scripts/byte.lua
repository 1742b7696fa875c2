-- A million results.
-- ends: slice too long|stack overflow
return function(view)
  return (('x'):rep(1e6)):byte(1, -1)
end
