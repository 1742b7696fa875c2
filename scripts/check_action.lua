--- What check says of actions: offers that can never win or are always held back, stages and channels that are not there,
--- limits that say nothing.
local bounds = require "bounds"
local check_quiet = require "check_quiet"
local freeze = require "frozen"
local naming = require "naming"
local numbers = require "numbers"
local tree = require "tree"

local names_of, find, called = naming.all, naming.find, naming.called

local check_action = {}

-- Times of past actions that are kept of a lead, all limits together (8 bytes each).
local TIMES_MAX = 256
-- Offers that one exploration chooses from.
local EXPLORE_MAX = 16

-- ---- offers that can never win ----

local function never_wins(offer, high, other, low)
  tree.problem(
    offer,
    "offer '%s' can never win: it is worth at most %s, '%s' %s%s",
    offer.name,
    numbers.show(high),
    other.name,
    other.kind == "offer" and "at least " or "",
    numbers.show(low)
  )
end

local ALWAYS_KNOWN = { number = true, intent = true, channels = true, fit = true, engagement = true, combined = true, default = true }

local function is_always_known(node)
  if node.left then return is_always_known(node.left) and is_always_known(node.right) end
  return ALWAYS_KNOWN[node.kind] or false
end

-- Whether it may be made at any time in its stages, whatever the lead did.
local function is_always_open(offer)
  return not offer.when
    and not offer.consent
    and not offer.channel
    and not offer.cool_down_ms
    and #offer.limits == 0
    and is_always_known(offer.utility)
end

local function is_within(stages, others)
  for _, name in ipairs(stages) do
    local found = false
    for _, other in ipairs(others) do
      found = found or other == name
    end
    if not found then return false end
  end
  return true
end

local function check_worth(number, offer)
  local _, high = bounds.of(offer.utility)
  if tree.otherwise and high <= tree.otherwise.utility then
    never_wins(offer, high, tree.otherwise, tree.otherwise.utility)
    return
  end
  for i, other in ipairs(tree.offers) do
    local utility = other.utility
    if i ~= number and utility and utility.kind ~= "unknown" and is_always_open(other) and is_within(offer.stages, other.stages) then
      local low = bounds.of(utility)
      if low > high or (low == high and i < number) then
        never_wins(offer, high, other, low)
        return
      end
    end
  end
end

-- ---- consent ----

-- Ops that say 0 of a lead that never did anything; the others say nothing then.
local AT_ZERO = {}
for op in ("count sum distinct flag velocity decay sessions streak funnel sequence co_occurrence active_days"):gmatch "%S+" do
  AT_ZERO[op] = true
end

-- What a value is for a lead of whom nothing is known; nil: not known.
local function of_nobody(node)
  if node.kind == "default" then return of_nobody(node.value) or node.number end
  return node.kind == "feature" and AT_ZERO[node.op] and 0 or nil
end

local COMPARE = {
  at_least = function(x, bound) return x >= bound end,
  above = function(x, bound) return x > bound end,
  at_most = function(x, bound) return x <= bound end,
  under = function(x, bound) return x < bound end,
  is = function(x, bound) return x == bound end,
  within = function(x, bound, upper) return x >= bound and x <= upper end,
}

-- Whether a condition holds of such a lead.
local function holds_of_nobody(node)
  local kind = node.kind
  if kind == "all" or kind == "any" or kind == "none" then
    local every, some = true, false
    for _, item in ipairs(node.items) do
      local holds = holds_of_nobody(item)
      every, some = every and holds, some or holds
    end
    if kind == "all" then return every end
    return (kind == "any") == some
  end
  local x = node.value and of_nobody(node.value)
  if not x then return false end
  if kind == "truth" then return x ~= 0 end
  return kind == "known" or (kind == "compare" and COMPARE[node.op](x, node.bound, node.upper))
end

local function check_consent(entry)
  if entry.consent and entry.consent.kind ~= "unknown" and holds_of_nobody(entry.consent) then
    tree.problem(
      entry,
      "%s: consent holds of a lead of whom nothing is known, and that is no consent: ask for what was given "
        .. "(what was taken back goes beside it: all { given, none { taken_back } })",
      called(entry)
    )
  end
end

-- ---- limits ----

-- Whether keeping `limit` keeps `other`, too.
local function implies(limit, other) return other.count >= limit.count * math.ceil(other.ms / limit.ms) end

-- Warns of limits of `entry` that say no more than what is in force around them: {{limit, text}…}.
local function check_limits(entry, limits, around)
  for i, limit in ipairs(limits) do
    local said
    for _, outer in ipairs(around) do
      if implies(outer[1], limit) then said = said or outer[2] end
    end
    for k, other in ipairs(limits) do
      local is_double = other.count == limit.count and other.ms == limit.ms
      if k ~= i and implies(other, limit) and (k < i or not is_double) then said = said or ("'%s'"):format(other.text) end
    end
    if said then tree.warn(entry, "%s: '%s' says nothing: %s keeps it already", called(entry), limit.text, said) end
  end
end

local function outer_limits(entry)
  local around = {}
  for _, limit in ipairs(tree.limits and tree.limits.per_lead or {}) do
    around[#around + 1] = { limit, ("per_lead '%s'"):format(limit.text) }
  end
  local way = entry.kind == "offer" and find(tree.ways, entry.channel)
  for _, limit in ipairs(way and way.limits or {}) do
    around[#around + 1] = { limit, ("channel '%s' (%s)"):format(way.name, limit.text) }
  end
  return around
end

local function check_offer_limits(offer)
  local limits = { unpack(offer.limits) }
  if offer.cool_down_ms then
    table.insert(limits, 1, { count = 1, ms = offer.cool_down_ms, text = "cool_down " .. numbers.show_duration(offer.cool_down_ms) })
  end
  check_limits(offer, limits, outer_limits(offer))
end

local function check_times()
  local times = 0
  for _, list in ipairs { { tree.limits }, tree.offers, tree.ways } do
    for _, entry in ipairs(list) do
      local most = entry.cool_down_ms and 1 or 0
      for _, limit in ipairs(entry.limits or entry.per_lead or {}) do
        most = math.max(most, limit.count)
      end
      times = times + most
    end
  end
  if times > TIMES_MAX then
    tree.problem(
      tree.offers[1] or tree.limits,
      "the limits of actions ask for the times of %d actions to be kept of each lead; at most %d",
      times,
      TIMES_MAX
    )
  end
end

-- ---- each offer, each channel ----

local function check_offer(number, offer)
  for _, name in ipairs(offer.stages) do
    if not find(tree.stages, name) then
      tree.problem(offer, "offer '%s': no stage '%s'%s", offer.name, name, tree.hint(name, names_of(tree.stages)))
    end
  end
  if offer.channel and not find(tree.ways, offer.channel) then
    tree.problem(
      offer,
      'offer \'%s\': no action.channel "%s" { … }%s',
      offer.name,
      offer.channel,
      tree.hint(offer.channel, names_of(tree.ways))
    )
  end
  if offer.utility and offer.utility.kind ~= "unknown" then check_worth(number, offer) end
  if tree.otherwise and offer.name == tree.otherwise.name then
    tree.problem(offer, "offer '%s' has the name of action.otherwise", offer.name)
  end
  check_consent(offer)
  check_offer_limits(offer)
end

local function check_way(way)
  local is_used = false
  for _, offer in ipairs(tree.offers) do
    is_used = is_used or offer.channel == way.name
  end
  if not is_used then tree.warn(way, "%s: no offer goes out by it", called(way)) end
  if not way.consent and #way.limits == 0 and not way.quiet and not way.calendar then tree.warn(way, "%s says nothing but its name", called(way)) end
  check_consent(way)
  check_quiet.run(way)
  check_limits(way, way.limits, outer_limits(way))
end

-- ---- exploration ----

local function share_a_stage(offer, other)
  for _, name in ipairs(offer.stages) do
    if is_within({ name }, other.stages) then return true end
  end
  return false
end

local function check_explore(explore)
  local offers, seen = {}, {}
  for _, name in ipairs(explore.among) do
    local offer = find(tree.offers, name)
    if seen[name] then
      tree.problem(explore, "action.explore: '%s' stands in among twice", name)
    elseif offer then
      offers[#offers + 1] = offer
    else
      tree.problem(explore, "action.explore: no offer '%s'%s", name, tree.hint(name, names_of(tree.offers)))
    end
    seen[name] = true
  end
  if #explore.among > EXPLORE_MAX then tree.problem(explore, "action.explore: at most %d offers", EXPLORE_MAX) end
  if #explore.among == 1 then tree.problem(explore, "action.explore: among one offer there is nothing to choose") end
  if #offers < 2 or #offers ~= #explore.among then return end
  local alone = {}
  for _, offer in ipairs(offers) do
    local has_company = false
    for _, other in ipairs(offers) do
      has_company = has_company or (other ~= offer and share_a_stage(offer, other))
    end
    if not has_company then alone[#alone + 1] = offer.name end
  end
  if #alone == #offers then
    tree.problem(explore, "action.explore: of %s no two are ever open in one stage", table.concat(alone, ", "))
  elseif #alone > 0 then
    tree.warn(explore, "action.explore: '%s' is never open together with another of them", alone[1])
  end
end

--- Reports into the tree.
function check_action.run()
  if tree.explore then check_explore(tree.explore) end
  for number, offer in ipairs(tree.offers) do
    check_offer(number, offer)
  end
  for _, way in ipairs(tree.ways) do
    check_way(way)
  end
  if tree.limits then check_limits(tree.limits, tree.limits.per_lead, {}) end
  check_times()
  if #tree.offers > 0 and not tree.otherwise then
    tree.problem(
      tree.offers[1],
      'offers need an action.otherwise "name" { utility = …, why = … }: what is done when none is worth it?'
    )
  end
end

return freeze("check_action", check_action)
