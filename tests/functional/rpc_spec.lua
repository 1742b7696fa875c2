--- MessagePack-RPC on a running daemon: each method, each error, the order of a batch, duplicates, notifications,
--- subscriptions, and a client that was written for something else.
local harness = require "harness"
local pack = require "pack"
local wire = require "wire"

local NIL = wire.NIL
local event = harness.event

-- The keys of a decision (docs, section 6) and the type of each; "?": may be nil.
local DECISION = {
  decision_id = "string",
  lead = "string",
  at = "number",
  cause = "string",
  scores = "table",
  probability = "number",
  stage = "string",
  stage_before = "string",
  band = "string",
  owner = "string?",
  action = "string",
  utility = "number",
  propensity = "number",
  explored = "boolean",
  held = "string?",
  suppressed = "table",
  eligible = "boolean",
  ineligible = "string?",
  reasons = "table",
  policy = "table",
  model = "table",
  fit_model = "table",
  hash = "string",
  duplicate = "boolean",
}

local function assert_decision(decision)
  for key, kind in pairs(DECISION) do
    local value = decision[key]
    local is_nil = kind:sub(-1) == "?" and value == NIL
    assert.is_true(is_nil or type(value) == kind:gsub("%?$", ""), key .. " is a " .. type(value))
  end
  for key in pairs(decision) do
    assert.is_truthy(DECISION[key], "unexpected key " .. tostring(key))
  end
  assert.equal(decision.lead, decision.decision_id:match "^(%x+)%-%d+$")
  assert.equal(32, #decision.lead)
  local sum = 0 -- the ledger adds up, exactly, to the combined score
  local counted = { fit = true, engagement = true, constant = true, adjust = true, cap = true, rounding = true }
  for _, row in ipairs(decision.reasons) do
    if counted[row.kind] then sum = sum + row.points end
  end
  assert.equal(decision.scores.combined, sum)
end

local function assert_error(err, code, detail, retryable)
  assert.is_table(err, "no error")
  assert.equal(code, err.code, err.detail)
  assert.equal(retryable or false, err.retryable)
  assert.is_true(#err.message > 0)
  assert.is_truthy(err.detail:find(detail, 1, true), ('"%s" does not say "%s"'):format(err.detail, detail))
end

-- What a lead is, without what asking itself changes: nothing.
local function lead_bytes(client, who) return select(2, client:must("lead.get", who)) end

describe("MessagePack-RPC", function()
  local daemon, client
  before_each(function()
    daemon = harness.start { shards = 2 }
    client = daemon:connect()
  end)
  after_each(harness.finish)

  describe("about the daemon", function()
    it("answers a ping", function() assert.equal("pong", client:must "server.ping") end)

    it("says what it is and how it was started", function()
      local info = client:must "server.info"
      assert.equal(daemon.pid, info.pid)
      assert.equal(2, info.shards)
      assert.equal(16, info.partitions)
      assert.equal("wall", info.clock)
      assert.equal("always", info.sync)
      assert.equal(daemon.ports.listen, info.listen_port)
      assert.equal(daemon.ports.http, info.http_port)
      assert.equal(NIL, info.forward_port)
      assert.equal(0, info.recovery.frames)
      assert.is_truthy(info.version:match "^%d+%.%d+")
    end)

    it("says which policy is in force", function()
      local status = client:must "policy.status"
      assert.equal("b2b_saas", status.policy)
      assert.equal("revops@example.com", status.owner)
      assert.equal("act", status.mode)
      assert.equal(64, #status.hash)
      assert.equal(1, status.number)
      assert.equal(0, status.reloads)
      assert.equal(NIL, status.error)
      local decision = client:must("event.ingest", event())
      assert.same({ name = "b2b_saas", version = status.version, data = status.data }, decision.policy)
    end)
  end)

  describe("an event", function()
    it("is decided, and its decision can be asked for again, byte for byte", function()
      local decision, raw = client:must("event.ingest", event())
      assert_decision(decision)
      assert.equal("event", decision.cause)
      assert.equal("visitor", decision.stage)
      assert.is_false(decision.duplicate)
      assert.equal(1, tonumber(decision.decision_id:match "%d+$"))
      local _, again = client:must("decision.get", decision.decision_id)
      assert.equal(raw, again)
    end)

    it("moves its lead, by the running number and the stage", function()
      client:must(
        "event.ingest",
        event { type = "identify", traits = { email = "maria@acme.example", region = "AMER" } }
      )
      local decision = client:must("event.ingest", event { event = "Demo Requested" })
      assert_decision(decision)
      assert.equal("2", decision.decision_id:match "%d+$")
      assert.equal("engaged", decision.stage_before)
      assert.equal("sql", decision.stage)
      assert.is_truthy(({ chen = true, dee = true })[decision.owner])
    end)

    it("is validated without leaving a trace", function()
      client:must("event.ingest", event())
      local before = lead_bytes(client, "u1")
      local answer = client:must("event.validate", event { event = "Docs Viewed" })
      assert.is_true(answer.valid)
      assert_decision(answer.decision)
      assert.equal("2", answer.decision.decision_id:match "%d+$")
      assert.equal(before, lead_bytes(client, "u1"))
      assert.is_true(client:must("event.validate", event { userId = "nobody" }).valid)
      local _, err = client:call("lead.get", "nobody")
      assert_error(err, "not_found", "nobody")
    end)

    it("is decided as its validation said", function()
      client:must("event.ingest", event())
      local same = event { event = "Docs Viewed", timestamp = "2026-01-05T08:30:00Z" }
      local foreseen = client:must("event.validate", same).decision
      local decided = client:must("event.ingest", same)
      for _, key in ipairs { "decision_id", "stage", "action", "scores", "reasons" } do
        assert.same(foreseen[key], decided[key])
      end
    end)

    it("may carry any key, and a large one is refused by name of the limit", function()
      client:must(
        "event.ingest",
        event { properties = { deep = { list = { 1, 2, { x = pack.bin "\0\255" } } }, big = ("x"):rep(60000) } }
      )
      local _, err = client:call("event.ingest", event { properties = { big = ("x"):rep(66000) } })
      assert_error(err, "too_large", "event.bytes")
    end)
  end)

  describe("a lead", function()
    it("is found by its userId and by its id", function()
      local decision, raw = client:must("event.ingest", event())
      local lead = client:must("lead.get", "u1")
      assert.equal(decision.lead, lead.lead.lead)
      assert.equal(1, lead.lead.decisions)
      assert.equal("visitor", lead.lead.stage)
      assert.equal(1, lead.lead.features.pricing_views_7d)
      assert.same({ { kind = "userId", value = "u1" } }, lead.identities)
      assert.equal(lead_bytes(client, "u1"), lead_bytes(client, decision.lead))
      assert.is_truthy(lead_bytes(client, "u1"):find(raw, 1, true), "the last decision is not in it")
    end)

    it("is found by its anonymousId", function()
      local decision = client:must("event.ingest", event { userId = false, anonymousId = "a1" })
      assert.equal(decision.lead, client:must("lead.get", "a1").lead.lead)
    end)

    it("is the user, where a user and a stranger have the same id", function()
      for i = 1, 12 do -- enough for both to lie on either shard
        local id = "same" .. i
        local stranger = client:must("event.ingest", event { userId = false, anonymousId = id })
        local user = client:must("event.ingest", event { userId = id })
        assert.are_not.equal(stranger.lead, user.lead)
        assert.equal(user.lead, client:must("lead.get", id).lead.lead)
      end
    end)

    it("never shows what is personal", function()
      client:must(
        "event.ingest",
        event { type = "identify", traits = { email = "maria@acme.example" }, context = { ip = "203.0.113.7" } }
      )
      local raw = lead_bytes(client, "u1")
      assert.is_nil(raw:find("maria", 1, true))
      assert.is_nil(raw:find("203.0.113.7", 1, true))
    end)
  end)

  describe("an explanation", function()
    it("has the features, the conditions, the event as sent, and shows that it can be reproduced", function()
      local sent = event { type = "identify", traits = { email = "maria@acme.example" }, messageId = "m1" }
      local decision, raw = client:must("event.ingest", sent)
      client:must("event.ingest", event { event = "Demo Requested" })
      local why, bytes = client:must("decision.explain", decision.decision_id)
      assert.is_truthy(bytes:find(raw, 1, true))
      assert.is_true(why.reproduced)
      assert.same(sent, why.event)
      assert.equal("event", why.frame.kind)
      assert.is_true(#why.conditions > 10)
      local known
      for _, feature in ipairs(why.features) do
        if feature.name == "is_known" then known = feature.value end
      end
      assert.equal(1, known)
    end)

    it("of a lead is that of its last decision", function()
      client:must("event.ingest", event())
      local last = client:must("event.ingest", event())
      local why = client:must("decision.explain", "u1")
      assert.equal(last.decision_id, why.decision.decision_id)
      assert.is_true(why.reproduced)
    end)

    it("reproduces every decision of a life", function()
      local requests = {}
      for i = 1, 60 do
        local names = { "Pricing Viewed", "Docs Viewed", "Feature Used", "Demo Requested", "Teammate Invited" }
        requests[i] =
          { "event.ingest", event { event = names[i % 5 + 1], channel = i % 2 == 0 and "product" or "web" } }
      end
      for _, answer in ipairs(client:pipeline(requests)) do
        assert.is_true(client:must("decision.explain", answer.result.decision_id).reproduced)
      end
    end)
  end)

  describe("a batch", function()
    it("is answered in its order, with decisions and errors in their places", function()
      local events, refused = {}, {}
      for i = 1, 200 do
        events[i] = event { userId = "lead" .. i % 37, messageId = "m" .. i }
        if i % 10 == 0 then
          events[i].userId = nil
          refused[i] = true
        end
      end
      local answers = client:must("event.batch", events)
      assert.equal(200, #answers)
      local leads, numbers = {}, {}
      for i, answer in ipairs(answers) do
        if refused[i] then
          assert_error(answer.error, "invalid_event", "userId")
        else
          assert_decision(answer)
          local who = "lead" .. i % 37
          assert.equal(leads[who] or answer.lead, answer.lead)
          leads[who] = answer.lead
          numbers[who] = (numbers[who] or 0) + 1
          assert.equal(numbers[who], tonumber(answer.decision_id:match "%d+$"))
        end
      end
    end)

    it("may hold an event twice", function()
      local twice = event { messageId = "m1" }
      local answers = client:must("event.batch", { twice, event(), twice })
      assert.is_false(answers[1].duplicate)
      assert.is_true(answers[3].duplicate)
      assert.equal(answers[1].decision_id, answers[3].decision_id)
      assert.equal(answers[1].hash, answers[3].hash)
      assert.equal(2, client:must("lead.get", "u1").lead.decisions)
    end)

    it("may be as long as net.batch says", function()
      local events = {}
      for i = 1, 1000 do
        events[i] = { event = "x", userId = "u" .. i }
      end
      assert.equal(1000, #client:must("event.batch", events))
      events[1001] = { event = "x", userId = "u1001" }
      local _, err = client:call("event.batch", events)
      assert_error(err, "too_large", "net.batch")
      local _, missing = client:call("lead.get", "u1001")
      assert_error(missing, "not_found", "u1001")
    end)
  end)

  describe("a duplicate", function()
    it("gets the first decision and changes nothing", function()
      local first = client:must("event.ingest", event { messageId = "m1" })
      client:must("event.ingest", event { messageId = "m2" })
      local before = lead_bytes(client, "u1")
      -- The id alone counts.
      local second = client:must("event.ingest", event { messageId = "m1", event = "Demo Requested" })
      assert.is_true(second.duplicate)
      second.duplicate = false
      assert.same(first, second)
      assert.equal(before, lead_bytes(client, "u1"))
    end)

    it("is one also with the same id as an integer, and after a restart", function()
      local first = client:must("event.ingest", event { messageId = 4711 })
      assert.is_true(client:must("event.ingest", event { messageId = "4711" }).duplicate)
      daemon:stop()
      daemon:restart()
      client = daemon:connect()
      local again = client:must("event.ingest", event { messageId = "4711" })
      assert.is_true(again.duplicate)
      assert.equal(first.hash, again.hash)
      assert.equal(1, client:must("lead.get", "u1").lead.decisions)
    end)

    it("is not one when another lead sent that id", function()
      client:must("event.ingest", event { messageId = "m1" })
      assert.is_false(client:must("event.ingest", event { messageId = "m1", userId = "u2" }).duplicate)
      assert.is_false(
        client:must("event.ingest", event { messageId = "m1", userId = false, anonymousId = "u1" }).duplicate
      )
    end)

    it("is decided once when two connections send it at the same time", function()
      local other = daemon:connect()
      local function requests()
        local list = {}
        for i = 1, 300 do
          list[i] = wire.request(i, "event.ingest", event { userId = "u" .. i % 20, messageId = "m" .. i })
        end
        return table.concat(list)
      end
      client:send_bytes(requests())
      other:send_bytes(requests())
      for i = 1, 300 do
        local one, two = client:answer(i).result, other:answer(i).result
        assert.equal(one.decision_id, two.decision_id)
        assert.equal(one.hash, two.hash)
        assert.are_not.equal(one.duplicate, two.duplicate)
      end
      assert.equal(15, client:must("lead.get", "u3").lead.decisions)
    end)

    it("is found again after a restart with another number of shards", function()
      local hashes = {}
      for i = 1, 40 do
        hashes[i] = client:must("event.ingest", event { userId = "u" .. i, messageId = "m" .. i }).hash
      end
      daemon:stop()
      daemon:restart { shards = 3 }
      client = daemon:connect()
      for i = 1, 40 do
        local again = client:must("event.ingest", event { userId = "u" .. i, messageId = "m" .. i })
        assert.is_true(again.duplicate)
        assert.equal(hashes[i], again.hash)
      end
    end)
  end)

  describe("a notification", function()
    it("takes effect and is never answered, not even when it fails", function()
      client:notify("event.ingest", event())
      client:notify("event.batch", { event { userId = "u2" }, event { userId = false } })
      client:notify("event.ingest", { type = "track" })
      client:notify("no.such.method")
      client:notify "server.ping"
      client:notify "server.info"
      client:notify "policy.status"
      client:notify("lead.get", "u1")
      client:notify("lead.get", "nobody")
      client:notify("event.validate", event())
      client:notify("decision.get", 1, 2, 3)
      local id = client:send "server.ping"
      local response = client:receive()
      assert.equal(id, response.id)
      assert.equal("pong", response.result)
      harness.wait("the batch's event", function() return (client:call("lead.get", "u2")) end)
      assert.equal(1, client:must("lead.get", "u1").lead.decisions)
      assert.same({}, client.notifications)
    end)
  end)

  describe("a subscription", function()
    local function ingest_all(how_many)
      local decisions = {}
      for i = 1, how_many do
        local decision = client:must("event.ingest", event { userId = "u" .. i })
        decisions[decision.decision_id] = decision
      end
      return decisions
    end

    it("brings every decision, as it was answered, from every shard", function()
      local subscriber = daemon:connect()
      assert.is_true(subscriber:must "decision.subscribe")
      local decisions = ingest_all(30)
      for _ = 1, 30 do
        local method, params = subscriber:notification()
        assert.equal("decision", method)
        assert.equal(1, #params)
        assert.same(decisions[params[1].decision_id], params[1])
        decisions[params[1].decision_id] = nil
      end
      assert.is_nil(next(decisions))
    end)

    it("brings no duplicates, refusals and dry runs", function()
      local subscriber = daemon:connect()
      subscriber:must("decision.subscribe", pack.null)
      client:must("event.ingest", event { messageId = "m1" })
      client:must("event.ingest", event { messageId = "m1" })
      client:must("event.validate", event())
      client:call("event.ingest", { type = "track" })
      local last = client:must("event.ingest", event())
      assert.equal("1", select(2, subscriber:notification())[1].decision_id:match "%d+$")
      assert.equal(last.decision_id, select(2, subscriber:notification())[1].decision_id)
    end)

    it("filters by lead, stage, action and owner, and by a change of stage", function()
      local function subscriber(filter)
        local one = daemon:connect()
        one:must("decision.subscribe", filter)
        return one
      end
      local someone = client:must("event.ingest", event { userId = "u1" }).lead
      local by_lead, by_stage = subscriber { lead = someone }, subscriber { stage = "sql" }
      local by_action, by_owner = subscriber { action = "call" }, subscriber { owner = "chen" }
      local by_change, by_both = subscriber { changed = true }, subscriber { lead = someone, stage = "engaged" }
      local expected = { lead = {}, stage = {}, action = {}, owner = {}, change = {}, both = {} }
      local function note(list, decision) list[#list + 1] = decision.decision_id end
      for round = 1, 3 do
        for i = 1, 12 do
          local sent = event { userId = "u" .. i, event = "Demo Requested" }
          if round == 1 then
            sent = event { userId = "u" .. i, type = "identify", traits = { email = "a@b.example", region = "amer" } }
          end
          local decision = client:must("event.ingest", sent)
          if decision.lead == someone then note(expected.lead, decision) end
          if decision.stage == "sql" then note(expected.stage, decision) end
          if decision.action == "call" then note(expected.action, decision) end
          if decision.owner == "chen" then note(expected.owner, decision) end
          if decision.stage ~= decision.stage_before then note(expected.change, decision) end
          if decision.lead == someone and decision.stage == "engaged" then note(expected.both, decision) end
        end
      end
      local function holds(what, one)
        local wanted, got = expected[what], {}
        assert.is_true(#wanted > 0, "no decision with " .. what)
        for i = 1, #wanted do
          got[i] = select(2, one:notification())[1].decision_id
        end
        table.sort(wanted)
        table.sort(got)
        assert.same(wanted, got)
        one:must "server.ping" -- and nothing but these came until now
        assert.same({}, one.notifications, what)
      end
      holds("lead", by_lead)
      holds("stage", by_stage)
      holds("action", by_action)
      holds("owner", by_owner)
      holds("change", by_change)
      holds("both", by_both)
    end)

    it("is one a connection, which may ask and send as before", function()
      client:must "decision.subscribe"
      local _, err = client:call "decision.subscribe"
      assert_error(err, "busy", "another", true)
      local decision = client:must("event.ingest", event())
      assert.same(decision, select(2, client:notification())[1])
      assert.equal("pong", client:must "server.ping")
    end)

    it("says which filters there are", function()
      for _, filter in ipairs { { stge = "sql" }, { lead = 1 }, { changed = "yes" }, { [1.5] = "x" } } do
        local _, err = client:call("decision.subscribe", filter)
        assert_error(err, "invalid_argument", "lead, stage, action, owner")
      end
      local _, err = client:call("decision.subscribe", "sql")
      assert_error(err, "invalid_argument", "map")
    end)

    it("does not hold up the daemon when nobody reads it, and is closed at its bound", function()
      daemon:stop()
      daemon:restart { ["net.subscriber_bytes"] = "64k" }
      client = daemon:connect()
      local subscriber = daemon:connect()
      subscriber:must "decision.subscribe"
      local dropped = false
      for _ = 1, 60 do -- the sockets' own buffers take megabytes first
        local requests = {}
        for i = 1, 200 do
          requests[i] = { "event.ingest", event { userId = "u" .. i } }
        end
        for _, answer in ipairs(client:pipeline(requests)) do
          assert.is_nil(answer.error)
        end
        dropped = daemon:metric "intentd_subscribers_dropped_total" == 1
        if dropped then break end
      end
      assert.is_true(dropped)
      subscriber:wait_closed()
      assert.equal(0, daemon:metric "intentd_subscribers")
    end)
  end)

  describe("a refusal", function()
    local now_ms = os.time() * 1000
    local cases = {
      { "no such method", "no.such.method", {}, "unknown_method", "event.ingest" },
      { "a method with a letter's case changed", "Server.Ping", {}, "unknown_method", "Server.Ping" },
      { "too few parameters", "event.ingest", {}, "invalid_argument", "event.ingest takes 1 parameter, not 0" },
      { "too many parameters", "server.ping", { 1 }, "invalid_argument", "server.ping takes 0 parameters, not 1" },
      { "administration on a public port", "policy.reload", {}, "unauthorized", "Unix socket" },
      { "shutdown on a public port", "server.shutdown", {}, "unauthorized", "Unix socket" },
      { "an event that is no map", "event.ingest", { "x" }, "invalid_event", "map" },
      { "an event that is nil", "event.ingest", { pack.null }, "invalid_event", "map" },
      { "an event of nobody", "event.ingest", { { event = "x" } }, "invalid_event", "userId" },
      { "an event of an empty user", "event.ingest", { { event = "x", userId = "" } }, "invalid_event", "userId" },
      { "a user that is a float", "event.ingest", { { event = "x", userId = 1.5 } }, "invalid_event", "userId" },
      { "a user that is a list", "event.ingest", { { event = "x", userId = { 1 } } }, "invalid_event", "userId" },
      { "a user that is bin", "event.ingest", { { event = "x", userId = pack.bin "u" } }, "invalid_event", "userId" },
      {
        "a user that is not UTF-8",
        "event.ingest",
        { { event = "x", userId = "\255\254" } },
        "invalid_event",
        "userId",
      },
      { "a track without a name", "event.ingest", { { type = "track", userId = "u" } }, "invalid_event", "event" },
      { "an unknown type", "event.ingest", { { type = "trakc", event = "x", userId = "u" } }, "invalid_event", "type" },
      {
        "properties that are a list",
        "event.ingest",
        { { event = "x", userId = "u", properties = pack.list {} } },
        "invalid_event",
        "properties",
      },
      {
        "traits that are text",
        "event.ingest",
        { { event = "x", userId = "u", traits = "x" } },
        "invalid_event",
        "traits",
      },
      {
        "a time that is none",
        "event.ingest",
        { { event = "x", userId = "u", timestamp = "yesterday" } },
        "invalid_event",
        "timestamp",
      },
      {
        "a time in seconds",
        "event.ingest",
        { { event = "x", userId = "u", timestamp = os.time() } },
        "time_out_of_bounds",
        "event.late",
      },
      {
        "a time of long ago",
        "event.ingest",
        { { event = "x", userId = "u", timestamp = "2001-01-01" } },
        "time_out_of_bounds",
        "event.late",
      },
      {
        "a time to come",
        "event.ingest",
        { { event = "x", userId = "u", timestamp = now_ms + 3 * 86400000 } },
        "time_out_of_bounds",
        "event.future",
      },
      {
        "a user of 10 KB",
        "event.ingest",
        { { event = "x", userId = ("u"):rep(10240) } },
        "too_large",
        "event.id_bytes",
      },
      {
        "a messageId of 10 KB",
        "event.ingest",
        { { event = "x", userId = "u", messageId = ("m"):rep(10240) } },
        "too_large",
        "event.id_bytes",
      },
      {
        "a name of 10 KB",
        "event.ingest",
        { { event = ("x"):rep(10240), userId = "u" } },
        "too_large",
        "event.name_bytes",
      },
      { "a dry run of what is no event", "event.validate", { { event = "x" } }, "invalid_event", "userId" },
      {
        "a dry run out of time",
        "event.validate",
        { { event = "x", userId = "u", timestamp = "2001-01-01" } },
        "time_out_of_bounds",
        "event.late",
      },
      { "an empty batch", "event.batch", { pack.list {} }, "invalid_argument", "1 to 1000" },
      { "a batch that is a map", "event.batch", { { a = 1 } }, "invalid_argument", "list" },
      { "an unknown lead", "lead.get", { "nobody" }, "not_found", "nobody" },
      { "an unknown lead's id", "lead.get", { ("0"):rep(32) }, "not_found", "" },
      { "a lead by a number", "lead.get", { 4711 }, "invalid_argument", "text" },
      { "a lead by empty text", "lead.get", { "" }, "invalid_argument", "text" },
      { "a lead by 10 KB", "lead.get", { ("x"):rep(10240) }, "invalid_argument", "text" },
      { "a decision that is no id", "decision.get", { "first" }, "invalid_argument", "decision_id" },
      { "a decision without its number", "decision.get", { ("0"):rep(32) }, "invalid_argument", "decision_id" },
      { "decision 0", "decision.get", { ("0"):rep(32) .. "-0" }, "invalid_argument", "decision_id" },
      { "an unknown lead's decision", "decision.get", { ("0"):rep(32) .. "-1" }, "not_found", "" },
      { "a lead of a partition that is not there", "decision.get", { ("f"):rep(32) .. "-1" }, "not_found", "" },
      { "an unknown decision's explanation", "decision.explain", { ("0"):rep(32) .. "-7" }, "not_found", "" },
      { "an unknown lead's explanation", "decision.explain", { "nobody" }, "not_found", "nobody" },
    }

    it("says what was wrong, counts it, and changes nothing", function()
      client:must("event.ingest", event { userId = "u" })
      local before = lead_bytes(client, "u")
      local counts, wrong = {}, {}
      for _, case in ipairs(cases) do
        local what, method, params, code, detail = unpack(case)
        local _, err = client:call(method, unpack(params))
        local ok, why = pcall(assert_error, err, code, detail)
        if not ok then wrong[#wrong + 1] = what .. ": " .. tostring(why) end
        if err then counts[err.code] = (counts[err.code] or 0) + 1 end
      end
      assert.equal("", table.concat(wrong, "\n"))
      for code, count in pairs(counts) do
        assert.equal(count, daemon:metric("intentd_errors_total", ('code="%s"'):format(code)), code)
      end
      assert.equal(before, lead_bytes(client, "u"))
      assert.is_true(daemon:metric "intentd_quarantined_total" > 10)
    end)

    it("never shows an id that is personal", function()
      local _, err = client:call("event.ingest", event { userId = ("secret"):rep(1000) })
      assert.is_nil(err.detail:find("secret", 1, true))
    end)

    it("names a decision of a known lead that is still to come", function()
      local decision = client:must("event.ingest", event())
      local _, err = client:call("decision.get", decision.lead .. "-2")
      assert_error(err, "not_found", "")
    end)
  end)

  describe("a connection", function()
    it("may send thousands of requests before it reads", function()
      local requests = {}
      for i = 1, 3000 do
        requests[i] = i % 3 == 0 and { "server.ping" } or { "event.ingest", event { userId = "u" .. i % 50 } }
      end
      for i, answer in ipairs(client:pipeline(requests)) do
        assert.is_nil(answer.error)
        if i % 3 == 0 then
          assert.equal("pong", answer.result)
        else
          assert.is_string(answer.result.decision_id)
        end
      end
    end)

    it("goes on when its answers, more than net.answer_bytes, were read at once", function()
      daemon:stop()
      daemon:restart { shards = 1, ["net.answer_bytes"] = 4096 } -- no other shard's answers wake it
      client = daemon:connect()
      local decision, raw = client:must("event.ingest", event())
      local requests = {}
      for i = 1, 3000 do
        requests[i] = { "decision.get", decision.decision_id }
      end
      for _, answer in ipairs(client:pipeline(requests)) do
        assert.equal(raw, answer.raw)
      end
      assert.is_true(daemon:metric "intentd_reads_paused_total" > 0)
    end)

    it("gets all its answers also when it has said that it sends no more", function()
      local out = {}
      for i = 1, 200 do
        out[i] = wire.request(i, "event.ingest", event { userId = "u" .. i })
      end
      client:send_bytes(table.concat(out))
      client:finish_sending()
      local seen = {}
      for _, response in ipairs(client:wait_closed()) do
        seen[response[2]] = response[4].decision_id
      end
      for i = 1, 200 do
        assert.is_string(seen[i], "no answer to " .. i)
      end
    end)

    it("may send byte by byte", function()
      local bytes = wire.request(7, "event.ingest", event())
      for i = 1, #bytes do
        client:send_bytes(bytes:sub(i, i))
      end
      assert.is_string(client:answer(7).result.decision_id)
    end)

    it("may use any id of a request", function()
      for _, id in ipairs { 0, 127, 128, 255, 256, 65535, 65536, 2 ^ 32 - 1 } do
        client:send_bytes(wire.request(id, "server.ping"))
        local response = client:receive()
        assert.equal(id, response.id)
        assert.equal("pong", response.result)
      end
    end)
  end)

  describe("on the Unix socket", function()
    it("serves everything, and administration", function()
      local admin = daemon:admin()
      assert_decision(admin:must("event.ingest", event()))
      local answer = admin:must "policy.reload"
      assert.is_false(answer.changed)
      assert.equal(1, answer.status.reloads)
      assert.equal(NIL, answer.status.error)
    end)

    it("ends the daemon well", function()
      assert.is_true(daemon:admin():must "server.shutdown")
      assert.equal(0, daemon:wait_exit(true))
      daemon:stop()
    end)
  end)
end)

describe("a MessagePack-RPC client of somebody else's", function()
  after_each(harness.finish)

  it("is served (pynvim)", function()
    local python = "/usr/bin/python3"
    if os.execute(python .. " -c 'import pynvim' 2>/dev/null") ~= 0 then
      pending "python3-pynvim is not installed"
      return
    end
    local daemon = harness.start()
    local pipe =
      io.popen(("%s %s/tests/functional/stock_client.py %d 2>&1"):format(python, harness.root, daemon.ports.listen))
    local lines = {}
    for line in pipe:lines() do
      lines[#lines + 1] = line
    end
    pipe:close()
    local function holds(i, ...)
      for _, text in ipairs { ... } do
        assert.is_truthy(
          (lines[i] or ""):find(text, 1, true),
          ("line %d lacks %s:\n%s"):format(i, text, table.concat(lines, "\n"))
        )
      end
    end
    assert.equal(9, #lines, table.concat(lines, "\n"))
    holds(1, '"pong"')
    holds(2, '"stage": "visitor"', '"duplicate": false')
    holds(3, '"duplicate": true')
    holds(4, '"duplicate": true', '"code": "invalid_event"')
    holds(5, '"decisions": 1', '"userId"')
    holds(6, '"code": "unknown_method"', '"retryable": false')
    holds(7, "true")
    holds(8, '-2"', '"duplicate": false')
    holds(9, '["notification", "decision"', '-2"')
  end)
end)
