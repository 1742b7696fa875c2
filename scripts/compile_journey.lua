--- The journey's part of a compiled policy: stages and transitions by number, and the function that steps through them.
local chart = require "chart"
local chunk = require "chunk"
local compile_memory = require "compile_memory"
local freeze = require "frozen"
local naming = require "naming"
local numbering = require "numbering"
local tracing = require "tracing"
local tree = require "tree"

local compile_journey = {}

local input, output, condition, traced = chunk.input, chunk.output, chunk.condition, chunk.traced

-- Stages: where a lead begins comes first, then the others as they are declared. Machines: the main one, which has no stage of its own,
-- and the regions. Transitions in the order in which they are tried.
function compile_journey.number(plan)
  local start = chart.leaf((naming.find(tree.stages, tree.start.name)))
  plan.stages, plan.machines, plan.places, plan.histories = { start }, { { number = 0 } }, {}, {}
  for _, stage in ipairs(tree.stages) do
    if stage ~= start then plan.stages[#plan.stages + 1] = stage end
  end
  plan.stage_number = numbering.by_name(plan.stages)
  for i, stage in ipairs(plan.stages) do
    stage.number = i - 1
    if stage.is_region then
      plan.machines[#plan.machines + 1] = { number = #plan.machines, region = stage }
      stage.machine = plan.machines[#plan.machines]
    end
    if stage.initial then
      stage.place = #plan.places
      plan.places[stage.place + 1] = stage
    end
  end
  plan.transitions = {}
  for _, stage in ipairs(plan.stages) do
    for _, go in ipairs(stage.transitions) do
      go.number = #plan.transitions
      plan.transitions[go.number + 1] = go
      if go.resume and not go.target.history then
        go.target.history = #plan.histories
        plan.histories[go.target.history + 1] = go.target
      end
      for _, event in ipairs(go.on or {}) do
        if not plan.event_number[event] then
          plan.event_number[event], plan.events[#plan.events + 1] = #plan.events, event
        end
      end
    end
  end
  compile_journey.number_effects(plan)
end

-- What is done when a stage is entered or left; notes of one name are one.
function compile_journey.number_effects(plan)
  plan.notes, plan.note_number, plan.entered, plan.entered_number = {}, {}, {}, {}
  for _, effect in ipairs(tree.effects) do
    if effect.kind == "note" and not plan.note_number[effect.name] then
      plan.note_number[effect.name] = #plan.notes
      plan.notes[#plan.notes + 1] = effect
    end
  end
  for _, node in ipairs(tree.made) do
    if node.kind == "entered" and not plan.entered_number[node.stage] then
      plan.entered_number[node.stage] = #plan.entered
      plan.entered[#plan.entered + 1] = node.stage
    end
  end
  local function at_stage(e, name)
    local stage = naming.find(tree.stages, name)
    return compile_journey.is_in(compile_journey.place_of(e, stage), stage)
  end
  plan.at_stage = at_stage
  plan.entered_stage = function(e, name) return output(e, "flags", plan.entered_number[name]) .. " == 1" end
end

-- Where the leaf of a stage's machine stands.
function compile_journey.place_of(e, stage)
  local region = stage.is_region and stage or stage.top
  return region and output(e, "regions", region.machine.number - 1) or output(e, "stage")
end

-- "the leaf in `text` is this stage or lies inside it"
function compile_journey.is_in(text, stage)
  local parts = {}
  for i, leaf in ipairs(chart.leaves(stage)) do
    parts[i] = ("%s == %d"):format(text, leaf.number)
  end
  return #parts == 1 and parts[1] or "(" .. table.concat(parts, " or ") .. ")"
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

local function target_of(go)
  if go.resume then return ("resume_%d()"):format(go.target.history) end
  return ("%d"):format(chart.leaf(go.target).number)
end

-- resume_N(): the leaf that the lead is in when it goes back to where it was last inside a stage.
local function emit_histories(e)
  for i, stage in ipairs(e.plan.histories) do
    local lines = { ("local function resume_%d()\n  local last = %s"):format(i - 1, output(e, "histories", i - 1)) }
    for _, child in ipairs(stage.children) do
      lines[#lines + 1] = ("  if last == %d then return %d end"):format(child.number, chart.leaf(child).number)
    end
    lines[#lines + 1] = ("  return %d\nend"):format(chart.leaf(stage).number)
    e.lines[#e.lines + 1] = table.concat(lines, "\n")
  end
end

-- pick_M(stage, first) -> transition and its target, or -1, of one machine: a function for some stages' transitions each.
local function emit_picks(e, machine)
  local lines, groups, count, name = e.lines, {}, chunk.BLOCKS_A_FUNCTION, "pick_" .. machine.number
  for _, leaf in ipairs(e.plan.stages) do
    local tried = leaf.top == machine.region and not leaf.initial and chart.tried(leaf) or {}
    if #tried > 0 then
      if count + #tried > chunk.BLOCKS_A_FUNCTION then
        groups[#groups + 1], count = { last = 0, body = {} }, 0
      end
      count = count + #tried
      local group = groups[#groups]
      group.last = leaf.number
      group.body[#group.body + 1] = ("  if stage == %d then"):format(leaf.number)
      for _, go in ipairs(tried) do
        group.body[#group.body + 1] =
          ("    if %s then return %d, %s end"):format(tracing.tried(e, go, transition_guard(e, go)), go.number, target_of(go))
      end
      group.body[#group.body + 1] = "    return -1, 0\n  end"
    end
  end
  for i, group in ipairs(groups) do
    lines[#lines + 1] = ("local function %s_%d(stage, first)\n%s\n  return -1, 0\nend"):format(
      name,
      i,
      table.concat(group.body, "\n")
    )
  end
  lines[#lines + 1] = ("local function %s(stage, first)"):format(name)
  for i, group in ipairs(groups) do
    lines[#lines + 1] = ("  if stage <= %d then return %s_%d(stage, first) end"):format(group.last, name, i)
  end
  lines[#lines + 1] = "  return -1, 0\nend"
end

-- "this transition exits, or enters, the stage", given that the lead was, or is, in it; nil: any does, as a leaf's.
local function crossing(e, stage)
  if not stage.initial then return nil end
  local parts = {}
  for _, go in ipairs(e.plan.transitions) do
    if chart.crosses(go, stage) then parts[#parts + 1] = ("taken == %d"):format(go.number) end
  end
  return #parts > 0 and "(" .. table.concat(parts, " or ") .. ")" or "false"
end

local function effect_lines(e, effects)
  local lines = {}
  for i, effect in ipairs(effects) do
    if effect.kind == "note" then
      lines[i] = ("    note(%d)"):format(e.plan.note_number[effect.name])
    elseif effect.kind == "clear" then
      lines[i] = ("    M[%d] = -1"):format(effect.evidence.memory)
    else
      lines[i] = ("    %s = %d"):format(output(e, effect.slot, effect.index), effect.value)
    end
  end
  return table.concat(lines, "\n")
end

-- What entering a stage does beside on_entry: routes and journey.entered ask for it.
local function entry_effects(e, stage)
  local effects = {}
  for _, effect in ipairs(stage.on_entry) do
    effects[#effects + 1] = effect
  end
  for i, entry in ipairs(tree.entries) do
    if entry.name == stage.name then effects[#effects + 1] = { slot = "entered", value = i } end
  end
  local flag = e.plan.entered_number[stage.name]
  if flag then effects[#effects + 1] = { slot = "flags", index = flag, value = 1 } end
  return effects
end

-- The stages of a machine by depth: outermost first, or last.
local function by_depth(e, machine, step)
  local out = {}
  for depth = step > 0 and 1 or chart.DEPTH_MAX, step > 0 and chart.DEPTH_MAX or 1, step do
    for _, stage in ipairs(e.plan.stages) do
      if stage.depth == depth and stage.top == machine.region and stage ~= machine.region then out[#out + 1] = stage end
    end
  end
  return out
end

local function effect_block(e, stage, effects)
  local crossed = crossing(e, stage)
  local guard = compile_journey.is_in("stage", stage) .. (crossed and " and " .. crossed or "")
  return ("  if %s then\n%s\n  end"):format(guard, effect_lines(e, effects))
end

-- leave_M(taken, stage) and enter_M(taken, stage), where there is something to do then. The last stage inside another is noted when it is
-- entered: a later step may go back there before the lead has left it.
local function emit_effects(e, machine)
  local leave, enter = {}, {}
  for i, stage in ipairs(e.plan.histories) do
    for _, child in ipairs(stage.top == machine.region and stage.children or {}) do
      enter[#enter + 1] = ("  if %s then %s = %d end"):format(
        compile_journey.is_in("stage", child),
        output(e, "histories", i - 1),
        child.number
      )
    end
  end
  for _, stage in ipairs(by_depth(e, machine, -1)) do
    if #stage.on_exit > 0 then leave[#leave + 1] = effect_block(e, stage, stage.on_exit) end
  end
  for _, stage in ipairs(by_depth(e, machine, 1)) do
    local effects = entry_effects(e, stage)
    if #effects > 0 then enter[#enter + 1] = effect_block(e, stage, effects) end
  end
  machine.leaves, machine.enters = #leave > 0, #enter > 0
  for name, blocks in pairs { leave = leave, enter = enter } do
    if #blocks > 0 then
      e.lines[#e.lines + 1] = ("local function %s_%d(taken, stage)\n%s\nend"):format(
        name,
        machine.number,
        table.concat(blocks, "\n")
      )
    end
  end
end

local NOTE = [[
local function note(number)
  local count = %s
  if count < %d then
    O[%d + count] = number
    %s = count + 1
  end
end]]

local function leaf_slot(e, machine) return machine.region and output(e, "regions", machine.number - 1) or output(e, "stage") end

-- One turn: each machine picks by where all of them stand; what they leave is left, the last machine's first; then each moves.
local TURN = [[
  while true do
%s
    local fired = %s
    if fired == 0 then break end
    if count + fired > %d then
      O[%d] = 1
      break
    end
%s
%s
    first = false
  end]]

-- The same for one machine alone, which most policies are.
local ALONE = [[
local function journey()
  local stage, count = %s, 0
  local taken, to = pick_0(stage, true)
  while taken >= 0 and count < %d do
%s    O[%d + count] = taken
    count = count + 1
    stage = to
    %s = to
%s    taken, to = pick_0(stage, false)
  end
  O[%d] = count
  if taken >= 0 then O[%d] = 1 end
end]]

local function emit_alone(e)
  local steps, machine = e.plan.output.steps, e.plan.machines[1]
  local assigns = compile_memory.emit_transitions(e)
  e.lines[#e.lines + 1] = ALONE:format(
    output(e, "stage"),
    chunk.STEPS_MAX,
    machine.leaves and "    leave_0(taken, stage)\n" or "",
    steps + 1,
    output(e, "stage"),
    (assigns and "    assign(taken)\n" or "") .. (machine.enters and "    enter_0(taken, to)\n" or ""),
    steps,
    steps + 1 + chunk.STEPS_MAX
  )
end

local MOVE = [[
    if taken_%d >= 0 then
      O[%d + count] = taken_%d
      count = count + 1
      stage_%d = to_%d
      %s = to_%d%s%s
    end]]

local function emit_loop(e)
  local steps, machines, assigns = e.plan.output.steps, e.plan.machines, compile_memory.emit_transitions(e)
  local begin, pick, fired, leave, move = {}, {}, {}, {}, {}
  for i, m in ipairs(machines) do
    local n = m.number
    begin[i] = ("  local stage_%d = %s"):format(n, leaf_slot(e, m))
    pick[i] = ("    local taken_%d, to_%d = pick_%d(stage_%d, first)"):format(n, n, n, n)
    fired[i] = ("(taken_%d >= 0 and 1 or 0)"):format(n)
    if m.leaves then table.insert(leave, 1, ("    if taken_%d >= 0 then leave_%d(taken_%d, stage_%d) end"):format(n, n, n, n)) end
    move[i] = MOVE:format(
      n,
      steps + 1,
      n,
      n,
      n,
      leaf_slot(e, m),
      n,
      assigns and ("\n      assign(taken_%d)"):format(n) or "",
      m.enters and ("\n      enter_%d(taken_%d, to_%d)"):format(n, n, n) or ""
    )
  end
  local turn = TURN:format(
    table.concat(pick, "\n"),
    table.concat(fired, " + "),
    chunk.STEPS_MAX,
    steps + 1 + chunk.STEPS_MAX,
    table.concat(leave, "\n"),
    table.concat(move, "\n")
  )
  e.lines[#e.lines + 1] = ("local function journey()\n  local count, first = 0, true\n%s\n%s\n  O[%d] = count\nend"):format(
    table.concat(begin, "\n"),
    turn,
    steps
  )
end

function compile_journey.emit(e)
  emit_histories(e)
  if #e.plan.notes > 0 then
    local notes = e.plan.output.notes
    e.lines[#e.lines + 1] = NOTE:format(output(e, "notes"), chunk.NOTES_MAX, notes + 1, output(e, "notes"))
  end
  for _, machine in ipairs(e.plan.machines) do
    emit_picks(e, machine)
    emit_effects(e, machine)
  end
  if #e.plan.machines == 1 then
    emit_alone(e)
  else
    emit_loop(e)
  end
end

--- What stays as it was unless a transition moves it, as lines of `rest`.
function compile_journey.rest(e)
  local lines = {}
  for i = 2, #e.plan.machines do
    local machine = e.plan.machines[i]
    lines[#lines + 1] = ("  %s = %s"):format(leaf_slot(e, machine), input(e, "places", machine.region.place))
  end
  for i, stage in ipairs(e.plan.histories) do
    lines[#lines + 1] = ("  %s = %s"):format(output(e, "histories", i - 1), input(e, "places", stage.place))
  end
  for i = 1, #e.plan.entered do
    lines[#lines + 1] = ("  %s = 0"):format(output(e, "flags", i - 1))
  end
  if #e.plan.notes > 0 then lines[#lines + 1] = ("  %s = 0"):format(output(e, "notes")) end
  return table.concat(lines, "\n")
end

--- What a transition's row says beside its name and reason.
function compile_journey.transition_row(plan, go)
  local row = { from = plan.stage_number[go.from], to = plan.stage_number[go.name], after_ms = 0, resume = go.resume }
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
    out[i] = {
      name = stage.name,
      final = stage.final or false,
      path = stage.path,
      line = stage.line,
      parent = stage.parent and stage.parent.number,
      start = stage.initial and stage.initial.number,
      region = stage.is_region,
    }
  end
  return out
end

--- The words of on_entry and on_exit.
function compile_journey.note_rows(plan)
  local out = {}
  for i, note in ipairs(plan.notes) do
    out[i] = { name = note.name, path = note.path, line = note.line }
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
