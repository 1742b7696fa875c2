// Edits of packed maps, held against edits of a list of pairs.
#include "wire/mp_edit.h"
#include "wire_test.h"

static void edited(const char *before, const char *path, const char *value, const char *want) {
  struct buf map = from_json(before), with = {0};
  if (value) {
    struct buf list = from_json(value); // [value]
    buf_append(&with, list.p + 1, list.n - 1);
    buf_deinit(&list);
  }
  bool done = value ? mp_set(&map, bytes_str(path), buf_bytes(&with)) : mp_cut(&map, bytes_str(path), NULL);
  assert_int_equal(done, want != NULL);
  assert_json(buf_bytes(&map), want ? want : before);
  buf_deinit(&map);
  buf_deinit(&with);
}

static void values_are_put_and_taken(void **state) {
  (void)state;
  edited("{\"a\":1}", "a", "[2]", "{\"a\":2}");
  edited("{\"a\":1}", "b", "[[2,3]]", "{\"a\":1,\"b\":[2,3]}");
  edited("{}", "a.b.c", "[true]", "{\"a\":{\"b\":{\"c\":true}}}");
  edited("{\"a\":null,\"z\":1}", "a.b", "[1]", "{\"a\":{\"b\":1},\"z\":1}");
  edited("{\"a\":{\"x\":1},\"z\":1}", "a.b", "[1]", "{\"a\":{\"x\":1,\"b\":1},\"z\":1}");
  edited("{\"a\":5}", "a.b", "[1]", NULL);
  edited("{\"a\":[]}", "a.b.c", "[1]", NULL);
  edited("{\"a.b\":1,\"a\":{\"b\":2}}", "a.b", "[3]", "{\"a.b\":3,\"a\":{\"b\":2}}"); // as mp_find_path finds it
  edited("{\"a\":1,\"b\":2}", "a", NULL, "{\"b\":2}");
  edited("{\"a\":{\"b\":1}}", "a.b", NULL, "{\"a\":{}}");
  edited("{\"a\":{\"b\":1}}", "a.c", NULL, NULL);
  edited("{\"a\":1}", "a.c", NULL, NULL);
}

// Heads of maps get wider at 16 and 65,536 pairs, and narrower again.
static void heads_of_maps_follow(void **state) {
  (void)state;
  struct buf map = {0}, one = {0};
  mp_put_map(&map, 0);
  mp_put_int(&one, 1);
  char key[16];
  for (int i = 0; i < 70; i++) {
    snprintf(key, sizeof key, "k%d", i);
    assert_true(mp_set(&map, bytes_str(key), buf_bytes(&one)));
    assert_int_equal(mp_value_of(buf_bytes(&map)).count, i + 1);
  }
  for (int i = 0; i < 70; i++) {
    snprintf(key, sizeof key, "k%d", (i * 37) % 70);
    assert_true(mp_cut(&map, bytes_str(key), NULL));
    struct mp m = mp_of(buf_bytes(&map));
    assert_int_equal(mp_value_of(mp_take(&m)).count, 69 - i);
    assert_true(mp_done(&m));
  }
  buf_clear(&map);
  mp_put_map(&map, 65535);
  for (int i = 0; i < 65535; i++) mp_put_nil(&map), mp_put_nil(&map);
  assert_true(mp_set(&map, BYTES_LIT("a"), buf_bytes(&one)));
  assert_int_equal(map.p[0], 0xdf);
  assert_true(mp_cut(&map, BYTES_LIT("a"), NULL));
  assert_int_equal(map.p[0], 0xde);
  buf_deinit(&map);
  buf_deinit(&one);
}

// Whatever the map holds and whatever forms its values have: after an edit it is one whole map, and says what was put.
static void random_maps_stay_whole(void **state) {
  (void)state;
  static const char *const paths[] = {"a", "b", "a.b", "b.a.c", "a.b.c", "c"};
  rng_begin(20260105);
  for (int i = 0; i < 20000; i++) {
    struct buf map = {0}, value = {0}, cut = {0};
    uint32_t n = rng_below(5);
    mp_put_map(&map, n);
    for (uint32_t k = 0; k < n; k++) {
      mp_put_cstr(&map, paths[rng_below(6)]);
      random_value(&map, 4);
    }
    random_value(&value, 3);
    for (int k = 0; k < 6; k++) {
      struct bytes path = bytes_str(paths[rng_below(6)]), found;
      const struct mp_limits wide = {MP_DEPTH_MAX, UINT32_MAX, SIZE_MAX};
      size_t len, before = map.n;
      if (rng_below(2)) {
        bool was = mp_find_path(buf_bytes(&map), path, &found);
        struct buf kept = {0};
        if (was) buf_append_bytes(&kept, found);
        buf_clear(&cut);
        assert_int_equal(mp_cut(&map, path, &cut), was);
        if (was) assert_bytes(buf_bytes(&cut), buf_bytes(&kept));
        if (was) assert_true(map.n < before);
        buf_deinit(&kept);
      } else if (mp_set(&map, path, buf_bytes(&value))) {
        assert_true(mp_find_path(buf_bytes(&map), path, &found));
        assert_bytes(found, buf_bytes(&value));
      } else {
        assert_int_equal(map.n, before);
      }
      assert_int_equal(mp_scan(buf_bytes(&map), &wide, &len, NULL), 1);
      assert_int_equal(len, map.n);
      assert_int_equal(mp_value_of(buf_bytes(&map)).type, MP_MAP);
    }
    buf_deinit(&map);
    buf_deinit(&value);
    buf_deinit(&cut);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_are_put_and_taken),
      cmocka_unit_test(heads_of_maps_follow),
      cmocka_unit_test(random_maps_stay_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
