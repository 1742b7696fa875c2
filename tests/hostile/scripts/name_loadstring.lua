-- Text or bytecode.
-- ends: unknown name loadstring
return function(view)
  return loadstring
end
