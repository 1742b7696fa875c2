--- Policies change under a running daemon: by file, signal and administration; a broken one leaves the old in force;
--- events that flow meanwhile are decided by one version each, and a lead's versions never go back.
local harness = require "harness"
local wire = require "wire"
local tool = require "intent"
local holds = tool.holds

local NIL = wire.NIL
local event = harness.event

describe("a policy", function()
  local daemon, client, policies, file
  local function start(options)
    policies = harness.policies()
    file = policies .. "/b2b_saas/policy.lua"
    options = options or {}
    options.policies = policies
    daemon = harness.start(options)
    client = daemon:connect()
  end
  after_each(harness.finish)

  local function version() return client:must("policy.status").version end
  local function wait_version_after(old)
    harness.wait(
      function() return "another version than " .. old .. "; the log:\n" .. daemon:log() end,
      function() return version() ~= old end
    )
    return version()
  end

  it("stays the same version when its data change, and decisions say which data they had", function()
    start()
    local team = file:gsub("policy.lua$", "data/sales_team.csv")
    local before = client:must "policy.status"
    local first = client:must("event.ingest", event { messageId = "m1" })
    assert.same({ before.version, before.data }, { first.policy.version, first.policy.data })
    assert.is_truthy(before.data:match "^%x%x%x%x%x%x%x%x%x%x%x%x$")
    harness.write(team, harness.read(team):gsub(",1\n", ",3\n", 1))
    harness.wait(function() return "other data; the log:\n" .. daemon:log() end,
      function() return client:must("policy.status").data ~= before.data end)
    local after = client:must "policy.status"
    assert.same({ before.version, before.hash, 2 }, { after.version, after.hash, after.number })
    local second = client:must("event.ingest", event())
    assert.same({ before.version, after.data }, { second.policy.version, second.policy.data })
    for _, decision in ipairs { first, second } do
      local why = client:must("decision.explain", decision.decision_id)
      assert.is_true(why.reproduced)
      assert.same(decision.policy, why.decision.policy)
    end
    assert.equal(after.data, client:must("event.ingest", event { messageId = "m2" }).policy.data)
    harness.write(team, "name,team\n") -- what is wrong with it is said by its own line, and changes nothing
    daemon:expect_errors "sales_team.csv"
    harness.wait(function() return "a refusal; the log:\n" .. daemon:log() end,
      function() return client:must("policy.status").error ~= NIL end)
    assert.equal(after.data, client:must("event.ingest", event()).policy.data)
  end)

  it("is taken over when its file changes", function()
    start()
    local old = version()
    local first = client:must("event.ingest", event { messageId = "m1" })
    harness.edit(file, "utility = 5, why", "utility = 6, why")
    local new = wait_version_after(old)
    local status = client:must "policy.status"
    assert.equal(2, status.number)
    assert.equal(NIL, status.error)
    local second = client:must("event.ingest", event())
    assert.same({ old, new }, { first.policy.version, second.policy.version })
    assert.equal(first.lead, second.lead)
    assert.equal("2", second.decision_id:match "%d+$")
    -- What was decided stays decided, and can still be explained by the version that did it.
    assert.equal(old, client:must("event.ingest", event { messageId = "m1" }).policy.version)
    for _, decision in ipairs { first, second } do
      local why = client:must("decision.explain", decision.decision_id)
      assert.is_true(why.reproduced)
      assert.equal(decision.policy.version, why.decision.policy.version)
    end
    harness.edit(file, "utility = 6, why", "utility = 5, why") -- the same bytes are the same version
    assert.equal(old, wait_version_after(new))
    assert.equal(1, client:must("policy.status").number)
  end)

  it("decides differently at once, on every shard", function()
    start { shards = 3, watch = "no" }
    for i = 1, 30 do
      assert.equal("visitor", client:must("event.ingest", event { userId = "u" .. i }).stage)
    end
    harness.edit(
      file,
      "belief.intent:at_least(20), f.is_known",
      "belief.intent:at_least(20), f.is_known, f.pricing_views_7d:at_least(2)"
    )
    assert.is_true(daemon:admin():must("policy.reload").changed)
    for i = 1, 30 do
      assert.equal("engaged", client:must("event.ingest", event { userId = "u" .. i }).stage)
    end
  end)

  it("is taken over at SIGHUP, and only then when nobody watches", function()
    start { watch = "no" }
    local old = version()
    harness.edit(file, "utility = 5, why", "utility = 6, why")
    assert.equal(old, client:must("event.ingest", event()).policy.version)
    assert.equal(0, client:must("policy.status").reloads)
    daemon:hup()
    local new = wait_version_after(old)
    assert.equal(new, client:must("event.ingest", event()).policy.version)
    assert.equal(1, client:must("policy.status").reloads)
    daemon:hup() -- nothing new
    harness.wait("the second reload", function() return client:must("policy.status").reloads == 2 end)
    assert.equal(new, version())
    holds(daemon:log(), "event=reload_unchanged")
  end)

  it("is taken over when administration asks, which hears what became of it", function()
    start { watch = "no" }
    local admin, old = daemon:admin(), version()
    assert.is_false(admin:must("policy.reload").changed)
    harness.edit(file, "utility = 5, why", "utility = 6, why")
    local answer = admin:must "policy.reload"
    assert.is_true(answer.changed)
    assert.are_not.equal(old, answer.status.version)
    assert.equal(answer.status.version, version())
    assert.is_false(admin:must("policy.reload").changed)
    assert.equal(3, client:must("policy.status").reloads)
    holds(daemon:log(), "policy.reload by uid")
  end)

  it("keeps lists of people, and a changed one is a new version", function()
    start { watch = "no" }
    local maria = event { type = "identify", traits = { email = "maria@acme.example" } }
    assert.is_true(client:must("event.ingest", maria).eligible)
    local list = policies .. "/b2b_saas/data/free_mail.csv"
    harness.write(list, harness.read(list):gsub("\n*$", "\nacme.example\n", 1))
    assert.is_true(daemon:admin():must("policy.reload").changed)
    local decision = client:must("event.ingest", maria)
    assert.is_false(decision.eligible)
    assert.equal("email_domain in free_mail", decision.ineligible)
  end)

  it("may get new features, and a lead keeps what is known of it", function()
    start { watch = "no" }
    for _ = 1, 3 do
      client:must("event.ingest", event())
    end
    client:must("event.ingest", event { type = "identify", traits = { email = "maria@acme.example" } })
    local before = client:must("lead.get", "u1").lead
    harness.edit(
      policies .. "/signals/b2b/features/web.lua",
      "return {\n",
      'return {\n  { name = "pricing_views", op = "count", on = { "Pricing Viewed" }, description = "Looks at prices, ever." },\n'
    )
    local admin = daemon:admin()
    assert.is_true(admin:must("policy.reload").changed)
    local decision = client:must("event.ingest", event())
    local after = client:must("lead.get", "u1").lead
    assert.equal("engaged", after.stage)
    assert.equal(before.stage_since, after.stage_since)
    assert.equal(4, after.features.pricing_views_7d)
    assert.equal(1, after.features.pricing_views) -- counts from its beginning
    assert.equal(5, after.decisions)
    assert.is_true(client:must("decision.explain", decision.decision_id).reproduced)
    -- And after a crash all of it is there again.
    local bytes = select(2, client:must("lead.get", "u1"))
    daemon:kill()
    daemon:restart()
    client = daemon:connect()
    assert.equal(bytes, select(2, client:must("lead.get", "u1")))
  end)

  it("may call a stage by another name, and a lead that is in it stays", function()
    start { watch = "no" }
    client:must("event.ingest", event { type = "identify", traits = { email = "maria@acme.example" } })
    local before = client:must("lead.get", "u1").lead
    assert.equal("engaged", before.stage)
    local text = harness.read(file)
    local renamed = text:gsub('"engaged"', '"interested"')
    harness.write(file, (renamed:gsub("journey%.start", 'journey.was "engaged" { now = "interested", why = "Says it better." }\n%0')))
    local admin = daemon:admin()
    assert.is_true(admin:must("policy.reload").changed)
    client:must("event.ingest", event())
    local after = client:must("lead.get", "u1").lead
    assert.equal("interested", after.stage)
    assert.equal(before.stage_since, after.stage_since)
    assert.equal(before.timers[1].due, after.timers[1].due)
    harness.write(file, text) -- and back, without a word: the version in force knows what it was called
    assert.is_true(admin:must("policy.reload").changed)
    client:must("event.ingest", event())
    assert.equal("engaged", client:must("lead.get", "u1").lead.stage)
    assert.equal(before.stage_since, client:must("lead.get", "u1").lead.stage_since)
  end)

  it("that took a stage away while nobody decided is not taken at the start", function()
    start { watch = "no" }
    local old = version()
    daemon:stop()
    local text = harness.read(file)
    harness.write(file, (text:gsub('"nurture"', '"nursing"')))
    daemon:expect_errors "policy_problem"
    daemon:expect_errors "policy_broken"
    daemon:restart()
    client = daemon:connect()
    assert.equal(old, version())
    holds(client:must("policy.status").error.detail, "stage 'nurture' is gone")
  end)

  it("in force is in force after a restart, with the number it had", function()
    start { watch = "no" }
    local numbers = {}
    for i = 6, 9 do
      harness.edit(file, "utility = " .. i - 1 .. ", why", "utility = " .. i .. ", why")
      numbers[i] = daemon:admin():must("policy.reload").status.number
      assert.equal(i - 4, numbers[i])
    end
    local last = version()
    daemon:stop()
    daemon:restart()
    client = daemon:connect()
    assert.equal(last, version())
    assert.equal(numbers[9], client:must("policy.status").number)
  end)

  it("whose files were broken at the start is taken over when they are repaired", function()
    start()
    local old = version()
    client:must("event.ingest", event())
    daemon:stop()
    local text = harness.read(file)
    harness.write(file, "this is no Lua")
    daemon:restart()
    daemon:expect_errors "policy_problem"
    daemon:expect_errors "policy_broken"
    client = daemon:connect()
    assert.equal(old, version())
    assert.not_equal(NIL, client:must("policy.status").error)
    harness.write(file, (text:gsub("utility = 5, why", "utility = 6, why")))
    wait_version_after(old)
    assert.equal(NIL, client:must("policy.status").error)
  end)

  describe("that is broken", function()
    local faults = {
      {
        "by a syntax error",
        function() harness.edit(file, 'policy "b2b_saas" {', 'policy "b2b_saas" [') end,
        "policy_invalid",
        "policies/b2b_saas/policy.lua:",
        "near",
      },
      {
        "by a misspelt feature",
        function() harness.edit(file, "f.pricing_views_7d:", "f.pricing_view_7d:") end,
        "policy_invalid",
        "policies/b2b_saas/policy.lua:",
        "pricing_view_7d",
        "did you mean 'pricing_views_7d'",
      },
      {
        "by a misspelt stage",
        function() harness.edit(file, 'go "engaged" { when = any', 'go "engagd" { when = any') end,
        "policy_invalid",
        "policies/b2b_saas/policy.lua:",
        "engagd",
        "did you mean 'engaged'",
      },
      {
        "by an endless loop",
        function() harness.edit(file, 'policy "b2b_saas" {', 'while true do end policy "b2b_saas" {') end,
        "policy_invalid",
        "policies/b2b_saas/policy.lua:",
        "stopped after",
      },
      {
        "by taking all memory",
        function()
          harness.edit(
            file,
            'policy "b2b_saas" {',
            'local t = {} for i = 1, 1e9 do t[i] = { i } end policy "b2b_saas" {'
          )
        end,
        "policy_invalid",
        "not enough memory",
      },
      {
        "by a model cut short",
        function()
          local path = policies .. "/models/b2b_fit/1/weights.json"
          harness.write(path, harness.read(path):sub(1, -20))
        end,
        "model_invalid",
        "models/b2b_fit/1",
        "is not the model that was in force under this version",
      },
      {
        "by a list that is not there",
        function() os.remove(policies .. "/b2b_saas/data/free_mail.csv") end,
        "policy_invalid",
        "free_mail",
      },
      {
        "by a stage that went without a word",
        function() harness.write(file, (harness.read(file):gsub('"nurture"', '"nursing"'))) end,
        "policy_invalid",
        "policies/b2b_saas/policy.lua:",
        "stage 'nurture' is gone, and leads may be in it by the version in force",
        'journey.was "nurture" {',
      },
      { "by not being there", function() os.remove(file) end, "not_found", "b2b_saas" },
    }
    for _, fault in ipairs(faults) do
      local what, break_it, code = unpack(fault)
      it(what .. " leaves the old one in force, and says why", function()
        start { watch = "no", ["policy.build_instructions"] = 20000000 }
        local saved = {}
        local touched = { "/b2b_saas/policy.lua", "/b2b_saas/data/free_mail.csv", "/models/b2b_fit/1/weights.json" }
        for _, name in ipairs(touched) do
          saved[name] = harness.read(policies .. name)
        end
        daemon:expect_errors "reload_failed"
        daemon:expect_errors "policy_problem"
        local old = version()
        client:must("event.ingest", event())
        local before = select(2, client:must("lead.get", "u1"))
        break_it()
        local admin = daemon:admin()
        local _, err = admin:call "policy.reload"
        assert.is_table(err)
        assert.equal(code, err.code, err.detail)
        assert.is_false(err.retryable)
        holds(err.detail, unpack(fault, 4))
        local status = client:must "policy.status"
        assert.equal(old, status.version)
        assert.equal(1, status.reload_failures)
        assert.equal(err.detail, status.error.detail)
        assert.equal(1, daemon:metric "intentd_reload_failed")
        assert.equal(1, daemon:metric "intentd_reload_failures_total")
        holds(daemon:log(), "event=reload_failed", old)
        assert.equal(before, select(2, client:must("lead.get", "u1")))
        assert.equal(old, client:must("event.ingest", event()).policy.version)
        for name, text in pairs(saved) do
          harness.write(policies .. name, text)
        end
        assert.is_false(admin:must("policy.reload").changed)
        assert.equal(NIL, client:must("policy.status").error) -- what is on disk is what runs
        assert.equal(0, daemon:metric "intentd_reload_failed")
      end)
    end

    it("is noticed by the watcher, and so is its repair", function()
      start()
      daemon:expect_errors "reload_failed"
      daemon:expect_errors "policy_problem"
      local old = version()
      harness.edit(file, "f.pricing_views_7d:", "f.pricing_view_7d:")
      harness.wait("the failure", function() return client:must("policy.status").error ~= NIL end)
      holds(client:must("policy.status").error.detail, "did you mean 'pricing_views_7d'")
      assert.equal(old, version())
      harness.edit(file, "f.pricing_view_7d:at_least(3)", "f.pricing_views_7d:at_least(4)")
      wait_version_after(old)
      assert.equal(NIL, client:must("policy.status").error)
    end)
  end)

  it(
    "changes while events flow: none is dropped, each is decided by one version, and a lead's versions never go back",
    function()
      start { shards = 3, watch = "no" }
      daemon:expect_errors "reload_failed"
      daemon:expect_errors "policy_problem"
      local admin = daemon:admin()
      local number_of, rounds, leads = { [version()] = 1 }, 16, 40
      local senders, decided = {}, {}
      for s = 1, 3 do
        senders[s] = daemon:connect()
      end
      local count = 0
      for round = 1, rounds do
        local ids = {}
        local function send_some()
          for s, sender in ipairs(senders) do
            for _ = 1, 20 do
              count = count + 1
              -- Each connection has leads of its own, so that what it hears is in the order in which they lived.
              ids[#ids + 1] = {
                s,
                sender:send("event.ingest", event { userId = ("u%d-%d"):format(s, count % leads), messageId = count }),
              }
            end
          end
        end
        send_some()
        local broken = round % 4 == 0
        if broken then
          harness.edit(file, "journey.start", "journey.stat")
        else
          harness.edit(file, "--", "-- " .. round .. "\n--")
        end
        local reload = admin:send "policy.reload"
        send_some()
        local answer = admin:answer(reload)
        if broken then
          assert.equal("policy_invalid", answer.error.code)
          harness.edit(file, "journey.stat", "journey.start")
        else
          assert.is_true(answer.result.changed)
          number_of[answer.result.status.version] = answer.result.status.number
        end
        send_some()
        for _, id in ipairs(ids) do
          local response = senders[id[1]]:answer(id[2])
          assert.is_nil(response.error)
          local lead, number = response.result.decision_id:match "^(%x+)%-(%d+)$"
          decided[lead] = decided[lead] or {}
          assert.is_nil(decided[lead][tonumber(number)])
          decided[lead][tonumber(number)] = response
        end
      end
      local total, versions = 0, {}
      for _, life in pairs(decided) do
        local before = 0
        for number, response in ipairs(life) do
          local release = number_of[response.result.policy.version]
          assert.is_number(release, "a version that was never in force")
          assert.is_true(release >= before, "a lead went back to an older version")
          before, total, versions[release] = release, total + 1, true
          if number == #life or number == 1 then
            assert.equal(response.raw, select(2, client:must("decision.get", response.result.decision_id)))
            assert.is_true(client:must("decision.explain", response.result.decision_id).reproduced)
          end
        end
      end
      assert.equal(count, total) -- the running numbers have no holes: ipairs met each
      local used = 0
      for _ in pairs(versions) do
        used = used + 1
      end
      assert.is_true(used >= 10, "only " .. used .. " versions decided")
    end
  )
end)
