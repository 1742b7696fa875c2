#include "cli/model_moves.h"

#include "base/pmath.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "store/refold.h"
#include "store/store.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LARGEST 10 // changes that are shown

struct moved { // a decision under both
  struct lead_id lead;
  uint32_t number;
  double points[2];
};
struct comparing {
  const struct model *const *model; // two
  struct model_bound *bound[2];
  const struct policy *policy; // what they are bound to
  bool fits;
  struct error unfit; // the first
  struct moved *row;
  size_t count, cap;
  uint64_t unscored;
  int64_t since_ms;
  struct progress bar;
};

// ---- the journal ----

static void bind_to(struct comparing *c, const struct policy *policy) {
  if (c->policy == policy) return;
  c->policy = policy;
  c->fits = true;
  for (int k = 0; k < 2; k++) {
    struct error why = {0};
    model_bound_free(c->bound[k]);
    c->bound[k] = NULL;
    if (model_bind(c->model[k], policy_features(policy), &c->bound[k], &why) == 0) continue;
    c->fits = false;
    if (!c->unfit.code) c->unfit = why;
  }
}

static struct moved *next_row(struct comparing *c) {
  if (c->count == c->cap) {
    c->cap = c->cap ? 2 * c->cap : 1024;
    c->row = xrealloc(c->row, c->cap * sizeof *c->row);
  }
  return &c->row[c->count++];
}

static int visit(void *context, const struct refold_step *step, struct error *err) {
  struct comparing *c = context;
  const struct frame *f = step->frame;
  if (!frame_is_decision(f) || f->now_ms < c->since_ms) return 0;
  bind_to(c, step->policy);
  if (!c->fits || !step->is_same) {
    c->unscored++;
    return 0;
  }
  if (c->count == MODEL_MOVES_MAX)
    return error_set(err, ITD_ETOOBIG, "more than %d decisions: say --since", MODEL_MOVES_MAX);
  double values[FEATURES_MAX], contributions[MODEL_TERMS_MAX], points[MODEL_TERMS_MAX];
  struct bytes texts[FEATURES_MAX];
  struct model_output out;
  struct lead *lead = (struct lead *)(uintptr_t)step->lead; // read only
  struct moved *row = next_row(c);
  feature_read(policy_features(step->policy), lead_feature_state(lead), f->now_ms, values, texts);
  row->lead = f->entity, row->number = f->number;
  for (int k = 0; k < 2; k++) {
    model_score(c->bound[k], values, texts, contributions, points, &out);
    row->points[k] = (double)pm_milli(out.points) / 1000; // as a decision keeps it
  }
  return 0;
}

static void draw(void *context, uint64_t done, uint64_t total) {
  struct comparing *c = context;
  progress_show(&c->bar, done, total, INT64_MIN);
}

static int walk(const char *dir, struct comparing *c, struct error *err) {
  struct refold_options refold = {.dir = dir, .visit = visit, .progress = draw, .context = c};
  struct refold_stats stats;
  progress_begin(&c->bar, "scoring");
  int rc = store_refold(&refold, &stats, err);
  progress_end(&c->bar);
  if (rc == 0 && c->count == 0 && c->unfit.code) return *err = c->unfit, ITD_EMODEL;
  if (rc == 0 && c->count == 0) return error_set(err, ITD_ENOTFOUND, "%s has no decision in that time", dir);
  return rc;
}

// ---- what moved ----

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

struct place { // of a score among all
  double points;
  size_t row;
};
static int by_points(const void *a, const void *b) {
  const struct place *x = a, *y = b;
  if (x->points != y->points) return x->points < y->points ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

// Ranks of one side; equal scores share the mean of theirs.
static void rank(const struct comparing *c, int side, double *out) {
  struct place *place = xcalloc(c->count, sizeof *place);
  for (size_t i = 0; i < c->count; i++) place[i] = (struct place){c->row[i].points[side], i};
  qsort(place, c->count, sizeof *place, by_points);
  for (size_t i = 0, end; i < c->count; i = end) {
    for (end = i + 1; end < c->count && place[end].points == place[i].points;) end++;
    for (size_t k = i; k < end; k++) out[place[k].row] = (double)(i + end - 1) / 2;
  }
  free(place);
}

// Spearman's: the correlation of the ranks. NaN where one side gives everybody the same.
static double rank_correlation(const struct comparing *c) {
  double *a = xcalloc(c->count, sizeof *a), *b = xcalloc(c->count, sizeof *b), mean = (double)(c->count - 1) / 2;
  double ab = 0, aa = 0, bb = 0;
  rank(c, 0, a), rank(c, 1, b);
  for (size_t i = 0; i < c->count; i++) {
    ab += (a[i] - mean) * (b[i] - mean);
    aa += (a[i] - mean) * (a[i] - mean);
    bb += (b[i] - mean) * (b[i] - mean);
  }
  free(a), free(b);
  return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : NAN;
}

static double change(const struct moved *m) { return m->points[1] - m->points[0]; }

static int by_change(const void *a, const void *b) {
  double x = fabs(change(a)), y = fabs(change(b));
  if (x != y) return x > y ? -1 : 1;
  const struct moved *p = a, *q = b;
  int order = memcmp(&p->lead, &q->lead, sizeof p->lead);
  return order ? order : (p->number > q->number) - (p->number < q->number);
}

static void put_quantiles(const struct comparing *c, struct buf *out) {
  static const struct {
    const char *name;
    double at;
  } of[] = {{"least", 0}, {"p05", 0.05}, {"p25", 0.25}, {"median", 0.5}, {"p75", 0.75}, {"p95", 0.95}, {"most", 1}};
  const size_t quantiles = sizeof of / sizeof *of;
  double *value = xcalloc(c->count, sizeof *value);
  mp_put_array(out, 3);
  for (int k = 0; k < 3; k++) {
    for (size_t i = 0; i < c->count; i++) value[i] = k == 2 ? change(&c->row[i]) : c->row[i].points[k];
    qsort(value, c->count, sizeof *value, by_value);
    mp_put_map(out, (uint32_t)quantiles + 1);
    mp_put_cstr(out, "of"), mp_put_cstr(out, k == 0 ? "a" : k == 1 ? "b" : "change");
    for (size_t q = 0; q < quantiles; q++)
      mp_put_cstr(out, of[q].name), mp_put_float(out, value[(size_t)(of[q].at * (double)(c->count - 1))]);
  }
  free(value);
}

static bool has_lead(const struct moved *const *rows, size_t count, struct lead_id lead) {
  for (size_t i = 0; i < count; i++)
    if (lead_id_eq(rows[i]->lead, lead)) return true;
  return false;
}

// Of each lead the largest: its next decision moved as far, mostly. Sorts the rows.
static void put_largest(struct comparing *c, struct buf *out) {
  const struct moved *largest[LARGEST];
  size_t shown = 0;
  qsort(c->row, c->count, sizeof *c->row, by_change);
  for (size_t i = 0; i < c->count && shown < LARGEST && change(&c->row[i]) != 0; i++)
    if (!has_lead(largest, shown, c->row[i].lead)) largest[shown++] = &c->row[i];
  mp_put_array(out, (uint32_t)shown);
  for (size_t i = 0; i < shown; i++) {
    const struct moved *row = largest[i];
    char lead[LEAD_ID_TEXT], decision[LEAD_ID_TEXT + 12];
    lead_id_format(row->lead, lead);
    snprintf(decision, sizeof decision, "%s-%u", lead, row->number);
    mp_put_map(out, 3);
    mp_put_cstr(out, "decision_id"), mp_put_cstr(out, decision);
    mp_put_cstr(out, "a"), mp_put_float(out, row->points[0]);
    mp_put_cstr(out, "b"), mp_put_float(out, row->points[1]);
  }
}

static void put_moves(struct comparing *c, struct buf *out) {
  uint64_t changed = 0;
  for (size_t i = 0; i < c->count; i++) changed += change(&c->row[i]) != 0;
  double correlation = rank_correlation(c);
  mp_put_map(out, 6);
  mp_put_cstr(out, "decisions"), mp_put_uint(out, c->count);
  mp_put_cstr(out, "unscored"), mp_put_uint(out, c->unscored);
  mp_put_cstr(out, "changed"), mp_put_uint(out, changed);
  mp_put_cstr(out, "rank_correlation"), mp_put_known(out, correlation);
  mp_put_cstr(out, "points"), put_quantiles(c, out);
  mp_put_cstr(out, "largest"), put_largest(c, out);
}

// ---- the page ----

static void show_quantiles(struct bytes list, struct buf *out) {
  static const char *const names[] = {"least", "p05", "p25", "median", "p75", "p95", "most"};
  struct grid t;
  struct bytes row;
  grid_init(&t, "lrrrrrrr");
  grid_add_str(&t, "points");
  for (size_t i = 0; i < 7; i++) grid_add_str(&t, names[i]);
  for (struct each each = each_of(list); each_next(&each, &row);) {
    show_text(grid_cell(&t), field_text(row, "of")), grid_end(&t);
    for (size_t i = 0; i < 7; i++) buf_printf(grid_cell(&t), "%.3f", field_number(row, names[i], 0)), grid_end(&t);
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
}

static void show_largest(struct bytes list, struct buf *out) {
  struct grid t;
  struct bytes row;
  grid_init(&t, "lrr");
  grid_add_str(&t, "the largest changes, a lead each"), grid_add_str(&t, "a"), grid_add_str(&t, "b");
  for (struct each each = each_of(list); each_next(&each, &row);) {
    show_text(grid_cell(&t), field_text(row, "decision_id")), grid_end(&t);
    for (int k = 0; k < 2; k++) buf_printf(grid_cell(&t), "%.3f", field_number(row, k ? "b" : "a", 0)), grid_end(&t);
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
}

void model_moves_show(struct bytes moves, struct buf *out) {
  show_count(out, (uint64_t)field_int(moves, "decisions", 0));
  buf_append_str(out, " decisions, of ");
  show_count(out, (uint64_t)field_int(moves, "changed", 0));
  buf_append_str(out, " the score is another");
  if (field_int(moves, "unscored", 0)) {
    buf_append_str(out, "; ");
    show_count(out, (uint64_t)field_int(moves, "unscored", 0));
    buf_append_str(out, " more were made with features that do not fit");
  }
  if (!field_is_nil(moves, "rank_correlation"))
    buf_printf(out, "; rank correlation %.4f", field_number(moves, "rank_correlation", 0));
  buf_append_str(out, "\n\n");
  show_quantiles(field(moves, "points"), out);
  if (each_of(field(moves, "largest")).left == 0) return;
  buf_append_u8(out, '\n');
  show_largest(field(moves, "largest"), out);
}

int model_moves_put(const char *dir, const struct model *const model[2], int64_t since_ms, struct buf *out,
                    struct error *err) {
  struct comparing c = {.model = model, .since_ms = since_ms};
  int rc = walk(dir, &c, err);
  if (rc == 0) put_moves(&c, out);
  for (int k = 0; k < 2; k++) model_bound_free(c.bound[k]);
  free(c.row);
  return rc;
}
