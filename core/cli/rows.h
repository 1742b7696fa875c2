// A file of raw payloads, one after the other: rows of CSV (a map of the columns), lines of JSON, or one JSON text that
// is a payload or a list of them. What HTTP would get as bodies.
#pragma once
#include "cli/csv.h"
#include "wire/mp.h"

enum rows_format { ROWS_BY_NAME, ROWS_CSV, ROWS_JSON };

struct rows {
  struct input input;
  struct csv csv;
  struct csv_record *record;
  enum rows_format format;
  const char *file;   // the caller's
  uint64_t line;      // of the payload at hand, from 1
  struct buf columns; // packed texts
  size_t column_count;
  struct buf list; // of a line that is a list: what is left of it
  struct mp list_at;
  uint32_t list_left;
  bool is_whole; // the file was read as one JSON text
  struct buf
      broken; // rows_next failed for this row alone (a line that is no JSON: its text; a list of fields that are more or
              // fewer than the columns), and may be called again: as one packed value. Else empty
  size_t why_at; // then: where in the error's text its reason begins, behind file and line
};

// ROWS_BY_NAME: JSON when the name ends in .json, .jsonl or .ndjson (or with .gz behind), else CSV. CSV's first row
// names the columns. ITD_ENOTFOUND, ITD_EIO, ITD_EINVAL.
int rows_open(struct rows *rows, const char *file, enum rows_format format, char separator,
              struct error *err) ITD_MUST_USE;
void rows_close(struct rows *rows);
// The next payload, appended to `payload` as MessagePack: 1, or 0 after the last. Errors name file and line.
int rows_next(struct rows *rows, struct buf *payload, struct error *err) ITD_MUST_USE;
// Appends the nearest column to a name that no column has; false when there is one, none is near, or it is no CSV.
bool rows_nearly(const struct rows *rows, const char *name, struct buf *near);
