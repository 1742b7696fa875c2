-- What somebody would write who folds features in Lua: one table a lead, one closure a feature, made once from the same
-- declarations. It is plain and fast Lua, for events that come in order: no late ones, no merging, no bound on memory
-- (distinct, most_common and quantile keep every value they saw). bench_feature.c runs it beside the compiled program.
local DAY = 86400000
local UNITS = { s = 1000, m = 60000, h = 3600000, d = DAY, w = 7 * DAY }
local floor, max, min, sqrt = math.floor, math.max, math.min, math.sqrt
local NAN = 0 / 0

local function duration(text)
  local amount, unit = text:match "^(%d+)(%a)$"
  return tonumber(amount) * UNITS[unit]
end

local function list(value)
  if value == nil then return {} end
  return value[1] and value or { value }
end

-- Amsterdam's clock. What the C library says of dates is slow and stops LuaJIT's compiler, so the answer is kept for as
-- long as it holds.
local summer = { from = 0, upto = 0, offset = 0 }
local function amsterdam(ms)
  if ms >= summer.from and ms < summer.upto then return ms + summer.offset end
  local year = tonumber(os.date("!%Y", floor(ms / 1000)))
  local function last_sunday(y, month)
    local t = os.time { year = y, month = month, day = 31, hour = 0 }
    return (t - tonumber(os.date("!%w", t)) * 86400) * 1000 + 3600000
  end
  local changes = { last_sunday(year - 1, 10), last_sunday(year, 3), last_sunday(year, 10), last_sunday(year + 1, 3) }
  for i = 1, 3 do
    if ms >= changes[i] and ms < changes[i + 1] then
      summer.from, summer.upto, summer.offset = changes[i], changes[i + 1], (i == 2 and 2 or 1) * 3600000
    end
  end
  return ms + summer.offset
end

local month = { from = 0, upto = 0, number = 0 }
local function month_of(local_ms)
  if local_ms >= month.from and local_ms < month.upto then return month.number end
  local date = os.date("!*t", floor(local_ms / 1000))
  month.from = os.time { year = date.year, month = date.month, day = 1, hour = 0 } * 1000
  month.upto = os.time { year = date.year, month = date.month + 1, day = 1, hour = 0 } * 1000
  month.number = date.year * 12 + date.month
  return month.number
end

-- An event's value of a feature: a number, a text, or nil.
local function value_of(d)
  local of = d.of
  if not of then return function() return 1 end end
  if of == "channel" then return function(e) return e.channel end end
  local key = of:match "^properties%.(.*)$"
  return function(e) return e.properties[key] end
end

local function meets(d)
  local on, where = list(d.on), list(d.where)
  return function(e)
    local ok = #on == 0
    for i = 1, #on do
      local a = on[i]
      if type(a) == "string" then
        ok = ok or e.event == a
      else
        ok = ok or ((not a.type or a.type == e.type) and (not a.channel or a.channel == e.channel))
      end
    end
    for i = 1, #where do
      local x = e.properties[where[i].path:match "^properties%.(.*)$"]
      ok = ok and x ~= nil and x >= where[i].at_least
    end
    return ok
  end
end

-- A ring of `count` cells of `zero()`; the one of `tile`, and a walk over those of first … last.
local function ring(count, zero)
  local r = { head = nil }
  function r.at(state, tile)
    local head = state.head
    if not head then
      for i = 0, count - 1 do
        state[i] = zero()
      end
    elseif tile > head then
      for n = max(head + 1, tile - count + 1), tile do
        state[n % count] = zero()
      end
    end
    if not head or tile > head then state.head = tile end
    return tile % count
  end
  function r.each(state, first, last, visit)
    if not state.head then return end
    for n = max(first, state.head - count + 1), min(last, state.head) do
      visit(state[n % count], n)
    end
  end
  return r
end

local function tiles_of(d)
  if d.window == "this_month" then
    return 1, function(t) return month_of(amsterdam(t)) end
  end
  local window = duration(d.window)
  local tile = d.tile and duration(d.tile) or floor(window / 7000 + 0.5) * 1000
  return math.ceil(window / tile), function(t) return floor(t / tile) end
end

local function zero() return 0 end
local make = {}

function make.count(d, add)
  add = add or function() return 1 end
  if not d.window then
    return function() return { n = 0 } end, function(s, _, x) s.n = s.n + add(x) end, function(s) return s.n end
  end
  if d.window == "session" then
    return function() return { last = -1 / 0, n = 0 } end,
      function(s, t, x)
        if t - s.last > 1800000 then s.n = 0 end
        s.n, s.last = s.n + add(x), t
      end,
      function(s, now) return now - s.last <= 1800000 and s.n or 0 end
  end
  local count, tile_of = tiles_of(d)
  local r = ring(count, zero)
  return function() return {} end,
    function(s, t, x)
      local at = r.at(s, tile_of(t))
      s[at] = s[at] + add(x)
    end,
    function(s, now)
      local n, tile = 0, tile_of(now)
      r.each(s, tile - count + 1, tile, function(cell) n = n + cell end)
      return n
    end
end

function make.sum(d) return make.count(d, function(x) return x end) end

function make.flag(d)
  local new, fold, read = make.count(d)
  return new, fold, function(s, now) return read(s, now) > 0 and 1 or 0 end
end

function make.velocity(d)
  local count, tile_of = tiles_of(d)
  local r = ring(2 * count, zero)
  return function() return {} end,
    function(s, t)
      local at = r.at(s, tile_of(t))
      s[at] = s[at] + 1
    end,
    function(s, now)
      local here, before, tile = 0, 0, tile_of(now)
      r.each(s, tile - 2 * count + 1, tile, function(cell, n)
        if n > tile - count then
          here = here + cell
        else
          before = before + cell
        end
      end)
      return before > 0 and here / before or here
    end
end

function make.mean()
  return function() return { n = 0, sum = 0 } end,
    function(s, _, x) s.n, s.sum = s.n + 1, s.sum + x end,
    function(s) return s.n > 0 and s.sum / s.n or NAN end
end

function make.max()
  return function() return { best = NAN } end,
    function(s, _, x)
      if s.best ~= s.best or x > s.best then s.best = x end
    end,
    function(s) return s.best end
end

-- By running means, which events in order allow; a cell: count, mean, squares.
function make.stddev(d)
  local count, tile_of = tiles_of(d)
  local r = ring(count, function() return { 0, 0, 0 } end)
  return function() return {} end,
    function(s, t, x)
      local cell = s[r.at(s, tile_of(t))]
      local n = cell[1] + 1
      local delta = x - cell[2]
      cell[1], cell[2] = n, cell[2] + delta / n
      cell[3] = cell[3] + delta * (x - cell[2])
    end,
    function(s, now)
      local n, mean, squares, tile = 0, 0, 0, tile_of(now)
      r.each(s, tile - count + 1, tile, function(cell)
        if cell[1] > 0 then
          local both, delta = n + cell[1], cell[2] - mean
          squares = squares + cell[3] + delta * delta * n * cell[1] / both
          mean, n = mean + delta * cell[1] / both, both
        end
      end)
      return n > 1 and sqrt(squares / (n - 1)) or NAN
    end
end

function make.last()
  return function() return { x = "" } end, function(s, _, x) s.x = x end, function(s) return s.x end
end

function make.distinct()
  return function() return { n = 0, seen = {} } end,
    function(s, _, x)
      if not s.seen[x] then
        s.seen[x], s.n = true, s.n + 1
      end
    end,
    function(s) return s.n end
end

function make.most_common()
  return function() return { best = "", most = 0, count = {} } end,
    function(s, _, x)
      local n = (s.count[x] or 0) + 1
      s.count[x] = n
      if n > s.most or (n == s.most and x < s.best) then
        s.best, s.most = x, n
      end
    end,
    function(s) return s.best end
end

-- The same bins, as a table that grows.
function make.quantile(d)
  local bin_log = math.log(1.05 / 0.95)
  return function() return { n = 0, zeros = 0, bins = {} } end,
    function(s, _, x)
      s.n = s.n + 1
      if x == 0 then
        s.zeros = s.zeros + 1
      else
        local bin = math.ceil(math.log(x) / bin_log)
        s.bins[bin] = (s.bins[bin] or 0) + 1
        s.low, s.high = min(s.low or bin, bin), max(s.high or bin, bin)
      end
    end,
    function(s)
      if s.n == 0 then return NAN end
      local rank, passed = floor(d.q * (s.n - 1)), s.zeros
      if rank < passed then return 0 end
      for bin = s.low, s.high do
        passed = passed + (s.bins[bin] or 0)
        if passed > rank then return math.exp(bin * bin_log) * 0.95 end
      end
    end
end

function make.recency()
  return function() return { t = NAN } end, function(s, t) s.t = t end, function(s, now) return now - s.t end
end

function make.gap()
  return function() return { a = NAN, b = NAN } end,
    function(s, t) s.a, s.b = s.b, t end,
    function(s) return s.b - s.a end
end

function make.decay(d)
  if d.shape == "linear" then
    local over = duration(d.over)
    local tile = floor(over / 16000 + 0.5) * 1000
    local count = floor(over / tile) + 1
    local r = ring(count, function() return { 0, 0 } end)
    return function() return {} end,
      function(s, t, x)
        local n = floor(t / tile)
        local cell = s[r.at(s, n)]
        cell[1], cell[2] = cell[1] + x, cell[2] + x * (t - n * tile)
      end,
      function(s, now)
        local sum, begin = 0, now - over
        r.each(s, math.ceil(begin / tile), floor(now / tile), function(cell, n)
          sum = sum + (n * tile - begin) * cell[1] + cell[2]
        end)
        return sum / over
      end
  elseif d.shape == "step" then
    local last = duration(d.steps[#d.steps].age)
    local tile = math.ceil(last / 32000) * 1000
    local count = math.ceil(last / tile)
    local r = ring(count, zero)
    return function() return {} end,
      function(s, t, x)
        local at = r.at(s, floor(t / tile))
        s[at] = s[at] + x
      end,
      function(s, now)
        local sum, current = 0, floor(now / tile)
        r.each(s, current - count + 1, current, function(cell, n)
          for i = 1, #d.steps do
            if (current - n) * tile < duration(d.steps[i].age) then
              sum = sum + d.steps[i].weight * cell
              break
            end
          end
        end)
        return sum
      end
  end
  local half_life = duration(d.half_life)
  return function() return { sum = 0, t = 0 } end,
    function(s, t, x)
      s.sum, s.t = s.sum * 2 ^ ((s.t - t) / half_life) + x, t
    end,
    function(s, now) return s.sum * 2 ^ ((s.t - now) / half_life) end
end

function make.sessions()
  return function() return { last = -1 / 0, n = 0 } end,
    function(s, t)
      if t - s.last > 1800000 then s.n = s.n + 1 end
      s.last = t
    end,
    function(s) return s.n end
end

function make.session_length()
  return function() return { last = -1 / 0, n = 0, total = 0 } end,
    function(s, t)
      if t - s.last > 1800000 then
        s.n = s.n + 1
      else
        s.total = s.total + t - s.last
      end
      s.last = t
    end,
    function(s) return s.n > 0 and s.total / s.n or NAN end
end

function make.streak()
  return function() return { day = -1 / 0, n = 0 } end,
    function(s, t)
      local day = floor(t / DAY)
      if day == s.day + 1 then
        s.n = s.n + 1
      elseif day > s.day then
        s.n = 1
      end
      s.day = day
    end,
    function(s, now) return floor(now / DAY) - s.day <= 1 and s.n or 0 end
end

function make.active_days(d)
  local days = duration(d.window) / DAY
  return function() return {} end,
    function(s, t) s[floor(t / DAY)] = true end,
    function(s, now)
      local n, today = 0, floor(now / DAY)
      for day = today - days + 1, today do
        if s[day] then n = n + 1 end
      end
      return n
    end
end

function make.time_of_day()
  return function() return { h = NAN } end,
    function(s, t) s.h = (amsterdam(t) % DAY) / 3600000 end,
    function(s) return s.h end
end

return function(declarations)
  local features = {}
  for i, d in ipairs(declarations) do
    local new, fold, read = make[d.op](d)
    features[i] = { new = new, fold = fold, read = read, meets = meets(d), value = value_of(d) }
  end
  local count = #features
  local function new()
    local lead = {}
    for i = 1, count do
      lead[i] = features[i].new()
    end
    return lead
  end
  local function fold(lead, event)
    local t = event.timestamp
    for i = 1, count do
      local f = features[i]
      if f.meets(event) then
        local x = f.value(event)
        if x ~= nil then f.fold(lead[i], t, x) end
      end
    end
  end
  local function read(lead, now, values)
    for i = 1, count do
      values[i] = features[i].read(lead[i], now)
    end
  end
  -- What the benchmark times: every event once, then the lead's values where asked.
  local function run(leads, events, number, and_read)
    local values = {}
    for i = 1, #events do
      local lead = leads[number[i]]
      fold(lead, events[i])
      if and_read then read(lead, events[i].timestamp, values) end
    end
  end
  return { new = new, run = run, read = read }
end
