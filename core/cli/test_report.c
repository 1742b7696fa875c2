#include "cli/test_report.h"

#include "base/clock.h"
#include "base/file.h"
#include "cli/field.h"
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>

void report_begin(struct test_report *r, const struct args *args) { *r = (struct test_report){.args = args}; }

void report_deinit(struct test_report *r) {
  buf_deinit(&r->suites);
  buf_deinit(&r->cases);
  free(r->file);
}

void report_start(struct test_report *r) { r->started_ns = clock_mono_ns(); }

// ---- XML ----

// Text as an attribute or an element may hold it: XML has no words for control characters, escaped or not.
static void put_xml(struct buf *out, struct bytes text) {
  struct buf shown = {0};
  show_text(&shown, text);
  for (size_t i = 0; i < shown.n; i++) {
    switch (shown.p[i]) {
    case '&': buf_append_str(out, "&amp;"); break;
    case '<': buf_append_str(out, "&lt;"); break;
    case '>': buf_append_str(out, "&gt;"); break;
    case '"': buf_append_str(out, "&quot;"); break;
    default: buf_append_u8(out, shown.p[i]);
    }
  }
  buf_deinit(&shown);
}

static void put_attribute(struct buf *out, const char *name, struct bytes text) {
  buf_printf(out, " %s=\"", name);
  put_xml(out, text);
  buf_append_u8(out, '"');
}

static void put_counts(struct buf *out, const uint64_t count[TEST_VERDICTS], uint64_t ns) {
  uint64_t all = 0;
  for (int i = 0; i < TEST_VERDICTS; i++) all += count[i];
  buf_printf(out, " tests=\"%llu\" failures=\"%llu\" errors=\"%llu\" skipped=\"%llu\" time=\"%llu.%06llu\"",
             (unsigned long long)all, (unsigned long long)count[TEST_FAILED], (unsigned long long)count[TEST_BROKEN],
             (unsigned long long)count[TEST_PENDING], (unsigned long long)(ns / 1000000000),
             (unsigned long long)(ns / 1000 % 1000000));
}

static void end_suite(struct test_report *r) {
  if (!r->file) return;
  buf_append_str(&r->suites, "  <testsuite");
  put_attribute(&r->suites, "name", bytes_str(r->file));
  put_counts(&r->suites, r->in_file, r->file_ns);
  buf_append_str(&r->suites, ">\n");
  buf_append_bytes(&r->suites, buf_bytes(&r->cases));
  buf_append_str(&r->suites, "  </testsuite>\n");
  buf_clear(&r->cases);
  memset(r->in_file, 0, sizeof r->in_file);
  r->file_ns = 0;
  free(r->file);
  r->file = NULL;
}

static void put_failures(struct buf *out, const struct test_case *one) {
  struct bytes failure, line;
  for (struct each each = each_of(one->failures); each_next(&each, &failure);) {
    buf_append_str(out, "      <failure");
    put_attribute(out, "message", field_text(failure, "text"));
    buf_append_u8(out, '>');
    put_xml(out, field_text(failure, "where"));
    buf_append_str(out, ": "), put_xml(out, field_text(failure, "text"));
    for (struct each more = each_of(field(failure, "because")); each_next(&more, &line);) {
      buf_append_str(out, "\n  ");
      if (mp_as_str(line, &line)) put_xml(out, line);
    }
    buf_append_str(out, "</failure>\n");
  }
  if (!one->err->code) return;
  const char *element = one->verdict == TEST_BROKEN ? "error" : "failure";
  buf_printf(out, "      <%s", element);
  put_attribute(out, "message", bytes_str(one->err->text));
  buf_append_str(out, "/>\n");
}

static void add_xml(struct test_report *r, const struct test_case *one) {
  uint64_t ns = r->started_ns ? clock_mono_ns() - r->started_ns : 0;
  r->started_ns = 0;
  r->all_ns += ns;
  if (!args_text(r->args, "junit")) return;
  if (!r->file || strcmp(r->file, one->path) != 0) end_suite(r);
  if (!r->file) r->file = xstrdup(one->path);
  r->in_file[one->verdict]++;
  r->file_ns += ns;
  buf_append_str(&r->cases, "    <testcase");
  put_attribute(&r->cases, "name", one->name);
  put_attribute(&r->cases, "classname", bytes_str(one->path));
  put_attribute(&r->cases, "file", bytes_str(one->path));
  if (one->line > 0) buf_printf(&r->cases, " line=\"%lld\"", (long long)one->line);
  buf_printf(&r->cases, " time=\"%llu.%06llu\"", (unsigned long long)(ns / 1000000000),
             (unsigned long long)(ns / 1000 % 1000000));
  if (one->verdict == TEST_PASSED) {
    buf_append_str(&r->cases, "/>\n");
    return;
  }
  buf_append_str(&r->cases, ">\n");
  if (one->verdict == TEST_PENDING) buf_append_str(&r->cases, "      <skipped/>\n");
  put_failures(&r->cases, one);
  buf_append_str(&r->cases, "    </testcase>\n");
}

int report_write(struct test_report *r, struct error *err) {
  const char *path = args_text(r->args, "junit");
  if (!path) return 0;
  end_suite(r);
  struct buf out = {0};
  buf_append_str(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"intent test\"");
  put_counts(&out, r->count, r->all_ns);
  buf_append_str(&out, ">\n");
  buf_append_bytes(&out, buf_bytes(&r->suites));
  buf_append_str(&out, "</testsuites>\n");
  int status = file_replace(path, buf_bytes(&out), err);
  buf_deinit(&out);
  return status;
}

// ---- what is printed ----

static void print_json(const struct test_case *one) {
  struct buf out = {0};
  mp_put_map(&out, one->verdict == TEST_PENDING ? 5 : 4);
  mp_put_cstr(&out, "spec"), mp_put_cstr(&out, one->path);
  mp_put_cstr(&out, "case"), mp_put_str(&out, one->name);
  mp_put_cstr(&out, "ok"), mp_put_bool(&out, one->verdict == TEST_PASSED || one->verdict == TEST_PENDING);
  if (one->verdict == TEST_PENDING) mp_put_cstr(&out, "pending"), mp_put_bool(&out, true);
  mp_put_cstr(&out, "failures");
  if (one->failures.n)
    mp_put_raw(&out, one->failures);
  else if (one->err->code) {
    mp_put_array(&out, 1), mp_put_map(&out, 2);
    mp_put_cstr(&out, "where"), mp_put_cstr(&out, "while deciding");
    mp_put_cstr(&out, "text"), mp_put_cstr(&out, one->err->text);
  } else
    mp_put_array(&out, 0);
  show_json(buf_bytes(&out));
  buf_deinit(&out);
}

static void print_text(const struct test_case *one) {
  static const char *const words[] = {"ok      ", "not ok  ", "pending ", "not ok  "};
  struct buf out = {0};
  struct bytes failure, line;
  buf_append_str(&out, words[one->verdict]);
  show_text(&out, one->name);
  buf_append_u8(&out, '\n');
  for (struct each each = each_of(one->failures); each_next(&each, &failure);) {
    buf_append_str(&out, "          ");
    show_text(&out, field_text(failure, "where"));
    buf_append_str(&out, ": ");
    show_text(&out, field_text(failure, "text"));
    buf_append_u8(&out, '\n');
    for (struct each more = each_of(field(failure, "because")); each_next(&more, &line);) {
      buf_append_str(&out, "            ");
      if (mp_as_str(line, &line)) show_text(&out, line);
      buf_append_u8(&out, '\n');
    }
  }
  if (one->err->code) buf_printf(&out, "          %s\n", one->err->text);
  show_print(&out);
  buf_deinit(&out);
}

void report_case(struct test_report *r, const struct test_case *one) {
  r->count[one->verdict]++;
  if (args_flag(r->args, "json"))
    print_json(one);
  else
    print_text(one);
  add_xml(r, one);
}

void report_broken(struct test_report *r, const char *path, int64_t line, const char *text) {
  struct error err = {.code = ITD_EPOLICY};
  snprintf(err.text, sizeof err.text, "%s", text);
  const struct test_case one = {
      .path = path, .line = line, .name = bytes_str("the file"), .verdict = TEST_BROKEN, .err = &err};
  r->count[TEST_BROKEN]++;
  add_xml(r, &one);
}
