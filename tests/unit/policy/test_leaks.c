// A label's event must reach no feature: not in the house's own sets, by name or by fold; and whoever declares such a
// feature is told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "policy/hears.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct lua_limits limits = LUA_LIMITS_DEFAULT;

static struct policy *load_set(const char *dir, const char *name, struct policy_report *report) {
  const struct policy_source source = {.policies_dir = dir, .scripts_dir = "scripts", .name = name};
  struct policy *policy = NULL;
  struct error err = {0};
  if (policy_load_set(&source, &limits, &policy, report, &err) != 0) fail_msg("%s/%s: %s", dir, name, err.text);
  return policy;
}

// An event of that name as senders send it: from every channel that a declaration could ask for, tracked or a page. None may
// touch a state, but of features that are declared to hear events of any name.
static void fold_it(const struct policy *policy, const char *event) {
  static const char *const channels[] = {"", "web", "product", "crm", "email", "sales", "bank", "mobile"};
  const struct feature_set *set = policy_features(policy);
  size_t size = feature_state_size(set);
  for (size_t c = 0; c < sizeof channels / sizeof *channels; c++) {
    uint8_t *before = xmalloc(size), *after = xmalloc(size);
    struct event e = {.type = EVENT_TRACK,
                      .name = bytes_str(event),
                      .channel = bytes_str(channels[c]),
                      .timestamp_ms = 1767603600000,
                      .has_timestamp = true};
    struct feature_mask deaf = {0};
    for (size_t i = 0; i < feature_count(set); i++)
      if (policy_hears(policy, i, event) == POLICY_DEAF) feature_mask_add(&deaf, i);
    feature_state_init(set, before), feature_state_init(set, after);
    assert_int_equal(feature_fold_only(set, after, &e, e.timestamp_ms, &deaf), 0);
    assert_memory_equal(before, after, size);
    free(before), free(after);
  }
}

// What a set declares to be fed on purpose is for rules: `intent train` gives it to no model.
static bool is_on_purpose(const struct policy_label *label, const char *feature) {
  for (size_t i = 0; i < label->read_by_count; i++)
    if (strcmp(label->read_by[i], feature) == 0) return true;
  return false;
}

static size_t look_at(const char *dir, const char *name) {
  struct policy_report report;
  struct policy *policy = load_set(dir, name, &report);
  size_t labels;
  const struct policy_label *label = policy_labels(policy, &labels);
  for (size_t i = 0; i < report.count; i++)
    if (strstr(report.problem[i].text, "settles the label")) fail_msg("%s/%s: %s", dir, name, report.problem[i].text);
  for (size_t i = 0; i < labels; i++) {
    for (size_t k = 0; k < feature_count(policy_features(policy)); k++)
      if (!is_on_purpose(&label[i], feature_info(policy_features(policy), k)->name))
        assert_int_not_equal(policy_hears(policy, k, label[i].event), POLICY_HEARS_IT);
    fold_it(policy, label[i].event);
    for (size_t u = 0; u < label[i].unless_count; u++) fold_it(policy, label[i].unless[u]);
  }
  policy_report_deinit(&report);
  policy_release(policy);
  return labels;
}

static void no_label_reaches_a_feature_of_the_house(void **state) {
  (void)state;
  static const char *const places[] = {"policies", "examples/behaviour_vs_profile/policies"};
  size_t labels = 0;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char path[256];
    snprintf(path, sizeof path, "%s/signals", places[i]);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));)
      if (d->d_name[0] != '.') labels += look_at(places[i], d->d_name);
    if (dir) closedir(dir);
  }
  assert_true(labels > 0);
}

// ---- a set that leaks ----
static void put(const char *dir, const char *name, const char *text) {
  char path[200];
  struct error err = {0};
  snprintf(path, sizeof path, "%s/signals/s/%s", dir, name);
  if (file_replace(path, bytes_str(text), &err) != 0) fail_msg("%s", err.text);
}

static size_t warnings(const char *dir, const char *label, const char *want) {
  char text[600];
  snprintf(
      text, sizeof text,
      "return { name = 's', version = 1, labels = { { name = 'won', event = 'Won', within = '30d', unless = 'Lost'%s } "
      "} }",
      label);
  put(dir, "signals.lua", text);
  struct policy_report report;
  policy_release(load_set(dir, "s", &report));
  size_t count = report.count;
  assert_int_equal(report.errors, 0);
  for (size_t i = 0; i < count; i++) assert_non_null(strstr(report.problem[i].text, "settles the label 'won'"));
  if (want) assert_non_null(strstr(report.problem[count - 1].text, want));
  policy_report_deinit(&report);
  return count;
}

static void a_feature_that_a_label_feeds_is_told(void **state) {
  (void)state;
  char dir[64] = "/tmp/test_leaks.XXXXXX", path[160];
  struct error err = {0};
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/signals/s/features", dir);
  assert_int_equal(dir_make(path, &err), 0);
  put(dir, "features/f.lua",
      "return { { name = 'seen', op = 'count', on = 'Seen' }, { name = 'wins', op = 'count', on = 'Won' },\n"
      "{ name = 'rate', op = 'ratio', of = { 'wins', 'seen' } }, { name = 'losses', op = 'count', on = { 'Lost' } },\n"
      "{ name = 'idle', op = 'recency' } }");
  assert_int_equal(warnings(dir, "", "feature 'losses' is fed by 'Lost'"), 3);
  assert_int_equal(warnings(dir, ", read_by = { 'wins', 'losses' }", "feature 'rate' is fed by 'Won'"), 1);
  assert_int_equal(warnings(dir, ", read_by = { 'wins', 'losses', 'rate' }", NULL), 0);
  static const char *const all[] = {"signals/s/features/f.lua", "signals/s/signals.lua"};
  for (size_t i = 0; i < 2; i++) snprintf(path, sizeof path, "%s/%s", dir, all[i]), (void)unlink(path);
  static const char *const folders[] = {"/signals/s/features", "/signals/s", "/signals", ""};
  for (size_t i = 0; i < 4; i++) snprintf(path, sizeof path, "%s%s", dir, folders[i]), (void)rmdir(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_label_reaches_a_feature_of_the_house),
                                     cmocka_unit_test(a_feature_that_a_label_feeds_is_told)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
