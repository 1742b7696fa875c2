-- The fourth power of the subject.
-- ends: stopped after
return function(view)
  return (('a'):rep(3000)):find('.-.-.-.-b')
end
