#include "cli/csv.h"

#include "base/check.h"

void csv_init(struct csv *csv, struct input *input, char separator) {
  CHECK(separator != '"' && separator != '\n' && separator != '\r');
  *csv = (struct csv){.input = input, .separator = separator, .line = 1, .next_line = 1};
}

void csv_deinit(struct csv *csv) { buf_deinit(&csv->text); }

// Where the record that begins at `start` ends: the place of its "\n", or of the end of all input. A quote opens or
// closes whatever stands around it, as split_record then judges.
static int find_end(struct csv *csv, size_t *length, bool *has_newline, struct error *err) {
  struct input *in = csv->input;
  bool is_quoted = false;
  for (size_t i = 0;; i++) {
    if (i > CSV_RECORD_MAX)
      return error_set(err, ITD_ETOOBIG, "%s:%llu: a record of more than %u bytes%s", in->name,
                       (unsigned long long)csv->next_line, CSV_RECORD_MAX, is_quoted ? "; is a quote missing?" : "");
    while (in->at + i == in->bytes.n) {
      int more = input_more(in, err);
      if (more < 0) return more;
      if (more) continue;
      if (is_quoted)
        return error_set(err, ITD_EINVAL, "%s:%llu: a quote is opened and never closed", in->name,
                         (unsigned long long)csv->next_line);
      *length = i;
      *has_newline = false;
      return 0;
    }
    uint8_t c = in->bytes.p[in->at + i];
    if (c == '"') is_quoted = !is_quoted;
    if (c != '\n' || is_quoted) continue;
    *length = i;
    *has_newline = true;
    return 0;
  }
}

static int broken(const struct csv *csv, struct error *err, size_t field, const char *what) {
  return error_set(err, ITD_EINVAL, "%s:%llu: field %zu: %s", csv->input->name, (unsigned long long)csv->line,
                   field + 1, what);
}

// One field from `p`; returns where it ends (its separator, or `end`), NULL when it is broken.
static const uint8_t *take_field(struct csv *csv, const uint8_t *p, const uint8_t *end, const char **why) {
  if (p == end || *p != '"') {
    const uint8_t *start = p;
    while (p < end && *p != (uint8_t)csv->separator && *p != '"') p++;
    if (p < end && *p == '"') {
      *why = "a quote inside a field that does not begin with one";
      return NULL;
    }
    buf_append(&csv->text, start, (size_t)(p - start));
    return p;
  }
  for (p++;; p++) {
    const uint8_t *quote = p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
    if (!quote) {
      *why = "a quote is opened and never closed";
      return NULL;
    }
    buf_append(&csv->text, p, (size_t)(quote - p));
    p = quote + 1;
    if (p == end || *p != '"') break;
    buf_append_u8(&csv->text, '"');
  }
  if (p < end && *p != (uint8_t)csv->separator) {
    *why = "text after the closing quote";
    return NULL;
  }
  return p;
}

static int split_record(struct csv *csv, struct bytes text, struct csv_record *record, struct error *err) {
  const uint8_t *p = text.p, *end = text.p + text.n;
  buf_clear(&csv->text);
  buf_reserve(&csv->text, text.n); // unquoted it is never longer: the views stay where they are
  record->count = 0;
  for (;; p++) {
    if (record->count == CSV_FIELDS_MAX) return broken(csv, err, record->count, "more than 512 fields");
    size_t start = csv->text.n;
    const char *why = NULL;
    p = take_field(csv, p, end, &why);
    if (!p) return broken(csv, err, record->count, why);
    record->field[record->count++] = bytes_of(csv->text.p + start, csv->text.n - start);
    if (p == end) return 0;
  }
}

static void skip_mark(struct csv *csv) {
  struct input *in = csv->input;
  if (in->bytes.n - in->at >= 3 && memcmp(in->bytes.p + in->at, "\xef\xbb\xbf", 3) == 0) in->at += 3;
}

int csv_next(struct csv *csv, struct csv_record *record, struct error *err) {
  struct input *in = csv->input;
  if (!csv->is_begun) {
    csv->is_begun = true;
    while (in->bytes.n - in->at < 3 && !in->is_end) {
      int more = input_more(in, err);
      if (more < 0) return more;
    }
    skip_mark(csv);
  }
  for (;;) {
    size_t n = 0;
    bool has_newline = false;
    int status = find_end(csv, &n, &has_newline, err);
    if (status < 0) return status;
    if (n == 0 && !has_newline) return 0;
    struct bytes text = bytes_of(in->bytes.p + in->at, n);
    in->at += n + has_newline;
    csv->line = csv->next_line;
    csv->next_line += has_newline;
    for (size_t i = 0; i < n; i++) csv->next_line += text.p[i] == '\n';
    if (text.n && text.p[text.n - 1] == '\r') text.n--;
    if (text.n == 0) continue;
    status = split_record(csv, text, record, err);
    return status < 0 ? status : 1;
  }
}
