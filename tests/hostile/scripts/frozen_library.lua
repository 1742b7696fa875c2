-- Changes what all code of the state shares.
-- ends: contained
return function(view)
  local tries = {
    function() string.rep = nil end, function() math.floor = error end, function() table.mine = {} end,
    function() ("").rep = nil end, function() ("").__index = {} end, function() bit[1] = 1 end,
    function() table.insert(string, 1) end, function() table.sort(math) end, function() table.remove(bit) end,
    function() local _, t = pairs(math) t.floor = nil end, function() local _, t = ipairs(math) t[1] = 1 end,
  }
  for i, try in ipairs(tries) do
    if pcall(try) then error('ESCAPED by ' .. i) end
  end
  for _, key in ipairs { '__index', '__newindex', '__metatable', '__gc', '__mode', '__len' } do
    if math[key] ~= nil or (''):find('x') or (''):len() ~= 0 then error('ESCAPED: ' .. key) end
  end
  error 'contained'
end
