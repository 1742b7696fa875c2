// A table of text: columns as wide as their widest cell, the last one wrapped at the width of the terminal. Pure.
#pragma once
#include "base/buf.h"

#define GRID_COLUMNS_MAX 9

struct grid {
  unsigned columns;
  bool right[GRID_COLUMNS_MAX]; // numbers stand at the right
  struct buf cells;             // texts, one after the other
  size_t *end;                  // where each cell ends in `cells`
  size_t count, cap;            // cells
  unsigned indent;              // spaces before each line
};

// `layout`: a letter a column, "l" or "r".
void grid_init(struct grid *grid, const char *layout);
void grid_deinit(struct grid *grid);
// The next cell, row by row. Its text is shown as it is: clean what came from outside with show_text.
void grid_add(struct grid *grid, struct bytes text);
void grid_add_str(struct grid *grid, const char *text);
// The same in two steps: write the cell's text into the buffer that this returns, then end the cell.
struct buf *grid_cell(struct grid *grid);
void grid_end(struct grid *grid);
// Appends the lines. A row that was begun must be complete. `width` 0: nothing is wrapped.
void grid_put(const struct grid *grid, unsigned width, struct buf *out);
// How many columns of a terminal a text takes: one for each character (wide ones are not told apart).
size_t text_columns(struct bytes text);
