// Rows of an export, one a decision, as CSV or as MessagePack. Columns are fixed at the beginning: what was decided, the
// labels, then the features of one set (and of CSV one that names their definitions); a decision that was made by another version fills those of the same definition.
#pragma once
#include "engine/engine.h"
#include "store/outcomes.h"

#include <stdio.h>

#define ROW_LABELS_MAX 16
// CSV: the last column has no cells, but a name: this word and " FEATURE=HASH" for each feature's column, where HASH is its
// definition's as models name it. So rows say what they mean without a second file.
#define ROWS_DEFINITIONS "definitions"

struct row_format {
  FILE *to;
  bool is_csv;
  bool is_personal;            // features that are personal are columns, too
  const struct policy *policy; // whose features are the columns
  const char *label[ROW_LABELS_MAX];
  size_t label_count;
};
struct rows;
struct rows *rows_new(const struct row_format *format); // writes nothing; `format` is copied, what it points to is not
void rows_free(struct rows *rows);
int rows_head(struct rows *rows, struct error *err) ITD_MUST_USE; // ITD_EIO
// `policy`: of the decision; `feature_state`: after its event; `decision`: the answer, as recorded.
int rows_put(struct rows *rows, const struct policy *policy, const uint8_t *feature_state, int64_t now_ms,
             struct bytes decision, uint32_t number, const enum outcome *labels, struct error *err) ITD_MUST_USE;
// Whether a decision has the value at a column before the labels; false too where there is no such column.
bool rows_is_column(const char *name);
bool rows_fits(struct bytes decision, const char *name, const char *value);
