#include "feature/tiles.h"

static uint32_t slot_of(int64_t tile, uint32_t count) { return (uint32_t)(tile - floor_div(tile, count) * count); }

void tiles_init(uint8_t *state) { store_i64(state, TIME_NONE); }

uint8_t *tiles_at(uint8_t *state, uint32_t count, size_t cell, int64_t tile) {
  int64_t head = load_i64(state);
  uint8_t *cells = state + 8;
  uint32_t slot = slot_of(tile, count);
  if (head == TIME_NONE || tile - head >= count) {
    memset(cells, 0, tiles_size(count, cell) - 8);
    store_i64(state, tile);
  } else if (tile > head) {
    uint32_t fresh = slot;
    for (int64_t n = tile - head; n > 0; n--, fresh = fresh == 0 ? count - 1 : fresh - 1)
      memset(cells + fresh * cell, 0, cell);
    store_i64(state, tile);
  } else if (tile <= head - count) {
    return NULL;
  }
  return cells + slot * cell;
}

void tiles_merge(uint8_t *into, const uint8_t *other, uint32_t count, size_t cell,
                 void (*add)(uint8_t *cell, const uint8_t *more)) {
  int64_t head = load_i64(other);
  if (head == TIME_NONE) return;
  for (int64_t tile = head; tile > head - count; tile--) { // newest first: the ring moves on once
    uint8_t *to = tiles_at(into, count, cell, tile);
    if (!to) return;
    add(to, other + 8 + slot_of(tile, count) * cell);
  }
}

struct tiles_walk tiles_walk(const uint8_t *state, uint32_t count, size_t cell, int64_t first, int64_t last) {
  struct tiles_walk w = {.cells = state + 8, .cell = cell, .count = count};
  int64_t head = load_i64(state);
  if (head == TIME_NONE) return w;
  if (last > head) last = head;
  if (first <= head - count) first = head - count + 1;
  w.left = last - first + 1;
  if (w.left > 0) w.slot = slot_of(first, count);
  return w;
}

struct tiles_walk tiles_window(const struct feature *f, const uint8_t *state, uint32_t count, size_t cell,
                               int64_t now_ms) {
  int64_t tile = tile_of(f, now_ms);
  return tiles_walk(state, count, cell, tile - f->tiles + 1, tile);
}
