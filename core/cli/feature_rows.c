#include "cli/feature_rows.h"

#include "base/check.h"
#include "cli/field.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

// What was decided: a column's name, and where the answer has it.
enum cell { CELL_TEXT, CELL_INT, CELL_MILLI, CELL_BOOL };
static const struct {
  const char *name, *path;
  enum cell cell;
} columns[] = {{"lead", "lead", CELL_TEXT},
               {"number", NULL, CELL_INT},
               {"at", "at", CELL_INT},
               {"cause", "cause", CELL_TEXT},
               {"stage_before", "stage_before", CELL_TEXT},
               {"stage", "stage", CELL_TEXT},
               {"owner", "owner", CELL_TEXT},
               {"action", "action", CELL_TEXT},
               {"band", "band", CELL_TEXT},
               {"eligible", "eligible", CELL_BOOL},
               {"fit", "scores.fit", CELL_MILLI},
               {"engagement", "scores.engagement", CELL_MILLI},
               {"combined", "scores.combined", CELL_MILLI},
               {"intent", "scores.intent", CELL_MILLI},
               {"policy", "policy.version", CELL_TEXT}};
#define COLUMNS (sizeof columns / sizeof *columns)

struct mapped { // where a version's features lie: -1 none of the same definition
  const struct policy *policy;
  int feature[FEATURES_MAX];
};

struct rows {
  struct row_format format;
  struct mapped *mapped;
  size_t mapped_count;
  struct buf line;
};

struct rows *rows_new(const struct row_format *format) {
  struct rows *rows = xcalloc(1, sizeof *rows);
  rows->format = *format;
  return rows;
}

void rows_free(struct rows *rows) {
  if (!rows) return;
  free(rows->mapped);
  buf_deinit(&rows->line);
  free(rows);
}

// ---- cells ----
// Of CSV: after a comma, in quotes where it has to be (RFC 4180).
static void put_text(struct rows *rows, struct bytes text) {
  struct buf *out = &rows->line;
  if (!rows->format.is_csv) {
    mp_put_str(out, text);
    return;
  }
  bool is_plain = text.n > 0; // an empty text is "", and nothing is what is not known
  for (size_t i = 0; i < text.n; i++) is_plain = is_plain && !strchr(",\"\r\n", text.p[i]) && text.p[i];
  if (!is_plain) buf_append_u8(out, '"');
  for (size_t i = 0; i < text.n; i++) {
    if (text.p[i] == '"') buf_append_u8(out, '"');
    buf_append_u8(out, text.p[i]);
  }
  if (!is_plain) buf_append_u8(out, '"');
}

static void put_nothing(struct rows *rows) {
  if (!rows->format.is_csv) mp_put_nil(&rows->line);
}

static void put_int(struct rows *rows, int64_t n) {
  if (rows->format.is_csv)
    buf_printf(&rows->line, "%lld", (long long)n);
  else
    mp_put_int(&rows->line, n);
}

// The shortest text that reads back to the same bits.
static void put_number(struct rows *rows, double x) {
  char text[40];
  if (!rows->format.is_csv) {
    mp_put_float(&rows->line, x);
    return;
  }
  if (x > -1e15 && x < 1e15 && x == (double)(int64_t)x) { // most are
    buf_printf(&rows->line, "%lld", (long long)x);
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, x);
    if (strtod(text, NULL) == x) break;
  }
  buf_append_str(&rows->line, text);
}

static void between(struct rows *rows, size_t index) {
  if (rows->format.is_csv && index) buf_append_u8(&rows->line, ',');
}

static int flush(struct rows *rows, struct error *err) {
  if (rows->format.is_csv) buf_append_u8(&rows->line, '\n');
  size_t n = fwrite(rows->line.p, 1, rows->line.n, rows->format.to);
  return n == rows->line.n ? 0 : error_set(err, ITD_EIO, "writing rows: %s", strerror(errno));
}

// ---- columns ----
static bool is_shown(const struct rows *rows, const struct feature_info *info) {
  return !info->is_personal || rows->format.is_personal;
}

static size_t shown_features(const struct rows *rows) {
  const struct feature_set *set = policy_features(rows->format.policy);
  size_t n = 0;
  for (size_t i = 0; i < feature_count(set); i++) n += is_shown(rows, feature_info(set, i));
  return n;
}

static size_t put_names(struct rows *rows) { // how many
  const struct feature_set *set = policy_features(rows->format.policy);
  size_t n = 0;
  char name[300];
  for (size_t i = 0; i < COLUMNS; i++) between(rows, n++), put_text(rows, bytes_str(columns[i].name));
  for (size_t i = 0; i < rows->format.label_count; i++) {
    snprintf(name, sizeof name, "label %.280s", rows->format.label[i]);
    between(rows, n++), put_text(rows, bytes_str(name));
  }
  for (size_t i = 0; i < feature_count(set); i++)
    if (is_shown(rows, feature_info(set, i))) between(rows, n++), put_text(rows, bytes_str(feature_info(set, i)->name));
  return n;
}

// Of CSV the last column's name: by which definitions the others were made. Its cells are empty.
static void put_definitions(struct rows *rows, size_t column) {
  const struct feature_set *set = policy_features(rows->format.policy);
  struct buf name = {0};
  buf_append_str(&name, ROWS_DEFINITIONS);
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    if (is_shown(rows, info)) buf_printf(&name, " %s=%016llx", info->name, (unsigned long long)info->definition_hash);
  }
  between(rows, column), put_text(rows, buf_bytes(&name));
  buf_deinit(&name);
}

// MessagePack begins with a map that says what the rows are; definitions as models name them.
static void put_about(struct rows *rows) {
  const struct feature_set *set = policy_features(rows->format.policy);
  struct buf *out = &rows->line;
  char hash[17];
  size_t features = shown_features(rows);
  mp_put_map(out, 4);
  mp_put_cstr(out, "format"), mp_put_int(out, 1);
  engine_put_signals(rows->format.policy, out);
  mp_put_cstr(out, "columns");
  mp_put_array(out, (uint32_t)(COLUMNS + rows->format.label_count + features));
  put_names(rows);
  mp_put_cstr(out, "definitions");
  mp_put_map(out, (uint32_t)features);
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    if (!is_shown(rows, info)) continue;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)info->definition_hash);
    mp_put_cstr(out, info->name), mp_put_cstr(out, hash);
  }
}

int rows_head(struct rows *rows, struct error *err) {
  buf_clear(&rows->line);
  if (rows->format.is_csv)
    put_definitions(rows, put_names(rows));
  else
    put_about(rows);
  return flush(rows, err);
}

// The feature with the column's name when it means the same, else another one of that meaning.
static int like(const struct feature_set *set, const struct feature_info *want) {
  int index = feature_find(set, bytes_str(want->name));
  if (index >= 0 && feature_info(set, (size_t)index)->definition_hash == want->definition_hash) return index;
  for (size_t i = 0; i < feature_count(set); i++)
    if (feature_info(set, i)->definition_hash == want->definition_hash) return (int)i;
  return -1;
}

static const struct mapped *map(struct rows *rows, const struct policy *policy) {
  for (size_t i = 0; i < rows->mapped_count; i++)
    if (rows->mapped[i].policy == policy) return &rows->mapped[i];
  rows->mapped = xrealloc(rows->mapped, (rows->mapped_count + 1) * sizeof *rows->mapped);
  struct mapped *m = &rows->mapped[rows->mapped_count++];
  m->policy = policy;
  const struct feature_set *set = policy_features(rows->format.policy);
  for (size_t i = 0; i < feature_count(set); i++) m->feature[i] = like(policy_features(policy), feature_info(set, i));
  return m;
}

// ---- rows ----
static void put_decided(struct rows *rows, size_t column, struct bytes decision, uint32_t number) {
  const char *path = columns[column].path;
  struct bytes value = path ? field(decision, path) : bytes_of(NULL, 0);
  if (!path)
    put_int(rows, number);
  else if (!value.n)
    put_nothing(rows);
  else if (columns[column].cell == CELL_TEXT)
    put_text(rows, field_text(decision, path));
  else if (columns[column].cell == CELL_MILLI)
    put_number(rows, (double)field_int(decision, path, 0) / 1000);
  else if (columns[column].cell == CELL_BOOL)
    put_int(rows, field_is(decision, path));
  else
    put_int(rows, field_int(decision, path, 0));
}

static void put_features(struct rows *rows, const struct policy *policy, const uint8_t *state, int64_t now_ms,
                         size_t n) {
  const struct feature_set *set = policy_features(rows->format.policy);
  const struct mapped *mapped = map(rows, policy);
  double values[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  feature_read(policy_features(policy), state, now_ms, values, texts);
  for (size_t i = 0; i < feature_count(set); i++) {
    const struct feature_info *info = feature_info(set, i);
    if (!is_shown(rows, info)) continue;
    int at = mapped->feature[i];
    between(rows, n++);
    if (at < 0 || (info->is_text ? !texts[at].n : isnan(values[at])))
      put_nothing(rows);
    else if (info->is_text)
      put_text(rows, texts[at]);
    else
      put_number(rows, values[at]);
  }
}

int rows_put(struct rows *rows, const struct policy *policy, const uint8_t *feature_state, int64_t now_ms,
             struct bytes decision, uint32_t number, const enum outcome *labels, struct error *err) {
  size_t n = 0;
  buf_clear(&rows->line);
  if (!rows->format.is_csv)
    mp_put_array(&rows->line, (uint32_t)(COLUMNS + rows->format.label_count + shown_features(rows)));
  for (size_t i = 0; i < COLUMNS; i++) between(rows, n++), put_decided(rows, i, decision, number);
  for (size_t i = 0; i < rows->format.label_count; i++) {
    between(rows, n++);
    if (labels[i] == OUTCOME_OPEN)
      put_nothing(rows);
    else
      put_int(rows, labels[i] == OUTCOME_YES);
  }
  put_features(rows, policy, feature_state, now_ms, n);
  between(rows, n); // the definitions' column
  return flush(rows, err);
}

static const char *path_of(const char *name) {
  for (size_t i = 0; i < COLUMNS; i++)
    if (columns[i].cell == CELL_TEXT && strcmp(columns[i].name, name) == 0) return columns[i].path;
  return NULL;
}

bool rows_is_column(const char *name) { return path_of(name) != NULL; }

bool rows_fits(struct bytes decision, const char *name, const char *value) {
  const char *path = path_of(name);
  return path && bytes_is(field_text(decision, path), value);
}
