--- What comes in wrong: bytes that are no protocol, messages that never end, senders who do not listen, broken policies
--- and models, directories of others, options. Each gets a clear error, is counted, and changes nothing.
local bit = require "bit"
local lfs = require "lfs"
local socket = require "socket"

local harness = require "harness"
local pack = require "pack"
local wire = require "wire"
local tool = require "intent"
local holds = tool.holds

local SEED = tonumber(os.getenv "SEED") or os.time() % 100000
local event = harness.event

describe("bad bytes", function()
  local daemon, honest, before
  before_each(function()
    daemon = harness.start { shards = 2 }
    honest = daemon:connect()
    honest:must("event.ingest", event())
    before = select(2, honest:must("lead.get", "u1"))
  end)
  after_each(function()
    if daemon.ports and not daemon:wait_exit() then assert.equal(before, select(2, honest:must("lead.get", "u1"))) end
    harness.finish()
  end)

  local function deep(levels) return ("\145"):rep(levels) .. "\192" end -- [[[…nil…]]]
  local endings = {
    { "a byte that MessagePack does not have", "\193", "invalid_message", "0xc1" },
    { "the same within a request", "\148\0\1\193", "invalid_message", "0xc1" },
    { "a request of HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "invalid_message", "neither" },
    { "TLS", "\22\3\1\2\0\1\0\1\252\3\3", "invalid_message", "neither" },
    { "a number", "\7", "invalid_message", "neither" },
    { "a map", "\129\161a\1", "invalid_message", "neither" },
    { "an empty list", "\144", "invalid_message", "neither" },
    { "a list that begins with a map", "\146\128\1", "invalid_message", "neither" },
    { "a list that begins with nil", "\146\192\1", "invalid_message", "neither" },
    {
      "a list that begins with a float",
      pack.encode { 0.5, 1, "server.ping", pack.list {} },
      "invalid_message",
      "neither",
    },
    {
      "nesting over frame.depth",
      pack.encode { 0, 1, "event.ingest", pack.list { pack.raw(deep(40)) } },
      "too_large",
      "frame.depth",
    },
    { "nesting that never ends", deep(100000), "too_large", "frame.depth" },
    {
      "a list announced longer than frame.objects",
      "\148\0\1\172event.ingest\221\255\255\255\255",
      "too_large",
      "frame.objects",
    },
    {
      "a map announced longer than frame.objects",
      "\148\0\1\172event.ingest\145\223\255\255\255\255",
      "too_large",
      "frame.objects",
    },
    {
      "a text announced longer than frame.bytes",
      "\148\0\1\172event.ingest\145\219\255\255\255\255",
      "too_large",
      "frame.bytes",
    },
    {
      "a bin announced longer than frame.bytes",
      "\148\0\1\172event.ingest\145\198\255\255\255\255",
      "too_large",
      "frame.bytes",
    },
    {
      "an ext announced longer than frame.bytes",
      "\148\0\1\172event.ingest\145\201\255\255\255\255\1",
      "too_large",
      "frame.bytes",
    },
    {
      "5 MB that are really sent",
      pack.encode { 0, 1, "event.ingest", { { userId = ("x"):rep(5000000) } } },
      "too_large",
      "frame.bytes",
    },
    {
      "70,000 values",
      pack.encode { 0, 1, "event.ingest", { pack.raw(pack.list_head(70000) .. ("\1"):rep(70000)) } },
      "too_large",
      "frame.objects",
    },
  }
  for _, case in ipairs(endings) do
    local what, bytes, code, detail = unpack(case)
    it("end the connection: " .. what, function()
      local client = daemon:connect()
      client:send_bytes(bytes)
      local said = client:wait_closed()
      assert.equal(1, #said)
      assert.equal(1, said[1][1])
      assert.equal(code, said[1][3].code, said[1][3].detail)
      assert.is_false(said[1][3].retryable)
      holds(said[1][3].detail, detail)
      assert.equal(1, daemon:metric("intentd_errors_total", ('code="%s"'):format(code)))
      holds(daemon:log(), "level=warn event=bad_message")
    end)
  end

  it("are kept in quarantine, with the reason", function()
    daemon:connect():send_bytes "GET /secret-path HTTP/1.1\r\n\r\n"
    honest:call("event.ingest", { type = "track", event = "no one did this" })
    local kept = harness.wait("the quarantine", function()
      local text = harness.read(daemon.data .. "/quarantine/events.mp") or ""
      return text:find("secret-path", 1, true) and text:find("no one did this", 1, true) and text
    end)
    holds(kept, "invalid_message", "neither", "invalid_event", "userId")
    assert.equal(2, daemon:metric "intentd_quarantined_total")
  end)

  it("of a kind that has an id get an answer to it, and the connection goes on", function()
    local client = daemon:connect()
    local cases = {
      { { 0, 5, 7, pack.list {} }, "method" },
      { { 0, 5, "", pack.list {} }, "method" },
      { { 0, 5, ("m"):rep(200), pack.list {} }, "method" },
      { { 0, 5, pack.bin "server.ping", pack.list {} }, "method" },
      { { 0, 5, "server.ping", "x" }, "parameters" },
      { { 0, 5, "server.ping", { a = 1 } }, "parameters" },
      { { 0, 5, "server.ping" }, "4 parts" },
      { { 0, 5, "server.ping", pack.list {}, 1 }, "4 parts" },
    }
    for _, case in ipairs(cases) do
      client:send_bytes(pack.encode(case[1]))
      local response = client:receive()
      assert.equal(5, response.id)
      assert.equal("invalid_message", response.error.code)
      holds(response.error.detail, case[2])
    end
    assert.equal("pong", client:must "server.ping")
    assert.equal(#cases, daemon:metric("intentd_errors_total", 'code="invalid_message"'))
  end)

  it("without an id that could be answered are counted, and the connection goes on", function()
    local client = daemon:connect()
    local cases = {
      { 0, "five", "server.ping", pack.list {} },
      { 0, -1, "server.ping", pack.list {} },
      { 0, 2 ^ 33, "server.ping", pack.list {} },
      { 1, 5, pack.null, "an answer" },
      { 3, 5, "server.ping", pack.list {} },
      { 2, "server.ping" },
      { 0 },
      { 2 },
    }
    for _, case in ipairs(cases) do
      client:send_bytes(pack.encode(case))
    end
    assert.equal("pong", client:must "server.ping")
    assert.equal(#cases, daemon:metric("intentd_errors_total", 'code="invalid_message"'))
  end)

  it("at random never end the daemon (SEED=" .. SEED .. ")", function()
    local random = harness.random(SEED)
    local request =
      wire.request(1, "event.ingest", event { userId = "stranger", properties = { a = { 1, 2.5, { b = "c" } } } })
    for round = 1, 300 do
      local bytes = {}
      if round % 2 == 0 then
        for i = 1, random(200) do
          bytes[i] = string.char(random(256) - 1)
        end
      else -- an honest request with a few bytes changed
        for i = 1, #request do
          bytes[i] = request:sub(i, i)
        end
        for _ = 1, random(4) do
          bytes[random(#request)] = string.char(random(256) - 1)
        end
      end
      local client = daemon:connect()
      client:send_bytes(table.concat(bytes))
      if round % 3 == 0 then
        client:finish_sending()
        client:wait_closed()
      end
      client:close()
    end
    assert.equal("pong", honest:must "server.ping")
  end)
end)

describe("a message that does not end", function()
  after_each(harness.finish)

  it("is given up after net.stall when it has ended and reads its answers no more", function()
    local daemon = harness.start { shards = 1, ["net.stall"] = "200ms", ["net.answer_bytes"] = "256m" }
    local honest, deaf = daemon:connect(), daemon:connect()
    honest:must("event.ingest", event())
    local bytes = {}
    for i = 1, 10000 do
      bytes[i] = wire.request(i, "lead.get", "u1") -- answers of some 20 MB: more than sockets buffer
    end
    deaf:send_bytes(table.concat(bytes), nil, true)
    deaf:finish_sending()
    harness.wait("the connection's end", function() return daemon:metric "intentd_connections_stalled_total" == 1 end)
    assert.is_truthy(honest:must("lead.get", "u1"))
  end)

  it("is given up after net.stall; others and the idle are left alone", function()
    local daemon = harness.start { shards = 1, ["net.stall"] = "100ms" }
    local idle, honest, staller = daemon:connect(), daemon:connect(), daemon:connect()
    idle:must "server.ping"
    local bytes = wire.request(1, "event.ingest", event())
    staller:send_bytes(bytes:sub(1, -2))
    local said = staller:wait_closed()
    assert.equal(1, #said)
    assert.equal("invalid_message", said[1][3].code)
    holds(said[1][3].detail, "net.stall", "100 ms")
    assert.equal(1, daemon:metric "intentd_connections_stalled_total")
    assert.equal("pong", honest:must "server.ping")
    assert.equal("pong", idle:must "server.ping")
    assert.is_nil((honest:call("lead.get", "u1")))
  end)

  it("is given up also when it trickles in", function()
    local daemon = harness.start { shards = 1, ["net.stall"] = "100ms" }
    local staller = daemon:connect()
    staller:send_bytes("\148\0\1\172event.ingest\145\219\0\0\255\255")
    harness.wait("the connection's end", function()
      local _, why = staller:send_bytes "x"
      return why == "closed"
    end)
    assert.equal(1, daemon:metric "intentd_connections_stalled_total")
  end)

  it("takes no memory for what it only announces", function()
    local daemon = harness.start { shards = 1 }
    local before = daemon:resident()
    for _ = 1, 200 do
      daemon:connect():send_bytes("\148\0\1\172event.ingest\145\198\0\63\0\0")
    end -- almost 4 MiB each
    daemon:connect():must "server.ping"
    assert.is_true(daemon:resident() - before < 120e6)
  end)
end)

describe("a sender who does not read its answers", function()
  after_each(harness.finish)

  it("is no longer read from; others are served, memory stays bounded, and no answer is lost", function()
    local daemon = harness.start { shards = 2 }
    local honest, flooder = daemon:connect(), daemon:connect()
    honest:must("event.ingest", event())
    local start = daemon:resident()
    -- Requests of one length, so that it is known how many have left; more of them than all sockets hold.
    local padding, requests = { x = ("x"):rep(3000) }, {}
    for i = 1, 20000 do
      requests[i] =
        wire.request(99999 + i, "event.ingest", event { userId = "flood", messageId = 99999 + i, properties = padding })
    end
    local one, bytes = #requests[1], table.concat(requests)
    assert.equal(20000 * one, #bytes)
    local sent, why = flooder:send_bytes(bytes, 1, true)
    assert.equal("timeout", why)
    for _ = 1, 20 do
      assert.equal("pong", honest:must "server.ping")
      assert.is_table(honest:must("event.ingest", event { userId = "u2" }))
    end
    assert.is_true(daemon:resident() - start < 100e6, "memory grew by " .. daemon:resident() - start)
    assert.is_true(daemon:metric "intentd_reads_paused_total" > 0)
    -- Now it listens, and sends what is left of the request at hand.
    local count = math.ceil(sent / one)
    assert.is_true(count < 20000)
    flooder:send_bytes(bytes:sub(sent + 1, count * one))
    local seen = {}
    for _ = 1, count do
      local response = flooder:receive()
      assert.is_nil(response.error)
      assert.is_nil(seen[response.id])
      seen[response.id] = true
    end
    assert.equal(count, honest:must("lead.get", "flood").lead.decisions)
  end)

  it("may go away at any moment", function()
    local daemon = harness.start { shards = 2 }
    local honest = daemon:connect()
    honest:must("event.ingest", event())
    for round = 1, 20 do
      local flooder = daemon:connect()
      local requests = {}
      for i = 1, 500 do
        requests[i] = wire.request(i, round % 2 == 0 and "decision.explain" or "lead.get", "u1")
      end
      flooder:send_bytes(table.concat(requests), 0.2, true)
      flooder.sock:setoption("linger", { on = true, timeout = 0 }) -- a reset, not an end
      flooder:close()
    end
    assert.equal("pong", honest:must "server.ping")
    harness.wait(
      "the connections to be gone",
      function()
        return daemon:metric "intentd_connections_opened_total" - daemon:metric "intentd_connections_closed_total" == 1
      end
    )
  end)

  it("is no reason to refuse an orderly end", function()
    local daemon = harness.start { shards = 2 }
    local flooder = daemon:connect()
    flooder:must("event.ingest", event())
    local requests = {}
    for i = 1, 20000 do
      requests[i] = wire.request(i, "lead.get", "u1")
    end
    flooder:send_bytes(table.concat(requests), 0.5, true)
    daemon:stop()
  end)
end)

describe("too many connections", function()
  after_each(harness.finish)

  it("are closed at once, counted, and leave the others", function()
    local daemon = harness.start { shards = 1, ["net.connections"] = 3 }
    local clients = { daemon:connect(), daemon:connect(), daemon:connect() }
    for _, client in ipairs(clients) do
      client:must "server.ping"
    end
    for _ = 1, 5 do
      assert.same({}, daemon:connect():wait_closed())
    end
    assert.equal(5, daemon:metric "intentd_connections_refused_total")
    for _, client in ipairs(clients) do
      client:must "server.ping"
    end
    clients[1]:close()
    harness.wait("room for another", function()
      local client = daemon:connect()
      local ok, answer = pcall(client.call, client, "server.ping")
      return ok and answer == "pong"
    end)
  end)
end)

describe("a broken policy", function()
  after_each(harness.finish)

  local faults = {
    {
      "a syntax error",
      function(p) harness.edit(p .. "/b2b_saas/policy.lua", 'policy "b2b_saas" {', 'policy "b2b_saas" [') end,
      "policies/b2b_saas/policy.lua:",
      "near",
    },
    {
      "a misspelt feature",
      function(p) harness.edit(p .. "/b2b_saas/policy.lua", "f.pricing_views_7d:", "f.pricing_view_7d:") end,
      "policies/b2b_saas/policy.lua:",
      "pricing_view_7d",
      "did you mean",
    },
    {
      "an endless loop",
      function(p)
        harness.edit(p .. "/b2b_saas/policy.lua", 'policy "b2b_saas" {', 'while true do end policy "b2b_saas" {')
      end,
      "policies/b2b_saas/policy.lua:",
      "stopped after",
    },
    {
      "endless recursion",
      function(p)
        harness.edit(
          p .. "/b2b_saas/policy.lua",
          'policy "b2b_saas" {',
          'local function again() return 1 + again() end again() policy "b2b_saas" {'
        )
      end,
      "policies/b2b_saas/policy.lua:",
      "stack overflow",
    },
    {
      "a name from outside of the sandbox",
      function(p) harness.edit(p .. "/b2b_saas/policy.lua", 'policy "b2b_saas" {', 'os.exit(0) policy "b2b" {') end,
      "policies/b2b_saas/policy.lua:",
      "unknown name os",
    },
    {
      "the operator ^",
      function(p) harness.edit(p .. "/b2b_saas/policy.lua", "utility = 5", "utility = 5 ^ 1") end,
      "policies/b2b_saas/policy.lua:",
      "^",
    },
    { "an empty file", function(p) harness.write(p .. "/b2b_saas/policy.lua", "") end, "policies/b2b_saas" },
    {
      "compiled Lua",
      function(p)
        harness.write(p .. "/b2b_saas/policy.lua", string.dump(function() end))
      end,
      "policies/b2b_saas/policy.lua",
    },
    {
      "a model cut short",
      function(p)
        local path = p .. "/models/b2b_fit/1/weights.json"
        harness.write(path, harness.read(path):sub(1, -20))
      end,
      "models/b2b_fit/1",
      "sha256",
    },
    {
      "a model's description cut short",
      function(p)
        local path = p .. "/models/b2b_fit/1/model.json"
        harness.write(path, harness.read(path):sub(1, 100))
      end,
      "models/b2b_fit/1/model.json",
    },
    {
      "a model that is not there",
      function(p) harness.edit(p .. "/b2b_saas/policy.lua", '"b2b_fit"', '"b2b_fits"') end,
      "b2b_fits",
    },
    { "a signal set that is not there", function(p) os.rename(p .. "/signals/b2b", p .. "/signals/b3b") end, "b2b" },
    { "data that is not there", function(p) os.remove(p .. "/b2b_saas/data/free_mail.csv") end, "free_mail" },
  }
  for _, fault in ipairs(faults) do
    local what, break_it = fault[1], fault[2]
    it("at the start: " .. what .. " is named, with its place, and the daemon does not come up", function()
      local policies = harness.policies()
      break_it(policies)
      local status, log = harness.start_fails { policies = policies, ["policy.build_instructions"] = 20000000 }
      assert.equal(78, status, log)
      holds(log:match "event=failed[^\n]*" or log, unpack(fault, 3))
    end)
  end

  it("at the start is replaced by the version that this data last ran", function()
    local policies = harness.policies()
    local daemon = harness.start { policies = policies }
    local client = daemon:connect()
    local version = client:must("event.ingest", event { messageId = "m1" }).policy.version
    daemon:stop()
    faults[1][2](policies)
    daemon:restart()
    daemon:expect_errors "policy_broken"
    daemon:expect_errors "policy_problem"
    client = daemon:connect()
    local status = client:must "policy.status"
    assert.equal(version, status.version)
    assert.equal("policy_invalid", status.error.code)
    holds(status.error.detail, "policies/b2b_saas/policy.lua:")
    local decision = client:must("event.ingest", event())
    assert.equal(version, decision.policy.version)
    assert.is_true(client:must("event.ingest", event { messageId = "m1" }).duplicate)
    assert.is_true(client:must("decision.explain", decision.decision_id).reproduced)
  end)

  it("that has another name than asked for is found out", function()
    local status, log = harness.start_fails { policy = "b2b_sas" }
    assert.equal(78, status)
    holds(log, "b2b_sas", "did you mean 'b2b_saas'")
  end)
end)

describe("a data directory", function()
  after_each(harness.finish)

  -- A directory with some life in it, not shut down in order.
  local function lived_in()
    local daemon = harness.start()
    local client = daemon:connect()
    for i = 1, 50 do
      client:must("event.ingest", event { userId = "u" .. i })
    end
    daemon:kill()
    return daemon
  end

  local function refuses(daemon, status, ...)
    local got, log = harness.start_fails { data = daemon.data }
    assert.equal(status, got, log)
    holds(log, ...)
  end

  it("that another daemon uses is left alone, and that daemon named", function()
    local daemon = harness.start()
    local client = daemon:connect()
    client:must("event.ingest", event())
    refuses(daemon, 75, "in use by another daemon", "pid " .. daemon.pid)
    assert.equal(1, client:must("lead.get", "u1").lead.decisions)
    assert.equal("pong", daemon:admin():must "server.ping") -- its socket was not taken away
  end)

  -- The names of all files and the sums of what is in them.
  local function sums(data)
    local pipe = io.popen(("cd '%s' && find . -type f -exec sha256sum {} + | sort -k 2"):format(data))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  local function u32(n) return string.char(n % 256, math.floor(n / 256) % 256, math.floor(n / 65536) % 256, math.floor(n / 16777216)) end

  local function crc32c(text)
    local crc = bit.bnot(0)
    for i = 1, #text do
      crc = bit.bxor(crc, text:byte(i))
      for _ = 1, 8 do
        crc = bit.bxor(bit.rshift(crc, 1), bit.band(crc, 1) == 1 and 0x82F63B78 or 0)
      end
    end
    return bit.bnot(crc) % 4294967296
  end

  local function first_file(data, folder, suffix)
    for name in lfs.dir(data .. "/" .. folder) do
      if name:sub(-#suffix) == suffix then return ("%s/%s/%s"):format(data, folder, name) end
    end
    error("no file of " .. folder)
  end

  -- Another number after the eight bytes that name a file.
  local function ahead(path, has_sum)
    local text = harness.read(path)
    local head = text:sub(1, 8) .. u32(9) .. text:sub(13, 28)
    harness.write(path, head .. (has_sum and u32(crc32c(head)) or text:sub(29, 32)) .. text:sub(33))
  end

  local NEWER, OLDER = "a newer intentd wrote it: upgrade this one", "an older intentd wrote it: use that one"
  local others = {
    ["format 3"] = { OLDER, function(data) harness.edit(data .. "/format", "intentd 5", "intentd 3") end },
    ["format 6"] = { NEWER, function(data) harness.edit(data .. "/format", "intentd 5", "intentd 6") end },
    journal = { NEWER, function(data) ahead(first_file(data, "journal", ".log")) end },
    vault = { NEWER, function(data) ahead(first_file(data, "vault", ".vault"), true) end },
    base = {
      NEWER,
      function(data)
        lfs.mkdir(data .. "/bases")
        harness.write(data .. "/bases/03-0000000000000009.base", "ITDBASE\n" .. u32(9) .. ("\0"):rep(500))
      end,
    },
    ["sealed segment"] = {
      NEWER,
      function(data) harness.write(data .. "/journal/0e-00000001.seg", ("\0"):rep(72) .. "ITDSEAL\n" .. u32(9) .. ("\0"):rep(108)) end,
    },
  }

  it("of another version, in part or as a whole, is refused by the daemon and the tools, and not changed", function()
    local daemon = lived_in()
    for what, other in pairs(others) do
      local data = harness.folder() .. "/data"
      assert.equal(0, os.execute(("cp -r '%s' '%s'"):format(daemon.data, data)))
      other[2](data)
      local before = sums(data)
      refuses({ data = data }, 70, "wrong_version", other[1], "Nothing was changed")
      for _, words in ipairs { "replay", "reshard --partitions 5" } do
        local out = harness.folder() .. "/out"
        local status = os.execute(("'%s/intent' %s --data '%s' >'%s' 2>&1"):format(harness.bin, words, data, out))
        assert.equal(4, status / 256, what .. ": " .. words)
        holds(harness.read(out), other[1])
      end
      assert.equal(before, sums(data), what)
    end
    daemon:restart()
    assert.equal(1, daemon:connect():must("lead.get", "u7").lead.decisions)
  end)

  it("with a damaged or missing description is refused, and not changed", function()
    local daemon = lived_in()
    local format = daemon.data .. "/format"
    local text = harness.read(format)
    harness.write(format, (text:gsub("partitions 16", "partitions 17")))
    refuses(daemon, 70, "corrupt", "format: damaged")
    harness.write(format, "something else\n")
    refuses(daemon, 70, "corrupt", "not a data directory of intentd")
    os.remove(format)
    refuses(daemon, 70, "corrupt", "there is a journal")
    harness.write(format, text)
    daemon:restart()
    assert.equal(1, daemon:connect():must("lead.get", "u7").lead.decisions)
  end)

  it("whose journal is damaged in the middle is refused, by name of the file", function()
    local daemon = lived_in()
    local damaged = 0
    for name in lfs.dir(daemon.data .. "/journal") do
      local path = daemon.data .. "/journal/" .. name
      local text = lfs.attributes(path, "mode") == "file" and harness.read(path)
      local at = text and text:find("Pricing Viewed", 1, true) -- within the first event of that shard
      if at then
        local file = io.open(path, "r+b")
        file:seek("set", at - 1)
        file:write "p"
        file:close()
        damaged = damaged + 1
      end
    end
    assert.is_true(damaged > 0, "no event was found in the journal")
    refuses(daemon, 70, "corrupt", "/journal/0", "offset")
  end)

  it("that is a file is refused", function()
    local path = harness.folder() .. "/file"
    harness.write(path, "x")
    local status, log = harness.start_fails { data = path }
    assert.is_true(status > 0)
    holds(log, path)
  end)

  it("with too long a path for its socket is refused by name of the option", function()
    local path = harness.folder() .. "/" .. ("d"):rep(100)
    local status, log = harness.start_fails { data = path }
    assert.equal(64, status)
    holds(log, "--data", "at most 107")
  end)

  it("keeps its partitions, whatever the option says now", function()
    local daemon = lived_in()
    daemon:restart { partitions = 4, shards = 2 }
    local client = daemon:connect()
    assert.equal(16, client:must("server.info").partitions)
    assert.equal(1, client:must("lead.get", "u7").lead.decisions)
  end)
end)

describe("a wrong option", function()
  after_each(harness.finish)

  local flags = {
    { { "--listn", "x" }, "no option", "listn", "did you mean", "listen" },
    { { "--nonsense=1" }, "no option", "nonsense", "--help" },
    { { "--shards" }, "--shards needs a value" },
    { { "shards" }, "shards", "no flag" },
    { { "--shards", "300" }, "option shards", "300", "a whole number from 0 to 256" },
    { { "--shards", "two" }, "option shards", "two", "a whole number" },
    { { "--shards", "-1" }, "option shards", "-1" },
    { { "--listen", "here" }, "option listen", "here", "HOST:PORT" },
    { { "--listen", "127.0.0.1:70000" }, "option listen", "70000", "HOST:PORT" },
    { { "--sync", "maybe" }, "option sync", "maybe", "always interval off" },
    { { "--clock=moon" }, "option clock", "moon", "wall event" },
    { { "--event.late", "3parsecs" }, "option event.late", "3parsecs", "30s" },
    { { "--event.late", "1ms" }, "option event.late", "1ms", "from 1s" },
    { { "--frame.bytes", "1" }, "option frame.bytes", "4096" },
    { { "--frame.bytes", "99999999999999999999" }, "option frame.bytes", "268435456" },
    { { "--policy.memory", "1q" }, "option policy.memory", "1q" },
    { { "--seed", "xyz" }, "option seed", "xyz", "64 hexadecimal digits" },
    { { "--write_key", "justakey" }, "option write_key", "justakey", "KEY=SOURCE" },
  }
  for _, case in ipairs(flags) do
    it("is named, with what is allowed: " .. table.concat(case[1], " "), function()
      local status, log = harness.start_fails { flags = case[1] }
      assert.equal(64, status, log)
      holds(log, "config_invalid", unpack(case, 2))
    end)
  end

  local files = {
    { 'return { listn = "127.0.0.1:0" }', "no option", "listn", "did you mean" },
    { 'return { event = { late = "soon" } }', "option event.late", "soon", "30s" },
    { 'return { event = { lat = "1d" } }', "no option", "event.lat" },
    { "return { shards = 1.5 }", "option shards", "1.5" },
    { "return { shards = { 1, 2 } }", "option shards" },
    { "return 7", "table" },
    { "return {", "expected" },
    { "return { listen = os.getenv 'HOME' }", "unknown name os" },
    { "while true do end", "stopped after" },
    { "return { write_keys = { 'x' } }", "write_keys" },
  }
  for _, case in ipairs(files) do
    it("of a file is named with the file: " .. case[1], function()
      local path = harness.folder() .. "/intentd.lua"
      harness.write(path, case[1])
      local status, log = harness.start_fails { flags = { "--config", path } }
      assert.equal(64, status, log)
      holds(log, "config_invalid", "intentd.lua", unpack(case, 2))
    end)
  end

  it("may be the file itself", function()
    local status, log = harness.start_fails { flags = { "--config", "/nowhere/intentd.lua" } }
    assert.is_true(status == 64 or status == 78, log)
    holds(log, "/nowhere/intentd.lua")
  end)

  it("is overruled by nothing: a file's options hold, and flags win over them", function()
    local folder = harness.folder()
    harness.write(folder .. "/intentd.lua", "return { shards = 3, clock = 'event', net = { batch = 2, stall = '9s' } }")
    local daemon = harness.start { shards = false, flags = { "--config", folder .. "/intentd.lua", "--clock", "wall" } }
    local client = daemon:connect()
    local info = client:must "server.info"
    assert.equal(3, info.shards)
    assert.equal("wall", info.clock)
    local _, err = client:call("event.batch", { event(), event(), event() })
    holds(err.detail, "1 to 2")
  end)

  it("is a port that somebody else has", function()
    local taken = assert(socket.bind("127.0.0.1", 0))
    local _, port = taken:getsockname()
    local status, log = harness.start_fails { listen = "127.0.0.1:" .. port }
    taken:close()
    assert.equal(75, status, log)
    holds(log, "can't listen on 127.0.0.1:" .. port, "in use")
  end)

  it("is not --help and --version", function()
    local status, text = harness.start_fails { flags = { "--help" } }
    assert.equal(0, status)
    holds(text, "usage: intentd", "--listen", "--policy.guard", "default always")
    local ok, version = harness.start_fails { flags = { "--version" } }
    assert.equal(0, ok)
    assert.is_truthy(version:match "^intentd %d+%.%d+")
  end)
end)
