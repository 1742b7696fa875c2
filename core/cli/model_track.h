// What intent model quality and its triggers both stand on: a directory's track record (store/track.h), of the labels that its
// signal set declares or the command line gives, and what the models were when they were trained.
#pragma once
#include "cli/command.h"
#include "store/track.h"

struct versions;
struct model_track {
  struct versions *versions;   // of the directory
  const struct policy *policy; // the one in force
  struct policy_label label[OUTCOME_LABELS_MAX];
  size_t label_count;
  struct track *track;
  struct outcomes_stats stats;
  struct error kept; // code not 0: the kept record does not read
  size_t *order;     // series that were asked for: by model, version, label and score
  size_t order_count;
};
const char *model_track_dir(const struct args *args); // --data, or the default
// The policy in force in the directory, and the labels. model_track_close after a failure, too.
int model_track_begin(const struct args *args, struct model_track *t, struct error *err) ITD_MUST_USE;
// And the record. --data, --label, --horizon and the model after the command's word: NAME or NAME@VERSION. Warns of labels whose event never
// came. ITD_EINVAL, ITD_ENOTFOUND; as track_read.
int model_track_open(const struct args *args, struct model_track *t, struct error *err) ITD_MUST_USE;
void model_track_close(struct model_track *t); // also of one that did not open
// Appends the map `KEY` of a version's model.json ("metrics", "trained"), or nil: the folder of models has no such version.
void model_track_json(const struct args *args, const struct judge_model *model, const char *key, struct buf *out);
void model_track_day(struct buf *out, int64_t day); // 2026-01-05
int model_track_exit_of(int status);
