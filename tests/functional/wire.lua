--- A connection to the daemon: whole MessagePack values in and out, MessagePack-RPC on top, and raw bytes for those who
--- misbehave. While it sends it also reads, so that a daemon that waits for its answers to be read is never waited for
--- in turn.
local mpack = require "mpack"
local socket = require "socket"
local unix = require "socket.unix"

local pack = require "pack"

local wire = { NIL = mpack.NIL }
wire.__index = wire

local PATIENCE_S = 60 -- long enough for a slow machine and a sanitizer; nothing is measured with it

local function wrap(sock)
  sock:settimeout(0)
  return setmetatable(
    {
      sock = sock,
      data = "",
      at = 1,
      parts = {},
      unpacker = mpack.Unpacker(),
      next_id = 0,
      early = {},
      notifications = {},
    },
    wire
  )
end

function wire.tcp(port)
  local sock = assert(socket.tcp())
  sock:settimeout(PATIENCE_S)
  assert(sock:connect("127.0.0.1", port))
  sock:setoption("tcp-nodelay", true)
  return wrap(sock)
end

function wire.unix(path)
  local sock = assert((unix.stream or unix)())
  assert(sock:connect(path))
  return wrap(sock)
end

function wire:close()
  if self.sock then self.sock:close() end
  self.sock = nil
end

--- No more from this side; answers still come.
function wire:finish_sending() self.sock:shutdown "send" end

-- Takes what has come. False once the other side has closed.
local function drain(self)
  while true do
    local data, why, partial = self.sock:receive(65536)
    data = data or partial
    if data and #data > 0 then
      self.data = self.data:sub(self.at) .. data
      self.at = 1
    end
    if why == "timeout" then return true end
    if why then
      self.is_closed = true
      return false
    end
  end
end

--- Sends bytes; `patience` seconds at most without any progress. Returns how many left, and "timeout" or "closed" when
--- not all. With `deaf` it reads nothing meanwhile.
function wire:send_bytes(bytes, patience, deaf)
  local sent = 0
  while sent < #bytes do
    local last, why, partial = self.sock:send(bytes, sent + 1)
    sent = last or partial or sent
    if why == "closed" then return sent, why end
    if sent < #bytes then
      local readable, writable = socket.select(not deaf and { self.sock } or nil, { self.sock }, patience or PATIENCE_S)
      if #readable > 0 and not drain(self) then return sent, "closed" end
      if #readable + #writable == 0 then return sent, "timeout" end
    end
  end
  return sent
end

-- The next whole value with its bytes; nil and why: "closed", "timeout".
function wire:receive_value(patience)
  local deadline = socket.gettime() + (patience or PATIENCE_S)
  while true do
    if self.at <= #self.data then
      local before = self.at
      local value, at = self.unpacker(self.data, before)
      self.at = at
      self.parts[#self.parts + 1] = self.data:sub(before, at - 1)
      if value ~= nil then
        local raw = table.concat(self.parts)
        self.parts = {}
        return value, raw
      end
    end
    if self.is_closed then return nil, "closed" end
    local readable = socket.select({ self.sock }, nil, math.max(0, deadline - socket.gettime()))
    if #readable == 0 then return nil, "timeout" end
    drain(self)
  end
end

--- Waits until the daemon closes; the values that came before it. Fails when it stays open.
function wire:wait_closed(patience)
  local values = {}
  while true do
    local value, why = self:receive_value(patience)
    if value == nil then
      assert(why == "closed", "the connection is still open")
      return values
    end
    values[#values + 1] = value
  end
end

-- ---- MessagePack-RPC ----

function wire.request(id, method, ...) return pack.encode { 0, id, method, pack.list { ... } } end

--- Sends a request, does not wait; its id.
function wire:send(method, ...)
  local id = self.next_id
  self.next_id = id + 1
  local _, why = self:send_bytes(wire.request(id, method, ...))
  assert(not why, why)
  return id
end

function wire:notify(method, ...)
  local _, why = self:send_bytes(pack.encode { 2, method, pack.list { ... } })
  assert(not why, why)
end

-- The bytes of a response's result: behind [1, id, nil.
local function result_bytes(raw)
  local first = raw:byte(3)
  local id_bytes = first < 128 and 1 or first == 0xcc and 2 or first == 0xcd and 3 or 5
  return raw:sub(3 + id_bytes + 1)
end

--- The next response in the order of arrival: {id, error, result, raw = bytes of the result}; notifications are laid
--- aside.
function wire:receive(patience)
  while true do
    local value, raw = self:receive_value(patience)
    if value == nil then return nil, raw end
    if value[1] == 1 then
      local failed = value[3] ~= mpack.NIL
      return {
        id = value[2],
        error = failed and value[3] or nil,
        result = not failed and value[4] or nil,
        raw = not failed and result_bytes(raw) or nil,
      }
    end
    self.notifications[#self.notifications + 1] = value
  end
end

--- The answer to one request, whenever it comes.
function wire:answer(id, patience)
  while not self.early[id] do
    local response, why = self:receive(patience)
    if not response then error(("no answer to request %d: %s"):format(id, why), 2) end
    self.early[response.id] = response
  end
  local response = self.early[id]
  self.early[id] = nil
  return response
end

--- Result, nil, bytes of the result; or nil and the error's map.
function wire:call(method, ...)
  local response = self:answer(self:send(method, ...))
  return response.result, response.error, response.raw
end

--- The result of a call that must succeed, and its bytes.
function wire:must(method, ...)
  local result, err, raw = self:call(method, ...)
  if err then error(("%s: %s: %s"):format(method, err.code, err.detail), 2) end
  return result, raw
end

--- The next notification that comes: its method and parameters.
function wire:notification(patience)
  while #self.notifications == 0 do
    local value, why = self:receive_value(patience)
    if value == nil then return nil, why end
    if value[1] == 1 then error("a response where a notification was awaited", 2) end
    self.notifications[1] = value
  end
  local first = table.remove(self.notifications, 1)
  return first[2], first[3]
end

--- Many requests at once, the answers by their number: {method, params…} each.
function wire:pipeline(requests)
  local ids, out = {}, {}
  for i, request in ipairs(requests) do
    ids[i] = self.next_id
    self.next_id = self.next_id + 1
    out[i] = wire.request(ids[i], unpack(request))
  end
  local _, why = self:send_bytes(table.concat(out))
  assert(not why, why)
  local answers = {}
  for i, id in ipairs(ids) do
    answers[i] = self:answer(id)
  end
  return answers
end

return wire
