// Leads folded anew from outside: the same states after each frame, of an open directory, in any number of passes, from a
// base where the beginning is gone; and verifying finds the feature that is another.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/feature_verify.h"
#include "world.h"

#define EVENTS 600
#define USERS  40

static void take(struct world *w, uint64_t from, uint64_t to) {
  struct buf event = {0}, answer = {0};
  struct error err = {0};
  for (uint64_t n = from; n < to; n++) {
    make_event(&event, 42, n, USERS);
    buf_clear(&answer);
    if (world_take(w, buf_bytes(&event), 0, &answer, &err)) fail_msg("%s", err.text);
    if (n % 50 == 0) assert_int_equal(world_commit(w, &err), 0);
  }
  assert_int_equal(world_commit(w, &err), 0);
  buf_deinit(&event);
  buf_deinit(&answer);
}

struct seen {
  uint64_t frames, different, events, passes, leads, hash;
};
static int see(void *context, const struct refold_step *step, struct error *err) {
  (void)err;
  struct seen *seen = context;
  seen->frames++;
  seen->different += !step->is_same;
  seen->events += step->event != NULL;
  assert_true(step->lead->place == step->place);
  seen->hash += hash_mix(lead_id_hash(step->lead->id), step->digest); // whatever the order of passes
  return 0;
}
static int count_pass(void *context, struct opener *opener, const struct lead_id *leads, size_t count,
                      struct error *err) {
  (void)opener, (void)leads, (void)err;
  struct seen *seen = context;
  seen->passes++;
  seen->leads += count;
  return 0;
}

static struct seen refold(const char *dir, size_t leads_max) {
  struct seen seen = {0};
  struct refold_options o = {.dir = dir, .leads_max = leads_max, .begin = count_pass, .visit = see, .context = &seen};
  struct refold_stats stats;
  struct error err = {0};
  if (store_refold(&o, &stats, &err)) fail_msg("%s", err.text);
  assert_int_equal(stats.frames, seen.frames);
  assert_int_equal(stats.leads, seen.leads);
  assert_int_equal(stats.unreached, 0);
  return seen;
}

static struct feature_verify_result *verify(const char *dir, uint64_t sample) {
  static struct feature_verify_result r;
  struct feature_verify_options o = {.dir = dir, .sample = sample};
  struct error err = {0};
  if (store_features_verify(&o, &r, &err)) fail_msg("%s", err.text);
  return &r;
}

static void what_was_kept_comes_out_again(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct world w;
  struct store_options options = small_options(dir, 2);
  world_must_open(&w, &options);
  take(&w, 0, EVENTS);
  struct seen open = refold(dir, 0); // while it is held
  assert_int_equal(open.different, 0);
  assert_int_equal(open.events, EVENTS);
  assert_int_equal(open.passes, 1);
  world_close(&w);
  for (size_t most = 1; most < 100; most *= 7) {
    struct seen other = refold(dir, most);
    assert_int_equal(other.passes, (open.leads + most - 1) / most);
    other.passes = 1;
    assert_memory_equal(&open, &other, sizeof open);
  }
  struct feature_verify_result *r = verify(dir, 0);
  assert_int_equal(r->mismatches, 0);
  assert_int_equal(r->states, open.leads);
  assert_int_equal(r->unmet, 0);
  assert_int_equal(verify(dir, 7)->refold.leads, 7);
  assert_int_equal(verify(dir, 70000)->refold.leads, open.leads);
  scratch_free(dir);
}

// A bit of one feature of one lead changes in LMDB; nothing else does.
static void a_feature_that_is_another_is_named(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct world w;
  struct store_options options = small_options(dir, 1);
  world_must_open(&w, &options);
  take(&w, 0, EVENTS);
  struct hash128 identity = store_identity(w.store, 0, IDENTITY_USER, BYTES_LIT("user3@company3.example"));
  struct lead_id id;
  assert_true(store_find(store_shard(w.store, 0), identity, &id));
  struct lead *lead = store_lead(store_shard(w.store, 0), id);
  const struct feature_set *set = policy_features(shipped_policy());
  const struct feature_info *info = feature_info(set, (size_t)feature_find(set, BYTES_LIT("interest")));
  lead_feature_state(lead)[info->state_offset + info->state_size - 1] ^= 0x10;
  store_put(store_shard(w.store, 0), lead);
  char name[LEAD_ID_TEXT + 12], text[LEAD_ID_TEXT];
  lead_id_format(id, text);
  snprintf(name, sizeof name, "%s-%u", text, lead->number);
  world_close(&w);
  struct feature_verify_result *r = verify(dir, 0);
  assert_int_equal(r->mismatches, 1);
  assert_int_equal(r->different_leads, 1);
  assert_int_equal(r->count, 1);
  assert_string_equal(r->finding[0].feature, "interest");
  assert_string_equal(r->finding[0].where, "state");
  assert_string_equal(r->finding[0].decision_id, name);
  assert_true(r->finding[0].folded != r->finding[0].held);
  scratch_free(dir);
}

static void a_folder_that_is_no_directory_is_said(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct error err = {0};
  struct refold_stats stats;
  struct seen seen = {0};
  struct refold_options o = {.dir = dir, .visit = see, .context = &seen};
  assert_int_equal(store_refold(&o, &stats, &err), ITD_ENOTFOUND);
  assert_non_null(strstr(err.text, "no data directory"));
  assert_int_not_equal(access(dir, F_OK), -1);
  scratch_free(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_kept_comes_out_again),
                                     cmocka_unit_test(a_feature_that_is_another_is_named),
                                     cmocka_unit_test(a_folder_that_is_no_directory_is_said)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
