// bit.*: LuaJIT's functions for 32-bit numbers, as C functions of our own. LuaJIT's compiler moves the rounding of what they
// are given into the sums before them, which gives other results for fractions than its interpreter, and both leave
// undefined what becomes of numbers beyond 2^51. Here a number is rounded (ties to even) and taken modulo 2^32; NaN and
// infinities are 0.
#include "base/pmath.h"
#include "lua/sandbox.h"
#include <math.h>

static uint32_t to_bits(lua_State *L, int index) {
  double x = luaL_checknumber(L, index);
  if (!isfinite(x)) return 0;
  x = fmod(pm_round_even(x), 4294967296.0); // exact
  return (uint32_t)(int64_t)x;
}

static int push_bits(lua_State *L, uint32_t bits) {
  lua_pushnumber(L, (double)(int32_t)bits);
  return 1;
}

static int bit_tobit(lua_State *L) { return push_bits(L, to_bits(L, 1)); }
static int bit_bnot(lua_State *L) { return push_bits(L, ~to_bits(L, 1)); }
static int bit_bswap(lua_State *L) { return push_bits(L, __builtin_bswap32(to_bits(L, 1))); }

#define FOLD(name, operator)                                                                                           \
  static int bit_##name(lua_State *L) {                                                                                \
    uint32_t bits = to_bits(L, 1);                                                                                     \
    for (int i = lua_gettop(L); i > 1; i--) bits = bits operator to_bits(L, i);                                        \
    return push_bits(L, bits);                                                                                         \
  }
FOLD(band, &)
FOLD(bor, |)
FOLD(bxor, ^)

// n: from 0 to 31, the low bits of the second argument.
#define SHIFT(name, expression)                                                                                        \
  static int bit_##name(lua_State *L) {                                                                                \
    uint32_t bits = to_bits(L, 1), n = to_bits(L, 2) & 31;                                                             \
    return push_bits(L, expression);                                                                                   \
  }
SHIFT(lshift, bits << n)
SHIFT(rshift, bits >> n)
SHIFT(arshift, (uint32_t)((int32_t)bits >> n))
SHIFT(rol, bits << n | bits >> (-n & 31))
SHIFT(ror, bits >> n | bits << (-n & 31))

static int bit_tohex(lua_State *L) { // tohex(x, digits): the last of 8; with capital letters when digits < 0
  uint32_t bits = to_bits(L, 1);
  int32_t digits = lua_isnoneornil(L, 2) ? 8 : (int32_t)to_bits(L, 2);
  const char *letters = digits < 0 ? "0123456789ABCDEF" : "0123456789abcdef";
  uint32_t count = digits < 0 ? 0u - (uint32_t)digits : (uint32_t)digits;
  char text[8];
  if (count > 8) count = 8;
  for (uint32_t i = count; i-- > 0; bits >>= 4) text[i] = letters[bits & 15];
  lua_pushlstring(L, text, count);
  return 1;
}

void bits_push(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"bit.tobit", bit_tobit},
      {"bit.bnot", bit_bnot},
      {"bit.bswap", bit_bswap},
      {"bit.band", bit_band},
      {"bit.bor", bit_bor},
      {"bit.bxor", bit_bxor},
      {"bit.lshift", bit_lshift},
      {"bit.rshift", bit_rshift},
      {"bit.arshift", bit_arshift},
      {"bit.rol", bit_rol},
      {"bit.ror", bit_ror},
      {"bit.tohex", bit_tohex},
      {NULL, NULL},
  };
  for (const luaL_Reg *f = functions; f->name; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
}
