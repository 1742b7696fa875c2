// intent model quality --triggers: which of the policy's retraining triggers (scripts/retrain.lua) fire, with their figures.
#include "cli/model_triggers.h"
#include "base/clock.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/model.h"
#include "cli/show.h"
#include "model/evaluation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct judging {
  const struct args *args;
  struct model_findings *f;
};

static struct model_finding *add(struct judging *j, const struct policy_retrain *of, const char *kind, double bound) {
  j->f->found = xrealloc(j->f->found, (j->f->count + 1) * sizeof *j->f->found);
  struct model_finding *f = &j->f->found[j->f->count++];
  *f = (struct model_finding){.of = of, .kind = kind, .value = NAN, .bound = bound, .before = NAN, .error = NAN};
  return f;
}

// The score that is the model's own: of a split model the combined one, and else fit or engagement; of the version that
// decided last. -1: none.
static int own_series(const struct judging *j, const struct policy_retrain *r) {
  const struct track *t = j->f->track.track;
  bool is_split = policy_model_split(j->f->track.policy) != NULL;
  int best = -1;
  for (size_t i = 0; i < j->f->track.order_count; i++) {
    size_t n = j->f->track.order[i];
    const struct track_series *s = track_at(t, n);
    if (strcmp(s->model.name, r->model) != 0 || (*r->label && strcmp(s->label, r->label) != 0)) continue;
    if ((s->score == SCORE_COMBINED) != is_split) continue;
    if (best < 0 || s->end_day >= track_at(t, (size_t)best)->end_day) best = (int)n; // of equals the later version
  }
  return best;
}

// ---- age ----
static int64_t trained_ms(const struct judging *j, const struct judge_model *model) { // INT64_MIN: not said
  struct buf trained = {0};
  int64_t ms = INT64_MIN;
  model_track_json(j->args, model, "trained", &trained);
  struct bytes when = field_text(buf_bytes(&trained), "when");
  if (!when.n || time_parse(when, &ms) < 0) ms = INT64_MIN;
  buf_deinit(&trained);
  return ms;
}

static void judge_age(struct judging *j, const struct policy_retrain *r, int series) {
  struct model_finding *f = add(j, r, "age", (double)r->age_ms);
  if (series < 0) return;
  const struct track_series *s = track_at(j->f->track.track, (size_t)series);
  int64_t since = trained_ms(j, &s->model);
  if (since == INT64_MIN) {
    since = s->first_day * OUTCOMES_DAY_MS;
    snprintf(f->why, sizeof f->why, "model.json does not say when it was trained: since its first decision");
  }
  f->value = (double)(track_until_ms(j->f->track.track) - since);
  f->fires = f->value >= f->bound;
}

// ---- drift ----
static void judge_drift(struct judging *j, const struct policy_retrain *r, int series) {
  struct model_finding *f = add(j, r, "drift", r->drift);
  if (series < 0) return;
  const struct track_series *s = track_at(j->f->track.track, (size_t)series);
  uint64_t first[TRACK_BINS], last[TRACK_BINS];
  int64_t days = r->over_days;
  if (s->end_day - s->first_day < 2 * days) {
    snprintf(f->why, sizeof f->why, "%lld days of decisions; it takes %lld", (long long)(s->end_day - s->first_day),
             (long long)(2 * days));
    return;
  }
  uint64_t before = track_histogram(j->f->track.track, (size_t)series, s->first_day, s->first_day + days, first);
  uint64_t now = track_histogram(j->f->track.track, (size_t)series, s->end_day - days, s->end_day, last);
  if (before < (uint64_t)r->least || now < (uint64_t)r->least) {
    snprintf(f->why, sizeof f->why, "%llu and %llu decisions; it takes %lld of each", (unsigned long long)before,
             (unsigned long long)now, (long long)r->least);
    return;
  }
  f->value = track_stability(first, last);
  f->fires = f->value >= f->bound;
}

// ---- quality ----
// The standard error of an AUC (Hanley and McNeil, Radiology 143, 1982), rows taken as independent.
static double error_of(double auc, double came, double not_came) {
  double above = auc / (2 - auc), below = 2 * auc * auc / (1 + auc), square = auc * auc;
  double sum = auc * (1 - auc) + (came - 1) * (above - square) + (not_came - 1) * (below - square);
  return sqrt(sum / (came * not_came));
}

// The AUC of the judged days from `from` on; NaN: too little came, or too much. `error` may be NULL.
static double auc_of(const struct judging *j, int series, int64_t from, int64_t days, int64_t least, double *error,
                     char why[160]) {
  struct track_rows rows;
  track_rows(j->f->track.track, (size_t)series, from, from + days, TRACK_ALL, &rows);
  struct evaluation *e = evaluation_new(rows.row, rows.count);
  struct metrics m = evaluation_metrics(e);
  evaluation_free(e);
  free(rows.row);
  if (m.came >= (uint64_t)least && m.rows - m.came >= (uint64_t)least) {
    if (error) *error = error_of(m.value[METRIC_AUC], (double)m.came, (double)(m.rows - m.came));
    return m.value[METRIC_AUC];
  }
  snprintf(why, 160, "of %llu judged decisions it came for %llu; it takes %lld of both kinds",
           (unsigned long long)m.rows, (unsigned long long)m.came, (long long)least);
  return NAN;
}

static double live_auc(const struct judging *j, const struct policy_retrain *r, int series, double *error,
                       char why[160]) {
  const struct track_series *s = track_at(j->f->track.track, (size_t)series);
  int64_t end = s->end_day;
  while (end > s->first_day && !track_is_judged(j->f->track.track, (size_t)series, end - 1)) end--;
  return auc_of(j, series, end - r->over_days, r->over_days, r->least, error, why);
}

static double trained_auc(const struct judging *j, const struct policy_retrain *r, int series, char why[160]) {
  const struct track_series *s = track_at(j->f->track.track, (size_t)series);
  struct buf metrics = {0};
  model_track_json(j->args, &s->model, "metrics", &metrics);
  double auc = field_number(buf_bytes(&metrics), "auc", field_number(buf_bytes(&metrics), "auc_later", NAN));
  buf_deinit(&metrics);
  if (isfinite(auc)) return auc;
  auc = auc_of(j, series, s->first_day, r->over_days, r->least, NULL, why);
  if (isfinite(auc))
    snprintf(why, 160, "model.json has no AUC: held against its first %lld days", (long long)r->over_days);
  return auc;
}

static void judge_auc(struct judging *j, const struct policy_retrain *r, int series) {
  if (r->auc_under > 0) {
    struct model_finding *f = add(j, r, "auc_under", r->auc_under);
    if (series >= 0) f->value = live_auc(j, r, series, &f->error, f->why);
    f->fires = f->value < f->bound;
  }
  if (r->auc_falls > 0) {
    struct model_finding *f = add(j, r, "auc_falls", r->auc_falls);
    if (series >= 0) f->before = trained_auc(j, r, series, f->why);
    if (isfinite(f->before)) f->value = live_auc(j, r, series, &f->error, f->why);
    f->fires = f->before - f->value >= f->bound && f->before - f->value > 2 * f->error; // no chance
  }
}

static bool is_asked(const struct args *args, const char *model) {
  const char *name = args->operand_count > 1 ? args->operand[1] : NULL;
  size_t n = name ? strcspn(name, "@") : 0;
  return !name || (strlen(model) == n && memcmp(model, name, n) == 0);
}

static void judge(struct judging *j) {
  size_t count = 0;
  const struct policy_retrain *r = policy_retrains(j->f->track.policy, &count);
  for (size_t i = 0; i < count; i++) {
    if (!is_asked(j->args, r[i].model)) continue;
    int series = own_series(j, &r[i]);
    size_t before = j->f->count;
    if (r[i].age_ms > 0) judge_age(j, &r[i], series);
    if (r[i].drift > 0) judge_drift(j, &r[i], series);
    judge_auc(j, &r[i], series);
    for (size_t k = before; k < j->f->count; k++) {
      struct model_finding *f = &j->f->found[k];
      if (series >= 0)
        f->model = &track_at(j->f->track.track, (size_t)series)->model;
      else
        snprintf(f->why, sizeof f->why, "it has decided nothing yet");
      j->f->fired += f->fires;
    }
  }
}

// ---- what is said ----
static void put_number(struct buf *out, const char *key, double x) { mp_put_cstr(out, key), mp_put_known(out, x); }

static void put_all(const struct model_findings *j, struct buf *out) {
  mp_put_array(out, (uint32_t)j->count);
  for (size_t i = 0; i < j->count; i++) {
    const struct model_finding *f = &j->found[i];
    mp_put_map(out, 11);
    mp_put_cstr(out, "model"), mp_put_cstr(out, f->of->model);
    mp_put_cstr(out, "version");
    if (f->model)
      mp_put_cstr(out, f->model->version);
    else
      mp_put_nil(out);
    mp_put_cstr(out, "label"), mp_put_cstr(out, f->of->label);
    mp_put_cstr(out, "trigger"), mp_put_cstr(out, f->kind);
    mp_put_cstr(out, "fires"), mp_put_bool(out, f->fires);
    put_number(out, "value", f->value), put_number(out, "bound", f->bound), put_number(out, "before", f->before);
    put_number(out, "error", f->error);
    mp_put_cstr(out, "note"), mp_put_cstr(out, f->why);
    mp_put_cstr(out, "why"), mp_put_cstr(out, f->of->why);
  }
}

static void figure_cell(struct grid *g, const struct model_finding *f, double x) {
  struct buf *cell = grid_cell(g);
  if (!isfinite(x))
    buf_append_str(cell, "-");
  else if (strcmp(f->kind, "age") == 0)
    show_span(cell, (int64_t)x);
  else
    buf_printf(cell, "%.3f", x);
  grid_end(g);
}

static void show_all(const struct model_findings *j, struct buf *out) {
  static const char *const heads[] = {"model", "trigger", "is", "bound", "before", "fires", "what it is for"};
  struct grid g;
  grid_init(&g, "llrrrll");
  for (size_t i = 0; i < 7; i++) grid_add_str(&g, heads[i]);
  for (size_t i = 0; i < j->count; i++) {
    const struct model_finding *f = &j->found[i];
    buf_printf(grid_cell(&g), "%s%s%s", f->of->model, f->model ? "@" : "", f->model ? f->model->version : "");
    grid_end(&g);
    buf_printf(grid_cell(&g), "%s%s%s", f->kind, *f->of->label ? " of " : "", f->of->label), grid_end(&g);
    if (isfinite(f->error))
      buf_printf(grid_cell(&g), "%.3f ± %.3f", f->value, f->error), grid_end(&g);
    else
      figure_cell(&g, f, f->value);
    figure_cell(&g, f, f->bound), figure_cell(&g, f, f->before);
    grid_add_str(&g, f->fires ? "FIRES" : isfinite(f->value) ? "no" : "not known");
    buf_printf(grid_cell(&g), "%s%s%s%s", f->of->why, *f->why ? " (" : "", f->why, *f->why ? ")" : ""), grid_end(&g);
  }
  grid_put(&g, show_width(), out);
  grid_deinit(&g);
}

void model_findings_print(const struct args *args, const struct model_findings *f) {
  struct buf out = {0};
  if (args_flag(args, "json")) {
    put_all(f, &out);
    show_json(buf_bytes(&out));
  } else {
    show_all(f, &out);
    show_print(&out);
  }
  buf_deinit(&out);
}

int model_findings_init(const struct args *args, struct model_findings *f, struct error *err) {
  struct judging j = {.args = args, .f = f};
  size_t declared = 0;
  *f = (struct model_findings){0};
  int rc = model_track_open(args, &f->track, err);
  if (rc) return rc;
  policy_retrains(f->track.policy, &declared);
  if (!declared)
    return error_set(err, ITD_EINVAL, "the policy %s declares no retrain triggers (docs/models.md#retraining)",
                     policy_info(f->track.policy)->name);
  judge(&j);
  return 0;
}

void model_findings_deinit(struct model_findings *f) {
  free(f->found);
  model_track_close(&f->track);
  *f = (struct model_findings){0};
}

int model_triggers(const struct args *args) {
  struct model_findings f;
  struct error err = {0};
  int rc = model_findings_init(args, &f, &err);
  if (rc == 0) model_findings_print(args, &f);
  int code = rc ? command_fail(args, model_track_exit_of(rc), &err) : f.fired ? COMMAND_NO : COMMAND_OK;
  model_findings_deinit(&f);
  return code;
}
