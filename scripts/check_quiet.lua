--- What check says of quiet hours. Also prepares what compiling needs: a channel's row for the engine (core/policy/quiet.h).
local calendar = require "calendar"
local data = require "data"
local freeze = require "frozen"
local tree = require "tree"

local check_quiet = {}

local function zone_known(place, called, zone)
  local known, near = host.zone(zone)
  if not known then
    tree.problem(place, "%s: no zone '%s'%s", called, zone, near and ("; did you mean '" .. near .. "'?") or " (names such as Europe/Berlin)")
  end
  return known
end

-- "20:00-08:00" as two minutes of a day; nil: reported.
local function read_hours(way, called)
  local from, to = way.quiet:match "^%s*(%S+)%s*%-%s*(%S+)%s*$"
  from, to = from and calendar.clock(from), to and calendar.clock(to)
  if not from or not to or from.day ~= calendar.ANY_DAY or to.day ~= calendar.ANY_DAY then
    tree.problem(way, "%s: quiet is \"20:00-08:00\", two times of the day, not '%s'", called, way.quiet)
    return nil
  end
  if from.minute == to.minute then
    tree.problem(way, "%s: quiet from %s to %s is the whole day: no offer ever goes out by it", called, from.text, to.text)
    return nil
  end
  return from.minute, to.minute
end

-- A list's rows as {text, zone}, by text; nil: reported.
local function read_zones(way, called)
  local records = data.records(way.zones, { "text", "zone" }, way)
  if not records then return nil end
  local list, seen = {}, {}
  for _, row in ipairs(records) do
    if seen[row.text] then tree.problem(row, "'%s' stands here twice", row.text) end
    if zone_known(row, ("list '%s'"):format(way.zones), row.zone) and not seen[row.text] then list[#list + 1] = { row.text, row.zone } end
    seen[row.text] = true
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  if #list == 0 then tree.problem(way, "%s: list '%s' names no zone", called, way.zones) end
  return #list > 0 and list or nil
end

-- Whose clock: the zone for all or for who has none, the feature's name and the list; false: reported.
local function read_zone(way, called)
  local feature = type(way.zone) == "table" and way.zone or nil
  if feature and feature.kind == "unknown" then return false end
  if way.zone == nil then
    tree.problem(way, '%s: quiet by whose clock? zone = "Europe/Berlin", or a feature of text and default_zone', called)
    return false
  end
  if feature and not way.default_zone then
    tree.problem(way, "%s: zone is a feature: default_zone says which clock counts for a lead that has none", called)
    return false
  end
  if not feature and (way.default_zone or way.zones) then
    tree.problem(way, "%s: zone is the same for all; default_zone and zones go with a feature", called)
    return false
  end
  local zone = feature and way.default_zone or way.zone
  if not zone_known(way, called, zone) then return false end
  if way.zones and not read_zones(way, called) then return false end
  return zone, feature and feature.name
end

--- Reports into the tree; sets way.quiet_row.
function check_quiet.run(way)
  local called = ("action.channel '%s'"):format(way.name)
  if way.calendar and way.quiet then
    tree.problem(way, "%s: quiet hours by the clock or by a calendar, not both", called)
  elseif way.calendar then
    local entry = calendar.read(way.calendar, way)
    way.quiet_row = entry and { calendar = entry.number }
  elseif way.quiet then
    local from, to = read_hours(way, called)
    local zone, feature = read_zone(way, called)
    if from and zone then
      way.quiet_row = { from = from, to = to, zone = zone, feature = feature, list = way.zones and read_zones(way, called) }
    end
  elseif way.zone or way.zones or way.default_zone then
    tree.problem(way, "%s: a zone without quiet = \"20:00-08:00\"", called)
  end
end

return freeze("check_quiet", check_quiet)
