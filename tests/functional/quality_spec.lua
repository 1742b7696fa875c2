--- Quality gates: schemas with versions and upcasts, rules for sources, and the way back out of the quarantine.
local harness = require "harness"
local json = require "dkjson"
local socket = require "socket"

local T0 = 1767600000000 -- 2026-01-05

local SCHEMAS = [[
return {
  { name = "seats", version = 1, on = "Seats Changed", fields = {
    { path = "properties.size", type = "integer", at_least = 1, required = true },
    { path = "properties.note", type = "text", personal = true },
  } },
  { name = "seats", version = 2, on = "Seats Changed", fields = {
    { path = "properties.seats", type = "integer", at_least = 1, at_most = 1000000, required = true },
    { path = "properties.plan", type = "text", is = { "free", "pro" }, required = true },
    { path = "properties.note", type = "text", personal = true },
  }, upcast = {
    { drop = "properties.seats" },
    { rename = "properties.size", to = "seats" },
    { map = "properties.seats", values = { { 0, 1 } } },
    { drop = "properties.plan" },
    { default = "properties.plan", value = "free" },
  } },
}
]]
local FEATURES = [[
return {
  { name = "seats_last", op = "last", on = "Seats Changed", of = "properties.seats" },
  { name = "seats_sum", op = "sum", on = "Seats Changed", of = "properties.seats" },
  { name = "plan_last", op = "last", text = true, on = "Seats Changed", of = "properties.plan" },
}
]]
-- Version 1 takes any size from 1 on, version 2 a million at most.
local FIXED = SCHEMAS:gsub("at_least = 1, required = true },\n    { path = \"properties.note\"",
  "at_least = 1, at_most = 1000000, required = true },\n    { path = \"properties.note\"", 1)

local function policies(changes)
  local all = {
    ["signals/b2b/schemas/seats.lua"] = FIXED,
    ["signals/b2b/features/seats.lua"] = FEATURES,
    ["signals/b2b/quality.lua"] = "return {}",
  }
  for path, text in pairs(changes or {}) do
    all[path] = text
  end
  return harness.policies(all)
end

local function seats(keys)
  local e = harness.event { event = "Seats Changed", properties = { seats = 5, plan = "pro" } }
  for key, value in pairs(keys or {}) do
    e[key] = value or nil
  end
  return e
end

local function run(daemon, ...)
  local words = { harness.bin .. "/intent" }
  for _, word in ipairs { ... } do
    words[#words + 1] = "'" .. word .. "'"
  end
  local out = daemon.folder .. "/intent.out"
  local status = os.execute(table.concat(words, " ") .. " >" .. out .. " 2>&1")
  return harness.read(out), status == true and 0 or math.floor((tonumber(status) or 0) / 256)
end

local function quarantine(daemon, ...) return run(daemon, "quarantine", select(1, ...), "--data", daemon.data,
  select(2, ...)) end

local function listed(daemon, ...)
  local rows = {}
  for line in quarantine(daemon, "list", "--json", ...):gmatch "[^\n]+" do
    rows[#rows + 1] = json.decode(line) or error(line)
  end
  return rows
end

local function features(client, who) return client:must("lead.get", who).lead.features end

describe("schemas", function()
  after_each(harness.finish)

  it("judge what claims them and what they are on, and say what is wrong without showing it", function()
    local daemon = harness.start { policies = policies() }
    local client = daemon:connect()
    client:must("event.ingest", seats())
    local cases = {
      { seats { properties = { seats = 0, plan = "pro" } }, "properties.seats is less than 1" },
      { seats { properties = { seats = "secret", plan = "pro" } }, "properties.seats is text, not an integer" },
      { seats { properties = { plan = "pro" } }, "properties.seats is required" },
      { seats { properties = { seats = 5, plan = "secret" } }, 'properties.plan is none of: "free", "pro"' },
      { seats { properties = false }, "is required" },
      { seats { schema = "seats@3" }, "no version of seats" },
      { seats { schema = "chairs@1" }, "no schema chairs@1" },
      { seats { schema = "seats" }, "name@version" },
      { seats { schema = "seats@1" }, "properties.size is required" },
      { harness.event { schema = "seats@2" }, "for other events" },
    }
    for _, case in ipairs(cases) do
      local _, err = client:call("event.ingest", case[1])
      assert.equal("schema_violation", err and err.code, case[2])
      assert.is_truthy(err.detail:find(case[2], 1, true), err.detail)
      assert.is_nil(err.detail:find("secret", 1, true))
      _, err = client:call("event.validate", case[1])
      assert.equal("schema_violation", err and err.code)
    end
    assert.equal(#cases, #listed(daemon))
    assert.equal(1, client:must("lead.get", "u1").lead.decisions)
  end)

  it("upcast an older version for features, and the journal keeps what came", function()
    local daemon = harness.start { policies = policies(), clock = "event" }
    local client = daemon:connect()
    local old = seats { schema = "seats@1", timestamp = T0, properties = { size = 7, plan = "junk", note = "canary-note" } }
    local answer = client:must("event.ingest", old)
    client:must("event.ingest", seats { timestamp = T0 + 1000 })
    local f = features(client, "u1")
    assert.equal(12, f.seats_sum)
    assert.equal("pro", f.plan_last)
    local explained = client:must("decision.explain", answer.decision_id)
    assert.is_true(explained.reproduced)
    assert.equal(7, explained.event.properties.size)
    assert.is_nil(explained.event.properties.seats)
    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    assert.same(f, features(client, "u1"))
    daemon:stop()
    local out, status = run(daemon, "replay", "--data", daemon.data)
    assert.equal(0, status, out)
    for name in require("lfs").dir(daemon.data .. "/journal") do
      if name:match "%.log$" then -- a schema's personal paths are the set's
        assert.is_nil(harness.read(daemon.data .. "/journal/" .. name):find("canary-note", 1, true))
      end
    end
  end)

  it("upcast what a late feature is filled in with", function()
    local folder = policies { ["signals/b2b/features/seats.lua"] = "return {}" }
    local daemon = harness.start { policies = folder, clock = "event", watch = "no" }
    local client = daemon:connect()
    client:must("event.ingest", seats { schema = "seats@1", timestamp = T0, properties = { size = 7, plan = "junk" } })
    client:must("event.ingest", seats { timestamp = T0 + 1000 })
    harness.write(folder .. "/signals/b2b/features/seats.lua", FEATURES)
    assert.is_true(daemon:admin():must("policy.reload").changed)
    client:must("event.ingest", seats { timestamp = T0 + 2000 })
    assert.equal(5, features(client, "u1").seats_sum)
    local out, status = run(daemon, "feature", "backfill", "--data", daemon.data)
    assert.equal(0, status, out)
    assert.equal(17, features(client, "u1").seats_sum)
  end)

  it("are refused by check when a version does not read the one before", function()
    local folder = policies { ["signals/b2b/schemas/seats.lua"] = SCHEMAS }
    local daemon = harness.new { policies = folder }
    local out, status = run(daemon, "check", folder .. "/b2b_saas")
    assert.equal(1, status)
    assert.is_truthy(out:find("schemas/seats.lua: error: schema seats@2: properties.seats is at_most 1000000", 1, true), out)
    harness.write(folder .. "/signals/b2b/schemas/seats.lua", FIXED)
    out, status = run(daemon, "check", folder .. "/b2b_saas")
    assert.equal(0, status, out)
    daemon:launch()
    daemon:ready()
    daemon:stop()
    -- A version that was in force does not change under its number.
    harness.edit(folder .. "/signals/b2b/schemas/seats.lua", '{ "free", "pro" }', '{ "free", "pro", "team" }')
    out, status = run(daemon, "check", folder .. "/b2b_saas")
    assert.equal(0, status, out)
    out, status = run(daemon, "check", folder .. "/b2b_saas", "--data", daemon.data)
    assert.equal(1, status, out)
    assert.is_truthy(out:find("not what was in force", 1, true), out)
  end)
end)

describe("rules for sources", function()
  after_each(harness.finish)

  it("refuse or flag, and a refusal for what others sent stands for its duplicates until it is replayed", function()
    local daemon = harness.start { policies = policies { ["signals/b2b/quality.lua"] = [[
      return {
        { name = "web_names", on = { { type = "track", channel = "web" } }, names = { "Pricing Viewed" } },
        { name = "crm_names", on = { { type = "track", channel = "crm" } }, names = { "crm.call_logged" }, refuse = true },
        { name = "mail_schema", on = { { channel = "email" } }, schema = true, refuse = true },
        { name = "app_rate", source = "app", at_most = 3, window = "7d", refuse = true },
      }]] } }
    local client = daemon:connect()
    client:must("event.ingest", harness.event { event = "Demo Requested" })
    local _, err = client:call("event.ingest", harness.event { event = "crm.odd", channel = "crm" })
    assert.equal("quality_refused", err.code)
    _, err = client:call("event.ingest", harness.event { channel = "email" })
    assert.equal("quality_refused", err.code)
    local function app(i)
      return harness.event { messageId = "m" .. i, userId = "app" .. i, context = { source = "app" }, timestamp = T0 + i }
    end
    for i = 1, 3 do
      client:must("event.ingest", app(i))
    end
    for _ = 1, 2 do -- and again its duplicate
      _, err = client:call("event.ingest", app(4))
      assert.equal("quality_refused", err.code)
    end
    assert.equal(1, daemon:metric("intentd_quality_breaches_total", 'rule="web_names"'))
    assert.equal(1, daemon:metric("intentd_quality_refused_total", 'rule="app_rate"'))
    local rows = listed(daemon, "--source", "app")
    assert.equal(1, #rows)
    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    _, err = client:call("event.ingest", app(4))
    assert.equal("quality_refused", err.code)
    local out, status = quarantine(daemon, "replay", rows[1].id)
    assert.equal(0, status, out)
    assert.is_truthy(out:find("1 taken, 0 decided before", 1, true), out)
    local answer = client:must("event.ingest", app(4))
    assert.is_true(answer.duplicate)
    assert.equal(1, client:must("lead.get", "app4").lead.decisions)
    daemon:stop()
    out, status = run(daemon, "journal", "verify", "--data", daemon.data)
    assert.equal(0, status, out)
    out, status = run(daemon, "replay", "--data", daemon.data)
    assert.equal(0, status, out)
    daemon:restart()
    client = daemon:connect()
    assert.is_true(client:must("event.ingest", app(4)).duplicate)
  end)
end)

describe("the quarantine", function()
  after_each(harness.finish)

  it("lists, repairs and replays: leads reach the state that they would have had", function()
    local good = harness.start { policies = policies(), clock = "event" }
    local daemon = harness.start { policies = policies(), clock = "event" }
    local events, broken = {}, 0
    for i = 1, 30 do
      local event = seats { messageId = "m" .. i, userId = "u" .. i % 3, timestamp = T0 + i * 60000,
        properties = { seats = i, plan = "pro" } }
      events[i] = event
      good:connect():must("event.ingest", event)
    end
    local client = daemon:connect()
    for i = 1, 30 do
      local event = seats(events[i])
      if i % 4 == 0 then
        event.properties, broken = { seats = i, plan = "gold" }, broken + 1
        local _, err = client:call("event.ingest", event)
        assert.equal("schema_violation", err.code)
      else
        client:must("event.ingest", event)
      end
    end
    local rows = listed(daemon, "--code", "schema_violation")
    assert.equal(broken, #rows)
    assert.equal(0, #listed(daemon, "--lead", "nobody"))
    assert.equal(0, #listed(daemon, "--until", "2020-01-01"))
    assert.equal(broken, #listed(daemon, "--since", "1h")) -- as everywhere: a time, or how long ago
    assert.equal(0, #listed(daemon, "--until", "1h"))
    local out, status = quarantine(daemon, "replay", rows[1].id)
    assert.equal(1, status)
    assert.is_truthy(out:find("stays: schema_violation", 1, true), out)
    out, status = quarantine(daemon, "fix", rows[1].id, "--set", "properties.seats=-1")
    assert.equal(4, status, out) -- still broken
    for _, row in ipairs(rows) do
      out, status = quarantine(daemon, "fix", row.id, "--set", "properties.plan=pro")
      assert.equal(0, status, out)
    end
    local shown = json.decode((quarantine(daemon, "show", rows[1].id, "--json")))
    assert.equal("gold", shown.event.properties.plan)
    assert.equal("pro", shown.fixed.event.properties.plan)
    assert.is_truthy(shown.fixed.by:find "^uid %d+$")
    out, status = quarantine(daemon, "replay")
    assert.equal(0, status, out)
    assert.is_truthy(out:find(broken .. " taken, 0 decided before, 0 refused again", 1, true), out)
    for i = 0, 2 do
      assert.same(features(good:connect(), "u" .. i), features(client, "u" .. i))
    end
    assert.equal(0, #listed(daemon))
    assert.equal(broken, #listed(daemon, "--all"))
    out, status = quarantine(daemon, "replay", rows[1].id) -- once more changes nothing
    assert.equal(0, status)
    assert.is_truthy(out:find("0 taken, 1 decided before", 1, true), out)
    out = run(daemon, "journal", "show", "--data", daemon.data, "--json")
    local _, causes = out:gsub("quarantine " .. ("%x"):rep(16) .. " fixed by uid %d+", "")
    assert.equal(broken, causes, out)
    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    for i = 0, 2 do
      assert.same(features(good:connect(), "u" .. i), features(client, "u" .. i))
    end
    local answer = client:must("event.ingest", seats(events[4]))
    assert.is_true(answer.duplicate)
  end)

  it("takes what has neither an id nor a time as of its arrival, once", function()
    local daemon = harness.start { policies = policies() }
    local client = daemon:connect()
    local before = socket.gettime() * 1000
    client:call("event.ingest", seats { properties = { seats = 3 } })
    local after = socket.gettime() * 1000
    local row = listed(daemon)[1]
    assert.equal(0, select(2, quarantine(daemon, "fix", row.id, "--set", "properties.plan=free")))
    socket.sleep(0.05)
    for _ = 1, 3 do
      local out, status = quarantine(daemon, "replay", row.id)
      assert.equal(0, status, out)
    end
    local lead = client:must("lead.get", "u1")
    assert.equal(1, lead.lead.decisions)
    local event = client:must("decision.explain", lead.decision.decision_id).event
    assert.equal("quarantine-" .. row.id, event.messageId)
    local at = tonumber(event.timestamp)
    assert.is_true(at >= math.floor(before) and at <= after + 1)
    -- As it came it is still what was refused.
    local out, status = quarantine(daemon, "show", row.id, "--personal")
    assert.equal(0, status)
    assert.is_truthy(out:find("u1", 1, true), out)
    out = quarantine(daemon, "show", row.id)
    assert.is_nil(out:find("u1", 1, true), out)
  end)

  it("replays what was out of bounds in time", function()
    local folder = policies()
    local daemon = harness.start { policies = folder, clock = "event", ["event.late"] = "1d" }
    local client = daemon:connect()
    client:must("event.ingest", seats { messageId = "a", timestamp = T0 + 10 * 86400000 })
    local late = seats { messageId = "b", timestamp = T0 + 8 * 86400000, properties = { seats = 11, plan = "pro" } }
    local _, err = client:call("event.ingest", late)
    assert.equal("time_out_of_bounds", err.code)
    local row = listed(daemon)[1]
    local out, status = quarantine(daemon, "replay", row.id)
    assert.equal(1, status, out)
    daemon:stop()
    daemon:restart { ["event.late"] = "30d" }
    client = daemon:connect()
    _, err = client:call("event.ingest", late)
    assert.equal("time_out_of_bounds", err.code) -- its duplicate gets what was answered
    out, status = quarantine(daemon, "replay", row.id)
    assert.equal(0, status, out)
    assert.equal(16, features(client, "u1").seats_sum)
    assert.equal(5, features(client, "u1").seats_last)
    assert.is_true(client:must("event.ingest", late).duplicate)
  end)

  it("replays what a policy was stopped on, once the policy is mended", function()
    local folder = policies()
    harness.edit(folder .. "/b2b_saas/policy.lua", 'belief.channel "web"', [[
local odd = signal.custom("odd", { reads = { f.seats_last }, why = "A hatch." }, function(view)
  while view.seats_last == 4711 do end
  return 0
end)
belief.channel "web"]])
    harness.edit(folder .. "/b2b_saas/policy.lua", "f.docs_views_30d:at_least(5)",
      "any { f.docs_views_30d:at_least(5), odd:at_least(1) }")
    local daemon = harness.start { policies = folder, clock = "event", watch = "no" }
    local client = daemon:connect()
    client:must("event.ingest", seats { messageId = "a", timestamp = T0 })
    local odd = seats { messageId = "b", timestamp = T0 + 1000, properties = { seats = 4711, plan = "pro" } }
    local _, err = client:call("event.ingest", odd)
    assert.equal("policy_stopped", err.code)
    local row = listed(daemon, "--code", "policy_stopped")[1]
    local out, status = quarantine(daemon, "replay", row.id)
    assert.equal(1, status, out)
    assert.is_truthy(out:find("stays: policy_stopped", 1, true), out)
    assert.equal(1, #listed(daemon))
    harness.edit(folder .. "/b2b_saas/policy.lua", "while view.seats_last == 4711 do end", "")
    assert.is_true(daemon:admin():must("policy.reload").changed)
    _, err = client:call("event.ingest", odd)
    assert.equal("policy_stopped", err.code) -- until it is replayed
    out, status = quarantine(daemon, "replay", row.id)
    assert.equal(0, status, out)
    assert.equal(4716, features(client, "u1").seats_sum)
    assert.is_true(client:must("event.ingest", odd).duplicate)
    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    assert.equal(4716, features(client, "u1").seats_sum)
    assert.is_true(client:must("event.ingest", odd).duplicate)
    daemon:stop()
    out, status = run(daemon, "replay", "--data", daemon.data)
    assert.equal(0, status, out)
  end)

  it("replays to where a lead was merged, and says so when a refusal from before the merge stands", function()
    local daemon = harness.start { policies = policies(), clock = "event", ["event.late"] = "1d" }
    local client = daemon:connect()
    local function anonymous(keys)
      keys.userId, keys.anonymousId = false, "a1"
      return seats(keys)
    end
    client:must("event.ingest", anonymous { messageId = "m1", timestamp = T0 })
    client:must("event.ingest", seats { messageId = "m2", userId = "known", timestamp = T0 })
    client:must("event.ingest", anonymous { messageId = "m3", timestamp = T0 + 3 * 86400000 })
    client:call("event.ingest", anonymous { messageId = "m4", timestamp = T0 + 1 }) -- out of time: its id stands for that
    client:call("event.ingest", anonymous { messageId = "m5", timestamp = T0 + 3 * 86400000,
      properties = { seats = 9, plan = "gold" } })
    local late, broken = unpack(listed(daemon))
    client:must("event.ingest", harness.event { type = "identify", event = false, userId = "known", anonymousId = "a1",
      messageId = "m6", timestamp = T0 + 3 * 86400000 })
    harness.wait("the merge", function() return client:must("lead.get", "a1").lead.lead == client:must("lead.get",
      "known").lead.lead and features(client, "known").seats_sum == 15 end)
    assert.equal(0, select(2, quarantine(daemon, "fix", broken.id, "--set", "properties.plan=pro")))
    local out, status = quarantine(daemon, "replay", broken.id)
    assert.equal(0, status, out)
    assert.equal(24, features(client, "known").seats_sum)
    out, status = quarantine(daemon, "replay", broken.id)
    assert.equal(0, status, out)
    assert.equal(24, features(client, "known").seats_sum)
    assert.equal(0, select(2, quarantine(daemon, "fix", late.id, "--set", "timestamp=" .. ("%d"):format(T0 + 3 * 86400000))))
    out, status = quarantine(daemon, "replay", late.id)
    assert.equal(1, status, out)
    assert.is_truthy(out:find("another messageId", 1, true), out)
    assert.equal(0, select(2, quarantine(daemon, "fix", late.id, "--set", "messageId=m4-again")))
    out, status = quarantine(daemon, "replay", late.id)
    assert.equal(0, status, out)
    assert.equal(29, features(client, "known").seats_sum)
    daemon:kill()
    daemon:restart()
    assert.equal(29, features(daemon:connect(), "known").seats_sum)
    daemon:stop()
    out, status = run(daemon, "replay", "--data", daemon.data)
    assert.equal(0, status, out)
    out, status = run(daemon, "journal", "verify", "--data", daemon.data)
    assert.equal(0, status, out)
  end)

  it("forgets an entry with its repair, whichever of them names the lead", function()
    local daemon = harness.start { policies = policies() }
    local client = daemon:connect()
    client:must("event.ingest", seats { userId = "canary-person" })
    client:call("event.ingest", seats { userId = "somebody", properties = { seats = 0, plan = "canary-value" } })
    local row = listed(daemon)[1]
    assert.equal(0, select(2, quarantine(daemon, "fix", row.id, "--set", "userId=canary-person", "--set",
      "properties={\"seats\":2,\"plan\":\"free\"}")))
    assert.equal(0, select(2, run(daemon, "lead", "forget", "canary-person", "--data", daemon.data)))
    for _, name in ipairs { "events.mp", "events.1.mp" } do
      assert.is_nil((harness.read(daemon.data .. "/quarantine/" .. name) or ""):find("canary", 1, true))
    end
    assert.equal(0, #listed(daemon, "--all"))
  end)

  it("takes nothing that came before the window of duplicates, unless it is forced", function()
    local daemon = harness.start { policies = policies(), ["dedupe.window"] = "1s", ["dedupe.recent"] = "1s" }
    local client = daemon:connect()
    client:call("event.ingest", seats { properties = { seats = 3 } })
    local row = listed(daemon)[1]
    quarantine(daemon, "fix", row.id, "--set", "properties.plan=free")
    socket.sleep(1.2)
    local out, status = quarantine(daemon, "replay", row.id)
    assert.equal(1, status)
    assert.is_truthy(out:find("dedupe.window", 1, true), out)
    out, status = quarantine(daemon, "replay", row.id, "--force")
    assert.equal(0, status, out)
    socket.sleep(1.2)
    out, status = quarantine(daemon, "replay", row.id, "--force") -- it is noted
    assert.equal(0, status, out)
    assert.equal(1, client:must("lead.get", "u1").lead.decisions)
  end)

  it("is for administrators, and hostile calls change nothing", function()
    local daemon = harness.start { policies = policies() }
    local _, err = daemon:connect():call("quarantine.replay", { ids = { ("0"):rep(16) } })
    assert.equal("unauthorized", err.code)
    local admin = daemon:admin()
    for _, param in ipairs { 1, "x", {}, { ids = 1 }, { ids = {} }, { ids = { "x" } }, { ids = { 5 } } } do
      _, err = admin:call("quarantine.replay", param)
      assert.equal("invalid_argument", err.code)
      _, err = admin:call("quarantine.fix", param)
      assert.equal("invalid_argument", err.code)
    end
    local answer = admin:must("quarantine.replay", { ids = { ("0"):rep(16), ("0"):rep(16) } })
    assert.equal("not_found", answer[1].error.code)
    assert.equal("not_found", answer[2].error.code)
    _, err = admin:call("quarantine.fix", { id = ("0"):rep(16), event = seats() })
    assert.equal("not_found", err.code)
  end)
end)

-- Killed in the midst of a replay, at a moment that the seed chooses, and again until all is through.
describe("a replay that is killed", function()
  after_each(harness.finish)

  it("takes each event once in the end", function()
    local seed = tonumber(os.getenv "SEED") or os.time() % 1000000
    local random = harness.random(seed)
    local COUNT = 200
    local daemon = harness.start { policies = policies(), clock = "event", shards = 1 + random(2) }
    local client = daemon:connect()
    for i = 1, COUNT do
      local _, err = client:call("event.ingest", seats { messageId = "m" .. i, userId = "u" .. i % 5,
        timestamp = T0 + i * 1000, properties = { size = i } })
      assert.equal("schema_violation", err.code)
    end
    local ids = {}
    for _, row in ipairs(listed(daemon)) do
      ids[#ids + 1] = row.id
    end
    assert.equal(COUNT, #ids)
    for i, id in ipairs(ids) do -- what claims version 1 is taken
      daemon:admin():must("quarantine.fix", { id = id, event = seats { messageId = "m" .. i, userId = "u" .. i % 5,
        timestamp = T0 + i * 1000, schema = "seats@1", properties = { size = i } } })
    end
    for _ = 1, 4 do
      local child = io.popen(("%s/intent quarantine replay --data %s 2>&1"):format(harness.bin, daemon.data))
      socket.sleep(random(60) / 1000)
      daemon:kill()
      child:read "*a"
      child:close()
      daemon:restart()
    end
    local out, status = quarantine(daemon, "replay", "--all")
    assert.equal(0, status, ("SEED=%d\n%s"):format(seed, out))
    client = daemon:connect()
    local sums, decisions = 0, 0
    for i = 0, 4 do
      sums = sums + features(client, "u" .. i).seats_sum
      decisions = decisions + client:must("lead.get", "u" .. i).lead.decisions
    end
    assert.equal(COUNT * (COUNT + 1) / 2, sums, "SEED=" .. seed)
    daemon:stop()
    out, status = run(daemon, "journal", "verify", "--data", daemon.data)
    assert.equal(0, status, out)
    out, status = run(daemon, "replay", "--data", daemon.data)
    assert.equal(0, status, out)
  end)
end)

describe("baselines", function()
  after_each(harness.finish)

  it("count what each source sends, over a restart, and are shown", function()
    local daemon = harness.start { policies = policies() }
    local client = daemon:connect()
    local function send(i, properties)
      return client:call("event.ingest", harness.event { messageId = "m" .. i, event = "Seats Changed", context = { source = "shop" },
        timestamp = T0 + i, properties = properties })
    end
    for i = 1, 5 do
      assert(send(i, { seats = i, plan = "pro" }))
    end
    send(5, { seats = 5, plan = "pro" }) -- a duplicate
    local _, err = send(6, { seats = "ada@example.com" }) -- what a schema refuses is seen, too
    assert.equal("schema_violation", err.code)
    assert.equal(0, daemon:metric "intentd_baseline_untracked_total")
    daemon:stop()
    for _ = 1, 2 do
      local out, status = run(daemon, "source", "list", "--json", "--data", daemon.data)
      assert.equal(0, status, out)
      local rows = {}
      for line in out:gmatch "[^\n]+" do
        local row = json.decode(line) or error(line)
        rows[row.event] = row
      end
      for _, name in ipairs { "", "Seats Changed" } do
        assert.equal("shop", rows[name].source)
        assert.equal(0, rows[name].total.spike)
        assert.is_nil(rows[name].usual)
      end
      assert.is_nil(harness.read(daemon.data .. "/baselines"):find("ada@", 1, true))
      out = run(daemon, "source", "list", "--data", daemon.data)
      assert.is_truthy(out:find("shop%s+%(all%)"), out)
      assert.is_truthy(out:find "learning", out)
      daemon:restart()
      daemon:stop()
    end
    local f = assert(io.open(daemon.data .. "/baselines", "w"))
    f:write "no baselines"
    f:close()
    local out, status = run(daemon, "source", "list", "--data", daemon.data)
    assert.equal(2, status, out)
    assert.is_truthy(out:find("learned anew", 1, true), out)
  end)
end)
