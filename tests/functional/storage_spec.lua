--- A disk that is full, fails, or has no files left: what senders and askers see, and that it goes on by itself. The
--- daemon's own fault layer makes the disk fail while a switch file is there (core/store/disk_faults.h).
local ffi = require "ffi"
local harness = require "harness"
local pack = require "pack"
local socket = require "socket"
local wire = require "wire"

ffi.cdef [[
struct storage_limit { unsigned long now, most; };
int prlimit(int pid, int resource, const struct storage_limit *new, struct storage_limit *old);
]]
local RLIMIT_NOFILE = 7

local event = harness.event

describe("storage", function()
  local daemon, client, switch
  after_each(harness.finish)

  --- `rules`: with %s where the switch file's path goes.
  local function start(rules, options)
    switch = harness.folder() .. "/switch"
    options = options or {}
    options.env = { INTENTD_DISK_FAULTS = (rules:gsub("%%s", switch)) }
    daemon = harness.start(options)
    client = daemon:connect()
  end
  local function break_disk() harness.write(switch, "") end
  local function mend_disk() os.remove(switch) end

  local function readyz() return daemon:get "/readyz" end
  local function wait_ready(wanted)
    harness.wait("readyz " .. wanted, function() return select(2, readyz()) == wanted end)
  end

  local function post(path, body)
    local sock = assert(socket.connect("127.0.0.1", daemon.ports.http))
    sock:settimeout(60)
    sock:send(("POST %s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s"):format(path, #body, body))
    local text = assert(sock:receive "*a")
    sock:close()
    return text
  end

  local function unavailable(method, ...)
    local result, err = client:call(method, ...)
    assert.is_nil(result)
    assert.equal("storage_unavailable", err.code, err.detail)
    assert.is_true(err.retryable)
    return err
  end

  -- Two leads of each shard: one that is left alone, and one that an event is held for.
  local function known_leads(count)
    local list = {}
    for i = 1, count do
      list[i] = client:must("event.ingest", event { userId = "known" .. i, messageId = "first" .. i })
    end
    return list
  end

  it("is no data directory where there are other files", function()
    local folder = harness.folder()
    harness.write(folder .. "/letters", "dear")
    local status, log = harness.start_fails { data = folder }
    assert.equal(64, status)
    assert.is_truthy(log:find("letters", 1, true) and log:find("no data directory, and not empty", 1, true), log)
    assert.is_nil(harness.read(folder .. "/format"))
    assert.is_nil(harness.read(folder .. "/intentd.lock"))
  end)

  it("without room refuses events, holds what was decided, shows the rest, and goes on by itself", function()
    start("write:journal/*:@%s:ENOSPC", { shards = 2 })
    daemon:expect_errors "reload_failed"
    local known = known_leads(20)
    break_disk()
    -- One after the other, until both shards have met it: each holds one answer or more.
    local held, refused = {}, 0
    for i = 1, 20 do
      held[i] = client:send("event.ingest", event { userId = "known" .. i, messageId = "held" .. i })
    end
    harness.wait("both shards", function()
      return daemon:metric("intentd_storage_unavailable", 'shard="0"') + daemon:metric("intentd_storage_unavailable", 'shard="1"')
        == 2
    end)
    local body, status = readyz()
    assert.equal(503, status)
    assert.is_truthy(body:find "^storage_unavailable: shard 0: nothing can be written %(journal/00%-.*No space left on device", body)
    local _, alive = daemon:get "/healthz"
    assert.equal(200, alive)

    -- On the very connection whose answers are held.
    assert.equal("pong", client:must "server.ping")
    assert.equal("b2b_saas", client:must("policy.status").policy)
    assert.is_truthy(unavailable("event.ingest", event { userId = "new" }).detail:find("Make room", 1, true))
    local batch = client:must("event.batch", { event { userId = "known1" }, event { userId = "known2" }, { bad = 1 } })
    assert.equal("storage_unavailable", batch[1].error.code)
    assert.equal("storage_unavailable", batch[2].error.code)
    assert.equal("invalid_event", batch[3].error.code)
    local shown, hidden = 0, 0
    for i = 1, 20 do
      local lead, err = client:call("lead.get", "known" .. i)
      if err then
        assert.equal("storage_unavailable", err.code)
        hidden = hidden + 1
        unavailable("decision.explain", known[i].lead)
        unavailable("event.validate", event { userId = "known" .. i })
      else
        assert.equal(1, lead.lead.decisions)
        assert.is_true(client:must("decision.explain", known[i].decision_id).reproduced)
        assert.is_true(client:must("event.validate", event { userId = "known" .. i }).valid)
        shown = shown + 1
      end
    end
    assert.is_true(hidden >= 2, hidden .. " leads are hidden")
    local http = post("/v1/track", '{"userId":"known1","event":"x","messageId":"http"}')
    assert.is_truthy(http:find "^HTTP/1.%d 503 ", http)
    assert.is_truthy(http:find("Retry-After: 1", 1, true))
    assert.is_truthy(http:find("storage_unavailable", 1, true))
    local forward = daemon:connect()
    forward:send_bytes(pack.encode { "t", { { 0, { userId = "known1", event = "x" } } }, { chunk = "c1" } })
    local value, why = forward:receive_value(0.3)
    assert.is_nil(value)
    assert.equal("timeout", why)
    local _, reload = daemon:admin():call "policy.reload"
    assert.equal("storage_unavailable", reload.code)

    mend_disk()
    wait_ready(200)
    for i = 1, 20 do
      local response = client:answer(held[i])
      if response.error then
        assert.equal("storage_unavailable", response.error.code)
        refused = refused + 1
      else
        assert.equal(known[i].lead .. "-2", response.result.decision_id)
        assert.is_false(response.result.duplicate)
      end
    end
    assert.equal(shown, refused) -- what was not refused was held, and nobody saw it
    for i = 1, 20 do
      client:must("event.ingest", event { userId = "known" .. i, messageId = "held" .. i })
      assert.equal(2, client:must("lead.get", "known" .. i).lead.decisions)
    end
    forward:send_bytes(pack.encode { "t", { { 0, { userId = "known1", event = "x" } } }, { chunk = "c1" } })
    assert.equal("c1", forward:receive_value().ack)
    assert.is_true(daemon:metric "intentd_journal_full_total" >= 2)
    daemon:kill()
    daemon:restart { env = {} }
    client = daemon:connect()
    for i = 2, 20 do
      assert.equal(2, client:must("lead.get", "known" .. i).lead.decisions)
    end
  end)

  it("without room for new leads (the vault) is the same, also in the midst of a frame", function()
    start("write:vault/*:@%s:part+ENOSPC;write:journal/*:@%s:part+ENOSPC", { shards = 1 })
    known_leads(3)
    break_disk()
    local held = client:send("event.ingest", event { userId = "new", messageId = "n" })
    wait_ready(503)
    unavailable("lead.get", "new")
    assert.equal(1, client:must("lead.get", "known1").lead.decisions)
    mend_disk()
    assert.is_truthy(client:answer(held).result.decision_id:find "%-1$")
    assert.equal(1, client:must("lead.get", "new").lead.decisions)
  end)

  it("that fails a sync answers with an error, recovers in process, and decides nothing twice", function()
    start("seed=3;sync:journal/*:@%s:EIO", { shards = 2 })
    daemon:expect_errors "storage_failed"
    daemon:expect_errors "recovery_failed"
    local known = known_leads(20)
    local subscriber = daemon:connect()
    subscriber:must "decision.subscribe"
    break_disk()
    local sent = {}
    for i = 1, 20 do
      sent[i] = client:send("event.ingest", event { userId = "known" .. i, messageId = "m" .. i })
    end
    for i = 1, 20 do
      local err = assert(client:answer(sent[i]).error)
      assert.equal("storage_unavailable", err.code)
      assert.is_true(err.retryable)
    end
    local body, status = readyz()
    assert.equal(503, status)
    assert.is_truthy(body:find("^storage_unavailable: shard %d: the disk failed"), body)
    assert.equal("pong", client:must "server.ping")
    assert.equal("b2b_saas", client:must("policy.status").policy)
    assert.equal(16, client:must("server.info").partitions)
    unavailable("lead.get", "known1")
    unavailable("decision.get", known[1].decision_id)
    local _, refused = client:call("event.ingest", { type = "track" })
    assert.equal("invalid_event", refused.code)
    assert.is_truthy(post("/v1/track", '{"userId":"known1","event":"x"}'):find "^HTTP/1.%d 503 ")
    local frames = daemon:metric "intentd_journal_frames_total"
    assert.is_true(frames >= 20)
    harness.wait("a try that fails", function() return daemon:metric "intentd_recovery_failures_total" > 0 end)
    mend_disk()
    wait_ready(200)
    assert.equal(1, daemon:metric "intentd_recoveries_total")
    assert.is_true(daemon:metric "intentd_journal_frames_total" >= frames)
    for i = 1, 20 do
      local decision = client:must("event.ingest", event { userId = "known" .. i, messageId = "m" .. i })
      assert.equal(known[i].lead .. "-2", decision.decision_id)
      assert.equal(2, client:must("lead.get", "known" .. i).lead.decisions)
      assert.is_true(client:must("decision.explain", decision.decision_id).reproduced)
    end
    client:must("event.ingest", event { userId = "last" })
    harness.wait("the subscriber's decision", function()
      local _, params = subscriber:notification()
      return params[1].decision_id:find "%-1$"
    end)
    daemon:kill()
    daemon:restart { env = {} }
    client = daemon:connect()
    for i = 1, 20 do
      assert.equal(2, client:must("lead.get", "known" .. i).lead.decisions)
    end
  end)

  it("that fails the vault's sync recovers likewise", function()
    start("sync:vault/*:@%s:EIO", { shards = 2 })
    daemon:expect_errors "storage_failed"
    daemon:expect_errors "recovery_failed"
    break_disk()
    local sent = client:send("event.ingest", event { userId = "u", messageId = "m" })
    assert.equal("storage_unavailable", client:answer(sent).error.code)
    mend_disk()
    wait_ready(200)
    assert.is_truthy(client:must("event.ingest", event { userId = "u", messageId = "m" }).decision_id:find "%-1$")
  end)

  it("that does not come back can still be left by SIGTERM, and full too", function()
    for _, what in ipairs { "sync:journal/*:@%s:EIO", "write:journal/*:@%s:ENOSPC" } do
      start(what, { shards = 2 })
      daemon:expect_errors "storage_failed"
      daemon:expect_errors "recovery_failed"
      known_leads(1)
      break_disk()
      local sent = client:send("event.ingest", event { userId = "known1", messageId = "m" })
      wait_ready(503)
      daemon:signal(15)
      assert.is_true(client:answer(sent).error.retryable)
      assert.equal(0, daemon:wait_exit(true))
      daemon:stop()
      mend_disk()
      daemon:restart { env = {} }
      client = daemon:connect()
      client:must("event.ingest", event { userId = "known1", messageId = "m" })
      assert.equal(2, client:must("lead.get", "known1").lead.decisions)
      daemon:stop()
    end
  end)

  it("with damage found by the recovery ends the process with 70", function()
    start("sync:journal/*:@%s:EIO", { shards = 1 })
    known_leads(50)
    local path = daemon.data .. "/journal/00-00000001.log"
    local file = assert(io.open(path, "r+b"))
    file:seek("set", 8000)
    file:write(("x"):rep(2000))
    file:close()
    break_disk()
    client:send("event.ingest", event { userId = "known1", messageId = "m" })
    assert.equal(70, daemon:wait_exit(true))
    assert.is_truthy(daemon:log():find "level=error event=failed code=corrupt why=", daemon:log())
    daemon.is_over = true
  end)

  it("without room puts no policy in force, and the one that was written meanwhile afterwards", function()
    local policies = harness.policies()
    start("write:journal/*:@%s:ENOSPC", { shards = 2, policies = policies })
    known_leads(1)
    local before = client:must("policy.status").version
    break_disk()
    local held = client:send("event.ingest", event { userId = "known1" })
    wait_ready(503)
    harness.edit(policies .. "/b2b_saas/policy.lua", 'after = "21d"', 'after = "20d"')
    socket.sleep(1.2) -- seen by now, if anybody looks
    assert.equal(before, client:must("policy.status").version)
    mend_disk()
    assert.is_truthy(client:answer(held).result)
    harness.wait("the new version", function() return client:must("policy.status").version ~= before end)
    assert.equal(0, daemon:metric "intentd_reload_failures_total")
  end)

  it("without files refuses what needs one, and never ends", function()
    start("open:journal/*:@%s:EMFILE;open:versions/*:@%s:EMFILE", { shards = 1, ["journal.segment"] = "8m" })
    local decision = known_leads(1)[1]
    break_disk()
    local _, err = client:call("decision.get", decision.decision_id)
    assert.equal("storage_full", err.code)
    assert.is_true(err.retryable)
    assert.is_truthy(err.detail:find("Too many open files", 1, true))
    mend_disk()
    assert.equal(decision.decision_id, client:must("decision.get", decision.decision_id).decision_id)
  end)

  it("that are too few to start with say so", function()
    local folder = harness.folder()
    local status = os.execute(
      ("ulimit -n 22; exec '%s/intentd' --data '%s/data' --shards 2 --listen 127.0.0.1:0 --http 127.0.0.1:0 2>'%s/log'"):format(
        harness.bin,
        folder,
        folder
      )
    )
    assert.equal(75, status > 255 and math.floor(status / 256) or status)
    local log = harness.read(folder .. "/log")
    assert.is_truthy(log:find("22 open files are allowed; with 2 shards it takes 52", 1, true), log)
  end)

  it("and an event whose lead cannot be looked up without one waits for it", function()
    start("open:vault/*:@%s:EMFILE", { shards = 1 })
    known_leads(1)
    daemon:stop()
    daemon:restart { shards = 1, env = { INTENTD_DISK_FAULTS = "open:vault/*:@" .. switch .. ":EMFILE" } }
    client = daemon:connect()
    break_disk()
    local held = client:send("event.ingest", event { userId = "known1" })
    harness.wait("the log", function() return daemon:log():find("event=files_wanted", 1, true) end)
    mend_disk()
    assert.is_truthy(client:answer(held).result)
  end)

  it("recovers once there are files for the versions of the policy", function()
    start("sync:journal/*:@%s:EIO;open:versions/[0-9a-f]*:@%s:EMFILE", { shards = 1 })
    known_leads(1)
    break_disk()
    unavailable("event.ingest", event { userId = "known1", messageId = "again" })
    harness.wait("the log", function() return daemon:log():find("event=recovery_failed", 1, true) end)
    mend_disk()
    wait_ready(200)
    client:must("event.ingest", event { userId = "known1", messageId = "again" })
    daemon:expect_errors "event=storage_failed"
    daemon:expect_errors "event=recovery_failed"
    daemon:expect_errors "event=version_unreadable"
  end)

  it("and sockets without files wait at the door", function()
    start "seed=1"
    client:must "server.ping" -- it is in
    local limit = ffi.new "struct storage_limit"
    assert.equal(0, ffi.C.prlimit(daemon.pid, RLIMIT_NOFILE, nil, limit))
    local enough = limit.now
    limit.now = 0
    assert.equal(0, ffi.C.prlimit(daemon.pid, RLIMIT_NOFILE, limit, nil))
    local late = wire.tcp(daemon.ports.listen)
    late:send_bytes(wire.request(1, "server.ping"))
    harness.wait("the log", function() return daemon:log():find("event=accept_failed", 1, true) end)
    assert.equal("pong", client:must "server.ping")
    client:must("event.ingest", event())
    assert.is_nil((late:receive_value(0.2)))
    limit.now = enough
    assert.equal(0, ffi.C.prlimit(daemon.pid, RLIMIT_NOFILE, limit, nil))
    assert.equal("pong", late:receive().result)
    late:close()
    assert.is_true(daemon:metric "intentd_accepts_failed_total" > 0)
  end)
end)
