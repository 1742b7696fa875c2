--- Models are versioned apart from policies: what there is, what is in force, and how that changes.
local ffi = require "ffi"
local harness = require "harness"
local wire = require "wire"
local tool = require "intent"
local holds = tool.holds
local function intent(...) return tool.said("model", ...) end

pcall(ffi.cdef, "int crypto_hash_sha256(uint8_t *out, const uint8_t *in, unsigned long long n);")
local sodium = ffi.load "sodium"
local NIL = wire.NIL

local function sha256(text)
  local out, digits = ffi.new "uint8_t[32]", {}
  sodium.crypto_hash_sha256(out, text, #text)
  for i = 0, 31 do digits[i + 1] = ("%02x"):format(out[i]) end
  return table.concat(digits)
end

--- A version of b2b_fit that gives everybody ten times its number: a decision's score says which one made it.
local function put_fit(models, version, points, feature)
  local dir = models .. "/b2b_fit/" .. version
  require("lfs").mkdir(dir)
  local weights = ([[{"base": %g, "terms": [{"feature": "company_size", "bins": [{"points": 0}], "missing": 0}%s]}]]):format(
    points or 10 * version, feature and (', {"feature": "' .. feature .. '", "bins": [{"points": 0}], "missing": 0}') or "")
  harness.write(dir .. "/weights.json", weights)
  harness.write(dir .. "/model.json", ([[{"name": "b2b_fit", "version": "%s", "kind": "scorecard", "sha256": "%s",
    "target": "t", "rationale": "r", "scale": {"points_to_double_odds": 10, "points_at_even_odds": 50},
    "features": [{"name": "company_size", "definition": null}%s]}]]):format(version, sha256(weights),
    feature and (', {"name": "' .. feature .. '", "definition": "0123456789abcdef"}') or ""))
end

describe("the folder of models", function()
  after_each(harness.finish)
  local models
  before_each(function() models = harness.policies() .. "/models" end)

  local function put(name, version, from)
    local text = harness.read(models .. "/" .. name .. "/" .. from .. "/model.json")
    assert(require("lfs").mkdir(models .. "/" .. name .. "/" .. version))
    text = text:gsub('"version": "' .. from .. '"', '"version": "' .. version .. '"')
    harness.write(models .. "/" .. name .. "/" .. version .. "/model.json", text)
    harness.copy(models .. "/" .. name .. "/" .. from .. "/weights.json", models .. "/" .. name .. "/" .. version .. "/weights.json")
  end

  it("is listed in the order of its versions, with what does not load", function()
    put("b2b_fit", "10", "1")
    put("b2b_fit", "9", "1")
    harness.edit(models .. "/b2b_fit/9/weights.json", "{", "{ ")
    local text, code = intent("list", "--models", models)
    assert.equal(0, code, text)
    local first, second, third = text:find("b2b_fit%s+1 "), text:find("b2b_fit%s+9 "), text:find("b2b_fit%s+10 ")
    assert.is_true(first < second and second < third, text)
    holds(text, "does not load", "loan_engagement", "logistic")
    text = intent("list", "loan_fit", "--models", models, "--json")
    holds(text, '[{"name":"loan_fit","version":"1","kind":"scorecard"', '"state":"new"')
    text, code = intent("list", "none", "--models", models)
    assert.equal(1, code)
    holds(text, "there is no model none")
  end)

  it("shows a version, the highest unless one is named, or says what there is", function()
    put("loan_fit", "2", "1")
    local text, code = intent("show", "loan_fit", "--models", models)
    assert.equal(0, code, text)
    holds(text, "scorecard", "trained rows", "3997", "metrics auc_later", "0.5609", "amount_req", "any")
    assert.is_truthy(text:find "version%s+2\n")
    text = intent("show", "loan_fit", "1", "--models", models, "--json")
    holds(text, '"version":"1"', '"auc_later":0.5609')
    for _, case in ipairs {
      { { "show", "loan_fit", "3" }, 1, "loan_fit@3: there is no loan_fit/3/model.json in", "there: 1, 2" },
      { { "show", "load_fit" }, 1, "did you mean 'loan_fit'?" },
      { { "show" }, 2, "show takes 1 to 2 names, not 0" },
      { { "lst" }, 2, 'not "lst"; did you mean list?' },
      { { "activate", "loan_fit", "2" }, 2, "--why TEXT" },
    } do
      local words = { unpack(case[1]) }
      words[#words + 1], words[#words + 2] = "--models", models
      text, code = intent(unpack(words))
      assert.equal(case[2], code, text)
      holds(text, unpack(case, 3))
    end
  end)
end)

describe("a directory's models, by its files", function()
  after_each(harness.finish)

  it("are held against the policy in force, which need not be the newest", function()
    local policies = harness.policies()
    local daemon = harness.start { policies = policies, watch = "no" }
    local first = harness.read(policies .. "/b2b_saas/policy.lua")
    local features = policies .. "/signals/b2b/features/web.lua"
    local declared = harness.read(features)
    local function reload() daemon:admin():must("policy.reload", {}) end
    local function definition()
      local pipe = io.popen(("'%s/intent' feature list --policy '%s/b2b_saas'"):format(harness.bin, policies))
      local hash = pipe:read("*a"):match "page_views_7d .-(%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x) "
      pipe:close()
      return hash
    end
    local hash = definition()
    -- The second version of the policy has a set in which page_views_7d means something else.
    harness.edit(features, 'on = { { type = "page" } }, window = "7d"', 'on = { { type = "page" } }, window = "9d"')
    harness.edit(policies .. "/signals/b2b/signals.lua", "version = 4,", "version = 5,")
    harness.edit(policies .. "/b2b_saas/policy.lua", "b2b@4", "b2b@5")
    reload()
    assert.are_not.equal(hash, definition())
    harness.write(features, declared)
    harness.edit(policies .. "/signals/b2b/signals.lua", "version = 5,", "version = 4,")
    harness.write(policies .. "/b2b_saas/policy.lua", first)
    put_fit(policies .. "/models", 3, 40, "page_views_7d")
    harness.edit(policies .. "/models/b2b_fit/3/model.json", "0123456789abcdef", hash)
    reload() -- back to the first, which keeps its number
    for _ = 1, 2 do
      local text, code = intent("show", "b2b_fit", "3", "--data", daemon.data, "--models", policies .. "/models")
      assert.equal(0, code, text)
      assert.is_truthy(text:find "page_views_7d%s+%x+%s+yes", text)
      local pipe = io.popen(("'%s/intent' feature list --data '%s' 2>&1"):format(harness.bin, daemon.data))
      assert.equal(hash, pipe:read("*a"):match "page_views_7d .-(%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x) ")
      pipe:close()
      pipe = io.popen(("'%s/intent' feature export --at decisions --data '%s' 2>&1"):format(harness.bin, daemon.data))
      holds(pipe:read "*a", "page_views_7d=" .. hash)
      pipe:close()
      if not daemon:wait_exit() then daemon:stop() end
    end
    assert.is_truthy(intent("list", "b2b_fit", "--data", daemon.data, "--models", policies .. "/models"):find "b2b_fit%s+3%s+scorecard%s+new%s+%-%s+%-%s+t%s*\n")
  end)
end)

describe("two versions of a model", function()
  after_each(harness.finish)

  it("are compared by their files", function()
    local models = harness.policies() .. "/models"
    put_fit(models, 2, 40)
    put_fit(models, 3, 60, "seniority")
    harness.edit(models .. "/b2b_fit/3/model.json", '"target": "', '"metrics": {"auc": 0.7}, "target": "another, ')
    local text, code = intent("compare", "b2b_fit", "2", "3", "--models", models)
    assert.equal(0, code, text)
    assert.is_truthy(text:find "metrics auc%s+%-%s+0%.7\n", text)
    assert.is_truthy(text:find "target%s+.+%s+another, ", text)
    assert.is_nil(text:find("kind ", 1, true), text) -- the same
    holds(text, "only 3 has: seniority\n", "the same features: 1\n")
    text, code = intent("compare", "b2b_fit", "2", "2", "--models", models)
    assert.equal(0, code, text)
    holds(text, "the same features: 1\n")
    assert.is_nil(text:find("only", 1, true), text)
    text, code = intent("compare", "b2b_fit", "2", "9", "--models", models)
    assert.equal(1, code)
    holds(text, "there is no b2b_fit/9/model.json")
    text, code = intent("compare", "b2b_fit", "2", "--models", models)
    assert.equal(2, code)
    holds(text, "compare takes 3 names")
  end)
end)

describe("a model", function()
  after_each(harness.finish)
  local daemon, client, admin, models, policy
  local function start(options)
    local policies = harness.policies()
    models, policy = policies .. "/models", policies .. "/b2b_saas/policy.lua"
    options = options or {}
    options.policies, options.watch, options.clock = policies, "no", "event"
    for version = 2, 4 do put_fit(models, version) end
    os.rename(models .. "/b2b_fit/4", models .. "/4") -- comes later
    daemon = harness.start(options)
    client, admin = daemon:connect(), daemon:admin()
  end
  local function again()
    daemon:restart()
    client, admin = daemon:connect(), daemon:admin()
  end

  local at = 1767600000000
  local function decide(user)
    at = at + 1000
    return client:must("event.ingest", harness.event { userId = user or "kim", timestamp = at })
  end
  local function decided_by(version, user)
    local decision = decide(user)
    assert.same({ name = "b2b_fit", version = tostring(version) }, decision.fit_model)
    assert.equal(version * 10000, decision.scores.fit)
    return decision
  end
  local function activate(version, why)
    return admin:must("model.activate", { name = "b2b_fit", version = tostring(version), why = why or "a test" })
  end
  local function rollback() return admin:must("model.rollback", { name = "b2b_fit", why = "worse" }) end
  local function in_force()
    for _, row in ipairs(admin:must("model.list").models) do
      if row.name == "b2b_fit" and row.state == "in_force" then return row end
    end
  end
  local function replays()
    local pipe = io.popen(("'%s/intent' replay --json --data '%s'"):format(harness.bin, daemon.data))
    local text = pipe:read "*a"
    pipe:close()
    assert.equal(0, tonumber(text:match '"different":(%d+)'), text)
    assert.is_true(tonumber(text:match '"decisions":(%d+)') > 0)
  end
  local function releases()
    local pipe = io.popen(("'%s/intent' journal show --json --kind release --data '%s'"):format(harness.bin, daemon.data))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  it("is put in force under the same version of the policy, and that stays over a restart", function()
    start()
    local status = client:must "policy.status"
    local first = decided_by(3) -- the highest there is, where none was in force yet
    os.rename(models .. "/4", models .. "/b2b_fit/4")
    assert.is_false(admin:must("policy.reload").changed) -- a version that comes is a candidate, no more
    decided_by(3)
    local answer = activate(2, "ranks better")
    assert.same({ true, "3", "2", {} }, { answer.changed, answer.before, answer.version, answer.problems })
    local second = decided_by(2)
    assert.equal(first.policy.version, second.policy.version)
    local after = client:must "policy.status"
    assert.same({ status.version, status.hash }, { after.version, after.hash })
    assert.are_not.equal(status.number, after.number)
    assert.is_false(activate(2).changed)
    assert.is_false(admin:must("policy.reload").changed)
    local row = in_force()
    assert.same({ "2", "ranks better", "activate" }, { row.version, row.why, row.how })
    assert.is_truthy(row.by:match "^uid %d+$")
    -- What was decided before is explained by the model that decided it.
    for decision, version in pairs { [first] = "3", [second] = "2" } do
      local why = client:must("decision.explain", decision.decision_id)
      assert.is_true(why.reproduced)
      assert.equal(version, why.decision.fit_model.version)
    end
    for _, ends in ipairs { "stop", "kill" } do
      daemon[ends](daemon)
      again()
      decided_by(2)
      assert.equal("ranks better", in_force().why)
    end
    daemon:stop()
    local frames = releases()
    holds(frames, '"why":"ranks better","by":"uid ', '{"role":"fit","name":"b2b_fit","version":"2"}')
    replays()
    local text, code = intent("list", "b2b_fit", "--data", daemon.data, "--models", models) -- as files, too
    assert.equal(0, code, text)
    assert.is_truthy(text:find "b2b_fit%s+2%s+scorecard%s+in force%s+20", text)
    assert.is_truthy(text:find "b2b_fit%s+3%s+scorecard%s+was in force%s+20", text)
    assert.is_truthy(text:find "b2b_fit%s+4%s+scorecard%s+new%s+%-", text)
    holds(intent("show", "b2b_fit", "--data", daemon.data, "--models", models), "came into force", "ranks better", "yes")
  end)

  it("goes back to the version before, which the folder need not have", function()
    start()
    local text, code = intent("activate", "b2b_fit", "2", "--why", "ranks better", "--data", daemon.data)
    assert.equal(0, code, text)
    holds(text, "b2b_fit 3 -> 2, release 2")
    activate(1)
    activate(2)
    daemon:stop()
    for _, version in ipairs { "1", "2" } do assert(os.rename(models .. "/b2b_fit/" .. version, models .. "/" .. version)) end
    again()
    decided_by(2)
    assert.equal("1", rollback().version)
    assert.equal("1", decide().fit_model.version)
    assert.equal("2", rollback().version)
    decided_by(2)
    text, code = intent("rollback", "b2b_fit", "--why", "worse", "--data", daemon.data)
    assert.equal(0, code, text)
    holds(text, "b2b_fit 2 -> 3, release 1")
    local _, why = admin:call("model.rollback", { name = "b2b_fit", why = "worse" })
    holds(why.detail, "no version of b2b_fit was in force before")
    decided_by(3)
    daemon:stop()
    replays()
  end)

  it("that does not fit is refused with all that differs, and nothing changes", function()
    start()
    put_fit(models, 5, 50, "seniority")
    put_fit(models, 6, 60, "usage_7d") -- of another definition, and behaviour
    harness.edit(models .. "/b2b_fit/6/model.json", '"company_size"', '"company_sise"')
    harness.edit(models .. "/b2b_fit/6/weights.json", '"company_size"', '"company_sise"')
    harness.edit(models .. "/b2b_fit/6/model.json", harness.read(models .. "/b2b_fit/6/model.json"):match '"sha256": "(%x+)"',
      sha256(harness.read(models .. "/b2b_fit/6/weights.json")))
    put_fit(models, 7, 70)
    harness.edit(models .. "/b2b_fit/7/weights.json", "70", "71")
    decided_by(3)
    local before = select(2, client:must "policy.status")
    local rows = select(2, admin:must "model.list")
    local function refused(version, ...)
      local answer = activate(version)
      assert.is_false(answer.changed)
      assert.is_true(#answer.problems > 0)
      holds(table.concat(answer.problems, "\n"), ...)
    end
    refused(5, "'seniority' is a text, the model wants a number")
    refused(6, "'company_sise' is not declared (did you mean 'company_size'?)", "'usage_7d' has definition",
      "made for 0123456789abcdef")
    refused(7, "sha256")
    local text, code = intent("activate", "b2b_fit", "6", "--why", "x", "--data", daemon.data)
    assert.equal(1, code)
    holds(text, "nothing was changed", "\n  'company_sise'", "\n  'usage_7d'")
    for _, case in ipairs {
      { "model.activate", { name = "b2b_fit", version = "9", why = "x" }, "not_found", "b2b_fit@9: there is no b2b_fit/9/model.json" },
      { "model.activate", { name = "loan_fit", version = "1", why = "x" }, "not_found", "reads no model loan_fit; it reads b2b_fit, b2b_engagement" },
      { "model.activate", { name = "b2b_fit", version = "2" }, "invalid_argument", "why is a text of 1 to" },
      { "model.activate", { name = "b2b_fit", version = "2", why = "" }, "invalid_argument", "why is a text of 1 to" },
      { "model.activate", { name = "b2b_fit", version = "2", why = ("x"):rep(500) }, "invalid_argument", "why is a text of 1 to" },
      { "model.activate", { name = "b2b_fit", version = "../1", why = "x" }, "model_invalid", "names no model" },
      { "model.activate", 7, "invalid_argument", "takes a map: {name, version, why}" },
      { "model.rollback", { name = "b2b_fit", why = "x" }, "not_found", "no version of b2b_fit was in force before" },
    } do
      local _, why = admin:call(case[1], case[2])
      assert.equal(case[3], why.code)
      holds(why.detail, case[4])
      _, why = client:call(case[1], case[2])
      assert.equal("unauthorized", why.code)
    end
    assert.equal(before, select(2, client:must "policy.status"))
    assert.equal(rows, select(2, admin:must "model.list"))
    decided_by(3)
    daemon:stop()
    assert.equal(16, select(2, releases():gsub('"kind":"release"', ""))) -- those of the start
  end)

  it("whose version the policy names goes with the policy, and stays when the policy names it no longer", function()
    start()
    activate(2)
    harness.edit(policy, '"b2b_fit"', '"b2b_fit@3"')
    assert.is_true(admin:must("policy.reload").changed)
    decided_by(3)
    local _, why = admin:call("model.activate", { name = "b2b_fit", version = "2", why = "x" })
    assert.equal("model_invalid", why.code)
    holds(why.detail, "names b2b_fit@3 in policies/b2b_saas/policy.lua", 'write fit = "b2b_fit" there')
    assert.is_true(in_force().pinned)
    harness.edit(policy, '"b2b_fit@3"', '"b2b_fit"')
    assert.is_true(admin:must("policy.reload").changed)
    decided_by(3)
    assert.equal("2", rollback().version)
    decided_by(2)
  end)

  it("never changes under a version that was in force", function()
    start()
    activate(2)
    put_fit(models, 3, 99)
    local _, why = admin:call("model.activate", { name = "b2b_fit", version = "3", why = "x" })
    assert.equal("model_invalid", why.code)
    holds(why.detail, "models/b2b_fit/3: is not the model that was in force under this version")
    decided_by(2)
    put_fit(models, 2, 99)
    daemon:expect_errors "level=error"
    _, why = admin:call "policy.reload"
    holds(why.detail, "models/b2b_fit/2: is not the model that was in force under this version")
    decided_by(2)
    daemon:stop()
    again() -- with the release before
    decided_by(2)
    put_fit(models, 2)
    admin:must "policy.reload"
    assert.equal(NIL, client:must("policy.status").error)
    decided_by(2)
  end)

  local function canary(version, share)
    return admin:must("model.canary", { name = "b2b_fit", version = tostring(version), share = share, why = "to see" })
  end
  local function versions_of(leads)
    local of, count = {}, 0
    for i = 1, leads do
      of[i] = tonumber(decide("c" .. i).fit_model.version)
      if of[i] == 4 then count = count + 1 end
    end
    return of, count
  end
  local function row_of(version)
    for _, row in ipairs(admin:must("model.list").models) do
      if row.name == "b2b_fit" and row.version == tostring(version) then return row end
    end
  end

  it("on canary decides for its share of the leads, always for the same ones", function()
    start()
    os.rename(models .. "/4", models .. "/b2b_fit/4")
    decided_by(3)
    local answer = canary(4, 3000)
    assert.same({ true, "3", "4", 3000, NIL }, { answer.changed, answer.version, answer.canary, answer.share, answer.canary_before })
    assert.is_false(canary(4, 3000).changed)
    local first, count = versions_of(200)
    assert.is_true(count > 25 and count < 95, count) -- 30 %; ids are random: 5 standard deviations
    assert.same(first, (versions_of(200)))
    assert.same({ "canary", 3000, "to see" }, { row_of(4).state, row_of(4).share, row_of(4).why })
    assert.equal("3", in_force().version)
    assert.equal(0.3, daemon:metric("intentd_model_canary_share", 'role="fit",name="b2b_fit",version="4"'))
    -- What it decided is explained by it, and a decision's hash is made again.
    local explained = {}
    for i = 1, 60 do
      local decision = decide("c" .. i)
      local why = client:must("decision.explain", decision.decision_id)
      assert.is_true(why.reproduced)
      assert.equal(first[i], tonumber(why.decision.fit_model.version))
      assert.equal(first[i] * 10000, why.decision.scores.fit)
      explained[first[i]] = true
    end
    assert.same({ [3] = true, [4] = true }, explained)
    -- More of them take nobody back; a reload and whatever ends the daemon change nothing.
    canary(4, 6000)
    local more = versions_of(200)
    for i = 1, 200 do assert.is_true(first[i] == 3 or more[i] == 4) end
    harness.edit(policy, "owner = ", 'owner = "x" .. ')
    assert.is_true(admin:must("policy.reload").changed)
    assert.same(more, (versions_of(200)))
    for _, ends in ipairs { "stop", "kill" } do
      daemon[ends](daemon)
      again()
      assert.same(more, (versions_of(200)))
      assert.same({ "canary", 6000 }, { row_of(4).state, row_of(4).share })
    end
    daemon:stop()
    holds(releases(), '{"role":"fit","name":"b2b_fit","version":"3"},{"role":"fit","name":"b2b_fit","version":"4","share":3000}')
    replays()
    local text = intent("list", "b2b_fit", "--data", daemon.data, "--models", models)
    assert.is_truthy(text:find "b2b_fit%s+4%s+scorecard%s+canary, 60 %%%s+20", text)
  end)

  it("on canary ends: for all leads by activation, for none by going back or by no share", function()
    start()
    os.rename(models .. "/4", models .. "/b2b_fit/4")
    canary(4, 5000)
    assert.same({ "3", NIL, "4" }, (function(a) return { a.version, a.canary, a.canary_before } end)(rollback()))
    assert.equal(0, select(2, versions_of(40)))
    assert.equal("was_canary", row_of(4).state)
    local text, code = intent("canary", "b2b_fit", "4", "12.5%", "--why", "again", "--data", daemon.data)
    assert.equal(0, code, text)
    holds(text, "b2b_fit 3, and 4 for 12.5 % of the leads, release ")
    text, code = intent("canary", "b2b_fit", "4", "0%", "--why", "enough", "--data", daemon.data)
    assert.equal(0, code, text)
    holds(text, "b2b_fit 3 for all leads: 4 is on canary no more, release ")
    assert.equal(0, select(2, versions_of(40)))
    canary(2, 5000)
    canary(4, 5000) -- in its place
    assert.equal("was_canary", row_of(2).state)
    assert.equal("4", activate(4).version)
    assert.equal(40, select(2, versions_of(40)))
    assert.equal("in_force", row_of(4).state)
    assert.equal("3", rollback().version)
    assert.equal("was_in_force", row_of(4).state)
    canary(4, 1)
    assert.is_true(activate(3).changed) -- the one in force for all again
    assert.is_false(activate(3).changed)
    put_fit(models, 5, 50, "seniority")
    local before, rows = select(2, client:must "policy.status"), select(2, admin:must "model.list")
    local refused = canary(5, 100)
    assert.is_false(refused.changed)
    holds(table.concat(refused.problems, "\n"), "'seniority' is a text, the model wants a number")
    for _, case in ipairs {
      { { version = "3", share = 100 }, "model_invalid", "b2b_fit@3 decides for all leads already" },
      { { version = "4", share = 0 }, "not_found", "b2b_fit@4 is not on canary" },
      { { version = "9", share = 100 }, "not_found", "b2b_fit@9: there is no b2b_fit/9/model.json" },
      { { version = "4", share = 10000 }, "invalid_argument", "share is how many ten-thousandths" },
      { { version = "4", share = -1 }, "invalid_argument", "share is how many ten-thousandths" },
      { { version = "4", share = 0.5 }, "invalid_argument", "share is how many ten-thousandths" },
      { { version = "4" }, "invalid_argument", "share is how many ten-thousandths" },
      { { share = 5 }, "invalid_argument", "takes a map: {name, version, share, why}" },
    } do
      local order = case[1]
      order.name, order.why = "b2b_fit", "x"
      local _, why = admin:call("model.canary", order)
      assert.equal(case[2], why.code)
      holds(why.detail, case[3])
      assert.equal("unauthorized", select(2, client:call("model.canary", order)).code)
    end
    for _, share in ipairs { "100%", "x", "5 %", ".5%", "0.123%", "" } do
      text, code = intent("canary", "b2b_fit", "4", share, "--why", "x", "--data", daemon.data)
      assert.equal(2, code, text)
      holds(text, "is no share of the leads")
    end
    assert.equal(before, select(2, client:must "policy.status"))
    assert.equal(rows, select(2, admin:must "model.list"))
    daemon:stop()
    replays()
  end)

  it("is compared with another: what differs in the files, and how recorded scores would have moved", function()
    start()
    activate(1)
    local first = harness.read(models .. "/b2b_fit/1/weights.json")
    local shifted = first:gsub('"base": 20', '"base": 25')
    for version, weights in pairs { ["5"] = shifted, ["6"] = first } do
      harness.copy(models .. "/b2b_fit/1", models .. "/b2b_fit/" .. version)
      local text = harness.read(models .. "/b2b_fit/1/model.json"):gsub('"version": "1"', '"version": "' .. version .. '"')
      text = text:gsub('"rows": 0', '"rows": 7'):gsub('"sha256": "%x+"', '"sha256": "' .. sha256(weights) .. '"')
      harness.write(models .. "/b2b_fit/" .. version .. "/model.json", text)
      harness.write(models .. "/b2b_fit/" .. version .. "/weights.json", weights)
    end
    local scores, changes = {}, 0
    for i = 1, 12 do
      at = at + 1000
      local decision = client:must("event.ingest", harness.event { userId = "w" .. i, type = "identify", event = false,
        timestamp = at, traits = { company_size = i * 20, seniority = i % 2 == 0 and "executive" or "individual" } })
      scores[decision.decision_id] = decision.scores.fit / 1000
      if decision.scores.fit ~= 20000 then changes = changes + 1 end
    end
    daemon:stop()
    local function compare(a, b, ...) return intent("compare", "b2b_fit", a, b, "--models", models, ...) end
    local text, code = compare("1", "5", "--data", daemon.data)
    assert.equal(0, code, text)
    holds(text, "trained rows", "the same features: 5", "12 decisions, of 12 the score is another; rank correlation 1.0000")
    assert.is_truthy(text:find "change%s+5%.000%s+5%.000%s+5%.000", text)
    text = compare("1", "6", "--data", daemon.data)
    holds(text, "12 decisions, of 0 the score is another; rank correlation 1.0000")
    text, code = compare("1", "2", "--data", daemon.data, "--json") -- 2 gives everybody 20 points: no order
    assert.equal(0, code, text)
    holds(text, '"decisions":12,"unscored":0,"changed":' .. changes, '"rank_correlation":null',
      '"versions":[{"name":"b2b_fit","version":"1"')
    local before = math.huge
    for id, a, b in text:gmatch '{"decision_id":"([^"]+)","a":([%d.-]+),"b":([%d.-]+)}' do
      assert.equal(scores[id], tonumber(a))
      assert.equal(20, tonumber(b))
      local moved = math.abs(scores[id] - 20)
      assert.is_true(moved <= before)
      before = moved
    end
    assert.is_true(before < math.huge)
    text, code = compare("1", "2") -- the files alone
    assert.equal(0, code, text)
    assert.is_nil(text:find "decisions")
    text, code = compare("1", "9")
    assert.equal(1, code)
    holds(text, "b2b_fit@9: there is no b2b_fit/9/model.json")
    put_fit(models, 7, 70, "usage_7d") -- of a definition that no set has
    text, code = compare("1", "7", "--data", daemon.data)
    assert.equal(1, code)
    holds(text, "'usage_7d' has definition")
  end)

  it("has metrics, each family in one piece", function()
    start()
    activate(2)
    local page, open, seen = daemon:get "/metrics", nil, {}
    for name in page:gmatch "\n(intentd_model_[%l_]+){" do
      if name ~= open then
        assert.is_nil(seen[name])
        seen[name], open = true, name
      end
    end
    assert.equal(1, daemon:metric("intentd_model_info", 'role="fit",name="b2b_fit",version="2"'))
    assert.is_true(daemon:metric("intentd_model_since_seconds", 'name="b2b_fit"') > 1.7e9)
  end)

  it("changes while events flow: none is dropped, and each is decided by one version", function()
    start { shards = 3 }
    local engagement, rounds = decide().model, 12
    local senders, seen, sent = {}, {}, 0
    for s = 1, 3 do senders[s] = daemon:connect() end
    for round = 1, rounds do
      local ids = {}
      local function send_some()
        for s, sender in ipairs(senders) do
          for _ = 1, 30 do
            sent = sent + 1
            ids[#ids + 1] = { sender, sender:send("event.ingest", harness.event { userId = ("u%d-%d"):format(s, sent % 40),
              messageId = tostring(sent), timestamp = at + sent }) }
          end
        end
      end
      send_some()
      local order = admin:send("model.activate", { name = "b2b_fit", version = tostring(3 - round % 2), why = "round " .. round })
      send_some()
      assert.is_true(admin:answer(order).result.changed)
      send_some()
      for _, id in ipairs(ids) do
        local decision = id[1]:answer(id[2]).result
        local version = tonumber(decision.fit_model.version)
        assert.equal(version * 10000, decision.scores.fit)
        assert.same(engagement, decision.model)
        seen[version] = (seen[version] or 0) + 1
      end
    end
    assert.equal(sent, (seen[2] or 0) + (seen[3] or 0))
    assert.is_true(seen[2] > 0 and seen[3] > 0)
    assert.equal(sent + 1, daemon:metric "intentd_events_total")
    daemon:stop()
    replays()
  end)

  it("is one version or the other after a crash in between, everywhere", function()
    start { shards = 3 }
    local random = harness.random(tonumber(os.getenv "SEED") or os.time())
    local before = 3
    for round = 1, tonumber(os.getenv "CRASHES") or 4 do
      local wanted = before == 2 and 3 or 2
      for i = 1, 20 do client:send("event.ingest", harness.event { userId = "v" .. i, timestamp = at }) end
      local share = random(2) == 1 and random(9999) or nil
      if share then admin:send("model.canary", { name = "b2b_fit", version = "1", share = share, why = "round " .. round }) end
      admin:send("model.activate", { name = "b2b_fit", version = tostring(wanted), why = "round " .. round })
      require("socket").sleep(random(40) / 1000)
      daemon:kill()
      again()
      if row_of(1).state == "canary" then -- it came into force, and the activation did not
        assert.equal(share, row_of(1).share)
        assert.equal(before, tonumber(in_force().version))
        admin:must("model.canary", { name = "b2b_fit", version = "1", share = 0, why = "over" })
      end
      local version = tonumber(in_force().version)
      assert.is_true(version == before or version == wanted)
      for i = 1, 20 do decided_by(version, "v" .. i) end
      before = version
    end
    daemon:stop()
    -- What was written and never came into force is not what is in force.
    local history = daemon.data .. "/versions/models"
    local text = harness.read(history)
    local line = ('{"at":1,"model":"b2b_fit","version":"%d","how":"activate","number":1,"hash":"%s","by":"uid 0","why":"crashed"}\n')
      :format(before == 2 and 3 or 2, ("0"):rep(16))
    harness.write(history, text .. line)
    again()
    decided_by(before)
    assert.equal(text, harness.read(history))
    daemon:stop()
    replays()
  end)
end)
