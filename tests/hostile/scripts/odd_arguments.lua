-- Everything that is allowed, with everything that is odd.
-- ends: contained
-- call: contained|stopped after
return function(view)
  local values = { nil, true, -1, 0, 1.5, 1e308, -1e308, 0 / 0, 1 / 0, '', 'x', '%', '[', ('x'):rep(300), {}, { 1, 2 }, function() end, math, tostring }
  local groups = { bit = bit, math = math, string = string, table = table,
    base = { select = select, tonumber = tonumber, tostring = tostring, type = type, unpack = unpack, ipairs = ipairs, pairs = pairs, pcall = pcall } }
  for _, group in pairs(groups) do
    for _, call in pairs(group) do
      if type(call) == 'function' then
        for i = 1, 19 do
          pcall(call, values[i])
          for j = 1, 19, 2 do
            pcall(call, values[i], values[j])
            pcall(call, values[j], values[i], values[20 - i], values[j])
          end
        end
      end
    end
  end
  error 'contained'
end
