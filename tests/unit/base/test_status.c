#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"

#include <string.h>

// Released codes never change: this table is written out again on purpose.
static const struct {
  int status;
  const char *code;
  bool retryable;
} released[] = {
    {0, "ok", false},
    {-1, "invalid_argument", false},
    {-2, "invalid_event", false},
    {-3, "invalid_message", false},
    {-4, "too_large", false},
    {-5, "time_out_of_bounds", false},
    {-6, "unknown_method", false},
    {-7, "not_found", false},
    {-8, "unauthorized", false},
    {-9, "busy", true},
    {-10, "storage_full", true},
    {-11, "storage_failed", true},
    {-12, "corrupt", false},
    {-13, "wrong_version", false},
    {-14, "policy_invalid", false},
    {-15, "model_invalid", false},
    {-16, "policy_stopped", false},
    {-17, "config_invalid", false},
    {-18, "schema_violation", false},
    {-19, "shutting_down", true},
    {-20, "internal", false},
    {-21, "storage_unavailable", true},
};

static void codes_are_as_released(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof released / sizeof *released; i++) {
    assert_string_equal(status_code(released[i].status), released[i].code);
    assert_int_equal(status_from_code(released[i].code), released[i].status);
    assert_int_equal(status_retryable(released[i].status), released[i].retryable);
  }
}

static void strangers_are_unknown(void **state) {
  (void)state;
  const int none[] = {1, 20, -1000, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    assert_string_equal(status_code(none[i]), "unknown");
    assert_false(status_retryable(none[i]));
  }
  assert_int_equal(status_from_code("unknown"), ITD_EINTERNAL);
  assert_int_equal(status_from_code("Busy"), ITD_EINTERNAL);
  assert_int_equal(status_from_code(""), ITD_EINTERNAL);
  assert_int_equal(status_from_code(NULL), ITD_EINTERNAL);
}

static void set_fills_and_returns(void **state) {
  (void)state;
  struct error err = {0};
  assert_int_equal(error_set(&err, ITD_EBUSY, "queue of %d is full", 7), ITD_EBUSY);
  assert_int_equal(err.code, ITD_EBUSY);
  assert_string_equal(err.text, "queue of 7 is full");
  assert_int_equal(error_set(NULL, ITD_EIO, "nobody asks"), ITD_EIO);
  error_prefix(NULL, "nor here");
}

static void prefixes_stack_up(void **state) {
  (void)state;
  struct error err = {0};
  (void)error_set(&err, ITD_EPOLICY, "line %d: no such feature", 12);
  error_prefix(&err, "rules.lua");
  error_prefix(&err, "policy '%s'", "plg");
  assert_string_equal(err.text, "policy 'plg': rules.lua: line 12: no such feature");
  assert_int_equal(err.code, ITD_EPOLICY);
}

static void a_text_may_be_made_of_itself(void **state) {
  (void)state;
  struct error err = {0};
  (void)error_set(&err, ITD_EIO, "first");
  (void)error_set(&err, ITD_EIO, "%s, then second", err.text);
  assert_string_equal(err.text, "first, then second");
}

// Every length around the bound, so that the cut falls on each byte of a character.
static void long_texts_end_in_an_ellipsis(void **state) {
  (void)state;
  char text[1500];
  for (size_t n = 480; n < 1400; n++) {
    size_t length = 0;
    if (n % 2) text[length++] = 'a';
    for (; length + 2 <= n; length += 2) memcpy(text + length, "é", 2);
    text[length] = '\0';
    struct error err = {0};
    (void)error_set(&err, ITD_EIO, "%s", text);
    if (length < sizeof err.text) {
      assert_string_equal(err.text, text);
      continue;
    }
    size_t kept = strlen(err.text);
    assert_true(kept < sizeof err.text && kept > sizeof err.text - 5);
    assert_string_equal(err.text + kept - 3, "…");
    assert_memory_equal(err.text, text, kept - 3);
    assert_int_equal((kept - 3 - n % 2) % 2, 0);
    error_prefix(&err, "where");
    assert_memory_equal(err.text, "where: ", 7);
    assert_true(strlen(err.text) < sizeof err.text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(codes_are_as_released),        cmocka_unit_test(strangers_are_unknown),
      cmocka_unit_test(set_fills_and_returns),        cmocka_unit_test(prefixes_stack_up),
      cmocka_unit_test(a_text_may_be_made_of_itself), cmocka_unit_test(long_texts_end_in_an_ellipsis),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
