--- A file system that is really full: a small tmpfs, filled and emptied several times under load. Needs to be allowed to
--- mount; where it is not, the test says so (the fault layer does the same in crash_spec.lua).
local crowd = require "crowd"
local harness = require "harness"
local lfs = require "lfs"

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000
local ROUNDS = tonumber(os.getenv "ROUNDS") or 1
local SIZE_MB = 96

describe("a full file system (SEED=" .. SEED .. ")", function()
  local mounted
  after_each(function()
    local ok, why = pcall(harness.finish)
    if mounted then os.execute("umount -l " .. mounted .. " && rmdir " .. mounted .. " " .. mounted:match "(.*)/") end
    mounted = nil
    if not ok then error(why, 0) end
  end)
  local random = harness.random(SEED)

  local function mount()
    local path = harness.folder() .. "/disk"
    lfs.mkdir(path)
    local done = os.execute(("mount -t tmpfs -o size=%dm tmpfs %s 2>/dev/null"):format(SIZE_MB, path))
    if done ~= 0 and done ~= true then return nil end
    mounted = path
    return path
  end

  -- Takes all the room there is; until `megabytes` are left.
  local function fill(path, megabytes)
    local file = assert(io.open(path .. "/ballast", "ab"))
    file:setvbuf "no"
    local block = ("x"):rep(65536)
    while file:write(block) do end
    file:close()
    if megabytes == 0 then return end
    file = assert(io.open(path .. "/ballast", "rb"))
    local size = file:seek "end"
    file:close()
    os.execute(("truncate -s %d %s/ballast"):format(math.max(0, size - megabytes * 1048576), path))
  end

  it("is waited out, and nothing is lost by it", function()
    local path = mount()
    if not path then
      pending "mounting is not allowed here"
      return
    end
    local daemon = harness.new {
      policies = crowd.policies(),
      data = path .. "/data",
      watch = "no",
      ["journal.segment"] = "8m",
      ["state.map"] = "64m",
      ["checkpoint.interval"] = "300ms",
    }
    daemon:expect_errors "checkpoint_failed"
    daemon:expect_errors "base"
    local people = crowd.new(daemon, random)
    people.text_bytes = 60000 -- so that the preallocated files are soon used up
    daemon:launch { shards = 2 }
    daemon:ready()
    for _ = 1, ROUNDS do
      people:live(20)
      fill(path, random(3) - 1)
      local before = people.refusals
      harness.wait("a refusal", function()
        people:live(10)
        return people.refusals > before
      end)
      assert.equal(503, (select(2, daemon:get "/readyz")))
      assert.equal("pong", daemon:connect():must "server.ping")
      os.remove(path .. "/ballast")
      harness.wait("room", function() return select(2, daemon:get "/readyz") == 200 end)
      if random(2) == 1 then -- and a crash in between
        daemon:kill()
        daemon:restart()
        people:check()
      end
    end
    people:settle()
    people:check_all()
    daemon:stop()
    people:verify()
    daemon:restart()
    people:check_all()
  end)
end)
