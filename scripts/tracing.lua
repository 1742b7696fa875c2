--- The trace's part of a compiled policy: what the tracing variant notes down beside deciding, and the tables by which the
--- engine tells it (core/policy/artifact.h, `trace`; core/policy/trace.h). Each rule has a number. When its test is made the
--- tracing variant logs the number and what came out, so that the log tells which rules were tried, in which order, and at
--- which step. A survey then works out every condition's value and truth, also of those that were not reached: these say
--- how far it was.
---
--- The plain variant has none of this, and its arrays need not be cleared for it: what belongs to the trace lies last.
local chunk = require "chunk"
local freeze = require "frozen"
local tree = require "tree"

local tracing = {}

-- A log has room for each rule, and for each transition at each step.
local TRIES_OF_A_TRANSITION = chunk.STEPS_MAX + 1

--- A condition without what only the library knows: a leaf is its number; {kind, items} puts others together.
local function shape(node, plan)
  if node.number and not node.items then return node.number end
  local items = {}
  if node.kind == "gate" then
    for _, gate in ipairs(tree.gates) do
      if gate.name == node.gate then items[1] = shape(gate.when, plan) end
    end
    return { kind = "all", items = items }
  end
  for i, item in ipairs(node.items) do
    items[i] = shape(item, plan)
  end
  return { kind = node.kind, items = items }
end

local function reads_of(node, out, seen)
  if not node then return out end
  if node.kind == "feature" and not seen[node.index] then
    seen[node.index] = true
    out[#out + 1] = node.index
  end
  for _, list in ipairs { node.items or {}, node.reads or {} } do
    for _, item in ipairs(list) do
      reads_of(item, out, seen)
    end
  end
  for _, key in ipairs { "value", "feature", "left", "right" } do
    reads_of(node[key], out, seen)
  end
  return out
end

-- What a leaf asks for, and of which features.
local function ask(node)
  if node.stage then return { kind = "other" } end -- where the lead is: the label says it all
  local value = node.value
  local of = value and (value.kind == "age" and "age of " .. value.feature.name or value.label) or node.feature and node.feature.name
  return {
    kind = node.kind,
    op = node.op,
    of = of,
    bound = node.bound,
    upper = node.upper,
    ms = value and value.is_duration or nil,
    reads = reads_of(node, {}, {}),
  }
end

local LEAF = { compare = true, test = true, known = true, truth = true, at = true, entered = true }

-- Every leaf below a rule, once, by its number.
local function gather(plan, node)
  if not node then return end
  if LEAF[node.kind] and node.number and not plan.leaf[node.number] then plan.leaf[node.number] = node end
  for _, item in ipairs(node.items or {}) do
    gather(plan, item)
  end
end

local function add(plan, kind, entry, rule)
  entry.traced = #plan.rules
  rule.kind, rule.name, rule.why = kind, rule.name or entry.name, entry.why or ""
  rule.path, rule.line = entry.path, entry.line
  plan.rules[#plan.rules + 1] = rule
end

local function shape_of(plan, node)
  gather(plan, node)
  return node and shape(node, plan) or nil
end

local function transition(plan, go)
  local items = {}
  -- Of business time and of the clock no number tells; nor of a stage around others, or of a region, since when the lead is there.
  local is_plain = not go.source.initial and not go.source.top
  local ms = is_plain and go.after and go.after.ms
  local asks = ms and { kind = "timer", bound = ms, ms = true, from = plan.stage_number[go.from] } or { kind = "event" }
  if go.on_node then
    items[1] = go.on_node.number
    plan.asked[go.on_node.number] = asks
  end
  if go.when then items[#items + 1] = shape_of(plan, go.when) end
  add(plan, "transition", go, {
    name = go.from .. " -> " .. go.name,
    from = plan.stage_number[go.from],
    when = #items > 0 and { kind = "all", items = items } or nil,
  })
end

--- Numbers the rules, once conditions are numbered; `entry.traced` is a rule's number.
function tracing.number(plan)
  plan.rules, plan.leaf, plan.asked = {}, {}, {}
  for i, custom in ipairs(tree.customs) do
    add(plan, "custom", custom, { run = "customs", place = i - 1, reads = reads_of({ reads = custom.reads }, {}, {}) })
  end
  for i, evidence in ipairs(tree.evidence) do
    add(plan, "evidence", evidence, { run = "evidence", place = i - 1, milli = true, when = shape_of(plan, evidence.when) })
  end
  for i, channel in ipairs(tree.channels) do
    add(plan, "channel", channel, { run = "channel_caps", place = i - 1, milli = true, bound = channel.at_most })
  end
  for _, gate in ipairs(tree.gates) do
    add(plan, "gate", gate, { when = shape_of(plan, gate.when) })
  end
  for i, adjust in ipairs(tree.adjustments) do
    add(plan, adjust.kind, adjust, { run = "adjustments", place = i - 1, milli = true, when = shape_of(plan, adjust.when) })
  end
  for _, entry in ipairs(plan.eligibility) do
    local items = { shape_of(plan, entry.node) }
    add(plan, "eligible", entry, { when = { kind = entry.must and "all" or "none", items = items } })
  end
  for _, go in ipairs(plan.transitions) do
    transition(plan, go)
  end
  for i, rule in ipairs(tree.routes) do
    add(plan, "route", rule, { place = i - 1, when = shape_of(plan, rule.when) })
  end
  for i, offer in ipairs(tree.offers) do
    add(plan, "offer", offer, { run = "worths", place = i, when = shape_of(plan, offer.when) })
    gather(plan, offer.consent)
  end
  for _, way in ipairs(tree.ways) do
    gather(plan, way.consent)
  end
  plan.limits = { name = "limits", why = "", path = tree.limits and tree.limits.path or tree.policy.path }
  plan.limits.line = tree.limits and tree.limits.line or 0
  add(plan, "limits", plan.limits, {})
end

--- The runs of the output that belong to the trace; they lie last.
function tracing.runs(plan)
  local room = #plan.rules + TRIES_OF_A_TRANSITION * #plan.transitions
  return { { "seen", #plan.conditions }, { "truths", #plan.conditions }, { "worths", #tree.offers + 1 }, { "log", room + 1 } }, room
end

--- `guard`, which the tracing variant logs as the rule's outcome.
function tracing.tried(e, entry, guard)
  if not e.tracing then return guard end
  return ("tried(%d, %s)"):format(entry.traced, guard)
end

--- Where the tracing variant begins: nothing is logged; a tick on its own tells what measuring takes.
function tracing.begin(e) return e.tracing and ("O[%d] = 0\n  tick(-1)\n  tick(%d)\n  "):format(e.plan.scratch.log, #e.plan.rules) or "" end

--- The survey, which is nobody's cost.
function tracing.survey(e) return e.tracing and "\n  survey()\n  tick(-1)" or "" end

--- A line that ends what a rule costs, or nothing in the plain variant.
function tracing.done(e, entry) return e.tracing and ("\n  tick(%d)"):format(entry.traced) or "" end

local TRIED = [[
local tick = host.tick
local function tried(rule, holds)
  local count = O[%d]
  if count < %d then
    O[%d + count] = rule * 2 + (holds and 1 or 0)
    O[%d] = count + 1
  end
  tick(rule)
  return holds
end]]

-- What a condition compares is worked out again, unmarked, whether or not it was reached.
local function survey(e)
  local plain, plan, blocks = { plan = e.plan, tracing = false, lines = e.lines }, e.plan, {}
  for number = 0, #plan.conditions - 1 do
    local node = plan.leaf[number]
    if node then
      local seen = node.value and ("  %s = %s\n"):format(chunk.output(e, "seen", number), chunk.expression(plain, node.value))
      local truth = chunk.output(e, "truths", number)
      blocks[#blocks + 1] = (seen or "")
        .. ("  if %s then %s = 1 else %s = 0 end"):format(chunk.condition(plain, node), truth, truth)
    end
  end
  for i, offer in ipairs(tree.offers) do
    blocks[#blocks + 1] = ("  %s = %s"):format(chunk.output(e, "worths", i), chunk.expression(plain, offer.utility))
  end
  chunk.section(e, "survey", blocks)
end

--- What the tracing variant has beside the plain one: `tried`, `tick`, `survey`.
function tracing.emit(e)
  if not e.tracing then return end
  local log = e.plan.scratch.log
  e.lines[#e.lines + 1] = TRIED:format(log, e.plan.log_room, log + 1, log)
  survey(e)
end

--- The artifact's `trace`.
function tracing.tables(plan)
  local asks, scratch = {}, plan.scratch
  for number = 0, #plan.conditions - 1 do
    local node = plan.leaf[number]
    asks[number + 1] = node and ask(node) or plan.asked[number] or { kind = "other" }
  end
  for _, rule in ipairs(plan.rules) do
    if rule.run then rule.at = (plan.output[rule.run] or scratch[rule.run]) + rule.place end
    rule.run = nil
  end
  return {
    seen = scratch.seen,
    truths = scratch.truths,
    log = scratch.log,
    log_room = plan.log_room,
    rules = plan.rules,
    asks = asks,
  }
end

return freeze("tracing", tracing)
