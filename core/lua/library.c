// The functions that a policy calls instead of LuaJIT's own, where LuaJIT's would print an address, walk in an
// undefined order, depend on the machine's mathematics, or work without a bound; and the allow-list itself.
#include "base/pmath.h"
#include "lua/sandbox.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    "assert",        "error",        "ipairs",       "pairs",        "pcall",        "require",     "select",
    "tonumber",      "tostring",     "type",         "unpack",       "bit.arshift",  "bit.band",    "bit.bnot",
    "bit.bor",       "bit.bswap",    "bit.bxor",     "bit.lshift",   "bit.rol",      "bit.ror",     "bit.rshift",
    "bit.tobit",     "bit.tohex",    "math.abs",     "math.ceil",    "math.exp",     "math.floor",  "math.fmod",
    "math.huge",     "math.log",     "math.log10",   "math.max",     "math.min",     "math.modf",   "math.pi",
    "math.pow",      "math.sqrt",    "math.tanh",    "string.byte",  "string.char",  "string.find", "string.format",
    "string.gmatch", "string.gsub",  "string.len",   "string.lower", "string.match", "string.rep",  "string.reverse",
    "string.sub",    "string.upper", "table.concat", "table.insert", "table.remove", "table.sort",
};

const char *const *lua_sandbox_names(size_t *count) {
  *count = sizeof names / sizeof *names;
  return names;
}

// ---- what values are, without their addresses ----
static const char *type_of(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TUSERDATA ? "table" : luaL_typename(L, index); // the only userdata are frozen tables
}

static int lib_type(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushstring(L, type_of(L, 1));
  return 1;
}

static int lib_tostring(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  sandbox_descend(L);
  if (luaL_callmeta(L, 1, "__tostring")) return 1;
  switch (lua_type(L, 1)) {
  case LUA_TSTRING: break;
  case LUA_TNUMBER:
    if (isnan(lua_tonumber(L, 1)))
      lua_pushliteral(L, "nan"); // its sign bit is nobody's choice
    else
      lua_tostring(L, 1);
    break;
  case LUA_TNIL: lua_pushliteral(L, "nil"); break;
  case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, 1) ? "true" : "false"); break;
  default: lua_pushstring(L, type_of(L, 1));
  }
  return 1;
}

// Calls the function that this one stands for (upvalue 1) with the same arguments.
static int call_own(lua_State *L) {
  sandbox_descend(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

// LuaJIT can't run the count hook where Lua's stack is full, and raises instead: a pcall up there would catch that for
// ever. So ours wants room above it, in which the hook works. A stop passes through.
#define PCALL_ROOM 200

static int lib_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  sandbox_descend(L);
  luaL_checkstack(L, PCALL_ROOM, "pcall");
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  sandbox_spend(L, 1);
  lua_pushboolean(L, status == 0);
  lua_insert(L, 1);
  return lua_gettop(L);
}

// ---- strings ----
static int lib_rep(lua_State *L) {
  size_t n, separator = 0;
  luaL_checklstring(L, 1, &n);
  lua_Number times = luaL_checknumber(L, 2);
  if (!lua_isnoneornil(L, 3)) luaL_checklstring(L, 3, &separator);
  if (!(times <= 1e9)) times = 1e9; // also NaN, which would convert to anything
  sandbox_check_size(L, "string.rep", (double)(n + separator) * times);
  lua_settop(L, 3);
  lua_pushnumber(L, times);
  lua_replace(L, 2);
  return call_own(L);
}

// One conversion of a format, from after its "%" up to its letter; advances *text beyond it. Its argument becomes text
// where LuaJIT would show an address or a sign of NaN.
static void format_one(lua_State *L, const char **text, const char *end, int arg, luaL_Buffer *format) {
  const char *start = *text, *p = start;
  while (p < end && strchr("-+ #0123456789.", *p) && *p) p++;
  char letter = p < end ? *p++ : 0;
  *text = p;
  if (letter == 0 || !strchr("cdiouxXaAeEfgGqs", letter))
    luaL_error(L, "string.format: unknown conversion in the format, or one that policies have not");
  if (lua_isnone(L, arg)) luaL_argerror(L, arg, "no value");
  bool is_nan = letter != 's' && letter != 'q' && lua_type(L, arg) == LUA_TNUMBER && isnan(lua_tonumber(L, arg));
  if (is_nan || (letter == 's' && lua_type(L, arg) != LUA_TSTRING)) {
    lua_pushcfunction(L, lib_tostring);
    lua_pushvalue(L, arg);
    lua_call(L, 1, 1);
    lua_replace(L, arg);
  }
  luaL_addchar(format, '%');
  if (is_nan)
    luaL_addchar(format, 's');
  else
    luaL_addlstring(format, start, (size_t)(p - start));
}

static int lib_format(lua_State *L) {
  sandbox_descend(L);
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n), *end = text + n;
  int given = lua_gettop(L), arg = 1;
  if (n > 4096) return luaL_error(L, "string.format: a format of more than 4096 bytes");
  // The buffer may keep pieces on the stack, above the arguments; format_one leaves the stack as it finds it.
  luaL_Buffer format;
  luaL_buffinit(L, &format);
  while (text < end) {
    char c = *text++;
    if (c != '%') {
      luaL_addchar(&format, c);
    } else if (text < end && *text == '%') {
      luaL_addlstring(&format, text++ - 1, 2);
    } else {
      if (++arg > given) return luaL_argerror(L, arg, "no value");
      format_one(L, &text, end, arg, &format);
    }
  }
  luaL_pushresult(&format);
  lua_replace(L, 1);
  return call_own(L);
}

// ---- tables ----
static void check_not_frozen(lua_State *L) {
  if (sandbox_push_frozen(L, 1)) luaL_error(L, "no modification allowed: the table is frozen");
}

static int lib_insert(lua_State *L) { // insert(t, value) or insert(t, place, value), which moves what follows
  check_not_frozen(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_gettop(L) > 2) {
    lua_Number length = (lua_Number)lua_objlen(L, 1), place = luaL_checknumber(L, 2);
    if (!(place >= 1 && place <= length + 1)) return luaL_argerror(L, 2, "the place must be from 1 to #t + 1");
    sandbox_spend(L, (size_t)(length + 1 - place));
  }
  return call_own(L);
}

static int lib_remove(lua_State *L) {
  check_not_frozen(L);
  return call_own(L);
}

static int lib_sort(lua_State *L) {
  check_not_frozen(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  size_t length = lua_objlen(L, 1);
  sandbox_spend(L, length * (size_t)(64 - __builtin_clzl(length | 1)));
  return call_own(L);
}

static int next_pair(lua_State *L) { // upvalues: table, keys, place in them
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(3));
  for (;;) {
    lua_rawgeti(L, lua_upvalueindex(2), (int)++i);
    if (lua_isnil(L, -1)) return 1;
    lua_pushvalue(L, -1);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1)) break; // else it was removed in the loop
    lua_pop(L, 2);
  }
  lua_pushinteger(L, i);
  lua_replace(L, lua_upvalueindex(3));
  return 2;
}

static int lib_pairs(lua_State *L) {
  if (!sandbox_push_frozen(L, 1)) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushvalue(L, 1);
  }
  keys_push(L, lua_gettop(L));
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_pair, 3);
  lua_pushvalue(L, 1);
  return 2;
}

// ---- mathematics ----
#define MATH(name, expression)                                                                                         \
  static int lib_##name(lua_State *L) {                                                                                \
    lua_Number x = luaL_checknumber(L, 1);                                                                             \
    lua_pushnumber(L, expression);                                                                                     \
    return 1;                                                                                                          \
  }
MATH(exp, pm_exp(x))
MATH(exp2, pm_exp2(x))
MATH(log10, pm_log10(x))
MATH(tanh, pm_tanh(x))
MATH(floor, pm_floor(x))
MATH(ceil, pm_ceil(x))
MATH(round_even, pm_round_even(x))
MATH(pow, pm_pow(x, luaL_checknumber(L, 2)))
static int lib_log(lua_State *L) {
  lua_Number x = pm_log(luaL_checknumber(L, 1));
  if (!lua_isnoneornil(L, 2)) x /= pm_log(luaL_checknumber(L, 2));
  lua_pushnumber(L, x);
  return 1;
}

// ---- the prelude's tools ----
static int tool_frozen_target(lua_State *L) {
  if (!sandbox_push_frozen(L, 1)) lua_pushnil(L);
  return 1;
}

int sandbox_proxy(lua_State *L) {
  lua_settop(L, 1);
  lua_newuserdata(L, 1);
  lua_insert(L, 1);
  lua_setmetatable(L, 1);
  return 1;
}

// fail(value): raises it; text gets the place of the innermost function of a module, whatever of ours stands between.
static int tool_fail(lua_State *L) {
  lua_settop(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING) {
    sandbox_push_where(L);
    lua_insert(L, 1);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int tool_spend(lua_State *L) {
  sandbox_spend(L, (size_t)lua_tointeger(L, 1));
  return 0;
}

static const struct lua_module *module_named(const struct sandbox *sb, struct bytes name) {
  for (size_t i = 0; i < sb->module_count; i++)
    if (bytes_is(name, sb->modules[i].name)) return &sb->modules[i];
  return NULL;
}

static bool is_data(const struct lua_module *module) {
  size_t n = strlen(module->path);
  return n > 4 && strcmp(module->path + n - 4, ".csv") == 0;
}

// load(name) -> function, is_library | text | nil, why. A text that is no valid chunk raises.
static int tool_load(lua_State *L) {
  const struct sandbox *sb = sandbox_of(L);
  size_t length;
  const char *name = luaL_checklstring(L, 1, &length);
  if (sb->is_sealed) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s was not loaded when the policy was; ask for it at the top of the file", name);
    return 2;
  }
  const struct lua_module *module = module_named(sb, bytes_of(name, length));
  if (!module) {
    lua_pushnil(L);
    lua_pushfstring(L, "there is no module %s", name);
    return 2;
  }
  if (is_data(module)) {
    lua_pushlstring(L, (const char *)module->text.p, module->text.n);
    return 1;
  }
  lua_pushfstring(L, "@%s", module->path);
  if (luaL_loadbufferx(L, module->text.n ? (const char *)module->text.p : "", module->text.n, lua_tostring(L, -1), "t"))
    return lua_error(L);
  int line;
  const char *why = module->is_library ? NULL : scan_policy(module->text, &line);
  if (why) {
    lua_pushfstring(L, "%s:%d: %s", module->path, line, why);
    return lua_error(L);
  }
  lua_pushboolean(L, module->is_library);
  return 2;
}

// is_policy(source): a chunk's name, "@path", that is a policy's module.
static int tool_is_policy(lua_State *L) {
  const struct sandbox *sb = sandbox_of(L);
  const char *source = lua_tostring(L, 1);
  bool is_policy = false;
  for (size_t i = 0; source && source[0] == '@' && i < sb->module_count; i++)
    if (strcmp(sb->modules[i].path, source + 1) == 0) is_policy = !sb->modules[i].is_library;
  lua_pushboolean(L, is_policy);
  return 1;
}

// LuaJIT's function `group.name` becomes upvalue 1 of ours, under the same name in the table on the top.
static void put_over(lua_State *L, const char *group, const char *name, lua_CFunction ours) {
  lua_pushfstring(L, "%s.%s", group, name);
  lua_getfield(L, LUA_GLOBALSINDEX, group);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
  lua_pushcclosure(L, ours, 1);
  lua_rawset(L, -3);
}

void library_push(lua_State *L) {
  static const luaL_Reg plain[] = {
      {"type", lib_type},
      {"tostring", lib_tostring},
      {"pairs", lib_pairs},
      {"pcall", lib_pcall},
      {"math.exp", lib_exp},
      {"math.log", lib_log},
      {"math.log10", lib_log10},
      {"math.tanh", lib_tanh},
      {"math.floor", lib_floor},
      {"math.ceil", lib_ceil},
      {"math.pow", lib_pow},
      {"host.exp2", lib_exp2},
      {"host.round_even", lib_round_even},
      {"frozen_target", tool_frozen_target},
      {"proxy", sandbox_proxy},
      {"spend", tool_spend},
      {"fail", tool_fail},
      {"load", tool_load},
      {"is_policy", tool_is_policy},
      {NULL, NULL},
  };
  lua_newtable(L);
  for (const luaL_Reg *f = plain; f->name; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  put_over(L, "string", "rep", lib_rep);
  put_over(L, "string", "format", lib_format);
  put_over(L, "table", "insert", lib_insert);
  put_over(L, "table", "remove", lib_remove);
  put_over(L, "table", "sort", lib_sort);
  host_push(L);
  pattern_push(L);
  bits_push(L);
}
