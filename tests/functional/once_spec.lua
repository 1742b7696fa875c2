--- Exactly once, whatever way an event comes again: over other connections and protocols, before its commit is synced,
--- after a kill, on other numbers of shards, from files, and when it was refused for its time.
local harness = require "harness"
local http = require "http"
local pack = require "pack"

describe("An event that comes again", function()
  local daemon
  after_each(harness.finish)

  local function decisions_of(who)
    local lead = daemon:connect():call("lead.get", who)
    return lead and lead.lead.decisions or 0
  end

  local function post(event)
    local map = ('{"type":"track","event":"%s","userId":"%s","messageId":"%s"}'):format(
      event.event,
      event.userId,
      event.messageId
    )
    return http.request(daemon.ports.http, "POST", "/v1/track", map, { ["content-type"] = "application/json" })
  end

  it("is one decision over all protocols at once, before and after its commit", function()
    daemon = harness.start { shards = 2 }
    local clients = {}
    for i = 1, 4 do
      clients[i] = daemon:connect()
    end
    local forward = daemon:connect()
    for n = 1, 30 do
      local event = harness.event { userId = "u" .. n, messageId = "chunk-" .. n .. "-0" }
      -- All of it is under way before the first answer is read.
      local ids = {}
      for i, client in ipairs(clients) do
        ids[i] = i % 2 == 0 and client:send("event.batch", pack.list { event, event }) or client:send("event.ingest", event)
      end
      local entry = harness.event { userId = "u" .. n }
      forward:send_bytes(
        pack.encode(pack.list { "t", pack.list { pack.list { 1767601800, entry } }, { chunk = "chunk-" .. n } })
      )
      assert.equal(200, post(event).status)
      assert.same({ ack = "chunk-" .. n }, (forward:receive_value()))
      local firsts, id = 0, nil
      for i, client in ipairs(clients) do
        local response = client:answer(ids[i])
        assert.is_nil(response.error)
        for _, decision in ipairs(i % 2 == 0 and response.result or { response.result }) do
          id = id or decision.decision_id
          assert.equal(id, decision.decision_id)
          if not decision.duplicate then firsts = firsts + 1 end
        end
      end
      assert.is_true(firsts <= 1) -- none, when HTTP's or Forward's was the first
      assert.equal(1, decisions_of("u" .. n))
    end
    assert.equal(30, daemon:metric "intentd_events_total")
  end)

  it("is found after kills and stops, on other numbers of shards, from files", function()
    local flags = { "--dedupe.recent", "1s", "--dedupe.entries", "1024", "--checkpoint.interval", "200ms" }
    daemon = harness.start { shards = 2, flags = flags }
    local function all(from, to)
      local requests, ids = {}, {}
      for n = from, to do
        requests[#requests + 1] = { "event.ingest", harness.event { userId = "u" .. n % 50, messageId = "m" .. n } }
      end
      for i, answer in ipairs(daemon:connect():pipeline(requests)) do
        assert.is_nil(answer.error)
        ids[i] = answer.result
      end
      return ids
    end
    local first = all(1, 1500)
    for round, shards in ipairs { 4, 1 } do
      harness.wait("files of messages", function() return daemon:metric "intentd_dedupe_files" > 0 end)
      if round == 1 then
        daemon:kill()
      else
        daemon:stop()
      end
      daemon:restart { shards = shards }
      for i, decision in ipairs(all(1, 1500)) do
        assert.equal(first[i].decision_id, decision.decision_id)
        assert.is_true(decision.duplicate)
      end
    end
    assert.is_true(daemon:metric "intentd_dedupe_file_hits_total" > 0)
    assert.equal(0, daemon:metric "intentd_events_total")
  end)

  it("gets the same refusal for its time, across a kill", function()
    daemon = harness.start {}
    local event = harness.event { messageId = "early", timestamp = 1000 * (os.time() + 86400 + 2) }
    local _, first = daemon:connect():call("event.ingest", event)
    assert.equal("time_out_of_bounds", first.code)
    daemon:kill()
    daemon:restart()
    harness.wait("the time that it speaks of is near", function() return os.time() + 86400 > event.timestamp / 1000 end)
    local _, again = daemon:connect():call("event.ingest", event)
    assert.same(first, again)
    event.messageId = "early too"
    assert.is_table(daemon:connect():must("event.ingest", event))
  end)
end)
