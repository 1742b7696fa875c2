#include "feature/calendar.h"
#include "base/check.h"
#include "base/date.h"

int64_t calendar_number(enum calendar calendar, int64_t day) {
  if (calendar == CALENDAR_DAY) return day;
  if (calendar == CALENDAR_WEEK) return floor_div(day + 3, 7); // 1970-01-01 was a Thursday
  struct date d = date_of_days(day);
  if (calendar == CALENDAR_MONTH) return d.year * 12 + d.month - 1;
  if (calendar == CALENDAR_QUARTER) return d.year * 4 + (d.month - 1) / 3;
  CHECK(calendar == CALENDAR_YEAR);
  return d.year;
}

int64_t calendar_first_day(enum calendar calendar, int64_t day) {
  if (calendar == CALENDAR_DAY) return day;
  if (calendar == CALENDAR_WEEK) return day + 1 - weekday_of(day);
  struct date d = date_of_days(day);
  if (calendar == CALENDAR_QUARTER) d.month -= (d.month - 1) % 3;
  if (calendar == CALENDAR_YEAR) d.month = 1;
  return date_to_days(d.year, d.month, 1);
}
