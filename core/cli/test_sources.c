#include "cli/test_sources.h"

#include "base/buf.h"
#include "base/file.h"
#include "cli/field.h"
#include "cli/rows.h"
#include "cli/scripts.h"
#include "cli/show.h"
#include "cli/source_find.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { CASE_EVENTS = 100000 };

struct testing {
  const struct args *args;
  char *policies, *set, *scripts; // folders of the policies and of the library; the set's name
  const char *dir;                // the set's
  struct sources *sources;
  struct test_report *report;
  uint64_t before[TEST_VERDICTS]; // what it had counted by then
  size_t specs;                   // files
};

bool test_is_set(const char *dir) {
  char real[PATH_MAX];
  if (!realpath(dir, real)) return false;
  char *slash = strrchr(real, '/');
  if (!slash || slash == real) return false;
  *slash = 0;
  const char *above = strrchr(real, '/');
  return above && strcmp(above, "/signals") == 0;
}

// ---- mapping ----

struct outcome {
  struct buf events, refused, skipped; // packed
  uint32_t count[3];
};

static void take(struct outcome *o, struct bytes output) {
  struct bytes pair, index, event;
  for (struct each each = each_of(field(output, "events")); each_next(&each, &pair);) {
    struct each two = each_of(pair);
    if (!each_next(&two, &index) || !each_next(&two, &event)) continue;
    mp_put_raw(&o->events, event);
    o->count[0]++;
  }
  for (struct each each = each_of(field(output, "refused")); each_next(&each, &pair); o->count[1]++)
    mp_put_raw(&o->refused, pair);
  for (struct each each = each_of(field(output, "skipped")); each_next(&each, &pair); o->count[2]++)
    mp_put_raw(&o->skipped, pair);
}

static int map(struct testing *t, const char *source, struct bytes payload, struct outcome *o, struct error *err) {
  struct buf output = {0};
  const struct sources_call call = {.source = source, .payload = payload, .events_max = CASE_EVENTS};
  int status = sources_map(t->sources, &call, &output, err);
  if (status == 0) take(o, buf_bytes(&output));
  buf_deinit(&output);
  return status;
}

static int map_file(struct testing *t, const char *source, struct bytes name, struct outcome *o, struct error *err) {
  struct buf path = {0}, payload = {0};
  struct rows rows;
  buf_printf(&path, "%s/sources/%.*s", t->dir, (int)name.n, (const char *)name.p);
  buf_append_u8(&path, 0);
  int found = rows_open(&rows, (const char *)path.p, ROWS_BY_NAME, ',', err);
  if (found == 0) {
    while ((found = rows_next(&rows, &payload, err)) > 0) {
      found = map(t, source, buf_bytes(&payload), o, err);
      buf_clear(&payload);
      if (found < 0) break;
    }
    rows_close(&rows);
  }
  buf_deinit(&path);
  buf_deinit(&payload);
  return found;
}

static int map_case(struct testing *t, const char *source, struct bytes one, struct outcome *o, struct error *err) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct bytes json = field_text(one, "json");
  if (!json.n) return map_file(t, source, field_text(one, "file"), o, err);
  struct buf payload = {0};
  int status = mp_from_json(json, &limits, &payload, err);
  if (status == 0) status = map(t, source, buf_bytes(&payload), o, err);
  buf_deinit(&payload);
  return status;
}

// ---- cases ----

static void put_list(struct buf *out, const char *key, const struct buf *list, uint32_t count) {
  mp_put_cstr(out, key);
  mp_put_array(out, count);
  buf_append_bytes(out, buf_bytes(list));
}

static void test_case(struct testing *t, struct scripts *scripts, const char *source, const char *path,
                      struct bytes one) {
  struct outcome o = {0};
  struct buf input = {0}, verdict = {0};
  struct error err = {0};
  report_start(t->report);
  int status = map_case(t, source, one, &o, &err);
  mp_put_map(&input, 2);
  mp_put_cstr(&input, "case"), mp_put_int(&input, field_int(one, "number", 1));
  mp_put_cstr(&input, "outcome"), mp_put_map(&input, 3);
  put_list(&input, "events", &o.events, o.count[0]);
  put_list(&input, "refused", &o.refused, o.count[1]);
  put_list(&input, "skipped", &o.skipped, o.count[2]);
  if (status == 0) status = scripts_run(scripts, buf_bytes(&input), &verdict, &err);
  struct bytes failures = field(buf_bytes(&verdict), "failures");
  bool ok = status == 0 && mp_value_of(failures).count == 0;
  const struct test_case judged = {.path = path,
                                   .name = field_text(one, "name"),
                                   .verdict = ok ? TEST_PASSED : TEST_FAILED,
                                   .failures = failures,
                                   .err = &err};
  report_case(t->report, &judged);
  buf_deinit(&o.events), buf_deinit(&o.refused), buf_deinit(&o.skipped);
  buf_deinit(&input), buf_deinit(&verdict);
}

static void broken(struct testing *t, const char *path, struct bytes why) {
  struct error err = {0};
  error_set(&err, ITD_EPOLICY, "%s: %.*s", path, (int)why.n, (const char *)why.p);
  (void)command_fail(t->args, COMMAND_NO, &err);
  report_broken(t->report, path, 0, err.text);
}

static bool is_wanted(const struct testing *t, struct bytes name) {
  const char *only = args_text(t->args, "only");
  return !only || memmem(name.p, name.n, only, strlen(only));
}

// `file`: "stripe_spec.lua", whose source is stripe.
static void test_file(struct testing *t, const char *file) {
  struct buf path = {0}, read = {0};
  struct scripts scripts;
  struct error err = {0};
  struct bytes problem, one;
  static const uint8_t empty_map = 0x80;
  char *source = xstrndup(file, strlen(file) - strlen("_spec.lua"));
  buf_printf(&path, "%s/sources/%s", t->dir, file);
  buf_append_u8(&path, 0);
  const char *shown = (const char *)path.p;
  int status = scripts_open(&scripts, "scripts/cli/source_spec.lua", "source_spec", &err);
  if (status == 0) status = scripts_add(&scripts, shown, "spec", &err);
  if (status == 0) status = scripts_run(&scripts, bytes_of(&empty_map, 1), &read, &err);
  if (status < 0) broken(t, shown, bytes_str(err.text));
  for (struct each each = each_of(field(buf_bytes(&read), "problems")); each_next(&each, &problem);)
    if (mp_as_str(problem, &problem)) broken(t, shown, problem);
  for (struct each each = each_of(field(buf_bytes(&read), "cases")); each_next(&each, &one);)
    if (is_wanted(t, field_text(one, "name"))) test_case(t, &scripts, source, shown, one);
  scripts_close(&scripts);
  buf_deinit(&path);
  buf_deinit(&read);
  free(source);
}

static bool is_spec(const char *name) {
  size_t n = strlen(name);
  return n > 9 && strcmp(name + n - 9, "_spec.lua") == 0 && !strchr(name, '/');
}

static int test_all(struct testing *t, struct error *err) {
  char **names;
  size_t count;
  struct buf dir = {0};
  buf_printf(&dir, "%s/sources", t->dir);
  buf_append_u8(&dir, 0);
  int status = dir_list((const char *)dir.p, 4096, &names, &count, err);
  buf_deinit(&dir);
  if (status < 0) return status;
  for (size_t i = 0; i < count; i++) {
    if (!is_spec(names[i])) continue;
    t->specs++;
    test_file(t, names[i]);
  }
  dir_list_free(names, count);
  return 0;
}

// ---- the set ----

static void find_folders(struct testing *t) {
  char real[PATH_MAX];
  const char *given = args_text(t->args, "scripts");
  if (!realpath(t->dir, real)) return;
  char *slash = strrchr(real, '/');
  t->set = xstrdup(slash + 1);
  *slash = 0;
  *strrchr(real, '/') = 0; // signals
  t->policies = xstrdup(real);
  t->scripts = xstrdup(given ? given : INTENTD_ROOT "/scripts");
}

// Cases of these specs alone, since `before` was taken.
static uint64_t mine(const struct testing *t, enum test_verdict verdict) {
  return t->report->count[verdict] - t->before[verdict];
}

static void print_summary(const struct testing *t) {
  struct buf out = {0};
  if (args_flag(t->args, "json")) {
    mp_put_map(&out, 3);
    mp_put_cstr(&out, "signals"), mp_put_cstr(&out, t->set);
    mp_put_cstr(&out, "passed"), mp_put_uint(&out, mine(t, TEST_PASSED));
    mp_put_cstr(&out, "failed"), mp_put_uint(&out, mine(t, TEST_FAILED));
    show_json(buf_bytes(&out));
  } else {
    buf_printf(&out, "signals %s, sources: %llu passed, %llu failed\n", t->set,
               (unsigned long long)mine(t, TEST_PASSED), (unsigned long long)mine(t, TEST_FAILED));
    show_print(&out);
  }
  buf_deinit(&out);
}

// Of the set as a policy's: what is not there is no fault.
static int run_all(struct testing *t, bool is_policys, struct error *err) {
  const struct sources_limits limits = SOURCES_LIMITS_DEFAULT;
  int status = sources_of_set(t->scripts, t->policies, t->set, &limits, &t->sources, err);
  if (status == 0 && (!is_policys || sources_count(t->sources))) status = test_all(t, err);
  if (status == 0 && !is_policys && t->specs == 0)
    status = error_set(err, ITD_ENOTFOUND, "%s/sources has no specs: files that end in _spec.lua", t->dir);
  sources_release(t->sources);
  return status;
}

static int conclude(const struct testing *t, int status, const struct error *err) {
  if (status < 0) return command_fail(t->args, COMMAND_NO, err);
  if (mine(t, TEST_PASSED) + mine(t, TEST_FAILED)) print_summary(t);
  return mine(t, TEST_FAILED) || mine(t, TEST_BROKEN) ? COMMAND_NO : COMMAND_OK;
}

int test_sources(const struct args *args) {
  struct test_report report;
  report_begin(&report, args);
  struct testing t = {.args = args, .report = &report, .dir = args->operand[0]};
  struct error err = {0};
  find_folders(&t);
  int status = run_all(&t, false, &err);
  if (status == 0 && report.count[TEST_PASSED] + report.count[TEST_FAILED] + report.count[TEST_BROKEN] == 0)
    status = error_set(&err, ITD_ENOTFOUND, "no case has \"%.100s\" in its name",
                       args_text(args, "only") ? args_text(args, "only") : "");
  int code = conclude(&t, status, &err);
  if (status == 0 && report_write(&report, &err) < 0) code = command_fail(args, COMMAND_USAGE, &err);
  report_deinit(&report);
  free(t.policies), free(t.set), free(t.scripts);
  return code;
}

int test_sources_of(struct test_report *report, const char *scripts_dir, const char *policies_dir, const char *set) {
  struct testing t = {.args = report->args, .report = report};
  struct error err = {0};
  struct buf dir = {0};
  memcpy(t.before, report->count, sizeof t.before);
  buf_printf(&dir, "%s/signals/%s", policies_dir, set);
  buf_append_u8(&dir, 0);
  t.dir = (const char *)dir.p;
  t.policies = xstrdup(policies_dir), t.set = xstrdup(set), t.scripts = xstrdup(scripts_dir);
  int status = run_all(&t, true, &err);
  int code = conclude(&t, status, &err);
  if (status < 0) report_broken(report, t.dir, 0, err.text);
  free(t.policies), free(t.set), free(t.scripts);
  buf_deinit(&dir);
  return code;
}
