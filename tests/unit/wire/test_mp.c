// The scan and the cursor against msgpack-c's unpacker, limits at their very edges, hostile bytes, packing.
#include "wire_test.h"

#include <math.h>
#include <msgpack.h>

static const struct mp_limits wide = {.depth_max = 16, .objects_max = 4096, .bytes_max = 1 << 20};

// ---- agreement with msgpack-c ----
static unsigned agreed_whole, agreed_part, agreed_bad, refused;

static void agree(const uint8_t *p, size_t n) {
  size_t len = 0, offset = 0;
  int rc = mp_scan(bytes_of(p, n), &wide, &len, NULL);
  if (rc == ITD_ETOOBIG) { // msgpack-c has no such limits (and would allocate what a header announces)
    refused++;
    return;
  }
  msgpack_unpacked u;
  msgpack_unpacked_init(&u);
  msgpack_unpack_return theirs = msgpack_unpack_next(&u, (const char *)p, n, &offset);
  bool same = rc == 1   ? theirs == MSGPACK_UNPACK_SUCCESS && offset == len
              : rc == 0 ? theirs == MSGPACK_UNPACK_CONTINUE
                        : rc == ITD_EFRAME && theirs == MSGPACK_UNPACK_PARSE_ERROR;
  if (!same) {
    for (size_t i = 0; i < n; i++) print_message("%02x ", p[i]);
    fail_msg("scan %d, %zu bytes; msgpack-c %d, %zu bytes", rc, len, theirs, offset);
  }
  *(rc == 1 ? &agreed_whole : rc == 0 ? &agreed_part : &agreed_bad) += 1;
  msgpack_unpacked_destroy(&u);
}

static void random_bytes_agree(void) {
  uint8_t b[40];
  size_t n = 1 + rng_below(sizeof b);
  uint32_t bias = rng_below(3);
  for (size_t i = 0; i < n; i++) {
    b[i] = (uint8_t)rng_below(256);
    if (bias == 1 && rng_below(3) == 0) b[i] = (uint8_t)(0x90 | (b[i] & 3));  // short arrays
    if (bias == 2 && rng_below(3) == 0) b[i] = (uint8_t)(0xc0 | (b[i] & 31)); // heads with lengths
    if (bias == 2 && i > 0 && b[i - 1] >= 0xc0 && rng_below(2)) b[i] = 0;     // of moderate size
  }
  agree(b, n);
}

static void test_scan_agrees_with_msgpack_c(void **state) {
  (void)state;
  rng_begin(1);
  for (int i = 0; i < 2000000; i++) random_bytes_agree();
  struct buf b;
  buf_init(&b);
  for (int i = 0; i < 300000; i++) { // whole values, cut off, changed in a byte, and with bytes behind
    buf_clear(&b);
    random_value(&b, 4);
    size_t whole = b.n;
    be_put(&b, rng(), rng_below(4));
    agree(b.p, b.n);
    if (whole > 1) agree(b.p, 1 + rng_below((uint32_t)whole - 1));
    b.p[rng_below((uint32_t)b.n)] = (uint8_t)rng_below(256);
    agree(b.p, b.n);
  }
  buf_deinit(&b);
  print_message("agreed: whole %u, unfinished %u, malformed %u; over a limit %u\n", agreed_whole, agreed_part,
                agreed_bad, refused);
  // The generator must have reached all outcomes, or the test proves nothing.
  assert_true(agreed_whole > 100000 && agreed_part > 100000 && agreed_bad > 10000 && refused > 10000);
}

static void walk_equal(struct mp *m, const msgpack_object *o) {
  struct mp_value v = mp_next(m);
  switch (o->type) {
  case MSGPACK_OBJECT_NIL: assert_int_equal(v.type, MP_NIL); break;
  case MSGPACK_OBJECT_BOOLEAN: assert_true(v.type == MP_BOOL && v.b == o->via.boolean); break;
  case MSGPACK_OBJECT_POSITIVE_INTEGER:
    if (o->via.u64 > INT64_MAX)
      assert_true(v.type == MP_UINT && v.u == o->via.u64);
    else
      assert_true(v.type == MP_INT && v.i == (int64_t)o->via.u64);
    break;
  case MSGPACK_OBJECT_NEGATIVE_INTEGER: assert_true(v.type == MP_INT && v.i == o->via.i64); break;
  case MSGPACK_OBJECT_FLOAT32:
  case MSGPACK_OBJECT_FLOAT64:
    assert_int_equal(v.type, MP_FLOAT);
    assert_int_equal(v.is_single, o->type == MSGPACK_OBJECT_FLOAT32);
    assert_true(v.f == o->via.f64 || (isnan(v.f) && isnan(o->via.f64)));
    break;
  case MSGPACK_OBJECT_STR:
    assert_int_equal(v.type, MP_STR);
    assert_bytes(v.s, bytes_of(o->via.str.ptr, o->via.str.size));
    break;
  case MSGPACK_OBJECT_BIN:
    assert_int_equal(v.type, MP_BIN);
    assert_bytes(v.s, bytes_of(o->via.bin.ptr, o->via.bin.size));
    break;
  case MSGPACK_OBJECT_EXT:
    assert_true(v.type == MP_EXT && v.ext_type == o->via.ext.type);
    assert_bytes(v.s, bytes_of(o->via.ext.ptr, o->via.ext.size));
    break;
  case MSGPACK_OBJECT_ARRAY:
    assert_true(v.type == MP_ARRAY && v.count == o->via.array.size);
    for (uint32_t i = 0; i < v.count; i++) walk_equal(m, &o->via.array.ptr[i]);
    break;
  case MSGPACK_OBJECT_MAP:
    assert_true(v.type == MP_MAP && v.count == o->via.map.size);
    for (uint32_t i = 0; i < v.count; i++) {
      walk_equal(m, &o->via.map.ptr[i].key);
      walk_equal(m, &o->via.map.ptr[i].val);
    }
    break;
  }
}

static void test_cursor_reads_what_msgpack_c_reads(void **state) {
  (void)state;
  rng_begin(2);
  struct buf b;
  buf_init(&b);
  for (int i = 0; i < 100000; i++) {
    buf_clear(&b);
    random_value(&b, 5);
    msgpack_unpacked u;
    msgpack_unpacked_init(&u);
    assert_int_equal(msgpack_unpack_next(&u, (char *)b.p, b.n, NULL), MSGPACK_UNPACK_SUCCESS);
    struct mp m = mp_of(buf_bytes(&b));
    assert_int_equal(mp_peek(&m), mp_value_of(buf_bytes(&b)).type);
    walk_equal(&m, &u.data);
    assert_true(mp_done(&m));
    m = mp_of(buf_bytes(&b));
    assert_bytes(mp_take(&m), buf_bytes(&b));
    msgpack_unpacked_destroy(&u);
  }
  buf_deinit(&b);
}

// ---- limits ----
static void measure(struct mp *m, uint32_t level, uint32_t *depth, uint32_t *objects) {
  struct mp_value v = mp_next(m);
  ++*objects;
  if (v.type != MP_ARRAY && v.type != MP_MAP) return;
  if (level + 1 > *depth) *depth = level + 1;
  for (uint64_t i = 0; i < (v.type == MP_MAP ? 2ull : 1ull) * v.count; i++) measure(m, level + 1, depth, objects);
}

static void scan_gives(struct bytes in, struct mp_limits limits, int want, const char *names) {
  size_t len = 0;
  struct error err = {0};
  int rc = mp_scan(in, &limits, &len, &err);
  assert_int_equal(rc, want);
  if (want == 1) assert_int_equal(len, in.n);
  if (names) assert_non_null(strstr(err.text, names));
}

static void test_limits_hold_at_their_edges(void **state) {
  (void)state;
  rng_begin(3);
  struct buf b;
  buf_init(&b);
  for (int i = 0; i < 50000; i++) {
    buf_clear(&b);
    random_value(&b, 5);
    struct bytes in = buf_bytes(&b);
    struct mp m = mp_of(in);
    uint32_t depth = 0, objects = 0;
    measure(&m, 0, &depth, &objects);
    scan_gives(in, (struct mp_limits){depth, objects, in.n}, 1, NULL);
    if (depth > 0) scan_gives(in, (struct mp_limits){depth - 1, objects, in.n}, ITD_ETOOBIG, "frame.depth");
    scan_gives(in, (struct mp_limits){depth, objects - 1, in.n}, ITD_ETOOBIG, "frame.objects");
    scan_gives(in, (struct mp_limits){depth, objects, in.n - 1}, ITD_ETOOBIG, "frame.bytes");
    // A proper beginning is never whole, and never over a limit that the whole keeps.
    size_t len = 77;
    assert_int_equal(
        mp_scan(bytes_of(in.p, rng_below((uint32_t)in.n)), &(struct mp_limits){depth, objects, in.n}, &len, NULL), 0);
    assert_int_equal(len, 77);
  }
  buf_deinit(&b);
}

#define HEX(literal) BYTES_LIT(literal)
static void test_announced_lengths_are_refused_at_once(void **state) {
  (void)state;
  struct mp_limits l = MP_LIMITS_DEFAULT;
  scan_gives(HEX("\xdd\xff\xff\xff\xff"), l, ITD_ETOOBIG, "frame.objects");
  scan_gives(HEX("\xdf\xff\xff\xff\xff"), l, ITD_ETOOBIG, "frame.objects");
  scan_gives(HEX("\xdf\x80\x00\x00\x00"), l, ITD_ETOOBIG, "frame.objects"); // twice the count is 2^32
  scan_gives(HEX("\xc6\xff\xff\xff\xff"), l, ITD_ETOOBIG, "frame.bytes");
  scan_gives(HEX("\xdb\x00\x40\x00\x00"), l, ITD_ETOOBIG, "frame.bytes"); // 4 MiB, and its own head
  scan_gives(HEX("\xdb\x00\x3f\xff\xfb"), l, 0, NULL);                    // fits to the byte
  scan_gives(HEX("\xc9\xff\xff\xff\xff"), l, ITD_ETOOBIG, "frame.bytes");
  scan_gives(HEX("\x92\xdb\x00\x3f\xff\xfa"), l, ITD_ETOOBIG, "frame.bytes"); // the second element has no room
  scan_gives(HEX("\x92\xdb\x00\x3f\xff\xf9"), l, 0, NULL);
  l.objects_max = UINT32_MAX;
  scan_gives(HEX("\xdd\xff\xff\xff\xfe"), l, ITD_ETOOBIG, "frame.bytes"); // elements take a byte each at least
  // Two arrays that each fit, but not together.
  l = MP_LIMITS_DEFAULT;
  scan_gives(HEX("\x92\xdc\xff\xf0"), l, 0, NULL);
  scan_gives(HEX("\x92\xdc\xff\xf0\xdc\xff\xf0"), l, ITD_ETOOBIG, "frame.objects"); // one inside the other
  scan_gives(HEX("\x92\xdc\x00\x00\xdc\xff\xff"), l, ITD_ETOOBIG, "frame.objects");
  l.bytes_max = 3;
  scan_gives(HEX("\xdb"), l, ITD_ETOOBIG, "frame.bytes"); // its head alone is longer
  l.bytes_max = 0;
  scan_gives(HEX(""), l, ITD_ETOOBIG, "frame.bytes");
}

static void test_depth_is_counted_without_recursion(void **state) {
  (void)state;
  uint8_t nested[1 << 16];
  memset(nested, 0x91, sizeof nested);
  scan_gives(bytes_of(nested, sizeof nested), MP_LIMITS_DEFAULT, ITD_ETOOBIG, "frame.depth");
  scan_gives(bytes_of(nested, 16), MP_LIMITS_DEFAULT, 0, NULL);
  nested[15] = 0x90;
  scan_gives(bytes_of(nested, 16), MP_LIMITS_DEFAULT, 1, NULL);
  nested[15] = 0x91, nested[16] = 0x80; // an empty map on level 17
  scan_gives(bytes_of(nested, 17), MP_LIMITS_DEFAULT, ITD_ETOOBIG, "frame.depth");
  scan_gives(HEX("\xc1"), MP_LIMITS_DEFAULT, ITD_EFRAME, "0xc1");
  scan_gives(HEX("\x93\x01\x02\xc1"), MP_LIMITS_DEFAULT, ITD_EFRAME, "offset 3");
  scan_gives(HEX(""), MP_LIMITS_DEFAULT, 0, NULL);
}

// ---- finding ----
static void finds(const char *json, const char *path, const char *want) {
  struct buf b = from_json(json);
  struct bytes value;
  bool found = mp_find_path(buf_bytes(&b), bytes_str(path), &value);
  assert_int_equal(found, want != NULL);
  if (want) assert_json(value, want);
  buf_deinit(&b);
}

static void test_find(void **state) {
  (void)state;
  finds("{\"a\":1,\"b\":[2]}", "b", "[2]");
  finds("{\"a\":1}", "b", NULL);
  finds("{\"a\":{\"b\":{\"c\":3}}}", "a.b.c", "3");
  finds("{\"a\":{\"b\":1},\"a.b\":2}", "a.b", "2");
  finds("{\"a\":{\"b.c\":1},\"a.b\":{\"x\":2}}", "a.b.c", "1"); // "a.b" leads nowhere, "a" does
  finds("{\"a\":{\"b.c\":1},\"a.b\":{\"c\":2}}", "a.b.c", "2");
  finds("{\"a\":[1]}", "a.b", NULL);
  finds("{\"a\":null}", "a", "null");
  finds("[1]", "a", NULL);
  finds("{}", "", NULL);
  finds("{\"\":{\"\":7}}", ".", "7");
  struct bytes value;
  assert_true(
      mp_find(HEX("\x84\x05\xc0\x92\x01\x02\xa1z\xa1k\x01\xa1k\x02"), BYTES_LIT("k"), &value)); // keys 5 and [1, 2]
  assert_json(value, "1");
  assert_false(mp_find(HEX("\x81\xc4\x01k\x01"), BYTES_LIT("k"), &value)); // bin is no text
  assert_false(mp_find((struct bytes){NULL, 0}, BYTES_LIT("k"), &value));
}

static void test_numbers_and_text(void **state) {
  (void)state;
  double d = -1;
  assert_true(mp_as_number(HEX("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), &d) && d == 18446744073709551616.0);
  assert_true(mp_as_number(HEX("\xd3\x00\x20\x00\x00\x00\x00\x00\x01"), &d) && d == 9007199254740992.0);
  assert_true(mp_as_number(HEX("\xff"), &d) && d == -1);
  assert_true(mp_as_number(HEX("\xc3"), &d) && d == 1);
  assert_true(mp_as_number(HEX("\xca\x3f\xc0\x00\x00"), &d) && d == 1.5);
  assert_true(mp_as_number(HEX("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), &d) && isinf(d));
  assert_true(mp_as_number(HEX("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), &d) && isnan(d));
  assert_false(mp_as_number(HEX("\xa1\x31"), &d));
  assert_false(mp_as_number(HEX("\xc0"), &d));
  struct bytes text;
  assert_true(mp_as_str(HEX("\xa2hi"), &text));
  assert_text(text, "hi");
  assert_false(mp_as_str(HEX("\xc4\x02hi"), &text));
  assert_int_equal(mp_utf8_prefix(BYTES_LIT("gr\xc3\xbc\xc3\x9f")), 6);
  assert_int_equal(mp_utf8_prefix(BYTES_LIT("gr\xc3\xbc\xc3")), 4);
  assert_int_equal(mp_utf8_prefix(BYTES_LIT("\xff"
                                            "abc")),
                   0);
  assert_int_equal(mp_utf8_prefix(BYTES_LIT("ab\xed\xa0\x80")), 2); // a surrogate
  assert_int_equal(mp_utf8_prefix(BYTES_LIT("")), 0);
}

static bool timestamp(struct bytes value, int64_t *ms) {
  struct mp_value v = mp_value_of(value);
  return mp_as_timestamp(&v, ms);
}
static void test_timestamps(void **state) {
  (void)state;
  int64_t ms = -1;
  assert_true(timestamp(HEX("\xd6\xff\x00\x00\x00\x02"), &ms) && ms == 2000);
  assert_true(timestamp(HEX("\xd6\xff\xff\xff\xff\xff"), &ms) && ms == 4294967295000);
  // 64 bits: 999,999,999 ns in the upper 30, then 34 bits of seconds
  assert_true(timestamp(HEX("\xd7\xff\xee\x6b\x27\xfc\x00\x00\x00\x01"), &ms) && ms == 1999);
  assert_true(timestamp(HEX("\xd7\xff\x00\x00\x00\x03\xff\xff\xff\xff"), &ms) && ms == 17179869183000);
  assert_false(timestamp(HEX("\xd7\xff\xee\x6b\x28\x00\x00\x00\x00\x01"), &ms)); // a billion ns
  // 96 bits: before 1970 the nanoseconds still add
  assert_true(timestamp(HEX("\xc7\x0c\xff\x1d\xcd\x65\x00\xff\xff\xff\xff\xff\xff\xff\xff"), &ms) && ms == -500);
  assert_true(timestamp(HEX("\xc7\x0c\xff\x3b\x9a\xc9\xff\x00\x00\x00\x3a\xff\xf4\x41\x7f"), &ms) &&
              ms == MP_TIME_MAX_MS);
  assert_false(timestamp(HEX("\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x3a\xff\xf4\x41\x80"), &ms));
  assert_true(timestamp(HEX("\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xf1\x88\x6e\x09\x00"), &ms) &&
              ms == MP_TIME_MIN_MS);
  assert_false(timestamp(HEX("\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xf1\x88\x6e\x08\xff"), &ms));
  assert_false(timestamp(HEX("\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"), &ms));
  assert_false(timestamp(HEX("\xc7\x05\xff\x00\x00\x00\x00\x00"), &ms));
  assert_false(timestamp(HEX("\xd6\x00\x00\x00\x00\x02"), &ms)); // another extension
  assert_false(timestamp(HEX("\x05"), &ms));
}

// ---- packing ----
static void test_packing_is_read_back_and_short(void **state) {
  (void)state;
  struct buf b;
  buf_init(&b);
  mp_put_map(&b, 3);
  mp_put_cstr(&b, "a"), mp_put_int(&b, -1);
  mp_put_str(&b, BYTES_LIT("b")), mp_put_bin(&b, BYTES_LIT("\x01"));
  mp_put_cstr(&b, "c"), mp_put_array(&b, 5);
  mp_put_nil(&b), mp_put_bool(&b, true), mp_put_bool(&b, false), mp_put_float(&b, 0.5),
      mp_put_raw(&b, BYTES_LIT("\x07"));
  assert_bytes(buf_bytes(&b), HEX("\x83\xa1"
                                  "a\xff\xa1"
                                  "b\xc4\x01\x01\xa1"
                                  "c\x95\xc0\xc3\xc2\xcb\x3f\xe0\0\0\0\0\0\0\x07"));
  static const struct {
    int64_t v;
    size_t n;
  } ints[] = {{0, 1},     {127, 1},        {128, 2},         {255, 2},        {256, 3},       {65535, 3},
              {65536, 5}, {4294967295, 5}, {-1, 1},          {-32, 1},        {-33, 2},       {-128, 2},
              {-129, 3},  {-32769, 5},     {-2147483649, 9}, {4294967296, 9}, {INT64_MAX, 9}, {INT64_MIN, 9}};
  for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
    buf_clear(&b);
    mp_put_int(&b, ints[i].v);
    struct mp_value v = mp_value_of(buf_bytes(&b));
    assert_true(b.n == ints[i].n && v.type == MP_INT && v.i == ints[i].v);
  }
  buf_clear(&b);
  mp_put_uint(&b, UINT64_MAX);
  assert_true(mp_value_of(buf_bytes(&b)).type == MP_UINT && mp_value_of(buf_bytes(&b)).u == UINT64_MAX);
  for (size_t n = 0; n < 70000; n = n * 2 + 1) { // texts of all head sizes
    char *text = xcalloc(n + 1, 1);
    buf_clear(&b);
    mp_put_str(&b, bytes_of(text, n));
    assert_int_equal(mp_value_of(buf_bytes(&b)).s.n, n);
    scan_gives(buf_bytes(&b), MP_LIMITS_DEFAULT, 1, NULL);
    free(text);
  }
  buf_deinit(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_scan_agrees_with_msgpack_c),
      cmocka_unit_test(test_cursor_reads_what_msgpack_c_reads),
      cmocka_unit_test(test_limits_hold_at_their_edges),
      cmocka_unit_test(test_announced_lengths_are_refused_at_once),
      cmocka_unit_test(test_depth_is_counted_without_recursion),
      cmocka_unit_test(test_find),
      cmocka_unit_test(test_numbers_and_text),
      cmocka_unit_test(test_timestamps),
      cmocka_unit_test(test_packing_is_read_back_and_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
