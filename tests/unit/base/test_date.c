// Dates against the C library's calendar, for every day of 1,000 years and at random beyond. SEED repeats a run.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/hash.h"

static void compare(int64_t day) {
  time_t seconds = (time_t)(day * 86400);
  struct tm tm;
  assert_non_null(gmtime_r(&seconds, &tm));
  struct date d = date_of_days(day);
  if (d.year != tm.tm_year + INT64_C(1900) || d.month != tm.tm_mon + 1 || d.day != tm.tm_mday)
    fail_msg("day %" PRId64 ": %" PRId64 "-%d-%d", day, d.year, d.month, d.day);
  if (date_to_days(d.year, d.month, d.day) != day) fail_msg("day %" PRId64 " does not come back", day);
}

static void test_every_day(void **state) {
  (void)state;
  for (int64_t day = -200000; day < 200000; day++) compare(day);
}

static void test_far_days(void **state) {
  (void)state;
  const char *given = getenv("SEED");
  uint64_t rng = given ? strtoull(given, NULL, 10) : clock_mono_ns() % 1000000007;
  print_message("SEED=%" PRIu64 "\n", rng);
  for (int i = 0; i < 10000; i++) {
    rng = hash_mix(rng, 0xda7e);
    compare((int64_t)(rng % 20000000) - 10000000);
  }
}

static void test_months(void **state) {
  (void)state;
  for (int64_t year = -800; year < 3000; year++)
    for (int month = 1; month <= 12; month++) {
      int64_t next = month < 12 ? date_to_days(year, month + 1, 1) : date_to_days(year + 1, 1, 1);
      assert_int_equal(date_month_days(year, month), next - date_to_days(year, month, 1));
    }
  assert_int_equal(date_to_days(2024, 3, 0), date_to_days(2024, 2, 29)); // counted on beyond the month
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_day),
      cmocka_unit_test(test_far_days),
      cmocka_unit_test(test_months),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
