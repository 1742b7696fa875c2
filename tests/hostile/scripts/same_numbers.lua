-- Mathematics from base/pmath.h, printed by LuaJIT's own routines.
-- build: same
-- call: -
return function()
  local list = {}
  for i = -50, 50 do
    local x = i / 7
    list[#list + 1] = { math.exp(x), math.log(x * x + 1), math.pow(1.1, x), math.tanh(x), math.sqrt(i * i), math.fmod(x, 0.3), x % 0.3,
      tostring(x), string.format('%.17g %a %5.2f %e', x, x, x, x) }
  end
  list[#list + 1] = { tostring(0 / 0), tostring(-(0 / 0)), tostring(1 / 0), tostring(-0) }
  return list
end
