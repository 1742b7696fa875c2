--- Time on a running daemon under clock = wall: arrivals, timers that come due while it is down or runs another version, what
--- a connection may be late with. And what is asked for by a name that looks like something else.
local harness = require "harness"
local socket = require "socket"

local event = harness.event

local AFTER = 'go "nurture" { after = "21d"'
local SHORT = 'go "nurture" { after = "2s"'
local NEVER = 'go "nurture" { when = f.idle:at_least("21d")'
local DUE_MS = 2000

describe("time", function()
  local daemon, client
  local function start(options)
    daemon = harness.start(options)
    client = daemon:connect()
  end
  after_each(harness.finish)

  local function with_short_timers()
    local policies = harness.policies()
    harness.edit(policies .. "/b2b_saas/policy.lua", AFTER, SHORT)
    return policies, policies .. "/b2b_saas/policy.lua"
  end
  local function engage(count)
    for i = 1, count do
      local traits = { email = ("p%d@acme.example"):format(i) }
      local decision = client:must("event.ingest", event { type = "identify", userId = "u" .. i, traits = traits })
      assert.equal("engaged", decision.stage)
    end
  end
  local function wait_nurture(count)
    for i = 1, count do
      local lead = harness.wait("the timer of u" .. i, function()
        local found = client:must("lead.get", "u" .. i)
        return found.lead.stage == "nurture" and found
      end)
      assert.equal("timer", lead.decision.cause)
      assert.equal(2, lead.lead.decisions) -- once
      assert.equal(lead.lead.first + DUE_MS, lead.decision.at) -- however late it was noticed
      assert.is_true(client:must("decision.explain", lead.decision.decision_id).reproduced)
    end
  end

  it("of an arrival is when the bytes came, not when the loop fell asleep", function()
    start { shards = 1 }
    for _ = 1, 3 do
      socket.sleep(0.6)
      local before_ms = socket.gettime() * 1000
      local at_ms = client:must("event.ingest", event { userId = "late" }).at
      assert.is_true(at_ms >= before_ms - 2, ("%d ms before it was sent"):format(before_ms - at_ms))
    end
  end)

  it("passes while the daemon is down: timers that came due fire at the start, once, at their time", function()
    start { policies = with_short_timers(), shards = 2 }
    engage(10)
    daemon:stop()
    socket.sleep(DUE_MS / 1000 + 0.2)
    daemon:restart { shards = 3 }
    client = daemon:connect()
    wait_nurture(10)
  end)

  it("passes through a crash too", function()
    start { policies = with_short_timers(), shards = 2 }
    engage(10)
    daemon:kill()
    socket.sleep(DUE_MS / 1000 + 0.2)
    daemon:restart()
    client = daemon:connect()
    wait_nurture(10)
  end)

  it("of a timer that a version does not know waits for one that does; nothing of the lead is lost by it", function()
    local policies, file = with_short_timers()
    local signals = policies .. "/signals/b2b/features/web.lua"
    local window = { '"Case Study Downloaded" }, window = "30d"', '"Case Study Downloaded" }, window = "31d"' }
    start { policies = policies, watch = "no", shards = 2, ["checkpoint.interval"] = "1d" }
    for i = 1, 10 do
      client:must("event.ingest", event { userId = "u" .. i, event = "Case Study Downloaded" })
    end
    local traits = { email = "p@acme.example" }
    for i = 1, 10 do
      client:must("event.ingest", event { userId = "u" .. i, type = "identify", traits = traits })
    end
    harness.edit(file, SHORT, NEVER)
    harness.edit(signals, window[1], window[2])
    daemon:admin():must("policy.reload", { allow_late = true })
    socket.sleep(DUE_MS / 1000 + 1.2) -- due, and noticed
    assert.equal("engaged", client:must("lead.get", "u1").lead.stage)
    harness.edit(file, NEVER, SHORT)
    harness.edit(signals, window[2], window[1])
    daemon:admin():must("policy.reload", { allow_late = true })
    harness.wait("the timer", function() return client:must("lead.get", "u1").lead.stage == "nurture" end)
    for i = 1, 10 do
      client:must("event.ingest", event { userId = "u" .. i })
    end
    daemon:kill()
    daemon:restart() -- folds every frame again and compares
    client = daemon:connect()
    local lead = client:must("lead.get", "u1").lead
    assert.equal(1, lead.features.case_studies_30d)
    assert.is_true(client:must("decision.explain", "u1").reproduced)
  end)

  it("that a timer's endless call takes is that timer's: the lead's events go on", function()
    local policies, file = with_short_timers()
    local custom = [[local loop = signal.custom("loop", { reads = { f.idle }, why = "For a test." }, function(view)
  if view.idle > 86400000 and view.idle < 9e8 then while true do end end
  return false
end)
score.adjust "loops" { when = loop, points = -1, why = "For a test." }
score.adjust "competitor"]]
    harness.edit(file, 'score.adjust "competitor"', custom)
    harness.edit(file, SHORT, 'go "nurture" { after = "2d"')
    start { policies = policies, clock = "event", shards = 1 }
    local day_ms = 86400000
    local from_ms = 1767225600000
    local traits = { email = "p@acme.example" }
    client:must("event.ingest", event { type = "identify", traits = traits, timestamp = from_ms })
    client:must("event.ingest", event { type = "page", timestamp = from_ms + 1000 })
    for i = 1, 3 do
      local decision = client:must("event.ingest", event { type = "page", timestamp = from_ms + 3 * day_ms + i })
      assert.equal(tostring(2 + i), decision.decision_id:match "%d+$")
    end
    assert.is_truthy(daemon:log():find("timer_stopped", 1, true))
    daemon:kill()
    daemon:restart()
    assert.equal(5, daemon:connect():must("lead.get", "u1").lead.decisions)
  end)
end)

describe("a far future", function()
  after_each(harness.finish)

  for _, clock in ipairs { "event", "wall" } do
    it("is refused, and does not make what follows late, clock=" .. clock, function()
      local daemon = harness.start { clock = clock }
      local client = daemon:connect()
      local _, err = client:call("event.ingest", event { timestamp = "9999-01-01T00:00:00Z" })
      assert.equal("time_out_of_bounds", err.code)
      assert.is_truthy(err.detail:find("event.future", 1, true))
      local _, unknown = client:call("lead.get", "u1")
      assert.equal("not_found", unknown.code)
      client:must("event.ingest", event { timestamp = "2026-01-05T09:00:00Z" })
      assert.equal(1, client:must("lead.get", "u1").lead.decisions)
    end)
  end
end)

describe("a directory of one partition", function()
  after_each(harness.finish)

  it("is served by as many shards as it can have, whatever the cores", function()
    local daemon = harness.start { partitions = 1, shards = 1 }
    daemon:connect():must("event.ingest", event())
    daemon:stop()
    daemon:restart { partitions = false, shards = 0 }
    assert.equal(1, daemon:connect():must("server.info").shards)
    daemon:stop()
    local status, log = harness.start_fails { data = daemon.data, shards = 4 }
    assert.equal(64, status)
    assert.is_truthy(log:find("4 shards for 1 partitions", 1, true))
  end)
end)

describe("a question", function()
  after_each(harness.finish)

  it("finds a user whose name looks like a lead's id", function()
    local daemon = harness.start { shards = 2 }
    local client = daemon:connect()
    for i = 0, 31 do
      local name = ("%02x%030x"):format(i % 16, i)
      local decision = client:must("event.ingest", event { userId = name })
      assert.equal(decision.lead, client:must("lead.get", name).lead.lead)
      assert.equal(decision.lead, client:must("lead.get", decision.lead).lead.lead)
      assert.equal(decision.decision_id, client:must("decision.explain", name).decision.decision_id)
    end
  end)
end)

describe("a wall clock that is set", function()
  after_each(harness.finish)

  it("is logged once a step, fires timers once, and takes no lead back in time", function()
    local shim = harness.bin .. "/shift_clock.so"
    if not harness.read(shim) then
      pending "the sanitizers do not let a clock be preloaded"
      return
    end
    local policies = harness.policies()
    harness.edit(policies .. "/b2b_saas/policy.lua", AFTER, 'go "nurture" { after = "30m"')
    local clock = harness.folder() .. "/clock"
    local function set(ms) -- at once: half a file would be a step of its own
      harness.write(clock .. ".new", tostring(ms))
      assert(os.rename(clock .. ".new", clock))
    end
    set(0)
    local daemon = harness.start { policies = policies, shards = 2, env = { LD_PRELOAD = shim, SHIFT_CLOCK = clock } }
    local client = daemon:connect()
    local function steps(count) -- or more: the machine's own clock may be set meanwhile, too
      harness.wait(count .. " steps", function() return daemon:metric "intentd_clock_steps_total" >= count end)
    end
    local traits = { email = "p@acme.example" }
    local engaged = client:must("event.ingest", event { type = "identify", traits = traits, messageId = "m1" })
    assert.equal("engaged", engaged.stage)
    set(3600000) -- an hour ahead: the timer is due
    local lead = harness.wait("the timer", function()
      local found = client:must("lead.get", "u1")
      return found.lead.stage == "nurture" and found
    end)
    assert.equal(engaged.at + 1800000, lead.decision.at)
    steps(1)
    local ahead = client:must("event.ingest", event { messageId = "m2" })
    assert.is_true(ahead.at >= engaged.at + 3600000)
    set(-7200000) -- and three hours back
    steps(2)
    local back = client:must("event.ingest", event { messageId = "m3" })
    assert.is_true(back.at >= ahead.at)
    for i, first in ipairs { engaged, ahead, back } do
      local again = client:must("event.ingest", event { messageId = "m" .. i })
      assert.is_true(again.duplicate)
      assert.equal(first.decision_id, again.decision_id)
    end
    assert.equal(4, client:must("lead.get", "u1").lead.decisions)
    client:must("event.ingest", event { userId = "other", messageId = "m4" })
    local _, logged = daemon:log():gsub("event=clock_step", "")
    assert.equal(daemon:metric "intentd_clock_steps_total", logged)
    daemon:kill()
    daemon:restart() -- still three hours back
    client = daemon:connect()
    assert.is_true(client:must("event.ingest", event { messageId = "m2" }).duplicate)
    assert.is_true(client:must("decision.explain", back.decision_id).reproduced)
    assert.equal(4, client:must("lead.get", "u1").lead.decisions)
  end)
end)
