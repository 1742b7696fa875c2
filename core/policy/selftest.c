// Tries a policy before anybody's lead meets it: made-up leads at every stage, decided by the plain and the tracing
// variant and once more in a Lua state of its own. policy_decide judges each outcome; here is judged that they are the
// same.
#include "base/check.h"
#include "policy/parts.h"
#include "policy/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SELF_TEST_NOW_MS 1767225600000 // 2026-01-01: any fixed time

// One made-up lead: all that it was seen to do is `value`; NaN: nothing is known of it.
struct try_lead {
  double value;
  struct bytes text;
};
static const struct try_lead leads[] = {
    {NAN, {0}}, {0, {0}}, {1, {(const uint8_t *)"a", 1}}, {1e9, {(const uint8_t *)"example.com", 11}}};

struct trial {
  struct policy *policy;
  bool is_canary; // all canaries decide
  struct policy_vm *vm, *fresh;
  struct policy_state *state, *after[3]; // before; after plain, traced, fresh
  int8_t *fired;
  double values[FEATURES_MAX], ages[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  double contributions[MODEL_TERMS_MAX], points[MODEL_TERMS_MAX];
};

static void fill_lead(struct trial *t, const struct try_lead *lead, struct policy_input *input) {
  const struct feature_set *set = t->policy->features;
  for (size_t i = 0; i < feature_count(set); i++) {
    bool is_text = feature_info(set, i)->is_text;
    t->values[i] = is_text ? NAN : lead->value;
    t->ages[i] = lead->value;
    t->texts[i] = is_text ? lead->text : (struct bytes){0};
  }
  *input = (struct policy_input){.now_ms = SELF_TEST_NOW_MS,
                                 .values = t->values,
                                 .texts = t->texts,
                                 .ages = t->ages,
                                 .timer_transition = -1,
                                 .lead_hash = 1,
                                 .event_hash = 2};
  const struct model_bound *bound[BUNDLE_MODELS];
  for (int role = 0; role < BUNDLE_MODELS; role++) {
    const struct model_bound *canary = t->is_canary ? t->policy->canary[role] : NULL;
    bound[role] = canary ? canary : t->policy->bound[role];
  }
  input->has_fit = bound[BUNDLE_FIT] != NULL;
  input->has_engagement = bound[BUNDLE_ENGAGEMENT] != NULL;
  if (input->has_fit) model_score(bound[BUNDLE_FIT], t->values, t->texts, t->contributions, t->points, &input->fit);
  if (input->has_engagement) {
    model_score(bound[BUNDLE_ENGAGEMENT], t->values, t->texts, t->contributions, t->points, &input->engagement);
  }
  const struct model_bound *split = bound[BUNDLE_SPLIT];
  if (!split) return;
  input->has_fit = input->has_engagement = true;
  model_score(split, t->values, t->texts, t->contributions, t->points, &input->whole);
  model_part(split, FEATURE_PROFILE, t->contributions, t->points, &input->whole, &input->fit);
  model_part(split, FEATURE_BEHAVIOUR, t->contributions, t->points, &input->whole, &input->engagement);
}

static int decide_thrice(struct trial *t, const struct policy_input *input, struct error *err) {
  struct policy_outcome outcome[3];
  struct policy_vm *vm[3] = {t->vm, t->vm, t->fresh};
  struct policy_trace trace = {.fired = t->fired};
  static const char *const what[3] = {"plain", "traced", "in a fresh state"};
  size_t size = t->policy->state_size;
  for (int i = 0; i < 3; i++) {
    memcpy(t->after[i], t->state, size);
    int status = policy_decide(vm[i], input, t->after[i], &outcome[i], i == 1 ? &trace : NULL, err);
    if (status != 0) return status;
    if (!policy_outcome_same(&outcome[0], &outcome[i]) || memcmp(t->after[0], t->after[i], size) != 0) {
      return error_set(err, ITD_EPOLICY, "decided %s, the outcome is another one", what[i]);
    }
  }
  return 0;
}

// An event that nothing waits for, each that something waits for, and each timer of the stage.
static int try_input(struct trial *t, struct policy_input *input, struct error *err) {
  const struct artifact *a = t->policy->artifact;
  int status = decide_thrice(t, input, err);
  struct event event = {.type = EVENT_TRACK, .name = BYTES_LIT("?"), .timestamp_ms = input->now_ms};
  input->event = &event;
  if (status == 0) status = decide_thrice(t, input, err);
  for (size_t i = 0; i < a->event_count && status == 0; i++) {
    event.name = a->events[i];
    status = decide_thrice(t, input, err);
  }
  input->event = NULL;
  for (size_t i = 0; i < t->state->timer_count && status == 0; i++) {
    input->timer_transition = t->state->timer[i].transition;
    input->now_ms = t->state->timer[i].due_ms;
    status = decide_thrice(t, input, err);
  }
  return status;
}

static int try_stages(struct trial *t, struct error *err) {
  for (size_t s = 0; s < policy_stage_count(t->policy); s++) {
    for (size_t k = 0; k < sizeof leads / sizeof *leads; k++) {
      struct policy_input input;
      fill_lead(t, &leads[k], &input);
      policy_state_init(t->policy, SELF_TEST_NOW_MS, t->state);
      state_enter(t->policy, (uint16_t)s, SELF_TEST_NOW_MS, t->state);
      int status = try_input(t, &input, err);
      if (status == 0) continue;
      char value[24] = "unknown";
      if (!isnan(leads[k].value)) snprintf(value, sizeof value, "%.0g", leads[k].value);
      error_prefix(err, "self-test, a lead in stage '%s' with every feature %s",
                   t->policy->artifact->entry[POLICY_STAGES][s].name, value);
      return ITD_EPOLICY;
    }
  }
  return 0;
}

// That the trace of what was decided last can be told.
static int try_trace(struct trial *t, struct error *err) {
  struct buf read = {0}, trace = {0};
  trace_put_read(t->vm, t->state, t->texts, &read);
  int status = trace_put(t->vm, buf_bytes(&read), &trace, err);
  if (status < 0) error_prefix(err, "self-test of the trace");
  buf_deinit(&read);
  buf_deinit(&trace);
  return status < 0 ? ITD_EPOLICY : 0;
}

int policy_self_test(struct policy *policy, struct error *err) {
  struct trial *t = xcalloc(1, sizeof *t);
  t->policy = policy;
  t->state = xcalloc(1, policy->state_size);
  for (int i = 0; i < 3; i++) t->after[i] = xcalloc(1, policy->state_size);
  t->fired = xcalloc(policy->artifact->count[POLICY_CONDITIONS] + 1, sizeof *t->fired);
  const struct vm_limits limits = VM_LIMITS_DEFAULT;
  int status = policy_vm_open(policy, &limits, &t->vm, err);
  if (status == 0) status = policy_vm_open(policy, &limits, &t->fresh, err);
  if (status == 0) status = try_stages(t, err);
  for (int role = 0; role < BUNDLE_MODELS; role++) t->is_canary |= policy->canary[role] != NULL;
  if (status == 0 && t->is_canary) status = try_stages(t, err);
  if (status == 0 && policy->artifact->trace.n) status = try_trace(t, err);
  policy_vm_close(t->vm);
  policy_vm_close(t->fresh);
  for (int i = 0; i < 3; i++) free(t->after[i]);
  free(t->state);
  free(t->fired);
  free(t);
  return status;
}
