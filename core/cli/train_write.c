#include "cli/train.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- model.json: one thing a line, as a reviewer reads it ----
static void put_json_text(struct buf *out, struct bytes text) {
  struct buf packed = {0};
  mp_put_str(&packed, text);
  mp_to_json(buf_bytes(&packed), out);
  buf_deinit(&packed);
}

static void put_text(struct buf *out, const char *key, const char *text) {
  buf_printf(out, "  \"%s\": ", key);
  put_json_text(out, bytes_str(text));
  buf_append_str(out, ",\n");
}

static void put_features(const struct training *t, struct buf *out) {
  const struct train_model *m = t->chosen;
  buf_append_str(out, "  \"features\": [\n");
  for (size_t k = 0; k < m->count; k++) {
    const struct train_column *c = &t->rows.column[m->column[k]];
    const struct feature_info *info = feature_info(policy_features(t->set), (size_t)c->feature);
    buf_printf(out, "    {\"name\": \"%s\", \"definition\": \"%016llx\"", c->name,
               (unsigned long long)info->definition_hash);
    if (c->is_text) buf_append_str(out, ", \"categories\": [");
    for (size_t i = 0; c->is_text && i < c->category_count; i++) {
      if (i) buf_append_str(out, ", ");
      put_json_text(out, c->categories[i]);
    }
    buf_printf(out, "%s}%s\n", c->is_text ? "]" : "", k + 1 < m->count ? "," : "");
  }
  buf_append_str(out, "  ],\n");
}

static void put_list(struct buf *out, const char *key, const double *values, size_t count) {
  buf_printf(out, "\"%s\": [", key);
  for (size_t i = 0; i < count; i++) buf_printf(out, "%s%.17g", i ? ", " : "", values[i]);
  buf_append_str(out, "]");
}

static void put_calibration(const struct fit *fit, struct buf *out) {
  if (fit->kind == FIT_PLATT)
    buf_printf(out, "  \"calibration\": {\"kind\": \"platt\", \"slope\": %.17g, \"intercept\": %.17g},\n", fit->slope,
               fit->intercept);
  if (fit->kind != FIT_ISOTONIC) return;
  buf_append_str(out, "  \"calibration\": {\"kind\": \"isotonic\", ");
  put_list(out, "margins", fit->margins, fit->count);
  buf_append_str(out, ", ");
  put_list(out, "probabilities", fit->probabilities, fit->count);
  buf_append_str(out, "},\n");
}

static void put_trained(const struct training *t, struct buf *out) {
  const struct train_part_count *p = t->split.part;
  char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
  time_format(p[TRAIN_TRAINING].from_ms, from), time_format(p[TRAIN_VALIDATION].to_ms, to);
  buf_append_str(out, "  \"trained\": {\"by\": ");
  put_json_text(out, bytes_str(t->by));
  buf_printf(out, ", \"when\": \"%s\", \"window\": \"%s to %s\", \"data\": \"sha256:%s\", \"rows\": %llu},\n", t->when,
             from, to, t->rows.sha256, (unsigned long long)(p[TRAIN_TRAINING].rows + p[TRAIN_VALIDATION].rows));
}

static void put_number(struct buf *out, const char *name, const char *of, double x) {
  if (!isnan(x)) buf_printf(out, "\"%s%s\": %.6g, ", name, of, x);
}

static void put_metrics(const struct training *t, struct buf *out) {
  const struct train_model *m = t->chosen;
  const struct train_part_count *test = &t->split.part[TRAIN_TEST];
  char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
  time_format(test->from_ms, from), time_format(test->to_ms, to);
  buf_append_str(out, "  \"metrics\": {");
  for (enum metric k = 0; k < METRICS; k++) {
    struct interval i = metric_interval(m->draws, TRAIN_DRAWS, k, TRAIN_LEVEL);
    put_number(out, metric_name(k), "", m->metrics.value[k]);
    put_number(out, metric_name(k), "_low", i.low);
    put_number(out, metric_name(k), "_high", i.high);
  }
  buf_printf(out, "\"test_rows\": %llu, \"test_leads\": %llu, \"test_came\": %llu, \"test_window\": \"%s to %s\"},\n",
             (unsigned long long)test->rows, (unsigned long long)test->leads, (unsigned long long)test->came, from, to);
}

void train_model_json(const struct training *t, struct buf *out) {
  const struct train_model *m = t->chosen;
  uint8_t sha[SHA256_SIZE];
  char hex[2 * SHA256_SIZE + 1];
  sha256_of(buf_bytes(&m->weights), sha);
  hex_encode(bytes_of(sha, sizeof sha), hex);
  buf_append_str(out, "{\n");
  put_text(out, "name", t->name);
  put_text(out, "version", t->version);
  put_text(out, "kind", t->trainer->kind);
  put_text(out, "sha256", hex);
  put_text(out, "target", t->target);
  buf_append_str(out, "  \"scale\": {\"points_to_double_odds\": 10, \"points_at_even_odds\": 50},\n");
  buf_printf(out, "  \"base_margin\": %.17g,\n", m->base_margin);
  put_features(t, out);
  put_calibration(&m->calibration, out);
  put_trained(t, out);
  put_metrics(t, out);
  put_text(out, "rationale", t->rationale);
  out->n -= 2; // ",\n"
  buf_append_str(out, "\n}\n");
}

// ---- against the engine ----
struct asking {
  double values[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  double contributions[MODEL_TERMS_MAX], points[MODEL_TERMS_MAX];
};

// One row as feature_read would give it; columns that the model does not name are there, too.
static void spread(const struct train_rows *rows, const struct train_row *row, struct asking *a) {
  for (size_t i = 0; i < rows->column_count; i++) {
    const struct train_column *c = &rows->column[i];
    double x = rows->cells[row->index * rows->column_count + i];
    a->values[c->feature] = c->is_text ? (double)NAN : x;
    a->texts[c->feature] = c->is_text && !isnan(x) ? c->texts[(size_t)x] : (struct bytes){0};
  }
}

static int compare_rows(struct training *t, const struct model_bound *bound, struct error *err) {
  struct asking *a = xcalloc(1, sizeof *a);
  const struct train_model *m = t->chosen;
  double tests = (double)t->split.part[TRAIN_TEST].rows;
  int rc = 0;
  for (size_t i = 0; i < t->rows.count && rc == 0; i++) {
    const struct train_row *row = &t->rows.row[i];
    struct model_output said;
    if (row->part == TRAIN_DROPPED) continue;
    spread(&t->rows, row, a);
    model_score(bound, a->values, a->texts, a->contributions, a->points, &said);
    if (said.margin != (double)m->margins[i] + 0.0)
      rc = error_set(err, ITD_EINTERNAL,
                     "row %u of the file: the engine's margin is %.9g, the library's %.9g: nothing is written, for the "
                     "model would not be what was judged",
                     row->index + 1, said.margin, (double)m->margins[i]);
    t->compared++;
    for (size_t k = 0; k < m->count && row->part == TRAIN_TEST; k++)
      t->influence[k] += fabs(a->contributions[k]) / tests;
  }
  free(a);
  return rc;
}

int train_compare(struct training *t, struct bytes model_json, struct error *err) {
  struct model *model = NULL;
  struct model_bound *bound = NULL;
  t->influence = xcalloc(t->chosen->count, sizeof *t->influence);
  if (t->chosen->weights.n > MODEL_TREES_MAX)
    return error_set(err, ITD_ETOOBIG,
                     "the model's file has %zu bytes, and models of up to %u load: fewer or shallower trees (--trees, "
                     "--depth)",
                     t->chosen->weights.n, MODEL_TREES_MAX);
  int rc = model_parse(model_json, buf_bytes(&t->chosen->weights), &model, err);
  if (rc == 0) rc = model_bind(model, policy_features(t->set), &bound, err);
  if (rc == 0) rc = compare_rows(t, bound, err);
  model_bound_free(bound);
  model_free(model);
  return rc;
}

void train_scores(const struct training *t, struct buf *out) {
  buf_printf(out, "line,part,label,margin\n");
  for (size_t i = 0; i < t->rows.count; i++) {
    const struct train_row *row = &t->rows.row[i];
    if (row->part == TRAIN_DROPPED) continue;
    buf_printf(out, "%llu,%s,%d,%.17g\n", (unsigned long long)row->line, train_part_name(row->part), row->came,
               (double)t->chosen->margins[i]);
  }
}

// ---- the folder ----
static int sync_folder(const char *path, struct error *err) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int rc = fd < 0 || fsync(fd) ? error_set(err, ITD_EIO, "%s: %s", path, strerror(errno)) : 0;
  if (fd >= 0) close(fd);
  return rc;
}

static char *joined(const char *a, const char *b) {
  struct buf text = {0};
  buf_printf(&text, "%s/%s", a, b);
  char *copy = xstrndup(text.p, text.n);
  buf_deinit(&text);
  return copy;
}

static int write_one(const char *folder, const struct train_file *f, struct error *err) {
  char *path = joined(folder, f->name);
  int rc = file_replace(path, f->content, err);
  if (rc == 0 && chmod(path, 0644)) rc = error_set(err, ITD_EIO, "%s: %s", path, strerror(errno)); // it goes into git
  free(path);
  return rc;
}

static void remove_all(const char *folder, const struct train_file *files, size_t count) {
  for (size_t i = 0; i < count; i++) {
    char *path = joined(folder, files[i].name);
    (void)unlink(path);
    free(path);
  }
  (void)rmdir(folder);
}

// Beside its place under a hidden name, which nothing reads, then renamed.
int train_folder(const char *path, const struct train_file *files, size_t count, struct error *err) {
  char *copy = xstrdup(path), *slash = strrchr(copy, '/');
  const char *parent = slash ? copy : ".", *last = slash ? slash + 1 : copy;
  if (slash) *slash = 0;
  struct buf hidden = {0};
  buf_printf(&hidden, "%s/.%s.XXXXXX", parent, last);
  buf_append_u8(&hidden, 0);
  char *made = (char *)hidden.p;
  // For others to read, too; the folders above it are private when they have to be made.
  bool is_new = mkdir(parent, 0777) == 0;
  int rc = is_new || errno == EEXIST ? 0 : dir_make(parent, err);
  if (rc == 0 && access(path, F_OK) == 0)
    rc = error_set(err, ITD_EINVAL, "%s is there already: a version never changes, give another one", path);
  bool is_made = rc == 0 && mkdtemp(made);
  if (rc == 0 && !is_made) rc = error_set(err, ITD_EIO, "%s: %s", made, strerror(errno));
  for (size_t i = 0; i < count && rc == 0; i++) rc = write_one(made, &files[i], err);
  if (rc == 0 && chmod(made, 0755)) rc = error_set(err, ITD_EIO, "%s: %s", made, strerror(errno));
  if (rc == 0) rc = sync_folder(made, err);
  if (rc == 0 && renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE))
    rc = error_set(err, errno == EEXIST ? ITD_EINVAL : ITD_EIO, "%s: %s", path, strerror(errno));
  else if (rc == 0)
    is_made = false, rc = sync_folder(parent, err);
  if (is_made) remove_all(made, files, count);
  if (rc && is_new) (void)rmdir(parent); // nothing is left of it, unless somebody else put something there
  buf_deinit(&hidden);
  free(copy);
  return rc;
}
