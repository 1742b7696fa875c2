-- More values than a stack holds.
-- ends: too many results
return function(view)
  return unpack({}, 1, 1e7)
end
