-- Bits of numbers that are none, or too large.
-- build: same
-- call: -
return function(view)
  local out = {}
  for _, x in ipairs { 0 / 0, 1 / 0, -1 / 0, 1e300, -1e300, 0.5, 1.5, -2.5, 4294967295.5, 2251799813685248.5, 9007199254740993 } do
    out[#out + 1] = bit.bxor(x, 1)
    out[#out + 1] = bit.lshift(1 - x, x)
    out[#out + 1] = bit.tohex(x)
    out[#out + 1] = tostring(math.max(x, 1)) .. tostring(math.min(1, x))
  end
  return out
end
