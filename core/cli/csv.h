// CSV as RFC 4180 has it: fields in quotes may hold commas, line ends and "" for a quote. Records are found in bytes as
// they come. Pure but for csv_next, which reads its input.
#pragma once
#include "cli/input.h"

#define CSV_FIELDS_MAX 512
#define CSV_RECORD_MAX (1u << 20) // bytes

struct csv_record {
  struct bytes field[CSV_FIELDS_MAX]; // unquoted; good until the next record
  size_t count;
};

struct csv {
  struct input *input;
  char separator;
  uint64_t line, next_line; // where the record at hand began, where the next one does; from 1
  struct buf text;          // unquoted fields
  bool is_begun;
};

// `separator`: ',' or another byte that is neither a quote nor a line end.
void csv_init(struct csv *csv, struct input *input, char separator);
void csv_deinit(struct csv *csv);
// The next record: 1, or 0 after the last. Lines that are empty are passed over; a byte order mark at the start too;
// "\n" and "\r\n" end a record. ITD_EINVAL: a quote inside a field without quotes, text after a closing quote, a quote
// that is never closed, too many fields; ITD_ETOOBIG: the record is too long; each with the line. ITD_EIO.
int csv_next(struct csv *csv, struct csv_record *record, struct error *err) ITD_MUST_USE;
