// recency, flag and gap: when matches were. The latest times do not depend on the order of arrival.
#include "feature/ops.h"
#include "feature/tiles.h"
#include <math.h>

// ---- recency and flag: the latest time ----
size_t op_recency_size(const struct feature *f) { return (void)f, 8; }
void op_recency_init(const struct feature *f, uint8_t *state) { (void)f, store_i64(state, TIME_NONE); }
void op_recency_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  (void)f;
  if (sample->time_ms > load_i64(state)) store_i64(state, sample->time_ms);
}
double op_recency_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  (void)f;
  int64_t last = load_i64(state);
  if (last == TIME_NONE) return NAN;
  return now_ms > last ? (double)(now_ms - last) : 0;
}

// A flag over a window goes by tiles as a count does, so that it is 1 exactly when that count is not 0.
size_t op_flag_size(const struct feature *f) { return op_recency_size(f); }
void op_flag_init(const struct feature *f, uint8_t *state) { op_recency_init(f, state); }
void op_flag_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  op_recency_fold(f, state, sample);
}
double op_flag_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  int64_t last = load_i64(state);
  if (last == TIME_NONE) return 0;
  if (!f->tiles) return 1;
  return tile_of(f, last) > tile_of(f, now_ms) - f->tiles;
}

// ---- gap: the latest time and the one before it ----
size_t op_gap_size(const struct feature *f) { return (void)f, 16; }
void op_gap_init(const struct feature *f, uint8_t *state) {
  (void)f;
  store_i64(state, TIME_NONE);
  store_i64(state + 8, TIME_NONE);
}
void op_gap_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  (void)f;
  int64_t last = load_i64(state);
  if (sample->time_ms >= last) {
    store_i64(state + 8, last);
    store_i64(state, sample->time_ms);
  } else if (sample->time_ms > load_i64(state + 8)) {
    store_i64(state + 8, sample->time_ms);
  }
}
double op_gap_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  (void)f, (void)now_ms;
  int64_t last = load_i64(state), before = load_i64(state + 8);
  return before == TIME_NONE ? NAN : (double)(last - before);
}
