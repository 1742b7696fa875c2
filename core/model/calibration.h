// From a model's margin to log-odds that hold what they say: of leads with a probability of 0.3, three in ten reach the target.
// Inside this layer only. It turns no two leads round (where its knots are flat, it makes them equal), and is a row of its own
// in the ledger.
//
// model.json, "calibration" (optional):
//   {"kind": "platt", "slope", "intercept"}: log-odds = slope * margin + intercept (Platt 1999)
//   {"kind": "isotonic", "margins": [ascending], "probabilities": [not descending]}: between two margins their probabilities
//     are interpolated, beyond the last ones they stay (as scikit-learn's IsotonicRegression, out_of_bounds="clip"); held
//     between 1e-6 and 1 - 1e-6, so that there are log-odds
#pragma once
#include "base/arena.h"
#include "model/strict.h"

#define CALIBRATION_KNOTS_MAX 1024

struct calibration {
  enum { CALIBRATION_NONE, CALIBRATION_PLATT, CALIBRATION_ISOTONIC } kind;
  double slope, intercept;
  size_t count; // of knots, at least 2
  const double *margins, *probabilities;
};

// Reads root's "calibration", which may be absent. The knots lie in the arena.
int calibration_read(const struct strict *s, json_t *root, struct arena *arena, struct calibration *out) ITD_MUST_USE;
// The log-odds of a margin; finite for a finite one.
double calibration_apply(const struct calibration *c, double margin);
