--- The journey as a tree: stages inside of stages, and regions beside the main machine. Links what was declared by name, and answers
--- where a transition leads. Words as in SCXML (https://www.w3.org/TR/scxml/): a lead is in one innermost stage (a leaf) of each machine,
--- and in all stages around it. A transition exits everything below the nearest stage around both its ends, innermost first, and enters
--- what lies on the way to its target, outermost first, and from there the stages in which those begin.
local freeze = require "frozen"
local naming = require "naming"
local tree = require "tree"
local value = require "value"

local chart = {}

--- The stages and regions that lie deeper than this are refused.
chart.DEPTH_MAX = 4

--- Whether `stage` is `around` or lies inside it.
function chart.within(stage, around)
  while stage and stage ~= around do
    stage = stage.parent
  end
  return stage ~= nil
end

--- The innermost stage where a lead is that enters `stage`.
function chart.leaf(stage)
  while stage.initial do
    stage = stage.initial
  end
  return stage
end

--- The leaves of `stage`, in the order of their declaration: itself when nothing lies inside it.
function chart.leaves(stage)
  local out = {}
  for _, leaf in ipairs(tree.stages) do
    if #leaf.children == 0 and chart.within(leaf, stage) then out[#out + 1] = leaf end
  end
  return out
end

--- The transitions that are tried in a leaf, in their order: its own, then those of the stages around it, from the inside out.
function chart.tried(leaf)
  local out, stage = {}, leaf
  while stage do
    for _, go in ipairs(stage.transitions or {}) do
      out[#out + 1] = go
    end
    stage = stage.parent
  end
  return out
end

--- The innermost stage around both ends of a transition, that is neither; nil: none, or the machine itself.
function chart.around(go)
  local stage = go.source.parent
  while stage and not chart.within(go.target.parent, stage) do
    stage = stage.parent
  end
  return stage
end

--- Whether `stage` is entered (or exited) by a transition for sure, when the lead is in it afterwards (or before).
function chart.crosses(go, stage)
  local around = chart.around(go)
  return stage ~= around and (around == nil or chart.within(stage, around)) and stage.top == go.source.top
end

local function link_parents(names)
  for _, stage in ipairs(tree.stages) do
    stage.children = {}
  end
  for _, stage in ipairs(tree.stages) do
    local parent = stage.inside and naming.find(tree.stages, stage.inside)
    if stage.inside and not parent then
      tree.problem(stage, "stage '%s': no stage '%s' to be inside of%s", stage.name, stage.inside, tree.hint(stage.inside, names))
    elseif parent and not parent.start then
      tree.problem(
        parent,
        "%s has stages inside it and no start: in which of them does a lead begin that comes here? start = \"%s\"",
        naming.called(parent),
        stage.name
      )
      parent.start = stage.name
    end
    stage.parent = parent
    if parent then parent.children[#parent.children + 1] = stage end
  end
end

-- false where stages lie inside each other in a circle, or too deep.
local function link_depths()
  for _, stage in ipairs(tree.stages) do
    local depth, top = 1, stage
    while top.parent and depth <= chart.DEPTH_MAX do
      depth, top = depth + 1, top.parent
    end
    if depth > chart.DEPTH_MAX then
      tree.problem(stage, "stage '%s' lies inside of more than %d others, or inside of itself", stage.name, chart.DEPTH_MAX - 1)
      return false
    end
    stage.depth = depth
    stage.top = top.is_region and top or nil
  end
  return true
end

local function link_starts()
  for _, stage in ipairs(tree.stages) do
    local start = stage.start and naming.find(tree.stages, stage.start)
    if stage.start and (not start or start.parent ~= stage) then
      tree.problem(
        stage,
        "%s: start is '%s', which is not inside it%s",
        naming.called(stage),
        stage.start,
        tree.hint(stage.start, naming.all(stage.children))
      )
      start = stage.children[1]
    end
    stage.initial = start or nil
  end
end

-- What must hold for a transition: its own condition, the entry of what it enters, the exit of what it leaves.
local function link_criteria(go)
  local items, stage = {}, go.source
  local function add(node)
    if node then items[#items + 1] = node end
  end
  local around = chart.around(go)
  while stage and stage ~= around do
    add(stage.exit)
    stage = stage.parent
  end
  local path = {}
  stage = go.target
  while stage and stage ~= around do
    table.insert(path, 1, stage)
    stage = stage.parent
  end
  stage = not go.resume and go.target.initial
  while stage do
    path[#path + 1], stage = stage, stage.initial
  end
  for _, entered in ipairs(path) do
    add(entered.entry)
  end
  if #items == 0 then return end
  add(go.when)
  go.when = #items == 1 and items[1] or value.all_of(items, go)
end

--- Links stages, and the ends of transitions whose stages are known. False: that can't be done, and is reported.
function chart.link()
  link_parents(naming.all(tree.stages))
  if not link_depths() then return false end
  link_starts()
  for _, go in ipairs(tree.goes) do
    go.source = go.from and naming.find(tree.stages, go.from)
    go.target = naming.find(tree.stages, go.name)
    if go.source and go.target and go.source.top == go.target.top and not go.target.is_region then link_criteria(go) end
  end
  return true
end

return freeze("chart", chart)
