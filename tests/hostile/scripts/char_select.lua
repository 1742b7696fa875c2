-- Walks long lists of arguments.
-- ends: stopped after
return function(view)
  while true do select(-1, unpack({}, 1, 7000)) end
end
