// CSV: what RFC 4180 allows comes out as it was meant, an oracle agrees on random records, and hostile bytes are
// refused with a place.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "cli/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

struct file {
  char path[64];
  struct input input;
  struct csv csv;
  struct csv_record record;
  struct error err;
};

static void write_file(struct file *f, struct bytes content, bool packed) {
  strcpy(f->path, "/tmp/test_csv.XXXXXX");
  int fd = mkstemp(f->path);
  assert_true(fd >= 0);
  if (packed) {
    gzFile gz = gzdopen(fd, "wb");
    assert_int_equal(gzwrite(gz, content.p, (unsigned)content.n), (int)content.n);
    assert_int_equal(gzclose(gz), Z_OK);
  } else {
    assert_int_equal(write(fd, content.p, content.n), (ssize_t)content.n);
    close(fd);
  }
}

static void open_csv(struct file *f, struct bytes content, bool packed) {
  write_file(f, content, packed);
  f->err = (struct error){0};
  assert_int_equal(input_open(f->path, &f->input, &f->err), 0);
  csv_init(&f->csv, &f->input, ',');
}

static void close_csv(struct file *f) {
  csv_deinit(&f->csv);
  input_close(&f->input);
  unlink(f->path);
}

static struct file file;

static void begin(const char *text) { open_csv(&file, bytes_str(text), false); }
static void end(void) { close_csv(&file); }

static void expect(uint64_t line, size_t count, const char *const *fields) {
  assert_int_equal(csv_next(&file.csv, &file.record, &file.err), 1);
  assert_int_equal(file.csv.line, line);
  assert_int_equal(file.record.count, count);
  for (size_t i = 0; i < count; i++) assert_true(bytes_is(file.record.field[i], fields[i]));
}
#define EXPECT(line, ...)                                                                                              \
  expect(line, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static void expect_end(void) { assert_int_equal(csv_next(&file.csv, &file.record, &file.err), 0); }

static void expect_error(const char *text, int code, const char *why) {
  begin(text);
  int found;
  while ((found = csv_next(&file.csv, &file.record, &file.err)) == 1) {
  }
  assert_int_equal(found, code);
  if (!strstr(file.err.text, why)) fail_msg("\"%s\" has no \"%s\"", file.err.text, why);
  end();
}

static void test_plain(void **state) {
  (void)state;
  begin("a,b,c\n1,,3\n");
  EXPECT(1, "a", "b", "c");
  EXPECT(2, "1", "", "3");
  expect_end();
  expect_end();
  end();
}

static void test_ends_of_lines(void **state) {
  (void)state;
  begin("a,b\r\n\r\n\n1,2\r\n3,4"); // the last record without an end
  EXPECT(1, "a", "b");
  EXPECT(4, "1", "2");
  EXPECT(5, "3", "4");
  expect_end();
  end();
}

static void test_quotes(void **state) {
  (void)state;
  begin("\"a\",\"b,c\",\"d\"\"e\"\n\"two\nlines\",\"\",\" x \"\nnext,\"\"\"\"\n");
  EXPECT(1, "a", "b,c", "d\"e");
  EXPECT(2, "two\nlines", "", " x ");
  EXPECT(4, "next", "\"");
  expect_end();
  end();
}

static void test_quoted_cr(void **state) {
  (void)state;
  begin("\"a\r\nb\",c\r\n");
  EXPECT(1, "a\r\nb", "c");
  expect_end();
  end();
}

static void test_byte_order_mark(void **state) {
  (void)state;
  begin("\xef\xbb\xbfid,x\n");
  EXPECT(1, "id", "x");
  expect_end();
  end();
  begin("\xef\xbb\xbf");
  expect_end();
  end();
}

static void test_nothing(void **state) {
  (void)state;
  begin("");
  expect_end();
  end();
  begin("\n\r\n\n");
  expect_end();
  end();
  begin(",\n");
  EXPECT(1, "", "");
  expect_end();
  end();
}

static void test_separator(void **state) {
  (void)state;
  begin("a;b,c;\"d;e\"\n");
  file.csv.separator = ';';
  EXPECT(1, "a", "b,c", "d;e");
  end();
}

static void test_faults(void **state) {
  (void)state;
  expect_error("a,b\n1,\"never closed\nand on", ITD_EINVAL, ":2: a quote is opened and never closed");
  expect_error("a,b\nx\"y\",1\n", ITD_EINVAL, ":2: field 1: a quote inside");
  expect_error("a,b\n1,\"x\"y\n", ITD_EINVAL, ":2: field 2: text after the closing quote");
  expect_error("a\n\"x\" \n", ITD_EINVAL, "text after the closing quote");
}

static void test_bounds(void **state) {
  (void)state;
  struct buf big = {0};
  for (int i = 0; i < CSV_FIELDS_MAX; i++) buf_append_str(&big, "1,");
  buf_append_str(&big, "1\n");
  buf_append_u8(&big, 0);
  expect_error((const char *)big.p, ITD_EINVAL, "more than 512 fields");
  buf_clear(&big);
  buf_append_str(&big, "a\n\"");
  while (big.n < CSV_RECORD_MAX + 100) buf_append_str(&big, "no quote closes this, ");
  buf_append_u8(&big, 0);
  expect_error((const char *)big.p, ITD_ETOOBIG, ":2: a record of more than");
  buf_deinit(&big);
}

static void test_nul_bytes(void **state) {
  (void)state;
  open_csv(&file, BYTES_LIT("a\0b,\"c\0d\"\n"), false);
  assert_int_equal(csv_next(&file.csv, &file.record, &file.err), 1);
  assert_true(bytes_eq(file.record.field[0], BYTES_LIT("a\0b")));
  assert_true(bytes_eq(file.record.field[1], BYTES_LIT("c\0d")));
  end();
}

// ---- an oracle: fields written as the RFC says come back as they were, packed or not ----

static void random_field(struct buf *out) {
  static const char alphabet[] = "ab,\"\n\r x;\xc3";
  for (uint64_t n = random_below(9); n > 0; n--)
    buf_append_u8(out, (uint8_t)alphabet[random_below(sizeof alphabet - 1)]);
}

static void put_quoted(struct buf *out, struct bytes field) {
  buf_append_u8(out, '"');
  for (size_t i = 0; i < field.n; i++) {
    if (field.p[i] == '"') buf_append_u8(out, '"');
    buf_append_u8(out, field.p[i]);
  }
  buf_append_u8(out, '"');
}

static void test_round_trip(void **state) {
  (void)state;
  random_start();
  for (int round = 0; round < 60; round++) {
    enum { ROWS = 200, COLUMNS = 4 };
    struct buf text = {0}, fields[ROWS][COLUMNS] = {0};
    for (int i = 0; i < ROWS; i++) {
      for (int j = 0; j < COLUMNS; j++) {
        random_field(&fields[i][j]);
        struct bytes field = buf_bytes(&fields[i][j]);
        bool needs = j == 0; // a quoted first field: a record of four empty ones is no empty line anyhow
        for (size_t k = 0; k < field.n; k++) needs |= strchr(",\"\n\r", field.p[k]) != NULL;
        if (needs)
          put_quoted(&text, field);
        else
          buf_append_bytes(&text, field);
        if (j + 1 < COLUMNS) buf_append_u8(&text, ',');
      }
      buf_append_str(&text, random_below(2) ? "\n" : "\r\n");
    }
    open_csv(&file, buf_bytes(&text), round % 2);
    for (int i = 0; i < ROWS; i++) {
      assert_int_equal(csv_next(&file.csv, &file.record, &file.err), 1);
      assert_int_equal(file.record.count, COLUMNS);
      for (int j = 0; j < COLUMNS; j++) assert_true(bytes_eq(file.record.field[j], buf_bytes(&fields[i][j])));
    }
    expect_end();
    end();
    for (int i = 0; i < ROWS; i++)
      for (int j = 0; j < COLUMNS; j++) buf_deinit(&fields[i][j]);
    buf_deinit(&text);
  }
}

// Any bytes: every record ends, lines only grow, and the fields lie inside what was read.
static void test_any_bytes(void **state) {
  (void)state;
  random_start();
  for (int round = 0; round < 2000; round++) {
    static const char alphabet[] = "\"\"\",,\n\r\na";
    struct buf text = {0};
    for (uint64_t n = random_below(60); n > 0; n--) {
      uint64_t pick = random_below(sizeof alphabet);
      buf_append_u8(&text, pick + 1 == sizeof alphabet ? (uint8_t)random_below(256) : (uint8_t)alphabet[pick]);
    }
    open_csv(&file, buf_bytes(&text), false);
    uint64_t line = 0;
    size_t taken = 0;
    int found;
    while ((found = csv_next(&file.csv, &file.record, &file.err)) == 1) {
      assert_true(file.csv.line > line);
      line = file.csv.line;
      assert_true(file.record.count > 0);
      for (size_t i = 0; i < file.record.count; i++) taken += file.record.field[i].n;
    }
    assert_true(found == 0 || (found == ITD_EINVAL && file.err.text[0]));
    assert_true(taken <= text.n);
    end();
    buf_deinit(&text);
  }
}

// ---- the input below ----

static void test_damaged_gzip(void **state) {
  (void)state;
  struct buf rows = {0};
  random_start();
  for (int i = 0; i < 20000; i++) buf_printf(&rows, "%llu,%d\n", (unsigned long long)random_next(), i);
  write_file(&file, buf_bytes(&rows), true);
  assert_int_equal(truncate(file.path, 5000), 0);
  file.err = (struct error){0};
  assert_int_equal(input_open(file.path, &file.input, &file.err), 0);
  csv_init(&file.csv, &file.input, ',');
  int found;
  while ((found = csv_next(&file.csv, &file.record, &file.err)) == 1) {
  }
  assert_int_equal(found, ITD_EIO); // not quietly half of the file
  end();
  buf_deinit(&rows);
}

static void test_open_faults(void **state) {
  (void)state;
  struct input input;
  struct error err = {0};
  assert_int_equal(input_open("/nowhere/at/all", &input, &err), ITD_ENOTFOUND);
  assert_non_null(strstr(err.text, "/nowhere/at/all"));
  assert_int_equal(input_open("/tmp", &input, &err), ITD_EIO);
  assert_non_null(strstr(err.text, "folder"));
}

static void test_lines(void **state) {
  (void)state;
  struct error err = {0};
  struct bytes line;
  write_file(&file, BYTES_LIT("one\r\n\ntwo\nlast"), false);
  assert_int_equal(input_open(file.path, &file.input, &err), 0);
  static const char *const lines[] = {"one", "", "two", "last"};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(input_line(&file.input, 100, &line, &err), 1);
    assert_true(bytes_is(line, lines[i]));
  }
  assert_int_equal(input_line(&file.input, 100, &line, &err), 0);
  input_close(&file.input);
  unlink(file.path);
}

static void test_long_line(void **state) {
  (void)state;
  struct buf text = {0};
  struct error err = {0};
  struct bytes line;
  for (int i = 0; i < 400000; i++) buf_append_u8(&text, 'x');
  write_file(&file, buf_bytes(&text), false);
  assert_int_equal(input_open(file.path, &file.input, &err), 0);
  assert_int_equal(input_line(&file.input, 1000, &line, &err), ITD_ETOOBIG);
  input_close(&file.input);
  unlink(file.path);
  buf_deinit(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_plain),        cmocka_unit_test(test_ends_of_lines),   cmocka_unit_test(test_quotes),
      cmocka_unit_test(test_quoted_cr),    cmocka_unit_test(test_byte_order_mark), cmocka_unit_test(test_nothing),
      cmocka_unit_test(test_separator),    cmocka_unit_test(test_faults),          cmocka_unit_test(test_bounds),
      cmocka_unit_test(test_nul_bytes),    cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_any_bytes),
      cmocka_unit_test(test_damaged_gzip), cmocka_unit_test(test_open_faults),     cmocka_unit_test(test_lines),
      cmocka_unit_test(test_long_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
