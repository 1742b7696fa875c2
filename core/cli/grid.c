#include "cli/grid.h"

#include "base/check.h"

#include <stdlib.h>

enum { GAP = 2, LAST_MIN = 20 }; // columns between columns; the narrowest that the last one is wrapped to

void grid_init(struct grid *grid, const char *layout) {
  *grid = (struct grid){0};
  for (; layout[grid->columns]; grid->columns++) {
    CHECK(grid->columns < GRID_COLUMNS_MAX);
    grid->right[grid->columns] = layout[grid->columns] == 'r';
  }
  CHECK(grid->columns > 0);
}

void grid_deinit(struct grid *grid) {
  buf_deinit(&grid->cells);
  free(grid->end);
  *grid = (struct grid){0};
}

struct buf *grid_cell(struct grid *grid) {
  return &grid->cells;
}

void grid_end(struct grid *grid) {
  if (grid->count == grid->cap) {
    grid->cap = grid->cap ? 2 * grid->cap : 64;
    grid->end = xrealloc(grid->end, grid->cap * sizeof *grid->end);
  }
  grid->end[grid->count++] = grid->cells.n;
}

void grid_add(struct grid *grid, struct bytes text) {
  buf_append_bytes(&grid->cells, text);
  grid_end(grid);
}

void grid_add_str(struct grid *grid, const char *text) { grid_add(grid, bytes_str(text)); }

size_t text_columns(struct bytes text) {
  size_t columns = 0;
  for (size_t i = 0; i < text.n; i++) columns += (text.p[i] & 0xc0) != 0x80;
  return columns;
}

static struct bytes cell(const struct grid *grid, size_t i) {
  size_t start = i ? grid->end[i - 1] : 0;
  return bytes_of(grid->cells.p + start, grid->end[i] - start);
}

static void put_spaces(struct buf *out, size_t n) {
  while (n--) buf_append_u8(out, ' ');
}

// The part of `text` that fits into `columns`, cut at a space where there is one; the rest without the spaces between.
static struct bytes first_line(struct bytes text, size_t columns, struct bytes *rest) {
  size_t bytes = 0, used = 0, space = 0;
  while (bytes < text.n && (used < columns || (text.p[bytes] & 0xc0) == 0x80)) {
    if (text.p[bytes] == ' ') space = bytes;
    used += (text.p[bytes++] & 0xc0) != 0x80;
  }
  if (bytes < text.n && text.p[bytes] == ' ') space = bytes;
  size_t n = bytes == text.n || space == 0 ? bytes : space, next = n;
  while (next < text.n && text.p[next] == ' ') next++;
  *rest = bytes_of(text.p + next, text.n - next);
  return bytes_of(text.p, n);
}

static void trim(struct buf *out) {
  while (out->n && out->p[out->n - 1] == ' ') out->n--;
}

static void put_last(struct bytes text, size_t left, unsigned width, struct buf *out) {
  size_t room = width > left + LAST_MIN ? width - left : LAST_MIN;
  if (width == 0 || text_columns(text) <= room) {
    buf_append_bytes(out, text);
    return;
  }
  struct bytes rest;
  for (struct bytes line = first_line(text, room, &rest);; line = first_line(rest, room, &rest)) {
    buf_append_bytes(out, line);
    if (!rest.n) return;
    buf_append_u8(out, '\n');
    put_spaces(out, left);
  }
}

void grid_put(const struct grid *grid, unsigned width, struct buf *out) {
  CHECK(grid->count % grid->columns == 0);
  size_t widest[GRID_COLUMNS_MAX] = {0};
  for (size_t i = 0; i < grid->count; i++) {
    size_t columns = text_columns(cell(grid, i)), c = i % grid->columns;
    if (columns > widest[c]) widest[c] = columns;
  }
  size_t left = grid->indent; // of the last column
  for (unsigned c = 0; c + 1 < grid->columns; c++) left += widest[c] + GAP;
  for (size_t i = 0; i < grid->count; i++) {
    unsigned c = (unsigned)(i % grid->columns);
    struct bytes text = cell(grid, i);
    size_t pad = widest[c] - text_columns(text);
    bool is_last = c + 1 == grid->columns;
    if (c == 0) put_spaces(out, grid->indent);
    if (grid->right[c]) put_spaces(out, pad);
    if (is_last)
      put_last(text, left, width, out);
    else
      buf_append_bytes(out, text);
    if (!is_last) put_spaces(out, GAP + (grid->right[c] ? 0 : pad));
    if (!is_last) continue;
    trim(out);
    buf_append_u8(out, '\n');
  }
}
