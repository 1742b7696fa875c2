#include "cli/train_fit.h"

#include "base/check.h"
#include "base/pmath.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

struct part { // the rows of one part, as the trainer wants them
  size_t count;
  float *values, *labels;
  size_t *row; // places in train_rows
  struct itd_rows *rows;
};

struct fitting {
  const struct itd_trainer *trainer;
  const struct train_rows *rows;
  const struct train_settings *settings;
  struct train_model *model;
  struct part part[TRAIN_PARTS];
  uint32_t categories[FEATURES_MAX];
  struct itd_booster *booster;
  char said[ITD_PLUGIN_ERROR];
};

static int refuse(const struct fitting *f, struct error *err) {
  return error_set(err, ITD_EINVAL, "the %s model can't be trained: %s", f->model->group, f->said);
}

// ---- rows for the trainer ----
// A float as the engine rounds it; what is beyond a float stands at its end, which compares alike.
static float cell(const struct train_rows *rows, const struct train_row *row, size_t column) {
  double x = rows->cells[row->index * rows->column_count + column];
  if (isnan(x)) return NAN;
  const struct train_column *c = &rows->column[column];
  if (c->is_text) return (float)c->category[(size_t)x];
  float y = (float)x;
  return y > FLT_MAX ? FLT_MAX : y < -FLT_MAX ? -FLT_MAX : y;
}

static int take_part(struct fitting *f, enum train_part which, struct error *err) {
  struct part *p = &f->part[which];
  const struct train_model *m = f->model;
  for (size_t i = 0; i < f->rows->count; i++) p->count += f->rows->row[i].part == which;
  p->values = xmalloc(p->count * m->count * sizeof *p->values);
  p->labels = xmalloc(p->count * sizeof *p->labels);
  p->row = xmalloc(p->count * sizeof *p->row);
  size_t n = 0;
  for (size_t i = 0; i < f->rows->count; i++) {
    const struct train_row *row = &f->rows->row[i];
    if (row->part != which) continue;
    for (size_t k = 0; k < m->count; k++) p->values[n * m->count + k] = cell(f->rows, row, m->column[k]);
    p->labels[n] = row->came;
    p->row[n++] = i;
  }
  const struct itd_table table = {.size = sizeof table,
                                  .version = 1,
                                  .rows = p->count,
                                  .columns = (uint32_t)m->count,
                                  .values = p->values,
                                  .categories = f->categories,
                                  .labels = p->labels};
  return f->trainer->rows_new(&table, &p->rows, f->said) ? refuse(f, err) : 0;
}

static void free_part(const struct fitting *f, struct part *p) {
  f->trainer->rows_free(p->rows);
  free(p->values), free(p->labels), free(p->row);
}

// ---- growing ----
// Mean log loss, as evaluation.h has it, without a copy of the rows.
static double loss_of(const struct part *p, const float *margins) {
  double sum = 0;
  for (size_t i = 0; i < p->count; i++) {
    double z = (double)margins[i], away = pm_log1p(pm_exp(-fabs(z)));
    sum += away + (p->labels[i] > 0 ? fmax(-z, 0) : fmax(z, 0));
  }
  return sum / (double)p->count;
}

static int begin(struct fitting *f, struct error *err) {
  const struct part *p = &f->part[TRAIN_TRAINING];
  double came = 0;
  for (size_t i = 0; i < p->count; i++) came += (double)p->labels[i];
  const struct itd_settings s = {.size = sizeof s,
                                 .version = 1,
                                 .depth = f->settings->depth,
                                 .seed = f->settings->seed,
                                 .eta = f->settings->eta,
                                 .base_rate = came / (double)p->count,
                                 .row_share = TRAIN_ROW_SHARE,
                                 .column_share = TRAIN_COLUMN_SHARE,
                                 .weight_min = TRAIN_WEIGHT_MIN,
                                 .shrink = TRAIN_SHRINK};
  int rc = f->trainer->begin(&s, p->rows, f->part[TRAIN_VALIDATION].rows, &f->booster, f->said);
  return rc ? refuse(f, err) : 0;
}

// Trees until validation rows have not been better for a while; keeps those up to the best.
static int grow(struct fitting *f, struct error *err) {
  const struct part *p = &f->part[TRAIN_VALIDATION];
  float *margins = xmalloc(p->count * sizeof *margins);
  int failed = f->trainer->margins(f->booster, p->rows, margins, f->said);
  double best = INFINITY;
  uint32_t trees = 0;
  f->model->base_margin = (double)margins[0];
  while (!failed && trees < f->settings->trees && trees < f->model->trees + TRAIN_PATIENCE) {
    failed = f->trainer->grow(f->booster, f->said);
    if (!failed) failed = f->trainer->margins(f->booster, p->rows, margins, f->said);
    trees++;
    double loss = failed ? INFINITY : loss_of(p, margins);
    if (loss < best) best = loss, f->model->trees = trees;
  }
  f->model->is_stopped = f->model->trees < f->settings->trees;
  if (!failed) failed = f->trainer->cut(f->booster, f->model->trees, f->said);
  free(margins);
  return failed ? refuse(f, err) : 0;
}

static int ask(struct fitting *f, struct error *err) {
  f->model->margins = xcalloc(f->rows->count, sizeof *f->model->margins);
  for (enum train_part which = 0; which < TRAIN_PARTS; which++) {
    const struct part *p = &f->part[which];
    float *margins = xmalloc(p->count * sizeof *margins);
    int failed = f->trainer->margins(f->booster, p->rows, margins, f->said);
    for (size_t i = 0; i < p->count && !failed; i++) f->model->margins[p->row[i]] = margins[i];
    free(margins);
    if (failed) return refuse(f, err);
  }
  const char *bytes;
  uint64_t size;
  if (f->trainer->save(f->booster, &bytes, &size, f->said)) return refuse(f, err);
  buf_append(&f->model->weights, bytes, size);
  return 0;
}

// ---- judging ----
static struct judged *judged_of(const struct fitting *f, enum train_part which) {
  const struct part *p = &f->part[which];
  struct judged *out = xmalloc(p->count * sizeof *out);
  for (size_t i = 0; i < p->count; i++) {
    const struct train_row *row = &f->rows->row[p->row[i]];
    out[i] = (struct judged){.score = (double)f->model->margins[p->row[i]], .lead = row->lead, .came = row->came};
  }
  return out;
}

static void judge(struct fitting *f) {
  struct train_model *m = f->model;
  struct judged *rows = judged_of(f, TRAIN_VALIDATION);
  fit_choose(rows, f->part[TRAIN_VALIDATION].count, &m->calibration, &m->choice);
  free(rows);
  rows = judged_of(f, TRAIN_TEST);
  size_t count = f->part[TRAIN_TEST].count;
  for (size_t i = 0; i < count; i++) { // as the daemon says it: calibrated
    rows[i].score = fit_apply(&m->calibration, rows[i].score);
    rows[i].probability = pm_sigmoid(rows[i].score);
  }
  struct evaluation *e = evaluation_new(rows, count);
  m->metrics = evaluation_metrics(e);
  evaluation_draws(e, f->settings->seed, TRAIN_DRAWS, m->draws);
  evaluation_bins(e, TRAIN_BINS, m->bins);
  m->roc_count = evaluation_roc(e, TRAIN_ROC, m->roc);
  evaluation_free(e);
  free(rows);
}

int train_fit(const struct itd_trainer *trainer, const struct train_rows *rows, const struct train_settings *settings,
              struct train_model *m, struct error *err) {
  struct fitting f = {.trainer = trainer, .rows = rows, .settings = settings, .model = m};
  int rc = 0;
  CHECK(m->count > 0);
  for (size_t k = 0; k < m->count; k++)
    f.categories[k] = rows->column[m->column[k]].is_text ? (uint32_t)rows->column[m->column[k]].category_count : 0;
  for (enum train_part which = 0; which < TRAIN_PARTS && rc == 0; which++) rc = take_part(&f, which, err);
  if (rc == 0) rc = begin(&f, err);
  if (rc == 0) rc = grow(&f, err);
  if (rc == 0) rc = ask(&f, err);
  if (rc == 0) judge(&f);
  trainer->end(f.booster);
  for (enum train_part which = 0; which < TRAIN_PARTS; which++) free_part(&f, &f.part[which]);
  return rc;
}

void train_model_free(struct train_model *m) {
  if (!m) return;
  buf_deinit(&m->weights);
  free(m->margins);
  free(m);
}
