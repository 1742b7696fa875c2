--- Between which numbers a value can lie, whatever the lead does: interval arithmetic over the tree.
local freeze = require "frozen"
local tree = require "tree"

local bounds = {}
local INFINITE = 1 / 0

local NOT_NEGATIVE = {
  count = true,
  distinct = true,
  recency = true,
  gap = true,
  sessions = true,
  session_length = true,
  streak = true,
  velocity = true,
  variance = true,
  stddev = true,
  sequence = true,
  co_occurrence = true,
}

local NOT_NEGATIVE_ROLL = { people = true, distinct = true, latest = true, first_touch = true, last_touch = true }
local RANGE = { flag = { 0, 1 }, weekday = { 1, 7 }, time_of_day = { 0, 24 }, active_days = { 0, 400 } }

local of_declaration

-- Of a ratio or difference: by what it reads, which is declared before it when it is derived itself.
local function of_derived(declaration, index)
  local ends = {}
  for i = 1, 2 do
    local feature = tree.signals.by_name[type(declaration.of) == "table" and declaration.of[i] or nil]
    if not feature or (feature.index >= index and (feature.op == "ratio" or feature.op == "difference")) then
      return -INFINITE, INFINITE
    end
    ends[i] = { of_declaration(feature.index) }
  end
  local a, b = ends[1], ends[2]
  if declaration.op == "difference" then return a[1] - b[2], a[2] - b[1] end
  if a[1] >= 0 and b[1] >= 0 then return 0, INFINITE end
  return -INFINITE, INFINITE
end

function of_declaration(index)
  local declaration = tree.signals.declarations[index + 1]
  local op = declaration.op
  if RANGE[op] then return RANGE[op][1], RANGE[op][2] end
  if op == "funnel" then return 0, type(declaration.steps) == "table" and #declaration.steps or INFINITE end
  if op == "ratio" or op == "difference" then return of_derived(declaration, index) end
  if op == "account" and NOT_NEGATIVE_ROLL[declaration.roll] then return 0, INFINITE end
  if NOT_NEGATIVE[op] or (op == "decay" and not declaration.of) then return 0, INFINITE end
  return -INFINITE, INFINITE
end

-- A channel's share of belief: {low, high} in points, its cap included.
local function of_channel(channel)
  local low, high = 0, 0
  for _, evidence in ipairs(tree.evidence) do
    if evidence.channel == channel.name then
      local points = evidence.points * channel.reliability
      low, high = low + math.min(points, 0), high + math.max(points, 0)
    end
  end
  return low, math.min(high, channel.at_most or INFINITE)
end

function bounds.intent()
  local low, high = 0, 0
  for _, channel in ipairs(tree.channels) do
    local channel_low, channel_high = of_channel(channel)
    low, high = low + channel_low, high + channel_high
  end
  return low, high
end

local function of_channels()
  local most = 0
  for _, channel in ipairs(tree.channels) do
    local _, high = of_channel(channel)
    if high > 0 then most = most + 1 end
  end
  return 0, most
end

local function of_model(role)
  local models = tree.policy and tree.policy.models
  return 0, (not models or models[role] or models.split) and 100 or 0
end

local function clamp(x) return math.max(0, math.min(100, x)) end

local function of_mix()
  local mix = tree.mix_terms
  if not mix or mix.model then return -INFINITE, INFINITE end
  local low, high = mix.constant, mix.constant
  for _, role in ipairs { "fit", "engagement" } do
    local _, most = of_model(role)
    low, high = low + math.min(0, mix[role] * most), high + math.max(0, mix[role] * most)
  end
  return low, high
end

-- What the adjustments above `before` (nil: all) make of it. What holds or not is not known: each may.
local function adjusted(low, high, before)
  for _, adjust in ipairs(tree.adjustments) do
    if adjust == before then break end
    if adjust.kind == "cap" then
      low = math.min(low, adjust.bound)
    elseif adjust.kind == "floor" then
      high = math.max(high, adjust.bound)
    else
      low, high = low + math.min(0, adjust.points), high + math.max(0, adjust.points)
    end
  end
  return low, high
end

--- Between which points the sum lies where a cap or floor is tried.
function bounds.before(entry)
  local low, high = of_mix()
  return adjusted(low, high, entry)
end

local function of_combined()
  local low, high = of_mix()
  low, high = adjusted(low, high)
  return clamp(low), clamp(high)
end

local function product(a, b)
  if a == 0 or b == 0 then return 0 end
  return a * b
end

local function of_arithmetic(node)
  local a, b = bounds.of(node.left)
  local c, d = bounds.of(node.right)
  if node.op == "+" then return a + c, b + d end
  if node.op == "-" then return a - d, b - c end
  if node.op == "/" then
    c, d = 1 / c, 1 / d
  end -- by one number that is not 0
  local p, q, r, s = product(a, c), product(a, d), product(b, c), product(b, d)
  return math.min(p, q, r, s), math.max(p, q, r, s)
end

--- The least and the most that a value node can be while it is known.
function bounds.of(node)
  local kind = node.kind
  if kind == "number" then return node.number, node.number end
  if kind == "feature" then return of_declaration(node.index) end
  if kind == "age" then return 0, INFINITE end
  if kind == "memory" then
    if node.is_duration then return 0, INFINITE end
    return node.options and 0 or node.field.least, node.field.most
  end
  if kind == "intent" then return bounds.intent() end
  if kind == "channels" then return of_channels() end
  if kind == "fit" or kind == "engagement" then return of_model(kind) end
  if kind == "combined" then return of_combined() end
  if kind == "arith" then return of_arithmetic(node) end
  if kind == "least" or kind == "most" then
    local pick = kind == "least" and math.min or math.max
    local a, b = bounds.of(node.left)
    local c, d = bounds.of(node.right)
    return pick(a, c), pick(b, d)
  end
  if kind == "default" then
    local low, high = bounds.of(node.value)
    return math.min(low, node.number), math.max(high, node.number)
  end
  return -INFINITE, INFINITE
end

return freeze("bounds", bounds)
