-- The part of the sandbox that is written in Lua, run once in each new state before anything else. It gets our functions by name,
-- LuaJIT's globals, jit.util and the allow-list; it makes the two environments, and returns what C calls. Its chunk is named
-- "(sandbox)", so that places in errors pass over it.
local ours, raw, util, names = ...
local error, type, next, select, setfenv = raw.error, raw.type, raw.next, raw.select, raw.setfenv
local getmetatable, setmetatable = raw.debug.getmetatable, raw.debug.setmetatable
local getupvalue, setupvalue, loadstring = raw.debug.getupvalue, raw.debug.setupvalue, raw.loadstring
local band, rshift, sub, match = raw.bit.band, raw.bit.rshift, raw.string.sub, raw.string.match
local raw_ipairs, raw_concat, raw_unpack = raw.ipairs, raw.table.concat, raw.unpack
local frozen_target, proxy, spend, fail = ours.frozen_target, ours.proxy, ours.spend, ours.fail

-- What bytecode looks like is asked of the compiler itself: numbers of instructions differ between versions.
local function op_at(fn, pc) return band(util.funcbc(fn, pc), 0xff) end
local GSET, GGET = op_at(loadstring('x = 1'), 2), op_at(loadstring('return x'), 1)
local USET = {}
for _, value in raw_ipairs {'b', '"text"', '1', 'nil'} do
  USET[op_at(loadstring('local a return function(b) a = ' .. value .. ' end')(), 1)] = true
end

local function place(code, pc)
  local info = util.funcinfo(code, pc)
  return sub(info.source, 2) .. ':' .. info.currentline
end

-- visit(op, instruction, code, pc) for each instruction of a function and of those written in it, until it returns something.
local function walk(code, visit)
  local info = util.funcinfo(code)
  if not info.bytecodes then return end
  for pc = 1, info.bytecodes - 1 do
    local instruction = util.funcbc(code, pc)
    local found = visit(band(instruction, 0xff), instruction, code, pc)
    if found then return found end
  end
  local n = -1
  while info.children do
    local constant = util.funck(code, n)
    if constant == nil then break end
    local found = type(constant) == 'proto' and walk(constant, visit)
    if found then return found end
    n = n - 1
  end
end
local function global_name(code, instruction) return util.funck(code, -rshift(instruction, 16) - 1) end

-- Raises an error for an assignment to a global and for a name that the environment lacks.
local function inspect(fn, env)
  local why = walk(fn, function(op, instruction, code, pc)
    if op ~= GSET then return end
    local name = global_name(code, instruction)
    return place(code, pc) .. ': assignment to the global ' .. name .. '; write local ' .. name
  end) or walk(fn, function(op, instruction, code, pc)
    local name = op == GGET and global_name(code, instruction)
    if not name or raw.rawget(env, name) ~= nil then return end
    local known = {}
    for key in next, env do known[#known + 1] = key end
    raw.table.sort(known)
    local near = ours['host.suggest'](name, known)
    return place(code, pc) .. ': unknown name ' .. name .. (near and '; did you mean ' .. near .. '?' or '')
  end)
  if why then error(why, 0) end
end

local function pure(fn)
  if type(fn) ~= 'function' then return nil, 'a function is expected, not a ' .. ours.type(fn) end
  local why = walk(fn, function(op, instruction, code, pc)
    if USET[op] then
      local name = util.funcuvname(code, band(rshift(instruction, 8), 0xff))
      return place(code, pc) .. ': assignment to ' .. name .. ', which is declared outside of the function'
    elseif op == GSET then
      return place(code, pc) .. ': assignment to the global ' .. global_name(code, instruction)
    end
  end)
  if why then return nil, why end
  return true
end

-- A frozen table is a userdata whose __index is a copy that nobody else holds: rawset can't reach it, and # works.
local function refuse(_, key) fail('no modification allowed: ' .. ours.tostring(key)) end
local seal
local function freeze(value, memo)
  if type(value) == 'function' and memo.is_sealing then seal(value, memo) end
  if type(value) ~= 'table' then return value end
  if memo[value] then return memo[value] end
  local copy, meta, old = {}, {}, getmetatable(value)
  if old then for key, event in next, old do meta[key] = event end end
  meta.__index, meta.__newindex, meta.__metatable = copy, refuse, false
  meta.__len = function() return #copy end
  memo[value] = proxy(meta)
  for key, field in next, value do copy[key] = freeze(field, memo) end
  if old then setmetatable(copy, old) end
  return memo[value]
end

-- Freezes what a function of a policy, and the functions that it reaches, hold on to; none of them may assign to it.
seal = function(fn, memo)
  if memo[fn] or not ours.is_policy(util.funcinfo(fn).source) then return end
  local is_pure, why = pure(fn)
  if not is_pure then error(why, 0) end
  memo[fn] = fn
  for i = 1, 255 do
    local name, value = getupvalue(fn, i)
    if not name then break end
    local frozen = freeze(value, memo)
    if frozen ~= value then setupvalue(fn, i, frozen) end
  end
end

-- Versions for frozen tables of what LuaJIT does for tables, and places in messages.
ours.ipairs = function(t)
  local copy = frozen_target(t)
  if not copy then return raw_ipairs(t) end
  return function(_, i)
    local value = copy[i + 1]
    if value ~= nil then return i + 1, value end
  end, t, 0
end
ours['table.concat'] = function(t, ...)
  t = frozen_target(t) or t
  if type(t) == 'table' then spend(#t) end
  return raw_concat(t, ...)
end
ours.unpack = function(t, ...) return raw_unpack(frozen_target(t) or t, ...) end
ours.assert = function(...)
  local value, message = ...
  if value then return ... end
  if select('#', ...) == 0 then fail('assert: a value is expected') end
  if message == nil then message = 'assertion failed' end
  fail(message)
end

-- LuaJIT compiles math.min and math.max to other results for NaN than it interprets. Ours give the interpreter's either way, and are in
-- Lua so that they are compiled too.
local function number(x, name)
  if type(x) == 'number' then return x end
  local converted = raw.tonumber(x)
  if type(x) ~= 'string' or not converted then fail(name .. ': a number is expected, not a ' .. ours.type(x)) end
  return converted
end
local function extreme(name, second_wins)
  return function(x, ...)
    x = number(x, name)
    for i = 1, select('#', ...) do
      local y = number((select(i, ...)), name)
      if second_wins(x, y) then x = y end
    end
    return x
  end
end
ours['math.min'] = extreme('math.min', function(x, y) return not (x < y) end)
ours['math.max'] = extreme('math.max', function(x, y) return not (x > y) end)

local policy_env, library_env, loaded, begun = {}, {}, {}, {}
ours.require = function(name)
  if type(name) ~= 'string' then fail('require: the name of a module is expected') end
  local value = loaded[name]
  if value ~= nil then return value end
  if begun[name] then fail('require: ' .. name .. ' is being loaded already, or failed before') end
  local fn, is_library = ours.load(name)
  if not fn then fail('require: ' .. is_library) end
  if type(fn) == 'function' then
    begun[name] = true
    local env = is_library and library_env or policy_env
    inspect(fn, env)
    setfenv(fn, env)
    value = fn(name)
    if value == nil then value = true end
  else
    value = fn
  end
  loaded[name] = value
  return value
end

ours['host.pure'] = pure
ours['host.freeze'] = function(t) return freeze(t, {}) end
local tables = {}
for _, path in raw_ipairs(names) do
  local group, name = match(path, '^(%w+)%.(%w+)$')
  if group then
    tables[group] = tables[group] or {}
    tables[group][name] = ours[path] or raw[group][name]
  else
    policy_env[path] = ours[path] or raw[path]
  end
end
for name, t in next, tables do policy_env[name] = freeze(t, {}) end
local text_meta = getmetatable('')
text_meta.__index, text_meta.__metatable = tables.string, false
for name, value in next, policy_env do library_env[name] = value end
local host = {}
for path, value in next, ours do
  local name = match(path, '^host%.([%w_]+)$')
  if name then host[name] = value end
end
library_env.host = freeze(host, {})
library_env.rawget, library_env.rawset, library_env.rawequal = raw.rawget, raw.rawset, raw.rawequal
library_env.getmetatable = raw.getmetatable
library_env.setmetatable = function(t, meta)
  if meta ~= nil and type(meta) == 'table' and raw.rawget(meta, '__mode') ~= nil then
    fail('setmetatable: weak tables depend on when memory is collected')
  end
  return raw.setmetatable(t, meta)
end
local function unknown(_, name) fail('unknown name ' .. ours.tostring(name)) end
local guard = {__index = unknown, __newindex = refuse, __metatable = false}
setmetatable(policy_env, guard)
setmetatable(library_env, guard)
local functions = {require = ours.require, pure = pure,
  freeze = function(value) return freeze(value, {}) end,
  seal = function(fn) seal(fn, {is_sealing = true}) end,
  inspect = function(fn)
    inspect(fn, {})
    local env = {}
    setmetatable(env, guard) -- debug.setmetatable: it returns true, not the table
    setfenv(fn, env)
  end}
return functions
