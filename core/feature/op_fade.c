// decay of shape "linear" and "step", by tiles.
// Linear: a match weighs 1 - age / over, down to 0. A tile keeps the sum of its values and the sum of value * (time -
// the tile's beginning), from which the weights of all its matches at any time follow exactly. Only the tile in which
// `over` ends is left out: what it holds would weigh less than tile / over each.
// Step: a match weighs the `weight` of the first step whose `age` it has not reached, beyond the last one nothing. It is
// as old as its tile, so that each edge is off by less than one tile, as a window's is.
// Cells: the sum of values; linear: then the other sum, in value * ms.
#include "feature/ops.h"
#include "feature/tiles.h"

// ---- linear ----
#define LINEAR_CELL 16

size_t op_linear_size(const struct feature *f) { return tiles_size(f->tiles, LINEAR_CELL); }
void op_linear_init(const struct feature *f, uint8_t *state) { (void)f, tiles_init(state); }

static void linear_add(uint8_t *cell, double sum, double moment) {
  store_f64(cell, saturate(load_f64(cell) + sum));
  store_f64(cell + 8, saturate(load_f64(cell + 8) + moment));
}

void op_linear_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  int64_t tile = tile_of(f, sample->time_ms);
  uint8_t *cell = tiles_at(state, f->tiles, LINEAR_CELL, tile);
  double since = (double)(sample->time_ms - tile * f->tile_ms);
  if (cell) linear_add(cell, sample->number, saturate(sample->number * since));
}

double op_linear_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  int64_t begin = now_ms - f->over_ms, first = -floor_div(-begin, f->tile_ms), last = tile_of(f, now_ms);
  struct tiles_walk walk = tiles_walk(state, f->tiles, LINEAR_CELL, first, last);
  int64_t head = load_i64(state), tile = (head < last ? head : last) - walk.left + 1;
  double total = 0;
  for (const uint8_t *cell; (cell = tiles_next(&walk)); tile++) {
    double weight = (double)(tile * f->tile_ms - begin); // of a match at the tile's beginning, times `over`
    total = saturate(total + saturate(saturate(weight * load_f64(cell)) + load_f64(cell + 8)));
  }
  return total / (double)f->over_ms;
}

static void linear_join(uint8_t *cell, const uint8_t *more) { linear_add(cell, load_f64(more), load_f64(more + 8)); }
void op_linear_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  tiles_merge(into, other, f->tiles, LINEAR_CELL, linear_join);
}

// ---- step ----
#define STEP_CELL 8

size_t op_step_size(const struct feature *f) { return tiles_size(f->tiles, STEP_CELL); }
void op_step_init(const struct feature *f, uint8_t *state) { (void)f, tiles_init(state); }
void op_step_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  uint8_t *cell = tiles_at(state, f->tiles, STEP_CELL, tile_of(f, sample->time_ms));
  if (cell) store_f64(cell, saturate(load_f64(cell) + sample->number));
}

static double weight_at(const struct feature *f, int64_t age_ms) {
  for (uint32_t i = 0; i < f->age_count; i++)
    if (age_ms < f->ages[i].age_ms) return f->ages[i].weight;
  return 0;
}

double op_step_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  struct tiles_walk walk = tiles_window(f, state, f->tiles, STEP_CELL, now_ms);
  int64_t now = tile_of(f, now_ms), head = load_i64(state), tile = (head < now ? head : now) - walk.left + 1;
  double total = 0;
  for (const uint8_t *cell; (cell = tiles_next(&walk)); tile++)
    if (load_f64(cell) != 0)
      total = saturate(total + saturate(weight_at(f, (now - tile) * f->tile_ms) * load_f64(cell)));
  return total;
}

static void step_join(uint8_t *cell, const uint8_t *more) {
  store_f64(cell, saturate(load_f64(cell) + load_f64(more)));
}
void op_step_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  tiles_merge(into, other, f->tiles, STEP_CELL, step_join);
}
