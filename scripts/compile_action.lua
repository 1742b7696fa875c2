--- The actions' part of a compiled policy: the offer that is worth most, what holds it or all back, and what is kept of
--- actions that were taken.
local chunk = require "chunk"
local freeze = require "frozen"
local naming = require "naming"
local numbering = require "numbering"
local numbers = require "numbers"
local tracing = require "tracing"
local tree = require "tree"

local compile_action = {}

local input, output, condition, literal = chunk.input, chunk.output, chunk.condition, numbers.literal
local expression = chunk.expression

-- Why something is held back: the numbers of enum policy_held (core/policy/policy.h).
local HELD = { hold_out = 1, per_lead = 2, consent = 5, cool_down = 6, at_most = 7, per_channel = 8, quiet = 9 }

-- ---- numbering ----

function compile_action.number_conditions(plan)
  for _, way in ipairs(tree.ways) do
    numbering.rule(plan, way, way.consent)
  end
  for _, offer in ipairs(tree.offers) do
    local way, consent = naming.find(tree.ways, offer.channel), {}
    if offer.consent then
      numbering.rule(plan, consent, offer.consent)
    end
    numbering.rule(plan, offer, offer.when)
    for _, uses in ipairs { consent.uses or {}, way and way.uses or {} } do
      for _, number in ipairs(uses) do
        offer.uses[#offer.uses + 1] = number
      end
    end
  end
end

local function most_of(limits, least)
  local most = least
  for _, limit in ipairs(limits or {}) do
    most = math.max(most, limit.count)
  end
  return most
end

-- Cells for the times of the last `count` actions of one kind, the latest first: see core/policy/state.c.
local function add_times(plan, kind, first, count)
  local cell = #plan.memory
  for i = first, count do
    plan.memory[#plan.memory + 1] = { name = ("%s %d ago"):format(kind, i), initial = -1 }
  end
  return cell
end

-- The last action of all is the engine's to know; all else is kept in the policy's memory.
function compile_action.number_memory(plan)
  local limits = tree.limits or {}
  plan.acted_count = most_of(limits.per_lead, 1)
  plan.acted_memory = add_times(plan, "action", 2, plan.acted_count)
  for _, offer in ipairs(tree.offers) do
    offer.times = most_of(offer.limits, offer.cool_down_ms and 1 or 0)
    offer.memory = add_times(plan, "offer " .. offer.name, 1, offer.times)
  end
  plan.quiet = {}
  for _, way in ipairs(tree.ways) do
    if way.quiet_row then
      way.quiet_number = #plan.quiet
      plan.quiet[way.quiet_number + 1] = way.quiet_row
    end
    way.times = most_of(way.limits, 0)
    way.memory = add_times(plan, "channel " .. way.name, 1, way.times)
  end
end

function compile_action.number_draws(plan)
  local hold_out = tree.limits and tree.limits.hold_out
  if hold_out then
    plan.hold_out_draw =
      numbering.draw(plan, { salt = "hold_out " .. hold_out.salt, by = "lead", hold_out = hold_out.share })
  end
  if tree.explore then plan.explore_draw = numbering.draw(plan, { salt = "explore", by = "event" }) end
end

-- ---- offers ----

-- The oldest of the last N actions is not longer ago than the limit's duration.
local function too_often(e, oldest, ms) return ("(%s > 0 and %s - %s < %s)"):format(oldest, input(e, "now"), oldest, literal(ms)) end

-- What holds an offer back by itself, in the order in which it is asked: {{condition, why}…}
local function reasons(e, offer)
  local list, way = {}, naming.find(tree.ways, offer.channel)
  local function add(why, text) list[#list + 1] = { text, HELD[why] } end
  if way and way.consent then add("consent", "not " .. condition(e, way.consent)) end
  if offer.consent then add("consent", "not " .. condition(e, offer.consent)) end
  if offer.cool_down_ms then add("cool_down", too_often(e, ("M[%d]"):format(offer.memory), offer.cool_down_ms)) end
  for _, limit in ipairs(offer.limits) do
    add("at_most", too_often(e, ("M[%d]"):format(offer.memory + limit.count - 1), limit.ms))
  end
  for _, limit in ipairs(way and way.limits or {}) do
    add("per_channel", too_often(e, ("M[%d]"):format(way.memory + limit.count - 1), limit.ms))
  end
  if way and way.quiet_row then add("quiet", input(e, "quiet", way.quiet_number) .. " == 1") end
  return list
end

local OFFER = [[
  if %s then
    local utility = %s
    if utility > %s and utility < 1e300 then
      %s = utility
%s    end
  end]]

local TAKE = [[
      %sif utility > %s then
        %s = %d
        %s = utility
      end
]]

local HOLD_BACK = [[
      local why = 0
      if %s end
      if why > 0 then
        %s = why
        if utility > %s then
          %s = utility
          %s = why
        end
]]

-- What becomes of an offer that is open and worth more than `otherwise`.
local function weigh(e, offer, number)
  local why, parts = reasons(e, offer), {}
  local take = TAKE:format(
    #why > 0 and "else" or "",
    output(e, "utility"),
    output(e, "action"),
    number,
    output(e, "utility")
  )
  if #why == 0 then return take end
  for i, reason in ipairs(why) do
    parts[i] = ("%s then why = %d"):format(reason[1], reason[2])
  end
  return HOLD_BACK:format(
    table.concat(parts, " elseif "),
    output(e, "offers_held", number - 1),
    output(e, "best_held"),
    output(e, "best_held"),
    output(e, "best_held", 1)
  ) .. take
end

local function guard_of(e, offer)
  local when = tracing.tried(e, offer, offer.when and condition(e, offer.when) or "true")
  return when == "true" and "" or " and " .. when
end

function compile_action.emit_offers(e)
  local rest = literal(e.plan.rest_utility)
  local blocks = { ("  %s = %s\n  %s = 0"):format(output(e, "best_held"), rest, output(e, "best_held", 1)) }
  for i, offer in ipairs(tree.offers) do
    local open = {}
    for j, name in ipairs(offer.stages) do
      open[j] = e.plan.at_stage(e, name)
    end
    local guard = "(" .. table.concat(open, " or ") .. ")" .. guard_of(e, offer)
    blocks[#blocks + 1] =
      OFFER:format(guard, expression(e, offer.utility), rest, output(e, "offers", i - 1), weigh(e, offer, i))
      .. tracing.done(e, offer)
  end
  chunk.section(e, "offers", blocks)
end

-- ---- what holds all of a lead's offers back ----

local function per_lead_guard(e, limits)
  local parts = {}
  for i, limit in ipairs(limits) do
    local oldest = limit.count == 1 and input(e, "acted") or ("M[%d]"):format(e.plan.acted_memory + limit.count - 2)
    parts[i] = too_often(e, oldest, limit.ms)
  end
  return #parts > 0 and table.concat(parts, " or ") or "false"
end

local LIMITS = [[
local function limits()
  if %s == 0 then
    %s = %s
    return
  end
  local often, out = %s, %s
  if often or out then
    %s = 0
    %s = %s
    %s = %d
    if out then %s = %d end
    %s = often and 1 or %s
    return
  end
  %s = %s
end]]

-- What is not done is not done for sure, but for the share of leads that are held out.
function compile_action.emit_limits(e)
  local limits = tree.limits or {}
  local hold_out, held, propensity = limits.hold_out, output(e, "held"), output(e, "propensity")
  local out = hold_out and ("%s < %s"):format(input(e, "draws", e.plan.hold_out_draw), literal(hold_out.share))
  e.lines[#e.lines + 1] = LIMITS:format(
    output(e, "action"),
    held,
    output(e, "best_held", 1),
    per_lead_guard(e, limits.per_lead or {}),
    out or "false",
    output(e, "action"),
    output(e, "utility"),
    literal(e.plan.rest_utility),
    held,
    HELD.per_lead,
    held,
    HELD.hold_out,
    propensity,
    literal(hold_out and hold_out.share or 1),
    propensity,
    literal(1 - (hold_out and hold_out.share or 0))
  )
end

-- ---- exploration ----

local EXPLORE = [[
local function explore()
  if not (%s) then return end
  local best, count = %s, 0
%s
  if count < 2 then return end
  local draw, chance = %s, %s / count
  if draw < %s then
    local which = floor(draw / %s * count)
    if which >= count then which = count - 1 end
    %s = 1
%s
  end
  if %s == best then chance = chance + %s end
  %s = %s * chance
end]]

-- One draw says both whether and which: below the rate it is spread evenly over those that could be taken.
function compile_action.emit_explore(e)
  local explore, action = tree.explore, output(e, "action")
  if not explore then
    e.lines[#e.lines + 1] = "local function explore() end"
    return
  end
  local is_one, counts, picks, rate = {}, {}, {}, literal(explore.rate)
  for i, name in ipairs(explore.among) do
    local _, number = naming.find(tree.offers, name)
    local utility, own = output(e, "offers", number - 1), output(e, "offers_held", number - 1)
    local is_free = ("%s == %s and %s ~= %s"):format(utility, utility, own, own)
    is_one[i] = ("%s == %d"):format(action, number)
    counts[i] = ("  if %s then count = count + 1 end"):format(is_free)
    picks[i] = ("    if %s then\n      if which == 0 then\n        %s = %d\n        %s = %s\n      end\n      which = which - 1\n    end"):format(
      is_free,
      action,
      number,
      output(e, "utility"),
      utility
    )
  end
  e.lines[#e.lines + 1] = EXPLORE:format(
    table.concat(is_one, " or "),
    action,
    table.concat(counts, "\n"),
    input(e, "draws", e.plan.explore_draw),
    rate,
    rate,
    rate,
    output(e, "explored"),
    table.concat(picks, "\n"),
    action,
    literal(1 - explore.rate),
    output(e, "propensity"),
    output(e, "propensity")
  )
end

-- ---- what is kept ----

-- Puts `now` before the times that are kept, the oldest of which goes.
local function shift(memory, first, count, now)
  local lines = {}
  for i = count, first + 1, -1 do
    lines[#lines + 1] = ("    M[%d] = M[%d]"):format(memory + i - first, memory + i - first - 1)
  end
  lines[#lines + 1] = ("    M[%d] = %s"):format(memory, now)
  return table.concat(lines, "\n")
end

function compile_action.emit_memory(e)
  local blocks, plan = {}, e.plan
  local function add(guard, text) blocks[#blocks + 1] = ("  if %s then\n%s\n  end"):format(guard, text) end
  if plan.acted_count > 1 then
    local acted = input(e, "acted")
    add(("%s > 0 and %s > 0"):format(output(e, "action"), acted), shift(plan.acted_memory, 2, plan.acted_count, acted))
  end
  local of_way = {}
  for i, offer in ipairs(tree.offers) do
    local taken = ("%s == %d"):format(output(e, "action"), i)
    if offer.times > 0 then add(taken, shift(offer.memory, 1, offer.times, input(e, "now"))) end
    local list = of_way[offer.channel or ""] or {}
    of_way[offer.channel or ""], list[#list + 1] = list, taken
  end
  for _, way in ipairs(tree.ways) do
    if way.times > 0 and of_way[way.name] then
      add(table.concat(of_way[way.name], " or "), shift(way.memory, 1, way.times, input(e, "now")))
    end
  end
  chunk.section(e, "remember", blocks)
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
