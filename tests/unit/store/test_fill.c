// Filling in: a frame says what was taken in, and no more; verifying folds it again; who is not there takes nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/feature_verify.h"
#include "store/fill.h"
#include "store/select.h"
#include "world.h"

#define USERS 5

static void take_events(struct world *w, uint64_t count) {
  struct buf event = {0}, answer = {0};
  struct error err = {0};
  for (uint64_t n = 0; n < count; n++) {
    make_event(&event, 7, n, USERS);
    buf_clear(&answer);
    if (world_take(w, buf_bytes(&event), 0, &answer, &err)) fail_msg("%s", err.text);
  }
  assert_int_equal(world_commit(w, &err), 0);
  buf_deinit(&event);
  buf_deinit(&answer);
}

static struct lead *some_lead(struct world *w) {
  struct hash128 identity = store_identity(w->store, 0, IDENTITY_USER, BYTES_LIT("user3@company3.example"));
  struct lead_id id;
  assert_true(store_find(store_shard(w->store, 0), identity, &id));
  return store_lead(store_shard(w->store, 0), id);
}

// All that a state holds, and a slice that no set defines behind it.
static size_t put_slices(struct lead *lead, struct buf *out) {
  struct buf list = {0};
  struct feature_mask all;
  memset(&all, 0xff, sizeof all);
  size_t count = feature_slices_put(policy_features(shipped_policy()), lead_feature_state(lead), &all, &list, NULL);
  struct mp m = mp_of(buf_bytes(&list));
  mp_next(&m);
  mp_put_map(out, (uint32_t)count + 1);
  buf_append(out, m.p, (size_t)(m.end - m.p));
  mp_put_uint(out, 4711);
  mp_put_array(out, 2), mp_put_bin(out, BYTES_LIT("12345678")), mp_put_nil(out);
  buf_deinit(&list);
  return count;
}

struct told {
  size_t frames, count;
  struct fill fill;
  uint64_t hash[FEATURES_MAX];
};
static int take_fill(void *context, const struct frame *f, uint64_t place, struct error *err) {
  (void)place;
  struct told *told = context;
  told->frames++;
  return fill_read(f, &told->fill, told->hash, &told->count, err);
}

static struct told fills_of(const char *dir) {
  struct told told = {0};
  struct select_filter fills = SELECT_ALL;
  struct error err = {0};
  fills.kinds = 1u << FRAME_FILL;
  if (journal_select(dir, &fills, take_fill, &told, NULL, NULL, &err)) fail_msg("%s", err.text);
  return told;
}

static void a_frame_says_what_was_taken_in(void **state) {
  (void)state;
  char *dir = scratch_new();
  struct world w;
  struct store_options options = small_options(dir, 1);
  struct error err = {0};
  struct buf slices = {0};
  world_must_open(&w, &options);
  take_events(&w, 200);
  struct lead *lead = some_lead(&w);
  size_t known = put_slices(lead, &slices);
  uint64_t before = lead_digest(lead);
  struct lead_id id = lead->id, to = id;
  struct fill fill = {.of = {.b = {1, 2, 3}}, .until = 0x1234567890abcdef, .slices = buf_bytes(&slices)};
  assert_int_equal(intake_fill(w.intake[0], &to, &fill, 0, &err), 1);
  assert_int_equal(world_commit(&w, &err), 0);
  assert_true(lead_digest(store_lead(store_shard(w.store, 0), id)) != before);
  struct told told = fills_of(dir);
  assert_int_equal(told.frames, 1);
  assert_int_equal(told.count, known);
  assert_true(lead_id_eq(told.fill.of, fill.of) && told.fill.until == fill.until);
  for (size_t i = 0; i < told.count; i++) assert_true(feature_defines(policy_features(shipped_policy()), told.hash[i]));

  // Nothing that the release in force defines; no map; nobody.
  static const uint8_t strange[] = {0x81, 0x01, 0x92, 0xc4, 0x01, 0x00, 0xc0};
  fill.slices = bytes_of(strange, sizeof strange);
  assert_int_equal(intake_fill(w.intake[0], &to, &fill, 0, &err), 0);
  fill.slices.n--;
  assert_int_equal(intake_fill(w.intake[0], &to, &fill, 0, &err), ITD_ECORRUPT);
  fill.slices = buf_bytes(&slices);
  to.b[5] ^= 1;
  assert_int_equal(intake_fill(w.intake[0], &to, &fill, 0, &err), ITD_ENOTFOUND);
  assert_int_equal(world_commit(&w, &err), 0);
  assert_int_equal(fills_of(dir).frames, 1);

  take_events(&w, 10); // duplicates: nothing new
  uint64_t digest = world_digest(&w, USERS);
  world_close(&w);
  struct feature_verify_result result;
  struct feature_verify_options verify = {.dir = dir};
  if (store_features_verify(&verify, &result, &err)) fail_msg("%s", err.text);
  assert_int_equal(result.mismatches, 0);
  world_must_open(&w, &options);
  assert_true(world_digest(&w, USERS) == digest);
  world_close(&w);
  buf_deinit(&slices);
  scratch_free(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_frame_says_what_was_taken_in)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
