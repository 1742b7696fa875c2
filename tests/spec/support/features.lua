--- Features by brute force: every event of the lead is kept and looked at again for each value. Slow, and plain enough
--- to be read as the definition of core/feature/feature.h; specs of policies run on it, and it can judge the C code.
local features = {}

local UNITS = { w = 604800000, d = 86400000, h = 3600000, m = 60000, s = 1000, ms = 1 }

local function duration(text)
  local amount, unit = text:match "^(%d+)(%a+)$"
  return tonumber(amount) * UNITS[unit]
end

local function lookup(event, path)
  local node = event
  for key in path:gmatch "[^.]+" do
    if type(node) ~= "table" then return nil end
    node = node[key]
  end
  return node
end

local function event_name(event) return event.event or event.name end
local function event_channel(event) return event.channel or (event.properties or {}).channel end

local function matches_on(on, event)
  if not on then return true end
  if type(on) == "string" or on.type or on.event or on.channel then on = { on } end
  for _, alternative in ipairs(on) do
    if type(alternative) == "string" then alternative = { event = alternative } end
    if
      (not alternative.type or alternative.type == event.type)
      and (not alternative.event or alternative.event == event_name(event))
      and (not alternative.channel or alternative.channel == event_channel(event))
    then
      return true
    end
  end
  return false
end

local function holds(condition, event)
  local found = lookup(event, condition.path)
  if condition.exists then return found ~= nil end
  if condition.is ~= nil then return found == condition.is end
  if condition.at_least then return type(found) == "number" and found >= condition.at_least end
  if condition.under then return type(found) == "number" and found < condition.under end
  if condition.starts_with then
    return type(found) == "string" and found:sub(1, #condition.starts_with) == condition.starts_with
  end
  for _, member in ipairs(condition["in"] or {}) do
    if member == found then return true end
  end
  return false
end

local function matches(declaration, event)
  if not matches_on(declaration.on, event) then return false end
  local where = declaration.where or {}
  for _, condition in ipairs(where.path and { where } or where) do
    if not holds(condition, event) then return false end
  end
  return true
end

local function value_of(declaration, event)
  local of = declaration.of
  if not of then return nil end
  if of == "channel" then return event_channel(event) end
  if of == "event" then return event_name(event) end
  local found = lookup(event, of)
  if type(found) == "string" and declaration.part == "domain" then found = found:match "@([^@]*)$" end
  if type(found) == "string" and declaration.part then found = found:lower() end
  return found
end

local function is_text(declaration) return declaration.text == true or declaration.part ~= nil end

-- The matches whose tile is one of the window's, `back` windows ago.
local function in_window(declaration, hits, now, back)
  if not declaration.window then return hits end
  local window = duration(declaration.window)
  local tile = declaration.tile and duration(declaration.tile) or math.max(1, math.floor(window / 7000 + 0.5)) * 1000
  local count, current = math.ceil(window / tile), math.floor(now / tile)
  local out = {}
  for _, hit in ipairs(hits) do
    local at = math.floor(hit.timestamp / tile) + back * count
    if at <= current and at > current - count then out[#out + 1] = hit end
  end
  return out
end

local function numbers_of(declaration, hits)
  local out = {}
  for _, hit in ipairs(hits) do
    local x = value_of(declaration, hit)
    if type(x) == "number" and x == x and x > -1 / 0 and x < 1 / 0 then out[#out + 1] = x end
  end
  return out
end

local NAN = 0 / 0
local ops = {}

function ops.count(d, hits, now) return #in_window(d, hits, now, 0) end
function ops.flag(d, hits, now) return #in_window(d, hits, now, 0) > 0 and 1 or 0 end
function ops.sum(d, hits, now)
  local sum = 0
  for _, x in ipairs(numbers_of(d, in_window(d, hits, now, 0))) do
    sum = sum + x
  end
  return sum
end
function ops.mean(d, hits, now)
  local list = numbers_of(d, in_window(d, hits, now, 0))
  return #list > 0 and ops.sum(d, hits, now) / #list or NAN
end
function ops.min(d, hits, now)
  local best = NAN
  for _, x in ipairs(numbers_of(d, in_window(d, hits, now, 0))) do
    if best ~= best or x < best then best = x end
  end
  return best
end
function ops.max(d, hits, now)
  local best = NAN
  for _, x in ipairs(numbers_of(d, in_window(d, hits, now, 0))) do
    if best ~= best or x > best then best = x end
  end
  return best
end
local function pick(d, hits, first, last, step)
  local wanted = is_text(d) and "string" or "number"
  for i = first, last, step do
    local x = value_of(d, hits[i])
    if type(x) == wanted and x ~= "" then return x end
  end
  return wanted == "number" and NAN or ""
end
function ops.first(d, hits) return pick(d, hits, 1, #hits, 1) end
function ops.last(d, hits) return pick(d, hits, #hits, 1, -1) end
function ops.distinct(d, hits)
  local seen, count = {}, 0
  for _, hit in ipairs(hits) do
    local x = value_of(d, hit)
    if x ~= nil and x ~= "" and not seen[x] then
      seen[x], count = true, count + 1
    end
  end
  return count
end
function ops.recency(_, hits, now) return #hits > 0 and now - hits[#hits].timestamp or NAN end
function ops.gap(_, hits) return #hits > 1 and hits[#hits].timestamp - hits[#hits - 1].timestamp or NAN end
function ops.decay(d, hits, now)
  local sum = 0
  for _, hit in ipairs(hits) do
    local x = d.of and value_of(d, hit) or 1
    if type(x) == "number" then sum = sum + x * 2 ^ ((hit.timestamp - now) / duration(d.half_life)) end
  end
  return sum
end
function ops.velocity(d, hits, now)
  local recent, before = #in_window(d, hits, now, 0), #in_window(d, hits, now, 1)
  return before > 0 and recent / before or recent
end
function ops.sessions(d, hits)
  local gap, count, last = duration(d.session_gap or "30m"), 0, nil
  for _, hit in ipairs(hits) do
    if not last or hit.timestamp - last > gap then count = count + 1 end
    last = hit.timestamp
  end
  return count
end
function ops.streak(d, hits, now)
  local zone, days = (d.zone or 0) * 60000, {}
  for _, hit in ipairs(hits) do
    days[math.floor((hit.timestamp + zone) / 86400000)] = true
  end
  local day = math.floor((now + zone) / 86400000)
  if not days[day] then day = day - 1 end
  local count = 0
  while days[day] do
    count, day = count + 1, day - 1
  end
  return count
end

-- The matches of an ordered op in their order: {timestamp, [step] = true…, steps = as a binary number}.
local function in_order(declaration, events)
  local list = {}
  for _, event in ipairs(events) do
    local hit = { timestamp = event.timestamp, steps = 0, place = #list }
    for i, step in ipairs(declaration.steps) do
      local is_whole = type(step) == "table" and (step.on or step.where)
      hit[i] = matches(is_whole and step or { on = step }, event)
      if hit[i] then hit.steps = hit.steps + 2 ^ (i - 1) end
    end
    if hit.steps > 0 then list[#list + 1] = hit end
  end
  table.sort(list, function(a, b)
    if a.timestamp ~= b.timestamp then return a.timestamp < b.timestamp end
    if a.steps ~= b.steps then return a.steps < b.steps end
    return a.place < b.place
  end)
  return list
end

-- Whether a run of `depth` steps ends at list[last], all of it behind list[after].
local function ends_run(declaration, list, last, depth, after)
  if not list[last][depth] then return false end
  local at = last
  for step = depth - 1, 1, -1 do
    repeat
      at = at - 1
    until at <= after or list[at][step]
    if at <= after then return false end
  end
  return list[last].timestamp - list[at].timestamp <= duration(declaration.within)
end

local ordered = {}

function ordered.funnel(d, list, now)
  for depth = #d.steps, 1, -1 do
    for i, hit in ipairs(list) do
      local is_recent = not d.window or now - hit.timestamp < duration(d.window)
      if is_recent and ends_run(d, list, i, depth, 0) then return depth end
    end
  end
  return 0
end

function ordered.sequence(d, list, now)
  local complete, done = {}, 0
  for i, hit in ipairs(list) do
    if ends_run(d, list, i, #d.steps, done) then
      complete[#complete + 1], done = hit, i
    end
  end
  return #in_window(d, complete, now, 0)
end

function ordered.co_occurrence(d, list, now)
  local pairs_of, paired = {}, {}
  for i, hit in ipairs(list) do
    for k = 1, i - 1 do
      local other = list[k]
      local is_other = (hit[1] and other[2]) or (hit[2] and other[1])
      if is_other and not paired[k] and hit.timestamp - other.timestamp <= duration(d.within) then
        pairs_of[#pairs_of + 1], paired[k], paired[i] = hit, true, true
        break
      end
    end
  end
  return #in_window(d, pairs_of, now, 0)
end

local derived = {}
function derived.ratio(a, b) return b == 0 and NAN or a / b end
function derived.difference(a, b) return a - b end

-- A lead by itself is of no account: what a spec says of one goes over it (lead.lua).
local COUNTS = { people = true, distinct = true, sum = true }

local function read_one(declaration, events, now)
  if declaration.op == "account" then return COUNTS[declaration.roll] and 0 or NAN end
  local of_list = ordered[declaration.op]
  if of_list then return of_list(declaration, in_order(declaration, events), now) end
  local hits = {}
  for _, event in ipairs(events) do
    if matches(declaration, event) then hits[#hits + 1] = event end
  end
  return ops[declaration.op](declaration, hits, now)
end

--- Values and texts by feature name; events in order of time.
function features.read(declarations, events, now)
  local values, texts = {}, {}
  for _, declaration in ipairs(declarations) do
    local x = not derived[declaration.op] and read_one(declaration, events, now)
    values[declaration.name] = type(x) == "number" and x or NAN
    texts[declaration.name] = type(x) == "string" and x or ""
  end
  for _, declaration in ipairs(declarations) do
    local of, derive = declaration.of, derived[declaration.op]
    if derive then values[declaration.name] = derive(values[of[1]], values[of[2]]) end
  end
  return values, texts
end

--- Milliseconds since the latest match of a feature; NaN before any. Only for ops without `of`.
function features.age(declarations, name, events, now)
  local age = NAN
  for _, declaration in ipairs(declarations) do
    for _, event in ipairs(declaration.name == name and events or {}) do
      if matches(declaration, event) then age = now - event.timestamp end
    end
  end
  return age
end

return features
