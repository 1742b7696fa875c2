// Quiet hours, minute by minute, against clocks that are reckoned here by hand; and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/hash.h"
#include "policy/quiet.h"
#include "wire/mp.h"

#include <stdio.h>
#include <stdlib.h>

#define JULY_MS 1783036800000 // 2026-07-03T00:00:00Z, a Friday: summer time in Berlin and New York
enum { MINUTE_MS = 60000, DAY_MINUTES = 1440 };

static struct arena arena;
static struct policy_calendar calendars[1];
static struct quiet *made;
static size_t count;
static struct error err;

static int parse(const char *json) {
  struct buf packed = {0};
  err = (struct error){0};
  if (mp_from_json(bytes_str(json), &MP_LIMITS_DEFAULT, &packed, &err) != 0) fail_msg("%s", err.text);
  int status = quiet_parse(buf_bytes(&packed), calendars, 1, &arena, &made, &count, &err);
  buf_deinit(&packed);
  return status;
}

static int begin(void **unused) {
  (void)unused;
  static const struct calendar_opening nine_to_five = {540, 1020};
  arena_init(&arena);
  calendars[0] = (struct policy_calendar){.name = "office", .calendar = {.opening = &nine_to_five}};
  for (int i = 1; i <= 5; i++) calendars[0].calendar.week[i] = (struct calendar_day){.first = 0, .count = 1};
  return 0;
}
static int end(void **unused) { return (void)unused, arena_deinit(&arena), 0; }

// Of a clock that is `ahead` minutes ahead of UTC, without a change for two days.
static void agrees(const struct quiet *q, struct bytes text, int ahead, int from, int to) {
  for (int minute = 0; minute < 2 * DAY_MINUTES; minute++) {
    int clock = (minute + ahead + DAY_MINUTES) % DAY_MINUTES;
    bool wanted = false;
    for (int at = from; at != to; at = (at + 1) % DAY_MINUTES) wanted |= at == clock;
    for (int ms = 0; ms < MINUTE_MS; ms += MINUTE_MS - 1)
      assert_int_equal(quiet_holds(q, text, JULY_MS + (int64_t)minute * MINUTE_MS + ms), wanted);
  }
}

static void a_clock_says_when_it_is_quiet(void **unused) {
  (void)unused;
  assert_int_equal(
      parse("[{\"from\": 1200, \"to\": 480, \"zone\": \"UTC\"},"
            " {\"from\": 60, \"to\": 1439, \"zone\": \"Europe/Berlin\"}, {\"from\": 0, \"to\": 1, \"zone\": \"UTC\"}]"),
      0);
  assert_int_equal(count, 3);
  agrees(&made[0], BYTES_LIT("Europe/Berlin"), 0, 1200, 480); // no feature: the text is nobody's
  agrees(&made[1], (struct bytes){0}, 120, 60, 1439);
  agrees(&made[2], (struct bytes){0}, 0, 0, 1);
}

static void a_feature_says_whose_clock(void **unused) {
  (void)unused;
  assert_int_equal(
      parse(
          "[{\"from\": 1200, \"to\": 480, \"zone\": \"Europe/Berlin\", \"feature\": \"tz\"},"
          " {\"from\": 1200, \"to\": 480, \"zone\": \"Europe/Berlin\", \"feature\": \"region\","
          " \"list\": [[\"amer\", \"America/New_York\"], [\"apac\", \"Asia/Tokyo\"], [\"here\", \"Europe/Berlin\"]]}]"),
      0);
  static const struct {
    const char *text;
    int zone, list; // minutes ahead in July
  } rows[] = {{"", 120, 120},
              {"America/New_York", -240, 120},
              {"Asia/Tokyo", 540, 120},
              {"amer", 120, -240},
              {"apac", 120, 540},
              {"here", 120, 120},
              {"no zone", 120, 120},
              {"amerr", 120, 120},
              {"europe/berlin", 120, 120}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    agrees(&made[0], bytes_str(rows[i].text), rows[i].zone, 1200, 480);
    agrees(&made[1], bytes_str(rows[i].text), rows[i].list, 1200, 480);
  }
}

static void a_calendar_is_quiet_while_it_is_closed(void **unused) {
  (void)unused;
  assert_int_equal(parse("[{\"calendar\": 0}]"), 0);
  for (int minute = 0; minute < 4 * DAY_MINUTES; minute++) {
    int day = minute / DAY_MINUTES, clock = minute % DAY_MINUTES; // Friday, the week-end, Monday
    bool wanted = day == 1 || day == 2 || clock < 540 || clock >= 1020;
    assert_int_equal(quiet_holds(&made[0], (struct bytes){0}, JULY_MS + (int64_t)minute * MINUTE_MS), wanted);
  }
}

static void what_breaks_the_form_is_refused(void **unused) {
  (void)unused;
  static const char *const wrong[] = {
      "{}",
      "[3]",
      "[{}]",
      "[{\"calendar\": 1}]",
      "[{\"calendar\": -1}]",
      "[{\"calendar\": true}]",
      "[{\"from\": 0, \"to\": 0, \"zone\": \"UTC\"}]",
      "[{\"from\": 0.5, \"to\": 3, \"zone\": \"UTC\"}]",
      "[{\"from\": 0, \"to\": 1440, \"zone\": \"UTC\"}]",
      "[{\"from\": -1, \"to\": 3, \"zone\": \"UTC\"}]",
      "[{\"from\": 1, \"to\": 3}]",
      "[{\"from\": 1, \"to\": 3, \"zone\": \"Nowhere\"}]",
      "[{\"from\": 1, \"to\": 3, \"zone\": \"UTC\", \"feature\": \"\"}]",
      "[{\"from\": 1, \"to\": 3, \"zone\": \"UTC\", \"feature\": 3}]",
      "[{\"from\": 1, \"to\": 3, \"zone\": \"UTC\", \"list\": [[\"a\", \"UTC\"]]}]",
      "[{\"from\": 1, \"to\": 3, \"zone\": \"UTC\", \"feature\": \"x\", \"list\": []}]",
      "[{\"from\": 1, \"to\": 3, \"zone\": \"UTC\", \"feature\": \"x\", \"list\": [[\"a\"]]}]",
      "[{\"from\": 1, \"to\": 3, \"zone\": \"UTC\", \"feature\": \"x\", \"list\": [[\"a\", \"Nowhere\"]]}]",
      "[{\"from\": 1, \"to\": 3, \"zone\": \"UTC\", \"feature\": \"x\", \"list\": [[\"b\", \"UTC\"], [\"a\", "
      "\"UTC\"]]}]",
      "[{\"from\": 1, \"to\": 3, \"zone\": \"UTC\", \"feature\": \"x\", \"list\": [[\"a\", \"UTC\"], [\"a\", "
      "\"UTC\"]]}]",
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    if (parse(wrong[i]) != ITD_EPOLICY) fail_msg("accepted: %s", wrong[i]);
    assert_non_null(strstr(err.text, "quiet"));
  }
  struct buf many = {0};
  buf_append_str(&many, "[{\"calendar\": 0}");
  for (int i = 0; i < QUIET_MAX; i++) buf_append_str(&many, ", {\"calendar\": 0}");
  buf_append_str(&many, "]");
  buf_append_u8(&many, 0);
  assert_int_equal(parse((const char *)many.p), ITD_EPOLICY);
  buf_deinit(&many);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
  const struct CMUnitTest tests[] = {
      CASE(a_clock_says_when_it_is_quiet),
      CASE(a_feature_says_whose_clock),
      CASE(a_calendar_is_quiet_while_it_is_closed),
      CASE(what_breaks_the_form_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
