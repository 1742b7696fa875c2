--- The journey's part of `check`: where transitions lead, what can't be reached or never fires, and what goes to and fro.
local calendar = require "calendar"
local freeze = require "frozen"
local naming = require "naming"
local sales = require "sales"
local tree = require "tree"

local names_of, find, called, show_limit = naming.all, naming.find, naming.called, naming.limit

-- The engine's bounds (artifact.h, policy.h).
local LIMITS = { stages = 64, transitions = 512, timers = 4, was = 256 }

local function check_targets(names)
  for _, stage in ipairs(tree.stages) do
    local timers = 0
    for _, go in ipairs(stage.transitions or {}) do
      if not find(tree.stages, go.name) then
        tree.problem(go, "no stage '%s'%s", go.name, tree.hint(go.name, names))
      elseif go.name == stage.name then
        tree.problem(go, "stage '%s' goes to itself", stage.name)
      end
      if go.timer then timers = timers + 1 end
      if go.on and tree.signals and tree.signals.events then
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
    end
    if timers > LIMITS.timers then
      tree.problem(stage, "stage '%s' has %d transitions with after or at; at most %d", stage.name, timers, LIMITS.timers)
    end
    if not stage.final and stage.transitions and #stage.transitions == 0 then
      tree.problem(
        stage,
        "stage '%s' has no way out; write journey.final \"%s\" when that is meant",
        stage.name,
        stage.name
      )
    end
  end
end

local function check_reached()
  -- A misspelt stage has been told. What it cuts off is no fault of its own.
  for _, stage in ipairs(tree.stages) do
    for _, go in ipairs(stage.transitions or {}) do
      if not find(tree.stages, go.name) then return end
    end
  end
  local reached, queue = { [tree.start.name] = true }, { (find(tree.stages, tree.start.name)) }
  while #queue > 0 do
    for _, go in ipairs(table.remove(queue).transitions or {}) do
      local stage = find(tree.stages, go.name)
      if stage and not reached[go.name] then
        reached[go.name] = true
        queue[#queue + 1] = stage
      end
    end
  end
  for _, stage in ipairs(tree.stages) do
    if not reached[stage.name] then
      tree.problem(stage, "stage '%s' can't be reached from '%s'", stage.name, tree.start.name)
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

local function check_shadows()
  for _, stage in ipairs(tree.stages) do
    local gos = stage.transitions or {}
    for later = 2, #gos do
      for earlier = 1, later - 1 do
        local a, b = gos[earlier], gos[later]
        if
          not a.broken
          and not b.broken
          and not a.timer
          and covers_events(a.on, b.on)
          and implies(b.when, a.when)
        then
          tree.problem(b, "%s never fires: '%s' in line %d always does first", called(b), called(a), a.line)
          break
        end
      end
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

-- There and back again on the same value without a gap between the thresholds; of each pair of transitions once.
local function check_flapping()
  local told = {}
  for _, stage in ipairs(tree.stages) do
    for _, out in ipairs(stage.transitions or {}) do
      local target = find(tree.stages, out.name)
      for _, back in ipairs(target and not out.on and not out.timer and target.transitions or {}) do
        if back.name == stage.name and not back.on and not back.timer then
          for _, enter in ipairs(parts(out.when, "all")) do
            for _, leave in ipairs(parts(back.when, "any")) do
              local how = flapping(enter, leave)
              local pair = enter.label .. "\n" .. leave.label
              if how and not told[leave.label .. "\n" .. enter.label] then
                told[pair] = true
                warn_flapping(out, back, enter, leave, how)
              end
            end
          end
        end
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

local check_journey = {}

--- Reports into the tree.
function check_journey.run()
  local names = names_of(tree.stages)
  for _, go in ipairs(tree.goes) do
    if not go.from then tree.problem(go, "go '%s' stands outside of a journey.stage", go.name) end
  end
  check_targets(names)
  check_calendars()
  check_was(names)
  local transitions = 0
  for _, stage in ipairs(tree.stages) do
    transitions = transitions + #(stage.transitions or {})
  end
  if #names > LIMITS.stages then tree.problem(tree.stages[LIMITS.stages + 1], "at most %d stages", LIMITS.stages) end
  if transitions > LIMITS.transitions then
    tree.problem(tree.stages[1], "at most %d transitions", LIMITS.transitions)
  end
  if not tree.start then
    tree.problem(tree.stages[1] or tree.policy, 'no journey.start "stage": where does a lead begin?')
  elseif not find(tree.stages, tree.start.name) then
    tree.problem(tree.start, "no stage '%s'%s", tree.start.name, tree.hint(tree.start.name, names))
  else
    check_reached()
  end
  check_shadows()
  check_flapping()
end

return freeze("check_journey", check_journey)
