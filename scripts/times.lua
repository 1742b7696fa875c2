--- Times as people and systems write them, in milliseconds since 1970. A text that is no time, or names a day or an hour
--- that does not exist, gives nil.
local freeze = require "frozen"
local numbers = require "numbers"

local times = {}

local MONTH_DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
local MS_OF_MINUTE = 60000

local function is_leap(year) return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) end

--- Whether there is such a day; years 1 to 9999.
function times.is_day(year, month, day)
  if year < 1 or year > 9999 or month < 1 or month > 12 or day < 1 then return false end
  return day <= (month == 2 and is_leap(year) and 29 or MONTH_DAYS[month])
end

--- Days since 1970-01-01 of a date, by counting years from March (leap days then come last).
function times.days(year, month, day)
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * (month - 3) + 2) / 5) + day - 1
  return era * 146097
    + year_of_era * 365
    + math.floor(year_of_era / 4)
    - math.floor(year_of_era / 100)
    + day_of_year
    - 719468
end

--- "Z", "+02:00", "+0200", "+02" in milliseconds east of Greenwich.
function times.zone_ms(text)
  if text == "Z" or text == "z" then return 0 end
  local sign, hours, minutes = text:match "^([+-])(%d%d):?(%d?%d?)$"
  if not sign or #minutes == 1 then return nil end
  local h, m = tonumber(hours), tonumber(minutes) or 0
  if h > 23 or m > 59 then return nil end
  return (h * 60 + m) * (sign == "+" and MS_OF_MINUTE or -MS_OF_MINUTE)
end

local function moment(day, clock, zone_ms)
  local year, month, date = tonumber(day[1]), tonumber(day[2]), tonumber(day[3])
  if not times.is_day(year, month, date) then return nil end
  local seconds = clock[1] * 3600 + clock[2] * 60 + clock[3]
  return times.days(year, month, date) * 86400000 + numbers.round_even(seconds * 1000) - zone_ms
end

local MIDNIGHT = { 0, 0, 0 }

-- What follows a date: "", "T14:05:06.25+02:00", " 2:05 PM". The clock and the zone's milliseconds, or nil.
local function clock_of(text, zone_ms)
  if text == "" then return MIDNIGHT, zone_ms end
  local h, m, rest = text:match "^[Tt ]%s*(%d%d?):(%d%d)(.*)$"
  if not h then return nil end
  local s, tail = rest:match "^:(%d%d%.?%d*)(.*)$"
  if not s then
    s, tail = "0", rest
  end
  local half, after = tail:match "^%s*([AaPp])[Mm](.*)$"
  h, m, s = tonumber(h), tonumber(m), tonumber(s)
  if half then
    if h < 1 or h > 12 then return nil end
    h, tail = h % 12 + (half:lower() == "p" and 12 or 0), after
  end
  tail = tail:match "^%s*(.-)$"
  local zone = tail == "" and zone_ms or times.zone_ms(tail)
  if h > 23 or m > 59 or not s or s >= 60 or not zone then return nil end
  return { h, m, s }, zone
end

local function dated(text, pattern, order)
  return function(zone_ms)
    local a, b, c, rest = text:match(pattern)
    if not a then return nil end
    local part = { a, b, c }
    local clock, zone = clock_of(rest, zone_ms)
    if not clock then return nil end
    return moment({ part[order[1]], part[order[2]], part[order[3]] }, clock, zone)
  end
end

local FORMATS = {}
-- 2026-01-05, 2026-01-05T09:00:00Z, 2026-01-05 09:00:00.250+0100
function FORMATS.rfc3339(text) return dated(text, "^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$", { 1, 2, 3 }) end
-- 5.1.2026, 05/01/2026 14:30
function FORMATS.day_first(text) return dated(text, "^(%d%d?)[./-](%d%d?)[./-](%d%d%d%d)(.*)$", { 3, 2, 1 }) end
-- 1/5/2026, 01/05/2026 2:30 PM
function FORMATS.month_first(text) return dated(text, "^(%d%d?)[./-](%d%d?)[./-](%d%d%d%d)(.*)$", { 3, 1, 2 }) end

times.formats = { "day_first", "month_first", "rfc3339" }

--- The time that `text` says in one of `times.formats`; where it names no zone, `zone_ms` holds (0: UTC).
function times.parse(text, format, zone_ms)
  local trimmed = text:match "^%s*(.-)%s*$"
  return FORMATS[format](trimmed)(zone_ms or 0)
end

return freeze("times", times)
