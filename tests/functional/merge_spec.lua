--- identify and alias make two leads one: what was done before signing in counts for whoever signs in.
local harness = require "harness"
local http = require "http"
local json = require "dkjson"

local function event(keys) return harness.event(keys) end
local function on(device, keys)
  local e = event { userId = false, anonymousId = device }
  for key, value in pairs(keys or {}) do
    e[key] = value or nil
  end
  return e
end
local function identify(user, device, keys)
  local e = event { type = "identify", event = false, userId = user, anonymousId = device }
  for key, value in pairs(keys or {}) do
    e[key] = value or nil
  end
  return e
end
local function alias(user, previous)
  return event { type = "alias", event = false, userId = user, previousId = previous }
end

local function lead_of(client, who) return client:must("lead.get", who).lead end

--- Waits until `who` is part of the lead of `user`; returns that.
local function merged(client, who, user)
  return harness.wait(who .. " to be part of " .. user, function()
    local one, other = client:call("lead.get", who), client:call("lead.get", user)
    return one and other and one.lead.lead == other.lead.lead and client:must("lead.get", user)
  end)
end

local function decided(client, lead, cause)
  return harness.wait("a decision of a " .. cause, function()
    local decision = client:must("lead.get", lead).decision
    return decision.cause == cause and decision
  end)
end

local function identities(answer)
  local found = {}
  for _, identity in ipairs(answer.identities) do
    found[identity.kind .. " " .. identity.value] = true
  end
  return found
end

local function intent(...)
  local out = harness.folder() .. "/out"
  local status = os.execute(("'%s/intent' %s >%s 2>&1"):format(harness.bin, table.concat({ ... }, " "), out))
  return harness.read(out), status
end

local function replays(daemon)
  local text, status = intent("replay", "--json", "--data", daemon.data)
  assert.equal(0, status, text)
  assert.equal(0, tonumber(text:match '"different":(%d+)'), text)
  text, status = intent("journal", "verify", "--data", daemon.data)
  assert.equal(0, status, text)
  text, status = intent("feature", "verify", "--all", "--json", "--data", daemon.data)
  assert.equal(0, status, text)
  assert.equal(tonumber(text:match '"leads":(%d+)'), tonumber(text:match '"states":(%d+)'), text)
  assert.equal(0, tonumber(text:match '"unmet":(%d+)'), text)
  text, status = intent("feature", "export", "--at", "labels", "--label", "x", "--horizon", "1d", "--data", daemon.data)
  assert.equal(0, status, text)
end

for _, shards in ipairs { 1, 4 } do
  describe("identify, on " .. shards .. " shards", function()
    after_each(harness.finish)

    it("brings what an anonymous visitor did to whoever signs in", function()
      local daemon = harness.start { shards = shards }
      local client, subscriber = daemon:connect(), daemon:connect()
      subscriber:must "decision.subscribe"
      local before = {}
      for i = 1, 6 do
        before[i] = client:must("event.ingest", on("device-1", { messageId = "b" .. i }))
      end
      local known = client:must("event.ingest", identify("ann", "device-1", { messageId = "sign in" }))
      assert.not_equal(before[1].lead, known.lead)
      local got = merged(client, "device-1", "ann")
      assert.equal(known.lead, got.lead.lead)
      local decision = decided(client, "ann", "merge")
      assert.equal(known.lead .. "-2", decision.decision_id)
      assert.equal(6, lead_of(client, "ann").features.pricing_views_7d)
      assert.same({ ["userId ann"] = true, ["anonymousId device-1"] = true }, identities(got))

      -- The merge's decision is shown as any other.
      assert.same(decision, client:must("decision.get", decision.decision_id))
      local explained = client:must("decision.explain", decision.decision_id)
      assert.is_true(explained.reproduced)
      assert.equal("merge", explained.frame.kind)
      local page = intent("explain", decision.decision_id, "--data", daemon.data)
      assert.is_truthy(page:find "because of +a merge", page)
      local told = false
      for _ = 1, 8 do
        local _, params = subscriber:notification()
        told = told or params[1].decision_id == decision.decision_id
      end
      assert.is_true(told)

      -- What comes for the device is the known lead's, whichever way it comes.
      local after = client:must("event.ingest", on("device-1", { messageId = "after" }))
      assert.equal(known.lead, after.lead)
      assert.equal(7, lead_of(client, before[1].lead).features.pricing_views_7d)
      assert.equal(known.lead, client:must("event.validate", on "device-1").decision.lead)
      local batch = client:must("event.batch", { on("device-1"), event { userId = "ann" }, on("device-2") })
      assert.equal(known.lead, batch[1].lead)
      assert.equal(known.lead, batch[2].lead)
      assert.not_equal(known.lead, batch[3].lead)
      local web = http.connect(daemon.ports.http)
      web:send("POST", "/v1/track", { Authorization = "Basic c2VjcmV0Og==" },
        json.encode { anonymousId = "device-1", event = "Pricing Viewed", messageId = "by http" })
      assert.equal(200, web:receive("POST").status)
      web:close()
      assert.is_true(client:must("event.ingest", on("device-1", { messageId = "by http" })).duplicate)

      -- Duplicates of before and after get the first answer, and old decisions are there.
      for i = 1, 6 do
        local again = client:must("event.ingest", on("device-1", { messageId = "b" .. i }))
        assert.is_true(again.duplicate)
        assert.equal(before[i].decision_id, again.decision_id)
        assert.equal(before[i].hash, client:must("decision.get", before[i].decision_id).hash)
        assert.is_true(client:must("decision.explain", before[i].decision_id).reproduced)
      end
      assert.equal(after.decision_id, client:must("event.ingest", on("device-1", { messageId = "after" })).decision_id)
      local now = lead_of(client, "ann")
      for _, ending in ipairs { "kill", "stop" } do
        daemon[ending](daemon)
        daemon:restart { shards = ending == "kill" and 3 or shards }
        client = daemon:connect()
        assert.same(now.features, lead_of(client, "device-1").features)
        assert.equal(after.decision_id, client:must("event.ingest", on("device-1", { messageId = "after" })).decision_id)
        assert.equal(known.lead, client:must("event.ingest", on("device-1", { messageId = "m " .. ending })).lead)
        now = lead_of(client, "ann")
      end
      daemon:stop()
      replays(daemon)
      local shown = intent("journal", "show", "--limit", "10000", "--data", daemon.data)
      for _, what in ipairs { "merge.ask, ", ": sealed into " .. known.lead, "merge.hand, " } do
        assert.is_truthy(shown:find(what, 1, true), what .. " is not in\n" .. shown)
      end
      assert.is_nil(shown:find("device-1", 1, true))
    end)

    it("follows chains, and ends circles in nothing", function()
      local daemon = harness.start { shards = shards }
      local client = daemon:connect()
      client:must("event.ingest", on "a")
      client:must("event.ingest", event { userId = "b" })
      client:must("event.ingest", identify("b", "a"))
      merged(client, "a", "b")
      local c = client:must("event.ingest", alias("c", "b")).lead
      merged(client, "b", "c")
      assert.equal(c, lead_of(client, "a").lead)
      assert.equal(c, client:must("event.ingest", on "a").lead)
      assert.equal(3, lead_of(client, "a").features.pricing_views_7d)
      for _, around in ipairs { alias("b", "c"), alias("c", "c"), alias("a", "c"), identify("b", "a"), alias("b", "a") } do
        client:must("event.ingest", around)
      end
      -- "a" as a userId is somebody else's name: c is merged into it.
      local root = merged(client, "b", "c").lead.lead
      harness.wait("the end of it", function()
        root = lead_of(client, "c").lead
        return lead_of(client, "b").lead == root and client:must("event.ingest", on "a").lead == root
      end)
      daemon:stop()
      replays(daemon)
    end)

    it("leaves a shared device with whom it was first, and takes in several of one person's", function()
      local daemon = harness.start { shards = shards }
      local client = daemon:connect()
      for i = 1, 3 do
        client:must("event.ingest", on("phone", { messageId = i }))
        client:must("event.ingest", on("laptop", { messageId = i }))
      end
      local ann = client:must("event.ingest", identify("ann", "phone")).lead
      client:must("event.ingest", identify("ann", "laptop"))
      merged(client, "phone", "ann")
      merged(client, "laptop", "ann")
      assert.equal(2, daemon:metric "intentd_merges_total")
      assert.equal(6, lead_of(client, "ann").features.pricing_views_7d)
      local bob = client:must("event.ingest", identify("bob", "phone")).lead
      assert.not_equal(ann, bob)
      client:must("event.ingest", event { userId = "bob" })
      assert.equal(ann, client:must("event.ingest", on "phone").lead)
      assert.equal(1, daemon:metric "intentd_went_on_total")
      assert.equal(1, lead_of(client, "bob").features.pricing_views_7d)
      -- A device that was not seen before its owner is bound all the same.
      client:must("event.ingest", identify("bob", "tablet"))
      merged(client, "tablet", "bob")
      assert.equal(bob, client:must("event.ingest", on "tablet").lead)
      daemon:stop()
      replays(daemon)
    end)
  end)
end

describe("merging", function()
  after_each(harness.finish)

  it("goes on over a reload, with another policy", function()
    local policies = harness.policies()
    local daemon = harness.start { shards = 2, policies = policies }
    local client = daemon:connect()
    for i = 1, 40 do
      client:must("event.ingest", on("d" .. i))
    end
    local requests = {}
    for i = 1, 40 do
      requests[i] = { "event.ingest", identify("u" .. i % 5, "d" .. i) }
    end
    for round = 1, 2 do
      local path = policies .. "/b2b_saas/policy.lua"
      harness.write(path, harness.read(path) .. "\n-- " .. round .. "\n")
      daemon:hup()
      client:pipeline(requests)
    end
    for i = 1, 40 do
      merged(client, "d" .. i, "u" .. i % 5)
    end
    for i = 0, 4 do
      assert.equal(8, lead_of(client, "u" .. i).features.pricing_views_7d)
    end
    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    for i = 0, 4 do
      assert.equal(8, lead_of(client, "u" .. i).features.pricing_views_7d)
    end
    daemon:stop()
    replays(daemon)
  end)

  it("lets more events go on than may be under way at once", function()
    for _, shards in ipairs { 1, 2 } do
      local daemon = harness.start { shards = shards }
      local client = daemon:connect()
      for i = 1, 8 do
        client:must("event.ingest", identify("u" .. i, "d" .. i))
      end
      for i = 1, 8 do
        merged(client, "d" .. i, "u" .. i)
      end
      local requests = {}
      for round = 1, 18 do -- 18,000: of each shard's more than net.inflight
        for i = 1, 1000 do
          requests[i] = { "event.ingest", on("d" .. i % 8 + 1, { messageId = round * 1000 + i }) }
        end
        for _, answer in ipairs(client:pipeline(requests)) do
          assert.is_nil(answer.error)
        end
      end
      for i = 1, 8 do
        assert.equal(18 * 125, lead_of(client, "u" .. i).features.pricing_views_7d)
      end
    end
  end)

  it("is backed up and restored at any moment of it, and goes on there", function()
    local daemon = harness.start { shards = 3 }
    local client = daemon:connect()
    local requests = {}
    for i = 1, 120 do
      requests[i] = { "event.ingest", on("d" .. i) }
    end
    client:pipeline(requests)
    for round = 1, 3 do
      for i = 1, 120 do
        requests[i] = { "event.ingest", identify("u" .. i % 7, "d" .. i, { messageId = round .. "-" .. i }) }
        client:send(requests[i][1], requests[i][2])
      end
      local copy, back = harness.folder() .. "/copy", harness.folder() .. "/back"
      local text, status = intent("backup", copy, "--data", daemon.data)
      assert.equal(0, status, text)
      text, status = intent("restore", copy, "--to", back, "--no-later-forgets")
      assert.equal(0, status, text)
      local other = harness.start { data = back, shards = round }
      local there = other:connect()
      for _, answer in ipairs(there:pipeline(requests)) do
        assert.is_nil(answer.error)
      end
      for i = 1, 120 do
        merged(there, "d" .. i, "u" .. i % 7)
      end
      for i = 0, 6 do
        local is_more = i == 1 -- 120 is 17 sevens, and 1
        assert.equal(is_more and 18 or 17, lead_of(there, "u" .. i).features.pricing_views_7d)
      end
      other:stop()
      replays(other)
    end
  end)

  it("is forgotten whole, from whichever side", function()
    local daemon = harness.start { shards = 4 }
    local client, admin = daemon:connect(), daemon:admin()
    for _, who in ipairs { "ann", "phone-ann", "bob", "phone-bob" } do
      local user, device = who:match "(%a+)$", "phone-" .. who:match "(%a+)$"
      client:must("event.ingest", on(device, { messageId = who }))
      client:must("event.ingest", identify(user, device, { messageId = who }))
      merged(client, device, user)
    end
    for _, who in ipairs { "ann", "phone-bob" } do
      local user, device = who:match "(%a+)$", "phone-" .. who:match "(%a+)$"
      local answer = admin:must("lead.forget", who)
      assert.is_true(answer.erased >= 3 and answer.erased <= 5) -- key, identity, link; and the other key and identity, if no message was faster
      for _, gone in ipairs { user, device } do
        assert.equal("not_found", select(2, client:call("lead.get", gone)).code)
      end
      assert.equal("forgotten", select(2, client:call("event.ingest", on(device, { messageId = user }))).code)
      assert.is_number(client:must("event.ingest", on(device)).scores.combined)
    end
    for _, ending in ipairs { "kill", "stop" } do
      daemon[ending](daemon)
      daemon:restart()
    end
    daemon:stop()
    replays(daemon)
  end)
end)
