--- The actions' part of a compiled policy: the offer that is worth most, and what holds it back.
local chunk = require "chunk"
local freeze = require "frozen"
local numbers = require "numbers"
local tree = require "tree"

local compile_action = {}

local input, output, condition, literal = chunk.input, chunk.output, chunk.condition, numbers.literal
local expression = chunk.expression

local OFFER = [[
  if %s then
    local utility = %s
    if utility > %s and utility < 1e300 then
      %s = %d
      %s = utility
    end
  end]]

function compile_action.emit_offers(e)
  local blocks = {}
  for i, offer in ipairs(tree.offers) do
    local open = {}
    for j, name in ipairs(offer.stages) do
      open[j] = ("%s == %d"):format(output(e, "stage"), e.plan.stage_number[name])
    end
    local guard = "(" .. table.concat(open, " or ") .. ")" .. (offer.when and " and " .. condition(e, offer.when) or "")
    blocks[i] = OFFER:format(
      guard,
      expression(e, offer.utility),
      output(e, "utility"),
      output(e, "action"),
      i,
      output(e, "utility")
    )
  end
  chunk.section(e, "offers", blocks)
end

-- The oldest of the last N actions must be longer ago than the limit's duration.
function compile_action.emit_limits(e)
  local limits, plan = tree.limits or {}, e.plan
  local lines = { "local function limits()", ("  if %s == 0 then return end"):format(output(e, "action")) }
  local function hold(guard, code)
    lines[#lines + 1] = ("  if %s then\n    %s = 0\n    %s = %s\n    %s = %d\n    return\n  end"):format(
      guard,
      output(e, "action"),
      output(e, "utility"),
      literal(plan.rest_utility),
      output(e, "held"),
      code
    )
  end
  if limits.hold_out then
    hold(("%s < %s"):format(input(e, "draws", plan.hold_out_draw), literal(limits.hold_out.share)), 1)
  end
  local per_lead = limits.per_lead
  if per_lead then
    local oldest = per_lead.count == 1 and input(e, "acted") or ("M[%d]"):format(plan.acted_memory + per_lead.count - 2)
    hold(("%s > 0 and %s - %s < %s"):format(oldest, input(e, "now"), oldest, literal(per_lead.ms)), 2)
    for i = per_lead.count, 3, -1 do
      lines[#lines + 1] = ("  M[%d] = M[%d]"):format(plan.acted_memory + i - 2, plan.acted_memory + i - 3)
    end
    if per_lead.count > 1 then
      lines[#lines + 1] = ("  if %s > 0 then M[%d] = %s end"):format(
        input(e, "acted"),
        plan.acted_memory,
        input(e, "acted")
      )
    end
  end
  lines[#lines + 1] = "end"
  e.lines[#e.lines + 1] = table.concat(lines, "\n")
end

--- `otherwise`, which is action 0, and the offers.
function compile_action.list()
  local otherwise = tree.otherwise
    or { name = "none", why = "This policy offers nothing.", path = tree.policy.path, line = tree.policy.line }
  local list = { otherwise }
  for _, offer in ipairs(tree.offers) do
    list[#list + 1] = offer
  end
  return list
end

return freeze("compile_action", compile_action)
