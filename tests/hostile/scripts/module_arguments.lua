-- What a module's chunk is handed.
-- ends: contained
local count, name = select('#', ...), ...
return function()
  if count ~= 1 or name ~= 'attack' then error 'ESCAPED' end
  error 'contained'
end
