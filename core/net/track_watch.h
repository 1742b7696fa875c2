// Keeps models' track record (store/track.h): a thread of low priority that judges the journal's decisions now and then, keeps
// what came out in DIR/track, and shows the latest weeks as metrics. Nothing where the release's signal set declares no
// labels. What a walk costs: docs/performance.md.
#pragma once
#include "net/daemon.h"

#define TRACK_FIRST_MS  60000 // after a start, unless the record is younger than track.interval: then it waits that long
#define TRACK_AGAIN_MS  600000 // after a walk that failed
#define TRACK_LIVE_DAYS 28     // metrics are of so many days: the latest that are judged

struct track_watch;
// NULL: track.interval is 0. Control thread, when the store is open and a release in force.
struct track_watch *track_watch_start(struct daemon *daemon);
void track_watch_stop(struct track_watch *watch);                 // a walk is given up. NULL does nothing
void track_watch_put(struct track_watch *watch, struct buf *out); // Prometheus' text; any thread. NULL puts nothing
