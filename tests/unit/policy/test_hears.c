// Which events feed which feature: every form that a declaration can have.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "policy/hears.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct policy *set;
static struct error err;

static int end(void **unused) {
  (void)unused;
  policy_release(set);
  set = NULL;
  err = (struct error){0};
  return 0;
}

// A set of its own in a folder.
static char dir[64];
static void put(const char *name, const char *text) {
  char path[160];
  snprintf(path, sizeof path, "%s/signals/s/%s", dir, name);
  if (file_replace(path, bytes_str(text), &err) != 0) fail_msg("%s", err.text);
}

static int make(void **unused) {
  (void)unused;
  char path[160];
  strcpy(dir, "/tmp/test_hears.XXXXXX");
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/signals/s/features", dir);
  return dir_make(path, &err);
}

static int remove_it(void **unused) {
  char path[160];
  static const char *const all[] = {"signals/s/features/f.lua", "signals/s/signals.lua"};
  for (size_t i = 0; i < 2; i++) snprintf(path, sizeof path, "%s/%s", dir, all[i]), (void)unlink(path);
  static const char *const folders[] = {"/signals/s/features", "/signals/s", "/signals", ""};
  for (size_t i = 0; i < 4; i++) snprintf(path, sizeof path, "%s%s", dir, folders[i]), (void)rmdir(path);
  return end(unused);
}

static enum policy_hearing hears(const char *feature, const char *event) {
  int at = feature_find(policy_features(set), bytes_str(feature));
  assert_true(at >= 0);
  return policy_hears(set, (size_t)at, event);
}

static void knows_what_feeds_a_feature(void **unused) {
  (void)unused;
  put("signals.lua", "return { name = 's', version = 3, events = { 'Won', 'Seen' }, "
                     "labels = { { name = 'won', event = 'Won', within = '30d' } } }");
  put("features/f.lua", "return { { name = 'named', op = 'count', on = 'Won' },\n"
                        "{ name = 'in_list', op = 'count', on = { 'Seen', { type = 'track', event = 'Won' } } },\n"
                        "{ name = 'other', op = 'count', on = { event = 'Seen' } },\n"
                        "{ name = 'all', op = 'recency' },\n"
                        "{ name = 'by_channel', op = 'count', on = { channel = 'web' } },\n"
                        "{ name = 'who', op = 'flag', on = { type = 'identify' } },\n"
                        "{ name = 'steps', op = 'funnel', within = '1d', steps = { 'Seen', { on = 'Won', where = { "
                        "path = 'properties.a', exists = true } } } },\n"
                        "{ name = 'open_steps', op = 'funnel', within = '1d', steps = { 'Seen', { where = { path = "
                        "'properties.a', exists = true } } } },\n"
                        "{ name = 'made', op = 'ratio', of = { 'other', 'named' } },\n"
                        "{ name = 'made_of_made', op = 'difference', of = { 'other', 'made' } },\n"
                        "{ name = 'of_account', op = 'account', roll = 'sum', of = 'named' } }");
  const struct policy_source source = {.policies_dir = dir, .scripts_dir = INTENTD_ROOT "/scripts", .name = "s"};
  const struct lua_limits limits = LUA_LIMITS_DEFAULT;
  if (policy_load_set(&source, &limits, &set, NULL, &err) != 0) fail_msg("%s", err.text);
  static const struct {
    const char *feature;
    enum policy_hearing hears;
  } all[] = {{"named", POLICY_HEARS_IT},        {"in_list", POLICY_HEARS_IT},     {"other", POLICY_DEAF},
             {"all", POLICY_HEARS_ALL},         {"by_channel", POLICY_HEARS_ALL}, {"who", POLICY_DEAF},
             {"steps", POLICY_HEARS_IT},        {"open_steps", POLICY_HEARS_ALL}, {"made", POLICY_HEARS_IT},
             {"made_of_made", POLICY_HEARS_IT}, {"of_account", POLICY_HEARS_IT}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) assert_int_equal(hears(all[i].feature, "Won"), all[i].hears);
  assert_int_equal(hears("named", "Seen"), POLICY_DEAF);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(knows_what_feeds_a_feature, make, remove_it)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
