--- The text of a compiled chunk: expressions, conditions, and blocks gathered into functions of bounded size. The
--- parts of a policy (scripts/compile.lua) write theirs with it.
---
--- `e` is one variant's emitter: {plan, tracing, lines}.
local freeze = require "frozen"
local numbers = require "numbers"

local chunk = { BLOCKS_A_FUNCTION = 32, STEPS_MAX = 8, NOTES_MAX = 16, REJECTS = 3 }
local literal, milli = numbers.literal, numbers.milli

--- A place of the arrays that come in and go out, by its name and its number in a run.
function chunk.input(e, name, index) return ("I[%d]"):format(e.plan.input[name] + (index or 0)) end
function chunk.output(e, name, index)
  return ("O[%d]"):format((e.plan.output[name] or e.plan.scratch[name]) + (index or 0))
end

local POINTS_OF = { -- what holds thousandths of a point
  intent = function(e) return chunk.output(e, "intent") end,
  combined = function(e) return chunk.output(e, "combined") end,
  fit = function(e) return chunk.input(e, "fit") end,
  engagement = function(e) return chunk.input(e, "engagement") end,
}

--- A value, as an expression.
function chunk.expression(e, node)
  local kind = node.kind
  if kind == "number" then return literal(node.number) end
  if kind == "feature" then return chunk.input(e, "features", node.index) end
  if kind == "age" then return chunk.input(e, "ages", e.plan.age_number[node.feature.name]) end
  if POINTS_OF[kind] then return ("(%s / 1000)"):format(POINTS_OF[kind](e)) end
  if kind == "memory" then
    local place, type_of = ("M[%d]"):format(node.field.slot), node.field.type
    if type_of == "time" then return ("(%s - some(%s))"):format(chunk.input(e, "now"), place) end
    return type_of == "choice" and ("some(%s)"):format(place) or place
  end
  if kind == "channels" then return chunk.output(e, "channels") end
  if kind == "custom" then return chunk.output(e, "customs", node.number - 1) end
  if kind == "default" then return ("known_or(%s, %s)"):format(chunk.expression(e, node.value), literal(node.number)) end
  if kind == "least" or kind == "most" then
    return ("%s(%s, %s)"):format(kind, chunk.expression(e, node.left), chunk.expression(e, node.right))
  end
  return ("(%s %s %s)"):format(chunk.expression(e, node.left), node.op, chunk.expression(e, node.right))
end

local OPERATORS = { at_least = ">=", above = ">", at_most = "<=", under = "<", is = "==" }

local function comparison(e, node)
  local points = POINTS_OF[node.value.kind]
  local text = points and points(e) or chunk.expression(e, node.value)
  local scale = points and milli or function(x) return x end
  if node.op == "within" then
    return ("(%s >= %s and %s <= %s)"):format(text, literal(scale(node.bound)), text, literal(scale(node.upper)))
  end
  return ("%s %s %s"):format(text, OPERATORS[node.op], literal(scale(node.bound)))
end

--- `text` as a condition, which the tracing variant notes down under the node's number.
function chunk.traced(e, node, text)
  if e.tracing and node.number then return ("mark(%d, %s)"):format(e.plan.output.conditions + node.number, text) end
  return "(" .. text .. ")"
end

--- A condition, as an expression that is true or false.
function chunk.condition(e, node)
  local kind = node.kind
  if kind == "compare" then return chunk.traced(e, node, comparison(e, node)) end
  if kind == "test" then return chunk.traced(e, node, chunk.input(e, "tests", node.test) .. " == 1") end
  if kind == "gate" then return ("(%s == 1)"):format(chunk.output(e, "gates", e.plan.gate_number[node.gate])) end
  if kind == "at" then return chunk.traced(e, node, e.plan.at_stage(e, node.stage)) end
  if kind == "entered" then return chunk.traced(e, node, e.plan.entered_stage(e, node.stage)) end
  if kind == "known" then
    local text = chunk.expression(e, node.value)
    return chunk.traced(e, node, ("%s == %s"):format(text, text))
  end
  if kind == "truth" then return chunk.traced(e, node, ("holds(%s)"):format(chunk.expression(e, node.value))) end
  local texts = {}
  for i, item in ipairs(node.items) do
    texts[i] = chunk.condition(e, item)
  end
  if kind == "all" then return "(" .. table.concat(texts, " and ") .. ")" end
  return (kind == "none" and "(not (%s))" or "(%s)"):format(table.concat(texts, " or "))
end

--- Blocks that stand on their own, as a function `name` that runs them all. Its parts are known to it alone, so that no
--- number of them meets the limit on locals; more of them than may be upvalues are parts of parts.
function chunk.section(e, name, blocks)
  local lines, depth = e.lines, 0
  lines[#lines + 1] = ("local %s = (function()"):format(name)
  repeat
    local calls = {}
    depth = depth + 1
    for first = 1, #blocks, chunk.BLOCKS_A_FUNCTION do
      local part = ("%s_%d_%d"):format(name, depth, #calls + 1)
      calls[#calls + 1] = part .. "()"
      lines[#lines + 1] = ("local function %s()"):format(part)
      for i = first, math.min(first + chunk.BLOCKS_A_FUNCTION - 1, #blocks) do
        lines[#lines + 1] = blocks[i]
      end
      lines[#lines + 1] = "end"
    end
    blocks = calls
  until #blocks <= chunk.BLOCKS_A_FUNCTION
  lines[#lines + 1] = ("return function() %s end\nend)()"):format(table.concat(blocks, " "))
end

return freeze("chunk", chunk)
