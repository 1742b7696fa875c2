--- `intent new`: what it makes passes check and test as it is, and nothing is overwritten.
local harness = require "harness"
local intent = require "intent"
local run, has, lacks = intent.run, intent.has, intent.lacks

describe("intent new", function()
  after_each(harness.finish)

  local function passes(policies, name)
    local out, code = run { "check", policies .. "/" .. name }
    assert.are.equal(0, code, out)
    lacks(out, "warning")
    local tested, ok = run { "test", policies .. "/" .. name, "--coverage" }
    assert.are.equal(0, ok, tested)
    has(tested, "3 passed, 0 failed\n")
    assert.is_true(tonumber(tested:match "rules, ([%d.]+) %%") >= 85, tested)
  end

  it("makes a policy that passes check and test, on each shipped signal set", function()
    local policies = harness.policies()
    for name, set in pairs { renewals = false, desk_work = "loans" } do
      local out, code, err = run { "new", "policy", name, "--policies", policies, "--owner", "ops@example.com",
        set and "--signals" or nil, set or nil }
      assert.are.equal(0, code, err)
      has(out, policies .. "/" .. name .. "/policy.lua\n")
      has(out, "now: intent check ")
      has(harness.read(policies .. "/" .. name .. "/policy.lua"), 'owner = "ops@example.com"')
      has(harness.read(policies .. "/" .. name .. "/policy.lua"), set and '"loans@1"' or '"b2b@4"')
      passes(policies, name)
    end
    -- and a daemon runs it
    local daemon = harness.start { policies = policies, policy = "renewals", clock = "event", seed = harness.SEED }
    local decision = daemon:connect():must("event.ingest", { type = "page", name = "Home", userId = "u", timestamp = 1767603600000 })
    assert.are.equal("visitor", decision.stage)
  end)

  it("makes a signal set, and a policy on it", function()
    local policies = harness.policies()
    local out, code, err = run { "new", "signals", "bakery", "--policies", policies }
    assert.are.equal(0, code, err)
    has(out, "signals/bakery/features/web.lua\n")
    local checked, ok = run { "check", policies .. "/signals/bakery" }
    assert.are.equal(0, ok, checked)
    lacks(checked, "warning")
    assert.are.equal(0, select(2, run { "new", "policy", "bakery_leads", "--policies", policies, "--signals", "bakery" }))
    passes(policies, "bakery_leads")
  end)

  -- The first chapter of docs/policy-guide.md is a walk: its commands are taken from the page.
  it("begins the guide's walk, whose edits do what the page says", function()
    local page, policies = harness.read(harness.root .. "/docs/policy-guide.md"), harness.policies()
    local bin = os.getenv "INTENTD_BIN" or harness.bin
    local outcomes = {}
    for block in page:gmatch "\n```sh walk\n(.-)```" do
      local pipe = io.popen(("cd '%s/..' && export PATH='%s':$PATH && { %s; } 2>&1"):format(policies, bin, block:gsub("\n", "; "):gsub("; $", "")))
      outcomes[#outcomes + 1] = pipe:read "*a"
      pipe:close()
    end
    assert.are.equal(3, #outcomes)
    has(outcomes[1], "first: ok")
    has(outcomes[1], "3 passed, 0 failed")
    has(outcomes[2], "first: ok")
    has(outcomes[3], "3 passed, 0 failed")
    local path = policies .. "/first/policy.lua"
    local text = harness.read(path)
    has(text, "email_clicks_7d:at_least(2)")
    local spec = harness.read(policies .. "/first/policy_spec.lua")
    has(spec, ':track("Email Link Clicked", 1)')
    harness.write(policies .. "/first/policy_spec.lua", (spec:gsub('Clicked", 1%)', 'Clicked", 2)')))
    has(run { "test", policies .. "/first" }, "line 6: stage is 'lead', not 'visitor'")
    harness.write(path, (text:gsub("email_clicks_7d", "email_click_7d")))
    has(run { "check", policies .. "/first" }, "policy.lua:16: error: no feature 'email_click_7d' in b2b@4; did you mean 'email_clicks_7d'?")
  end)

  it("overwrites nothing, and says what is wrong", function()
    local policies = harness.policies()
    local before = harness.read(policies .. "/b2b_saas/policy.lua")
    local _, code, err = run { "new", "policy", "b2b_saas", "--policies", policies }
    assert.are.equal(1, code)
    has(err, "/b2b_saas is there already, and nothing is overwritten")
    assert.are.equal(before, harness.read(policies .. "/b2b_saas/policy.lua"))
    assert.are.equal(1, select(2, run { "new", "signals", "b2b", "--policies", policies }))
    for _, wrong in ipairs {
      { { "new", "policy", "Big" }, '"Big" can\'t be a name' }, { { "new", "policy", "../x" }, "can't be a name" },
      { { "new", "policy", "signals" }, "can't be a name" }, { { "new", "polcy", "x" }, "did you mean policy?" },
      { { "new", "policy", "x", "--signals", "b2c" }, "is no folder" }, { { "new", "policy", "x", "--signals", ".." }, "is no signal set" },
      { { "new", "policy", "x", "--owner", 'a"b' }, "--owner: a text" },
      { { "new", "policy", "x", "--policies", "/nowhere" }, "no folder /nowhere to write to" },
    } do
      local words = wrong[1]
      if words[4] ~= "--policies" then
        words[#words + 1] = "--policies"
        words[#words + 1] = policies
      end
      local _, usage, said = run(words)
      assert.are.equal(2, usage, said)
      has(said, wrong[2])
    end
    assert.is_nil(harness.read(policies .. "/x/policy.lua"))
    harness.write(policies .. "/signals/b2b/features/web.lua", "return { {} }")
    local broken, failed = run { "new", "policy", "x", "--policies", policies }
    assert.are.equal(1, failed)
    has(broken, "/signals/b2b/features/web.lua")
  end)
end)
