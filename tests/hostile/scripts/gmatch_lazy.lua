-- Each start runs to the end.
-- ends: stopped after
return function(view)
  for word in (('a'):rep(1e6)):gmatch('.-b') do end
end
