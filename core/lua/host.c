// host.*: what the library of scripts/ gets beside a policy's names. Each checks its arguments, calls the C function,
// pushes.
#include "base/hash.h"
#include "base/suggest.h"
#include "base/zone.h"
#include "lua/sandbox.h"
#include <stdio.h>

static bool is_library(const struct sandbox *sb, const char *path) {
  for (size_t i = 0; i < sb->module_count; i++)
    if (strcmp(sb->modules[i].path, path) == 0) return sb->modules[i].is_library;
  return false;
}

static int host_here(lua_State *L) {
  lua_Integer wanted = luaL_optinteger(L, 1, 1);
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    if (!lua_getinfo(L, "Sl", &ar) || ar.source[0] != '@' || is_library(sandbox_of(L), ar.source + 1)) continue;
    if (--wanted > 0) continue;
    lua_pushstring(L, ar.source + 1);
    lua_pushinteger(L, ar.currentline);
    return 2;
  }
  return 0;
}

static int host_compiles(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n), *name = luaL_checkstring(L, 2);
  lua_pushfstring(L, "@%s", name);
  if (luaL_loadbufferx(L, text, n, lua_tostring(L, -1), "t") == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

#define SUGGEST_MAX 1024

static int host_suggest(lua_State *L) {
  size_t n;
  const char *word = luaL_checklstring(L, 1, &n);
  if (!sandbox_push_frozen(L, 2)) {
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_pushvalue(L, 2);
  }
  size_t count = lua_objlen(L, -1);
  if (count > SUGGEST_MAX) count = SUGGEST_MAX;
  sandbox_spend(L, 100 * count);
  const char *known[SUGGEST_MAX];
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, -1, (int)i + 1);
    known[i] = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL; // the list keeps it alive
    lua_pop(L, 1);
  }
  const char *near = suggest(bytes_of(word, n), known, count);
  if (near)
    lua_pushstring(L, near);
  else
    lua_pushnil(L);
  return 1;
}

static int host_hash64(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  char hex[17];
  snprintf(hex, sizeof hex, "%016llx", (unsigned long long)hash64(bytes_of(text, n)));
  lua_pushlstring(L, hex, 16);
  return 1;
}

// Whether there is such a time zone, and if not, the name that comes near.
static int host_zone(lua_State *L) {
  size_t n;
  const char *name = luaL_checklstring(L, 1, &n), *known[SUGGEST_MAX];
  struct zone zone;
  lua_pushboolean(L, zone_find(bytes_of(name, n), &zone));
  if (lua_toboolean(L, -1)) return 1;
  size_t count = zone_count() < SUGGEST_MAX ? zone_count() : SUGGEST_MAX;
  sandbox_spend(L, 100 * count);
  for (size_t i = 0; i < count; i++) known[i] = zone_name(i);
  const char *near = suggest(bytes_of(name, n), known, count);
  if (!near) return 1;
  lua_pushstring(L, near);
  return 2;
}

void host_push(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"host.here", host_here},     {"host.compiles", host_compiles}, {"host.suggest", host_suggest},
      {"host.hash64", host_hash64}, {"host.zone", host_zone},         {NULL, NULL},
  };
  for (const luaL_Reg *f = functions; f->name; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
}
