--- MessagePack as tests need it: maps with their keys in order, so that the same table is always the same bytes, and
--- values that a well-behaved packer would never make. Reading is left to lua-mpack, which is not ours.
local ffi = require "ffi"

local pack = {}

local Raw = {}
local List = {}

--- Bytes that go out as they are: what no table can say.
function pack.raw(bytes) return setmetatable({ bytes = bytes }, Raw) end
--- A list, also when it is empty; a table without this is a list when it has a [1], else a map.
function pack.list(values) return setmetatable(values, List) end

local function big_endian(n, bytes)
  local out = {}
  for i = bytes, 1, -1 do
    out[i] = string.char(n % 256)
    n = math.floor(n / 256)
  end
  return table.concat(out)
end

function pack.bin(bytes) return pack.raw("\198" .. big_endian(#bytes, 4) .. bytes) end
function pack.ext(kind, bytes) return pack.raw("\201" .. big_endian(#bytes, 4) .. string.char(kind % 256) .. bytes) end
--- Fluentd's EventTime.
function pack.event_time(seconds, nanoseconds)
  return pack.raw("\215\0" .. big_endian(seconds, 4) .. big_endian(nanoseconds or 0, 4))
end

local function put_number(out, n)
  if n ~= math.floor(n) or n >= 2 ^ 63 or n < -2 ^ 63 then
    out[#out + 1] = "\203" .. ffi.string(ffi.new("double[1]", n), 8):reverse()
  elseif n >= 0 then
    if n < 128 then
      out[#out + 1] = string.char(n)
    elseif n < 256 then
      out[#out + 1] = "\204" .. big_endian(n, 1)
    elseif n < 65536 then
      out[#out + 1] = "\205" .. big_endian(n, 2)
    elseif n < 2 ^ 32 then
      out[#out + 1] = "\206" .. big_endian(n, 4)
    else
      out[#out + 1] = "\207" .. big_endian(n, 8)
    end
  elseif n >= -32 then
    out[#out + 1] = string.char(256 + n)
  else
    out[#out + 1] = "\211" .. ffi.string(ffi.new("int64_t[1]", n), 8):reverse()
  end
end

local function put_str(out, s)
  if #s < 32 then
    out[#out + 1] = string.char(160 + #s)
  elseif #s < 256 then
    out[#out + 1] = "\217" .. big_endian(#s, 1)
  elseif #s < 65536 then
    out[#out + 1] = "\218" .. big_endian(#s, 2)
  else
    out[#out + 1] = "\219" .. big_endian(#s, 4)
  end
  out[#out + 1] = s
end

local function put_head(out, count, short, long)
  if count < 16 then
    out[#out + 1] = string.char(short + count)
  elseif count < 65536 then
    out[#out + 1] = string.char(long) .. big_endian(count, 2)
  else
    out[#out + 1] = string.char(long + 1) .. big_endian(count, 4)
  end
end

--- Only the head of a list or map, for messages that announce more than they bring.
function pack.list_head(count)
  local out = {}
  put_head(out, count, 144, 220)
  return out[1]
end
function pack.map_head(count)
  local out = {}
  put_head(out, count, 128, 222)
  return out[1]
end

local put

local function put_table(out, t)
  local meta = getmetatable(t)
  if meta == Raw then
    out[#out + 1] = t.bytes
  elseif meta == List or t[1] ~= nil then
    put_head(out, #t, 144, 220)
    for _, value in ipairs(t) do
      put(out, value)
    end
  else
    local keys = {}
    for key in pairs(t) do
      keys[#keys + 1] = key
    end
    table.sort(keys)
    put_head(out, #keys, 128, 222)
    for _, key in ipairs(keys) do
      put(out, key)
      put(out, t[key])
    end
  end
end

function put(out, value)
  local kind = type(value)
  if kind == "nil" or value == pack.null then
    out[#out + 1] = "\192"
  elseif kind == "boolean" then
    out[#out + 1] = value and "\195" or "\194"
  elseif kind == "number" then
    put_number(out, value)
  elseif kind == "string" then
    put_str(out, value)
  elseif kind == "table" then
    put_table(out, value)
  else
    error("no MessagePack of a " .. kind, 2)
  end
end

pack.null = pack.raw "\192"

function pack.encode(value)
  local out = {}
  put(out, value)
  return table.concat(out)
end

return pack
