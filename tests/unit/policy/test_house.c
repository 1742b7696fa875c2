// The house's own policies through the real Lua side: each loads, decides the same traced, archived and in a fresh
// state, for leads made up at random; and what a policy's text does wrong comes out with file and line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "policy/parts.h"
#include "policy/trace.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t seed;
static uint64_t roll(uint64_t below) {
  seed = hash_mix(seed, 0x9e3779b97f4a7c15u);
  return seed % below;
}

static const struct lua_limits build_limits = LUA_LIMITS_DEFAULT;
static const struct vm_limits call_limits = VM_LIMITS_DEFAULT;

static struct policy *load(const char *name) {
  struct policy_source source = {
      .policies_dir = "policies", .models_dir = "policies/models", .scripts_dir = "scripts", .name = name};
  struct policy *policy = NULL;
  struct policy_report report;
  struct error err = {0};
  int status = policy_load(&source, &build_limits, &policy, &report, &err);
  for (size_t i = 0; i < report.count; i++) {
    printf("%s:%d: %s%s\n", report.problem[i].path, report.problem[i].line,
           report.problem[i].is_error ? "" : "warning: ", report.problem[i].text);
  }
  policy_report_deinit(&report);
  if (status != 0) fail_msg("%s: %s", name, err.text);
  return policy;
}

// ---- leads at random ----

struct lead {
  double values[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  double contributions[MODEL_TERMS_MAX], points[MODEL_TERMS_MAX];
  struct event event;
  struct policy_input input;
};

static double some_number(void) {
  static const double special[] = {0, 1, 2, 3, 5, 10, 86400000, 1e9, 1e15, 0.5};
  if (roll(4) == 0) return NAN;
  return roll(2) ? special[roll(sizeof special / sizeof *special)] : (double)roll(100000) / 64;
}

// A text that one of the policy's tests looks for, now and then.
static struct bytes some_text(const struct policy *policy) {
  const struct artifact *a = policy->artifact;
  if (roll(3) == 0) return (struct bytes){0};
  if (a->test_count > 0 && roll(2)) {
    const struct artifact_test *test = &a->tests[roll(a->test_count)];
    for (uint32_t i = 0; !test->is_known && i <= test->any.mask; i++) {
      if (test->any.place[i].p && roll(2)) return test->any.place[i];
    }
  }
  return BYTES_LIT("some.where");
}

static void make_lead(const struct policy *policy, const struct policy_state *state, int64_t now_ms, struct lead *l) {
  const struct feature_set *set = policy_features(policy);
  for (size_t i = 0; i < feature_count(set); i++) {
    bool is_text = feature_info(set, i)->is_text;
    l->values[i] = is_text ? NAN : some_number();
    l->texts[i] = is_text ? some_text(policy) : (struct bytes){0};
  }
  l->event = (struct event){.type = EVENT_TRACK, .name = BYTES_LIT("?")};
  if (policy->artifact->event_count > 0 && roll(2))
    l->event.name = policy->artifact->events[roll(policy->artifact->event_count)];
  bool timer = state->timer_count > 0 && roll(4) == 0;
  l->input = (struct policy_input){.now_ms = timer && state->timer[0].due_ms > now_ms ? state->timer[0].due_ms : now_ms,
                                   .values = l->values,
                                   .texts = l->texts,
                                   .event = timer ? NULL : &l->event,
                                   .timer_transition = timer ? state->timer[0].transition : -1,
                                   .lead_hash = roll(UINT64_MAX),
                                   .event_hash = roll(UINT64_MAX)};
  const struct model_bound *fit = policy_model_fit(policy), *engagement = policy_model_engagement(policy);
  l->input.has_fit = fit != NULL, l->input.has_engagement = engagement != NULL;
  if (fit) model_score(fit, l->values, l->texts, l->contributions, l->points, &l->input.fit);
  if (engagement) model_score(engagement, l->values, l->texts, l->contributions, l->points, &l->input.engagement);
}

static struct policy_vm *open_vm(struct policy *policy) {
  struct policy_vm *vm = NULL;
  struct error err = {0};
  if (policy_vm_open(policy, &call_limits, &vm, &err) != 0) fail_msg("%s", err.text);
  return vm;
}

// ---- the trace ----

static struct bytes rule_text(struct bytes rule, const char *key) {
  struct bytes value, text = {0};
  assert_true(mp_find(rule, bytes_str(key), &value));
  return mp_as_str(value, &text) ? text : (struct bytes){0};
}

static bool rule_is(struct bytes rule, const char *kind, const char *outcome) {
  return bytes_is(rule_text(rule, "kind"), kind) && bytes_is(rule_text(rule, "outcome"), outcome);
}

static int64_t rule_value(struct bytes rule) {
  struct bytes value;
  double x;
  assert_true(mp_find(rule, BYTES_LIT("value"), &value));
  return mp_as_number(value, &x) ? (int64_t)x : 0;
}

static int64_t milli_of(const struct policy *policy, enum policy_table table, const struct policy_row *rows, int count,
                        struct bytes name) {
  for (int i = 0; i < count; i++)
    if (bytes_is(name, policy_entry(policy, table, rows[i].index)->name)) return rows[i].milli;
  return 0;
}

// What the trace says of each rule, held against what was decided.
static void judge_rule(const struct policy *policy, const struct policy_outcome *o, struct bytes rule, int *steps) {
  struct bytes name = rule_text(rule, "name");
  bool fired = bytes_is(rule_text(rule, "outcome"), "fired");
  if (rule_is(rule, "transition", "fired")) {
    assert_true(*steps < o->step_count);
    assert_true(bytes_is(name, policy_entry(policy, POLICY_TRANSITIONS, (size_t)o->step[*steps])->name));
    ++*steps;
  }
  if (bytes_is(rule_text(rule, "kind"), "evidence"))
    assert_int_equal(rule_value(rule), milli_of(policy, POLICY_EVIDENCE, o->evidence, o->evidence_count, name));
  if (bytes_is(rule_text(rule, "kind"), "channel"))
    assert_int_equal(rule_value(rule), milli_of(policy, POLICY_CHANNELS, o->channel_cap, o->channel_cap_count, name));
  if (bytes_is(rule_text(rule, "kind"), "adjust")) {
    int64_t milli = milli_of(policy, POLICY_ADJUSTMENTS, o->row, o->row_count, name);
    assert_int_equal(rule_value(rule), milli);
    assert_int_equal(fired, milli != 0);
  }
  if (bytes_is(rule_text(rule, "kind"), "route"))
    assert_int_equal(fired,
                     o->route >= 0 && bytes_is(name, policy_entry(policy, POLICY_ROUTES, (size_t)o->route)->name));
  if (bytes_is(rule_text(rule, "kind"), "offer"))
    assert_int_equal(fired, bytes_is(name, policy_entry(policy, POLICY_ACTIONS, (size_t)o->action)->name));
  if (rule_is(rule, "eligible", "fired")) assert_int_equal(o->eligible, 0);
  if (!bytes_is(rule_text(rule, "outcome"), "fired") && bytes_is(rule_text(rule, "kind"), "transition"))
    assert_true(rule_text(rule, "reason").n > 0); // why not
}

static void damage(struct policy_vm *vm, struct bytes read) {
  struct buf copy = {0}, out = {0};
  buf_append_bytes(&copy, read);
  for (int i = 0; i < 3; i++) copy.p[roll(copy.n)] = (uint8_t)roll(256);
  size_t n = roll(2) ? copy.n : roll(copy.n);
  int status = trace_put(vm, bytes_of(copy.p, n), &out, NULL);
  assert_true(status == 0 || status == ITD_ECORRUPT || status == ITD_ESTOPPED);
  assert_true(status == 0 || out.n == 0);
  buf_deinit(&copy), buf_deinit(&out);
}

// `vm` has just decided this; `other` knows nothing of it but what was read.
static void trace(const struct policy *policy, struct policy_vm *vm, struct policy_vm *other,
                  const struct policy_state *before, const struct lead *l, const struct policy_outcome *o) {
  struct buf read = {0}, told = {0}, again = {0};
  struct error err = {0};
  trace_put_read(vm, before, l->texts, &read);
  if (trace_put(other, buf_bytes(&read), &told, &err) != 0 || trace_put(vm, buf_bytes(&read), &again, &err) != 0)
    fail_msg("%s", err.text);
  assert_true(bytes_eq(buf_bytes(&told), buf_bytes(&again)));
  struct mp m = mp_of(buf_bytes(&told));
  int steps = 0, offers = 0;
  for (uint32_t i = mp_next(&m).count; i > 0; i--) {
    struct bytes rule = mp_take(&m);
    judge_rule(policy, o, rule, &steps);
    offers += rule_is(rule, "offer", "fired");
  }
  assert_int_equal(steps, o->step_count);
  assert_int_equal(offers, o->action > 0);
  damage(other, buf_bytes(&read));
  buf_deinit(&read), buf_deinit(&told), buf_deinit(&again);
}

// Lives of leads: each decided plain and traced in one state, plain in the archive's, all the same.
static void live(struct policy *policy, struct policy *archived, size_t decisions) {
  size_t size = policy_state_size(policy), conditions = policy_entries(policy, POLICY_CONDITIONS);
  struct policy_vm *vm = open_vm(policy), *other = open_vm(archived);
  struct policy_state *state = xmalloc(size), *copy[2] = {xmalloc(size), xmalloc(size)}, *before = xmalloc(size);
  struct policy_trace fired = {.fired = xmalloc(conditions + 1)};
  struct lead *l = xcalloc(1, sizeof *l);
  uint64_t stages = 0, actions = 0;
  int64_t now_ms = 1767225600000;
  for (size_t i = 0; i < decisions; i++) {
    if (i % 40 == 0) policy_state_init(policy, now_ms, state);
    now_ms += (int64_t)roll(86400000);
    make_lead(policy, state, now_ms, l);
    now_ms = l->input.now_ms; // a lead's clock never goes back
    struct policy_outcome plain, traced, again;
    struct error err = {0};
    memcpy(copy[0], state, size), memcpy(copy[1], state, size), memcpy(before, state, size);
    if (policy_decide(vm, &l->input, state, &plain, NULL, &err) != 0 ||
        policy_decide(vm, &l->input, copy[0], &traced, &fired, &err) != 0 ||
        policy_decide(other, &l->input, copy[1], &again, NULL, &err) != 0) {
      fail_msg("decision %zu: %s", i, err.text);
    }
    assert_true(policy_outcome_same(&plain, &traced) && policy_outcome_same(&plain, &again));
    assert_memory_equal(state, copy[0], size);
    assert_memory_equal(state, copy[1], size);
    if (policy_state_check(policy, bytes_of(state, size), &err) != 0) fail_msg("%s", err.text);
    for (size_t c = 0; c < conditions; c++) assert_in_range(fired.fired[c] + 1, 0, 2);
    if (i % 8 == 0) trace(policy, vm, other, before, l, &plain);
    stages |= 1ull << plain.stage, actions |= 1ull << (plain.action + 1);
  }
  printf("%s: %d of %zu stages, %d of %zu actions reached\n", policy_info(policy)->name, __builtin_popcountll(stages),
         policy_entries(policy, POLICY_STAGES), __builtin_popcountll(actions), policy_entries(policy, POLICY_ACTIONS));
  assert_true(__builtin_popcountll(stages) > 1); // else the leads try nothing
  policy_vm_close(vm), policy_vm_close(other);
  free(state), free(copy[0]), free(copy[1]), free(fired.fired), free(before), free(l);
}

static void the_policies_of_this_house_load_and_decide(void **unused) {
  (void)unused;
  char **names = NULL;
  size_t count = 0;
  struct error err = {0};
  if (policy_list("policies", &names, &count, &err) != 0) fail_msg("%s", err.text);
  assert_true(count >= 2);
  for (size_t i = 0; i < count; i++) {
    struct policy *policy = load(names[i]), *archived = NULL;
    struct buf archive;
    buf_init(&archive);
    policy_archive(policy, &archive);
    if (policy_load_archive(buf_bytes(&archive), &archived, &err) != 0) fail_msg("%s", err.text);
    assert_string_equal(policy_info(policy)->hash, policy_info(archived)->hash);
    printf("%s %s: archive of %zu bytes, state of %zu\n", names[i], policy_info(policy)->version, archive.n,
           policy_state_size(policy));
    live(policy, archived, 4000);
    buf_deinit(&archive);
    policy_release(policy), policy_release(archived);
  }
  dir_list_free(names, count);
}

// ---- a policy of the test's own ----

static char folder[64];
static int begin(void **unused) {
  (void)unused;
  snprintf(folder, sizeof folder, "/tmp/policy_house.XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}
static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  return (void)st, (void)flag, (void)ftw, remove(path);
}
static int end(void **unused) { return (void)unused, nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static void write_file(const char *name, const char *text) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  *strrchr(path, '/') = 0;
  assert_int_equal(dir_make(path, NULL), 0);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(file_replace(path, bytes_str(text), NULL), 0);
}

static const char own_head[] =
    "local policy, signal, journey, action = require 'policy', require 'signal', require 'journey', require 'action'\n"
    "local score = require 'score'\n"
    "local f = signal.features 'web@1'\n"
    "policy 'own' { owner = 'a@example.com', rationale = 'A test.', boundary = 'Nothing.' }\n"
    "score.combined { 40 }\n"
    "journey.start 'new'\n";
static const char own_tail[] = "journey.final 'done'\n"
                               "action.otherwise 'wait' { utility = 1, why = 'By default.' }\n";

static int load_own(const char *middle, struct policy **policy, struct policy_report *report, struct error *err) {
  char text[4000];
  snprintf(text, sizeof text, "%s%s%s", own_head, middle, own_tail);
  write_file("own/policy.lua", text);
  write_file("signals/web/signals.lua",
             "return { name = 'web', version = 1, owner = 'a@example.com', rationale = 'r', personal = {} }");
  write_file("signals/web/features/views.lua",
             "return { { name = 'views', op = 'count' }, { name = 'tz', op = 'last', of = 'traits.tz', "
             "text = true, on = { { type = 'identify' } }, class = 'profile' } }");
  struct policy_source source = {
      .policies_dir = folder, .models_dir = "policies/models", .scripts_dir = "scripts", .name = "own"};
  return policy_load(&source, &build_limits, policy, report, err);
}

// By the clock of the zone that the lead's feature names, or else the default: nothing goes out at night, and the next best does.
static void quiet_hours_go_by_the_leads_clock(void **unused) {
  (void)unused;
  struct policy *policy = NULL;
  struct error err = {0};
  int status =
      load_own("journey.stage 'new' { journey.go 'done' { on = 'x', why = 'W.' } }\n"
               "action.channel 'mail' { quiet = '20:00-08:00', zone = f.tz, default_zone = 'UTC', why = 'Sleep.' }\n"
               "action.offer 'mail' { stages = { 'new' }, channel = 'mail', utility = 9, why = 'W.' }\n"
               "action.offer 'note' { stages = { 'new' }, utility = 5, why = 'W.' }\n",
               &policy, NULL, &err);
  if (status != 0) fail_msg("%s", err.text);
  struct policy_vm *vm = open_vm(policy);
  struct policy_state *state = xmalloc(policy_state_size(policy));
  static const struct {
    const char *zone;
    int ahead_hours;
  } rows[] = {{"", 0}, {"nowhere", 0}, {"Asia/Tokyo", 9}, {"America/New_York", -5}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (int hour = 0; hour < 48; hour++) {
      double values[2] = {0, NAN};
      struct bytes texts[2] = {{0}, bytes_str(rows[i].zone)};
      struct policy_input input = {.now_ms = 1767225600000 + hour * 3600000ll, // 2026-01-01T00:00Z
                                   .values = values,
                                   .texts = texts,
                                   .timer_transition = -1};
      struct policy_outcome o;
      policy_state_init(policy, input.now_ms, state);
      if (policy_decide(vm, &input, state, &o, NULL, &err) != 0) fail_msg("%s", err.text);
      int clock = (hour + rows[i].ahead_hours + 24) % 24;
      bool is_quiet = clock >= 20 || clock < 8;
      assert_int_equal(o.action, is_quiet ? 2 : 1);
      assert_int_equal(o.suppressed_count, is_quiet);
      assert_true(!is_quiet || (o.suppressed[0].action == 1 && strcmp(o.suppressed[0].why, "quiet") == 0));
    }
  }
  free(state);
  policy_vm_close(vm);
  policy_release(policy);
}

static void a_custom_function_runs_and_a_raised_error_stops_the_call(void **unused) {
  (void)unused;
  struct policy *policy = NULL;
  struct error err = {0};
  int status = load_own("journey.stage 'new' { journey.go 'done' { when = signal.custom('odd', { reads = { f.views }, "
                        "why = 'A test.' },\n"
                        "  function(view)\n"
                        "    if view.views == 7 then local t = nil; return t.x end\n"
                        "    return view.views % 2 == 1\n"
                        "  end):at_least(1), why = 'Odd.' } }\n",
                        &policy, NULL, &err);
  if (status != 0) fail_msg("%s", err.text);
  assert_int_equal(policy_info(policy)->custom, 1);
  struct policy_vm *vm = open_vm(policy);
  struct policy_state *state = xmalloc(policy_state_size(policy)), *before = xmalloc(policy_state_size(policy));
  policy_state_init(policy, 1000, state);
  double values[2] = {4, NAN};
  struct bytes texts[2] = {{0}};
  struct policy_input input = {.now_ms = 2000, .values = values, .texts = texts, .timer_transition = -1};
  struct policy_outcome o;
  assert_int_equal(policy_decide(vm, &input, state, &o, NULL, &err), 0);
  assert_int_equal(o.step_count, 0);
  assert_int_equal(o.combined_milli, 40000);
  memcpy(before, state, policy_state_size(policy));
  values[0] = 7;
  assert_int_equal(policy_decide(vm, &input, state, &o, NULL, &err), ITD_ESTOPPED);
  if (!strstr(err.text, "policies/own/policy.lua:9:")) fail_msg("%s", err.text);
  assert_memory_equal(before, state, policy_state_size(policy));
  values[0] = 5; // and the next call is served by a new state
  assert_int_equal(policy_decide(vm, &input, state, &o, NULL, &err), 0);
  assert_int_equal(o.step_count, 1);
  assert_string_equal(policy_entry(policy, POLICY_STAGES, (size_t)o.stage)->name, "done");
  free(state), free(before);
  policy_vm_close(vm);
  policy_release(policy);
}

static void a_fault_in_the_text_names_its_line(void **unused) {
  (void)unused;
  static const struct {
    const char *middle;
    int line;
    const char *says;
  } rows[] = {
      {"journey.stage 'new' { journey.go 'done' { when = f.veiws:at_least(3), why = 'w' } }\n", 7,
       "did you mean 'views'"},
      {"journey.stage 'new' { journey.go 'done' { when = f.views:at_least(3), why = 'w' }\n", 8, "expected"},
      {"journey.stage 'new' { journey.go 'doen' { when = f.views:at_least(3), why = 'w' } }\n", 7, "doen"},
      {"journey.stage 'new' { journey.go 'done' { when = f.views:at_least(3), why = 'w' } }\nos.exit(1)\n", 8, "os"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct policy *policy = NULL;
    struct policy_report report;
    struct error err = {0};
    assert_int_equal(load_own(rows[i].middle, &policy, &report, &err), ITD_EPOLICY);
    bool found = false;
    for (size_t k = 0; k < report.count; k++) {
      const struct policy_problem *p = &report.problem[k];
      found |= p->is_error && strcmp(p->path, "policies/own/policy.lua") == 0 && p->line == rows[i].line &&
               strstr(p->text, rows[i].says);
    }
    if (!found)
      fail_msg("%zu: %s (%s:%d: %s)", i, err.text, report.problem[0].path, report.problem[0].line,
               report.problem[0].text);
    policy_report_deinit(&report);
  }
}

// Not a test of speed: a figure for people.
static void one_decision_takes(void **unused) {
  (void)unused;
  struct policy *policy = load("b2b_saas");
  struct policy_vm *vm = open_vm(policy);
  struct policy_state *state = xmalloc(policy_state_size(policy));
  struct lead *l = xcalloc(1, sizeof *l);
  policy_state_init(policy, 1767225600000, state);
  make_lead(policy, state, 1767225600000, l);
  l->input.timer_transition = -1;
  struct policy_outcome o;
  uint64_t began_ns = clock_mono_ns();
  for (int i = 0; i < 200000; i++) assert_int_equal(policy_decide(vm, &l->input, state, &o, NULL, NULL), 0);
  printf("b2b_saas: %.0f ns a decision\n", (double)(clock_mono_ns() - began_ns) / 200000);
  free(state), free(l);
  policy_vm_close(vm);
  policy_release(policy);
}

// Every action that b2b_saas could have taken of one lead, by many draws of the hold-out and of the exploration: each as often as
// it says, and all together surely.
static void actions_are_as_probable_as_they_say(void **unused) {
  (void)unused;
  enum { DRAWS = 40000, ACTIONS = 16 };
  struct policy *policy = load("b2b_saas");
  struct policy_vm *vm = open_vm(policy);
  size_t size = policy_state_size(policy);
  struct policy_state *begin_state = xmalloc(size), *state = xmalloc(size);
  struct lead *l = xcalloc(1, sizeof *l);
  policy_state_init(policy, 1767225600000, begin_state);
  state_enter(policy, 2, 1767225600000, begin_state);
  assert_string_equal(policy_entry(policy, POLICY_STAGES, 2)->name, "mql");
  make_lead(policy, begin_state, 1767225600000, l);
  const struct feature_set *set = policy_features(policy);
  for (size_t i = 0; i < feature_count(set); i++) l->values[i] = 0, l->texts[i] = (struct bytes){0};
  static const struct {
    const char *name;
    double value;
  } known[] = {{"pricing_views_7d", 3}, {"invites_30d", 2}, {"integrations", 1}, {"is_known", 1}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    l->values[feature_find(set, bytes_str(known[i].name))] = known[i].value;
  l->input.event = NULL, l->input.timer_transition = -1, l->input.now_ms = 1767225600000;
  l->input.has_fit = l->input.has_engagement = false;
  double times[ACTIONS] = {0}, said[ACTIONS] = {0};
  for (int i = 0; i < DRAWS; i++) {
    struct policy_outcome o;
    struct error err = {0};
    memcpy(state, begin_state, size);
    l->input.lead_hash = roll(UINT64_MAX), l->input.event_hash = roll(UINT64_MAX);
    if (policy_decide(vm, &l->input, state, &o, NULL, &err) != 0) fail_msg("%s", err.text);
    assert_true(o.action < ACTIONS && (said[o.action] <= 0 || fabs(said[o.action] - o.propensity) < 1e-15));
    said[o.action] = o.propensity;
    times[o.action]++;
  }
  double sum = 0, taken = 0;
  for (int a = 0; a < ACTIONS; a++) {
    sum += said[a], taken += said[a] > 0;
    // five standard deviations
    assert_true(fabs(times[a] - DRAWS * said[a]) <= 5 * sqrt(DRAWS * said[a] * (1 - said[a])) + 1e-9);
  }
  assert_true(fabs(sum - 1) < 1e-12);
  assert_int_equal((int)taken, 3); // left alone, the best, the one beside it
  free(begin_state), free(state), free(l);
  policy_vm_close(vm);
  policy_release(policy);
}

int main(void) {
  const char *given = getenv("SEED");
  seed = given ? strtoull(given, NULL, 10) : 20260108;
  printf("SEED=%llu\n", (unsigned long long)seed);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_policies_of_this_house_load_and_decide),
      cmocka_unit_test_setup_teardown(a_custom_function_runs_and_a_raised_error_stops_the_call, begin, end),
      cmocka_unit_test_setup_teardown(a_fault_in_the_text_names_its_line, begin, end),
      cmocka_unit_test_setup_teardown(quiet_hours_go_by_the_leads_clock, begin, end),
      cmocka_unit_test(actions_are_as_probable_as_they_say),
      cmocka_unit_test(one_decision_takes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
