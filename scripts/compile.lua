--- Turns a checked tree into the artifact (core/policy/artifact.h): tables of names and reasons, the layout of the
--- arrays, and one chunk of Lua. The chunk reads I[…], writes O[…] and M[…], has its constants inlined, makes no
--- table, closure or text per call, and keeps what its parts hand each other in O, so that it can be cut into
--- functions of any number without meeting LuaJIT's limits on locals and upvalues.
local calendar = require "calendar"
local chunk = require "chunk"
local compile_action = require "compile_action"
local compile_journey = require "compile_journey"
local compile_memory = require "compile_memory"
local compile_route = require "compile_route"
local compile_sales = require "compile_sales"
local freeze = require "frozen"
local lineage = require "lineage"
local numbering = require "numbering"
local numbers = require "numbers"
local signal_load = require "signal_load"
local retrain = require "retrain"
local tracing = require "tracing"
local tree = require "tree"

local literal, milli = numbers.literal, numbers.milli
local input, output = chunk.input, chunk.output
local condition, traced, section = chunk.condition, chunk.traced, chunk.section
local STEPS_MAX = chunk.STEPS_MAX

-- ---- numbering ----

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
  compile_memory.number_conditions(plan)
  for _, evidence in ipairs(tree.evidence) do
    numbering.rule(plan, evidence, evidence.when)
  end
  for _, gate in ipairs(tree.gates) do
    numbering.rule(plan, gate, gate.when)
    gate.condition = { label = gate.name, path = gate.path, line = gate.line }
    numbering.condition(plan, gate.condition)
    plan.gate_condition[gate.name] = gate.condition.number
  end
  for _, adjust in ipairs(tree.adjustments) do
    numbering.rule(plan, adjust, adjust.when)
  end
  if tree.policy.eligible then flatten_eligible(tree.policy.eligible, true, plan.eligibility) end
  for _, entry in ipairs(plan.eligibility) do
    numbering.rule(plan, entry, entry.node)
  end
  for _, go in ipairs(plan.transitions) do
    compile_journey.number_conditions(plan, go)
  end
  for _, rule in ipairs(tree.routes) do
    numbering.rule(plan, rule, rule.when)
  end
  compile_action.number_conditions(plan)
end

local function number_memory(plan)
  compile_memory.number(plan)
  for _, evidence in ipairs(tree.evidence) do
    if evidence.half_life_ms then
      evidence.memory = #plan.memory
      plan.memory[evidence.memory + 1] = { name = "evidence " .. evidence.name, initial = -1 }
    end
  end
  compile_action.number_memory(plan)
end

local function number_draws(plan)
  compile_route.number_draws(plan, numbering.draw)
  compile_action.number_draws(plan)
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
  local singles = { "now", "stage", "since", "timer", "fit", "engagement", "owner", "manual", "acted", "is_event",
    "sales", "switch" }
  if tree.mix_terms.model then singles[#singles + 1] = "model" end
  plan.input, plan.input_count = sequence(
    singles,
    {
      { "features", #tree.signals.names },
      { "tests", #plan.tests },
      { "ages", #plan.ages },
      { "events", #plan.events },
      { "draws", #plan.draws },
      { "barred", chunk.REJECTS },
      { "places", #plan.places },
      { "quiet", #plan.quiet },
    }
  )
  local out, count = sequence({
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
    "explored",
    "propensity",
  }, {
    { "offers", #tree.offers },
    { "offers_held", #tree.offers },
    { "adjustments", #tree.adjustments },
    { "evidence", #tree.evidence },
    { "channel_caps", #tree.channels },
    { "conditions", #plan.conditions },
    { "regions", #plan.machines - 1 },
    { "notes", #plan.notes > 0 and 1 + chunk.NOTES_MAX or 0 },
  })
  plan.output, plan.scratch = out, {}
  local runs = {
    { "channels", 1 },
    { "entered", 1 },
    { "gates", #tree.gates },
    { "customs", #tree.customs },
    { "histories", #plan.histories },
    { "flags", #plan.entered },
    { "best_held", 2 }, -- of the offers held back by themselves: the best one's utility, and why
  }
  local notes
  notes, plan.log_room = tracing.runs(plan)
  for _, list in ipairs { runs, notes } do
    for _, run in ipairs(list) do
      plan.scratch[run[1]], count = count, count + run[2]
    end
  end
  plan.output_count = count
end

-- ---- parts of the chunk ----

local function emit_customs(e)
  local blocks = {}
  for i, custom in ipairs(tree.customs) do
    blocks[i] = ("  %s = number(custom[%d](views[%d]))"):format(output(e, "customs", i - 1), i, i) .. tracing.done(e, custom)
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
        tracing.tried(e, evidence, condition(e, evidence.when)),
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
        tracing.tried(e, evidence, condition(e, evidence.when)),
        row,
        literal(numbers.round_even(points)),
        row
      )
    end
    blocks[i] = blocks[i] .. tracing.done(e, evidence)
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
    ) .. tracing.done(e, channel)
  end
  section(e, "channels", blocks)
end

local function emit_gates(e)
  local blocks = {}
  for i, gate in ipairs(tree.gates) do
    blocks[i] = ("  if %s then %s = 1 else %s = 0 end"):format(
      tracing.tried(e, gate, traced(e, gate.condition, condition(e, gate.when))),
      output(e, "gates", i - 1),
      output(e, "gates", i - 1)
    )
  end
  section(e, "gates", blocks)
end

-- What a row gives: its points, or what is above a cap or below a floor. All are whole thousandths, so sums are exact.
local function points_of(adjust, combined)
  local bound = adjust.bound and literal(milli(adjust.bound))
  if adjust.kind == "cap" then return ("least(%s - %s, 0)"):format(bound, combined) end
  if adjust.kind == "floor" then return ("most(%s - %s, 0)"):format(bound, combined) end
  return literal(milli(adjust.points))
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
    local row = output(e, "adjustments", i - 1)
    blocks[#blocks + 1] = ("  if %s then\n    %s = %s\n    %s = %s + %s\n  end"):format(
      tracing.tried(e, adjust, condition(e, adjust.when)),
      row,
      points_of(adjust, combined),
      combined,
      combined,
      row
    ) .. tracing.done(e, adjust)
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
      tracing.tried(e, entry, entry.must and "not " .. text or text),
      eligible,
      ineligible,
      i - 1
    )
  end
  section(e, "eligibility", blocks)
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
  %s = 0
  %s = 1
%s
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
    output(e, "held"),
    output(e, "explored"),
    output(e, "propensity"),
    compile_journey.rest(e)
  )
end

local MAIN = [[
%s = function()
  %sby_events() customs() evidence() channels() gates() scores() eligibility() rest()%s]]

local function emit_main(e, name)
  local lines, mode = e.lines, tree.policy.mode
  lines[#lines + 1] = MAIN:format(name, tracing.begin(e), tracing.survey(e))
  local held, switch, journey = output(e, "held"), input(e, "switch"), compile_sales.journey(e)
  lines[#lines + 1] = ("  if %s == 0 or %s then\n    %s = 3\n    return\n  end"):format(
    output(e, "eligible"),
    compile_sales.is_out(e),
    held
  )
  local stops = "  if %s == %d then\n    %s = 11\n    return\n  end"
  if mode == "collect" then
    lines[#lines + 1] = ("  %s = 4"):format(held)
  else
    lines[#lines + 1] = stops:format(switch, 2, held)
    lines[#lines + 1] = ("  %s\n  routes()"):format(journey)
    lines[#lines + 1] = mode == "score" and ("  %s = 4"):format(held)
      or stops:format(switch, 1, held) .. "\n  offers() limits() explore() remember()" .. tracing.done(e, e.plan.limits)
  end
  lines[#lines + 1] = "end"
end

local function emit_variant(plan, lines, name, is_traced)
  local e = { plan = plan, tracing = is_traced, lines = lines }
  lines[#lines + 1] = "do"
  tracing.emit(e)
  compile_memory.emit(e)
  emit_customs(e)
  emit_evidence(e)
  emit_channels(e)
  emit_gates(e)
  emit_scores(e)
  emit_eligible(e)
  emit_rest(e)
  compile_journey.emit(e)
  compile_sales.emit(e)
  compile_route.emit(e)
  compile_action.emit_offers(e)
  compile_action.emit_limits(e)
  compile_action.emit_explore(e)
  compile_action.emit_memory(e)
  emit_main(e, name)
  lines[#lines + 1] = "end"
end

local PRELUDE = [[
local I, O, M, custom, host = ...
local round, exp2, floor = host.round_even, host.exp2, host.floor
local plain, tracing
local function some(x)
  if x >= 0 then return x end
  return 0 / 0
end
local function holds(x) return x == x and x ~= 0 end
local function known_or(x, otherwise)
  if x == x then return x end
  return otherwise
end
local function least(a, b)
  if a < b then return a end
  return a == a and b or a
end
local function most(a, b)
  if a > b then return a end
  return a == a and b or a
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
    stages = compile_journey.rows(plan),
    was = compile_journey.was_rows(plan),
    notes = compile_journey.note_rows(plan),
    transitions = rows(
      plan.transitions,
      function(go) return compile_journey.transition_row(plan, go) end
    ),
    calendars = calendar.rows(),
    quiet = plan.quiet,
    owners = tree.owners,
    routes = rows(tree.routes),
    actions = rows(compile_action.list()),
    adjustments = rows(tree.adjustments, function(entry) return { kind = entry.kind } end),
    evidence = rows(tree.evidence, function(entry) return { channel = plan.channel_number[entry.channel] } end),
    channels = names(tree.channels),
    gates = rows(tree.gates),
    conditions = plan.conditions,
    eligibility = rows(plan.eligibility),
    reads = lineage.reads(plan),
    tests = plan.tests,
    ages = plan.ages,
    sales = policy.sales,
    events = plan.events,
    draws = plan.draws,
    memory = plan.memory,
    trace = tracing.tables(plan),
    fields = compile_memory.rows(),
    custom = #tree.customs,
    layout = {
      input = plan.input,
      output = plan.output,
      input_count = plan.input_count,
      output_count = plan.output_count,
    },
    source = source(plan),
  }
  compile_route.put(plan, out)
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
  plan.channel_number, plan.gate_number = numbering.by_name(tree.channels), numbering.by_name(tree.gates)
  plan.route_number = numbering.by_name(tree.routes)
  plan.rest_utility = tree.otherwise and tree.otherwise.utility or 0
  compile_journey.number(plan)
  compile_memory.number_events(plan)
  number_conditions(plan)
  tracing.number(plan)
  number_memory(plan)
  number_draws(plan)
  lay_out(plan)
  local made = artifact(plan)
  local compiles, why = host.compiles(made.source, "policy " .. made.name)
  if not compiles then error(("the library made a chunk that does not compile: %s"):format(tostring(why)), 0) end
  return made
end

return freeze("compile", compile)
