// intent test: runs a policy's specs on the real engine, a made-up lead a case. scripts/spec.lua reads and judges them.
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/field.h"
#include "cli/folder.h"
#include "cli/show.h"
#include "cli/test_sources.h"
#include "engine/engine.h"
#include "feature/account.h"

#include <stdio.h>
#include <stdlib.h>

enum { SPECS_MAX = 256, SPEC_BYTES = 4 << 20, TRIES_MAX = 2000 };

static const struct option options[] = {{"only", "TEXT", "only cases whose name has this text in it"}, {0}};

struct testing {
  const struct args *args;
  const struct folder *folder;
  struct policy *policy;
  struct engine *engine;
  struct lua_module *modules; // the policy's, and one place for the spec
  size_t module_count;
  uint64_t passed, failed;
  bool is_broken; // a spec that can't be read
};

// One run of a case.
struct trial {
  struct testing *testing;
  struct lead *lead;
  struct buf outcomes; // packed maps, as scripts/spec.lua wants them
  struct buf last;     // the last decision
  struct buf taken;    // transitions of the entry at hand, packed texts
  uint32_t taken_count;
  bool is_held_out;
};

// ---- deciding ----

static void take_decision(struct trial *t, struct bytes answer) {
  buf_clear(&t->last);
  buf_append_bytes(&t->last, answer);
  struct bytes reason;
  for (struct each each = each_of(field(answer, "reasons")); each_next(&each, &reason);) {
    if (!bytes_is(field_text(reason, "kind"), "transition")) continue;
    mp_put_str(&t->taken, field_text(reason, "name"));
    t->taken_count++;
  }
  if (bytes_is(field_text(answer, "held"), "hold_out")) t->is_held_out = true;
}

static int decide(struct trial *t, struct bytes map, int64_t at_ms, struct error *err) {
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  struct engine_result result = {0};
  struct event event;
  struct event_digits digits;
  int status;
  if (map.n) {
    status = event_decode(map, at_ms, &limits, &digits, &event, err);
    if (status == 0) status = engine_event(t->testing->engine, &t->lead, &event, at_ms, &limits, &result, err);
  } else {
    status = engine_timers(t->testing->engine, &t->lead, at_ms, &result, err);
  }
  for (size_t i = 0; i < result.count; i++) take_decision(t, result.decision[i].answer);
  return status;
}

// What a step says of the lead's account: the engine knows none here, so it stands until another step says otherwise.
static int say_account(struct trial *t, struct bytes account, int64_t at_ms, struct error *err) {
  const struct feature_set *set = policy_features(t->testing->policy);
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
    if (at < 0 || !feature_account_say(set, lead_feature_state(t->lead), (size_t)at, number, text, at_ms))
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

static void put_outcome(struct trial *t) {
  struct bytes d = buf_bytes(&t->last);
  static const char *const texts[] = {"stage", "owner", "action", "ineligible", "held", "band"};
  static const char *const scores[] = {"combined", "fit", "engagement", "intent"};
  mp_put_map(&t->outcomes, 13);
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
  mp_put_cstr(&t->outcomes, "transitions");
  mp_put_array(&t->outcomes, t->taken_count);
  buf_append_bytes(&t->outcomes, buf_bytes(&t->taken));
}

static struct lead_id lead_of(struct bytes name, int try) {
  struct lead_id id;
  struct hash128 h = hash128(name);
  h.lo = hash_mix(h.lo, (uint64_t)try);
  memcpy(id.b, &h, sizeof id.b);
  id.b[0] = 0; // the partition
  return id;
}

// Runs the steps of a case for one made-up lead. Failures name the entry.
static int run_steps(struct trial *t, struct bytes read, int try, struct error *err) {
  int64_t entry = 0;
  struct bytes step, steps = field(read, "steps");
  buf_clear(&t->outcomes);
  t->is_held_out = false;
  lead_free(t->lead);
  t->lead = NULL;
  for (struct each each = each_of(steps); each_next(&each, &step);) {
    int64_t at_ms = field_int(step, "at_ms", 0);
    if (!t->lead) t->lead = lead_new(lead_of(field_text(read, "name"), try), 0, t->testing->policy, 1, at_ms);
    if (field_int(step, "entry", 0) != entry) {
      buf_clear(&t->taken);
      t->taken_count = 0;
      entry = field_int(step, "entry", 0);
    }
    int status = say_account(t, field(step, "account"), at_ms, err);
    if (status == 0) status = decide(t, field(step, "event"), at_ms, err);
    if (status < 0) {
      error_prefix(err, "entry %lld", (long long)entry);
      return status;
    }
    put_outcome(t);
  }
  return 0;
}

// A lead that the hold-outs take, or that they do not, as the case wants: the first of some that behaves so.
static int run_case(struct trial *t, struct bytes read, struct error *err) {
  bool wants_hold_out = field_is(read, "hold_out");
  int status = 0;
  for (int try = 0; try < TRIES_MAX && status == 0; try++) {
    status = run_steps(t, read, try, err);
    if (t->is_held_out == wants_hold_out) return status;
  }
  return status < 0 ? status : run_steps(t, read, 0, err);
}

// ---- judging ----

static int ask_spec(struct testing *t, const char *module, const char *path, int64_t number, const struct trial *trial,
                    uint32_t steps, struct buf *out, struct error *err) {
  struct buf input = {0};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  mp_put_map(&input, number ? 4 : 2);
  mp_put_cstr(&input, "spec"), mp_put_cstr(&input, module);
  mp_put_cstr(&input, "path"), mp_put_cstr(&input, path);
  if (number) {
    mp_put_cstr(&input, "case"), mp_put_int(&input, number);
    mp_put_cstr(&input, "outcomes"), mp_put_array(&input, steps);
    buf_append_bytes(&input, buf_bytes(&trial->outcomes));
  }
  int status = lua_build(t->modules, t->module_count + 1, "spec", buf_bytes(&input), &limits, out, err);
  buf_deinit(&input);
  return status;
}

void test_print_case(const struct args *args, const char *path, struct bytes name, bool ok, struct bytes failures,
                     const struct error *err) {
  struct buf out = {0};
  if (args_flag(args, "json")) {
    mp_put_map(&out, 4);
    mp_put_cstr(&out, "spec"), mp_put_cstr(&out, path);
    mp_put_cstr(&out, "case"), mp_put_str(&out, name);
    mp_put_cstr(&out, "ok"), mp_put_bool(&out, ok);
    mp_put_cstr(&out, "failures");
    if (failures.n)
      mp_put_raw(&out, failures);
    else if (err->code) {
      mp_put_array(&out, 1), mp_put_map(&out, 2);
      mp_put_cstr(&out, "where"), mp_put_cstr(&out, "while deciding");
      mp_put_cstr(&out, "text"), mp_put_cstr(&out, err->text);
    } else
      mp_put_array(&out, 0);
    show_json(buf_bytes(&out));
  } else {
    struct bytes failure;
    buf_append_str(&out, ok ? "ok      " : "not ok  ");
    show_text(&out, name);
    buf_append_u8(&out, '\n');
    for (struct each each = each_of(failures); each_next(&each, &failure);) {
      buf_append_str(&out, "          ");
      show_text(&out, field_text(failure, "where"));
      buf_append_str(&out, ": ");
      show_text(&out, field_text(failure, "text"));
      buf_append_u8(&out, '\n');
    }
    if (err->code) buf_printf(&out, "          %s\n", err->text);
    show_print(&out);
  }
  buf_deinit(&out);
}

static int test_case(struct testing *t, const char *module, const char *path, int64_t number, struct bytes read) {
  struct trial trial = {.testing = t};
  struct buf verdict = {0};
  struct error err = {0};
  uint32_t steps = 0;
  struct bytes step;
  for (struct each each = each_of(field(read, "steps")); each_next(&each, &step);) steps++;
  int status = run_case(&trial, read, &err);
  if (status == 0) status = ask_spec(t, module, path, number, &trial, steps, &verdict, &err);
  struct bytes failures = field(buf_bytes(&verdict), "failures");
  bool ok = status == 0 && mp_value_of(failures).count == 0;
  test_print_case(t->args, path, field_text(read, "name"), ok, failures, &err);
  if (ok)
    t->passed++;
  else
    t->failed++;
  lead_free(trial.lead);
  buf_deinit(&trial.outcomes);
  buf_deinit(&trial.last);
  buf_deinit(&trial.taken);
  buf_deinit(&verdict);
  return status;
}

// ---- one spec file ----

static bool is_wanted(const struct testing *t, struct bytes name) {
  const char *only = args_text(t->args, "only");
  return !only || memmem(name.p, name.n, only, strlen(only));
}

static void print_problems(struct testing *t, const char *path, struct bytes problems) {
  struct bytes problem;
  for (struct each each = each_of(problems); each_next(&each, &problem);) {
    struct bytes text = field_text(problem, "text");
    struct policy_problem p = {.line = (int)field_int(problem, "line", 0), .is_error = true};
    snprintf(p.path, sizeof p.path, "%s", path);
    snprintf(p.text, sizeof p.text, "%.*s", (int)text.n, (const char *)text.p);
    struct policy_report report = {.problem = &p, .count = 1, .errors = 1};
    folder_print(t->folder, &report, args_flag(t->args, "json"));
    t->is_broken = true;
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
  struct policy_report report = {.problem = &p, .count = 1, .errors = 1};
  folder_print(t->folder, &report, args_flag(t->args, "json"));
  t->is_broken = true;
}

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
  int status = file_read((const char *)real.p, SPEC_BYTES, &text, &err);
  t->modules[t->module_count] =
      (struct lua_module){.name = (const char *)module.p, .path = (const char *)path.p, .text = buf_bytes(&text)};
  if (status == 0) status = ask_spec(t, (const char *)module.p, (const char *)path.p, 0, NULL, 0, &read, &err);
  if (status < 0) spec_broken(t, (const char *)path.p, &err);
  struct bytes problems = field(buf_bytes(&read), "problems"), one;
  print_problems(t, (const char *)path.p, problems);
  int64_t number = 0;
  bool is_readable = status == 0 && mp_value_of(problems).count == 0;
  for (struct each each = each_of(field(buf_bytes(&read), "cases")); is_readable && each_next(&each, &one);) {
    number++;
    if (is_wanted(t, field_text(one, "name")))
      (void)test_case(t, (const char *)module.p, (const char *)path.p, number, one); // printed and counted there
  }
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

// The engine and the modules for specs; then all of them.
static int test_policy(struct testing *t, struct error *err) {
  const struct vm_limits limits = VM_LIMITS_DEFAULT;
  const struct lua_module *modules = policy_modules(t->policy, &t->module_count);
  t->modules = xcalloc(t->module_count + 1, sizeof *t->modules);
  memcpy(t->modules, modules, t->module_count * sizeof *modules);
  t->engine = engine_new(ENGINE_CLOCK_EVENT, &limits, no_other_policy, NULL);
  struct release release = {.policy = t->policy, .number = 1};
  int status = engine_prepare(t->engine, &release, err);
  if (status == 0) {
    engine_use(t->engine);
    status = test_all(t, err);
  }
  engine_free(t->engine);
  free(t->modules);
  return status;
}

static void print_summary(const struct testing *t) {
  struct buf out = {0};
  if (args_flag(t->args, "json")) {
    mp_put_map(&out, 4);
    mp_put_cstr(&out, "policy"), mp_put_cstr(&out, t->folder->name);
    mp_put_cstr(&out, "version"), mp_put_cstr(&out, policy_info(t->policy)->version);
    mp_put_cstr(&out, "passed"), mp_put_uint(&out, t->passed);
    mp_put_cstr(&out, "failed"), mp_put_uint(&out, t->failed);
    show_json(buf_bytes(&out));
  } else {
    buf_printf(&out, "%s %s: %llu passed, %llu failed\n", t->folder->name, policy_info(t->policy)->version,
               (unsigned long long)t->passed, (unsigned long long)t->failed);
    show_print(&out);
  }
  buf_deinit(&out);
}

// The specs of the sources of the set that the policy reads.
static void test_its_set(struct testing *t, struct test_count *count) {
  const char *signals = policy_info(t->policy)->signals; // "b2b@4"
  char *set = xstrndup(signals, strcspn(signals, "@"));
  if (*set) (void)test_sources_of(t->args, t->folder->scripts, t->folder->policies, set, count);
  free(set);
}

static int run(const struct args *args) {
  struct folder folder;
  struct error err = {0};
  if (test_is_set(args->operand[0])) return test_sources(args);
  if (folder_find(args, &folder, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  struct testing t = {.args = args, .folder = &folder};
  struct policy_report report = {0};
  int code = COMMAND_OK;
  if (folder_load(&folder, &t.policy, &report, &err) < 0) {
    folder_print(&folder, &report, args_flag(args, "json"));
    code = command_fail(args, COMMAND_NO, &err);
  } else if (test_policy(&t, &err) < 0) {
    code = command_fail(args, COMMAND_NO, &err);
  } else {
    print_summary(&t);
    struct test_count sources = {0};
    test_its_set(&t, &sources);
    t.passed += sources.passed, t.failed += sources.failed, t.is_broken |= sources.is_broken;
    if (t.failed || t.is_broken) code = COMMAND_NO;
    if (t.passed + t.failed == 0 && !t.is_broken) {
      error_set(&err, ITD_ENOTFOUND, "no case has \"%.100s\" in its name",
                args_flag(args, "only") ? args_text(args, "only") : "");
      code = command_fail(args, COMMAND_NO, &err);
    }
  }
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
    .help = "DIR is a policy's folder. Each of its files *_spec.lua is a list of cases: what a lead does, and what the "
            "policy should\n"
            "then think of it (docs/policy-guide.md). The specs of its signal set's sources are run behind them: what "
            "payloads become\n"
            "(docs/sources.md); of a signal set's folder, these alone. No daemon is needed; time is the events' own. "
            "Prints each case, and what it falls short "
            "of; the exit\n"
            "code is 1 when one does.\n"
            "\n"
            "  intent test policies/b2b_saas\n"
            "  intent test policies/b2b_saas --only demo\n"
            "  intent test policies/signals/b2b",
    .options = options,
    .run = run,
};
