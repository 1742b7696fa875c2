--- intent model quality: outcomes judge the decisions before them. Held against the rows of `intent feature export --at labels`,
--- counted one by one.
local harness = require "harness"
local json = require "dkjson"
local lfs = require "lfs"
local lives = require "lives"
local socket = require "socket"

local SEED = tonumber(os.getenv "SEED") or 20260107
local DAY = 86400000
local LABELS = [[
  labels = {
    { name = "won_9d", event = "crm.opportunity_won", within = "9d", unless = { "Unsubscribed" } },
    { name = "docs_3d", event = "Docs Viewed", within = "3d" },
  },
  personal = {]]

-- Runs `intent` with these words; what it printed, what it said, and its exit code.
local function intent(...)
  local folder, words = harness.folder(), { ("'%s/intent'"):format(harness.bin) }
  for _, word in ipairs { ... } do words[#words + 1] = "'" .. tostring(word) .. "'" end
  local pipe = io.popen(("%s >%s/out 2>%s/err; echo $?"):format(table.concat(words, " "), folder, folder))
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return harness.read(folder .. "/out"), harness.read(folder .. "/err"), code
end

local function csv(text) -- no cell of these rows has a comma or a line break
  local rows, head
  for line in text:gmatch "([^\n]*)\n" do
    local cells = {}
    for cell in (line .. ","):gmatch "([^,]*)," do cells[#cells + 1] = (cell:gsub('"', "")) end
    if head then
      local row = {}
      for i, name in ipairs(head) do row[name] = cells[i] end
      rows[#rows + 1] = row
    else
      head, rows = cells, {}
    end
  end
  return rows
end

-- The chance that a row that came stands above one that did not, pair by pair; and the share of pairs of which both were kept
-- at 0 or at 100: an export does not say how they stand.
local function auc(rows, score)
  local wins, pairs_of, unsure = 0, 0, 0
  for _, a in ipairs(rows) do
    for _, b in ipairs(rows) do
      if a.came and not b.came then
        local x, y = tonumber(a[score]), tonumber(b[score])
        wins, pairs_of = wins + (x > y and 1 or x == y and 0.5 or 0), pairs_of + 1
        if x == y and (x == 0 or x == 100) then unsure = unsure + 1 end
      end
    end
  end
  if pairs_of > 0 then return wins / pairs_of, unsure / pairs_of end
end

describe("late labels (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)

  local function start(options)
    local policies = harness.policies()
    harness.edit(policies .. "/signals/b2b/signals.lua", "  personal = {", LABELS)
    options = options or {}
    options.policies, options.seed = policies, harness.SEED
    options.clock = options.clock or "event"
    return harness.start(options)
  end

  local function send(client, events)
    local requests = {}
    for i, event in ipairs(events) do requests[i] = { "event.ingest", event } end
    for _, answer in ipairs(client:pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and answer.error.detail)
    end
  end

  -- Users and the devices that they came with.
  local function stream()
    local events = lives.stream(SEED, 1500, 50, 45)
    for i, event in ipairs(events) do
      if i % 23 == 0 and event.userId then event.type, event.event, event.anonymousId = "identify", nil, "device" .. i % 13 end
      if i % 7 == 0 and event.userId and event.type == "track" then
        event.userId, event.anonymousId = nil, "device" .. i % 13
      end
    end
    return events
  end

  local function quality(data, ...)
    local text, said, code = intent("model", "quality", "--data", data, "--json", ...)
    assert.equal(0, code, said)
    local by = {}
    local all = json.decode(text)
    for _, s in ipairs(all.series) do by[table.concat({ s.model, s.score, s.label }, " ")] = s end
    return by, all
  end

  -- What there should be, of one label: rows by day of those that are judged, and how many wait.
  local function expected(data, label, within)
    local text, said, code = intent("feature", "export", "--at", "labels", "--data", data)
    assert.equal(0, code, said)
    local seen, judged, waiting, ends, kept = {}, {}, 0, 0, {}
    for _, row in ipairs(csv(text)) do
      local day = math.floor(tonumber(row.at) / DAY)
      ends = math.max(ends, tonumber(row.at))
      local key = row.lead .. day
      if not seen[key] and row.stage ~= "customer" then kept[#kept + 1] = { row = row, day = day } end
      seen[key] = true
    end
    for _, k in ipairs(kept) do
      if (k.day + 1) * DAY + within > ends then
        waiting = waiting + 1
      else
        assert.not_equal("", k.row["label " .. label])
        k.row.came, k.row.month = k.row["label " .. label] == "1", os.date("!%Y-%m-01", k.day * DAY / 1000)
        judged[#judged + 1] = k.row
      end
    end
    return judged, waiting
  end

  local function check(figures, rows, score)
    local came = 0
    for _, row in ipairs(rows) do came = came + (row.came and 1 or 0) end
    assert.equal(#rows, figures.rows)
    assert.equal(came, figures.came)
    local by_hand, unsure = auc(rows, score)
    if not by_hand then
      assert.is_nil(figures.auc)
    else
      assert.is_true(math.abs(by_hand - figures.auc) <= figures.auc_error + unsure / 2 + 1e-9, by_hand .. ", not " .. figures.auc)
    end
  end

  it("judges decisions as an export's labels do, one a lead and day", function()
    local daemon = start { shards = 2 }
    send(daemon:connect(), stream())
    local by, all = quality(daemon.data)
    assert.is_true(all.has_hold_out)
    for label, within in pairs { won_9d = 9 * DAY, docs_3d = 3 * DAY } do
      local rows, waiting = expected(daemon.data, label, within)
      assert.is_true(#rows > 200 and waiting > 20)
      for _, asked in ipairs { { "b2b_fit", "fit" }, { "b2b_engagement", "engagement" }, { "b2b_engagement", "combined" } } do
        local s = by[table.concat({ asked[1], asked[2], label }, " ")]
        check(s.all, rows, asked[2])
        assert.equal(waiting, s.all.waiting)
        assert.equal(0, s.all.unjudged)
        local months = {}
        for _, row in ipairs(rows) do
          months[row.month] = months[row.month] or {}
          table.insert(months[row.month], row)
        end
        for _, period in ipairs(s.periods) do check(period, months[period.from] or {}, asked[2]) end
      end
    end
    -- An export leaves out those in a final stage when it is asked to, and no others.
    local open, kept = csv((intent("feature", "export", "--at", "decisions", "--open", "--data", daemon.data))), 0
    local every = csv((intent("feature", "export", "--at", "decisions", "--data", daemon.data)))
    for _, row in ipairs(every) do
      if row.stage ~= "customer" then
        kept = kept + 1
        assert.equal(row.lead .. row.number, open[kept] and open[kept].lead .. open[kept].number)
      end
    end
    assert.is_true(kept == #open and kept < #every)
    -- What is not there: a model that nobody named, a label that nobody sent, a directory.
    local _, said, code = intent("model", "quality", "nobody", "--data", daemon.data)
    assert.equal(1, code)
    assert.is_truthy(said:find("no decision of a model nobody", 1, true), said)
    local text, warned = intent("model", "quality", "b2b_fit@1", "--data", daemon.data, "--label", "Demo Reqested", "--horizon", "5d")
    assert.is_truthy(warned:find('no event "Demo Reqested" is in the journal', 1, true), warned)
    assert.is_truthy(text:find("b2b_fit@1: its score fit and whether Demo Reqested came within 5d", 1, true), text)
    for _, s in ipairs(json.decode((intent("model", "quality", "--data", daemon.data, "--json"))).series) do
      assert.equal(s.score ~= "combined", s.own) -- of two models each gives a score of its own
    end
    local weekly = quality(daemon.data, "--by", "week")
    assert.is_true(#weekly["b2b_fit fit docs_3d"].periods > 5)
    assert.equal(2, select(3, intent("model", "quality", "--data", daemon.data, "--by", "day")))
    assert.equal(1, select(3, intent("model", "quality", "--data", daemon.data .. "/none")))
  end)

  it("judges a canary apart, by the leads that it decided for", function()
    local daemon = start { shards = 2 }
    local models = daemon.folder .. "/models"
    os.execute(("cp -r '%s/policies/models' '%s' && cp -r '%s/b2b_fit/1' '%s/b2b_fit/2'"):format(harness.root, models, models, models))
    harness.edit(models .. "/b2b_fit/2/model.json", '"version": "1"', '"version": "2"')
    daemon:stop()
    daemon:restart { models = models }
    daemon:admin():must("model.canary", { name = "b2b_fit", version = "2", share = 4000, why = "a test" })
    local requests, version = {}, {}
    for i, event in ipairs(lives.stream(SEED, 1500, 50, 45)) do requests[i] = { "event.ingest", event } end
    for _, answer in ipairs(daemon:connect():pipeline(requests)) do
      local decision = answer.result
      assert.is_true(version[decision.lead] == nil or version[decision.lead] == decision.fit_model.version)
      version[decision.lead] = decision.fit_model.version
    end
    local rows, total = expected(daemon.data, "docs_3d", 3 * DAY), 0
    local all = select(2, quality(daemon.data))
    for _, s in ipairs(all.series) do
      if s.model == "b2b_fit" and s.score == "fit" and s.label == "docs_3d" then
        local mine = {}
        for _, row in ipairs(rows) do
          if version[row.lead] == s.version then mine[#mine + 1] = row end
        end
        total = total + #mine
        check(s.all, mine, "fit")
      end
    end
    assert.equal(#rows, total)
    local counts = { ["1"] = 0, ["2"] = 0 }
    for _, v in pairs(version) do counts[v] = counts[v] + 1 end
    assert.is_true(counts["1"] > 0 and counts["2"] > 0)
  end)

  it("leaves out who was forgotten", function()
    local daemon = start()
    local client = daemon:connect()
    local T0 = 1767603600000
    for i = 1, 3 do
      send(client, {
        harness.event { userId = "u" .. i, event = "Pricing Viewed", timestamp = T0 },
        harness.event { userId = "u" .. i, event = "Docs Viewed", timestamp = T0 + DAY },
      })
    end
    send(client, { harness.event { userId = "other", event = "Pricing Viewed", timestamp = T0 + 20 * DAY } })
    assert.same({ 6, 3 }, { quality(daemon.data)["b2b_fit fit docs_3d"].all.rows, quality(daemon.data)["b2b_fit fit docs_3d"].all.came })
    daemon:admin():must("lead.forget", "u2")
    assert.same({ 4, 2 }, { quality(daemon.data)["b2b_fit fit docs_3d"].all.rows, quality(daemon.data)["b2b_fit fit docs_3d"].all.came })
  end)

  -- Waits for a walk that began after this call.
  local function walked(daemon)
    local seen = select(2, daemon:log():gsub("event=track ", ""))
    harness.wait("two walks", function() return select(2, daemon:log():gsub("event=track ", "")) >= seen + 2 end)
  end

  it("is shown as metrics, over restarts", function()
    local daemon = start { ["track.interval"] = "100ms" }
    send(daemon:connect(), stream())
    walked(daemon)
    local s = quality(daemon.data)["b2b_fit fit docs_3d"]
    local function metric(name, label) return daemon:metric("intentd_model_" .. name, label or 'model="b2b_fit",version="1",score="fit",label="docs_3d"') end
    assert.equal(s.all.waiting, metric "waiting")
    assert.is_true(metric "judged" > 100 and metric "judged" < s.all.rows)
    assert.is_true(metric "came" > 0 and metric "auc" > 0 and metric "auc" < 1 and metric "calibration_error" > 0)
    assert.is_false(pcall(metric, "stability")) -- fewer than 56 days
    assert.equal(0, daemon:metric "intentd_track_failures_total")
    local before = metric "auc"
    daemon:stop()
    daemon:restart { ["track.interval"] = "24h" }
    assert.equal(before, metric "auc") -- of the file
    daemon:stop()
    daemon:restart { ["track.interval"] = "0" }
    assert.is_false(pcall(metric, "auc"))
  end)

  it("says which of the policy's retraining triggers fire", function()
    local function policies(triggers)
      local folder = harness.policies()
      harness.edit(folder .. "/signals/b2b/signals.lua", "  personal = {", LABELS)
      harness.edit(folder .. "/b2b_saas/policy.lua", '  team = "sales_team"', "  retrain = {" .. triggers .. "},\n  team = \"sales_team\"")
      return folder
    end
    local daemon = harness.start { clock = "event", seed = harness.SEED, policies = policies [[
      { model = "b2b_fit", age = "10d", why = "Old." }, { model = "b2b_engagement", age = "3000d", drift = 0.0001, over = "15d", why = "Moves." },
      { model = "b2b_engagement", label = "won_9d", auc_under = 0.99, auc_falls = 0.0001, over = "20d", least = 10, why = "Fails." },
      { model = "b2b_fit", label = "docs_3d", auc_under = 0.01, over = "40d", least = 10, why = "Turned." },
      { model = "b2b_fit", label = "docs_3d", auc_under = 0.99, least = 5000, why = "Few." },
    ]] }
    send(daemon:connect(), stream())
    local models = daemon.folder .. "/models/b2b_engagement/1"
    os.execute(("mkdir -p '%s' && cp policies/models/b2b_engagement/1/* '%s'"):format(models, models))
    harness.edit(models .. "/model.json", '"target"', '"metrics": {"auc": 0.999}, "target"')
    local function triggers(...)
      local text, said, code = intent("model", "quality", "--triggers", "--data", daemon.data, "--models", daemon.folder .. "/models", ...)
      return text ~= "" and text or said, code
    end
    local text, code = triggers "--json"
    assert.equal(1, code)
    local got = {}
    for i, f in ipairs(json.decode(text)) do
      got[i] = ("%s %s %s %s"):format(f.model, f.trigger, f.fires and "fires" or "no", f.value and "known" or "unknown")
      if f.trigger == "auc_falls" then assert.equal(0.999, f.before) end
      assert.equal("1", f.version)
    end
    assert.same({ "b2b_fit age fires known", "b2b_engagement age no known", "b2b_engagement drift fires known",
      "b2b_engagement auc_under fires known", "b2b_engagement auc_falls fires known", "b2b_fit auc_under no known",
      "b2b_fit auc_under no unknown" }, got)
    text = triggers()
    assert.is_truthy(text:find("it takes 5000 of both kinds", 1, true), text)
    assert.is_truthy(text:find("since its first decision", 1, true), text)
    -- A live AUC as an export's rows give it: of the last 20 judged days.
    local rows = expected(daemon.data, "won_9d", 9 * DAY)
    local last, late = 0, {}
    for _, row in ipairs(rows) do last = math.max(last, math.floor(tonumber(row.at) / DAY)) end
    for _, row in ipairs(rows) do
      if math.floor(tonumber(row.at) / DAY) > last - 20 then late[#late + 1] = row end
    end
    local live = json.decode((triggers "--json"))[4].value
    local by_hand, unsure = auc(late, "engagement")
    assert.is_true(math.abs(by_hand - live) < 0.03 + unsure, by_hand .. ", not " .. live)
    daemon:stop()
    daemon:restart { policies = policies [[{ model = "b2b_fit", age = "3000d", why = "Old." }]] }
    text, code = triggers "b2b_fit"
    assert.equal(0, code, text)
    assert.is_truthy(text:find "b2b_fit@1 +age", text)
    daemon:stop()
    daemon:restart { policies = policies "" }
    text, code = triggers()
    assert.equal(2, code)
    assert.is_truthy(text:find("declares no retrain triggers", 1, true), text)
  end)

  it("says what a version that decides nothing would have said", function()
    local daemon = start { shards = 2 }
    send(daemon:connect(), stream())
    local models = daemon.folder .. "/models/b2b_engagement"
    os.execute(("mkdir -p '%s/2' && cp -r policies/models/b2b_engagement/1 '%s/' && cp '%s/1/weights.json' '%s/2/'"):format(models, models, models, models))
    harness.write(models .. "/2/model.json", (harness.read(models .. "/1/model.json"):gsub('"version": "1"', '"version": "2"')))
    local function shadow(version)
      local text, said, code = intent("model", "shadow", "b2b_engagement", version, "--data", daemon.data, "--models", daemon.folder .. "/models", "--json")
      assert.equal(0, code, said)
      return json.decode(text)
    end
    local same, live = shadow "2", quality(daemon.data) -- the same weights say the same of the same decisions
    assert.equal("1", same.live)
    for _, label in ipairs(same.labels) do
      local all = live["b2b_engagement engagement " .. label.label].all
      assert.same({ all.rows, all.came, all.waiting, 0 }, { label.rows, label.came, label.waiting, label.unscored })
      for _, m in ipairs(label.metrics) do
        assert.is_true(math.abs(m.difference) < 1e-4 and m.low <= 1e-4 and m.high >= -1e-4, m.metric)
        if m.metric == "auc" then assert.is_true(math.abs(m.live - all.auc) <= all.auc_error) end
      end
    end
    local text = intent("model", "shadow", "b2b_engagement", "2", "--data", daemon.data, "--models", daemon.folder .. "/models",
      "--since", "2026-01-31", "--json")
    local late, rows = json.decode(text).labels[2], {}
    for _, row in ipairs((expected(daemon.data, "docs_3d", 3 * DAY))) do
      if tonumber(row.at) >= 1769817600000 then rows[#rows + 1] = row end
    end
    assert.same({ "docs_3d", #rows }, { late.label, late.rows })
    local none, said, code = intent("model", "shadow", "b2b_engagement", "3", "--data", daemon.data, "--models", daemon.folder .. "/models")
    assert.equal(1, code, none)
    assert.is_truthy(said:find("3", 1, true), said)
    -- Scores turned round are as wrong as those are right.
    local weights = harness.read(models .. "/1/weights.json"):gsub('("points": )(%-?[%d.]+)', function(key, x) return key .. -tonumber(x) end)
    local pipe = io.popen(("printf %%s '%s' | tee '%s/2/weights.json' | sha256sum"):format(weights, models))
    local digest = pipe:read "*a":match "^%x+"
    pipe:close()
    harness.write(models .. "/2/model.json", (harness.read(models .. "/2/model.json"):gsub('("sha256": ")%x+', "%1" .. digest)))
    for _, label in ipairs(shadow("2").labels) do
      local m = label.metrics[1]
      assert.is_true(m.metric == "auc" and math.abs(m.live + m.shadow - 1) < 1e-9, m.live .. " and " .. m.shadow)
    end
  end)

  it("trains a candidate where a trigger fires, and puts nothing in force", function()
    local plugin = harness.bin .. "/plugins/train_xgboost.so"
    if not lfs.attributes(plugin) then pending "libxgboost-dev is not installed" return end
    local policies = harness.policies()
    harness.edit(policies .. "/signals/b2b/signals.lua", "  personal = {", LABELS)
    harness.edit(policies .. "/b2b_saas/policy.lua", '  team = "sales_team"',
      '  retrain = { { model = "b2b_engagement", label = "docs_3d", auc_under = 0.99, least = 5, over = "60d", why = "Old." } },\n  team = "sales_team"')
    local daemon = harness.start { clock = "event", seed = harness.SEED, policies = policies }
    local _, told, sent = intent("simulate", "--leads", 600, "--send", "--data", daemon.data) -- leads that begin one after the other
    assert.equal(0, sent, told)
    local candidates = daemon.folder .. "/candidates"
    local function retrain()
      return intent("model", "retrain", "--data", daemon.data, "--policy", policies .. "/b2b_saas", "--candidates", candidates,
        "--models", policies .. "/models", "--without", "docs_views_30d")
    end
    local before = daemon:admin():must "policy.status"
    for version = 2, 3 do -- the next one each time
      local text, said, code = retrain()
      assert.equal(1, code, said)
      assert.is_truthy((text .. said):find("--at labels --open ", 1, true), text .. said)
      assert.is_truthy(text:find("b2b_engagement: what decided (its score engagement) and what version " .. version, 1, true), text)
      local made = json.decode(harness.read(("%s/b2b_engagement/%d/model.json"):format(candidates, version)))
      assert.is_truthy(made.rationale:find "auc_under of version 1 is 0", made.rationale)
      for _, feature in ipairs(made.features) do assert.is_nil(feature.name:find "industry") end -- of the profile
    end
    assert.is_nil(lfs.attributes(policies .. "/models/b2b_engagement/2"))
    assert.same(before, daemon:admin():must "policy.status")
    local _, said, code = intent("model", "retrain", "--data", daemon.data)
    assert.equal(2, code)
    assert.is_truthy(said:find("needs --policy", 1, true), said)
  end)

  it("tells versions apart that were activated under one policy", function()
    local policies = harness.policies()
    harness.edit(policies .. "/signals/b2b/signals.lua", "  personal = {", LABELS)
    local daemon = harness.start { clock = "event", policies = policies }
    local client, T0 = daemon:connect(), 1767603600000
    local function visit(day) send(client, { harness.event { userId = "ann", event = "Pricing Viewed", timestamp = T0 + day * DAY } }) end
    visit(0)
    local models = policies .. "/models/b2b_engagement"
    os.execute(("cp -r '%s/1' '%s/2'"):format(models, models))
    harness.edit(models .. "/2/model.json", '"version": "1"', '"version": "2"')
    local _, said, code = intent("model", "activate", "b2b_engagement", "2", "--why", "newer", "--data", daemon.data)
    assert.equal(0, code, said)
    visit(1)
    visit(2)
    visit(20)
    local rows = {}
    local _, all = quality(daemon.data, "--by", "all")
    for _, s in ipairs(all.series) do
      if s.label == "docs_3d" and s.score ~= "combined" then rows[s.model .. "@" .. s.version] = s.all.rows end
    end
    assert.same({ ["b2b_fit@1"] = 3, ["b2b_engagement@1"] = 1, ["b2b_engagement@2"] = 2 }, rows)
  end)

  it("keeps the days that retention let go", function()
    local daemon = start { ["track.interval"] = "0", shards = 1, ["journal.segment"] = "8m", ["journal.seal"] = "no",
      ["base.journal"] = "1m", ["base.interval"] = "1s", ["base.keep"] = 2, ["checkpoint.interval"] = "100ms",
      ["dedupe.window"] = "1s", ["dedupe.recent"] = "1s" }
    local client = daemon:connect()
    local T0, padding = 1767603600000, ("x"):rep(60000)
    local function days(from, to, docs)
      local events = {}
      for day = from, to do
        for lead = 1, 6 do
          events[#events + 1] = harness.event { userId = "u" .. lead, event = "Pricing Viewed", timestamp = T0 + day * DAY,
            properties = { note = padding } }
          if docs and lead <= docs then
            events[#events + 1] = harness.event { userId = "u" .. lead, event = "Docs Viewed", timestamp = T0 + day * DAY + 1 }
          end
        end
      end
      send(client, events)
    end
    days(1, 10, 2)
    daemon:stop()
    daemon:restart { ["track.interval"] = "100ms" }
    walked(daemon)
    daemon:stop()
    local kept = quality(daemon.data, "--by", "week")
    daemon:restart { ["track.interval"] = "0", ["retention.bytes"] = "20m" }
    client = daemon:connect()
    days(11, 20, 1)
    local minute = 0
    harness.wait("retention", function() -- no day passes: what is ahead of the wall clock is refused
      local events = {}
      for i = 1, 24 do
        minute = minute + 1
        events[i] = harness.event { userId = "u" .. i % 6 + 1, event = "Pricing Viewed", properties = { note = padding },
          timestamp = T0 + 20 * DAY + minute * 1000 }
      end
      send(client, events)
      socket.sleep(0.1)
      return daemon:metric "intentd_journal_let_go_segments_total" > 1
    end)
    local now = quality(daemon.data, "--by", "week")
    for _, name in ipairs { "b2b_fit fit docs_3d", "b2b_engagement combined docs_3d" } do
      local first, then_ = now[name].periods[1], kept[name].periods[1]
      assert.equal("2026-01-05", first.from)
      assert.same({ then_.rows, then_.came, then_.auc }, { first.rows, first.came, first.auc })
      assert.is_true(first.rows > 30 and now[name].all.rows > kept[name].all.rows)
    end
    os.remove(daemon.data .. "/track")
    assert.not_equal("2026-01-05", quality(daemon.data, "--by", "week")["b2b_fit fit docs_3d"].periods[1].from)
  end)
end)
