-- As many arguments as fit, and more.
-- ends: contained|stack overflow|too many|not enough memory|stopped after
return function(view)
  local function count(...) return select('#', ...) end
  local list = {}
  for i = 1, 7000 do list[i] = i end
  local function twice(n, ...)
    if n == 0 then return count(...) end
    return twice(n - 1, ...)
  end
  for n = 1, 20 do pcall(twice, n, unpack(list)) end
  pcall(math.max, unpack(list))
  pcall(string.char, unpack(list))
  pcall(bit.bor, unpack(list))
  for _ = 1, 1000 do pcall(select, -2147483648, 1) pcall(select, 2147483647, 1) pcall(select, 0 / 0, 1) end
  error 'contained'
end
