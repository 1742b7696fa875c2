-- The shop's table with what an event needs and the table lacks: a number a session, and times. The table has only the
-- month; so the sessions of a month follow each other from its first day on, three minutes apart, in the order of the rows.
local MONTHS = { Feb = 2, Mar = 3, May = 5, June = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12 }

local function time(month, seconds)
  local day, rest = math.floor(seconds / 86400), seconds % 86400
  return ("2017-%02d-%02dT%02d:%02d:%02dZ"):format(month, day + 1, math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60)
end

--- Copies the table from `from` (lines) to `to` (a file). Returns the number of sessions.
return function(from, to)
  local head = from():gsub("\r", "")
  local place, at = nil, 0
  for name in head:gmatch "[^,]+" do
    at = at + 1
    if name == "Month" then place = at end
  end
  if not place then error("the shop's table has no column Month", 0) end
  to:write("session,time,ended,", head, "\n")
  local count, of_month = 0, {}
  for line in from do
    line = line:gsub("\r", "")
    local cells = {}
    for cell in (line .. ","):gmatch "([^,]*)," do cells[#cells + 1] = cell end
    local month = MONTHS[cells[place]] or error("the month '" .. tostring(cells[place]) .. "' is none of the table's", 0)
    local n = of_month[month] or 0
    of_month[month], count = n + 1, count + 1
    to:write(count, ",", time(month, n * 180), ",", time(month, n * 180 + 60), ",", line, "\n")
  end
  return count
end
