-- Upvalues and the registry.
-- ends: unknown name debug
return function(view)
  return debug
end
