// Notices when the wall clock is set: compares it once a second with the clock that does not jump. A step of more than
// CLOCK_STEP_MS is logged once (`clock_step`). Nothing else is needed: a lead's clock never goes back, timers and sweeps
// look again every second, and what is measured is measured by the other clock. Control thread.
#pragma once
#include <event2/event.h>
#include <stdatomic.h>
#include <stdint.h>

#define CLOCK_STEP_MS 1000 // more than any slewing does in a second

struct clock_watch;
struct clock_watch *clock_watch_start(struct event_base *base, _Atomic uint64_t *steps);
void clock_watch_stop(struct clock_watch *watch); // NULL does nothing
