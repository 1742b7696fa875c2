--- Actions: what to do next. Of the offers that are open in the lead's stage the one of highest utility wins, when
--- that is above what `otherwise` is worth; limits and the hold-out may then hold it back, and the decision says so.
local freeze = require "frozen"
local declare = require "declare"
local numbers = require "numbers"
local tree = require "tree"

local action = {}

local ACTIONS_PER_LEAD_MAX = 16

--- action.offer "call" { stages = { "sql" }, utility = 1.2 * belief.intent - 40, when?, why }
---@param name string
---@return fun(body: {stages: string[], utility: Value|number, when?: Condition, why: string})
action.offer = declare.named(
  "offer",
  { stages = "texts!", utility = "value!", when = "condition", why = "text!" },
  function(entry, fields)
    entry.stages, entry.utility, entry.when, entry.why = fields.stages or {}, fields.utility, fields.when, fields.why
    declare.add(tree.offers, entry)
  end
)

--- action.otherwise "wait" { utility = 5, why }: done when nothing is worth more.
---@param name string
---@return fun(body: {utility?: number, why: string})
action.otherwise = declare.named("otherwise", { utility = "number", why = "text!" }, function(entry, fields)
  entry.utility, entry.why = fields.utility or 0, fields.why
  if tree.otherwise then
    tree.problem(entry, "action.otherwise is declared twice; first in line %d", tree.otherwise.line)
    return
  end
  tree.otherwise = entry
end)

local function read_per_lead(place, text)
  local count, duration = text:match "^%s*(%d+)%s+in%s+(.-)%s*$"
  local ms = duration and numbers.duration_ms(duration)
  count = tonumber(count)
  if not ms or ms == 0 or count < 1 or count > ACTIONS_PER_LEAD_MAX then
    tree.problem(
      place,
      "action.limits: per_lead is \"1 in 3d\" (1 to %d actions in a duration), not '%s'",
      ACTIONS_PER_LEAD_MAX,
      text
    )
    return nil
  end
  return { count = count, ms = ms }
end

local function read_hold_out(place, text)
  local percent, salt = text:match "^%s*(%d+%.?%d*)%%%s+salt%s+([%w_.%-]+)%s*$"
  percent = tonumber(percent)
  if not percent or percent <= 0 or percent >= 100 then
    tree.problem(
      place,
      "action.limits: hold_out is \"5%% salt 2026q4\" (a share above 0 and below 100 %%, and a salt), not '%s'",
      text
    )
    return nil
  end
  return { share = percent / 100, salt = salt }
end

--- action.limits { per_lead = "1 in 3d", hold_out = "5% salt 2026q4" }
---@param body {per_lead?: string, hold_out?: string}
function action.limits(body)
  local place = tree.place()
  local entry = { kind = "action.limits", name = tree.input.policy, path = place.path, line = place.line }
  local fields = declare.fields(entry, { per_lead = "text", hold_out = "text" }, body)
  if tree.limits then tree.problem(place, "action.limits is declared twice; first in line %d", tree.limits.line) end
  entry.per_lead = fields.per_lead and read_per_lead(place, fields.per_lead)
  entry.hold_out = fields.hold_out and read_hold_out(place, fields.hold_out)
  tree.limits = entry
end

return freeze("action", action)
