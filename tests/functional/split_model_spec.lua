--- One model for profile and behaviour: all three scores are in each decision, the ledger sums to each of them, and a model that
--- lacks one of the groups is refused.
local json = require "dkjson"

local harness = require "harness"
local trees = require "trees"

-- region in {amer} ? (usage_7d < 3 ? 0 : 2) : (usage_7d < 3 ? -2 : -1); the means are -1, amer's 1, the others' -5/3.
local TREE = [=["left_children": [1, 3, 5, -1, -1, -1, -1], "right_children": [2, 4, 6, -1, -1, -1, -1],
  "split_indices": [1, 0, 0, 0, 0, 0, 0], "split_conditions": [NaN, 3, 3, -2, -1, 0, 2], "sum_hessian": [16, 12, 4, 8, 4, 2, 2],
  "default_left": [1, 1, 1, 0, 0, 0, 0], "split_type": [1, 0, 0, 0, 0, 0, 0],
  "categories": [1], "categories_nodes": [0], "categories_segments": [0], "categories_sizes": [1]]=]
local USAGE = '{"name": "usage_7d", "definition": null}'
local REGION = '{"name": "region", "definition": null, "categories": ["emea", "amer"]}'

local function policy(models, mix)
  local text = harness.read(harness.root .. "/policies/b2b_saas/policy.lua")
  text = text:gsub("models = %b{}", function() return models end)
  return (text:gsub("score.combined { 0.3.-}\n", mix or ""))
end

local function files(calibration)
  local weights, out = trees.booster(2, { TREE }), { ["b2b_saas/policy.lua"] = policy 'models = { split = "ready" }' }
  out["models/ready/1/model.json"] = trees.head("ready", "1", weights, { USAGE, REGION }, calibration)
  out["models/ready/1/weights.json"] = weights
  return out
end

-- What the rows of some kinds add up to.
local function sum(decision, ...)
  local total = 0
  for _, kind in ipairs { ... } do
    for _, row in ipairs(decision.reasons) do
      if row.kind == kind then total = total + (row.points or 0) end
    end
  end
  return total
end

local function assert_sums(decision)
  local scores = decision.scores
  assert.equal(scores.fit, sum(decision, "fit", "fit_score"))
  assert.equal(scores.engagement, sum(decision, "engagement", "engagement_score"))
  assert.equal(scores.combined, sum(decision, "model", "fit", "engagement", "constant", "adjust", "cap", "rounding"))
end

local factor = 10 / math.log(2)
local function near(expected, got) assert.is_true(math.abs(expected - got) < 2e-3, expected .. ", not " .. got) end

describe("a split model", function()
  after_each(harness.finish)

  -- Sends a lead's life; calls `each` for every decision with what is known of it then.
  local function live(client, each)
    local at, usage, region = 1767600000000, 0, nil
    for _, keys in ipairs {
      { event = "Something Else" },
      { event = "Feature Used", channel = "product" },
      { event = "Feature Used", channel = "product" },
      { event = "Feature Used", channel = "product" },
      { event = false, type = "identify", traits = { region = "amer" } },
      { event = "Pricing Viewed" },
    } do
      at = at + 60000
      keys.timestamp, keys.userId = at, "kim"
      if keys.channel then usage = usage + 1 end
      if keys.traits then region = "amer" end
      each(client:must("event.ingest", harness.event(keys)), usage, region)
    end
  end

  -- What the tree's steps change in the mean, by group.
  local function parts(usage, region)
    local fit = region and 2 or -2 / 3
    local mean = -1 + fit
    local leaf = region and (usage < 3 and 0 or 2) or (usage < 3 and -2 or -1)
    return fit, leaf - mean, leaf
  end

  it("gives fit, engagement and its own points, whose rows sum to each", function()
    local daemon = harness.start { policies = harness.policies(files()), clock = "event" }
    live(daemon:connect(), function(decision, usage, region)
      local fit, engagement, margin = parts(usage, region)
      near(50 + factor * (-1 + fit), decision.scores.fit / 1000)
      near(50 + factor * (-1 + engagement), decision.scores.engagement / 1000)
      near(50 + factor * margin, sum(decision, "model", "fit", "engagement") / 1000)
      assert_sums(decision)
      assert.same({ name = "ready", version = "1" }, decision.model)
      assert.same(decision.model, decision.fit_model)
    end)
  end)

  it("is calibrated, each score by what its own margin is found to mean", function()
    local daemon = harness.start { clock = "event", policies = harness.policies(files '{"kind": "platt", "slope": 0.5, "intercept": -0.1}') }
    local client, last = daemon:connect(), nil
    live(client, function(decision, usage, region)
      local fit, engagement, margin = parts(usage, region)
      local function calibrated(x) return 50 + factor * (0.5 * x - 0.1) end
      near(calibrated(-1 + fit), decision.scores.fit / 1000)
      near(calibrated(-1 + engagement), decision.scores.engagement / 1000)
      near(calibrated(margin), sum(decision, "model", "fit", "engagement") / 1000)
      assert_sums(decision)
      last = decision
    end)
    daemon:stop()
    daemon:restart()
    local explained = daemon:connect():must("decision.explain", last.decision_id)
    assert.is_true(explained.reproduced)
    local pipe = io.popen(("'%s/intent' explain --to 127.0.0.1:%d %s"):format(harness.bin, daemon.ports.listen, last.decision_id))
    local text = pipe:read "*a"
    pipe:close()
    for _, title in ipairs { "\nscore\n", "\nfit: the profile alone\n", "\nengagement: the behaviour alone\n" } do
      assert.is_truthy(text:find(title, 1, true), text)
    end
    assert.is_falsy(text:find("but the decision says", 1, true), text)
    daemon:stop()
    pipe = io.popen(("'%s/intent' replay --json --data '%s'"):format(harness.bin, daemon.data))
    text = pipe:read "*a"
    pipe:close()
    assert.equal(0, tonumber(text:match '"different":(%d+)'), text)
  end)

  it("is judged by what came, with each of its scores", function()
    local policies = harness.policies(files())
    local daemon = harness.start { policies = policies, clock = "event" }
    local client = daemon:connect()
    live(client, function() end)
    client:must("event.ingest", harness.event { userId = "later", event = "Something Else", timestamp = 1767600000000 + 3 * 86400000 })
    local function intent(words)
      local pipe = io.popen(("'%s/intent' model %s --data '%s' --models '%s/models' --label 'Pricing Viewed' --horizon 1h --json"):format(
        harness.bin, words, daemon.data, policies))
      local answer = json.decode(pipe:read "*a")
      pipe:close()
      return answer
    end
    local said = {}
    for _, s in ipairs(intent("quality ready").series) do
      assert.same({ 1, 1 }, { s.all.rows, s.all.came }) -- the first of Kim's day
      assert.equal(s.score == "combined", s.own) -- which is what training judged
      for _, tenth in ipairs(s.tenths) do said[s.score] = tenth.probability or said[s.score] end
    end
    local fit, engagement, margin = parts(0, nil)
    local function sigmoid(x) return 1 / (1 + math.exp(-x)) end
    for score, x in pairs { fit = -1 + fit, engagement = -1 + engagement, combined = margin } do
      assert.is_true(math.abs(sigmoid(x) - said[score]) < 1e-3, score .. " said " .. said[score])
    end
    local shadow = intent "shadow ready 1"
    assert.equal("combined", shadow.score)
    assert.equal(1, shadow.labels[1].rows)
    for _, m in ipairs(shadow.labels[1].metrics) do assert.is_true(not m.difference or math.abs(m.difference) < 1e-4) end
  end)

  -- What `intent check` says of a folder.
  local function check(changes)
    local path = harness.policies(changes)
    local pipe = io.popen(("'%s/intent' check '%s/b2b_saas' 2>&1"):format(harness.bin, path))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  it("that lacks one of the groups is refused, and check says which to write", function()
    local changes = files()
    local weights = trees.booster(1, { [=["left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
      "split_conditions": [3, -1, 1], "sum_hessian": [2, 1, 1], "default_left": [1, 0, 0]]=] })
    changes["models/ready/1/weights.json"] = weights
    changes["models/ready/1/model.json"] = trees.head("ready", "1", weights, { USAGE })
    local text = check(changes)
    assert.is_truthy(text:find("models/ready/1/model.json: error: all its 1 features are behaviour", 1, true), text)
    assert.is_truthy(text:find('models = { engagement = "ready" }', 1, true), text)
  end)

  it("has no mix beside it, and no second model", function()
    local changes = files()
    changes["b2b_saas/policy.lua"] = policy('models = { split = "ready" }', "score.combined { 1 * score.fit }\n")
    local text = check(changes)
    assert.is_truthy(text:find("the combined score is that model's own: leave score.combined", 1, true), text)
    changes["b2b_saas/policy.lua"] = policy 'models = { split = "ready", fit = "b2b_fit" }'
    text = check(changes)
    assert.is_truthy(text:find("models.split is one model that gives both fit and engagement: name it alone", 1, true), text)
  end)
end)
