// What people see: tables stand straight, numbers read right, and nothing from a sender reaches the terminal as a
// command.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/message_id.h"
#include "cli/progress.h"
#include "cli/show.h"

static struct buf out;

static const char *text(void) {
  buf_append_u8(&out, 0);
  out.n = 0;
  return (const char *)out.p;
}

// ---- tables ----

static void test_columns(void **state) {
  (void)state;
  struct grid t;
  grid_init(&t, "lrl");
  static const char *const cells[] = {"a", "1", "x", "long", "1,000", "", "é", "22", "last"};
  for (size_t i = 0; i < 9; i++) grid_add_str(&t, cells[i]);
  grid_put(&t, 0, &out);
  assert_string_equal(text(), "a         1  x\n"
                              "long  1,000\n"
                              "é        22  last\n");
  grid_deinit(&t);
}

static void test_wrapping(void **state) {
  (void)state;
  struct grid t;
  grid_init(&t, "ll");
  t.indent = 2;
  grid_add_str(&t, "why");
  grid_add_str(&t, "Half as much again as the week before, and more than a click or two.");
  grid_put(&t, 40, &out);
  assert_string_equal(text(), "  why  Half as much again as the week\n"
                              "       before, and more than a click or\n"
                              "       two.\n");
  grid_deinit(&t);
}

// No line is wider than the terminal (as long as that leaves the last column its least), and no character is lost.
static void test_wrapping_loses_nothing(void **state) {
  (void)state;
  random_start();
  for (int round = 0; round < 500; round++) {
    struct grid t;
    struct buf words = {0};
    for (uint64_t n = random_below(200); n > 0; n--)
      buf_append_str(&words, random_below(4) == 0 ? " " : random_below(5) == 0 ? "ü" : "x");
    while (words.n && words.p[words.n - 1] == ' ') words.n--;
    unsigned width = 30 + (unsigned)random_below(60);
    grid_init(&t, "rl");
    grid_add_str(&t, "12345");
    grid_add(&t, buf_bytes(&words));
    buf_clear(&out);
    grid_put(&t, width, &out);
    size_t letters = 0, wanted = 0, start = 0;
    for (size_t i = 5; i < out.n; i++) letters += out.p[i] == 'x' || out.p[i] == 0xbc;
    for (size_t i = 0; i < words.n; i++) wanted += words.p[i] == 'x' || words.p[i] == 0xbc;
    assert_int_equal(letters, wanted);
    for (size_t i = 0; i < out.n; i++) {
      if (out.p[i] != '\n') continue;
      assert_true(text_columns(bytes_of(out.p + start, i - start)) <= width);
      start = i + 1;
    }
    assert_int_equal(start, out.n);
    grid_deinit(&t);
    buf_deinit(&words);
  }
  buf_clear(&out);
}

// ---- texts ----

static void test_no_control_character(void **state) {
  (void)state;
  show_text(&out, BYTES_LIT("a\x1b[31mred\r\n\x07\x7f"));
  assert_string_equal(text(), "a·[31mred····");
  show_text(&out, BYTES_LIT("\xc2\x9b"
                            "2J \xe2\x80\xae"
                            "evil\xe2\x81\xa9 \xff\xc3"));
  assert_string_equal(text(), "·2J ·evil· ··");
  show_text(&out, BYTES_LIT("Köln, 東京, 👍 stays – as it is"));
  assert_string_equal(text(), "Köln, 東京, 👍 stays – as it is");
}

static void test_any_text_is_harmless(void **state) {
  (void)state;
  random_start();
  for (int round = 0; round < 3000; round++) {
    uint8_t raw[40];
    size_t n = random_below(sizeof raw);
    for (size_t i = 0; i < n; i++)
      raw[i] = random_below(3) ? (uint8_t)random_next() : (uint8_t) "\xc2\xe2\x80\x81\x9b\xae\x1b"[random_below(7)];
    buf_clear(&out);
    show_text(&out, bytes_of(raw, n));
    assert_true(bytes_is_utf8(buf_bytes(&out)));
    for (size_t i = 0; i < out.n; i++) {
      assert_true(out.p[i] >= 0x20 && out.p[i] != 0x7f);
      assert_false(out.p[i] == 0xc2 && out.p[i + 1] < 0xa0);
    }
  }
  buf_clear(&out);
}

static void test_numbers(void **state) {
  (void)state;
  const struct {
    int64_t milli;
    const char *score, *exact;
  } cases[] = {{0, "0.0", "0.000"},          {76149, "76.1", "76.149"},
               {76150, "76.2", "76.150"},    {76250, "76.2", "76.250"},
               {76251, "76.3", "76.251"},    {-250, "-0.2", "-0.250"},
               {-40, "0.0", "-0.040"},       {99950, "100.0", "99.950"},
               {-12345, "-12.3", "-12.345"}, {INT64_MIN, "-9223372036854775.8", "-9223372036854775.808"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    show_score(&out, cases[i].milli);
    assert_string_equal(text(), cases[i].score);
    show_milli(&out, cases[i].milli);
    assert_string_equal(text(), cases[i].exact);
  }
  show_count(&out, 0);
  assert_string_equal(text(), "0");
  show_count(&out, 999);
  assert_string_equal(text(), "999");
  show_count(&out, 1000);
  assert_string_equal(text(), "1,000");
  show_count(&out, UINT64_MAX);
  assert_string_equal(text(), "18,446,744,073,709,551,615");
  show_size(&out, 812);
  assert_string_equal(text(), "812 bytes");
  show_size(&out, 1536);
  assert_string_equal(text(), "1.5 KiB");
  show_size(&out, 64u << 20);
  assert_string_equal(text(), "64.0 MiB");
  show_size(&out, UINT64_MAX);
  assert_string_equal(text(), "15.9 EiB");
}

static void test_times(void **state) {
  (void)state;
  show_time(&out, 1767571200000);
  assert_string_equal(text(), "2026-01-05 00:00:00Z");
  show_time(&out, 1767571200250);
  assert_string_equal(text(), "2026-01-05 00:00:00.250Z");
  const struct {
    int64_t ms;
    const char *text;
  } spans[] = {{0, "0 ms"},      {999, "999 ms"}, {1000, "1s"},
               {61000, "1m 1s"}, {3600000, "1h"}, {90000000, "1d 1h"},
               {86401000, "1d"}, {-5000, "-5s"},  {INT64_MIN, "-106751991167d 7h"}};
  for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
    show_span(&out, spans[i].ms);
    assert_string_equal(text(), spans[i].text);
  }
}

static void test_values(void **state) {
  (void)state;
  struct buf v = {0};
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  assert_int_equal(
      mp_from_json(bytes_str("[null, true, 5, 2.5, \"a\\u001b\", {\"b\": [1]}, 90000]"), &limits, &v, NULL), 0);
  static const char *const shown[] = {"-", "yes", "5", "2.5", "a·", "{\"b\":[1]}", "1m 30s"};
  struct bytes value;
  size_t i = 0;
  for (struct each each = each_of(buf_bytes(&v)); each_next(&each, &value); i++) {
    show_value(&out, value, i == 6 ? "ms" : NULL);
    assert_string_equal(text(), shown[i]);
  }
  assert_int_equal(i, 7);
  show_value(&out, (struct bytes){0}, NULL);
  assert_string_equal(text(), "-");
  buf_deinit(&v);
}

static void test_fields(void **state) {
  (void)state;
  struct buf v = {0};
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  assert_int_equal(
      mp_from_json(bytes_str("{\"a\":{\"b\":7,\"n\":null},\"t\":true,\"s\":\"x\",\"f\":1.5}"), &limits, &v, NULL), 0);
  struct bytes map = buf_bytes(&v);
  assert_int_equal(field_int(map, "a.b", -1), 7);
  assert_int_equal(field_int(map, "a.c", -1), -1);
  assert_int_equal(field_int(map, "s", -1), -1);
  assert_true(field_number(map, "f", 0) > 1.4);
  assert_true(field_is(map, "t"));
  assert_false(field_is(map, "s"));
  assert_true(field_is_nil(map, "a.n"));
  assert_true(field_is_nil(map, "no.such"));
  assert_int_equal(field_text(map, "t").n, 0);
  struct bytes key, value;
  size_t pairs = 0;
  for (struct each each = each_of_map(map); each_next_pair(&each, &key, &value);) pairs++;
  assert_int_equal(pairs, 4);
  for (struct each each = each_of(map); each_next(&each, &value);) fail_msg("a map is no list");
  for (struct each each = each_of((struct bytes){0}); each_next(&each, &value);) fail_msg("nothing is no list");
  assert_int_equal(field_int((struct bytes){0}, "a", 3), 3);
  buf_deinit(&v);
}

static void test_progress_fits(void **state) {
  (void)state;
  progress_line("importing", 131100, 262200, 1325376000000, 4000000000, 79, &out);
  assert_string_equal(text(), "importing [############............]  50%  at 2012-01-01  4s left");
  progress_line("importing", 131100, 0, INT64_MIN, 4000000000, 79, &out);
  assert_string_equal(text(), "importing 131,100");
  progress_line("importing", 5, 3, INT64_MIN, 0, 79, &out);
  assert_string_equal(text(), "importing [########################] 100%");
  progress_line("importing", 1, UINT64_MAX, 0, UINT64_MAX, 20, &out);
  assert_int_equal(strlen(text()), 20);
}

// ---- message ids ----

static struct bytes id_of(const char *json, const char *file, uint64_t number, const uint8_t salt[MESSAGE_SALT],
                          struct buf *event) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  buf_clear(event);
  assert_int_equal(mp_from_json(bytes_str(json), &limits, event, NULL), 0);
  message_id_add(salt, file, number, bytes_str(json), event);
  size_t n;
  assert_int_equal(mp_scan(buf_bytes(event), &limits, &n, NULL), 1);
  assert_int_equal(n, event->n);
  return field_text(buf_bytes(event), "messageId");
}

static void test_message_ids(void **state) {
  (void)state;
  static const uint8_t zero[MESSAGE_SALT] = {0}, other[MESSAGE_SALT] = {1};
  struct buf a = {0}, b = {0};
  const char *json = "{\"event\":\"x\",\"userId\":\"u\"}";
  assert_true(bytes_eq(id_of(json, "dir/e.jsonl", 3, zero, &a), id_of(json, "elsewhere/e.jsonl", 3, zero, &b)));
  assert_false(bytes_eq(id_of(json, "e.jsonl", 3, zero, &a), id_of(json, "e.jsonl", 4, zero, &b)));
  assert_false(bytes_eq(id_of(json, "e.jsonl", 3, zero, &a), id_of(json, "f.jsonl", 3, zero, &b)));
  assert_false(bytes_eq(id_of(json, "e.jsonl", 3, zero, &a), id_of(json, "e.jsonl", 3, other, &b)));
  assert_true(bytes_is(id_of("{\"messageId\":\"mine\"}", "e", 1, zero, &a), "mine"));
  assert_int_equal(id_of("{\"messageId\":null}", "e", 1, zero, &a).n, 37); // null is as good as none
  assert_true(bytes_is(field_text(buf_bytes(&a), "event"), ""));
  assert_int_equal(id_of("[1]", "e", 1, zero, &a).n, 0); // no map: left for the daemon to refuse
  buf_deinit(&a);
  buf_deinit(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_columns),
      cmocka_unit_test(test_wrapping),
      cmocka_unit_test(test_wrapping_loses_nothing),
      cmocka_unit_test(test_no_control_character),
      cmocka_unit_test(test_any_text_is_harmless),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_times),
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_fields),
      cmocka_unit_test(test_progress_fits),
      cmocka_unit_test(test_message_ids),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  buf_deinit(&out);
  return failed;
}
