-- A gigabyte in one call.
-- ends: string.rep: the result would be longer
return function(view)
  return ('x'):rep(1e9)
end
