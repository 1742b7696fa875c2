-- An error that is a megabyte long.
-- ends: xxxx
return function(view)
  error(('x'):rep(1e6))
end
