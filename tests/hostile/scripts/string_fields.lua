-- What lies behind the methods of texts.
-- ends: contained
return function(view)
  local text = 'abc'
  for _, name in ipairs { 'dump', '__index', '__metatable', '__newindex', '__gc', 'metatable' } do
    if text[name] ~= nil then error('escaped by ' .. name, 0) end
  end
  error 'contained'
end
