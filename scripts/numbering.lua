--- Numbers for what a compiled policy refers to: conditions, text tests, ages and draws, each once, in the plan that
--- scripts/compile.lua lays the arrays out by.
local freeze = require "frozen"
local value = require "value"

local numbering = {}

--- The place of each entry of a list, from 0, by its name.
function numbering.by_name(list)
  local index = {}
  for i, entry in ipairs(list) do
    index[entry.name] = i - 1
  end
  return index
end

--- Gives a node its place among the conditions, under a name for people.
function numbering.condition(plan, node, name)
  node.number = #plan.conditions
  plan.conditions[node.number + 1] = { name = name or node.label, path = node.path, line = node.line }
end

local function add_test(plan, node)
  local known = plan.test_number[node.label]
  if not known then
    known = #plan.tests
    plan.test_number[node.label] = known
    plan.tests[known + 1] = { feature = node.feature.name, any = node.any, known = node.known }
  end
  node.test = known
end

-- The place of a feature's age among the ages that the policy asks for.
local function add_age(plan, node)
  local name = node.feature.name
  if not plan.age_number[name] then
    plan.age_number[name] = #plan.ages
    plan.ages[#plan.ages + 1] = name
  end
  local least = plan.age_asked[name]
  plan.age_asked[name] = math.min(least or node.bound, node.bound)
end

local LEAF = { compare = true, test = true, known = true, truth = true, at = true, entered = true }

--- Numbers a rule's conditions; entry.uses lists them.
function numbering.rule(plan, entry, node)
  local uses, seen = {}, {}
  if node then
    value.walk(node, function(below)
      if below.kind == "age" then add_age(plan, below) end
      if LEAF[below.kind] and not below.number then
        if below.kind == "test" then add_test(plan, below) end
        numbering.condition(plan, below)
      end
      local number = below.kind == "gate" and plan.gate_condition[below.gate] or LEAF[below.kind] and below.number
      if number and not seen[number] then
        seen[number] = true
        uses[#uses + 1] = number
      end
    end)
  end
  entry.uses = uses
end

--- A number in [0, 1) drawn by a salt: the same one for all who name it.
function numbering.draw(plan, draw)
  local known = plan.draw_number[draw.salt]
  if known then return known end
  plan.draw_number[draw.salt] = #plan.draws
  plan.draws[#plan.draws + 1] = draw
  return #plan.draws - 1
end

return freeze("numbering", numbering)
