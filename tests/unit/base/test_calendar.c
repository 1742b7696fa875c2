// Business time against a walk along every minute. SEED repeats a run, ROUNDS makes it longer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/calendar.h"
#include "base/clock.h"
#include "base/date.h"
#include "base/hash.h"

#define DAY_MS    INT64_C(86400000)
#define MINUTE_MS INT64_C(60000)

static uint64_t rng;
static int64_t below(int64_t n) {
  rng = hash_mix(rng, 0xca1);
  return (int64_t)(rng % (uint64_t)n);
}

static int64_t utc(int64_t year, int month, int day, int hour, int minute) {
  return date_to_days(year, month, day) * DAY_MS + hour * 60 * MINUTE_MS + minute * MINUTE_MS;
}

// ---- known answers ----
struct office {
  struct calendar calendar;
  struct calendar_opening opening[8];
  struct calendar_day dates[2];
};

// Monday to Friday 9 to 12 and 13 to 17 in `zone`; closed on 2026-12-25, open from 9 to 13 on the day before.
static void office_init(struct office *o, const char *zone) {
  memset(o, 0, sizeof *o);
  assert_true(zone_find(bytes_str(zone), &o->calendar.zone));
  o->opening[0] = (struct calendar_opening){9 * 60, 12 * 60};
  o->opening[1] = (struct calendar_opening){13 * 60, 17 * 60};
  o->opening[2] = (struct calendar_opening){9 * 60, 13 * 60};
  for (int day = 1; day <= 5; day++) o->calendar.week[day] = (struct calendar_day){0, 0, 2};
  o->dates[0] = (struct calendar_day){date_to_days(2026, 12, 24), 2, 1};
  o->dates[1] = (struct calendar_day){date_to_days(2026, 12, 25), 3, 0};
  o->calendar.dates = o->dates, o->calendar.date_count = 2;
  o->calendar.opening = o->opening;
}

static void test_hours(void **state) {
  (void)state;
  struct office o;
  office_init(&o, "Europe/Berlin"); // UTC+1 in winter
  const struct calendar *c = &o.calendar;
  int64_t friday = utc(2026, 1, 9, 15, 0); // 16:00 there
  assert_true(calendar_is_open(c, friday));
  assert_int_equal(calendar_add(c, friday, 60 * MINUTE_MS), utc(2026, 1, 9, 16, 0));         // at closing
  assert_int_equal(calendar_add(c, friday, 60 * MINUTE_MS + 1), utc(2026, 1, 12, 8, 0) + 1); // and past it
  assert_int_equal(calendar_add(c, friday, 4 * 60 * MINUTE_MS), utc(2026, 1, 12, 11, 0)); // over the weekend, at noon
  assert_int_equal(calendar_add(c, friday, 0), friday);
  assert_int_equal(calendar_next_open(c, friday), friday);
  assert_int_equal(calendar_next_open(c, utc(2026, 1, 10, 3, 0)), utc(2026, 1, 12, 8, 0));
  assert_false(calendar_is_open(c, utc(2026, 1, 9, 11, 0))); // noon: closed from its first moment on
  assert_true(calendar_is_open(c, utc(2026, 1, 9, 11, 0) - 1));
  // Christmas: half a day, then none, then a weekend.
  assert_int_equal(calendar_add(c, utc(2026, 12, 24, 10, 0), 3 * 60 * MINUTE_MS), utc(2026, 12, 28, 9, 0));
  assert_int_equal(calendar_open_ms(c, utc(2026, 12, 24, 0, 0), utc(2026, 12, 29, 0, 0)), (4 + 7) * 60 * MINUTE_MS);
  assert_int_equal(calendar_open_ms(c, friday, friday - 1), 0);
}

static void test_days(void **state) {
  (void)state;
  struct office o;
  office_init(&o, "Europe/Berlin");
  const struct calendar *c = &o.calendar;
  assert_int_equal(calendar_add_days(c, utc(2026, 1, 9, 15, 0), 2), utc(2026, 1, 13, 15, 0));
  assert_int_equal(calendar_add_days(c, utc(2026, 1, 10, 9, 0), 1), utc(2026, 1, 12, 9, 0)); // from a Saturday
  assert_int_equal(calendar_add_days(c, utc(2026, 12, 23, 9, 0), 2), utc(2026, 12, 28, 9, 0));
  assert_int_equal(calendar_add_days(c, utc(2026, 3, 27, 9, 0), 1), utc(2026, 3, 30, 8, 0)); // summer time has begun
  assert_int_equal(calendar_next_at(c, utc(2026, 1, 9, 8, 0), CALENDAR_ANY_DAY, 9 * 60),
                   utc(2026, 1, 10, 8, 0)); // not at once
  assert_int_equal(calendar_next_at(c, utc(2026, 1, 9, 8, 0), CALENDAR_OPEN_DAY, 9 * 60), utc(2026, 1, 12, 8, 0));
  assert_int_equal(calendar_next_at(c, utc(2026, 1, 9, 8, 0), 3, 9 * 60), utc(2026, 1, 14, 8, 0)); // Wednesday
  assert_int_equal(calendar_next_at(c, utc(2026, 3, 28, 12, 0), CALENDAR_ANY_DAY, 150),
                   utc(2026, 3, 29, 1, 0)); // no 2:30
  assert_int_equal(calendar_next_at(c, utc(2026, 10, 24, 12, 0), CALENDAR_ANY_DAY, 150),
                   utc(2026, 10, 25, 0, 30)); // two
  assert_int_equal(calendar_next_at(c, utc(2026, 10, 25, 0, 30), CALENDAR_ANY_DAY, 150), utc(2026, 10, 26, 1, 30));
}

static void test_never_open(void **state) {
  (void)state;
  struct calendar c = {0};
  assert_int_equal(calendar_next_open(&c, 0), CALENDAR_NEVER);
  assert_int_equal(calendar_add(&c, 0, 1), CALENDAR_NEVER);
  assert_int_equal(calendar_add_days(&c, 0, 1), CALENDAR_NEVER);
  assert_int_equal(calendar_next_at(&c, 0, CALENDAR_OPEN_DAY, 0), CALENDAR_NEVER);
  assert_int_equal(calendar_open_ms(&c, 0, INT64_MAX), 0);
}

// ---- random calendars ----
struct made {
  struct calendar calendar;
  struct calendar_opening opening[64];
  struct calendar_day dates[8];
  size_t opening_count;
};

static struct calendar_day random_day(struct made *m, int64_t day) {
  struct calendar_day d = {.day = day, .first = (uint16_t)m->opening_count};
  if (below(3) == 0) return d;
  int64_t at = below(8) == 0 ? 0 : below(720);
  for (int64_t n = 1 + below(3); n > 0 && at < 1440; n--) {
    int64_t to = at + 1 + below(500);
    if (to > 1440 || below(8) == 0) to = 1440;
    m->opening[m->opening_count++] = (struct calendar_opening){(uint16_t)at, (uint16_t)to};
    d.count++;
    at = to + 1 + below(200);
  }
  return d;
}

// A calendar about `near`, whose dates lie where the clocks may change.
static void random_calendar(struct made *m, const struct zone *zone, int64_t near) {
  memset(m, 0, sizeof *m);
  m->calendar.zone = *zone;
  for (int i = 0; i < 7; i++) m->calendar.week[i] = random_day(m, 0);
  int64_t day = near / DAY_MS - 3;
  for (size_t i = 0; i < 6; i++) {
    m->dates[i] = random_day(m, day);
    day += 1 + below(3);
  }
  m->calendar.dates = m->dates, m->calendar.date_count = 6, m->calendar.opening = m->opening;
}

// The wall clock, by the offset alone.
static bool slow_open(const struct calendar *c, int64_t t) {
  int64_t local = t + zone_offset_ms(&c->zone, t), day = local / DAY_MS, minute = local % DAY_MS / MINUTE_MS;
  const struct calendar_day *d = &c->week[(day + 4) % 7];
  for (size_t i = 0; i < c->date_count; i++)
    if (c->dates[i].day == day) d = &c->dates[i];
  for (size_t i = 0; i < d->count; i++)
    if (minute >= c->opening[d->first + i].from && minute < c->opening[d->first + i].to) return true;
  return false;
}

static bool slow_open_day(const struct calendar *c, int64_t day) {
  const struct calendar_day *d = &c->week[(day + 4) % 7];
  for (size_t i = 0; i < c->date_count; i++)
    if (c->dates[i].day == day) d = &c->dates[i];
  return d->count > 0;
}

enum { WALK_MINUTES = 12 * 1440 };

// The first minute from `t` on whose local time is at or past `local`.
static int64_t slow_moment(const struct calendar *c, int64_t t, int64_t local) {
  while (t + zone_offset_ms(&c->zone, t) < local) t += MINUTE_MS;
  return t;
}

static void check_walk(const struct calendar *c, int64_t start) {
  int64_t wanted = 1 + below(3000), sum = 0, reached = CALENDAR_NEVER, first_open = CALENDAR_NEVER;
  int64_t part = below(WALK_MINUTES), part_sum = 0;
  for (int64_t i = 0; i < WALK_MINUTES; i++) {
    int64_t t = start + i * MINUTE_MS;
    bool open = slow_open(c, t);
    if (i % 7 == 0) assert_int_equal(calendar_is_open(c, t + below(MINUTE_MS)), open);
    if (!open) continue;
    if (first_open == CALENDAR_NEVER) first_open = t;
    if (++sum == wanted) reached = t + MINUTE_MS;
    if (i < part) part_sum++;
  }
  if (first_open != CALENDAR_NEVER) assert_int_equal(calendar_next_open(c, start), first_open);
  if (reached != CALENDAR_NEVER) assert_int_equal(calendar_add(c, start, wanted * MINUTE_MS), reached);
  if (wanted > 1 && reached != CALENDAR_NEVER) // a moment less ends earlier, in the same minute
    assert_int_equal(calendar_add(c, start, wanted * MINUTE_MS - 1), reached - 1);
  assert_int_equal(calendar_open_ms(c, start, start + part * MINUTE_MS), part_sum * MINUTE_MS);
}

static void check_clock(const struct calendar *c, int64_t start) {
  int64_t local = start + zone_offset_ms(&c->zone, start), today = local / DAY_MS;
  int minute = (int)below(1440), weekday = (int)below(9) - 2;
  assert_int_equal(calendar_local_day(&c->zone, start), today);
  assert_int_equal(calendar_local_minute(&c->zone, start), local % DAY_MS / MINUTE_MS);
  for (int64_t day = today; day < today + 9; day++) {
    if (weekday >= 0 ? (day + 4) % 7 != weekday : weekday == CALENDAR_OPEN_DAY && !slow_open_day(c, day)) continue;
    int64_t at = slow_moment(c, start - DAY_MS, day * DAY_MS + minute * MINUTE_MS);
    if (at <= start) continue;
    assert_int_equal(calendar_next_at(c, start, weekday, minute), at);
    break;
  }
  int days = 1 + (int)below(4), left = days;
  int64_t day = today;
  while (left > 0 && day < today + 40) left -= slow_open_day(c, ++day);
  if (left == 0)
    assert_int_equal(calendar_add_days(c, start, days), slow_moment(c, start - DAY_MS, day * DAY_MS + local % DAY_MS));
}

static void test_against_minutes(void **state) {
  (void)state;
  const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");
  rng = seed ? strtoull(seed, NULL, 10) : clock_mono_ns() % 1000000007;
  print_message("SEED=%" PRIu64 "\n", rng);
  for (int i = 0, n = rounds ? atoi(rounds) : 150; i < n; i++) {
    struct made m;
    int64_t near = utc(2020 + below(20), 1, 1, 0, 0) + below(366 * 1440) * MINUTE_MS;
    struct zone zone;
    assert_true(zone_find(bytes_str(zone_name((size_t)below((int64_t)zone_count()))), &zone));
    // Most about a change of the clocks, where there is one.
    int64_t offset = zone_offset_ms(&zone, near);
    for (int64_t t = near; zone.start.month && i % 4 != 0 && t < near + 366 * DAY_MS; t += DAY_MS) {
      if (zone_offset_ms(&zone, t) == offset) continue;
      near = t - below(5 * 1440) * MINUTE_MS;
      break;
    }
    random_calendar(&m, &zone, near);
    check_walk(&m.calendar, near);
    check_clock(&m.calendar, near);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_hours), cmocka_unit_test(test_days),
                                     cmocka_unit_test(test_never_open), cmocka_unit_test(test_against_minutes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
