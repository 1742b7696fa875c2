#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "stand_in.h"

enum { DAY_MS = 86400000 };

static uint64_t seed;
static uint64_t roll(uint64_t below) {
  seed = hash_mix(seed, 0x9e3779b97f4a7c15u);
  return seed % below;
}

static struct folder folder;
static int begin(void **unused) { return (void)unused, folder_make(&folder), 0; }
static int end(void **unused) { return (void)unused, folder_remove(&folder), open_vms == 0 ? 0 : -1; }

// Shorter stages' tables would make the stand-in's honest policy point outside them: these tests decide nothing, so
// loading tries a policy that never moves.
static void quiet(struct vm *vm) {
  honest(vm);
  vm->out[O_STAGE] = vm->in[I_STAGE], vm->out[O_STEPS] = 0, vm->out[O_OWNER] = -1, vm->out[O_ROUTE] = -1,
  vm->out[O_ACTION] = 0;
  for (uint32_t i = 0; i < vm->shape.memory_count; i++) vm->memory[i] = 0;
}

static struct policy *load(const char *json) {
  write_file(folder.policies, "sample/policy.lua", json);
  run = quiet;
  struct policy *policy = NULL;
  struct error err = {0};
  struct policy_source source = source_of(&folder);
  const struct lua_limits limits = LUA_LIMITS_DEFAULT;
  if (policy_load(&source, &limits, &policy, NULL, &err) != 0) fail_msg("%s", err.text);
  return policy;
}

static struct policy_state *new_state(const struct policy *policy, int64_t now_ms) {
  struct policy_state *state = xmalloc(policy_state_size(policy));
  memset(state, 0xa5, policy_state_size(policy));
  policy_state_init(policy, now_ms, state);
  return state;
}

static void assert_state(const struct policy *policy, const struct policy_state *state) {
  struct error err = {0};
  if (policy_state_check(policy, bytes_of(state, policy_state_size(policy)), &err) != 0) fail_msg("%s", err.text);
}

static void a_new_state_is_at_the_start(void **unused) {
  (void)unused;
  struct policy *policy = load(sample_json);
  assert_int_equal(policy_state_size(policy), sizeof(struct policy_state) + 2 * sizeof(double) +
                                                  sizeof(struct policy_seat) + sizeof(struct policy_sales));
  struct policy_state *state = new_state(policy, 1234);
  assert_state(policy, state);
  assert_true(state->stage == 0 && state->owner == -1 && state->action == -1 && state->acted_ms == 0 &&
              state->timer_count == 0);
  assert_int_equal(state->stage_since_ms, 1234);
  assert_true(state->memory[0] == 0.5 && state->memory[1] == 0);
  free(state);
  policy_release(policy);
}

static void the_start_stage_arms_its_timers(void **unused) {
  (void)unused;
  char *json = with(sample_json, "{\"from\": 0, \"to\": 1,", "{\"from\": 0, \"to\": 1, \"after_ms\": 500,");
  struct policy *policy = load(json);
  struct policy_state *state = new_state(policy, 1000);
  assert_int_equal(state->timer_count, 1);
  assert_int_equal(state->timer[0].due_ms, 1500);
  assert_state(policy, state);
  free(state), free(json);
  policy_release(policy);
}

// Four timers of random lengths, many of them equal: sorted by due, then by name, then by number.
static void timers_fire_in_a_defined_order(void **unused) {
  (void)unused;
  for (int round = 0; round < 40; round++) {
    char list[600];
    int n = 0;
    for (int i = 0; i < 4; i++) {
      n += snprintf(list + n, sizeof list - (size_t)n, "%s{\"from\": 1, \"to\": %d, \"after_ms\": %d}", i ? ", " : "",
                    (int)roll(3), 1 + (int)roll(3));
    }
    char all[700];
    snprintf(all, sizeof all, "\"transitions\": [%s], \"before\": [", list);
    char *json = with(sample_json, "\"transitions\": [", all);
    struct policy *policy = load(json);
    struct policy_state *state = new_state(policy, 0);
    state_enter(policy, 1, 100, state);
    assert_int_equal(state->timer_count, 4);
    for (int i = 1; i < 4; i++) {
      const struct policy_timer *a = &state->timer[i - 1], *b = &state->timer[i];
      int by_name = strcmp(policy_entry(policy, POLICY_TRANSITIONS, a->transition)->name,
                           policy_entry(policy, POLICY_TRANSITIONS, b->transition)->name);
      assert_true(a->due_ms < b->due_ms ||
                  (a->due_ms == b->due_ms && (by_name < 0 || (by_name == 0 && a->transition < b->transition))));
    }
    assert_state(policy, state);
    state_drop_timer(state, state->timer[roll(4)].transition);
    assert_int_equal(state->timer_count, 3);
    assert_state(policy, state);
    state_drop_timer(state, 99);
    assert_int_equal(state->timer_count, 3);
    free(state), free(json);
    policy_release(policy);
  }
}

static void carrying_over_to_oneself_changes_nothing(void **unused) {
  (void)unused;
  struct policy *policy = load(sample_json);
  for (int round = 0; round < 500; round++) {
    struct policy_state *state = new_state(policy, 1000), *next = new_state(policy, 0);
    state_enter(policy, (uint16_t)roll(3), 2000 + (int64_t)roll(1000), state);
    if (roll(2)) state_drop_timer(state, (int)roll(4));
    state->owner = (int16_t)roll(3) - 1;
    state->owner_is_manual = state->owner >= 0 && roll(2);
    struct policy_sales *said = state_sales(policy, state);
    if (state->owner < 0 && roll(2)) state->owner_is_manual = 1, memcpy(said->owner_name, "eve", 3);
    if (state->owner_is_manual) said->owner_at_ms = (int64_t)roll(5000), memcpy(said->owner_why, "because", 7);
    said->is_disqualified = roll(2) != 0, said->judged_at_ms = (int64_t)roll(5000);
    if (roll(2)) said->rejected[0] = 2, said->rejected_at_ms[0] = 77, said->rejected[1] = (uint16_t)roll(2);
    state->action = (int16_t)roll(3) - 1;
    state->acted_ms = (int64_t)roll(5000);
    state->memory[0] = (double)roll(100) / 7;
    state->memory[1] = -1;
    policy_state_migrate(policy, state, policy, 1000ll * DAY_MS, next); // long after every timer was due
    assert_memory_equal(state, next, policy_state_size(policy));
    free(state), free(next);
  }
  policy_release(policy);
}

static void names_carry_over_wherever_they_now_stand(void **unused) {
  (void)unused;
  struct policy *from = load(sample_json);
  // owners, memory, actions and stages move; a timer's transition moves with its stages; its time changes for later
  // leads only
  char *a = with(sample_json, "[\"ann\", \"bob\"]", "[\"zoe\", \"bob\", \"ann\"]");
  char *b = with(a, "{\"name\": \"m1\", \"initial\": 0.5}, {\"name\": \"m2\"}",
                 "{\"name\": \"m2\"}, {\"name\": \"m3\", \"initial\": 9}");
  char *c = with(b, "{\"name\": \"engaged\"}, {\"name\": \"mql\", \"final\": true}",
                 "{\"name\": \"mql\", \"final\": true}, {\"name\": \"engaged\"}");
  char *d = with(
      c, "\"transitions\": [",
      "\"transitions\": [{\"from\": 2, \"to\": 0, \"after_ms\": 999}, {\"from\": 2, \"to\": 1, \"after_ms\": 5000},"
      " {\"from\": 2, \"to\": 0, \"after_ms\": 1}], \"before\": [");
  struct policy *to = load(d);
  struct policy_state *old = new_state(from, 1000), *now = new_state(to, 0);
  state_enter(from, 1, 2000, old);
  old->owner = 1, old->owner_is_manual = 1, old->action = 1, old->acted_ms = 1500, old->memory[1] = 42;
  state_drop_timer(old, 3); // the second of the two transitions of that name has fired
  policy_state_migrate(from, old, to, 3000, now);
  assert_state(to, now);
  assert_int_equal(now->stage, 2);
  assert_int_equal(now->stage_since_ms, 2000);
  assert_int_equal(now->owner, 1);
  assert_int_equal(now->owner_is_manual, 1);
  assert_int_equal(now->action, 1);
  assert_int_equal(now->acted_ms, 1500);
  assert_true(now->memory[0] == 42 && now->memory[1] == 9);
  // engaged -> mql had no timer: 2000 + 5000; engaged -> visitor keeps what it was promised; the one that fired is not
  // armed again
  assert_int_equal(now->timer_count, 2);
  assert_int_equal(now->timer[0].transition, 1);
  assert_int_equal(now->timer[0].due_ms, 7000);
  assert_int_equal(now->timer[1].transition, 0);
  assert_true(now->timer[1].due_ms == 2000 + 21ll * DAY_MS);
  // later: what is overdue is due now
  policy_state_migrate(from, old, to, 50000, now);
  assert_int_equal(now->timer[0].due_ms, 50000);
  assert_state(to, now);
  free(a), free(b), free(c), free(d), free(old), free(now);
  policy_release(from), policy_release(to);
}

static void what_is_gone_leaves_no_trace(void **unused) {
  (void)unused;
  struct policy *from = load(sample_json);
  char *a = with(sample_json, "{\"name\": \"engaged\"}", "{\"name\": \"warm\"}");
  char *b = with(a, "[\"ann\", \"bob\"]", "[\"ann\"]");
  char *c = with(b, "\"from\": 0, \"to\": 1,", "\"from\": 0, \"to\": 1, \"after_ms\": 70,");
  struct policy *to = load(c);
  struct policy_state *old = new_state(from, 1000), *now = new_state(to, 0);
  state_enter(from, 1, 2000, old);
  old->owner = 1; // chosen by a rule
  policy_state_migrate(from, old, to, 9000, now);
  assert_state(to, now);
  assert_int_equal(now->stage, 0);
  assert_int_equal(now->stage_since_ms, 9000);
  assert_int_equal(now->owner, -1);
  assert_int_equal(now->owner_is_manual, 0);
  assert_int_equal(now->timer_count, 1);
  assert_int_equal(now->timer[0].due_ms, 9070);
  // Whom somebody chose by hand stays, by name, and is one of the people again where they know the name.
  old->owner_is_manual = 1;
  struct policy_sales *said = state_sales(from, old);
  said->owner_at_ms = 1500, said->rejected[0] = 2, said->rejected_at_ms[0] = 900, said->rejected[1] = 1;
  said->is_disqualified = 1, said->judged_at_ms = 1600;
  memcpy(said->judged_why, "no budget", 9);
  policy_state_migrate(from, old, to, 9000, now);
  assert_state(to, now);
  assert_true(now->owner == -1 && now->owner_is_manual == 1);
  assert_string_equal(policy_owner_name(to, now), "bob");
  const struct policy_sales *carried = policy_sales(to, now);
  assert_true(carried->rejected[0] == 1 && carried->rejected[1] == 0 && carried->owner_at_ms == 1500);
  assert_true(carried->is_disqualified && carried->judged_at_ms == 1600);
  assert_string_equal(carried->judged_why, "no budget");
  policy_state_migrate(to, now, from, 9000, old);
  assert_state(from, old);
  assert_true(old->owner == 1 && old->owner_is_manual == 1 && state_sales(from, old)->owner_name[0] == 0);
  free(a), free(b), free(c), free(old), free(now);
  policy_release(from), policy_release(to);
}

#define CALENDARS                                                                                                      \
  "\"calendars\": [{\"name\": \"o\", \"zone\": \"Europe/Berlin\", \"week\": [[], [540, 1020], [540, 1020], [540, "     \
  "1020], [540, 1020], [540, 1020], []], \"dates\": [[20819]]}], "

// Friday 2026-01-02, 16:00 in Berlin; 2027-01-01 is closed.
static void timers_go_by_a_calendar(void **unused) {
  (void)unused;
  enum { HOUR_MS = 3600000 };
  const int64_t friday = 20455ll * DAY_MS + 15 * HOUR_MS;
  static const struct {
    const char *wait;
    int hours; // from then to when it is due
  } waits[] = {{"\"open_ms\": 3600000, \"calendar\": 0", 1},
               {"\"open_ms\": 14400000, \"calendar\": 0", 3 * 24 - 7 + 3},
               {"\"open_days\": 2, \"calendar\": 0", 4 * 24},
               {"\"at_minute\": 570, \"at_day\": -1, \"calendar\": 0", 17},
               {"\"at_minute\": 960, \"at_day\": 5, \"calendar\": 0", 7 * 24},
               {"\"at_minute\": 960, \"at_day\": -2, \"calendar\": 0", 3 * 24}};
  for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
    char *a = with(sample_json, "\"owners\": [", CALENDARS "\"owners\": [");
    char *b = with(a, "\"after_ms\": 604800000", waits[i].wait);
    struct policy *policy = load(b), *before = load(sample_json);
    struct policy_state *state = new_state(policy, 0), *later = new_state(policy, 0), *old = new_state(before, 0);
    state_enter(policy, 1, friday, state);
    assert_state(policy, state);
    assert_int_equal(state->timer_count, 2);
    assert_int_equal(state->timer[0].transition, 3);
    int64_t due_ms = friday + (int64_t)waits[i].hours * HOUR_MS + (i == 3 ? HOUR_MS / 2 : 0);
    assert_int_equal(state->timer[0].due_ms, due_ms);
    // A running timer keeps what it was promised. A new one is due as if it had always been there, or when the clock next shows it.
    state->timer[0].due_ms = friday + 5;
    policy_state_migrate(policy, state, policy, friday + 365ll * DAY_MS, later);
    assert_memory_equal(state, later, policy_state_size(policy));
    free(a), free(b), free(state), free(later), free(old);
    policy_release(policy), policy_release(before);
  }
}

static void a_new_timer_of_the_clock_lies_ahead(void **unused) {
  (void)unused;
  char *a = with(sample_json, "\"owners\": [", CALENDARS "\"owners\": [");
  char *none = with(a, ", \"after_ms\": 604800000", "");
  char *b = with(a, "\"after_ms\": 604800000", "\"at_minute\": 540, \"at_day\": -1, \"calendar\": 0");
  struct policy *from = load(none), *to = load(b);
  struct policy_state *old = new_state(from, 0), *now = new_state(to, 0);
  state_enter(from, 1, 20455ll * DAY_MS, old);
  policy_state_migrate(from, old, to, 20465ll * DAY_MS, now);
  assert_state(to, now);
  assert_int_equal(now->timer[0].due_ms, 20465ll * DAY_MS + 8 * 3600000);
  free(a), free(b), free(none), free(old), free(now);
  policy_release(from), policy_release(to);
}

static void a_calendar_that_never_opens_arms_nothing(void **unused) {
  (void)unused;
  char *a =
      with(sample_json, "\"owners\": [",
           "\"calendars\": [{\"name\": \"o\", \"zone\": \"UTC\", \"week\": [[], [], [], [], [], [], []], \"dates\": "
           "[]}], \"owners\": [");
  char *b = with(a, "\"after_ms\": 604800000", "\"open_ms\": 1, \"calendar\": 0");
  struct policy *policy = load(b);
  struct policy_state *state = new_state(policy, 0);
  state_enter(policy, 1, 1000, state);
  assert_state(policy, state);
  assert_int_equal(state->timer_count, 1);
  free(a), free(b), free(state);
  policy_release(policy);
}

#define RENAMED                                                                                                        \
  "{\"name\": \"interested\"}, {\"name\": \"mql\", \"final\": true}], \"was\": [{\"name\": \"engaged\", \"to\": 1}"
#define MERGED  "{\"name\": \"mql\", \"final\": true}], \"was\": [{\"name\": \"engaged\", \"to\": 0}"
#define ENGAGED "{\"name\": \"engaged\"}, {\"name\": \"mql\", \"final\": true}"

static void a_stage_under_a_new_name_keeps_its_time_and_timers(void **unused) {
  (void)unused;
  struct policy *from = load(sample_json);
  char *text = with(sample_json, ENGAGED "]", RENAMED "]");
  struct policy *to = load(text);
  struct policy_state *old = new_state(from, 1000), *now = new_state(to, 0), *back = new_state(from, 0);
  state_enter(from, 1, 2000, old);
  state_drop_timer(old, 3); // has fired
  old->timer[0].due_ms = 12345;
  policy_state_migrate(from, old, to, 9000, now);
  assert_state(to, now);
  assert_int_equal(now->stage, 1);
  assert_int_equal(now->stage_since_ms, 2000);
  assert_int_equal(now->timer_count, 1);
  assert_int_equal(now->timer[0].due_ms, 12345);
  // And back, though the version before knows nothing of the new name.
  policy_state_migrate(to, now, from, 9500, back);
  assert_memory_equal(back, old, policy_state_size(from));
  assert_int_equal(policy_check_stages(to, from, "", NULL), 0);
  assert_int_equal(policy_check_stages(from, to, "", NULL), 0);
  free(text), free(old), free(now), free(back);
  policy_release(from), policy_release(to);
}

static void a_stage_put_into_another_is_entered_now(void **unused) {
  (void)unused;
  struct policy *from = load(sample_json);
  char *a = with(sample_json, ENGAGED "]", MERGED "]");
  char *b = with(a, "\"after_ms\": 1814400000,", "");
  char *c = with(b, "{\"from\": 1, \"to\": 2}", "{\"from\": 0, \"to\": 1, \"after_ms\": 70}");
  char *d = with(c, ",   {\"from\": 1, \"to\": 0, \"after_ms\": 604800000}", "");
  struct policy *to = load(d);
  struct policy_state *old = new_state(from, 1000), *now = new_state(to, 0);
  state_enter(from, 1, 2000, old);
  policy_state_migrate(from, old, to, 9000, now);
  assert_state(to, now);
  assert_int_equal(now->stage, 0);
  assert_int_equal(now->stage_since_ms, 9000);
  assert_int_equal(now->timer_count, 1);
  assert_int_equal(now->timer[0].due_ms, 9070);
  assert_int_equal(policy_check_stages(to, from, "", NULL), 0);
  free(a), free(b), free(c), free(d), free(old), free(now);
  policy_release(from), policy_release(to);
}

static void a_stage_that_goes_without_a_word_is_found(void **unused) {
  (void)unused;
  struct policy *from = load(sample_json);
  char *a = with(sample_json, "{\"name\": \"engaged\"}", "{\"name\": \"engages\"}"),
       *b = with(sample_json, ENGAGED "]", RENAMED "]");
  struct policy *to = load(a), *declared = load(b);
  struct policy_report report = {0};
  assert_int_equal(policy_check_stages(to, from, "at v1", &report), 1);
  assert_int_equal(report.errors, 1);
  assert_string_equal(report.problem[0].text,
                      "stage 'engaged' is gone, and leads may be in it at v1: say where they are now, journey.was "
                      "\"engaged\" { now = \"engages\", why = \"…\" }");
  policy_report_deinit(&report);
  // What one version declared, the next may not forget: leads may not have been heard of since.
  assert_int_equal(policy_check_stages(to, declared, "", NULL), 2);
  free(a), free(b);
  policy_release(from), policy_release(to), policy_release(declared);
}

#define FIELDS                                                                                                         \
  "\"memory\": [{\"name\": \"memory number calls\", \"initial\": 0}, {\"name\": \"memory choice plan\", \"initial\": " \
  "-1},"                                                                                                               \
  " {\"name\": \"memory choice plan at\", \"initial\": -1}, {\"name\": \"memory flag quiet\", \"initial\": 0}],"       \
  " \"fields\": [{\"name\": \"calls\", \"type\": \"number\", \"slot\": 0, \"merge\": \"sum\", \"least\": 0, "          \
  "\"most\": 9},"                                                                                                      \
  " {\"name\": \"plan\", \"type\": \"choice\", \"slot\": 1, \"merge\": \"latest\", \"least\": -1, \"most\": 1, "       \
  "\"options\": "                                                                                                      \
  "[\"free\", \"pro\"]},"                                                                                              \
  " {\"name\": \"quiet\", \"type\": \"flag\", \"slot\": 3, \"merge\": \"max\", \"least\": 0, \"most\": 1}]"
#define NO_FIELDS "\"memory\": [{\"name\": \"m1\", \"initial\": 0.5}, {\"name\": \"m2\"}]"

static void what_is_kept_goes_over_by_name_and_type(void **unused) {
  (void)unused;
  char *a = with(sample_json, NO_FIELDS, FIELDS);
  char *b = with(a, "\"most\": 9", "\"most\": 3"); // other bounds, other options, another type
  char *c = with(b, "[\"free\", \"pro\"]", "[\"trial\", \"pro\", \"free\"]");
  char *d = with(c, "memory flag quiet", "memory time quiet"), *e = with(d, "\"flag\"", "\"time\"");
  struct policy *from = load(a), *to = load(e);
  struct policy_state *old = new_state(from, 1000), *now = new_state(to, 0);
  old->memory[0] = 7, old->memory[1] = 1, old->memory[2] = 500, old->memory[3] = 1;
  policy_state_migrate(from, old, to, 9000, now);
  assert_state(to, now);
  assert_true(now->memory[0] == 3 && now->memory[1] == 1 && now->memory[2] == 500 && now->memory[3] == 0);
  old->memory[1] = 0;
  policy_state_migrate(from, old, to, 9000, now);
  assert_true(now->memory[1] == 2);
  policy_state_migrate(to, now, from, 9000, old);
  assert_true(old->memory[1] == 0);
  now->memory[1] = 0; // an option that the other has not
  policy_state_migrate(to, now, from, 9000, old);
  assert_true(old->memory[1] == -1);
  struct policy_report report = {0};
  assert_int_equal(policy_check_fields(to, from, "at v1", &report), 1);
  assert_string_equal(report.problem[0].text, "'quiet' was a flag at v1: it begins anew for every lead");
  policy_report_deinit(&report);
  assert_int_equal(policy_check_fields(from, to, "at v1", &report), 2);
  assert_string_equal(report.problem[0].text,
                      "'plan' was also trial at v1: for leads of which it was kept it is none now");
  policy_report_deinit(&report);
  free(a), free(b), free(c), free(d), free(e), free(old), free(now);
  policy_release(from), policy_release(to);
}

// Of two leads, as it was declared.
static void what_is_kept_is_merged_as_declared(void **unused) {
  (void)unused;
  char *json = with(sample_json, NO_FIELDS, FIELDS);
  struct policy *policy = load(json);
  for (int round = 0; round < 200; round++) {
    struct policy_state *a = new_state(policy, 1000), *b = new_state(policy, 1000);
    for (int i = 0; i < 2; i++) {
      struct policy_state *s = i ? b : a;
      s->memory[0] = (double)roll(10), s->memory[3] = (double)roll(2);
      if (roll(3)) s->memory[1] = (double)roll(2), s->memory[2] = (double)roll(100);
    }
    double sum = a->memory[0] + b->memory[0], quiet = a->memory[3] != 0 || b->memory[3] != 0;
    double plan = b->memory[2] > a->memory[2] ? b->memory[1] : a->memory[1];
    double at = b->memory[2] > a->memory[2] ? b->memory[2] : a->memory[2];
    policy_state_merge(policy, a, b);
    assert_state(policy, a);
    assert_true(a->memory[0] == (sum > 9 ? 9 : sum) && a->memory[1] == plan && a->memory[2] == at &&
                a->memory[3] == quiet);
    free(a), free(b);
  }
  free(json);
  policy_release(policy);
}

static void states_from_elsewhere_are_judged(void **unused) {
  (void)unused;
  struct policy *policy = load(sample_json);
  size_t size = policy_state_size(policy);
  struct policy_state *s = new_state(policy, 1000);
  state_enter(policy, 1, 2000, s);
  uint8_t *good = xmalloc(size);
  memcpy(good, s, size);
  assert_int_equal(policy_state_check(policy, bytes_of(good, size), NULL), 0);
  assert_int_equal(policy_state_check(policy, bytes_of(good, size - 8), NULL), ITD_ECORRUPT);
#define BAD(change)                                                                                                    \
  do {                                                                                                                 \
    memcpy(s, good, size);                                                                                             \
    change;                                                                                                            \
    assert_int_equal(policy_state_check(policy, bytes_of(s, size), NULL), ITD_ECORRUPT);                               \
  } while (0)
  BAD(s->stage = 3);
  BAD(s->stage = 2); // its timers are of another stage
  BAD(s->owner = 2);
  BAD(s->owner = -2);
  BAD(s->action = 2);
  BAD(s->owner_is_manual = 2);
  BAD(s->timer_count = 5);
  BAD(s->timer_count = 1);
  BAD(s->timer[0].transition = 4);
  BAD(s->timer[0].pad[2] = 1);
  BAD(s->timer[0].due_ms = s->timer[1].due_ms + 1);
  BAD(s->timer[1] = s->timer[0]);
  BAD(s->memory[0] = NAN);
  BAD(s->memory[1] = INFINITY);
  struct policy_sales *said = state_sales(policy, s);
  BAD(said->is_disqualified = 2);
  BAD(said->pad = 1);
  BAD(said->owner_name[0] = 'x'); // nobody set one
  BAD(s->owner_is_manual = 1);    // by hand, and nobody
  BAD(said->rejected[1] = 3);
  BAD(memset(said->judged_why, 'x', sizeof said->judged_why));
  BAD(said->owner_why[3] = 'x');
  BAD(said->judged_who[0] = (char)0xff);
  assert_int_equal(policy_state_check(policy, bytes_of(good, size - sizeof *said), NULL), 0);
  uint8_t *odd = xmalloc(size + 1); // at an odd address
  memcpy(odd + 1, good, size);
  assert_int_equal(policy_state_check(policy, bytes_of(odd + 1, size), NULL), 0);
  free(good), free(odd), free(s);
  policy_release(policy);
}

// ---- merging ----

static int falling(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x < y) - (x > y);
}

// Times of actions of two leads: the latest of both, list by list, whatever lies between the lists.
static void times_of_actions_are_merged_list_by_list(void **unused) {
  (void)unused;
  static const struct {
    size_t first, count; // cells
  } lists[] = {{1, 2}, {3, 3}, {6, 1}, {8, 2}};
  char *json =
      with(sample_json, "{\"name\": \"m1\", \"initial\": 0.5}, {\"name\": \"m2\"}",
           "{\"name\": \"evidence x 1 ago\"}, {\"name\": \"action 2 ago\"}, {\"name\": \"action 3 ago\"},"
           " {\"name\": \"offer a 1 1 ago\"}, {\"name\": \"offer a 1 2 ago\"}, {\"name\": \"offer a 1 3 ago\"},"
           " {\"name\": \"offer b 1 ago\"}, {\"name\": \"evidence y\"},"
           " {\"name\": \"channel mail 1 ago\"}, {\"name\": \"channel mail 2 ago\"}");
  struct policy *policy = load(json);
  for (int round = 0; round < 500; round++) {
    struct policy_state *a = new_state(policy, 0), *b = new_state(policy, 0);
    struct policy_state *of[] = {a, b};
    double want[10], all[4][2][8] = {0};
    for (int k = 0; k < 2; k++) {
      of[k]->memory[0] = (double)roll(50), of[k]->memory[7] = (double)roll(50);
      for (size_t l = 0; l < 4; l++) {
        size_t n = lists[l].count + (l == 0); // of all actions the last one is acted_ms
        for (size_t i = 0; i < n; i++) all[l][k][i] = (double)roll(30) - 1;
        qsort(all[l][k], n, sizeof(double), falling);
        if (l == 0) of[k]->acted_ms = (int64_t)all[l][k][0];
        memcpy(of[k]->memory + lists[l].first, all[l][k] + (l == 0), lists[l].count * sizeof(double));
      }
    }
    want[0] = a->memory[0] > b->memory[0] ? a->memory[0] : b->memory[0];
    want[7] = a->memory[7] > b->memory[7] ? a->memory[7] : b->memory[7];
    int64_t acted = 0;
    for (size_t l = 0; l < 4; l++) {
      size_t n = lists[l].count + (l == 0);
      double both[16];
      memcpy(both, all[l][0], n * sizeof(double)), memcpy(both + n, all[l][1], n * sizeof(double));
      qsort(both, 2 * n, sizeof(double), falling);
      if (l == 0) acted = (int64_t)both[0];
      memcpy(want + lists[l].first, both + (l == 0), lists[l].count * sizeof(double));
    }
    policy_state_merge(policy, a, b);
    assert_memory_equal(a->memory, want, sizeof want);
    assert_true(a->acted_ms == acted);
    free(a), free(b);
  }
  free(json);
  policy_release(policy);
}

int main(void) {
  const char *given = getenv("SEED");
  seed = given ? strtoull(given, NULL, 10) : 20260106;
  printf("SEED=%llu\n", (unsigned long long)seed);
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
  const struct CMUnitTest tests[] = {
      CASE(a_new_state_is_at_the_start),
      CASE(the_start_stage_arms_its_timers),
      CASE(timers_fire_in_a_defined_order),
      CASE(carrying_over_to_oneself_changes_nothing),
      CASE(names_carry_over_wherever_they_now_stand),
      CASE(times_of_actions_are_merged_list_by_list),
      CASE(what_is_gone_leaves_no_trace),
      CASE(timers_go_by_a_calendar),
      CASE(a_new_timer_of_the_clock_lies_ahead),
      CASE(a_calendar_that_never_opens_arms_nothing),
      CASE(a_stage_under_a_new_name_keeps_its_time_and_timers),
      CASE(a_stage_put_into_another_is_entered_now),
      CASE(a_stage_that_goes_without_a_word_is_found),
      CASE(what_is_kept_goes_over_by_name_and_type),
      CASE(what_is_kept_is_merged_as_declared),
      CASE(states_from_elsewhere_are_judged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
