--- SIGKILL around lead.forget, several times on the same data: whoever was told to be forgotten is, whoever was asked for
--- and not answered is either whole or gone, and nobody else notices. SEED=… repeats a run's choices.
local socket = require "socket"

local harness = require "harness"

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000
local ROUNDS, LEADS = tonumber(os.getenv "ROUNDS") or 8, 40

describe("SIGKILL around lead.forget (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)
  local random = harness.random(SEED)

  local function name(lead) return ("user-%d@crash.example"):format(lead) end

  local function holds(folder, text)
    local pipe = io.popen(("grep -rslaF '%s' '%s' | head -5"):format(text, folder))
    local found = pipe:read "*a"
    pipe:close()
    return found
  end

  it("forgets whole or not at all, and nobody else", function()
    local daemon = harness.start { shards = random(4), ["checkpoint.interval"] = "100ms" }
    local lives = {} -- lead -> its id and number of decisions, as far as anybody was told
    local number, cut, ended = 0, 0, 0

    local function send(client, count)
      local requests, whose = {}, {}
      for i = 1, count do
        number = number + 1
        whose[i] = random(LEADS)
        requests[i] = {
          "event.ingest",
          harness.event { type = "identify", event = false, userId = name(whose[i]), messageId = number, traits = { email = name(whose[i]) } },
        }
      end
      for i, answer in ipairs(client:pipeline(requests)) do
        assert.is_nil(answer.error, answer.error and answer.error.detail)
        lives[whose[i]] = { id = answer.result.lead, decisions = tonumber(answer.result.decision_id:match "%-(%d+)$") }
      end
    end

    for round = 1, ROUNDS do
      local client, admin = daemon:connect(), daemon:admin()
      send(client, 60)
      local asked, left = {}, random(6)
      for lead, life in pairs(lives) do
        if left == 0 then break end
        if random(4) == 1 then
          left = left - 1
          asked[#asked + 1] = { lead = lead, life = life, request = admin:send("lead.forget", random(2) == 1 and name(lead) or life.id) }
        end
      end
      if random(4) > 1 then socket.sleep(random(12) / 1000) end
      daemon:kill()
      for _, one in ipairs(asked) do
        local ok, answer = pcall(admin.answer, admin, one.request, 0)
        one.is_told = ok and answer.result ~= nil
      end
      if random(3) == 1 then os.remove(daemon.data .. "/state/data.mdb") end
      if random(4) == 1 then -- and once more while it recovers
        daemon:launch()
        socket.sleep(random(40) / 1000)
        if not daemon:wait_exit() then daemon:kill() end
      end
      daemon:restart { shards = random(4) }
      client = daemon:connect()
      for _, one in ipairs(asked) do
        local by_id, err = client:call("lead.get", one.life.id)
        local by_name = client:call("lead.get", name(one.lead))
        if by_id then
          assert.is_false(one.is_told, "it was told to be forgotten, and is there")
          assert.equal(one.life.id, by_name.lead.lead)
          cut = cut + 1
        else
          assert.is_truthy(err.detail:find("was forgotten", 1, true), err.detail)
          assert.is_nil(by_name)
          assert.equal("", holds(daemon.data, name(one.lead)))
          lives[one.lead] = nil
          ended = ended + (one.is_told and 0 or 1)
        end
      end
      for lead, life in pairs(lives) do
        local answer = client:must("lead.get", name(lead))
        assert.equal(life.id, answer.lead.lead)
        assert.equal(life.decisions, answer.lead.decisions)
        if round == ROUNDS then assert.is_true(client:must("decision.explain", name(lead)).reproduced) end
      end
    end
    print(("  %d were whole after all, %d gone that nobody was told of"):format(cut, ended))
    daemon:stop()
    local out = harness.folder() .. "/out"
    local status = os.execute(("'%s/intent' replay --json --data '%s' >%s 2>&1"):format(harness.bin, daemon.data, out))
    local text = harness.read(out)
    assert.equal(0, status, text)
    assert.equal(0, tonumber(text:match '"different":(%d+)'), text)
    assert.is_true(tonumber(text:match '"forgotten":(%d+)') > 0, text)
  end)
end)
