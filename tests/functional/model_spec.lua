--- Boosted trees in a daemon: a decision's margin is the one that the file gives by hand, its ledger sums, and an explanation
--- has each feature's exact share.
local harness = require "harness"
local trees = require "trees"

-- usage_7d < 3 ? (pricing_views_7d < 1 ? -1 : 0.5) : 1.25
local ENGAGEMENT = trees.booster(2, { [=["left_children": [1, 3, -1, -1, -1], "right_children": [2, 4, -1, -1, -1], "split_indices": [0, 1, 0, 0, 0],
  "split_conditions": [3, 1, 1.25, -1, 0.5], "sum_hessian": [8, 6, 2, 3, 3], "default_left": [1, 1, 0, 0, 0]]=] })
-- region in {amer} ? 0.75 : -0.25
local FIT = trees.booster(1, { [=["left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
  "split_conditions": [NaN, -0.25, 0.75], "sum_hessian": [8, 6, 2], "default_left": [1, 0, 0], "split_type": [1, 0, 0],
  "categories": [1], "categories_nodes": [0], "categories_segments": [0], "categories_sizes": [1]]=] })

local BEHAVIOUR = { '{"name": "usage_7d", "definition": null}', '{"name": "pricing_views_7d", "definition": null}' }

local function files(engagement, calibration)
  return {
    ["models/b2b_engagement/9/model.json"] = trees.head("b2b_engagement", "9", engagement, BEHAVIOUR),
    ["models/b2b_engagement/9/weights.json"] = engagement,
    ["models/b2b_engagement/10/model.json"] = calibration and trees.head("b2b_engagement", "10", engagement, BEHAVIOUR, calibration),
    ["models/b2b_engagement/10/weights.json"] = calibration and engagement,
    ["models/b2b_fit/9/model.json"] = trees.head("b2b_fit", "9", FIT,
      { '{"name": "region", "definition": null, "categories": ["emea", "amer"]}' }),
    ["models/b2b_fit/9/weights.json"] = FIT,
  }
end

local function start() return harness.start { policies = harness.policies(files(ENGAGEMENT)), clock = "event" } end

describe("a model of trees", function()
  after_each(harness.finish)
  local factor = 10 / math.log(2)

  local function near(expected, got) assert.is_true(math.abs(expected - got) < 1e-3, expected .. ", not " .. got) end

  it("decides with the margin of its file, and its ledger sums", function()
    local daemon = start()
    local client = daemon:connect()
    local at = 1767600000000
    local function send(keys)
      at = at + 60000
      keys.timestamp, keys.userId = at, "kim"
      return client:must("event.ingest", harness.event(keys))
    end
    -- What an explanation shows of a feature is its share of the combined score: of its model's points, weighed.
    local function shares(decision)
      local explained, by_name = client:must("decision.explain", decision.decision_id), {}
      assert.is_true(explained.reproduced)
      for _, f in ipairs(explained.features) do by_name[f.name] = f.points end
      return by_name
    end
    local function scores(decision) return decision.scores.fit / 1000, decision.scores.engagement / 1000 end
    local decision = send { event = "Something Else" }
    local fit, engagement = scores(decision)
    near(50 + factor * -0.25, fit)
    near(50 + factor * -1, engagement)
    local share, mean = shares(decision), (3 * -1 + 3 * 0.5 + 2 * 1.25) / 8
    local weight = (share.usage_7d + share.pricing_views_7d) / (factor * (-1 - mean))
    assert.is_true(weight > 0 and weight <= 1)
    -- Known alone, usage leaves the mean of its left side (-0.25); price alone 6/8 of its left leaf and 2/8 of 1.25; together -1.
    local usage, price = -0.25, 6 / 8 * -1 + 2 / 8 * 1.25
    near(weight * factor * ((usage - mean) + (-1 - price)) / 2, share.usage_7d)
    near(weight * factor * ((price - mean) + (-1 - usage)) / 2, share.pricing_views_7d)

    send { event = false, type = "identify", traits = { region = "amer" } }
    decision = send { event = "Pricing Viewed" }
    fit, engagement = scores(decision)
    near(50 + factor * 0.75, fit)
    near(50 + factor * 0.5, engagement)
    for _ = 1, 3 do decision = send { event = "Feature Used", channel = "product" } end
    near(50 + factor * 1.25, (select(2, scores(decision))))
    local total = 0
    for _, row in ipairs(decision.reasons) do
      if row.kind ~= "evidence" then total = total + (row.points or 0) end
    end
    assert.equal(decision.scores.combined, math.floor(total + 0.5))
    daemon:stop()
    local pipe = io.popen(("'%s/intent' replay --json --data '%s'"):format(harness.bin, daemon.data))
    local text = pipe:read "*a"
    pipe:close()
    assert.equal(0, tonumber(text:match '"different":(%d+)'), text)
  end)

  it("is calibrated, in a row of its own", function()
    local daemon = harness.start { clock = "event",
      policies = harness.policies(files(ENGAGEMENT, '{"kind": "platt", "slope": 0.5, "intercept": -0.1}')) }
    local decision = daemon:connect():must("event.ingest", harness.event { event = "Something Else", timestamp = 1767600000000 })
    near(50 + factor * (0.5 * -1 - 0.1), decision.scores.engagement / 1000)
    local row
    for _, reason in ipairs(decision.reasons) do
      if reason.kind == "engagement" and reason.name == "calibration" then row = reason end
    end
    assert.is_true(row.points > 0 and #row.value > 0) -- -1 counts as -0.6
  end)

  it("that is broken is refused, and what ran goes on", function()
    local daemon = start()
    local admin = daemon:admin()
    local broken = ENGAGEMENT:gsub('"left_children": %[1, 3', '"left_children": [1, 1')
    local models = daemon.options.policies .. "/models/b2b_engagement"
    harness.copy(models .. "/9", models .. "/11")
    local text = files(broken)["models/b2b_engagement/9/model.json"]:gsub('"version": "9"', '"version": "11"')
    harness.write(models .. "/11/model.json", text)
    harness.write(models .. "/11/weights.json", broken)
    harness.edit(daemon.options.policies .. "/b2b_saas/policy.lua", '"b2b_engagement"', '"b2b_engagement@11"')
    daemon:expect_errors "level=error"
    local _, why = admin:call "policy.reload"
    assert.is_truthy(why.detail:find("weights.json: trees[0]: node 1: a child of it (1, 4) has another parent too", 1, true), why.detail)
  end)
end)
