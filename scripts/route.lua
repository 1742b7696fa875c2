--- Routes: who gets the lead. An owner is chosen in the decision in which the named stage is entered; the first rule
--- that matches wins. An owner set by hand is never overruled. People come from the policy's team file (scripts/people.lua).
local freeze = require "frozen"
local data = require "data"
local declare = require "declare"
local numbers = require "numbers"
local tree = require "tree"
local value = require "value"

local route = {}

--- The rules below this line choose an owner when `name` is entered.
---@param name string a stage
function route.on_enter(name)
  local entry = declare.entry("on_enter", name)
  entry.rules = {}
  declare.add(tree.entries, entry)
  tree.entry = entry
end

-- How a team's person is picked; those with a number ask the team's pool (artifact.h).
local PICKS = { weighted = 0, round_robin = 1, least_busy = 2 }
local PICK_NAMES = { "weighted", "round_robin", "least_busy" }
local KEYS = {
  when = "condition",
  team = "text",
  pick = "text",
  sticky = "truth",
  skill = "text",
  full = "text",
  why = "text!",
}

local function read_pick(entry, fields)
  entry.pick = fields.pick or "weighted"
  if not PICKS[entry.pick] then
    tree.problem(
      entry,
      "%s '%s': pick is \"weighted\", \"round_robin\" or \"least_busy\", not '%s'%s",
      entry.kind,
      entry.name,
      entry.pick,
      tree.hint(entry.pick, PICK_NAMES)
    )
    entry.pick = "weighted"
  end
  entry.turn = PICKS[entry.pick] > 0 and PICKS[entry.pick] or nil
  for _, key in ipairs { "sticky", "skill", "full" } do
    if fields[key] ~= nil and not entry.turn then
      tree.problem(
        entry,
        "%s '%s': %s needs somebody who knows what each has: pick = \"round_robin\" or \"least_busy\"",
        entry.kind,
        entry.name,
        key
      )
    end
  end
  entry.sticky, entry.skill, entry.full = fields.sticky or false, fields.skill, fields.full or "otherwise"
  if entry.full ~= "otherwise" and entry.full ~= "wait" then
    tree.problem(
      entry,
      '%s \'%s\': full is "otherwise" (the rule of that name) or "wait", not \'%s\'%s',
      entry.kind,
      entry.name,
      entry.full,
      tree.hint(entry.full, { "otherwise", "wait" })
    )
  end
end

local function add_rule(entry, fields)
  entry.when, entry.team, entry.why = fields.when, fields.team or entry.name, fields.why
  read_pick(entry, fields)
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

--- route.to "emea" { when, why, pick, team, sticky, skill, full }: the team is the rule's name unless `team` says another.
---@class RouteBody
---@field why string
---@field team? string
---@field pick? string "weighted" (default): the lead draws; "round_robin": by turns; "least_busy": who has the fewest for his weight
---@field sticky? boolean the owner from before keeps the lead if he can (by turns)
---@field skill? string of those who have it in the column skills (by turns)
---@field full? string where nobody has room: "otherwise" (default) goes on to the otherwise rule, "wait" waits (by turns)
---@class RouteRuleBody: RouteBody
---@field when Condition
---@param name string
---@return fun(body: RouteRuleBody)
route.to = declare.named("route.to", KEYS, function(entry, fields)
  if not fields.when and not fields.when_wrong then
    tree.problem(entry, "route.to '%s' has no when; what takes the rest is route.otherwise", entry.name)
  end
  add_rule(entry, fields)
end)

--- route.otherwise "inbound" { why, pick, team, sticky, skill }: when no rule above matched.
---@param name string
---@return fun(body: RouteBody)
route.otherwise = declare.named(
  "route.otherwise",
  { team = "text", pick = "text", sticky = "truth", skill = "text", why = "text!" },
  function(entry, fields)
    entry.is_otherwise = true
    add_rule(entry, fields)
  end
)

-- data/NAME.csv as team -> {texts}, and the teams in their order; nil when it is not there.
local function read_table(name, entry)
  local records = data.records(name, { "is", "team" }, entry, {})
  if not records then return nil end
  local teams, texts, seen = {}, {}, {}
  for _, record in ipairs(records) do
    if record.is == "" or record.team == "" then
      tree.problem(record, "each row is what the feature is, and a team")
    elseif seen[record.is] then
      tree.problem(record, "'%s' is there twice; first in line %d", record.is, seen[record.is])
    else
      if not texts[record.team] then
        texts[record.team], teams[#teams + 1] = {}, record.team
      end
      table.insert(texts[record.team], record.is)
      seen[record.is] = record.line
    end
  end
  if #teams == 0 then tree.problem({ path = entry.path, line = entry.line }, "data/%s.csv has no rows", name) end
  return teams, texts
end

--- route.by_table "territories" { of = f.country, why, pick, … }: one rule for each team of data/territories.csv (columns
--- is, team): who is what the rows say goes to their team. The rules are called "territories emea".
---@param name string
---@return fun(body: RouteBody | {of: Value})
route.by_table = declare.named(
  "route.by_table",
  { of = "feature!", pick = "text", sticky = "truth", skill = "text", full = "text", why = "text!" },
  function(entry, fields)
    local feature = fields.of
    if feature and feature.kind == "feature" and not feature.is_text then
      tree.problem(entry, "route.by_table '%s': of is a feature that is text, such as f.country", entry.name)
      return
    end
    local teams, texts = read_table(entry.name, entry)
    for _, team in ipairs(feature and feature.kind == "feature" and teams or {}) do
      local handle = value.make_condition {
        kind = "test",
        feature = feature,
        any = texts[team],
        label = ("%s in %s of %s"):format(feature.name, team, entry.name),
      }
      local name = ("%s %s"):format(entry.name, team)
      local rule = { kind = "route.by_table", name = name, path = entry.path, line = entry.line }
      fields.when, fields.team = value.open(handle), team
      add_rule(rule, fields)
    end
  end
)

--- route.accept_within "4h" { why, otherwise, tries }: an owner who was given a lead by turns and does not take it in that time
--- (event crm.lead_accepted), or gives it back (crm.lead_rejected), loses it to another one of the team; after `tries` (1) more of
--- them to the rule `otherwise` of these routes.
---@param time string
---@return fun(body: {why: string, otherwise?: string, tries?: number})
route.accept_within = declare.named(
  "route.accept_within",
  { otherwise = "text", tries = "number", why = "text!" },
  function(entry, fields)
    if not tree.entry then
      tree.problem(entry, "route.accept_within '%s' stands before any route.on_enter \"stage\"", entry.name)
      return
    end
    entry.ms = numbers.duration_ms(entry.name)
    if not entry.ms or entry.ms <= 0 then
      tree.problem(entry, "route.accept_within '%s': it takes a duration such as \"4h\" (units w d h m s ms)", entry.name)
      entry.ms = nil
    end
    entry.otherwise, entry.tries = fields.otherwise, fields.tries or 1
    if entry.tries % 1 ~= 0 or entry.tries < 0 or entry.tries > 100 then
      tree.problem(entry, "route.accept_within '%s': tries is a whole number from 0 to 100", entry.name)
      entry.tries = 1
    end
    if tree.entry.accept then
      tree.problem(entry, "route.accept_within is there twice below on_enter '%s'", tree.entry.name)
    end
    tree.entry.accept = entry
  end
)

--- route.release "nurture" { why }: who enters that stage has no owner any more, and his seat is free. An owner by hand stays.
---@param stage string
---@return fun(body: {why: string})
route.release = declare.named("route.release", { why = "text!" }, function(entry)
  declare.add(tree.releases, entry)
end)

return freeze("route", route)
