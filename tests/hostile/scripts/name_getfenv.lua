-- The environment of the host.
-- ends: unknown name getfenv
return function(view)
  return getfenv
end
