// The rows that `intent feature export --at labels` writes, read to be trained on: who, when, the label, and a number for
// each feature; texts by their places in a list.
#pragma once
#include "base/arena.h"
#include "policy/policy.h"

#define TRAIN_ROWS_MAX  4000000
#define TRAIN_BYTES_MAX (4ull << 30) // of numbers in memory
#define TRAIN_TEXTS_MAX 65536        // different ones in a column; beyond it they are not told apart

enum train_part { TRAIN_TRAINING, TRAIN_VALIDATION, TRAIN_TEST, TRAIN_PARTS, TRAIN_DROPPED = TRAIN_PARTS };
const char *train_part_name(enum train_part part);

struct train_column {
  const char *name;
  int feature; // in the signal set
  bool is_text, is_profile;
  uint64_t exported;   // the definition that its cells were made by; 0: the file does not say
  struct bytes *texts; // in the order in which they came
  size_t text_count;
  bool has_too_many; // texts
  // Set by train_columns (cli/train_split.h):
  const char *left_out;  // why it is in no model; NULL: it is in some
  size_t category_count; // texts that the training rows have, by their bytes
  uint32_t *category;    // of each text: its category, or category_count
  struct bytes *categories;
};

struct train_row {
  int64_t at_ms;
  uint64_t key;  // of the lead's text
  uint32_t lead; // 0 …, by key
  uint32_t index;
  uint64_t line; // of the file, where it begins
  bool came;
  enum train_part part;
};

struct train_rows {
  const char *file;
  char sha256[65];       // of the file's bytes, as they lie there
  struct train_row *row; // by time
  size_t count, leads;
  double *cells; // row[i].index * column_count + column: NaN where nothing is known; a text's place in `texts`
  struct train_column *column;
  size_t column_count;
  uint64_t no_label;     // rows that have none and are left out
  bool has_definitions;  // the file says by which they were made
  struct buf undeclared; // names of columns that are no feature of the set: "a, b"
  struct buf missing;    // features of the set that have no column
  struct arena arena;
};

// Reads a CSV file (may be packed with gzip). ITD_ENOTFOUND, ITD_EIO; ITD_EINVAL, ITD_ETOOBIG with file and line: no column
// "lead", "at" or "label NAME" (says which labels there are), a cell that is no number, a label other than 1, 0 or nothing.
int train_rows_read(const char *file, const char *label, const struct policy *set, struct train_rows *out,
                    struct error *err) ITD_MUST_USE;
void train_rows_free(struct train_rows *rows); // what is zeroed may be freed
