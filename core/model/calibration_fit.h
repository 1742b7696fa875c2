// Finds a calibration (model/calibration.h) for a model's margins, on rows that the model was not trained on. Pure; the same
// rows in any order give the same bits.
//
// Platt: slope and intercept of least log loss, by Newton's method, towards targets (n1 + 1) / (n1 + 2) and 1 / (n0 + 2)
// instead of 1 and 0 (Platt 1999; Lin, Lin, Weng 2007), so that separable rows give no infinite slope.
// Isotonic: the rising step function of least squares (pool adjacent violators, Ayer et al. 1955), rows of one margin together,
// and where there are more than FIT_GROUPS_MAX of those, neighbours. One row that came is added at the lowest margin and one
// that did not at the highest: otherwise the outer steps would be a flat 0 and 1 after a handful of rows. The steps are then
// made a line through their centres (centered isotonic regression, Oron and Flournoy 2017): a step would give all leads on it
// one score, and what the model knew of their order would be lost. The line goes on beyond the outermost centres, to the
// outermost margins that were seen; from there on it is flat. One step alone is no fit.
//
// Which of the two, or neither: the least mean log loss over rows that the fit has not seen, in FIT_FOLDS parts by lead.
#pragma once
#include "base/bytes.h"
#include "model/evaluation.h"

#define FIT_FOLDS      5
#define FIT_GROUPS_MAX 500 // a knot each, and two at the ends: below what model.json takes

enum fit_kind { FIT_NONE, FIT_PLATT, FIT_ISOTONIC };
const char *fit_kind_name(enum fit_kind kind); // "none", "platt", "isotonic"

struct fit {
  enum fit_kind kind;
  double slope, intercept;
  size_t count; // of knots
  double margins[FIT_GROUPS_MAX + 2], probabilities[FIT_GROUPS_MAX + 2];
};

// Fits one kind to rows whose `score` is a margin; `probability` is not looked at. False: it can't be had (one class only, a
// slope that is not above 0, fewer than two steps); *out is then FIT_NONE.
bool fit_rows(enum fit_kind kind, const struct judged *rows, size_t count, struct fit *out);
// The log-odds of a margin, as the engine computes them from the model's file.
double fit_apply(const struct fit *fit, double margin);

struct fit_choice {
  double log_loss[FIT_ISOTONIC + 1]; // of each kind on rows not seen by its fit; NaN: that kind can't be had
};
// Chooses a kind (of equal ones the plainer) and fits it to all rows.
void fit_choose(const struct judged *rows, size_t count, struct fit *out, struct fit_choice *choice);
