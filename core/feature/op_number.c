// sum, mean, min, max: of numbers. Whole numbers add up exactly, in any order, while the total stays below 2^53; others
// to the last bits of a double. Least and greatest are exact always; NaN stands for none yet.
#include "feature/ops.h"
#include "feature/tiles.h"
#include <math.h>

// ---- sum ----
size_t op_sum_size(const struct feature *f) { return f->tiles ? tiles_size(f->tiles, 8) : 8; }

void op_sum_init(const struct feature *f, uint8_t *state) {
  if (f->tiles) tiles_init(state);
}

void op_sum_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  uint8_t *cell = f->tiles ? tiles_at(state, f->tiles, 8, floor_div(sample->time_ms, f->tile_ms)) : state;
  if (cell) store_f64(cell, saturate(load_f64(cell) + sample->number));
}

double op_sum_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  if (!f->tiles) return load_f64(state);
  double total = 0;
  struct tiles_walk walk = tiles_window(f, state, f->tiles, 8, now_ms);
  for (const uint8_t *cell; (cell = tiles_next(&walk));) total = saturate(total + load_f64(cell));
  return total;
}

// ---- mean: a cell is the sum and how many ----
#define MEAN_CELL 16

size_t op_mean_size(const struct feature *f) { return f->tiles ? tiles_size(f->tiles, MEAN_CELL) : MEAN_CELL; }

void op_mean_init(const struct feature *f, uint8_t *state) {
  if (f->tiles) tiles_init(state);
}

void op_mean_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  uint8_t *cell = f->tiles ? tiles_at(state, f->tiles, MEAN_CELL, floor_div(sample->time_ms, f->tile_ms)) : state;
  if (!cell) return;
  store_f64(cell, saturate(load_f64(cell) + sample->number));
  store_u64(cell + 8, load_u64(cell + 8) + 1);
}

double op_mean_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  double total = 0;
  uint64_t n = 0;
  if (f->tiles) {
    struct tiles_walk walk = tiles_window(f, state, f->tiles, MEAN_CELL, now_ms);
    for (const uint8_t *cell; (cell = tiles_next(&walk));) {
      total = saturate(total + load_f64(cell));
      n += load_u64(cell + 8);
    }
  } else {
    total = load_f64(state);
    n = load_u64(state + 8);
  }
  return n == 0 ? NAN : total / (double)n;
}

// ---- min and max ----
static size_t extreme_size(void) { return 8; }
static void extreme_init(uint8_t *state) { store_f64(state, NAN); }
static double extreme_read(const uint8_t *state) { return load_f64(state); }

size_t op_least_size(const struct feature *f) { return (void)f, extreme_size(); }
void op_least_init(const struct feature *f, uint8_t *state) { (void)f, extreme_init(state); }
void op_least_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  (void)f;
  double old = load_f64(state);
  if (isnan(old) || sample->number < old) store_f64(state, sample->number);
}
double op_least_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  return (void)f, (void)now_ms, extreme_read(state);
}

size_t op_greatest_size(const struct feature *f) { return (void)f, extreme_size(); }
void op_greatest_init(const struct feature *f, uint8_t *state) { (void)f, extreme_init(state); }
void op_greatest_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  (void)f;
  double old = load_f64(state);
  if (isnan(old) || sample->number > old) store_f64(state, sample->number);
}
double op_greatest_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  return (void)f, (void)now_ms, extreme_read(state);
}
