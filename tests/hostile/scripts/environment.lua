-- Names of the environment that are not on the list, reached through what errors say and through the library's tables.
-- ends: contained
return function(view)
  local seen = {}
  for _, t in ipairs { math, string, table, bit } do
    for name, value in pairs(t) do
      seen[#seen + 1] = name
      if type(value) == 'table' then error('a table inside: ' .. name, 0) end
    end
    if pcall(function() t.planted = 1 end) then error('escaped', 0) end
  end
  for _, name in ipairs(seen) do
    if name == 'dump' or name == 'random' or name == 'clock' then error('there is ' .. name, 0) end
  end
  error 'contained'
end
