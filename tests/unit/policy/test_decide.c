#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "stand_in.h"

enum { DAY_MS = 86400000 };

static struct folder folder;
static struct policy *policy;
static struct policy_vm *vm;
static struct policy_state *state;
static double values[2];
static struct bytes texts[2];

static int begin(void **unused) {
  (void)unused;
  run = honest;
  call_status = 0;
  folder_make(&folder);
  struct error err = {0};
  struct policy_source source = source_of(&folder);
  const struct lua_limits limits = LUA_LIMITS_DEFAULT;
  const struct vm_limits vm_limits = VM_LIMITS_DEFAULT;
  if (policy_load(&source, &limits, &policy, NULL, &err) != 0) fail_msg("%s", err.text);
  assert_int_equal(policy_vm_open(policy, &vm_limits, &vm, &err), 0);
  state = xcalloc(1, policy_state_size(policy));
  policy_state_init(policy, 1000, state);
  values[0] = 0, values[1] = NAN, texts[1] = (struct bytes){0};
  return 0;
}

static int end(void **unused) {
  (void)unused;
  policy_vm_close(vm);
  policy_release(policy);
  free(state);
  folder_remove(&folder);
  return open_vms == 0 ? 0 : -1;
}

static struct policy_input at(int64_t now_ms) {
  return (struct policy_input){
      .now_ms = now_ms, .values = values, .texts = texts, .timer_transition = -1, .lead_hash = 77, .event_hash = 88};
}

static struct policy_outcome decide(const struct policy_input *input) {
  struct policy_outcome outcome;
  struct error err = {0};
  if (policy_decide(vm, input, state, &outcome, NULL, &err) != 0) fail_msg("%s", err.text);
  assert_int_equal(policy_state_check(policy, bytes_of(state, policy_state_size(policy)), &err), 0);
  return outcome;
}

// ---- the input as the chunk sees it ----

static double seen[22];
static void look(struct vm *v) {
  memcpy(seen, v->in, sizeof seen);
  for (size_t i = 0; i < v->shape.out_count; i++) assert_true(v->out[i] != v->out[i]);
  honest(v);
}

static void the_input_lies_where_the_layout_says(void **unused) {
  (void)unused;
  run = look;
  struct event event = {.type = EVENT_TRACK, .name = BYTES_LIT("demo")};
  struct policy_input input = at(5000);
  input.event = &event;
  input.has_fit = input.has_engagement = true;
  input.fit.points = 33.33349, input.engagement.points = 120.5;
  values[0] = 2, texts[1] = BYTES_LIT("foe.org");
  state->owner = 1, state->owner_is_manual = 1, state->acted_ms = 900;
  struct policy_outcome o = decide(&input);
  const double want[] = {5000, 0, 1000, 0, 33333, 100000, 1, 1, 900, 1, 2};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) assert_true(seen[i] == want[i]);
  assert_true(seen[I_DOMAIN] != seen[I_DOMAIN]);
  assert_true(seen[I_RIVAL] == 1 && seen[I_KNOWN] == 1 && seen[I_DEMO] == 1);
  assert_true(seen[I_DRAW_LEAD] == hash_unit(hash_mix(77, hash64(BYTES_LIT("s1")))));
  assert_true(seen[I_DRAW_EVENT] == hash_unit(hash_mix(88, hash64(BYTES_LIT("s1")))));
  assert_int_equal(o.fit_milli, 33333);
  assert_int_equal(o.cap_fit_milli, 0);
  assert_int_equal(o.engagement_milli, 100000);
  assert_int_equal(o.cap_engagement_milli, -20500);
  // the rival's 70 points take more than there is
  assert_int_equal(o.row_count, 1);
  assert_int_equal(o.row[0].milli, -70000);
  assert_int_equal(o.combined_milli, 0);
  assert_int_equal(o.cap_milli, 9500);
  assert_int_equal(o.band, 0);

  // nothing known, a page of the same name, a lower cap
  event.type = EVENT_PAGE;
  texts[1] = (struct bytes){0};
  input.fit.points = -4.5;
  input.has_engagement = false;
  o = decide(&input);
  assert_true(seen[I_RIVAL] == 0 && seen[I_KNOWN] == 0 && seen[I_DEMO] == 0 && seen[I_IS_EVENT] == 1);
  assert_true(seen[I_FIT] == 0 && seen[I_ENGAGEMENT] == 0);
  assert_int_equal(o.cap_fit_milli, 4500);
  assert_int_equal(o.row_count, 0);
  assert_int_equal(o.combined_milli, 60500);
  texts[1] = BYTES_LIT("friend.net");
  input.event = NULL;
  decide(&input);
  assert_true(seen[I_RIVAL] == 0 && seen[I_KNOWN] == 1 && seen[I_IS_EVENT] == 0);
}

// ---- journey, timers, memory ----

static void a_stage_arms_its_timers_and_leaving_cancels_them(void **unused) {
  (void)unused;
  values[0] = 3;
  struct policy_input input = at(10000);
  struct policy_outcome o = decide(&input);
  assert_int_equal(o.step_count, 1);
  assert_int_equal(o.stage_before, 0);
  assert_int_equal(o.stage, 1);
  assert_int_equal(state->stage, 1);
  assert_int_equal(state->stage_since_ms, 10000);
  assert_int_equal(state->timer_count, 2);
  assert_int_equal(state->timer[0].transition, 3); // 7 days before 21
  assert_true(state->timer[0].due_ms == 10000 + 7ll * DAY_MS);
  assert_true(state->timer[1].due_ms == 10000 + 21ll * DAY_MS);
  assert_int_equal(o.evidence_count, 1);
  assert_int_equal(o.channel_cap_count, 1);
  assert_int_equal(o.channel_cap[0].milli, -5000);
  assert_int_equal(o.intent_milli, 20000);

  // staying changes no timer
  input = at(20000);
  decide(&input);
  assert_int_equal(state->timer_count, 2);
  assert_int_equal(state->stage_since_ms, 10000);

  // a timer fires: back to the start, which has none
  values[0] = 0;
  input = at(state->timer[0].due_ms);
  input.timer_transition = 3;
  o = decide(&input);
  assert_int_equal(o.step[0], 3);
  assert_int_equal(state->stage, 0);
  assert_int_equal(state->timer_count, 0);
}

static void stay(struct vm *v) { // as honest, but no step
  double timer = v->in[I_TIMER], views = v->in[I_VIEWS];
  v->in[I_TIMER] = 0, v->in[I_VIEWS] = 0;
  honest(v);
  v->in[I_TIMER] = timer, v->in[I_VIEWS] = views;
}

static void a_timer_that_moves_nothing_is_gone_all_the_same(void **unused) {
  (void)unused;
  values[0] = 3;
  struct policy_input input = at(10000);
  decide(&input);
  run = stay;
  input = at(state->timer[0].due_ms);
  input.timer_transition = 3;
  struct policy_outcome o = decide(&input);
  assert_int_equal(o.step_count, 0);
  assert_int_equal(state->stage, 1);
  assert_int_equal(state->timer_count, 1);
  assert_int_equal(state->timer[0].transition, 1);
  static const struct policy_timer none;
  assert_memory_equal(&state->timer[1], &none, sizeof none);
}

static void round_trip(struct vm *v) { // engaged -> visitor -> engaged
  honest(v);
  v->out[O_STAGE] = 1, v->out[O_STEPS] = 2, v->out[O_STEPS + 1] = 1, v->out[O_STEPS + 2] = 0;
}

static void coming_back_in_one_decision_is_entering_anew(void **unused) {
  (void)unused;
  values[0] = 3;
  struct policy_input input = at(10000);
  decide(&input);
  run = round_trip;
  input = at(50000);
  struct policy_outcome o = decide(&input);
  assert_int_equal(o.step_count, 2);
  assert_int_equal(state->stage_since_ms, 50000);
  assert_true(state->timer[0].due_ms == 50000 + 7ll * DAY_MS);
}

static void owner_action_and_memory_are_kept(void **unused) {
  (void)unused;
  struct event event = {.type = EVENT_TRACK, .name = BYTES_LIT("demo")};
  values[0] = 3;
  struct policy_input input = at(10000);
  input.event = &event;
  struct policy_outcome o = decide(&input); // visitor -> engaged -> mql
  assert_int_equal(o.step_count, 2);
  assert_int_equal(o.stage, 2);
  assert_int_equal(o.route, 0);
  assert_true(o.owner_changed);
  assert_int_equal(state->owner, 1);
  assert_int_equal(state->action, 1);
  assert_int_equal(state->acted_ms, 10000);
  assert_true(state->memory[0] == 1.5 && state->memory[1] == 10000);
  state->owner = 0, state->owner_is_manual = 1;
  input = at(20000);
  o = decide(&input);
  assert_false(o.owner_changed);
  assert_int_equal(state->owner, 0);
  assert_int_equal(state->owner_is_manual, 1);
  assert_int_equal(state->acted_ms, 20000);
  assert_true(state->memory[0] == 1.5 && state->memory[1] == 20000);
  state->owner_is_manual = 0; // the rule gives it to bob: nobody's hand any more
  o = decide(&input);
  assert_true(o.owner_changed && state->owner == 1);
}

static double held_code;
static void held_by(struct vm *v) {
  honest(v), v->out[O_ACTION] = held_code > 0 ? 0 : 1, v->out[O_HELD] = held_code;
  bool is_looked_at = (int)held_code != POLICY_HELD_NOT_ELIGIBLE && (int)held_code != POLICY_HELD_MODE;
  v->out[O_CALL] = is_looked_at ? held_code > 0 ? 9.5 : 5.25 : NAN;
  if (held_code >= POLICY_HELD_CONSENT) v->out[O_CALL_HELD] = held_code;
}

static void what_is_held_back_has_not_acted_and_says_why(void **unused) {
  (void)unused;
  static const char *const names[] = {"hold_out",  "per_lead", "not_eligible", "mode", "consent",
                                      "cool_down", "at_most",  "per_channel",  "quiet"};
  run = held_by;
  for (int i = 1; i < POLICY_HELD_EXPLORED; i++) {
    policy_state_init(policy, 0, state);
    held_code = i;
    struct policy_input input = at(10000 + i);
    struct policy_outcome o = decide(&input);
    assert_string_equal(o.held, names[i - 1]);
    assert_string_equal(policy_held_name((enum policy_held)i), names[i - 1]);
    assert_int_equal(state->acted_ms, 0);
    assert_int_equal(state->action, 0);
    bool is_looked_at = i != POLICY_HELD_NOT_ELIGIBLE && i != POLICY_HELD_MODE;
    assert_int_equal(o.suppressed_count, is_looked_at);
    if (!is_looked_at) continue;
    assert_int_equal(o.suppressed[0].action, 1);
    assert_true(o.suppressed[0].utility > 9.4 && o.suppressed[0].utility < 9.6);
    assert_string_equal(o.suppressed[0].why, names[i - 1]);
  }
  held_code = 0;
  struct policy_input input = at(20000);
  assert_null(decide(&input).held);
  assert_int_equal(state->acted_ms, 20000);
  assert_int_equal(state->action, 1);
}

static void the_trace_has_three_answers(void **unused) {
  (void)unused;
  int8_t fired[2] = {9, 9};
  struct policy_trace trace = {.fired = fired};
  struct policy_outcome traced, plain;
  struct policy_input input = at(10000);
  values[0] = 3;
  struct policy_state *copy = xmalloc(policy_state_size(policy));
  memcpy(copy, state, policy_state_size(policy));
  assert_int_equal(policy_decide(vm, &input, state, &traced, &trace, NULL), 0);
  assert_int_equal(fired[0], 1);
  assert_int_equal(fired[1], -1);
  assert_int_equal(policy_decide(vm, &input, copy, &plain, NULL, NULL), 0);
  assert_true(policy_outcome_same(&traced, &plain));
  assert_memory_equal(state, copy, policy_state_size(policy));
  values[0] = 0;
  assert_int_equal(policy_decide(vm, &input, state, &traced, &trace, NULL), 0);
  assert_int_equal(fired[0], 0);
  assert_false(policy_outcome_same(&traced, &plain));
  free(copy);
}

// ---- outcomes that do not hold ----

static size_t bad_at, bad_memory;
static double bad_value;
static void one_is_bad(struct vm *v) {
  honest(v);
  if (bad_at < O_END) v->out[bad_at] = bad_value;
  if (bad_memory < 2) v->memory[bad_memory] = bad_value;
}

// Nothing may have changed, and the text says what was wrong.
static void refused(const struct policy_input *input, const char *what) {
  size_t size = policy_state_size(policy);
  struct policy_state *before = xmalloc(size);
  memcpy(before, state, size);
  struct policy_outcome outcome, untouched;
  memset(&outcome, 0x5a, sizeof outcome);
  memset(&untouched, 0x5a, sizeof untouched);
  int8_t fired[2] = {9, 9};
  struct policy_trace trace = {.fired = fired};
  struct error err = {0};
  int status = policy_decide(vm, input, state, &outcome, &trace, &err);
  if (status != ITD_ESTOPPED || !strstr(err.text, what)) {
    fail_msg("out[%zu] memory[%zu] = %g: %d '%s', not '%s'", bad_at, bad_memory, bad_value, status, err.text, what);
  }
  assert_memory_equal(before, state, size);
  assert_memory_equal(&outcome, &untouched, sizeof outcome);
  assert_true(fired[0] == 9 && fired[1] == 9);
  free(before);
}

static void every_output_is_judged(void **unused) {
  (void)unused;
  static const char *const names[O_END] = {[O_ELIGIBLE] = "eligible[0]",
                                           [O_INELIGIBLE] = "ineligible[0]",
                                           [O_STAGE] = "stage[0]",
                                           [O_STEPS] = "steps[0]",
                                           [4] = "steps[1]",
                                           [O_CUT] = "steps[9]",
                                           [O_COMBINED] = "combined[0]",
                                           [O_CAP] = "cap[0]",
                                           [O_BAND] = "band[0]",
                                           [O_INTENT] = "intent[0]",
                                           [O_OWNER] = "owner[0]",
                                           [O_ROUTE] = "route[0]",
                                           [O_ACTION] = "action[0]",
                                           [O_UTILITY] = "utility[0]",
                                           [O_HELD] = "held[0]",
                                           [O_EXPLORED] = "explored[0]",
                                           [O_PROPENSITY] = "propensity[0]",
                                           [O_CALL] = "offers[0]",
                                           [O_CALL_HELD] = "offers_held[0]",
                                           [O_PRICING] = "evidence[0]",
                                           [O_USAGE] = "evidence[1]",
                                           [O_WEB_CAP] = "channel_caps[0]",
                                           [O_PRODUCT_CAP] = "channel_caps[1]",
                                           [O_CONDITIONS] = "conditions[0]",
                                           [O_CONDITIONS + 1] = "conditions[1]",
                                           [O_RIVAL] = "adjustments[0]"};
  static const double wrong[] = {NAN, INFINITY, -INFINITY, 1e300, -2e14, 0.5, 1e15, -3};
  values[0] = 3; // a step is taken, evidence is in force
  run = one_is_bad;
  bad_memory = SIZE_MAX;
  for (bad_at = 0; bad_at < O_END; bad_at++) {
    if (!names[bad_at]) continue; // steps that are not taken are not read
    bool nan_ok = bad_at == O_RIVAL || bad_at == O_CALL || bad_at == O_CALL_HELD || bad_at >= O_CONDITIONS;
    bool may_be_less = bad_at == O_CALL; // what is worth less than what was taken needs no reason
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
      bad_value = wrong[i];
      bool is_thousandths = bad_at == O_RIVAL || (bad_at >= O_PRICING && bad_at <= O_PRODUCT_CAP) ||
                            bad_at == O_INTENT || bad_at == O_CAP;
      if ((bad_value != bad_value && nan_ok) || (bad_at == O_UTILITY && isfinite(bad_value))) continue;
      if ((bad_at == O_PROPENSITY && bad_value > 0 && bad_value <= 1) || (may_be_less && bad_value < 5)) continue;
      struct policy_input input = at(10000);
      if (!is_thousandths || bad_value != -3)
        refused(&input, names[bad_at]);
      else
        refused(&input, "not the sum"); // a number that may stand there, but the ledger shows it
    }
  }
  bad_at = SIZE_MAX;
  for (bad_memory = 0; bad_memory < 2; bad_memory++) {
    for (size_t i = 0; i < 3; i++) {
      bad_value = wrong[i];
      struct policy_input input = at(10000);
      refused(&input, bad_memory ? "memory[1]" : "memory[0]");
    }
  }
  bad_memory = SIZE_MAX;
}

static void indices_one_too_great_are_refused(void **unused) {
  (void)unused;
  static const struct {
    size_t at;
    double value;
    const char *says;
  } rows[] = {{O_ELIGIBLE, 0, "not what `eligible` says"},
              {O_INELIGIBLE, 0, "not what `eligible` says"},
              {O_INELIGIBLE, 1, "ineligible"},
              {O_STAGE, 3, "stage[0]"},
              {O_STAGE, 0, "not where the steps lead"},
              {O_STEPS, 9, "steps[0]"},
              {O_STEPS, 0, "not where the steps lead"},
              {4, 4, "steps[1]"},
              {4, 1, "from another stage"},
              {O_BAND, 2, "band"},
              {O_OWNER, 2, "owner"},
              {O_ROUTE, 1, "route"},
              {O_ACTION, 2, "action"},
              {O_HELD, POLICY_HELD_EXPLORED, "held"},
              {O_EXPLORED, 2, "explored"},
              {O_PROPENSITY, 0, "no probability"},
              {O_PROPENSITY, 1.0000001, "no probability"},
              {O_ACTION, 1, "offers[0] is nan, not the utility of what was taken"},
              {O_CALL, 6, "more than what was taken, and nothing held it back"},
              {O_CALL_HELD, POLICY_HELD_QUIET, "and it is not open"},
              {O_CALL_HELD, POLICY_HELD_MODE, "which holds no offer back by itself"},
              {O_CALL_HELD, POLICY_HELD_EXPLORED, "which holds no offer back by itself"},
              {O_CUT, 2, "steps[9]"},
              {O_COMBINED, 60501, "not the sum"},
              {O_CAP, 1, "not the sum"},
              {O_INTENT, 20001, "not the sum"},
              {O_COMBINED, 100001, "combined"},
              {O_COMBINED, -1, "combined"},
              {O_CONDITIONS, 2, "conditions"}};
  values[0] = 3;
  run = one_is_bad;
  bad_memory = SIZE_MAX;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    bad_at = rows[i].at, bad_value = rows[i].value;
    struct policy_input input = at(10000);
    refused(&input, rows[i].says);
  }
}

static void writes_nothing(struct vm *v) { (void)v; }

static void what_is_not_written_is_not_believed(void **unused) {
  (void)unused;
  struct policy_input input = at(10000);
  decide(&input); // a good outcome lies in the array now
  run = writes_nothing;
  refused(&input, "eligible[0] is nan");
}

static void a_stopped_call_changes_nothing(void **unused) {
  (void)unused;
  call_status = ITD_ESTOPPED;
  struct policy_input input = at(10000);
  values[0] = 3;
  refused(&input, "stopped by the test");
  call_status = 0;
  assert_int_equal(decide(&input).stage, 1);
}

static void not_eligible(struct vm *v) { honest(v), v->out[O_ELIGIBLE] = 0, v->out[O_INELIGIBLE] = 0; }

static void who_is_not_eligible_has_a_reason(void **unused) {
  (void)unused;
  run = not_eligible;
  struct policy_input input = at(10000);
  struct policy_outcome o = decide(&input);
  assert_false(o.eligible);
  assert_string_equal(policy_entry(policy, POLICY_ELIGIBILITY, (size_t)o.ineligible)->why, "ours");
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
  const struct CMUnitTest tests[] = {
      CASE(the_input_lies_where_the_layout_says),
      CASE(a_stage_arms_its_timers_and_leaving_cancels_them),
      CASE(a_timer_that_moves_nothing_is_gone_all_the_same),
      CASE(coming_back_in_one_decision_is_entering_anew),
      CASE(owner_action_and_memory_are_kept),
      CASE(what_is_held_back_has_not_acted_and_says_why),
      CASE(the_trace_has_three_answers),
      CASE(every_output_is_judged),
      CASE(indices_one_too_great_are_refused),
      CASE(what_is_not_written_is_not_believed),
      CASE(a_stopped_call_changes_nothing),
      CASE(who_is_not_eligible_has_a_reason),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
