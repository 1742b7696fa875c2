#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "policy/registry.h"
#include "stand_in.h"

static uint64_t seed;
static uint64_t roll(uint64_t below) {
  seed = hash_mix(seed, 0x9e3779b97f4a7c15u);
  return seed % below;
}

static struct folder folder;
static struct policy_report report;
static struct error err;
static int begin(void **unused) {
  (void)unused;
  run = honest;
  call_status = 0;
  memset(&err, 0, sizeof err);
  memset(&report, 0x5a, sizeof report); // policy_load begins it
  return folder_make(&folder), 0;
}
static int end(void **unused) { return (void)unused, folder_remove(&folder), open_vms == 0 ? 0 : -1; }

static int load_named(const char *name, struct policy **policy) {
  struct policy_source source = source_of(&folder);
  source.name = name;
  const struct lua_limits limits = LUA_LIMITS_DEFAULT;
  memset(&err, 0, sizeof err);
  return policy_load(&source, &limits, policy, &report, &err);
}

// The hash of what is there now.
static void hash_now(char hash[65]) {
  struct policy *policy = NULL;
  if (load_named("sample", &policy) != 0) fail_msg("%s", err.text);
  memcpy(hash, policy_info(policy)->hash, 65);
  policy_report_deinit(&report);
  policy_release(policy);
}

static void refused(int status, const char *path, int line, const char *says) {
  struct policy *policy = NULL;
  int got = load_named("sample", &policy);
  if (got != status || !strstr(err.text, says)) fail_msg("%d '%s', not %d '%s'", got, err.text, status, says);
  assert_null(policy);
  bool listed = false;
  for (size_t i = 0; i < report.count; i++) {
    const struct policy_problem *p = &report.problem[i];
    listed |= p->is_error && strcmp(p->path, path) == 0 && p->line == line && strstr(p->text, says) != NULL;
  }
  if (!listed)
    fail_msg("not in the report: %s:%d %s; but %s:%d %s", path, line, says, report.problem[0].path,
             report.problem[0].line, report.problem[0].text);
  assert_true(report.errors > 0);
  policy_report_deinit(&report);
  assert_null(report.problem);
}

static void change(const char *from, const char *to) {
  char *json = with(sample_json, from, to);
  write_file(folder.policies, "sample/policy.lua", json);
  free(json);
}

// ---- versions of names ----

static void versions_compare_as_people_count(void **unused) {
  (void)unused;
  static const char *const order[] = {"",
                                      "0",
                                      "00",
                                      "01",
                                      "1",
                                      "1.2",
                                      "1.10",
                                      "2",
                                      "9",
                                      "10",
                                      "10.0",
                                      "11",
                                      "2025-12",
                                      "2026-01",
                                      "2026-1",
                                      "2026-01-05",
                                      "2026-2",
                                      "18446744073709551616",
                                      "18446744073709551617",
                                      "a",
                                      "b",
                                      "v2",
                                      "v10"};
  size_t n = sizeof order / sizeof *order;
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < n; k++) {
      int got = registry_compare(order[i], order[k]), want = i < k ? -1 : i > k;
      if (got != want) fail_msg("'%s' '%s': %d", order[i], order[k], got);
    }
  }
}

static void versions_have_one_order(void **unused) {
  (void)unused;
  for (int round = 0; round < 100000; round++) {
    char v[3][8];
    for (int i = 0; i < 3; i++) {
      size_t n = roll(6);
      for (size_t k = 0; k < n; k++) v[i][k] = "0012a.-"[roll(7)];
      v[i][n] = 0;
    }
    int ab = registry_compare(v[0], v[1]), bc = registry_compare(v[1], v[2]), ac = registry_compare(v[0], v[2]);
    assert_int_equal(ab, -registry_compare(v[1], v[0]));
    assert_true((ab == 0) == (strcmp(v[0], v[1]) == 0));
    if (ab < 0 && bc < 0 && ac >= 0) fail_msg("'%s' < '%s' < '%s'", v[0], v[1], v[2]);
  }
}

// ---- what belongs to a bundle ----

static void a_bundle_is_its_files(void **unused) {
  (void)unused;
  char first[65], next[65];
  hash_now(first);
  static const struct {
    const char *dir, *name;
    bool counts;
  } files[] = {{"p", "sample/helpers.lua", true},
               {"p", "sample/data/team.csv", true},
               {"p", "signals/web/sources.lua", true},
               {"s", "belief.lua", true},
               {"s", "parts/deep.lua", true},
               {"p", "sample/policy_spec.lua", false},
               {"p", "sample/README.md", false},
               {"p", "signals/other/signals.lua", false},
               {"p", "signals/web/web_spec.lua", false},
               {"s", "cli/explain.lua", false},
               {"s", "score_spec.lua", false},
               {"p", "sample/.hidden.lua", false},
               {"p", "another/policy.lua", false},
               {"p", "signals/web/features/more.lua", true},
               {"p", "signals/webber/features/views.lua", false}};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    write_file(files[i].dir[0] == 'p' ? folder.policies : folder.scripts, files[i].name, "-- one");
    hash_now(next);
    if ((strcmp(first, next) != 0) != files[i].counts) fail_msg("%s", files[i].name);
    memcpy(first, next, sizeof first);
    write_file(files[i].dir[0] == 'p' ? folder.policies : folder.scripts, files[i].name, "-- two");
    hash_now(next);
    if ((strcmp(first, next) != 0) != files[i].counts) fail_msg("%s changed", files[i].name);
    memcpy(first, next, sizeof first);
  }
}

static void the_same_files_elsewhere_are_the_same_version(void **unused) {
  (void)unused;
  char first[65], next[65];
  hash_now(first);
  folder_remove(&folder);
  folder_make(&folder);
  hash_now(next);
  assert_string_equal(first, next);
  assert_int_equal(strlen(first), 64);
  // a file of another name is another version, and so is text moved from one file to the next
  char path[200], other[200];
  snprintf(path, sizeof path, "%s/score.lua", folder.scripts);
  snprintf(other, sizeof other, "%s/scorf.lua", folder.scripts);
  assert_int_equal(rename(path, other), 0);
  hash_now(next);
  assert_string_not_equal(first, next);
  assert_int_equal(rename(other, path), 0);
  write_file(folder.scripts, "build.lua", "-- build-- score");
  write_file(folder.scripts, "score.lua", "");
  hash_now(next);
  assert_string_not_equal(first, next);
}

static const struct lua_module *module_of(const struct policy *policy, const char *name) {
  size_t count;
  const struct lua_module *modules = policy_modules(policy, &count);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) assert_true(strcmp(modules[i - 1].path, modules[i].path) < 0);
    if (strcmp(modules[i].name, name) == 0) return &modules[i];
  }
  return NULL;
}

static void modules_are_named_by_their_paths(void **unused) {
  (void)unused;
  write_file(folder.policies, "sample/data/team.csv", "name\nann\n");
  write_file(folder.policies, "signals/other/signals.lua", "");
  write_file(folder.scripts, "parts/deep.lua", "");
  struct policy *policy = NULL;
  builds = 0;
  assert_int_equal(load_named("sample", &policy), 0);
  assert_int_equal(builds, 2); // once more without the other set
  assert_string_equal(module_of(policy, "sample.data.team")->path, "policies/sample/data/team.csv");
  assert_true(bytes_is(module_of(policy, "sample.data.team")->text, "name\nann\n"));
  assert_false(module_of(policy, "sample.policy")->is_library);
  assert_true(module_of(policy, "parts.deep")->is_library);
  assert_non_null(module_of(policy, "signals.web.features.views"));
  assert_null(module_of(policy, "signals.other.signals"));
  size_t count;
  const char *const *paths = policy_paths(policy, &count);
  bool folder_is_watched = false;
  for (size_t i = 0; i < count; i++) {
    assert_null(strstr(paths[i], "/other/"));
    struct stat st;
    assert_int_equal(stat(paths[i], &st), 0);
    folder_is_watched |= strstr(paths[i], "here/sample") && S_ISDIR(st.st_mode);
  }
  assert_true(folder_is_watched);
  const struct policy_info *info = policy_info(policy);
  assert_string_equal(info->name, "sample");
  assert_string_equal(info->mode, "act");
  assert_memory_equal(info->text_hash, info->version, 12);
  assert_int_equal(strlen(info->version), 12);
  assert_int_equal(strlen(info->data_hash), 64);
  assert_memory_equal(info->data_hash, info->data, 12);
  assert_int_equal(policy_entries(policy, POLICY_TRANSITIONS), 4);
  assert_int_equal(policy_personal(policy)->count, 2);
  policy_retain(policy);
  policy_release(policy);
  assert_string_equal(policy_info(policy)->owner, "revops@example.com");
  policy_release(policy);
  policy_report_deinit(&report);
}

static void policies_are_listed(void **unused) {
  (void)unused;
  write_file(folder.policies, "another/policy.lua", "");
  write_file(folder.policies, "signals/policy.lua", "");
  write_file(folder.policies, "Upper/policy.lua", "");
  write_file(folder.policies, "deep/er/policy.lua", "");
  write_file(folder.policies, "empty/other.lua", "");
  char **names = NULL;
  size_t count = 0;
  assert_int_equal(policy_list(folder.policies, &names, &count, &err), 0);
  assert_int_equal(count, 2);
  assert_string_equal(names[0], "another");
  assert_string_equal(names[1], "sample");
  dir_list_free(names, count);
  assert_int_equal(policy_list("/nowhere/at/all", &names, &count, &err), ITD_ENOTFOUND);
}

static void names_lead_nowhere_else(void **unused) {
  (void)unused;
  static const char *const bad[] = {"", "../sample", "a/b", "signals", "Sample", ".sample", "sample.", "1a", "sam ple"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct policy *policy = NULL;
    assert_int_equal(load_named(bad[i], &policy), ITD_EPOLICY);
    policy_report_deinit(&report);
  }
  struct policy *policy = NULL;
  assert_int_equal(load_named("smaple", &policy), ITD_ENOTFOUND);
  assert_non_null(strstr(err.text, "did you mean 'sample'?"));
  assert_string_equal(report.problem[0].path, "policies/smaple/policy.lua");
  policy_report_deinit(&report);
}

// ---- what is refused, and where ----

static void faults_name_file_and_line(void **unused) {
  (void)unused;
  write_file(folder.policies, "sample/policy.lua", "not Lua");
  refused(ITD_EPOLICY, "policies/sample/policy.lua", 1, "unexpected symbol");
  change("\"problems\": []",
         "\"problems\": [{\"path\": \"policies/sample/x.lua\", \"line\": 2, \"text\": \"w\"},"
         "{\"path\": \"policies/sample/x.lua\", \"line\": 5, \"text\": \"bad\", \"error\": true},"
         "{\"path\": \"policies/sample/x.lua\", \"line\": 6, \"text\": \"also bad\", \"error\": true}]");
  refused(ITD_EPOLICY, "policies/sample/x.lua", 5, "bad");
  struct policy *policy = NULL;
  assert_int_equal(load_named("sample", &policy), ITD_EPOLICY);
  assert_string_equal(err.text, "policies/sample/x.lua:5: bad");
  assert_int_equal(report.count, 3);
  assert_int_equal(report.errors, 2);
  policy_report_deinit(&report);
  change("\"name\": \"sample\"", "\"name\": \"other\"");
  refused(ITD_EPOLICY, "policies/sample/policy.lua", 0, "calls itself 'other'");
  change("\"signal_set\": \"web\"", "\"signal_set\": \"../web\"");
  refused(ITD_EPOLICY, "policies/sample/policy.lua", 0, "signal set '../web'");
  change("\"op\": \"count\"", "\"op\": \"cuont\"");
  refused(ITD_EPOLICY, "policies/signals/web/features", 0, "views");
  change("\"declarations\": [{\"name\": \"views\", \"op\": \"count\"}",
         "\"feature_files\": [\"policies/signals/web/features/views.lua\"],"
         "\"declarations\": [{\"name\": \"views\", \"op\": \"cuont\"}");
  refused(ITD_EPOLICY, "policies/signals/web/features/views.lua", 0, "views"); // the name does not stand there
  write_file(folder.policies, "signals/web/features/views.lua", "return {\n  { name = 'views', op = 'cuont' },\n}\n");
  change("\"declarations\": [{\"name\": \"views\", \"op\": \"count\"}",
         "\"feature_files\": [\"policies/signals/web/features/views.lua\"],"
         "\"declarations\": [{\"name\": \"views\", \"op\": \"cuont\"}");
  refused(ITD_EPOLICY, "policies/signals/web/features/views.lua", 2, "views");
  assert_memory_equal(err.text, "policies/signals/web/features/views.lua:2: features: views: ", 60);
  change("\"feature\": \"domain\"", "\"feature\": \"domian\"");
  refused(ITD_EPOLICY, "policies/sample/policy.lua", 0, "'domian', which is no feature");
  change("\"feature\": \"domain\"", "\"feature\": \"views\"");
  refused(ITD_EPOLICY, "policies/sample/policy.lua", 0, "'views', which is a number");
  change("\"source\": \"return\"", "\"source\": \"broken\"");
  refused(ITD_EPOLICY, "policies/sample/policy.lua", 9, "broken");
  change("\"models\": {}", "\"models\": {\"fit\": \"none_such\"}");
  refused(ITD_ENOTFOUND, "models/none_such", 0, "no such model");
  change("\"models\": {}", "\"models\": {\"fit\": \"../x\"}");
  refused(ITD_EMODEL, "policies/sample/policy.lua", 0, "no NAME or NAME@VERSION");
  write_file(folder.policies, "sample/helpers.csv", "");
  write_file(folder.policies, "sample/helpers.lua", "");
  refused(ITD_EPOLICY, "policies/sample/helpers.lua", 0, "has the module name of policies/sample/helpers.csv");
}

static void warnings_load_and_are_told_once(void **unused) {
  (void)unused;
  change("\"problems\": []", "\"problems\": [{\"path\": \"policies/sample/x.lua\", \"line\": 2, \"text\": \"w\"}]");
  write_file(folder.policies, "signals/other/signals.lua", ""); // so that it is built twice
  struct policy *policy = NULL;
  assert_int_equal(load_named("sample", &policy), 0);
  assert_int_equal(report.count, 1);
  assert_int_equal(report.errors, 0);
  assert_false(report.problem[0].is_error);
  policy_report_deinit(&report);
  policy_release(policy);
}

// ---- the self-test ----

static void differs_traced(struct vm *vm) {
  honest(vm);
  if (vm->trace && vm->in[I_STAGE] == 1) vm->out[O_UTILITY] = 5.25000000000001;
}
static size_t calls;
static void differs_later(struct vm *vm) { // keeps something between two calls
  honest(vm);
  if (calls++ > 30) vm->memory[1] += (double)calls;
}
static void fails_on_demo(struct vm *vm) {
  honest(vm);
  if (vm->in[I_DEMO] == 1) vm->out[O_COMBINED] = 1;
}
static void fails_on_timer(struct vm *vm) {
  honest(vm);
  if (vm->in[I_TIMER] == 4) vm->out[O_BAND] = 7;
}
static void fails_in_mql(struct vm *vm) {
  honest(vm);
  if (vm->in[I_STAGE] == 2 && vm->in[I_VIEWS] != vm->in[I_VIEWS]) vm->out[O_OWNER] = NAN;
}

static void the_self_test_finds_what_no_lead_should(void **unused) {
  (void)unused;
  const char *path = "policies/sample/policy.lua";
  run = differs_traced;
  refused(ITD_EPOLICY, path, 0, "decided traced, the outcome is another one");
  run = differs_later;
  refused(ITD_EPOLICY, path, 0, "the outcome is another one");
  run = fails_on_demo;
  refused(ITD_EPOLICY, path, 0, "not the sum of its parts");
  run = fails_on_timer;
  refused(ITD_EPOLICY, path, 0, "band[0] is 7");
  run = fails_in_mql;
  refused(ITD_EPOLICY, path, 0, "a lead in stage 'mql' with every feature unknown");
  run = honest;
  call_status = ITD_ESTOPPED;
  refused(ITD_EPOLICY, path, 0, "stopped by the test");
}

// ---- models ----

static void write_model(const char *name, const char *version, const char *says_version, const char *feature,
                        const char *weights) {
  uint8_t digest[SHA256_SIZE];
  char hex[2 * SHA256_SIZE + 1], json[1000], file[100];
  sha256_of(bytes_str(weights), digest);
  hex_encode(bytes_of(digest, sizeof digest), hex);
  snprintf(json, sizeof json,
           "{\"name\": \"%s\", \"version\": \"%s\", \"kind\": \"logistic\", \"sha256\": \"%s\", \"target\": \"t\","
           " \"scale\": {\"points_to_double_odds\": 10, \"points_at_even_odds\": 50},"
           " \"features\": [{\"name\": \"%s\", \"definition\": null}], \"rationale\": \"r\"}",
           name, says_version, hex, feature);
  snprintf(file, sizeof file, "%s/%s/model.json", name, version);
  write_file(folder.models, file, json);
  snprintf(file, sizeof file, "%s/%s/weights.json", name, version);
  write_file(folder.models, file, weights);
}
static const char of_views[] =
    "{\"intercept\": 0, \"terms\": [{\"feature\": \"views\", \"weight\": 0.5, \"missing\": 0}]}";
static const char of_domain[] = "{\"intercept\": 0, \"terms\": [{\"feature\": \"domain\", \"levels\": {\"a.com\": 1}, "
                                "\"other\": 0, \"missing\": 0}]}";

static void the_highest_version_is_chosen_unless_one_is_named(void **unused) {
  (void)unused;
  write_model("eng", "9", "9", "views", of_views);
  write_model("eng", "10", "10", "views", of_views);
  write_file(folder.models, "eng/11/notes.txt", "no model.json here");
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng\"}");
  struct policy *policy = NULL;
  if (load_named("sample", &policy) != 0) fail_msg("%s", err.text);
  assert_string_equal(model_bound_info(policy_model_engagement(policy))->version, "10");
  assert_null(policy_model_fit(policy));
  char hash[65];
  memcpy(hash, policy_info(policy)->hash, sizeof hash);
  policy_release(policy);
  policy_report_deinit(&report);
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng@9\"}");
  assert_int_equal(load_named("sample", &policy), 0);
  assert_string_equal(model_bound_info(policy_model_engagement(policy))->version, "9");
  assert_string_not_equal(hash, policy_info(policy)->hash);
  policy_release(policy);
  policy_report_deinit(&report);
  // a new model is a new version of a policy that takes the highest
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng\"}");
  write_model("eng", "11", "11", "views", of_views);
  char next[65];
  hash_now(next);
  assert_string_not_equal(hash, next);
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng@12\"}");
  refused(ITD_ENOTFOUND, "policies/sample/policy.lua", 0, "eng/12/model.json");
}

// ---- models apart from policies ----

static int unpack(struct bytes archive, struct policy **policy) {
  memset(&err, 0, sizeof err);
  return policy_load_archive(archive, policy, &err);
}

// A stand-in for what keeps models: one version of "eng", in force or not.
struct kept_model {
  const char *version;
  bool is_in_force;
  struct buf json, weights;
};

static int find_kept(void *context, const char *name, const char *version, char **found, struct buf *model_json,
                     struct buf *weights_json, struct error *error) {
  (void)error;
  const struct kept_model *kept = context;
  if (strcmp(name, "eng") != 0 || (version ? strcmp(version, kept->version) != 0 : !kept->is_in_force)) return 0;
  *found = xstrdup(kept->version);
  buf_append_bytes(model_json, buf_bytes(&kept->json));
  buf_append_bytes(weights_json, buf_bytes(&kept->weights));
  return 1;
}

static void keep_model(struct kept_model *kept, const char *version) {
  kept->version = version;
  if (registry_read(folder.models, "eng", version, &kept->json, &kept->weights, NULL, &err) != 0)
    fail_msg("%s", err.text);
}

static int load_with(struct kept_model *kept, struct policy **policy) {
  const struct policy_models models = {.find = find_kept, .context = kept};
  struct policy_source source = source_of(&folder);
  source.models = &models;
  const struct lua_limits limits = LUA_LIMITS_DEFAULT;
  memset(&err, 0, sizeof err);
  policy_report_deinit(&report);
  return policy_load(&source, &limits, policy, &report, &err);
}

static void engagement_is(struct kept_model *kept, const char *version) {
  struct policy *policy = NULL;
  if (load_with(kept, &policy) != 0) fail_msg("%s", err.text);
  struct policy_model_use use;
  assert_true(policy_model_of(policy, BUNDLE_ENGAGEMENT, &use));
  assert_string_equal(use.model.version, version);
  assert_string_equal(model_bound_info(use.bound)->version, version);
  policy_release(policy);
}

static void the_model_in_force_is_taken_whatever_the_folder_has(void **unused) {
  (void)unused;
  struct kept_model kept = {0};
  write_model("eng", "9", "9", "views", of_views);
  write_model("eng", "10", "10", "views", of_views);
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng\"}");
  memset(&report, 0, sizeof report);
  keep_model(&kept, "9");
  engagement_is(&kept, "10"); // 9 was in force once, and is not now
  kept.is_in_force = true;
  engagement_is(&kept, "9");
  char path[300];
  snprintf(path, sizeof path, "%s/eng/9/model.json", folder.models);
  assert_int_equal(remove(path), 0);
  engagement_is(&kept, "9"); // though the folder has it no longer
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng@9\"}");
  kept.is_in_force = false;
  engagement_is(&kept, "9");
  // Under a name that was in force nothing else can come in.
  write_model("eng", "9", "9", "views",
              "{\"intercept\": 0, \"terms\": [{\"feature\": \"views\", \"weight\": 0.6, \"missing\": 0}]}");
  struct policy *policy = NULL;
  assert_int_equal(load_with(&kept, &policy), ITD_EMODEL);
  assert_non_null(strstr(err.text, "models/eng/9: is not the model that was in force under this version"));
  policy_report_deinit(&report);
  buf_deinit(&kept.json), buf_deinit(&kept.weights);
}

static struct policy *with_model(const struct policy *policy, struct kept_model *model) {
  const struct policy_model other = {"eng", model->version, buf_bytes(&model->json), buf_bytes(&model->weights)};
  struct policy *next = NULL;
  policy_report_deinit(&report);
  if (policy_with_model(policy, &other, folder.models, &next, &report, &err) != 0) fail_msg("%s", err.text);
  return next;
}

static size_t watches(const struct policy *policy, const char *part) {
  size_t count, found = 0;
  const char *const *paths = policy_paths(policy, &count);
  for (size_t i = 0; i < count; i++) found += strstr(paths[i], part) != NULL;
  return found;
}

static void another_model_is_the_same_version_of_the_policy(void **unused) {
  (void)unused;
  struct kept_model two = {0};
  write_model("eng", "1", "1", "views", of_views);
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng\"}");
  struct policy *policy = NULL;
  if (load_named("sample", &policy) != 0) fail_msg("%s", err.text);
  write_model("eng", "2", "2", "views", of_views);
  keep_model(&two, "2");
  struct policy *next = with_model(policy, &two), *loaded = NULL, *again = NULL;
  const struct policy_info *a = policy_info(policy), *b = policy_info(next);
  assert_string_equal(a->version, b->version);
  assert_string_equal(a->text_hash, b->text_hash);
  assert_string_not_equal(a->hash, b->hash);
  assert_string_equal(model_bound_info(policy_model_engagement(next))->version, "2");
  assert_int_equal(watches(next, "eng/2/"), 2);
  assert_int_equal(watches(next, "eng/1/"), 0);
  assert_int_equal(watches(next, "sample/policy.lua"), 1);
  two.is_in_force = true; // the same files with that model in force are the same bundle
  if (load_with(&two, &loaded) != 0) fail_msg("%s", err.text);
  assert_string_equal(policy_info(loaded)->hash, b->hash);
  struct buf archive = {0}, json = {0}, weights = {0};
  policy_archive(next, &archive);
  if (unpack(buf_bytes(&archive), &again) != 0) fail_msg("%s", err.text);
  assert_string_equal(policy_info(again)->hash, b->hash);
  assert_string_equal(policy_info(again)->version, a->version);
  assert_int_equal(policy_archive_model(buf_bytes(&archive), "eng", "2", &json, &weights, &err), 0);
  assert_true(bytes_eq(buf_bytes(&json), buf_bytes(&two.json)) &&
              bytes_eq(buf_bytes(&weights), buf_bytes(&two.weights)));
  assert_int_equal(policy_archive_model(buf_bytes(&archive), "eng", "1", &json, &weights, &err), ITD_ENOTFOUND);
  policy_release(policy), policy_release(next), policy_release(loaded), policy_release(again);
  policy_report_deinit(&report);
  buf_deinit(&archive), buf_deinit(&json), buf_deinit(&weights), buf_deinit(&two.json), buf_deinit(&two.weights);
}

static struct policy *with_canary(const struct policy *policy, struct kept_model *model, uint32_t share) {
  const struct policy_model other = {"eng", model->version, buf_bytes(&model->json), buf_bytes(&model->weights)};
  struct policy *next = NULL;
  policy_report_deinit(&report);
  if (policy_with_canary(policy, &other, share, &next, &report, &err) != 0) fail_msg("%s", err.text);
  return next;
}

static bool is_on_canary(const struct policy *policy, uint64_t lead_hash) {
  struct policy_scorers s = policy_scorers(policy, lead_hash);
  assert_true(s.canaries == 0 || s.canaries == 1u << BUNDLE_ENGAGEMENT);
  assert_string_equal(model_bound_info(s.engagement)->version, s.canaries ? "2" : "1");
  assert_null(s.fit);
  return s.canaries != 0;
}

static int find_canary(void *context, const char *name, char **found, uint32_t *share, struct buf *model_json,
                       struct buf *weights_json, struct error *error) {
  const struct kept_model *kept = context;
  (void)name, (void)error;
  *found = xstrdup(kept->version);
  *share = 500;
  buf_append_bytes(model_json, buf_bytes(&kept->json));
  buf_append_bytes(weights_json, buf_bytes(&kept->weights));
  return 1;
}

// A twentieth of the leads, then a fifth: those of the twentieth are among them, and every other one is as before.
static void a_canary_decides_for_its_share_of_leads(void **unused) {
  (void)unused;
  struct kept_model two = {0};
  write_model("eng", "1", "1", "views", of_views);
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng\"}");
  struct policy *policy = NULL;
  if (load_named("sample", &policy) != 0) fail_msg("%s", err.text);
  write_model("eng", "2", "2", "views", of_views);
  keep_model(&two, "2");
  struct policy *few = with_canary(policy, &two, 500), *some = with_canary(few, &two, 2000), *again = NULL;
  struct policy *none = with_canary(some, &two, 0);
  size_t count[2] = {0}, leads = 100000;
  struct buf archive = {0}, json = {0}, weights = {0};
  policy_archive(some, &archive);
  if (unpack(buf_bytes(&archive), &again) != 0) fail_msg("%s", err.text);
  assert_string_equal(policy_info(again)->hash, policy_info(some)->hash);
  for (uint64_t i = 0; i < leads; i++) {
    uint64_t lead = hash_mix(i, 7);
    bool in_few = is_on_canary(few, lead), in_some = is_on_canary(some, lead);
    count[0] += in_few, count[1] += in_some;
    assert_true(in_some || !in_few);
    assert_int_equal(is_on_canary(again, lead), in_some);
    assert_false(is_on_canary(none, lead) || is_on_canary(policy, lead));
  }
  assert_true(count[0] > leads / 22 && count[0] < leads / 18); // 7 standard deviations
  assert_true(count[1] > leads / 5 - 1000 && count[1] < leads / 5 + 1000);
  assert_string_equal(policy_info(none)->hash, policy_info(policy)->hash);
  assert_string_not_equal(policy_info(few)->hash, policy_info(some)->hash);
  assert_string_equal(policy_info(few)->version, policy_info(policy)->version);
  assert_int_equal(policy_archive_model(buf_bytes(&archive), "eng", "2", &json, &weights, &err), 0);
  assert_true(bytes_eq(buf_bytes(&json), buf_bytes(&two.json)));
  struct policy *active = with_model(some, &two);
  struct policy_model_use use;
  assert_false(policy_canary_of(active, BUNDLE_ENGAGEMENT, &use));
  policy_release(few), policy_release(some), policy_release(none), policy_release(again), policy_release(active);
  policy_release(policy);
  policy_report_deinit(&report);
  buf_deinit(&archive), buf_deinit(&json), buf_deinit(&weights), buf_deinit(&two.json), buf_deinit(&two.weights);
}

static int load_with_canary(struct kept_model *kept, struct policy **policy) {
  const struct policy_models models = {.find = find_kept, .context = kept, .canary = find_canary};
  struct policy_source source = source_of(&folder);
  const struct lua_limits limits = LUA_LIMITS_DEFAULT;
  source.models = &models;
  policy_report_deinit(&report);
  return policy_load(&source, &limits, policy, &report, &err);
}

// Texts that are loaded anew come in with the canary that was there, unless they name a version.
static void a_canary_stays_when_the_text_changes(void **unused) {
  (void)unused;
  struct kept_model two = {0};
  write_model("eng", "1", "1", "views", of_views);
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng@1\"}");
  struct policy *policy = NULL;
  struct policy_model_use use;
  memset(&report, 0, sizeof report);
  write_model("eng", "2", "2", "views", of_views);
  keep_model(&two, "2");
  if (load_with_canary(&two, &policy) != 0) fail_msg("%s", err.text);
  assert_false(policy_canary_of(policy, BUNDLE_ENGAGEMENT, &use)); // the text names its version
  policy_release(policy);
  write_model("eng", "3", "3", "views", of_views);
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng\"}");
  if (load_with_canary(&two, &policy) != 0) fail_msg("%s", err.text);
  assert_true(policy_canary_of(policy, BUNDLE_ENGAGEMENT, &use));
  assert_string_equal(use.model.version, "2");
  assert_int_equal(use.share, 500);
  assert_string_equal(use.role, "engagement");
  policy_release(policy);
  write_model("eng", "2", "2", "views",
              "{\"intercept\": 0, \"terms\": [{\"feature\": \"views\", \"weight\": 0.6, \"missing\": 0}]}");
  assert_int_equal(load_with_canary(&two, &policy), ITD_EMODEL);
  assert_non_null(strstr(err.text, "models/eng/2: is not the model that was in force under this version"));
  policy_report_deinit(&report);
  buf_deinit(&two.json), buf_deinit(&two.weights);
}

static void a_model_that_does_not_fit_comes_in_nowhere(void **unused) {
  (void)unused;
  struct kept_model two = {0};
  write_model("eng", "1", "1", "views", of_views);
  write_model("eng", "2", "2", "domain", of_domain); // the profile, in behaviour's model
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng\"}");
  struct policy *policy = NULL, *next = NULL;
  struct kept_model one = {0};
  keep_model(&one, "1");
  one.is_in_force = true;
  memset(&report, 0, sizeof report);
  if (load_with(&one, &policy) != 0) fail_msg("%s", err.text);
  keep_model(&two, "2");
  struct policy_model other = {"eng", "2", buf_bytes(&two.json), buf_bytes(&two.weights)};
  policy_report_deinit(&report);
  assert_int_equal(policy_with_model(policy, &other, NULL, &next, &report, &err), ITD_EMODEL);
  assert_int_equal(report.errors, 1);
  assert_string_equal(report.problem[0].path, "models/eng/2/model.json");
  assert_non_null(strstr(err.text, "engagement model is of the behaviour alone"));
  policy_report_deinit(&report);
  assert_int_equal(policy_with_canary(policy, &other, 100, &next, &report, &err), ITD_EMODEL);
  assert_int_equal(report.errors, 1);
  other.name = "engagement";
  policy_report_deinit(&report);
  assert_int_equal(policy_with_model(policy, &other, NULL, &next, &report, &err), ITD_ENOTFOUND);
  assert_null(next);
  policy_release(policy);
  policy_report_deinit(&report);
  buf_deinit(&one.json), buf_deinit(&one.weights), buf_deinit(&two.json), buf_deinit(&two.weights);
}

// Directories have archives from when a version was all of the bundle: they keep their names.
static void an_archive_of_before_is_what_it_was(void **unused) {
  (void)unused;
  struct kept_model two = {0};
  write_model("eng", "1", "1", "views", of_views);
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng\"}");
  struct policy *policy = NULL, *old = NULL;
  if (load_named("sample", &policy) != 0) fail_msg("%s", err.text);
  policy->bundle.format = 1;
  struct buf archive = {0}, second = {0};
  policy_archive(policy, &archive);
  if (unpack(buf_bytes(&archive), &old) != 0) fail_msg("%s", err.text);
  assert_string_equal(policy_info(old)->text_hash, policy_info(old)->hash);
  assert_int_equal(strncmp(policy_info(old)->version, policy_info(old)->hash, 12), 0);
  policy_archive(old, &second);
  assert_true(bytes_eq(buf_bytes(&archive), buf_bytes(&second)));
  write_model("eng", "2", "2", "views", of_views);
  keep_model(&two, "2");
  struct policy *next = with_model(old, &two); // and a model put in force under it leaves it its name, too
  assert_string_equal(policy_info(next)->version, policy_info(old)->version);
  assert_string_not_equal(policy_info(next)->hash, policy_info(old)->hash);
  policy_release(policy), policy_release(old), policy_release(next);
  policy_report_deinit(&report);
  buf_deinit(&archive), buf_deinit(&second), buf_deinit(&two.json), buf_deinit(&two.weights);
}

static void models_that_do_not_belong_are_refused(void **unused) {
  (void)unused;
  change("\"models\": {}", "\"models\": {\"fit\": \"fits\", \"engagement\": \"eng\"}");
  write_model("fits", "1", "1", "domain", of_domain);
  write_model("eng", "1", "1", "views", of_views);
  struct policy *policy = NULL;
  if (load_named("sample", &policy) != 0) fail_msg("%s", err.text);
  policy_release(policy);
  policy_report_deinit(&report);
  write_model("fits", "1", "1", "views", of_views); // behaviour in the profile's model
  refused(ITD_EMODEL, "models/fits/1/model.json", 0, "'views' is behaviour, and a fit model is of the profile alone");
  write_model("fits", "1", "2", "domain", of_domain);
  refused(ITD_EMODEL, "models/fits/1/model.json", 0, "says that it is fits@2");
  write_file(folder.models, "fits/1/weights.json", "{}");
  refused(ITD_EMODEL, "models/fits/1/model.json", 0, "");
  // both models' faults are told
  write_model("fits", "1", "1", "views", of_views);
  write_model("eng", "1", "1", "domain", of_domain);
  assert_int_equal(load_named("sample", &policy), ITD_EMODEL);
  assert_int_equal(report.errors, 2);
  policy_report_deinit(&report);
}

// ---- archive ----

static void an_archive_is_the_same_policy_without_files(void **unused) {
  (void)unused;
  write_model("eng", "7", "7", "views", of_views);
  write_file(folder.policies, "sample/data/team.csv", "name\nann\n");
  write_file(folder.policies, "signals/other/signals.lua", "");
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng\"}");
  struct policy *policy = NULL, *again = NULL;
  if (load_named("sample", &policy) != 0) fail_msg("%s", err.text);
  struct buf archive, second;
  buf_init(&archive), buf_init(&second);
  policy_archive(policy, &archive);
  folder_remove(&folder);
  if (unpack(buf_bytes(&archive), &again) != 0) fail_msg("%s", err.text);
  assert_string_equal(policy_info(policy)->hash, policy_info(again)->hash);
  assert_true(policy_info(policy)->signals_hash == policy_info(again)->signals_hash);
  assert_string_equal(model_bound_info(policy_model_engagement(again))->version, "7");
  assert_true(bytes_is(module_of(again, "sample.data.team")->text, "name\nann\n"));
  size_t count = 9;
  policy_paths(again, &count);
  assert_int_equal(count, 0);
  policy_archive(again, &second);
  assert_int_equal(archive.n, second.n);
  assert_memory_equal(archive.p, second.p, archive.n);
  policy_release(policy), policy_release(again);
  policy_report_deinit(&report);
  buf_deinit(&archive), buf_deinit(&second);
}

static void no_byte_of_an_archive_can_change_unseen(void **unused) {
  (void)unused;
  write_model("eng", "7", "7", "views", of_views);
  change("\"models\": {}", "\"models\": {\"engagement\": \"eng\"}");
  struct policy *policy = NULL;
  assert_int_equal(load_named("sample", &policy), 0);
  struct buf archive;
  buf_init(&archive);
  policy_archive(policy, &archive);
  char hash[65];
  memcpy(hash, policy_info(policy)->hash, sizeof hash);
  policy_release(policy);
  policy_report_deinit(&report);
  for (int round = 0; round < 4000; round++) {
    struct buf bad;
    buf_init(&bad);
    buf_append_bytes(&bad, buf_bytes(&archive));
    size_t where = roll(bad.n);
    uint8_t before = bad.p[where];
    if (roll(8) == 0)
      bad.n = where;
    else
      bad.p[where] = (uint8_t)roll(256);
    if (bad.n == archive.n && bad.p[where] == before) bad.n--;
    struct policy *again = NULL;
    int status = unpack(buf_bytes(&bad), &again);
    // What it says twice (an integer in a longer form, a str8 that is a bin8) is still the same policy.
    if (status == 0)
      assert_string_equal(policy_info(again)->hash, hash);
    else
      assert_true((status == ITD_ECORRUPT || status == ITD_EVERSION || status == ITD_EPOLICY) && err.text[0]);
    policy_release(again);
    buf_deinit(&bad);
  }
  buf_deinit(&archive);
}

static void another_meaning_is_another_version(void **unused) {
  (void)unused;
  struct buf b;
  buf_init(&b);
  pack_json(
      "{\"format\": 1, \"semantics\": 999, \"name\": \"a\", \"hash\": \"\", \"modules\": [], \"models\": [null, null]}",
      &b);
  struct policy *policy = NULL;
  assert_int_equal(unpack(buf_bytes(&b), &policy), ITD_EVERSION);
  static const int64_t features[] = {FEATURE_SEMANTICS - 1, FEATURE_SEMANTICS + 1, FEATURE_SEMANTICS};
  for (int i = 0; i < 3; i++) {
    char json[200];
    snprintf(json, sizeof json,
             "{\"format\": 1, \"semantics\": %lld, \"name\": \"a\", \"hash\": \"\", \"modules\": [], \"models\": "
             "[null, null]}",
             (long long)features[i] << 16 | POLICY_SEMANTICS);
    buf_clear(&b);
    pack_json(json, &b);
    assert_int_equal(unpack(buf_bytes(&b), &policy), i < 2 ? ITD_EVERSION : ITD_ECORRUPT);
  }
  assert_null(policy);
  buf_deinit(&b);
}

int main(void) {
  const char *given = getenv("SEED");
  seed = given ? strtoull(given, NULL, 10) : 20260107;
  printf("SEED=%llu\n", (unsigned long long)seed);
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(versions_compare_as_people_count),
      cmocka_unit_test(versions_have_one_order),
      CASE(a_bundle_is_its_files),
      CASE(the_same_files_elsewhere_are_the_same_version),
      CASE(modules_are_named_by_their_paths),
      CASE(policies_are_listed),
      CASE(names_lead_nowhere_else),
      CASE(faults_name_file_and_line),
      CASE(warnings_load_and_are_told_once),
      CASE(the_self_test_finds_what_no_lead_should),
      CASE(the_highest_version_is_chosen_unless_one_is_named),
      CASE(the_model_in_force_is_taken_whatever_the_folder_has),
      CASE(another_model_is_the_same_version_of_the_policy),
      CASE(a_canary_decides_for_its_share_of_leads),
      CASE(a_canary_stays_when_the_text_changes),
      CASE(a_model_that_does_not_fit_comes_in_nowhere),
      CASE(an_archive_of_before_is_what_it_was),
      CASE(models_that_do_not_belong_are_refused),
      CASE(an_archive_is_the_same_policy_without_files),
      CASE(no_byte_of_an_archive_can_change_unseen),
      CASE(another_meaning_is_another_version),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
