// A lead's life that two programs folded, each its part of the features or of the time: put together by slices it is what one
// would have folded. Random lives and cuts; SEED=.
#include "support.h"

static const char declared[] =
    "[{'name': 'a', 'op': 'count', 'window': '7d', 'tile': '1d'}, {'name': 'b', 'op': 'sum', 'of': 'properties.v'},"
    " {'name': 'c', 'op': 'distinct', 'of': 'properties.v'}, {'name': 'd', 'op': 'last', 'of': 'properties.v'},"
    " {'name': 'e', 'op': 'count', 'on': 'B', 'max_age': '7d'}, {'name': 'f', 'op': 'recency'},"
    " {'name': 'g', 'op': 'quantile', 'of': 'properties.v', 'q': 0.5}, {'name': 'h', 'op': 'ratio', 'of': ['a', 'b']},"
    " {'name': 'i', 'op': 'active_days', 'window': '30d'},"
    " {'name': 'j', 'op': 'sum', 'of': 'properties.v'}]"; // a second name for what b is

static uint64_t rng;
static uint64_t draw(uint64_t n) { return (rng = hash_mix(rng, 5)) % n; }

static void fold(const struct feature_set *set, uint8_t *state, const char *json, int64_t at_ms,
                 const struct feature_mask *only) {
  struct buf map = {0};
  struct event event;
  struct event_digits digits;
  struct event_limits limits = {
      .id_max = 200, .name_max = 200, .bytes_max = 4096, .late_max_ms = INT64_MAX, .future_max_ms = INT64_MAX};
  pack(json, &map);
  assert_int_equal(event_decode(buf_bytes(&map), at_ms, &limits, &digits, &event, NULL), 0);
  feature_fold_only(set, state, &event, at_ms, only);
  buf_deinit(&map);
}

static void test_parts_make_the_whole(void **context) {
  (void)context;
  const char *said = getenv("SEED");
  uint64_t seed = said ? strtoull(said, NULL, 10) : 20261125;
  printf("SEED=%llu\n", (unsigned long long)seed);
  rng = seed;
  struct feature_set *set = compile(declared);
  size_t size = feature_state_size(set), count = feature_count(set);
  uint8_t *whole = xmalloc(size), *before = xmalloc(size), *after = xmalloc(size);
  for (int round = 0; round < 300; round++) {
    feature_state_init(set, whole), feature_state_init(set, before), feature_state_init(set, after);
    struct feature_mask late = {0}, early = {0}; // declared in the midst; from the beginning
    for (size_t i = 0; i < count - 1; i++) feature_mask_add(draw(2) ? &late : &early, i);
    feature_mask_add(feature_mask_has(&late, 1) ? &late : &early, count - 1); // who has the one has the other
    int events = (int)draw(30), cut = events ? (int)draw((uint64_t)events + 1) : 0;
    int64_t at_ms = T0;
    for (int k = 0; k < events; k++) {
      char json[160];
      at_ms += (int64_t)draw(2 * DAY);
      snprintf(json, sizeof json,
               "{'type': 'track', 'event': '%s', 'userId': 'u', 'timestamp': %lld, 'properties': {'v': %d}}",
               draw(2) ? "A" : "B", (long long)at_ms, (int)draw(40));
      fold(set, whole, json, at_ms, NULL);
      fold(set, after, json, at_ms, k < cut ? &early : NULL);
      if (k < cut) fold(set, before, json, at_ms, &late);
    }
    struct buf slices = {0};
    struct feature_mask put;
    size_t merged = 99, n = feature_slices_put(set, before, &late, &slices, &put);
    assert_int_equal(feature_slices_merge(set, after, buf_bytes(&slices), &merged, NULL), 0);
    assert_int_equal(merged, n + (feature_mask_has(&put, 1) ? 1 : 0));
    assert_int_equal(feature_mask_has(&put, 1), feature_mask_has(&put, count - 1));
    for (size_t i = 0; i < count; i++) assert_false(feature_mask_has(&put, i) && !feature_mask_has(&late, i));
    assert_memory_equal(whole, after, size);
    assert_int_equal(feature_slices_put(set, whole, &(struct feature_mask){0}, &slices, NULL), 0);
    buf_deinit(&slices);
  }
  free(whole), free(before), free(after);
  feature_set_free(set);
}

static void test_what_is_no_slice(void **context) {
  (void)context;
  struct feature_set *set = compile(declared);
  size_t size = feature_state_size(set), merged = 7;
  uint8_t *state = xmalloc(size), *was = xmalloc(size);
  feature_state_init(set, state);
  memcpy(was, state, size);
  struct buf good = {0};
  struct feature_mask all;
  memset(&all, 0xff, sizeof all);
  fold(set, state, "{'type': 'page', 'userId': 'u', 'timestamp': 1767225600000, 'properties': {'v': 1}}", T0, NULL);
  assert_true(feature_slices_put(set, state, &all, &good, NULL) > 5);
  memcpy(state, was, size);
  struct error err = {0};
  for (size_t n = 0; n < good.n; n++) { // cut short, anywhere
    assert_int_equal(feature_slices_merge(set, state, bytes_of(good.p, n), &merged, &err), ITD_ECORRUPT);
    assert_memory_equal(state, was, size);
  }
  static const uint8_t others[][4] = {{0xc0}, {0x90}, {0x81, 0x01, 0xc0}, {0x81, 0x01, 0x91, 0xc0}, {0x81, 0xa0, 0x80}};
  static const size_t lengths[] = {1, 1, 3, 4, 3};
  for (size_t i = 0; i < 5; i++)
    assert_int_equal(feature_slices_merge(set, state, bytes_of(others[i], lengths[i]), &merged, &err), ITD_ECORRUPT);
  static const uint8_t unknown[] = {0x81, 0x01, 0x92, 0xc4, 0x01, 0x00, 0xc0}; // of no definition here
  assert_int_equal(feature_slices_merge(set, state, bytes_of(unknown, sizeof unknown), &merged, &err), 0);
  assert_int_equal(merged, 0);
  assert_memory_equal(state, was, size);
  free(state), free(was);
  buf_deinit(&good);
  feature_set_free(set);
}

// Of a map's slices those stay that a set defines, as they are.
static void test_what_another_set_defines(void **context) {
  (void)context;
  struct feature_set *set = compile(declared);
  struct feature_set *other =
      compile("[{'name': 'x', 'op': 'sum', 'of': 'properties.v'}, {'name': 'f', 'op': 'recency'}]");
  size_t size = feature_state_size(set), kept = 9, merged;
  uint8_t *state = xmalloc(size), *into = xmalloc(feature_state_size(other)),
          *whole = xmalloc(feature_state_size(other));
  struct buf slices = {0}, mine = {0};
  struct feature_mask all;
  memset(&all, 0xff, sizeof all);
  feature_state_init(set, state), feature_state_init(other, into), feature_state_init(other, whole);
  const char *json = "{'type': 'page', 'userId': 'u', 'timestamp': 1767225600000, 'properties': {'v': 7}}";
  fold(set, state, json, T0, NULL);
  fold(other, whole, json, T0, NULL);
  assert_true(feature_slices_put(set, state, &all, &slices, NULL) > 2);
  assert_int_equal(feature_slices_keep(other, buf_bytes(&slices), &mine, &kept, NULL), 0);
  assert_int_equal(kept, 2);
  struct mp m = mp_of(buf_bytes(&mine));
  assert_int_equal(mp_next(&m).count, 2);
  assert_int_equal(feature_slices_merge(other, into, buf_bytes(&mine), &merged, NULL), 0);
  assert_int_equal(merged, 2);
  assert_memory_equal(into, whole, feature_state_size(other));
  size_t was = mine.n;
  assert_int_equal(feature_slices_keep(other, bytes_of(slices.p, slices.n - 1), &mine, &kept, &(struct error){0}),
                   ITD_ECORRUPT);
  assert_int_equal(mine.n, was);
  free(state), free(into), free(whole);
  buf_deinit(&slices), buf_deinit(&mine);
  feature_set_free(set), feature_set_free(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts_make_the_whole),
                                     cmocka_unit_test(test_what_another_set_defines),
                                     cmocka_unit_test(test_what_is_no_slice)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
