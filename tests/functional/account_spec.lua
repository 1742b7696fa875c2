--- Accounts: what one lead does is known to its colleagues' next decisions, over shards, restarts and merges.
local harness = require "harness"

local function event(user, keys)
  local e = harness.event { userId = user }
  for key, value in pairs(keys) do
    e[key] = value or nil
  end
  return e
end
local function group(user, name) return event(user, { type = "group", event = false, groupId = name }) end

local function account(client, name)
  local answer = client:call("account.get", name)
  return answer
end

local function people(client, name, count)
  return harness.wait(count .. " people of " .. name, function()
    local answer = account(client, name)
    return answer and #answer.account.people == count and not answer.account.is_dirty and answer
  end)
end

local function feature_of(client, who, name)
  for _, feature in ipairs(client:must("decision.explain", who).features) do
    if feature.name == name then return feature end
  end
end

local function intent(...)
  local out = harness.folder() .. "/out"
  local status = os.execute(("'%s/intent' %s >%s 2>&1"):format(harness.bin, table.concat({ ... }, " "), out))
  return harness.read(out), status
end

describe("an account's feature", function()
  it("is of no personal trait", function()
    local policies = harness.policies()
    harness.edit(policies .. "/signals/b2b/features/account.lua", "return {\n", [[return {
  { name = "account_boss", op = "account", roll = "trait", of = "traits.email", text = true },
]])
    local out, status = intent("check", policies .. "/b2b_saas")
    assert.not_equal(0, status, out)
    assert.truthy(out:find("account_boss: traits.email is personal, and an account is not", 1, true), out)
  end)

  it("is said by a policy's spec: a number, a duration, or a trait's text", function()
    local policies = harness.policies()
    harness.edit(policies .. "/signals/b2b/features/account.lua", "return {\n", [[return {
  { name = "account_plan", op = "account", roll = "trait", of = "traits.plan", text = true },
]])
    harness.edit(policies .. "/b2b_saas/policy.lua", 'belief.evidence "colleague_asked" {', [[
belief.evidence "pays" { when = f.account_plan:is "enterprise", points = 9, half_life = "7d", channel = "sales", why = "They pay." }
belief.evidence "colleague_asked" {]])
    local function case(said, least)
      harness.write(policies .. "/b2b_saas/traits_spec.lua", ([[return { { name = "what an account says", events = {
  { at = "2026-01-05T09:00:00Z", type = "identify", traits = { email = "a@acme.example" } },
  { after = "1h", type = "page", name = "Home", channel = "web", account = { %s } } }, expect = { min_intent = %s } } }]]):format(said, least))
      return intent("test", policies .. "/b2b_saas", "--only", "'what an account says'")
    end
    local out, status = case('account_plan = "enterprise", account_demo_ago = "1h", account_people = 3', 20)
    assert.equal(0, status, out)
    out, status = case('account_plan = "free"', 1)
    assert.not_equal(0, status, out)
    for _, wrong in ipairs { "account_plan = 7", 'account_people = "many"', "account_plan = true", 'docs_views_30d = 3' } do
      out, status = case(wrong, 0)
      assert.not_equal(0, status, wrong .. "\n" .. out)
    end
  end)

  it("is shown among what is derived from what it reads", function()
    local out, status = intent("feature", "lineage", "demo_ago", "--policy", harness.root .. "/policies/b2b_saas")
    assert.equal(0, status, out)
    assert.truthy(out:find("derived from it +account_demo_ago\n"), out)
    out = intent("feature", "lineage", "account_demo_ago", "--policy", harness.root .. "/policies/b2b_saas")
    assert.truthy(out:find("roll +latest\n") and out:find("evidence colleague_asked", 1, true), out)
  end)
end)

for _, shards in ipairs { 1, 4 } do
  describe("an account, on " .. shards .. " shards", function()
    after_each(harness.finish)

    it("tells each of its people what the others did, and why that counted", function()
      local daemon = harness.start { shards = shards, ["account.interval"] = "1ms" }
      local client = daemon:connect()
      assert.is_nil((client:call("account.get", "acme")))
      client:must("event.ingest", group("maria", "acme"))
      client:must("event.ingest", group("tom", "acme"))
      people(client, "acme", 2)
      client:must("event.ingest", event("tom", { event = "Demo Requested" }))
      harness.wait("maria to hear of it", function()
        client:must("event.ingest", event("maria", { event = "Pricing Viewed" }))
        return tonumber(feature_of(client, "maria", "account_demo_ago").value)
      end)
      local explained = client:must("decision.explain", "maria")
      assert.is_true(explained.reproduced)
      local feature = feature_of(client, "maria", "account_people")
      assert.equal(2, feature.value)
      assert.equal("minutes", feature.freshness)
      assert.is_true(feature.age >= 0 and feature.age < 600000)
      local colleague
      for _, reason in ipairs(explained.decision.reasons) do
        if reason.name == "colleague_asked" then colleague = reason end
      end
      assert.is_table(colleague)
      local text = daemon:get "/metrics"
      assert.is_true(tonumber(text:match "\nintentd_account_age_seconds_count (%d+)") > 0)

      client:must("event.ingest", group("tom", "globex"))
      people(client, "acme", 1)
      people(client, "globex", 1)

      daemon:kill()
      daemon:restart { shards = 5 - shards }
      client = daemon:connect()
      people(client, "acme", 1)
      local shown = people(client, "globex", 1)
      assert.equal(client:must("lead.get", "tom").lead.lead, shown.account.people[1].lead)
      local out, status = intent("account", "show", "globex", "--to", "127.0.0.1:" .. daemon.ports.listen)
      assert.equal(0, status, out)
      assert.truthy(out:find("account_people +1\n"), out)
      out, status = intent("account", "show", "nobody", "--to", "127.0.0.1:" .. daemon.ports.listen)
      assert.not_equal(0, status, out)
      daemon:stop()
      out, status = intent("replay", "--json", "--data", daemon.data)
      assert.equal(0, status, out)
      assert.equal(0, tonumber(out:match '"different":(%d+)'), out)
      out, status = intent("journal", "verify", "--data", daemon.data)
      assert.equal(0, status, out)
      out, status = intent("feature", "verify", "--data", daemon.data)
      assert.equal(0, status, out)
    end)

    it("has the traits that its group events gave it last, by their times, and its people's policies read them", function()
      local policies = harness.policies()
      harness.edit(policies .. "/signals/b2b/features/account.lua", "return {\n", [[return {
  { name = "account_plan", op = "account", roll = "trait", of = "traits.plan", text = true, urgent = true },
  { name = "account_employees", op = "account", roll = "trait", of = "traits.company.employees" },
]])
      harness.edit(policies .. "/b2b_saas/policy.lua", 'belief.evidence "colleague_asked" {', [[
belief.evidence "pays" { when = f.account_plan:is "enterprise", points = 9, half_life = "7d", channel = "sales", why = "They pay." }
belief.evidence "colleague_asked" {]])
      local daemon = harness.start { shards = shards, policies = policies, ["account.interval"] = "1ms" }
      local client = daemon:connect()
      local hour = 3600000
      local now = os.time() * 1000
      local function named(user, name, hours_ago, traits)
        local e = group(user, name)
        e.timestamp, e.traits = now - hours_ago * hour, traits
        client:must("event.ingest", e)
      end
      named("maria", "acme", 3, { plan = "free", company = { employees = 40 }, other = "not kept" })
      named("tom", "acme", 1, { plan = "enterprise" })
      named("maria", "acme", 2, { plan = "team", company = { employees = 50 } })
      named("maria", "globex", 4, { plan = "older", company = { employees = 7 } }) -- she is acme's
      local function traits(name)
        local answer = account(client, name)
        return answer and answer.features.account_plan, answer and answer.features.account_employees
      end
      harness.wait("the account's traits", function()
        local plan, employees = traits "acme"
        return plan == "enterprise" and employees == 50
      end)
      harness.wait("the other's, which nobody is of", function() return traits "globex" == "older" end)
      harness.wait("maria to read it", function()
        client:must("event.ingest", event("maria", { event = "Pricing Viewed" }))
        return feature_of(client, "maria", "account_plan").value == "enterprise"
      end)
      local explained = client:must("decision.explain", "maria")
      assert.is_true(explained.reproduced)
      local names = {}
      for _, reason in ipairs(explained.decision.reasons) do
        names[reason.name] = true
      end
      assert.is_true(names.pays)
      named("tom", "globex", 0, {}) -- who leaves takes none with him
      people(client, "acme", 1)
      assert.equal("enterprise", (traits "acme"))
      daemon:kill()
      daemon:restart { shards = 5 - shards }
      client = daemon:connect()
      assert.equal("enterprise", (traits "acme"))
      local out = intent("account", "show", "acme", "--to", "127.0.0.1:" .. daemon.ports.listen)
      assert.truthy(out:find("account_plan +enterprise\n") and out:find("account_employees +50\n"), out)
      daemon:stop()
      local status
      for _, command in ipairs { { "replay", "--json" }, { "journal", "verify" }, { "feature", "verify", "--all" } } do
        out, status = intent(command[1], command[2], command[3] or "", "--data", daemon.data)
        assert.equal(0, status, out)
        assert.equal("0", out:match '"different":(%d+)' or "0", out)
      end
    end)

    local once = shards == 4 and it or function() end
    once("keeps to other bounds from the next message on, and what was before is as it was", function()
      local daemon = harness.start { shards = shards, ["account.interval"] = "1ms", ["account.people"] = 5, ["account.fanout"] = 2,
        ["account.active"] = "1h" }
      local client = daemon:connect()
      for i = 1, 12 do
        client:must("event.ingest", group("u" .. i, "acme"))
      end
      harness.wait("all to be known", function()
        local answer = account(client, "acme")
        return answer and answer.account.evicted == 7
      end)
      local shown = people(client, "acme", 5)
      assert.equal(7, daemon:metric "intentd_account_people_evicted_total")
      assert.is_true(daemon:metric "intentd_account_copies_dropped_total" > 0)
      daemon:kill()
      daemon:restart { ["account.people"] = 3, ["account.fanout"] = false, ["account.active"] = "1ms" }
      client = daemon:connect()
      assert.same(shown.account.people, account(client, "acme").account.people)
      client:must("event.ingest", event("u12", { event = "Demo Requested" }))
      harness.wait("the others to be dropped", function() return account(client, "acme").account.evicted == 9 end)
      local last
      harness.wait("somebody to be idle", function()
        last = client:must("event.ingest", event("u12", { event = "Demo Requested" }))
        return daemon:metric "intentd_account_copies_idle_total" > 0
      end)
      harness.wait("the account to hear of the last one", function()
        for _, person in ipairs(account(client, "acme").account.people) do
          if person.lead == last.lead then return person.touch >= last.at end
        end
      end)
      shown = people(client, "acme", 3)
      daemon:kill()
      daemon:restart { ["account.people"] = false, ["account.active"] = false, shards = 5 - shards }
      client = daemon:connect()
      assert.same(shown.account.people, account(client, "acme").account.people)
      daemon:stop()
      local out, status = intent("replay", "--json", "--data", daemon.data)
      assert.equal(0, status, out)
      assert.equal("0", out:match '"different":(%d+)', out)
      out, status = intent("journal", "verify", "--data", daemon.data)
      assert.equal(0, status, out)
    end)

    it("keeps what a forgotten lead added, and nothing that says whose it was", function()
      local daemon = harness.start { shards = shards, ["account.interval"] = "1ms" }
      local client = daemon:connect()
      client:must("event.ingest", group("maria", "acme"))
      client:must("event.ingest", group("tom@acme.example", "acme"))
      local before = people(client, "acme", 2)
      local admin = daemon:admin()
      admin:must("lead.forget", "tom@acme.example")
      local after = people(client, "acme", 2)
      assert.same(before.account.people, after.account.people)
      daemon:stop()
      local out = intent("journal", "show", "--data", daemon.data)
      assert.is_nil(out:find("tom@acme", 1, true))
    end)

    it("is whole after a reshard, and sends what was held back when it was killed", function()
      local daemon = harness.start { shards = shards }
      local client = daemon:connect()
      for i = 1, 6 do
        client:must("event.ingest", group("u" .. i, "acme"))
      end
      harness.wait("six people", function()
        local answer = account(client, "acme")
        return answer and #answer.account.people == 6
      end)
      assert.is_true(account(client, "acme").account.is_dirty) -- for a minute, but for the kill
      daemon:kill()
      daemon:restart { ["account.interval"] = "1ms" }
      people(daemon:connect(), "acme", 6)
      daemon:stop()
      local out, status = intent("reshard", "--partitions", "3", "--data", daemon.data)
      assert.equal(0, status, out)
      daemon:restart { shards = 2 }
      client = daemon:connect()
      local before = people(client, "acme", 6)
      client:must("event.ingest", event("u1", { event = "Demo Requested" }))
      harness.wait("u2 to hear of it", function()
        client:must("event.ingest", event("u2", { event = "Docs Viewed" }))
        return tonumber(feature_of(client, "u2", "account_demo_ago").value)
      end)
      assert.equal(before.account.account, account(client, "acme").account.account)
    end)

    it("counts a person once who was anonymous before", function()
      local daemon = harness.start { shards = shards, ["account.interval"] = "1ms" }
      local client = daemon:connect()
      client:must("event.ingest", harness.event { type = "group", event = false, userId = false, groupId = "acme", anonymousId = "device" })
      client:must("event.ingest", group("tom", "acme"))
      people(client, "acme", 2)
      client:must("event.ingest", event("tom", { type = "identify", event = false, anonymousId = "device" }))
      people(client, "acme", 1)
    end)
  end)
end
