--- Numbers as the build needs them: rounding as the engine rounds, literals that read back to the same bits, durations.
local freeze = require "frozen"

local numbers = {}
local floor = math.floor

--- To the nearest whole number, ties to even.
function numbers.round_even(x)
  local low = floor(x)
  local rest = x - low
  if rest > 0.5 or (rest == 0.5 and low % 2 == 1) then return low + 1 end
  return low
end

function numbers.is_finite(x) return type(x) == "number" and x == x and x ~= 1 / 0 and x ~= -1 / 0 end

--- Points to whole thousandths of a point.
function numbers.milli(points) return numbers.round_even(points * 1000) end

--- A number as a reader would write it.
function numbers.show(x)
  for digits = 6, 17 do
    local text = ("%." .. digits .. "g"):format(x)
    if tonumber(text) == x then return text end
  end
  return ("%.17g"):format(x)
end

--- A number as Lua source that gives the same bits; negative ones in brackets, so that it can stand anywhere.
function numbers.literal(x)
  if x == 1 / 0 then return "(1/0)" end
  if x == -1 / 0 then return "(-1/0)" end
  local text = x == floor(x) and x > -1e15 and x < 1e15 and ("%d"):format(x) or numbers.show(x)
  return x < 0 and "(" .. text .. ")" or text
end

local UNITS = { { "w", 604800000 }, { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } }
local MS = {}
for _, unit in ipairs(UNITS) do
  MS[unit[1]] = unit[2]
end

--- "10d", "1d 12h", "90s" to milliseconds; nil when the text is no duration.
function numbers.duration_ms(text)
  if type(text) ~= "string" or text == "" then return nil end
  local total, rest = 0, text
  while rest ~= "" do
    local amount, unit, tail = rest:match "^%s*(%d+%.?%d*)%s*(%a+)%s*(.*)$"
    if not amount or not MS[unit] then return nil end
    total, rest = total + tonumber(amount) * MS[unit], tail
  end
  return total == floor(total) and total < 1e14 and total or nil
end

--- Milliseconds as the shortest text that duration_ms reads back.
function numbers.show_duration(ms)
  for _, unit in ipairs(UNITS) do
    if ms ~= 0 and ms % unit[2] == 0 and unit[1] ~= "w" then return ("%d%s"):format(ms / unit[2], unit[1]) end
  end
  return ms == 0 and "0s" or numbers.show(ms) .. "ms"
end

--- The place of `x` in a list; nil: it is not there.
function numbers.index_of(list, x)
  for i, member in ipairs(list) do
    if member == x then return i end
  end
end

return freeze("numbers", numbers)
