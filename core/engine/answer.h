// The decision as people and programs see it: one MessagePack map, with the ledger that sums to the score. Private to
// engine/.
#pragma once
#include "engine/engine.h"

// What one decision was made of.
struct answer_facts {
  const struct policy *policy;
  struct policy_scorers scorers; // of this lead
  const struct lead *lead;       // after the decision
  const struct policy_outcome *outcome;
  const double *values;
  const struct bytes *texts;
  bool has_fit, has_engagement;
  struct model_output fit, engagement;
  const double *fit_points, *engagement_points; // a term's points, unweighted
  struct model_output whole;                    // of a split model: fit and engagement are its parts
  const double *whole_points;
  const char *cause; // "event", "timer", "merge"
};

#define ANSWER_ROWS_MAX 656

// Appends the map. `inputs_hash` goes, with the bytes of the map so far, into the decision's hash, which the map then
// shows.
uint64_t answer_put(const struct answer_facts *facts, uint64_t inputs_hash, struct buf *out);
// A feature's value as a reader may see it: number, text, nil when unknown, true for a personal value that is known.
void answer_put_value(const struct feature_info *info, double value, struct bytes text, struct buf *out);
// Where a lead is beside its stage: `inside` (the stages around it, the outermost first) where there are any, and `regions` (of each its
// innermost stage; `leaves` are those, in the order of policy_regions) where there are any. answer_places: how many pairs that is.
uint32_t answer_places(const struct policy *policy, int stage);
void answer_put_places(const struct policy *policy, int stage, const int *leaves, struct buf *out);
