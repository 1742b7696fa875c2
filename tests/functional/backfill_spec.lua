--- intent feature backfill: features that were declared late get what the journal has of the time before, while the daemon
--- serves. The oracle is a directory in which they were declared from the beginning.
local harness = require "harness"
local lives = require "lives"

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000
local EVENTS, LEADS = tonumber(os.getenv "EVENTS") or 1500, 50

local LATE = [[
return {
  { name = "x_docs", op = "count", on = { "Docs Viewed" }, window = "30d", tile = "1d" },
  { name = "x_all", op = "count" },
  { name = "x_sum", op = "sum", of = "properties.amount", window = "30d", tile = "1d" },
  { name = "x_max", op = "max", of = "properties.amount" },
  { name = "x_heat", op = "decay", half_life = "9d", on = { "Pricing Viewed" } },
  { name = "x_kinds", op = "distinct", of = "properties.feature" },
  { name = "x_p90", op = "quantile", of = "properties.amount", q = 0.9 },
  { name = "x_last", op = "last", of = "properties.feature", text = true },
  { name = "x_days", op = "active_days", window = "30d" },
  { name = "x_rate", op = "velocity", window = "14d", on = { "Feature Used" } },
  { name = "x_idle", op = "recency", on = { "Docs Viewed" } },
}
]]
local FIRST_SUM = 'op = "sum", of = "properties.amount", window = "30d"'
local EARLY = ([[return { { name = "x_sum", %s, tile = "1d" }, { name = "x_other", op = "count" } }]]):format(FIRST_SUM)
local FILE = "signals/b2b/features/extra.lua"

local function intent(...)
  local folder, words = harness.folder(), { ("'%s/intent'"):format(harness.bin) }
  for _, word in ipairs { ... } do words[#words + 1] = "'" .. tostring(word) .. "'" end
  local pipe = io.popen(("%s >%s/out 2>&1; echo $?"):format(table.concat(words, " "), folder))
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return harness.read(folder .. "/out"), code
end

describe("intent feature backfill (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)
  local random = harness.random(SEED)

  -- Some who were unknown become known: half of them before the middle, half after.
  local function stream()
    local events = lives.stream(SEED, EVENTS, LEADS, 60)
    for i = 3, LEADS, 3 do
      local at = random(EVENTS)
      local like = events[at]
      table.insert(events, at, { type = "alias", userId = "lead" .. i - 1, previousId = "lead" .. i,
        messageId = "alias" .. i, timestamp = like.timestamp, channel = "web" })
    end
    return events
  end

  local function start(policies)
    return harness.start { clock = "event", shards = 2, policies = policies, watch = "no",
      ["journal.segment"] = "8m" }
  end

  local function send(daemon, events, from, to)
    local client, requests = daemon:connect(), {}
    for i = from, to do requests[#requests + 1] = { "event.ingest", events[i] } end
    for _, answer in ipairs(client:pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and answer.error.detail)
    end
    client:close()
  end

  local function put(daemon, text)
    harness.write(daemon.options.policies .. "/" .. FILE, text)
    local admin = daemon:admin()
    assert.is_true(admin:must("policy.reload").changed)
    admin:close()
  end

  -- All messages between leads have come: nothing of a merge is under way.
  local function quiet(daemon)
    harness.wait("messages to arrive", function() return daemon:metric "intentd_outbox_messages" == 0 end)
  end

  local function features_of(daemon, who)
    local client = daemon:connect()
    local answer = client:call("lead.get", who)
    client:close()
    if not answer then return nil end
    local found = {}
    for name, value in pairs(answer.lead.features) do
      if name:match "^x_" then found[name] = value end
    end
    return found, answer.lead.lead
  end

  local function compare(daemon, oracle)
    local seen = 0
    for i = 1, LEADS do
      local mine, theirs = features_of(daemon, "lead" .. i), features_of(oracle, "lead" .. i)
      if theirs then
        seen = seen + 1
        -- Weights of a decay are added up in another order: their last bits may differ.
        assert.is_true(math.abs(theirs.x_heat - mine.x_heat) <= 1e-12 * math.abs(theirs.x_heat), "lead" .. i)
        mine.x_heat = theirs.x_heat
        assert.same(theirs, mine, "lead" .. i)
      end
    end
    assert.is_true(seen > LEADS / 2)
  end

  local function backfill(daemon, ...)
    local text, code = intent("feature", "backfill", "--data", daemon.data, ...)
    assert.equal(0, code, text)
    return text
  end

  local function proves(daemon)
    daemon:stop()
    local text, code = intent("feature", "verify", "--all", "--data", daemon.data)
    assert.equal(0, code, text)
    text, code = intent("replay", "--json", "--data", daemon.data)
    assert.equal(0, code, text)
    assert.equal(0, tonumber(text:match '"different":(%d+)'), text)
    text, code = intent("journal", "verify", "--data", daemon.data)
    assert.equal(0, code, text)
  end

  it("gives what there would be, had they been declared from the beginning", function()
    local events = stream()
    local oracle = start(harness.policies { [FILE] = LATE })
    send(oracle, events, 1, #events)
    quiet(oracle)

    local daemon = start(harness.policies { [FILE] = EARLY })
    local third = math.floor(#events / 3)
    send(daemon, events, 1, third)
    put(daemon, "return {}") -- the sum is gone, with what it held …
    send(daemon, events, third + 1, 2 * third)
    put(daemon, LATE) -- … and comes back, with others
    local owed, code = intent("feature", "backfill", "--dry-run", "--data", daemon.data)
    assert.equal(1, code, owed)
    assert.truthy(owed:find("x_sum", 1, true), owed)
    backfill(daemon, "x_docs", "x_sum")
    send(daemon, events, 2 * third + 1, #events)
    quiet(daemon)
    local text = backfill(daemon)
    assert.truthy(text:find "x_heat", text)
    compare(daemon, oracle)
    text = backfill(daemon) -- nothing is owed any more
    assert.truthy(text:find(" 0 owed something", 1, true), text)
    compare(daemon, oracle)
    owed, code = intent("feature", "backfill", "--dry-run", "--data", daemon.data)
    assert.equal(0, code, owed)

    daemon:stop()
    daemon:restart()
    compare(daemon, oracle)
    proves(daemon)
    daemon:restart()
    compare(daemon, oracle)
  end)

  it("counts nothing twice, however it and the daemon end", function()
    local events = stream()
    local oracle = start(harness.policies { [FILE] = LATE })
    send(oracle, events, 1, #events)
    quiet(oracle)
    local daemon = start(harness.policies { [FILE] = "return {}" })
    send(daemon, events, 1, math.floor(#events / 2))
    put(daemon, LATE)
    local at = math.floor(#events / 2)
    for _ = 1, 4 do
      local admin = daemon:admin()
      admin:must("feature.backfill", {})
      local to = math.min(#events, at + random(math.floor(#events / 8)))
      send(daemon, events, at + 1, to)
      at = to
      if random(3) == 1 then admin:must "feature.backfill_stop" end
      require("socket").sleep(random(60) / 1000)
      daemon:kill()
      daemon:restart()
    end
    send(daemon, events, at + 1, #events)
    quiet(daemon)
    backfill(daemon)
    backfill(daemon)
    compare(daemon, oracle)
    proves(daemon)
  end)

  it("leaves out who was forgotten, and says what it can't do", function()
    local events = stream()
    local daemon = start(harness.policies { [FILE] = "return {}" })
    send(daemon, events, 1, 300)
    put(daemon, LATE)
    local admin = daemon:admin()
    local who = features_of(daemon, "lead1") and "lead1" or "lead2"
    admin:must("lead.forget", who)
    backfill(daemon)
    local client = daemon:connect()
    assert.is_nil((client:call("lead.get", who)))
    local _, why = admin:call("feature.backfill", { features = { "x_nothing" } })
    assert.truthy(why.detail:find('no feature "x_nothing"', 1, true), why.detail)
    _, why = client:call("feature.backfill", {})
    assert.equal("unauthorized", why.code)
    assert.equal(0, daemon:metric "intentd_backfill_running")
    assert.is_true(daemon:metric "intentd_backfill_leads" > 0)
    local text, code = intent("journal", "show", "--kind", "fill", "--data", daemon.data)
    assert.equal(0, code, text)
    assert.truthy(text:find("fill", 1, true), text)
    proves(daemon)
  end)
end)
