--- Which outcomes of a policy's rules its specs have seen: for each rule whether its condition was ever true and ever
--- false. Asked by `intent test --coverage` with what each decision saw.
local chart = require "chart"
local outline = require "outline"

local tree = outline.tree

-- ---- which rules a decision tried, and what came of it ----

local function stage_of(name)
  for _, stage in ipairs(tree.stages) do
    if stage.name == name then return stage end
  end
end

local function has_go(list, taken)
  for _, go in ipairs(list) do
    if go.number == taken then return true end
  end
  return false
end

-- In one leaf, transitions are tried in their order until one is taken. Returns the leaf that it leads to; nil: none was taken,
-- or where it leads hangs on what was before.
local function try_leaf(leaf, taken, note)
  for _, go in ipairs(chart.tried(leaf)) do
    note(go, go.number == taken)
    if go.number == taken then return not go.resume and chart.leaf(go.target) or nil end
  end
end

-- Steps of the main machine one after the other; a step that is not from the leaf at hand is a region's, or sales had moved the lead.
local function try_journey(row, note)
  local leaf, is_lost = stage_of(row.before), false
  for _, taken in ipairs(row.steps) do
    if leaf and not is_lost and has_go(chart.tried(leaf), taken) then
      leaf = try_leaf(leaf, taken, note)
      is_lost = leaf == nil
    else
      for _, go in ipairs(tree.goes) do
        if go.number == taken then note(go, true) end
      end
    end
  end
  if not row.cut and not is_lost and leaf then try_leaf(leaf, nil, note) end
end

-- What was looked at of a region's transitions and did not hold.
local function try_regions(rules, row)
  for _, rule in ipairs(rules) do
    local stage = rule.kind == "transition" and stage_of(rule.entry.from)
    if stage and (stage.is_region or stage.top) and #rule.parts > 0 and outline.holds(rule, row.fired) == false then
      rule.no = rule.no + 1
    end
  end
end

-- The rules of the stage that was entered, up to the one that chose.
local function try_routes(row, note)
  local chosen = row.route >= 0 and tree.routes[row.route + 1] or nil
  for _, entry in ipairs(tree.entries) do
    local has_chosen = false
    for _, rule in ipairs(entry.rules) do
      has_chosen = has_chosen or rule == chosen
    end
    for _, rule in ipairs(has_chosen and entry.rules or {}) do
      note(rule, rule == chosen)
      if rule == chosen then break end
    end
  end
end

local function is_open(offer, stage)
  for _, name in ipairs(offer.stages or {}) do
    if name == stage then return true end
  end
  return false
end

local function try_offer(rule, row)
  if rule.entry.kind == "otherwise" then
    if row.action == 0 then return true end
    return nil
  end
  if not is_open(rule.entry, row.stage) then return nil end
  return outline.holds(rule, row.fired)
end

-- ---- all decisions ----

local function count(rule, holds)
  if holds == true then rule.yes = rule.yes + 1 end
  if holds == false then rule.no = rule.no + 1 end
end

local function see(rules, by_entry, row)
  if row.eligible then
    local function note(entry, holds)
      if by_entry[entry] then count(by_entry[entry], holds) end
    end
    try_journey(row, note)
    try_regions(rules, row)
    try_routes(row, note)
  end
  for _, rule in ipairs(rules) do
    if rule.kind == "offer" then
      if row.eligible then count(rule, try_offer(rule, row)) end
    elseif rule.kind ~= "transition" and rule.kind ~= "route" then
      count(rule, outline.holds(rule, row.fired))
    end
  end
end

--- ask {rows = {{fired, before, stage, steps = {numbers}, cut, route, action, eligible}…}} ->
--- {rules = {{kind, name, why, path, line, yes, no, has_condition}…}, seen, all}. What always holds has one outcome to
--- see, else there are two.
return function(input)
  outline.load(input)
  local rules, by_entry = outline.rules(), {}
  for _, rule in ipairs(rules) do
    rule.yes, rule.no = 0, 0
    by_entry[rule.entry] = by_entry[rule.entry] or rule
  end
  for _, row in ipairs(input.ask.rows) do
    see(rules, by_entry, row)
  end
  local out = { rules = {}, seen = 0, all = 0 }
  for i, rule in ipairs(rules) do
    local has_condition = #rule.parts > 0
    out.rules[i] = { kind = rule.kind, name = rule.title, why = rule.why, path = rule.path, line = rule.line,
      yes = rule.yes, no = rule.no, has_condition = has_condition }
    out.all = out.all + (has_condition and 2 or 1)
    out.seen = out.seen + (rule.yes > 0 and 1 or 0) + (has_condition and rule.no > 0 and 1 or 0)
  end
  return out
end
