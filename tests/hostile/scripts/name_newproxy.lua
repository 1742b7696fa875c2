-- Finalisers.
-- ends: unknown name newproxy
return function(view)
  return newproxy
end
