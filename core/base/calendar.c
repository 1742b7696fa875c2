// Everything walks along stretches: moments of one local date and one offset, in which local time is UTC plus a constant. A day is one
// stretch, or two or three where the clocks change.
#include "base/calendar.h"

static const int64_t DAY_MS = 86400000, MINUTE_MS = 60000;

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

int64_t calendar_local_day(const struct zone *zone, int64_t time_ms) {
  return floor_div(time_ms + zone_offset_ms(zone, time_ms), DAY_MS);
}

int calendar_local_minute(const struct zone *zone, int64_t time_ms) {
  int64_t local = time_ms + zone_offset_ms(zone, time_ms);
  return (int)((local - floor_div(local, DAY_MS) * DAY_MS) / MINUTE_MS);
}

int calendar_weekday(int64_t day) { return (int)(((day + 4) % 7 + 7) % 7); } // 1970-01-01 was a Thursday

// The first moment in (low, high] whose offset is not that of `low`; the offset changes once between them.
static int64_t change_between(const struct zone *zone, int64_t low, int64_t high) {
  int64_t offset = zone_offset_ms(zone, low);
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (zone_offset_ms(zone, middle) == offset)
      low = middle;
    else
      high = middle;
  }
  return high;
}

// ---- stretches ----
struct stretch {
  int64_t from, to; // [from, to)
  int64_t day;      // the local date
  int64_t midnight; // that date's 00:00 by this stretch's offset; may lie outside of it
};

static struct stretch stretch_at(const struct zone *zone, int64_t time_ms) {
  int64_t offset = zone_offset_ms(zone, time_ms), day = floor_div(time_ms + offset, DAY_MS);
  struct stretch s = {.from = time_ms, .day = day, .midnight = day * DAY_MS - offset};
  s.to = s.midnight + DAY_MS;
  // Two changes lie weeks apart; one at the end itself begins the next stretch.
  if (zone_offset_ms(zone, s.to - 1) != offset) s.to = change_between(zone, time_ms, s.to - 1);
  return s;
}

static const struct calendar_day *day_of(const struct calendar *c, int64_t day) {
  size_t low = 0, high = c->date_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (c->dates[middle].day == day) return &c->dates[middle];
    if (c->dates[middle].day < day)
      low = middle + 1;
    else
      high = middle;
  }
  return &c->week[calendar_weekday(day)];
}

// The `index`th opening of a stretch's day as far as it lies in the stretch; false: nothing of it does.
static bool open_part(const struct calendar *c, const struct calendar_day *day, const struct stretch *s, size_t index,
                      int64_t *from, int64_t *to) {
  const struct calendar_opening *o = &c->opening[day->first + index];
  *from = s->midnight + o->from * MINUTE_MS;
  *to = s->midnight + o->to * MINUTE_MS;
  if (*from < s->from) *from = s->from;
  if (*to > s->to) *to = s->to;
  return *from < *to;
}

bool calendar_is_open_day(const struct calendar *calendar, int64_t day) { return day_of(calendar, day)->count > 0; }

bool calendar_is_open(const struct calendar *calendar, int64_t time_ms) {
  struct stretch s = stretch_at(&calendar->zone, time_ms);
  const struct calendar_day *day = day_of(calendar, s.day);
  for (size_t i = 0; i < day->count; i++) {
    int64_t from, to;
    if (open_part(calendar, day, &s, i, &from, &to) && from == time_ms) return true;
  }
  return false;
}

int64_t calendar_next_open(const struct calendar *calendar, int64_t time_ms) {
  int64_t at = time_ms, last = time_ms + CALENDAR_DAYS_MAX * DAY_MS;
  while (at < last) {
    struct stretch s = stretch_at(&calendar->zone, at);
    const struct calendar_day *day = day_of(calendar, s.day);
    for (size_t i = 0; i < day->count; i++) {
      int64_t from, to;
      if (open_part(calendar, day, &s, i, &from, &to)) return from;
    }
    at = s.to;
  }
  return CALENDAR_NEVER;
}

int64_t calendar_add(const struct calendar *calendar, int64_t time_ms, int64_t open_ms) {
  int64_t at = time_ms, last = time_ms + CALENDAR_DAYS_MAX * DAY_MS;
  if (open_ms <= 0) return time_ms;
  while (at < last) {
    struct stretch s = stretch_at(&calendar->zone, at);
    const struct calendar_day *day = day_of(calendar, s.day);
    for (size_t i = 0; i < day->count; i++) {
      int64_t from, to;
      if (!open_part(calendar, day, &s, i, &from, &to)) continue;
      if (to - from >= open_ms) return from + open_ms;
      open_ms -= to - from;
    }
    at = s.to;
  }
  return CALENDAR_NEVER;
}

int64_t calendar_open_ms(const struct calendar *calendar, int64_t from_ms, int64_t to_ms) {
  int64_t sum = 0;
  if (from_ms < to_ms && to_ms - from_ms > CALENDAR_DAYS_MAX * DAY_MS) to_ms = from_ms + CALENDAR_DAYS_MAX * DAY_MS;
  for (int64_t at = from_ms; at < to_ms;) {
    struct stretch s = stretch_at(&calendar->zone, at);
    if (s.to > to_ms) s.to = to_ms;
    const struct calendar_day *day = day_of(calendar, s.day);
    for (size_t i = 0; i < day->count; i++) {
      int64_t from, to;
      if (open_part(calendar, day, &s, i, &from, &to)) sum += to - from;
    }
    at = s.to;
  }
  return sum;
}

// ---- moments of the wall clock ----
int64_t calendar_moment(const struct zone *zone, int64_t day, int64_t ms_of_day) {
  int64_t local = day * DAY_MS + ms_of_day;
  int64_t a = local - (int64_t)zone->standard_s * 1000, b = local - (int64_t)zone->summer_s * 1000;
  int64_t first = a < b ? a : b, second = a < b ? b : a;
  if (first + zone_offset_ms(zone, first) == local) return first;
  if (second + zone_offset_ms(zone, second) == local) return second;
  return change_between(zone, first, second); // skipped: before it the clock had not come so far, behind it is past it
}

int64_t calendar_add_days(const struct calendar *calendar, int64_t time_ms, int days) {
  int64_t local = time_ms + zone_offset_ms(&calendar->zone, time_ms);
  int64_t start = floor_div(local, DAY_MS), day = start;
  while (days > 0 && day - start < CALENDAR_DAYS_MAX)
    if (calendar_is_open_day(calendar, ++day)) days--;
  if (days > 0) return CALENDAR_NEVER;
  return day == start ? time_ms : calendar_moment(&calendar->zone, day, local - start * DAY_MS);
}

static bool fits(const struct calendar *c, int64_t day, int wanted) {
  if (wanted == CALENDAR_ANY_DAY) return true;
  return wanted == CALENDAR_OPEN_DAY ? calendar_is_open_day(c, day) : calendar_weekday(day) == wanted;
}

int64_t calendar_next_at(const struct calendar *calendar, int64_t time_ms, int day, int minute) {
  int64_t start = calendar_local_day(&calendar->zone, time_ms);
  for (int64_t d = start; d - start < CALENDAR_DAYS_MAX; d++) {
    if (!fits(calendar, d, day)) continue;
    int64_t at = calendar_moment(&calendar->zone, d, minute * MINUTE_MS);
    if (at > time_ms) return at;
  }
  return CALENDAR_NEVER;
}
