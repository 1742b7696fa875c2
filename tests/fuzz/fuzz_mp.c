// The scan against msgpack-c, and the cursor over all that passes the scan.
#include <msgpack.h>

#include "fuzz.h"

static uint64_t values, deepest;

static void walk(struct mp *m, const uint8_t *start, size_t len, unsigned depth) {
  values++;
  if (depth > deepest) deepest = depth;
  struct mp whole = *m;
  struct bytes taken = mp_take(&whole);
  CHECK(taken.p == m->p && whole.p <= start + len);
  enum mp_type type = mp_peek(m);
  struct mp_value v = mp_next(m);
  CHECK(v.type == type);
  double number;
  struct bytes text;
  CHECK(mp_as_str(taken, &text) == (type == MP_STR));
  CHECK(mp_as_number(taken, &number) == (type == MP_INT || type == MP_UINT || type == MP_FLOAT || type == MP_BOOL));
  int64_t time_ms;
  if (mp_as_timestamp(&v, &time_ms)) CHECK(time_ms >= MP_TIME_MIN_MS && time_ms <= MP_TIME_MAX_MS);
  if (type == MP_UINT) CHECK(v.u > INT64_MAX);
  if (type == MP_STR) {
    size_t good = mp_utf8_prefix(v.s);
    CHECK(good <= v.s.n && bytes_is_utf8(bytes_of(v.s.p, good)) && (good == v.s.n) == bytes_is_utf8(v.s));
  }
  if (type == MP_ARRAY || type == MP_MAP)
    for (uint64_t left = (type == MP_MAP ? 2ull : 1ull) * v.count; left > 0; left--) walk(m, start, len, depth + 1);
  CHECK(m->p == whole.p);
}

static void find_all(struct bytes map) {
  struct mp m = mp_of(map);
  if (mp_peek(&m) != MP_MAP) return;
  for (uint32_t left = mp_next(&m).count; left > 0; left--) {
    struct bytes key = mp_take(&m), value = mp_take(&m), text, found;
    if (!mp_as_str(key, &text)) continue;
    CHECK(mp_find(map, text, &found) && found.p <= value.p); // the first of equal keys
    struct bytes by_path;
    CHECK(mp_find_path(map, text, &by_path) && by_path.p == found.p);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  size_t len = 0, offset = 0;
  int rc = mp_scan(bytes_of(p, n), &fuzz_limits, &len, NULL);
  if (rc == ITD_ETOOBIG) return 0;
  msgpack_unpacked u;
  msgpack_unpacked_init(&u);
  msgpack_unpack_return theirs = msgpack_unpack_next(&u, (const char *)p, n, &offset);
  msgpack_unpacked_destroy(&u);
  CHECK(rc != 1 || (theirs == MSGPACK_UNPACK_SUCCESS && offset == len));
  CHECK(rc != 0 || theirs == MSGPACK_UNPACK_CONTINUE);
  CHECK(rc >= 0 || theirs == MSGPACK_UNPACK_PARSE_ERROR);
  if (rc != 1) return 0;
  CHECK(len <= fuzz_limits.bytes_max);
  size_t again;
  CHECK(mp_scan(bytes_of(p, len), &fuzz_limits, &again, NULL) == 1 && again == len);
  CHECK(mp_scan(bytes_of(p, len - 1), &fuzz_limits, &again, NULL) == 0);
  struct buf exact = fuzz_exact(bytes_of(p, len));
  struct mp m = mp_of(buf_bytes(&exact));
  values = deepest = 0;
  walk(&m, exact.p, len, 0);
  CHECK(mp_done(&m) && values <= fuzz_limits.objects_max && deepest <= fuzz_limits.depth_max);
  find_all(buf_bytes(&exact));
  buf_deinit(&exact);
  return 0;
}
