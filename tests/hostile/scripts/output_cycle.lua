-- Data that holds itself.
-- build: a table that holds itself
-- call: -
return function()
  local t = {}
  t.again = t
  return t
end
