-- The square of the subject.
-- ends: stopped after
return function(view)
  return (('('):rep(1e6)):find('%b()')
end
