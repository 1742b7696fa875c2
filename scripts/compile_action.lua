--- The actions' part of a compiled policy: the offer that is worth most, what holds it or all back, and what is kept of
--- actions that were taken.
local chunk = require "chunk"
local freeze = require "frozen"
local numbering = require "numbering"
local numbers = require "numbers"
local tracing = require "tracing"
local tree = require "tree"

local compile_action = {}

local input, output, condition, literal = chunk.input, chunk.output, chunk.condition, numbers.literal
local expression = chunk.expression

-- Why something is held back: the numbers of enum policy_held (core/policy/policy.h).
local HOLD_OUT, PER_LEAD = 1, 2

-- ---- numbering ----

function compile_action.number_conditions(plan)
  for _, offer in ipairs(tree.offers) do
    numbering.rule(plan, offer, offer.when)
  end
end

-- The last action is the engine's to know; the ones before it are kept in the policy's memory.
function compile_action.number_memory(plan)
  local per_lead = tree.limits and tree.limits.per_lead
  plan.acted_memory = #plan.memory
  for i = 2, per_lead and per_lead.count or 1 do
    plan.memory[#plan.memory + 1] = { name = ("action %d ago"):format(i), initial = -1 }
  end
end

function compile_action.number_draws(plan)
  local hold_out = tree.limits and tree.limits.hold_out
  if hold_out then
    plan.hold_out_draw =
      numbering.draw(plan, { salt = "hold_out " .. hold_out.salt, by = "lead", hold_out = hold_out.share })
  end
end

-- ---- offers ----

local OFFER = [[
  if %s then
    local utility = %s
    if utility > %s and utility < 1e300 then
      %s = utility
      if utility > %s then
        %s = %d
        %s = utility
      end
    end
  end]]

local function guard_of(e, offer)
  local when = tracing.tried(e, offer, offer.when and condition(e, offer.when) or "true")
  return when == "true" and "" or " and " .. when
end

function compile_action.emit_offers(e)
  local blocks = {}
  for i, offer in ipairs(tree.offers) do
    local open = {}
    for j, name in ipairs(offer.stages) do
      open[j] = ("%s == %d"):format(output(e, "stage"), e.plan.stage_number[name])
    end
    local guard = "(" .. table.concat(open, " or ") .. ")" .. guard_of(e, offer)
    blocks[i] = OFFER:format(
      guard,
      expression(e, offer.utility),
      literal(e.plan.rest_utility),
      output(e, "offers", i - 1),
      output(e, "utility"),
      output(e, "action"),
      i,
      output(e, "utility")
    ) .. tracing.done(e, offer)
  end
  chunk.section(e, "offers", blocks)
end

-- ---- what holds all of a lead's offers back ----

-- The oldest of the last N actions must be longer ago than the limit's duration.
local function too_often(e, per_lead)
  local oldest = per_lead.count == 1 and input(e, "acted") or ("M[%d]"):format(e.plan.acted_memory + per_lead.count - 2)
  return ("%s > 0 and %s - %s < %s"):format(oldest, input(e, "now"), oldest, literal(per_lead.ms))
end

local function remember_action(e, count, lines)
  local first = e.plan.acted_memory
  for i = count, 3, -1 do
    lines[#lines + 1] = ("  M[%d] = M[%d]"):format(first + i - 2, first + i - 3)
  end
  if count > 1 then
    lines[#lines + 1] = ("  if %s > 0 then M[%d] = %s end"):format(input(e, "acted"), first, input(e, "acted"))
  end
end

-- What is not done is done with probability 0 or 1, but for the share of leads that are held out.
function compile_action.emit_limits(e)
  local limits = tree.limits or {}
  local hold_out, per_lead = limits.hold_out, limits.per_lead
  local out = hold_out
      and ("%s < %s"):format(input(e, "draws", e.plan.hold_out_draw), literal(hold_out.share))
    or "false"
  local lines = {
    ("local function limits()\n  if %s == 0 then return end"):format(output(e, "action")),
    ("  local often, out = %s, %s"):format(per_lead and too_often(e, per_lead) or "false", out),
    "  if often or out then",
    ("    %s = 0\n    %s = %s"):format(output(e, "action"), output(e, "utility"), literal(e.plan.rest_utility)),
    ("    if out then %s = %d else %s = %d end"):format(output(e, "held"), HOLD_OUT, output(e, "held"), PER_LEAD),
    hold_out and ("    if not often then %s = %s end"):format(output(e, "propensity"), literal(hold_out.share)) or nil,
  }
  lines[#lines + 1] = "    return\n  end"
  if hold_out then lines[#lines + 1] = ("  %s = %s"):format(output(e, "propensity"), literal(1 - hold_out.share)) end
  if per_lead then remember_action(e, per_lead.count, lines) end
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
