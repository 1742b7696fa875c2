-- A hundred captures.
-- ends: captures in a pattern
return function(view)
  return ('a'):find(('()'):rep(100))
end
