--- SIGKILL at random moments while several connections send, twenty times on the same data. What was acknowledged is
--- found afterwards, byte for byte; what was not is sent again and decided once; a lead's running numbers have no
--- holes. SEED=… repeats a run's choices.
local socket = require "socket"

local harness = require "harness"
local pack = require "pack"
local wire = require "wire"

local SEED = tonumber(os.getenv "SEED") or os.time() % 1000000
local ROUNDS, CONNECTIONS, LEADS = tonumber(os.getenv "ROUNDS") or 20, 4, 60
local NAMES = { "Pricing Viewed", "Docs Viewed", "Feature Used", "Demo Requested", "Teammate Invited" }

describe("SIGKILL at random moments (SEED=" .. SEED .. ")", function()
  after_each(harness.finish)
  local random = harness.random(SEED)

  local daemon
  local events, next_event = {}, 0 -- by number, which is the messageId
  local unanswered = {} -- numbers of events that were sent, and must be sent again
  local answered = {} -- number of an event -> bytes of its decision, `duplicate` false
  local chunks, unacknowledged = {}, {} -- Forward: number of a chunk -> its entries
  local unpacker = require("mpack").Unpacker()

  local function new_event()
    next_event = next_event + 1
    local event = {
      type = "track",
      event = NAMES[random(#NAMES)],
      userId = "u" .. random(LEADS),
      messageId = next_event,
      channel = random(2) == 1 and "web" or "product",
      properties = { n = next_event, text = ("x"):rep(random(400)) },
    }
    if random(10) == 1 then
      event.type, event.traits = "identify", { email = "a" .. next_event .. "@acme.example" }
    end
    events[next_event] = event
    return next_event
  end

  local function plain(raw) return raw:sub(1, -2) .. "\194" end

  local function take_answer(number, response)
    assert.is_nil(response.error, response.error and response.error.detail)
    if answered[number] then -- it is the first decision again
      assert.equal(answered[number], plain(response.raw))
    end
    answered[number] = plain(response.raw)
    unanswered[number] = nil
  end

  -- One sender: what it has sent by the request's id. Answers are read by and by.
  local function sender()
    local self = { client = daemon:connect(), sent = {} }
    function self.send(numbers)
      local out = {}
      for _, number in ipairs(numbers) do
        unanswered[number] = true
        local id = #self.sent + 1
        self.sent[id] = number
        out[#out + 1] = wire.request(id, "event.ingest", events[number])
      end
      self.client:send_bytes(table.concat(out))
    end
    function self.send_batch(numbers)
      local list = {}
      for i, number in ipairs(numbers) do
        unanswered[number] = true
        list[i] = events[number]
      end
      self.sent[#self.sent + 1] = numbers
      self.client:send_bytes(wire.request(#self.sent, "event.batch", list))
    end
    function self.read(patience)
      while true do
        local response = self.client:receive(patience)
        if not response then return end
        local what = self.sent[response.id]
        if type(what) == "number" then
          take_answer(what, response)
        else -- a batch: its list's head is skipped, each decision is cut out by reading it
          local at = #response.result < 16 and 2 or 4
          for _, number in ipairs(what) do
            local _, after = unpacker(response.raw, at)
            take_answer(number, { raw = response.raw:sub(at, after - 1) })
            at = after
          end
        end
        self.answers = (self.answers or 0) + (type(what) == "number" and 1 or #what)
        patience = 0
      end
    end
    return self
  end

  local function send_chunk(client, number)
    unacknowledged[number] = true
    client:send_bytes(pack.encode { "t", chunks[number], { chunk = "chunk" .. number } })
  end

  local function new_chunk()
    local list = {}
    for i = 1, random(20) do
      list[i] = { 0, { userId = "f" .. random(10), event = NAMES[random(#NAMES)], channel = "web" } }
    end
    chunks[#chunks + 1] = list
    return #chunks
  end

  local function read_acks(client, patience)
    while true do
      local value = client:receive_value(patience)
      if not value then return end
      unacknowledged[tonumber(value.ack:match "%d+")] = nil
    end
  end

  local function sorted(set)
    local list = {}
    for number in pairs(set) do
      list[#list + 1] = number
    end
    table.sort(list)
    return list
  end

  -- Every acknowledged decision of `numbers` is there, with the same bytes.
  local function check(numbers)
    local requests = {}
    for i, number in ipairs(numbers) do
      requests[i] = { "decision.get", answered[number]:match "%x+%-%d+" }
    end
    for i, answer in ipairs(daemon:connect():pipeline(requests)) do
      assert.is_nil(answer.error, answer.error and "an acknowledged decision is gone: " .. answer.error.detail)
      assert.equal(answered[numbers[i]], answer.raw)
    end
  end

  -- Not `unpack`: on a slow machine thousands wait, more than a stack holds.
  local function slice(list, from, to)
    local part = {}
    for i = from, to do
      part[#part + 1] = list[i]
    end
    return part
  end

  -- Sends on all connections until the moment comes, and kills in the midst of it.
  local function live_and_die()
    local senders, forward = {}, daemon:connect()
    for i = 1, CONNECTIONS do
      senders[i] = sender()
    end
    local again = sorted(unanswered)
    if #again > 0 then
      local middle = random(#again)
      senders[1].send(slice(again, 1, middle))
      senders[2].send(slice(again, middle + 1, #again))
    end
    for _, number in ipairs(sorted(unacknowledged)) do
      send_chunk(forward, number)
    end
    for _ = 1, random(60) do
      local one = senders[random(CONNECTIONS)]
      local numbers = {}
      for i = 1, random(40) do
        numbers[i] = new_event()
      end
      if random(4) == 1 then
        one.send_batch(numbers)
      else
        one.send(numbers)
      end
      if random(5) == 1 then send_chunk(forward, new_chunk()) end
      if random(3) > 1 then senders[random(CONNECTIONS)].read(0) end
      if random(8) == 1 then socket.sleep(random(10) / 1000) end
      read_acks(forward, 0)
    end
    if random(3) == 1 then
      for _, one in ipairs(senders) do
        one.read(0)
      end
    end
    daemon:kill()
  end

  it("loses nothing that was acknowledged, and decides nothing twice", function()
    daemon = harness.start { shards = random(4) }
    for round = 1, ROUNDS do
      local before = {}
      for number in pairs(answered) do
        before[number] = true
      end
      live_and_die()
      if random(4) == 1 then -- and once more while it recovers
        daemon:launch()
        socket.sleep(random(60) / 1000)
        if not daemon:wait_exit() then daemon:kill() end
      end
      daemon:restart { shards = random(4), ["checkpoint.interval"] = random(2) == 1 and "100ms" or "10s" }
      local fresh, old = {}, {}
      for number in pairs(answered) do
        if not before[number] then
          fresh[#fresh + 1] = number
        elseif random(20) == 1 then
          old[#old + 1] = number
        end
      end
      check(fresh)
      check(old)
      assert.is_true(round < 3 or next(answered) ~= nil, "nothing was ever acknowledged")
    end

    -- What nobody has answered is sent once more, and then everything is known.
    local last, forward = sender(), daemon:connect()
    local left = sorted(unanswered)
    last.send(left)
    while (last.answers or 0) < #left do
      last.read()
    end
    local repeated = sorted(unacknowledged)
    for _, number in ipairs(repeated) do
      send_chunk(forward, number)
    end
    while next(unacknowledged) do
      local value, why = forward:receive_value()
      assert.is_table(value, why)
      unacknowledged[tonumber(value.ack:match "%d+")] = nil
    end

    local function check_all()
      local all = sorted(answered)
      assert.equal(next_event, #all)
      check(all)
      local wanted, numbers = {}, {}
      for number, event in ipairs(events) do
        local lead, running = answered[number]:match "(%x+)%-(%d+)"
        assert.is_true(not wanted[event.userId] or wanted[event.userId].lead == lead, "one user, two leads")
        wanted[event.userId] = wanted[event.userId] or { lead = lead, count = 0 }
        wanted[event.userId].count = wanted[event.userId].count + 1
        numbers[lead] = numbers[lead] or {}
        assert.is_nil(numbers[lead][tonumber(running)], "a running number was given twice")
        numbers[lead][tonumber(running)] = true
      end
      local client = daemon:connect()
      for who, life in pairs(wanted) do
        local answer = client:must("lead.get", who)
        assert.equal(life.lead, answer.lead.lead)
        assert.equal(life.count, answer.lead.decisions, who)
        for i = 1, life.count do
          assert.is_true(numbers[life.lead][i], "a running number is missing")
        end
        assert.is_true(client:must("decision.explain", who).reproduced)
      end
      local forwarded = {}
      for _, list in ipairs(chunks) do
        for _, entry in ipairs(list) do
          forwarded[entry[2].userId] = (forwarded[entry[2].userId] or 0) + 1
        end
      end
      for who, count in pairs(forwarded) do
        assert.equal(count, client:must("lead.get", who).lead.decisions, who)
      end
    end
    check_all()
    daemon:stop()
    daemon:restart() -- now from the checkpoint alone
    check_all()
    assert.is_true(next_event > 100 * ROUNDS / 2, "too little happened")
  end)
end)
