--- intent feature verify and export on whole streams: the simulator's people, and a bank's real applications where the data
--- lies beside the project (../shared/data; BANK_EVENTS names more of its events, "all" all of them).
local harness = require "harness"

local PEOPLE = tonumber(os.getenv "SIMULATED") or 150
local BANK = harness.root .. "/../shared/data/bpi2012/events.csv.gz"
local BANK_EVENTS = os.getenv "BANK_EVENTS" or 8000

local function run(line)
  local folder = harness.folder()
  local pipe = io.popen(("( %s ) >%s/out 2>%s/err; echo $?"):format(line, folder, folder))
  local code = tonumber(pipe:read "*a")
  pipe:close()
  return harness.read(folder .. "/out"), harness.read(folder .. "/err"), code
end

local function intent(format, ...) return run(("'%s/intent' "):format(harness.bin) .. format:format(...)) end

local function figure(text, name) return tonumber(text:match('"' .. name .. '":(%d+)')) end

-- Nothing differs, of the running daemon and of the stopped one; and every decision has its row.
local function verify(daemon, events)
  for round = 1, 2 do
    local out, said, code = intent("feature verify --all --json --data '%s'", daemon.data)
    assert.equal(0, code, said .. out)
    assert.equal(0, figure(out, "mismatches"))
    assert.is_true(figure(out, "frames") >= events)
    if round == 1 then
      daemon:stop()
    else
      assert.equal(figure(out, "leads"), figure(out, "states"))
      assert.equal(0, figure(out, "unmet"))
    end
  end
  local rows, said, code = intent("feature export --at decisions --data '%s'", daemon.data)
  assert.equal(0, code, said)
  local _, lines = rows:gsub("\n", "\n")
  assert.is_true(lines > events)
end

describe("the features of a whole stream", function()
  after_each(harness.finish)

  it("are those of the journal: the simulator's people", function()
    local daemon = harness.start { clock = "event", shards = 2 }
    local file = harness.folder() .. "/events"
    local _, said, code = run(("'%s/intent' simulate --leads %d --days 60 >'%s'"):format(harness.bin, PEOPLE, file))
    assert.equal(0, code, said)
    local to = "127.0.0.1:" .. daemon.ports.listen
    _, said, code = intent("send --to %s '%s'", to, file)
    assert.equal(0, code, said)
    local _, events = harness.read(file):gsub("\n", "\n")
    assert.is_true(events > PEOPLE)
    verify(daemon, events)
  end)

  it("are those of the journal: a bank's applications", function()
    local there = io.open(BANK, "rb")
    if not there then
      pending "the bank's data is not here (../shared/data)"
      return
    end
    there:close()
    local file = harness.folder() .. "/events"
    local source = harness.root .. "/policies/signals/loans/sources/bank.lua"
    local first = BANK_EVENTS == "all" and "cat" or "head -n " .. BANK_EVENTS
    local _, said, code = run(
      ("'%s/intent' import --dry-run --source '%s' --sort timestamp '%s' | %s >'%s'"):format(
        harness.bin, source, BANK, first, file)
    )
    assert.equal(0, code, said)
    local daemon = harness.start { policy = "consumer_loans", clock = "event", shards = 2 }
    _, said, code = intent("send --to 127.0.0.1:%d '%s'", daemon.ports.listen, file)
    assert.equal(0, code, said)
    local _, events = harness.read(file):gsub("\n", "\n")
    verify(daemon, events)
  end)
end)
