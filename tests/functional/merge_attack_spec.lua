--- Who wants merges and accounts to go wrong: circles from many sides at once, storms, a device that changes hands, a company of
--- everybody, names that are none. What comes is one lead for one person, and a daemon that is as large as before.
---
---   N=10000 busted … tests/functional/merge_attack_spec.lua     larger
local harness = require "harness"
local wire = require "wire"

local N = tonumber(os.getenv "N") or 500

local function named(keys) return harness.event(keys) end
local function on(device) return named { userId = false, anonymousId = device } end
local function identify(user, device) return named { type = "identify", event = false, userId = user, anonymousId = device } end
local function alias(user, previous) return named { type = "alias", event = false, userId = user, previousId = previous } end
local function group(user, name) return named { type = "group", event = false, userId = user, groupId = name } end

-- All of these at once, a connection each.
local function at_once(daemon, batches)
  local clients, counts = {}, {}
  for i, batch in ipairs(batches) do
    clients[i], counts[i] = daemon:connect(), #batch
    local out = {}
    for k, event in ipairs(batch) do
      out[k] = wire.request(k, "event.ingest", event)
    end
    clients[i]:send_bytes(table.concat(out))
  end
  for i, client in ipairs(clients) do
    for _ = 1, counts[i] do
      local answer = assert(client:receive())
      assert.is_nil(answer.error, answer.error and answer.error.detail)
    end
  end
  harness.wait("messages to be delivered", function() return daemon:metric "intentd_outbox_messages" == 0 end)
end

local function lead_of(client, who) return client:must("lead.get", who).lead end

local function dealt(count, into, make)
  local batches = {}
  for i = 1, into do
    batches[i] = {}
  end
  for i = 1, count do
    local batch = batches[i % into + 1]
    batch[#batch + 1] = make(i)
  end
  return batches
end

for _, shards in ipairs { 1, 3 } do
  describe("an attack on merges, on " .. shards .. " shards", function()
    after_each(harness.finish)
    local daemon, client
    before_each(function()
      daemon = harness.start { shards = shards, ["account.interval"] = "1ms" }
      client = daemon:connect()
    end)

    local function verify()
      daemon:stop()
      for _, command in ipairs { "replay --json", "journal verify", "feature verify --all --json" } do
        local out = harness.folder() .. "/out"
        local status = os.execute(("'%s/intent' %s --data '%s' >%s 2>&1"):format(harness.bin, command, daemon.data, out))
        local text = harness.read(out)
        assert.equal(0, status, text)
        assert.equal("0", text:match '"different":(%d+)' or "0", text)
      end
    end

    -- Circles are what more than one shard makes of messages, and one of none; the rest is the same on any number.
    local many = shards > 1 and it or function() end
    it("by circles from all sides at once ends in one lead each, and every event counts", function()
      local sides = { {}, {}, {} }
      for i = 1, N / 10 do
        local function name(k) return ("c%d-%d"):format(i, k % 3) end
        for k = 0, 2 do
          local side = sides[k + 1]
          side[#side + 1] = named { userId = name(k) }
          side[#side + 1] = alias(name(k), name(k + 1))
          side[#side + 1] = alias(name(k), name(k))
          side[#side + 1] = alias(name(k), name(k + 2))
          side[#side + 1] = alias(name(k), "c" .. (i - 1) .. "-never") -- somebody who never comes
        end
      end
      at_once(daemon, sides)
      for i = 1, N / 10 do
        local lead = lead_of(client, ("c%d-0"):format(i))
        assert.equal(3, lead.features.pricing_views_7d)
        assert.equal(lead.lead, lead_of(client, ("c%d-1"):format(i)).lead)
        assert.equal(lead.lead, lead_of(client, ("c%d-2"):format(i)).lead)
      end
      local merges = daemon:metric "intentd_merges_total"
      at_once(daemon, sides) -- everything once more changes nothing of who is who
      assert.equal(merges, daemon:metric "intentd_merges_total")
      verify()
    end)

    many("by a storm of devices that are one person's, and by one that changes hands, counts each event once", function()
      at_once(daemon, dealt(N, 3, function(i) return on("device" .. i) end))
      at_once(daemon, dealt(N, 3, function(i) return identify("ann", "device" .. i) end))
      assert.equal(N, lead_of(client, "ann").features.pricing_views_7d)
      local messages = daemon:metric "intentd_messages_applied_total"
      at_once(daemon, dealt(N, 3, function(i) return identify("ann", "device" .. i) end))
      assert.equal(messages, daemon:metric "intentd_messages_applied_total") -- which says nothing new
      at_once(daemon, { dealt(200, 1, function(i) return identify(i % 2 == 0 and "bob" or "eve", "phone") end)[1],
        dealt(200, 1, function() return on "phone" end)[1] })
      local owner = lead_of(client, "phone").lead
      local bob, eve = lead_of(client, "bob"), lead_of(client, "eve")
      assert.is_true(owner == bob.lead or owner == eve.lead)
      assert.equal(200, (tonumber(bob.features.pricing_views_7d) or 0) + (tonumber(eve.features.pricing_views_7d) or 0))
      assert.not_equal(bob.lead, eve.lead)
      verify()
    end)

    many("by an alias to somebody who was forgotten founds somebody new, and brings nothing back", function()
      client:must("event.ingest", named { userId = "gone" })
      daemon:admin():must("lead.forget", "gone")
      local ann = client:must("event.ingest", alias("ann", "gone")).lead
      harness.wait("the name to be ann's", function()
        local answer = client:call("lead.get", "gone")
        return answer and answer.lead.lead == ann
      end)
      assert.equal(0, lead_of(client, "ann").features.pricing_views_7d)
      at_once(daemon, { { alias("bea", "ann"), alias("ann", "bea") }, { alias("bea", "gone"), alias("gone", "ann") } })
      daemon:admin():must("lead.forget", "bea")
      for _, name in ipairs { "ann", "bea", "gone" } do
        harness.wait(name .. " to be forgotten", function() return not client:call("lead.get", name) end)
      end
      verify()
    end)

    many("by a company of everybody and by somebody of every company stays as large as one", function()
      at_once(daemon, dealt(N, 4, function(i) return group("u" .. i, "huge") end))
      local account = client:must("account.get", "huge").account
      assert.equal(256, #account.people)
      assert.equal(N - 256, account.evicted)
      local before = daemon:resident()
      for _ = 1, 3 do
        at_once(daemon, dealt(N, 4, function(i) return named { userId = "u" .. i } end))
      end
      assert.equal(256, #client:must("account.get", "huge").account.people)
      assert.is_true(daemon:resident() < before + 64 * 2 ^ 20)
      at_once(daemon, dealt(N, 1, function(i) return group("mover", "firm" .. i) end))
      for i = 1, N, 37 do
        local people = client:must("account.get", "firm" .. i).account.people
        assert.equal(i == N and 1 or 0, #people)
      end
      assert.equal(1, #client:must("account.get", "firm" .. N).account.people)
      verify()
    end)

    many("by names that are none is refused, or is a name", function()
      local names = { "", " ", "\0", "a\0b", ("x"):rep(512), ("x"):rep(513), "\255\254", "\195\40", "'; drop", "../../etc", "a\nb", "\240\159\146\169" }
      for i, name in ipairs(names) do
        for _, event in ipairs { alias("u" .. i, name), identify("u" .. i, name), group("u" .. i, name), alias(name, name) } do
          local answer, err = client:call("event.ingest", event)
          assert.is_true(answer ~= nil or not err.retryable, err and err.detail)
        end
      end
      for _, odd in ipairs { 1, 1.5, 2 ^ 53, true, { 1 }, { a = 1 } } do
        client:call("event.ingest", { type = "group", userId = "u", groupId = odd, traits = { plan = { 1 } } })
        client:call("event.ingest", { type = "alias", userId = "u", previousId = odd })
        client:call("event.ingest", { type = "identify", userId = "u", anonymousId = odd })
      end
      assert.is_number(client:must("event.ingest", named { userId = "somebody else" }).scores.combined)
      harness.wait("messages to be delivered", function() return daemon:metric "intentd_outbox_messages" == 0 end)
      verify()
    end)
  end)
end
