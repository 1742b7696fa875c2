--- Merges and accounts on a failing disk: people with many names and their companies (family.lua), on a daemon whose disk fails
--- in every way that the fault layer knows, and that is killed at random moments, over and over on the same data, on other numbers
--- of shards and partitions, with people who are forgotten in between. Nothing that was acknowledged is lost or counted
--- twice; a person is one lead; an account is what its people add up to.
---
---   ./dev test crash                                       a few rounds
---   ROUNDS=500 busted … tests/crash/merge_spec.lua        the long run (about a second a round)
---   SEED=… ROUNDS=…                                        the same choices again
---   ONLY="power goes"                                      only plans with these words in their names
local family = require "family"
local harness = require "harness"
local PLANS = require "plans"
local socket = require "socket"

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000
local ROUNDS = tonumber(os.getenv "ROUNDS") or 4
local PER_DIRECTORY = 10

describe("merges and accounts under failing disks (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)
  local random = harness.random(SEED)

  local function plan_of(what)
    local text = what[2]:gsub("N(%d+)", function(most) return tostring(random(tonumber(most))) end)
    return text ~= "" and ("seed=%d;%s"):format(random(1000000), text) or ""
  end

  local function start(daemon, plan, interval)
    local INTERVALS = { "1ms", "50ms", "1m" }
    daemon:launch {
      shards = random(3),
      ["checkpoint.interval"] = random(2) == 1 and "100ms" or "10s",
      ["account.interval"] = interval or INTERVALS[random(3)],
      env = plan ~= "" and { INTENTD_DISK_FAULTS = plan } or {},
    }
    local is_up = pcall(daemon.ready, daemon)
    if is_up then return true end
    assert.is_truthy(plan ~= "", "it does not start without faults:\n" .. daemon:log():sub(-3000))
    local status = daemon:wait_exit(true)
    assert.is_true(status == 70 or status == 75 or status == -9, "status " .. status)
    daemon.is_over = true
    return false
  end

  local function stop_somehow(daemon)
    if not daemon:wait_exit() then daemon:signal(random(12) == 1 and 15 or 9) end
    local status = daemon:wait_exit(true)
    assert.is_true(status == -9 or status == 0, "it ended with " .. status .. ":\n" .. daemon:log():sub(-3000))
    for _, client in ipairs(daemon.clients) do
      client:close()
    end
    daemon.clients, daemon.is_over = {}, true
    assert.is_nil(daemon:log():find("code=corrupt", 1, true), daemon:log():sub(-3000))
  end

  local function intent(daemon, command)
    local out = harness.folder() .. "/out"
    local status = os.execute(("'%s/intent' %s --data '%s' >%s 2>&1"):format(harness.bin, command, daemon.data, out))
    local text = harness.read(out)
    assert.equal(0, status, command .. ": " .. text)
    return text
  end

  local function round(daemon, people, what)
    local plan, log_from = plan_of(what), #daemon:log()
    local ok, why = pcall(function()
      if start(daemon, plan) then
        people:live(10 + random(30))
        stop_somehow(daemon)
      end
      if random(5) == 1 then -- and once more while it recovers
        daemon:launch { env = {} }
        socket.sleep(random(60) / 1000)
        if not daemon:wait_exit() then daemon:signal(9) end
        daemon:wait_exit(true)
      end
      start(daemon, "")
      people:check()
      if random(4) == 1 then
        daemon:stop()
        local partitions = 3 + random(9)
        if partitions == daemon.partitions then partitions = partitions + 1 end
        intent(daemon, "reshard --partitions " .. partitions)
        daemon.partitions = partitions
      else
        stop_somehow(daemon)
      end
    end)
    if not ok then
      error(("%s (%s)\nplan: %s\nfolder: %s\nlog:\n%s"):format(tostring(why), what[1], plan, daemon.folder,
        daemon:log():sub(log_from):sub(-4000)), 0)
    end
  end

  -- All plans in an order of chance, again and again.
  local left = {}
  local function next_plan()
    if #left == 0 then
      for _, plan in ipairs(PLANS) do
        if plan[1]:find(os.getenv "ONLY" or "", 1, true) then left[#left + 1] = plan end
      end
    end
    return table.remove(left, random(#left))
  end

  local function verify(daemon)
    assert.equal("0", intent(daemon, "replay --json"):match '"different":(%d+)')
    intent(daemon, "journal verify")
    local text = intent(daemon, "feature verify --all --json")
    assert.equal("0", text:match '"unmet":(%d+)', text)
  end

  it("lose nothing, double nothing, and add up", function()
    local done, events, forgotten, refusals = 0, 0, 0, 0
    while done < ROUNDS do
      local daemon = harness.new { policies = family.policies(), watch = "no", ["journal.segment"] = "8m", partitions = 5 }
      daemon.partitions = 5
      daemon:expect_errors "level=error"
      local people = family.new(daemon, random)
      for _ = 1, math.min(PER_DIRECTORY, ROUNDS - done) do
        round(daemon, people, next_plan())
        done = done + 1
      end
      start(daemon, "", "1ms")
      people:settle()
      people:check_all()
      daemon:kill()
      start(daemon, "", "1ms")
      people:check_all()
      people:check()
      daemon:stop()
      verify(daemon)
      events, forgotten, refusals = events + #people.events, forgotten + people.forgotten, refusals + people.refusals
      if os.getenv "ROUNDS" then
        print(("rounds %d, events %d, forgotten people %d, refused for now %d"):format(done, events, forgotten, refusals))
        io.stdout:flush()
        harness.finish()
      end
    end
    assert.is_true(events > 20 * ROUNDS, "too little happened")
  end)
end)
