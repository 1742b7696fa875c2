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
void op_recency_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  (void)f;
  if (load_i64(other) > load_i64(into)) store_i64(into, load_i64(other));
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
void op_flag_merge(const struct feature *f, uint8_t *into, const uint8_t *other) { op_recency_merge(f, into, other); }

// ---- gap: the latest time and the one before it; or the latest, the first and how many ----
size_t op_gap_size(const struct feature *f) { return f->stat == STAT_MEAN ? 24 : 16; }
void op_gap_init(const struct feature *f, uint8_t *state) {
  store_i64(state, TIME_NONE);
  store_i64(state + 8, f->stat == STAT_MEAN ? INT64_MAX : TIME_NONE);
}

static void last_gap_add(uint8_t *state, int64_t time) { // TIME_NONE changes nothing
  int64_t last = load_i64(state);
  if (time >= last) {
    store_i64(state + 8, last);
    store_i64(state, time);
  } else if (time > load_i64(state + 8)) {
    store_i64(state + 8, time);
  }
}

static void mean_gap_add(uint8_t *state, int64_t last, int64_t first, uint64_t matches) {
  if (last > load_i64(state)) store_i64(state, last);
  if (first < load_i64(state + 8)) store_i64(state + 8, first);
  store_u64(state + 16, load_u64(state + 16) + matches);
}

void op_gap_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  if (f->stat == STAT_MEAN)
    mean_gap_add(state, sample->time_ms, sample->time_ms, 1);
  else
    last_gap_add(state, sample->time_ms);
}

void op_gap_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  if (f->stat == STAT_MEAN) {
    mean_gap_add(into, load_i64(other), load_i64(other + 8), load_u64(other + 16));
    return;
  }
  last_gap_add(into, load_i64(other + 8));
  last_gap_add(into, load_i64(other));
}

double op_gap_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  (void)now_ms;
  int64_t last = load_i64(state), before = load_i64(state + 8);
  if (f->stat != STAT_MEAN) return before == TIME_NONE ? NAN : (double)(last - before);
  uint64_t matches = load_u64(state + 16);
  return matches < 2 ? NAN : (double)(last - before) / (double)(matches - 1);
}
