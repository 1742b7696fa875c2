--- Every op in one signal set, under a daemon that is killed: what comes back is what the journal gives, bit for bit.
local harness = require "harness"
local lives = require "lives"

local EVENTS, LEADS = 900, 30
local SEED = tonumber(os.getenv "SEED") or 20260107

-- One feature of each kind that keeps a state of its own.
local FEATURES = [[
local of, zone = "properties.amount", "Europe/Amsterdam"
return {
  { name = "x_count", op = "count", window = "this_week", zone = zone },
  { name = "x_flag", op = "flag", window = "today", on = "Feature Used" },
  { name = "x_velocity", op = "velocity", window = "this_month", zone = "America/New_York" },
  { name = "x_sum", op = "sum", of = of, window = "30d" },
  { name = "x_mean", op = "mean", of = of, window = "this_quarter" },
  { name = "x_min", op = "min", of = of, window = "7d" },
  { name = "x_max", op = "max", of = of, window = "this_year" },
  { name = "x_variance", op = "variance", of = of },
  { name = "x_stddev", op = "stddev", of = of, window = "30d" },
  { name = "x_first", op = "first", of = of },
  { name = "x_distinct", op = "distinct", of = of, limit = 4 },
  { name = "x_common", op = "most_common", of = "channel" },
  { name = "x_common_number", op = "most_common", of = of, limit = 4 },
  { name = "x_quantile", op = "quantile", of = of, q = 0.9 },
  { name = "x_decay", op = "decay", half_life = "7d", of = of },
  { name = "x_linear", op = "decay", shape = "linear", over = "14d", of = of },
  { name = "x_step", op = "decay", shape = "step", steps = { { age = "2d", weight = 1 }, { age = "9d", weight = 0.3 } } },
  { name = "x_gap", op = "gap", stat = "mean" },
  { name = "x_sessions", op = "sessions", session_gap = "2d" },
  { name = "x_length", op = "session_length", session_gap = "2d", stat = "max" },
  { name = "x_session", op = "sum", of = of, window = "session", session_gap = "2d" },
  { name = "x_days", op = "active_days", window = "30d", zone = zone },
  { name = "x_streak", op = "streak", zone = zone },
  { name = "x_hour", op = "time_of_day", zone = "Asia/Tokyo" },
  { name = "x_weekday", op = "weekday" },
  { name = "x_funnel", op = "funnel", within = "20d", steps = { "Trial Started", "Feature Used", "Demo Requested" } },
  { name = "x_sequence", op = "sequence", within = "5d", steps = { "Pricing Viewed", "Feature Used" }, window = "30d" },
  { name = "x_pairs", op = "co_occurrence", within = "2d", steps = { "Docs Viewed", "Pricing Viewed" } },
  { name = "x_ratio", op = "ratio", of = { "x_session", "x_sum" } },
}
]]

local function intent(words)
  local pipe = io.popen(("'%s/intent' %s 2>&1; echo; echo $?"):format(harness.bin, words))
  local out, code = pipe:read("*a"):match "^(.*)\n(%d+)\n$"
  pipe:close()
  return out, tonumber(code)
end

describe("every op (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)

  it("comes back after a crash as the journal gives it", function()
    local policies = harness.policies { ["signals/b2b/features/every_op.lua"] = FEATURES }
    local daemon = harness.start { policies = policies, clock = "event", shards = 2, seed = harness.SEED, watch = "no" }
    local stream = lives.stream(SEED, EVENTS, LEADS, 90)
    local zones = { "Europe/London", "Australia/Sydney", "Mars/Olympus" }
    local function send(client, from, to)
      local requests = {}
      for i = from, to do
        local event = stream[i]
        if i % 2 == 0 then event.context = { timezone = zones[i / 2 % 3 + 1] } end
        requests[#requests + 1] = { "event.ingest", event }
      end
      for _, answer in ipairs(client:pipeline(requests)) do
        assert.is_nil(answer.error, answer.error and answer.error.detail)
      end
    end
    send(daemon:connect(), 1, 500)
    daemon:kill()
    daemon:restart { shards = 3 }
    local client = daemon:connect()
    send(client, 501, EVENTS)
    -- The last decision, explained: each op has had something to say.
    local decision = client:must("event.ingest", stream[EVENTS])
    local known = {}
    for _, feature in ipairs(client:must("decision.explain", decision.decision_id).features) do
      if feature.name:match "^x_" then known[feature.name] = feature end
    end
    assert.equal("ms", known.x_length.unit)
    assert.is_truthy(({ web = true, product = true, email = true, crm = true })[known.x_common.value])
    assert.is_true(known.x_weekday.value >= 1 and known.x_weekday.value <= 7)
    assert.is_true(known.x_hour.value >= 0 and known.x_hour.value < 24)
    assert.is_true(known.x_days.value >= 1 and known.x_quantile.value > 0)
    daemon:stop()
    local out, code = intent(("feature verify --all --json --data '%s'"):format(daemon.data))
    assert.equal(0, code, out)
    assert.equal("0", out:match '"mismatches":(%d+)', out)
    assert.is_true(tonumber(out:match '"frames":(%d+)') >= EVENTS)
    out, code = intent(("replay --threads 2 --json --data '%s'"):format(daemon.data))
    assert.equal(0, code, out)
    assert.equal("0", out:match '"different":(%d+)', out)
  end)
end)
