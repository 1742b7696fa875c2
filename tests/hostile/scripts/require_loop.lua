-- Fails in the host each time.
-- ends: stopped after
return function(view)
  while true do pcall(require, 'nothing') end
end
