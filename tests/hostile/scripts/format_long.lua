-- A format of 200,000 bytes.
-- ends: a format of more than
return function(view)
  return string.format(('%d'):rep(1e5), 1)
end
