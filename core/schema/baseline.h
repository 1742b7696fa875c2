// What is usual of each source, learned by itself, and what is not: nothing is declared for it, nothing is ever refused by it, no
// decision knows of it. A series is a source (context.source, else the channel) as a whole, or one type or name of its events.
//
//   spike      more events in an hour than usual (said as soon as they are there); ends with the first usual hour
//   drop       fewer; said when the hour is over
//   silence    of a source as a whole: no event for SILENCE_FACTOR times its longest gap of four weeks; ends with an event
//   nulls      a property is absent or null in more of an hour's events than usual
//   new_event  a source that is known sends events of a name that it never sent; an occurrence, without an end
//
// Usual is: for volume the same hour of the week (UTC) once it was seen BASELINE_WEEKS times, till then an exponentially
// weighted hour; for nulls the weighted share of an hour. An anomaly lies more than BASELINE_SIGMA deviations off, where a
// deviation is no less than that of a Poisson stream (of a binomial share). What is out of bounds is learned as the bound, so that a new level
// becomes usual in time. Nothing but new series is noticed before a series is BASELINE_LEARN_MS old.
//
// Events are counted on lanes (one a shard, a lock of its own that is hardly ever shared), and judged by baselines_turn: everything
// that is judged depends on its times and what was counted alone. An event belongs to the hour in which it is turned.
// Memory: about 3 KiB a series, 1.3 KiB a series and lane.
#pragma once
#include "wire/event.h"

#define BASELINE_SERIES_MAX  256 // beyond: one that has few events gives way, else events are untracked
#define BASELINE_FIELDS_MAX  16  // properties of a series whose nulls are counted: those that it showed first
#define BASELINE_NAME_MAX    63  // bytes of a name that are shown
#define BASELINE_LANES_MAX   64
#define BASELINE_LEARN_MS    INT64_C(604800000)
#define BASELINE_WEEKS       3
#define BASELINE_SIGMA       7
#define BASELINE_NULLS_LEAST 20    // events of an hour in which a share means something
#define BASELINE_NEW_SAID    16    // new names that are logged in a turn
#define BASELINE_TURN_MS     30000 // how often to turn
#define SILENCE_FACTOR       4
#define SILENCE_GAPS_LEAST   100
#define SILENCE_LEAST_MS     INT64_C(1800000)

enum baseline_kind {
  BASELINE_SPIKE,
  BASELINE_DROP,
  BASELINE_SILENCE,
  BASELINE_NULLS,
  BASELINE_NEW_EVENT,
  BASELINE_KINDS
};
extern const char *const baseline_kinds[BASELINE_KINDS];

struct baselines;
struct baselines *baselines_new(void);
void baselines_free(struct baselines *b); // NULL does nothing
// Counts an event. Any thread; best one a lane. `lane` is taken modulo BASELINE_LANES_MAX.
void baselines_count(struct baselines *b, unsigned lane, const struct event *event, int64_t received_ms);
// Takes what was counted and judges it; begins and ends of anomalies are logged. One thread.
void baselines_turn(struct baselines *b, int64_t now_ms);

struct baseline_stats {
  const char *source, *event; // event "": the source as a whole
  int64_t first_ms, last_ms;
  uint64_t hour_events; // of this hour so far
  double usual;         // of such an hour; below 0: not known yet
  double deviation;
  bool is_now[BASELINE_KINDS];
  uint64_t total[BASELINE_KINDS];
};
// Calls `visit` for every series, sources before their events only by chance; names are good during the call. Any thread.
typedef void (*baseline_visit)(void *context, const struct baseline_stats *stats);
void baselines_visit(struct baselines *b, int64_t now_ms, baseline_visit visit, void *context);
uint64_t baselines_untracked(struct baselines *b); // events of no series

// What was learned, to go on with after a restart: bytes of this machine's and this version's kind, with a checksum. Any thread.
void baselines_save(struct baselines *b, struct buf *out);
// Into new baselines. ITD_ECORRUPT: they are of another kind or damaged; nothing is taken, all is learned anew. The time until the first turn
// counts as not seen: a daemon that stood still is no source's silence.
int baselines_load(struct baselines *b, struct bytes bytes, struct error *err) ITD_MUST_USE;
