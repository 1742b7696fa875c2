--- One lead whose events run into bombs, among others: theirs are decided all the same, and as if it were not there.
local attacks = require "attacks"
local harness = require "harness"
local lives = require "lives"

local EVENTS, LEADS = 720, 30
local SEED = tonumber(os.getenv "SEED") or 20261125
local EACH = 40 -- every so many events of others the bomber has one

-- By what ends them under the guard; the hook ends most by its count.
local BOMBS = {
  { name = "loop", cause = "deadline" },
  { name = "loop_pcall_nested", cause = "deadline" },
  { name = "find_exponential", cause = "deadline" },
  { name = "sort_loop", cause = "deadline" },
  { name = "concat_loop", cause = "deadline" },
  { name = "error_table", cause = "error" },
}

describe("a lead that runs into bombs (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)

  local stream = lives.stream(SEED, EVENTS, LEADS, 60)

  -- The answers to all events of the stream; with bombs, also the bomber's errors.
  local function run(guard, with_bombs)
    local daemon = harness.start {
      policies = attacks.policies(BOMBS),
      clock = "event",
      seed = harness.SEED,
      shards = 1, -- all are neighbours
      ["policy.guard"] = guard,
    }
    local client, answers, errors = daemon:connect(), {}, {}
    local requests, of = {}, {}
    for i, one in ipairs(stream) do
      requests[#requests + 1], of[#of + 1] = { "event.ingest", one }, i
      if with_bombs and i % EACH == 0 then
        local bomb = harness.event { userId = "bomber", messageId = "bomb" .. i, event = "Attack" }
        bomb.timestamp, bomb.properties = one.timestamp, { attack = attacks.FIRST + 1 + (i / EACH) % #BOMBS }
        requests[#requests + 1], of[#of + 1] = { "event.ingest", bomb }, false
      end
    end
    for n, answer in ipairs(client:pipeline(requests)) do
      if of[n] then
        assert.is_nil(answer.error, answer.error and answer.error.detail)
        answers[of[n]] = answer.raw
      else
        errors[#errors + 1] = answer.error or { code = "none" }
      end
    end
    return daemon, answers, errors
  end

  for _, guard in ipairs { "jit", "hook" } do
    it("harms no other lead, guard=" .. guard, function()
      local quiet, expected = run(guard, false)
      quiet:stop()
      local daemon, answers, errors = run(guard, true)
      for _, err in ipairs(errors) do
        assert.equal("policy_stopped", err.code)
        assert.is_false(err.retryable)
      end
      local bombs = math.floor(EVENTS / EACH)
      assert.equal(bombs, #errors)
      assert.equal(bombs, daemon:metric "intentd_stopped_total")
      assert.equal(bombs, daemon:metric "intentd_quarantined_total")
      for i = 1, EVENTS do
        if answers[i] ~= expected[i] then error(("event %d of another lead was decided differently"):format(i)) end
      end
      local metrics = daemon:get "/metrics"
      if metrics:find('intentd_policy_guard_info{guard="jit"} 1', 1, true) then
        assert.equal("jit", guard) -- a build with a sanitizer has the hook only
        assert.is_true(daemon:metric("intentd_policy_calls_stopped_total", 'cause="deadline"') > 0)
        assert.equal(0, daemon:metric("intentd_policy_calls_stopped_total", 'cause="instructions"'))
      end

      -- The bomber is a lead like others when its events are. What was stopped stays so: a start takes it as recorded, and so
      -- does a replay.
      daemon:kill()
      daemon:restart { ["policy.guard"] = guard }
      local client = daemon:connect()
      local bomb = harness.event { userId = "bomber", messageId = "bomb" .. EACH, event = "Attack" }
      local _, again = client:call("event.ingest", bomb)
      assert.equal("policy_stopped", again.code)
      assert.equal(errors[1].detail, again.detail)
      local last = stream[#stream].timestamp
      local fine = harness.event { userId = "bomber", event = "Docs Viewed" }
      fine.timestamp = last
      assert.equal("1", client:must("event.ingest", fine).decision_id:match "%d+$")
      daemon:stop()
      local command = ("%s/intent replay --data %s --json"):format(harness.bin, daemon.data)
      local pipe = assert(io.popen(command .. " 2>&1; echo status $?"))
      local out = pipe:read "*a"
      pipe:close()
      assert.is_truthy(out:find "status 0", out)
      assert.is_truthy(out:find('"different":0', 1, true), out)
      assert.equal(bombs, tonumber(out:match '"stopped":(%d+)'))
    end)
  end
end)
