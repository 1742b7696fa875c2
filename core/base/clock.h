// The only two clocks, and text forms of time and duration. Pure code never calls the first two: it is handed `now`.
// Times are int64 milliseconds since 1970-01-01T00:00:00Z, durations int64 milliseconds, unless a name says otherwise.
#pragma once
#include "base/bytes.h"
#include "base/status.h"

int64_t clock_wall_ms(void);  // CLOCK_REALTIME
uint64_t clock_mono_ns(void); // CLOCK_MONOTONIC

// RFC 3339, and what senders of analytics events really send: "T" or space, no fraction or one of 1-9 digits (kept to
// ms, cut), "Z", "+hh:mm", "+hhmm", or no zone (read as UTC), a date alone (midnight UTC). A leap second (:60, at the
// end of a UTC day only) is read as 59.999. Years 0001 to 9999, in UTC too. ITD_EINVAL for anything else.
int time_parse(struct bytes text, int64_t *time_ms) ITD_MUST_USE;
#define TIME_TEXT_MAX 32
void time_format(int64_t time_ms, char out[TIME_TEXT_MAX]); // "2026-01-05T08:30:00.250Z"; any time fits

// "250ms", "30s", "15m", "4h", "7d", "2w": a positive whole number and a unit. ITD_EINVAL otherwise or
// beyond 100 years.
int duration_parse(struct bytes text, int64_t *duration_ms) ITD_MUST_USE;
#define DURATION_TEXT_MAX 24
// In the largest unit up to days that divides it: "7d", "90m".
void duration_format(int64_t duration_ms, char out[DURATION_TEXT_MAX]);
