// The defined order of a table's keys: numbers ascending, then strings by bytes. LuaJIT's own order depends on a random
// seed.
#include "base/bytes.h"
#include "lua/sandbox.h"

struct key {
  const char *text; // NULL: a number
  size_t n;
  double number;
};

static int compare_keys(const struct key *a, const struct key *b) {
  if (!a->text != !b->text) return a->text ? 1 : -1;
  if (a->text) return bytes_compare(bytes_of(a->text, a->n), bytes_of(b->text, b->n));
  return a->number < b->number ? -1 : a->number > b->number;
}

static void sift(struct key *keys, size_t at, size_t count) {
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && compare_keys(&keys[child], &keys[child + 1]) < 0) child++;
    if (compare_keys(&keys[at], &keys[child]) >= 0) return;
    struct key other = keys[at];
    keys[at] = keys[child];
    keys[child] = other;
  }
}

// By a heap: libc's qsort allocates, and a call that is stopped in there would leave the allocator locked. No two keys are
// the same, so that any way of sorting gives the same.
static void sort_keys(struct key *keys, size_t count) {
  for (size_t i = count / 2; i-- > 0;) sift(keys, i, count);
  while (count > 1) {
    struct key last = keys[--count];
    keys[count] = keys[0];
    keys[0] = last;
    sift(keys, 0, count);
  }
}

static size_t count_keys(lua_State *L, int index) {
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
  return count;
}

size_t keys_push(lua_State *L, int index) {
  size_t count = count_keys(L, index), i = 0;
  sandbox_spend(L, count * (size_t)(65 - __builtin_clzl(count | 1)));
  // Lua's memory, so that an error frees it; the texts live as long as the table holds them.
  struct key *keys = lua_newuserdata(L, (count + 1) * sizeof *keys);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), i++) {
    keys[i] = (struct key){0};
    if (lua_type(L, -2) == LUA_TNUMBER)
      keys[i].number = lua_tonumber(L, -2);
    else if (lua_type(L, -2) == LUA_TSTRING)
      keys[i].text = lua_tolstring(L, -2, &keys[i].n);
    else
      luaL_error(L, "only numbers and strings have an order as keys; here a key is a %s", luaL_typename(L, -2));
  }
  sort_keys(keys, count);
  lua_createtable(L, (int)count, 0);
  for (i = 0; i < count; i++) {
    if (keys[i].text)
      lua_pushlstring(L, keys[i].text, keys[i].n);
    else
      lua_pushnumber(L, keys[i].number);
    lua_rawseti(L, -2, (int)i + 1);
  }
  lua_remove(L, -2);
  return count;
}
