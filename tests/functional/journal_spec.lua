--- `intent journal`: of a running daemon, of one that was killed, and of copies that somebody tampered with. What it says is held against a
--- second reader of the format (journal_reader.py, written from docs/journal.md alone).
local bit = require "bit"
local json = require "dkjson"
local lfs = require "lfs"

local harness = require "harness"

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000
local ROUNDS = tonumber(os.getenv "ROUNDS") or 25

local function quote(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

-- `intent journal …`: what it printed, its exit code, what it said on standard error.
local function journal(...)
  local folder, words = harness.folder(), {}
  for _, word in ipairs { ... } do
    words[#words + 1] = quote(word)
  end
  local line = ("'%s/intent' journal %s >%s/out 2>%s/err; echo $?"):format(harness.bin, table.concat(words, " "), folder, folder)
  local pipe = io.popen(line)
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return harness.read(folder .. "/out"), code, harness.read(folder .. "/err")
end

local function verify(data, ...)
  local out, code, err = journal("verify", "--json", "--data", data, ...)
  local result = json.decode(out)
  if not result then error("verify said nothing: " .. err, 2) end
  return result, code
end

local function has_kind(result, kind)
  for _, finding in ipairs(result.findings) do
    if finding.kind == kind then return finding end
  end
end

local function files(data, pattern)
  local names = {}
  for name in lfs.dir(data .. "/journal") do
    if name:find(pattern) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function copy(data)
  local to = harness.folder() .. "/copy"
  assert(lfs.mkdir(to))
  harness.copy(data .. "/journal", to .. "/journal")
  return to
end

describe("intent journal (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)
  local random = harness.random(SEED)

  local BIG = 40000 -- bytes: some 200 of these fill a segment
  local sent = 0
  local function send(daemon, count, bytes)
    local client = daemon:connect()
    while count > 0 do
      local requests = {}
      for i = 1, math.min(count, 50) do
        sent = sent + 1
        requests[i] = {
          "event.ingest",
          harness.event { userId = "u" .. random(40), messageId = "m" .. sent, properties = { n = sent, text = ("text "):rep(bytes / 5) } },
        }
      end
      for _, answer in ipairs(client:pipeline(requests)) do
        assert.is_nil(answer.error, answer.error and answer.error.detail)
      end
      count = count - #requests
    end
    client:close()
  end

  -- Waits until full segments are sealed, and that at least `count` are.
  local function wait_sealed(daemon, count)
    harness.wait("the sealing", function()
      return daemon:metric "intentd_sealed_segments_total" >= count and daemon:metric "intentd_seal_waiting" == 0
    end)
  end

  local function second_reader(data)
    if os.execute "command -v zstd >/dev/null && command -v python3 >/dev/null" ~= 0 then return nil end
    local pipe = io.popen(("python3 %s/tests/functional/journal_reader.py %s 2>&1"):format(harness.root, quote(data)))
    local text = pipe:read "*a"
    pipe:close()
    return (assert(json.decode(text), text))
  end

  it("finds a journal whole: while it is written, sealed, after a kill, and closed", function()
    local daemon = harness.start { shards = 1 }
    for _ = 1, 4 do -- more than a segment, which is sealed under its eyes
      send(daemon, 60, BIG)
      local result, code = verify(daemon.data)
      assert.equal(0, code, json.encode(result.findings))
    end
    wait_sealed(daemon, 1)
    local _, code = verify(daemon.data, "--closed")
    assert.equal(1, code)
    assert.same({}, files(daemon.data, "seg.new$"))

    daemon:kill()
    local killed, killed_code = verify(copy(daemon.data))
    assert.equal(0, killed_code, json.encode(killed.findings))
    assert.is_truthy(has_kind(killed, "open"))
    assert.is_true(killed.sealed >= 1)

    daemon:restart { shards = 2 } -- what the killed one left is sealed too
    send(daemon, 100, 100)
    wait_sealed(daemon, 1)
    daemon:stop()
    local closed, closed_code = verify(daemon.data, "--closed")
    assert.equal(0, closed_code, json.encode(closed.findings))
    assert.is_true(closed.closed and closed.whole)
    assert.same({}, closed.findings)
    local out, text_code = journal("verify", "--data", daemon.data)
    assert.equal(0, text_code)
    assert.is_truthy(out:find("the journal is whole", 1, true), out)

    local second = second_reader(daemon.data)
    if not second then return pending "zstd or python3 is not installed" end
    for _, name in ipairs { "frames", "segments", "sealed", "torn_bytes" } do
      assert.equal(closed[name], second[name], name)
    end
    for p, tip in ipairs(closed.partitions) do
      assert.equal(tip.seq, second.partitions[p].seq)
      assert.equal(tip.chain, second.partitions[p].chain)
    end
    local raw = io.popen("zstd -q -dc " .. daemon.data .. "/journal/" .. files(daemon.data, "seg$")[1] .. " 2>&1 | head -c 8")
    assert.equal("ITDJRNL\n", raw:read "*a")
    raw:close()
  end)

  it("finds any bit that was changed in a copy, and names the file", function()
    local daemon = harness.start { shards = 2 }
    send(daemon, 60, 400)
    daemon:stop()
    daemon:restart()
    wait_sealed(daemon, 2)
    send(daemon, 60, 400)
    daemon:stop()
    local data = copy(daemon.data)
    local names = files(data, ".")
    for _ = #names, 1, -1 do
      local name = table.remove(names, 1)
      if name:find "^%x%x%-" then names[#names + 1] = name end
    end
    assert.is_true(#files(data, "seg$") >= 2 and #files(data, "log$") >= 2)
    assert.equal(0, select(2, verify(data, "--closed")))
    for round = 1, ROUNDS do
      local name = names[random(#names)]
      local path = data .. "/journal/" .. name
      local size = lfs.attributes(path, "size")
      local at, mask = random(size) - 1, bit.lshift(1, random(8) - 1)
      local file = assert(io.open(path, "r+b"))
      file:seek("set", at)
      local was = file:read(1)
      local function write(byte)
        file:seek("set", at)
        file:write(byte)
        file:flush()
      end
      write(string.char(bit.bxor(was:byte(), mask)))
      local result, code = verify(data, "--closed")
      local what = ("round %d: bit %d of byte %d of %s"):format(round, mask, at, name)
      assert.equal(1, code, what)
      assert.is_false(result.whole)
      assert.is_true(#result.findings > 0)
      local finding = result.findings[1]
      assert.equal("journal/" .. name, finding.file, what .. ": " .. finding.text)
      assert.is_true(finding.offset <= at + 8 or name:find "seg$" ~= nil, what .. ": " .. finding.text)
      write(was)
      file:close()
    end
    assert.equal(0, select(2, verify(data, "--closed")))
  end)

  it("finds what is missing, and what a signed head says is not there", function()
    local daemon = harness.start { shards = 2, partitions = 4 }
    local folder = harness.folder()
    local key, head, later = folder .. "/key", folder .. "/head", folder .. "/later"
    send(daemon, 60, 100)
    assert.equal(0, select(2, journal("head", "--make-key", key)))
    assert.equal(2, select(2, journal("head", "--make-key", key))) -- never overwritten
    assert.equal(0, select(2, journal("head", "--data", daemon.data, "--sign", key, "--out", head)))
    send(daemon, 60, 100)
    assert.equal(0, select(2, journal("head", "--data", daemon.data, "--sign", key, "--out", later)))
    local result, code = verify(daemon.data, "--head", later, "--key", key .. ".pub")
    assert.equal(0, code, json.encode(result.findings))
    daemon:kill()
    local data = copy(daemon.data)
    for _, text in ipairs { head, later } do
      result, code = verify(data, "--head", text, "--key", key .. ".pub")
      assert.equal(0, code, json.encode(result.findings))
    end

    -- Cut back to where the first head stood, or before: at the border of a commit nothing but the head tells.
    local first = files(data, "^00.*log$")[1]
    local path = data .. "/journal/" .. first
    local text = harness.read(path)
    local function cut_behind(seq) -- of partition 0: behind the commit that ends with it
      local at, end_at = 128, nil
      while at + 48 <= #text do
        local function u(offset, n)
          local value = 0
          for i = n, 1, -1 do
            value = value * 256 + text:byte(at + offset + i)
          end
          return value
        end
        local size = u(0, 4)
        if size < 48 then break end
        if text:byte(at + 10) == 5 then
          for i = 0, u(12, 2) - 1 do
            if u(48 + 48 * i, 2) == 0 and u(48 + 48 * i + 8, 8) >= seq and not end_at then end_at = at + size end
          end
        end
        at = at + size
      end
      return assert(end_at)
    end
    local head_seq = tonumber(harness.read(head):match "\n0 (%d+) ")
    harness.write(path, text:sub(1, cut_behind(head_seq)))
    assert.equal(0, select(2, verify(data)))
    result, code = verify(data, "--head", head, "--key", key .. ".pub")
    local later_result, later_code = verify(data, "--head", later, "--key", key .. ".pub")
    assert.equal(1, later_code)
    assert.is_truthy(has_kind(later_result, "head"))
    assert.is_true(code == 0 or has_kind(result, "head") ~= nil) -- partition 2 shares the log and may have been cut too
    harness.write(path, text:sub(1, cut_behind(1)))
    result, code = verify(data, "--head", head, "--key", key .. ".pub")
    assert.equal(1, code)
    assert.is_truthy(has_kind(result, "head"))
    harness.write(path, text)

    -- A head that was edited, or of another key.
    local edited = folder .. "/edited"
    harness.write(edited, (harness.read(head):gsub("\n0 (%d+) ", function(n) return "\n0 " .. n - 1 .. " " end)))
    local _, edited_code, why = journal("verify", "--data", data, "--head", edited, "--key", key .. ".pub")
    assert.equal(1, edited_code)
    assert.is_truthy(why:find("not as it was signed", 1, true), why)
    journal("head", "--make-key", key .. "2")
    assert.equal(1, select(2, journal("verify", "--data", data, "--head", head, "--key", key .. "2.pub")))
    assert.equal(2, select(2, journal("verify", "--data", data, "--head", head)))

    -- A whole log, and a segment.
    os.rename(data .. "/journal/" .. files(data, "^01.*log$")[1], data .. "/gone")
    result, code = verify(data)
    assert.equal(1, code)
    assert.is_truthy(has_kind(result, "missing"), json.encode(result.findings))
    assert.equal(1, select(2, journal("verify", "--data", folder)))
  end)

  it("is archived: every sealed file, whatever happens to the daemon", function()
    local archive = harness.folder()
    local daemon = harness.start { shards = 1, ["archive.dir"] = archive }
    local function copies()
      local names = {}
      for name in lfs.dir(archive) do
        if name:find "seg$" then names[#names + 1] = name end
      end
      return names
    end
    local function wait_for(count)
      harness.wait("the archive", function() return #copies() >= count and #copies() == #files(daemon.data, "seg$") end)
    end
    send(daemon, 250, BIG)
    wait_for(1)
    harness.wait("its metric", function() return daemon:metric "intentd_archived_segments_total" >= 1 end)
    send(daemon, 250, BIG)
    daemon:kill()
    daemon:restart()
    wait_for(3)
    daemon:stop()
    for _, name in ipairs(copies()) do
      assert.is_true(harness.read(daemon.data .. "/journal/" .. name) == harness.read(archive .. "/" .. name), name)
    end
    local status, log = harness.start_fails { ["archive.dir"] = "somewhere" }
    assert.is_true(status > 0)
    assert.is_truthy(log:find("absolute", 1, true), log)
  end)

  it("is whole when its beginning was let go, as long as bases stand for it", function()
    local daemon = harness.start {
      shards = 1,
      partitions = 4,
      ["checkpoint.interval"] = "100ms",
      ["base.journal"] = "1m",
      ["base.interval"] = "1m",
      ["retention.bytes"] = "1m",
      ["dedupe.window"] = "1s",
    }
    harness.wait("retention", function()
      send(daemon, 50, BIG)
      local result, code = verify(daemon.data)
      assert.equal(0, code, json.encode(result.findings))
      return daemon:metric "intentd_journal_let_go_segments_total" >= 2
    end)
    daemon:stop()
    local result, code = verify(daemon.data, "--closed")
    assert.equal(0, code, json.encode(result.findings))
    assert.is_true(result.bases >= 4 and result.partitions[1].from > 0)
    local out = journal("verify", "--data", daemon.data)
    assert.is_truthy(out:find("do not begin with frame 1 (partition 0 begins behind frame ", 1, true), out)
    assert.equal(1, select(2, verify(copy(daemon.data)))) -- without them nobody knows what lay before
    local bases = {}
    for name in lfs.dir(daemon.data .. "/bases") do
      if name:find "base$" then bases[#bases + 1] = daemon.data .. "/bases/" .. name end
    end
    local path = bases[random(#bases)]
    local text = harness.read(path)
    local at = random(#text)
    harness.write(path, text:sub(1, at - 1) .. string.char(bit.bxor(text:byte(at), 1)) .. text:sub(at + 1))
    result, code = verify(daemon.data)
    assert.equal(1, code, ("byte %d of %s"):format(at, path))
    assert.is_truthy(has_kind(result, "damage"), json.encode(result.findings))
  end)

  it("is whole, and has its old heads, after its number of partitions has changed", function()
    local daemon = harness.start { shards = 2, partitions = 4 }
    local key, head = harness.folder() .. "/key", harness.folder() .. "/head"
    journal("head", "--make-key", key)
    for _, partitions in ipairs { 7, 2, 2 } do
      send(daemon, 40, 200)
      assert.equal(0, select(2, journal("head", "--data", daemon.data, "--sign", key, "--out", head .. partitions)))
      send(daemon, 10, 200)
      daemon:stop()
      os.execute(("'%s/intent' reshard --data %s --partitions %d >/dev/null"):format(harness.bin, quote(daemon.data), partitions))
      daemon:restart()
      local result, code = verify(daemon.data, "--head", head .. partitions, "--key", key .. ".pub")
      assert.equal(0, code, json.encode(result.findings))
    end
    send(daemon, 40, 200)
    daemon:stop()
    local result, code = verify(daemon.data, "--closed", "--head", head .. 7, "--key", key .. ".pub")
    assert.equal(0, code, json.encode(result.findings))
    assert.equal(2, #result.partitions)
    local out = journal("export", "--data", daemon.data)
    assert.equal(result.frames, select(2, out:gsub("\n", "")))
    harness.edit(head .. 7, "\n0 ", "\n0 1") -- not as it was signed
    assert.equal(1, select(2, journal("verify", "--data", daemon.data, "--head", head .. 7, "--key", key .. ".pub")))
  end)

  it("shows and exports frames", function()
    local daemon = harness.start { shards = 2 }
    send(daemon, 80, 100)
    daemon:connect():must("event.ingest", harness.event { userId = "u7" })
    local lead = daemon:connect():must("lead.get", "u7").lead.lead
    daemon:stop()
    daemon:restart()
    wait_sealed(daemon, 2)
    send(daemon, 20, 100)
    local decisions = daemon:connect():must("lead.get", "u7").lead.decisions

    local out, code = journal("export", "--data", daemon.data, "--lead", lead)
    assert.equal(0, code)
    local count, last = 0, nil
    for line in out:gmatch "[^\n]+" do
      local frame = assert(json.decode(line))
      assert.equal(lead, frame.lead)
      if frame.kind == "event" then
        assert.is_truthy(frame.secret.sealed)
        assert.is_nil(frame.event.userId)
      end
      assert.equal(last, frame.previous)
      last = frame.place
      count = count + (frame.kind == "event" and 1 or 0)
    end
    assert.equal(decisions, count)
    local open, open_code = journal("export", "--data", daemon.data, "--lead", lead, "--kind", "event", "--personal")
    assert.equal(0, open_code)
    for line in open:gmatch "[^\n]+" do
      local frame = assert(json.decode(line))
      assert.equal("u7", frame.event.userId)
    end
    assert.equal(1, select(2, journal("export", "--data", copy(daemon.data), "--personal"))) -- no keys in a copy of the journal
    local one = json.decode((journal("show", "--json", "--data", daemon.data, "--place", last)))
    assert.equal(last, one.place)
    local page = journal("show", "--data", daemon.data, "--place", last)
    assert.is_truthy(page:find(lead, 1, true), page)
    local rows = journal("show", "--data", daemon.data, "--kind", "release", "--limit", 3)
    assert.is_truthy(rows:find("policy 1", 1, true), rows)
    assert.equal(4, select(2, rows:gsub("\n", "")))

    local all = json.decode((journal("verify", "--json", "--data", daemon.data))).frames
    local path = harness.folder() .. "/frames"
    assert.equal(0, select(2, journal("export", "--data", daemon.data, "--format", "msgpack", "--out", path)))
    local unpack, packed, at, frames = require("mpack").Unpacker(), harness.read(path), 1, 0
    while at <= #packed do
      local _, next_at = unpack(packed, at)
      at, frames = next_at, frames + 1
    end
    assert.equal(all, frames)
    assert.equal(2, select(2, journal("export", "--data", daemon.data, "--out", path))) -- never overwritten
    assert.equal(1, select(2, journal("export", "--data", daemon.data, "--since", "2100-01-01T00:00:00Z")))
    assert.equal(2, select(2, journal("export", "--data", daemon.data, "--since", "yesterday")))
    assert.equal(2, select(2, journal "verfy"))
  end)
end)
