-- A pattern of 100,000 items.
-- ends: pattern too long
return function(view)
  return ('a'):find(('a'):rep(1e5) .. '*')
end
