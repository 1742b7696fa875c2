// Reads a model that LightGBM has saved as text (save_model), version v3 or v4. Inside this layer only.
//
// Read are: objective (binary, sigmoid 1), num_class, num_tree_per_iteration, max_feature_idx, and of each tree its splits, leaves and
// counts. A node sends left what is at or below its threshold, and the categories of its set; what is missing (NaN) goes its default
// way, or counts as 0 where training met none. Values, thresholds and sums are doubles.
#pragma once
#include "model/forest.h"

// `is_text`: of `features`, those that are split by category. ITD_EMODEL with the file, the place and what is allowed: another
// objective, more than one class, averaged output (a random forest), linear leaves, zero_as_missing, other features, trees
// that are none, numbers that are none.
int forest_read_lightgbm(struct bytes text, size_t features, const bool *is_text, struct forest **out,
                         struct error *err) ITD_MUST_USE;
