-- Time can't be told: what takes long looks like what does not.
-- ends: contained
return function(view)
  for _, name in ipairs { 'clock', 'time', 'date', 'now', 'tick' } do
    if math[name] or string[name] or table[name] or bit[name] then error('a clock: ' .. name, 0) end
  end
  error 'contained'
end
