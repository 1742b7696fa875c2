--- intent feature backfill: features that were declared late get what the journal has of the time before, while the daemon
--- serves. The oracle is a directory in which they were declared from the beginning.
local lfs = require "lfs"

local harness = require "harness"
local lives = require "lives"

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000
local EVENTS, LEADS = tonumber(os.getenv "EVENTS") or 600, 50

local LATE = [[
return {
  { name = "x_docs", op = "count", on = { "Docs Viewed" }, window = "30d", tile = "1d" },
  { name = "x_all", op = "count" },
  { name = "x_same", op = "count" }, -- a second name for one definition
  { name = "x_sum", op = "sum", of = "properties.amount", window = "30d", tile = "1d" },
  { name = "x_max", op = "max", of = "properties.amount" },
  { name = "x_heat", op = "decay", half_life = "9d", on = { "Pricing Viewed" } },
  { name = "x_kinds", op = "distinct", of = "properties.feature" },
  { name = "x_p90", op = "quantile", of = "properties.amount", q = 0.9 },
  { name = "x_last", op = "last", of = "properties.feature", text = true },
  { name = "x_days", op = "active_days", window = "30d" },
  { name = "x_rate", op = "velocity", window = "14d", on = { "Feature Used" } },
  { name = "x_idle", op = "recency", on = { "Docs Viewed" } },
}
]]
local FIRST_SUM = 'op = "sum", of = "properties.amount", window = "30d"'
local EARLY = ([[return { { name = "x_sum", %s, tile = "1d" }, { name = "x_other", op = "count" } }]]):format(FIRST_SUM)
local FILE = "signals/b2b/features/extra.lua"

local function intent(...)
  local folder, words = harness.folder(), { ("'%s/intent'"):format(harness.bin) }
  for _, word in ipairs { ... } do words[#words + 1] = "'" .. tostring(word) .. "'" end
  local pipe = io.popen(("%s >%s/out 2>&1; echo $?"):format(table.concat(words, " "), folder))
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return harness.read(folder .. "/out"), code
end

describe("intent feature backfill (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)
  local random = harness.random(SEED)

  -- Some who were unknown become known: half of them before the middle, half after.
  local function stream()
    local events = lives.stream(SEED, EVENTS, LEADS, 60)
    for i = 3, LEADS, 3 do
      local at = random(EVENTS)
      local like = events[at]
      table.insert(events, at, { type = "alias", userId = "lead" .. i - 1, previousId = "lead" .. i,
        messageId = "alias" .. i, timestamp = like.timestamp, channel = "web" })
    end
    return events
  end

  local function start(policies, env)
    return harness.start { clock = "event", shards = 2, policies = policies, watch = "no", env = env,
      ["journal.segment"] = "8m" }
  end

  local function send(daemon, events, from, to)
    local client, requests = daemon:connect(), {}
    for i = from, to do requests[#requests + 1] = { "event.ingest", events[i] } end
    for _, answer in ipairs(client:pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and answer.error.detail)
    end
    client:close()
  end

  local function put(daemon, text)
    harness.write(daemon.options.policies .. "/" .. FILE, text)
    local admin = daemon:admin()
    assert.is_true(admin:must("policy.reload").changed)
    admin:close()
  end

  -- All messages between leads have come: nothing of a merge is under way.
  local function quiet(daemon)
    harness.wait("messages to arrive", function() return daemon:metric "intentd_outbox_messages" == 0 end)
  end

  local function features_of(daemon, who)
    local client = daemon:connect()
    local answer = client:call("lead.get", who)
    client:close()
    if not answer then return nil end
    local found = {}
    for name, value in pairs(answer.lead.features) do
      if name:match "^x_" then found[name] = value end
    end
    return found, answer.lead.lead
  end

  -- Each lead once more: one that has had no event since is shown in the features of the version that it was left in.
  local function touch(daemon, events)
    local client = daemon:connect()
    for i = 1, LEADS do
      client:must("event.ingest", { type = "page", userId = "lead" .. i, messageId = "touch" .. i, channel = "web",
        timestamp = events[#events].timestamp })
    end
    client:close()
  end

  local function compare(daemon, oracle)
    local seen = 0
    for i = 1, LEADS do
      local mine, theirs = features_of(daemon, "lead" .. i), features_of(oracle, "lead" .. i)
      if theirs then
        seen = seen + 1
        -- Weights of a decay are added up in another order: their last bits may differ.
        assert.is_true(math.abs(theirs.x_heat - mine.x_heat) <= 1e-12 * math.abs(theirs.x_heat), "lead" .. i)
        mine.x_heat = theirs.x_heat
        assert.same(theirs, mine, "lead" .. i)
      end
    end
    assert.is_true(seen > LEADS / 2)
  end

  local function backfill(daemon, ...)
    local text, code = intent("feature", "backfill", "--data", daemon.data, ...)
    assert.equal(0, code, text)
    return text
  end

  local function proves(daemon)
    daemon:stop()
    local text, code = intent("feature", "verify", "--all", "--data", daemon.data)
    assert.equal(0, code, text)
    text, code = intent("replay", "--json", "--data", daemon.data)
    assert.equal(0, code, text)
    assert.equal(0, tonumber(text:match '"different":(%d+)'), text)
    text, code = intent("journal", "verify", "--data", daemon.data)
    assert.equal(0, code, text)
  end

  it("gives what there would be, had they been declared from the beginning", function()
    local events = stream()
    local oracle = start(harness.policies { [FILE] = LATE })
    send(oracle, events, 1, #events)
    quiet(oracle)

    local daemon = start(harness.policies { [FILE] = EARLY })
    local third = math.floor(#events / 3)
    send(daemon, events, 1, third)
    put(daemon, "return {}") -- the sum is gone, with what it held …
    send(daemon, events, third + 1, 2 * third)
    put(daemon, LATE) -- … and comes back, with others
    local owed, code = intent("feature", "backfill", "--dry-run", "--data", daemon.data)
    assert.equal(1, code, owed)
    assert.truthy(owed:find("x_sum", 1, true), owed)
    local function listed(name)
      local text, status = intent("feature", "list", "--data", daemon.data)
      assert.equal(0, status, text)
      return assert(text:match("\n" .. name .. " [^\n]*"), text)
    end
    assert.truthy(listed("x_docs"):find "owed to %d+ leads")
    assert.truthy(listed("interest"):find(" full ", 1, true)) -- no version lacked it
    backfill(daemon, "x_docs", "x_sum")
    assert.truthy(listed("x_docs"):find "full since 20%d%d%-")
    assert.truthy(listed("x_heat"):find "owed to %d+ leads")
    send(daemon, events, 2 * third + 1, #events)
    quiet(daemon)
    local text = backfill(daemon)
    assert.truthy(text:find "x_heat", text)
    text = intent("feature", "lineage", "x_heat", "--data", daemon.data)
    assert.truthy(text:find "history +full since 20", text)
    compare(daemon, oracle)
    text = backfill(daemon) -- nothing is owed any more
    assert.truthy(text:find(" 0 owed something", 1, true), text)
    compare(daemon, oracle)
    owed, code = intent("feature", "backfill", "--dry-run", "--data", daemon.data)
    assert.equal(0, code, owed)

    daemon:stop()
    assert(os.rename(daemon.data .. "/vault", daemon.folder .. "/vault")) -- nothing folds without keys
    assert.truthy(listed("x_docs"):find("unknown", 1, true))
    assert(os.rename(daemon.folder .. "/vault", daemon.data .. "/vault"))
    daemon:restart()
    compare(daemon, oracle)
    proves(daemon)
    daemon:restart()
    compare(daemon, oracle)
  end)

  it("counts nothing twice, however it and the daemon end", function()
    local events = stream()
    local oracle = start(harness.policies { [FILE] = LATE })
    send(oracle, events, 1, #events)
    quiet(oracle)
    local daemon = start(harness.policies { [FILE] = "return {}" })
    send(daemon, events, 1, math.floor(#events / 2))
    put(daemon, LATE)
    local at = math.floor(#events / 2)
    for _ = 1, 4 do
      local admin = daemon:admin()
      admin:must("feature.backfill", {})
      local to = math.min(#events, at + random(math.floor(#events / 8)))
      send(daemon, events, at + 1, to)
      at = to
      if random(3) == 1 then admin:must "feature.backfill_stop" end
      require("socket").sleep(random(60) / 1000)
      daemon:kill()
      daemon:restart()
    end
    send(daemon, events, at + 1, #events)
    quiet(daemon)
    backfill(daemon)
    backfill(daemon)
    compare(daemon, oracle)
    proves(daemon)
  end)

  -- Whatever happens in whatever order: releases that have all, some or none of it, backfills that are begun, waited for or
  -- ended, versions that are switched in, kills, other numbers of partitions and shards, disks that are full or fail, or whose power goes.
  local function anything(daemon, events, broken, steps, is_power)
    local sets = { LATE, EARLY, "return {}", LATE }
    local at, is_broken = 0, false
    local function mend()
      os.remove(broken)
      is_broken = false
      harness.wait("the disk to be good", function() return daemon:get "/readyz" == "ready\n" end)
    end
    local function cut_power() -- at the next sync
      local client = daemon:connect()
      harness.write(broken, "")
      pcall(client.call, client, "event.ingest", events[math.min(at + 1, #events)])
      assert.equal(-9, daemon:wait_exit(true))
      os.remove(broken)
      daemon.is_over = true
      daemon:restart()
    end
    local function some(upto) -- what was refused is sent again
      if is_broken then mend() end -- an answer that a full disk holds comes when it is mended
      local client, from = daemon:connect(), at + 1
      at = math.min(#events, at + random(upto))
      for i = from, at do
        local answer, why
        repeat
          answer, why = client:call("event.ingest", events[i])
        until answer or not why.retryable
        assert(answer, why and why.detail)
      end
      client:close()
    end
    local does = {
      function() some(math.floor(#events / steps * 3)) end,
      function() some(10) end,
      function()
        if is_broken then mend() end
        harness.write(daemon.options.policies .. "/" .. FILE, sets[random(#sets)])
        daemon:admin():call "policy.reload"
      end,
      function() daemon:admin():call("feature.backfill", {}) end,
      function() daemon:admin():call("feature.backfill", {}) end,
      function() daemon:admin():call("feature.backfill", { features = { "x_all", "x_sum" } }) end,
      function() daemon:admin():call "feature.backfill_stop" end,
      function()
        if random(2) == 1 then return end
        os.remove(broken)
        is_broken = false
        daemon:kill()
        daemon:restart()
      end,
      function()
        if is_broken then mend() end
        if random(2) == 1 then return end
        quiet(daemon) -- a message under way would hold the number as it is
        daemon:stop()
        local text, code = intent("reshard", "--data", daemon.data, "--partitions", 2 ^ (1 + random(4)))
        assert.is_true(code == 0 or text:find("partitions already", 1, true) ~= nil, text)
        daemon:restart { shards = random(2) }
      end,
      function()
        if is_power then return cut_power() end
        if is_broken then return mend() end
        harness.write(broken, "")
        is_broken = true
      end,
      function()
        if is_broken then mend() end
        harness.write(daemon.options.policies .. "/" .. FILE, sets[random(#sets)])
        daemon:admin():call("feature.backfill", { switch_in = true })
      end,
    }
    for _ = 1, steps do
      does[random(#does)]()
      if random(3) == 1 then require("socket").sleep(random(30) / 1000) end
    end
    if is_broken then mend() end
    send(daemon, events, at + 1, #events)
  end

  it("comes to the same whatever happens meanwhile", function()
    local events = stream()
    local oracle = start(harness.policies { [FILE] = LATE })
    send(oracle, events, 1, #events)
    quiet(oracle)
    local faults = { "write:journal/*:@%s:ENOSPC", "sync:journal/*:@%s:EIO", "sync:*:@%s:power" }
    if not os.getenv "STEPS" then faults = { faults[random(#faults)] } end -- a short run tries one
    for n, fault in ipairs(faults) do
      local broken = harness.folder() .. "/broken"
      local daemon = start(harness.policies { [FILE] = "return {}" }, { INTENTD_DISK_FAULTS = fault:format(broken) })
      daemon:expect_errors "storage_failed"
      daemon:expect_errors "recovery_failed"
      daemon:expect_errors "reload_failed" -- while a version is about to be switched in
      anything(daemon, events, broken, tonumber(os.getenv "STEPS") or 30, fault:find("power", 1, true))
      harness.write(daemon.options.policies .. "/" .. FILE, LATE)
      daemon:admin():call "feature.backfill_stop"
      harness.wait("the backfill to end", function()
        return not daemon:admin():must("feature.backfill_status").running
      end)
      daemon:admin():must "policy.reload"
      quiet(daemon)
      backfill(daemon)
      assert.truthy(backfill(daemon):find(" 0 owed something", 1, true))
      touch(daemon, events)
      if n == 1 then touch(oracle, events) end
      compare(daemon, oracle)
      proves(daemon)
    end
  end)

  -- A merged lead's history lies in one log, the frame that says it was filled in in another, which retention empties first.
  it("gives a merged lead nothing twice when retention took the frame that says so", function()
    local daemon = harness.start { clock = "event", shards = 2, watch = "no", ["base.journal"] = "1m",
      policies = harness.policies { [FILE] = "return {}" }, ["base.interval"] = "1s", ["retention.bytes"] = "34m",
      ["dedupe.window"] = "1s", ["checkpoint.interval"] = "100ms" }
    local client, n = daemon:connect(), 0
    local function ingest(keys, count)
      local requests = {}
      for i = 1, count or 1 do
        n = n + 1
        local event = { type = "track", event = "Docs Viewed", messageId = "n" .. n, channel = "web",
          timestamp = 1767225600000 + n * 1000, properties = count and { text = ("x"):rep(4000) } or nil }
        for k, v in pairs(keys) do event[k] = v end
        requests[i] = { "event.ingest", event }
      end
      for _, answer in ipairs(client:pipeline(requests)) do
        assert.is_nil(answer.error, answer.error and answer.error.detail)
      end
      return "n" .. n
    end
    local message, in_log = {}, { {}, {} }
    for i = 1, 30 do message[ingest { anonymousId = "a" .. i }] = "a" .. i end
    for i = 1, 30 do message[ingest { userId = "u" .. i }] = "u" .. i end
    for line in intent("journal", "export", "--data", daemon.data):gmatch "[^\n]+" do
      local log, id = line:match '^{"place":"0(%d)', line:match '"messageId":"(n%d+)"'
      if id then table.insert(in_log[log + 1], message[id]) end
    end
    local anonymous, known, busy
    for _, who in ipairs(in_log[1]) do anonymous = anonymous or who:match "^a%d+$" end
    for _, who in ipairs(in_log[2]) do
      if who:match "^u" then known, busy = known or who, who end
    end
    assert.is_true(anonymous ~= nil and known ~= nil and busy ~= known)
    for _ = 1, 5 do ingest { anonymousId = anonymous } end
    ingest { type = "alias", userId = known, previousId = anonymous }
    quiet(daemon)
    put(daemon, LATE)
    backfill(daemon)
    local was = features_of(daemon, known)
    assert.equal(8, was.x_all) -- six of the one, and of the other with the alias two
    harness.wait("the fills to go", function()
      ingest({ userId = busy }, 400)
      for name in lfs.dir(daemon.data .. "/journal") do
        if name:find "^01%-00000001%.[ls]" then return false end
      end
      return true
    end)
    local fills = intent("journal", "export", "--kind", "fill", "--data", daemon.data)
    assert.is_nil(fills:find('"place":"01-', 1, true))
    backfill(daemon)
    assert.same(was, (features_of(daemon, known)))
  end)

  it("counts nothing twice when the power goes in its midst", function()
    local events, path = stream(), harness.folder() .. "/power"
    local oracle = start(harness.policies { [FILE] = LATE })
    send(oracle, events, 1, #events)
    quiet(oracle)
    local daemon = start(harness.policies { [FILE] = "return {}" }, { INTENTD_DISK_FAULTS = "sync:*:@" .. path .. ":power" })
    send(daemon, events, 1, #events - 2)
    put(daemon, LATE)
    for i = #events - 1, #events do
      local admin, client = daemon:admin(), daemon:connect()
      admin:must("feature.backfill", {})
      require("socket").sleep(random(20) / 1000)
      harness.write(path, "")
      pcall(client.call, client, "event.ingest", events[i]) -- there is a sync at the latest now
      assert.equal(-9, daemon:wait_exit(true))
      os.remove(path)
      daemon.is_over = true
      daemon:restart()
      send(daemon, events, i, i)
    end
    quiet(daemon)
    backfill(daemon)
    compare(daemon, oracle)
    proves(daemon)
  end)

  it("leaves out who was forgotten, and says what it can't do", function()
    local events = stream()
    local daemon = start(harness.policies { [FILE] = "return {}" })
    send(daemon, events, 1, 300)
    put(daemon, LATE)
    local admin = daemon:admin()
    local who = features_of(daemon, "lead1") and "lead1" or "lead2"
    admin:must("lead.forget", who)
    backfill(daemon)
    local client = daemon:connect()
    assert.is_nil((client:call("lead.get", who)))
    local _, why = admin:call("feature.backfill", { features = { "x_nothing" } })
    assert.truthy(why.detail:find('no feature "x_nothing"', 1, true), why.detail)
    _, why = client:call("feature.backfill", {})
    assert.equal("unauthorized", why.code)
    assert.equal(0, daemon:metric "intentd_backfill_running")
    assert.is_true(daemon:metric "intentd_backfill_leads" > 0)
    local text, code = intent("journal", "show", "--kind", "fill", "--data", daemon.data)
    assert.equal(0, code, text)
    assert.truthy(text:find("fill", 1, true), text)
    proves(daemon)
  end)
end)
