#include "cli/rows.h"

#include "base/suggest.h"
#include "cli/field.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { LINE_MAX_BYTES = 4 << 20, WHOLE_MAX_BYTES = 256 << 20, WHOLE_OBJECTS = 1 << 24 };

static bool ends_with(const char *name, const char *ending) {
  size_t n = strlen(name), m = strlen(ending);
  return n >= m && strcasecmp(name + n - m, ending) == 0;
}

static bool is_json_name(const char *name) {
  static const char *const endings[] = {".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz"};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
    if (ends_with(name, endings[i])) return true;
  return false;
}

// ---- CSV ----

static int read_columns(struct rows *r, struct error *err) {
  int found = csv_next(&r->csv, r->record, err);
  if (found < 0) return found;
  if (found == 0) return error_set(err, ITD_EINVAL, "%s is empty; its first row names the columns", r->file);
  r->column_count = r->record->count;
  for (size_t i = 0; i < r->record->count; i++) {
    struct bytes column = r->record->field[i];
    if (!bytes_is_utf8(column)) return error_set(err, ITD_EINVAL, "%s: a column's name is no UTF-8", r->file);
    for (size_t j = 0; j < i; j++)
      if (bytes_eq(column, r->record->field[j]))
        return error_set(err, ITD_EINVAL, "%s: two columns are called \"%.*s\"", r->file, (int)column.n,
                         (const char *)column.p);
    mp_put_str(&r->columns, column);
  }
  return 0;
}

static void put_text(struct buf *out, struct bytes text) {
  if (bytes_is_utf8(text))
    mp_put_str(out, text);
  else
    mp_put_bin(out, text);
}

static int ITD_PRINTF(4, 5) fail_row(struct rows *r, int status, struct error *err, const char *format, ...) {
  struct error why = {0};
  va_list args;
  va_start(args, format);
  vsnprintf(why.text, sizeof why.text, format, args);
  va_end(args);
  size_t before = strlen(why.text);
  error_prefix(&why, "%s:%llu", r->file, (unsigned long long)r->line);
  r->why_at = strlen(why.text) - before;
  return error_set(err, status, "%s", why.text);
}

static int next_row(struct rows *r, struct buf *payload, struct error *err) {
  int found = csv_next(&r->csv, r->record, err);
  if (found <= 0) return found;
  r->line = r->csv.line;
  if (r->record->count != r->column_count) {
    mp_put_array(&r->broken, (uint32_t)r->record->count);
    for (size_t i = 0; i < r->record->count; i++) put_text(&r->broken, r->record->field[i]);
    return fail_row(r, ITD_EINVAL, err, "%zu fields, where the first row names %zu", r->record->count, r->column_count);
  }
  struct mp columns = mp_of(buf_bytes(&r->columns));
  mp_put_map(payload, (uint32_t)r->column_count);
  for (size_t i = 0; i < r->column_count; i++) {
    mp_put_raw(payload, mp_take(&columns));
    put_text(payload, r->record->field[i]);
  }
  return 1;
}

// ---- JSON ----

// Takes a parsed text apart: a list gives its elements one by one.
static void begin_list(struct rows *r) {
  r->list_at = mp_of(buf_bytes(&r->list));
  r->list_left = 1;
  if (mp_peek(&r->list_at) == MP_ARRAY) r->list_left = mp_next(&r->list_at).count;
}

// The whole of the file, which has begun with `head`, as one JSON text.
static int read_whole(struct rows *r, struct bytes head, struct error *err) {
  const struct mp_limits limits = {.depth_max = 17, .objects_max = WHOLE_OBJECTS, .bytes_max = WHOLE_MAX_BYTES};
  struct buf text = {0};
  buf_append_bytes(&text, head);
  int more = 1;
  while (more > 0 && text.n <= WHOLE_MAX_BYTES) {
    struct bytes line;
    more = input_line(&r->input, WHOLE_MAX_BYTES, &line, err);
    if (more > 0) {
      buf_append_u8(&text, '\n');
      buf_append_bytes(&text, line);
    }
  }
  int status = more < 0 ? more : mp_from_json(buf_bytes(&text), &limits, &r->list, err);
  buf_deinit(&text);
  r->is_whole = true;
  if (status < 0) error_prefix(err, "%s", r->file);
  return status;
}

static bool is_blank(struct bytes line) {
  for (size_t i = 0; i < line.n; i++)
    if (!strchr(" \t\r", line.p[i]) || !line.p[i]) return false;
  return true;
}

// A line that is no JSON text by itself may be the first of one that takes the file.
static int read_line(struct rows *r, struct error *err) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct bytes line;
  bool is_first = r->line == 0;
  int more;
  do {
    more = input_line(&r->input, LINE_MAX_BYTES, &line, err);
    r->line++;
  } while (more > 0 && is_blank(line));
  if (more <= 0) return more;
  buf_clear(&r->list);
  r->list_left = 0;
  struct error why = {0};
  int status = mp_from_json(line, &limits, &r->list, &why);
  if (status == ITD_EFRAME && is_first) {
    struct buf head = {0};
    buf_append_bytes(&head, line); // the view ends with the next line
    status = read_whole(r, buf_bytes(&head), &why);
    buf_deinit(&head);
  } else if (status < 0) {
    if (!is_first) put_text(&r->broken, line);
    return fail_row(r, status, err, "%s", why.text);
  }
  if (status < 0) return error_set(err, status, "%s", why.text);
  begin_list(r);
  return 1;
}

static int next_json(struct rows *r, struct buf *payload, struct error *err) {
  while (r->list_left == 0) {
    if (r->is_whole) return 0;
    int found = read_line(r, err);
    if (found <= 0) return found;
  }
  r->list_left--;
  mp_put_raw(payload, mp_take(&r->list_at));
  return 1;
}

// ---- both ----

int rows_open(struct rows *r, const char *file, enum rows_format format, char separator, struct error *err) {
  *r = (struct rows){.file = file, .format = format};
  if (format == ROWS_BY_NAME) r->format = is_json_name(file) ? ROWS_JSON : ROWS_CSV;
  int status = input_open(file, &r->input, err);
  if (status == 0 && r->format == ROWS_CSV) {
    r->record = xmalloc(sizeof *r->record);
    csv_init(&r->csv, &r->input, separator);
    status = read_columns(r, err);
  }
  if (status < 0) rows_close(r);
  return status;
}

void rows_close(struct rows *r) {
  if (r->record) csv_deinit(&r->csv);
  free(r->record);
  input_close(&r->input);
  buf_deinit(&r->columns);
  buf_deinit(&r->list);
  buf_deinit(&r->broken);
  *r = (struct rows){0};
}

int rows_next(struct rows *r, struct buf *payload, struct error *err) {
  buf_clear(&r->broken);
  return r->format == ROWS_CSV ? next_row(r, payload, err) : next_json(r, payload, err);
}

bool rows_nearly(const struct rows *r, const char *name, struct buf *near) {
  char **names = xcalloc(r->column_count + 1, sizeof *names);
  struct mp m = mp_of(buf_bytes(&r->columns));
  bool is_there = false;
  for (size_t i = 0; i < r->column_count; i++) {
    struct bytes column = mp_next(&m).s;
    names[i] = xstrndup(column.p, column.n);
    is_there = is_there || strcmp(names[i], name) == 0;
  }
  const char *found = is_there ? NULL : suggest(bytes_str(name), (const char *const *)names, r->column_count);
  if (found) buf_append_str(near, found);
  for (size_t i = 0; i < r->column_count; i++) free(names[i]);
  free(names);
  return found != NULL;
}
