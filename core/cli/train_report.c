// What a run is told of: one map, from which come report.json, the page and the terminal's tables.
#include "cli/train.h"

#include "base/clock.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/scripts.h"
#include "cli/show.h"

#include <math.h>
#include <stdio.h>

// ---- the map ----
static void put_text(struct buf *out, const char *key, const char *text) {
  mp_put_cstr(out, key), mp_put_cstr(out, text);
}
static void put_count(struct buf *out, const char *key, uint64_t n) { mp_put_cstr(out, key), mp_put_uint(out, n); }
static void put_number(struct buf *out, const char *key, double x) { mp_put_cstr(out, key), mp_put_known(out, x); }
static void put_time(struct buf *out, const char *key, int64_t ms) {
  char text[TIME_TEXT_MAX];
  time_format(ms, text);
  put_text(out, key, text);
}

static void put_metrics(const struct train_model *m, struct buf *out) {
  mp_put_cstr(out, "metrics"), mp_put_map(out, METRICS);
  for (enum metric k = 0; k < METRICS; k++) {
    struct interval i = metric_interval(m->draws, TRAIN_DRAWS, k, TRAIN_LEVEL);
    mp_put_cstr(out, metric_name(k)), mp_put_map(out, 3);
    put_number(out, "value", m->metrics.value[k]), put_number(out, "low", i.low), put_number(out, "high", i.high);
  }
}

static void put_bins(const struct train_model *m, struct buf *out) {
  mp_put_cstr(out, "tenths"), mp_put_array(out, TRAIN_BINS);
  for (size_t i = 0; i < TRAIN_BINS; i++) {
    const struct evaluation_bin *b = &m->bins[i];
    mp_put_map(out, 8);
    put_number(out, "rows", b->rows), put_number(out, "came", b->came), put_number(out, "probability", b->probability);
    put_number(out, "rate", b->rate), put_number(out, "low", b->low), put_number(out, "high", b->high);
    put_number(out, "lift", b->lift), put_number(out, "gain", b->gain);
  }
}

static void put_curve(const struct train_model *m, struct buf *out) {
  mp_put_cstr(out, "roc"), mp_put_array(out, (uint32_t)m->roc_count);
  for (size_t i = 0; i < m->roc_count; i++) {
    mp_put_array(out, 2);
    mp_put_float(out, m->roc[i].false_share), mp_put_float(out, m->roc[i].true_share);
  }
}

static void put_model(const struct training *t, const struct train_model *m, struct buf *out) {
  mp_put_map(out, 11);
  put_text(out, "group", m->group);
  mp_put_cstr(out, "written"), mp_put_bool(out, m == t->chosen);
  put_count(out, "features", m->count), put_count(out, "trees", m->trees);
  mp_put_cstr(out, "stopped_early"), mp_put_bool(out, m->is_stopped);
  put_text(out, "calibration", fit_kind_name(m->calibration.kind));
  mp_put_cstr(out, "calibration_log_loss"), mp_put_map(out, FIT_ISOTONIC + 1);
  for (enum fit_kind k = FIT_NONE; k <= FIT_ISOTONIC; k++) put_number(out, fit_kind_name(k), m->choice.log_loss[k]);
  put_number(out, "base_margin", m->base_margin);
  put_metrics(m, out), put_bins(m, out), put_curve(m, out);
}

static uint32_t count_models(const struct training *t) {
  uint32_t n = 0;
  for (size_t i = 0; i < TRAIN_MODELS; i++) n += t->model[i] != NULL;
  return n;
}

// Every model against the written one, on the same draws of leads.
static void put_differences(const struct training *t, struct buf *out) {
  mp_put_cstr(out, "differences"), mp_put_array(out, count_models(t) - 1);
  for (size_t i = 0; i < TRAIN_MODELS; i++) {
    const struct train_model *m = t->model[i], *c = t->chosen;
    if (!m || m == c) continue;
    mp_put_map(out, 3);
    put_text(out, "group", c->group), put_text(out, "minus", m->group);
    mp_put_cstr(out, "metrics"), mp_put_map(out, METRICS);
    for (enum metric k = 0; k < METRICS; k++) {
      struct interval d = metric_difference(c->draws, m->draws, TRAIN_DRAWS, k, TRAIN_LEVEL);
      mp_put_cstr(out, metric_name(k)), mp_put_map(out, 3);
      put_number(out, "value", c->metrics.value[k] - m->metrics.value[k]);
      put_number(out, "low", d.low), put_number(out, "high", d.high);
    }
  }
}

static void put_parts(const struct training *t, struct buf *out) {
  mp_put_cstr(out, "parts"), mp_put_array(out, TRAIN_PARTS);
  for (enum train_part p = 0; p < TRAIN_PARTS; p++) {
    const struct train_part_count *c = &t->split.part[p];
    mp_put_map(out, 6);
    put_text(out, "part", train_part_name(p));
    put_count(out, "rows", c->rows), put_count(out, "leads", c->leads), put_count(out, "came", c->came);
    put_time(out, "from", c->from_ms), put_time(out, "to", c->to_ms);
  }
}

static void put_data(const struct training *t, struct buf *out) {
  mp_put_cstr(out, "data"), mp_put_map(out, 10);
  const char *slash = strrchr(t->file, '/');
  put_text(out, "file", slash ? slash + 1 : t->file);
  put_text(out, "sha256", t->rows.sha256);
  put_count(out, "labelled", t->rows.count), put_count(out, "without_label", t->rows.no_label);
  put_count(out, "later_rows_of_earlier_leads", t->split.later), put_count(out, "in_the_gap", t->split.gap);
  mp_put_cstr(out, "undeclared_columns"), mp_put_str(out, buf_bytes(&t->rows.undeclared));
  mp_put_cstr(out, "features_without_column"), mp_put_str(out, buf_bytes(&t->rows.missing));
  mp_put_cstr(out, "says_definitions"), mp_put_bool(out, t->rows.has_definitions);
  mp_put_cstr(out, "fed_by_every_event"), mp_put_str(out, buf_bytes(&t->hears_all));
}

static void put_features(const struct training *t, struct buf *out) {
  char hash[17];
  uint32_t left_out = 0;
  mp_put_cstr(out, "features"), mp_put_array(out, (uint32_t)t->chosen->count);
  for (size_t k = 0; k < t->chosen->count; k++) {
    const struct train_column *c = &t->rows.column[t->chosen->column[k]];
    const struct feature_info *info = feature_info(policy_features(t->set), (size_t)c->feature);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)info->definition_hash);
    mp_put_map(out, 4);
    put_text(out, "name", c->name), put_text(out, "class", c->is_profile ? "profile" : "behaviour");
    put_text(out, "definition", hash), put_number(out, "influence", t->influence[k]);
  }
  for (size_t i = 0; i < t->rows.column_count; i++) left_out += t->rows.column[i].left_out != NULL;
  mp_put_cstr(out, "left_out"), mp_put_array(out, left_out);
  for (size_t i = 0; i < t->rows.column_count; i++) {
    const struct train_column *c = &t->rows.column[i];
    if (!c->left_out) continue;
    mp_put_map(out, 2);
    put_text(out, "name", c->name), put_text(out, "why", c->left_out);
  }
}

static void put_settings(const struct training *t, struct buf *out) {
  mp_put_cstr(out, "settings"), mp_put_map(out, 11);
  put_count(out, "trees", t->settings.trees), put_count(out, "depth", t->settings.depth);
  put_number(out, "eta", t->settings.eta), put_count(out, "seed", t->settings.seed);
  put_number(out, "row_share", TRAIN_ROW_SHARE), put_number(out, "column_share", TRAIN_COLUMN_SHARE);
  put_number(out, "weight_min", TRAIN_WEIGHT_MIN), put_number(out, "shrink", TRAIN_SHRINK);
  put_count(out, "patience", TRAIN_PATIENCE), put_count(out, "draws", TRAIN_DRAWS);
  put_count(out, "gap_ms", (uint64_t)t->split.gap_ms);
}

void train_report(const struct training *t, struct buf *out) {
  mp_put_map(out, 17);
  put_text(out, "name", t->name), put_text(out, "version", t->version);
  put_text(out, "kind", t->trainer->kind), put_text(out, "library", t->trainer->library);
  put_text(out, "by", t->by), put_text(out, "when", t->when);
  put_text(out, "label", t->label), put_text(out, "target", t->target);
  put_text(out, "signals", policy_info(t->set)->signals);
  put_count(out, "rows_compared_with_the_engine", t->compared);
  put_data(t, out), put_parts(t, out), put_settings(t, out), put_features(t, out);
  mp_put_cstr(out, "models"), mp_put_array(out, count_models(t));
  for (size_t i = 0; i < TRAIN_MODELS; i++)
    if (t->model[i]) put_model(t, t->model[i], out);
  put_differences(t, out);
}

int train_page(struct bytes report, struct buf *out, struct error *err) {
  struct scripts scripts;
  struct buf page = {0};
  struct bytes text;
  int rc = scripts_open(&scripts, "scripts/cli/train_page.lua", "train_page", err);
  if (rc == 0) rc = scripts_run(&scripts, report, &page, err);
  if (rc == 0 && !mp_as_str(buf_bytes(&page), &text)) rc = error_set(err, ITD_EINTERNAL, "train_page gives no text");
  if (rc == 0) buf_append_bytes(out, text);
  scripts_close(&scripts);
  buf_deinit(&page);
  return rc;
}

// ---- tables ----
static void put_value(struct grid *g, struct bytes map, const char *key, int digits) {
  double x = field_number(map, key, (double)NAN);
  if (isnan(x))
    buf_append_str(grid_cell(g), "-");
  else
    buf_printf(grid_cell(g), "%.*f", digits, x);
  grid_end(g);
}

// "0.731 (0.702–0.760)"
static void put_interval(struct grid *g, struct bytes map, int digits) {
  double value = field_number(map, "value", (double)NAN), low = field_number(map, "low", (double)NAN);
  double high = field_number(map, "high", (double)NAN);
  struct buf *cell = grid_cell(g);
  if (isnan(value))
    buf_append_str(cell, "-");
  else
    buf_printf(cell, "%.*f", digits, value);
  if (!isnan(value) && !isnan(low)) buf_printf(cell, " (%.*f to %.*f)", digits, low, digits, high);
  grid_end(g);
}

static const struct {
  const char *metric, *called;
  int digits;
} shown[] = {{"auc", "AUC", 3},
             {"average_precision", "average precision", 3},
             {"log_loss", "log loss", 4},
             {"brier", "Brier", 4},
             {"calibration_error", "calibration error", 4},
             {"lift_10", "lift of the first tenth", 2},
             {"gain_20", "share won in the first fifth", 3}};

static void put_parts_table(struct bytes report, unsigned width, struct buf *out) {
  struct grid g;
  struct bytes part;
  grid_init(&g, "lrrrll");
  static const char *const heads[] = {"part", "rows", "leads", "label 1", "from", "to"};
  for (size_t i = 0; i < 6; i++) grid_add_str(&g, heads[i]);
  for (struct each each = each_of(field(report, "parts")); each_next(&each, &part);) {
    grid_add(&g, field_text(part, "part"));
    show_count(grid_cell(&g), (uint64_t)field_int(part, "rows", 0)), grid_end(&g);
    show_count(grid_cell(&g), (uint64_t)field_int(part, "leads", 0)), grid_end(&g);
    show_count(grid_cell(&g), (uint64_t)field_int(part, "came", 0)), grid_end(&g);
    grid_add(&g, field_text(part, "from"));
    grid_add(&g, field_text(part, "to"));
  }
  grid_put(&g, width, out);
  grid_deinit(&g);
}

static void put_left_out(struct bytes report, struct buf *out) {
  static const struct {
    const char *key, *why;
  } kinds[] = {{"data.without_label", "without a label yet"},
               {"data.later_rows_of_earlier_leads", "behind the end of the part in which their lead began"},
               {"data.in_the_gap", "in the gap"}};
  size_t said = 0;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    uint64_t n = (uint64_t)field_int(report, kinds[i].key, 0);
    if (!n) continue;
    buf_append_str(out, said++ ? ", " : "rows left out: ");
    show_count(out, n);
    buf_printf(out, " %s", kinds[i].why);
  }
  if (said) buf_append_u8(out, '\n');
}

static void put_metrics_table(struct bytes report, unsigned width, struct buf *out) {
  struct bytes models = field(report, "models"), model;
  char layout[TRAIN_MODELS + 2] = "l";
  size_t n = 1;
  for (struct each each = each_of(models); n <= TRAIN_MODELS && each_next(&each, &model);) layout[n++] = 'r';
  struct grid g;
  grid_init(&g, layout);
  grid_add_str(&g, "test rows");
  for (struct each each = each_of(models); each_next(&each, &model);) {
    struct bytes group = field_text(model, "group");
    buf_printf(grid_cell(&g), "%.*s%s", (int)group.n, (const char *)group.p,
               field_is(model, "written") ? " (written)" : "");
    grid_end(&g);
  }
  for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
    char path[64];
    snprintf(path, sizeof path, "metrics.%s", shown[i].metric);
    grid_add_str(&g, shown[i].called);
    for (struct each each = each_of(models); each_next(&each, &model);)
      put_interval(&g, field(model, path), shown[i].digits);
  }
  static const char *const counts[] = {"features", "trees"};
  for (size_t i = 0; i < 2; i++) {
    grid_add_str(&g, counts[i]);
    for (struct each each = each_of(models); each_next(&each, &model);)
      buf_printf(grid_cell(&g), "%lld", (long long)field_int(model, counts[i], 0)), grid_end(&g);
  }
  grid_add_str(&g, "calibration");
  for (struct each each = each_of(models); each_next(&each, &model);) grid_add(&g, field_text(model, "calibration"));
  grid_put(&g, width, out);
  grid_deinit(&g);
}

static void put_tenths_table(struct bytes model, unsigned width, struct buf *out) {
  struct grid g;
  struct bytes bin;
  int number = 0;
  grid_init(&g, "rrrrrrr");
  static const char *const heads[] = {"tenth", "rows", "label 1", "said", "was", "lift", "won so far"};
  for (size_t i = 0; i < 7; i++) grid_add_str(&g, heads[i]);
  for (struct each each = each_of(field(model, "tenths")); each_next(&each, &bin);) {
    buf_printf(grid_cell(&g), "%d", ++number), grid_end(&g);
    put_value(&g, bin, "rows", 1), put_value(&g, bin, "came", 1);
    put_value(&g, bin, "probability", 3), put_value(&g, bin, "rate", 3);
    put_value(&g, bin, "lift", 2), put_value(&g, bin, "gain", 3);
  }
  grid_put(&g, width, out);
  grid_deinit(&g);
}

static void put_differences_lines(struct bytes report, struct buf *out) {
  struct bytes d;
  for (struct each each = each_of(field(report, "differences")); each_next(&each, &d);) {
    struct bytes a = field_text(d, "group"), b = field_text(d, "minus"), auc = field(d, "metrics.auc");
    buf_printf(out, "AUC of %.*s minus that of %.*s: %+.3f (%+.3f to %+.3f)\n", (int)a.n, (const char *)a.p, (int)b.n,
               (const char *)b.p, field_number(auc, "value", (double)NAN), field_number(auc, "low", (double)NAN),
               field_number(auc, "high", (double)NAN));
  }
}

void train_tables(struct bytes report, unsigned width, struct buf *out) {
  struct bytes model;
  put_parts_table(report, width, out);
  put_left_out(report, out);
  buf_append_u8(out, '\n');
  put_metrics_table(report, width, out);
  buf_append_u8(out, '\n');
  put_differences_lines(report, out);
  for (struct each each = each_of(field(report, "models")); each_next(&each, &model);) {
    struct bytes group = field_text(model, "group");
    buf_printf(out, "\nby tenths of the test rows, the highest first: %.*s\n", (int)group.n, (const char *)group.p);
    put_tenths_table(model, width, out);
  }
}
