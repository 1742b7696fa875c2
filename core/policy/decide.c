// One decision: fills the flat input, runs the compiled policy, and believes of its output only what holds
// (policy/artifact.h). Pure; a policy_vm belongs to one thread. Nothing here allocates once the vm is open.
#include "base/check.h"
#include "base/hash.h"
#include "base/pmath.h"
#include "policy/journey.h"

#include <math.h>
#include <stdlib.h>

enum { POINTS_MAX_MILLI = 100000 };
#define ROW_MAX_MILLI 1000000000000 // of one row: sums of all rows stay whole in a double

static struct vm_shape shape_of(const struct policy *policy) { return policy->artifact->shape; }

int policy_vm_open(struct policy *policy, const struct vm_limits *limits, struct policy_vm **out, struct error *err) {
  struct vm *vm = NULL;
  struct vm_shape shape = shape_of(policy);
  bool has_custom = policy->artifact->custom > 0; // only these need modules
  int status = vm_open(has_custom ? policy->bundle.modules : NULL, has_custom ? policy->bundle.count : 0, "build",
                       buf_bytes(&policy->vm_input), policy->artifact->source, &shape, limits, &vm, err);
  if (status != 0) return status;
  struct policy_vm *pv = xcalloc(1, sizeof *pv);
  policy_retain(policy);
  pv->policy = policy;
  pv->vm = vm;
  pv->state = xcalloc(1, policy->state_size);
  *out = pv;
  return 0;
}

void policy_vm_close(struct policy_vm *vm) {
  if (!vm) return;
  vm_close(vm->vm);
  free(vm->state);
  policy_release(vm->policy);
  free(vm);
}

// ---- input ----

static int64_t capped(bool present, double points, int64_t *cap_milli) {
  int64_t raw = present ? pm_milli(points) : 0;
  int64_t milli = raw < 0 ? 0 : raw > POINTS_MAX_MILLI ? POINTS_MAX_MILLI : raw;
  *cap_milli = milli - raw;
  return milli;
}

static void fill_tests(const struct policy *policy, const struct bytes *texts, double *in) {
  const struct artifact *a = policy->artifact;
  for (size_t i = 0; i < a->test_count; i++) {
    struct bytes text = texts[policy->test_feature[i]];
    in[i] = a->tests[i].is_known ? text.n > 0 : text_set_has(&a->tests[i].any, text);
  }
}

static void fill_ages(const struct policy *policy, const double *ages, double *in) {
  for (size_t i = 0; i < policy->artifact->age_count; i++) in[i] = ages[policy->age_feature[i]];
}

static void fill_quiet(const struct policy *policy, const struct policy_input *input, double *in) {
  const struct artifact *a = policy->artifact;
  for (size_t i = 0; i < a->quiet_count; i++) {
    int feature = policy->quiet_feature[i];
    in[i] = quiet_holds(&a->quiet[i], feature < 0 ? (struct bytes){0} : input->texts[feature], input->now_ms);
  }
}

static void fill_events(const struct artifact *a, const struct event *event, double *in) {
  bool is_track = event && event->type == EVENT_TRACK;
  for (size_t i = 0; i < a->event_count; i++) in[i] = is_track && bytes_eq(event->name, a->events[i]);
}

static void fill_draws(const struct artifact *a, const struct policy_input *input, double *in) {
  for (size_t i = 0; i < a->draw_count; i++) {
    in[i] = hash_unit(hash_mix(a->draws[i].is_lead ? input->lead_hash : input->event_hash, a->draws[i].salt));
  }
}

bool policy_has_hold_out(const struct policy *policy) {
  const struct artifact *a = policy->artifact;
  for (size_t i = 0; i < a->draw_count; i++)
    if (a->draws[i].hold_out > 0) return true;
  return false;
}

bool policy_holds_out(const struct policy *policy, uint64_t lead_hash) {
  const struct artifact *a = policy->artifact;
  for (size_t i = 0; i < a->draw_count; i++)
    if (a->draws[i].hold_out > 0 && hash_unit(hash_mix(lead_hash, a->draws[i].salt)) < a->draws[i].hold_out)
      return true;
  return false;
}

void policy_mix(const struct policy *policy, double *fit, double *engagement) {
  *fit = policy->artifact->mix_fit;
  *engagement = policy->artifact->mix_engagement;
}

static void fill_input(const struct policy *policy, const struct policy_input *input, const struct policy_state *state,
                       const struct policy_outcome *outcome, enum sales_order order, double *in) {
  const struct artifact *a = policy->artifact;
  const uint32_t *at = a->in;
  in[at[IN_NOW]] = (double)input->now_ms;
  in[at[IN_STAGE]] = state->stage;
  in[at[IN_SINCE]] = (double)state->stage_since_ms;
  in[at[IN_TIMER]] = input->timer_transition + 1;
  in[at[IN_FIT]] = (double)outcome->fit_milli;
  in[at[IN_ENGAGEMENT]] = (double)outcome->engagement_milli;
  in[at[IN_OWNER]] = state->owner;
  in[at[IN_MANUAL]] = state->owner_is_manual != 0;
  in[at[IN_ACTED]] = (double)state->acted_ms;
  in[at[IN_IS_EVENT]] = input->event != NULL;
  if (a->model[BUNDLE_SPLIT]) in[at[IN_MODEL]] = (double)outcome->model_milli;
  if (a->feature_count > 0) memcpy(in + at[IN_FEATURES], input->values, a->feature_count * sizeof *in);
  fill_tests(policy, input->texts, in + at[IN_TESTS]);
  fill_ages(policy, input->ages, in + at[IN_AGES]);
  fill_quiet(policy, input, in + at[IN_QUIET]);
  fill_events(a, input->event, in + at[IN_EVENTS]);
  fill_draws(a, input, in + at[IN_DRAWS]);
  in[at[IN_SALES]] = order;
  in[at[IN_SWITCH]] = input->switched;
  sales_barred(policy, state, input->now_ms, in + at[IN_BARRED]);
  const struct policy_place *places = state_places(policy, state);
  for (size_t i = 0; i < a->place_count; i++) in[at[IN_PLACES] + i] = places[i].stage;
}

// ---- output ----

// Reads the output; after the first value that cannot be, all others read as their lowest, and `status` says so.
struct reading {
  const struct artifact *a;
  const double *out;
  struct error *err;
  int status;
};

static void disbelieve(struct reading *r, const char *name, size_t index, double value, const char *why) {
  if (r->status == 0) {
    r->status = error_set(r->err, ITD_ESTOPPED, "the policy's outcome does not hold: %s[%zu] is %.17g, %s", name, index,
                          value, why);
  }
}

// A whole number from `min` to `max` at `index` of a run.
static int64_t whole_at(struct reading *r, enum artifact_out slot, size_t index, int64_t min, int64_t max) {
  double x = r->out[r->a->out[slot] + index];
  // NaN fails both comparisons; what passes them can be cast. A negative zero is 0 here, and goes no further.
  if (x >= (double)min && x <= (double)max && x == (double)(int64_t)x) return (int64_t)x;
  disbelieve(r, artifact_out_name(slot), index, x, "no whole number that may stand there");
  return min;
}

static int64_t whole(struct reading *r, enum artifact_out slot, int64_t min, int64_t max) {
  return whole_at(r, slot, 0, min, max);
}

// An index in a table, or -1 for none.
static int entry_or_none(struct reading *r, enum artifact_out slot, enum policy_table table) {
  return (int)whole(r, slot, -1, (int64_t)r->a->count[table] - 1);
}

static void read_eligible(struct reading *r, struct policy_outcome *o) {
  o->eligible = whole(r, OUT_ELIGIBLE, 0, 1) == 1;
  o->ineligible = entry_or_none(r, OUT_INELIGIBLE, POLICY_ELIGIBILITY);
  if (o->eligible != (o->ineligible < 0)) {
    disbelieve(r, artifact_out_name(OUT_INELIGIBLE), 0, o->ineligible, "which is not what `eligible` says");
  }
}

// Takes the steps on `state`; where they end is where the outcome says.
static void read_steps(struct reading *r, const struct policy *policy, int64_t now_ms, struct policy_state *state,
                       struct policy_outcome *o) {
  o->stage = (int)whole(r, OUT_STAGE, 0, (int64_t)r->a->count[POLICY_STAGES] - 1);
  o->step_count = (int)whole(r, OUT_STEPS, 0, POLICY_STEPS_MAX);
  o->steps_cut = whole_at(r, OUT_STEPS, POLICY_STEPS_MAX + 1, 0, 1) == 1;
  for (int i = 0; i < o->step_count && r->status == 0; i++) {
    size_t at = (size_t)i + 1;
    o->step[i] = (int)whole_at(r, OUT_STEPS, at, 0, (int64_t)r->a->count[POLICY_TRANSITIONS] - 1);
    if (r->status != 0) return;
    if (!state_step(policy, (uint16_t)o->step[i], now_ms, state))
      disbelieve(r, artifact_out_name(OUT_STEPS), at, o->step[i], "a transition from another stage");
  }
  if (r->status == 0 && o->stage != state->stage)
    disbelieve(r, artifact_out_name(OUT_STAGE), 0, o->stage, "not where the steps lead");
}

static void read_regions(struct reading *r, const struct policy *policy, const struct policy_state *state,
                         struct policy_outcome *o) {
  o->region_count = (int)r->a->region_count;
  for (size_t i = 0; i < r->a->region_count && r->status == 0; i++) {
    o->region[i] = (int)whole_at(r, OUT_REGIONS, i, 0, (int64_t)r->a->count[POLICY_STAGES] - 1);
    if (r->status == 0 && o->region[i] != state_leaf(policy, state, r->a->region[i]))
      disbelieve(r, artifact_out_name(OUT_REGIONS), i, o->region[i], "not where the steps lead");
  }
}

static void read_notes(struct reading *r, struct policy_outcome *o) {
  o->note_count = 0;
  if (r->a->count[POLICY_NOTES] == 0) return;
  int count = (int)whole(r, OUT_NOTES, 0, POLICY_NOTES_MAX);
  for (int i = 0; i < count && r->status == 0; i++)
    o->note[i] = (int)whole_at(r, OUT_NOTES, (size_t)i + 1, 0, (int64_t)r->a->count[POLICY_NOTES] - 1);
  o->note_count = r->status == 0 ? count : 0;
}

// Rows of a run that say something: not NaN where that may be, not 0 where that says nothing. Returns their sum.
static int64_t read_rows(struct reading *r, enum artifact_out slot, enum policy_table table, bool nan_is_none,
                         struct policy_row *rows, int *count) {
  int64_t sum = 0;
  *count = 0;
  for (size_t i = 0; i < r->a->count[table] && r->status == 0; i++) {
    double x = r->out[r->a->out[slot] + i];
    if (nan_is_none ? x != x : x == 0) continue;
    int64_t milli = whole_at(r, slot, i, -ROW_MAX_MILLI, ROW_MAX_MILLI);
    rows[(*count)++] = (struct policy_row){.index = (uint16_t)i, .milli = milli};
    sum += milli;
  }
  return sum;
}

static void read_scores(struct reading *r, struct policy_outcome *o) {
  o->weight_fit = r->a->mix_fit;
  o->weight_engagement = r->a->mix_engagement;
  o->weight_model = r->a->mix_model;
  o->constant_points = r->a->mix_constant;
  o->combined_milli = whole(r, OUT_COMBINED, 0, POINTS_MAX_MILLI);
  o->cap_milli = whole(r, OUT_CAP, -2 * POLICY_ROWS_MAX * ROW_MAX_MILLI, 2 * POLICY_ROWS_MAX * ROW_MAX_MILLI);
  int64_t sum = read_rows(r, OUT_ADJUSTMENTS, POLICY_ADJUSTMENTS, true, o->row, &o->row_count);
  sum += (int64_t)pm_round_even(o->weight_fit * (double)o->fit_milli);
  sum += (int64_t)pm_round_even(o->weight_engagement * (double)o->engagement_milli);
  sum += (int64_t)pm_round_even(o->constant_points * 1000) + o->model_milli;
  if (r->status == 0 && sum + o->cap_milli != o->combined_milli) {
    disbelieve(r, artifact_out_name(OUT_COMBINED), 0, (double)o->combined_milli, "not the sum of its parts");
  }
  o->band = entry_or_none(r, OUT_BAND, POLICY_BANDS);
}

static void read_evidence(struct reading *r, struct policy_outcome *o) {
  int64_t sum = read_rows(r, OUT_EVIDENCE, POLICY_EVIDENCE, false, o->evidence, &o->evidence_count);
  sum += read_rows(r, OUT_CHANNEL_CAPS, POLICY_CHANNELS, false, o->channel_cap, &o->channel_cap_count);
  o->intent_milli = whole(r, OUT_INTENT, -2 * POLICY_ROWS_MAX * ROW_MAX_MILLI, 2 * POLICY_ROWS_MAX * ROW_MAX_MILLI);
  if (r->status == 0 && sum != o->intent_milli) {
    disbelieve(r, artifact_out_name(OUT_INTENT), 0, (double)o->intent_milli,
               "not the sum of evidence and channels' caps");
  }
}

static void read_owner(struct reading *r, struct policy_outcome *o) {
  o->owner = entry_or_none(r, OUT_OWNER, POLICY_OWNERS);
  o->route = entry_or_none(r, OUT_ROUTE, POLICY_ROUTES);
}

static void check_memory(struct reading *r, const double *memory) {
  for (size_t i = 0; i < r->a->memory_count; i++) {
    if (!isfinite(memory[i])) disbelieve(r, "memory", i, memory[i], "no finite number");
  }
}

static void read_trace(struct reading *r, int8_t *fired) {
  size_t count = r->a->count[POLICY_CONDITIONS];
  for (size_t i = 0; i < count && r->status == 0; i++) {
    double x = r->out[r->a->out[OUT_CONDITIONS] + i];
    if (x == x) whole_at(r, OUT_CONDITIONS, i, 0, 1);
  }
  for (size_t i = 0; i < count && r->status == 0; i++) {
    double x = r->out[r->a->out[OUT_CONDITIONS] + i];
    fired[i] = x != x ? -1 : x == 1;
  }
}

// ---- the decision ----

static void apply(const struct policy *policy, const struct policy_input *input, const struct policy_outcome *o,
                  const double *memory, struct policy_state *state) {
  if (o->owner != state->owner) sales_drop_owner(policy, state); // given by a rule
  state->owner = (int16_t)o->owner;
  state->action = (int16_t)o->action;
  if (o->action > 0) state->acted_ms = input->now_ms;
  size_t n = policy->artifact->memory_count;
  if (n > 0) memcpy(state->memory, memory, n * sizeof *memory);
}

static bool is_other_owner(const struct policy *policy, const struct policy_state *a, const struct policy_state *b) {
  return a->owner != b->owner ||
         memcmp(policy_sales(policy, a)->owner_name, policy_sales(policy, b)->owner_name, POLICY_SALES_NAME) != 0;
}

static int call(struct policy_vm *vm, const struct policy_state *state, bool trace, struct error *err) {
  const struct artifact *a = vm->policy->artifact;
  double *out = vm_out(vm->vm);
  size_t written = trace ? a->shape.out_count : a->plain_count;
  for (size_t i = 0; i < written; i++) out[i] = NAN; // what the call does not write is not believed
  if (a->memory_count > 0) memcpy(vm_memory(vm->vm), state->memory, a->memory_count * sizeof(double));
  return vm_call(vm->vm, trace, err);
}

int policy_decide(struct policy_vm *vm, const struct policy_input *input, struct policy_state *state,
                  struct policy_outcome *outcome, struct policy_trace *trace, struct error *err) {
  const struct policy *policy = vm->policy;
  const struct artifact *a = policy->artifact;
  CHECK(state->stage < a->count[POLICY_STAGES] && state->owner < (int64_t)a->count[POLICY_OWNERS]);
  CHECK(input->timer_transition >= -1 && input->timer_transition < (int64_t)a->count[POLICY_TRANSITIONS]);
  struct policy_outcome *o = &vm->outcome;
  const double *out = vm_out(vm->vm), *memory = vm_memory(vm->vm);
  memcpy(vm->state, state, policy->state_size);
  o->fit_milli = capped(input->has_fit, input->fit.points, &o->cap_fit_milli);
  o->engagement_milli = capped(input->has_engagement, input->engagement.points, &o->cap_engagement_milli);
  o->model_milli = a->model[BUNDLE_SPLIT] ? pm_milli(input->whole.points) : 0;
  enum sales_order order = sales_hear(policy, input->event, input->now_ms, vm->state, o);
  o->stage_before = vm->state->stage; // where the rules begin
  fill_input(policy, input, vm->state, o, order, vm_in(vm->vm));
  vm_texts(vm->vm, input->texts, a->feature_count);
  int status = call(vm, state, trace != NULL, err);
  // Once more: where a virtual machine stands still for a moment, that counts as time of the call. Nothing is left of it. But
  // not where stops are no exception: a policy that runs over for many leads would cost the others twice as much.
  vm->calls++;
  bool is_rare = vm->stopped_at == 0 || vm->calls - vm->stopped_at > STOP_RARE;
  if (status != 0 && vm_stop(vm->vm) == STOP_DEADLINE) {
    vm->stopped_at = vm->calls;
    if (is_rare) {
      if (err) *err = (struct error){0};
      status = call(vm, state, trace != NULL, err);
    }
  }
  if (status != 0) return status;

  struct reading r = {.a = a, .out = out, .err = err};
  read_eligible(&r, o);
  state_drop_timer(vm->state, input->timer_transition);
  read_steps(&r, policy, input->now_ms, vm->state, o);
  read_regions(&r, policy, vm->state, o);
  read_notes(&r, o);
  read_scores(&r, o);
  read_evidence(&r, o);
  read_owner(&r, o);
  if (r.status == 0) r.status = offers_read(a, out, o, err);
  check_memory(&r, memory);
  if (r.status == 0 && trace) read_trace(&r, trace->fired);
  if (r.status != 0) return r.status;
  o->stage_before = state->stage;
  o->eligible = o->eligible && !o->is_disqualified;
  apply(policy, input, o, memory, vm->state);
  o->owner_changed = is_other_owner(policy, state, vm->state);
  memcpy(state, vm->state, policy->state_size);
  *outcome = *o;
  return 0;
}

static bool rows_same(const struct policy_row *a, int a_count, const struct policy_row *b, int b_count) {
  if (a_count != b_count) return false;
  for (int i = 0; i < a_count; i++) {
    if (a[i].index != b[i].index || a[i].milli != b[i].milli) return false;
  }
  return true;
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static bool bits_same(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

static bool offers_same(const struct policy_outcome *a, const struct policy_outcome *b) {
  bool same = a->action == b->action && bits_same(a->utility, b->utility) && same_text(a->held, b->held) &&
              a->explored == b->explored && bits_same(a->propensity, b->propensity) &&
              a->suppressed_count == b->suppressed_count && a->suppressed_more == b->suppressed_more;
  for (int i = 0; same && i < a->suppressed_count; i++) {
    const struct policy_suppressed *x = &a->suppressed[i], *y = &b->suppressed[i];
    same = x->action == y->action && bits_same(x->utility, y->utility) && same_text(x->why, y->why);
  }
  return same;
}

bool policy_outcome_same(const struct policy_outcome *a, const struct policy_outcome *b) {
  bool journey = a->eligible == b->eligible && a->ineligible == b->ineligible && a->stage_before == b->stage_before &&
                 a->stage == b->stage && a->step_count == b->step_count && a->steps_cut == b->steps_cut;
  for (int i = 0; journey && i < a->step_count; i++) journey = a->step[i] == b->step[i];
  journey = journey && a->region_count == b->region_count && a->note_count == b->note_count;
  for (int i = 0; journey && i < a->region_count; i++) journey = a->region[i] == b->region[i];
  for (int i = 0; journey && i < a->note_count; i++) journey = a->note[i] == b->note[i];
  bool scores = a->fit_milli == b->fit_milli && a->engagement_milli == b->engagement_milli &&
                a->combined_milli == b->combined_milli && a->cap_fit_milli == b->cap_fit_milli &&
                a->cap_engagement_milli == b->cap_engagement_milli && a->cap_milli == b->cap_milli &&
                bits_same(a->weight_fit, b->weight_fit) && bits_same(a->weight_engagement, b->weight_engagement) &&
                bits_same(a->weight_model, b->weight_model) && a->model_milli == b->model_milli &&
                bits_same(a->constant_points, b->constant_points) && a->band == b->band;
  bool rows = rows_same(a->row, a->row_count, b->row, b->row_count) &&
              rows_same(a->evidence, a->evidence_count, b->evidence, b->evidence_count) &&
              rows_same(a->channel_cap, a->channel_cap_count, b->channel_cap, b->channel_cap_count) &&
              a->intent_milli == b->intent_milli;
  bool said = a->said == b->said && strcmp(a->said_text, b->said_text) == 0 && a->is_disqualified == b->is_disqualified;
  return journey && scores && rows && said && offers_same(a, b) && a->route == b->route && a->owner == b->owner &&
         a->owner_changed == b->owner_changed;
}
