-- How much memory there is differs between runs.
-- ends: unknown name collectgarbage
return function(view)
  return collectgarbage
end
