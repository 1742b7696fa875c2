// What each op_*.c gives to the table in ops.c. `state` is the feature's own part of the lead's state.
#pragma once
#include "feature/program.h"
#include "feature/state.h"

#define OP_DECLARE(op)                                                                                                 \
  size_t op##_size(const struct feature *f);                                                                           \
  void op##_init(const struct feature *f, uint8_t *state);                                                             \
  void op##_fold(const struct feature *f, uint8_t *state, const struct sample *sample);                                \
  double op##_read(const struct feature *f, const uint8_t *state, int64_t now_ms);                                     \
  void op##_merge(const struct feature *f, uint8_t *into, const uint8_t *other)

OP_DECLARE(op_count);
OP_DECLARE(op_velocity); // folds like count, over twice the tiles
OP_DECLARE(op_sum);
OP_DECLARE(op_mean);
OP_DECLARE(op_least); // min and max
OP_DECLARE(op_greatest);
OP_DECLARE(op_variance);
OP_DECLARE(op_stddev); // folds like variance
OP_DECLARE(op_first);
OP_DECLARE(op_last);
OP_DECLARE(op_distinct);
OP_DECLARE(op_common);
OP_DECLARE(op_quantile);
OP_DECLARE(op_recency); // recency and flag keep the same: when the last match was
OP_DECLARE(op_flag);
OP_DECLARE(op_gap);
OP_DECLARE(op_decay);
OP_DECLARE(op_sessions);
OP_DECLARE(op_length);  // session_length; folds like sessions
OP_DECLARE(op_session); // count and sum of the current session; likewise
OP_DECLARE(op_linear);  // decay of these shapes
OP_DECLARE(op_step);
OP_DECLARE(op_days);  // active_days
OP_DECLARE(op_hours); // time_of_day
OP_DECLARE(op_weekday);
OP_DECLARE(op_streak);
OP_DECLARE(op_account);
OP_DECLARE(op_ordered);                     // funnel, sequence, co_occurrence
double op_ratio_derive(double a, double b); // NaN when b is 0
double op_difference_derive(double a, double b);
struct bytes op_pick_text(const uint8_t *state);
struct bytes op_common_text(const uint8_t *state);
#undef OP_DECLARE
