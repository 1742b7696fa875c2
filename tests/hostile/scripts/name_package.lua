-- Loaders.
-- ends: unknown name package
return function(view)
  return package
end
