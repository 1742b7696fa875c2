--- Walks the tree that a policy built and reports everything that can't be meant. Also prepares what compiling needs:
--- the mix of scores, the owners of each team, stages in order. Each function below looks at one thing.
local freeze = require "frozen"
local bounds = require "bounds"
local data = require "data"
local numbers = require "numbers"
local retrain = require "retrain"
local tree = require "tree"
local value = require "value"

-- The engine's bounds (artifact.h, policy.h).
local LIMITS = { stages = 64, transitions = 512, timers = 4, evidence = 64, adjustments = 64, rules = 256 }

local function names_of(list)
  local names = {}
  for i, entry in ipairs(list) do
    names[i] = entry.name
  end
  return names
end

local function find(list, name)
  for index, entry in ipairs(list) do
    if entry.name == name then return entry, index end
  end
end

local function called(entry)
  if entry.kind == "go" then return ("%s -> %s"):format(entry.from or "?", entry.name) end
  return ("%s '%s'"):format(entry.kind, entry.name)
end

-- ---- what each rule may read, and what it reads ----

-- Things are computed in this order; a rule reads only what stands before it.
local RANK = { intent = 2, channels = 2, gate = 3, combined = 5 }

-- Marks nodes as used; reports what is computed later than the rule itself and thresholds that can't be met.
local function visit_rule(entry, node, rank)
  if not node then return end
  value.walk(node, function(below)
    below.used = true
    if below.kind == "gate" and not find(tree.gates, below.gate) then
      tree.problem(below, "no gate '%s'%s", below.gate, tree.hint(below.gate, names_of(tree.gates)))
    end
    local needs = RANK[below.kind]
    if needs and needs > rank then
      tree.problem(
        entry,
        "%s can't read '%s': that is computed after it, and partly from it",
        called(entry),
        below.label
      )
    end
  end)
end

local function show_limit(node, x)
  if node.is_duration then return numbers.show_duration(x) end
  return numbers.show(x)
end

local function check_threshold(node)
  local low, high = bounds.of(node.value)
  local least = (node.op == "at_least" or node.op == "within" or node.op == "is" or node.op == "above") and node.bound
  local most = (node.op == "at_most" or node.op == "is" or node.op == "under") and node.bound or node.upper
  local short = least and (high < least or (node.op == "above" and high <= least))
  if short and node.value.kind == "intent" then
    tree.problem(
      node,
      "'%s' can never hold: needs %s, all evidence reaches %s",
      node.label,
      show_limit(node.value, least),
      show_limit(node.value, high)
    )
  elseif short then
    tree.problem(
      node,
      "'%s' can never hold: needs %s, '%s' reaches at most %s",
      node.label,
      show_limit(node.value, least),
      node.value.label,
      show_limit(node.value, high)
    )
  elseif most and (low > most or (node.op == "under" and low >= most)) then
    tree.problem(
      node,
      "'%s' can never hold: '%s' is at least %s",
      node.label,
      node.value.label,
      show_limit(node.value, low)
    )
  elseif node.op == "at_least" and low >= node.bound then
    tree.warn(
      node,
      "'%s' holds whenever the value is known: it is never below %s",
      node.label,
      show_limit(node.value, low)
    )
  end
end

local function check_reads()
  for _, evidence in ipairs(tree.evidence) do
    visit_rule(evidence, evidence.when, 1)
  end
  for index, gate in ipairs(tree.gates) do
    visit_rule(gate, gate.when, 3)
    if gate.when then
      value.walk(gate.when, function(below)
        local _, other = find(tree.gates, below.kind == "gate" and below.gate or "")
        if other and other >= index then
          tree.problem(gate, "gate '%s' can't read gate '%s': only gates declared above it", gate.name, below.gate)
        end
      end)
    end
  end
  for _, adjust in ipairs(tree.adjustments) do
    visit_rule(adjust, adjust.when, 4)
  end
  if tree.policy and tree.policy.eligible then visit_rule(tree.policy, tree.policy.eligible, 6) end
  for _, stage in ipairs(tree.stages) do
    for _, go in ipairs(stage.transitions or {}) do
      visit_rule(go, go.when, 6)
    end
  end
  for _, rule in ipairs(tree.routes) do
    visit_rule(rule, rule.when, 6)
  end
  for _, offer in ipairs(tree.offers) do
    visit_rule(offer, offer.when, 6)
    visit_rule(offer, offer.utility, 6)
  end
  if tree.mix then
    visit_rule({ kind = "score.combined", name = "mix", path = tree.mix.path, line = tree.mix.line }, tree.mix.node, 6)
  end
end

-- Conditions that no rule uses and that are no part of another one.
local function loose_conditions()
  local loose = {}
  for _, node in ipairs(tree.made) do
    if node.class == "condition" and not node.used then
      loose[#loose + 1] = node
      value.walk(node, function(below)
        if below ~= node then below.is_part = true end
        below.is_named = true
      end)
    end
  end
  return loose
end

-- What was written and decides nothing; not where the line has a problem already, since that is why.
local function check_loose()
  local has_problem = {}
  for _, problem in ipairs(tree.problems) do
    has_problem[problem.path .. ":" .. problem.line] = true
  end
  local function is_excused(node) return has_problem[node.path .. ":" .. node.line] end
  for _, node in ipairs(loose_conditions()) do
    if not node.is_part and not is_excused(node) then
      tree.problem(
        node,
        "'%s' decides nothing: no rule uses it (Lua's `and` and `or` drop one side: write all { … } or any { … })",
        node.label
      )
    end
  end
  for _, node in ipairs(tree.made) do
    if node.class == "value" and not node.used and not node.is_named and not is_excused(node) then
      tree.warn(node, "feature '%s' is named, but no rule uses it", node.label)
    end
  end
end

local function check_made()
  local opened = {} -- gates, by name
  for _, node in ipairs(tree.made) do
    if node.kind == "gate" and node.used then opened[node.gate] = true end
    if node.kind == "compare" and node.used then check_threshold(node) end
  end
  for _, gate in ipairs(tree.gates) do
    if not opened[gate.name] then
      tree.warn(gate, "gate '%s' opens nothing: no rule asks belief.passed \"%s\"", gate.name, gate.name)
    end
  end
end

-- ---- belief and score ----

local function check_belief()
  for _, evidence in ipairs(tree.evidence) do
    if evidence.channel and not find(tree.channels, evidence.channel) then
      tree.problem(
        evidence,
        "evidence '%s': no channel '%s'%s",
        evidence.name,
        evidence.channel,
        tree.hint(evidence.channel, names_of(tree.channels))
      )
    end
  end
  for _, channel in ipairs(tree.channels) do
    local fed = false
    for _, evidence in ipairs(tree.evidence) do
      fed = fed or evidence.channel == channel.name
    end
    if not fed then tree.warn(channel, "channel '%s' has no evidence", channel.name) end
  end
end

local function check_sizes()
  local function bounded(list, most)
    if #list > most then tree.problem(list[most + 1], "%s: at most %d of them", called(list[most + 1]), most) end
  end
  bounded(tree.evidence, LIMITS.evidence)
  bounded(tree.adjustments, LIMITS.adjustments)
  bounded(tree.gates, LIMITS.rules)
  bounded(tree.routes, LIMITS.rules)
  bounded(tree.offers, LIMITS.rules)
end

-- The mix as {fit, engagement, constant}; nil when the expression is no such sum.
local function linear(node)
  if node.kind == "number" then return { fit = 0, engagement = 0, constant = node.number } end
  if node.kind == "fit" then return { fit = 1, engagement = 0, constant = 0 } end
  if node.kind == "engagement" then return { fit = 0, engagement = 1, constant = 0 } end
  if node.kind ~= "arith" then return nil end
  local a, b = linear(node.left), linear(node.right)
  if not a or not b then return nil end
  local function each(f)
    return { fit = f(a.fit, b.fit), engagement = f(a.engagement, b.engagement), constant = f(a.constant, b.constant) }
  end
  if node.op == "+" then
    return each(function(x, y) return x + y end)
  end
  if node.op == "-" then
    return each(function(x, y) return x - y end)
  end
  local function is_number(terms) return terms.fit == 0 and terms.engagement == 0 end
  if node.op == "*" and is_number(a) then
    return each(function(_, y) return a.constant * y end)
  end
  if node.op == "*" and is_number(b) then
    return each(function(x) return x * b.constant end)
  end
  if node.op == "/" then
    return each(function(x) return x / b.constant end)
  end
  return nil
end

local function check_mix()
  local models = tree.policy and tree.policy.models or {}
  if models.split then
    if tree.mix then
      tree.problem(
        tree.mix,
        "models.split names one model, and the combined score is that model's own: leave score.combined { … } out; "
          .. "points beside it come from score.adjust"
      )
    end
    tree.mix_terms = { fit = 0, engagement = 0, model = 1, constant = 0 }
    return
  end
  if not tree.mix then
    if models.fit and models.engagement then
      tree.problem(tree.policy, "two models and no score.combined { … }: how do fit and engagement add up?")
    end
    tree.mix_terms =
      { fit = models.fit and 1 or 0, engagement = not models.fit and models.engagement and 1 or 0, constant = 0 }
    return
  end
  if tree.mix.node.kind == "unknown" then return end
  tree.mix_terms = linear(tree.mix.node)
  if not tree.mix_terms then
    tree.problem(
      tree.mix,
      "score.combined is a sum of shares of score.fit and score.engagement and a constant; "
        .. "other points come from score.adjust"
    )
    return
  end
  for _, role in ipairs { "fit", "engagement" } do
    if tree.mix_terms[role] ~= 0 and not models[role] then
      tree.problem(
        tree.mix,
        "score.combined reads score.%s, and policy '%s' names no models.%s",
        role,
        tree.policy and tree.policy.name or "?",
        role
      )
    end
  end
end

-- ---- journey ----

local function check_targets(names)
  for _, stage in ipairs(tree.stages) do
    local timers = 0
    for _, go in ipairs(stage.transitions or {}) do
      if not find(tree.stages, go.name) then
        tree.problem(go, "no stage '%s'%s", go.name, tree.hint(go.name, names))
      elseif go.name == stage.name then
        tree.problem(go, "stage '%s' goes to itself", stage.name)
      end
      if go.after_ms then timers = timers + 1 end
      if go.on and tree.signals and tree.signals.events then
        for _, event in ipairs(go.on) do
          local known = false
          for _, name in ipairs(tree.signals.events) do
            known = known or name == event
          end
          if not known then
            tree.problem(
              go,
              "no event '%s' in the signal set '%s'%s",
              event,
              tree.signals.name,
              tree.hint(event, tree.signals.events)
            )
          end
        end
      end
    end
    if timers > LIMITS.timers then
      tree.problem(stage, "stage '%s' has %d transitions with after; at most %d", stage.name, timers, LIMITS.timers)
    end
    if not stage.final and stage.transitions and #stage.transitions == 0 then
      tree.problem(
        stage,
        "stage '%s' has no way out; write journey.final \"%s\" when that is meant",
        stage.name,
        stage.name
      )
    end
  end
end

local function check_reached()
  -- A misspelt stage has been told. What it cuts off is no fault of its own.
  for _, stage in ipairs(tree.stages) do
    for _, go in ipairs(stage.transitions or {}) do
      if not find(tree.stages, go.name) then return end
    end
  end
  local reached, queue = { [tree.start.name] = true }, { (find(tree.stages, tree.start.name)) }
  while #queue > 0 do
    for _, go in ipairs(table.remove(queue).transitions or {}) do
      local stage = find(tree.stages, go.name)
      if stage and not reached[go.name] then
        reached[go.name] = true
        queue[#queue + 1] = stage
      end
    end
  end
  for _, stage in ipairs(tree.stages) do
    if not reached[stage.name] then
      tree.problem(stage, "stage '%s' can't be reached from '%s'", stage.name, tree.start.name)
    end
  end
end

-- Whether `narrow` holding always means that `wide` does; nil stands for "always". True only where it is sure.
local function implies(narrow, wide)
  if not wide then return true end
  if not narrow then return false end
  if narrow == wide then return true end
  if wide.kind == "any" then
    for _, item in ipairs(wide.items) do
      if implies(narrow, item) then return true end
    end
  end
  if narrow.kind == "all" then
    for _, item in ipairs(narrow.items) do
      if implies(item, wide) then return true end
    end
  end
  if narrow.kind ~= wide.kind then return false end
  if narrow.kind ~= "compare" then return narrow.label == wide.label and narrow.kind ~= "unknown" end
  if narrow.value.label ~= wide.value.label then return false end
  if narrow.op == "at_least" and wide.op == "at_least" then return narrow.bound >= wide.bound end
  if narrow.op == "under" and wide.op == "under" then return narrow.bound <= wide.bound end
  return narrow.label == wide.label
end

local function covers_events(wide, narrow)
  if not wide then return true end
  if not narrow then return false end
  for _, event in ipairs(narrow) do
    local found = false
    for _, other in ipairs(wide) do
      found = found or other == event
    end
    if not found then return false end
  end
  return true
end

local function check_shadows()
  for _, stage in ipairs(tree.stages) do
    local gos = stage.transitions or {}
    for later = 2, #gos do
      for earlier = 1, later - 1 do
        local a, b = gos[earlier], gos[later]
        if
          not a.broken
          and not b.broken
          and not a.after_ms
          and covers_events(a.on, b.on)
          and implies(b.when, a.when)
        then
          tree.problem(b, "%s never fires: '%s' in line %d always does first", called(b), called(a), a.line)
          break
        end
      end
    end
  end
end

-- The single comparisons that must hold (all) or suffice (any) for a transition.
local function parts(node, kind)
  if not node then return {} end
  while node.items and #node.items == 1 and node.kind ~= "none" do
    node = node.items[1]
  end
  return node.kind == kind and node.items or { node }
end

local UPWARD, DOWNWARD = { at_least = true, above = true }, { under = true, at_most = true }

-- What is wrong between a comparison that enters a stage and one that leaves it again; nil: nothing.
local function flapping(enter, leave)
  if enter.kind ~= "compare" or leave.kind ~= "compare" or enter.value.label ~= leave.value.label then return nil end
  local rises = UPWARD[enter.op] and DOWNWARD[leave.op]
  if not rises and not (DOWNWARD[enter.op] and UPWARD[leave.op]) then return nil end
  local gap = rises and enter.bound - leave.bound or leave.bound - enter.bound
  if gap < 0 then return "overlap" end
  return gap == 0 and "touch" or nil
end

local function warn_flapping(out, back, enter, leave, how)
  local of, bound = enter.value, show_limit(enter.value, enter.bound)
  if how == "overlap" then
    local low, high = math.min(enter.bound, leave.bound), math.max(enter.bound, leave.bound)
    tree.warn(
      back,
      "%s and %s can both hold from %s to %s: the lead would go to and fro",
      called(out),
      called(back),
      show_limit(of, low),
      show_limit(of, high)
    )
  else
    tree.warn(
      back,
      "%s and %s use the same bound, '%s' and '%s': a value that moves about %s moves the lead to and fro; "
        .. "leave a gap between the two, or let one of them wait (after)",
      called(out),
      called(back),
      enter.label,
      leave.label,
      bound
    )
  end
end

-- There and back again on the same value without a gap between the thresholds; of each pair of transitions once.
local function check_flapping()
  local told = {}
  for _, stage in ipairs(tree.stages) do
    for _, out in ipairs(stage.transitions or {}) do
      local target = find(tree.stages, out.name)
      for _, back in ipairs(target and not out.on and not out.after_ms and target.transitions or {}) do
        if back.name == stage.name and not back.on and not back.after_ms then
          for _, enter in ipairs(parts(out.when, "all")) do
            for _, leave in ipairs(parts(back.when, "any")) do
              local how = flapping(enter, leave)
              local pair = enter.label .. "\n" .. leave.label
              if how and not told[leave.label .. "\n" .. enter.label] then
                told[pair] = true
                warn_flapping(out, back, enter, leave, how)
              end
            end
          end
        end
      end
    end
  end
end

local function check_journey()
  local names = names_of(tree.stages)
  for _, go in ipairs(tree.goes) do
    if not go.from then tree.problem(go, "go '%s' stands outside of a journey.stage", go.name) end
  end
  check_targets(names)
  local transitions = 0
  for _, stage in ipairs(tree.stages) do
    transitions = transitions + #(stage.transitions or {})
  end
  if #names > LIMITS.stages then tree.problem(tree.stages[LIMITS.stages + 1], "at most %d stages", LIMITS.stages) end
  if transitions > LIMITS.transitions then
    tree.problem(tree.stages[1], "at most %d transitions", LIMITS.transitions)
  end
  if not tree.start then
    tree.problem(tree.stages[1] or tree.policy, 'no journey.start "stage": where does a lead begin?')
  elseif not find(tree.stages, tree.start.name) then
    tree.problem(tree.start, "no stage '%s'%s", tree.start.name, tree.hint(tree.start.name, names))
  else
    check_reached()
  end
  check_shadows()
  check_flapping()
end

-- ---- routes and actions ----

-- tree.teams: team -> {members = {{name, weight}}, total}; tree.owners: names, each once.
local function read_team()
  tree.teams, tree.team_names, tree.owners = {}, {}, {}
  local records = data.records(tree.policy.team, { "name", "team", "weight" }, tree.policy)
  if not records then return false end
  local known = {}
  for _, record in ipairs(records) do
    local weight = tonumber(record.weight)
    if record.name == "" or record.team == "" or not numbers.is_finite(weight) or weight < 0 then
      tree.problem(record, "each row is a name, a team and a weight of 0 or more")
    else
      local team = tree.teams[record.team]
      if not team then
        team = { members = {}, total = 0 }
        tree.teams[record.team], tree.team_names[#tree.team_names + 1] = team, record.team
      end
      for _, member in ipairs(team.members) do
        if member.name == record.name then
          tree.problem(record, "'%s' is in team '%s' twice", record.name, record.team)
        end
      end
      if not known[record.name] then
        known[record.name], tree.owners[#tree.owners + 1] = #tree.owners, record.name
      end
      team.members[#team.members + 1] = { name = record.name, weight = weight, owner = known[record.name] }
      team.total = team.total + weight
    end
  end
  return true
end

local function check_routes()
  tree.teams, tree.team_names, tree.owners = {}, {}, {}
  for _, entry in ipairs(tree.entries) do
    if not find(tree.stages, entry.name) then
      tree.problem(entry, "route.on_enter: no stage '%s'%s", entry.name, tree.hint(entry.name, names_of(tree.stages)))
    end
    local rules = entry.rules
    if #rules == 0 then
      tree.problem(entry, "route.on_enter '%s' has no rules below it", entry.name)
    elseif not rules[#rules].is_otherwise then
      tree.warn(
        entry,
        "route.on_enter '%s' has no route.otherwise: a lead that matches no rule stays without an owner",
        entry.name
      )
    end
  end
  if not tree.policy then return end
  if not tree.policy.team then
    if #tree.routes > 0 then
      tree.problem(tree.routes[1], 'routes need people: name the team file in the policy\'s head, team = "sales_team"')
    end
    return
  end
  if not read_team() then return end
  for _, rule in ipairs(tree.routes) do
    local team = tree.teams[rule.team]
    if not team then
      tree.problem(
        rule,
        "%s: no team '%s' in data/%s.csv%s",
        called(rule),
        rule.team,
        tree.policy.team,
        tree.hint(rule.team, tree.team_names)
      )
    elseif team.total <= 0 then
      tree.problem(rule, "%s: nobody in team '%s' has a weight above 0", called(rule), rule.team)
    end
  end
end

local function check_actions()
  for _, offer in ipairs(tree.offers) do
    for _, name in ipairs(offer.stages) do
      if not find(tree.stages, name) then
        tree.problem(offer, "offer '%s': no stage '%s'%s", offer.name, name, tree.hint(name, names_of(tree.stages)))
      end
    end
    local utility = offer.utility
    if utility and utility.kind ~= "unknown" and tree.otherwise then
      local _, high = bounds.of(utility)
      if high <= tree.otherwise.utility then
        tree.problem(
          offer,
          "offer '%s' can never win: it is worth at most %s, '%s' %s",
          offer.name,
          numbers.show(high),
          tree.otherwise.name,
          numbers.show(tree.otherwise.utility)
        )
      end
    end
    if tree.otherwise and offer.name == tree.otherwise.name then
      tree.problem(offer, "offer '%s' has the name of action.otherwise", offer.name)
    end
  end
  if #tree.offers > 0 and not tree.otherwise then
    tree.problem(
      tree.offers[1],
      'offers need an action.otherwise "name" { utility = …, why = … }: what is done when none is worth it?'
    )
  end
end

local check = {}

--- Reports into the tree.
function check.run()
  for _, entry in ipairs(tree.pending) do
    if not entry.has_body then tree.problem(entry, "%s is named, but its { … } is missing", called(entry)) end
  end
  if not tree.policy then
    tree.problem(
      { path = ("policies/%s/policy.lua"):format(tree.input.policy), line = 0 },
      'no policy "%s" { … }',
      tree.input.policy
    )
  elseif not tree.signals and not tree.signals_unknown then
    tree.problem(tree.policy, 'no signal.features "set@version": a policy reads a signal set')
  end
  check_sizes()
  check_belief()
  check_mix()
  retrain.check()
  check_reads()
  check_made()
  check_journey()
  check_routes()
  check_actions()
  check_loose()
end

return freeze("check", check)
