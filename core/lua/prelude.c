// The part of the sandbox that is written in Lua, run once in each new state before anything else. It gets our
// functions by name, LuaJIT's globals, jit.util and the allow-list; it makes the two environments, and returns what C
// calls. Its chunk is named "(sandbox)", so that places in errors pass over it.
#include "lua/sandbox.h"

#define LINE(text) text "\n"

const char lua_prelude[] = LINE("local ours, raw, util, names = ...")
    LINE("local error, type, next, select, setfenv = raw.error, raw.type, raw.next, raw.select, raw.setfenv")
        LINE("local getmetatable, setmetatable = raw.debug.getmetatable, raw.debug.setmetatable") LINE(
            "local getupvalue, setupvalue, loadstring = raw.debug.getupvalue, raw.debug.setupvalue, raw.loadstring")
            LINE("local band, rshift, sub, match = raw.bit.band, raw.bit.rshift, raw.string.sub, raw.string.match")
                LINE("local raw_ipairs, raw_concat, raw_unpack = raw.ipairs, raw.table.concat, raw.unpack") LINE(
                    "local frozen_target, proxy, spend, fail = ours.frozen_target, ours.proxy, ours.spend, ours.fail")
                    LINE("")
    // What bytecode looks like is asked of the compiler itself: numbers of instructions differ between versions.
    LINE("local function op_at(fn, pc) return band(util.funcbc(fn, pc), 0xff) end")
        LINE("local GSET, GGET = op_at(loadstring('x = 1'), 2), op_at(loadstring('return x'), 1)")
            LINE("local USET = {}") LINE("for _, value in raw_ipairs {'b', '\"text\"', '1', 'nil'} do")
                LINE("  USET[op_at(loadstring('local a return function(b) a = ' .. value .. ' end')(), 1)] = true")
                    LINE("end") LINE("") LINE("local function place(code, pc)")
                        LINE("  local info = util.funcinfo(code, pc)")
                            LINE("  return sub(info.source, 2) .. ':' .. info.currentline") LINE("end")
    // visit(op, instruction, code, pc) for each instruction of a function and of those written in it, until it returns
    // something.
    LINE("local function walk(code, visit)") LINE("  local info = util.funcinfo(code)")
        LINE("  if not info.bytecodes then return end") LINE("  for pc = 1, info.bytecodes - 1 do")
            LINE("    local instruction = util.funcbc(code, pc)")
                LINE("    local found = visit(band(instruction, 0xff), instruction, code, pc)")
                    LINE("    if found then return found end") LINE("  end") LINE("  local n = -1")
                        LINE("  while info.children do") LINE("    local constant = util.funck(code, n)")
                            LINE("    if constant == nil then break end")
                                LINE("    local found = type(constant) == 'proto' and walk(constant, visit)")
                                    LINE("    if found then return found end") LINE("    n = n - 1") LINE("  end")
                                        LINE("end") LINE("local function global_name(code, instruction) return "
                                                         "util.funck(code, -rshift(instruction, 16) - 1) end") LINE("")
    // Raises an error for an assignment to a global and for a name that the environment lacks.
    LINE("local function inspect(fn, env)") LINE("  local why = walk(fn, function(op, instruction, code, pc)")
        LINE("    if op ~= GSET and op ~= GGET then return end") LINE("    local name = global_name(code, instruction)")
            LINE("    if op == GSET then") LINE(
                "      return place(code, pc) .. ': assignment to the global ' .. name .. '; write local ' .. name")
                LINE("    elseif raw.rawget(env, name) == nil then") LINE("      local known = {}") LINE(
                    "      for key in next, env do known[#known + 1] = key end") LINE("      raw.table.sort(known)")
                    LINE("      local near = ours['host.suggest'](name, known)") LINE(
                        "      return place(code, pc) .. ': unknown name ' .. name .. (near and '; did you mean ' .. "
                        "near .. '?' or '')") LINE("    end") LINE("  end)") LINE("  if why then error(why, 0) end")
                        LINE("end") LINE("") LINE("local function pure(fn)")
                            LINE("  if type(fn) ~= 'function' then return nil, 'a function is expected, not a ' .. "
                                 "ours.type(fn) end") LINE("  local why = walk(fn, function(op, instruction, code, pc)")
                                LINE("    if USET[op] then")
                                    LINE("      local name = util.funcuvname(code, band(rshift(instruction, 8), 0xff))")
                                        LINE("      return place(code, pc) .. ': assignment to ' .. name .. ', which "
                                             "is declared outside of the function'") LINE("    elseif op == GSET then")
                                            LINE("      return place(code, pc) .. ': assignment to the global ' .. "
                                                 "global_name(code, instruction)") LINE("    end") LINE("  end)")
                                                LINE("  if why then return nil, why end") LINE("  return true")
                                                    LINE("end") LINE("")
    // A frozen table is a userdata whose __index is a copy that nobody else holds: rawset can't reach it, and # works.
    LINE("local function refuse(_, key) fail('no modification allowed: ' .. ours.tostring(key)) end") LINE("local seal")
        LINE("local function freeze(value, memo)") LINE("  if type(value) == 'function' then seal(value, memo) end")
            LINE("  if type(value) ~= 'table' then return value end")
                LINE("  if memo[value] then return memo[value] end")
                    LINE("  local copy, meta, old = {}, {}, getmetatable(value)")
                        LINE("  if old then for key, event in next, old do meta[key] = event end end")
                            LINE("  meta.__index, meta.__newindex, meta.__metatable = copy, refuse, false")
                                LINE("  meta.__len = function() return #copy end") LINE("  memo[value] = proxy(meta)")
                                    LINE("  for key, field in next, value do copy[key] = freeze(field, memo) end")
                                        LINE("  if old then setmetatable(copy, old) end") LINE("  return memo[value]")
                                            LINE("end")
    // Freezes what a function of a policy, and the functions that it reaches, hold on to; none of them may assign to
    // it.
    LINE("seal = function(fn, memo)")
        LINE("  if memo[fn] or not ours.is_policy(util.funcinfo(fn).source) then return end") LINE("  memo[fn] = fn")
            LINE("  for i = 1, 255 do") LINE("    local name, value = getupvalue(fn, i)")
                LINE("    if not name then break end") LINE("    local frozen = freeze(value, memo)")
                    LINE("    if frozen ~= value then setupvalue(fn, i, frozen) end") LINE("  end") LINE("end") LINE("")
    // Versions for frozen tables of what LuaJIT does for tables, and places in messages.
    LINE("ours.ipairs = function(t)") LINE("  local copy = frozen_target(t)") LINE(
        "  if not copy then return raw_ipairs(t) end") LINE("  return function(_, i)")
        LINE("    local value = copy[i + 1]") LINE("    if value ~= nil then return i + 1, value end") LINE(
            "  end, t, 0") LINE("end") LINE("ours['table.concat'] = function(t, ...)")
            LINE("  t = frozen_target(t) or t") LINE("  if type(t) == 'table' then spend(#t) end") LINE(
                "  return raw_concat(t, ...)") LINE("end") LINE("ours.unpack = function(t, ...) return "
                                                                "raw_unpack(frozen_target(t) or t, ...) end")
                LINE("ours.assert = function(...)") LINE("  local value, message = ...") LINE(
                    "  if value then return ... end") LINE("  if select('#', ...) == 0 then fail('assert: a value "
                                                           "is expected') end")
                    LINE("  if message == nil then message = 'assertion failed' end") LINE("  fail(message)") LINE(
                        "end") LINE("")
                        LINE("local policy_env, library_env, loaded, begun = {}, {}, {}, {}") LINE(
                            "ours.require = function(name)") LINE("  if type(name) ~= 'string' then fail('require: the "
                                                                  "name of a module is expected') end")
                            LINE("  local value = loaded[name]") LINE("  if value ~= nil then return value end") LINE(
                                "  if begun[name] then fail('require: ' .. name .. ' is being loaded already, or "
                                "failed before') end") LINE("  local fn, is_library = ours.load(name)")
                                LINE("  if not fn then fail('require: ' .. is_library) end") LINE(
                                    "  if type(fn) == 'function' then") LINE("    begun[name] = true")
                                    LINE("    local env = is_library and library_env or policy_env") LINE(
                                        "    inspect(fn, env)") LINE("    setfenv(fn, env)")
                                        LINE("    value = fn(name)") LINE(
                                            "    if value == nil then value = true end") LINE("  else")
                                            LINE("    value = fn") LINE("  end") LINE("  loaded[name] = value") LINE(
                                                "  return value") LINE("end") LINE("") LINE("ours['host.pure'] = pure")
                                                LINE("ours['host.freeze'] = function(t) return freeze(t, {}) end") LINE(
                                                    "local tables = {}") LINE("for _, path in raw_ipairs(names) do")
                                                    LINE("  local group, name = match(path, '^(%w+)%.(%w+)$')") LINE(
                                                        "  if group then")
                                                        LINE("    tables[group] = tables[group] or {}") LINE(
                                                            "    tables[group][name] = ours[path] or raw[group][name]")
                                                            LINE("  else") LINE("    policy_env[path] = ours[path] or "
                                                                                "raw[path]") LINE("  end") LINE("end")
                                                                LINE("for name, t in next, tables do "
                                                                     "policy_env[name] = freeze(t, {}) end")
                                                                    LINE("local text_meta = getmetatable('')") LINE(
                                                                        "text_meta.__index, text_meta.__metatable = "
                                                                        "tables.string, false")
                                                                        LINE("for name, value in next, policy_env do "
                                                                             "library_env[name] = value end")
                                                                            LINE("local host = {}") LINE(
                                                                                "for path, value in "
                                                                                "next, ours do") LINE("  local name = "
                                                                                                      "match(path, "
                                                                                                      "'^host%.([%w_]+)"
                                                                                                      "$')")
                                                                                LINE("  if name then host[name] = "
                                                                                     "value end") LINE("end") LINE(
                                                                                    "library_env.host = "
                                                                                    "freeze(host, {})")
                                                                                    LINE("library_env.rawget, "
                                                                                         "library_env.rawset, "
                                                                                         "library_env.rawequal = "
                                                                                         "raw.rawget, raw.rawset, "
                                                                                         "raw.rawequal") LINE("library_"
                                                                                                              "env."
                                                                                                              "getmetat"
                                                                                                              "able = "
                                                                                                              "raw."
                                                                                                              "getmetat"
                                                                                                              "able")
                                                                                        LINE("library_"
                                                                                             "env."
                                                                                             "setmetata"
                                                                                             "ble = "
                                                                                             "function("
                                                                                             "t, meta)") LINE("  if "
                                                                                                              "meta ~= "
                                                                                                              "nil and "
                                                                                                              "type("
                                                                                                              "meta) "
                                                                                                              "== "
                                                                                                              "'table' "
                                                                                                              "and "
                                                                                                              "raw."
                                                                                                              "rawget("
                                                                                                              "meta, "
                                                                                                              "'__mode'"
                                                                                                              ") "
                                                                                                              "~= nil "
                                                                                                              "then")
                                                                                            LINE(
                                                                                                "    "
                                                                                                "fail('setmetatable: "
                                                                                                "weak "
                                                                                                "tables depend on when "
                                                                                                "memory "
                                                                                                "is collected')")
                                                                                                LINE("  end") LINE(
                                                                                                    "  return "
                                                                                                    "raw.setmetatable("
                                                                                                    "t, "
                                                                                                    "meta)") LINE("end")
                                                                                                    LINE(
                                                                                                        "local "
                                                                                                        "function "
                                                                                                        "unknown(_, "
                                                                                                        "name) "
                                                                                                        "fail('unknown "
                                                                                                        "name "
                                                                                                        "' .. "
                                                                                                        "ours.tostring("
                                                                                                        "name)) "
                                                                                                        "end") LINE("lo"
                                                                                                                    "ca"
                                                                                                                    "l "
                                                                                                                    "gu"
                                                                                                                    "ar"
                                                                                                                    "d "
                                                                                                                    "= "
                                                                                                                    "{_"
                                                                                                                    "_i"
                                                                                                                    "nd"
                                                                                                                    "ex"
                                                                                                                    " ="
                                                                                                                    " "
                                                                                                                    "un"
                                                                                                                    "kn"
                                                                                                                    "ow"
                                                                                                                    "n,"
                                                                                                                    " "
                                                                                                                    "__"
                                                                                                                    "ne"
                                                                                                                    "wi"
                                                                                                                    "nd"
                                                                                                                    "ex"
                                                                                                                    " ="
                                                                                                                    " "
                                                                                                                    "re"
                                                                                                                    "fu"
                                                                                                                    "se"
                                                                                                                    ", "
                                                                                                                    "__"
                                                                                                                    "me"
                                                                                                                    "ta"
                                                                                                                    "ta"
                                                                                                                    "bl"
                                                                                                                    "e "
                                                                                                                    "= "
                                                                                                                    "fa"
                                                                                                                    "ls"
                                                                                                                    "e"
                                                                                                                    "}")
                                                                                                        LINE("setmetata"
                                                                                                             "ble("
                                                                                                             "policy_"
                                                                                                             "env, "
                                                                                                             "guard)") LINE("setmetatable(library_"
                                                                                                                            "env, guard)")
                                                                                                            LINE("local"
                                                                                                                 " func"
                                                                                                                 "tions"
                                                                                                                 " "
                                                                                                                 "= "
                                                                                                                 "{requ"
                                                                                                                 "ire "
                                                                                                                 "= "
                                                                                                                 "ours."
                                                                                                                 "requi"
                                                                                                                 "re, "
                                                                                                                 "pure "
                                                                                                                 "= "
                                                                                                                 "pure"
                                                                                                                 ",") LINE("  freeze = "
                                                                                                                           "function("
                                                                                                                           "value) return "
                                                                                                                           "freeze(value, "
                                                                                                                           "{}) end,")
                                                                                                                LINE(
                                                                                                                    "  "
                                                                                                                    "se"
                                                                                                                    "al"
                                                                                                                    " ="
                                                                                                                    " "
                                                                                                                    "fu"
                                                                                                                    "nc"
                                                                                                                    "ti"
                                                                                                                    "on"
                                                                                                                    "("
                                                                                                                    "fn"
                                                                                                                    ") "
                                                                                                                    "se"
                                                                                                                    "al"
                                                                                                                    "(f"
                                                                                                                    "n,"
                                                                                                                    " "
                                                                                                                    "{}"
                                                                                                                    ") "
                                                                                                                    "en"
                                                                                                                    "d"
                                                                                                                    ",")
                                                                                                                    LINE(
                                                                                                                        "  "
                                                                                                                        "inspec"
                                                                                                                        "t = "
                                                                                                                        "functi"
                                                                                                                        "on(fn)"
                                                                                                                        " inspe"
                                                                                                                        "ct(fn,"
                                                                                                                        " {}) "
                                                                                                                        "setfen"
                                                                                                                        "v(fn, "
                                                                                                                        "setmet"
                                                                                                                        "atable"
                                                                                                                        "({}, "
                                                                                                                        "guard)"
                                                                                                                        ") "
                                                                                                                        "end}")
                                                                                                                        LINE(
                                                                                                                            "re"
                                                                                                                            "tu"
                                                                                                                            "rn"
                                                                                                                            " f"
                                                                                                                            "un"
                                                                                                                            "ct"
                                                                                                                            "io"
                                                                                                                            "n"
                                                                                                                            "s");
