// count and velocity: how often. All time: one 64-bit number; windowed: a ring of 32-bit cells.
#include "feature/ops.h"
#include "feature/tiles.h"

#define CELL sizeof(uint32_t)

// A cell that is full stays full: 4 billion matches of one lead in one tile are as good as more.
static void cell_add(uint8_t *cell) {
  uint32_t n = load_u32(cell);
  if (n != UINT32_MAX) store_u32(cell, n + 1);
}

static void cell_join(uint8_t *cell, const uint8_t *more) {
  uint64_t n = (uint64_t)load_u32(cell) + load_u32(more);
  store_u32(cell, n < UINT32_MAX ? (uint32_t)n : UINT32_MAX);
}

static uint64_t cells_total(struct tiles_walk walk) {
  uint64_t total = 0;
  for (const uint8_t *cell; (cell = tiles_next(&walk));) total += load_u32(cell);
  return total;
}

size_t op_count_size(const struct feature *f) { return f->tiles ? tiles_size(f->tiles, CELL) : 8; }

void op_count_init(const struct feature *f, uint8_t *state) {
  if (f->tiles) tiles_init(state);
}

void op_count_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  if (!f->tiles) {
    store_u64(state, load_u64(state) + 1);
    return;
  }
  uint8_t *cell = tiles_at(state, f->tiles, CELL, tile_of(f, sample->time_ms));
  if (cell) cell_add(cell);
}

double op_count_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  if (!f->tiles) return (double)load_u64(state);
  return (double)cells_total(tiles_window(f, state, f->tiles, CELL, now_ms));
}

void op_count_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  if (f->tiles)
    tiles_merge(into, other, f->tiles, CELL, cell_join);
  else
    store_u64(into, load_u64(into) + load_u64(other));
}

size_t op_velocity_size(const struct feature *f) { return tiles_size(2 * f->tiles, CELL); }

void op_velocity_init(const struct feature *f, uint8_t *state) {
  (void)f;
  tiles_init(state);
}

void op_velocity_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  uint8_t *cell = tiles_at(state, 2 * f->tiles, CELL, tile_of(f, sample->time_ms));
  if (cell) cell_add(cell);
}

double op_velocity_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  int64_t tile = tile_of(f, now_ms), border = tile - f->tiles;
  uint64_t here = cells_total(tiles_walk(state, 2 * f->tiles, CELL, border + 1, tile));
  uint64_t before = cells_total(tiles_walk(state, 2 * f->tiles, CELL, border + 1 - f->tiles, border));
  return before == 0 ? (double)here : (double)here / (double)before;
}

void op_velocity_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  tiles_merge(into, other, 2 * f->tiles, CELL, cell_join);
}
