-- Metamethods of one's own.
-- ends: unknown name setmetatable
return function(view)
  return setmetatable
end
