// Has what sources usually send (schema/baseline.h) judged every half minute, keeps it over restarts and shows it.
//
// DIR/baselines: what was learned, replaced every ten minutes and at a stop, not journalled: a kill loses ten minutes of learning. A file
// that does not read is logged (`baselines`) and replaced. It holds names of sources, events and properties; no values, no leads. Control thread.
#pragma once
#include "schema/baseline.h"

#include <event2/event.h>

#define BASELINE_SAVE_MS 600000

struct baseline_watch;
struct baseline_watch *baseline_watch_start(struct event_base *base, struct baselines *baselines, const char *dir);
void baseline_watch_stop(struct baseline_watch *watch);                // turns and saves once more
void baseline_watch_put(struct baselines *baselines, struct buf *out); // Prometheus' text; any thread
