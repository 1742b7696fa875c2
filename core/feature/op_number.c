// sum, mean, min, max: of numbers. Whole numbers add up exactly, in any order, while the total stays below 2^53; others
// to the last bits of a double. Least and greatest are exact always.
#include "feature/ops.h"
#include "feature/tiles.h"
#include <math.h>

// ---- sum ----
size_t op_sum_size(const struct feature *f) { return f->tiles ? tiles_size(f->tiles, 8) : 8; }

void op_sum_init(const struct feature *f, uint8_t *state) {
  if (f->tiles) tiles_init(state);
}

void op_sum_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  uint8_t *cell = f->tiles ? tiles_at(state, f->tiles, 8, tile_of(f, sample->time_ms)) : state;
  if (cell) store_f64(cell, saturate(load_f64(cell) + sample->number));
}

double op_sum_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  if (!f->tiles) return load_f64(state);
  double total = 0;
  struct tiles_walk walk = tiles_window(f, state, f->tiles, 8, now_ms);
  for (const uint8_t *cell; (cell = tiles_next(&walk));) total = saturate(total + load_f64(cell));
  return total;
}

static void sum_join(uint8_t *cell, const uint8_t *more) { store_f64(cell, saturate(load_f64(cell) + load_f64(more))); }

void op_sum_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  if (f->tiles)
    tiles_merge(into, other, f->tiles, 8, sum_join);
  else
    sum_join(into, other);
}

// ---- mean: a cell is the sum and how many ----
#define MEAN_CELL 16

size_t op_mean_size(const struct feature *f) { return f->tiles ? tiles_size(f->tiles, MEAN_CELL) : MEAN_CELL; }

void op_mean_init(const struct feature *f, uint8_t *state) {
  if (f->tiles) tiles_init(state);
}

void op_mean_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  uint8_t *cell = f->tiles ? tiles_at(state, f->tiles, MEAN_CELL, tile_of(f, sample->time_ms)) : state;
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

static void mean_join(uint8_t *cell, const uint8_t *more) {
  sum_join(cell, more);
  store_u64(cell + 8, load_u64(cell + 8) + load_u64(more + 8));
}

void op_mean_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  if (f->tiles)
    tiles_merge(into, other, f->tiles, MEAN_CELL, mean_join);
  else
    mean_join(into, other);
}

// ---- min and max ----
// Cells of a ring begin as zero bytes, which stand for no number: the bytes of a number are those of its negation, and
// -0 is none. (samples have no -0: see scalar_number.)
static double extreme_load(const uint8_t *cell) { return load_u64(cell) == 0 ? NAN : -load_f64(cell); }
static void extreme_store(uint8_t *cell, double number) { store_f64(cell, -number); }

static size_t extreme_size(const struct feature *f) { return f->tiles ? tiles_size(f->tiles, 8) : 8; }
static void extreme_init(const struct feature *f, uint8_t *state) {
  if (f->tiles) tiles_init(state);
}

static void least_add(uint8_t *cell, double number) {
  double old = extreme_load(cell);
  if (isnan(old) || number < old) extreme_store(cell, number);
}
static void greatest_add(uint8_t *cell, double number) {
  double old = extreme_load(cell);
  if (isnan(old) || number > old) extreme_store(cell, number);
}
static void least_join(uint8_t *cell, const uint8_t *more) {
  if (load_u64(more) != 0) least_add(cell, extreme_load(more));
}
static void greatest_join(uint8_t *cell, const uint8_t *more) {
  if (load_u64(more) != 0) greatest_add(cell, extreme_load(more));
}

static void extreme_fold(const struct feature *f, uint8_t *state, const struct sample *sample,
                         void (*add)(uint8_t *cell, double number)) {
  uint8_t *cell = f->tiles ? tiles_at(state, f->tiles, 8, tile_of(f, sample->time_ms)) : state;
  if (cell) add(cell, sample->number);
}

static void extreme_merge(const struct feature *f, uint8_t *into, const uint8_t *other,
                          void (*join)(uint8_t *cell, const uint8_t *more)) {
  if (f->tiles)
    tiles_merge(into, other, f->tiles, 8, join);
  else
    join(into, other);
}

static double extreme_read(const struct feature *f, const uint8_t *state, int64_t now_ms, bool least) {
  if (!f->tiles) return extreme_load(state);
  double found = NAN;
  struct tiles_walk walk = tiles_window(f, state, f->tiles, 8, now_ms);
  for (const uint8_t *cell; (cell = tiles_next(&walk));) {
    double v = extreme_load(cell);
    if (isnan(found) || (least ? v < found : v > found)) found = v;
  }
  return found;
}

size_t op_least_size(const struct feature *f) { return extreme_size(f); }
void op_least_init(const struct feature *f, uint8_t *state) { extreme_init(f, state); }
void op_least_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  extreme_fold(f, state, sample, least_add);
}
void op_least_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  extreme_merge(f, into, other, least_join);
}
double op_least_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  return extreme_read(f, state, now_ms, true);
}

size_t op_greatest_size(const struct feature *f) { return extreme_size(f); }
void op_greatest_init(const struct feature *f, uint8_t *state) { extreme_init(f, state); }
void op_greatest_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  extreme_fold(f, state, sample, greatest_add);
}
void op_greatest_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  extreme_merge(f, into, other, greatest_join);
}
double op_greatest_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  return extreme_read(f, state, now_ms, false);
}
