-- Keys that fall into the same places of a table: powers of two and their sums.
-- ends: stopped after|not enough memory
return function(view)
  while true do
    local t = {}
    for i = 1, 100000 do t[i * 4294967296] = i end
    for i = 1, 1000 do t[i * 1e15] = nil end
  end
end
