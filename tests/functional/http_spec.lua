--- HTTP on a running daemon: Segment's endpoints and what becomes of their events, write keys, bounds, metrics and
--- health. What needs shards that misbehave is in tests/unit/net/test_http.c; Segment's library is in clients_spec.lua.
local harness = require "harness"
local http = require "http"
local wire = require "wire"

local NIL = wire.NIL

local function assert_error(answer, status, code, detail)
  assert.equal(status, answer.status, answer.body)
  assert.equal(code, answer.json.code)
  assert.is_true(#answer.json.message > 0)
  assert.is_boolean(answer.json.retryable)
  local said = answer.json.detail
  assert.is_truthy(said:find(detail, 1, true), ('"%s" does not say "%s"'):format(said, detail))
end

describe("HTTP", function()
  local daemon, client

  local function start(options)
    daemon = harness.start(options)
    client = daemon:connect()
  end
  local function post(path, body, headers) return http.request(daemon.ports.http, "POST", path, body, headers) end
  local function ok(path, body, headers)
    local answer = post(path, body, headers)
    assert.equal(200, answer.status, answer.body)
    assert.same({ success = true }, answer.json)
    return answer
  end
  -- The event behind a lead's last decision, as it was taken.
  local function event_of(who) return client:must("decision.explain", who).event end
  local function decisions_of(who) return client:must("lead.get", who).lead.decisions end

  after_each(harness.finish)

  describe("Segment's endpoints", function()
    before_each(function() start() end)

    for _, kind in ipairs { "track", "identify", "page", "screen", "group", "alias" } do
      it("takes /v1/" .. kind, function()
        local message = { userId = "u", event = "Pricing Viewed", groupId = "g", previousId = "p", writeKey = "secret" }
        ok("/v1/" .. kind, message)
        -- An alias is followed by merges, which are decisions without an event.
        local event = client:must("decision.explain", client:must("lead.get", "u").lead.lead .. "-1").event
        assert.equal(kind, event.type)
        assert.is_nil(event.writeKey)
        assert.is_nil(event.context) -- no key, no source
      end)

      it("takes /v1/" .. kind:sub(1, 1) .. ", as the browser library says it", function()
        local message = { anonymousId = "b", event = "x", groupId = "g", previousId = "p" }
        ok("/v1/" .. kind:sub(1, 1), message, { ["Content-Type"] = "text/plain" })
        assert.equal(kind, event_of("b").type)
      end)
    end

    it("decides as MessagePack-RPC does", function()
      local event = { type = "track", event = "Pricing Viewed", channel = "web", messageId = "m1", userId = "same" }
      ok("/v1/track", event)
      local over_http = client:must("lead.get", "same").decision
      local again = client:must("event.ingest", event)
      assert.is_true(again.duplicate)
      assert.equal(over_http.hash, again.hash)
      assert.equal(over_http.decision_id, again.decision_id)
    end)

    it("takes a batch, whose keys hold for messages that lack them", function()
      ok("/v1/batch", {
        sentAt = "2026-01-02T03:04:05.678Z",
        context = { library = { name = "x" }, page = 1 },
        integrations = { All = true },
        batch = {
          { type = "track", event = "Pricing Viewed", userId = "b1" },
          { type = "identify", userId = "b2", context = { page = 2 }, integrations = { All = false }, sentAt = 7 },
        },
      })
      local first, second = event_of "b1", event_of "b2"
      assert.equal("2026-01-02T03:04:05.678Z", first.sentAt)
      assert.same({ library = { name = "x" }, page = 1 }, first.context)
      assert.same({ All = true }, first.integrations)
      assert.equal(7, second.sentAt)
      assert.same({ library = { name = "x" }, page = 2 }, second.context)
      assert.same({ All = false }, second.integrations)
    end)

    it("counts a messageId once, over whichever way it comes", function()
      local message = { type = "track", event = "Pricing Viewed", userId = "once", messageId = "m" }
      for _ = 1, 3 do ok("/v1/batch", { batch = { message, message } }) end
      assert.equal(1, decisions_of "once")
      assert.equal(5, daemon:metric "intentd_duplicates_total")
    end)

    it("corrects a client's clock by sentAt", function()
      local an_hour, now = 3600, os.time()
      local function text(t) return os.date("!%Y-%m-%dT%H:%M:%SZ", t) end
      local message = { type = "track", event = "Pricing Viewed", userId = "ahead" }
      message.originalTimestamp = text(now + an_hour - 60) -- the client's clock is an hour ahead
      ok("/v1/batch", { sentAt = text(now + an_hour), batch = { message } })
      assert.equal(1, decisions_of "ahead")
    end)

    it("says which messages of a batch were refused, and takes the others", function()
      local answer = post("/v1/batch", { batch = {
        { type = "track", event = "Pricing Viewed", userId = "good" }, { type = "track", event = "Pricing Viewed" }, 7,
        { type = "page", userId = "good", timestamp = "2100-01-01" }, { type = "page", userId = "good" } } })
      assert.equal(200, answer.status)
      assert.is_true(answer.json.success)
      local refused = answer.json.refused
      assert.equal(3, #refused)
      assert.same({ 1, 2, 3 }, { refused[1].index, refused[2].index, refused[3].index })
      local codes = { refused[1].code, refused[2].code, refused[3].code }
      assert.same({ "invalid_event", "invalid_event", "time_out_of_bounds" }, codes)
      assert.is_truthy(refused[1].detail:find("userId", 1, true))
      assert.is_truthy(refused[3].detail:find("event.future", 1, true))
      assert.equal(2, decisions_of "good")
      assert.equal(3, daemon:metric "intentd_quarantined_total")
    end)

    it("answers 400 when nothing was taken", function()
      assert_error(post("/v1/track", { event = "x" }), 400, "invalid_event", "userId")
      assert_error(post("/v1/track", { event = "x", userId = ("u"):rep(513) }), 400, "too_large", "event.id_bytes")
      local long = { event = "x", userId = "u", properties = { x = ("x"):rep(70000) } }
      assert_error(post("/v1/track", long), 400, "too_large", "event.bytes")
      local answer = post("/v1/batch", { batch = { 1, 2 } })
      assert_error(answer, 400, "invalid_event", "map")
      assert.equal(2, #answer.json.refused)
      assert_error(post("/v1/track", "{\"userId\": \"u\","), 400, "invalid_message", "line 1")
      assert_error(post("/v1/track", "{\"a\":1,\"a\":2}"), 400, "invalid_message", "")
      assert_error(post("/v1/track", "[1]"), 400, "invalid_event", "object")
      assert_error(post("/v1/batch", { userId = "u" }), 400, "invalid_event", "batch")
      assert_error(post("/v1/track", ""), 400, "invalid_message", "")
      assert.equal(0, daemon:metric "intentd_events_total")
      harness.wait("the quarantine", function() return daemon:metric "intentd_quarantined_total" == 10 end)
    end)

    it("reads gzip, and nothing else that is encoded", function()
      local body = "{\"userId\": \"zip\", \"event\": \"Pricing Viewed\"}"
      ok("/v1/track", http.gzip(body), { ["Content-Encoding"] = "gzip" })
      ok("/v1/track", http.gzip(body), { ["Content-Encoding"] = "GZIP" })
      ok("/v1/track", body, { ["Content-Encoding"] = "identity" })
      assert.equal(3, decisions_of "zip")
      assert_error(post("/v1/track", body, { ["Content-Encoding"] = "gzip" }), 400, "invalid_message", "gzip")
      local part = http.gzip(body):sub(1, -3)
      assert_error(post("/v1/track", part, { ["Content-Encoding"] = "gzip" }), 400, "invalid_message", "cut off")
      assert_error(post("/v1/track", body, { ["Content-Encoding"] = "br" }), 415, "invalid_argument", "br")
    end)

    it("bounds bodies, zipped ones too", function()
      local bomb = http.gzip((" "):rep(64 * 1024 * 1024))
      local before = daemon:resident()
      for _ = 1, 20 do
        assert_error(post("/v1/track", bomb, { ["Content-Encoding"] = "gzip" }), 413, "too_large", "frame.bytes")
      end
      assert.is_true(daemon:resident() - before < 48 * 1024 * 1024 or harness.bin:find "asan" ~= nil)
      assert_error(post("/v1/track", (" "):rep(5 * 1024 * 1024)), 413, "too_large", "4194304")
      assert_error(post("/v1/track", ("["):rep(1000)), 413, "too_large", "depth")
      local batch = {}
      for i = 1, 1001 do batch[i] = 1 end
      assert_error(post("/v1/batch", { batch = batch }), 413, "too_large", "net.batch")
    end)

    it("is open to browsers", function()
      local answer = http.request(daemon.ports.http, "OPTIONS", "/v1/t", nil,
        { Origin = "https://shop.example", ["Access-Control-Request-Method"] = "POST" })
      assert.equal(204, answer.status)
      assert.equal("*", answer.headers["access-control-allow-origin"])
      assert.is_truthy(answer.headers["access-control-allow-headers"]:find("Authorization", 1, true))
      assert.equal("*", ok("/v1/t", { anonymousId = "a", event = "x" }).headers["access-control-allow-origin"])
      assert.equal("*", post("/v1/t", "{").headers["access-control-allow-origin"])
    end)

    it("answers what is acknowledged only once it is durable", function()
      for i = 1, 20 do
        local who = "d" .. i
        ok("/v1/batch", { batch = { { type = "track", event = "x", userId = who }, { type = "page", userId = who } } })
      end
      daemon:kill()
      daemon:restart()
      client = daemon:connect()
      for i = 1, 20 do assert.equal(2, decisions_of("d" .. i)) end
    end)
  end)

  describe("write keys", function()
    before_each(function() start { flags = { "--write_key", "abc=web", "--write_key", "def=app" } } end)
    local event = { userId = "k", event = "Pricing Viewed" }

    it("name the source of an event", function()
      ok("/v1/track", event, http.basic "abc")
      assert.same({ source = "web" }, event_of("k").context)
      ok("/v1/track", { userId = "k", event = "x", writeKey = "def", context = { a = 1 } })
      assert.same({ a = 1, source = "app" }, event_of("k").context)
      ok("/v1/batch", { writeKey = "abc", batch = { { type = "page", userId = "k", context = { source = "own" } } } })
      assert.same({ source = "own" }, event_of("k").context)
    end)

    it("are asked for", function()
      local answers = {
        post("/v1/track", event),
        post("/v1/track", event, http.basic "abd"),
        post("/v1/track", event, http.basic "ab"),
        post("/v1/track", event, { Authorization = "Bearer abc" }),
        post("/v1/track", { userId = "k", event = "x", writeKey = "" }),
        post("/v1/batch", { batch = { event }, writeKey = "nope" }),
      }
      for _, answer in ipairs(answers) do
        assert_error(answer, 401, "unauthorized", "")
        assert.is_truthy(answer.headers["www-authenticate"])
        assert.is_nil(answer.body:find("nope", 1, true))
      end
      local _, err = client:call("lead.get", "k")
      assert.equal("not_found", err.code)
      assert.equal(0, daemon:metric "intentd_quarantined_total")
    end)

    it("are not asked for where nothing can be changed", function()
      for _, path in ipairs { "/healthz", "/readyz", "/metrics" } do
        assert.equal(200, http.request(daemon.ports.http, "GET", path).status)
      end
    end)
  end)

  describe("pages", function()
    before_each(function() start() end)
    local function ask(method, path) return http.request(daemon.ports.http, method, path) end

    it("say how it is", function()
      assert.equal("ok\n", ask("GET", "/healthz").body)
      assert.equal("ready\n", ask("GET", "/readyz").body)
      assert.equal("", ask("HEAD", "/readyz").body)
      assert.equal(200, ask("HEAD", "/metrics").status)
    end)

    it("are not there, or not for that method", function()
      assert_error(ask("GET", "/"), 404, "not_found", "/metrics")
      assert_error(ask("GET", "/v1/nothing"), 404, "not_found", "/v1/nothing")
      assert_error(post("/v1/source/crm", "{}"), 404, "not_found", "no source 'crm'; there are")
      local answer = ask("GET", "/v1/track")
      assert_error(answer, 405, "unknown_method", "POST")
      assert.equal("POST, OPTIONS", answer.headers.allow)
      assert.equal("GET, HEAD", ask("DELETE", "/metrics").headers.allow)
    end)

    it("come one after the other on one connection", function()
      local connection = http.connect(daemon.ports.http)
      for i = 1, 100 do
        local answer = connection:ask("POST", "/v1/track", nil, ("{\"userId\":\"c%d\",\"event\":\"x\"}"):format(i % 7))
        assert.equal(200, answer.status)
      end
      connection:send("POST", "/v1/track", nil, "{\"userId\":\"c1\",\"event\":\"x\"}")
      connection:send("GET", "/readyz")
      assert.is_true(connection:receive().json.success)
      assert.equal("ready\n", connection:receive().body)
      connection:close()
    end)
  end)

  describe("metrics", function()
    -- Name, labels and value of each sample; fails on what Prometheus would not read.
    local function read(text)
      local samples, types, helps = {}, {}, {}
      assert.equal("\n", text:sub(-1))
      for line in text:gmatch "[^\n]+" do
        local name, kind = line:match "^# TYPE (%S+) (%a+)$"
        if name then
          assert.is_nil(types[name], "twice: " .. name)
          assert.is_truthy(helps[name], "no help before: " .. name)
          types[name] = kind
        elseif line:match "^# HELP " then
          helps[line:match "^# HELP (%S+) %S"] = true
        else
          local metric, labels, value = line:match "^([%a_:][%w_:]*)(%b{}) (%S+)$"
          if not metric then metric, value = line:match "^([%a_:][%w_:]*) (%S+)$" end
          assert.is_truthy(metric and tonumber((value:gsub("^%+Inf$", "inf"))), line)
          local family = types[metric] and metric or metric:gsub("_bucket$", ""):gsub("_sum$", ""):gsub("_count$", "")
          assert.is_truthy(types[family], "no type: " .. line)
          if types[family] == "counter" then assert.is_truthy(metric:find "_total$", line) end
          assert.is_nil(samples[metric .. (labels or "")], "twice: " .. line)
          samples[metric .. (labels or "")] = tonumber(value)
        end
      end
      return samples
    end

    it("are what Prometheus reads, and count what happened", function()
      start()
      for i = 1, 5 do client:must("event.ingest", harness.event { userId = "u" .. i }) end
      ok("/v1/track", { userId = "u1", event = "x" })
      post("/v1/track", "{")
      local answer = http.request(daemon.ports.http, "GET", "/metrics")
      assert.equal("text/plain; version=0.0.4; charset=utf-8", answer.headers["content-type"])
      local samples = read(answer.body)
      assert.equal(6, samples['intentd_events_total{shard="0"}'] + samples['intentd_events_total{shard="1"}'])
      assert.equal(5, samples['intentd_new_leads_total{shard="0"}'] + samples['intentd_new_leads_total{shard="1"}'])
      assert.equal(5, samples.intentd_rpc_requests_total)
      assert.equal(3, samples.intentd_http_requests_total)
      assert.equal(1, samples['intentd_errors_total{code="invalid_message"}'])
      assert.is_true(samples.intentd_hop_cross_seconds_count >= 1) -- what came over HTTP, at least
      assert.equal(6, samples.intentd_hop_decide_seconds_count)
      assert.equal(6, samples['intentd_hop_decide_seconds_bucket{le="+Inf"}'])
      assert.is_true(samples.intentd_hop_answer_seconds_count >= 6)
      assert.is_true(samples['intentd_journal_frames_total{shard="0"}'] > 0)
      assert.is_true(math.abs(samples.intentd_start_time_seconds - os.time()) < 3600)
      assert.equal(1, samples.intentd_ready)
      local status = client:must "policy.status"
      local info = 'intentd_release_info{policy="b2b_saas",version="%s",data="%s",signals="%s",mode="act"}'
      assert.equal(1, samples[info:format(status.version, status.data, status.signals)])
    end)

    it("show the recovery of the last start", function()
      start()
      for i = 1, 10 do client:must("event.ingest", harness.event { userId = "u" .. i }) end
      daemon:kill()
      daemon:restart()
      assert.is_true(daemon:metric "intentd_recovery_frames" + daemon:metric "intentd_recovery_skipped_frames" >= 10)
    end)

    it("show every bound that can be set", function()
      start { ["event.late"] = "90m", ["frame.depth"] = 17 }
      local samples = read(http.request(daemon.ports.http, "GET", "/metrics").body)
      assert.equal(5400, samples['intentd_limit{name="event.late",unit="seconds"}'])
      assert.equal(17, samples['intentd_limit{name="frame.depth",unit=""}'])
      local help = io.popen(harness.bin .. "/intentd --help")
      local count, option = 0, nil
      for line in help:lines() do
        option = line:match "^  %-%-(%S+)" or option
        local kind = line:match "^%s+(a duration)" or line:match "^%s+(bytes,)" or line:match "^%s+(a whole number)"
        if kind and option ~= "shards" and option ~= "partitions" then
          local unit = (kind == "a duration" or option:find "_us$") and "seconds" or kind == "bytes," and "bytes" or ""
          assert.is_number(samples[('intentd_limit{name="%s",unit="%s"}'):format(option, unit)], option)
          count = count + 1
        end
      end
      help:close()
      assert.is_true(count >= 25)
    end)
  end)

  it("outlives whatever bytes come", function()
    start()
    local seed = tonumber(os.getenv "SEED") or os.time()
    local random = harness.random(seed)
    local good = {
      "POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\n{\"userId\":\"z\",\"event\":\"x\"}",
      "POST /v1/batch HTTP/1.1\r\nTransfer-Encoding: chunked\r\nAuthorization: Basic YTo=\r\n\r\n"
        .. "5\r\n{\"bat\r\n7\r\nch\":[1]\r\n1\r\n}\r\n0\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET http://x/metrics?a=%zz#f HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "POST /v1/t HTTP/1.1\r\nExpect: 100-continue\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n"
        .. "\31\139\8\0\0\0\0\0\0\3\171\174\5\0\67\191\166\163\2\0",
    }
    for i = 1, 400 do
      local bytes = good[random(#good)]
      for _ = 1, random(6) - 1 do
        local at, how = random(#bytes), random(4)
        if how == 1 then bytes = bytes:sub(1, at - 1) .. string.char(random(256) - 1) .. bytes:sub(at + 1)
        elseif how == 2 then bytes = bytes:sub(1, at)
        elseif how == 3 then bytes = bytes .. good[random(#good)]
        else bytes = bytes:sub(1, at) .. ("\r\n9- :{"):sub(random(7), 7) .. bytes:sub(at + 1) end
      end
      local connection = http.connect(daemon.ports.http)
      connection.sock:send(bytes)
      if random(2) == 1 then connection.sock:shutdown "send" end
      connection.sock:settimeout(random(2) == 1 and 0.02 or 0)
      connection.sock:receive "*a"
      connection:close()
      if i % 50 == 0 then assert.equal("ok\n", (daemon:get "/healthz"), "SEED=" .. seed) end
    end
    ok("/v1/track", { userId = "after", event = "Pricing Viewed" })
    harness.wait("connections to be let go", function() -- but for the one that asks
      return daemon:metric "intentd_connections_opened_total" - daemon:metric "intentd_connections_closed_total" <= 3
    end)
  end)

  it("stops without losing what it acknowledged", function()
    start()
    local connections, acknowledged = {}, {}
    for i = 1, 8 do connections[i] = http.connect(daemon.ports.http) end
    for round = 1, 10 do
      for i, connection in ipairs(connections) do
        connection:send("POST", "/v1/track", nil, ("{\"userId\":\"s%d-%d\",\"event\":\"x\"}"):format(i, round))
      end
      if round == 10 then daemon:signal(15) end
      for i, connection in ipairs(connections) do
        local answer = connection:receive()
        if answer and answer.status == 200 then acknowledged[#acknowledged + 1] = ("s%d-%d"):format(i, round) end
        if answer and answer.status ~= 200 then assert.equal(503, answer.status) end
      end
    end
    for _, connection in ipairs(connections) do connection:close() end
    daemon:wait_exit(true)
    daemon:stop()
    assert.is_true(#acknowledged >= 72)
    daemon:restart()
    client = daemon:connect()
    for _, who in ipairs(acknowledged) do assert.is_not.equal(NIL, client:must("lead.get", who).decision) end
  end)
end)
