--- Turns a checked tree into the artifact (core/policy/artifact.h): tables of names and reasons, the layout of the
--- arrays, and one chunk of Lua. The chunk reads I[…], writes O[…] and M[…], has its constants inlined, makes no
--- table, closure or text per call, and keeps what its parts hand each other in O, so that it can be cut into
--- functions of any number without meeting LuaJIT's limits on locals and upvalues.
local freeze = require "frozen"
local lineage = require "lineage"
local numbers = require "numbers"
local signal_load = require "signal_load"
local retrain = require "retrain"
local tree = require "tree"
local value = require "value"

local BLOCKS_A_FUNCTION = 32
local STEPS_MAX = 8
local literal, milli = numbers.literal, numbers.milli

-- ---- numbering ----

local function index_by_name(list)
  local index = {}
  for i, entry in ipairs(list) do
    index[entry.name] = i - 1
  end
  return index
end

-- Stages, the start first; transitions in the order in which they are tried.
local function number_journey(plan)
  plan.stages = {}
  for _, stage in ipairs(tree.stages) do
    if stage.name == tree.start.name then
      table.insert(plan.stages, 1, stage)
    else
      plan.stages[#plan.stages + 1] = stage
    end
  end
  plan.stage_number = index_by_name(plan.stages)
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

local function add_condition(plan, node, name)
  node.number = #plan.conditions
  plan.conditions[node.number + 1] = { name = name or node.label, path = node.path, line = node.line }
end

local function add_test(plan, node)
  local known = plan.test_number[node.label]
  if not known then
    known = #plan.tests
    plan.test_number[node.label] = known
    plan.tests[known + 1] = { feature = node.feature.name, any = node.any, known = node.known }
  end
  node.test = known
end

-- The place of a feature's age among the ages that the policy asks for.
local function add_age(plan, node)
  local name = node.feature.name
  if not plan.age_number[name] then
    plan.age_number[name] = #plan.ages
    plan.ages[#plan.ages + 1] = name
  end
  local least = plan.age_asked[name]
  plan.age_asked[name] = math.min(least or node.bound, node.bound)
end

local LEAF = { compare = true, test = true, known = true, truth = true }

-- Numbers a rule's conditions; entry.uses lists them.
local function number_rule(plan, entry, node)
  local uses, seen = {}, {}
  if node then
    value.walk(node, function(below)
      if below.kind == "age" then add_age(plan, below) end
      if LEAF[below.kind] and not below.number then
        if below.kind == "test" then add_test(plan, below) end
        add_condition(plan, below)
      end
      local number = below.kind == "gate" and plan.gate_condition[below.gate] or LEAF[below.kind] and below.number
      if number and not seen[number] then
        seen[number] = true
        uses[#uses + 1] = number
      end
    end)
  end
  entry.uses = uses
end

-- A transition's `on` and `after` are conditions of their own, so that an explanation can name what was missing.
local function number_transition(plan, go)
  number_rule(plan, go, go.when)
  if go.on then
    go.on_node = { label = "event is " .. table.concat(go.on, " or "), path = go.path, line = go.line }
  elseif go.after_ms then
    go.on_node =
      { label = ("%s in %s"):format(numbers.show_duration(go.after_ms), go.from), path = go.path, line = go.line }
  end
  if go.on_node then
    add_condition(plan, go.on_node)
    go.uses[#go.uses + 1] = go.on_node.number
  end
end

-- What makes eligible, one entry for each thing that can fail: {node, must, name, why, path, line}.
local function flatten_eligible(node, must, out)
  local opens = must and "all" or "any"
  if must and node.kind == "none" then
    for _, item in ipairs(node.items) do
      flatten_eligible(item, false, out)
    end
  elseif node.kind == opens then
    for _, item in ipairs(node.items) do
      flatten_eligible(item, must, out)
    end
  else
    out[#out + 1] = {
      node = node,
      must = must,
      name = node.label,
      path = node.path,
      line = node.line,
      why = must and "Only leads for which this holds." or "Leads for which this holds are left out.",
    }
  end
end

local function number_conditions(plan)
  for _, evidence in ipairs(tree.evidence) do
    number_rule(plan, evidence, evidence.when)
  end
  for _, gate in ipairs(tree.gates) do
    number_rule(plan, gate, gate.when)
    gate.condition = { label = gate.name, path = gate.path, line = gate.line }
    add_condition(plan, gate.condition)
    plan.gate_condition[gate.name] = gate.condition.number
  end
  for _, adjust in ipairs(tree.adjustments) do
    number_rule(plan, adjust, adjust.when)
  end
  if tree.policy.eligible then flatten_eligible(tree.policy.eligible, true, plan.eligibility) end
  for _, entry in ipairs(plan.eligibility) do
    number_rule(plan, entry, entry.node)
  end
  for _, go in ipairs(plan.transitions) do
    number_transition(plan, go)
  end
  for _, rule in ipairs(tree.routes) do
    number_rule(plan, rule, rule.when)
  end
  for _, offer in ipairs(tree.offers) do
    number_rule(plan, offer, offer.when)
  end
end

local function number_memory(plan)
  for _, evidence in ipairs(tree.evidence) do
    if evidence.half_life_ms then
      evidence.memory = #plan.memory
      plan.memory[evidence.memory + 1] = { name = "evidence " .. evidence.name, initial = -1 }
    end
  end
  local per_lead = tree.limits and tree.limits.per_lead
  plan.acted_memory = #plan.memory -- the last action is the engine's to know; the ones before it are kept here
  for i = 2, per_lead and per_lead.count or 1 do
    plan.memory[#plan.memory + 1] = { name = ("action %d ago"):format(i), initial = -1 }
  end
end

local function add_draw(plan, draw)
  local known = plan.draw_number[draw.salt]
  if known then return known end
  plan.draw_number[draw.salt] = #plan.draws
  plan.draws[#plan.draws + 1] = draw
  return #plan.draws - 1
end

local function number_draws(plan)
  for _, rule in ipairs(tree.routes) do
    rule.draw = add_draw(plan, { salt = "team " .. rule.team, by = "lead" })
  end
  local hold_out = tree.limits and tree.limits.hold_out
  if hold_out then
    plan.hold_out_draw = add_draw(plan, { salt = "hold_out " .. hold_out.salt, by = "lead", hold_out = hold_out.share })
  end
end

local function lay_out(plan)
  local function sequence(singles, runs)
    local at, count = {}, 0
    for _, name in ipairs(singles) do
      at[name], count = count, count + (name == "steps" and STEPS_MAX + 2 or 1)
    end
    for _, run in ipairs(runs) do
      at[run[1]], count = count, count + run[2]
    end
    return at, count
  end
  local singles = { "now", "stage", "since", "timer", "fit", "engagement", "owner", "manual", "acted", "is_event" }
  if tree.mix_terms.model then singles[#singles + 1] = "model" end
  plan.input, plan.input_count = sequence(
    singles,
    {
      { "features", #tree.signals.names },
      { "tests", #plan.tests },
      { "ages", #plan.ages },
      { "events", #plan.events },
      { "draws", #plan.draws },
    }
  )
  local output, count = sequence({
    "eligible",
    "ineligible",
    "stage",
    "steps",
    "combined",
    "cap",
    "band",
    "intent",
    "owner",
    "route",
    "action",
    "utility",
    "held",
  }, {
    { "adjustments", #tree.adjustments },
    { "evidence", #tree.evidence },
    { "channel_caps", #tree.channels },
    { "conditions", #plan.conditions },
  })
  plan.output, plan.scratch = output, {}
  local runs = { { "channels", 1 }, { "entered", 1 }, { "gates", #tree.gates }, { "customs", #tree.customs } }
  for _, run in ipairs(runs) do
    plan.scratch[run[1]], count = count, count + run[2]
  end
  plan.output_count = count
end

-- ---- expressions ----

-- `e` is one variant's emitter: {plan, tracing}.
local function input(e, name, index) return ("I[%d]"):format(e.plan.input[name] + (index or 0)) end
local function output(e, name, index)
  return ("O[%d]"):format((e.plan.output[name] or e.plan.scratch[name]) + (index or 0))
end

local expression

local POINTS_OF = { -- what holds thousandths of a point
  intent = function(e) return output(e, "intent") end,
  combined = function(e) return output(e, "combined") end,
  fit = function(e) return input(e, "fit") end,
  engagement = function(e) return input(e, "engagement") end,
}

function expression(e, node)
  local kind = node.kind
  if kind == "number" then return literal(node.number) end
  if kind == "feature" then return input(e, "features", node.index) end
  if kind == "age" then return input(e, "ages", e.plan.age_number[node.feature.name]) end
  if POINTS_OF[kind] then return ("(%s / 1000)"):format(POINTS_OF[kind](e)) end
  if kind == "channels" then return output(e, "channels") end
  if kind == "custom" then return output(e, "customs", node.number - 1) end
  if kind == "default" then return ("known_or(%s, %s)"):format(expression(e, node.value), literal(node.number)) end
  return ("(%s %s %s)"):format(expression(e, node.left), node.op, expression(e, node.right))
end

local OPERATORS = { at_least = ">=", above = ">", at_most = "<=", under = "<", is = "==" }

local function comparison(e, node)
  local points = POINTS_OF[node.value.kind]
  local text = points and points(e) or expression(e, node.value)
  local scale = points and milli or function(x) return x end
  if node.op == "within" then
    return ("(%s >= %s and %s <= %s)"):format(text, literal(scale(node.bound)), text, literal(scale(node.upper)))
  end
  return ("%s %s %s"):format(text, OPERATORS[node.op], literal(scale(node.bound)))
end

local function traced(e, node, text)
  if e.tracing and node.number then return ("mark(%d, %s)"):format(e.plan.output.conditions + node.number, text) end
  return "(" .. text .. ")"
end

local function condition(e, node)
  local kind = node.kind
  if kind == "compare" then return traced(e, node, comparison(e, node)) end
  if kind == "test" then return traced(e, node, input(e, "tests", node.test) .. " == 1") end
  if kind == "gate" then return ("(%s == 1)"):format(output(e, "gates", e.plan.gate_number[node.gate])) end
  if kind == "known" then
    local text = expression(e, node.value)
    return traced(e, node, ("%s == %s"):format(text, text))
  end
  if kind == "truth" then return traced(e, node, ("holds(%s)"):format(expression(e, node.value))) end
  local texts = {}
  for i, item in ipairs(node.items) do
    texts[i] = condition(e, item)
  end
  if kind == "all" then return "(" .. table.concat(texts, " and ") .. ")" end
  return (kind == "none" and "(not (%s))" or "(%s)"):format(table.concat(texts, " or "))
end

-- ---- sections: lists of blocks that stand on their own ----

local function section(e, name, blocks)
  local lines, calls = e.lines, {}
  for first = 1, #blocks, BLOCKS_A_FUNCTION do
    local part = ("%s_%d"):format(name, #calls + 1)
    calls[#calls + 1] = part .. "()"
    lines[#lines + 1] = ("local function %s()"):format(part)
    for i = first, math.min(first + BLOCKS_A_FUNCTION - 1, #blocks) do
      lines[#lines + 1] = blocks[i]
    end
    lines[#lines + 1] = "end"
  end
  lines[#lines + 1] = ("local function %s() %s end"):format(name, table.concat(calls, " "))
end

local function emit_customs(e)
  local blocks = {}
  for i in ipairs(tree.customs) do
    blocks[i] = ("  %s = number(custom[%d](views[%d]))"):format(output(e, "customs", i - 1), i, i)
  end
  section(e, "customs", blocks)
end

local function emit_evidence(e)
  local blocks, channel_number = {}, e.plan.channel_number
  for i, evidence in ipairs(tree.evidence) do
    local points = evidence.points * tree.channels[channel_number[evidence.channel] + 1].reliability * 1000
    local row, now = output(e, "evidence", i - 1), input(e, "now")
    if evidence.memory then
      blocks[i] = ([[
  if %s then
    M[%d] = %s
    %s = %s
  elseif M[%d] >= 0 then
    %s = round(%s * exp2((M[%d] - %s) / %s)) + 0
  else
    %s = 0
  end]]):format(
        condition(e, evidence.when),
        evidence.memory,
        now,
        row,
        literal(numbers.round_even(points)),
        evidence.memory,
        row,
        literal(points),
        evidence.memory,
        now,
        literal(evidence.half_life_ms),
        row
      )
    else
      blocks[i] = ("  if %s then %s = %s else %s = 0 end"):format(
        condition(e, evidence.when),
        row,
        literal(numbers.round_even(points)),
        row
      )
    end
  end
  section(e, "evidence", blocks)
end

local CHANNEL = [[
  do
    local sum = %s
    %s = 0
%s    %s = %s + sum
    if sum > 0 then %s = %s + 1 end
  end]]

local function emit_channels(e)
  local blocks = { ("  %s = 0\n  %s = 0"):format(output(e, "intent"), output(e, "channels")) }
  for i, channel in ipairs(tree.channels) do
    local terms = { "0" }
    for j, evidence in ipairs(tree.evidence) do
      if evidence.channel == channel.name then terms[#terms + 1] = output(e, "evidence", j - 1) end
    end
    local cap = output(e, "channel_caps", i - 1)
    local most = channel.at_most and literal(milli(channel.at_most))
    local capped = most
        and ("    if sum > %s then\n      %s = %s - sum\n      sum = %s\n    end\n"):format(most, cap, most, most)
      or ""
    blocks[#blocks + 1] = CHANNEL:format(
      table.concat(terms, " + "),
      cap,
      capped,
      output(e, "intent"),
      output(e, "intent"),
      output(e, "channels"),
      output(e, "channels")
    )
  end
  section(e, "channels", blocks)
end

local function emit_gates(e)
  local blocks = {}
  for i, gate in ipairs(tree.gates) do
    blocks[i] = ("  if %s then %s = 1 else %s = 0 end"):format(
      traced(e, gate.condition, condition(e, gate.when)),
      output(e, "gates", i - 1),
      output(e, "gates", i - 1)
    )
  end
  section(e, "gates", blocks)
end

-- combined first holds the sum; adjustments add to it; the last block caps it and finds the band.
local function emit_scores(e)
  local mix, combined = tree.mix_terms, output(e, "combined")
  local terms = { literal(milli(mix.constant)) }
  for _, role in ipairs { "fit", "engagement" } do
    if mix[role] ~= 0 then terms[#terms + 1] = ("round(%s * %s)"):format(literal(mix[role]), input(e, role)) end
  end
  if mix.model then terms[#terms + 1] = input(e, "model") end
  local blocks = { ("  %s = %s"):format(combined, table.concat(terms, " + ")) }
  for i, adjust in ipairs(tree.adjustments) do
    local points = literal(milli(adjust.points))
    blocks[#blocks + 1] = ("  if %s then\n    %s = %s\n    %s = %s + %s\n  end"):format(
      condition(e, adjust.when),
      output(e, "adjustments", i - 1),
      points,
      combined,
      combined,
      points
    )
  end
  local lines = {
    ("  do\n    local sum, capped, band = %s, %s, -1"):format(combined, combined),
    "    if capped < 0 then capped = 0 elseif capped > 100000 then capped = 100000 end",
  }
  for i, band in ipairs(tree.bands or {}) do
    lines[#lines + 1] = ("    if capped >= %s then band = %d end"):format(literal(milli(band.from)), i - 1)
  end
  lines[#lines + 1] = ("    %s = capped + 0\n    %s = capped - sum\n    %s = band\n  end"):format(
    combined,
    output(e, "cap"),
    output(e, "band")
  )
  blocks[#blocks + 1] = table.concat(lines, "\n")
  section(e, "scores", blocks)
end

local function emit_eligible(e)
  local eligible, ineligible = output(e, "eligible"), output(e, "ineligible")
  local blocks = { ("  %s = 1\n  %s = -1"):format(eligible, ineligible) }
  for i, entry in ipairs(e.plan.eligibility) do
    local text = condition(e, entry.node)
    blocks[#blocks + 1] = ("  if %s == 1 and %s then\n    %s = 0\n    %s = %d\n  end"):format(
      eligible,
      entry.must and "not " .. text or text,
      eligible,
      ineligible,
      i - 1
    )
  end
  section(e, "eligibility", blocks)
end

local function transition_guard(e, go)
  local parts = {}
  if go.on then
    local events = {}
    for i, event in ipairs(go.on) do
      events[i] = input(e, "events", e.plan.event_number[event]) .. " == 1"
    end
    parts[1] = "first and " .. traced(e, go.on_node, table.concat(events, " or "))
  elseif go.after_ms then
    parts[1] = "first and " .. traced(e, go.on_node, ("%s == %d"):format(input(e, "timer"), go.number + 1))
  end
  if go.when then parts[#parts + 1] = condition(e, go.when) end
  return #parts > 0 and table.concat(parts, " and ") or "true"
end

-- pick_N(stage, first) -> transition and its target, or -1: a function for some stages' transitions each.
local function emit_picks(e)
  local lines, groups, count = e.lines, {}, BLOCKS_A_FUNCTION
  for number, stage in ipairs(e.plan.stages) do
    if #stage.transitions > 0 then
      if count + #stage.transitions > BLOCKS_A_FUNCTION then
        groups[#groups + 1], count = { last = 0, body = {} }, 0
      end
      count = count + #stage.transitions
      local group = groups[#groups]
      group.last = number - 1
      group.body[#group.body + 1] = ("  if stage == %d then"):format(number - 1)
      for _, go in ipairs(stage.transitions) do
        group.body[#group.body + 1] = ("    if %s then return %d, %d end"):format(
          transition_guard(e, go),
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

local function emit_journey(e)
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
    STEPS_MAX,
    steps + 1,
    table.concat(entered, "\n"),
    output(e, "stage"),
    steps,
    steps + 1 + STEPS_MAX
  )
end

-- Everything that stays as it was unless something below moves it.
local function emit_rest(e)
  local steps = e.plan.output.steps
  e.lines[#e.lines + 1] = ([[
local function rest()
  %s = %s
  O[%d] = 0
  for i = %d, %d do O[i] = -1 end
  O[%d] = 0
  %s = %s
  %s = -1
  %s = 0
  %s = 0
  %s = %s
  %s = 0
end]]):format(
    output(e, "stage"),
    input(e, "stage"),
    steps,
    steps + 1,
    steps + STEPS_MAX,
    steps + STEPS_MAX + 1,
    output(e, "owner"),
    input(e, "owner"),
    output(e, "route"),
    output(e, "entered"),
    output(e, "action"),
    output(e, "utility"),
    literal(e.plan.rest_utility),
    output(e, "held")
  )
end

local function pick_member(e, rule)
  local team = tree.teams[rule.team]
  local members = {}
  for _, member in ipairs(team.members) do
    if member.weight > 0 then members[#members + 1] = member end
  end
  local lines, sum = { ("    local draw = %s"):format(input(e, "draws", rule.draw)) }, 0
  for i = 1, #members - 1 do
    sum = sum + members[i].weight
    lines[#lines + 1] = ("    %sif draw < %s then %s = %d"):format(
      i == 1 and "" or "else",
      literal(sum / team.total),
      output(e, "owner"),
      members[i].owner
    )
  end
  local last = ("%s = %d"):format(output(e, "owner"), members[#members].owner)
  lines[#lines + 1] = #members == 1 and "    " .. last or "    else " .. last .. " end"
  if #members == 1 then table.remove(lines, 1) end
  return table.concat(lines, "\n")
end

local function emit_routes(e)
  local blocks = {}
  for i, entry in ipairs(tree.entries) do
    for _, rule in ipairs(entry.rules) do
      local guard = rule.when and " and " .. condition(e, rule.when) or ""
      blocks[#blocks + 1] = ("  if %s == %d and %s < 0 and %s == 0%s then\n    %s = %d\n%s\n  end"):format(
        output(e, "entered"),
        i,
        output(e, "route"),
        input(e, "manual"),
        guard,
        output(e, "route"),
        e.plan.route_number[rule.name],
        pick_member(e, rule)
      )
    end
  end
  section(e, "routes", blocks)
end

local OFFER = [[
  if %s then
    local utility = %s
    if utility > %s and utility < 1e300 then
      %s = %d
      %s = utility
    end
  end]]

local function emit_offers(e)
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
  section(e, "offers", blocks)
end

-- The oldest of the last N actions must be longer ago than the limit's duration.
local function emit_limits(e)
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

local MAIN = [[
%s = function()
  customs() evidence() channels() gates() scores() eligibility() rest()]]

local function emit_main(e, name)
  local lines, mode = e.lines, tree.policy.mode
  lines[#lines + 1] = MAIN:format(name)
  lines[#lines + 1] = ("  if %s == 0 then\n    %s = 3\n    return\n  end"):format(
    output(e, "eligible"),
    output(e, "held")
  )
  if mode == "collect" then
    lines[#lines + 1] = ("  %s = 4"):format(output(e, "held"))
  elseif mode == "score" then
    lines[#lines + 1] = ("  journey() routes()\n  %s = 4"):format(output(e, "held"))
  else
    lines[#lines + 1] = "  journey() routes() offers() limits()"
  end
  lines[#lines + 1] = "end"
end

local function emit_variant(plan, lines, name, tracing)
  local e = { plan = plan, tracing = tracing, lines = lines }
  lines[#lines + 1] = "do"
  emit_customs(e)
  emit_evidence(e)
  emit_channels(e)
  emit_gates(e)
  emit_scores(e)
  emit_eligible(e)
  emit_rest(e)
  emit_journey(e)
  emit_routes(e)
  emit_offers(e)
  emit_limits(e)
  emit_main(e, name)
  lines[#lines + 1] = "end"
end

local PRELUDE = [[
local I, O, M, custom, host = ...
local round, exp2 = host.round_even, host.exp2
local plain, tracing
local function holds(x) return x == x and x ~= 0 end
local function known_or(x, otherwise)
  if x == x then return x end
  return otherwise
end
local function number(x)
  if x == true then return 1 end
  if x == false or x == nil then return 0 end
  return x
end
local function mark(at, condition)
  if condition then O[at] = 1 else O[at] = 0 end
  return condition
end]]

-- A view shows a custom function the features that it lists in `reads`, and no others.
local function view(e, custom)
  local number_fields, text_fields = {}, {}
  for _, feature in ipairs(custom.reads) do
    if feature.is_text then
      text_fields[#text_fields + 1] = ("[%q] = %d"):format(feature.name, feature.index)
    else
      number_fields[#number_fields + 1] = ("[%q] = %d"):format(feature.name, e.plan.input.features + feature.index)
    end
  end
  return ("  host.view({ %s }, { %s }),"):format(table.concat(number_fields, ", "), table.concat(text_fields, ", "))
end

local function source(plan)
  local lines = { PRELUDE }
  if #tree.customs > 0 then
    lines[#lines + 1] = "local views = {"
    for _, custom in ipairs(tree.customs) do
      lines[#lines + 1] = view({ plan = plan }, custom)
    end
    lines[#lines + 1] = "}"
  end
  emit_variant(plan, lines, "plain", false)
  emit_variant(plan, lines, "tracing", true)
  lines[#lines + 1] = "return plain, tracing\n"
  return table.concat(lines, "\n")
end

-- ---- the artifact ----

local function rows(list, more)
  local out = {}
  for i, entry in ipairs(list) do
    local row =
      { name = entry.name, why = entry.why or "", path = entry.path, line = entry.line, uses = entry.uses or {} }
    for key, member in pairs(more and more(entry) or {}) do
      row[key] = member
    end
    out[i] = row
  end
  return out
end

local function stage_rows(plan)
  local out = {}
  for i, stage in ipairs(plan.stages) do
    out[i] = { name = stage.name, final = stage.final or false, path = stage.path, line = stage.line }
  end
  return out
end

local function action_rows()
  local otherwise = tree.otherwise
    or { name = "none", why = "This policy offers nothing.", path = tree.policy.path, line = tree.policy.line }
  local list = { otherwise }
  for _, offer in ipairs(tree.offers) do
    list[#list + 1] = offer
  end
  return rows(list)
end

local function names(list)
  local out = {}
  for i, entry in ipairs(list) do
    out[i] = entry.name
  end
  return out
end

-- The set's declarations; a feature whose age the policy asks for keeps the time of its latest match (max_age).
local function declarations(plan)
  local out = {}
  for i, declaration in ipairs(tree.signals.declarations) do
    local asked = plan.age_asked[declaration.name]
    out[i] = declaration
    if asked and declaration.max_age == nil then
      out[i] = { max_age = ("%ds"):format(math.ceil(asked / 1000)) }
      for key, member in pairs(declaration) do
        out[i][key] = member
      end
    end
  end
  return out
end

local function artifact(plan)
  local policy = tree.policy
  local out = {
    name = policy.name,
    owner = policy.owner,
    rationale = policy.rationale,
    boundary = policy.boundary,
    mode = policy.mode,
    models = policy.models,
    retrain = retrain.rows(),
    mix = tree.mix_terms,
    bands = tree.bands or {},
    stages = stage_rows(plan),
    transitions = rows(
      plan.transitions,
      function(go)
        return { from = plan.stage_number[go.from], to = plan.stage_number[go.name], after_ms = go.after_ms or 0 }
      end
    ),
    owners = tree.owners,
    routes = rows(tree.routes),
    actions = action_rows(),
    adjustments = rows(tree.adjustments),
    evidence = rows(tree.evidence, function(entry) return { channel = plan.channel_number[entry.channel] } end),
    channels = names(tree.channels),
    gates = rows(tree.gates),
    conditions = plan.conditions,
    eligibility = rows(plan.eligibility),
    reads = lineage.reads(plan),
    tests = plan.tests,
    ages = plan.ages,
    events = plan.events,
    draws = plan.draws,
    memory = plan.memory,
    custom = #tree.customs,
    layout = {
      input = plan.input,
      output = plan.output,
      input_count = plan.input_count,
      output_count = plan.output_count,
    },
    source = source(plan),
  }
  signal_load.put(tree.signals, out)
  out.declarations = declarations(plan)
  return out
end

local compile = {}

--- The artifact of the checked tree, without problems.
function compile.run()
  local plan = {
    conditions = {},
    tests = {},
    test_number = {},
    ages = {},
    age_number = {},
    age_asked = {},
    events = {},
    event_number = {},
    draws = {},
    draw_number = {},
    memory = {},
    eligibility = {},
    gate_condition = {},
  }
  plan.channel_number, plan.gate_number = index_by_name(tree.channels), index_by_name(tree.gates)
  plan.route_number = index_by_name(tree.routes)
  plan.rest_utility = tree.otherwise and tree.otherwise.utility or 0
  number_journey(plan)
  number_conditions(plan)
  number_memory(plan)
  number_draws(plan)
  lay_out(plan)
  local made = artifact(plan)
  local compiles, why = host.compiles(made.source, "policy " .. made.name)
  if not compiles then error(("the library made a chunk that does not compile: %s"):format(tostring(why)), 0) end
  return made
end

return freeze("compile", compile)
