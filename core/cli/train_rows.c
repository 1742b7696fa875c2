#include "cli/train_rows.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/suggest.h"
#include "cli/csv.h"
#include "cli/feature_rows.h"
#include "store/table.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { NUMBER_BYTES = 64 };

struct text_entry {
  struct table_entry head; // key: hash128 of the text
  uint32_t place;
};

// A column of the file: nothing that is wanted, or what it holds.
struct field_use {
  enum { USE_NOTHING, USE_LEAD, USE_AT, USE_LABEL, USE_FEATURE } what;
  size_t column;
};

struct reading {
  struct train_rows *rows;
  const char *label;
  const struct policy *set;
  struct input input;
  struct csv csv;
  struct csv_record record;
  struct field_use use[CSV_FIELDS_MAX];
  size_t field_count;
  const char *name[CSV_FIELDS_MAX]; // of each field
  struct table *texts;              // of each column
  size_t cap;                       // rows
};

const char *train_part_name(enum train_part part) {
  static const char *const names[] = {"training", "validation", "test", "dropped"};
  return names[part];
}

// ---- the head ----
// What export writes beside labels and features; the rest of undeclared columns is told of.
static bool is_of_decisions(const char *name) {
  static const char *const known[] = {"number",   "cause", "stage_before", "stage",    "owner",  "action", "band",
                                      "eligible", "fit",   "engagement",   "combined", "intent", "policy"};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(name, known[i]) == 0) return true;
  return strncmp(name, "label ", 6) == 0;
}

static bool is_definitions(const char *name) {
  size_t n = strlen(ROWS_DEFINITIONS);
  return strncmp(name, ROWS_DEFINITIONS, n) == 0 && (name[n] == ' ' || !name[n]);
}

static void name_one(struct buf *list, const char *name) {
  if (list->n < 400) buf_printf(list, "%s%s", list->n ? ", " : "", name);
}

static struct field_use use_of(struct reading *r, const char *name) {
  const struct feature_set *set = policy_features(r->set);
  if (strcmp(name, "lead") == 0) return (struct field_use){.what = USE_LEAD};
  if (strcmp(name, "at") == 0) return (struct field_use){.what = USE_AT};
  if (strncmp(name, "label ", 6) == 0 && strcmp(name + 6, r->label) == 0) return (struct field_use){.what = USE_LABEL};
  int feature = feature_find(set, bytes_str(name));
  if (feature < 0) {
    if (!is_of_decisions(name) && !is_definitions(name)) name_one(&r->rows->undeclared, name);
    return (struct field_use){.what = USE_NOTHING};
  }
  const struct feature_info *info = feature_info(set, (size_t)feature);
  r->rows->column[r->rows->column_count] = (struct train_column){
      .name = info->name, .feature = feature, .is_text = info->is_text, .is_profile = info->class == FEATURE_PROFILE};
  return (struct field_use){.what = USE_FEATURE, .column = r->rows->column_count++};
}

// "definitions a=0123456789abcdef b=…", of which those of columns are kept.
static void take_definitions(struct train_rows *rows, const char *name) {
  char *copy = xstrdup(name), *rest = copy;
  for (char *one; (one = strsep(&rest, " "));) {
    char *equals = strchr(one, '='), *end;
    if (!equals) continue;
    *equals = 0;
    uint64_t hash = strtoull(equals + 1, &end, 16);
    for (size_t i = 0; i < rows->column_count && !*end; i++)
      if (strcmp(rows->column[i].name, one) == 0) rows->column[i].exported = hash;
  }
  rows->has_definitions = true;
  free(copy);
}

static int no_label(const struct reading *r, struct error *err) {
  struct buf list = {0};
  const char *names[CSV_FIELDS_MAX] = {NULL};
  size_t n = 0;
  for (size_t i = 0; i < r->field_count; i++)
    if (strncmp(r->name[i], "label ", 6) == 0) name_one(&list, names[n++] = r->name[i] + 6);
  const char *near = suggest(bytes_str(r->label), names, n);
  int rc = n ? error_set(err, ITD_EINVAL, "%s: no column \"label %.80s\"%s%s%s; its labels are: %.*s", r->rows->file,
                         r->label, near ? "; did you mean --label " : "", near ? near : "", near ? "?" : "",
                         (int)list.n, (const char *)list.p)
             : error_set(err, ITD_EINVAL, "%s has no labels: write it with intent feature export --at labels",
                         r->rows->file);
  buf_deinit(&list);
  return rc;
}

static int read_head(struct reading *r, struct error *err) {
  int rc = csv_next(&r->csv, &r->record, err);
  unsigned seen[USE_FEATURE] = {0};
  if (rc < 0) return rc;
  if (rc == 0) return error_set(err, ITD_EINVAL, "%s is empty", r->rows->file);
  struct train_rows *rows = r->rows;
  rows->column = arena_alloc(&rows->arena, r->record.count * sizeof *rows->column);
  r->field_count = r->record.count;
  for (size_t i = 0; i < r->field_count; i++) {
    r->name[i] = arena_str(&rows->arena, r->record.field[i]);
    for (size_t k = 0; k < i; k++)
      if (strcmp(r->name[i], r->name[k]) == 0)
        return error_set(err, ITD_EINVAL, "%s:1: column \"%.80s\" is there twice", rows->file, r->name[i]);
    r->use[i] = use_of(r, r->name[i]);
    if (r->use[i].what < USE_FEATURE) seen[r->use[i].what]++;
  }
  for (size_t i = 0; i < r->field_count; i++)
    if (is_definitions(r->name[i])) take_definitions(rows, r->name[i]);
  for (size_t i = 0; i < 2; i++)
    if (!seen[i ? USE_AT : USE_LEAD])
      return error_set(err, ITD_EINVAL,
                       "%s:1: no column \"%s\": rows come from intent feature export --at labels (format csv)",
                       rows->file, i ? "at" : "lead");
  if (!seen[USE_LABEL]) return no_label(r, err);
  if (!rows->column_count)
    return error_set(err, ITD_EINVAL, "%s: no column is a feature of %s", rows->file, policy_info(r->set)->signals);
  r->texts = xcalloc(rows->column_count, sizeof *r->texts);
  for (size_t i = 0; i < rows->column_count; i++) table_init(&r->texts[i], sizeof(struct text_entry));
  return 0;
}

static void find_missing(struct reading *r) {
  const struct feature_set *set = policy_features(r->set);
  for (size_t i = 0; i < feature_count(set); i++) {
    bool is_there = false;
    for (size_t k = 0; k < r->rows->column_count; k++) is_there |= r->rows->column[k].feature == (int)i;
    if (!is_there) name_one(&r->rows->missing, feature_info(set, i)->name);
  }
}

// ---- a row ----
static int refuse(const struct reading *r, size_t field, const char *what, struct error *err) {
  struct bytes cell = r->record.field[field];
  return error_set(err, ITD_EINVAL, "%s:%llu: column \"%.80s\": \"%.*s\" %s", r->rows->file,
                   (unsigned long long)r->csv.line, r->name[field], (int)(cell.n > 60 ? 60 : cell.n),
                   (const char *)cell.p, what);
}

// Decimal, and nothing else of what strtod takes.
static bool read_number(struct bytes cell, double *out) {
  char text[NUMBER_BYTES], *end;
  if (cell.n == 0 || cell.n >= sizeof text) return false;
  for (size_t i = 0; i < cell.n; i++)
    if (!cell.p[i] || !strchr("0123456789+-.eE", cell.p[i])) return false;
  memcpy(text, cell.p, cell.n);
  text[cell.n] = 0;
  *out = strtod(text, &end) + 0.0;
  return *end == 0 && isfinite(*out);
}

static bool read_time(struct bytes cell, int64_t *out) {
  char text[NUMBER_BYTES], *end;
  if (cell.n == 0 || cell.n >= sizeof text) return false;
  memcpy(text, cell.p, cell.n);
  text[cell.n] = 0;
  errno = 0;
  long long ms = strtoll(text, &end, 10);
  if (*end == 0 && errno == 0) return *out = ms, true;
  return time_parse(cell, out) == 0;
}

static double text_place(struct reading *r, size_t column, struct bytes text) {
  struct train_column *c = &r->rows->column[column];
  struct hash128 key = hash128(text);
  struct text_entry *e = table_find(&r->texts[column], key);
  if (!e && table_count(&r->texts[column]) == TRAIN_TEXTS_MAX) {
    c->has_too_many = true;
    return (double)NAN;
  }
  if (!e) {
    e = table_add(&r->texts[column], key);
    e->place = (uint32_t)c->text_count;
    if ((c->text_count & (c->text_count + 1)) == 0) // full at 0, 1, 3, 7, …
      c->texts = xrealloc(c->texts, (2 * c->text_count + 1) * sizeof *c->texts);
    c->texts[c->text_count++] = arena_copy(&r->rows->arena, text);
  }
  return (double)e->place;
}

static int make_room(struct reading *r, struct error *err) {
  struct train_rows *rows = r->rows;
  if (rows->count < r->cap) return 0;
  r->cap = r->cap ? 2 * r->cap : 1024;
  unsigned long long bytes = (unsigned long long)r->cap * rows->column_count * sizeof(double);
  if (rows->count >= TRAIN_ROWS_MAX || bytes > TRAIN_BYTES_MAX)
    return error_set(err, ITD_ETOOBIG, "%s: more than %zu rows of %zu features; export fewer (--since, --where)",
                     rows->file, rows->count, rows->column_count);
  rows->row = xrealloc(rows->row, r->cap * sizeof *rows->row);
  rows->cells = xrealloc(rows->cells, r->cap * rows->column_count * sizeof *rows->cells);
  return 0;
}

static int read_cell(struct reading *r, size_t field, struct train_row *row, bool *is_labelled, struct error *err) {
  struct bytes cell = r->record.field[field];
  struct field_use use = r->use[field];
  double *to;
  switch (use.what) {
  case USE_NOTHING: break;
  case USE_LEAD:
    if (cell.n == 0) return refuse(r, field, "is nobody: each row names its lead", err);
    row->key = hash64(cell);
    break;
  case USE_AT:
    if (!read_time(cell, &row->at_ms)) return refuse(r, field, "is no time: ms since 1970, or RFC 3339", err);
    break;
  case USE_LABEL:
    *is_labelled = cell.n > 0;
    row->came = bytes_is(cell, "1");
    if (cell.n && !row->came && !bytes_is(cell, "0")) return refuse(r, field, "is no label: 1, 0, or nothing", err);
    break;
  case USE_FEATURE:
    to = &r->rows->cells[r->rows->count * r->rows->column_count + use.column];
    *to = (double)NAN;
    if (cell.n && r->rows->column[use.column].is_text)
      *to = text_place(r, use.column, cell);
    else if (cell.n && !read_number(cell, to))
      return refuse(r, field, "is no number", err);
    break;
  }
  return 0;
}

static int read_row(struct reading *r, struct error *err) {
  struct train_rows *rows = r->rows;
  struct train_row row = {.index = (uint32_t)rows->count, .line = r->csv.line};
  bool is_labelled = false;
  if (r->record.count != r->field_count)
    return error_set(err, ITD_EINVAL, "%s:%llu: %zu fields, and the first line has %zu", rows->file,
                     (unsigned long long)r->csv.line, r->record.count, r->field_count);
  int rc = make_room(r, err);
  for (size_t i = 0; i < r->field_count && rc == 0; i++) rc = read_cell(r, i, &row, &is_labelled, err);
  if (rc) return rc;
  if (is_labelled)
    rows->row[rows->count++] = row;
  else
    rows->no_label++; // its cells are written over
  return 0;
}

// ---- the whole ----
static int by_time(const void *a, const void *b) {
  const struct train_row *x = a, *y = b;
  if (x->at_ms != y->at_ms) return x->at_ms < y->at_ms ? -1 : 1;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return (x->index > y->index) - (x->index < y->index);
}

static int by_key(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static void number_leads(struct train_rows *rows) {
  uint64_t *keys = xmalloc(rows->count * sizeof *keys + 1);
  for (size_t i = 0; i < rows->count; i++) keys[i] = rows->row[i].key;
  if (rows->count) qsort(keys, rows->count, sizeof *keys, by_key);
  for (size_t i = 0; i < rows->count; i++)
    if (i == 0 || keys[i] != keys[rows->leads - 1]) keys[rows->leads++] = keys[i];
  for (size_t i = 0; i < rows->count; i++) {
    const uint64_t *at = bsearch(&rows->row[i].key, keys, rows->leads, sizeof *keys, by_key);
    rows->row[i].lead = (uint32_t)(at - keys);
  }
  free(keys);
}

static int digest(const char *file, char hex[65], struct error *err) {
  uint8_t sha[SHA256_SIZE], block[65536];
  struct stat st;
  if (stat(file, &st) == 0 && !S_ISREG(st.st_mode)) // a device may never end, and a pipe without a writer not even open
    return error_set(err, ITD_EINVAL, "%s is no regular file: rows are read twice, so write them to one", file);
  FILE *from = fopen(file, "rbe");
  if (!from) return error_set(err, errno == ENOENT ? ITD_ENOTFOUND : ITD_EIO, "%s: %s", file, strerror(errno));
  struct sha256 *s = sha256_new();
  sha256_begin(s);
  for (size_t n; (n = fread(block, 1, sizeof block, from)) > 0;) sha256_add(s, bytes_of(block, n));
  sha256_end(s, sha);
  sha256_free(s);
  int rc = ferror(from) ? error_set(err, ITD_EIO, "%s: %s", file, strerror(errno)) : 0;
  fclose(from);
  hex_encode(bytes_of(sha, sizeof sha), hex);
  return rc;
}

static int read_all(struct reading *r, struct error *err) {
  int rc = read_head(r, err);
  if (rc) return rc;
  find_missing(r);
  while ((rc = csv_next(&r->csv, &r->record, err)) > 0) {
    rc = read_row(r, err);
    if (rc) return rc;
  }
  if (rc < 0) return rc;
  if (r->rows->count == 0)
    return error_set(err, ITD_EINVAL,
                     "%s: no row has a label (%llu are without: the journal ends before their horizon)", r->rows->file,
                     (unsigned long long)r->rows->no_label);
  qsort(r->rows->row, r->rows->count, sizeof *r->rows->row, by_time);
  number_leads(r->rows);
  return 0;
}

int train_rows_read(const char *file, const char *label, const struct policy *set, struct train_rows *out,
                    struct error *err) {
  *out = (struct train_rows){.file = file};
  arena_init(&out->arena);
  struct reading *r = xcalloc(1, sizeof *r);
  r->rows = out, r->label = label, r->set = set;
  int rc = digest(file, out->sha256, err);
  if (rc == 0) rc = input_open(file, &r->input, err);
  if (rc == 0) {
    csv_init(&r->csv, &r->input, ',');
    rc = read_all(r, err);
    csv_deinit(&r->csv);
    input_close(&r->input);
  }
  for (size_t i = 0; r->texts && i < out->column_count; i++) table_deinit(&r->texts[i]);
  free(r->texts);
  free(r);
  return rc;
}

void train_rows_free(struct train_rows *rows) {
  for (size_t i = 0; i < rows->column_count; i++) {
    free(rows->column[i].texts);
    free(rows->column[i].category);
    free(rows->column[i].categories);
  }
  free(rows->row);
  free(rows->cells);
  buf_deinit(&rows->undeclared), buf_deinit(&rows->missing);
  arena_deinit(&rows->arena);
}
