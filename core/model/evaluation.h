// How good a model's scores were, held against what came: discrimination (AUC, average precision, lift and gain), honesty
// of its probabilities (log loss, Brier, calibration by tenths), and how sure that is (bootstrap by lead). Pure: no model,
// no clock, no random source but a seed; the same rows in any order give the same bits on every machine.
//
//   struct evaluation *e = evaluation_new(rows, count);
//   struct metrics m = evaluation_metrics(e);                        // m.value[METRIC_AUC], …
//   struct evaluation_bin tenth[10];
//   evaluation_bins(e, 10, tenth);                                   // a table of calibration, lift and gain
//   struct metrics *draws = xmalloc(1000 * sizeof(*draws));
//   evaluation_draws(e, 1, 1000, draws);
//   struct interval i = metric_interval(draws, 1000, METRIC_AUC, 0.95);
//   evaluation_free(e), free(draws);
//
// What can't be had is NaN: AUC of rows of one class, average precision and lift where nobody came, anything of no rows.
#pragma once
#include "base/bytes.h"

#define EVALUATION_ROWS_MAX 0x7fffffffu

// One row that was judged: a score that was given, and whether it came true.
struct judged {
  double score;       // higher is likelier: a margin, log-odds, points. Not NaN; infinite is allowed
  double probability; // 0 to 1. Of rows with one score it may differ (rows of several models)
  uint32_t lead;      // whose row: any number. Rows of one lead are drawn together, because they are not independent
  bool came;
};

enum metric {
  METRIC_AUC,               // chance that a row that came stands above one that did not; a tie counts one half
  METRIC_AVERAGE_PRECISION, // sum over thresholds of (recall - recall before) * precision; rows of one score are one threshold
  METRIC_LOG_LOSS,          // mean of -ln(probability of what came), probabilities held 1e-15 from 0 and 1
  METRIC_BRIER,             // mean of (probability - came)^2
  METRIC_CALIBRATION_ERROR, // mean over the tenths by score, by rows, of |mean probability - share that came|
  METRIC_LIFT_10,           // share that came among the highest tenth, over that among all
  METRIC_GAIN_20,           // of those that came, the share that the highest fifth has
  METRICS
};
const char *metric_name(enum metric metric);      // "auc", "average_precision", …: for files and for columns
bool metric_higher_is_better(enum metric metric); // else lower is

struct metrics {
  uint64_t rows, came;
  double value[METRICS]; // by enum metric
};

struct evaluation;
// Copies the rows and puts them in order. `count` up to EVALUATION_ROWS_MAX, 0 allowed.
struct evaluation *evaluation_new(const struct judged *rows, size_t count);
void evaluation_free(struct evaluation *e); // NULL does nothing
struct metrics evaluation_metrics(const struct evaluation *e);

// A part of the rows in the order of their scores, the highest first; parts are equally large. Rows of one score that lie on
// an edge are spread evenly over both sides (what any order among them gives on average), so counts may be fractions.
struct evaluation_bin {
  double rows, came;
  double probability;           // mean of what was said; NaN: no rows
  double rate;                  // came / rows: what was; NaN: no rows
  double low, high;             // of rate: 95 % interval (Wilson 1927), as if rows were independent
  double lift;                  // rate over that of all rows
  double gain;                  // cumulative: came in this part and those above, over all that came
  double score_high, score_low; // of the rows in it
};
// `bins` from 1 to EVALUATION_BINS_MAX; all of them are filled.
#define EVALUATION_BINS_MAX 100
void evaluation_bins(const struct evaluation *e, size_t bins, struct evaluation_bin *out);

// Points of the ROC curve from (0, 0) to (1, 1), a corner for each score, thinned to at most `max` (at least 2) that lie
// evenly among them. Returns how many; 0 when only one class is there.
struct roc_point {
  double false_share, true_share; // of those that did not come, of those that came, at and above a score
};
size_t evaluation_roc(const struct evaluation *e, size_t max, struct roc_point *out);

// Bootstrap: for each draw as many leads as there are, with replacement, each with all of its rows, and the metrics of what
// was drawn. Draw d's k-th lead is the j-th smallest of the L numbers of leads, j = the high 64 bits of
// L * hash_mix(hash_mix(seed, d), k). So two models that judged the same leads get the same draws, and the interval of their
// difference is that of out_a[d] - out_b[d].
void evaluation_draws(const struct evaluation *e, uint64_t seed, size_t draws, struct metrics *out);

struct interval {
  double low, high; // NaN when no draw has a number
  size_t draws;     // that have one: others (NaN) are left out
};
// The middle `level` (0.95, say) of numbers: from quantile (1 - level) / 2 to its counterpart, between two of them
// interpolated (the usual definition, type 7 of Hyndman and Fan 1996). Changes nothing.
struct interval interval_of(const double *values, size_t count, double level);
struct interval metric_interval(const struct metrics *draws, size_t count, enum metric metric, double level);
// Of a[d] - b[d]: whether one model is better than another on the same leads.
struct interval metric_difference(const struct metrics *a, const struct metrics *b, size_t count, enum metric metric,
                                  double level);
