--- Business time: when somebody is there. A calendar is data, a csv in the policy's data folder:
---
---     day,open,close,zone
---     mon-thu,09:00,17:30,Europe/Berlin
---     fri,09:00,12:00,
---     fri,13:00,16:00,
---     2026-12-24..2027-01-01,,,
---     2026-12-30,10:00,14:00,
---
--- A row opens a weekday, a run of them, a date or a run of dates; a day with two openings has two rows. Dates hold in place of
--- their weekday, single ones in place of a run; a row without times closes. What no row opens is closed. `zone` stands in one
--- row at least, and all rows have the same. See core/base/calendar.h for what is done with it.
local data = require "data"
local freeze = require "frozen"
local numbers = require "numbers"
local times = require "times"
local tree = require "tree"

local calendar = { ANY_DAY = -1, OPEN_DAY = -2 }

-- The engine's bounds (policy/calendars.h, base/calendar.h).
local LIMITS = { calendars = 16, dates = 4000, openings = 8, hours = 2000, days = 1000 }
local COLUMNS = { "day", "open", "close", "zone" }
local WEEKDAYS = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" }
local WEEKDAY = {}
for i, name in ipairs(WEEKDAYS) do
  WEEKDAY[name] = i - 1
end

-- "09:30" as a minute of the day; 24:00 only where a day may end.
local function minute_of(text, may_end)
  local h, m = text:match "^(%d%d?):(%d%d)$"
  h, m = tonumber(h), tonumber(m)
  if not h or m > 59 or h * 60 + m > (may_end and 1440 or 1439) then return nil end
  return h * 60 + m
end

local function date_of(text)
  local year, month, day = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)$"
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  return year and times.is_day(year, month, day) and times.days(year, month, day) or nil
end

-- ---- what a policy writes ----

--- "4 business hours", "90 business minutes": {open_ms}; "2 business days": {open_days}; "3d": {ms}. nil: none of these, or
--- beyond the bounds. `text` is how it reads.
---@param text any
---@return {ms?: integer, open_ms?: integer, open_days?: integer, text: string}|nil
function calendar.duration(text)
  local ms = numbers.duration_ms(text)
  if ms then return ms > 0 and { ms = ms, text = numbers.show_duration(ms) } or nil end
  if type(text) ~= "string" then return nil end
  local amount, unit = text:match "^%s*(%d+)%s+business%s+(%a+)%s*$"
  amount = tonumber(amount)
  if not amount or amount == 0 then return nil end
  local shown = ("%d business %s"):format(amount, unit)
  if unit == "day" or unit == "days" then
    return amount <= LIMITS.days and { open_days = amount, text = shown } or nil
  end
  local hour = (unit == "hour" or unit == "hours") and 3600000 or (unit == "minute" or unit == "minutes") and 60000
  if not hour or amount * hour > LIMITS.hours * 3600000 then return nil end
  return { open_ms = amount * hour, text = shown }
end

--- What such a text looks like, for messages.
calendar.DURATIONS = '"7d" (units w d h m s ms), "4 business hours", "30 business minutes" or "2 business days"'

--- "09:00", "mon 09:00", "business day 09:00": {day = ANY_DAY | OPEN_DAY | 0 (Sunday) to 6, minute, text}; nil: none of these.
---@param text any
---@return {day: integer, minute: integer, text: string}|nil
function calendar.clock(text)
  if type(text) ~= "string" then return nil end
  local day, clock = text:match "^%s*(.-)%s*(%d%d?:%d%d)%s*$"
  local minute = clock and minute_of(clock)
  local on = day == "" and calendar.ANY_DAY or day == "business day" and calendar.OPEN_DAY or WEEKDAY[day]
  if not minute or not on then return nil end
  return { day = on, minute = minute, text = ("%s%02d:%02d"):format(day == "" and "" or day .. " ", minute / 60, minute % 60) }
end

calendar.CLOCKS = '"09:00", "mon 09:00" or "business day 09:00"'

-- ---- the file ----

-- The days that a row speaks of: {dates = {…}} or {week = {…}}; nil: nothing that is known.
local function days_of(text)
  if WEEKDAY[text] then return { week = { WEEKDAY[text] } } end
  local first, last = text:match "^(%a%a%a)%-(%a%a%a)$"
  if first and WEEKDAY[first] and WEEKDAY[last] then
    local week, day = {}, WEEKDAY[first]
    repeat
      week[#week + 1] = day
      day = (day + 1) % 7
    until week[#week] == WEEKDAY[last]
    return { week = week }
  end
  if date_of(text) then return { dates = { date_of(text) } } end
  first, last = text:match "^([%d%-]+)%.%.([%d%-]+)$"
  local from, to = first and date_of(first), last and date_of(last)
  if not from or not to or to < from or to - from >= LIMITS.dates then return nil end
  local dates = {}
  for day = from, to do
    dates[#dates + 1] = day
  end
  return { dates = dates, is_run = true }
end

-- A row's opening: {from, to}; {} closes; nil: reported.
local function opening_of(row)
  if row.open == "" and row.close == "" then return {} end
  local from, to = minute_of(row.open), minute_of(row.close, true)
  if from and to and from < to then return { from = from, to = to } end
  tree.problem(
    row,
    from and to and "opens at %s and closes at %s: hours past midnight take two rows, to 24:00 and from 00:00"
      or "open and close are times such as 09:00 and 17:30, or both empty, not '%s' and '%s'",
    row.open,
    row.close
  )
  return nil
end

-- Adds an opening to a day's list, in order; what touches becomes one.
local function add_opening(row, list, opening)
  if not opening.from then
    if #list > 0 then tree.problem(row, "'%s' has no times here, and opens in another row", row.day) end
    list.is_closed = true
    return
  end
  if list.is_closed then tree.problem(row, "'%s' opens here, and has no times in another row", row.day) end
  local at = #list + 1
  while at > 1 and list[at - 1].from > opening.from do
    at = at - 1
  end
  local before, after = list[at - 1], list[at]
  if before and before.to > opening.from or after and after.from < opening.to then
    tree.problem(row, "'%s' from %s to %s overlaps another row", row.day, row.open, row.close)
    return
  end
  table.insert(list, at, { from = opening.from, to = opening.to })
  for i = #list, 2, -1 do
    if list[i - 1].to == list[i].from then
      list[i - 1].to = list[i].to
      table.remove(list, i)
    end
  end
  if #list > LIMITS.openings then tree.problem(row, "'%s' opens more than %d times", row.day, LIMITS.openings) end
end

local function add_row(row, made)
  local days, opening = days_of(row.day), opening_of(row)
  if not days then
    tree.problem(
      row,
      "'%s' is no day: mon, mon-fri, 2026-12-25, 2026-12-24..2026-12-31%s",
      row.day,
      tree.hint(row.day, WEEKDAYS)
    )
  end
  if not days or not opening then return end
  for _, day in ipairs(days.week or {}) do
    add_opening(row, made.week[day + 1], opening)
  end
  local into = days.is_run and made.runs or made.dates
  for _, day in ipairs(days.dates or {}) do
    into[day] = into[day] or {}
    add_opening(row, into[day], opening)
  end
end

local function flat(first, list)
  local out = { first }
  for _, opening in ipairs(list) do
    out[#out + 1], out[#out + 2] = opening.from, opening.to
  end
  return out
end

local function read_zone(records)
  local zone
  for _, row in ipairs(records) do
    if row.zone ~= "" and zone and row.zone ~= zone then
      tree.problem(row, "a calendar has one zone: '%s' here, '%s' above", row.zone, zone)
      return nil
    end
    if row.zone ~= "" and not zone then
      local known, near = host.zone(row.zone)
      if not known then
        tree.problem(
          row,
          "no zone '%s'%s (names such as Europe/Berlin)",
          row.zone,
          near and ("; did you mean '" .. near .. "'?") or ""
        )
        return nil
      end
      zone = row.zone
    end
  end
  if not zone then tree.problem(records[1], "no zone: the column zone says in which one these times are, such as Europe/Berlin") end
  return zone
end

-- What a calendar's rows come to: {zone, week = {7 lists of minutes}, dates = {{day, minutes…}…}}; nil: reported.
local function read(name, place)
  local records = data.records(name, COLUMNS, place)
  if not records then return nil end
  if #records == 0 then
    tree.problem(place, "calendar '%s' has no rows", name)
    return nil
  end
  local zone, made = read_zone(records), { week = {}, dates = {}, runs = {} }
  for i = 1, 7 do
    made.week[i] = {}
  end
  for _, row in ipairs(records) do
    add_row(row, made)
  end
  local entry = { kind = "calendar", name = name, zone = zone, week = {}, dates = {}, path = records[1].path, line = 1 }
  local is_open = false
  for i, list in ipairs(made.week) do
    is_open = is_open or #list > 0
    entry.week[i] = flat(nil, list)
  end
  for day, list in pairs(made.runs) do
    made.dates[day] = made.dates[day] or list
  end
  for day, list in pairs(made.dates) do -- the sandbox's pairs: numbers in order
    entry.dates[#entry.dates + 1] = flat(day, list)
  end
  if not is_open then tree.problem(entry, "calendar '%s' opens on no weekday", name) end
  if #entry.dates > LIMITS.dates then tree.problem(entry, "calendar '%s' has more than %d dates", name, LIMITS.dates) end
  return zone and entry or nil
end

--- The calendar data/NAME.csv, read and checked once, as an entry of tree.calendars; entry.number counts them from 0. nil: it
--- is wrong, and that is reported (`place`: where it is asked for).
---@param name string
---@param place table
function calendar.read(name, place)
  local known = tree.calendar_read[name]
  if known == nil then
    known = read(name, place) or false
    tree.calendar_read[name] = known
    if known then
      known.number = #tree.calendars
      tree.calendars[known.number + 1] = known
      if #tree.calendars > LIMITS.calendars then tree.problem(place, "at most %d calendars", LIMITS.calendars) end
    end
  end
  return known or nil
end

--- The calendar that `entry` names in its `calendar`, or else the head of the policy; nil: reported. Only when all is declared.
function calendar.of(entry)
  local name = entry.calendar or tree.policy and tree.policy.calendar
  if name then return calendar.read(name, entry.calendar and entry or tree.policy) end
  tree.problem(
    entry,
    "business time needs to know when you are open: name a calendar in the policy's head, calendar = \"office_hours\" (data/office_hours.csv)"
  )
  return nil
end

--- What the artifact says of them (core/policy/artifact.h).
function calendar.rows()
  local out = {}
  for i, entry in ipairs(tree.calendars) do
    out[i] = { name = entry.name, zone = entry.zone, week = entry.week, dates = entry.dates }
  end
  return out
end

return freeze("calendar", calendar)
