-- The metatable of strings.
-- ends: unknown name getmetatable
return function(view)
  return getmetatable
end
