#include "policy/quiet.h"

#include "base/pmath.h"
#include "wire/mp.h"

static int wrong(struct error *err, size_t index, const char *what) {
  return error_set(err, ITD_EPOLICY, "compiled policy: quiet[%zu]: %s", index, what);
}

static bool find_whole(struct bytes map, const char *key, int64_t max, int64_t *out) {
  struct bytes value;
  double x;
  if (!mp_find(map, bytes_str(key), &value) || mp_value_of(value).type == MP_BOOL || !mp_as_number(value, &x))
    return false;
  if (!(x >= 0 && x <= (double)max) || x != pm_floor(x)) return false;
  *out = (int64_t)x;
  return true;
}

static bool as_list(struct bytes value, struct mp *m, uint32_t *count) {
  *m = mp_of(value);
  struct mp_value head = mp_next(m);
  *count = head.count;
  return head.type == MP_ARRAY;
}

static bool take_zones(struct bytes value, struct arena *arena, struct quiet *q) {
  struct mp m, pair;
  uint32_t count, two;
  if (!as_list(value, &m, &count) || count == 0 || count > QUIET_ZONES_MAX) return false;
  q->list = arena_alloc(arena, count * sizeof *q->list);
  q->list_count = count;
  for (uint32_t i = 0; i < count; i++) {
    struct bytes text, zone;
    if (!as_list(mp_take(&m), &pair, &two) || two != 2) return false;
    if (!mp_as_str(mp_take(&pair), &text) || !mp_as_str(mp_take(&pair), &zone)) return false;
    q->list[i].text = arena_copy(arena, text);
    if (!zone_find(zone, &q->list[i].zone)) return false;
    if (i > 0 && bytes_compare(q->list[i - 1].text, text) >= 0) return false;
  }
  return true;
}

static int parse_one(struct bytes value, size_t index, const struct policy_calendar *calendars, size_t calendar_count,
                     struct arena *arena, struct quiet *q, struct error *err) {
  int64_t number, from, to;
  struct bytes text;
  *q = (struct quiet){0};
  if (mp_find(value, BYTES_LIT("calendar"), &text)) {
    if (calendar_count == 0 || !find_whole(value, "calendar", (int64_t)calendar_count - 1, &number))
      return wrong(err, index, "no such calendar");
    q->calendar = &calendars[number].calendar;
    return 0;
  }
  if (!find_whole(value, "from", CALENDAR_MINUTES_MAX - 1, &from) ||
      !find_whole(value, "to", CALENDAR_MINUTES_MAX - 1, &to) || from == to)
    return wrong(err, index, "from and to are not two minutes of a day");
  q->from = (int)from, q->to = (int)to;
  if (!mp_find(value, BYTES_LIT("zone"), &text) || !mp_as_str(text, &text) || !zone_find(text, &q->zone))
    return wrong(err, index, "no such zone");
  if (mp_find(value, BYTES_LIT("feature"), &text)) {
    if (!mp_as_str(text, &text) || text.n == 0) return wrong(err, index, "feature is no name");
    q->feature = arena_str(arena, text);
  }
  if (mp_find(value, BYTES_LIT("list"), &text) && (!q->feature || !take_zones(text, arena, q)))
    return wrong(err, index, "list is not pairs of a text and a zone, ascending");
  return 0;
}

int quiet_parse(struct bytes value, const struct policy_calendar *calendars, size_t calendar_count, struct arena *arena,
                struct quiet **out, size_t *count, struct error *err) {
  struct mp m;
  uint32_t n;
  if (!as_list(value, &m, &n) || n > QUIET_MAX)
    return error_set(err, ITD_EPOLICY, "compiled policy: quiet is no list of at most %d", QUIET_MAX);
  struct quiet *made = arena_alloc(arena, (n + 1) * sizeof *made);
  for (uint32_t i = 0; i < n; i++) {
    int status = parse_one(mp_take(&m), i, calendars, calendar_count, arena, &made[i], err);
    if (status != 0) return status;
  }
  *out = made, *count = n;
  return 0;
}

static struct zone zone_of(const struct quiet *q, struct bytes text) {
  struct zone zone;
  if (!q->feature || text.n == 0) return q->zone;
  if (!q->list) return zone_find(text, &zone) ? zone : q->zone;
  size_t low = 0, high = q->list_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = bytes_compare(q->list[middle].text, text);
    if (order == 0) return q->list[middle].zone;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return q->zone;
}

bool quiet_holds(const struct quiet *q, struct bytes text, int64_t now_ms) {
  if (q->calendar) return !calendar_is_open(q->calendar, now_ms);
  struct zone zone = zone_of(q, text);
  int minute = calendar_local_minute(&zone, now_ms);
  if (q->from < q->to) return minute >= q->from && minute < q->to;
  return minute >= q->from || minute < q->to;
}
