// lua_build: what policies and the library may do, what comes back, and that errors name their place.
#include "lua/build.h"
#include "wire/mp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MODULES_MAX 4
struct run {
  struct lua_module module[MODULES_MAX];
  size_t count;
  struct lua_limits limits;
  struct error err;
  struct buf json; // of the result
};

static void add(struct run *r, const char *name, const char *path, const char *text, bool is_library) {
  r->module[r->count++] = (struct lua_module){name, path, bytes_str(text), is_library};
}

static int run_build(struct run *r, struct bytes input) {
  struct buf out;
  buf_init(&out);
  buf_append_str(&out, "kept");
  int rc = lua_build(r->module, r->count, "main", input, &r->limits, &out, &r->err);
  if (rc == 0)
    mp_to_json(bytes_of(out.p + 4, out.n - 4), &r->json);
  else
    assert_int_equal(out.n, 4);
  buf_append_u8(&r->json, 0);
  assert_memory_equal(out.p, "kept", 4);
  buf_deinit(&out);
  return rc;
}

static void deinit(struct run *r) { buf_deinit(&r->json); }

// The policy `text` (the body of the entry's function) gives `json`.
#define NIL BYTES_LIT("\xc0")
static void gives(const char *text, const char *json) {
  char source[8192];
  snprintf(source, sizeof source, "return function(input) %s end", text);
  struct run r = {.limits = LUA_LIMITS_DEFAULT};
  add(&r, "main", "p/main.lua", source, false);
  int rc = run_build(&r, NIL);
  if (rc != 0) fail_msg("%s: %s", text, r.err.text);
  assert_string_equal(r.json.p, json);
  deinit(&r);
}

// The policy's whole text fails, and the error is exactly this.
static void fails(const char *source, const char *error) {
  struct run r = {.limits = LUA_LIMITS_DEFAULT};
  add(&r, "main", "p/main.lua", source, false);
  assert_int_equal(run_build(&r, NIL), ITD_EPOLICY);
  assert_int_equal(r.err.code, ITD_EPOLICY);
  assert_string_equal(r.err.text, error);
  deinit(&r);
}

static void library_gives(const char *library, const char *policy, const char *json) {
  struct run r = {.limits = LUA_LIMITS_DEFAULT};
  add(&r, "main", "p/main.lua", policy, false);
  add(&r, "lib", "scripts/lib.lua", library, true);
  int rc = run_build(&r, NIL);
  if (rc != 0) fail_msg("%s: %s", policy, r.err.text);
  assert_string_equal(r.json.p, json);
  deinit(&r);
}

static void test_data_round_trip(void **state) {
  (void)state;
  struct run r = {.limits = LUA_LIMITS_DEFAULT};
  add(&r, "main", "p/main.lua", "return function(input) return {echo = input, n = input.n + 1} end", false);
  struct buf in;
  buf_init(&in);
  assert_int_equal(mp_from_json(BYTES_LIT("{\"n\":41,\"list\":[1,2.5,\"x\",{\"a\":[]}],\"no\":false,\"\":\"\"}"),
                                &MP_LIMITS_DEFAULT, &in, NULL),
                   0);
  assert_int_equal(run_build(&r, buf_bytes(&in)), 0);
  assert_string_equal(r.json.p,
                      "{\"echo\":{\"\":\"\",\"list\":[1,2.5,\"x\",{\"a\":[]}],\"n\":41,\"no\":false},\"n\":42}");
  buf_deinit(&in);
  deinit(&r);
}

static void test_numbers(void **state) {
  (void)state;
  gives("return {9007199254740992, -9007199254740992, 9007199254740994, 0.1, 1e300}",
        "[9007199254740992,-9007199254740992,9007199254740994.0,0.1,1e+300]");
  gives("return {math.floor(-0.5), math.ceil(1.2), math.max(1, 2), math.pow(2, 10), math.log(8, 2), math.exp(0)}",
        "[-1,2,2,1024,3,1]");
  gives("return tostring(0/0) .. tostring(-(0/0)) .. string.format('%5.1f|%d|%g', 0/0, 7, -(0/0))",
        "\"nannannan|7|nan\"");
}

// Fractions are rounded, ties to even; beyond 32 bits the number counts modulo 2^32; what is no number is 0.
static void test_bits(void **state) {
  (void)state;
  gives("local out = {} for i, x in ipairs {0.5, 1.5, 2.5, -0.5, -106.5, 2147483648, 4294967301.5, 2251799813685247.5, "
        "1e300, "
        "0/0, 1/0} do out[i] = bit.tobit(x) end return out",
        "[0,2,2,0,-106,-2147483648,6,0,0,0,0]");
  gives("return {bit.band(7, 14, 12), bit.bor(1, 2, 8), bit.bxor(5, 1, 1), bit.bnot(0), bit.bswap(1)}",
        "[4,11,5,-1,16777216]");
  gives("return {bit.lshift(1, 31), bit.lshift(1, 32), bit.rshift(-1, 28), bit.arshift(-256, 4), bit.rol(1, 33), "
        "bit.ror(1, 1)}",
        "[-2147483648,1,15,-16,2,-2147483648]");
  gives("return bit.tohex(255) .. bit.tohex(255, -4) .. bit.tohex(-1, 0) .. bit.tohex(-1, 99)",
        "\"000000ff00FFffffffff\"");
  gives("return {math.max(0/0, 1), math.min(2, '1', 3), math.max(-1)}", "[1,1,-1]");
}

static void test_tables(void **state) {
  (void)state;
  gives("local t = {} t.b = 1 t.a = 2 t[10] = 3 t[2] = 4 return t", "{\"2\":4,\"10\":3,\"a\":2,\"b\":1}");
  gives("local s = '' for k, v in pairs({c = 1, a = 2, [3] = 3, [-1] = 4, [0.5] = 5}) do s = s .. k .. v end return s",
        "\"-140.5533a2c1\"");
  gives("local t = {a = 1, b = 2, c = 3} local s = '' for k in pairs(t) do s = s .. k t.b = nil end return s",
        "\"ac\"");
  gives("return {[1] = 'a', [2] = 'b', [4] = 'd'}", "{\"1\":\"a\",\"2\":\"b\",\"4\":\"d\"}");
  gives("local t = {3, 1, 2} table.sort(t) table.insert(t, 1, 0) table.insert(t, 9) table.remove(t, 2) return t",
        "[0,2,3,9]");
  gives("return {unpack({1, 2, 3})}", "[1,2,3]");
  gives("return table.concat({'a', 'b', 3}, ',')", "\"a,b,3\"");
}

static void test_no_addresses(void **state) {
  (void)state;
  gives("return tostring({}) .. ' ' .. tostring(math.abs) .. ' ' .. tostring(math) .. string.format(' %s %5s %q', {}, "
        "nil, 'x')",
        "\"table function table table   nil \\\"x\\\"\"");
  gives("local ok, e = pcall(string.format, '%p', {}) return {ok, e}",
        "[false,\"string.format: unknown conversion in the format, or one that policies have not\"]");
  gives("local ok, e = pcall(function() return {} .. 'x' end) return e",
        "\"p/main.lua:1: attempt to concatenate a table value\"");
}

static void test_errors_name_their_place(void **state) {
  (void)state;
  fails("return function()\n local x = nil\n return x.y end", "p/main.lua:3: attempt to index local 'x' (a nil value)");
  fails("local x = = 1", "p/main.lua:1: unexpected symbol near '='");
  fails("local a\nb = a\nreturn function() end", "p/main.lua:2: assignment to the global b; write local b");
  fails("local a\nreturn function() if nil then\n return maht.abs(1) end end",
        "p/main.lua:3: unknown name maht; did you mean math?");
  fails("return 1", "module main returns a number; the entry returns the function that builds");
  fails("return function() return {a = {1, print_it = function() end}} end",
        "result.a.print_it: a function is no data");
  fails("return function() local t = {} t[1] = t return t end",
        "result[1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1]: nested too deeply, or a table that holds itself");
  fails("return function() return {[true] = 1} end",
        "only numbers and strings have an order as keys; here a key is a boolean");
  fails("return function()\n error({}) end", "an error was raised whose value is a table, not text");
  fails("return function() error('two\\nlines\\27') end", "p/main.lua:1: two lines ");
  fails("return function()\n assert(1 == 2, 'no good') end", "p/main.lua:2: no good");
  fails("return function() require 'nix' end", "p/main.lua:1: require: there is no module nix");
  fails("return require 'main'", "require: main is being loaded already, or failed before");
}

static void test_what_policies_may_not_write(void **state) {
  (void)state;
#define POWER "the operator ^ gives other results on other machines; write math.pow(x, y)"
#define LONG  "numbers with LL, ULL or i are not for policies"
  fails("local x = 2\n^ 0.5 return function() end", "p/main.lua:2: " POWER);
  fails("-- ^\r return function() return 2^x end", "p/main.lua:1: " POWER);
  fails("#[[ \nreturn function() return 2^3 end --]]", "p/main.lua:2: " POWER);
  fails("\xef\xbb\xbf#[[ \nreturn function() return 2^3 end --]]", "p/main.lua:2: " POWER);
  fails("local s = '\\'' return function() return 2^3 end --'", "p/main.lua:1: " POWER);
  fails("local s = [==[ ]] ]=] ]==] return function() return 2^3 end --]]", "p/main.lua:1: " POWER);
  fails("return function() return 1LL end", "p/main.lua:1: " LONG);
  fails("return function() return 0xFFull end", "p/main.lua:1: " LONG);
  fails("return function() return 2i end", "p/main.lua:1: " LONG);
  fails("return function() return {12345678901ll} end", "p/main.lua:1: " LONG);
  gives("local s = '^\\'^' --[==[ 2^3 ]] ]==] .. [[^]] .. \"^\\\"^\" -- ^\n local t = {} t[1] = 0x1p4 t[2] = 1e+3 "
        "return s",
        "\"^'^^^\\\"^\"");
  fails("\x1bLJ\x02", "attempt to load chunk with wrong mode");
}

static void test_modules(void **state) {
  (void)state;
  struct run r = {.limits = LUA_LIMITS_DEFAULT};
  add(&r, "main", "p/main.lua",
      "local h = require 'p.helpers' return function() return {h.double(21), h == require 'p.helpers',"
      " require 'p.data.team'} end",
      false);
  add(&r, "p.helpers", "p/helpers.lua", "local M = {} function M.double(x) return x * 2 end return M", false);
  add(&r, "p.data.team", "p/data/team.csv", "name,team\nana,emea\n", false);
  assert_int_equal(run_build(&r, NIL), 0);
  assert_string_equal(r.json.p, "[42,true,\"name,team\\nana,emea\\n\"]");
  deinit(&r);
}

static void test_host(void **state) {
  (void)state;
  library_gives("local M = {} function M.rule(name) local path, line = host.here() return {name, path, line} end\n"
                "function M.outer(f) return (f()) end return M",
                "local lib = require 'lib'\nreturn function()\n local t = lib.outer(function() local r = lib.rule "
                "'x'\n return r end)\n"
                " return t end",
                "[\"x\",\"p/main.lua\",3]");
  library_gives(
      "return function(f) local ok, why = host.pure(f) return {ok or false, why} end",
      "local pure, n, t = require 'lib', 0, {}\nreturn function() return {pure(function(v) return v.x + n end),\n"
      " pure(function() n = 1 end), pure(function() return function()\n n = nil end end) } end",
      "[[true],[false,\"p/main.lua:3: assignment to n, which is declared outside of the function\"],"
      "[false,\"p/main.lua:4: assignment to n, which is declared outside of the function\"]]");
  library_gives("return {host.compiles('return 1', 'x'), select(2, host.compiles('return = 1', 'gen'))}",
                "return function() return require 'lib' end", "[true,\"gen:1: unexpected symbol near '='\"]");
  library_gives(
      "return {host.suggest('pricng', {'visits', 'pricing'}), host.hash64 'x', host.round_even(2.5), host.exp2(-1)}",
      "return function() return require 'lib' end", "[\"pricing\",\"eaf06c6480b2cd11\",2,0.5]");
}

static void test_freeze(void **state) {
  (void)state;
  const char *library =
      "local meta = {__index = {size = function(t) return #t end}, __call = function(_, x) return x * 2 end}\n"
      "local t = setmetatable({1, 2, {3, a = 4}, name = 'n'}, meta) t.self = t\n"
      "local frozen = host.freeze(t) t[1] = 'changed' t[3].a = 'changed'\n return frozen";
  library_gives(
      library,
      "local t = require 'lib' return function() local s = '' for k, v in pairs(t[3]) do s = s .. k .. v end\n"
      " for i, v in ipairs(t) do s = s .. i end\n"
      " return {#t, t[1], t[3].a, t.name, t.self == t, t:size(), t(21), type(t), tostring(t), s, unpack(t[3])} end",
      "[3,1,4,\"n\",true,3,42,\"table\",\"table\",\"13a4123\",3]");
  const char *changes[] = {"t.x = 1",
                           "t[1] = 2",
                           "t[3].a = 1",
                           "table.insert(t, 1)",
                           "table.sort(t)",
                           "table.remove(t)",
                           "math.floor = nil",
                           "string.x = 1",
                           "for _, v in ipairs(t) do v.x = 1 end",
                           "local _, s = ipairs(t) s[1] = 2",
                           "local _, s = pairs(t) s[1] = 2",
                           "t.self[3][1] = 1"};
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    char policy[512];
    snprintf(policy, sizeof policy,
             "local t = require 'lib' return function() local ok, e = pcall(function() %s end)\n"
             "return {ok, t[1], t[3].a, #t} end",
             changes[i]);
    library_gives(library, policy, "[false,1,4,3]");
  }
  library_gives("return host.freeze({a = {1, 2}, b = {x = 1}})", "return function() return require 'lib' end",
                "{\"a\":[1,2],\"b\":{\"x\":1}}");
}

static void test_limits(void **state) {
  (void)state;
  struct run r = {.limits = LUA_LIMITS_DEFAULT};
  r.limits.output_max = 1000;
  add(&r, "main", "p/main.lua", "return function() return {text = string.rep('x', 2000)} end", false);
  assert_int_equal(run_build(&r, NIL), ITD_EPOLICY);
  assert_string_equal(r.err.text, "result.text: the data is longer than allowed");
  r.limits = (struct lua_limits){.memory_max = 4096, .instructions_max = 1000, .output_max = 1};
  assert_int_equal(run_build(&r, NIL), ITD_EPOLICY);
  r.limits = LUA_LIMITS_DEFAULT;
  assert_int_equal(run_build(&r, BYTES_LIT("\x92\x01")), ITD_EINVAL);
  assert_int_equal(run_build(&r, BYTES_LIT("")), ITD_EINVAL);
  assert_int_equal(run_build(&r, BYTES_LIT("\xc7\x01\x05\x00")), ITD_EPOLICY); // an extension
  deinit(&r);
}

// Every amount of memory is either enough or a clean error: the state is opened and the build run with each.
static void test_every_memory_limit(void **state) {
  (void)state;
  struct run r = {.limits = LUA_LIMITS_DEFAULT};
  add(&r, "main", "p/main.lua",
      "local t = {} for i = 1, 100 do t[i] = ('x'):rep(i) end return function() return {(t[100]:gsub('x', 'y'))} end",
      false);
  bool failed = false, worked = false;
  for (size_t memory = 127u << 10; memory < 700u << 10; memory += 977) {
    r.limits.memory_max = memory;
    r.json.n = 0;
    int rc = run_build(&r, NIL);
    assert_true(rc == 0 || rc == ITD_EPOLICY);
    if (rc == 0)
      worked = true;
    else
      failed = true;
  }
  assert_true(failed && worked);
  deinit(&r);
}

// The allow-list is what a policy sees: nothing else is reachable by name, and all of it is there.
static void test_names(void **state) {
  (void)state;
  size_t count;
  const char *const *names = lua_sandbox_names(&count);
  assert_true(count > 40);
  for (size_t i = 0; i < count; i++) {
    char text[128];
    snprintf(text, sizeof text, "return type(%s) ~= 'nil'", names[i]);
    gives(text, "true");
  }
  int in_tables = 0;
  for (size_t i = 0; i < count; i++) in_tables += strchr(names[i], '.') != NULL;
  char json[16];
  snprintf(json, sizeof json, "%d", in_tables);
  gives("local n = 0 for _, t in ipairs({bit, math, string, table}) do for k in pairs(t) do n = n + 1 end end return n",
        json);
  const char *gone[] = {"_G",     "getfenv", "setfenv",  "load",         "loadstring",   "loadfile",  "dofile",
                        "rawget", "rawset",  "rawequal", "next",         "newproxy",     "coroutine", "debug",
                        "jit",    "ffi",     "io",       "os",           "package",      "module",    "collectgarbage",
                        "gcinfo", "print",   "xpcall",   "getmetatable", "setmetatable", "host"};
  for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
    char text[128], error[128];
    snprintf(text, sizeof text, "return function() return %s end", gone[i]);
    struct run r = {.limits = LUA_LIMITS_DEFAULT};
    add(&r, "main", "p/main.lua", text, false);
    assert_int_equal(run_build(&r, NIL), ITD_EPOLICY);
    snprintf(error, sizeof error, "p/main.lua:1: unknown name %s", gone[i]);
    assert_memory_equal(r.err.text, error, strlen(error));
    deinit(&r);
  }
  gives("return {string.dump == nil, math.random == nil, table.maxn == nil, ('').dump == nil}",
        "[true,true,true,true]");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_data_round_trip),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_bits),
      cmocka_unit_test(test_tables),
      cmocka_unit_test(test_no_addresses),
      cmocka_unit_test(test_errors_name_their_place),
      cmocka_unit_test(test_what_policies_may_not_write),
      cmocka_unit_test(test_modules),
      cmocka_unit_test(test_host),
      cmocka_unit_test(test_freeze),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_every_memory_limit),
      cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
