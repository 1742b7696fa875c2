-- Errors about errors.
-- ends: contained
-- call: contained|stopped after
return function(view)
  local function fail() error(('x'):rep(10)) end
  for _ = 1, 1000 do pcall(function() local ok, raised = pcall(fail) error(raised) end) end
  error 'contained'
end
