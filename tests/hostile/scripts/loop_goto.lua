-- A loop without a loop.
-- ends: stopped after
return function(view)
  ::again::
  goto again
end
