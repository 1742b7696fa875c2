--- The journey's part of a compiled policy: stages and transitions by number, and the function that steps through them.
local chunk = require "chunk"
local freeze = require "frozen"
local numbering = require "numbering"
local tracing = require "tracing"
local tree = require "tree"

local compile_journey = {}

local input, output, condition, traced = chunk.input, chunk.output, chunk.condition, chunk.traced

-- Stages, the start first; transitions in the order in which they are tried.
function compile_journey.number(plan)
  plan.stages = {}
  for _, stage in ipairs(tree.stages) do
    if stage.name == tree.start.name then
      table.insert(plan.stages, 1, stage)
    else
      plan.stages[#plan.stages + 1] = stage
    end
  end
  plan.stage_number = numbering.by_name(plan.stages)
  plan.transitions = {}
  for _, stage in ipairs(plan.stages) do
    for _, go in ipairs(stage.transitions) do
      go.number = #plan.transitions
      plan.transitions[go.number + 1] = go
      for _, event in ipairs(go.on or {}) do
        if not plan.event_number[event] then
          plan.event_number[event], plan.events[#plan.events + 1] = #plan.events, event
        end
      end
    end
  end
end

-- A transition's `on` and `after` are conditions of their own, so that an explanation can name what was missing.
function compile_journey.number_conditions(plan, go)
  numbering.rule(plan, go, go.when)
  if go.on then
    go.on_node = { label = "event is " .. table.concat(go.on, " or "), path = go.path, line = go.line }
  elseif go.timer then
    local label = go.after and ("%s in %s"):format(go.after.text, go.from) or ("%s came"):format(go.at.text)
    go.on_node = { label = label, path = go.path, line = go.line }
  end
  if go.on_node then
    numbering.condition(plan, go.on_node)
    go.uses[#go.uses + 1] = go.on_node.number
  end
end

local function transition_guard(e, go)
  local parts = {}
  if go.on then
    local events = {}
    for i, event in ipairs(go.on) do
      events[i] = input(e, "events", e.plan.event_number[event]) .. " == 1"
    end
    parts[1] = "first and " .. traced(e, go.on_node, table.concat(events, " or "))
  elseif go.timer then
    parts[1] = "first and " .. traced(e, go.on_node, ("%s == %d"):format(input(e, "timer"), go.number + 1))
  end
  if go.when then parts[#parts + 1] = condition(e, go.when) end
  return #parts > 0 and table.concat(parts, " and ") or "true"
end

-- pick_N(stage, first) -> transition and its target, or -1: a function for some stages' transitions each.
local function emit_picks(e)
  local lines, groups, count = e.lines, {}, chunk.BLOCKS_A_FUNCTION
  for number, stage in ipairs(e.plan.stages) do
    if #stage.transitions > 0 then
      if count + #stage.transitions > chunk.BLOCKS_A_FUNCTION then
        groups[#groups + 1], count = { last = 0, body = {} }, 0
      end
      count = count + #stage.transitions
      local group = groups[#groups]
      group.last = number - 1
      group.body[#group.body + 1] = ("  if stage == %d then"):format(number - 1)
      for _, go in ipairs(stage.transitions) do
        group.body[#group.body + 1] = ("    if %s then return %d, %d end"):format(
          tracing.tried(e, go, transition_guard(e, go)),
          go.number,
          e.plan.stage_number[go.name]
        )
      end
      group.body[#group.body + 1] = "    return -1, 0\n  end"
    end
  end
  for i, group in ipairs(groups) do
    lines[#lines + 1] = ("local function pick_%d(stage, first)\n%s\n  return -1, 0\nend"):format(
      i,
      table.concat(group.body, "\n")
    )
  end
  lines[#lines + 1] = "local function pick(stage, first)"
  for i, group in ipairs(groups) do
    lines[#lines + 1] = ("  if stage <= %d then return pick_%d(stage, first) end"):format(group.last, i)
  end
  lines[#lines + 1] = "  return -1, 0\nend"
end

function compile_journey.emit(e)
  emit_picks(e)
  local steps = e.plan.output.steps
  local entered = {}
  for i, entry in ipairs(tree.entries) do
    entered[i] = ("    if stage == %d then %s = %d end"):format(
      e.plan.stage_number[entry.name],
      output(e, "entered"),
      i
    )
  end
  e.lines[#e.lines + 1] = ([[
local function journey()
  local stage, count = %s, 0
  local taken, to = pick(stage, true)
  while taken >= 0 and count < %d do
    O[%d + count] = taken
    count = count + 1
    stage = to
%s
    taken, to = pick(stage, false)
  end
  %s = stage
  O[%d] = count
  if taken >= 0 then O[%d] = 1 end
end]]):format(
    input(e, "stage"),
    chunk.STEPS_MAX,
    steps + 1,
    table.concat(entered, "\n"),
    output(e, "stage"),
    steps,
    steps + 1 + chunk.STEPS_MAX
  )
end

--- What a transition's row says beside its name and reason.
function compile_journey.transition_row(plan, go)
  local row = { from = plan.stage_number[go.from], to = plan.stage_number[go.name], after_ms = 0 }
  row.calendar = go.by and go.by.number
  if go.after then
    row.after_ms, row.open_ms, row.open_days = go.after.ms or 0, go.after.open_ms, go.after.open_days
  elseif go.at then
    row.at_day, row.at_minute = go.at.day, go.at.minute
  end
  return row
end

function compile_journey.rows(plan)
  local out = {}
  for i, stage in ipairs(plan.stages) do
    out[i] = { name = stage.name, final = stage.final or false, path = stage.path, line = stage.line }
  end
  return out
end

--- Stages that are gone, and the number of the one that their leads are in now.
function compile_journey.was_rows(plan)
  local out = {}
  for i, was in ipairs(tree.was) do
    out[i] = { name = was.name, to = plan.stage_number[was.now], why = was.why, path = was.path, line = was.line }
  end
  return out
end

return freeze("compile_journey", compile_journey)
