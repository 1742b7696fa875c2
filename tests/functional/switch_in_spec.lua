--- intent feature backfill --switch-in: the version of the files is put in force by the command itself, when all leads have what its
--- features lack. Until then the version before decides. The oracles are two daemons: one that keeps that version, and one
--- that had the new one from the beginning.
local socket = require "socket"

local harness = require "harness"
local lives = require "lives"
local tool = require "intent"
local holds = tool.holds

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000
local EVENTS, LEADS = tonumber(os.getenv "EVENTS") or 400, 40
local HALF = math.floor(EVENTS / 2)

local LATE = [[
return {
  { name = "x_docs", op = "count", on = { "Docs Viewed" }, window = "30d", tile = "1d" },
  { name = "x_same", op = "count", on = { "Docs Viewed" }, window = "30d", tile = "1d" },
  { name = "x_kinds", op = "distinct", of = "properties.feature", where = { { path = "properties.amount", at_least = 2.5 } } },
  { name = "x_heard", op = "last", of = "properties.feature", text = true, description = "quotes \" and \\ and \n and ü" },
  { name = "x_seq", op = "sequence", steps = { "Docs Viewed", "Feature Used" }, within = "9d" },
  { name = "x_fade", op = "decay", shape = "step", steps = { { age = "1d", weight = 1 }, { age = "20d", weight = 0.25 } } },
  { name = "x_top", op = "most_common", of = "channel", limit = 6, on = { { type = "identify" }, "Feature Used" } },
  { name = "x_month", op = "sum", of = "properties.amount", window = "this_month", zone = "Europe/Amsterdam" },
  { name = "x_known", op = "flag", where = { { path = "traits.employee", is = { true, "yes", 1.5 } } }, class = "profile", personal = true },
  { name = "x_share", op = "ratio", of = { "x_kinds", "x_docs" } },
}
]]
local FILE = "signals/b2b/features/extra.lua"
local RULE = [[score.adjust "much_read" { when = f.x_docs:at_least(1), points = 7, why = "Reads." }
score.adjust "shares" { when = f.x_share:at_least(1), points = 3, why = "A ratio, and by way of it two that come late." }
]]

local function intent(...)
  local folder, words = harness.folder(), { ("'%s/intent'"):format(harness.bin) }
  for _, word in ipairs { ... } do
    words[#words + 1] = "'" .. tostring(word) .. "'"
  end
  local pipe = io.popen(("%s >%s/out 2>&1; echo $?"):format(table.concat(words, " "), folder))
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return harness.read(folder .. "/out"), code
end

-- What the files hold from now on: features that came late, one whose definition changed under its name, and rules that read both.
local function put_new(policies)
  harness.write(policies .. "/" .. FILE, LATE)
  harness.edit(policies .. "/signals/b2b/signals.lua", "version = 4", "version = 5")
  harness.edit(policies .. "/signals/b2b/features/web.lua", [[on = { "Case Study Downloaded" }, window = "30d", tile = "1d"]],
    [[on = { "Case Study Downloaded", "Docs Viewed" }, window = "30d", tile = "2d"]])
  harness.edit(policies .. "/b2b_saas/policy.lua", "b2b@4", "b2b@5")
  harness.edit(policies .. "/b2b_saas/policy.lua", [[score.adjust "competitor"]], RULE .. [[score.adjust "competitor"]])
end

describe("intent feature backfill --switch-in (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)
  local random = harness.random(SEED)
  local events = lives.stream(SEED, EVENTS, LEADS, 60)
  for i = 4, LEADS, 4 do -- some who were unknown become known
    local at = random(EVENTS)
    table.insert(events, at, { type = "alias", userId = "lead" .. i - 1, previousId = "lead" .. i,
      messageId = "alias" .. i, timestamp = events[at].timestamp, channel = "web" })
  end

  local function start(options)
    local given = { clock = "event", shards = 2, policies = harness.policies(), watch = "no",
      seed = ("5e"):rep(32) } -- the same leads in all
    for name, value in pairs(options or {}) do given[name] = value end
    return harness.start(given)
  end

  local function send(daemon, from, to)
    local client, requests, decisions = daemon:connect(), {}, {}
    for i = from, to do requests[#requests + 1] = { "event.ingest", events[i] } end
    for i, answer in ipairs(client:pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and answer.error.detail)
      decisions[i] = answer.result
    end
    client:close()
    return decisions
  end

  local function quiet(daemon)
    harness.wait("messages to arrive", function() return daemon:metric "intentd_outbox_messages" == 0 end)
  end

  local function version(daemon)
    local client = daemon:connect()
    local status = client:must "policy.status"
    client:close()
    return status.version, status
  end

  local function switch_in(daemon)
    local text, code = intent("feature", "backfill", "--switch-in", "--data", daemon.data)
    assert.equal(0, code, text)
    return text
  end

  local function features_of(daemon, who)
    local client, found = daemon:connect(), {}
    local answer = client:call("lead.get", who)
    client:close()
    if not answer then return nil end
    for name, value in pairs(answer.lead.features) do
      -- Sequences over the border of what was filled in may be counted otherwise (docs/features.md).
      if name:match "^x_" and name ~= "x_seq" or name == "case_studies_30d" then found[name] = value end
    end
    return found
  end

  -- Each lead once more: one that has had no event since is shown as its last decision left it, in that version's features.
  local function touch(daemon)
    local client = daemon:connect()
    for i = 1, LEADS do
      client:must("event.ingest", { type = "page", userId = "lead" .. i, messageId = "touch" .. i, channel = "web",
        timestamp = events[#events].timestamp })
    end
    client:close()
    quiet(daemon)
  end

  local function compare(daemon, oracle)
    local seen = 0
    touch(daemon)
    touch(oracle)
    for i = 1, LEADS do
      local theirs = features_of(oracle, "lead" .. i)
      if theirs then
        seen = seen + 1
        assert.same(theirs, features_of(daemon, "lead" .. i), "lead" .. i)
      end
    end
    assert.is_true(seen > LEADS / 2)
  end

  local function new_from_the_beginning(upto)
    local policies = harness.policies()
    put_new(policies)
    local oracle = start { policies = policies }
    send(oracle, 1, upto)
    quiet(oracle)
    return oracle
  end

  -- When a merge comes among the events of the two is a matter of the moment.
  local function is_merged(event) return tonumber((event.userId or event.anonymousId):match "%d+") % 4 % 3 == 0 end

  -- What is decided alike, whichever version's name it carries.
  local function gist(decision)
    local reasons = {}
    for i, reason in ipairs(decision.reasons) do
      reasons[i] = ("%s %s %s"):format(reason.kind, reason.name, tostring(reason.points))
    end
    return { decision.scores, decision.stage, decision.owner, decision.action, decision.probability, reasons }
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

  local function waits_for(daemon, what)
    harness.wait("the backfill to wait for " .. what, function() return daemon:log():find("event=backfill_waits", 1, true) end)
  end

  it("lets the version before decide until all is filled in, then switches, and the journal says who did it", function()
    local oracle, same = new_from_the_beginning(#events), start()
    local path = harness.folder() .. "/unreadable"
    local daemon = start { env = { INTENTD_DISK_FAULTS = "read:journal/*:@" .. path .. ":EIO" } }
    daemon:expect_errors "reload_failed"
    send(daemon, 1, HALF)
    send(same, 1, HALF)
    local before = version(daemon)
    put_new(daemon.options.policies)
    local text, code = intent("policy", "reload", "--data", daemon.data)
    assert.equal(1, code, text)
    holds(text, "--switch-in", "--allow-late", "x_docs", "x_kinds", "case_studies_30d")
    assert.is_nil(text:find("x_seq", 1, true)) -- nothing reads it
    assert.equal(before, (version(daemon)))

    harness.write(path, "")
    local admin = daemon:admin()
    admin:must("feature.backfill", { switch_in = true })
    waits_for(daemon, "the disk")
    local beside, status = version(daemon)
    assert.not_equal(before, beside)
    assert.equal("late_features", status.error.code)
    local _, why = admin:call("feature.backfill", { switch_in = true })
    assert.equal("busy", why.code)
    _, why = admin:call "policy.reload"
    assert.equal("busy", why.code)
    holds(why.detail, "--stop")
    local middle = HALF + math.floor(#events / 8)
    local mine, theirs = send(daemon, HALF + 1, middle), send(same, HALF + 1, middle)
    for i, decision in ipairs(mine) do
      if not is_merged(events[HALF + i]) then assert.same(gist(theirs[i]), gist(decision), "event " .. HALF + i) end
      assert.equal(beside, decision.policy.version)
    end
    os.remove(path)
    harness.wait("the switch", function() return not admin:must("feature.backfill_status").running end)
    local done = admin:must "feature.backfill_status"
    assert.is_true(done.switch_in.done)
    assert.equal(before, done.switch_in.before)
    local now = version(daemon)
    assert.equal(now, done.switch_in.version)
    assert.equal(now, (version(oracle)))
    local many = 0
    for _, decision in ipairs(send(daemon, middle + 1, #events)) do
      assert.equal(now, decision.policy.version)
      for _, reason in ipairs(decision.reasons) do many = many + (reason.name == "much_read" and 1 or 0) end
    end
    assert.is_true(many > 0)
    quiet(daemon)
    compare(daemon, oracle)
    text = intent("journal", "export", "--kind", "release", "--data", daemon.data)
    holds(text, "fills in features for version " .. now, "switched in, all leads filled in", '"by":"uid ')
    proves(daemon)
    daemon:restart() -- the files are what was in force
    assert.equal(now, (version(daemon)))
    compare(daemon, oracle)
  end)

  it("goes on after whatever ended it, counts nothing twice, and starts with the version before meanwhile", function()
    local oracle = new_from_the_beginning(#events)
    local path = harness.folder() .. "/full"
    local daemon = start { env = { INTENTD_DISK_FAULTS = "open:*/.late.new:2+:ENOSPC" } }
    daemon:expect_errors "policy_late"
    send(daemon, 1, HALF)
    local before, at = version(daemon), HALF
    put_new(daemon.options.policies)
    daemon:admin():must("feature.backfill", { switch_in = true })
    waits_for(daemon, "room") -- all is filled in, and that can't be noted
    local beside = version(daemon)
    assert.not_equal(before, beside)
    local filled = daemon:metric "intentd_backfill_leads"
    assert.is_true(filled > 0)
    if random(2) == 1 then daemon:admin():must "feature.backfill_stop" end
    for _ = 1, 3 do
      if random(2) == 1 then daemon:kill() else daemon:stop() end
      daemon:restart { env = { INTENTD_DISK_FAULTS = "open:*/.late.new:@" .. path .. ":ENOSPC" } }
      assert.equal(beside, (version(daemon)))
      local to = math.min(#events, at + random(30))
      send(daemon, at + 1, to)
      at = to
      harness.write(path, "")
      daemon:admin():must("feature.backfill", { switch_in = true })
      socket.sleep(random(30) / 1000)
    end
    os.remove(path)
    harness.wait("the switch", function() return version(daemon) ~= beside end)
    send(daemon, at + 1, #events)
    quiet(daemon)
    compare(daemon, oracle)
    local text = intent("feature", "backfill", "--dry-run", "--data", daemon.data)
    holds(text, "0 of ")
    local fills = select(2, intent("journal", "export", "--kind", "fill", "--data", daemon.data):gsub("\n", "\n"))
    assert.is_true(fills <= filled + LEADS / 2, fills .. " fills of " .. filled) -- merged ones are found again
    proves(daemon)
  end)

  it("refuses what newly reads late features, unless that is allowed or they were filled in", function()
    local daemon = start()
    daemon:expect_errors "reload_failed"
    daemon:expect_errors "policy_late"
    local policies = daemon.options.policies
    local function edit_rule(from, to) harness.edit(policies .. "/b2b_saas/policy.lua", from, to) end
    local admin = daemon:admin()
    harness.write(policies .. "/" .. FILE, LATE)
    edit_rule([[score.adjust "competitor"]], RULE .. [[score.adjust "competitor"]])
    assert.is_true(admin:must("policy.reload").changed) -- there is nobody yet who lacks anything
    edit_rule(RULE, "")
    harness.write(policies .. "/" .. FILE, "return {}")
    assert.is_true(admin:must("policy.reload").changed)
    send(daemon, 1, 50)
    harness.write(policies .. "/" .. FILE, LATE)
    assert.is_true(admin:must("policy.reload").changed) -- nothing reads them
    send(daemon, 51, 60)
    edit_rule([[score.adjust "competitor"]], RULE .. [[score.adjust "competitor"]])
    local before = version(daemon)
    local _, why = admin:call "policy.reload"
    assert.equal("late_features", why.code)
    daemon:hup()
    harness.wait("the signal", function() return select(2, daemon:log():gsub("event=reload_failed", "")) == 2 end)
    daemon:stop()
    daemon:restart() -- neither does a start
    assert.equal(before, (version(daemon)))
    admin = daemon:admin()
    admin:must("feature.backfill", { features = { "x_docs" } })
    harness.wait("the backfill", function() return not admin:must("feature.backfill_status").running end)
    _, why = admin:call "policy.reload"
    holds(why.detail, "x_kinds")
    assert.is_nil(why.detail:find("x_docs", 1, true))
    if random(2) == 1 then -- what is known of them is no more than a shortcut
      daemon:stop()
      os.remove(daemon.data .. "/late")
      daemon:restart()
      admin = daemon:admin()
      _, why = admin:call "policy.reload"
      assert.equal("late_features", why.code)
    end
    admin:must("feature.backfill", {})
    harness.wait("the backfill", function() return not admin:must("feature.backfill_status").running end)
    assert.is_true(admin:must("policy.reload").changed)
    _, why = admin:call("feature.backfill", { switch_in = true })
    holds(why.detail, "none to switch in", "in force")

    edit_rule("points = 7", "points = 8") -- it reads what it read
    harness.write(policies .. "/" .. FILE, (LATE:gsub("at_least = 2.5", "at_least = 2.25")))
    _, why = admin:call "policy.reload"
    holds(why.detail, "x_kinds")
    assert.is_true(admin:must("policy.reload", { allow_late = true }).changed)
    holds(daemon:log(), "event=late_features", "policy.reload with late features by uid")
    edit_rule("points = 8", "points = 9")
    assert.is_true(admin:must("policy.reload").changed)
    local text, code = intent("feature", "backfill", "x_kind", "--data", daemon.data)
    assert.equal(4, code, text)
    holds(text, 'did you mean "x_kinds"?')
    text, code = intent("feature", "backfill", "x_kind", "--dry-run", "--data", daemon.data)
    assert.equal(2, code, text)
    holds(text, 'did you mean "x_kinds"?')
    harness.write(policies .. "/" .. FILE, (LATE:gsub("at_least = 2.5", "at_least = 2.125")))
    daemon:stop()
    daemon:restart { ["policy.late"] = "allow" }
    assert.is_nil(daemon:log():find("instead=" .. version(daemon), 1, true))
  end)

  it("refuses what does not fit beside the version in force, and leaves all as it is", function()
    local daemon = start()
    daemon:expect_errors "policy_problem"
    local policies = daemon.options.policies
    send(daemon, 1, 20)
    local many = {}
    for i = 1, 200 do many[i] = ('{ name = "y%d", op = "count", window = "%dd", tile = "1d" },'):format(i, i % 30 + 2) end
    harness.write(policies .. "/" .. FILE, "return {" .. table.concat(many, "\n") .. "}")
    local admin = daemon:admin()
    admin:must "policy.reload"
    local before = version(daemon)
    for i = 1, 200 do many[i] = ('{ name = "z%d", op = "count", on = { "E%d" } },'):format(i, i) end
    harness.write(policies .. "/" .. FILE, "return {" .. table.concat(many, "\n") .. "}")
    local text, code = intent("feature", "backfill", "--switch-in", "--data", daemon.data)
    assert.equal(1, code, text)
    assert.equal(before, (version(daemon)))
    harness.write(policies .. "/" .. FILE, "return {")
    text, code = intent("feature", "backfill", "--switch-in", "--data", daemon.data)
    assert.equal(1, code, text)
    holds(text, "extra.lua")
    harness.write(policies .. "/" .. FILE, LATE)
    text, code = intent("feature", "backfill", "x_docs", "--switch-in", "--data", daemon.data)
    assert.equal(2, code, text)
    text, code = intent("feature", "backfill", "--stop", "--switch-in", "--data", daemon.data)
    assert.equal(2, code, text)
    assert.equal(before, (version(daemon)))
    text = switch_in(daemon) -- nothing reads them: it is all the same
    holds(text, before .. " -> " .. version(daemon), "switched in")
    proves(daemon)
  end)
end)
