--- intent feature: features as they were at each decision, and whether they are those that the journal gives. The export is
--- held against what the daemon explained of each decision while it ran.
local harness = require "harness"
local lives = require "lives"
local mpack = require "mpack"
local wire = require "wire"

local EVENTS, LEADS = 1200, 60
local SEED = tonumber(os.getenv "SEED") or 20260107
local LABEL, HORIZON = "Demo Requested", 14 * 86400000

-- Runs `intent feature` with these words; what it printed, what it said, and its exit code.
local function feature(...)
  local folder, words = harness.folder(), { ("'%s/intent' feature"):format(harness.bin) }
  for _, word in ipairs { ... } do words[#words + 1] = "'" .. tostring(word) .. "'" end
  local line = ("%s >%s/out 2>%s/err; echo $?"):format(table.concat(words, " "), folder, folder)
  local pipe = io.popen(line)
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return harness.read(folder .. "/out"), harness.read(folder .. "/err"), code
end

-- Lines of cells: those of a CSV without line breaks in its cells.
local function csv(text)
  local rows = {}
  for line in text:gmatch "([^\n]*)\n" do
    local cells, at = {}, 1
    while at <= #line + 1 do
      local quoted, stop = line:match('^"(.-)"()', at)
      local cell = quoted or line:match("^[^,]*", at)
      cells[#cells + 1] = cell
      at = (stop or at + #cell) + 1
    end
    rows[#rows + 1] = cells
  end
  local head = table.remove(rows, 1)
  for i, cells in ipairs(rows) do
    assert.equal(#head, #cells)
    local row = {}
    for k, name in ipairs(head) do row[name] = cells[k] end
    rows[i] = row
  end
  return rows, head
end

describe("intent feature (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)

  local stream = lives.stream(SEED, EVENTS, LEADS, 60)

  local function record(clock, policies)
    local daemon = harness.start { clock = clock or "event", shards = 2, seed = harness.SEED, policies = policies }
    local client = daemon:connect()
    local requests = {}
    for i, event in ipairs(stream) do requests[i] = { "event.ingest", event } end
    local decisions = {}
    for i, answer in ipairs(client:pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and answer.error.detail)
      decisions[i] = answer.result
    end
    return daemon, client, decisions
  end

  it("exports what each decision was made of, of a running daemon and of a stopped one", function()
    local daemon, client, decisions = record()
    local text, said, code = feature("export", "--at", "decisions", "--data", daemon.data)
    assert.equal(0, code, said)
    local rows, head = csv(text)
    assert.is_true(#rows >= EVENTS)
    local by_id = {}
    for _, row in ipairs(rows) do by_id[row.lead .. "-" .. row.number] = row end
    for i = 1, #decisions, 7 do
      local row = assert(by_id[decisions[i].decision_id], decisions[i].decision_id)
      local explained = client:must("decision.explain", decisions[i].decision_id)
      assert.is_true(explained.reproduced)
      assert.equal(decisions[i].stage, row.stage)
      assert.equal(decisions[i].scores.combined, math.floor(tonumber(row.combined) * 1000 + 0.5))
      assert.equal(decisions[i].at, tonumber(row.at))
      for _, known in ipairs(explained.features) do
        if row[known.name] ~= nil then
          local value = known.value == wire.NIL and "" or known.value
          assert.equal(type(value) == "number" and value or tostring(value),
            type(value) == "number" and tonumber(row[known.name]) or row[known.name], known.name)
        end
      end
    end
    daemon:stop()
    local again = feature("export", "--at", "decisions", "--data", daemon.data)
    assert.equal(text, again)
    assert.is_true(#head > 30)
  end)

  it("exports only what is asked for", function()
    local daemon = record()
    local function count(...)
      local text, said, code = feature("export", "--at", "decisions", "--data", daemon.data, ...)
      assert.is_true(code < 2, said)
      return #csv(text), text
    end
    local all = count()
    local visitors, others = count("--where", "stage=visitor"), 0
    for _, stage in ipairs { "engaged", "mql", "opportunity", "customer", "lost", "nurture", "sql" } do
      others = others + count("--where", "stage=" .. stage)
    end
    assert.is_true(visitors > 0 and visitors < all)
    assert.equal(all, visitors + others)
    local early = count("--until", "2026-01-20T00:00:00Z")
    assert.equal(all, early + count("--since", "2026-01-20T00:00:00.001Z"))
    local _, _, code = feature("export", "--at", "decisions", "--data", daemon.data, "--where", "stage=none")
    assert.equal(1, code)
  end)

  it("says whether an event came within a time, and where that is not known yet", function()
    local daemon = record()
    local text, said, code =
      feature("export", "--at", "labels", "--label", LABEL, "--horizon", "14d", "--data", daemon.data)
    assert.equal(0, code, said)
    assert.is_nil(said:find("is in the journal", 1, true), said)
    local _, warning = feature("export", "--at", "labels", "--label", "No Such", "--horizon", "14d", "--data", daemon.data)
    assert.is_truthy(warning:find('no event "No Such" is in the journal', 1, true), warning) -- a column of zeros trains a model
    local rows = csv(text)
    local ends, came = 0, {}
    for _, row in ipairs(rows) do ends = math.max(ends, tonumber(row.at)) end
    local of = {} -- the lead of a user, by its decisions' order
    local client = daemon:connect()
    for _, event in ipairs(stream) do
      local user = event.userId or event.anonymousId
      of[user] = of[user] or client:must("lead.get", user).lead.lead
      if event.event == LABEL then
        came[of[user]] = came[of[user]] or {}
        table.insert(came[of[user]], event)
      end
    end
    local seen = { [""] = 0, ["0"] = 0, ["1"] = 0 }
    for _, row in ipairs(rows) do
      local at, label = tonumber(row.at), row["label " .. LABEL]
      seen[label] = seen[label] + 1
      local want = at + HORIZON <= ends and "0" or ""
      for _, event in ipairs(came[row.lead] or {}) do
        local time = event.timestamp
        if type(time) == "number" and time > at and time <= at + HORIZON then want = "1" end
      end
      assert.equal(want, label)
    end
    assert.is_true(seen[""] > 0 and seen["0"] > 0 and seen["1"] > 0)
  end)

  it("has the labels that the signal set declares", function()
    local policies = harness.policies()
    local head = policies .. "/signals/b2b/signals.lua"
    harness.edit(head, "  personal = {", '  labels = { { name = "asked", event = "Demo Requested", within = "14d" } },\n  personal = {')
    local daemon = record("event", policies)
    local declared, said, code = feature("export", "--at", "labels", "--data", daemon.data)
    assert.equal(0, code, said)
    local given = feature("export", "--at", "labels", "--label", LABEL, "--horizon", "14d", "--data", daemon.data)
    assert.equal(given, (declared:gsub("label asked", "label " .. LABEL, 1)))
  end)

  it("knows at once that a label is none, by the events that rule it out", function()
    local policies = harness.policies()
    harness.edit(policies .. "/signals/b2b/signals.lua", "  personal = {",
      '  labels = { { name = "won", event = "crm.opportunity_won", within = "90d", unless = { "crm.opportunity_lost", "Unsubscribed" } } },\n  personal = {')
    local daemon = harness.start { clock = "event", policies = policies }
    local client, T0, DAY = daemon:connect(), 1767603600000, 86400000
    local lives_of = {
      won = { { 1, "crm.opportunity_won" } },
      lost = { { 1, "crm.opportunity_lost" } },
      left = { { 2, "Unsubscribed" } },
      lost_then_won = { { 1, "crm.opportunity_lost" }, { 2, "crm.opportunity_won" } },
      won_then_lost = { { 1, "crm.opportunity_won" }, { 2, "crm.opportunity_lost" } },
      at_once = { { 1, "crm.opportunity_lost" }, { 1, "crm.opportunity_won" } },
      lost_before = { { 0, "crm.opportunity_lost" }, { 80, "Docs Viewed" } },
      open = { { 50, "Docs Viewed" } },
      late = { { 91, "crm.opportunity_lost" } },
    }
    local at = {}
    for name, life in pairs(lives_of) do
      client:must("event.ingest", harness.event { userId = name, event = "Pricing Viewed", timestamp = T0 - DAY * (name == "late" and 3 or 0) })
      at[client:must("lead.get", name).lead.lead] = name
      for _, step in ipairs(life) do
        client:must("event.ingest", harness.event { userId = name, event = step[2], timestamp = T0 + step[1] * DAY - DAY * (name == "late" and 3 or 0) })
      end
    end
    local text, said, code = feature("export", "--at", "labels", "--data", daemon.data)
    assert.equal(0, code, said)
    local first = {}
    for _, row in ipairs((csv(text))) do
      local name = at[row.lead]
      if not first[name] then first[name] = row["label won"] end
    end
    assert.same({ won = "1", lost = "0", left = "0", lost_then_won = "0", won_then_lost = "1", at_once = "1", lost_before = "",
      open = "", late = "0" }, first)
  end)

  it("counts for a visitor what came after signing in, and the merge's own decision is a row", function()
    local daemon = harness.start { clock = "event", shards = 2 }
    local client = daemon:connect()
    local T0, HOUR = 1767603600000, 3600000
    local visit = { userId = false, anonymousId = "device", event = "Pricing Viewed", timestamp = T0 }
    local visitor = client:must("event.ingest", harness.event(visit)).lead
    local sign_in = { type = "identify", event = false, userId = "ann", anonymousId = "device", timestamp = T0 + HOUR }
    local known = client:must("event.ingest", harness.event(sign_in)).lead
    assert.not_equal(visitor, known)
    harness.wait("the merge", function() return client:must("lead.get", "device").lead.lead == known end)
    client:must("event.ingest", harness.event { userId = "ann", event = LABEL, timestamp = T0 + 5 * HOUR })
    client:must("event.ingest", harness.event { userId = "bob", timestamp = T0 + 900 * HOUR }) -- the journal goes on
    local labels, causes = {}, {}
    for _, horizon in ipairs { "5h", "4h" } do
      local text, said, code =
        feature("export", "--at", "labels", "--label", LABEL, "--horizon", horizon, "--data", daemon.data)
      assert.equal(0, code, said)
      for _, row in ipairs((csv(text))) do
        if row.lead == visitor then labels[horizon] = row["label " .. LABEL] end
        causes[row.cause] = true
        if row.cause == "merge" then assert.equal("1", row.pricing_views_7d) end
      end
    end
    assert.same({ ["5h"] = "1", ["4h"] = "0" }, labels)
    assert.is_true(causes.merge)
  end)

  it("counts for a known lead what its visitor did before signing in", function()
    local daemon = harness.start { clock = "event", shards = 2 }
    local client = daemon:connect()
    local T0, HOUR = 1767603600000, 3600000
    local function send(event) return client:must("event.ingest", harness.event(event)).lead end
    local known = send { userId = "ann", timestamp = T0 }
    local visitor = send { userId = false, anonymousId = "device", event = LABEL, timestamp = T0 + HOUR }
    send { userId = false, anonymousId = "device", event = LABEL, timestamp = T0 - HOUR } -- late, and no label of T0
    send { type = "identify", event = false, userId = "ann", anonymousId = "device", timestamp = T0 + 2 * HOUR }
    harness.wait("the merge", function() return client:must("lead.get", "device").lead.lead == known end)
    send { userId = "bob", timestamp = T0 + 900 * HOUR } -- the journal goes on
    for horizon, want in pairs { ["1h"] = { "1", "0" }, ["59m"] = { "0", "0" } } do
      local text, said, code =
        feature("export", "--at", "labels", "--label", LABEL, "--horizon", horizon, "--data", daemon.data)
      assert.equal(0, code, said)
      local got = {}
      for _, row in ipairs((csv(text))) do
        if row.lead == known and row.at == tostring(T0) then got[1] = row["label " .. LABEL] end
        if row.lead == visitor and row.at == tostring(T0 + HOUR) then got[2] = row["label " .. LABEL] end
      end
      assert.same(want, got)
    end
  end)

  it("leaves personal features out until they are asked for", function()
    local policies = harness.policies()
    harness.edit(policies .. "/signals/b2b/features/who.lua", 'name = "industry",', 'name = "industry", personal = true,')
    local daemon = harness.start { policies = policies, clock = "event" }
    daemon:connect():must("event.ingest", harness.event { type = "identify", traits = { industry = "Quarries" } })
    local without = feature("export", "--at", "decisions", "--data", daemon.data)
    assert.is_nil(without:find "quarries")
    assert.is_nil(without:find "industry")
    assert.is_truthy(feature("export", "--at", "decisions", "--personal", "--data", daemon.data):find "quarries")
  end)

  it("gives MessagePack with the same rows", function()
    local daemon = record()
    local path = harness.folder() .. "/rows"
    local _, said, code =
      feature("export", "--at", "decisions", "--format", "msgpack", "--out", path, "--data", daemon.data)
    assert.equal(0, code, said)
    local rows = csv((feature("export", "--at", "decisions", "--data", daemon.data)))
    local bytes, values, at = harness.read(path), {}, 1
    local unpacker = mpack.Unpacker()
    while at <= #bytes do values[#values + 1], at = unpacker(bytes, at) end
    assert.equal(#rows + 1, #values)
    assert.equal("b2b", values[1].signals.name)
    assert.equal(#values[1].columns, #values[2])
    _, said, code = feature("export", "--at", "decisions", "--out", path, "--data", daemon.data)
    assert.equal(2, code) -- nothing is overwritten
    assert.is_truthy(said:find("is there already", 1, true), said)
    assert.equal(bytes, harness.read(path))
    -- An export that fails leaves no file behind that looks like one.
    local folder = harness.folder()
    _, said, code = feature("export", "--at", "labels", "--out", folder .. "/rows", "--data", daemon.data)
    assert.is_truthy(code == 2 and said:find("declares no labels", 1, true), said)
    assert.equal("", (io.popen("ls -A '" .. folder .. "'"):read "*a"))
  end)

  it("says in CSV by which definitions the columns were made", function()
    local daemon = record()
    local head = feature("export", "--at", "decisions", "--data", daemon.data):match "^[^\n]+"
    local columns, definitions = head:match "^(.*),definitions (.*)$"
    local named = 0
    for line in feature("list", "--data", daemon.data):gmatch "[^\n]+" do
      local name, hash = line:match "^([%l%d_]+) .* (%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x) "
      if name and (definitions .. " "):find(name .. "=" .. hash .. " ", 1, true) and ("," .. columns .. ","):find("," .. name .. ",", 1, true) then
        named = named + 1
      end
    end
    assert.equal(37, named)
  end)

  it("verifies what a directory holds, and finds the bit that is another", function()
    for _, clock in ipairs { "event", "wall" } do
      local daemon = record(clock)
      local out, said, code = feature("verify", "--all", "--json", "--data", daemon.data)
      assert.equal(0, code, said .. out)
      daemon:stop()
      out, said, code = feature("verify", "--all", "--json", "--data", daemon.data)
      assert.equal(0, code, said .. out)
      local leads = tonumber(out:match '"leads":(%d+)')
      assert.equal(leads, tonumber(out:match '"states":(%d+)'))
      assert.equal(0, tonumber(out:match '"mismatches":(%d+)'))
      assert.equal(0, tonumber(out:match '"unmet":(%d+)'))
      assert.is_true(tonumber(out:match '"frames":(%d+)') >= EVENTS)
      out = feature("verify", "--sample", 5, "--json", "--data", daemon.data)
      assert.equal(5, tonumber(out:match '"leads":(%d+)'))
    end
  end)

  -- A directory in which two versions were in force: in the second, docs_views_30d has another window.
  local function two_versions()
    local policies = harness.policies()
    local daemon = harness.start { policies = policies, clock = "event", seed = harness.SEED, watch = "no" }
    local client = daemon:connect()
    local function send(from, to)
      local requests = {}
      for i = from, to do requests[#requests + 1] = { "event.ingest", stream[i] } end
      local answers = client:pipeline(requests)
      for _, answer in ipairs(answers) do assert.is_nil(answer.error) end
      return answers
    end
    local first = send(1, 200)
    local window = 'window = "%s",\n    tile = "1d",\n    description = "Pages of'
    harness.edit(policies .. "/signals/b2b/features/web.lua", window:format "30d", window:format "28d")
    return daemon, policies, first, send
  end

  it("refuses another meaning under the same version of the set", function()
    local daemon, policies = two_versions()
    local function check(...)
      local folder = harness.folder()
      local words = { ("'%s/intent' check '%s/b2b_saas'"):format(harness.bin, policies), ... }
      local pipe = io.popen(table.concat(words, " ") .. " >" .. folder .. "/out 2>&1; echo $?")
      local code = tonumber(pipe:read "*a")
      pipe:close()
      return harness.read(folder .. "/out"), code
    end
    local out, code = check()
    assert.equal(0, code, out)
    out, code = check("--data", daemon.data)
    assert.equal(1, code, out)
    assert.is_truthy(out:find("signals/b2b/features/web.lua:13: error: feature 'docs_views_30d' means something else than in b2b@4", 1, true), out)
    assert.is_truthy(out:find("raise the set's version", 1, true), out)
    harness.edit(policies .. "/signals/b2b/signals.lua", "version = 4", "version = 5")
    harness.edit(policies .. "/b2b_saas/policy.lua", "b2b@4", "b2b@5")
    out, code = check("--data", daemon.data)
    assert.equal(0, code, out)
    out, code = check("--data", harness.folder())
    assert.equal(2, code, out)
  end)

  it("tells where a feature comes from, who reads it, since when, and which decisions did", function()
    local daemon, _, first, send = two_versions()
    local before = os.time()
    assert.is_true(daemon:admin():must("policy.reload", { allow_late = true }).changed)
    local second = send(201, 400)
    local function lineage(name, ...)
      local out, said, code = feature("lineage", name, "--json", "--data", daemon.data, ...)
      assert.equal(0, code, said)
      return out
    end
    local function ids(text) return text:match '"first":"([^"]+)"', text:match '"last":"([^"]+)"' end
    local old, new = lineage "pricing_views_7d", lineage "docs_views_30d"
    assert.equal("1", old:match '"since":{"number":(%d+)')
    assert.equal("2", new:match '"since":{"number":(%d+)')
    assert.is_true(tonumber(new:match '"since":{.-"at":(%d+)') >= before * 1000)
    local all = tonumber(old:match '"decisions":{"count":(%d+)')
    local newer = tonumber(new:match '"decisions":{"count":(%d+)')
    assert.is_true(newer >= 200 and newer < all and all >= 400)
    assert.is_truthy(old:find('"rules":[{"kind":"evidence"', 1, true))
    assert.is_truthy(old:find('"models":[{"role":"engagement","name":"b2b_engagement"', 1, true))
    local from, to = ids(old)
    assert.is_truthy(from and to)
    assert.equal(1, #first > 0 and #second > 0 and 1)
    local page, said, code = feature("lineage", "pricing_views_7d", "--data", daemon.data)
    assert.equal(0, code, said)
    for _, part in ipairs { "b2b_engagement@1, term 1", "evidence pricing_again", "since", "b2b@4", "decisions", from, to } do
      assert.is_truthy(page:find(part, 1, true), part .. " in\n" .. page)
    end
    local list = feature("list", "--data", daemon.data)
    assert.is_truthy(list:find("37 features of b2b@4", 1, true), list)
    local _, wrong, status = feature("show", "pricing_view", "--data", daemon.data)
    assert.equal(1, status)
    assert.is_truthy(wrong:find("did you mean pricing_views_7d?", 1, true))
  end)

  it("lists a policy's files without a data directory", function()
    local folder = harness.root .. "/policies/consumer_loans"
    local out, said, code = feature("list", "--policy", folder, "--json")
    assert.equal(0, code, said)
    local _, count = out:gsub('"file":"policies/signals/loans/features/%l+%.lua"', "")
    assert.equal(11, count)
    out = feature("show", "offer_calls", "--policy", folder)
    assert.is_truthy(out:find("W_Nabellen offertes", 1, true))
    assert.is_truthy(out:find("properties.lifecycle", 1, true))
  end)

  it("has ages, which explanations and leads show and policies ask for", function()
    local policies = harness.policies()
    harness.edit(policies .. "/b2b_saas/policy.lua", "when = f.demo_requested_30d",
      'when = any { f.demo_requested_30d, signal.fresh(f.pricing_views_7d, "2d") }')
    local daemon = harness.start { policies = policies, clock = "event" }
    local client = daemon:connect()
    local T0, DAY = 1767603600000, 86400000
    local function send(name, at)
      return client:must("event.ingest", harness.event { event = name, timestamp = at, channel = "web" })
    end
    send("Pricing Viewed", T0)
    local function explained(decision)
      local answer = client:must("decision.explain", decision.decision_id)
      assert.is_true(answer.reproduced)
      assert.same({ name = "b2b", version = "4" }, { name = answer.signals.name, version = answer.signals.version })
      assert.is_truthy(answer.signals.hash:find "^%x+$")
      local ages, fired = {}, nil
      for _, known in ipairs(answer.features) do ages[known.name] = known.age end
      for _, condition in ipairs(answer.conditions) do
        if condition.name == "pricing_views_7d is no older than 2d" then fired = condition.fired end
      end
      return ages, fired
    end
    local ages, fired = explained(send("Docs Viewed", T0 + 2 * DAY))
    assert.equal(2 * DAY, ages.pricing_views_7d)
    assert.equal(wire.NIL, ages.docs_views_30d) -- nobody asks for it
    assert.equal(true, fired)
    ages, fired = explained(send("Docs Viewed", T0 + 2 * DAY + 1))
    assert.equal(2 * DAY + 1, ages.pricing_views_7d)
    assert.equal(false, fired)
    send("Pricing Viewed", T0 + DAY) -- late: it is younger than what was known
    local lead = client:must("lead.get", "u1").lead
    assert.equal(DAY + 1, lead.ages.pricing_views_7d)
    assert.is_nil(lead.ages.docs_views_30d)
    assert.equal("b2b", lead.signals.name)
    local out, said, code = feature("verify", "--all", "--json", "--data", daemon.data)
    assert.equal(0, code, said .. out)
  end)

  it("says what is wrong with a command line", function()
    local daemon = record()
    local wrong = {
      [{ "exprt" }] = "did you mean export?",
      [{ "export" }] = "--at decisions or --at labels",
      [{ "export", "--at", "labels" }] = "the signal set b2b@4 declares no labels",
      [{ "export", "--at", "labels", "--label", "x" }] = "--label EVENT and --horizon TIME go together",
      [{ "export", "--at", "decisions", "--label", "x" }] = "go with --at labels",
      [{ "export", "--at", "decisions", "--where", "stage" }] = "is not NAME=VALUE",
      [{ "export", "--at", "decisions", "--where", "email=x" }] = "allowed names: lead, cause,",
      [{ "export", "--at", "decisions", "--format", "parquet" }] = "allowed: csv, msgpack",
      [{ "verify", "--sample", "0" }] = "--sample",
    }
    for words, part in pairs(wrong) do
      local line = { unpack(words) }
      line[#line + 1], line[#line + 2] = "--data", daemon.data
      local _, said, code = feature(unpack(line))
      assert.equal(2, code)
      assert.is_truthy(said:find(part, 1, true), said)
    end
    local _, said, code = feature("verify", "--data", harness.folder())
    assert.equal(1, code)
    assert.is_truthy(said:find "is no data directory", said)
  end)
end)
