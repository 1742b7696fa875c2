--- Conditions that can never hold because their parts contradict each other, and those that always hold because their
--- parts leave nothing out: a rule that stands on one is dead, or says less than it seems to.
local freeze = require "frozen"
local tree = require "tree"

local check_dead = {}
local INFINITE = 1 / 0

-- What a comparison allows: {low, high, open_low, open_high}.
local function range_of(node)
  local bound, upper = node.bound, node.upper
  if node.op == "at_least" then return { bound, INFINITE, false, true } end
  if node.op == "above" then return { bound, INFINITE, true, true } end
  if node.op == "at_most" then return { -INFINITE, bound, true, false } end
  if node.op == "under" then return { -INFINITE, bound, true, true } end
  if node.op == "within" then return { bound, upper, false, false } end
  return { bound, bound, false, false }
end

local function is_apart(a, b)
  local low, high = math.max(a[1], b[1]), math.min(a[2], b[2])
  if low ~= high then return low > high end
  local is_open = (a[1] == low and a[3]) or (b[1] == low and b[3]) or (a[2] == high and a[4]) or (b[2] == high and b[4])
  return is_open
end

-- Whether one of two ranges begins where the other has not ended, both together covering all numbers.
local function covers(a, b)
  if a[1] > b[1] then
    a, b = b, a
  end
  if a[1] ~= -INFINITE or b[2] ~= INFINITE then return false end
  return b[1] < a[2] or (b[1] == a[2] and not (a[4] and b[3]))
end

local function shares_text(a, b)
  for _, text in ipairs(a) do
    for _, other in ipairs(b) do
      if text == other then return true end
    end
  end
  return false
end

-- Leaves that must hold, and that must not, for an `all` to hold.
local function gather(node, must, out)
  for _, item in ipairs(node.items) do
    if item.kind == "all" and must then
      gather(item, true, out)
    elseif (item.kind == "none" and must) or (item.kind == "any" and not must) then
      gather(item, false, out)
    else
      out[#out + 1] = { node = item, must = must }
    end
  end
  return out
end

local function contradict(a, b)
  local x, y = a.node, b.node
  if a.must ~= b.must then return x.kind ~= "unknown" and x.kind == y.kind and x.label == y.label end
  if not a.must or x.kind ~= y.kind then return false end
  if x.kind == "compare" then return x.value.label == y.value.label and is_apart(range_of(x), range_of(y)) end
  return x.kind == "test" and x.any and y.any and x.feature.name == y.feature.name and not shares_text(x.any, y.any)
end

local function find_pair(list, fits)
  for later = 2, #list do
    for earlier = 1, later - 1 do
      if fits(list[earlier], list[later]) then return list[earlier].node, list[later].node end
    end
  end
end

local function check_all(node)
  local a, b = find_pair(gather(node, true, {}), contradict)
  if not a then return end
  if a.label == b.label then
    tree.problem(node, "'%s' can never hold: '%s' would have to hold and not to hold", node.label, a.label)
  else
    tree.problem(node, "'%s' can never hold: '%s' and '%s' exclude each other", node.label, a.label, b.label)
  end
end

local function check_any(node)
  local list = {}
  for i, item in ipairs(node.items) do
    list[i] = { node = item }
  end
  local a, b = find_pair(list, function(x, y)
    x, y = x.node, y.node
    return x.kind == "compare" and y.kind == "compare" and x.value.label == y.value.label and covers(range_of(x), range_of(y))
  end)
  if a then
    tree.warn(
      node,
      "'%s' holds whenever the value is known: of '%s' and '%s' one always does; write :is_known() when that is meant",
      node.label,
      a.label,
      b.label
    )
  end
end

local function has_inner(node)
  for _, item in ipairs(node.items) do
    if item.kind == "all" then return true end
  end
  return false
end

--- Reports into the tree.
function check_dead.run()
  local told = {} -- by line: an inner contradiction is the outer one's, too
  for _, node in ipairs(tree.made) do -- what stands inside was made first
    local place = node.path .. ":" .. node.line
    if node.kind == "all" and not (told[place] and has_inner(node)) then
      local before = #tree.problems
      check_all(node)
      told[place] = told[place] or #tree.problems > before
    elseif node.kind == "any" then
      check_any(node)
    end
  end
end

return freeze("check_dead", check_dead)
