-- Two to the thirty ways.
-- ends: stopped after
return function(view)
  return (('a'):rep(30)):find(('a?'):rep(30) .. ('a'):rep(30))
end
