// What came late: noted with each switch, taken off by a backfill, read back from the file whatever is in it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/disk.h"
#include "store/late.h"
#include "store/versions.h"
#include "world.h"

static uint64_t seed;
static uint64_t roll(uint64_t below) {
  seed = hash_mix(seed, 0x9e3779b97f4a7c15u);
  return seed % below;
}

static struct policy *loans(void) {
  static struct policy *policy;
  struct policy_source source = {
      .policies_dir = "policies", .models_dir = "policies/models", .scripts_dir = "scripts", .name = "consumer_loans"};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  struct error err = {0};
  if (!policy && policy_load(&source, &limits, &policy, NULL, &err)) fail_msg("%s", err.text);
  return policy;
}

static bool lacks(const struct policy *policy, const struct feature_set *set, size_t i) {
  return feature_has_history(set, i) &&
         !feature_defines(policy_features(policy), feature_info(set, i)->definition_hash);
}

static size_t count_lacking(const struct policy *policy, const struct policy *of) {
  size_t count = 0;
  for (size_t i = 0; i < feature_count(policy_features(of)); i++) count += lacks(policy, policy_features(of), i);
  return count;
}

static void notes_what_the_one_before_lacks(void **unused) {
  (void)unused;
  struct policy *a = shipped_policy(), *b = loans();
  struct late late = {0};
  assert_false(late_switch(&late, a, a, 5));
  assert_true(late_switch(&late, a, b, 5));
  assert_int_equal(late.count, count_lacking(a, b)); // no set here has one definition twice
  for (size_t i = 0; i < feature_count(policy_features(b)); i++)
    if (lacks(a, policy_features(b), i))
      assert_int_equal(late_find(&late, feature_info(policy_features(b), i)->definition_hash)->since_ms, 5);
  assert_false(late_switch(&late, b, b, 6));
  assert_true(late_switch(&late, b, a, 5)); // a clock that stands
  size_t again = 0;
  for (size_t i = 0; i < late.count; i++) again += late.entry[i].since_ms == 6;
  assert_int_equal(again, count_lacking(b, a));
  assert_true(late_switch(&late, a, a, 7)); // what b had is gone for good
  assert_int_equal(late.count, count_lacking(b, a));
}

static void takes_off_what_is_full_and_did_not_come_anew(void **unused) {
  (void)unused;
  struct policy *a = shipped_policy(), *b = loans();
  const struct feature_set *set = policy_features(a);
  for (int round = 0; round < 200; round++) {
    struct late late = {0}, then;
    struct feature_mask full = {0};
    assert_true(late_switch(&late, b, a, 1));
    then = late;
    bool came_anew = roll(2);
    if (came_anew) assert_true(late_switch(&late, a, b, 1) && late_switch(&late, b, a, 1));
    for (size_t i = 0; i < feature_count(set); i++)
      if (roll(2)) feature_mask_add(&full, i);
    (void)late_fill(&late, &then, set, &full);
    for (size_t i = 0; i < feature_count(set); i++) {
      if (!lacks(b, set, i)) continue;
      bool is_there = late_find(&late, feature_info(set, i)->definition_hash) != NULL;
      assert_int_equal(is_there, came_anew || !feature_mask_has(&full, i));
    }
  }
}

static void reads_what_it_wrote_and_refuses_the_rest(void **unused) {
  (void)unused;
  char *dir = scratch_new(), path[600];
  struct error err = {0};
  struct late late = {0}, again;
  assert_int_equal(late_read(dir, &again, &err), ITD_ENOTFOUND);
  assert_true(late_switch(&late, shipped_policy(), loans(), INT64_MAX - 1));
  assert_int_equal(late_write(dir, &late, &err), 0);
  assert_int_equal(late_read(dir, &again, &err), 0);
  assert_memory_equal(&late, &again, sizeof late);
  snprintf(path, sizeof path, "%s/late", dir);
  struct buf good = {0}, bad = {0};
  assert_int_equal(disk_load(path, 1 << 20, &good, &err), 0);
  for (int round = 0; round < 300; round++) {
    buf_clear(&bad);
    buf_append(&bad, good.p, good.n);
    for (uint64_t n = 1 + roll(4); n; n--) bad.p[roll(bad.n)] = (uint8_t)("\n 0fx-"[roll(6)]);
    if (roll(3) == 0) bad.n = roll(bad.n);
    assert_int_equal(disk_replace(path, buf_bytes(&bad), &err), 0);
    int status = late_read(dir, &again, &err);
    assert_true(status == 0 || status == ITD_ECORRUPT);
  }
  buf_clear(&bad);
  for (size_t i = 0; i < 2 * FEATURES_MAX + 1; i++) buf_append_str(&bad, "00000000000000ff 1\n");
  assert_int_equal(disk_replace(path, buf_bytes(&bad), &err), 0);
  assert_int_equal(late_read(dir, &again, &err), ITD_ECORRUPT);
  buf_deinit(&good), buf_deinit(&bad);
  scratch_free(dir);
}

static void without_a_file_all_is_late_that_some_version_lacks(void **unused) {
  (void)unused;
  char *dir = scratch_new();
  struct error err = {0};
  struct versions *versions;
  struct late late;
  uint32_t number;
  assert_int_equal(versions_open(dir, &versions, &err), 0);
  assert_int_equal(versions_put(versions, shipped_policy(), &number, &err), 0);
  assert_int_equal(late_derive(dir, shipped_policy(), 9, &late, &err), 0);
  assert_int_equal(late.count, 0);
  assert_int_equal(versions_put(versions, loans(), &number, &err), 0);
  assert_int_equal(late_derive(dir, shipped_policy(), 9, &late, &err), 0);
  assert_int_equal(late.count, count_lacking(loans(), shipped_policy()));
  versions_close(versions);
  scratch_free(dir);
}

int main(void) {
  seed = seed_of_run();
  const struct CMUnitTest tests[] = {cmocka_unit_test(notes_what_the_one_before_lacks),
                                     cmocka_unit_test(takes_off_what_is_full_and_did_not_come_anew),
                                     cmocka_unit_test(reads_what_it_wrote_and_refuses_the_rest),
                                     cmocka_unit_test(without_a_file_all_is_late_that_some_version_lacks)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
