// What the guard and vm_call cost, as ratios to a bare lua_pcall of an empty function in the same run: the guard alone; a chunk
// that reads 30 numbers and writes a decision; one of 30 rules; and custom functions, compiled below the guard and under the hook.
#include "base/check.h"
#include "base/clock.h"
#include "lua/guard.h"
#include "lua/vm.h"
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define CALLS  100000
#define ROUNDS 11
#define INPUTS 30

#define HEAD "local I, O, M, custom, host = ...\nlocal round = host.round_even\n"
static const char empty[] = "local function run() end return run, run";
static const char sum_head[] = HEAD "local function sum()\n  local s = 0\n";
static const char sum_tail[] =
    "  return s\nend\nlocal function run()\n  local s = round(sum() * 1000)\n"
    "  if I[0] > 900 then s = s + 4000 end\n  if I[1] > 5 and I[2] > 20 then s = s + 2000 end\n"
    "  O[0] = s\n  if s > 5000 then O[1] = 2 elseif s > 1000 then O[1] = 1 else O[1] = 0 end\n"
    "  O[2] = M[0] M[0] = s\nend\nreturn run, run";
static const char custom_chunk[] = HEAD "local view = host.view({ visits = 0, idle = 1 }, {})\n"
                                        "local function run() O[0] = custom[1](view) end return run, run";
// A condition with some arithmetic, and a loop over a table, as authors write them.
static const char condition[] = "return { function(v)\n"
                                "  if v.visits > 900 and v.idle < 5 then return v.visits / 10 end\n"
                                "  return math.max(0, v.visits - v.idle * 3)\nend }";
static const char loop[] =
    "local steps = { 10, 50, 100, 500, 1000, 1500 }\nreturn { function(v)\n  local points = 0\n"
    "  for _, step in ipairs(steps) do if v.visits > step then points = points + step / 100 end end\n"
    "  for day = 1, 30 do points = points * 0.98 + v.idle / day end\n  return points\nend }";

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return a < b ? -1 : a > b;
}

static double median(double *ns) {
  qsort(ns, ROUNDS, sizeof *ns, compare);
  return ns[ROUNDS / 2];
}

// lua_pcall of an empty function, bare or below the guard.
static double pcall_ns(bool guarded) {
  lua_State *L = luaL_newstate();
  struct guard_state *guard = xcalloc(1, sizeof *guard);
  CHECK(luaL_loadstring(L, "return") == 0);
  double ns[ROUNDS];
  for (int r = 0; r < ROUNDS; r++) {
    uint64_t start = clock_mono_ns();
    for (int i = 0; i < CALLS; i++) {
      int status;
      lua_pushvalue(L, 1);
      if (guarded)
        CHECK(guard_pcall(guard, L, 0, 0, GUARD_DEADLINE_US, &status) == GUARD_RETURNED && status == 0);
      else
        CHECK(lua_pcall(L, 0, 0, 0) == 0);
    }
    ns[r] = (double)(clock_mono_ns() - start) / CALLS;
  }
  lua_close(L);
  free(guard);
  return median(ns);
}

static double call_ns(const char *policy, struct bytes source, bool hook) {
  const struct lua_module modules[] = {
      {"main", "scripts/main.lua", BYTES_LIT("return function() return { custom = require 'p' } end"), true},
      {"p", "p/policy.lua", policy ? bytes_str(policy) : (struct bytes){0}, false}};
  struct vm_shape shape = {INPUTS, 64, 1};
  struct vm_limits limits = VM_LIMITS_DEFAULT;
  limits.hook = hook;
  struct error err = {0};
  struct vm *vm;
  if (vm_open(policy ? modules : NULL, policy ? 2 : 0, "main", BYTES_LIT("\xc0"), source, &shape, &limits, &vm, &err)) {
    fprintf(stderr, "%s\n", err.text);
    exit(1);
  }
  for (int n = 2; n < INPUTS; n++) vm_in(vm)[n] = n * 7 % 100;
  double ns[ROUNDS];
  for (int r = 0; r < ROUNDS; r++) {
    uint64_t start = clock_mono_ns();
    for (int i = 0; i < CALLS; i++) {
      vm_in(vm)[0] = i % 1800;
      vm_in(vm)[1] = i % 90;
      CHECK(vm_call(vm, false, NULL) == 0);
    }
    ns[r] = (double)(clock_mono_ns() - start) / CALLS;
  }
  vm_close(vm);
  return median(ns);
}

static void show(const char *what, double ns, double base) { printf("%-52s %8.1f ns  %6.1f\n", what, ns, ns / base); }

static void show_both(const char *what, const char *policy, struct bytes source, double base) {
  double compiled = call_ns(policy, source, false), hooked = call_ns(policy, source, true);
  char label[80];
  show(what, compiled, base);
  snprintf(label, sizeof label, "  the same, guard = hook (%.1f times as long)", hooked / compiled);
  show(label, hooked, base);
}

int main(void) {
  if (!vm_has_guard()) {
    printf("this build has no guard: nothing to compare\n");
    return 0;
  }
  double base = pcall_ns(false);
  show("bare lua_pcall, an empty function", base, base);
  show("the same below the guard", pcall_ns(true), base);
  show("vm_call, an empty function", call_ns(NULL, bytes_str(empty), false), base);
  struct buf source;
  buf_init(&source);
  buf_append_str(&source, sum_head);
  for (int i = 3; i < INPUTS; i++) buf_printf(&source, "  s = s + I[%d] * 0.0%d\n", i, i);
  buf_append_str(&source, sum_tail);
  show_both("30 numbers in, a decision out", NULL, buf_bytes(&source), base);
  buf_clear(&source);
  buf_append_str(&source, HEAD "local function run()\n  local s = 0\n");
  for (int i = 0; i < 30; i++)
    buf_printf(&source, "  if I[%d] > %d and I[%d] <= %d then s = s + %d O[%d] = 1 else O[%d] = 0 end\n", i, i % 50,
               (i * 7 + 3) % 30, 30 + i, i * 100, i + 3, i + 3);
  buf_append_str(&source, "  O[0] = round(s) O[1] = s > 5000 and 1 or 0 O[2] = M[0] M[0] = s\nend\nreturn run, run");
  show_both("30 rules of two conditions, each noted", NULL, buf_bytes(&source), base);
  show_both("a custom function: conditions", condition, bytes_str(custom_chunk), base);
  show_both("a custom function: two loops", loop, bytes_str(custom_chunk), base);
  buf_deinit(&source);
  return 0;
}
