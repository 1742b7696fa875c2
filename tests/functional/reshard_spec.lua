--- `intent reshard`: a stopped daemon's directory gets another number of partitions, and the stream goes on as in one that
--- never was changed.
local json = require "dkjson"

local harness = require "harness"
local lives = require "lives"

local EVENTS, LEADS = 900, 80
local SEED = tonumber(os.getenv "SEED") or os.time() % 100000
local ROUNDS = tonumber(os.getenv "ROUNDS") or 3

local function intent(words)
  local out = harness.folder() .. "/out"
  local status = os.execute(("'%s/intent' %s >%s 2>&1"):format(harness.bin, words, out))
  return harness.read(out), status / 256
end

describe("another number of partitions (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)

  local stream = lives.stream(SEED, EVENTS, LEADS, 120)

  local function start(shards) return harness.start { clock = "event", seed = harness.SEED, shards = shards } end

  -- The bytes of each decision, with `duplicate` false.
  local function send(daemon, from, to, decisions)
    local requests = {}
    for i = from, to do
      requests[#requests + 1] = { "event.ingest", stream[i] }
    end
    for i, answer in ipairs(daemon:connect():pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and answer.error.detail)
      local bytes = answer.raw:sub(1, -2) .. "\194"
      local before = decisions[from + i - 1]
      if before and before ~= bytes then error(("event %d was decided differently"):format(from + i - 1)) end
      decisions[from + i - 1] = bytes
    end
  end

  local function replayed(data)
    local out, status = intent(("replay --json --data '%s' --threads 3"):format(data))
    assert.equal(0, status, out)
    return out:match '"hash":"(%x+)"'
  end

  local function reshard(data, partitions)
    local out, status = intent(("reshard --json --data '%s' --partitions %d"):format(data, partitions))
    assert.equal(0, status, out)
    assert.equal(partitions, tonumber(out:match '"partitions":(%d+)'))
    return out
  end

  it("changes no decision, no id and no history", function()
    local decisions = {}
    local plain = start(2)
    send(plain, 1, EVENTS, decisions)
    plain:stop()
    local hash = replayed(plain.data)

    local daemon = start(2)
    send(daemon, 1, 300, decisions)
    daemon:stop()
    local out = reshard(daemon.data, 5)
    assert.equal(16, tonumber(out:match '"partitions_before":(%d+)'))
    assert.is_true(tonumber(out:match '"leads":(%d+)') > LEADS / 2)
    daemon:restart { shards = 4 }
    assert.equal(5, daemon:metric "intentd_partitions")
    send(daemon, 250, 600, decisions) -- the first fifty are duplicates
    daemon:kill()
    reshard(daemon.data, 32) -- recovers first
    daemon:restart { shards = 3 }
    send(daemon, 1, 50, decisions)
    send(daemon, 601, EVENTS, decisions)
    local id = require("mpack").Unpacker()(decisions[10]).decision_id
    local explained = daemon:connect():must("decision.explain", id)
    assert.is_true(explained.reproduced)
    daemon:stop()
    assert.equal(hash, replayed(daemon.data))
    local text, status = intent(("journal verify --json --data '%s'"):format(daemon.data))
    assert.equal(0, status, text)
    if os.execute "command -v python3 >/dev/null" == 0 then -- a reader that shares no code with intentd says the same
      local reader = ("python3 %s/tests/functional/journal_reader.py '%s' 2>&1"):format(harness.root, daemon.data)
      local pipe = io.popen(reader)
      local seen = assert(json.decode(pipe:read "*a"))
      pipe:close()
      local said = json.decode(text)
      assert.equal(said.frames, seen.frames)
      assert.equal(32, #seen.partitions)
    end
  end)

  it("is one number or the other after a SIGKILL at any moment", function()
    local random, decisions = harness.random(SEED), {}
    local daemon = start(2)
    send(daemon, 1, 300, decisions)
    local was = 16
    for round = 1, ROUNDS do
      daemon:kill()
      local partitions = ({ 5, 16, 32 })[random(3)]
      local words = ("timeout -s KILL %.3f '%s/intent' reshard --data '%s' --partitions %d >/dev/null 2>&1; flock '%s/intentd.lock' true")
      os.execute(words:format(random(150) / 1000, harness.bin, daemon.data, partitions, daemon.data))
      local is = tonumber(harness.read(daemon.data .. "/format"):match "\npartitions (%d+)")
      assert.is_true(is == was or is == partitions)
      was = is
      daemon:restart { shards = random(5) }
      local from = random(250)
      send(daemon, from, from + 50, decisions) -- duplicates: decided as before
      local new = 301 + round % 60 * 10
      send(daemon, new, new + 9, decisions)
    end
    daemon:stop()
    local text, status = intent(("journal verify --data '%s'"):format(daemon.data))
    assert.equal(0, status, text)
    replayed(daemon.data)
  end)

  it("is refused where it cannot be, and then changes nothing", function()
    local daemon = start(2)
    local format = harness.read(daemon.data .. "/format")
    for words, status in pairs { ["--partitions 8"] = 4, ["--partitions 300"] = 2, [""] = 2 } do
      local out, got = intent(("reshard --data '%s' %s"):format(daemon.data, words))
      assert.equal(status, got, out)
      if status == 4 then assert.is_truthy(out:find("in use", 1, true), out) end
    end
    daemon:stop()
    local out, status = intent(("reshard --data '%s' --partitions 16"):format(daemon.data))
    assert.equal(4, status, out)
    assert.is_truthy(out:find("has 16 partitions already", 1, true), out)
    assert.equal(format, harness.read(daemon.data .. "/format"))
  end)
end)
