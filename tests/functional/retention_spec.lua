--- Bases and retention on a running daemon: the journal before a base goes, a hold keeps it, and a daemon that lost its LMDB is as it was.
local json = require "dkjson"
local lfs = require "lfs"

local harness = require "harness"

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000

local function quote(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

local function intent(...)
  local folder, words = harness.folder(), {}
  for _, word in ipairs { ... } do
    words[#words + 1] = quote(word)
  end
  local line = ("'%s/intent' %s >%s/out 2>%s/err; echo $?"):format(harness.bin, table.concat(words, " "), folder, folder)
  local pipe = io.popen(line)
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return harness.read(folder .. "/out"), code, harness.read(folder .. "/err")
end

describe("retention (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)
  local random = harness.random(SEED)
  local sent, decisions = 0, {}

  before_each(function()
    sent, decisions = 0, {}
  end)

  local OPTIONS = {
    ["base.journal"] = "1m",
    ["base.interval"] = "1s",
    ["retention.bytes"] = "40m", -- of each of the two logs 16 MiB are always there
    ["dedupe.window"] = "1s",
    ["checkpoint.interval"] = "100ms",
  }

  local function ingest(daemon, count)
    local client = daemon:connect()
    local requests = {}
    for i = 1, count do
      sent = sent + 1
      local keys = { userId = "u" .. random(40), messageId = "m" .. sent, properties = { text = ("x"):rep(4000) } }
      requests[i] = { "event.ingest", harness.event(keys) }
    end
    for _, answer in ipairs(client:pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and answer.error.detail)
      decisions[#decisions + 1] = answer.result
    end
    client:close()
  end

  local function segments(data)
    local n = 0
    for name in lfs.dir(data .. "/journal") do
      if name:find "%.log$" or name:find "%.seg$" then n = n + 1 end
    end
    return n
  end

  -- Leads whose beginning went are folded on from a base, and come to what is held.
  local function verify_features(daemon)
    local out, code, err = intent("feature", "verify", "--all", "--json", "--data", daemon.data)
    assert.equal(0, code, out .. err)
    local found = json.decode(out)
    assert.is_true(found.from_base > 0 and found.frames > 0 and found.bases > 0)
    assert.equal(0, found.mismatches)
    return found
  end

  it("lets old journal go behind bases, and starts without LMDB", function()
    local daemon = harness.start(OPTIONS)
    harness.wait("journal to go", function()
      ingest(daemon, 400)
      return select(2, daemon:connect():call("decision.get", decisions[1].decision_id))
    end)
    local out, code, err
    for _ = 1, 3 do -- while more is written, and goes
      ingest(daemon, 400)
      out, code, err = intent("journal", "verify", "--data", daemon.data)
      assert.equal(0, code, out .. err)
      verify_features(daemon)
    end
    local last = decisions[#decisions]
    local client = daemon:connect()
    local _, gone = client:call("decision.get", decisions[1].decision_id)
    assert.equal("not_found", gone.code)
    assert.truthy(gone.detail:find("retention", 1, true), gone.detail)
    assert.equal(last.decision_id, client:must("decision.get", last.decision_id).decision_id)
    assert.is_true(client:must("decision.explain", last.decision_id).reproduced)
    local leads = {}
    for i = 1, 40 do
      leads[i] = client:must("lead.get", "u" .. i)
    end

    daemon:stop()
    out, code, err = intent("journal", "verify", "--closed", "--data", daemon.data)
    assert.equal(0, code, out .. err)
    assert.is_true(verify_features(daemon).states > 0)
    os.remove(daemon.data .. "/state/data.mdb")
    os.remove(daemon.data .. "/state/lock.mdb")
    daemon:restart()
    client = daemon:connect()
    for i = 1, 40 do
      assert.same(leads[i].lead, client:must("lead.get", "u" .. i).lead)
    end
    ingest(daemon, 100)
    daemon:stop()
    out, code = intent("replay", "--json", "--data", daemon.data)
    assert.equal(0, code, out)
    assert.is_true(json.decode(out).decisions > 0)
  end)

  it("keeps what is held", function()
    local daemon = harness.start(OPTIONS)
    local out, code, err = intent("journal", "hold", "case-7", "--data", daemon.data, "--since", "1d", "--why", "the regulator asked")
    assert.equal(0, code, err)
    assert.truthy(out:find("case-7 keeps the journal from", 1, true), out)
    local bases = daemon:metric "intentd_bases_total"
    harness.wait("many segments and bases", function()
      ingest(daemon, 400)
      return segments(daemon.data) > 10 and daemon:metric "intentd_bases_total" > bases + 3
    end)
    assert.equal(0, daemon:metric "intentd_journal_let_go_segments_total")
    out = intent("journal", "hold", "--json", "--data", daemon.data)
    assert.equal("the regulator asked", json.decode(out)[1].why)
    assert.equal(1, (select(2, intent("journal", "hold", "case-7", "--data", daemon.data, "--since", "1d", "--why", "again"))))
    assert.equal(2, (select(2, intent("journal", "hold", "case-8", "--data", daemon.data, "--why", "no time"))))
    assert.equal(1, (select(2, intent("journal", "hold", "case-8", "--data", daemon.data, "--release"))))
    assert.equal(0, (select(2, intent("journal", "hold", "case-7", "--data", daemon.data, "--release"))))
    harness.wait("journal to go", function()
      ingest(daemon, 200)
      return daemon:metric "intentd_journal_let_go_segments_total" > 0
    end)
  end)
end)
