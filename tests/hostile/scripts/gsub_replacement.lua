-- Ten gigabytes of replacements.
-- ends: not enough memory|stopped after
return function(view)
  return (('x'):rep(1e5)):gsub('', ('y'):rep(1e5))
end
