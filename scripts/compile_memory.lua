--- What a policy keeps of a lead, compiled: a place in M for each field (and one for when it changed, where merges ask for
--- the latest), and the functions that change them.
local chunk = require "chunk"
local freeze = require "frozen"
local numbering = require "numbering"
local numbers = require "numbers"
local tree = require "tree"

local compile_memory = {}

local input, condition, literal = chunk.input, chunk.condition, numbers.literal

--- Names hold the type: under another type a field begins anew.
function compile_memory.number(plan)
  for _, field in ipairs(tree.fields) do
    field.slot = #plan.memory
    plan.memory[field.slot + 1] = { name = ("memory %s %s"):format(field.type, field.name), initial = field.initial }
    if field.merge == "latest" then
      plan.memory[field.slot + 2] = { name = ("memory %s %s at"):format(field.type, field.name), initial = -1 }
    end
  end
end

function compile_memory.number_events(plan)
  for _, entry in ipairs(tree.remembers) do
    for _, event in ipairs(entry.events) do
      if not plan.event_number[event] then
        plan.event_number[event], plan.events[#plan.events + 1] = #plan.events, event
      end
    end
  end
end

function compile_memory.number_conditions(plan)
  for _, entry in ipairs(tree.remembers) do
    numbering.rule(plan, entry, entry.when)
  end
end

local ADD = [[
do
      local x = M[%d] + %s
      if x > %s then x = %s elseif x < %s then x = %s end
      M[%d] = x
    end]]

local function statements(e, assigns)
  local lines = {}
  for _, assign in ipairs(assigns) do
    local field = assign.field
    if assign.op == "add" then
      local least, most = literal(field.least), literal(field.most)
      lines[#lines + 1] = "    " .. ADD:format(field.slot, literal(assign.number), most, most, least, least, field.slot)
    else
      local x = assign.op == "now" and input(e, "now") or literal(assign.number)
      lines[#lines + 1] = ("    M[%d] = %s"):format(field.slot, x)
    end
    if field.merge == "latest" then lines[#lines + 1] = ("    M[%d] = %s"):format(field.slot + 1, input(e, "now")) end
  end
  return table.concat(lines, "\n")
end

--- by_events(): what the event changes.
function compile_memory.emit(e)
  local blocks = {}
  for i, entry in ipairs(tree.remembers) do
    local events = {}
    for j, event in ipairs(entry.events) do
      events[j] = input(e, "events", e.plan.event_number[event]) .. " == 1"
    end
    local guard = "(" .. table.concat(events, " or ") .. ")" .. (entry.when and " and " .. condition(e, entry.when) or "")
    blocks[i] = ("  if %s then\n%s\n  end"):format(guard, statements(e, entry.assigns))
  end
  chunk.section(e, "by_events", blocks)
end

--- assign(taken): what a transition changes. False, and there is none: none changes anything.
function compile_memory.emit_transitions(e)
  local blocks, calls = {}, {}
  for _, go in ipairs(e.plan.transitions) do
    if go.assigns and #go.assigns > 0 then
      blocks[#blocks + 1] = ("  if taken == %d then\n%s\n  end"):format(go.number, statements(e, go.assigns))
    end
  end
  for first = 1, #blocks, chunk.BLOCKS_A_FUNCTION do
    calls[#calls + 1] = ("assign_%d(taken)"):format(#calls + 1)
    local last = math.min(first + chunk.BLOCKS_A_FUNCTION - 1, #blocks)
    e.lines[#e.lines + 1] = ("local function assign_%d(taken)\n%s\nend"):format(#calls, table.concat(blocks, "\n", first, last))
  end
  if #calls == 0 then return false end
  e.lines[#e.lines + 1] = ("local function assign(taken) %s end"):format(table.concat(calls, " "))
  return true
end

--- {{name, type, slot, merge, least, most, options}…}
function compile_memory.rows()
  local rows = {}
  for i, field in ipairs(tree.fields) do
    rows[i] = {
      name = field.name,
      why = field.why,
      type = field.type,
      slot = field.slot,
      merge = field.merge,
      least = field.least,
      most = field.most,
      options = field.options or {},
      path = field.path,
      line = field.line,
    }
  end
  return rows
end

return freeze("compile_memory", compile_memory)
