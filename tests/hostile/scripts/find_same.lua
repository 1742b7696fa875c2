-- Compares long captures.
-- ends: stopped after
return function(view)
  return (('a'):rep(1e6)):find('(a*)%1%1b')
end
