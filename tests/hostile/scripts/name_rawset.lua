-- Around what is frozen.
-- ends: unknown name rawset
return function(view)
  return rawset
end
