--- intent train: from rows to a version of a model. SEED= repeats a run.
local harness = require "harness"
local lfs = require "lfs"

local SEED = tonumber(os.getenv "SEED") or os.time() % 100000
local DAY = 86400000
local BEGIN = 1767225600000 -- 2026-01-01
local SIGNALS = harness.root .. "/policies/signals/b2b"
local PLUGIN = harness.bin .. "/plugins/train_xgboost.so"

local function run(line)
  local folder = harness.folder()
  local pipe = io.popen(("( %s ) >%s/out 2>%s/err; echo $?"):format(line, folder, folder))
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return harness.read(folder .. "/out"), harness.read(folder .. "/err"), code
end

-- ---- rows ----
local FEATURES = { "usage_7d", "pricing_views_7d", "idle", "company_size", "region", "industry" }

local function quoted(text) return text:find '[",\n]' and '"' .. text:gsub('"', '""') .. '"' or text end

--- Leads over 100 days, one to four rows each, of which more is known the keener they are. `change(row)` may change each.
local function rows_of(leads, change)
  math.randomseed(SEED)
  local rows = {}
  for lead = 1, leads do
    local keen, size = math.random(), math.random(1, 1000)
    local region = ({ "emea", "amer", "apac", "" })[math.random(4)]
    for number = 1, math.random(4) do
      local row = {
        lead = ("%032x"):format(lead * 7919),
        number = number,
        at = BEGIN + math.floor(lead * 100 * DAY / leads) + number * DAY + lead,
        label = math.random() < 0.75 * keen + (region == "emea" and 0.2 or 0) and 1 or 0,
        usage_7d = math.floor(10 * keen + math.random(0, 4)),
        pricing_views_7d = math.random() < keen and math.random(0, 5) or 0,
        idle = math.random() < 0.3 and "" or math.random(0, 1e9),
        company_size = size,
        region = region,
        industry = ({ 'retail, "fine"', "bank", "" })[math.random(3)],
      }
      if change then change(row) end
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function csv(rows, features)
  features = features or FEATURES
  local lines = { "lead,number,at,stage,label won," .. table.concat(features, ",") }
  for i, row in ipairs(rows) do
    local cells = { row.lead, row.number, ("%.0f"):format(row.at), "new", row.label }
    for _, name in ipairs(features) do
      cells[#cells + 1] = quoted(tostring(row[name]))
    end
    lines[i + 1] = table.concat(cells, ",")
  end
  return table.concat(lines, "\n") .. "\n"
end

local function train(text, options, out)
  local folder = harness.folder()
  harness.write(folder .. "/rows.csv", text)
  out = out or folder .. "/models/buyers/1"
  local said, err, code = run(("'%s/intent' train '%s/rows.csv' --signals '%s' --label won --when 2026-05-01 --trees 60 --eta 0.2 --out '%s' %s"):format(
    harness.bin, folder, SIGNALS, out, options or ""))
  return { out = said, err = err, code = code, path = out, folder = folder }
end

local function file(trained, name) return harness.read(trained.path .. "/" .. name) end

-- Nothing, not even a hidden folder, is left of a version that was not written.
local function is_untouched(trained)
  local models = trained.folder .. "/models/buyers"
  if not lfs.attributes(models) then return true end
  for name in lfs.dir(models) do
    if name ~= "." and name ~= ".." then return false end
  end
  return true
end

local function refused(trained, ...)
  assert.equal(2, trained.code, trained.out .. trained.err)
  for _, wanted in ipairs { ... } do
    assert.is_truthy(trained.err:find(wanted, 1, true), ('this does not say "%s":\n%s'):format(wanted, trained.err))
  end
  assert.is_true(is_untouched(trained))
end

-- The first number behind a key, in the part of a model's group.
local function metric(report, group, name)
  local part = report:match('{"group":"' .. group .. '","written".-"tenths"')
  local value, low, high = part:match('"' .. name .. '":{"value":([%d.e-]+),"low":([%d.e-]+),"high":([%d.e-]+)}')
  return tonumber(value), tonumber(low), tonumber(high)
end

local there = lfs.attributes(PLUGIN) ~= nil
local function with_plugin(name, test)
  it(name, function()
    if not there then
      pending "libxgboost-dev was not there when this was built"
      return
    end
    test()
  end)
end

describe("training (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)

  with_plugin("gives the same bytes twice, and the same trees whatever the order of rows", function()
    local rows = rows_of(600)
    local first, again = train(csv(rows)), train(csv(rows))
    assert.equal(0, first.code, first.err)
    for _, name in ipairs { "model.json", "weights.json", "report.json", "report.html" } do
      assert.equal(file(first, name), file(again, name), name)
    end
    for i = #rows, 2, -1 do
      local k = math.random(i)
      rows[i], rows[k] = rows[k], rows[i]
    end
    local shuffled = train(csv(rows))
    assert.equal(file(first, "weights.json"), file(shuffled, "weights.json"))
    assert.equal(file(first, "model.json"):gsub("sha256:%x+", ""), (file(shuffled, "model.json"):gsub("sha256:%x+", "")))
    local other = train(csv(rows), "--seed 2")
    assert.not_equal(file(first, "weights.json"), file(other, "weights.json"))
  end)

  with_plugin("writes what a policy loads, and says what each group of features is worth", function()
    local trained = train(csv(rows_of(600)), "--rationale 'Because we \"ask\".'")
    assert.equal(0, trained.code, trained.err)
    local model, report, page = file(trained, "model.json"), file(trained, "report.json"), file(trained, "report.html")
    assert.is_truthy(model:find('"rationale": "Because we \\"ask\\"."', 1, true), model)
    assert.is_truthy(model:find('"categories": ["amer", "apac", "emea"]', 1, true), model)
    assert.is_truthy(model:find('"retail, \\"fine\\""', 1, true), model)
    local out, err, code = run(("'%s/intent' model list --models '%s/models'"):format(harness.bin, trained.folder))
    assert.is_truthy(code == 0 and out:find "xgboost" and not out:find "does not load", out .. err)
    for _, group in ipairs { "profile", "behaviour", "both" } do
      for _, name in ipairs { "auc", "average_precision", "log_loss", "brier" } do
        local value, low, high = metric(report, group, name)
        assert.is_true(low <= value and value <= high and low < high, group .. " " .. name)
      end
    end
    assert.is_true(metric(report, "both", "auc") > 0.55)
    assert.is_true(metric(report, "behaviour", "auc") > metric(report, "profile", "auc"))
    assert.is_truthy(trained.out:find("to the bit", 1, true) and trained.out:find("both (written)", 1, true), trained.out)
    local _, plots = page:gsub("<svg", "")
    assert.equal(4, plots)
    local marks = 0
    for mark in page:gmatch 'text%-anchor="middle">([%d.]+)<' do
      assert.is_true(#mark <= 4, mark) -- 0.0625 beside 0.125 would be one word
      marks = marks + 1
    end
    assert.is_true(marks > 12 and marks <= 28, marks)
    assert.is_nil(page:find "https?://") -- it needs nothing but itself
    assert.is_nil(page:find "nan")
  end)

  with_plugin("writes the model that was asked for", function()
    local text = csv(rows_of(400))
    local function names(options)
      local trained = train(text, options)
      assert.equal(0, trained.code, trained.err)
      local found = {}
      for name in file(trained, "model.json"):gmatch '{"name": "([%w_]+)"' do found[#found + 1] = name end
      return table.concat(found, " ")
    end
    assert.equal("company_size region industry", names "--features profile")
    assert.equal("usage_7d pricing_views_7d idle", names "--features behaviour")
    assert.equal("usage_7d region", names "--features region,usage_7d")
    assert.equal("usage_7d pricing_views_7d company_size region industry", names "--without idle")
  end)

  with_plugin("puts no lead on two sides, and says what it drops", function()
    local rows = rows_of(500)
    local cut = BEGIN + 60 * DAY
    local first, dropped, test = {}, 0, 0
    for _, row in ipairs(rows) do first[row.lead] = math.min(first[row.lead] or row.at, row.at) end
    for _, row in ipairs(rows) do
      if row.at >= cut and first[row.lead] < cut then dropped = dropped + 1 end
      if first[row.lead] >= cut then test = test + 1 end
    end
    local report = file(train(csv(rows), "--split 2026-03-02"), "report.json")
    local rows_of_test = tonumber(report:match '"part":"test","rows":(%d+)')
    assert.equal(test, rows_of_test)
    -- Leads of training are dropped behind its own end, too.
    assert.is_true(tonumber(report:match '"later_rows_of_earlier_leads":(%d+)') >= dropped and dropped > 0)
    assert.is_truthy(report:find('"part":"test","rows":%d+,"leads":%d+,"came":%d+,"from":"2026%-03%-0[2-4]'), report)
    local gap = file(train(csv(rows), "--split 2026-03-02 --gap 5d"), "report.json")
    assert.is_true(tonumber(gap:match '"in_the_gap":(%d+)') > 0)
  end)

  with_plugin("leaves out rows without a label, and counts them", function()
    local unlabelled = 0
    local rows = rows_of(400, function(row)
      if row.at > BEGIN + 95 * DAY then row.label, unlabelled = "", unlabelled + 1 end
    end)
    local trained = train(csv(rows))
    assert.equal(unlabelled, tonumber(file(trained, "report.json"):match '"without_label":(%d+)'))
    assert.is_truthy(trained.out:find(("rows left out: %d without a label yet, "):format(unlabelled), 1, true), trained.out)
  end)

  with_plugin("passes over what says nothing, and says why", function()
    local rows = rows_of(300, function(row)
      row.usage_7d, row.idle = 3, ""
      row.email_domain = "d" .. row.number .. row.lead
      row.unheard_of = 1
    end)
    local features = { "usage_7d", "pricing_views_7d", "idle", "company_size", "email_domain", "unheard_of" }
    local trained = train(csv(rows, features))
    assert.equal(0, trained.code, trained.err)
    for _, said in ipairs { "usage_7d: the same in all training rows", "idle: not known in any training row", "unheard_of" } do
      assert.is_truthy(trained.err:find(said, 1, true), trained.err)
    end
    assert.is_nil(file(trained, "model.json"):find("usage_7d", 1, true))
    refused(train(csv(rows, { "usage_7d", "idle" })), "no feature is left to learn from")
    refused(train(csv(rows, { "usage_7d", "company_size" }), "--features behaviour"), "no behaviour feature")
  end)

  with_plugin("takes numbers beyond a float, and times as text", function()
    local rows = rows_of(300, function(row)
      if row.number == 1 then row.usage_7d = row.label == 1 and "1e300" or "-1e300" end
    end)
    local text = csv(rows):gsub(",(17%d%d%d%d%d%d%d%d)%d%d%d,new", function(s) return os.date("!,%Y-%m-%dT%H:%M:%SZ,new", tonumber(s)) end)
    local trained = train(text)
    assert.equal(0, trained.code, trained.err)
    assert.is_true(metric(file(trained, "report.json"), "both", "auc") > 0.55)
  end)

  with_plugin("refuses a feature that the label's event feeds", function()
    local rows = rows_of(300, function(row) row.demo_requested_30d = row.label end)
    local text = csv(rows, { "usage_7d", "company_size", "demo_requested_30d" }):gsub("label won", "label Demo Requested")
    refused(train(text, "--label 'Demo Requested'"), "a leak", "demo_requested_30d", "--without demo_requested_30d")
    local trained = train(text, "--label 'Demo Requested' --without demo_requested_30d")
    assert.equal(0, trained.code, trained.err)
    assert.is_truthy(trained.err:find("every event", 1, true), trained.err) -- usage_7d counts events of any name
  end)

  with_plugin("knows the label's event from the set's declaration, and reads the set of a policy", function()
    local policies = harness.policies()
    harness.edit(policies .. "/signals/b2b/signals.lua", "version = 4,",
      'version = 4, labels = { { name = "won", event = "Demo Requested", within = "30d", unless = { "Unsubscribed" } } },')
    local folder = harness.folder()
    local rows = rows_of(300, function(row) row.demo_requested_30d, row.unsubscribed = row.label, 1 - row.label end)
    harness.write(folder .. "/rows.csv", csv(rows, { "usage_7d", "company_size", "demo_requested_30d", "unsubscribed" }))
    local function train_it(options)
      return run(("'%s/intent' train '%s/rows.csv' --policy '%s/b2b_saas' --label won --out '%s/m/buyers/1' %s"):format(
        harness.bin, folder, policies, folder, options))
    end
    local _, err, code = train_it ""
    assert.is_truthy(code == 2 and err:find("--without demo_requested_30d,unsubscribed", 1, true), err)
    _, err, code = train_it "--without demo_requested_30d,unsubscribed --trees 5"
    assert.equal(0, code, err)
    assert.is_truthy(harness.read(folder .. "/m/buyers/1/model.json"):find("won: Demo Requested within 30d", 1, true))
  end)

  with_plugin("refuses rows that no model can be made of", function()
    local all = rows_of(300)
    refused(train(csv(rows_of(300, function(row) row.label = 1 end))), "each the label is 1")
    refused(train(csv(rows_of(300, function(row) row.label = 0 end))), "none the label is 1")
    refused(train(csv(rows_of(300, function(row) row.label = "" end))), "no row has a label")
    refused(train(csv(rows_of(10))), "at least 50 are needed")
    refused(train(csv(rows_of(300, function(row) row.at = BEGIN end))), "rows for training")
    refused(train(csv(all), "--split 2030-01-01"), "0 rows for test")
    refused(train(csv(all), "--split 2020-01-01"), "0 rows for training")
  end)

  with_plugin("refuses files that are none, with the line", function()
    local good = csv(rows_of(300))
    local function broken(pattern, by, ...) refused(train((good:gsub(pattern, by, 1))), ...) end
    broken("^lead", "lad", 'no column "lead"')
    broken(",at,", ",att,", 'no column "at"')
    broken("label won", "label wan", 'no column "label won"; did you mean --label wan?')
    broken("label won", "won", "has no labels")
    broken("usage_7d", "company_size", "twice")
    broken("usage_7d,pricing_views_7d,idle,company_size,region,industry", "a,b,c,d,e,f", "no column is a feature of b2b@4")
    broken("\n(%x+),", '\n"%1,', "rows.csv:2")
    broken(",new,%d,", ",new,2,", "rows.csv:2", "is no label")
    broken(",new,%d,%d+", ",new,1,0x10", "rows.csv:2", "is no number")
    broken(",new,%d,%d+", ",new,1,nan", "rows.csv:2", "is no number")
    broken(",new,%d,%d+", ",new,1,1e999", "rows.csv:2", "is no number")
    broken("\n%x+,", "\n,", "rows.csv:2", "is nobody")
    broken(",17%d+,", ",yesterday,", "rows.csv:2", "is no time")
    broken("\n.-\n", "\n1,2\n", "rows.csv:2", "fields")
    refused(train "", "is empty")
    local out, said, code = run(("'%s/intent' train /dev/zero --signals '%s' --label won --out '%s/m/1'"):format(harness.bin, SIGNALS, harness.folder()))
    assert.equal(2, code, out)
    assert.is_truthy(said:find("/dev/zero is no regular file", 1, true), said)
    refused(train(good:match "^.-\n"), "no row has a label")
    refused(train(good, "--features usage"), "--features", "usage")
    refused(train(good, "--without idel"), "did you mean idle")
    refused(train(good, "--features a,,b"), "an empty name")
    for _, wrong in ipairs { "--trees 0", "--depth 99", "--eta 2", "--eta x", "--seed -1", "--split soon", "--gap soon", "--when soon" } do
      refused(train(good, wrong), wrong:match "^%S+")
    end
  end)

  with_plugin("never writes over a version, nor half of one", function()
    local text = csv(rows_of(300))
    local first = train(text)
    local before = file(first, "model.json")
    local again = train(text, "--seed 9", first.path)
    assert.is_truthy(again.code == 2 and again.err:find("is there already", 1, true), again.err)
    assert.equal(before, file(first, "model.json"))
    refused(train(text, "--out buyers"), "models/NAME/VERSION")
    -- What can't be written is said before anything is trained.
    for _, bad in ipairs { "/models/Buyers/1", "/models/buyers/..", "/models/../1", "/models/buyers/ä" } do
      local trained = train(text, nil, harness.folder() .. bad)
      assert.is_truthy(trained.code == 2 and trained.err:find("--out: ", 1, true), trained.err)
      assert.is_nil(trained.err:find("training:", 1, true))
    end
    local slash = train(text, nil, harness.folder() .. "/models/buyers/2/")
    assert.equal(0, slash.code, slash.err)
    assert.is_truthy(file(slash, "model.json"):find('"version": "2"', 1, true))
  end)

  with_plugin("writes scores to a new file, and over none", function()
    local folder = harness.folder()
    harness.write(folder .. "/mine", "mine")
    local refusal = train(csv(rows_of(300)), ("--scores '%s/mine'"):format(folder))
    refused(refusal, "mine is there already")
    assert.is_nil(refusal.err:find("training:", 1, true))
    assert.equal("mine", harness.read(folder .. "/mine"))
    refused(train(csv(rows_of(300)), ("--scores '%s/no/mine'"):format(folder)), "can't be written")
  end)

  with_plugin("refuses columns of another definition than the set has", function()
    local definitions = {}
    local listed = run(("'%s/intent' feature list --policy '%s'"):format(harness.bin, SIGNALS:gsub("signals/b2b", "b2b_saas")))
    for line in listed:gmatch "[^\n]+" do
      local name, hash = line:match "^([%l%d_]+) .* (%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x) "
      if name then definitions[#definitions + 1] = name .. "=" .. hash end
    end
    local text = csv(rows_of(300)):gsub("\n", ",\n")
    local function with(head) return (text:gsub("\n", function() return "definitions " .. head .. "\n" end, 1)) end
    local good = table.concat(definitions, " ")
    local trained = train(with(good))
    assert.equal(0, trained.code, trained.err)
    assert.is_nil(trained.err:find("does not say", 1, true))
    local other = good:gsub("usage_7d=%x", function(s) return s:sub(1, -2) .. (s:sub(-1) == "0" and "1" or "0") end)
    refused(train(with(other)), "another definition", "usage_7d", "--without usage_7d")
    assert.equal(0, train(with(other), "--without usage_7d").code)
    assert.equal(0, train(with(other), "--features company_size,region").code)
    assert.is_truthy(train(csv(rows_of(300))).err:find("does not say by which definitions", 1, true))
    for _, odd in ipairs { "", "usage_7d", "usage_7d=xyz", "=1 usage_7d=", "no_such=1" } do -- no such list: it says nothing
      assert.equal(0, train(with(odd)).code)
    end
  end)

  it("says what to install when the library is not there", function()
    local trained = train(csv(rows_of(100)), ("--plugins '%s'"):format(harness.folder()))
    refused(trained, "libxgboost-dev", "./dev build")
    local other = harness.folder()
    harness.write(other .. "/train_xgboost.so", "no shared object")
    refused(train(csv(rows_of(100)), ("--plugins '%s'"):format(other)), "does not load", "libxgboost-dev")
  end)
end)
