--- The journey's part of `check`: where transitions lead, what can't be reached or never fires, and what goes to and fro.
local calendar = require "calendar"
local chart = require "chart"
local freeze = require "frozen"
local naming = require "naming"
local sales = require "sales"
local tree = require "tree"

local names_of, find, called, show_limit = naming.all, naming.find, naming.called, naming.limit

-- The engine's bounds (artifact.h, policy.h).
local LIMITS = { stages = 64, transitions = 512, timers = 4, was = 256, regions = 4, notes = 64 }

local function check_events(go)
  if not go.on or not tree.signals or not tree.signals.events then return end
  for _, event in ipairs(go.on) do
    local known = sales.meaning(event) ~= nil
    for _, name in ipairs(tree.signals.events) do
      known = known or name == event
    end
    if not known then
      tree.problem(
        go,
        "no event '%s' in the signal set '%s'%s",
        event,
        tree.signals.name,
        tree.hint(event, tree.signals.events)
      )
    end
  end
end

local function check_target(go, names)
  local stage, target = go.source, go.target
  if not target then
    tree.problem(go, "no stage '%s'%s", go.name, tree.hint(go.name, names))
  elseif target.is_region then
    tree.problem(go, "%s: '%s' is a region; name a stage inside it", called(go), go.name)
  elseif target.top ~= stage.top then
    tree.problem(go, "%s: '%s' is of another region, which moves by itself: ask for it with journey.at", called(go), go.name)
  elseif chart.leaf(stage) == target and not go.on and not go.timer then
    tree.problem(go, "stage '%s' goes to itself; only with on, after or at, which fire once, is that of use", stage.name)
  end
  if go.resume and target and not target.initial then
    tree.problem(go, "%s: resume goes to the stage that the lead was in last inside '%s', and nothing lies inside it", called(go), go.name)
  end
end

local function check_stage(stage)
  if stage.initial then return end
  if not stage.final and stage.transitions and #chart.tried(stage) == 0 then
    tree.problem(
      stage,
      "stage '%s' has no way out; write journey.final \"%s\" when that is meant",
      stage.name,
      stage.name
    )
  end
end

local function timers_of(stage)
  local count = 0
  for _, go in ipairs(stage.transitions or {}) do
    if go.timer then count = count + 1 end
  end
  return count
end

-- The timers that can run at once: in the fullest leaf of each machine, its own and those of the stages around it.
local function check_timers()
  local most = {}
  for _, stage in ipairs(tree.stages) do
    local count = timers_of(stage)
    if count > LIMITS.timers then
      tree.problem(stage, "stage '%s' has %d transitions with after or at; at most %d", stage.name, count, LIMITS.timers)
      return
    end
    local around = stage.parent
    while around do
      count, around = count + timers_of(around), around.parent
    end
    local machine = stage.top or "main"
    if count > (most[machine] and most[machine].count or 0) then most[machine] = { count = count, stage = stage } end
  end
  local sum, fullest = 0, nil
  for _, stage in ipairs(tree.stages) do -- in their order
    local found = most[stage.top or "main"]
    if found and found.stage == stage then
      sum = sum + found.count
      fullest = stage
    end
  end
  if sum > LIMITS.timers then
    tree.problem(
      fullest,
      "%d timers can run at once (in stage '%s', those around it, and the other regions); at most %d",
      sum,
      fullest.name,
      LIMITS.timers
    )
  end
end

local function check_targets(names)
  for _, stage in ipairs(tree.stages) do
    for _, go in ipairs(stage.transitions or {}) do
      check_target(go, names)
      check_events(go)
    end
    check_stage(stage)
  end
  check_timers()
end

-- A misspelt stage has been told. What it cuts off is no fault of its own.
local function all_targets_known()
  for _, stage in ipairs(tree.stages) do
    for _, go in ipairs(stage.transitions or {}) do
      if not go.target or go.target.top ~= go.source.top then return false end
    end
  end
  return true
end

-- Leaves that a lead can come to. A lead that goes back to where it was last was there before.
local function check_reached()
  if not all_targets_known() then return end
  local start = find(tree.stages, tree.start.name)
  local reached, queue = {}, {}
  local function reach(leaf)
    if reached[leaf] then return end
    queue[#queue + 1] = leaf
    while leaf do
      reached[leaf], leaf = true, leaf.parent
    end
  end
  reach(chart.leaf(start))
  for _, stage in ipairs(tree.stages) do
    if stage.is_region then reach(chart.leaf(stage)) end
  end
  while #queue > 0 do
    for _, go in ipairs(chart.tried(table.remove(queue))) do
      reach(chart.leaf(go.target))
    end
  end
  for _, stage in ipairs(tree.stages) do
    if not reached[stage] then
      local from = stage.top and stage.top.start or tree.start.name
      tree.problem(stage, "stage '%s' can't be reached from '%s'", stage.name, from)
    end
  end
end

-- Whether `narrow` holding always means that `wide` does; nil stands for "always". True only where it is sure.
local function implies(narrow, wide)
  if not wide then return true end
  if not narrow then return false end
  if narrow == wide then return true end
  if wide.kind == "any" then
    for _, item in ipairs(wide.items) do
      if implies(narrow, item) then return true end
    end
  end
  if narrow.kind == "all" then
    for _, item in ipairs(narrow.items) do
      if implies(item, wide) then return true end
    end
  end
  if narrow.kind ~= wide.kind then return false end
  if narrow.kind ~= "compare" then return narrow.label == wide.label and narrow.kind ~= "unknown" end
  if narrow.value.label ~= wide.value.label then return false end
  if narrow.op == "at_least" and wide.op == "at_least" then return narrow.bound >= wide.bound end
  if narrow.op == "under" and wide.op == "under" then return narrow.bound <= wide.bound end
  return narrow.label == wide.label
end

local function covers_events(wide, narrow)
  if not wide then return true end
  if not narrow then return false end
  for _, event in ipairs(narrow) do
    local found = false
    for _, other in ipairs(wide) do
      found = found or other == event
    end
    if not found then return false end
  end
  return true
end

local function shadows(a, b)
  return not a.broken and not b.broken and not a.timer and covers_events(a.on, b.on) and implies(b.when, a.when)
end

-- The transition that forestalls the `later`th of a list; nil: none does.
local function shadow_of(gos, later)
  for earlier = 1, later - 1 do
    if shadows(gos[earlier], gos[later]) then return gos[earlier] end
  end
end

-- A transition of a stage around others is dead only where it is in each of them: to be told apart in one is what it is for.
local function check_shadows()
  local told, lives, shadow = {}, {}, {}
  for _, leaf in ipairs(tree.stages) do
    local gos = not leaf.initial and chart.tried(leaf) or {}
    for i, go in ipairs(gos) do
      local by = shadow_of(gos, i)
      shadow[go] = shadow[go] or by
      lives[go] = lives[go] or not by
    end
  end
  for _, go in ipairs(tree.goes) do
    local by = shadow[go]
    if by and not lives[go] and not told[go] then
      told[go] = true
      tree.problem(go, "%s never fires: '%s' in line %d always does first", called(go), called(by), by.line)
    end
  end
end

-- The single comparisons that must hold (all) or suffice (any) for a transition.
local function parts(node, kind)
  if not node then return {} end
  while node.items and #node.items == 1 and node.kind ~= "none" do
    node = node.items[1]
  end
  return node.kind == kind and node.items or { node }
end

local UPWARD, DOWNWARD = { at_least = true, above = true }, { under = true, at_most = true }

-- What is wrong between a comparison that enters a stage and one that leaves it again; nil: nothing.
local function flapping(enter, leave)
  if enter.kind ~= "compare" or leave.kind ~= "compare" or enter.value.label ~= leave.value.label then return nil end
  local rises = UPWARD[enter.op] and DOWNWARD[leave.op]
  if not rises and not (DOWNWARD[enter.op] and UPWARD[leave.op]) then return nil end
  local gap = rises and enter.bound - leave.bound or leave.bound - enter.bound
  if gap < 0 then return "overlap" end
  return gap == 0 and "touch" or nil
end

local function warn_flapping(out, back, enter, leave, how)
  local of, bound = enter.value, show_limit(enter.value, enter.bound)
  if how == "overlap" then
    local low, high = math.min(enter.bound, leave.bound), math.max(enter.bound, leave.bound)
    tree.warn(
      back,
      "%s and %s can both hold from %s to %s: the lead would go to and fro",
      called(out),
      called(back),
      show_limit(of, low),
      show_limit(of, high)
    )
  else
    tree.warn(
      back,
      "%s and %s use the same bound, '%s' and '%s': a value that moves about %s moves the lead to and fro; "
        .. "leave a gap between the two, or let one of them wait (after)",
      called(out),
      called(back),
      enter.label,
      leave.label,
      bound
    )
  end
end

local function is_plain(go) return not go.on and not go.timer end

local function check_flapping_pair(out, back, told)
  for _, enter in ipairs(parts(out.when, "all")) do
    for _, leave in ipairs(parts(back.when, "any")) do
      local how = flapping(enter, leave)
      if how and not told[leave.label .. "\n" .. enter.label] then
        told[enter.label .. "\n" .. leave.label] = true
        warn_flapping(out, back, enter, leave, how)
      end
    end
  end
end

-- There and back again on the same value without a gap between the thresholds; of each pair of transitions once.
local function check_flapping()
  local told = {}
  for _, leaf in ipairs(tree.stages) do
    for _, out in ipairs(not leaf.initial and chart.tried(leaf) or {}) do
      local target = out.target and is_plain(out) and chart.leaf(out.target)
      for _, back in ipairs(target and chart.tried(target) or {}) do
        if back.target and chart.leaf(back.target) == leaf and is_plain(back) then check_flapping_pair(out, back, told) end
      end
    end
  end
end

-- Timers that count business time, or go by a clock, know by whose.
local function check_calendars()
  for _, go in ipairs(tree.goes) do
    if go.at or go.after and not go.after.ms then
      go.by = calendar.of(go)
    elseif go.calendar then
      tree.problem(go, "%s: calendar says nothing here: only business time and at go by one", called(go))
    end
  end
end

-- Where the leads of stages that are gone are now.
local function check_was(names)
  for _, was in ipairs(tree.was) do
    if find(tree.stages, was.name) then
      tree.problem(was, "%s: stage '%s' is still there; only what is gone needs it", called(was), was.name)
    end
    if not find(tree.stages, was.now) then
      tree.problem(was, "%s: no stage '%s'%s", called(was), was.now, tree.hint(was.now, names))
    end
  end
  if #tree.was > LIMITS.was then tree.problem(tree.was[LIMITS.was + 1], "journey.was: at most %d of them", LIMITS.was) end
end

local function check_notes()
  local seen, count = {}, 0
  for _, effect in ipairs(tree.effects) do
    if effect.kind == "note" and not seen[effect.name] then
      seen[effect.name], count = true, count + 1
      if count > LIMITS.notes then tree.problem(effect, "at most %d notes", LIMITS.notes) end
    end
  end
end

-- What is done on the way in and out, and what asks where a lead is.
local function check_effects(names)
  check_notes()
  for _, effect in ipairs(tree.effects) do
    if not effect.is_used then
      tree.problem(effect, "journey.%s '%s' stands in no on_entry or on_exit", effect.kind, effect.name)
    elseif effect.kind == "clear" then
      local evidence = find(tree.evidence, effect.name)
      if not evidence then
        tree.problem(effect, "journey.clear: no evidence '%s'%s", effect.name, tree.hint(effect.name, names_of(tree.evidence)))
      elseif not evidence.half_life_ms then
        tree.problem(effect, "journey.clear: evidence '%s' has no half_life: it keeps nothing that could be cleared", effect.name)
      end
      effect.evidence = evidence
    end
  end
  for _, node in ipairs(tree.made) do
    if (node.kind == "at" or node.kind == "entered") and not find(tree.stages, node.stage) then
      tree.problem(node, "journey.%s: no stage '%s'%s", node.kind, node.stage, tree.hint(node.stage, names))
    end
  end
end

-- How many transitions there are when each is counted in every leaf in which it is tried.
local function check_sizes(names)
  local tried, regions = 0, 0
  for _, stage in ipairs(tree.stages) do
    if not stage.initial then tried = tried + #chart.tried(stage) end
    if stage.is_region then regions = regions + 1 end
  end
  if #names > LIMITS.stages then tree.problem(tree.stages[LIMITS.stages + 1], "at most %d stages", LIMITS.stages) end
  if tried > LIMITS.transitions then
    tree.problem(tree.stages[1], "at most %d transitions, counted in each stage where they are tried", LIMITS.transitions)
  end
  if regions > LIMITS.regions then tree.problem(tree.stages[1], "at most %d regions", LIMITS.regions) end
end

local check_journey = {}

--- Links stages, transitions and criteria: before what rules read is looked at. What can't be linked is reported.
function check_journey.link() tree.is_linked = chart.link() end

--- Reports into the tree.
function check_journey.run()
  local names = names_of(tree.stages)
  for _, go in ipairs(tree.goes) do
    if not go.from then tree.problem(go, "go '%s' stands outside of a journey.stage", go.name) end
  end
  if not tree.is_linked then return end
  check_targets(names)
  check_calendars()
  check_was(names)
  check_effects(names)
  check_sizes(names)
  if not tree.start then
    tree.problem(tree.stages[1] or tree.policy, 'no journey.start "stage": where does a lead begin?')
  elseif not find(tree.stages, tree.start.name) then
    tree.problem(tree.start, "no stage '%s'%s", tree.start.name, tree.hint(tree.start.name, names))
  elseif find(tree.stages, tree.start.name).top then
    tree.problem(tree.start, "journey.start '%s' is of a region, which has a start of its own", tree.start.name)
  else
    check_reached()
  end
  check_shadows()
  check_flapping()
end

return freeze("check_journey", check_journey)
