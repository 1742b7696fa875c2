--- HTTP as tests need it: requests on one connection or on many, with whatever head and body.
local json = require "dkjson"
local socket = require "socket"

local http = {}
http.__index = http

local PATIENCE_S = 60

function http.connect(port)
  local sock = assert(socket.tcp())
  sock:settimeout(PATIENCE_S)
  assert(sock:connect("127.0.0.1", port))
  return setmetatable({ sock = sock }, http)
end

function http:close() self.sock:close() end

function http:send(method, path, headers, body)
  local head = { method .. " " .. path .. " HTTP/1.1", "Host: localhost" }
  for name, value in pairs(headers or {}) do head[#head + 1] = name .. ": " .. value end
  if body then head[#head + 1] = "Content-Length: " .. #body end
  assert(self.sock:send(table.concat(head, "\r\n") .. "\r\n\r\n" .. (body or "")))
end

--- The next answer: {status, headers (names in lower case), body, json}; nil and why when the connection ends.
function http:receive(method)
  local line, why = self.sock:receive "*l"
  if not line then return nil, why end
  local answer = { status = tonumber(line:match "^HTTP/1%.1 (%d%d%d)"), headers = {}, body = "" }
  for header in function() return self.sock:receive "*l" end do
    if header == "" then break end
    local name, value = header:match "^([^:]+):%s*(.*)$"
    answer.headers[name:lower()] = value
  end
  local length = tonumber(answer.headers["content-length"] or 0)
  if length > 0 and method ~= "HEAD" then answer.body = assert(self.sock:receive(length)) end
  if (answer.headers["content-type"] or ""):find "^application/json" then
    answer.json = assert(json.decode(answer.body, 1, json.null), answer.body)
  end
  return answer
end

function http:ask(method, path, headers, body)
  self:send(method, path, headers, body)
  return assert(self:receive(method))
end

--- One request on a connection of its own. A table as body is sent as JSON.
function http.request(port, method, path, body, headers)
  if type(body) == "table" then body = json.encode(body) end
  local connection = http.connect(port)
  local answer = connection:ask(method, path, headers, body)
  connection:close()
  return answer
end

local function filtered(command, bytes)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  file:write(bytes)
  file:close()
  local pipe = assert(io.popen(command .. " < " .. name, "r"))
  local out = pipe:read "*a"
  pipe:close()
  os.remove(name)
  return out
end

function http.gzip(bytes) return filtered("gzip -9c", bytes) end

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

--- The header of basic authentication with a write key and no password.
function http.basic(key)
  local text, out = key .. ":", {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for k = 3, 0, -1 do
      local digit = math.floor(n / 64 ^ k) % 64
      local is_pad = (k == 0 and not c) or (k == 1 and not b)
      out[#out + 1] = is_pad and "=" or ALPHABET:sub(digit + 1, digit + 1)
    end
  end
  return { Authorization = "Basic " .. table.concat(out) }
end

return http
