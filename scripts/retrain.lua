--- When a model has aged: triggers in the head of a policy. They decide nothing about leads; `intent model quality --triggers`
--- looks at them.
local declare = require "declare"
local freeze = require "frozen"
local tree = require "tree"

local retrain = {}

local KEYS = {
  model = "text!",
  label = "text",
  age = "duration",
  drift = "number",
  auc_under = "number",
  auc_falls = "number",
  over = "duration",
  least = "number",
  why = "text!",
}
local DAY_MS = 86400000
local OVER_DAYS, LEAST = 28, 50 -- what is looked at, and how often the label must have come (and not come) in it

-- Above `low`, below `high`; `what` is for people.
local function hold(entry, fields, key, low, high, what)
  local x = fields[key]
  if x and not (x > low and x < high) then
    tree.problem(entry, "retrain of '%s': %s is %s, not %s", entry.name, key, what, tostring(x))
    fields[key] = nil
  end
end

local function is_named(models, name)
  for _, model in pairs(models) do
    if model:match "^[^@]*" == name then return true end
  end
  return false
end

local function names_of(models)
  local names = {}
  for _, model in pairs(models) do
    names[#names + 1] = model:match "^[^@]*"
  end
  table.sort(names)
  return names
end

local function read_one(policy, given, models)
  local entry = { kind = "retrain", name = tostring(type(given) == "table" and given.model or "?"), path = policy.path, line = policy.line }
  local fields = declare.fields(entry, KEYS, given)
  hold(entry, fields, "drift", 0, 100, "a population stability index above 0 (0.25 is much)")
  hold(entry, fields, "auc_under", 0, 1, "an AUC, between 0 and 1")
  hold(entry, fields, "auc_falls", 0, 1, "a part of an AUC, between 0 and 1")
  if fields.model and not is_named(models, fields.model) then
    tree.problem(entry, "retrain: the policy names no model '%s'%s", fields.model, tree.hint(fields.model, names_of(models)))
  end
  if (fields.auc_under or fields.auc_falls) and not fields.label and not fields.label_wrong then
    tree.problem(entry, "retrain of '%s': an AUC is one of a label: which?", entry.name)
  end
  if not (fields.age or fields.drift or fields.auc_under or fields.auc_falls) and fields.why then
    tree.problem(entry, "retrain of '%s' never fires: it takes age, drift, auc_under or auc_falls", entry.name)
  end
  if fields.over and fields.over % DAY_MS ~= 0 then
    tree.problem(entry, "retrain of '%s': over is whole days, such as \"28d\"", entry.name)
  end
  if fields.least and (fields.least < 1 or fields.least % 1 ~= 0) then
    tree.problem(entry, "retrain of '%s': least is a whole number from 1", entry.name)
  end
  entry.model, entry.label, entry.age_ms, entry.drift = fields.model, fields.label, fields.age, fields.drift
  entry.auc_under, entry.auc_falls, entry.why = fields.auc_under, fields.auc_falls, fields.why
  entry.over_days = fields.over and math.floor(fields.over / DAY_MS) or OVER_DAYS
  entry.least = fields.least or LEAST
  return entry
end

--- The triggers of a policy's head.
function retrain.read(policy, list, models)
  local entries = {}
  for i, given in ipairs(list or {}) do
    entries[i] = read_one(policy, given, models)
  end
  for key in pairs(list or {}) do
    if type(key) ~= "number" then
      tree.problem(policy, "policy '%s': retrain is a list: { { model = …, age = … }, … }", policy.name)
      break
    end
  end
  return entries
end

--- Their labels are those of the signal set, which may be named after the head.
function retrain.check()
  local labels = {}
  for i, label in ipairs(tree.signals and tree.signals.labels or {}) do
    labels[i] = label.name
  end
  for _, entry in ipairs(tree.signals and tree.policy and tree.policy.retrain or {}) do
    local is_known = not entry.label
    for _, name in ipairs(labels) do
      is_known = is_known or name == entry.label
    end
    if not is_known then
      tree.problem(
        entry,
        "retrain of '%s': the signal set %s has no label '%s'%s",
        entry.name,
        tree.signals.name,
        entry.label,
        tree.hint(entry.label, labels)
      )
    end
  end
end

--- For the artifact.
function retrain.rows()
  local rows = {}
  for i, entry in ipairs(tree.policy.retrain) do
    rows[i] = {
      model = entry.model,
      label = entry.label,
      age_ms = entry.age_ms,
      drift = entry.drift,
      auc_under = entry.auc_under,
      auc_falls = entry.auc_falls,
      over_days = entry.over_days,
      least = entry.least,
      why = entry.why,
    }
  end
  return rows
end

return freeze("retrain", retrain)
