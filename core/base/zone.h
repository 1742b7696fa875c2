// Time zones by today's rule: an offset from UTC, and when it is another one in summer. Names and rules come from a
// table that is part of the program (zone_table.h names its release of tzdata), never from the machine: every machine
// counts the same. What a zone did before its present rule began is not known here; all times go by that rule. Pure.
#pragma once
#include "base/bytes.h"

// "the `week`th (5: the last) `weekday` (0: Sunday) of `month`, `seconds` after its midnight" in the time before it.
struct zone_change {
  int32_t month, week, weekday, seconds;
};

struct zone {
  int32_t standard_s, summer_s;  // seconds to add to UTC; the same when there is no summer
  struct zone_change start, end; // of summer; month 0 when there is none
  bool in_month;                 // each change happens in its month, also by standard time: it follows from the rest
};

#define ZONE_NAME_MAX 40 // bytes; longer ones are in no table

struct zone zone_fixed(int32_t seconds);             // always that much ahead of UTC
bool zone_find(struct bytes name, struct zone *out); // "Europe/Amsterdam"; false, and `out` untouched: no such name
// A POSIX TZ string whose changes, if any, are of the form Mm.w.d[/time]: all that tzdata has. False when it is not.
bool zone_parse(struct bytes rule, struct zone *out);

int64_t zone_offset_ms(const struct zone *zone, int64_t time_ms); // what to add to UTC at that time

// For lists and tests: the names in order, and the release they are of.
size_t zone_count(void);
const char *zone_name(size_t index);
const char *zone_rule(size_t index);
const char *zone_release(void);
