-- Long keys that differ only where a hash may not look.
-- ends: stopped after|not enough memory
return function(view)
  while true do
    local t = {}
    for i = 1, 100000 do t[('k'):rep(40) .. i .. ('x'):rep(60)] = i end
  end
end
