// The calendars of an artifact: [{name, zone, week = [7 lists], dates = [[day, …]…]}]; a list is minutes of the day, from, to,
// from, to, …, ascending and apart; `day` counts days since 1970-01-01, ascending. See base/calendar.h for what they do.
#pragma once
#include "base/arena.h"
#include "base/calendar.h"
#include "base/status.h"

enum { CALENDARS_MAX = 16, CALENDAR_DATES_MAX = 4000 };

struct policy_calendar {
  const char *name;
  struct calendar calendar;
};
// All memory is the arena's. ITD_EPOLICY: what breaks the form above; nothing of it is believed.
int calendars_parse(struct bytes list, struct arena *arena, struct policy_calendar **out, size_t *count,
                    struct error *err) ITD_MUST_USE;
