// Files of payloads: CSV, JSON lines and whole JSON texts give the same payloads, with the line that each began on.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[64];
static struct buf all;
static struct error err;

static int begin(void **unused) {
  (void)unused;
  strcpy(path, "/tmp/test_rows.XXXXXX");
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  return 0;
}
static int end(void **unused) {
  (void)unused;
  unlink(path);
  buf_deinit(&all);
  return 0;
}

// "LINE:JSON" of each payload, with a space between; then "!TEXT" for an error.
static const char *read_all(const char *text, enum rows_format format) {
  struct rows rows;
  struct buf payload = {0};
  err = (struct error){0};
  buf_clear(&all);
  assert_int_equal(file_replace(path, bytes_str(text), &err), 0);
  int found = rows_open(&rows, path, format, ',', &err);
  if (found == 0) {
    while ((found = rows_next(&rows, &payload, &err)) > 0) {
      buf_printf(&all, "%s%llu:", all.n ? " " : "", (unsigned long long)rows.line);
      mp_to_json(buf_bytes(&payload), &all);
      buf_clear(&payload);
    }
    rows_close(&rows);
  }
  if (found < 0) buf_printf(&all, "!%s", strrchr(err.text, '/') ? strrchr(err.text, '/') : err.text);
  buf_append_u8(&all, 0);
  buf_deinit(&payload);
  return (const char *)all.p;
}

static void csv_rows_are_maps_of_their_columns(void **unused) {
  (void)unused;
  assert_string_equal(read_all("a,b c\n1,\"x\ny\"\n,2\n", ROWS_CSV),
                      "2:{\"a\":\"1\",\"b c\":\"x\\ny\"} 4:{\"a\":\"\",\"b c\":\"2\"}");
  assert_non_null(strstr(read_all("a,b\n1\n", ROWS_CSV), ":2: 1 fields, where the first row names 2"));
  assert_non_null(strstr(read_all("", ROWS_CSV), "is empty"));
  assert_non_null(strstr(read_all("a,a\n", ROWS_CSV), "two columns are called \"a\""));
}

static void json_lines_and_lists(void **unused) {
  (void)unused;
  assert_string_equal(read_all("{\"a\":1}\n\n[{\"a\":2},{\"a\":3}]\r\n5\n", ROWS_JSON),
                      "1:{\"a\":1} 3:{\"a\":2} 3:{\"a\":3} 4:5");
  assert_string_equal(read_all("[]\n{}\n", ROWS_JSON), "2:{}");
  assert_string_equal(read_all("", ROWS_JSON), "");
  assert_non_null(strstr(read_all("{\"a\":1}\n{\"a\":\n", ROWS_JSON), ":2: JSON, line 1"));
}

// A line that is no JSON stands alone, but for the first: that may begin a text over several lines.
static void a_broken_line_leaves_the_others(void **unused) {
  (void)unused;
  struct rows rows;
  struct buf payload = {0};
  static const char *const text =
      "[{\"a\":1},2]\n{\"a\"\n\n{\"a\":18446744073709551616}\n{\"a\":1,\"a\":2}\n\"\xff\"\n5\n{";
  static const char *const broken[] = {"{\"a\"", "{\"a\":18446744073709551616}", "{\"a\":1,\"a\":2}", "\"\xff\"", "{"};
  static const int lines[] = {1, 1, -2, -4, -5, -6, 7, -8};
  size_t b = 0;
  assert_int_equal(file_replace(path, bytes_str(text), &err), 0);
  assert_int_equal(rows_open(&rows, path, ROWS_JSON, ',', &err), 0);
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    int found = rows_next(&rows, &payload, &err);
    assert_int_equal(rows.line, abs(lines[i]));
    assert_int_equal(found, lines[i] > 0 ? 1 : ITD_EFRAME);
    assert_int_equal(rows.broken.n > 0, lines[i] < 0);
    if (lines[i] > 0) continue;
    struct mp_value v = mp_value_of(buf_bytes(&rows.broken));
    assert_true((v.type == MP_STR || v.type == MP_BIN) && bytes_is(v.s, broken[b++]));
    assert_memory_equal(err.text + rows.why_at, "JSON, line 1", 12);
  }
  assert_int_equal(rows_next(&rows, &payload, &err), 0);
  rows_close(&rows);
  buf_clear(&payload);
  assert_int_equal(file_replace(path, BYTES_LIT("a,b\n1,2\n3\n4,\xff,6\n5,6\n"), &err), 0);
  assert_int_equal(rows_open(&rows, path, ROWS_CSV, ',', &err), 0);
  static const int found[] = {1, ITD_EINVAL, ITD_EINVAL, 1, 0};
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(rows_next(&rows, &payload, &err), found[i]);
    assert_int_equal(rows.broken.n > 0, found[i] < 0);
    if (found[i] < 0) assert_int_equal(mp_value_of(buf_bytes(&rows.broken)).count, i == 1 ? 1 : 3);
    if (found[i] < 0) assert_non_null(strstr(err.text + rows.why_at, "fields, where the first row names 2"));
  }
  rows_close(&rows);
  buf_deinit(&payload);
}

static void a_whole_text_may_take_many_lines(void **unused) {
  (void)unused;
  assert_string_equal(read_all("{\n \"a\": 1\n}\n", ROWS_JSON), "1:{\"a\":1}");
  assert_string_equal(read_all("[\n {\"a\": 1},\n {\"a\": 2}\n]", ROWS_JSON), "1:{\"a\":1} 1:{\"a\":2}");
  assert_non_null(strstr(read_all("{\n \"a\": 1\n}\n{}\n", ROWS_JSON), "JSON, line 4"));
}

static void names_say_the_format(void **unused) {
  (void)unused;
  static const char *const json[] = {"x.json", "x.JSONL", "a.ndjson.gz"}, *const csv[] = {"x.csv", "x", "json"};
  for (size_t i = 0; i < 3; i++) {
    struct rows rows = {0};
    assert_int_equal(rows_open(&rows, json[i], ROWS_BY_NAME, ',', &err), ITD_ENOTFOUND);
    assert_int_equal(rows_open(&rows, csv[i], ROWS_BY_NAME, ',', &err), ITD_ENOTFOUND);
  }
}

static void a_column_that_is_nearly_there(void **unused) {
  (void)unused;
  struct rows rows;
  struct buf near = {0};
  assert_int_equal(file_replace(path, BYTES_LIT("E-Mail,Name\n"), &err), 0);
  assert_int_equal(rows_open(&rows, path, ROWS_CSV, ',', &err), 0);
  assert_true(rows_nearly(&rows, "E-Mial", &near));
  assert_true(bytes_is(buf_bytes(&near), "E-Mail"));
  assert_false(rows_nearly(&rows, "E-Mail", &near));
  assert_false(rows_nearly(&rows, "Something else", &near));
  rows_close(&rows);
  buf_deinit(&near);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(csv_rows_are_maps_of_their_columns, begin, end),
      cmocka_unit_test_setup_teardown(json_lines_and_lists, begin, end),
      cmocka_unit_test_setup_teardown(a_broken_line_leaves_the_others, begin, end),
      cmocka_unit_test_setup_teardown(a_whole_text_may_take_many_lines, begin, end),
      cmocka_unit_test_setup_teardown(names_say_the_format, begin, end),
      cmocka_unit_test_setup_teardown(a_column_that_is_nearly_there, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
