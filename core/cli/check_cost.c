// What a decision costs: the compiled policy alone, over made-up leads at every stage.
#include "base/check.h"
#include "base/hash.h"
#include "base/hist.h"
#include "cli/check_more.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LEADS = 32, ROUNDS = 16, CALLS_TIMED = 16 }; // the clock is read once for so many calls

#define COST_NOW_MS 1767225600000 // 2026-01-01

struct made_up {
  double values[FEATURES_MAX], ages[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  double contributions[MODEL_TERMS_MAX], points[MODEL_TERMS_MAX];
};

static uint64_t draw(uint64_t *seed) { return *seed = hash_mix(*seed, 0x9e3779b97f4a7c15); }

// Of each feature: unknown, 0, a few, many, or days in milliseconds.
static double a_value(uint64_t *seed) {
  static const double some[] = {NAN, 0, 1, 2, 3, 5, 12, 86400000, 864000000, 1e9};
  return some[draw(seed) % (sizeof some / sizeof *some)];
}

static void score(const struct model_bound *bound, struct made_up *m, bool *has, struct model_output *out) {
  *has = bound != NULL;
  if (bound) model_score(bound, m->values, m->texts, m->contributions, m->points, out);
}

static void make_up(const struct policy *policy, uint64_t *seed, struct made_up *m, struct policy_input *input) {
  const struct bytes texts[] = {{0}, BYTES_LIT("a"), BYTES_LIT("example.com"), BYTES_LIT("emea")};
  const struct feature_set *set = policy_features(policy);
  for (size_t i = 0; i < feature_count(set); i++) {
    bool is_text = feature_info(set, i)->is_text;
    m->values[i] = is_text ? NAN : a_value(seed);
    m->ages[i] = a_value(seed);
    m->texts[i] = is_text ? texts[draw(seed) % 4] : (struct bytes){0};
  }
  *input = (struct policy_input){.now_ms = COST_NOW_MS,
                                 .values = m->values,
                                 .texts = m->texts,
                                 .ages = m->ages,
                                 .timer_transition = -1,
                                 .lead_hash = draw(seed),
                                 .event_hash = draw(seed)};
  score(policy_model_fit(policy), m, &input->has_fit, &input->fit);
  score(policy_model_engagement(policy), m, &input->has_engagement, &input->engagement);
  const struct model_bound *split = policy_model_split(policy);
  if (!split) return;
  input->has_fit = input->has_engagement = true;
  model_score(split, m->values, m->texts, m->contributions, m->points, &input->whole);
  model_part(split, FEATURE_PROFILE, m->contributions, m->points, &input->whole, &input->fit);
  model_part(split, FEATURE_BEHAVIOUR, m->contributions, m->points, &input->whole, &input->engagement);
}

struct costing {
  struct policy *policy;
  struct policy_vm *vm;
  struct policy_state *state;
  struct made_up m;
  struct hist all, stage; // ns a call, of each lead at each stage
  uint64_t calls, ns_max;
};

static uint64_t cpu_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

// ns a call, over some calls in a row for one lead that is always in this stage.
static int time_lead(struct costing *c, const struct policy_input *input, uint16_t stage, uint64_t *ns,
                     struct error *err) {
  struct policy_outcome outcome;
  uint64_t start = cpu_ns();
  for (int i = 0; i < CALLS_TIMED; i++) {
    policy_state_init(c->policy, COST_NOW_MS, c->state);
    c->state->stage = stage;
    c->state->timer_count = 0;
    int status = policy_decide(c->vm, input, c->state, &outcome, NULL, err);
    if (status < 0) return status;
  }
  *ns = (cpu_ns() - start) / CALLS_TIMED;
  c->calls += CALLS_TIMED;
  return 0;
}

// The least of some rounds is what a lead costs: more is the JIT at work, or somebody else.
static int time_stage(struct costing *c, uint16_t stage, struct error *err) {
  struct policy_input input;
  uint64_t least[LEADS], ns;
  for (int i = 0; i < LEADS; i++) least[i] = UINT64_MAX;
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t seed = 1; // the same leads in each round
    for (int lead = 0; lead < LEADS; lead++) {
      make_up(c->policy, &seed, &c->m, &input);
      int status = time_lead(c, &input, stage, &ns, err);
      if (status < 0) return status;
      if (ns < least[lead]) least[lead] = ns;
    }
  }
  for (int i = 0; i < LEADS; i++) {
    hist_add(&c->all, least[i]);
    hist_add(&c->stage, least[i]);
    if (least[i] > c->ns_max) c->ns_max = least[i];
  }
  return 0;
}

static int time_stages(struct costing *c, struct check_cost *cost, struct error *err) {
  for (size_t s = 0; s < policy_entries(c->policy, POLICY_STAGES); s++) {
    memset(&c->stage, 0, sizeof c->stage);
    int status = time_stage(c, (uint16_t)s, err);
    if (status < 0) return status;
    uint64_t median = hist_quantile(&c->stage, 0.5);
    if (median <= cost->worst_ns) continue;
    cost->worst_ns = median;
    snprintf(cost->worst_stage, sizeof cost->worst_stage, "%s", policy_entry(c->policy, POLICY_STAGES, s)->name);
  }
  cost->calls = c->calls;
  cost->ns_p50 = hist_quantile(&c->all, 0.5);
  cost->ns_max = c->ns_max;
  return 0;
}

int check_cost(struct policy *policy, struct check_cost *cost, struct error *err) {
  const struct vm_limits limits = VM_LIMITS_DEFAULT;
  struct costing *c = xcalloc(1, sizeof *c);
  *cost = (struct check_cost){0};
  c->policy = policy;
  c->state = xcalloc(1, policy_state_size(policy));
  int status = policy_vm_open(policy, &limits, &c->vm, err);
  if (status == 0) status = time_stages(c, cost, err);
  policy_vm_close(c->vm);
  free(c->state);
  free(c);
  return status;
}
