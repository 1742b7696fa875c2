-- A short text of a tree that is huge when written out.
-- build: longer than allowed|stopped after
-- call: -
return function()
  local t = { 'x' }
  for _ = 1, 40 do t = { t, t } end
  return t
end
