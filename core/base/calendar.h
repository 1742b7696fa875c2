// Business time: a zone, the opening hours of each weekday, and dates that have hours of their own or none. What is open is
// a set of moments: a moment is open when the wall clock of the zone then stands within an opening of that date. So an hour
// that summer time skips gives nothing, and one that comes twice counts twice. Times are milliseconds since 1970, UTC.
// Pure; the caller's memory.
#pragma once
#include "base/zone.h"

#define CALENDAR_NEVER        INT64_MAX
#define CALENDAR_DAYS_MAX     4000 // how far ahead is looked: some eleven years
#define CALENDAR_MINUTES_MAX  1440 // 24:00
#define CALENDAR_OPENINGS_MAX 8    // of one day

struct calendar_opening {
  uint16_t from, to; // minutes of the day, from < to <= 1440
};
// A run of calendar.opening, which ascend and do not touch: one day's. None: closed.
struct calendar_day {
  int64_t day; // of a date: days since 1970-01-01; of a weekday: not used
  uint16_t first, count;
};
struct calendar {
  struct zone zone;
  struct calendar_day week[7];      // 0: Sunday
  const struct calendar_day *dates; // sorted by day, each once; they hold in place of their weekday
  size_t date_count;
  const struct calendar_opening *opening;
};

bool calendar_is_open(const struct calendar *calendar, int64_t time_ms);
bool calendar_is_open_day(const struct calendar *calendar, int64_t day); // a date of the zone; whether it has any hours
// The first moment at or after `time_ms` that is open. CALENDAR_NEVER: none within CALENDAR_DAYS_MAX.
int64_t calendar_next_open(const struct calendar *calendar, int64_t time_ms);
// The first moment by which `open_ms` of open time have passed since `time_ms`: four hours after Friday's last two end on
// Monday; what ends with the day ends at its closing. 0 ms: `time_ms`. CALENDAR_NEVER as above.
int64_t calendar_add(const struct calendar *calendar, int64_t time_ms, int64_t open_ms);
// The same time of the day on the `days`th open day after the date of `time_ms`. CALENDAR_NEVER as above.
int64_t calendar_add_days(const struct calendar *calendar, int64_t time_ms, int days);
// Open time in [from_ms, to_ms), at most what CALENDAR_DAYS_MAX days hold; 0 where to_ms lies before.
int64_t calendar_open_ms(const struct calendar *calendar, int64_t from_ms, int64_t to_ms);

// The next time that the clock shows `minute` of the day, after `time_ms` and not at it, on a day that fits.
// A time that summer time skips is taken when the clocks go forward; one that comes twice the first time.
#define CALENDAR_ANY_DAY  -1
#define CALENDAR_OPEN_DAY -2 // a day with opening hours; else a weekday, 0: Sunday
int64_t calendar_next_at(const struct calendar *calendar, int64_t time_ms, int day, int minute);

// Of zones alone, for who has no calendar: the local date as days since 1970-01-01, the minute of that day, and the moment
// at which a day's clock shows a minute (as above).
int64_t calendar_local_day(const struct zone *zone, int64_t time_ms);
int calendar_local_minute(const struct zone *zone, int64_t time_ms);
int calendar_weekday(int64_t day); // 0: Sunday
int64_t calendar_moment(const struct zone *zone, int64_t day, int64_t ms_of_day);
