-- Another stack.
-- ends: unknown name coroutine
return function(view)
  return coroutine
end
