// The exact share of each feature in a decision of boosted trees, from two things alone: what the model read then, which is kept
// with a decision that acts, and the model, which the version store keeps. Pure. docs/decisions/shapley-from-inputs.md.
#pragma once
#include "policy/policy.h"

// What the lead's models of trees (policy_scorers) read of these features (as feature_read gives them): appends a map {role: [values in the
// model's order: a float, a text, nil: not known]}, roles "fit", "engagement", "split"; and under "rules" what the rules read
// (trace_put_read; empty: not kept). Appends nothing when there is neither.
void shapley_put_inputs(const struct policy *policy, const struct policy_scorers *scorers, const double *values,
                        const struct bytes *texts, struct bytes rules, struct buf *out);
struct bytes shapley_rules(struct bytes inputs); // what the rules read; empty: it was not kept

// Appends, for the models of `inputs` (empty: none), [{role, name, version, base, margin, calibrated, terms: [{name, value,
// contribution, points}]}]: base and contributions are log-odds and sum to margin (but for rounding: 1e-5 of the largest), points
// are contributions on the model's scale; of a personal value only `true` is shown. Some tens of microseconds for a hundred
// trees. ITD_ECORRUPT, and nothing appended: these are no inputs of this policy's models.
int shapley_put(const struct policy *policy, const struct policy_scorers *scorers, struct bytes inputs, struct buf *out,
                struct error *err) ITD_MUST_USE;
