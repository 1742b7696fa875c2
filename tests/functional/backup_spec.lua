--- intent backup and intent restore: a copy of a running daemon's directory that holds all that was acknowledged before,
--- brought up to date by the next run, killed in the middle, damaged, and started again.
local lfs = require "lfs"
local socket = require "socket"

local harness = require "harness"
local lives = require "lives"

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000
local ROUNDS = tonumber(os.getenv "ROUNDS") or 2

local function intent(words)
  local out = harness.folder() .. "/out"
  local status = os.execute(("'%s/intent' %s >'%s' 2>&1"):format(harness.bin, words, out))
  return harness.read(out), status > 255 and math.floor(status / 256) or status
end

local function number(text, name) return tonumber(text:match('"' .. name .. '":(%d+)') or error("no " .. name .. ": " .. text)) end

local function backup(daemon, to)
  local out, status = intent(("backup '%s' --json --data '%s'"):format(to, daemon.data))
  assert.equal(0, status, out)
  return out
end

local function restore(from, to, words)
  return intent(("restore '%s' --to '%s' --json %s"):format(from, to, words or "--no-later-forgets"))
end

describe("backup and restore (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)
  local random = harness.random(SEED)
  local stream = lives.stream(SEED, math.max(3000, 1000 * ROUNDS), 150, 60)

  -- A daemon whose segments are full soon, and whose bases come often.
  local function start(options)
    local all = {
      clock = "event",
      shards = 3,
      partitions = 8,
      ["checkpoint.interval"] = "100ms",
      ["base.journal"] = "1m",
      ["journal.segment"] = "8m",
    }
    for name, value in pairs(options or {}) do
      all[name] = value
    end
    return harness.start(all)
  end

  -- Sends events `from` to `to` of the stream; their decisions go into `answers`, by number.
  local function send(client, from, to, answers)
    local requests = {}
    for i = from, to do
      requests[#requests + 1] = { "event.ingest", stream[i] }
    end
    for i, answer in ipairs(client:pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and answer.error.detail)
      answers[from + i - 1] = answer.raw
    end
  end

  local function check(daemon, answers, upto)
    local requests = {}
    for i = 1, upto do
      requests[i] = { "decision.get", answers[i]:match "%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%-%d+" }
    end
    for i, answer in ipairs(daemon:connect():pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and "an acknowledged decision is gone: " .. answer.error.detail)
      assert.equal(answers[i], answer.raw)
    end
  end

  -- Runs while `meanwhile` goes on; it is called until the backup ended.
  local function backup_meanwhile(daemon, to, meanwhile)
    local folder = harness.folder()
    os.execute(
      ("( '%s/intent' backup '%s' --json --data '%s' >'%s/out' 2>&1; echo $? >'%s/status.new'; mv '%s/status.new' '%s/status' ) &"):format(
        harness.bin, to, daemon.data, folder, folder, folder, folder
      )
    )
    harness.wait("the backup", function()
      meanwhile()
      return harness.read(folder .. "/status")
    end)
    assert.equal(0, tonumber(harness.read(folder .. "/status")), harness.read(folder .. "/out"))
    return harness.read(folder .. "/out")
  end

  it("holds what was acknowledged before it, while events go on and the daemon is killed", function()
    local daemon, answers = start(), {}
    local client, to = daemon:connect(), harness.folder() .. "/backup"
    send(client, 1, 1000, answers)
    local sent = 1000
    for round = 1, ROUNDS do
      local before = sent
      local is_killed = round > 1
      backup_meanwhile(daemon, to, function()
        if sent + 50 <= #stream then
          send(client, sent + 1, sent + 50, answers)
          sent = sent + 50
        end
        if is_killed and random(3) == 1 then
          daemon:kill()
          daemon:restart { shards = random(4) }
          client, is_killed = daemon:connect(), random(2) == 1
        end
      end)
      local copy = harness.folder() .. "/data"
      local out, status = restore(to, copy, round == 1 and "--no-later-forgets" or "--no-later-forgets --no-verify")
      assert.equal(0, status, out)
      if round == 1 then assert.equal(0, number(out, "different")) end
      local again = harness.start { data = copy, shards = random(4), clock = "event" }
      check(again, answers, before)
      local repeated = {} -- what it knows is a duplicate: the same answer, but for the last byte, which says so
      send(again:connect(), 1, 50, repeated)
      for i = 1, 50 do
        assert.equal(answers[i]:sub(1, -2) .. "\195", repeated[i])
      end
      again:stop()
    end
  end)

  it("brings a copy up to date, and gives the same decisions as its source", function()
    local daemon, answers = start(), {}
    local to = harness.folder() .. "/backup"
    send(daemon:connect(), 1, 2000, answers)
    local first = backup(daemon, to)
    assert.is_true(number(first, "frames") >= 2000)
    local again = backup(daemon, to)
    assert.equal(2, number(again, "run"))
    send(daemon:connect(), 2001, 2100, answers)
    local third = backup(daemon, to)
    assert.is_true(number(third, "kept") > 0)
    assert.is_true(number(third, "copied_bytes") < number(first, "copied_bytes") / 2, first .. third)
    daemon:stop()
    local last = backup(daemon, to)
    local copy = harness.folder() .. "/data"
    local out, status = restore(to, copy)
    assert.equal(0, status, out)
    assert.equal(number(last, "frames"), number(out, "frames"))
    local source = intent(("replay --json --data '%s'"):format(daemon.data))
    assert.equal(source:match '"hash":"(%x+)"', out:match '"hash":"(%x+)"')
  end)

  it("follows another number of partitions", function()
    local daemon, answers = start(), {}
    local to = harness.folder() .. "/backup"
    send(daemon:connect(), 1, 600, answers)
    backup(daemon, to)
    daemon:stop()
    assert.equal(0, select(2, intent(("reshard --data '%s' --partitions 12"):format(daemon.data))))
    daemon:restart { partitions = false }
    send(daemon:connect(), 601, 700, answers)
    backup(daemon, to)
    local copy = harness.folder() .. "/data"
    local out, status = restore(to, copy)
    assert.equal(0, status, out)
    assert.equal(0, number(out, "different"))
    check(harness.start { data = copy, clock = "event", shards = 4 }, answers, 700)
    out, status = intent(("doctor --deep --data '%s'"):format(daemon.data))
    assert.equal(0, status, out)
  end)

  it("refuses to copy what is damaged, and keeps the backup of before", function()
    local daemon, answers = start(), {}
    local to = harness.folder() .. "/backup"
    send(daemon:connect(), 1, 300, answers)
    backup(daemon, to)
    send(daemon:connect(), 301, 600, answers)
    daemon:stop()
    local path = daemon.data .. "/journal/00-00000001.log"
    local text = harness.read(path)
    local ledger = harness.read(daemon.data .. "/forgotten")
    harness.write(daemon.data .. "/forgotten", "somebody\n")
    local out, status = intent(("backup '%s' --data '%s'"):format(to, daemon.data))
    assert.equal(4, status, out)
    assert.is_truthy(out:find("forgotten, line 1", 1, true), out)
    harness.write(daemon.data .. "/forgotten", ledger)
    harness.write(path, text:sub(1, 50000) .. "damage" .. text:sub(50007))
    out, status = intent(("backup '%s' --data '%s'"):format(to, daemon.data))
    assert.equal(4, status, out)
    assert.is_truthy(out:find("00-00000001.log, offset ", 1, true), out)
    local copy = harness.folder() .. "/data"
    out, status = restore(to, copy)
    assert.equal(0, status, out)
    check(harness.start { data = copy, clock = "event" }, answers, 300)
  end)

  it("keeps the backup of before when it is killed", function()
    local daemon, answers = start(), {}
    local to = harness.folder() .. "/backup"
    send(daemon:connect(), 1, 1000, answers)
    backup(daemon, to)
    local sent = 1000
    for round = 1, ROUNDS do
      send(daemon:connect(), sent + 1, sent + 200, answers)
      sent = sent + 200
      local pid = harness.folder() .. "/pid"
      os.execute(("'%s/intent' backup '%s' --data '%s' >/dev/null 2>&1 & echo $! >'%s'"):format(harness.bin, to, daemon.data, pid))
      socket.sleep(random(30) / 1000)
      os.execute("kill -9 " .. harness.read(pid):match "%d+" .. " 2>/dev/null")
      local copy = harness.folder() .. "/data"
      local out, status = restore(to, copy, "--no-later-forgets --no-verify")
      assert.equal(0, status, out)
      if round == ROUNDS then
        local again = harness.start { data = copy, clock = "event" }
        check(again, answers, 1000)
      end
    end
    backup(daemon, to)
    local out, status = restore(to, harness.folder() .. "/data")
    assert.equal(0, status, out)
    assert.is_true(number(out, "frames") >= sent)
  end)

  it("names what is damaged, and lets no daemon start on it", function()
    local daemon = start()
    local to = harness.folder() .. "/backup"
    send(daemon:connect(), 1, 500, {})
    backup(daemon, to)
    daemon:stop()
    local manifest = assert(harness.read(to .. "/backup.json"))
    local stored = {}
    for name in manifest:gmatch '"stored": "([^"]+)"' do
      stored[#stored + 1] = name
    end
    assert.is_true(#stored > 4)
    for _, name in ipairs(stored) do
      local path = to .. "/" .. name
      local text = harness.read(path)
      if #text == 0 then goto continue end
      local at = random(#text)
      local byte = string.char((text:byte(at) + 1) % 256)
      harness.write(path, text:sub(1, at - 1) .. byte .. text:sub(at + 1))
      local copy = harness.folder() .. "/data"
      local out, status = restore(to, copy, "--no-later-forgets --no-verify")
      assert.equal(4, status, name)
      assert.is_truthy(out:find(name, 1, true), out)
      assert.is_nil(harness.read(copy .. "/format"))
      harness.write(path, text)
      ::continue::
    end
    harness.write(to .. "/backup.json", (manifest:gsub('"seq": (%d)', '"seq": 9%1', 1)))
    local out, status = restore(to, harness.folder() .. "/data", "--no-later-forgets --no-verify")
    assert.equal(4, status, out)
    assert.is_truthy(out:find("backup.json", 1, true), out)
    harness.write(to .. "/backup.json", manifest)
    os.remove(to .. "/" .. stored[1])
    out, status = restore(to, harness.folder() .. "/data", "--no-later-forgets --no-verify")
    assert.equal(4, status, out)
    assert.is_truthy(out:find(stored[1], 1, true), out)
  end)

  -- Is a text in any file below a folder?
  local function holds(folder, text)
    for name in lfs.dir(folder) do
      local path = folder .. "/" .. name
      local mode = lfs.attributes(path, "mode")
      if mode == "directory" and name ~= "." and name ~= ".." and holds(path, text) then return true end
      if mode == "file" and harness.read(path):find(text, 1, true) then return true end
    end
    return false
  end

  it("does not bring back who was forgotten later", function()
    local daemon = start()
    local client, to = daemon:connect(), harness.folder() .. "/backup"
    for n, who in ipairs { "maria@acme.example", "otto@globex.example", "rosa@initech.example" } do
      for i = 1, 20 do
        client:must("event.ingest", harness.event { userId = who, messageId = n * 100 + i })
      end
    end
    daemon:admin():must("lead.forget", "rosa@initech.example")
    backup(daemon, to)
    assert.is_false(holds(to, "rosa@initech"))
    assert.is_true(holds(to, "maria@acme"))
    daemon:admin():must("lead.forget", "maria@acme.example")
    local copy = harness.folder() .. "/data"
    local empty = harness.folder() .. "/forgotten"
    harness.write(empty, "")
    local out, status = restore(to, copy, "--forgotten '" .. empty .. "'")
    assert.equal(2, status, out)
    assert.is_truthy(out:find("older", 1, true), out)
    for _, words in ipairs { "", "--no-verify" } do
      copy = harness.folder() .. "/data"
      out, status = restore(to, copy, ("--forgotten '%s' %s"):format(daemon.data, words))
      assert.equal(0, status, out)
      assert.equal(1, number(out, "forgotten_later"))
      local again = harness.start { data = copy, clock = "event" }
      assert.is_nil(harness.read(copy .. "/forget-first"))
      local one = again:connect()
      assert.equal("not_found", select(2, one:call("lead.get", "maria@acme.example")).code)
      assert.equal("not_found", select(2, one:call("lead.get", "rosa@initech.example")).code)
      assert.equal(20, one:must("lead.get", "otto@globex.example").lead.decisions)
      again:stop()
      assert.is_false(holds(copy .. "/vault", "maria@acme"))
      assert.equal(0, select(2, intent(("journal verify --data '%s'"):format(copy))))
      assert.equal(0, select(2, intent(("replay --data '%s'"):format(copy))))
    end
    backup(daemon, to)
    assert.is_false(holds(to, "maria@acme"))
    assert.is_true(holds(to, "otto@globex"))
    copy = harness.folder() .. "/data"
    out, status = restore(to, copy, "--forgotten '" .. daemon.data .. "/forgotten'")
    assert.equal(0, status, out)
    assert.equal(0, number(out, "forgotten_later"))
  end)

  it("asks about leads that were forgotten later, and touches nothing that is there", function()
    local daemon = start()
    local to = harness.folder() .. "/backup"
    backup(daemon, to)
    local copy = harness.folder()
    local out, status = restore(to, copy .. "/data", " ")
    assert.equal(2, status, out)
    assert.is_truthy(out:find("--no-later-forgets", 1, true), out)
    harness.write(copy .. "/mine", "mine")
    out, status = restore(to, copy)
    assert.equal(2, status, out)
    assert.is_truthy(out:find("not empty", 1, true), out)
    out, status = intent(("backup '%s' --data '%s'"):format(copy, daemon.data))
    assert.equal(2, status, out)
    assert.equal("mine", harness.read(copy .. "/mine"))
    out, status = intent(("backup '%s' --data '%s'"):format(daemon.data .. "/backup", daemon.data))
    assert.equal(2, status, out)
    local other = start()
    out, status = intent(("backup '%s' --data '%s'"):format(to, other.data))
    assert.equal(2, status, out)
    assert.is_truthy(out:find("another data directory", 1, true), out)
    out, status = restore(copy, harness.folder() .. "/data")
    assert.equal(2, status, out)
    assert.is_truthy(out:find("no backup", 1, true), out)
  end)
end)
