// What `intent test` says of each case: on standard output, and as JUnit's XML for CI.
#pragma once
#include "base/buf.h"
#include "cli/command.h"

enum test_verdict { TEST_PASSED, TEST_FAILED, TEST_PENDING, TEST_BROKEN, TEST_VERDICTS };

struct test_report {
  const struct args *args; // --json, --junit
  uint64_t count[TEST_VERDICTS];
  uint64_t started_ns; // of the case at hand
  // JUnit's XML so far: files are its suites. Empty without --junit.
  struct buf suites, cases;
  char *file; // of `cases`
  uint64_t in_file[TEST_VERDICTS], file_ns, all_ns;
};

void report_begin(struct test_report *report, const struct args *args);
void report_deinit(struct test_report *report);
void report_start(struct test_report *report); // a case begins now
// "ok      NAME" or "not ok  NAME" and each failure {where, text, because = [lines]}; with --json one line {spec, case, ok,
// failures}. `err`: why it could not be judged (code 0: it was). `line` 0: not known.
struct test_case {
  const char *path;
  int64_t line;
  struct bytes name;
  enum test_verdict verdict;
  struct bytes failures; // empty: none
  const struct error *err;
};
void report_case(struct test_report *report, const struct test_case *one);
// A file that can't be read: counted and written to the XML; it was printed.
void report_broken(struct test_report *report, const char *path, int64_t line, const char *text);
// Writes the file of --junit, if there is one. ITD_EIO.
int report_write(struct test_report *report, struct error *err) ITD_MUST_USE;
