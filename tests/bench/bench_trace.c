// What a decision of a shipped policy costs when nobody asks why, and what asking costs: a traced call, what is kept of a
// decision that acts, the whole trace, as ratios to the plain call in the same run. With a number, so many plain decisions
// and nothing else, for a count of instructions: valgrind --tool=callgrind bench_trace 200000.
#include "base/check.h"
#include "base/clock.h"
#include "policy/trace.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 9

static struct policy *policy;
static struct policy_vm *vm;
static double values[FEATURES_MAX], ages[FEATURES_MAX], contributions[MODEL_TERMS_MAX], points[MODEL_TERMS_MAX];
static struct bytes texts[FEATURES_MAX];
static struct policy_input input;
static struct policy_state *state, *before;
static struct buf read, told;

static void begin(void) {
  struct policy_source source = {
      .policies_dir = "policies", .models_dir = "policies/models", .scripts_dir = "scripts", .name = "b2b_saas"};
  struct error err = {0};
  struct policy_report report;
  const struct vm_limits limits = VM_LIMITS_DEFAULT;
  if (policy_load(&source, &LUA_LIMITS_DEFAULT, &policy, &report, &err) != 0 ||
      policy_vm_open(policy, &limits, &vm, &err) != 0) {
    fprintf(stderr, "%s\n", err.text);
    exit(1);
  }
  policy_report_deinit(&report);
  const struct feature_set *set = policy_features(policy);
  for (size_t i = 0; i < feature_count(set); i++) values[i] = (double)(i % 5);
  input = (struct policy_input){
      .now_ms = 1767225600000, .values = values, .texts = texts, .ages = ages, .timer_transition = -1, .lead_hash = 7};
  input.has_fit = input.has_engagement = true;
  model_score(policy_model_fit(policy), values, texts, contributions, points, &input.fit);
  model_score(policy_model_engagement(policy), values, texts, contributions, points, &input.engagement);
  state = xcalloc(1, policy_state_size(policy));
  before = xcalloc(1, policy_state_size(policy));
  policy_state_init(policy, input.now_ms, before);
}

static void decide(struct policy_trace *trace) {
  struct policy_outcome outcome;
  memcpy(state, before, policy_state_size(policy));
  CHECK(policy_decide(vm, &input, state, &outcome, trace, NULL) == 0);
}

static void plain(void) { decide(NULL); }
static void traced(void) {
  static int8_t fired[1 << 16];
  struct policy_trace trace = {.fired = fired};
  decide(&trace);
}
static void keep(void) {
  buf_clear(&read);
  trace_put_read(vm, before, texts, &read);
}
static void tell(void) {
  buf_clear(&told);
  CHECK(trace_put(vm, buf_bytes(&read), &told, NULL) == 0);
}

static double least_ns(void (*work)(void), int count) {
  double least = 1e18;
  for (int r = 0; r < ROUNDS; r++) {
    uint64_t start = clock_mono_ns();
    for (int i = 0; i < count; i++) work();
    double ns = (double)(clock_mono_ns() - start) / count;
    if (ns < least) least = ns;
  }
  return least;
}

int main(int argc, char **argv) {
  begin();
  for (long i = argc > 1 ? atol(argv[1]) : 0; i > 0; i--) plain();
  if (argc == 1) {
    double floor_ns = least_ns(plain, 20000);
    printf("a decision, not traced           %8.0f ns  1.0\n", floor_ns);
    double traced_ns = least_ns(traced, 20000);
    printf("the tracing variant              %8.0f ns  %.1f\n", traced_ns, traced_ns / floor_ns);
    double keep_ns = least_ns(keep, 20000);
    printf("keeping what it read, %4zu bytes %8.0f ns  %.1f\n", read.n, keep_ns, keep_ns / floor_ns);
    double tell_ns = least_ns(tell, 500);
    printf("the whole trace, %5zu bytes     %8.0f ns  %.1f\n", told.n, tell_ns, tell_ns / floor_ns);
  }
  buf_deinit(&read), buf_deinit(&told);
  free(state), free(before);
  policy_vm_close(vm);
  policy_release(policy);
  return 0;
}
