--- intent doctor: each thing that can be wrong with a directory is named, with what to do; nothing is changed, and what is
--- well is not complained of.
local lfs = require "lfs"

local harness = require "harness"

local function doctor(data, words)
  local out = harness.folder() .. "/out"
  local status = os.execute(
    ("'%s/intent' doctor --json --data '%s' --min-free 1 %s >'%s' 2>&1"):format(harness.bin, data, words or "", out)
  )
  local findings = {}
  local text = harness.read(out)
  for finding in text:gmatch "{[^{}]*}" do
    findings[#findings + 1] = {
      severity = finding:match '"severity":"(%a+)"',
      subject = finding:match '"subject":"(%a+)"',
      text = finding:match '"text":"(.-)","',
      advice = finding:match '"advice":"(.-)"',
    }
  end
  return { all = findings, raw = text, status = status > 255 and math.floor(status / 256) or status }
end

--- The finding of a severity about a subject whose text has `words`.
local function has(report, severity, subject, words)
  for _, finding in ipairs(report.all) do
    if finding.severity == severity and finding.subject == subject and finding.text:find(words, 1, true) then
      return finding
    end
  end
  error(("no %s of %s with %q in %s"):format(severity, subject, words, report.raw), 2)
end

local function is_well(report)
  for _, finding in ipairs(report.all) do
    assert.is_true(finding.severity == "ok" or finding.severity == "note", report.raw)
  end
  assert.equal(0, report.status)
end

describe("intent doctor", function()
  after_each(harness.finish)

  -- In several commits.
  local function fill(daemon, from, to)
    if to - from > 99 then
      fill(daemon, from, from + 99)
      return fill(daemon, from + 100, to)
    end
    local requests = {}
    for i = from, to do
      requests[#requests + 1] = {
        "event.ingest",
        harness.event { userId = "u" .. i % 40, messageId = i, properties = { n = i, text = ("x"):rep(300) } },
      }
    end
    local client = daemon:connect()
    for _, answer in ipairs(client:pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and answer.error.detail)
    end
    client:close()
  end

  local function stopped(options)
    local daemon = harness.start(options or { shards = 2, partitions = 4 })
    fill(daemon, 1, 1000)
    daemon:stop()
    return daemon
  end

  local function segments(data)
    local list = {}
    for name in lfs.dir(data .. "/journal") do
      if name:match "^%x%x%-%x+%.%a+$" then list[#list + 1] = name end
    end
    table.sort(list)
    return list
  end

  local function change(path, at, text)
    local file = assert(io.open(path, "r+b"))
    file:seek("set", at)
    file:write(text)
    file:close()
  end

  it("finds nothing wrong with a daemon that runs, and with one that was stopped or killed", function()
    local daemon = harness.start { shards = 2, partitions = 4 }
    fill(daemon, 1, 500)
    local report = doctor(daemon.data, "--deep")
    is_well(report)
    has(report, "ok", "lock", "process " .. daemon.pid)
    daemon:kill()
    report = doctor(daemon.data, "--deep")
    is_well(report)
    has(report, "ok", "lock", "no daemon")
    daemon:restart()
    daemon:stop()
    report = doctor(daemon.data, "--deep")
    is_well(report)
    has(report, "ok", "checkpoint", "0 frames behind")
  end)

  it("misses what is gone as a whole: the journal, a log of the vault, the ledger of the forgotten", function()
    local daemon = stopped()
    local function without(name, subject, words, severity)
      local path, aside = daemon.data .. "/" .. name, harness.folder() .. "/aside"
      assert(os.rename(path, aside))
      local report = doctor(daemon.data)
      has(report, severity or "error", subject, words)
      assert.equal(1, report.status)
      assert(os.rename(aside, path))
    end
    without("journal", "journal", "the journal is gone")
    without("vault/01-00000001.vault", "vault", "01-00000001.vault is gone")
    without("forgotten", "forgotten", "is not there", "warning")
    harness.write(daemon.data .. "/forgotten", "somebody\n")
    has(doctor(daemon.data), "error", "forgotten", "line 1")
    harness.write(daemon.data .. "/forgotten", "")
    is_well(doctor(daemon.data))
  end)

  it("tells a torn end from damage, and says what can be had", function()
    local daemon = harness.start { shards = 2, partitions = 4 }
    fill(daemon, 1, 1000)
    daemon:kill()
    local path = daemon.data .. "/journal/00-00000001.log"
    local text = harness.read(path)
    local last = #text
    while text:byte(last) == 0 do
      last = last - 1
    end
    change(path, last + 40 - last % 8, "torn")
    local report = doctor(daemon.data)
    is_well(report)
    has(report, "note", "journal", "not whole")
    change(path, 40000, "damage")
    report = doctor(daemon.data)
    assert.equal(1, report.status)
    has(report, "error", "journal", "00-00000001.log, offset ")
    has(report, "note", "journal", "0 to frame ")
    local status, log = harness.start_fails { data = daemon.data, shards = 2 }
    assert.equal(70, status)
    assert.is_truthy(log:find("intent doctor", 1, true), log)
  end)

  it("says that the same segment from a backup mends it, which is so", function()
    local daemon = stopped()
    daemon:restart()
    fill(daemon, 1001, 1500)
    daemon:stop()
    daemon:restart()
    harness.wait("the first segments to be sealed", function()
      return harness.read(daemon.data .. "/journal/00-00000001.seg") and not harness.read(daemon.data .. "/journal/00-00000001.log")
    end)
    local to = harness.folder() .. "/backup"
    assert.equal(0, os.execute(("'%s/intent' backup '%s' --data '%s' >/dev/null"):format(harness.bin, to, daemon.data)))
    daemon:stop()
    local path = daemon.data .. "/journal/00-00000001.seg"
    change(path, 3000, "damage")
    is_well(doctor(daemon.data)) -- only the ends are read
    local report = doctor(daemon.data, "--deep")
    assert.equal(1, report.status)
    local finding = has(report, "error", "journal", "00-00000001.seg")
    assert.is_truthy(finding.advice:find("same segment from a backup", 1, true), report.raw)
    has(report, "note", "journal", "and from")
    harness.copy(to .. "/journal/00-00000001.seg", path)
    is_well(doctor(daemon.data, "--deep"))
    daemon:restart()
    fill(daemon, 1501, 1510)
  end)

  local function salvage(daemon)
    local to, copy = harness.folder() .. "/salvaged", harness.folder() .. "/data"
    local out = harness.folder() .. "/out"
    local status =
      os.execute(("'%s/intent' doctor --json --data '%s' --salvage '%s' >'%s' 2>&1"):format(harness.bin, daemon.data, to, out))
    assert.equal(0, status, harness.read(out))
    status = os.execute(("'%s/intent' restore '%s' --to '%s' --no-later-forgets >'%s.2' 2>&1"):format(harness.bin, to, copy, out))
    assert.equal(0, status, harness.read(out) .. harness.read(out .. ".2"))
    is_well(doctor(copy, "--deep"))
    return copy, harness.read(out)
  end

  it("salvages what lies before the damage", function()
    local daemon = stopped()
    daemon:restart() -- its openings say how far the partitions were
    daemon:stop()
    local name = harness.read(daemon.data .. "/journal/00-00000001.log") and "log" or "seg"
    local path = daemon.data .. "/journal/00-00000001." .. name
    change(path, math.floor(#harness.read(path) / 2), "damage")
    local copy, text = salvage(daemon)
    assert.is_truthy(text:find('"begins_behind":false', 1, true), text)
    local lost, frames = tonumber(text:match '"lost":(%d+)'), tonumber(text:match '"frames":(%d+)')
    assert.is_true(lost > 0 and frames > 0 and lost + frames >= 1000, text)
    local again = harness.start { data = copy, shards = 2 }
    fill(again, 2001, 2010)
  end)

  it("salvages what lies behind the damage when bases do", function()
    local daemon = harness.start { shards = 2, partitions = 4, ["base.journal"] = "1m", ["checkpoint.interval"] = "100ms" }
    for part = 0, 5 do
      fill(daemon, part * 300 + 1, part * 300 + 300)
    end
    daemon:stop()
    daemon:restart { ["base.journal"] = "1m" }
    local last = 2000
    harness.wait("another set of bases", function()
      fill(daemon, last + 1, last + 100)
      last = last + 100
      return daemon:metric "intentd_bases_total" > 0
    end)
    local before, client = {}, daemon:connect()
    for i = 0, 39 do
      before[i] = client:must("lead.get", "u" .. i).lead.decisions
    end
    daemon:stop()
    local name = harness.read(daemon.data .. "/journal/00-00000001.seg") and "seg" or "log"
    change(daemon.data .. "/journal/00-00000001." .. name, 20000, "damage")
    local copy, text = salvage(daemon)
    assert.is_truthy(text:find('"begins_behind":true', 1, true), text)
    assert.is_truthy(text:find('"lost":0', 1, true), text)
    client = harness.start({ data = copy, shards = 2 }):connect()
    for i = 0, 39 do
      assert.equal(before[i], client:must("lead.get", "u" .. i).lead.decisions)
    end
  end)

  it("names a segment that is missing", function()
    local daemon = stopped()
    daemon:restart()
    fill(daemon, 1001, 1100)
    daemon:stop()
    daemon:restart()
    daemon:stop()
    local list = {}
    for _, name in ipairs(segments(daemon.data)) do
      if name:match "^00" then list[#list + 1] = name end
    end
    assert.is_true(#list >= 3)
    os.remove(daemon.data .. "/journal/" .. list[2])
    local report = doctor(daemon.data)
    assert.equal(1, report.status)
    assert.is_truthy(has(report, "error", "journal", "00-00000002").advice:find("backup", 1, true))
    local copy, text = salvage(daemon)
    assert.is_truthy(text:find('"begins_behind":false', 1, true), text)
    fill(harness.start { data = copy, shards = 2 }, 3001, 3010)
  end)

  it("does not mind that LMDB is missing, and minds what it can't read", function()
    local daemon = stopped()
    os.remove(daemon.data .. "/state/data.mdb")
    local report = doctor(daemon.data)
    is_well(report)
    has(report, "note", "state", "not there")
    harness.write(daemon.data .. "/state/data.mdb", ("\0"):rep(65536))
    report = doctor(daemon.data)
    assert.equal(1, report.status)
    assert.is_truthy(has(report, "error", "state", "state").advice:find("anew", 1, true))
  end)

  it("tells a wrong version, a folder that is none, and one that is not there", function()
    local daemon = stopped()
    local format = harness.read(daemon.data .. "/format")
    harness.write(daemon.data .. "/format", (format:gsub("^intentd %d+", "intentd 99")))
    has(doctor(daemon.data), "error", "format", "version 99")
    os.remove(daemon.data .. "/format")
    assert.is_truthy(has(doctor(daemon.data), "error", "format", "format").advice:find("secret", 1, true))
    local report = doctor(harness.folder() .. "/nowhere")
    assert.equal(1, report.status)
    has(report, "error", "directory", "nowhere")
    has(doctor(harness.folder()), "error", "format", "no data directory")
  end)

  it("sees what others may read, what a daemon left, and a disk that is almost full", function()
    local daemon = stopped()
    os.execute("chmod 755 '" .. daemon.data .. "'")
    harness.write(daemon.data .. "/bases.part", "x")
    local report = doctor(daemon.data, "--min-free 999999999")
    assert.equal(1, report.status)
    has(report, "warning", "permissions", "755")
    has(report, "note", "leftovers", "bases.part")
    has(report, "warning", "disk", "MiB are free")
  end)

  it("sees what root left in the directory of another user", function()
    local daemon = stopped()
    if os.execute(("chown 65534 '%s/format' 2>/dev/null"):format(daemon.data)) ~= 0 then return pending "only root can give files away" end
    local report = doctor(daemon.data)
    has(report, "error", "permissions", daemon.data .. "/format is of user 65534 (files of others: 1)")
    assert.equal(1, report.status)
  end)

  it("sees the lock that another process holds, and its long reader", function()
    local daemon = harness.start { shards = 2, partitions = 4 }
    fill(daemon, 1, 200)
    has(doctor(daemon.data), "ok", "lock", "process " .. daemon.pid)
    local report = doctor(daemon.data, "--max-behind 0")
    for _, finding in ipairs(report.all) do
      assert.is_true(finding.severity ~= "error", report.raw)
    end
  end)

  it("asks a daemon", function()
    local daemon = harness.start { shards = 2, partitions = 4 }
    fill(daemon, 1, 100)
    local report = doctor(daemon.data, "--to 127.0.0.1:" .. daemon.ports.listen)
    is_well(report)
    has(report, "ok", "daemon", "2 shards")
    report = doctor(daemon.data, "--min-free 999999999 --to 127.0.0.1:" .. daemon.ports.listen)
    has(report, "warning", "disk", "MiB are free")
    local port = daemon.ports.listen
    daemon:stop()
    assert.equal(3, doctor(daemon.data, "--to 127.0.0.1:" .. port).status)
  end)

  it("looks at a backup", function()
    local daemon = stopped()
    local to = harness.folder() .. "/backup"
    assert.equal(0, os.execute(("'%s/intent' backup '%s' --data '%s' >/dev/null"):format(harness.bin, to, daemon.data)))
    local report = doctor(to)
    is_well(report)
    has(report, "ok", "backup", "files")
    is_well(doctor(to, "--deep"))
    change(to .. "/vault/00-00000001.vault", 40, "damage")
    is_well(doctor(to)) -- sizes only
    has(doctor(to, "--deep"), "error", "backup", "00-00000001.vault is not as its digest says")
    os.remove(to .. "/format")
    report = doctor(to)
    assert.equal(1, report.status)
    has(report, "error", "backup", "format")
  end)
end)
