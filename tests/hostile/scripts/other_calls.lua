-- What an earlier call computed is not there in the next: same start, same end.
-- ends: contained
return function(view)
  local t, text = {}, ''
  for i = 1, 100 do t[i] = i text = text .. i end
  if #t ~= 100 or #text ~= 192 then error('left over', 0) end
  error 'contained'
end
