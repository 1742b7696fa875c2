// intent test: runs a policy's specs on the real engine, made-up leads a case. scripts/cli/suite.lua reads and judges them.
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/field.h"
#include "cli/fixture.h"
#include "cli/folder.h"
#include "cli/scripts.h"
#include "cli/show.h"
#include "cli/test_coverage.h"
#include "cli/test_pools.h"
#include "cli/test_sources.h"
#include "engine/engine.h"
#include "feature/account.h"

#include <stdio.h>
#include <stdlib.h>

enum { SPECS_MAX = 256, SPEC_BYTES = 4 << 20, TRIES_MAX = 2000, ACTORS_MAX = 16, FIXTURES_MAX = 64 };

static const struct option options[] = {
    {"only", "TEXT", "only cases whose name has this text in it"},
    {"junit", "FILE", "also write the cases to this file, as JUnit's XML"},
    {"coverage", NULL, "also say which rules were never true, or never false, in any case"},
    {"coverage-least", "PERCENT",
     "the same, and exit code 1 when less than this share of outcomes was seen, such as 80%"},
    {0}};

struct testing {
  const struct args *args;
  const struct folder *folder;
  struct policy *policy;
  struct engine *engine;
  struct scripts scripts;    // scripts/cli/suite.lua and what it needs
  struct coverage *coverage; // NULL: not asked for
  struct test_report report;
};

// A spec file, as it is asked.
struct spec {
  const char *module, *path; // "b2b_saas.policy_spec", "policies/b2b_saas/policy_spec.lua"
  struct bytes text;
  struct buf fixtures; // packed pairs: file, what is in it
  uint32_t fixture_count;
};

// A lead of a case.
struct actor {
  struct lead *lead;
  struct buf last;  // the last decision
  struct buf taken; // transitions of the entry at hand, packed texts
  uint32_t taken_count;
  struct buf notes; // likewise
  uint32_t note_count;
  int64_t entry;
};

// One run of a case.
struct trial {
  struct testing *testing;
  struct actor actor[ACTORS_MAX];
  struct buf outcomes; // packed maps, as scripts/spec.lua wants them
  struct buf fired;    // of the last decision, a sign a condition
  bool is_held_out, is_explored;
  struct test_pools pools;
};

static void trial_clear(struct trial *t) {
  for (size_t i = 0; i < ACTORS_MAX; i++) {
    lead_free(t->actor[i].lead);
    buf_deinit(&t->actor[i].last);
    buf_deinit(&t->actor[i].taken);
    buf_deinit(&t->actor[i].notes);
    t->actor[i] = (struct actor){0};
  }
  buf_clear(&t->outcomes);
  buf_clear(&t->fired);
  test_pools_clear(&t->pools);
  t->is_held_out = t->is_explored = false;
}

static void trial_deinit(struct trial *t) {
  trial_clear(t);
  buf_deinit(&t->outcomes);
  buf_deinit(&t->fired);
}

// ---- deciding ----

static void see(void *context, const struct policy_outcome *outcome, const int8_t *fired) {
  struct trial *t = context;
  size_t conditions = policy_entries(t->testing->policy, POLICY_CONDITIONS);
  buf_clear(&t->fired);
  for (size_t i = 0; i < conditions; i++) buf_append_u8(&t->fired, fired[i] < 0 ? '-' : fired[i] ? '1' : '0');
  if (t->testing->coverage) coverage_see(t->testing->coverage, outcome, fired);
}

static void take_decision(struct trial *t, struct actor *a, struct bytes answer) {
  buf_clear(&a->last);
  buf_append_bytes(&a->last, answer);
  struct bytes reason;
  for (struct each each = each_of(field(answer, "reasons")); each_next(&each, &reason);) {
    bool is_step = bytes_is(field_text(reason, "kind"), "transition"),
         is_note = bytes_is(field_text(reason, "kind"), "note");
    if (is_step || is_note) mp_put_str(is_step ? &a->taken : &a->notes, field_text(reason, "name"));
    a->taken_count += is_step;
    a->note_count += is_note;
  }
  if (bytes_is(field_text(answer, "held"), "hold_out")) t->is_held_out = true;
  if (field_is(answer, "explored")) t->is_explored = true;
}

static struct actor *actor_of(struct trial *t, struct lead_id id) {
  struct actor *a = t->actor;
  while (!a->lead || !lead_id_eq(a->lead->id, id)) a++; // pools know the case's leads alone
  return a;
}

// What the decisions asked pools comes back as decisions of its own, before time goes on.
static int take_grants(struct trial *t, struct actor *a, struct engine_result *result, int64_t at_ms,
                       struct error *err) {
  struct buf body = {0};
  struct lead_id to;
  int status = 0;
  test_pools_take(&t->pools, result, a->lead);
  while (status == 0 && test_pools_next(&t->pools, &to, &body)) {
    a = actor_of(t, to);
    status = engine_grant(t->testing->engine, &a->lead, buf_bytes(&body), at_ms, result, err);
    if (status == ITD_ENOTFOUND) status = 0, result->count = 0; // it waits no more
    for (size_t i = 0; i < result->count; i++) take_decision(t, a, result->decision[i].answer);
    test_pools_take(&t->pools, result, a->lead);
  }
  buf_deinit(&body);
  return status;
}

static int decide(struct trial *t, struct actor *a, struct bytes map, int64_t at_ms, struct error *err) {
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  struct engine_result result = {0};
  struct event event;
  struct event_digits digits;
  int status;
  if (map.n) {
    status = event_decode(map, at_ms, &limits, &digits, &event, err);
    if (status == 0) status = engine_event(t->testing->engine, &a->lead, &event, at_ms, &limits, &result, err);
  } else {
    status = engine_timers(t->testing->engine, &a->lead, at_ms, &result, err);
  }
  for (size_t i = 0; i < result.count; i++) take_decision(t, a, result.decision[i].answer);
  return status == 0 ? take_grants(t, a, &result, at_ms, err) : status;
}

// What a step says of the lead's account: the engine knows none here, so it stands until another step says otherwise.
static int say_account(const struct policy *policy, struct actor *a, struct bytes account, int64_t at_ms,
                       struct error *err) {
  const struct feature_set *set = policy_features(policy);
  struct bytes name, value;
  for (struct each each = each_of_map(account); each_next_pair(&each, &name, &value);) {
    if (!mp_as_str(name, &name)) name = (struct bytes){0};
    int at = feature_find(set, name);
    bool is_text = at >= 0 && feature_info(set, (size_t)at)->is_text;
    double number = 0;
    struct bytes text = {0};
    int64_t span_ms;
    bool is_said = mp_as_str(value, &text);
    if (is_said && !is_text && duration_parse(text, &span_ms) == 0)
      number = (double)span_ms;
    else if (is_said != is_text)
      return error_set(err, ITD_EINVAL, "account: '%.*s' is %s", (int)name.n, (const char *)name.p,
                       is_text ? "a text" : "a number or a duration");
    else if (!is_said)
      (void)mp_as_number(value, &number); // scripts/spec.lua saw to it
    if (at < 0 || !feature_account_say(set, lead_feature_state(a->lead), (size_t)at, number, text, at_ms))
      return error_set(err, ITD_EINVAL, "account: '%.*s' is no feature of op \"account\"", (int)name.n,
                       (const char *)name.p);
  }
  return 0;
}

// ---- what scripts/spec.lua is told ----

static void put_text(struct buf *out, const char *key, struct bytes decision) {
  struct bytes text = field_text(decision, key);
  mp_put_cstr(out, key);
  mp_put_str(out, text.n ? text : BYTES_LIT("none"));
}

// What sales said, by the decision's reasons.
static void put_sales(struct buf *out, struct bytes decision) {
  struct bytes reason;
  struct buf names = {0};
  uint32_t count = 0;
  for (struct each each = each_of(field(decision, "reasons")); each_next(&each, &reason);) {
    if (!bytes_is(field_text(reason, "kind"), "sales")) continue;
    mp_put_str(&names, field_text(reason, "name"));
    count++;
  }
  mp_put_cstr(out, "sales"), mp_put_array(out, count);
  buf_append_bytes(out, buf_bytes(&names));
  buf_deinit(&names);
}

// Empty where the decision has none.
static void put_value(struct buf *out, const char *key, struct bytes value, bool is_list) {
  mp_put_cstr(out, key);
  if (value.n)
    mp_put_raw(out, value);
  else if (is_list)
    mp_put_array(out, 0);
  else
    mp_put_map(out, 0);
}

// `asked`: an expectation of scripts/cli/life.lua looks at it, and wants to say why.
static void put_outcome(struct trial *t, struct actor *a, bool asked, int64_t at_ms) {
  struct bytes d = buf_bytes(&a->last);
  static const char *const texts[] = {"stage", "owner", "action", "ineligible", "held", "band"};
  static const char *const scores[] = {"combined", "fit", "engagement", "intent"};
  mp_put_map(&t->outcomes, 18u + (asked ? 4 : 0));
  for (size_t i = 0; i < 6; i++) put_text(&t->outcomes, texts[i], d);
  for (size_t i = 0; i < 4; i++) {
    char path[32];
    snprintf(path, sizeof path, "scores.%s", scores[i]);
    mp_put_cstr(&t->outcomes, scores[i]);
    mp_put_float(&t->outcomes, (double)field_int(d, path, 0) / 1000.0);
  }
  mp_put_cstr(&t->outcomes, "eligible");
  mp_put_bool(&t->outcomes, field_is(d, "eligible"));
  struct bytes suppressed = field(d, "suppressed");
  mp_put_cstr(&t->outcomes, "suppressed");
  if (suppressed.n)
    mp_put_raw(&t->outcomes, suppressed);
  else
    mp_put_array(&t->outcomes, 0);
  put_sales(&t->outcomes, d);
  mp_put_cstr(&t->outcomes, "memory");
  if (field(d, "memory").n)
    mp_put_raw(&t->outcomes, field(d, "memory"));
  else
    mp_put_map(&t->outcomes, 0);
  mp_put_cstr(&t->outcomes, "transitions");
  mp_put_array(&t->outcomes, a->taken_count);
  buf_append_bytes(&t->outcomes, buf_bytes(&a->taken));
  mp_put_cstr(&t->outcomes, "notes");
  mp_put_array(&t->outcomes, a->note_count);
  buf_append_bytes(&t->outcomes, buf_bytes(&a->notes));
  put_value(&t->outcomes, "inside", field(d, "inside"), true);
  put_value(&t->outcomes, "regions", field(d, "regions"), false);
  if (!asked) return;
  mp_put_cstr(&t->outcomes, "decision");
  if (d.n)
    mp_put_raw(&t->outcomes, d);
  else
    mp_put_map(&t->outcomes, 0);
  mp_put_cstr(&t->outcomes, "lead"), engine_show(t->testing->policy, a->lead, &t->outcomes);
  mp_put_cstr(&t->outcomes, "fired"), mp_put_str(&t->outcomes, buf_bytes(&t->fired));
  mp_put_cstr(&t->outcomes, "at_ms"), mp_put_int(&t->outcomes, at_ms);
}

static struct lead_id lead_of(struct bytes name, int try) {
  struct lead_id id;
  struct hash128 h = hash128(name);
  h.lo = hash_mix(h.lo, (uint64_t)try);
  memcpy(id.b, &h, sizeof id.b);
  id.b[0] = 0; // the partition
  return id;
}

// One step: an event, or time that passes, of one of the case's leads.
static int run_step(struct trial *t, struct bytes read, struct bytes step, int try, struct error *err) {
  int64_t at_ms = field_int(step, "at_ms", 0), number = field_int(step, "lead", 1);
  CHECK(number >= 1 && number <= ACTORS_MAX); // scripts/cli/life.lua saw to it
  struct actor *a = &t->actor[number - 1];
  const struct policy *policy = t->testing->policy;
  struct lead_id id = lead_of(field_text(read, "name"), try + (int)(number - 1) * TRIES_MAX);
  if (!a->lead) a->lead = lead_new(id, 0, policy, 1, at_ms);
  if (field_int(step, "entry", 0) != a->entry) {
    buf_clear(&a->taken);
    a->taken_count = 0;
    buf_clear(&a->notes);
    a->note_count = 0;
    a->entry = field_int(step, "entry", 0);
  }
  int status = say_account(policy, a, field(step, "account"), at_ms, err);
  if (status == 0) status = decide(t, a, field(step, "event"), at_ms, err);
  if (status < 0)
    error_prefix(err, "entry %lld", (long long)a->entry);
  else
    put_outcome(t, a, field_is(step, "ask"), at_ms);
  return status;
}

// Runs the steps of a case for made-up leads. Failures name the entry.
static int run_steps(struct trial *t, struct bytes read, int try, struct error *err) {
  int status = 0;
  struct bytes step, steps = field(read, "steps");
  trial_clear(t);
  for (struct each each = each_of(steps); status == 0 && each_next(&each, &step);)
    status = run_step(t, read, step, try, err);
  return status;
}

// A lead that the hold-outs take, or for which something is explored, or neither, as the case wants: the first of some that
// behaves so.
static int run_case(struct trial *t, struct bytes read, struct error *err) {
  bool wants_hold_out = field_is(read, "hold_out"), wants_explored = field_is(read, "explore");
  struct coverage *coverage = t->testing->coverage;
  size_t mark = coverage ? coverage_mark(coverage) : 0;
  int status = 0;
  for (int try = 0; try < TRIES_MAX && status == 0; try++) {
    if (coverage) coverage_back(coverage, mark);
    status = run_steps(t, read, try, err);
    if (t->is_held_out == wants_hold_out && t->is_explored == wants_explored) return status;
  }
  if (status == 0 && coverage) coverage_back(coverage, mark);
  return status < 0 ? status : run_steps(t, read, 0, err);
}

// ---- judging ----

static uint32_t count_of(struct bytes list) { return list.n ? mp_value_of(list).count : 0; }

static void put_question(const struct testing *t, const struct spec *spec, int64_t number, const struct trial *trial,
                         uint32_t steps, struct buf *out) {
  const char *signals = policy_info(t->policy)->signals; // "b2b@4"
  mp_put_map(out, number ? 6 : 4);
  mp_put_cstr(out, "spec"), mp_put_cstr(out, spec->module);
  mp_put_cstr(out, "path"), mp_put_cstr(out, spec->path);
  mp_put_cstr(out, "signals"), mp_put_str(out, bytes_of(signals, strcspn(signals, "@")));
  mp_put_cstr(out, "fixtures"), mp_put_map(out, spec->fixture_count);
  buf_append_bytes(out, buf_bytes(&spec->fixtures));
  if (!number) return;
  mp_put_cstr(out, "case"), mp_put_int(out, number);
  mp_put_cstr(out, "outcomes"), mp_put_array(out, steps);
  buf_append_bytes(out, buf_bytes(&trial->outcomes));
}

static int ask_spec(struct testing *t, const struct spec *spec, int64_t number, const struct trial *trial,
                    uint32_t steps, struct buf *out, struct error *err) {
  struct buf question = {0};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  struct lua_module modules[SCRIPTS_MAX + 1];
  size_t count = t->scripts.count;
  memcpy(modules, t->scripts.module, count * sizeof *modules);
  modules[count++] = (struct lua_module){.name = spec->module, .path = spec->path, .text = spec->text};
  put_question(t, spec, number, trial, steps, &question);
  int status = policy_ask(t->policy, modules, count, "suite", buf_bytes(&question), &limits, out, err);
  buf_deinit(&question);
  return status;
}

// What the cases are, and the recorded leads that they ask for.
static int read_spec(struct testing *t, struct spec *spec, struct buf *read, struct error *err) {
  for (;;) {
    buf_clear(read);
    int status = ask_spec(t, spec, 0, NULL, 0, read, err);
    struct bytes file, wants = field(buf_bytes(read), "wants");
    if (status < 0 || count_of(wants) == 0) return status;
    for (struct each each = each_of(wants); each_next(&each, &file);) {
      if (++spec->fixture_count > FIXTURES_MAX)
        return error_set(err, ITD_EPOLICY, "%s: more than %d fixtures", spec->path, FIXTURES_MAX);
      mp_put_raw(&spec->fixtures, file);
      if (!mp_as_str(file, &file)) file = (struct bytes){0};
      fixture_put(t->folder->dir, file, &spec->fixtures);
    }
  }
}

static void test_case(struct testing *t, const struct spec *spec, int64_t number, struct bytes read) {
  struct trial trial = {.testing = t};
  struct buf verdict = {0};
  struct error err = {0};
  uint32_t steps = 0;
  struct bytes step, broken = field_text(read, "broken");
  bool is_pending = field_is(read, "pending");
  report_start(&t->report);
  engine_watch(t->engine, see, &trial);
  for (struct each each = each_of(field(read, "steps")); each_next(&each, &step);) steps++;
  int status = broken.n ? error_set(&err, ITD_EPOLICY, "%.*s", (int)broken.n, (const char *)broken.p) : 0;
  if (status == 0 && !is_pending) status = run_case(&trial, read, &err);
  if (status == 0 && !is_pending) status = ask_spec(t, spec, number, &trial, steps, &verdict, &err);
  struct bytes failures = field(buf_bytes(&verdict), "failures");
  bool ok = status == 0 && count_of(failures) == 0;
  const struct test_case judged = {.path = spec->path,
                                   .line = field_int(read, "line", 0),
                                   .name = field_text(read, "name"),
                                   .verdict = is_pending ? TEST_PENDING
                                              : ok       ? TEST_PASSED
                                                         : TEST_FAILED,
                                   .failures = failures,
                                   .err = &err};
  report_case(&t->report, &judged);
  engine_watch(t->engine, NULL, NULL);
  trial_deinit(&trial);
  buf_deinit(&verdict);
}

// ---- one spec file ----

static bool is_wanted(const struct testing *t, struct bytes name) {
  const char *only = args_text(t->args, "only");
  return !only || memmem(name.p, name.n, only, strlen(only));
}

static void print_problem(struct testing *t, const struct policy_problem *problem) {
  struct policy_problem copy = *problem;
  struct policy_report report = {.problem = &copy, .count = 1, .errors = 1};
  folder_print(t->folder, &report, args_flag(t->args, "json"));
  report_broken(&t->report, problem->path, problem->line, problem->text);
}

static void print_problems(struct testing *t, const char *path, struct bytes problems) {
  struct bytes problem;
  for (struct each each = each_of(problems); each_next(&each, &problem);) {
    struct bytes text = field_text(problem, "text");
    struct policy_problem p = {.line = (int)field_int(problem, "line", 0), .is_error = true};
    snprintf(p.path, sizeof p.path, "%s", path);
    snprintf(p.text, sizeof p.text, "%.*s", (int)text.n, (const char *)text.p);
    print_problem(t, &p);
  }
}

// An error that names its place itself ("policies/…/x_spec.lua:2: what") is taken apart.
static void spec_broken(struct testing *t, const char *path, const struct error *err) {
  struct policy_problem p = {.is_error = true};
  const char *what = err->text;
  size_t n = strlen(path);
  if (strncmp(what, path, n) == 0 && what[n] == ':') {
    char *end;
    long line = strtol(what + n + 1, &end, 10);
    bool has_line = *end == ':' && line > 0 && line <= INT32_MAX;
    if (has_line) p.line = (int)line;
    what = has_line ? end + 1 : what + n + 1;
    while (*what == ' ') what++;
  }
  snprintf(p.path, sizeof p.path, "%s", path);
  snprintf(p.text, sizeof p.text, "%s", what);
  print_problem(t, &p);
}

// What a spec may name without asking for it, in front of its first line; of scripts/cli/life.lua.
#define WORDS "local describe, it, pending, before_each, lead, fixture = require('life').words(); "

// `file` is relative to the policy's folder: "policy_spec.lua".
static void test_file(struct testing *t, const char *file) {
  struct buf text = {0}, module = {0}, path = {0}, real = {0}, read = {0};
  struct error err = {0};
  buf_printf(&real, "%s/%s", t->folder->dir, file);
  buf_append_u8(&real, 0);
  buf_printf(&path, "policies/%s/%s", t->folder->name, file);
  buf_append_u8(&path, 0);
  buf_printf(&module, "%s.%.*s", t->folder->name, (int)(strlen(file) - strlen(".lua")), file);
  for (size_t i = 0; i < module.n; i++)
    if (module.p[i] == '/') module.p[i] = '.';
  buf_append_u8(&module, 0);
  buf_append_str(&text, WORDS);
  int status = file_read((const char *)real.p, SPEC_BYTES, &text, &err);
  struct spec spec = {.module = (const char *)module.p, .path = (const char *)path.p, .text = buf_bytes(&text)};
  if (status == 0) status = read_spec(t, &spec, &read, &err);
  if (status < 0) spec_broken(t, spec.path, &err);
  struct bytes problems = field(buf_bytes(&read), "problems"), one;
  print_problems(t, spec.path, problems);
  int64_t number = 0;
  bool is_readable = status == 0 && count_of(problems) == 0;
  for (struct each each = each_of(field(buf_bytes(&read), "cases")); is_readable && each_next(&each, &one);) {
    number++;
    if (is_wanted(t, field_text(one, "name"))) test_case(t, &spec, number, one);
  }
  buf_deinit(&spec.fixtures);
  buf_deinit(&text);
  buf_deinit(&module);
  buf_deinit(&path);
  buf_deinit(&real);
  buf_deinit(&read);
}

static bool is_spec(const char *name) {
  size_t n = strlen(name);
  return n >= 9 && strcmp(name + n - 9, "_spec.lua") == 0;
}

static int test_all(struct testing *t, struct error *err) {
  char **names;
  size_t count, specs = 0;
  int status = dir_list(t->folder->dir, 4096, &names, &count, err);
  if (status < 0) return status;
  for (size_t i = 0; i < count; i++) {
    if (!is_spec(names[i])) continue;
    specs++;
    test_file(t, names[i]);
  }
  dir_list_free(names, count);
  return specs ? 0 : error_set(err, ITD_ENOTFOUND, "%s has no specs: files that end in _spec.lua", t->folder->dir);
}

static struct policy *no_other_policy(void *context, uint32_t number) {
  (void)context, (void)number;
  return NULL;
}

static int open_scripts(struct scripts *scripts, struct error *err) {
  static const char *const more[] = {"life", "explain", "outline"};
  int status = scripts_open(scripts, "scripts/cli/suite.lua", "suite", err);
  for (size_t i = 0; i < sizeof more / sizeof *more && status == 0; i++) {
    char path[64];
    snprintf(path, sizeof path, "scripts/cli/%s.lua", more[i]);
    status = scripts_more(scripts, path, more[i], err);
  }
  return status;
}

// The engine and the modules for specs; then all of them.
static int test_policy(struct testing *t, struct error *err) {
  const struct vm_limits limits = VM_LIMITS_DEFAULT;
  t->engine = engine_new(ENGINE_CLOCK_EVENT, &limits, no_other_policy, NULL);
  test_pools_use(t->engine);
  struct release release = {.policy = t->policy, .number = 1};
  int status = engine_prepare(t->engine, &release, err);
  if (status == 0) status = open_scripts(&t->scripts, err);
  if (status == 0) {
    engine_use(t->engine);
    status = test_all(t, err);
  }
  engine_free(t->engine);
  scripts_close(&t->scripts);
  return status;
}

static void print_summary(const struct testing *t) {
  const uint64_t *count = t->report.count;
  struct buf out = {0};
  if (args_flag(t->args, "json")) {
    mp_put_map(&out, count[TEST_PENDING] ? 5 : 4);
    mp_put_cstr(&out, "policy"), mp_put_cstr(&out, t->folder->name);
    mp_put_cstr(&out, "version"), mp_put_cstr(&out, policy_info(t->policy)->version);
    mp_put_cstr(&out, "passed"), mp_put_uint(&out, count[TEST_PASSED]);
    mp_put_cstr(&out, "failed"), mp_put_uint(&out, count[TEST_FAILED]);
    if (count[TEST_PENDING]) mp_put_cstr(&out, "pending"), mp_put_uint(&out, count[TEST_PENDING]);
    show_json(buf_bytes(&out));
  } else {
    buf_printf(&out, "%s %s: %llu passed, %llu failed", t->folder->name, policy_info(t->policy)->version,
               (unsigned long long)count[TEST_PASSED], (unsigned long long)count[TEST_FAILED]);
    if (count[TEST_PENDING]) buf_printf(&out, ", %llu pending", (unsigned long long)count[TEST_PENDING]);
    buf_append_u8(&out, '\n');
    show_print(&out);
  }
  buf_deinit(&out);
}

// The specs of the sources of the set that the policy reads.
static void test_its_set(struct testing *t) {
  const char *signals = policy_info(t->policy)->signals; // "b2b@4"
  char *set = xstrndup(signals, strcspn(signals, "@"));
  if (*set) (void)test_sources_of(&t->report, t->folder->scripts, t->folder->policies, set);
  free(set);
}

// ---- the command ----

// The share of --coverage-least, 0 to 100; below 0: not given.
static int read_least(const struct args *args, double *least, struct error *err) {
  const char *text = args_text(args, "coverage-least");
  *least = -1;
  if (!text) return 0;
  char *end;
  double percent = strtod(text, &end);
  if (*end == '%') end++;
  if (end == text || *end || !(percent >= 0 && percent <= 100))
    return error_set(err, ITD_EINVAL, "--coverage-least takes a share such as 80%%, not \"%.40s\"", text);
  *least = percent;
  return 0;
}

static int conclude_coverage(struct testing *t, double least, struct error *err) {
  double percent;
  if (!t->coverage) return COMMAND_OK;
  int status = coverage_print(t->coverage, t->folder, args_flag(t->args, "json"), &percent, err);
  if (status == 0 && percent < least)
    status = error_set(err, ITD_EPOLICY, "coverage is %.1f %%, below the %.4g %% that --coverage-least asks for",
                       percent, least);
  return status < 0 ? command_fail(t->args, COMMAND_NO, err) : COMMAND_OK;
}

// All specs were run: what they amount to.
static int conclude(struct testing *t, double least, struct error *err) {
  print_summary(t);
  test_its_set(t);
  int code = conclude_coverage(t, least, err);
  const uint64_t *count = t->report.count;
  if (count[TEST_FAILED] || count[TEST_BROKEN]) code = COMMAND_NO;
  if (report_write(&t->report, err) < 0) return command_fail(t->args, COMMAND_USAGE, err);
  if (count[TEST_PASSED] + count[TEST_FAILED] + count[TEST_BROKEN] + count[TEST_PENDING]) return code;
  error_set(err, ITD_ENOTFOUND, "no case has \"%.100s\" in its name",
            args_flag(t->args, "only") ? args_text(t->args, "only") : "");
  return command_fail(t->args, COMMAND_NO, err);
}

static int run(const struct args *args) {
  struct folder folder;
  struct error err = {0};
  double least;
  if (read_least(args, &least, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  if (test_is_set(args->operand[0])) return test_sources(args);
  if (folder_find(args, &folder, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  struct testing t = {.args = args, .folder = &folder};
  struct policy_report report = {0};
  int code = COMMAND_OK;
  report_begin(&t.report, args);
  int status = folder_load(&folder, &t.policy, &report, &err);
  if (status < 0) folder_print(&folder, &report, args_flag(args, "json"));
  if (status == 0 && (args_flag(args, "coverage") || least >= 0)) t.coverage = coverage_new(t.policy);
  if (status == 0) status = test_policy(&t, &err);
  code = status < 0 ? command_fail(args, COMMAND_NO, &err) : conclude(&t, least, &err);
  coverage_free(t.coverage);
  report_deinit(&t.report);
  policy_report_deinit(&report);
  policy_release(t.policy);
  folder_deinit(&folder);
  return code;
}

const struct command command_test = {
    .name = "test",
    .operands = "DIR",
    .operands_min = 1,
    .operands_max = 1,
    .uses = USES_POLICIES,
    .summary = "run a policy's specs on the real engine, and those of its signal set's sources",
    .help = "DIR is a policy's folder. Its files *_spec.lua say what leads do, and what the policy should then think "
            "of them: "
            "as lives,\n"
            "  it(\"makes a lead\", function() lead():views(\"pricing\", 3):wait(\"2d\"):expect_stage(\"mql\") end)\n"
            "or as a list of cases (docs/policy-guide.md has both). The specs of its signal set's sources are run "
            "behind them: "
            "what payloads\n"
            "become (docs/sources.md); of a signal set's folder, these alone. No daemon is needed; time is the events' "
            "own. "
            "Prints each case,\n"
            "and what it falls short of, and why; the exit code is 1 when one does.\n"
            "With --coverage also each rule whose condition was never true, or never false, in any case: what no spec "
            "looks "
            "at. A rule\n"
            "without a condition has one outcome, else there are two. --coverage-least is for CI.\n"
            "\n"
            "  intent test policies/b2b_saas\n"
            "  intent test policies/b2b_saas --only demo\n"
            "  intent test policies/b2b_saas --junit report.xml --coverage-least 80%\n"
            "  intent test policies/signals/b2b",
    .options = options,
    .run = run,
};
