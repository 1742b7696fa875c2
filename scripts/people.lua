--- The people of a policy: its team file, a csv with the columns name, team, weight, and perhaps capacity and skills; and
--- its leave file, a csv with the columns name, from, to.
local data = require "data"
local freeze = require "frozen"
local numbers = require "numbers"
local times = require "times"
local tree = require "tree"

local people = {}

-- The engine's bounds (policy.h).
local PEOPLE_MAX, LEAVES_MAX, SKILLS_MAX, NAME_BYTES, WEIGHT_MAX, CAPACITY_MAX = 512, 16, 16, 128, 1000, 2147483647
local DAY_MS = 86400000
local RESERVED = { none = true, pending = true } -- what decisions say where there is no owner

local function skills_of(record)
  local skills = {}
  for skill in (record.skills or ""):gmatch "[^%s;]+" do
    skills[#skills + 1] = skill
  end
  if #skills > SKILLS_MAX then tree.problem(record, "'%s' has %d skills; at most %d", record.name, #skills, SKILLS_MAX) end
  return skills
end

-- A row as a member of its team; nil when it can't be one.
local function member_of(record)
  local weight = tonumber(record.weight)
  if record.name == "" or record.team == "" then
    tree.problem(record, "each row is a name, a team and a weight of 0 or more")
    return nil
  end
  if not numbers.is_finite(weight) or weight < 0 or weight > WEIGHT_MAX then
    tree.problem(record, "weight is '%s'; it takes a number from 0 to %d", record.weight, WEIGHT_MAX)
    return nil
  end
  if RESERVED[record.name] then
    tree.problem(record, "nobody can be called '%s': that is what decisions say when there is no owner", record.name)
    return nil
  end
  if #record.name > NAME_BYTES then
    tree.problem(record, "a name has at most %d bytes", NAME_BYTES)
    return nil
  end
  local capacity = -1
  if (record.capacity or "") ~= "" then
    capacity = tonumber(record.capacity)
    if not numbers.is_finite(capacity) or capacity < 0 or capacity % 1 ~= 0 or capacity > CAPACITY_MAX then
      tree.problem(
        record,
        "capacity is '%s'; it takes a whole number of 0 or more, or nothing where there is no bound",
        record.capacity
      )
      return nil
    end
  end
  return {
    name = record.name,
    weight = weight,
    capacity = capacity,
    skills = skills_of(record),
    path = record.path,
    line = record.line,
  }
end

local function add_member(record, known)
  local member = member_of(record)
  if not member then return end
  local team = tree.teams[record.team]
  if not team then
    team = { name = record.team, members = {}, total = 0 }
    tree.teams[record.team], tree.team_names[#tree.team_names + 1] = team, record.team
  end
  for _, other in ipairs(team.members) do
    if other.name == member.name then
      tree.problem(record, "'%s' is in team '%s' twice; first in line %d", member.name, record.team, other.line)
    end
  end
  if not known[member.name] then
    known[member.name], tree.owners[#tree.owners + 1] = #tree.owners, member.name
  end
  member.owner = known[member.name]
  team.members[#team.members + 1] = member
  team.total = team.total + member.weight
  if #team.members == PEOPLE_MAX + 1 then
    tree.problem(record, "team '%s' has more than %d people", record.team, PEOPLE_MAX)
  end
end

-- "2026-12-24" as ms at the beginning of that day (UTC); nil: it is no day.
local function day_ms(text)
  local year, month, day = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)$"
  if not year or not times.is_day(tonumber(year), tonumber(month), tonumber(day)) then return nil end
  return times.days(tonumber(year), tonumber(month), tonumber(day)) * DAY_MS
end

-- tree.leaves: name -> {{from, until}}, ms; the last day is a day of leave, too.
local function read_leaves()
  tree.leaves = {}
  local records = tree.policy.leave and data.records(tree.policy.leave, { "name", "from", "to" }, tree.policy, {})
  for _, record in ipairs(records or {}) do
    local from, to = day_ms(record.from), day_ms(record.to)
    local leaves = tree.leaves[record.name] or {}
    if not numbers.index_of(tree.owners, record.name) then
      tree.problem(record, "nobody is called '%s'%s", record.name, tree.hint(record.name, tree.owners))
    elseif not from or not to then
      tree.problem(record, "'%s' is no day, such as 2026-12-24", from and record.to or record.from)
    elseif to < from then
      tree.problem(record, "the leave ends (%s) before it begins (%s)", record.to, record.from)
    elseif #leaves == LEAVES_MAX then
      tree.problem(record, "'%s' has more than %d leaves: take away those that are over", record.name, LEAVES_MAX)
    else
      leaves[#leaves + 1] = { from, to + DAY_MS }
      tree.leaves[record.name] = leaves
    end
  end
end

--- Fills tree.teams (name -> {name, members, total}), tree.team_names, tree.owners (each once) and tree.leaves. False: there is
--- no file, which is reported.
function people.read()
  tree.teams, tree.team_names, tree.owners, tree.leaves = {}, {}, {}, {}
  local records = data.records(tree.policy.team, { "name", "team", "weight" }, tree.policy, { "capacity", "skills" })
  if not records then return false end
  if #records == 0 then
    tree.problem({ path = ("policies/%s/data/%s.csv"):format(tree.input.policy, tree.policy.team), line = 1 }, "nobody is in it")
  end
  local known = {}
  for _, record in ipairs(records) do
    add_member(record, known)
  end
  read_leaves()
  return true
end

--- A team as the engine wants it (artifact.h).
function people.row(team)
  local row = { name = team.name, people = {} }
  for i, member in ipairs(team.members) do
    row.people[i] = {
      owner = member.owner,
      weight = numbers.milli(member.weight),
      capacity = member.capacity,
      leave = tree.leaves[member.name] or {},
      skills = member.skills,
    }
  end
  return row
end

return freeze("people", people)
