// What vm_call costs: a chunk that reads 30 numbers and writes a decision, as a ratio to an empty lua_pcall in the same
// run.
#include "base/check.h"
#include "base/clock.h"
#include "lua/vm.h"
#include <stdio.h>
#include <stdlib.h>

#define CALLS  200000
#define ROUNDS 11
#define INPUTS 30

static const char empty[] = "local function run() end return run, run";
static const char head[] = "local I, O, M, custom, host = ...\nlocal round = host.round_even\n"
                           "local function sum()\n  local s = 0\n";
static const char tail[] = "  return s\nend\nlocal function run()\n  local s = round(sum() * 1000)\n"
                           "  if I[0] > 900 then s = s + 4000 end\n  if I[1] > 5 and I[2] > 20 then s = s + 2000 end\n"
                           "  O[0] = s\n  if s > 5000 then O[1] = 2 elseif s > 1000 then O[1] = 1 else O[1] = 0 end\n"
                           "  O[2] = M[0] M[0] = s\nend\nreturn run, run";

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return a < b ? -1 : a > b;
}

static double median_ns(struct bytes source, bool hook) {
  struct vm_shape shape = {INPUTS, 4, 1};
  struct vm_limits limits = VM_LIMITS_DEFAULT;
  limits.hook = hook;
  struct error err = {0};
  struct vm *vm;
  if (vm_open(NULL, 0, NULL, BYTES_LIT("\xc0"), source, &shape, &limits, &vm, &err) != 0) {
    fprintf(stderr, "%s\n", err.text);
    exit(1);
  }
  double ns[ROUNDS];
  for (int r = 0; r < ROUNDS; r++) {
    uint64_t start = clock_mono_ns();
    for (int i = 0; i < CALLS; i++) {
      vm_in(vm)[0] = i % 1800;
      vm_in(vm)[1] = i % 9;
      CHECK(vm_call(vm, false, NULL) == 0);
    }
    ns[r] = (double)(clock_mono_ns() - start) / CALLS;
  }
  vm_close(vm);
  qsort(ns, ROUNDS, sizeof *ns, compare);
  return ns[ROUNDS / 2];
}

int main(void) {
  struct buf source;
  buf_init(&source);
  buf_append_str(&source, head);
  for (int i = 3; i < INPUTS; i++) buf_printf(&source, "  s = s + I[%d] * 0.0%d\n", i, i);
  buf_append_str(&source, tail);
  double base = median_ns(bytes_str(empty), false);
  double compiled = median_ns(buf_bytes(&source), false), hooked = median_ns(buf_bytes(&source), true);
  printf("empty call                      %7.1f ns  1.0\n", base);
  printf("30 numbers in, a decision out   %7.1f ns  %.1f\n", compiled, compiled / base);
  printf("the same, guard = hook          %7.1f ns  %.1f\n", hooked, hooked / base);
  buf_deinit(&source);
  return 0;
}
