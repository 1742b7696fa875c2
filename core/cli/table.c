#include "cli/table.h"

#include "base/check.h"

#include <stdlib.h>

enum { GAP = 2, LAST_MIN = 20 }; // columns between columns; the narrowest that the last one is wrapped to

void table_init(struct table *table, const char *layout) {
  *table = (struct table){0};
  for (; layout[table->columns]; table->columns++) {
    CHECK(table->columns < TABLE_COLUMNS_MAX);
    table->right[table->columns] = layout[table->columns] == 'r';
  }
  CHECK(table->columns > 0);
}

void table_deinit(struct table *table) {
  buf_deinit(&table->cells);
  free(table->end);
  *table = (struct table){0};
}

struct buf *table_cell(struct table *table) {
  return &table->cells;
}

void table_end(struct table *table) {
  if (table->count == table->cap) {
    table->cap = table->cap ? 2 * table->cap : 64;
    table->end = xrealloc(table->end, table->cap * sizeof *table->end);
  }
  table->end[table->count++] = table->cells.n;
}

void table_add(struct table *table, struct bytes text) {
  buf_append_bytes(&table->cells, text);
  table_end(table);
}

void table_add_str(struct table *table, const char *text) { table_add(table, bytes_str(text)); }

size_t text_columns(struct bytes text) {
  size_t columns = 0;
  for (size_t i = 0; i < text.n; i++) columns += (text.p[i] & 0xc0) != 0x80;
  return columns;
}

static struct bytes cell(const struct table *table, size_t i) {
  size_t start = i ? table->end[i - 1] : 0;
  return bytes_of(table->cells.p + start, table->end[i] - start);
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

void table_put(const struct table *table, unsigned width, struct buf *out) {
  CHECK(table->count % table->columns == 0);
  size_t widest[TABLE_COLUMNS_MAX] = {0};
  for (size_t i = 0; i < table->count; i++) {
    size_t columns = text_columns(cell(table, i)), c = i % table->columns;
    if (columns > widest[c]) widest[c] = columns;
  }
  size_t left = table->indent; // of the last column
  for (unsigned c = 0; c + 1 < table->columns; c++) left += widest[c] + GAP;
  for (size_t i = 0; i < table->count; i++) {
    unsigned c = (unsigned)(i % table->columns);
    struct bytes text = cell(table, i);
    size_t pad = widest[c] - text_columns(text);
    bool is_last = c + 1 == table->columns;
    if (c == 0) put_spaces(out, table->indent);
    if (table->right[c]) put_spaces(out, pad);
    if (is_last)
      put_last(text, left, width, out);
    else
      buf_append_bytes(out, text);
    if (!is_last) put_spaces(out, GAP + (table->right[c] ? 0 : pad));
    if (!is_last) continue;
    trim(out);
    buf_append_u8(out, '\n');
  }
}
