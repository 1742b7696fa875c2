-- More data than allowed.
-- build: longer than allowed|not enough memory
-- call: -
return function()
  local t = {}
  for i = 1, 4e5 do t[i] = 'some text' end
  return t
end
