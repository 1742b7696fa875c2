--- One recorded journal, decided again by `intent replay`: on 1, 2 and 4 threads, with the JIT on and off, over a change of the policy
--- and a crash in its middle.
local harness = require "harness"
local lives = require "lives"

local EVENTS, LEADS = 3000, 200
local SEED = tonumber(os.getenv "SEED") or 20260107

local function replay(data, ...)
  local words = { ("'%s/intent' replay --json --data '%s'"):format(harness.bin, data), ... }
  local out = harness.folder() .. "/out"
  local status = os.execute(table.concat(words, " ") .. " >" .. out .. " 2>&1")
  return harness.read(out), status
end

local function number(text, name) return tonumber(text:match('"' .. name .. '":(%d+)')) end

describe("a recorded journal (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)

  local stream = lives.stream(SEED, EVENTS, LEADS, 120)

  local function send(client, from, to)
    local requests = {}
    for i = from, to do
      requests[#requests + 1] = { "event.ingest", stream[i] }
    end
    for _, answer in ipairs(client:pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and answer.error.detail)
    end
  end

  local function record(clock)
    local policies = harness.policies()
    local daemon = harness.start { policies = policies, clock = clock, shards = 2 }
    local client = daemon:connect()
    send(client, 1, 1000)
    local before = client:must("policy.status").version
    harness.edit(policies .. "/b2b_saas/policy.lua", "belief.intent:at_least(45)", "belief.intent:at_least(30)")
    daemon:hup()
    harness.wait(function() return "the new version" end, function() return client:must("policy.status").version ~= before end)
    send(client, 1001, 2000)
    daemon:kill()
    daemon:restart { shards = 3 }
    send(daemon:connect(), 2001, EVENTS)
    daemon:stop()
    return daemon.data
  end

  for _, clock in ipairs { "event", "wall" } do
    it("is decided the same again, clock=" .. clock, function()
      local data = record(clock)
      local first
      for _, way in ipairs { "--threads 1", "--threads 2", "--threads 4", "--threads 2 --guard hook" } do
        local out, status = replay(data, way)
        assert.equal(0, status, out)
        assert.equal(0, number(out, "different"))
        assert.is_true(number(out, "decisions") >= EVENTS)
        local hash = out:match '"hash":"(%x+)"'
        first = first or hash
        assert.equal(first, hash)
        if clock == "event" then assert.is_true(number(out, "timers") > 0) end
      end
    end)
  end

  it("is not played while a daemon holds it", function()
    local daemon = harness.start { clock = "event" }
    local out, status = replay(daemon.data)
    assert.is_true(status ~= 0)
    assert.is_truthy(out:find("in use", 1, true), out)
  end)
end)
