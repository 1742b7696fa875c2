-- Modules that are not the policy's.
-- ends: contained
return function(view)
  for _, name in ipairs { 'jit', 'ffi', 'jit.util', 'string', '_G', 'package', 'debug', '../../../etc/passwd', '/etc/passwd', 'attack.lua',
    '', 'attack\0', '(sandbox)', 'scripts.policy', '@attack' } do
    if pcall(require, name) then error('ESCAPED by ' .. name) end
  end
  error 'contained'
end
