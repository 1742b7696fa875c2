// Days, weeks, months, quarters and years of a zone, each numbered so that the next one has the next number: what
// tile_ms is to a sliding window. Pure.
#pragma once
#include "base/zone.h"
#include "feature/state.h"

enum calendar { CALENDAR_NONE, CALENDAR_DAY, CALENDAR_WEEK, CALENDAR_MONTH, CALENDAR_QUARTER, CALENDAR_YEAR };

static inline int64_t local_day(const struct zone *zone, int64_t time_ms) { // since 1970-01-01
  return floor_div(time_ms + zone_offset_ms(zone, time_ms), DAY_MS);
}
int64_t calendar_number(enum calendar calendar, int64_t day);    // of the period that holds that day
int64_t calendar_first_day(enum calendar calendar, int64_t day); // of that period
// Monday is 1.
static inline int64_t weekday_of(int64_t day) { return day + 3 - floor_div(day + 3, 7) * 7 + 1; }
