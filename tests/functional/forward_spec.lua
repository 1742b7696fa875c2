--- Fluentd Forward on a running daemon: the four modes, acknowledgement, compression, times, what is refused alone and
--- what ends the connection, and the listener with a shared key. The rules are those of the protocol's page and of
--- Fluentd's and Fluent Bit's senders.
local ffi = require "ffi"

local harness = require "harness"
local pack = require "pack"
local wire = require "wire"

ffi.cdef [[ unsigned char *SHA512(const unsigned char *data, size_t size, unsigned char *digest); ]]

local AT = 1767601800 -- 2026-01-05T08:30:00Z

local function record(keys)
  local out = { userId = "u1", channel = "web" }
  for key, value in pairs(keys or {}) do
    out[key] = value
  end
  return out
end

local function entries_of(list)
  local out = {}
  for i, entry in ipairs(list) do
    out[i] = pack.encode(entry)
  end
  return table.concat(out)
end

local function gzip(bytes)
  local path = harness.folder() .. "/entries"
  harness.write(path, bytes)
  assert(os.execute("gzip -n " .. path) == 0)
  return harness.read(path .. ".gz")
end

describe("Fluentd Forward", function()
  local daemon, client, rpc
  before_each(function()
    daemon = harness.start { shards = 2 }
    client, rpc = daemon:connect(), daemon:connect()
  end)
  after_each(harness.finish)

  local function send(...) client:send_bytes(pack.encode(pack.list { ... })) end
  local function assert_ack(chunk) assert.same({ ack = chunk }, (client:receive_value())) end
  -- The event of a lead's only, or last, decision.
  local function event_of(who)
    local why = rpc:must("decision.explain", who)
    assert.is_true(why.reproduced)
    return why.event, why
  end
  local function decisions_of(who)
    local lead = rpc:call("lead.get", who)
    return lead and lead.lead.decisions or 0
  end
  local function wait_decisions(who, count)
    harness.wait(
      function() return ("%d decisions of %s; there are %d"):format(count, who, decisions_of(who)) end,
      function() return decisions_of(who) == count end
    )
  end

  it("takes a Message", function()
    send("web.pricing", AT, record(), { chunk = "c1" })
    assert_ack "c1"
    assert.same(
      {
        type = "track",
        event = "web.pricing",
        userId = "u1",
        channel = "web",
        timestamp = AT * 1000,
        messageId = "c1-0",
      },
      event_of "u1"
    )
  end)

  it("takes Forward, a list of entries", function()
    send(
      "web.pricing",
      { { AT, record() }, { AT + 1, record { userId = "u2" } }, { AT + 2, record() } },
      { chunk = "c1", size = 3 }
    )
    assert_ack "c1"
    assert.equal(2, decisions_of "u1")
    assert.equal("c1-1", event_of("u2").messageId)
    assert.equal("c1-2", event_of("u1").messageId)
  end)

  it("takes PackedForward, as bin and as text", function()
    local packed = entries_of { { AT, record() }, { AT, record { userId = "u2" } } }
    send("t", pack.bin(packed), { chunk = "c1" })
    assert_ack "c1"
    send("t", packed, { chunk = "c2" })
    assert_ack "c2"
    assert.equal(2, decisions_of "u1")
    assert.equal(2, decisions_of "u2")
  end)

  it("takes CompressedPackedForward, of several members too", function()
    local packed = gzip(entries_of { { AT, record() } })
      .. gzip(entries_of { { AT, record() }, { AT, record { userId = "u2" } } })
    send("t", pack.bin(packed), { chunk = "c1", compressed = "gzip", size = 3 })
    assert_ack "c1"
    assert.equal(2, decisions_of "u1")
    assert.equal(1, decisions_of "u2")
    send("t", pack.bin(entries_of { { AT, record() } }), { chunk = "c2", compressed = "text" })
    assert_ack "c2"
    assert.equal(3, decisions_of "u1")
  end)

  it("acknowledges only when asked, in the form of the chunk", function()
    send("t", AT, record())
    send("t", AT, record(), pack.null)
    send("t", AT, record(), { size = 1, fluent_signal = 0 })
    wait_decisions("u1", 3)
    send("t", AT, record(), { chunk = "p8n9gmxTQVC8/nh2wlKKeQ==\n" })
    assert_ack "p8n9gmxTQVC8/nh2wlKKeQ==\n" -- as Ruby's Base64 makes it
    assert.equal("p8n9gmxTQVC8/nh2wlKKeQ==-0", event_of("u1").messageId)
    send("t", AT, record(), { chunk = pack.bin "\255\0\1" })
    assert_ack "\255\0\1"
    assert.equal("ff0001-0", event_of("u1").messageId)
  end)

  it("acknowledges an empty chunk's list too", function()
    send("t", pack.list {}, { chunk = "c1" })
    assert_ack "c1"
    send("t", pack.bin "", { chunk = "c2" })
    assert_ack "c2"
  end)

  it("takes a repeated chunk once, also on another connection and after a restart", function()
    local list = {}
    for i = 1, 50 do
      list[i] = { AT + i, record { userId = "u" .. i % 5 } }
    end
    send("t", list, { chunk = "c1" })
    assert_ack "c1"
    local before = select(2, rpc:must("lead.get", "u1"))
    send("t", list, { chunk = "c1" })
    assert_ack "c1"
    client = daemon:connect()
    send("t", list, { chunk = "c1" })
    assert_ack "c1"
    daemon:stop()
    daemon:restart()
    client, rpc = daemon:connect(), daemon:connect()
    send("t", list, { chunk = "c1" })
    assert_ack "c1"
    assert.equal(before, select(2, rpc:must("lead.get", "u1")))
    assert.equal(10, decisions_of "u1")
  end)

  it("reads every form of time", function()
    local chunks = 0
    local function stamp(time)
      chunks = chunks + 1
      send("t", { { time, record() } }, { chunk = "c" .. chunks })
      assert_ack("c" .. chunks)
      return event_of("u1").timestamp
    end
    assert.equal(AT * 1000, stamp(AT))
    assert.equal(AT * 1000 + 250, stamp(pack.event_time(AT, 250999999)))
    assert.equal(AT * 1000 + 500, stamp(AT + 0.5))
    assert.equal(AT * 1000, stamp(pack.list { pack.event_time(AT), { region = "eu" } })) -- Fluent Bit: [time, metadata]
    assert.is_nil(stamp(0))
    assert.is_nil(stamp(pack.null))
    assert.is_nil(stamp(pack.event_time(0)))
    send("t", pack.event_time(AT, 1000000), record(), { chunk = "single" })
    assert_ack "single"
    assert.equal(AT * 1000 + 1, event_of("u1").timestamp)
  end)

  it("leaves what the record says itself", function()
    send(
      "web.x",
      AT,
      record { messageId = "mine", event = "Docs Viewed", timestamp = "2026-02-01T00:00:00Z" },
      { chunk = "c1" }
    )
    assert_ack "c1"
    assert.same(
      { userId = "u1", channel = "web", messageId = "mine", event = "Docs Viewed", timestamp = "2026-02-01T00:00:00Z" },
      event_of "u1"
    )
    send("web.x", AT, record { type = "page", name = "Home" }, { chunk = "c2" })
    assert_ack "c2"
    assert.is_nil(event_of("u1").event)
  end)

  it("refuses a malformed entry alone, and keeps it", function()
    local list = {
      { AT, record() },
      { AT, "no map" },
      { "yesterday", record() },
      7,
      { AT, record { userId = pack.null } },
      { AT, record(), "three" },
      { AT, record { timestamp = "2001-01-01" } },
      { AT, record { userId = ("u"):rep(10240) } },
      { AT, record() },
    }
    local before = daemon:metric "intentd_quarantined_total"
    send("t", list, { chunk = "c1" })
    assert_ack "c1"
    assert.equal(2, decisions_of "u1")
    assert.equal("c1-8", event_of("u1").messageId)
    assert.equal(before + 7, daemon:metric "intentd_quarantined_total")
    assert.equal(4, daemon:metric("intentd_errors_total", 'code="invalid_message"'))
    assert.equal(1, daemon:metric("intentd_errors_total", 'code="invalid_event"'))
    assert.equal(1, daemon:metric("intentd_errors_total", 'code="time_out_of_bounds"'))
    assert.equal(1, daemon:metric("intentd_errors_total", 'code="too_large"'))
    send("t", AT, "no map", { chunk = "c2" })
    assert_ack "c2"
    assert.equal(2, decisions_of "u1")
  end)

  it("shares its port, and even a connection, with MessagePack-RPC", function()
    send("t", AT, record(), { chunk = "c1" })
    assert_ack "c1"
    assert.equal("pong", client:must "server.ping")
    send("t", AT, record(), { chunk = "c2" })
    assert_ack "c2"
  end)

  it("brings its decisions to subscribers", function()
    local subscriber = daemon:connect()
    subscriber:must "decision.subscribe"
    local list = {}
    for i = 1, 20 do
      list[i] = { AT, record { userId = "u" .. i } }
    end
    send("t", list, { chunk = "c1" })
    assert_ack "c1"
    for _ = 1, 20 do
      assert.equal("decision", (subscriber:notification()))
    end
  end)

  it("takes many chunks sent ahead of their acknowledgements", function()
    local out, wanted = {}, {}
    for c = 1, 100 do
      local list = {}
      for i = 1, 100 do
        list[i] = { AT + c, record { userId = "u" .. i } }
      end
      out[c] = pack.encode { "t", list, { chunk = "c" .. c } }
      wanted["c" .. c] = true
    end
    client:send_bytes(table.concat(out))
    for _ = 1, 100 do
      local ack = client:receive_value().ack
      assert.is_true(wanted[ack])
      wanted[ack] = nil
    end
    for _, who in ipairs { "u1", "u50", "u100" } do
      assert.equal(100, decisions_of(who))
    end
  end)

  describe("that is broken", function()
    local bomb = pack.encode { AT, record { properties = { x = ("0"):rep(60000) } } }
    local cases = {
      { "a tag alone", function() send "t" end, "invalid_message" },
      { "too many parts", function() send("t", AT, record(), {}, 1) end, "invalid_message" },
      { "a tag that is not UTF-8", function() send("\255", AT, record(), { chunk = "c" }) end, "invalid_message" },
      { "an option that is a list", function() send("t", AT, record(), { 1 }) end, "invalid_message" },
      { "a chunk that is a number", function() send("t", AT, record(), { chunk = 1 }) end, "invalid_message" },
      { "a chunk of 200 bytes", function() send("t", AT, record(), { chunk = ("c"):rep(200) }) end, "too_large" },
      {
        "an unknown compression",
        function() send("t", pack.bin "x", { compressed = "zstd", chunk = "c" }) end,
        "invalid_message",
      },
      {
        "no gzip",
        function() send("t", pack.bin "not gzip at all", { compressed = "gzip", chunk = "c" }) end,
        "invalid_message",
      },
      {
        "gzip cut short",
        function() send("t", pack.bin(gzip(bomb):sub(1, -9)), { compressed = "gzip", chunk = "c" }) end,
        "invalid_message",
      },
      {
        "a gzip bomb",
        function() send("t", pack.bin(gzip(bomb:rep(100))), { compressed = "gzip", chunk = "c" }) end,
        "too_large",
      },
      {
        "packed entries cut short",
        function() send("t", pack.bin(bomb:sub(1, -2)), { chunk = "c" }) end,
        "invalid_message",
      },
      {
        "too many entries",
        function() send("t", pack.bin(pack.encode({ AT, { userId = "u1" } }):rep(9000)), { chunk = "c" }) end,
        "too_large",
      },
    }
    for _, case in ipairs(cases) do
      local what, provoke, code = unpack(case)
      it("closes the connection on " .. what .. ", acknowledges nothing, changes nothing", function()
        rpc:must("event.ingest", harness.event())
        local before = select(2, rpc:must("lead.get", "u1"))
        provoke()
        assert.same({}, client:wait_closed())
        assert.equal(1, daemon:metric("intentd_errors_total", ('code="%s"'):format(code)))
        assert.equal(before, select(2, rpc:must("lead.get", "u1")))
        assert.is_truthy(daemon:log():find("event=bad_forward", 1, true))
      end)
    end
  end)

  describe("with a shared key", function()
    local KEY = "the key of both"
    local forward
    before_each(function()
      daemon:stop()
      daemon:restart { forward_key = KEY }
      forward, client, rpc = nil, daemon:connect(daemon.ports.forward), daemon:connect()
    end)

    local function sha512(...)
      local text = table.concat { ... }
      local digest = ffi.new "unsigned char[64]"
      ffi.load("libcrypto.so.3").SHA512(text, #text, digest)
      return (ffi.string(digest, 64):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
    end

    local function shake(key, digest)
      local helo = client:receive_value()
      assert.equal("HELO", helo[1])
      assert.equal("", helo[2].auth)
      assert.is_true(helo[2].keepalive)
      forward = { nonce = helo[2].nonce, salt = "0123456789abcdef" }
      assert.equal(16, #forward.nonce)
      send(
        "PING",
        "sender.example",
        forward.salt,
        digest or sha512(forward.salt, "sender.example", forward.nonce, key),
        "",
        ""
      )
      return client:receive_value()
    end

    it("lets in who knows it, and proves that the daemon knows it too", function()
      local pong = shake(KEY)
      assert.equal("PONG", pong[1])
      assert.is_true(pong[2])
      assert.equal("", pong[3])
      assert.equal(sha512(forward.salt, pong[4], forward.nonce, KEY), pong[5])
      send("t", AT, record(), { chunk = "c1" })
      assert_ack "c1"
      assert.equal(1, decisions_of "u1")
    end)

    it("refuses another key, with a reason, and closes", function()
      local pong = shake "another key"
      assert.same({ "PONG", false, "shared_key mismatch", "", "" }, pong)
      assert.same({}, client:wait_closed())
      assert.equal(1, daemon:metric("intentd_errors_total", 'code="unauthorized"'))
      assert.is_truthy(daemon:log():find("event=forward_refused", 1, true))
    end)

    it("refuses an answer to another connection's nonce", function()
      local other = daemon:connect(daemon.ports.forward)
      local nonce = other:receive_value()[2].nonce
      local pong = shake(KEY, sha512("0123456789abcdef", "sender.example", nonce, KEY))
      assert.is_false(pong[2])
      client:wait_closed()
    end)

    it("refuses digests of other lengths", function()
      for _, digest in ipairs { "", "00", ("0"):rep(127), ("0"):rep(129), ("0"):rep(5000) } do
        client = daemon:connect(daemon.ports.forward)
        assert.is_false(shake(KEY, digest)[2])
        client:wait_closed()
      end
    end)

    it("takes nothing before that", function()
      for _, bytes in ipairs {
        pack.encode { "t", AT, record(), { chunk = "c1" } },
        wire.request(1, "event.ingest", harness.event()),
        pack.encode { "PING", 1, 2, 3, 4, 5 },
        pack.encode { "PING" },
        pack.encode "PING",
      } do
        client = daemon:connect(daemon.ports.forward)
        client:send_bytes(bytes)
        assert.equal("HELO", client:receive_value()[1])
        for _, value in ipairs(client:wait_closed()) do
          assert.are_not.equal(true, value[2])
        end
      end
      assert.equal(0, decisions_of "u1")
    end)
  end)
end)
