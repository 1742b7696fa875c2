--- examples/behaviour_vs_profile: from a raw file to a table, on made-up applications and on the bank's own where they lie beside
--- the project (EXPERIMENT=all: both studies whole). SEED= repeats a run.
local harness = require "harness"

local SEED = tonumber(os.getenv "SEED") or os.time() % 100000
local EXAMPLE = harness.root .. "/examples/behaviour_vs_profile"
local DATA = harness.root .. "/../shared/data/"
local BANK, SHOP = DATA .. "bpi2012/events.csv.gz", DATA .. "online_shoppers/online_shoppers_intention.csv.gz"

local function study(example, ...)
  local words = { ("INTENTD_BIN='%s' INTENTD_ROOT='%s' luajit '%s/run.lua'"):format(harness.bin, harness.root, example), ... }
  local folder = harness.folder()
  local pipe = io.popen(("%s --out %s/out >%s/said 2>&1; echo $?"):format(table.concat(words, " "), folder, folder))
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return code, harness.read(folder .. "/said"), code == 0 and harness.read(folder .. "/out/tables.md")
end

-- ---- made-up applications ----

local function at(ms)
  return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(ms / 1000)) .. (".%03dZ"):format(ms % 1000)
end

--- A log of the bank's form: who is worked on more is approved more often; the amount says nothing.
local function applications(count)
  math.randomseed(SEED)
  local lines = { "case_id,reg_date,amount_req,seq,timestamp,activity,lifecycle,resource" }
  local HOUR, begin = 3600000, 1317427200000
  for case = 1, count do
    local now, seq, amount, keen = begin + case * 5 * HOUR, 0, math.random(1, 50) * 1000, math.random()
    local registered = at(now)
    local function put(activity, lifecycle, after)
      now = now + after
      lines[#lines + 1] = table.concat({ case, registered, amount, seq, at(now), activity, lifecycle, math.random(100, 120) }, ",")
      seq = seq + 1
    end
    put("A_SUBMITTED", "COMPLETE", 0)
    put("A_PREACCEPTED", "COMPLETE", math.random(60000))
    for _ = 1, math.floor(keen * 6) do
      put("W_Completeren aanvraag", "START", math.random(3 * HOUR))
      put("W_Completeren aanvraag", "COMPLETE", math.random(60000))
    end
    if keen > 0.9 and math.random() < 0.5 then put("A_DECLINED", "COMPLETE", 1000) end -- within the day: not scored
    put("W_Nabellen offertes", "SCHEDULE", 30 * HOUR)
    if math.random() < 0.9 then put(math.random() < keen and "A_APPROVED" or "A_CANCELLED", "COMPLETE", HOUR) end
  end
  local path = harness.folder() .. "/log.csv"
  harness.write(path, table.concat(lines, "\n") .. "\n")
  return path
end

describe("behaviour against the profile (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)

  local has_trainer = io.open(harness.bin .. "/plugins/train_xgboost.so", "rb")
  local function it_trains(name, body)
    it(name, function()
      if not has_trainer then
        pending "libxgboost is not here, so nothing trains"
        return
      end
      body()
    end)
  end

  it_trains("is told from a raw file by one command, and decides online as it was trained", function()
    local code, said, tables = study(EXAMPLE, "--compare 20 --split 2011-12-15 --bank", applications(500))
    assert.equal(0, code, said)
    local profile, behaviour = tables:match "| AUC | ([%d.]+) [^|]*| ([%d.]+) "
    assert.is_true(tonumber(behaviour) > tonumber(profile) + 0.1, tables)
    local scored, won, lost, open = tables:match "(%d+) leads scored, (%d+) of them approved, (%d+) not, (%d+) with no end"
    assert.equal(tonumber(scored), won + lost + open)
    assert.is_true(tonumber(open) > 0)
    assert.is_truthy(tables:find("decided %d+ of them are those of training, bit for bit"))
  end)

  it("stops where a feature hears how it ended", function()
    for change, complaint in pairs {
      ['on = "A_ACCEPTED"'] = { 'on = { "A_ACCEPTED", "A_REGISTERED" }', "feature accepted hears A_REGISTERED, which says how it ended" },
      ['op = "count", on = "O_SENT",'] = { 'op = "count",', "feature offers_sent hears every event" },
      ['"O_SENT", "O_SENT_BACK" }'] = { '"O_SENT", "A_APPROVED" }', "feature depth hears A_APPROVED" },
    } do
      local copy = harness.folder()
      os.execute(("cp -r '%s/.' '%s' && mkdir '%s/../demo' 2>/dev/null; cp '%s/../demo/daemon.lua' '%s'"):format(EXAMPLE, copy, copy, EXAMPLE, copy))
      harness.edit(copy .. "/policies/signals/applications/features/steps.lua", change, complaint[1])
      local code, said = study(copy, "--bank", "/dev/null")
      assert.equal(1, code)
      assert.is_truthy(said:find(complaint[2], 1, true), said)
    end
  end)

  it("says what it wants", function()
    local code, said = study(EXAMPLE)
    assert.equal(2, code)
    assert.is_truthy(said:find("--bank FILE", 1, true))
    code, said = study(EXAMPLE, "--shop", "/nothing/here.csv")
    assert.equal(1, code)
    assert.is_truthy(said:find("shop: ", 1, true), said)
  end)

  it_trains("holds on the bank's own log", function()
    local there = io.open(BANK, "rb")
    if not there then
      pending "the bank's data is not here (../shared/data)"
      return
    end
    there:close()
    if os.getenv "EXPERIMENT" == "all" then
      local code, said, tables = study(EXAMPLE, "--bank", BANK, "--shop", SHOP)
      assert.equal(0, code, said)
      assert.is_truthy(tables:find("6087 leads scored, 2218 of them approved, 3472 not, 397 with no end", 1, true), tables)
      for profile, behaviour in tables:gmatch "| AUC | ([%d.]+) [^|]*| ([%d.]+) " do
        assert.is_true(tonumber(behaviour) > tonumber(profile) + 0.05, tables)
      end
      return
    end
    if not harness.bin:find "release" then return end -- long under a sanitizer, and the same way as above
    local head = harness.folder() .. "/head.csv"
    os.execute(("gzip -dc '%s' 2>/dev/null | head -n 30000 >'%s'"):format(BANK, head))
    local code, said, tables = study(EXAMPLE, "--compare 20 --split 2011-10-14 --bank", head)
    assert.equal(0, code, said)
    assert.is_truthy(tables:find("of training, bit for bit", 1, true), tables)
  end)
end)
