-- The functions that a policy gets hold what it must not: it can call them, and look into none.
-- ends: contained
return function(view)
  local functions = { pairs, ipairs, math.max, math.min, require, assert, unpack, string.gsub, bit.band }
  for _, f in ipairs(functions) do
    for _, field in ipairs { 'upvalues', 1, '__index', '__env' } do
      if pcall(function() return f[field] end) then error('escaped', 0) end
    end
    if tostring(f) ~= 'function' then error('an address', 0) end
  end
  error 'contained'
end
