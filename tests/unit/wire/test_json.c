// JSON to MessagePack and back: exact outcomes, refusals with their place, limits, and round trips of random values.
#include "wire_test.h"

#include <math.h>

static void turns_into(const char *json, const char *packed, size_t n) {
  struct buf b = from_json(json);
  assert_bytes(buf_bytes(&b), bytes_of(packed, n));
  buf_deinit(&b);
}
#define TURNS_INTO(json, packed) turns_into(json, packed, sizeof(packed) - 1)

static void test_values(void **state) {
  (void)state;
  TURNS_INTO("null", "\xc0");
  TURNS_INTO(" [true, false, 1, -1, 1.0, 1e2]\n",
             "\x96\xc3\xc2\x01\xff\xcb\x3f\xf0\0\0\0\0\0\0\xcb\x40\x59\0\0\0\0\0\0");
  TURNS_INTO("{\"b\":1,\"a\":{},\"c\":[]}", "\x83\xa1"
                                            "b\x01\xa1"
                                            "a\x80\xa1"
                                            "c\x90"); // in its order
  TURNS_INTO("\"\\u00fc\\ud83d\\ude00\\u0000x\"", "\xa8\xc3\xbc\xf0\x9f\x98\x80\0x");
  TURNS_INTO("9223372036854775807", "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff");
  TURNS_INTO("-9223372036854775808", "\xd3\x80\0\0\0\0\0\0\0");
  TURNS_INTO("-0", "\0");
  TURNS_INTO("1e-400", "\xcb\0\0\0\0\0\0\0\0");
}

static void refused(const char *json, size_t n, int code, const char *says) {
  struct error err = {0};
  struct buf b;
  buf_init(&b);
  buf_append_str(&b, "kept");
  assert_int_equal(mp_from_json(bytes_of(json, n), &MP_LIMITS_DEFAULT, &b, &err), code);
  assert_text(buf_bytes(&b), "kept");
  if (!strstr(err.text, says)) fail_msg("\"%s\" does not say \"%s\"", err.text, says);
  buf_deinit(&b);
}
#define REFUSED(json, code, says) refused(json, sizeof(json) - 1, code, says)

static void test_refusals_say_where(void **state) {
  (void)state;
  REFUSED("{\"n\":\n 9223372036854775808}", ITD_EFRAME, "line 2, column 20: an integer beyond the range of 64 bits");
  REFUSED("-9223372036854775809", ITD_EFRAME, "an integer beyond");
  REFUSED("[1e999]", ITD_EFRAME, "beyond the range of a 64-bit float");
  REFUSED("{\"a\":1,\"a\":2}", ITD_EFRAME, "line 1, column 10: duplicate");
  REFUSED("{\"a\\u0000\":1}", ITD_EFRAME, "\\u0000 in a key");
  REFUSED("\"\xff\"", ITD_EFRAME, "UTF-8");
  REFUSED("\"\xed\xa0\x80\"", ITD_EFRAME, "UTF-8");
  REFUSED("\"\\ud800\"", ITD_EFRAME, "line 1");
  REFUSED("", ITD_EFRAME, "line 1");
  REFUSED("[1] 2", ITD_EFRAME, "line 1");
  REFUSED("[1,]", ITD_EFRAME, "line 1");
  REFUSED("NaN", ITD_EFRAME, "line 1");
  REFUSED("[1]\0", ITD_EFRAME, "line 1");
  REFUSED("\"\0\"", ITD_EFRAME, "line 1");
}

// The counts in the text are exact: a limit is kept at its edge and refused one beyond, for random trees.
static void json_random(struct buf *b, unsigned level, unsigned *depth, unsigned *objects) {
  static const char *const scalars[] = {"1", "-2.5", "null", "true", "\"\"", "\"a,b:[{\"", "\"\\\"]}\"", "\"\\\\\""};
  static const char *const gaps[] = {"", " ", "\n\t", "\r"};
  ++*objects;
  uint32_t kind = rng_below(level < 8 ? 4 : 2), n = rng_below(5);
  buf_append_str(b, gaps[rng_below(4)]);
  if (kind < 2) {
    buf_append_str(b, scalars[rng_below(8)]);
    return;
  }
  if (level + 1 > *depth) *depth = level + 1;
  buf_append_str(b, kind == 2 ? "[" : "{");
  for (uint32_t i = 0; i < n; i++) {
    if (i > 0) buf_append_str(b, ",");
    buf_append_str(b, gaps[rng_below(4)]);
    if (kind == 3) buf_printf(b, "\"k:,{%u\"%s:", i, gaps[rng_below(4)]), ++*objects;
    json_random(b, level + 1, depth, objects);
  }
  buf_append_str(b, gaps[rng_below(4)]);
  buf_append_str(b, kind == 2 ? "]" : "}");
}

static void test_limits_hold_at_their_edges(void **state) {
  (void)state;
  rng_begin(4);
  struct buf json, out;
  buf_init(&json), buf_init(&out);
  for (int i = 0; i < 30000; i++) {
    unsigned depth = 0, objects = 0;
    buf_clear(&json), buf_clear(&out);
    json_random(&json, 0, &depth, &objects);
    struct bytes text = buf_bytes(&json);
    size_t bytes_max = 9 * text.n;
    assert_int_equal(mp_from_json(text, &(struct mp_limits){depth, objects, bytes_max}, &out, NULL), 0);
    if (depth > 0)
      assert_int_equal(mp_from_json(text, &(struct mp_limits){depth - 1, objects, bytes_max}, &out, NULL), ITD_ETOOBIG);
    assert_int_equal(mp_from_json(text, &(struct mp_limits){depth, objects - 1, bytes_max}, &out, NULL), ITD_ETOOBIG);
    assert_int_equal(mp_from_json(text, &(struct mp_limits){depth, objects, text.n - 1}, &out, NULL), ITD_ETOOBIG);
  }
  // Floats grow: 4 bytes of text each become 9.
  size_t n = 1000;
  buf_clear(&json), buf_clear(&out);
  buf_append_str(&json, "[1.5");
  for (size_t i = 1; i < n; i++) buf_append_str(&json, ",1.5");
  buf_append_str(&json, "]");
  assert_int_equal(mp_from_json(buf_bytes(&json), &(struct mp_limits){1, 2000, 9 * n + 2}, &out, NULL), ITD_ETOOBIG);
  assert_int_equal(out.n, 0);
  assert_int_equal(mp_from_json(buf_bytes(&json), &(struct mp_limits){1, 2000, 9 * n + 3}, &out, NULL), 0);
  // A million open brackets must not be a million calls deep.
  buf_clear(&json);
  for (int i = 0; i < 1000000; i++) buf_append_str(&json, "[");
  assert_int_equal(mp_from_json(buf_bytes(&json), &MP_LIMITS_DEFAULT, &out, NULL), ITD_ETOOBIG);
  buf_deinit(&json), buf_deinit(&out);
}

static void test_to_json(void **state) {
  (void)state;
  assert_json(BYTES_LIT("\x93\xcb\x7f\xf0\0\0\0\0\0\0\xcb\xff\xf0\0\0\0\0\0\0\xcb\x7f\xf8\0\0\0\0\0\0"),
              "[null,null,null]");
  assert_json(BYTES_LIT("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615");
  assert_json(BYTES_LIT("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1");
  assert_json(BYTES_LIT("\xcb\x3f\xf0\0\0\0\0\0\0"), "1.0");
  assert_json(BYTES_LIT("\xcb\x80\0\0\0\0\0\0\0"), "-0.0");
  assert_json(BYTES_LIT("\xca\x3d\xcc\xcc\xcd"), "0.10000000149011612"); // what a single of 0.1 is
  assert_json(BYTES_LIT("\xc4\x04\0\xff\x10"
                        "a"),
              "\"AP8QYQ==\"");
  assert_json(BYTES_LIT("\xc4\x00"), "\"\"");
  assert_json(BYTES_LIT("\xd6\xff\0\0\0\0"), "\"1970-01-01T00:00:00.000Z\"");
  assert_json(BYTES_LIT("\xd4\x05"
                        "a"),
              "{\"ext\":5,\"base64\":\"YQ==\"}");
  assert_json(BYTES_LIT("\xd4\xff"
                        "a"),
              "{\"ext\":-1,\"base64\":\"YQ==\"}"); // no valid timestamp
  assert_json(BYTES_LIT("\x84\x01\x02\xc0\x03\x92\x01\xa1\"\x04\xa1"
                        "b\x90"),
              "{\"1\":2,\"null\":3,\"[1,\\\"\\\\\\\"\\\"]\":4,\"b\":[]}");
  assert_json(BYTES_LIT("\x82\xa1"
                        "a\x01\xa1"
                        "a\x02"),
              "{\"a\":1,\"a\":2}");
  assert_json(BYTES_LIT("\xaa"
                        "a\"\\\n\t\r\x01\x7f/\xc3"),
              "\"a\\\"\\\\\\n\\t\\r\\u0001\\u007f/\xef\xbf\xbd\"");
  assert_json(BYTES_LIT("\xa5\xff\xc3\xbc\xc3z"), "\"\xef\xbf\xbd\xc3\xbc\xef\xbf\xbdz\"");
  struct buf b, out; // more than one piece of base64
  buf_init(&b), buf_init(&out);
  size_t n = 500001;
  uint8_t *zeros = xcalloc(n, 1);
  mp_put_bin(&b, bytes_of(zeros, n));
  mp_to_json(buf_bytes(&b), &out);
  assert_int_equal(out.n, n / 3 * 4 + 2);
  for (size_t i = 1; i < out.n - 1; i++) assert_int_equal(out.p[i], 'A');
  free(zeros), buf_deinit(&b), buf_deinit(&out);
}

// Whatever MessagePack holds, its JSON is JSON; and JSON that came from JSON comes back as it was.
static void test_round_trips(void **state) {
  (void)state;
  rng_begin(5);
  struct buf value, json, again, json2;
  buf_init(&value), buf_init(&json), buf_init(&again), buf_init(&json2);
  const struct mp_limits wide = {MP_DEPTH_MAX, 1 << 20, 1 << 24};
  unsigned stable = 0, refused_numbers = 0;
  for (int i = 0; i < 40000; i++) {
    buf_clear(&value), buf_clear(&json), buf_clear(&again), buf_clear(&json2);
    random_value(&value, 4);
    mp_to_json(buf_bytes(&value), &json);
    struct error err = {0};
    int rc = mp_from_json(buf_bytes(&json), &wide, &again, &err);
    if (rc != 0) { // only for what JSON can say and jansson won't hold
      bool known = strstr(err.text, "an integer beyond") || strstr(err.text, "duplicate") ||
                   strstr(err.text, "\\u0000 in a key");
      if (!known) fail_msg("%s: %.*s", err.text, (int)json.n, (char *)json.p);
      refused_numbers++;
      continue;
    }
    mp_to_json(buf_bytes(&again), &json2);
    assert_bytes(buf_bytes(&json2), buf_bytes(&json));
    stable++;
  }
  for (int i = 0; i < 200000; i++) { // any double, to the bit
    double d, back;
    uint64_t bits = rng();
    memcpy(&d, &bits, 8);
    if (!isfinite(d)) continue;
    buf_clear(&value), buf_clear(&json), buf_clear(&again);
    mp_put_float(&value, d);
    mp_to_json(buf_bytes(&value), &json);
    assert_int_equal(mp_from_json(buf_bytes(&json), &wide, &again, NULL), 0);
    struct mp_value v = mp_value_of(buf_bytes(&again));
    back = v.f;
    assert_int_equal(v.type, MP_FLOAT);
    assert_memory_equal(&back, &d, 8);
  }
  print_message("stable %u, refused %u\n", stable, refused_numbers);
  assert_true(stable > 20000 && refused_numbers > 100);
  buf_deinit(&value), buf_deinit(&json), buf_deinit(&again), buf_deinit(&json2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_refusals_say_where),
      cmocka_unit_test(test_limits_hold_at_their_edges),
      cmocka_unit_test(test_to_json),
      cmocka_unit_test(test_round_trips),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
