--- What check says of routes and of the people that they choose from. Also prepares what compiling needs: the teams,
--- and the owners of all teams, each once.
local data = require "data"
local freeze = require "frozen"
local naming = require "naming"
local numbers = require "numbers"
local tree = require "tree"

local names_of, find, called = naming.all, naming.find, naming.called

local check_route = {}

-- tree.teams: team -> {members = {{name, weight}}, total}; tree.owners: names, each once.
local function read_team()
  tree.teams, tree.team_names, tree.owners = {}, {}, {}
  local records = data.records(tree.policy.team, { "name", "team", "weight" }, tree.policy)
  if not records then return false end
  local known = {}
  for _, record in ipairs(records) do
    local weight = tonumber(record.weight)
    if record.name == "" or record.team == "" or not numbers.is_finite(weight) or weight < 0 then
      tree.problem(record, "each row is a name, a team and a weight of 0 or more")
    else
      local team = tree.teams[record.team]
      if not team then
        team = { members = {}, total = 0 }
        tree.teams[record.team], tree.team_names[#tree.team_names + 1] = team, record.team
      end
      for _, member in ipairs(team.members) do
        if member.name == record.name then
          tree.problem(record, "'%s' is in team '%s' twice", record.name, record.team)
        end
      end
      if not known[record.name] then
        known[record.name], tree.owners[#tree.owners + 1] = #tree.owners, record.name
      end
      team.members[#team.members + 1] = { name = record.name, weight = weight, owner = known[record.name] }
      team.total = team.total + weight
    end
  end
  return true
end

--- Reports into the tree.
function check_route.run()
  tree.teams, tree.team_names, tree.owners = {}, {}, {}
  for _, entry in ipairs(tree.entries) do
    if not find(tree.stages, entry.name) then
      tree.problem(entry, "route.on_enter: no stage '%s'%s", entry.name, tree.hint(entry.name, names_of(tree.stages)))
    end
    local rules = entry.rules
    if #rules == 0 then
      tree.problem(entry, "route.on_enter '%s' has no rules below it", entry.name)
    elseif not rules[#rules].is_otherwise then
      tree.warn(
        entry,
        "route.on_enter '%s' has no route.otherwise: a lead that matches no rule stays without an owner",
        entry.name
      )
    end
  end
  if not tree.policy then return end
  if not tree.policy.team then
    if #tree.routes > 0 then
      tree.problem(tree.routes[1], 'routes need people: name the team file in the policy\'s head, team = "sales_team"')
    end
    return
  end
  if not read_team() then return end
  for _, rule in ipairs(tree.routes) do
    local team = tree.teams[rule.team]
    if not team then
      tree.problem(
        rule,
        "%s: no team '%s' in data/%s.csv%s",
        called(rule),
        rule.team,
        tree.policy.team,
        tree.hint(rule.team, tree.team_names)
      )
    elseif team.total <= 0 then
      tree.problem(rule, "%s: nobody in team '%s' has a weight above 0", called(rule), rule.team)
    end
  end
end

return freeze("check_route", check_route)
