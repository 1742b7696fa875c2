// One model: trees by a trainer (intentd/plugin.h), stopped and calibrated on validation rows, judged on test rows.
#pragma once
#include "cli/train_split.h"
#include "intentd/plugin.h"
#include "model/calibration_fit.h"
#include "model/evaluation.h"

#define TRAIN_PATIENCE 50   // trees without a better validation log loss, then it ends
#define TRAIN_DRAWS    1000 // of the bootstrap
#define TRAIN_LEVEL    0.95 // of its intervals
#define TRAIN_BINS     10
#define TRAIN_ROC      200 // points of the curve that are kept

struct train_settings {
  uint32_t trees, depth;
  double eta;
  uint64_t seed;
};
#define TRAIN_SETTINGS_DEFAULT ((struct train_settings){.trees = 1000, .depth = 4, .eta = 0.05, .seed = 1})
// Fixed: what is drawn for each tree, and what a leaf needs.
#define TRAIN_ROW_SHARE    0.8
#define TRAIN_COLUMN_SHARE 0.8
#define TRAIN_WEIGHT_MIN   5
#define TRAIN_SHRINK       1

struct train_model {
  const char *group; // "profile", "behaviour", "both"
  size_t column[FEATURES_MAX], count;
  bool is_stopped; // early: fewer trees than there might have been
  uint32_t trees;
  double base_margin;
  struct buf weights; // the library's file
  float *margins;     // of each row of train_rows that has a part, by its place; others are not set
  struct fit calibration;
  struct fit_choice choice;
  struct metrics metrics; // of test rows
  struct metrics draws[TRAIN_DRAWS];
  struct evaluation_bin bins[TRAIN_BINS];
  struct roc_point roc[TRAIN_ROC];
  size_t roc_count;
};

// Trains on the columns of `m` (group, column, count are set). ITD_EINVAL with what the library said.
int train_fit(const struct itd_trainer *trainer, const struct train_rows *rows, const struct train_settings *settings,
              struct train_model *m, struct error *err) ITD_MUST_USE;
void train_model_free(struct train_model *m); // and the model itself; NULL does nothing
