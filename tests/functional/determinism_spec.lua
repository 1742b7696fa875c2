--- The same stream of events gives the same decisions, bit for bit: on 1, 2 and 4 shards, with the JIT on and off, and
--- through a crash.
local harness = require "harness"
local lives = require "lives"
local wire = require "wire"

local EVENTS, LEADS = 5000, 300
local SEED = tonumber(os.getenv "SEED") or 20260105

describe("a stream of events (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)

  local stream = lives.stream(SEED, EVENTS, LEADS, 120)

  local function start(options)
    options.clock, options.seed = "event", harness.SEED
    return harness.start(options)
  end

  -- Sends all on one connection; the bytes of each decision, by the event's number, with `duplicate` false.
  local function send_all(daemon)
    local client, decisions = daemon:connect(), {}
    for from = 1, EVENTS, 500 do
      local requests = {}
      for i = from, math.min(from + 499, EVENTS) do
        requests[#requests + 1] = { "event.ingest", stream[i] }
      end
      for i, answer in ipairs(client:pipeline(requests)) do
        assert.is_nil(answer.error, answer.error and answer.error.detail)
        decisions[from + i - 1] = answer.raw:sub(1, -2) .. "\194"
      end
    end
    return decisions
  end

  local reference
  local function run(options)
    local daemon = start(options)
    local decisions = send_all(daemon)
    daemon:stop()
    return decisions
  end
  lazy_setup(function()
    reference = run { shards = 1 }
    harness.finish()
  end)

  local function assert_same(decisions)
    for i = 1, EVENTS do
      if decisions[i] ~= reference[i] then error(("event %d was decided differently"):format(i)) end
    end
  end

  it("is worth comparing: leads move, timers fire, actions are taken", function()
    local unpacker = require("mpack").Unpacker()
    local seen, numbers, hashes = {}, {}, {}
    for i = 1, EVENTS do
      local decision = unpacker(reference[i])
      local lead, number = decision.decision_id:match "^(%x+)%-(%d+)$"
      numbers[lead] = math.max(numbers[lead] or 0, tonumber(number))
      assert.is_nil(hashes[decision.hash])
      hashes[decision.hash] = true
      seen[decision.stage], seen[decision.action], seen[decision.band] = true, true, true
      seen[tostring(decision.held)] = true
      if decision.owner ~= wire.NIL then seen.owner = true end
    end
    local leads, last = 0, 0
    for _, number in pairs(numbers) do
      leads, last = leads + 1, last + number
    end
    assert.equal(LEADS, leads)
    assert.is_true(last > EVENTS, "no timer fired") -- timers take numbers between the events'
    for _, what in ipairs {
      "engaged",
      "mql",
      "sql",
      "nurture",
      "opportunity",
      "customer",
      "call",
      "case_study",
      "wait",
      "owner",
      "cold",
      "hot",
      "per_lead",
      "hold_out",
      "not_eligible",
    } do
      assert.is_true(seen[what], "never " .. what)
    end
  end)

  for _, shards in ipairs { 2, 4 } do
    it("is decided the same on " .. shards .. " shards", function() assert_same(run { shards = shards }) end)
  end

  it(
    "is decided the same under the hook guard, without the JIT",
    function() assert_same(run { shards = 2, ["policy.guard"] = "hook" }) end
  )

  it("is decided the same in batches", function()
    local client = start({ shards = 2 }):connect()
    local unpacker = require("mpack").Unpacker()
    for from = 1, EVENTS, 1000 do
      local answers = client:must("event.batch", { unpack(stream, from, from + 999) })
      for i, answer in ipairs(answers) do
        assert.equal((unpacker(reference[from + i - 1])).hash, answer.hash)
      end
    end
  end)

  for _, shards in ipairs { 1, 3 } do
    it(
      "is decided the same through a SIGKILL in its middle, sent again from its beginning, on " .. shards .. " shards",
      function()
        local daemon = start { shards = shards }
        local client, bytes = daemon:connect(), {}
        for i = 1, 3000 do
          bytes[i] = wire.request(i, "event.ingest", stream[i])
        end
        client:send_bytes(table.concat(bytes))
        for _ = 1, 1500 do
          assert.is_nil(client:receive().error)
        end -- the rest is under way
        daemon:kill()
        daemon:restart { shards = 5 - shards }
        assert_same(send_all(daemon))
        local recovery = daemon:connect():must("server.info").recovery
        assert.is_true(recovery.frames >= 1500)
      end
    )
  end
end)
