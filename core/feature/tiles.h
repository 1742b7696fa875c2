// Tiles: a window's ring of cells, one for each stretch of event time. What a stretch is only tile_of knows: tile_ms,
// aligned to 1970, or a period of the calendar. A ring keeps the newest tile that had a match and the count - 1 before it. The newest never lies ahead of the lead's clock, so a tile
// that has left the ring has left every window too: what a window holds does not depend on the order of arrival.
#pragma once
#include "feature/program.h"
#include "feature/state.h"

static inline int64_t tile_of(const struct feature *f, int64_t time_ms) {
  if (f->calendar == CALENDAR_NONE) return floor_div(time_ms, f->tile_ms);
  return calendar_number(f->calendar, local_day(&f->zone, time_ms));
}

static inline size_t tiles_size(uint32_t count, size_t cell) { return 8 + (count * cell + 7) / 8 * 8; }
void tiles_init(uint8_t *state);
// The cell of a match, emptied (all zero) when it is new; NULL: older than what is kept.
uint8_t *tiles_at(uint8_t *state, uint32_t count, size_t cell, int64_t tile);
// Adds each cell of `other` to that of the same tile; what is then older than the newest `count` tiles is let go.
void tiles_merge(uint8_t *into, const uint8_t *other, uint32_t count, size_t cell,
                 void (*add)(uint8_t *cell, const uint8_t *more));

// Cells of the tiles first … last that the ring holds, oldest first.
struct tiles_walk {
  const uint8_t *cells;
  size_t cell;
  uint32_t count, slot;
  int64_t left;
};
struct tiles_walk tiles_walk(const uint8_t *state, uint32_t count, size_t cell, int64_t first, int64_t last);
static inline const uint8_t *tiles_next(struct tiles_walk *w) {
  if (w->left <= 0) return NULL;
  const uint8_t *at = w->cells + w->slot * w->cell;
  w->left--;
  if (++w->slot == w->count) w->slot = 0;
  return at;
}
// The window at `now_ms`: the current tile and the f->tiles - 1 before it.
struct tiles_walk tiles_window(const struct feature *f, const uint8_t *state, uint32_t count, size_t cell,
                               int64_t now_ms);
