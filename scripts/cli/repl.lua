--- Tries expressions of the policy language on one lead: `f.pricing_views_7d`, `f.x:at_least(3)`, `belief.intent`. An expression
--- builds a node, as in a policy; the node is worked out here, on the values that the tool hands over. Nothing is changed.
local bounds = require "bounds"
local numbers = require "numbers"
local outline = require "outline"
local value = require "value"

local tree = outline.tree
local lead -- what is asked of: {features, ages, scores, channels}

-- "Known, but not shown here": values that are personal are not handed over.
local HIDDEN = {}

-- ---- values ----

local value_of

local function feature_value(node)
  local found = lead.features[node.name]
  if found == true then return HIDDEN end
  return found
end

local function age_of(node) return lead.ages[node.feature.name] end

local VALUES = {
  number = function(node) return node.number end,
  feature = feature_value,
  age = age_of,
  intent = function() return lead.scores.intent end,
  fit = function() return lead.scores.fit end,
  engagement = function() return lead.scores.engagement end,
  combined = function() return lead.scores.combined end,
  channels = function() return lead.channels end,
  default = function(node)
    local x = value_of(node.value)
    if x == nil then return node.number end
    return x
  end,
  arith = function(node)
    local a, b = value_of(node.left), value_of(node.right)
    if a == HIDDEN or b == HIDDEN then return HIDDEN end
    if a == nil or b == nil then return nil end
    if node.op == "+" then return a + b end
    if node.op == "-" then return a - b end
    if node.op == "*" then return a * b end
    return a / b
  end,
  custom = function(node)
    local view = {}
    for _, feature in ipairs(node.reads) do
      local x = feature_value(feature)
      if x == HIDDEN then return HIDDEN end
      view[feature.name] = x
      if x == nil and not feature.is_text then view[feature.name] = 0 / 0 end
    end
    local x = node.run(view)
    if x == true then return 1 end
    if x == false or x == nil then return 0 end
    return x
  end,
}

--- A value: a number or text, nil while it is not known, HIDDEN.
function value_of(node)
  local work_out = VALUES[node.kind]
  if not work_out then error(("'%s' can't be tried here"):format(node.label), 0) end
  local x = work_out(node)
  if type(x) == "number" and x ~= x then return nil end
  return x
end

-- ---- conditions: true, false, or HIDDEN ----

local truth_of

local COMPARE = {
  at_least = function(x, node) return x >= node.bound end,
  above = function(x, node) return x > node.bound end,
  at_most = function(x, node) return x <= node.bound end,
  under = function(x, node) return x < node.bound end,
  is = function(x, node) return x == node.bound end,
  within = function(x, node) return x >= node.bound and x <= node.upper end,
}

-- Points are compared as thousandths, as the compiled policy does.
local POINTS = { intent = true, fit = true, engagement = true, combined = true }

local function compare(node)
  local x = value_of(node.value)
  if x == HIDDEN then return HIDDEN end
  if x == nil then return false end
  if not POINTS[node.value.kind] then return COMPARE[node.op](x, node) end
  return COMPARE[node.op](numbers.milli(x), { bound = numbers.milli(node.bound), upper = node.upper and numbers.milli(node.upper) })
end

local function is_among(text, list)
  for _, member in ipairs(list) do
    if member == text then return true end
  end
  return false
end

local function test(node)
  local x = feature_value(node.feature)
  if node.known then return x ~= nil and x ~= "" end
  if x == HIDDEN then return HIDDEN end
  return x ~= nil and x ~= "" and is_among(x, node.any)
end

local function gather(node)
  local is_all, hidden = node.kind == "all", false
  for _, item in ipairs(node.items) do
    local holds = truth_of(item)
    if holds == HIDDEN then
      hidden = true
    elseif holds ~= is_all then -- one is enough
      return node.kind == "any"
    end
  end
  if hidden then return HIDDEN end
  return node.kind ~= "any"
end

local TRUTHS = {
  compare = compare,
  test = test,
  known = function(node) return value_of(node.value) ~= nil end,
  truth = function(node)
    local x = value_of(node.value)
    if x == HIDDEN then return HIDDEN end
    return x ~= nil and x ~= 0
  end,
  gate = function(node)
    for _, gate in ipairs(tree.gates) do
      if gate.name == node.gate then return truth_of(gate.when) end
    end
    error(("no gate '%s'"):format(tostring(node.gate)), 0)
  end,
  all = gather,
  any = gather,
  none = gather,
}

function truth_of(node)
  local work_out = TRUTHS[node.kind]
  if not work_out then error(("'%s' can't be tried here"):format(node.label), 0) end
  return work_out(node)
end

-- ---- what is said ----

local function show_value(node, x)
  if x == HIDDEN then return "known (personal: not shown)" end
  if x == nil then return "not known" end
  if type(x) ~= "number" then return x end
  if node.is_duration and x == math.floor(x) then return numbers.show_duration(x) end
  return numbers.show(x)
end

local function show_truth(holds)
  if holds == HIDDEN then return "can't be said: it asks for a personal value" end
  return holds and "yes" or "no"
end

-- Parts of a condition that put others together, indented.
local function add_parts(lines, node, depth)
  for _, item in ipairs(node.items or {}) do
    lines[#lines + 1] = ("%s%-4s %s"):format(("  "):rep(depth), show_truth(truth_of(item)), item.label)
    add_parts(lines, item, depth + 1)
  end
end

local function of_condition(node)
  local lines = { show_truth(truth_of(node)) }
  if node.kind == "compare" or node.kind == "truth" or node.kind == "known" then
    local looked = node.value
    if looked.kind ~= "number" then lines[1] = ("%s (%s is %s)"):format(lines[1], looked.label, show_value(looked, value_of(looked))) end
  elseif node.kind == "test" then
    lines[1] = ("%s (%s is %s)"):format(lines[1], node.feature.name, show_value(node.feature, feature_value(node.feature)))
  end
  add_parts(lines, node, 1)
  return { kind = "condition", text = table.concat(lines, "\n"), holds = truth_of(node) ~= HIDDEN and truth_of(node) or nil }
end

local function of_value(node)
  local x = value_of(node)
  local low, high = bounds.of(node)
  local text = show_value(node, x)
  if POINTS[node.kind] then text = ("%s (it can be %s to %s)"):format(text, numbers.show(low), numbers.show(high)) end
  return { kind = "value", text = text, value = x ~= HIDDEN and x or nil }
end

local function answer(x)
  local node = value.open(x)
  if not node then
    if x == nil then return { kind = "nothing", text = "nothing" } end
    if type(x) == "table" then return { kind = "lua", text = "a table of Lua; write f.name, belief.intent, f.name:at_least(3), all { … }" } end
    return { kind = "lua", text = tostring(x), value = type(x) ~= "function" and x or nil }
  end
  if #tree.problems > 0 then return { error = tree.problems[#tree.problems].text } end
  if node.class == "condition" then return of_condition(node) end
  return of_value(node)
end

-- How many channels give points above 0, by a decision's ledger.
local function channels_of(reasons)
  local sums, channel_of, count = {}, {}, 0
  for _, evidence in ipairs(tree.evidence) do
    channel_of[evidence.name] = evidence.channel
  end
  for _, reason in ipairs(reasons) do
    local channel = reason.kind == "evidence" and channel_of[reason.name] or reason.kind == "channel_cap" and reason.name
    if channel then sums[channel] = (sums[channel] or 0) + reason.points end
  end
  for _, sum in pairs(sums) do
    if sum > 0 then count = count + 1 end
  end
  return count
end

--- ask {features, ages, scores (points), reasons (the last decision's ledger)}, and module "expression", which returns what is to
--- be tried -> {kind, text, value or holds} or {error}.
return function(input)
  outline.load(input)
  tree.problems = {}
  lead = input.ask
  lead.channels = channels_of(lead.reasons)
  local ran, made = pcall(require, "expression")
  if ran then
    ran, made = pcall(answer, made)
  end
  if not ran then return { error = (tostring(made):gsub("^expression:%d+: ", "")) } end
  if tree.problems[1] and not made.error then return { error = tree.problems[1].text } end
  return made
end
