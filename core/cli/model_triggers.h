// The policy's retraining triggers (scripts/retrain.lua), judged on a directory's track record.
#pragma once
#include "cli/model_track.h"

// One trigger. What is not known does not fire, and says why.
struct model_finding {
  const struct policy_retrain *of;
  const struct judge_model *model; // the version that decided last; NULL: it has decided nothing
  const char *kind;                // "age", "drift", "auc_under", "auc_falls"
  double value, bound, before;     // NaN: not known; before: what it is held against, where it is something
  double error;                    // of an AUC: its standard error; else NaN
  bool fires;
  char why[160]; // what is missing, or what it is held against; ""
};
struct model_findings {
  struct model_track track;
  struct model_finding *found;
  size_t count, fired;
};
// ITD_EINVAL: the policy declares none. As model_track_open; for model_findings_deinit after a failure, too.
int model_findings_init(const struct args *args, struct model_findings *f, struct error *err) ITD_MUST_USE;
void model_findings_deinit(struct model_findings *f);
void model_findings_print(const struct args *args, const struct model_findings *f); // as a table, or as JSON
