-- The compiler.
-- ends: unknown name jit
return function(view)
  return jit
end
