// The file that says what the workspace lets policies do: written, read again, and damaged.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "store/switch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/switch_test.XXXXXX", path[64];

static int begin(void **state) {
  (void)state;
  if (!mkdtemp(dir)) return -1;
  char versions[64];
  snprintf(versions, sizeof versions, "%s/versions", dir);
  snprintf(path, sizeof path, "%s/versions/switch", dir);
  struct error err = {0};
  return dir_make(versions, &err);
}

static int end(void **state) {
  (void)state;
  unlink(path);
  char versions[64];
  snprintf(versions, sizeof versions, "%s/versions", dir);
  rmdir(versions);
  return rmdir(dir);
}

static void what_is_written_is_read(void **state) {
  (void)state;
  struct workspace_switch s = {.to = SWITCH_SCORE, .at_ms = 1767225600000, .by = "uid 1000"}, read;
  snprintf(s.why, sizeof s.why, "\"quotes\", \xc3\xbcmlauts and a\nline");
  struct error err = {0};
  assert_int_equal(switch_read(dir, &read, &err), 0);
  assert_true(read.to == SWITCH_ACT && read.at_ms == 0); // no file yet
  for (int to = SWITCH_ACT; to <= SWITCH_COLLECT; to++) {
    s.to = (enum policy_switch)to;
    assert_int_equal(switch_write(dir, &s, &err), 0);
    assert_int_equal(switch_read(dir, &read, &err), 0);
    assert_true(read.to == s.to && read.at_ms == s.at_ms);
    assert_string_equal(read.by, s.by);
    assert_string_equal(read.why, s.why);
  }
}

static void damage_is_told(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "{}",
      "[]",
      "{\"to\":\"score\",\"at\":1,\"by\":\"x\"}",
      "{\"to\":\"stop\",\"at\":1,\"by\":\"x\",\"why\":\"y\"}",
      "{\"to\":\"score\",\"at\":0,\"by\":\"x\",\"why\":\"y\"}",
      "{\"to\":\"score\",\"at\":1.5,\"by\":\"x\",\"why\":\"y\"}",
      "{\"to\":\"score\",\"at\":1,\"by\":\"a name that is longer than who may ask\",\"why\":\"y\"}"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct error err = {0};
    struct workspace_switch read;
    assert_int_equal(file_replace(path, bytes_str(bad[i]), &err), 0);
    assert_int_equal(switch_read(dir, &read, &err), ITD_ECORRUPT);
    assert_non_null(strstr(err.text, "versions/switch"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_is_written_is_read, begin, NULL),
      cmocka_unit_test_setup_teardown(damage_is_told, NULL, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
