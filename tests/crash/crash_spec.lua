--- A daemon under load whose disk fails in every way that the fault layer knows (core/store/disk_faults.h), and that is
--- killed at random moments, over and over on the same data: nothing acknowledged is lost, nothing is decided twice.
---
---   ./dev test crash                                               a few rounds
---   ROUNDS=1000 busted … tests/crash/crash_spec.lua               the long run (about a second a round)
---   SEED=… ROUNDS=…                                                the same choices again
---   ONLY="power goes"                                              only plans with these words in their names
---
--- Every PER_DIRECTORY rounds everything is checked, and a new directory begins.
local crowd = require "crowd"
local harness = require "harness"
local PLANS = require "plans"
local socket = require "socket"

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000
local ROUNDS = tonumber(os.getenv "ROUNDS") or 20 -- every plan once, and one more
local PER_DIRECTORY = 20

describe("a failing disk (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)
  local random = harness.random(SEED)
  local counts = {}

  local function plan_of(what)
    local text = what[2]:gsub("N(%d+)", function(most) return tostring(random(tonumber(most))) end)
    return text ~= "" and ("seed=%d;%s"):format(random(1000000), text) or ""
  end

  local function options()
    return { shards = random(3), ["checkpoint.interval"] = random(2) == 1 and "100ms" or "10s" }
  end

  -- Under faults a start may fail, for want of room or because nothing can be read; never because of damage.
  local function start(daemon, plan)
    local with = options()
    with.env = plan ~= "" and { INTENTD_DISK_FAULTS = plan } or {}
    daemon:launch(with)
    local is_up = pcall(daemon.ready, daemon)
    if is_up then return true end
    assert.is_truthy(plan ~= "", "it does not start without faults:\n" .. daemon:log():sub(-3000))
    local status = daemon:wait_exit(true)
    assert.is_true(status == 70 or status == 75 or status == -9, "status " .. status)
    daemon.is_over = true
    return false
  end

  local function stop_somehow(daemon)
    if not daemon:wait_exit() then
      if random(12) == 1 then
        daemon:signal(15)
      else
        daemon:signal(9)
      end
    end
    local status = daemon:wait_exit(true)
    assert.is_true(status == -9 or status == 0, "it ended with " .. status .. ":\n" .. daemon:log():sub(-3000))
    for _, client in ipairs(daemon.clients) do
      client:close()
    end
    daemon.clients, daemon.is_over = {}, true
    assert.is_nil(daemon:log():find("code=corrupt", 1, true), daemon:log():sub(-3000))
  end

  local function round(daemon, people, what)
    local plan = plan_of(what)
    local log_from = #daemon:log()
    local ok, why = pcall(function()
      if start(daemon, plan) then
        people:plant_timers(random(2))
        people:live(15 + random(35))
        stop_somehow(daemon)
      end
      if random(6) == 1 then people:verify() end
      if random(5) == 1 then -- and once more while it recovers
        daemon:launch { env = {} }
        socket.sleep(random(60) / 1000)
        if not daemon:wait_exit() then daemon:signal(9) end
        daemon:wait_exit(true)
      end
      start(daemon, "")
      people:check()
      stop_somehow(daemon)
    end)
    counts[what[1]] = (counts[what[1]] or 0) + 1
    if not ok then
      error(("%s (%s)\nplan: %s\nfolder: %s\nlog:\n%s"):format(tostring(why), what[1], plan, daemon.folder,
        daemon:log():sub(log_from):sub(-4000)), 0)
    end
  end

  -- All plans in an order of chance, again and again.
  local function plans()
    local left = {}
    return function()
      if #left == 0 then
        for _, plan in ipairs(PLANS) do
          if plan[1]:find(os.getenv "ONLY" or "", 1, true) then left[#left + 1] = plan end
        end
      end
      return table.remove(left, random(#left))
    end
  end

  it("loses nothing that was acknowledged, and decides nothing twice", function()
    local policies = crowd.policies()
    local next_plan = plans()
    local done, events, told, refusals = 0, 0, 0, 0
    while done < ROUNDS do
      local daemon = harness.new { policies = policies, watch = "no", ["journal.segment"] = "8m" }
      daemon:expect_errors "level=error"
      local people = crowd.new(daemon, random)
      for _ = 1, math.min(PER_DIRECTORY, ROUNDS - done) do
        round(daemon, people, next_plan())
        done = done + 1
      end
      start(daemon, "")
      people:settle()
      people:check_timers()
      people:check_all()
      daemon:stop()
      people:verify()
      daemon:restart { env = {} }
      people:check_all()
      daemon:stop()
      events, told, refusals = events + #people.events, told + people.told, refusals + people.refusals
      if os.getenv "ROUNDS" then
        print(("rounds %d, events %d, acknowledgements %d, refused for now %d"):format(done, events, told, refusals))
        io.stdout:flush()
      end
    end
    assert.is_true(events > 30 * ROUNDS and told > 10 * ROUNDS, "too little happened")
    if os.getenv "ROUNDS" then
      for what, count in pairs(counts) do
        print(("%4d  %s"):format(count, what))
      end
    end
  end)
end)
