// Loads a policy: bundle, build, compile, bind, self-test; all of it or nothing. And what is asked of a loaded one.
// Loading runs on any thread; the result is immutable but for its reference count.
#include "policy/policy.h"

#include "base/check.h"
#include "base/hash.h"
#include "feature/account.h"
#include "policy/hears.h"
#include "policy/parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// ---- report ----

// Where findings of one load go: the first error is the load's.
struct findings {
  struct policy_report *report; // may be NULL
  const struct bundle *bundle;  // of the files, whose lines are named; may be NULL
  struct error *err;
  int status;
};

void policy_report_deinit(struct policy_report *report) {
  free(report->problem);
  *report = (struct policy_report){0};
}

void policy_report_add(struct policy_report *report, const struct policy_problem *problem) {
  if (!report) return;
  if ((report->count & (report->count + 1)) == 0) { // room doubles whenever it is full: at 0, 1, 3, 7, …
    report->problem = xrealloc(report->problem, (2 * report->count + 1) * sizeof *report->problem);
  }
  report->problem[report->count++] = *problem;
  if (problem->is_error) report->errors++;
}

static void found_problem(void *context, const struct policy_problem *problem) {
  const struct findings *f = context;
  struct policy_problem placed = *problem;
  place_problem(f->bundle, &placed);
  policy_report_add(f->report, &placed);
}

// "path:line: what" or "path: what", as every part below names its findings, taken apart again.
static struct policy_problem problem_of(const char *text, const char *path) {
  struct policy_problem problem = {.is_error = true};
  size_t n = strcspn(text, ": ");
  bool is_path = n > 0 && text[n] == ':' && memchr(text, '/', n);
  const char *what = text;
  if (is_path) {
    char *end = NULL;
    long line = strtol(text + n + 1, &end, 10);
    bool has_line = end != text + n + 1 && *end == ':' && line >= 0 && line <= INT32_MAX;
    problem.line = has_line ? (int)line : 0;
    what = has_line ? end + 1 : text + n + 1;
    while (*what == ' ') what++;
    snprintf(problem.path, sizeof problem.path, "%.*s", (int)n, text);
  } else {
    snprintf(problem.path, sizeof problem.path, "%s", path);
  }
  snprintf(problem.text, sizeof problem.text, "%s", what);
  return problem;
}

// An error of a lower part; `path` is the file that it is about, when its text does not begin with one.
static void found_error(struct findings *f, int status, const struct error *error, const char *path) {
  struct policy_problem problem = problem_of(error->text, path);
  place_problem(f->bundle, &problem);
  policy_report_add(f->report, &problem);
  if (f->status != 0) return;
  if (problem.line > 0)
    f->status = error_set(f->err, status, "%s:%d: %s", problem.path, problem.line, problem.text);
  else
    f->status = error_set(f->err, status, "%s: %s", problem.path, problem.text);
}

static void found(struct findings *f, int status, const char *path, const char *format, ...) ITD_PRINTF(4, 5);
static void found(struct findings *f, int status, const char *path, const char *format, ...) {
  struct error error = {0};
  va_list args;
  va_start(args, format);
  vsnprintf(error.text, sizeof error.text, format, args);
  va_end(args);
  found_error(f, status, &error, path);
}

static void drop_compiled(struct policy *policy) {
  feature_set_free(policy->features);
  schema_set_free(policy->schemas);
  quality_free(policy->quality);
  artifact_free(policy->artifact);
  free(policy->test_feature);
  free(policy->age_feature);
  free(policy->quiet_feature);
}

// ---- build ----

static const char *policy_path(const struct policy *policy, char path[128]) {
  snprintf(path, 128, "policies/%s/policy.lua", policy->bundle.name);
  return path;
}

// The part of a module's name behind "NAME.data.", or NULL.
static const char *data_name(const struct policy *policy, const struct lua_module *m) {
  char prefix[128];
  int n = snprintf(prefix, sizeof prefix, "policies/%s/data/", policy->bundle.name);
  if (strncmp(m->path, prefix, (size_t)n) != 0) return NULL;
  size_t length = strlen(m->path);
  if (length < 4 || strcmp(m->path + length - 4, ".csv") != 0) return NULL;
  return m->name + strlen(policy->bundle.name) + strlen(".data.");
}

// The signal set that a module is the declaration of, as a view of its name; n 0: it is none.
static struct bytes set_name(const struct lua_module *m) {
  const char *prefix = "signals.";
  const char *name = m->name + strlen(prefix);
  size_t n = strlen(m->name);
  bool is_set = strncmp(m->path, "policies/signals/", 17) == 0 && n > 16 && strcmp(m->name + n - 8, ".signals") == 0;
  if (!is_set) return (struct bytes){0};
  struct bytes set = bytes_of(name, n - strlen(prefix) - 8);
  return memchr(set.p, '.', set.n) ? (struct bytes){0} : set;
}

// Of the signal sets' files: the folders of a set are read by this list (scripts/signal_set.lua).
static bool is_set_file(const struct lua_module *m) { return strncmp(m->path, "policies/signals/", 17) == 0; }

static void put_files(const struct bundle *b, struct buf *out) {
  uint32_t files = 0;
  for (size_t i = 0; i < b->count; i++) files += is_set_file(&b->modules[i]);
  mp_put_cstr(out, "files"), mp_put_array(out, files);
  for (size_t i = 0; i < b->count; i++) {
    if (is_set_file(&b->modules[i])) mp_put_cstr(out, b->modules[i].path);
  }
}

void policy_put_input(const struct policy *policy, const char *key, struct bytes value, struct buf *out) {
  const struct bundle *b = &policy->bundle;
  uint32_t data = 0, sets = 0;
  for (size_t i = 0; i < b->count; i++) {
    data += data_name(policy, &b->modules[i]) != NULL;
    sets += set_name(&b->modules[i]).n > 0;
  }
  mp_put_map(out, key ? 5 : 4);
  mp_put_cstr(out, "policy"), mp_put_cstr(out, b->name);
  mp_put_cstr(out, "data"), mp_put_array(out, data);
  for (size_t i = 0; i < b->count; i++) {
    const char *name = data_name(policy, &b->modules[i]);
    if (name) mp_put_cstr(out, name);
  }
  mp_put_cstr(out, "sets"), mp_put_array(out, sets);
  for (size_t i = 0; i < b->count; i++) {
    struct bytes set = set_name(&b->modules[i]);
    if (set.n > 0) mp_put_str(out, set);
  }
  put_files(b, out);
  if (key) mp_put_cstr(out, key), mp_put_raw(out, value);
}

static void compile_schemas(struct policy *policy, struct findings *f);
static int compile_features(struct policy *policy, struct findings *f);

// What is wrong with the declarations comes first, where the policy could not be compiled: a rule that reads such a feature
// sounds as if the rule were wrong.
static void judge_set(struct policy *policy, struct findings *f) {
  struct policy judged = {.bundle = policy->bundle};
  struct error none = {0};
  if (artifact_parse_set(policy->bundle.built, &judged.artifact, &none) != 0) return;
  compile_schemas(&judged, f);
  (void)compile_features(&judged, f);
  drop_compiled(&judged);
}

// An error whose findings are in the report already, each; the first is the load's.
static void found_reported(struct findings *f, size_t known, int status, const struct error *error, const char *path) {
  bool is_reported = f->report && f->report->errors > known;
  struct findings quiet = {
      .report = is_reported ? NULL : f->report, .bundle = f->bundle, .err = f->err, .status = f->status};
  found_error(&quiet, status, error, path);
  f->status = quiet.status;
}

static int run_build(struct policy *policy, const struct lua_limits *limits, const struct buf *input,
                     struct error *err) {
  struct buf output = {0};
  int status = lua_build(policy->bundle.modules, policy->bundle.count, "build", buf_bytes(input), limits, &output, err);
  policy->bundle.built = arena_copy(&policy->bundle.arena, buf_bytes(&output));
  buf_deinit(&output);
  return status;
}

static int build(struct policy *policy, const struct lua_limits *limits, struct findings *f) {
  struct buf input = {0};
  policy_put_input(policy, NULL, (struct bytes){0}, &input);
  struct error error = {0};
  char path[128];
  int status = run_build(policy, limits, &input, &error);
  if (status == 0) judge_set(policy, f);
  size_t known = f->report ? f->report->errors : 0;
  if (status == 0) status = artifact_parse(policy->bundle.built, found_problem, f, &policy->artifact, &error);
  if (status != 0) found_reported(f, known, status, &error, policy_path(policy, path));
  buf_deinit(&input);
  return f->status;
}

static int check_artifact(const struct policy *policy, struct findings *f) {
  char path[128];
  const struct artifact *a = policy->artifact;
  if (strcmp(a->name, policy->bundle.name) != 0) {
    found(f, ITD_EPOLICY, policy_path(policy, path), "calls itself '%s'; its folder is '%s'", a->name,
          policy->bundle.name);
  }
  if (!bundle_name_ok(a->signal_set)) {
    found(f, ITD_EPOLICY, policy_path(policy, path), "signal set '%s': a-z, 0-9 and _ name one", a->signal_set);
  }
  return f->status;
}

// What is archived must be all that was read: with the other sets gone the policy is built once more, from what
// remains.
static int build_from_files(struct policy *policy, const struct lua_limits *limits, struct findings *f) {
  if (build(policy, limits, f) != 0 || check_artifact(policy, f) != 0) return f->status;
  if (!bundle_keep_signals(&policy->bundle, policy->artifact->signal_set)) return 0;
  artifact_free(policy->artifact);
  policy->artifact = NULL;
  size_t warnings = f->report ? f->report->count : 0;
  if (build(policy, limits, f) != 0) return f->status;
  if (f->report) f->report->count = warnings; // the same ones again
  return check_artifact(policy, f);
}

// ---- features, models ----

// The number of the declaration that an error of feature_set_compile is about, "features: NAME: …" or "features: #3: …";
// -1: of none.
static int64_t blamed(struct bytes declarations, const char *text) {
  static const char head[] = "features: ";
  if (strncmp(text, head, strlen(head)) != 0) return -1;
  const char *who = text + strlen(head);
  struct bytes name = bytes_of(who, strcspn(who, ":")), value, found;
  if (who[0] == '#') return strtoll(who + 1, NULL, 10) - 1;
  struct mp m = mp_of(declarations);
  int64_t last = -1; // of a name that is there twice it is the second
  for (uint32_t i = 0, count = mp_next(&m).count; i < count; i++) {
    struct bytes map = mp_take(&m);
    bool is_map = mp_value_of(map).type == MP_MAP;
    if (is_map && mp_find(map, BYTES_LIT("name"), &value) && mp_as_str(value, &found) && bytes_eq(found, name))
      last = i;
  }
  return last;
}

static const char *file_of_features(const struct artifact *a, const char *error, char path[128]) {
  int64_t at = blamed(a->declarations, error);
  if (at >= 0 && (size_t)at < a->feature_file_count) return (const char *)a->feature_file[at].p;
  snprintf(path, 128, "policies/signals/%s/features", a->signal_set);
  return path;
}

static void find_ages(struct policy *policy, struct findings *f) {
  const struct artifact *a = policy->artifact;
  char path[128];
  policy->age_feature = xcalloc(a->age_count + 1, sizeof *policy->age_feature);
  for (size_t i = 0; i < a->age_count; i++) {
    int index = policy->age_feature[i] = feature_find(policy->features, a->ages[i]);
    const char *name = (const char *)a->ages[i].p; // the arena ends it with a NUL
    if (index < 0)
      found(f, ITD_EPOLICY, policy_path(policy, path), "asks for the age of '%s', which is no feature", name);
    else if (!feature_info(policy->features, (size_t)index)->has_age)
      found(f, ITD_EPOLICY, policy_path(policy, path), "asks for the age of '%s', which keeps none", name);
  }
}

static void find_quiet(struct policy *policy, struct findings *f) {
  const struct artifact *a = policy->artifact;
  char path[128];
  policy->quiet_feature = xcalloc(a->quiet_count + 1, sizeof *policy->quiet_feature);
  for (size_t i = 0; i < a->quiet_count; i++) {
    const char *name = a->quiet[i].feature;
    int index = policy->quiet_feature[i] = name ? feature_find(policy->features, bytes_str(name)) : -1;
    if (name && (index < 0 || !feature_info(policy->features, (size_t)index)->is_text))
      found(f, ITD_EPOLICY, policy_path(policy, path), "quiet hours go by '%s', which is no feature of text", name);
  }
}

static int compile_features(struct policy *policy, struct findings *f) {
  const struct artifact *a = policy->artifact;
  char path[128];
  struct error error = {0};
  int status = feature_set_compile(a->declarations, &policy->features, &error);
  if (status != 0) return found_error(f, status, &error, file_of_features(a, error.text, path)), f->status;
  CHECK(feature_count(policy->features) == a->feature_count);
  policy->test_feature = xcalloc(a->test_count + 1, sizeof *policy->test_feature);
  for (size_t i = 0; i < a->test_count; i++) {
    const char *name = a->tests[i].feature_name;
    int index = policy->test_feature[i] = feature_find(policy->features, bytes_str(name));
    if (index < 0)
      found(f, ITD_EPOLICY, policy_path(policy, path), "a text test names '%s', which is no feature", name);
    else if (!feature_info(policy->features, (size_t)index)->is_text) {
      found(f, ITD_EPOLICY, policy_path(policy, path), "a text test names '%s', which is a number", name);
    }
  }
  find_ages(policy, f);
  find_quiet(policy, f);
  return f->status;
}

// ---- schemas and quality ----

// The file that declares a version of a schema, or the folder.
static const char *file_of_schema(const struct artifact *a, const char *name, uint32_t version, char path[128]) {
  struct bytes value, text;
  double number;
  snprintf(path, 128, "policies/signals/%s/schemas", a->signal_set);
  if (!a->schemas.n || mp_value_of(a->schemas).type != MP_ARRAY) return path;
  struct mp m = mp_of(a->schemas);
  for (uint32_t i = 0, count = mp_next(&m).count; i < count && i < a->schema_file_count; i++) {
    struct bytes map = mp_take(&m);
    if (mp_value_of(map).type == MP_MAP && mp_find(map, BYTES_LIT("name"), &value) && mp_as_str(value, &text) &&
        bytes_is(text, name) && mp_find(map, BYTES_LIT("version"), &value) && mp_as_number(value, &number) &&
        number == version)
      return (const char *)a->schema_file[i].p;
  }
  return path;
}

// "schemas: NAME@2: …" and "schemas: #3: …" name the declaration that is wrong.
static const char *file_of_schema_error(const struct artifact *a, const char *text, char path[128]) {
  static const char head[] = "schemas: ";
  char name[80] = "";
  unsigned version = 0, number = 0;
  bool is_said = strncmp(text, head, strlen(head)) == 0;
  if (is_said && sscanf(text + strlen(head), "#%u", &number) == 1 && number >= 1 && number <= a->schema_file_count)
    return (const char *)a->schema_file[number - 1].p;
  if (is_said) sscanf(text + strlen(head), "%79[a-z0-9_]@%u", name, &version);
  return file_of_schema(a, name, version, path);
}

static void join_personal(struct policy *policy) {
  struct personal_paths own = policy->artifact->personal, more = schema_personal(policy->schemas);
  struct bytes *path = arena_alloc(&policy->artifact->arena, (own.count + more.count + 1) * sizeof *path);
  if (own.count) memcpy(path, own.path, own.count * sizeof *path);
  if (more.count) memcpy(path + own.count, more.path, more.count * sizeof *path);
  policy->personal = (struct personal_paths){path, own.count + more.count};
}

// A path is personal, or lies below one that is.
static bool is_personal(const struct policy *policy, struct bytes path) {
  for (size_t i = 0; i < policy->personal.count; i++) {
    struct bytes p = policy->personal.path[i];
    if (path.n >= p.n && memcmp(path.p, p.p, p.n) == 0 && (path.n == p.n || path.p[p.n] == '.')) return true;
  }
  return false;
}

// Traits of accounts lie in the open, and all leads of one read them.
static void check_traits(const struct policy *policy, struct findings *f) {
  for (size_t i = 0; i < feature_count(policy->features); i++) {
    struct bytes path = feature_trait_path(policy->features, i);
    if (!path.n || !is_personal(policy, path)) continue;
    char file[128];
    struct error error = {0};
    int status =
        error_set(&error, ITD_EPOLICY, "features: %s: %.*s is personal, and an account is not: all its leads read it",
                  feature_info(policy->features, i)->name, (int)path.n, (const char *)path.p);
    found_error(f, status, &error, file_of_features(policy->artifact, error.text, file));
  }
}

static void compile_schemas(struct policy *policy, struct findings *f) {
  const struct artifact *a = policy->artifact;
  struct error error = {0};
  char path[128];
  int status = schema_set_compile(a->schemas, &policy->schemas, &error);
  if (status != 0)
    found_error(f, status, &error, file_of_schema_error(a, error.text, path));
  else
    join_personal(policy);
  error = (struct error){0};
  status = quality_compile(a->quality, &policy->quality, &error);
  snprintf(path, sizeof path, "policies/signals/%s/quality.lua", a->signal_set);
  if (status != 0) found_error(f, status, &error, path);
}

struct schema_finding {
  const struct policy *policy;
  struct policy_report *report;
};

static void found_schema(void *context, bool is_error, const char *name, uint32_t version, const char *text) {
  const struct schema_finding *s = context;
  struct policy_problem problem = {.is_error = is_error};
  char path[128];
  snprintf(problem.path, sizeof problem.path, "%s", file_of_schema(s->policy->artifact, name, version, path));
  snprintf(problem.text, sizeof problem.text, "schema %s@%u: %s", name, version, text);
  place_problem(&s->policy->bundle, &problem);
  policy_report_add(s->report, &problem);
}

size_t policy_check_schemas(const struct policy *policy, const struct policy *before, struct policy_report *report) {
  struct schema_finding s = {policy, report};
  return schema_check(policy->schemas, before ? before->schemas : NULL, found_schema, &s);
}

// Only of files: what is archived was in force.
static void check_schemas(const struct policy *policy, struct findings *f) {
  struct policy_report mine = {0};
  struct policy_report *report = f->report ? f->report : &mine;
  size_t first = report->count;
  if (policy_check_schemas(policy, NULL, report) > 0 && f->status == 0)
    for (size_t i = first; i < report->count && f->status == 0; i++)
      if (report->problem[i].is_error)
        f->status = report->problem[i].line > 0
                        ? error_set(f->err, ITD_EPOLICY, "%s:%d: %s", report->problem[i].path, report->problem[i].line,
                                    report->problem[i].text)
                        : error_set(f->err, ITD_EPOLICY, "%s: %s", report->problem[i].path, report->problem[i].text);
  policy_report_deinit(&mine);
}

// A split model without features of one group would have a score that says nothing.
static void check_split(const struct model_bound *bound, const char *path, struct findings *f) {
  size_t count[2] = {0};
  for (size_t t = 0; t < model_terms(bound); t++) count[model_term_class(bound, t) == FEATURE_PROFILE]++;
  if (count[0] && count[1]) return;
  found(
      f, ITD_EMODEL, path,
      "all its %zu features are %s, and a split model gives fit by the profile and engagement by the behaviour; write "
      "models = { %s = \"%s\" }",
      model_terms(bound), count[1] ? "profile" : "behaviour", count[1] ? "fit" : "engagement",
      model_bound_info(bound)->name);
}

// fit is the profile alone, engagement the behaviour alone: else an outcome's two scores would not mean what they are
// called.
static void check_classes(const struct policy *policy, const struct model_bound *bound, int role, const char *path,
                          struct findings *f) {
  enum feature_class wanted = role == BUNDLE_FIT ? FEATURE_PROFILE : FEATURE_BEHAVIOUR;
  for (size_t t = 0; t < model_terms(bound); t++) {
    const struct feature_info *info = feature_info(policy->features, (size_t)model_term_feature(bound, t));
    if (info->class == wanted) continue;
    found(f, ITD_EMODEL, path, "feature '%s' is %s, and a %s model is of the %s alone", info->name,
          info->class == FEATURE_PROFILE ? "profile" : "behaviour", bundle_model_role[role],
          role == BUNDLE_FIT ? "profile" : "behaviour");
  }
}

static void bind_model(const struct policy *policy, int role, const struct bundle_model *m, struct model **model,
                       struct model_bound **bound, struct findings *f) {
  if (!m->name) return;
  char path[200];
  snprintf(path, sizeof path, "models/%s/%s/model.json", m->name, m->version);
  struct error error = {0};
  int status = model_parse(m->model_json, m->weights_json, model, &error);
  if (status == 0) {
    const struct model_info *info = model_info(*model);
    if (strcmp(info->name, m->name) != 0 || strcmp(info->version, m->version) != 0) {
      found(f, ITD_EMODEL, path, "says that it is %s@%s", info->name, info->version);
    }
    status = model_bind(*model, policy->features, bound, &error);
  }
  if (status != 0)
    found_error(f, status, &error, path);
  else if (role == BUNDLE_SPLIT)
    check_split(*bound, path, f);
  else
    check_classes(policy, *bound, role, path, f);
}

static void bind_models(struct policy *policy, struct findings *f) {
  const struct bundle *b = &policy->bundle;
  for (int role = 0; role < BUNDLE_MODELS; role++) {
    bind_model(policy, role, &b->model[role], &policy->model[role], &policy->bound[role], f);
    const struct bundle_model *c = &b->canary[role];
    bind_model(policy, role, c, &policy->canary_model[role], &policy->canary[role], f);
    if (c->name) policy->canary_salt[role] = hash_mix(hash64(bytes_str(c->name)), hash64(bytes_str(c->version)));
  }
}

// ---- load ----

static void describe(struct policy *policy) {
  const struct artifact *a = policy->artifact;
  struct policy_info *info = &policy->info;
  *info = (struct policy_info){.name = a->name,
                               .owner = a->owner,
                               .rationale = a->rationale,
                               .boundary = a->boundary,
                               .signals = a->signals,
                               .mode = a->mode,
                               .custom = a->custom};
  bundle_name_version(&policy->bundle);
  bundle_hash(&policy->bundle, info->hash);
  memcpy(info->text_hash, policy->bundle.version, sizeof info->text_hash);
  memcpy(info->version, info->text_hash, sizeof info->version - 1);
  bundle_data_hash(&policy->bundle, info->data_hash);
  snprintf(info->data, sizeof info->data, "%.12s", info->data_hash);
  uint64_t hash = feature_set_hash(policy->features);
  for (size_t i = 0; i < policy->personal.count; i++) hash = hash_mix(hash, hash64(policy->personal.path[i]));
  if (schema_count(policy->schemas)) hash = hash_mix(hash, hash64(a->schemas));
  info->signals_hash = hash;
  policy->state_size = sizeof(struct policy_state) + a->memory_count * sizeof(double) +
                       a->place_count * sizeof(struct policy_place) + sizeof(struct policy_seat) +
                       sizeof(struct policy_sales);
}

static bool is_among(const char *const *names, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

// A feature that is fed by what settles a label. A model that reads it learns who was asked before, not who will come.
static void warn_of_leak(const struct policy *policy, const struct policy_label *label, size_t feature,
                         const char *event, struct findings *f) {
  const char *name = feature_info(policy->features, feature)->name;
  if (policy_hears(policy, feature, event) != POLICY_HEARS_IT || is_among(label->read_by, label->read_by_count, name))
    return;
  struct policy_problem problem = {0};
  snprintf(problem.path, sizeof problem.path, "%s", policy_feature_file(policy, feature));
  snprintf(problem.text, sizeof problem.text,
           "feature '%s' is fed by '%s', which settles the label '%s': a model that reads it is told what it should "
           "foretell. intent train refuses it; if a rule needs it, name it in the label's read_by",
           name, event, label->name);
  place_problem(f->bundle, &problem);
  policy_report_add(f->report, &problem);
}

static void check_leaks(const struct policy *policy, struct findings *f) {
  for (size_t i = 0; i < policy->artifact->label_count; i++) {
    const struct policy_label *label = &policy->artifact->labels[i];
    for (size_t k = 0; k < feature_count(policy->features); k++) {
      warn_of_leak(policy, label, k, label->event, f);
      for (size_t u = 0; u < label->unless_count; u++) warn_of_leak(policy, label, k, label->unless[u], f);
    }
  }
}

// What belongs to the signal set.
static int complete_set(struct policy *policy, bool is_new, struct findings *f) {
  compile_schemas(policy, f);
  if (f->status == 0 && is_new) check_schemas(policy, f);
  if (compile_features(policy, f) == 0) check_traits(policy, f);
  if (f->status == 0 && is_new) check_leaks(policy, f);
  return f->status;
}

// From the bundle and its artifact to a policy that is ready.
static int complete(struct policy *policy, bool self_test, struct findings *f) {
  (void)complete_set(policy, self_test, f);
  if (policy->features) bind_models(policy, f);
  if (f->status != 0) return f->status;
  describe(policy);
  static const uint8_t is_true = 0xc3; // MessagePack's
  policy_put_input(policy, "custom", bytes_of(&is_true, 1), &policy->vm_input);
  struct error error = {0};
  char path[128];
  int status = self_test ? policy_self_test(policy, &error) : 0;
  if (status != 0) found_error(f, status, &error, policy_path(policy, path));
  return f->status;
}

static struct policy *policy_new(void) {
  struct policy *policy = xcalloc(1, sizeof *policy);
  atomic_init(&policy->references, 1);
  bundle_init(&policy->bundle);
  buf_init(&policy->vm_input);
  return policy;
}

static int finish(struct policy *policy, int status, struct policy **out) {
  if (status == 0)
    *out = policy;
  else
    policy_release(policy);
  return status;
}

int policy_load(const struct policy_source *source, const struct lua_limits *limits, struct policy **out,
                struct policy_report *report, struct error *err) {
  if (report) *report = (struct policy_report){0};
  struct policy *policy = policy_new();
  struct findings f = {.report = report, .bundle = &policy->bundle, .err = err};
  struct error error = {0};
  int status = bundle_gather(&policy->bundle, source, &error);
  if (status != 0) {
    found_error(&f, status, &error, "policies");
    return finish(policy, f.status, out);
  }
  if (build_from_files(policy, limits, &f) != 0) return finish(policy, f.status, out);
  for (int role = 0; role < BUNDLE_MODELS; role++) {
    const char *spec = policy->artifact->model[role];
    char path[128];
    status = spec ? bundle_add_model(&policy->bundle, role, source, spec, &error) : 0;
    // A version that the policy names goes with its text: none other is on canary beside it.
    if (status == 0 && spec && !strchr(spec, '@')) status = bundle_add_canary(&policy->bundle, role, source, &error);
    if (status != 0) found_error(&f, status, &error, policy_path(policy, path));
  }
  return finish(policy, f.status == 0 ? complete(policy, true, &f) : (compile_features(policy, &f), f.status), out);
}

static void put_set_input(const struct policy *policy, struct buf *out) {
  mp_put_map(out, 3);
  mp_put_cstr(out, "set"), mp_put_cstr(out, policy->bundle.name);
  mp_put_cstr(out, "sets"), mp_put_array(out, 1), mp_put_cstr(out, policy->bundle.name);
  put_files(&policy->bundle, out);
}

static int build_set(struct policy *policy, const struct lua_limits *limits, struct findings *f) {
  struct buf input = {0};
  struct error error = {0};
  char path[128];
  snprintf(path, sizeof path, "policies/signals/%s/signals.lua", policy->bundle.name);
  put_set_input(policy, &input);
  int status = run_build(policy, limits, &input, &error);
  size_t known = f->report ? f->report->errors : 0;
  if (status == 0) status = artifact_problems(policy->bundle.built, found_problem, f, &error);
  if (status == 0) status = artifact_parse_set(policy->bundle.built, &policy->artifact, &error);
  if (status != 0) found_reported(f, known, status, &error, path);
  buf_deinit(&input);
  return f->status;
}

int policy_load_set(const struct policy_source *source, const struct lua_limits *limits, struct policy **out,
                    struct policy_report *report, struct error *err) {
  if (report) *report = (struct policy_report){0};
  struct policy *policy = policy_new();
  struct findings f = {.report = report, .bundle = &policy->bundle, .err = err};
  struct error error = {0};
  int status = bundle_gather_set(&policy->bundle, source->scripts_dir, source->policies_dir, source->name, &error);
  if (status != 0) {
    found_error(&f, status, &error, "policies/signals");
    return finish(policy, f.status, out);
  }
  policy->bundle.name = arena_str(&policy->bundle.arena, bytes_str(source->name));
  if (build_set(policy, limits, &f) == 0) (void)complete_set(policy, true, &f);
  if (f.status == 0) describe(policy);
  return finish(policy, f.status, out);
}

void policy_archive(const struct policy *policy, struct buf *out) { bundle_pack(&policy->bundle, out); }

int policy_load_archive(struct bytes archive, struct policy **out, struct error *err) {
  struct policy *policy = policy_new();
  int status = bundle_unpack(&policy->bundle, archive, err);
  if (status != 0) return finish(policy, status, out);
  struct findings f = {.err = err};
  // What was built then is taken as it is: recovery must not depend on what today's sandbox or checks make of old text.
  status = artifact_parse(policy->bundle.built, found_problem, &f, &policy->artifact, err);
  if (status != 0 || check_artifact(policy, &f) != 0) return finish(policy, status ? status : f.status, out);
  if (bundle_keep_signals(&policy->bundle, policy->artifact->signal_set)) {
    return finish(policy,
                  error_set(err, ITD_ECORRUPT, "policy archive: holds signal sets that its policy does not name"), out);
  }
  for (int role = 0; role < BUNDLE_MODELS; role++) {
    if (bundle_model_fits(&policy->bundle, role, policy->artifact->model[role])) continue;
    return finish(policy,
                  error_set(err, ITD_ECORRUPT, "policy archive: its %s model is not the one that its policy names",
                            bundle_model_role[role]),
                  out);
  }
  return finish(policy, complete(policy, false, &f), out);
}

int policy_load_more(const struct policy *base, const char *path, struct bytes text, const struct lua_limits *limits,
                     struct policy **out, struct error *err) {
  struct policy *policy = policy_new();
  struct buf archive = {0};
  bundle_pack(&base->bundle, &archive);
  int status = bundle_unpack(&policy->bundle, buf_bytes(&archive), err);
  buf_deinit(&archive);
  if (status == 0) status = bundle_add_text(&policy->bundle, path, text, err);
  if (status != 0) return finish(policy, status, out);
  policy->bundle.version[0] = 0; // other texts: another version
  struct findings f = {.bundle = &policy->bundle, .err = err};
  if (build(policy, limits, &f) == 0 && check_artifact(policy, &f) == 0) complete(policy, true, &f);
  return finish(policy, f.status, out);
}

// A version of one of its models instead of the one in force, or on canary beside it.
struct model_change {
  const struct policy_model *model;
  const char *models_dir;
  bool is_canary;
  uint32_t share;
};

static int change_model(const struct policy *from, const struct model_change *change, struct policy **out,
                        struct policy_report *report, struct error *err) {
  const struct policy_model *model = change->model;
  if (report) *report = (struct policy_report){0};
  struct policy *policy = policy_new();
  struct findings f = {.report = report, .bundle = &policy->bundle, .err = err};
  bundle_copy(&policy->bundle, &from->bundle);
  bool is_read = false;
  for (int role = 0; role < BUNDLE_MODELS; role++) {
    const char *name = policy->bundle.model[role].name;
    if (!name || strcmp(name, model->name) != 0) continue;
    if (change->is_canary)
      bundle_set_canary(&policy->bundle, role, model, change->share);
    else
      bundle_replace_model(&policy->bundle, role, model, change->models_dir);
    is_read = true;
  }
  if (!is_read) {
    int status = error_set(err, ITD_ENOTFOUND, "policy %s reads no model %.64s", policy->bundle.name, model->name);
    return finish(policy, status, out);
  }
  int status = artifact_parse(policy->bundle.built, NULL, NULL, &policy->artifact, err);
  return finish(policy, status != 0 ? status : complete(policy, true, &f), out);
}

int policy_with_model(const struct policy *from, const struct policy_model *model, const char *models_dir,
                      struct policy **out, struct policy_report *report, struct error *err) {
  const struct model_change change = {.model = model, .models_dir = models_dir};
  return change_model(from, &change, out, report, err);
}

int policy_with_canary(const struct policy *from, const struct policy_model *model, uint32_t share, struct policy **out,
                       struct policy_report *report, struct error *err) {
  CHECK(share < POLICY_SHARE_ALL);
  const struct model_change change = {.model = model, .is_canary = true, .share = share};
  return change_model(from, &change, out, report, err);
}

static bool is_version(const struct bundle_model *m, const char *name, const char *version) {
  return m->name && strcmp(m->name, name) == 0 && strcmp(m->version, version) == 0;
}

int policy_archive_model(struct bytes archive, const char *name, const char *version, struct buf *model_json,
                         struct buf *weights_json, struct error *err) {
  struct bundle bundle;
  bundle_init(&bundle);
  int status = bundle_unpack_any(&bundle, archive, err);
  const struct bundle_model *found = NULL;
  for (int role = 0; role < BUNDLE_MODELS && status == 0; role++) {
    if (is_version(&bundle.model[role], name, version)) found = &bundle.model[role];
    if (is_version(&bundle.canary[role], name, version)) found = &bundle.canary[role];
  }
  if (status == 0 && !found)
    status = error_set(err, ITD_ENOTFOUND, "policy archive: it has no model %.64s@%.64s", name, version);
  if (status == 0) {
    buf_append_bytes(model_json, found->model_json);
    buf_append_bytes(weights_json, found->weights_json);
  }
  bundle_deinit(&bundle);
  return status;
}

void policy_retain(struct policy *policy) { atomic_fetch_add_explicit(&policy->references, 1, memory_order_relaxed); }

void policy_release(struct policy *policy) {
  if (!policy || atomic_fetch_sub_explicit(&policy->references, 1, memory_order_acq_rel) != 1) return;
  for (int role = 0; role < BUNDLE_MODELS; role++) {
    model_bound_free(policy->bound[role]), model_bound_free(policy->canary[role]);
    model_free(policy->model[role]), model_free(policy->canary_model[role]);
  }
  drop_compiled(policy);
  buf_deinit(&policy->vm_input);
  bundle_deinit(&policy->bundle);
  free(policy);
}

// ---- what is asked ----

const char *const *policy_paths(const struct policy *policy, size_t *count) {
  *count = policy->bundle.watched_count;
  return policy->bundle.watched;
}

const struct policy_info *policy_info(const struct policy *policy) { return &policy->info; }
const struct feature_set *policy_features(const struct policy *policy) { return policy->features; }
const struct personal_paths *policy_personal(const struct policy *policy) { return &policy->personal; }
const struct schema_set *policy_schemas(const struct policy *policy) { return policy->schemas; }
struct quality *policy_quality(const struct policy *policy) {
  return policy->quality;
}

size_t policy_fold_only(const struct policy *policy, uint8_t *state, const struct event *event, int64_t now_ms,
                        const struct feature_mask *only) {
  struct schema_scratch scratch = {0};
  struct event seen;
  schema_see(policy->schemas, event, &scratch, &seen);
  size_t matched = feature_fold_only(policy->features, state, &seen, now_ms, only);
  schema_scratch_deinit(&scratch);
  return matched;
}

size_t policy_fold(const struct policy *policy, uint8_t *state, const struct event *event, int64_t now_ms) {
  return policy_fold_only(policy, state, event, now_ms, NULL);
}

const struct model_bound *policy_model_fit(const struct policy *policy) { return policy->bound[BUNDLE_FIT]; }
const struct model_bound *policy_model_engagement(const struct policy *policy) {
  return policy->bound[BUNDLE_ENGAGEMENT];
}
const struct model_bound *policy_model_split(const struct policy *policy) { return policy->bound[BUNDLE_SPLIT]; }

static bool is_canary_lead(const struct policy *policy, int role, uint64_t lead_hash) {
  double place = hash_unit(hash_mix(lead_hash, policy->canary_salt[role]));
  return policy->canary[role] && place * POLICY_SHARE_ALL < policy->bundle.share[role];
}

struct policy_scorers policy_scorers(const struct policy *policy, uint64_t lead_hash) {
  struct policy_scorers s = {0};
  const struct model_bound **of[BUNDLE_MODELS] = {&s.fit, &s.engagement, &s.split};
  for (int role = 0; role < BUNDLE_MODELS; role++) {
    bool is_canary = is_canary_lead(policy, role, lead_hash);
    *of[role] = is_canary ? policy->canary[role] : policy->bound[role];
    s.canaries |= (unsigned)is_canary << role;
  }
  return s;
}

size_t policy_roles(void) { return BUNDLE_MODELS; }

bool policy_model_of(const struct policy *policy, size_t role, struct policy_model_use *out) {
  CHECK(role < BUNDLE_MODELS);
  const struct bundle_model *m = &policy->bundle.model[role];
  if (!m->name) return false;
  *out = (struct policy_model_use){.role = bundle_model_role[role],
                                   .is_pinned = strchr(policy->artifact->model[role], '@') != NULL,
                                   .model = {m->name, m->version, m->model_json, m->weights_json},
                                   .bound = policy->bound[role]};
  return true;
}

bool policy_canary_of(const struct policy *policy, size_t role, struct policy_model_use *out) {
  CHECK(role < BUNDLE_MODELS);
  const struct bundle_model *m = &policy->bundle.canary[role];
  if (!m->name) return false;
  *out = (struct policy_model_use){.role = bundle_model_role[role],
                                   .share = policy->bundle.share[role],
                                   .model = {m->name, m->version, m->model_json, m->weights_json},
                                   .bound = policy->canary[role]};
  return true;
}

const struct policy_read *policy_reads(const struct policy *policy, size_t *count) {
  *count = policy->artifact->read_count;
  return policy->artifact->reads;
}

const struct policy_label *policy_labels(const struct policy *policy, size_t *count) {
  *count = policy->artifact->label_count;
  return policy->artifact->labels;
}

const struct policy_retrain *policy_retrains(const struct policy *policy, size_t *count) {
  *count = policy->artifact->retrain_count;
  return policy->artifact->retrains;
}

struct bytes policy_declaration(const struct policy *policy, size_t feature) {
  CHECK(feature < feature_count(policy->features));
  struct mp m = mp_of(policy->artifact->declarations);
  mp_next(&m);
  for (size_t i = 0; i < feature; i++) mp_take(&m);
  return mp_take(&m);
}

const char *policy_feature_file(const struct policy *policy, size_t feature) {
  const struct artifact *a = policy->artifact;
  return feature < a->feature_file_count ? (const char *)a->feature_file[feature].p : "";
}

int policy_feature_line(const struct policy *policy, size_t feature) {
  const struct bundle *b = &policy->bundle;
  const char *file = policy_feature_file(policy, feature);
  for (size_t i = 0; i < b->count; i++)
    if (strcmp(b->modules[i].path, file) == 0)
      return place_of_name(b->modules[i].text, feature_info(policy->features, feature)->name);
  return 0;
}

bool policy_asks_ages(const struct policy *policy) { return policy->artifact->age_count > 0; }

const struct lua_module *policy_modules(const struct policy *policy, size_t *count) {
  *count = policy->bundle.count;
  return policy->bundle.modules;
}

size_t policy_teams(const struct policy *policy) { return policy->artifact->team_count; }

const struct policy_team *policy_team(const struct policy *policy, size_t index) {
  CHECK(index < policy->artifact->team_count);
  return &policy->artifact->teams[index];
}

const struct policy_turn *policy_turn(const struct policy *policy, size_t route) {
  CHECK(route < policy->artifact->count[POLICY_ROUTES]);
  const struct artifact_turn *turn = &policy->artifact->turns[route];
  return turn->is_asked ? &turn->turn : NULL;
}

size_t policy_entries(const struct policy *policy, enum policy_table table) {
  CHECK((unsigned)table < POLICY_TABLES);
  return policy->artifact->count[table];
}

const struct policy_entry *policy_entry(const struct policy *policy, enum policy_table table, size_t index) {
  CHECK(index < policy_entries(policy, table));
  return &policy->artifact->entry[table][index];
}
