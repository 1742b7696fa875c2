// Quiet hours of a channel: when nothing goes out by it. Between two times of the day by a zone's clock, or whenever a calendar is
// closed. Whose clock: the zone that a text feature of the lead names, by itself or by way of a list ("emea" is Europe/Amsterdam),
// and where that names none, one for all. Pure.
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include "policy/calendars.h"

enum { QUIET_MAX = 16, QUIET_ZONES_MAX = 1000 };

struct quiet_zone {
  struct bytes text;
  struct zone zone;
};
struct quiet {
  const struct calendar *calendar; // NULL: by the clock, from `from` to `to`, past midnight where that is less
  int from, to;                    // minutes of the day, not the same
  struct zone zone;                // of leads whose feature names none
  const char *feature;             // of text; NULL: `zone` is everybody's
  struct quiet_zone *list;         // sorted by text; NULL: the feature's text is itself a zone's name
  size_t list_count;
};
// The artifact's `quiet`: [{from, to, zone, feature, list = [[text, zone], …] (ascending)} or {calendar (number)}]. All memory is the
// arena's. ITD_EPOLICY: what breaks this form.
int quiet_parse(struct bytes value, const struct policy_calendar *calendars, size_t calendar_count, struct arena *arena,
                struct quiet **out, size_t *count, struct error *err) ITD_MUST_USE;
// Whether it is quiet at that time for a lead whose feature says `text`.
bool quiet_holds(const struct quiet *quiet, struct bytes text, int64_t now_ms);
