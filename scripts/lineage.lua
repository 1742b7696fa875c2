--- Which rules of a policy read which features: for `intent feature lineage`, and for whoever changes a feature.
local freeze = require "frozen"
local tree = require "tree"

local lineage = {}

-- Conditions that look at a value; those that put others together have no name of their own.
local LEAF = { compare = true, test = true, known = true, truth = true, at = true, entered = true }

-- Calls `visit(feature, condition)` for each feature below a node; condition: what looks at it, nil: a reckoning.
local function each_feature(node, condition, visit)
  if not node then return end
  if LEAF[node.kind] then condition = node end
  if node.kind == "feature" then visit(node, condition) end
  for _, list in ipairs { node.items or {}, node.reads or {} } do
    for _, item in ipairs(list) do
      each_feature(item, condition, visit)
    end
  end
  for _, key in ipairs { "value", "feature", "left", "right" } do
    each_feature(node[key], condition, visit)
  end
end

--- {{feature (its number from 0), kind, name, condition, path, line}…}: each feature, rule and condition once, in the order
--- of the rules. `plan`: compile.lua's, for transitions and what makes eligible.
function lineage.reads(plan)
  local out, seen = {}, {}
  local function add(kind, name, entry, node)
    each_feature(node, nil, function(feature, condition)
      local label = condition and condition.label or ""
      local key = table.concat({ feature.index, kind, name, label }, "\n")
      if seen[key] then return end
      seen[key] = true
      out[#out + 1] = {
        feature = feature.index,
        kind = kind,
        name = name,
        condition = label,
        path = entry.path,
        line = entry.line,
      }
    end)
  end
  for _, list in ipairs { tree.evidence, tree.gates, tree.adjustments } do
    for _, entry in ipairs(list) do
      add(entry.kind:match "[^.]*$", entry.name, entry, entry.when)
    end
  end
  for _, entry in ipairs(plan.eligibility) do
    add("eligible", entry.name, entry, entry.node)
  end
  for _, go in ipairs(plan.transitions) do
    add("transition", go.from .. " -> " .. go.name, go, go.when)
  end
  for _, rule in ipairs(tree.routes) do
    add("route", rule.name, rule, rule.when)
  end
  for _, offer in ipairs(tree.offers) do
    add("offer", offer.name, offer, offer.when)
    add("offer", offer.name, offer, offer.consent)
    add("offer", offer.name, offer, offer.utility)
  end
  for _, way in ipairs(tree.ways) do
    add("channel", way.name, way, way.consent)
    add("channel", way.name, way, type(way.zone) == "table" and way.zone or nil)
  end
  return out
end

return freeze("lineage", lineage)
