#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "base/clock.h"

#define DAY_MS   ((int64_t)86400000)
#define FIRST_MS (-62135596800000) // 0001-01-01
#define LAST_MS  253402300799999   // 9999-12-31T23:59:59.999

static int64_t parsed(const char *text) {
  int64_t ms = INT64_MIN;
  if (time_parse(bytes_str(text), &ms) != 0) fail_msg("'%s' was refused", text);
  return ms;
}

static void refused(const char *text, size_t n) {
  int64_t ms = 4711;
  if (time_parse(bytes_of(text, n), &ms) != ITD_EINVAL) fail_msg("'%.*s' was taken", (int)n, text);
  assert_int_equal(ms, 4711);
}

static void the_forms_that_are_taken(void **state) {
  (void)state;
  const int64_t t = 1767601800000; // 2026-01-05T08:30:00Z
  assert_int_equal(parsed("2026-01-05T08:30:00Z"), t);
  assert_int_equal(parsed("2026-01-05t08:30:00z"), t);
  assert_int_equal(parsed("2026-01-05 08:30:00"), t);
  assert_int_equal(parsed("2026-01-05T08:30:00.25Z"), t + 250);
  assert_int_equal(parsed("2026-01-05T08:30:00.999999999Z"), t + 999);
  assert_int_equal(parsed("2026-01-05T08:30:00.0009Z"), t);
  assert_int_equal(parsed("2026-01-05T10:30:00+02:00"), t);
  assert_int_equal(parsed("2026-01-05T10:30:00+0200"), t);
  assert_int_equal(parsed("2026-01-04T23:00:00.001-0930"), t + 1);
  assert_int_equal(parsed("2026-01-05T08:30:00-00:00"), t);
  assert_int_equal(parsed("2026-01-05"), t - 30600000);
  assert_int_equal(parsed("1970-01-01"), 0);
  assert_int_equal(parsed("1969-12-31T23:59:59.999Z"), -1);
  assert_int_equal(parsed("0001-01-01T00:00:00Z"), FIRST_MS);
  assert_int_equal(parsed("9999-12-31T23:59:59.999Z"), LAST_MS);
}

static void leap_seconds_are_the_last_millisecond(void **state) {
  (void)state;
  const int64_t t = parsed("2017-01-01") - 1;
  assert_int_equal(parsed("2016-12-31T23:59:60Z"), t);
  assert_int_equal(parsed("2016-12-31T23:59:60.5Z"), t);
  assert_int_equal(parsed("2017-01-01T05:29:60+05:30"), t);
  refused("2016-12-31T23:58:60Z", 20);
  refused("2016-12-31T23:59:60+01:00", 25);
  refused("2016-12-31T23:59:61Z", 20);
}

static void what_is_refused(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "2",
      "2026",
      "2026-01",
      "2026-1-05",
      "2026-01-5",
      "26-01-05",
      "+2026-01-05",
      "-001-01-01",
      "2026/01/05",
      "0000-12-31",
      "2026-00-05",
      "2026-13-05",
      "2026-01-00",
      "2026-01-32",
      "2026-04-31",
      "2026-02-29",
      "1900-02-29",
      "2100-02-29",
      "2024-02-30",
      "2026-01-05T",
      "2026-01-05Z",
      "2026-01-05T08",
      "2026-01-05T08:30",
      "2026-01-05T08:30Z",
      "2026-01-05T24:00:00Z",
      "2026-01-05T08:60:00Z",
      "2026-01-05T08:30:0Z",
      "2026-01-05T08:30:00.Z",
      "2026-01-05T08:30:00.1234567890Z",
      "2026-01-05T08:30:00,5Z",
      "2026-01-05T08:30:00+",
      "2026-01-05T08:30:00+02",
      "2026-01-05T08:30:00+2:00",
      "2026-01-05T08:30:00+02:0",
      "2026-01-05T08:30:00+02:60",
      "2026-01-05T08:30:00+24:00",
      "2026-01-05T08:30:00+02:00Z",
      "2026-01-05T08:30:00ZZ",
      "2026-01-05T08:30:00 Z",
      " 2026-01-05",
      "2026-01-05 ",
      "2026-01-05X08:30:00Z",
      "2026-01-05T-8:30:00Z",
      "2026-01-05T08:30:00Z\n",
      "20260105T083000Z",
      "0001-01-01T00:00:00+00:01",
      "9999-12-31T23:59:59-00:01",
      "now",
      "1767601800000",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) refused(bad[i], strlen(bad[i]));
  refused("2026-01-05\0", 11);
  refused("2026-01-05T08:30:00\0", 20);
  refused("2026-01-05T08:30:00Z\0", 21);
  refused("2026-01-05T08:30:00.1\0", 22);
  refused(NULL, 0);
}

static int64_t oracle_ms(int year, int month, int day, int hour, int minute, int second) {
  struct tm tm = {
      .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute, .tm_sec = second};
  return (int64_t)timegm(&tm) * 1000;
}

// Every day of the calendar, forth and back, and the day after each month's last is refused.
static void every_day_agrees_with_timegm(void **state) {
  (void)state;
  int64_t expected = FIRST_MS;
  for (int year = 1; year <= 9999; year++)
    for (int month = 1; month <= 12; month++) {
      int64_t next = oracle_ms(year, month + 1, 1, 0, 0, 0);
      int days = (int)((next - oracle_ms(year, month, 1, 0, 0, 0)) / DAY_MS);
      for (int day = 1; day <= 31; day++) {
        char text[40], again[TIME_TEXT_MAX];
        snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, day);
        if (day > days) {
          refused(text, 10);
          continue;
        }
        int64_t ms = parsed(text);
        if (ms != expected) fail_msg("%s gives %lld", text, (long long)ms);
        time_format(ms, again);
        assert_memory_equal(again, text, 10);
        assert_string_equal(again + 10, "T00:00:00.000Z");
        expected += DAY_MS;
      }
    }
  assert_int_equal(expected, LAST_MS + 1);
}

static void random_times_agree_with_timegm(void **state) {
  (void)state;
  for (int i = 0; i < 300000; i++) {
    int year = 2 + (int)random_below(9997), month = 1 + (int)random_below(12), day = 1 + (int)random_below(28);
    int hour = (int)random_below(24), minute = (int)random_below(60), second = (int)random_below(60);
    int fraction = (int)random_below(1000), zh = (int)random_below(24), zm = (int)random_below(60);
    bool west = random_below(2), colon = random_below(2);
    char text[64];
    snprintf(text, sizeof text, "%04d-%02d-%02d%c%02d:%02d:%02d.%03d%c%02d%s%02d", year, month, day,
             random_below(2) ? 'T' : ' ', hour, minute, second, fraction, west ? '-' : '+', zh, colon ? ":" : "", zm);
    int64_t zone = (zh * 60 + zm) * (int64_t)60000;
    int64_t expected = oracle_ms(year, month, day, hour, minute, second) + fraction + (west ? zone : -zone);
    if (parsed(text) != expected) fail_msg("%s", text);
  }
}

static void format_and_parse_are_inverse(void **state) {
  (void)state;
  for (int i = 0; i < 300000; i++) {
    int64_t ms = FIRST_MS + (int64_t)random_below((uint64_t)(LAST_MS - FIRST_MS) + 1);
    char text[TIME_TEXT_MAX];
    time_format(ms, text);
    assert_int_equal(strlen(text), 24);
    if (parsed(text) != ms) fail_msg("%lld: %s", (long long)ms, text);
  }
  const int64_t extremes[] = {INT64_MIN, INT64_MIN + 1, FIRST_MS - 1, LAST_MS + 1, INT64_MAX};
  for (size_t i = 0; i < sizeof extremes / sizeof *extremes; i++) {
    char text[TIME_TEXT_MAX];
    time_format(extremes[i], text);
    assert_int_equal(text[strlen(text) - 1], 'Z');
  }
}

// Damaged texts are read as something inside the bounds or refused; the sanitizers watch for reads beyond the end.
static void damaged_texts_do_no_harm(void **state) {
  (void)state;
  static const char alphabet[] = "0123456789-:TZ+. \0x";
  for (int i = 0; i < 500000; i++) {
    char base[] = "2024-02-29T23:59:59.123456789+05:30";
    for (uint64_t k = 1 + random_below(3); k > 0; k--)
      base[random_below(sizeof base - 1)] = alphabet[random_below(sizeof alphabet - 1)];
    size_t n = random_below(sizeof base);
    char *exact = malloc(n ? n : 1); // so that a read beyond it is seen
    memcpy(exact, base, n);
    int64_t ms;
    if (time_parse(bytes_of(exact, n), &ms) == 0) assert_true(ms >= FIRST_MS && ms <= LAST_MS);
    free(exact);
  }
}

static void durations(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t ms;
  } good[] = {{"1ms", 1},
              {"250ms", 250},
              {"30s", 30000},
              {"15m", 900000},
              {"4h", 14400000},
              {"7d", 7 * DAY_MS},
              {"2w", 14 * DAY_MS},
              {"36525d", 36525 * DAY_MS},
              {"5217w", 5217 * 7 * DAY_MS},
              {"007d", 7 * DAY_MS},
              {"3155760000000ms", 36525 * DAY_MS}};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    int64_t ms = 0;
    assert_int_equal(duration_parse(bytes_str(good[i].text), &ms), 0);
    assert_int_equal(ms, good[i].ms);
  }
  static const char *const bad[] = {"",
                                    "7",
                                    "d",
                                    "0d",
                                    "0ms",
                                    "-7d",
                                    "+7d",
                                    "7 d",
                                    " 7d",
                                    "7d ",
                                    "7D",
                                    "7M",
                                    "7y",
                                    "1.5h",
                                    "7dd",
                                    "1d2h",
                                    "36526d",
                                    "5218w",
                                    "3155760000001ms",
                                    "18446744073709551617ms",
                                    "99999999999999999999999999d",
                                    "9223372036854775807w",
                                    "0x7d",
                                    "ms"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    int64_t ms = 4711;
    if (duration_parse(bytes_str(bad[i]), &ms) != ITD_EINVAL) fail_msg("'%s' was taken", bad[i]);
    assert_int_equal(ms, 4711);
  }
  int64_t ms;
  assert_int_equal(duration_parse(BYTES_LIT("7d\0"), &ms), ITD_EINVAL);
}

static void durations_are_written_in_the_largest_unit(void **state) {
  (void)state;
  char text[DURATION_TEXT_MAX];
  static const struct {
    int64_t ms;
    const char *text;
  } pairs[] = {{7 * DAY_MS, "7d"},
               {14 * DAY_MS, "14d"},
               {5400000, "90m"},
               {3600000, "1h"},
               {60001, "60001ms"},
               {61000, "61s"},
               {-5400000, "-90m"},
               {0, "0d"},
               {INT64_MIN, "-9223372036854775808ms"}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    duration_format(pairs[i].ms, text);
    assert_string_equal(text, pairs[i].text);
  }
  for (int i = 0; i < 100000; i++) {
    static const int64_t units[] = {1, 1000, 60000, 3600000, DAY_MS};
    int64_t ms = (1 + (int64_t)random_below(30000)) * units[random_below(5)], again;
    duration_format(ms, text);
    assert_int_equal(duration_parse(bytes_str(text), &again), 0);
    assert_int_equal(again, ms);
  }
}

static void the_clocks_are_this_worlds(void **state) {
  (void)state;
  time_t now = time(NULL);
  int64_t ms = clock_wall_ms();
  assert_true(ms / 1000 >= now - 1 && ms / 1000 <= time(NULL) + 1);
  uint64_t before = clock_mono_ns();
  for (int i = 0; i < 1000; i++) {
    uint64_t after = clock_mono_ns();
    assert_true(after >= before);
    before = after;
  }
}

int main(void) {
  random_start();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_forms_that_are_taken),
      cmocka_unit_test(leap_seconds_are_the_last_millisecond),
      cmocka_unit_test(what_is_refused),
      cmocka_unit_test(every_day_agrees_with_timegm),
      cmocka_unit_test(random_times_agree_with_timegm),
      cmocka_unit_test(format_and_parse_are_inverse),
      cmocka_unit_test(damaged_texts_do_no_harm),
      cmocka_unit_test(durations),
      cmocka_unit_test(durations_are_written_in_the_largest_unit),
      cmocka_unit_test(the_clocks_are_this_worlds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
