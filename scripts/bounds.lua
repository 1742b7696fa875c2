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
}
local RANGE = { flag = { 0, 1 }, weekday = { 1, 7 }, time_of_day = { 0, 24 }, active_days = { 0, 400 } }

local function of_feature(node)
  local range = RANGE[node.op]
  if range then return range[1], range[2] end
  local declaration = tree.signals.declarations[node.index + 1]
  if NOT_NEGATIVE[node.op] or (node.op == "decay" and not declaration.of) then return 0, INFINITE end
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
  return 0, (not models or models[role]) and 100 or 0
end

local function clamp(x) return math.max(0, math.min(100, x)) end

local function of_combined()
  local mix = tree.mix_terms
  if not mix then return 0, 100 end
  local low, high = mix.constant, mix.constant
  for _, role in ipairs { "fit", "engagement" } do
    local _, most = of_model(role)
    low, high = low + math.min(0, mix[role] * most), high + math.max(0, mix[role] * most)
  end
  for _, adjust in ipairs(tree.adjustments) do
    low, high = low + math.min(0, adjust.points), high + math.max(0, adjust.points)
  end
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
  if kind == "feature" then return of_feature(node) end
  if kind == "age" then return 0, INFINITE end
  if kind == "intent" then return bounds.intent() end
  if kind == "channels" then return of_channels() end
  if kind == "fit" or kind == "engagement" then return of_model(kind) end
  if kind == "combined" then return of_combined() end
  if kind == "arith" then return of_arithmetic(node) end
  if kind == "default" then
    local low, high = bounds.of(node.value)
    return math.min(low, node.number), math.max(high, node.number)
  end
  return -INFINITE, INFINITE
end

return freeze("bounds", bounds)
