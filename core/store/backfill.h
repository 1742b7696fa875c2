// What the features of a policy lack of the history before them, computed from a directory's journal: of a running daemon too.
//
// A feature is folded from the first event on that a lead has under a release which defines it; events before that, and all
// that was folded up to a release which did not define it, are owed to it. What is owed is folded here by the same code, and
// a fill (store/fill.h) takes it into the lead's state by merging, which makes it the state of a lead that had had all events
// (feature_state_merge). What is owed is told by frames alone (which release each was made under; what was filled in, by whose
// history and up to which place), so a backfill may end anywhere, and the next one goes on where it was.
#pragma once
#include "store/fill.h"

#define BACKFILL_BYTES_MAX                                                                                             \
  (256u << 20) // of histories in memory at once; more leads are several passes over the journal

struct backfill_options {
  const char *dir;
  const struct policy *policy;     // in force; its features are to be filled in, of events as its schemas see them
  const struct feature_mask *only; // NULL: all that have a history
  size_t bytes_max;                // 0: BACKFILL_BYTES_MAX
  // A lead to which something is owed. `mask`: what. What is not 0 ends it.
  int (*each)(void *context, struct lead_id lead, const struct fill *fill, const struct feature_mask *mask,
              struct error *err);
  void (*progress)(void *context, uint64_t done, uint64_t total); // may be NULL
  bool (*is_over)(void *context);                                 // asked now and then; true: ITD_ESTOPPED. May be NULL
  void *context;
};
struct backfill_stats {
  uint64_t leads;  // looked at
  uint64_t owed;   // of them, those to which something is owed
  uint64_t events; // folded for that
  uint64_t
      cut_short; // leads whose beginning is not kept any more: what was before is not filled in; and merged leads of which
                 // the journal that is kept does not tell whether it was
  uint64_t owed_of[FEATURES_MAX]; // leads, by the policy's features
  int64_t
      filled_ms[FEATURES_MAX]; // when the last lead was given something of it, by the wall clock; INT64_MIN: none was
};
// The errors of store_refold, and of `each`.
int store_backfill(const struct backfill_options *options, struct backfill_stats *stats,
                   struct error *err) ITD_MUST_USE;
