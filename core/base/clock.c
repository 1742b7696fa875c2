// The two clocks, RFC 3339 and durations. All but the two clocks is pure; any thread.
#include "base/clock.h"

#include "base/check.h"
#include "base/date.h"

#include <stdio.h>
#include <time.h>

enum { MS_PER_SECOND = 1000, MS_PER_MINUTE = 60 * MS_PER_SECOND, MS_PER_HOUR = 60 * MS_PER_MINUTE };
#define MS_PER_DAY      ((int64_t)24 * MS_PER_HOUR)
#define DURATION_MAX_MS (36525 * MS_PER_DAY) // 100 years

int64_t clock_wall_ms(void) {
  struct timespec t;
  CHECK(clock_gettime(CLOCK_REALTIME, &t) == 0);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t clock_mono_ns(void) {
  struct timespec t;
  CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

// The rest of a text being parsed: each take_ function moves on only when it succeeds.
static bool take_char(struct bytes *b, const char *any_of) {
  if (b->n == 0 || b->p[0] == '\0' || !strchr(any_of, b->p[0])) return false;
  b->p++, b->n--;
  return true;
}

static bool take_number(struct bytes *b, size_t digits, int low, int high, int *value) {
  if (b->n < digits) return false;
  int v = 0;
  for (size_t i = 0; i < digits; i++) {
    if (!is_digit(b->p[i])) return false;
    v = v * 10 + (b->p[i] - '0');
  }
  if (v < low || v > high) return false;
  b->p += digits, b->n -= digits;
  *value = v;
  return true;
}

static bool take_date(struct bytes *b, int64_t *days) {
  int year, month, day;
  if (!take_number(b, 4, 1, 9999, &year) || !take_char(b, "-")) return false;
  if (!take_number(b, 2, 1, 12, &month) || !take_char(b, "-")) return false;
  if (!take_number(b, 2, 1, date_month_days(year, month), &day)) return false;
  *days = date_to_days(year, month, day);
  return true;
}

static bool take_fraction(struct bytes *b, int *ms) {
  size_t n = 0;
  int value = 0;
  for (; n < b->n && is_digit(b->p[n]); n++)
    if (n < 3) value = value * 10 + (b->p[n] - '0');
  if (n == 0 || n > 9) return false;
  for (size_t i = n; i < 3; i++) value *= 10;
  b->p += n, b->n -= n;
  *ms = value;
  return true;
}

static bool take_clock(struct bytes *b, int64_t *ms, bool *leap) {
  int hour, minute, second, fraction = 0;
  if (!take_number(b, 2, 0, 23, &hour) || !take_char(b, ":")) return false;
  if (!take_number(b, 2, 0, 59, &minute) || !take_char(b, ":")) return false;
  if (!take_number(b, 2, 0, 60, &second)) return false;
  if (take_char(b, ".") && !take_fraction(b, &fraction)) return false;
  *leap = second == 60;
  if (*leap) second = 59, fraction = 999;
  *ms = (int64_t)hour * MS_PER_HOUR + minute * MS_PER_MINUTE + second * MS_PER_SECOND + fraction;
  return true;
}

static bool take_zone(struct bytes *b, int64_t *ms) {
  *ms = 0;
  if (b->n == 0 || take_char(b, "Zz")) return true;
  bool west = b->p[0] == '-';
  int hour, minute;
  if (!take_char(b, "+-") || !take_number(b, 2, 0, 23, &hour)) return false;
  (void)take_char(b, ":");
  if (!take_number(b, 2, 0, 59, &minute)) return false;
  *ms = (int64_t)hour * MS_PER_HOUR + minute * MS_PER_MINUTE;
  if (west) *ms = -*ms;
  return true;
}

int time_parse(struct bytes text, int64_t *time_ms) {
  int64_t days, clock = 0, zone = 0;
  bool leap = false;
  if (!take_date(&text, &days)) return ITD_EINVAL;
  if (text.n > 0 && !(take_char(&text, "Tt ") && take_clock(&text, &clock, &leap) && take_zone(&text, &zone)))
    return ITD_EINVAL;
  if (text.n > 0) return ITD_EINVAL;
  int64_t ms = days * MS_PER_DAY + clock - zone;
  if (ms < date_to_days(1, 1, 1) * MS_PER_DAY || ms >= date_to_days(10000, 1, 1) * MS_PER_DAY) return ITD_EINVAL;
  if (leap && floor_div(ms + 1, MS_PER_DAY) * MS_PER_DAY != ms + 1) return ITD_EINVAL;
  *time_ms = ms;
  return 0;
}

void time_format(int64_t time_ms, char out[TIME_TEXT_MAX]) {
  int ms = (int)(time_ms % MS_PER_DAY);
  if (ms < 0) ms += (int)MS_PER_DAY;
  struct date d = date_of_days(floor_div(time_ms, MS_PER_DAY));
  int n = snprintf(out, TIME_TEXT_MAX, "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ", (long long)d.year, d.month, d.day,
                   ms / MS_PER_HOUR, ms / MS_PER_MINUTE % 60, ms / MS_PER_SECOND % 60, ms % 1000);
  CHECK(n > 0 && n < TIME_TEXT_MAX);
}

static const struct {
  const char *name;
  int64_t ms;
} units[] = {{"w", 7 * MS_PER_DAY}, {"d", MS_PER_DAY}, {"h", MS_PER_HOUR},
             {"m", MS_PER_MINUTE},  {"s", 1000},       {"ms", 1}};
enum { UNIT_COUNT = sizeof units / sizeof units[0] };

int duration_parse(struct bytes text, int64_t *duration_ms) {
  int64_t value = 0;
  size_t digits = 0;
  for (; digits < text.n && is_digit(text.p[digits]); digits++) {
    value = value * 10 + (text.p[digits] - '0');
    if (value > DURATION_MAX_MS) return ITD_EINVAL;
  }
  struct bytes unit = {text.p + digits, text.n - digits};
  if (digits == 0 || value == 0) return ITD_EINVAL;
  for (int i = 0; i < UNIT_COUNT; i++) {
    if (!bytes_is(unit, units[i].name)) continue;
    if (value > DURATION_MAX_MS / units[i].ms) return ITD_EINVAL;
    *duration_ms = value * units[i].ms;
    return 0;
  }
  return ITD_EINVAL;
}

void duration_format(int64_t duration_ms, char out[DURATION_TEXT_MAX]) {
  int i = 1; // not weeks: people read "30d" beside "28d" more easily than beside "4w"
  while (duration_ms % units[i].ms != 0) i++;
  int n = snprintf(out, DURATION_TEXT_MAX, "%lld%s", (long long)(duration_ms / units[i].ms), units[i].name);
  CHECK(n > 0 && n < DURATION_TEXT_MAX);
}
