// Reads a model that XGBoost 1.7 or later has saved as JSON. Inside this layer only.
//
// Read are: learner.learner_model_param (base_score, num_feature, num_class, num_target), learner.objective.name,
// learner.gradient_booster (name, and of its model tree_info, trees and gbtree_model_param.num_parallel_tree),
// learner.attributes.best_iteration. The rest is the library's own affair. A category's split sends the listed ones right; a category that the model has never seen goes
// left, as in the library.
#pragma once
#include "model/forest.h"

// What a file must fit.
struct xgboost_shape {
  size_t features;     // that a row has
  const bool *is_text; // features: those that are split by category
  const double
      *base_margin; // as the library computed it, or NULL: computed here from base_score, with the last bit of a
                    // float in doubt (the library takes its machine's logarithm)
};

// ITD_EMODEL with the file, the place and what is allowed: another booster than gbtree, another objective than
// binary:logistic, reg:logistic or binary:logitraw, more than one class, other features than `shape`, rounds behind the best
// one (early stopping), trees that are none, NaN and infinity where there must be a number.
int forest_read_xgboost(struct bytes json, const struct xgboost_shape *shape, struct forest **out,
                        struct error *err) ITD_MUST_USE;
