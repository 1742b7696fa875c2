--- A storm of people who sign in on their devices, on a daemon that is killed in its midst, over and over on the same data and
--- other numbers of shards: each event counts once for whom it belongs to in the end, and nothing of a merge is left undone.
---
---   ./dev test crash                                       a few rounds
---   ROUNDS=200 busted … tests/crash/merge_spec.lua        the long run (about a second a round)
---   SEED=… ROUNDS=…                                        the same choices again
local harness = require "harness"
local socket = require "socket"

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000
local ROUNDS = tonumber(os.getenv "ROUNDS") or 6
local USERS, DEVICES, EVENTS = 12, 300, 400

local function owner(device) return device % USERS end

describe("merges under kill -9 (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)

  it("lose and double nothing", function()
    local draw = harness.random(SEED)
    local views, seen, signed_in = {}, {}, {}
    for user = 0, USERS - 1 do
      views[user] = 0
    end

    local function request(number)
      local device, how = draw(DEVICES), draw(10)
      local event = harness.event { userId = false, messageId = SEED .. "-" .. number }
      if how <= 4 then
        event.anonymousId = "device-" .. device
        views[owner(device)] = views[owner(device)] + 1
        seen[device] = true
      elseif how <= 6 then
        event.userId = "user-" .. owner(device)
        views[owner(device)] = views[owner(device)] + 1
      else
        event = { type = how == 10 and "alias" or "identify", userId = "user-" .. owner(device), messageId = event.messageId }
        event[how == 10 and "previousId" or "anonymousId"] = "device-" .. device
        signed_in[device] = true
      end
      return { "event.ingest", event }
    end

    local daemon = harness.start { shards = 4, ["checkpoint.interval"] = "100ms" }
    local number = 0
    for _ = 1, ROUNDS do
      local requests, client = {}, daemon:connect()
      for i = 1, EVENTS do
        number = number + 1
        requests[i] = request(number)
      end
      for i = 1, EVENTS do
        client:send(requests[i][1], requests[i][2])
      end
      socket.sleep(draw(60) / 1000)
      daemon:kill()
      daemon:restart { shards = draw(8) }
      -- Nobody read the answers: all is sent again, and what was taken counts once.
      for _, answer in ipairs(daemon:connect():pipeline(requests)) do
        assert.is_nil(answer.error, answer.error and answer.error.detail)
      end
    end
    for device = 1, DEVICES do -- whoever was seen signs in at last
      if seen[device] then
        number = number + 1
        signed_in[device] = true
        daemon:connect():must("event.ingest", {
          type = "identify",
          userId = "user-" .. owner(device),
          anonymousId = "device-" .. device,
          messageId = SEED .. "-" .. number,
        })
      end
    end

    local function check(client)
      local lead = {}
      for user = 0, USERS - 1 do
        local answer = client:call("lead.get", "user-" .. user)
        lead[user] = answer and answer.lead
      end
      for device in pairs(signed_in) do
        local function is_one()
          local answer = client:call("lead.get", "device-" .. device)
          return answer and answer.lead.lead == lead[owner(device)].lead
        end
        harness.wait("device " .. device .. " to be its owner's", is_one)
      end
      for user = 0, USERS - 1 do
        local answer = client:call("lead.get", "user-" .. user)
        if answer then assert.equal(views[user], answer.lead.features.pricing_views_7d, "user-" .. user) end
      end
    end
    check(daemon:connect())
    daemon:kill()
    daemon:restart()
    check(daemon:connect())
    daemon:stop()
    local out = harness.folder() .. "/out"
    for _, command in ipairs { "replay --json", "journal verify" } do
      local status = os.execute(("'%s/intent' %s --data '%s' >%s 2>&1"):format(harness.bin, command, daemon.data, out))
      local text = harness.read(out)
      assert.equal(0, status, text)
      if command:find "replay" then assert.equal("0", text:match '"different":(%d+)') end
    end
  end)
end)
