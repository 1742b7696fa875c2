#include "lua/convert.h"
#include "lua/sandbox.h"
#include "wire/mp.h"
#include <math.h>
#include <stdlib.h>

// ---- to Lua ----
static void push_next(lua_State *L, struct mp *m, int depth);

static void push_array(lua_State *L, struct mp *m, uint32_t count, int depth) {
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 0; i < count; i++) {
    push_next(L, m, depth + 1);
    lua_rawseti(L, -2, (int)i + 1);
  }
}

static void push_map(lua_State *L, struct mp *m, uint32_t pairs, int depth) {
  lua_createtable(L, 0, (int)pairs);
  for (uint32_t i = 0; i < pairs; i++) {
    push_next(L, m, depth + 1);
    bool is_key = lua_type(L, -1) == LUA_TSTRING || (lua_type(L, -1) == LUA_TNUMBER && !isnan(lua_tonumber(L, -1)));
    if (!is_key) luaL_error(L, "a map's key is a %s; only text and numbers can be", luaL_typename(L, -1));
    push_next(L, m, depth + 1);
    lua_rawset(L, -3);
  }
}

static void push_next(lua_State *L, struct mp *m, int depth) {
  if (depth > CONVERT_DEPTH_MAX) luaL_error(L, "nested more than %d deep", CONVERT_DEPTH_MAX);
  luaL_checkstack(L, 4, "nested too deeply");
  struct mp_value v = mp_next(m);
  switch (v.type) {
  case MP_NIL: lua_pushnil(L); break;
  case MP_BOOL: lua_pushboolean(L, v.b); break;
  case MP_INT: lua_pushnumber(L, (lua_Number)v.i); break;
  case MP_UINT: lua_pushnumber(L, (lua_Number)v.u); break;
  case MP_FLOAT: lua_pushnumber(L, v.f); break;
  case MP_STR:
  case MP_BIN: lua_pushlstring(L, v.s.n ? (const char *)v.s.p : "", v.s.n); break;
  case MP_ARRAY: push_array(L, m, v.count, depth); break;
  case MP_MAP: push_map(L, m, v.count, depth); break;
  case MP_EXT: luaL_error(L, "an extension value has no counterpart in Lua"); break;
  }
}

int convert_check(struct bytes value, struct error *err) {
  struct mp_limits limits = {.depth_max = CONVERT_DEPTH_MAX - 1, .objects_max = 1u << 22, .bytes_max = 64u << 20};
  size_t length;
  if (mp_scan(value, &limits, &length, NULL) == 1 && length == value.n) return 0;
  return error_set(err, ITD_EINVAL, "what a policy gets must be one MessagePack value");
}

void convert_push(lua_State *L, struct bytes value) {
  struct mp m = mp_of(value);
  push_next(L, &m, 0);
}

// ---- from Lua ----
struct step { // the way from the value to where the packing is, for messages
  const struct step *up;
  const char *name; // NULL: a number
  double number;
};

struct packing {
  lua_State *L;
  struct buf *out;
  size_t end_max; // of out->n
  const char *what;
};

#define STEPS_SHOWN 16
#define TOO_LONG    "the data is longer than allowed"

static _Noreturn void refuse(const struct packing *k, const struct step *at, const char *why) {
  lua_State *L = k->L;
  const struct step *steps[STEPS_SHOWN];
  int count = 0;
  for (; at; at = at->up) // the outermost ones are shown
    if (count < STEPS_SHOWN)
      steps[count++] = at;
    else {
      memmove(steps, steps + 1, (STEPS_SHOWN - 1) * sizeof *steps);
      steps[STEPS_SHOWN - 1] = at;
    }
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  luaL_addstring(&text, k->what);
  while (count-- > 0) {
    if (steps[count]->name)
      lua_pushfstring(L, ".%s", steps[count]->name);
    else
      lua_pushfstring(L, "[%f]", steps[count]->number);
    luaL_addvalue(&text);
  }
  luaL_addstring(&text, ": ");
  luaL_addstring(&text, why);
  luaL_pushresult(&text);
  lua_error(L);
  abort(); // not reached
}

static void pack_number(struct buf *out, double x) {
  const double exact = 9007199254740992.0;
  bool is_whole = x >= -exact && x <= exact && x == (double)(int64_t)x && !(x == 0 && signbit(x));
  if (is_whole)
    mp_put_int(out, (int64_t)x);
  else
    mp_put_float(out, x);
}

static bool is_array(lua_State *L, int keys, size_t count) {
  if (count == 0) return true;
  lua_rawgeti(L, keys, 1); // sorted: 1..n when the first is 1, the last n, and all are whole numbers
  lua_rawgeti(L, keys, (int)count);
  bool ends = lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -2) == 1 && lua_tonumber(L, -1) == (double)count;
  lua_pop(L, 2);
  for (size_t i = 2; ends && i < count; i++) {
    lua_rawgeti(L, keys, (int)i);
    ends = lua_tonumber(L, -1) == (double)i;
    lua_pop(L, 1);
  }
  return ends;
}

static void pack_value(struct packing *k, int index, const struct step *at, int depth);

static void pack_table(struct packing *k, int table, const struct step *at, int depth) {
  lua_State *L = k->L;
  size_t count = keys_push(L, table);
  int keys = lua_gettop(L);
  bool array = is_array(L, keys, count);
  if (array)
    mp_put_array(k->out, (uint32_t)count);
  else
    mp_put_map(k->out, (uint32_t)count);
  for (size_t i = 1; i <= count; i++) {
    struct step step = {.up = at};
    lua_rawgeti(L, keys, (int)i);
    if (lua_type(L, -1) == LUA_TNUMBER)
      step.number = lua_tonumber(L, -1);
    else
      step.name = lua_tostring(L, -1);
    if (!array) pack_value(k, lua_gettop(L), &step, depth + 1);
    lua_pushvalue(L, -1);
    lua_rawget(L, table);
    pack_value(k, lua_gettop(L), &step, depth + 1);
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
}

static void pack_value(struct packing *k, int index, const struct step *at, int depth) {
  lua_State *L = k->L;
  if (depth > CONVERT_DEPTH_MAX) refuse(k, at, "nested too deeply, or a table that holds itself");
  luaL_checkstack(L, 8, "nested too deeply");
  size_t n;
  const char *p;
  switch (lua_type(L, index)) {
  case LUA_TNIL: mp_put_nil(k->out); break;
  case LUA_TBOOLEAN: mp_put_bool(k->out, lua_toboolean(L, index)); break;
  case LUA_TNUMBER: pack_number(k->out, lua_tonumber(L, index)); break;
  case LUA_TSTRING:
    p = lua_tolstring(L, index, &n);
    if (n > k->end_max - k->out->n) refuse(k, at, TOO_LONG); // before it is copied
    if (bytes_is_utf8(bytes_of(p, n)))
      mp_put_str(k->out, bytes_of(p, n));
    else
      mp_put_bin(k->out, bytes_of(p, n));
    break;
  case LUA_TTABLE: pack_table(k, index, at, depth); break;
  default:
    if (!sandbox_push_frozen(L, index)) {
      lua_pushfstring(L, "a %s is no data", luaL_typename(L, index));
      refuse(k, at, lua_tostring(L, -1));
    }
    pack_table(k, lua_gettop(L), at, depth);
    lua_pop(L, 1);
  }
  if (k->out->n > k->end_max) refuse(k, at, TOO_LONG);
}

void convert_pack(lua_State *L, int index, const char *what, size_t max, struct buf *out) {
  struct packing k = {.L = L, .out = out, .end_max = out->n + max, .what = what};
  pack_value(&k, index, NULL, 0);
}
