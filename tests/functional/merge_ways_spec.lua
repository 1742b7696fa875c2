--- Merges and what goes on beside them: senders of each protocol, a policy that is stopped, backups, groups and accounts.
local harness = require "harness"
local http = require "http"
local json = require "dkjson"
local pack = require "pack"

local function on(device, keys)
  local e = harness.event { userId = false, anonymousId = device }
  for key, value in pairs(keys or {}) do
    e[key] = value or nil
  end
  return e
end
local function identify(user, device)
  return harness.event { type = "identify", event = false, userId = user, anonymousId = device }
end

local function lead_of(client, who) return client:must("lead.get", who).lead end
local function views_of(client, who) return lead_of(client, who).features.pricing_views_7d end

local function merged(client, who, user)
  harness.wait(who .. " to be part of " .. user, function()
    local one, other = client:call("lead.get", who), client:call("lead.get", user)
    return one and other and one.lead.lead == other.lead.lead
  end)
end

local function intent(...)
  local out = harness.folder() .. "/out"
  local status = os.execute(("'%s/intent' %s >%s 2>&1"):format(harness.bin, table.concat({ ... }, " "), out))
  local text = harness.read(out)
  assert.equal(0, status, text)
  return text
end

-- What the journal says decides the same again, and leads are what their events make them.
local function verify(daemon)
  local text = intent("replay", "--json", "--data", daemon.data)
  assert.equal("0", text:match '"different":(%d+)', text)
  intent("journal", "verify", "--data", daemon.data)
  text = intent("feature", "verify", "--all", "--json", "--data", daemon.data)
  assert.equal("0", text:match '"unmet":(%d+)', text)
  assert.equal("0", text:match '"different":(%d+)' or "0", text)
end

local function forward(client, chunk, list) client:send_bytes(pack.encode { "t", list, { chunk = chunk } }) end
local function record(device) return { 0, { anonymousId = device, event = "Pricing Viewed", channel = "web" } } end

describe("a merge", function()
  after_each(harness.finish)

  it("is acknowledged to senders over Forward when what went on is on disk, and not before", function()
    local daemon = harness.start { shards = 3 }
    local client = daemon:connect()
    for i = 1, 12 do
      client:must("event.ingest", identify("user" .. i % 3, "device" .. i))
    end
    for i = 1, 12 do
      merged(client, "device" .. i, "user" .. i % 3)
    end
    local sent = { [0] = 0, 0, 0 }
    for round = 1, 5 do
      local list = {}
      for i = 1, 60 do
        local device = (i * 7 + round) % 12 + 1
        list[i] = record("device" .. device)
        sent[device % 3] = sent[device % 3] + 1
      end
      local logger = daemon:connect()
      forward(logger, "chunk" .. round, list)
      assert.same({ ack = "chunk" .. round }, (logger:receive_value()))
      daemon:kill()
      daemon:restart { shards = round % 4 + 1 }
      client = daemon:connect()
      for user = 0, 2 do
        assert.equal(sent[user], views_of(client, "user" .. user))
      end
      logger = daemon:connect() -- again, as one does whose answer was lost
      forward(logger, "chunk" .. round, list)
      assert.same({ ack = "chunk" .. round }, (logger:receive_value()))
      for user = 0, 2 do
        assert.equal(sent[user], views_of(client, "user" .. user))
      end
    end
    daemon:stop()
    verify(daemon)
  end)

  it("does not acknowledge over Forward what could not be written where it went on to", function()
    local daemon = harness.start { shards = 2 }
    daemon:expect_errors "level=error"
    local client = daemon:connect()
    for i = 1, 6 do
      client:must("event.ingest", identify("ann", "device" .. i))
    end
    for i = 1, 6 do
      merged(client, "device" .. i, "ann")
    end
    daemon:stop()
    local bad = harness.folder() .. "/bad"
    daemon:restart { env = { INTENTD_DISK_FAULTS = "sync:journal/*:@" .. bad .. ":EIO" } }
    local logger, acks = daemon:connect(), 0
    for i = 1, 30 do
      forward(logger, "c" .. i, { record("device" .. i % 6 + 1) })
      if i == 10 then
        assert.is_truthy(logger:receive_value())
        acks = 1
        harness.write(bad, "")
      end
    end
    while true do
      local value = logger:receive_value(0.5)
      if not value then break end
      acks = acks + 1
    end
    assert.is_true(acks < 30)
    daemon:signal(9)
    daemon:wait_exit(true)
    daemon.is_over = true
    daemon:restart { env = {} }
    client = daemon:connect()
    assert.is_true((tonumber(views_of(client, "ann")) or 0) >= acks)
    logger = daemon:connect()
    for i = 1, 30 do
      forward(logger, "c" .. i, { record("device" .. i % 6 + 1) })
    end
    for _ = 1, 30 do
      assert.is_truthy(logger:receive_value())
    end
    assert.equal(30, views_of(client, "ann"))
  end)

  for _, shards in ipairs { 1, 3 } do
    it("does not make an event count twice that comes again under its old name, over whatever protocol, on " .. shards .. " shards", function()
      local daemon = harness.start { shards = shards }
      local client, web, logger = daemon:connect(), http.connect(daemon.ports.http), daemon:connect()
      local function by_rpc(id) return client:must("event.ingest", on("device", { messageId = id })) end
      local function by_batch(id) return client:must("event.batch", { on("device", { messageId = id }) })[1] end
      local function by_http(id)
        local body = json.encode { anonymousId = "device", event = "Pricing Viewed", channel = "web", messageId = id }
        web:send("POST", "/v1/track", {}, body)
        assert.equal(200, web:receive("POST").status)
      end
      local function by_forward(id)
        forward(logger, id, { record "device", record "device" })
        assert.same({ ack = id }, (logger:receive_value()))
      end
      local ways, views = { by_rpc, by_batch, by_http, by_forward }, 0
      local function send_all(name)
        for at, way in ipairs(ways) do
          way(name .. at)
          views = views + (way == by_forward and 2 or 1)
        end
      end
      local function send_again(name)
        for at, way in ipairs(ways) do
          way(name .. at)
        end
        assert.equal(views, views_of(client, "device"))
      end
      send_all "alone" -- decided where the device's own lead was
      client:must("event.ingest", identify("ann", "device"))
      merged(client, "device", "ann")
      send_again "alone"
      send_all "ann" -- went on once
      client:must("event.ingest", harness.event { type = "alias", event = false, userId = "bea", previousId = "ann" })
      merged(client, "ann", "bea")
      for _, name in ipairs { "alone", "ann" } do
        send_again(name)
      end
      send_all "bea" -- went on twice
      -- One protocol's are another's: the messageId says which it is.
      for _, id in ipairs { "alone3", "ann3", "bea3" } do
        assert.is_true(by_rpc(id).duplicate)
      end
      for _, id in ipairs { "alone1", "ann2", "bea1" } do
        by_http(id)
      end
      daemon:kill()
      daemon:restart { shards = 4 - shards }
      client, web, logger = daemon:connect(), http.connect(daemon.ports.http), daemon:connect()
      for _, name in ipairs { "alone", "ann", "bea" } do
        send_again(name)
      end
      web:close()
      daemon:stop()
      verify(daemon)
    end)
  end

  it("that was long ago is passed by, and one that may know a message is not", function()
    local shim, shift = harness.bin .. "/shift_clock.so", harness.folder() .. "/clock"
    if not harness.read(shim) then
      pending "the sanitizers do not let a clock be preloaded"
      return
    end
    local env = { LD_PRELOAD = shim, SHIFT_CLOCK = shift }
    local daemon = harness.start { shards = 3, ["dedupe.window"] = "1h", env = env }
    local client = daemon:connect()
    local links = 30
    client:must("event.ingest", on("device", { messageId = "first" }))
    client:must("event.ingest", identify("k1", "device"))
    merged(client, "device", "k1")
    local function link(k)
      client:must("event.ingest", harness.event { type = "alias", event = false, userId = "k" .. k, previousId = "k" .. k - 1 })
      merged(client, "k" .. k - 1, "k" .. k)
    end
    local function hops(what)
      local before = daemon:metric "intentd_went_on_total"
      local answer = what()
      return daemon:metric "intentd_went_on_total" - before, answer
    end
    local function send(id) return client:must("event.ingest", on("device", { messageId = id })) end
    for k = 2, links do
      link(k)
      if k == links / 2 then assert.equal(links / 2, (hops(function() return send "in the middle" end))) end
    end
    assert.equal(links, (hops(function() return send "at the end" end)))
    assert.equal(links, (hops(function() return send "again" end)))
    -- Most of the chain is older than the window, its last links are not.
    harness.write(shift, tostring(2 * 3600000))
    for k = links + 1, links + 3 do
      link(k)
    end
    local count, answer = hops(function() return send "passes" end)
    assert.equal(1 + 3, count) -- the device's own to the first behind it, from there past all the old ones, and the three
    assert.equal(client:must("lead.get", "k" .. links + 3).lead.lead, answer.lead)
    link(links + 4)
    assert.is_true(send("passes").duplicate) -- decided a merge ago, within the window
    harness.write(shift, tostring(4 * 3600000))
    assert.equal(2, (hops(function() return send "a" end))) -- the last one is learned
    assert.equal(1, (hops(function() return send "b" end)))
    assert.is_true(send("b").duplicate)
    assert.equal(1, (hops(function() return client:must("event.ingest", harness.event { userId = "k" .. links + 3 }) end)))
    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    assert.is_true(send("b").duplicate)
    assert.equal(8, views_of(client, "device"))
    daemon:stop()
    verify(daemon)
  end)

  it("is made all the same when the policy is stopped on it, with what that lead told its account", function()
    local policies = harness.policies()
    harness.edit(policies .. "/b2b_saas/policy.lua", 'belief.channel "web"', [[
local odd = signal.custom("odd", { reads = { f.pricing_views_7d }, why = "A hatch." }, function(view)
  while view.pricing_views_7d == 5 do end
  return 0
end)
belief.channel "web"]])
    harness.edit(policies .. "/b2b_saas/policy.lua", "f.docs_views_30d:at_least(5)",
      "any { f.docs_views_30d:at_least(5), odd:at_least(1) }")
    local daemon = harness.start { shards = 2, policies = policies, watch = "no", ["account.interval"] = "1ms" }
    local client = daemon:connect()
    local function group(who)
      local e = harness.event { type = "group", event = false, groupId = "acme", userId = false }
      for key, value in pairs(who) do
        e[key] = value
      end
      client:must("event.ingest", e)
    end
    group { userId = "ann" }
    group { anonymousId = "device" }
    local function people(count)
      harness.wait(count .. " people", function()
        local answer = client:call("account.get", "acme")
        return answer and #answer.account.people == count
      end)
    end
    people(2)
    for i = 1, 2 do
      client:must("event.ingest", harness.event { userId = "ann", messageId = "a" .. i })
    end
    for i = 1, 3 do
      client:must("event.ingest", on("device", { messageId = "d" .. i }))
    end
    client:must("event.ingest", identify("ann", "device")) -- two and three make five
    merged(client, "device", "ann")
    assert.equal(5, views_of(client, "ann"))
    people(1)
    assert.is_truthy(daemon:log():find("event=merge_stopped", 1, true))
    assert.equal(1, daemon:metric "intentd_merges_total")
    local ann = lead_of(client, "ann")
    for _, ending in ipairs { "kill", "stop" } do
      daemon[ending](daemon)
      daemon:restart { shards = ending == "kill" and 3 or 1 }
      client = daemon:connect()
      assert.same(ann.features, lead_of(client, "device").features)
      people(1)
    end
    local _, err = client:call("event.ingest", harness.event { userId = "ann", event = "Docs Viewed", messageId = "b" })
    assert.equal("policy_stopped", err.code) -- it still is five
    harness.edit(policies .. "/b2b_saas/policy.lua", "while view.pricing_views_7d == 5 do end", "")
    assert.is_true(daemon:admin():must("policy.reload").changed)
    client:must("event.ingest", on("device", { messageId = "c" }))
    assert.equal(6, views_of(client, "ann"))
    daemon:stop()
    verify(daemon)
  end)

  it("is backed up and restored in its midst with its accounts, which add up there", function()
    local daemon = harness.start { shards = 3, ["account.interval"] = "20ms" }
    local client = daemon:connect()
    local requests = {}
    for i = 1, 120 do
      local who = { type = "group", event = false, userId = false, anonymousId = "d" .. i, groupId = "firm" .. i % 3, traits = { plan = "p" } }
      requests[i] = { "event.ingest", harness.event(who) }
    end
    client:pipeline(requests)
    for i = 1, 120 do -- a user's devices are all of one firm
      local e = identify("u" .. i % 12, "d" .. i)
      e.messageId = "in" .. i
      requests[i] = { "event.ingest", e }
      client:send(requests[i][1], requests[i][2])
    end
    local copy, back = harness.folder() .. "/copy", harness.folder() .. "/back"
    intent("backup", copy, "--data", daemon.data)
    intent("restore", copy, "--to", back, "--no-later-forgets")
    local other = harness.start { data = back, shards = 2, ["account.interval"] = "1ms" }
    local there = other:connect()
    there:pipeline(requests)
    for i = 1, 120 do
      merged(there, "d" .. i, "u" .. i % 12)
    end
    for firm = 0, 2 do
      local account
      harness.wait("four people of firm " .. firm, function()
        account = there:must("account.get", "firm" .. firm).account
        return #account.people == 4 and not account.is_dirty
      end)
      local ids = {}
      for _, person in ipairs(account.people) do
        ids[person.lead] = true
      end
      for user = firm, 11, 3 do
        assert.is_true(ids[lead_of(there, "u" .. user).lead])
      end
    end
    other:stop()
    verify(other)
  end)
end)
