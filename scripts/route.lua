--- Routes: who gets the lead. An owner is chosen in the decision in which the named stage is entered; the first rule
--- that matches wins. An owner set by hand is never overruled. People come from the policy's team file: a csv with the
--- columns name, team, weight.
local freeze = require "frozen"
local declare = require "declare"
local tree = require "tree"

local route = {}

--- The rules below this line choose an owner when `name` is entered.
---@param name string a stage
function route.on_enter(name)
  local entry = declare.entry("on_enter", name)
  entry.rules = {}
  declare.add(tree.entries, entry)
  tree.entry = entry
end

local KEYS = { when = "condition", team = "text", pick = "text", why = "text!" }

local function add_rule(entry, fields)
  entry.when, entry.team, entry.why = fields.when, fields.team or entry.name, fields.why
  if fields.pick and fields.pick ~= "weighted" then
    tree.problem(entry, "%s '%s': pick is \"weighted\", not '%s'", entry.kind, entry.name, fields.pick)
  end
  if not tree.entry then
    tree.problem(entry, "%s '%s' stands before any route.on_enter \"stage\"", entry.kind, entry.name)
    return
  end
  local rules = tree.entry.rules
  if rules[#rules] and rules[#rules].is_otherwise then
    tree.problem(
      entry,
      "%s '%s' is never tried: it stands below otherwise '%s'",
      entry.kind,
      entry.name,
      rules[#rules].name
    )
  end
  declare.add(tree.routes, entry)
  rules[#rules + 1] = entry
end

--- route.to "emea" { when, why, pick = "weighted", team = "emea" }: the team is the rule's name unless `team` says
--- another.
---@param name string
---@return fun(body: {when: Condition, why: string, pick?: string, team?: string})
route.to = declare.named("route.to", KEYS, function(entry, fields)
  if not fields.when and not fields.when_wrong then
    tree.problem(entry, "route.to '%s' has no when; what takes the rest is route.otherwise", entry.name)
  end
  add_rule(entry, fields)
end)

--- route.otherwise "inbound" { why, pick = "weighted", team = … }: when no rule above matched.
---@param name string
---@return fun(body: {why: string, pick?: string, team?: string})
route.otherwise = declare.named(
  "route.otherwise",
  { team = "text", pick = "text", why = "text!" },
  function(entry, fields)
    entry.is_otherwise = true
    add_rule(entry, fields)
  end
)

return freeze("route", route)
