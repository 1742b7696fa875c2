// Which rows a model learns from, is stopped and calibrated by, and is judged on: by time, never at random, and no lead is on
// two sides. And which columns say anything at all.
#pragma once
#include "cli/train_rows.h"

#define TRAIN_LEAST      50  // rows of the training part
#define TRAIN_LEAST_REST 20  // rows of the others
#define TRAIN_SHARE      0.7 // of leads, by their first row: training, when no time is given
#define VALIDATION_SHARE 0.15
#define VALIDATION_OF    0.2 // of the leads before a time that is given

struct train_split {
  int64_t validation_ms, test_ms; // where these parts begin
  int64_t gap_ms;
  struct train_part_count {
    uint64_t rows, leads, came;
    int64_t from_ms, to_ms; // of its rows
  } part[TRAIN_PARTS];
  uint64_t later; // rows left out because their lead belongs to an earlier part
  uint64_t gap;   // rows left out because their label looks beyond their part's end
};

// A lead is of the part in which its first row lies; its rows after that part's end are left out. `test_ms` INT64_MIN: 70, 15
// and 15 % of the leads, by their first rows. `gap_ms`: rows of the first two parts that lie less than this before their
// part's end are left out, too. ITD_EINVAL: a part has too few rows, or one class only; the text says what to do.
int train_split(struct train_rows *rows, int64_t test_ms, int64_t gap_ms, struct train_split *out,
                struct error *err) ITD_MUST_USE;

struct train_names { // of features, of events
  const char **name;
  size_t count;
};
// Fills each column's left_out and categories, by the training rows. `only`: the features that may be in a model (none named:
// all), `without`: those that may not. `events`: what settles the label. ITD_EINVAL: a named feature is no column; a feature
// hears one of these events by name (a leak); no column is left. What hears every event is named in `hears_all`.
int train_columns(struct train_rows *rows, const struct policy *set, const struct train_names *only,
                  const struct train_names *without, const struct train_names *events, struct buf *hears_all,
                  struct error *err) ITD_MUST_USE;
