-- A level that is not there.
-- ends: far away
return function(view)
  error('far away', 1e9)
end
