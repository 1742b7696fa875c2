--- What check says of routes and of the people that they choose from. Also prepares what compiling needs: the teams,
--- and the owners of all teams, each once.
local freeze = require "frozen"
local naming = require "naming"
local people = require "people"
local tree = require "tree"

local names_of, find, called = naming.all, naming.find, naming.called

local check_route = {}

-- ---- rules of one entry ----

local function check_team(rule)
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
    return
  end
  if team.total <= 0 then
    tree.problem(rule, "%s: nobody in team '%s' has a weight above 0", called(rule), rule.team)
    return
  end
  if not rule.skill then return end
  local skills, known = {}, false
  for _, member in ipairs(team.members) do
    for _, skill in ipairs(member.skills) do
      skills[#skills + 1], known = skill, known or skill == rule.skill
    end
  end
  if not known then
    tree.problem(
      rule,
      "%s: nobody in team '%s' has the skill '%s'%s",
      called(rule),
      rule.team,
      rule.skill,
      tree.hint(rule.skill, skills)
    )
  end
end

local function check_accept(entry)
  local accept, asked = entry.accept, 0
  for _, rule in ipairs(entry.rules) do
    if rule.turn then asked = asked + 1 end
    local team = tree.teams and tree.teams[rule.team]
    if rule.turn and team and #team.members == 1 and not accept.otherwise then
      tree.warn(
        accept,
        "%s: team '%s' is one person: who gets the lead when they don't take it? (otherwise)",
        called(accept),
        rule.team
      )
    end
  end
  if asked == 0 then
    tree.problem(
      accept,
      "%s: none of these routes deals by turns: pick = \"round_robin\" or \"least_busy\"",
      called(accept)
    )
  end
  if not accept.otherwise then return end
  local rule = find(entry.rules, accept.otherwise)
  if not rule then
    tree.problem(
      accept,
      "%s: otherwise names no route below on_enter '%s': '%s'%s",
      called(accept),
      entry.name,
      accept.otherwise,
      tree.hint(accept.otherwise, names_of(entry.rules))
    )
  elseif not rule.turn then
    tree.problem(accept, "%s: %s deals by no turns", called(accept), called(rule))
  end
end

local function check_releases()
  for _, release in ipairs(tree.releases) do
    local stage = find(tree.stages, release.name)
    if not stage then
      tree.problem(release, "%s: no stage '%s'%s", called(release), release.name, tree.hint(release.name, names_of(tree.stages)))
    elseif find(tree.entries, release.name) then
      tree.problem(release, "%s: the stage has routes: they choose the owner anew", called(release))
    else
      stage.frees_owner = true
    end
  end
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
  check_releases()
  if not tree.policy then return end
  if not tree.policy.team then
    if #tree.routes > 0 then
      tree.problem(tree.routes[1], 'routes need people: name the team file in the policy\'s head, team = "sales_team"')
    end
    return
  end
  if not people.read() then return end
  for _, rule in ipairs(tree.routes) do
    check_team(rule)
  end
  for _, entry in ipairs(tree.entries) do
    if entry.accept then check_accept(entry) end
  end
end

return freeze("check_route", check_route)
