--- A policy's tree as the tools see it: the policy's text is run as a build runs it (scripts/build.lua), and what it
--- declared is listed in the order of the text. Kinds of rules that this file does not know are listed like the others.
local check = require "check"
local compile = require "compile"
local tree = require "tree"
local value = require "value"

local outline = {}

--- Runs the policy's text, checks and compiles it. `input`: the build's (core/policy/artifact.h). The policy was loaded
--- before, so that nothing is wrong with it.
function outline.load(input)
  if outline.loaded then return end
  tree.begin(input)
  require(input.policy .. ".policy")
  check.run()
  compile.run() -- numbers conditions and transitions
  outline.loaded = true
end

local KINDS = {
  go = "transition",
  ["route.to"] = "route",
  ["route.otherwise"] = "route",
  otherwise = "offer",
}
-- What decides even without a condition.
local ALWAYS = { offer = true, go = true, ["route.to"] = true, ["route.otherwise"] = true, otherwise = true }

local function parts_of(entry)
  local parts = {}
  for _, key in ipairs { "on_node", "when" } do
    if entry[key] then parts[#parts + 1] = entry[key] end
  end
  return parts
end

local function rule_of(entry)
  local kind = KINDS[entry.kind] or entry.kind
  local title = entry.kind == "go" and ("%s -> %s"):format(entry.from or "?", entry.name) or entry.name
  return {
    kind = kind,
    name = entry.name,
    title = title,
    why = entry.why,
    path = entry.path,
    line = entry.line,
    entry = entry,
    parts = parts_of(entry), -- conditions that must all hold; none: it always does
  }
end

--- Every rule: {kind, name, title, why, path, line, entry, parts = {conditions that must all hold}}.
function outline.rules()
  local rules = {}
  local head = tree.policy
  if head and head.eligible then
    rules[1] = { kind = "eligible", name = "eligible", title = "eligible", why = head.rationale, path = head.path,
      line = head.line, entry = head, parts = { head.eligible } }
  end
  for _, entry in ipairs(tree.pending) do
    local is_rule = entry.has_body and entry ~= head and (ALWAYS[entry.kind] or #parts_of(entry) > 0)
    if is_rule then rules[#rules + 1] = rule_of(entry) end
  end
  return rules
end

-- ---- what a decision saw ----

local function mark(fired, number)
  local sign = number and fired:sub(number + 1, number + 1) or "-"
  if sign == "1" then return true end
  if sign == "0" then return false end
  return nil
end

local function gate_of(name)
  for _, gate in ipairs(tree.gates) do
    if gate.name == name then return gate end
  end
end

--- Whether a condition held in a decision; nil: it was not reached. `fired`: a sign a condition, "1", "0" or "-".
function outline.truth(node, fired)
  if node.kind == "gate" then
    local gate = gate_of(node.gate)
    return gate and gate.condition and mark(fired, gate.condition.number)
  end
  if not node.items then return mark(fired, node.number) end
  local is_all, is_open = node.kind == "all", false
  for _, item in ipairs(node.items) do
    local holds = outline.truth(item, fired)
    if holds == nil then
      is_open = true
    elseif holds ~= is_all then -- one is enough
      return node.kind == "any"
    end
  end
  if is_open then return nil end
  return node.kind ~= "any"
end

--- The same of all parts of a rule together.
function outline.holds(rule, fired)
  local is_open = false
  for _, part in ipairs(rule.parts) do
    local holds = outline.truth(part, fired)
    if holds == false then return false end
    is_open = is_open or holds == nil
  end
  if is_open then return nil end
  return true
end

-- Conditions that have a mark of their own, below a node; `is_wanted`: whether it should hold.
local function each_leaf(node, is_wanted, visit)
  if node.kind == "none" then is_wanted = not is_wanted end
  if not node.items then return visit(node, is_wanted) end
  for _, item in ipairs(node.items) do
    each_leaf(item, is_wanted, visit)
  end
end

--- Leaves that stand in a rule's way: visit(node, holds), holds true where it should not.
function outline.missing(rule, fired, visit)
  for _, part in ipairs(rule.parts) do
    if outline.truth(part, fired) ~= true then
      each_leaf(part, true, function(node, is_wanted)
        local holds = outline.truth(node, fired)
        if holds ~= nil and holds ~= is_wanted then visit(node, holds) end
      end)
    end
  end
end

--- Every value node below a node: visit(node).
function outline.values(node, visit)
  value.walk(node, function(below)
    if below.class == "value" then visit(below) end
  end)
end

outline.tree = tree
return outline
