// string.find, match, gmatch and gsub against LuaJIT's own, on random patterns and subjects; and that steps are
// bounded.
#include "lua/build.h"
#include "lua/sandbox.h"
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static uint64_t random_state;
static unsigned draw(unsigned n) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(random_state >> 33) % n;
}

static size_t random_pattern(char *out) {
  static const char *const items[] = {"a",     "b",    "c",     ".",    "%a",   "%d",      "%s", "%w",   "%W",
                                      "[ab]",  "[^a]", "[a-c]", "%.",   "%1",   "(",       ")",  "()",   "%b()",
                                      "%f[a]", "$",    "^",     "*",    "+",    "-",       "?",  "[]a]", "[^]b]",
                                      "[%d-]", "%",    "[",     "%bab", "[a-]", "%f[^%w]", "%z", "%g",   "x"};
  size_t n = 0;
  for (unsigned i = 0, count = 1 + draw(7); i < count; i++) {
    const char *item = items[draw(sizeof items / sizeof *items)];
    memcpy(out + n, item, strlen(item));
    n += strlen(item);
  }
  return n;
}

static size_t random_subject(char *out) {
  size_t n = draw(14);
  for (size_t i = 0; i < n; i++) out[i] = "aaabbc()1 .x-\0"[draw(14)];
  return n;
}

// Calls function `name` of the table at `library` with the arguments, and pushes one text of all it gives.
static void call_and_print(lua_State *L, int library, const char *name, int first, int count) {
  int top = lua_gettop(L);
  lua_getfield(L, library, name);
  for (int i = 0; i < count; i++) lua_pushvalue(L, first + i);
  if (lua_pcall(L, count, LUA_MULTRET, 0) != 0) {
    lua_settop(L, top);
    lua_pushliteral(L, "error");
    return;
  }
  luaL_Buffer text;
  int results = lua_gettop(L) - top;
  char *joined = calloc(1, 4096);
  size_t n = 0;
  for (int i = 1; i <= results; i++) {
    size_t length;
    const char *p = lua_isnil(L, top + i) ? "nil" : lua_tolstring(L, top + i, &length);
    if (lua_isnil(L, top + i)) length = 3;
    assert_true(n + length + 1 < 4096);
    memcpy(joined + n, p, length);
    n += length;
    joined[n++] = '|';
  }
  lua_settop(L, top);
  luaL_buffinit(L, &text);
  luaL_addlstring(&text, joined, n);
  luaL_pushresult(&text);
  free(joined);
}

static unsigned compared, refused;

// Ours refuses a malformed pattern at once, LuaJIT when matching gets there; so ours may be the only one to refuse.
static void same(lua_State *L, const char *name, int count) {
  call_and_print(L, 1, name, 3, count);
  call_and_print(L, 2, name, 3, count);
  if (strcmp(lua_tostring(L, -1), "error") == 0) {
    refused++;
    lua_pop(L, 2);
    return;
  }
  compared++;
  if (!lua_rawequal(L, -1, -2))
    fail_msg("%s('%s', '%s', '%s'): LuaJIT %s, ours %s", name, lua_tostring(L, 3), lua_tostring(L, 4),
             count > 2 ? lua_tostring(L, 5) : "", lua_tostring(L, -2), lua_tostring(L, -1));
  lua_pop(L, 2);
}

// gmatch through a loop in Lua, for both libraries.
static const char collector[] =
    "local gmatch = ... return function(s, p) local n, out = 0, ''\n"
    "for a, b in gmatch(s, p) do n = n + 1 out = out .. tostring(a) .. '/' .. tostring(b) .. ';'\n"
    "if n > 50 then break end end return out end";

static void add_collector(lua_State *L, int library) {
  assert_int_equal(luaL_loadstring(L, collector), 0);
  lua_getfield(L, library, "gmatch");
  lua_call(L, 1, 1);
  lua_setfield(L, library, "collect");
}

// LuaJIT's functions, which only this test reaches, and ours: at 1 and 2, also in later runs.
static int make_both(lua_State *L) {
  lua_settop(L, 0);
  lua_getglobal(L, "string");
  lua_newtable(L);
  lua_newtable(L);
  pattern_push(L);
  static const char *const names[] = {"find", "match", "gmatch", "gsub"};
  for (int i = 0; i < 4; i++) {
    lua_pushfstring(L, "string.%s", names[i]);
    lua_rawget(L, 3);
    lua_setfield(L, 2, names[i]);
  }
  lua_settop(L, 2);
  add_collector(L, 1);
  add_collector(L, 2);
  lua_setfield(L, LUA_REGISTRYINDEX, "test.ours");
  lua_setfield(L, LUA_REGISTRYINDEX, "test.theirs");
  return 0;
}

static int compare_thousand(lua_State *L) {
  lua_settop(L, 0);
  lua_getfield(L, LUA_REGISTRYINDEX, "test.theirs");
  lua_getfield(L, LUA_REGISTRYINDEX, "test.ours");
  for (int i = 0; i < 1000; i++) {
    char pattern[64], subject[16];
    size_t subject_length = random_subject(subject), pattern_length = random_pattern(pattern);
    lua_pushlstring(L, subject, subject_length);
    lua_pushlstring(L, pattern, pattern_length);
    same(L, "collect", 2);
    lua_pushinteger(L, (int)draw(20) - 9);
    same(L, "find", 3);
    same(L, "match", 3);
    lua_pop(L, 1);
    lua_pushstring(L, draw(2) ? "<%0>" : "%1-%%");
    same(L, "gsub", 3);
    lua_pushinteger(L, draw(4));
    same(L, "gsub", 4);
    lua_settop(L, 2);
  }
  return 0;
}

static void test_same_as_luajit(void **state) {
  (void)state;
  const char *seed = getenv("SEED");
  random_state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
  printf("SEED=%llu\n", (unsigned long long)random_state);
  struct sandbox_limits limits = {.memory_max = 64u << 20, .instructions_max = 1u << 30, .cpu_ms_max = 60000};
  struct sandbox *sb;
  assert_int_equal(sandbox_open(NULL, 0, &limits, &sb, NULL), 0);
  struct error err = {0};
  int rc = sandbox_run(sb, make_both, NULL, ITD_EPOLICY, &err);
  for (int i = 0; i < 200 && rc == 0; i++) rc = sandbox_run(sb, compare_thousand, NULL, ITD_EPOLICY, &err);
  if (rc != 0) fail_msg("%s", err.text);
  sandbox_close(sb);
  printf("%u compared, %u refused\n", compared, refused);
  assert_true(compared > refused);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_as_luajit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
