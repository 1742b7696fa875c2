// What model_json.c builds and linear.c computes with. Inside this layer only.
//
// A term is a form, the numbers of that form, and two amounts that every form has or may have: `missing` (nothing is
// known) and `other` (a text that is no level). Everything that can be computed once is computed when the files are
// read.
#pragma once
#include "base/arena.h"
#include "model/calibration.h"
#include "model/forest.h"
#include "model/model.h"

enum term_form {
  TERM_NUMBER, // logistic: weight * transformed value
  TERM_BINS,   // scorecard: points by where the value lies
  TERM_LEVELS, // both: an amount by text
};

struct amount {
  double log_odds, points; // the same on both scales
};

struct bin {
  double under; // the last bin's is not looked at
  struct amount amount;
};

struct level {
  struct bytes text;
  struct amount amount;
  uint32_t code; // trees: its place in the list of categories
};

struct term {
  const char *feature;
  bool any_definition;
  enum term_form form;
  bool is_log1p;
  double weight, low, high; // TERM_NUMBER; the bounds are never infinite, so that no value gets through that is
  size_t count;             // bins (at least 1) or levels
  const struct bin *bins;
  const struct level *levels; // sorted by bytes
  struct amount other, missing;
  uint64_t definition; // of the feature, unless any_definition
};

struct model {
  struct model_info info;
  double factor; // points of one unit of log-odds
  struct amount base;
  struct forest
      *forest; // MODEL_XGBOOST, MODEL_LIGHTGBM; its terms are of form TERM_NUMBER or TERM_LEVELS, and have no amounts
  bool has_base_margin; // said in model.json
  double base_margin;
  struct calibration calibration;
  struct term *terms;
  size_t term_count;
  struct arena arena;
};

// Points of one unit of log-odds on a scale.
double linear_factor(double points_to_double_odds);
// What a number adds; NaN is missing. `term` is TERM_NUMBER or TERM_BINS, `factor` the model's.
struct amount linear_number(const struct term *term, double factor, double value);
// What a text adds; an empty one is missing. `term` is TERM_LEVELS.
struct amount linear_text(const struct term *term, struct bytes text);
// The level that equals a text, byte for byte; NULL: there is none. `term` is TERM_LEVELS.
const struct level *level_find(const struct term *term, struct bytes text);
// The order in which a term's levels lie, for qsort.
int level_order(const void *a, const void *b);
// The whole row; feature_of[t] is where term t's feature lies in `values` and `texts`. As model_score otherwise.
void linear_score(const struct model *model, const int *feature_of, const double *values, const struct bytes *texts,
                  double *contributions, double *points, struct model_output *out);
