-- Data nested 100,000 deep.
-- build: nested too deeply
-- call: -
return function()
  local t = {}
  for _ = 1, 1e5 do t = { t } end
  return t
end
