#include "base/zone.h"
#include "base/date.h"
#include "base/zone_table.h"
#include <string.h>

#define NAMES (sizeof zone_names / sizeof *zone_names)
static const int64_t DAY_MS = 86400000;

struct zone zone_fixed(int32_t seconds) {
  return (struct zone){.standard_s = seconds, .summer_s = seconds};
}

// ---- rules: "CET-1CEST,M3.5.0,M10.5.0/3" ----
static bool take(struct bytes *b, char c) {
  if (b->n == 0 || b->p[0] != (uint8_t)c) return false;
  b->p++, b->n--;
  return true;
}

static bool take_number(struct bytes *b, int32_t most, int32_t *out) {
  int32_t v = 0;
  size_t n = 0;
  for (; n < b->n && n < 3 && b->p[n] >= '0' && b->p[n] <= '9'; n++) v = v * 10 + (b->p[n] - '0');
  if (n == 0 || v > most) return false;
  b->p += n, b->n -= n;
  *out = v;
  return true;
}

// "EST" or "<+0530>": at least three characters.
static bool take_name(struct bytes *b) {
  bool quoted = take(b, '<');
  size_t n = 0;
  for (; n < b->n; n++) {
    uint8_t c = b->p[n];
    bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!letter && !(quoted && (c == '+' || c == '-' || (c >= '0' && c <= '9')))) break;
  }
  if (n < 3) return false;
  b->p += n, b->n -= n;
  return !quoted || take(b, '>');
}

// "-3:30" in seconds, up to a week.
static bool take_time(struct bytes *b, int32_t *out) {
  bool negative = take(b, '-');
  int32_t hours, minutes = 0, seconds = 0;
  if (!negative) (void)take(b, '+');
  if (!take_number(b, 167, &hours)) return false;
  if (take(b, ':') && !take_number(b, 59, &minutes)) return false;
  if (take(b, ':') && !take_number(b, 59, &seconds)) return false;
  *out = hours * 3600 + minutes * 60 + seconds;
  if (negative) *out = -*out;
  return true;
}

static bool take_change(struct bytes *b, struct zone_change *out) {
  out->seconds = 2 * 3600;
  if (!take(b, ',') || !take(b, 'M') || !take_number(b, 12, &out->month) || out->month == 0) return false;
  if (!take(b, '.') || !take_number(b, 5, &out->week) || out->week == 0) return false;
  if (!take(b, '.') || !take_number(b, 6, &out->weekday)) return false;
  return !take(b, '/') || take_time(b, &out->seconds);
}

// `extra`: seconds by which the clock of the change is ahead of standard time.
static bool is_in_month(const struct zone_change *c, int32_t extra) {
  static const int8_t shortest[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int32_t days = shortest[c->month - 1], offset = c->seconds - extra; // seconds behind a day's midnight
  int32_t first = c->week < 5 ? 7 * (c->week - 1) : days - 7, last = c->week < 5 ? first + 6 : days - 1;
  return first * 86400 + offset >= 0 && last * 86400 + offset < days * 86400;
}

bool zone_parse(struct bytes rule, struct zone *out) {
  struct zone z = {0};
  int32_t west;
  if (!take_name(&rule) || !take_time(&rule, &west)) return false;
  z.standard_s = z.summer_s = -west; // POSIX counts to the west
  if (rule.n > 0) {
    if (!take_name(&rule)) return false;
    z.summer_s = z.standard_s + 3600;
    if (rule.n > 0 && rule.p[0] != ',') {
      if (!take_time(&rule, &west)) return false;
      z.summer_s = -west;
    }
    if (!take_change(&rule, &z.start) || !take_change(&rule, &z.end) || rule.n > 0) return false;
    z.in_month = is_in_month(&z.start, 0) && is_in_month(&z.end, z.summer_s - z.standard_s);
  }
  *out = z;
  return true;
}

// ---- names ----
bool zone_find(struct bytes name, struct zone *out) {
  if (name.n == 0 || name.n > ZONE_NAME_MAX) return false;
  size_t low = 0, high = NAMES;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = bytes_compare(bytes_str(zone_names[middle].name), name);
    if (order == 0) return zone_parse(bytes_str(zone_rules[zone_names[middle].rule]), out);
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return false;
}

size_t zone_count(void) { return NAMES; }
const char *zone_name(size_t index) { return zone_names[index].name; }
const char *zone_rule(size_t index) { return zone_rules[zone_names[index].rule]; }
const char *zone_release(void) { return ZONE_TABLE_RELEASE; }

// ---- the offset ----
// When the change of that year happens, in ms of the time before it.
static int64_t change_ms(const struct zone_change *c, int64_t year) {
  int64_t first = date_to_days(year, c->month, 1);
  int64_t weekday = (first % 7 + 7 + 4) % 7; // 1970-01-01 was a Thursday
  int64_t day = (c->weekday - weekday + 7) % 7 + 7 * (c->week - 1);
  if (day >= date_month_days(year, c->month)) day -= 7;
  return (first + day) * DAY_MS + (int64_t)c->seconds * 1000;
}

int64_t zone_offset_ms(const struct zone *zone, int64_t time_ms) {
  int64_t standard = (int64_t)zone->standard_s * 1000, summer = (int64_t)zone->summer_s * 1000;
  if (zone->start.month == 0) return standard;
  int64_t local = time_ms + standard;
  struct date d = date_of_days(local / DAY_MS - (local % DAY_MS < 0));
  int first = zone->start.month, last = zone->end.month;
  if (zone->in_month && d.month != first && d.month != last) { // ten months need no change's date
    bool inside = first < last ? d.month > first && d.month < last : d.month > first || d.month < last;
    return inside ? summer : standard;
  }
  int64_t start = change_ms(&zone->start, d.year) - standard, end = change_ms(&zone->end, d.year) - summer;
  // South of the equator summer goes over the turn of the year.
  bool is_summer = start < end ? time_ms >= start && time_ms < end : time_ms >= start || time_ms < end;
  return is_summer ? summer : standard;
}
