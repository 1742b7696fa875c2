--- The head of a policy: who answers for it, why it is so, what it must never do, and which models it reads.
local declare = require "declare"
local retrain = require "retrain"
local sales = require "sales"
local tree = require "tree"

local KEYS = {
  owner = "text!",
  rationale = "text!",
  boundary = "text!",
  models = "table",
  team = "text",
  leave = "text",
  calendar = "text",
  eligible = "condition",
  mode = "text",
  sales = "table",
  retrain = "table",
}
local ROLES = { "fit", "engagement", "split" }
local IS_ROLE = { fit = true, engagement = true, split = true }
local MODES = { act = true, score = true, collect = true }

local function read_models(entry, given)
  local models = {}
  for role, model in pairs(given or {}) do
    if not IS_ROLE[role] then
      tree.problem(
        entry,
        "policy '%s': models has fit and engagement, or split, not '%s'%s",
        entry.name,
        tostring(role),
        tree.hint(role, ROLES)
      )
    elseif type(model) ~= "string" or not model:find "^[%w_%-]+$" and not model:find "^[%w_%-]+@%w[%w_.%-+]*$" then
      tree.problem(entry, "policy '%s': models.%s is a model's name, or name@version", entry.name, role)
    else
      models[role] = model
    end
  end
  if models.split and (models.fit or models.engagement) then
    tree.problem(
      entry,
      "policy '%s': models.split is one model that gives both fit and engagement: name it alone, or name two without it",
      entry.name
    )
    models.split = nil
  end
  return models
end

--- policy "name" { owner, rationale, boundary, models = {fit, engagement} or {split}, team, calendar, eligible, mode, sales,
--- retrain }
---@param name string the policy's folder
---@class PolicyHead
---@field owner string who answers for it
---@field rationale string
---@field boundary string what it must never do
---@field models? {fit?: string, engagement?: string, split?: string} split: one model, told apart by feature group
---@field team? string the csv of people
---@field leave? string the csv of who is away, and when
---@field calendar? string the csv of opening hours (scripts/calendar.lua)
---@field eligible? Condition
---@field mode? string "act" (default), "score" or "collect"
---@field sales? PolicySales events by which sales has its say, besides the reserved ones
---@field retrain? table[] when a model has aged: { model, why, and age, drift, auc_under or auc_falls }
---@return fun(body: PolicyHead)
return declare.named("policy", KEYS, function(entry, fields)
  if tree.policy then
    tree.problem(entry, "one policy a folder; '%s' was declared in line %d", tree.policy.name, tree.policy.line)
    return
  end
  if entry.name ~= tree.input.policy then
    tree.problem(entry, "the policy in folder '%s' must have that name, not '%s'", tree.input.policy, entry.name)
  end
  entry.owner, entry.rationale, entry.boundary = fields.owner, fields.rationale, fields.boundary
  entry.team, entry.leave, entry.calendar = fields.team, fields.leave, fields.calendar
  entry.eligible, entry.mode = fields.eligible, fields.mode or "act"
  entry.models = read_models(entry, fields.models)
  entry.sales = sales.read(entry, fields.sales)
  entry.retrain = retrain.read(entry, fields.retrain, entry.models)
  if not MODES[entry.mode] then
    tree.problem(
      entry,
      'policy \'%s\': mode is "act", "score" or "collect", not \'%s\'%s',
      entry.name,
      entry.mode,
      tree.hint(entry.mode, { "act", "score", "collect" })
    )
  end
  tree.policy = entry
end)
