// vm: the call, what the chunk is handed, the guard, and the state that is rebuilt after a failure.
#include "base/pmath.h"
#include "lua/vm.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define NIL  BYTES_LIT("\xc0")
#define HEAD "local I, O, M, custom, host = ...\n"

static struct vm *open_plain(const char *source, bool hook, uint32_t doubles) {
  struct vm_shape shape = {doubles, doubles, doubles};
  struct vm_limits limits = VM_LIMITS_DEFAULT;
  limits.hook = hook;
  struct error err = {0};
  struct vm *vm;
  if (vm_open(NULL, 0, NULL, NIL, bytes_str(source), &shape, &limits, &vm, &err) != 0) fail_msg("%s", err.text);
  return vm;
}

static void fails_to_open(const char *source, const char *text) {
  struct vm_shape shape = {1, 1, 1};
  struct vm_limits limits = VM_LIMITS_DEFAULT;
  struct error err = {0};
  struct vm *vm;
  assert_int_equal(vm_open(NULL, 0, NULL, NIL, bytes_str(source), &shape, &limits, &vm, &err), ITD_EPOLICY);
  assert_string_equal(err.text, text);
}

static void test_variants_and_arrays(void **state) {
  (void)state;
  for (int hook = 0; hook < 2; hook++) {
    struct vm *vm =
        open_plain(HEAD "return function() O[0] = I[1] * 2 M[0] = M[0] + 1 end, function() O[0] = -I[1] end", hook, 3);
    for (int i = 0; i < 1000; i++) { // long enough for the JIT
      vm_in(vm)[1] = i;
      assert_int_equal(vm_call(vm, false, NULL), 0);
      assert_true(vm_out(vm)[0] == 2 * i);
      assert_int_equal(vm_call(vm, true, NULL), 0);
      assert_true(vm_out(vm)[0] == -i);
    }
    assert_true(vm_memory(vm)[0] == 1000);
    assert_true(vm_memory_used(vm) > 0);
    vm_close(vm);
  }
  vm_close(NULL);
}

static uint64_t bits(double x) {
  uint64_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

// host's mathematics have the bits of base/pmath.h, compiled and interpreted.
static void test_mathematics(void **state) {
  (void)state;
  const char *seed = getenv("SEED");
  unsigned random_state = seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)time(NULL);
  printf("SEED=%u\n", random_state);
  static const double special[] = {0.0,
                                   -0.0,
                                   0.5,
                                   -0.5,
                                   1.5,
                                   2.5,
                                   -2.5,
                                   0.49999999999999994,
                                   4503599627370495.5,
                                   -4503599627370495.5,
                                   2251799813685247.75,
                                   4503599627370496.0,
                                   9007199254740993.0,
                                   1e300,
                                   -1e300,
                                   5e-324,
                                   -0.3,
                                   INFINITY,
                                   -INFINITY};
  enum { SPECIAL = sizeof special / sizeof *special };
  for (int hook = 0; hook < 2; hook++) {
    struct vm *vm = open_plain(
        HEAD "local round, floor, exp2 = host.round_even, host.floor, host.exp2\n"
             "local function run() O[0] = round(I[0]) O[1] = floor(I[0]) O[2] = exp2(I[0]) end return run, run",
        hook, 3);
    for (int i = 0; i < 20000; i++) {
      double x = i < SPECIAL
                     ? special[i]
                     : ldexp((double)rand_r(&random_state) - 1073741824.0, (int)(rand_r(&random_state) % 80) - 50);
      vm_in(vm)[0] = x;
      assert_int_equal(vm_call(vm, false, NULL), 0);
      if (bits(vm_out(vm)[0]) != bits(pm_round_even(x))) fail_msg("round_even(%a) = %a", x, vm_out(vm)[0]);
      if (vm_out(vm)[1] != pm_floor(x)) fail_msg("floor(%a) = %a", x, vm_out(vm)[1]);
      if (bits(vm_out(vm)[2]) != bits(pm_exp2(x))) fail_msg("exp2(%a) = %a", x, vm_out(vm)[2]);
    }
    vm_in(vm)[0] = NAN;
    assert_int_equal(vm_call(vm, false, NULL), 0);
    assert_true(isnan(vm_out(vm)[0]) && isnan(vm_out(vm)[2]));
    vm_close(vm);
  }
}

static void test_chunks_that_do_not_load(void **state) {
  (void)state;
  fails_to_open("return = 1", "compiled policy:1: unexpected symbol near '='");
  fails_to_open("return 1, 2", "the compiled policy must return two functions");
  fails_to_open("error('at once', 0)", "compiled policy:1: unknown name error");
  fails_to_open(HEAD "x = 1", "compiled policy:2: assignment to the global x; write local x");
  fails_to_open(HEAD "return host.nothing()", "compiled policy:2: attempt to call field 'nothing' (a nil value)");
}

static struct lua_module modules[] = {{"main", "scripts/main.lua", {NULL, 0}, true},
                                      {"p", "p/policy.lua", {NULL, 0}, false}};

static int open_guarded(const char *policy, const char *source, bool hook, struct vm **vm, struct error *err) {
  modules[0].text = bytes_str("return function(input) local list = require 'p' return {custom = list} end");
  modules[1].text = bytes_str(policy);
  struct vm_shape shape = {4, 4, 1};
  struct vm_limits limits = VM_LIMITS_DEFAULT;
  limits.instructions_max = 100000;
  limits.deadline_us = 3000;
  limits.hook = hook;
  return vm_open(modules, 2, "main", NIL, bytes_str(source), &shape, &limits, vm, err);
}
static int open_custom(const char *policy, const char *source, struct vm **vm, struct error *err) {
  return open_guarded(policy, source, false, vm, err);
}

static const char view_chunk[] =
    HEAD "local view = host.view({visits = 1, idle = 2}, {region = 0, city = 1})\n"
         "local function run() for i = 1, 2 do O[i] = custom[i](view) and 1 or 0 end end return run, run";

static void test_custom_functions(void **state) {
  (void)state;
  struct vm *vm;
  struct error err = {0};
  const char *policy =
      "local limits = {visits = {3}} local function many(v) return v.visits > limits.visits[1] end\n"
      "return {many, function(v) return v.region == 'emea' and v.city == nil and v.idle ~= v.idle end}";
  if (open_custom(policy, view_chunk, &vm, &err) != 0) fail_msg("%s", err.text);
  struct bytes texts[] = {BYTES_LIT("emea"), {NULL, 0}};
  vm_texts(vm, texts, 2);
  for (int visits = 0; visits < 10; visits++) {
    vm_in(vm)[1] = visits;
    vm_in(vm)[2] = NAN;
    assert_int_equal(vm_call(vm, false, &err), 0);
    assert_true(vm_out(vm)[1] == (visits > 3) && vm_out(vm)[2] == 1);
  }
  texts[0] = BYTES_LIT("amer");
  assert_int_equal(vm_call(vm, false, &err), 0);
  assert_true(vm_out(vm)[2] == 0);
  vm_close(vm);
}

// A stopped call leaves nothing behind: the next one runs in a new state, with the modules' texts gone from the
// caller's hands.
static void check_stopped_and_rebuilt(bool hook) {
  struct vm *vm;
  struct error err = {0};
  char *policy = strdup(
      "return {function(v)\n if v.visits == 1 then while true do end end\n if v.visits == 2 then error('bad day') end\n"
      " if v.visits == 4 then local t = {} for i = 1, 1e9 do t[i] = i end end return true end, "
      "function() return false end}");
  assert_int_equal(open_guarded(policy, view_chunk, hook, &vm, &err), 0);
  memset(policy, 'x', strlen(policy));
  free(policy);
  bool has_hook = hook || !vm_has_guard();
  uint64_t before[STOP_END];
  for (int i = 0; i < STOP_END; i++) before[i] = vm_stops(i);
  for (int round = 0; round < 20; round++) {
    vm_in(vm)[1] = 1;
    assert_int_equal(vm_call(vm, round & 1, &err), ITD_ESTOPPED);
    assert_int_equal(err.code, ITD_ESTOPPED);
    assert_string_equal(err.text,
                        has_hook ? "p/policy.lua:2: stopped after 100000 instructions; is there a loop without an end?"
                                 : "stopped after 3000 µs of computing; is there a loop without an end?");
    assert_int_equal(vm_stop(vm), has_hook ? STOP_INSTRUCTIONS : STOP_DEADLINE);
    assert_int_equal(vm_memory_used(vm), 0);
    vm_in(vm)[1] = 2;
    assert_int_equal(vm_call(vm, false, &err), ITD_ESTOPPED);
    assert_string_equal(err.text, "p/policy.lua:3: bad day");
    assert_int_equal(vm_stop(vm), STOP_ERROR);
    vm_in(vm)[1] = 3;
    assert_int_equal(vm_call(vm, false, &err), 0);
    assert_int_equal(vm_stop(vm), STOP_NONE);
    assert_true(vm_out(vm)[1] == 1 && vm_out(vm)[2] == 0);
  }
  assert_int_equal(vm_stops(STOP_ERROR) - before[STOP_ERROR], 20);
  assert_int_equal(vm_stops(STOP_INSTRUCTIONS) - before[STOP_INSTRUCTIONS], has_hook ? 20 : 0);
  assert_int_equal(vm_stops(STOP_DEADLINE) - before[STOP_DEADLINE], has_hook ? 0 : 20);
  vm_close(vm);
}

static void test_stopped_and_rebuilt(void **state) {
  (void)state;
  for (int hook = 0; hook < 2; hook++) check_stopped_and_rebuilt(hook);
}

// What one call was handed of the memory does not make a later one short: the state is built anew.
static void test_memory_of_other_calls(void **state) {
  (void)state;
  const char *policy = "return {function(v)\n local part, list = string.rep('x', v.visits * 1000), {}\n"
                       " for i = 1, 12000 / v.visits do list[i] = part .. i end\n return #list > 0 end,"
                       " function() return true end}";
  for (int hook = 0; hook < 2; hook++) {
    struct vm *vm;
    struct error err = {0};
    modules[0].text = bytes_str("return function(input) local list = require 'p' return {custom = list} end");
    modules[1].text = bytes_str(policy);
    struct vm_shape shape = {4, 4, 1};
    struct vm_limits limits = VM_LIMITS_DEFAULT;
    limits.hook = hook;
    assert_int_equal(vm_open(modules, 2, "main", NIL, bytes_str(view_chunk), &shape, &limits, &vm, &err), 0);
    for (int i = 0; i < 60; i++) {
      vm_in(vm)[1] = 1 + i * 7 % 60;
      if (vm_call(vm, false, &err) != 0) fail_msg("call %d: %s", i, err.text);
    }
    vm_close(vm);
  }
}

static void refuses_custom(const char *policy, const char *text) {
  struct vm *vm;
  struct error err = {0};
  assert_int_equal(open_custom(policy, view_chunk, &vm, &err), ITD_EPOLICY);
  assert_string_equal(err.text, text);
}

static void test_custom_functions_refused(void **state) {
  (void)state;
  refuses_custom("return {1}", "custom function 1 is a number");
  refuses_custom("return 5", "module main gives no list `custom`");
  refuses_custom("local n = 0\nreturn {function()\n n = n + 1 end}",
                 "p/policy.lua:3: assignment to n, which is declared outside of the function");
  refuses_custom("return {function() return nothing end}", "p/policy.lua:1: unknown name nothing");
}

// In the steady state a call takes no memory from the arena, with or without the hook.
static void test_calls_allocate_nothing(void **state) {
  (void)state;
  for (int hook = 0; hook < 2; hook++) {
    struct vm *vm = open_plain(
        HEAD
        "local round = host.round_even\nlocal function part() O[1] = round(I[1] * 0.3) + M[0] end\n"
        "local function run() if I[0] > 5 then O[0] = 1 else O[0] = 0 end part() M[0] = O[1] % 7 end return run, run",
        hook, 4);
    for (int i = 0; i < 5000; i++) {
      vm_in(vm)[0] = i % 10;
      assert_int_equal(vm_call(vm, false, NULL), 0);
    }
    size_t used = vm_memory_used(vm);
    for (int i = 0; i < 5000; i++) {
      vm_in(vm)[0] = i % 10;
      assert_int_equal(vm_call(vm, false, NULL), 0);
    }
    assert_int_equal(vm_memory_used(vm), used);
    vm_close(vm);
  }
}

// ---- what authors write, compiled and interpreted ----
static unsigned draws;
static unsigned draw(unsigned below) { return (unsigned)rand_r(&draws) % below; }

static void put_expression(struct buf *out, int depth);

static void put_call(struct buf *out, const char *head, int arguments, int depth) {
  buf_append_str(out, head);
  for (int i = 0; i < arguments; i++) {
    if (i > 0) buf_append_str(out, ", ");
    put_expression(out, depth - 1);
  }
  buf_append_str(out, ")");
}

static void put_condition(struct buf *out, int depth) {
  static const char *const compare[] = {" < ", " <= ", " > ", " >= ", " == ", " ~= "};
  buf_append_str(out, "(");
  put_expression(out, depth - 1);
  buf_append_str(out, compare[draw(6)]);
  put_expression(out, depth - 1);
  buf_append_str(out, ")");
}

static void put_expression(struct buf *out, int depth) {
  static const char *const leaves[] = {
      "a",      "b",   "c",     "i",          "v.visits",   "v.idle",     "0",
      "1",      "-1",  "0.5",   "3",          "7",          "-0.1",       "1e300",
      "1e-300", "255", "65536", "2147483647", "2147483648", "4294967295", "9007199254740993"};
  static const char *const infix[] = {" + ", " - ", " * ", " / ", " % "};
  static const char *const one[] = {
      "math.floor(", "math.ceil(", "math.abs(",    "math.sqrt(", "math.exp(", "math.log(", "math.tanh(",
      "bit.bnot(",   "#tostring(", "string.byte(", "word(",      "num(",      "half(",     "#string.format('%.14g', "};
  static const char *const two[] = {"math.min(", "math.max(",   "math.fmod(",  "math.pow(",    "bit.band(", "bit.bor(",
                                    "bit.bxor(", "bit.lshift(", "bit.rshift(", "bit.arshift(", "bit.rol("};
  if (depth <= 0) {
    buf_append_str(out, leaves[draw(sizeof leaves / sizeof *leaves)]);
    return;
  }
  switch (draw(9)) {
  case 0: put_call(out, one[draw(sizeof one / sizeof *one)], 1, depth); return;
  case 1: put_call(out, two[draw(sizeof two / sizeof *two)], 2, depth); return;
  case 2:
    buf_append_str(out, "(- "); // two in a row would begin a comment
    put_expression(out, depth - 1);
    buf_append_str(out, ")");
    return;
  case 3:
    buf_append_str(out, "(");
    put_condition(out, depth);
    buf_append_str(out, " and ");
    put_expression(out, depth - 1);
    buf_append_str(out, " or ");
    put_expression(out, depth - 1);
    buf_append_str(out, ")");
    return;
  case 4: buf_append_str(out, leaves[draw(sizeof leaves / sizeof *leaves)]); return;
  default:
    buf_append_str(out, "(");
    put_expression(out, depth - 1);
    buf_append_str(out, infix[draw(5)]);
    put_expression(out, depth - 1);
    buf_append_str(out, ")");
  }
}

static void put_statement(struct buf *out, int depth) {
  static const char *const names[] = {"a", "b", "c"};
  unsigned kind = depth > 0 ? draw(8) : 7;
  switch (kind) {
  case 0:
  case 1:
    buf_printf(out, "for i = %d, %u do ", (int)draw(3) - 1, 3 + draw(9));
    put_statement(out, depth - 1);
    put_statement(out, depth - 1);
    buf_append_str(out, "end ");
    break;
  case 2:
    buf_append_str(out, "if ");
    put_condition(out, 2);
    buf_append_str(out, " then ");
    put_statement(out, depth - 1);
    buf_append_str(out, "else ");
    put_statement(out, depth - 1);
    buf_append_str(out, "end ");
    break;
  case 3:
    buf_append_str(out, "t[1 + #t % 8] = ");
    put_expression(out, 2);
    buf_append_str(out, " for _, x in ipairs(t) do a = a + x end ");
    break;
  case 4: buf_append_str(out, "for k, x in pairs(v.visits > 3 and t or {p = a, q = b}) do b = b - x end "); break;
  case 6:
    buf_append_str(out, "table.sort(t, function(x, y) return x > y end) a = a - t[1] + select('#', unpack(t)) ");
    break;
  case 5: buf_append_str(out, "local ok = pcall(half, c > 0 and c or nil) c = ok and c + 1 or c - 1 "); break;
  default:
    buf_printf(out, "%s = ", names[draw(3)]);
    put_expression(out, 3);
    buf_append_str(out, " ");
  }
}

static void put_policy(struct buf *out) {
  buf_append_str(
      out, "local function num(x) return x == x and x or 0 end local function half(x) return x / 2 end\n"
           "local function word(x) local s = 'a' .. x .. ':' return #s:gsub('%d+', function(d) return d:rep(2) end) "
           "+ (s < 'a3' and 1 or 0) + (tonumber(s:sub(2, 4)) or 0) end\n"
           "return {function(v)\nlocal a, b, c, i, t = v.visits, v.idle, 0.1, 1, {1}\n");
  for (unsigned n = 2 + draw(5); n > 0; n--) put_statement(out, 3);
  buf_append_str(out, "return num(a) + num(b) * 3 + num(c) * 7 + #t end}");
}

static const char number_chunk[] = HEAD "local view = host.view({visits = 1, idle = 2}, {})\n"
                                        "local function run() O[0] = custom[1](view) end return run, run";

static void compare_ways(const char *policy) {
  struct vm *vm[2];
  struct error err = {0};
  modules[0].text = bytes_str("return function(input) return {custom = require 'p'} end");
  modules[1].text = bytes_str(policy);
  struct vm_shape shape = {4, 4, 1};
  for (int hook = 0; hook < 2; hook++) {
    struct vm_limits limits = VM_LIMITS_DEFAULT;
    limits.hook = hook;
    limits.instructions_max = UINT64_MAX / 2;
    if (vm_open(modules, 2, "main", NIL, bytes_str(number_chunk), &shape, &limits, &vm[hook], &err) != 0)
      fail_msg("%s: %s", err.text, policy);
  }
  for (int i = 0; i < 150; i++) {
    double in[2] = {draw(2) ? draw(10) : (double)(int)draw(100000) / 7 - 5000, draw(9) ? (double)draw(1000) / 8 : NAN};
    int status[2];
    for (int w = 0; w < 2; w++) {
      memcpy(vm_in(vm[w]) + 1, in, sizeof in);
      vm_out(vm[w])[0] = 0;
      status[w] = vm_call(vm[w], false, &err);
    }
    double x = vm_out(vm[0])[0], y = vm_out(vm[1])[0];
    bool is_same = bits(x) == bits(y) || (isnan(x) && isnan(y));
    if (status[0] != status[1] || (status[0] == 0 && !is_same))
      fail_msg("call %d with %a, %a: compiled %d %a, interpreted %d %a (%s)\n%s", i, in[0], in[1], status[0], x,
               status[1], y, err.text, policy);
  }
  vm_close(vm[0]), vm_close(vm[1]);
}

static void test_compiled_as_interpreted(void **state) {
  (void)state;
  const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");
  draws = seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)time(NULL);
  printf("SEED=%u\n", draws);
  for (unsigned long i = rounds ? strtoul(rounds, NULL, 10) : 300; i > 0; i--) {
    struct buf policy;
    buf_init(&policy);
    put_policy(&policy);
    buf_append_u8(&policy, 0);
    compare_ways((const char *)policy.p);
    buf_deinit(&policy);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_variants_and_arrays),     cmocka_unit_test(test_mathematics),
      cmocka_unit_test(test_chunks_that_do_not_load), cmocka_unit_test(test_custom_functions),
      cmocka_unit_test(test_stopped_and_rebuilt),     cmocka_unit_test(test_custom_functions_refused),
      cmocka_unit_test(test_memory_of_other_calls),   cmocka_unit_test(test_compiled_as_interpreted),
      cmocka_unit_test(test_calls_allocate_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
