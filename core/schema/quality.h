// Rules for what a source sends: a signal set's quality.lua. What an event breaks by itself and what a source sends too
// much of may be refused; what only shows over time (too little, another volume than usual, values that are missing) is
// flagged. Decisions never depend on it: a refused event decides nothing, and its refusal is on record.
//
// A rule is a map:
//   name       text, [a-z][a-z0-9_]*, unique                                                        (required)
//   on         which events it is about, as in schemas; absent: every event
//   source     text: those whose context.source says so (a write key's source, a mapping's name)
//   why        text
//   refuse     true: what breaks it is refused; else it is counted and flagged. Of names, schema and at_most
// and one of
//   names      list of texts: the names that its tracked events may have
//   schema     true: a schema must be for the event, claimed or by its `on`
//   at_most    number: events in a window
//   at_least   number: in a window
//   change     number above 1: a window's events are within that factor of the mean of the (at most 8) windows before it
//   nulls      share from 0 to 1 of a window's events in which `path` may be absent or nil; judged from 20 events on
// with
//   window     duration, "1m" by default, 1s to 7d: of at_most, at_least, change and nulls
//   path       of nulls: "properties.plan"
//
// Windows follow each other without a gap, by the arrival, from 1970 on; each rule has one counter, whatever the number of
// shards, and remembers 8 windows. The first window after a release came into force is not whole, and judged by at_most
// alone. at_least, change and nulls are judged when a window has ended. Bounded: 64 rules, about 300 bytes each.
#pragma once
#include "schema/schema.h"

#define QUALITY_RULES_MAX   64
#define QUALITY_WINDOWS     8
#define QUALITY_NULLS_LEAST 20 // events of a window in which a share means something

struct quality;
// `rules`: a MessagePack list; empty: no rules. ITD_EPOLICY: "quality: NAME: what, and what is allowed".
int quality_compile(struct bytes rules, struct quality **out, struct error *err) ITD_MUST_USE;
void quality_free(struct quality *q);
// received_ms of an event that is only looked at: nothing is counted, and rules of traffic are not asked.
#define QUALITY_DRY INT64_MIN
// Judges an event (as schemas left it) and counts it. Any thread. ITD_EQUALITY: a rule refuses it; *by_traffic: for what
// others sent, so that the same bytes may pass at another time.
int quality_judge(struct quality *q, const struct schema_set *schemas, const struct event *event, int64_t received_ms,
                  bool *by_traffic, struct error *err) ITD_MUST_USE;
// Ends windows that are over by now: a source that is silent shows no event that would. Any thread.
void quality_turn(struct quality *q, int64_t now_ms);

struct quality_stats {
  const char *name;
  uint64_t breaches; // events, or windows
  uint64_t refused;
  uint64_t window_events; // of the window that ended last
  bool is_breached;       // by it, or by the one that goes on
};
size_t quality_count(const struct quality *q);
struct quality_stats quality_stats(struct quality *q, size_t index);
