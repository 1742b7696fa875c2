--- Walks the tree that a policy built and reports everything that can't be meant. Also prepares what compiling needs:
--- the mix of scores, the owners of each team, stages in order. Each function below looks at one thing.
local freeze = require "frozen"
local bounds = require "bounds"
local calendar = require "calendar"
local check_action = require "check_action"
local check_dead = require "check_dead"
local check_journey = require "check_journey"
local check_memory = require "check_memory"
local check_route = require "check_route"
local check_sales = require "check_sales"
local naming = require "naming"
local numbers = require "numbers"
local retrain = require "retrain"
local tree = require "tree"
local value = require "value"

-- The engine's bounds (artifact.h, policy.h).
local LIMITS = { evidence = 64, adjustments = 64, rules = 256 }

local names_of, find, called, show_limit = naming.all, naming.find, naming.called, naming.limit

-- ---- what each rule may read, and what it reads ----

-- Things are computed in this order; a rule reads only what stands before it.
local RANK = { intent = 2, channels = 2, gate = 3, combined = 5, at = 7, entered = 8 }

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

-- A cap that nothing reaches, a floor that nothing is below.
local function check_bound(entry)
  if not entry.bound or entry.is_outside then return end
  local low, high = bounds.before(entry)
  if entry.kind == "cap" and high <= entry.bound then
    tree.problem(entry, "cap '%s' can never take anything: the score reaches at most %s here", entry.name, numbers.show(high))
  elseif entry.kind == "floor" and low >= entry.bound then
    tree.problem(entry, "floor '%s' can never give anything: the score is at least %s here", entry.name, numbers.show(low))
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
    check_bound(adjust)
  end
  if tree.policy and tree.policy.eligible then visit_rule(tree.policy, tree.policy.eligible, 6) end
  for _, stage in ipairs(tree.stages) do
    for _, go in ipairs(stage.transitions or {}) do
      visit_rule(go, go.when, 7)
    end
  end
  for _, rule in ipairs(tree.routes) do
    visit_rule(rule, rule.when, 8)
  end
  for _, offer in ipairs(tree.offers) do
    visit_rule(offer, offer.when, 8)
    visit_rule(offer, offer.consent, 8)
    visit_rule(offer, offer.utility, 8)
  end
  for _, way in ipairs(tree.ways) do
    visit_rule(way, way.consent, 8)
    if type(way.zone) == "table" then visit_rule(way, way.zone, 8) end
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
    if node.class == "value" and node.kind ~= "memory" and not node.used and not node.is_named and not is_excused(node) then
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
  if tree.policy and tree.policy.calendar then calendar.read(tree.policy.calendar, tree.policy) end
  check_sizes()
  check_belief()
  check_mix()
  retrain.check()
  check_journey.link()
  check_reads()
  check_made()
  check_journey.run()
  check_route.run()
  check_action.run()
  check_memory.run(visit_rule)
  check_sales.run()
  check_dead.run()
  check_loose()
end

return freeze("check", check)
