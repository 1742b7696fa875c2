#include "policy/calendars.h"

#include "base/pmath.h"
#include "wire/mp.h"

static int wrong(struct error *err, size_t index, const char *what) {
  return error_set(err, ITD_EPOLICY, "compiled policy: calendars[%zu]: %s", index, what);
}

static bool as_list(struct bytes value, struct mp *m, uint32_t *count) {
  *m = mp_of(value);
  struct mp_value head = mp_next(m);
  *count = head.count;
  return head.type == MP_ARRAY;
}

static bool take_whole(struct mp *m, int64_t min, int64_t max, int64_t *out) {
  double x;
  struct bytes value = mp_take(m);
  if (mp_value_of(value).type == MP_BOOL || !mp_as_number(value, &x)) return false;
  if (!(x >= (double)min && x <= (double)max) || x != pm_floor(x)) return false;
  *out = (int64_t)x;
  return true;
}

struct building {
  struct arena *arena;
  struct calendar *calendar;
  struct calendar_opening *opening;
  size_t count;
};

// `count` minutes from `m` on, as openings of one day.
static bool take_day(struct building *b, struct mp *m, uint32_t count, struct calendar_day *day) {
  if (count % 2 != 0 || count / 2 > CALENDAR_OPENINGS_MAX) return false;
  day->first = (uint16_t)b->count, day->count = (uint16_t)(count / 2);
  int64_t last = -1;
  for (uint32_t i = 0; i < count / 2; i++) {
    int64_t from, to;
    if (!take_whole(m, last + 1, CALENDAR_MINUTES_MAX, &from) || !take_whole(m, from + 1, CALENDAR_MINUTES_MAX, &to))
      return false;
    b->opening[b->count++] = (struct calendar_opening){(uint16_t)from, (uint16_t)to};
    last = to;
  }
  return true;
}

static bool take_week(struct building *b, struct bytes week) {
  struct mp m, day;
  uint32_t count, minutes;
  if (!as_list(week, &m, &count) || count != 7) return false;
  for (int i = 0; i < 7; i++)
    if (!as_list(mp_take(&m), &day, &minutes) || !take_day(b, &day, minutes, &b->calendar->week[i])) return false;
  return true;
}

static bool take_dates(struct building *b, struct bytes dates) {
  struct mp m, day;
  uint32_t count, minutes;
  if (!as_list(dates, &m, &count)) return false;
  struct calendar_day *list = arena_alloc(b->arena, (count + 1) * sizeof *list);
  int64_t last = -1000000000;
  for (uint32_t i = 0; i < count; i++) {
    if (!as_list(mp_take(&m), &day, &minutes) || minutes == 0) return false;
    if (!take_whole(&day, last + 1, 1000000000, &list[i].day) || !take_day(b, &day, minutes - 1, &list[i]))
      return false;
    last = list[i].day;
  }
  b->calendar->dates = list, b->calendar->date_count = count;
  return true;
}

static uint32_t count_of(struct bytes value) {
  struct mp m;
  uint32_t count;
  return as_list(value, &m, &count) ? count : 0;
}

static int parse_one(struct bytes value, size_t index, struct arena *arena, struct policy_calendar *out,
                     struct error *err) {
  struct bytes name, zone, week, dates;
  if (!mp_find(value, BYTES_LIT("name"), &name) || !mp_as_str(name, &name) || !bytes_is_utf8(name) || name.n == 0)
    return wrong(err, index, "no name");
  if (!mp_find(value, BYTES_LIT("zone"), &zone) || !mp_as_str(zone, &zone) || !zone_find(zone, &out->calendar.zone))
    return wrong(err, index, "no such zone");
  if (!mp_find(value, BYTES_LIT("week"), &week) || !mp_find(value, BYTES_LIT("dates"), &dates))
    return wrong(err, index, "week or dates is missing");
  if (count_of(dates) > CALENDAR_DATES_MAX) return wrong(err, index, "more dates than there may be");
  size_t most = (7 + count_of(dates)) * CALENDAR_OPENINGS_MAX;
  struct building b = {arena, &out->calendar, arena_alloc(arena, most * sizeof *b.opening), 0};
  out->name = arena_str(arena, name);
  if (!take_week(&b, week)) return wrong(err, index, "week is not seven lists of minutes that ascend");
  if (!take_dates(&b, dates)) return wrong(err, index, "dates are not lists of a day and of minutes that ascend");
  out->calendar.opening = b.opening;
  return 0;
}

int calendars_parse(struct bytes list, struct arena *arena, struct policy_calendar **out, size_t *count,
                    struct error *err) {
  struct mp m;
  uint32_t n;
  if (!as_list(list, &m, &n) || n > CALENDARS_MAX)
    return error_set(err, ITD_EPOLICY, "compiled policy: calendars is no list of at most %d", CALENDARS_MAX);
  struct policy_calendar *made = arena_alloc(arena, (n + 1) * sizeof *made);
  for (uint32_t i = 0; i < n; i++) {
    made[i] = (struct policy_calendar){0};
    int rc = parse_one(mp_take(&m), i, arena, &made[i], err);
    if (rc != 0) return rc;
  }
  *out = made, *count = n;
  return 0;
}
