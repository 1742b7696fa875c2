// A table of text: columns as wide as their widest cell, the last one wrapped at the width of the terminal. Pure.
#pragma once
#include "base/buf.h"

#define TABLE_COLUMNS_MAX 8

struct table {
  unsigned columns;
  bool right[TABLE_COLUMNS_MAX]; // numbers stand at the right
  struct buf cells;              // texts, one after the other
  size_t *end;                   // where each cell ends in `cells`
  size_t count, cap;             // cells
  unsigned indent;               // spaces before each line
};

// `layout`: a letter a column, "l" or "r".
void table_init(struct table *table, const char *layout);
void table_deinit(struct table *table);
// The next cell, row by row. Its text is shown as it is: clean what came from outside with show_text.
void table_add(struct table *table, struct bytes text);
void table_add_str(struct table *table, const char *text);
// The same in two steps: write the cell's text into the buffer that this returns, then end the cell.
struct buf *table_cell(struct table *table);
void table_end(struct table *table);
// Appends the lines. A row that was begun must be complete. `width` 0: nothing is wrapped.
void table_put(const struct table *table, unsigned width, struct buf *out);
// How many columns of a terminal a text takes: one for each character (wide ones are not told apart).
size_t text_columns(struct bytes text);
