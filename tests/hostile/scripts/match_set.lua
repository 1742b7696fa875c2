-- Sets instead of letters.
-- ends: stopped after
return function(view)
  return (('a'):rep(1e5)):match('[a-z]*[a-z]*[a-z]*[^a-z]')
end
