-- What the library has.
-- ends: unknown name host
return function(view)
  return host
end
