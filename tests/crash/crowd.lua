--- A crowd of senders over every protocol, and the model that a daemon is held against, whatever happens to it: what
--- was acknowledged is there once, with the same bytes; what was not is sent again and decided once; running numbers
--- have no holes; features are what a count of the events says; timers fire once.
---
--- One `crowd` has one data directory. `live(moment)` sends until the daemon is gone or the moment has come; `check` is
--- asked after each restart; `settle` delivers what is left, and `check_all` looks at everything.
local harness = require "harness"
local json = require "dkjson"
local pack = require "pack"
local socket = require "socket"
local wire = require "wire"

local NAMES = { "Pricing Viewed", "Docs Viewed", "Feature Used", "Demo Requested", "Teammate Invited" }
local COUNTED = { -- features of the shipped signals that a count of events tells
  pricing_views_7d = function(e) return e.event == "Pricing Viewed" end,
  docs_views_30d = function(e) return e.event == "Docs Viewed" end,
  invites_30d = function(e) return e.event == "Teammate Invited" end,
  usage_7d = function(e) return e.type == "track" and e.channel == "product" end,
}
local TIMER = "2s" -- after which an engaged lead is nurtured
local LEADS, FORWARDED = 40, 8

local crowd = {}
crowd.__index = crowd

--- The shipped policies with a short timer.
function crowd.policies()
  local policies = harness.policies()
  harness.edit(policies .. "/b2b_saas/policy.lua", 'go "nurture" { after = "21d"', ('go "nurture" { after = "%s"'):format(TIMER))
  return policies
end

function crowd.new(daemon, random)
  return setmetatable({
    daemon = daemon,
    random = random,
    text_bytes = 300, -- of an event, at most
    events = {}, -- by number; its messageId is "m" and the number
    open = {}, -- numbers of events that were sent or shall be, and are not acknowledged
    decided = {}, -- number -> bytes of its decision, `duplicate` false
    taken = {}, -- numbers that HTTP said were taken, the decision is not known yet: "now", or "before" the last restart
    chunks = {}, -- Forward: lists of entries
    waiting = {}, -- numbers of chunks that are not acknowledged
    refusals = 0, -- retryable errors seen
    told = 0, -- acknowledgements seen
  }, crowd)
end

local function sorted(set)
  local list = {}
  for number in pairs(set) do
    list[#list + 1] = number
  end
  table.sort(list)
  return list
end

local function plain(raw) return raw:sub(1, -2) .. "\194" end

-- ---- making ----

function crowd:new_event()
  local random, number = self.random, #self.events + 1
  local event = {
    type = "track",
    event = NAMES[random(#NAMES)],
    userId = "u" .. random(LEADS),
    messageId = "m" .. number,
    channel = random(2) == 1 and "web" or "product",
    properties = { n = number, text = ("x"):rep(random(self.text_bytes)) },
  }
  if random(12) == 1 then
    event.type, event.event, event.traits = "identify", nil, { email = "a" .. number .. "@acme.example" }
  end
  self.events[number], self.open[number] = event, true
  return number
end

function crowd:new_chunk()
  local list = {}
  for i = 1, self.random(12) do
    list[i] = { 0, { userId = "f" .. self.random(FORWARDED), event = NAMES[self.random(#NAMES)], channel = "web" } }
  end
  self.chunks[#self.chunks + 1], self.waiting[#self.chunks + 1] = list, true
  return #self.chunks
end

-- ---- acknowledgements ----

function crowd:take(number, err, raw)
  if err then
    assert(err.retryable, ("event %d: %s: %s"):format(number, err.code, err.detail))
    self.refusals = self.refusals + 1
    return
  end
  local was = self.decided[number]
  assert(not was or was == plain(raw), ("event %d has two decisions"):format(number))
  assert(self.taken[number] ~= "before" or raw:byte(-1) == 0xc3, ("event %d was taken over HTTP, and is gone"):format(number))
  if not was then self.told = self.told + 1 end
  self.decided[number], self.open[number], self.taken[number] = plain(raw), nil, nil
end

local unpacker = require("mpack").Unpacker()

-- A connection over MessagePack-RPC: what it has sent by the request's id.
local function rpc_sender(self)
  local sender = { client = self.daemon:connect(), sent = {} }
  function sender.send(numbers)
    -- A batch, where it fits frame.bytes.
    if self.random(3) == 1 and #numbers * (self.text_bytes + 1000) < 4000000 then
      local list = {}
      for i, number in ipairs(numbers) do
        list[i] = self.events[number]
      end
      sender.sent[#sender.sent + 1] = numbers
      sender.client:send_bytes(wire.request(#sender.sent, "event.batch", pack.list(list)))
      return
    end
    local out = {}
    for i, number in ipairs(numbers) do
      sender.sent[#sender.sent + 1] = number
      out[i] = wire.request(#sender.sent, "event.ingest", self.events[number])
    end
    sender.client:send_bytes(table.concat(out))
  end
  local function take_batch(numbers, response)
    local at = #numbers < 16 and 2 or 4 -- behind the list's head; each answer is cut out by reading it
    for _, number in ipairs(numbers) do
      local value, after = unpacker(response.raw, at)
      self:take(number, value.error, response.raw:sub(at, after - 1))
      at = after
    end
  end
  function sender.read(patience)
    while true do
      local response = sender.client:receive(patience)
      if not response then return end
      local what = sender.sent[response.id]
      if not what then error("an answer to nothing: " .. tostring(response.error and response.error.detail)) end
      if type(what) == "number" then
        self:take(what, response.error, response.raw)
      elseif response.error then
        self:take(what[1], response.error)
      else
        take_batch(what, response)
      end
      patience = 0
    end
  end
  return sender
end

local function forward_sender(self)
  local sender = { client = self.daemon:connect() }
  function sender.send(number)
    sender.client:send_bytes(pack.encode { "t", self.chunks[number], { chunk = "chunk" .. number } })
  end
  function sender.read(patience)
    while true do
      local value = sender.client:receive_value(patience)
      if not value then return end
      self.waiting[tonumber(value.ack:match "%d+")] = nil
      self.told = self.told + 1
      patience = 0
    end
  end
  return sender
end

-- Requests over HTTP, a connection each; their answers are picked up later.
local function http_sender(self)
  local sender, pending = {}, {}
  function sender.send(numbers)
    local batch = {}
    for i, number in ipairs(numbers) do
      batch[i] = self.events[number]
    end
    local body = json.encode { batch = batch }
    local sock = socket.connect("127.0.0.1", self.daemon.ports.http)
    if not sock then return end
    sock:settimeout(5)
    sock:send(("POST /v1/batch HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
    sock:settimeout(0)
    pending[#pending + 1] = { sock = sock, numbers = numbers, text = "" }
  end
  function sender.read(patience)
    for i = #pending, 1, -1 do
      local one = pending[i]
      one.sock:settimeout(patience)
      local data, why, partial = one.sock:receive "*a"
      one.text = one.text .. (data or partial or "")
      if data or why == "closed" then
        one.sock:close()
        table.remove(pending, i)
        local status = one.text:match "^HTTP/1.%d (%d+)"
        assert(not status or status == "200" or status == "503" or status == "429", one.text)
        for _, number in ipairs(status == "200" and one.numbers or {}) do
          self.told = self.told + 1
          if not self.decided[number] then self.taken[number] = "now" end
          self.open[number] = nil
        end
        if status ~= "200" then self.refusals = self.refusals + 1 end
      end
    end
    return #pending
  end
  return sender
end

-- ---- living ----

-- Some of what is open, oldest first, and not what this turn has under way.
local function repeat_some(self, senders, share)
  local numbers = {}
  for _, number in ipairs(sorted(self.open)) do
    if self.random(share) == 1 and #numbers < 60 then numbers[#numbers + 1] = number end
  end
  if #numbers > 0 then senders[self.random(#senders)].send(numbers) end
  for _, number in ipairs(sorted(self.waiting)) do
    if self.random(share) == 1 then self.forward.send(number) end
  end
end

local function is_gone(self) return self.daemon:wait_exit() ~= nil end

--- Sends for about so many steps, on several connections at once.
function crowd:live(steps)
  local random = self.random
  local senders = {}
  local ok = pcall(function()
    for i = 1, 3 do
      senders[i] = rpc_sender(self)
    end
    self.forward = forward_sender(self)
  end)
  if not ok then return end -- it was gone before
  local http = http_sender(self)
  repeat_some(self, senders, 1)
  for step = 1, steps do
    if is_gone(self) then break end
    local numbers = {}
    for i = 1, random(12) do
      numbers[i] = self:new_event()
    end
    if random(4) == 1 then
      http.send(numbers)
    else
      senders[random(#senders)].send(numbers)
    end
    if random(4) == 1 then self.forward.send(self:new_chunk()) end
    for _, sender in ipairs(senders) do
      sender.read(0)
    end
    self.forward.read(0)
    http.read(0)
    if step % 8 == 0 then repeat_some(self, senders, 3) end
    if random(6) == 1 then socket.sleep(random(12) / 1000) end
  end
  if random(3) > 1 then
    socket.sleep(random(60) / 1000)
    for _, sender in ipairs(senders) do
      sender.read(0)
    end
    self.forward.read(0)
    http.read(0)
  end
end

-- ---- checking ----

-- Every decision of these numbers is there, with the same bytes.
local function check_decisions(self, numbers)
  local requests = {}
  for i, number in ipairs(numbers) do
    requests[i] = { "decision.get", self.decided[number]:match "%x+%-%d+" }
  end
  for i, answer in ipairs(self.daemon:connect():pipeline(requests)) do
    assert(not answer.error, answer.error and "an acknowledged decision is gone: " .. answer.error.detail)
    assert(self.decided[numbers[i]] == answer.raw, "a decision has other bytes")
  end
end

--- After a restart: what was acknowledged since the last check, and some of what was before.
function crowd:check()
  local numbers = {}
  for _, number in ipairs(sorted(self.decided)) do
    if number > (self.checked or 0) or self.random(25) == 1 then numbers[#numbers + 1] = number end
  end
  check_decisions(self, numbers)
  for number in pairs(self.taken) do -- now nothing of what was sent before is still under way
    self.taken[number] = "before"
  end
  self.checked = math.max(0, #self.events - 300) -- what is repeated may be older
end

--- Delivers what is left, until all of it is acknowledged; what HTTP took must be there.
function crowd:settle()
  local sender, forward = rpc_sender(self), forward_sender(self)
  for number in pairs(self.taken) do
    self.open[number] = true
  end
  harness.wait("everything to be acknowledged", function()
    local numbers = sorted(self.open)
    for from = 1, #numbers, 200 do
      local part = {}
      for i = from, math.min(from + 199, #numbers) do
        part[#part + 1] = numbers[i]
      end
      sender.send(part)
      sender.read(5)
    end
    for _, number in ipairs(sorted(self.waiting)) do
      forward.send(number)
    end
    if next(self.waiting) then forward.read(5) end
    return not next(self.open) and not next(self.waiting)
  end)
end

-- All decisions of a lead from the first on: the events' by their id, and how many timers'.
local function life_of(client, lead)
  local requests = {}
  for i = 1, lead.decisions do
    requests[i] = { "decision.get", lead.lead .. "-" .. i }
  end
  local timers, at = 0, {}
  for i, answer in ipairs(client:pipeline(requests)) do
    assert(not answer.error, answer.error and ("running number %d is missing: %s"):format(i, answer.error.detail))
    if answer.result.cause == "timer" then
      timers = timers + 1
      assert(not at[answer.result.at], "a timer fired twice")
      at[answer.result.at] = true
    end
  end
  return timers
end

function crowd:check_all()
  check_decisions(self, sorted(self.decided))
  local wanted = {}
  for number, event in ipairs(self.events) do
    local lead, running = assert(self.decided[number], number):match "(%x+)%-(%d+)"
    local life = wanted[event.userId] or { lead = lead, count = 0, numbers = {}, features = {}, is_engaged = false }
    wanted[event.userId] = life
    assert(life.lead == lead, "one user, two leads")
    assert(not life.numbers[running], "a running number was given twice")
    life.numbers[running] = true
    life.count = life.count + 1
    for name, counts in pairs(COUNTED) do
      if counts(event) then life.features[name] = (life.features[name] or 0) + 1 end
    end
  end
  for _, list in ipairs(self.chunks) do
    for _, entry in ipairs(list) do
      local life = wanted[entry[2].userId] or { count = 0, features = {} }
      wanted[entry[2].userId] = life
      life.count = life.count + 1
      for name, counts in pairs(COUNTED) do
        if counts { type = "track", event = entry[2].event, channel = "web" } then
          life.features[name] = (life.features[name] or 0) + 1
        end
      end
    end
  end
  local client = self.daemon:connect()
  for who, life in pairs(wanted) do
    local answer = client:must("lead.get", who)
    assert(not life.lead or life.lead == answer.lead.lead, "another lead")
    local timers = life_of(client, answer.lead)
    assert(life.count + timers == answer.lead.decisions, ("%s: %d events and %d timers, but %d decisions"):format(who,
      life.count, timers, answer.lead.decisions))
    for name in pairs(COUNTED) do
      local counted, shown = life.features[name] or 0, answer.lead.features[name]
      if shown == nil or shown == wire.NIL then shown = 0 end
      assert(counted == shown, ("%s: %s is %s, counted are %d"):format(who, name, tostring(shown), counted))
    end
    assert(client:must("decision.explain", who).reproduced, "a decision is not reproduced")
  end
end

--- Leads of whom nothing is heard again: each is engaged, and its timer fires once.
function crowd:plant_timers(count)
  self.planted = self.planted or {}
  for _ = 1, count do
    local number = #self.events + 1
    self.events[number] = {
      type = "identify",
      userId = "t" .. number,
      messageId = "m" .. number,
      traits = { email = "t" .. number .. "@acme.example" },
    }
    self.open[number] = true
    self.planted[#self.planted + 1] = "t" .. number
  end
end

function crowd:check_timers()
  local client = self.daemon:connect()
  for _, who in ipairs(self.planted or {}) do
    harness.wait("the timer of " .. who, function() return client:must("lead.get", who).lead.stage == "nurture" end)
    local lead = client:must("lead.get", who).lead
    assert(lead.decisions == 2, who .. " has " .. lead.decisions .. " decisions")
    assert(life_of(client, lead) == 1, "its timer")
  end
end

--- What the journal says of itself: every checksum, sequence and chain. A daemon whose very first start failed has
--- made none, and has told nobody anything.
function crowd:verify()
  local command = ("%s/intent journal verify --data %s 2>&1; echo exit=$?"):format(harness.bin, self.daemon.data)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  pipe:close() -- which does not tell the status here
  local has_none = self.told == 0 and text:find("has no journal\n", 1, true)
  assert(has_none or text:find "exit=0\n$", text)
end

return crowd
