// intent model quality: how models' scores stood against what came of them, over time, beside what they were at training.
#include "base/date.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/model.h"
#include "cli/model_track.h"
#include "cli/show.h"
#include "model/evaluation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum by { BY_MONTH, BY_WEEK, BY_ALL };

// ---- periods ----
static int64_t begin_of(enum by by, int64_t day) { // of the week (Monday) or month that a day is in
  if (by == BY_WEEK) return day - ((day + 3) % 7 + 7) % 7;
  struct date d = date_of_days(day);
  return date_to_days(d.year, d.month, 1);
}

static int64_t next_of(enum by by, int64_t begin) {
  if (by == BY_WEEK) return begin + 7;
  struct date d = date_of_days(begin);
  return d.month == 12 ? date_to_days(d.year + 1, 1, 1) : date_to_days(d.year, d.month + 1, 1);
}

// ---- as one value ----
static void put_number(struct buf *out, const char *key, double x) { mp_put_cstr(out, key), mp_put_known(out, x); }

static void put_count(struct buf *out, const char *key, uint64_t n) {
  mp_put_cstr(out, key);
  mp_put_uint(out, n);
}

static void put_row(struct buf *out, int64_t from, const struct track_rows *rows) {
  struct evaluation *e = evaluation_new(rows->row, rows->count);
  struct metrics m = evaluation_metrics(e);
  mp_put_map(out, 6 + METRICS);
  mp_put_cstr(out, "from");
  struct buf day = {0};
  model_track_day(&day, from);
  mp_put_str(out, buf_bytes(&day));
  buf_deinit(&day);
  put_count(out, "rows", m.rows);
  put_count(out, "came", m.came);
  put_count(out, "waiting", rows->waiting);
  put_count(out, "unjudged", rows->unjudged);
  put_number(out, "auc_error", rows->auc_error);
  for (int k = 0; k < METRICS; k++) put_number(out, metric_name((enum metric)k), m.value[k]);
  evaluation_free(e);
}

static void put_stretch(struct buf *out, const struct track *t, size_t series, int64_t from, int64_t end,
                        enum track_who who) {
  struct track_rows rows;
  track_rows(t, series, from, end, who, &rows);
  put_row(out, from, &rows);
  free(rows.row);
}

static void put_periods(struct buf *out, const struct track *t, size_t series, enum by by) {
  const struct track_series *s = track_at(t, series);
  struct buf all = {0};
  uint32_t count = 0;
  for (int64_t from = begin_of(by, s->first_day); by != BY_ALL && from < s->end_day; from = next_of(by, from)) {
    uint64_t bin[TRACK_BINS];
    if (!track_histogram(t, series, from, next_of(by, from), bin)) continue; // a month in which nothing was decided
    put_stretch(&all, t, series, from, next_of(by, from), TRACK_ALL);
    count++;
  }
  mp_put_array(out, count);
  buf_append_bytes(out, buf_bytes(&all));
  buf_deinit(&all);
}

static void put_tenths(struct buf *out, const struct track *t, size_t series) {
  const struct track_series *s = track_at(t, series);
  struct track_rows rows;
  struct evaluation_bin tenth[10];
  track_rows(t, series, s->first_day, s->end_day, TRACK_ALL, &rows);
  struct evaluation *e = evaluation_new(rows.row, rows.count);
  evaluation_bins(e, 10, tenth);
  mp_put_array(out, rows.count ? 10 : 0);
  for (size_t i = 0; i < 10 && rows.count; i++) {
    mp_put_map(out, 8);
    put_number(out, "score_low", tenth[i].score_low), put_number(out, "rows", tenth[i].rows);
    put_number(out, "probability", tenth[i].probability), put_number(out, "rate", tenth[i].rate);
    put_number(out, "low", tenth[i].low), put_number(out, "high", tenth[i].high);
    put_number(out, "lift", tenth[i].lift), put_number(out, "gain", tenth[i].gain);
  }
  evaluation_free(e);
  free(rows.row);
}

// The score that the model itself gives, and that its training was judged by: fit or engagement, and of a split model (which
// alone gives both) the combined one.
static bool is_own(const struct model_track *t, const struct track_series *s) {
  bool gives[SCORES] = {false};
  for (size_t i = 0; i < t->order_count; i++) {
    const struct track_series *other = track_at(t->track, t->order[i]);
    if (strcmp(other->model.name, s->model.name) == 0 && strcmp(other->model.version, s->model.version) == 0)
      gives[other->score] = true;
  }
  bool is_split = gives[SCORE_FIT] && gives[SCORE_ENGAGEMENT];
  return (s->score == SCORE_COMBINED) == is_split;
}

static void put_series(const struct args *args, struct buf *out, const struct model_track *of, size_t series,
                       enum by by) {
  const struct track *t = of->track;
  const struct track_series *s = track_at(t, series);
  mp_put_map(out, 13);
  mp_put_cstr(out, "own"), mp_put_bool(out, is_own(of, s));
  mp_put_cstr(out, "model"), mp_put_cstr(out, s->model.name);
  mp_put_cstr(out, "version"), mp_put_cstr(out, s->model.version);
  mp_put_cstr(out, "score"), mp_put_cstr(out, score_names[s->score]);
  mp_put_cstr(out, "label"), mp_put_cstr(out, s->label);
  mp_put_cstr(out, "event"), mp_put_cstr(out, s->event);
  mp_put_cstr(out, "unless"), mp_put_cstr(out, s->unless);
  mp_put_cstr(out, "within_ms"), mp_put_int(out, s->within_ms);
  mp_put_cstr(out, "training"), model_track_json(args, &s->model, "metrics", out);
  mp_put_cstr(out, "periods"), put_periods(out, t, series, by);
  mp_put_cstr(out, "all"), put_stretch(out, t, series, s->first_day, s->end_day, TRACK_ALL);
  mp_put_cstr(out, "held_out"), put_stretch(out, t, series, s->first_day, s->end_day, TRACK_HELD_OUT);
  mp_put_cstr(out, "tenths"), put_tenths(out, t, series);
}

static void put_all(const struct args *args, struct buf *out, const struct model_track *t, enum by by) {
  mp_put_map(out, 5);
  mp_put_cstr(out, "until"), mp_put_int(out, track_until_ms(t->track));
  mp_put_cstr(out, "judged"), mp_put_uint(out, t->stats.judged);
  mp_put_cstr(out, "left_out"), mp_put_uint(out, track_left_out(t->track));
  mp_put_cstr(out, "has_hold_out"), mp_put_bool(out, t->stats.has_hold_out);
  mp_put_cstr(out, "series"), mp_put_array(out, (uint32_t)t->order_count);
  for (size_t i = 0; i < t->order_count; i++) put_series(args, out, t, t->order[i], by);
}

// ---- for people ----
static void number_cell(struct grid *g, struct bytes map, const char *key, const char *format) {
  double x = field_number(map, key, NAN);
  if (isfinite(x))
    buf_printf(grid_cell(g), format, x);
  else
    buf_append_str(grid_cell(g), "-");
  grid_end(g);
}

static void count_cell(struct grid *g, struct bytes map, const char *key) {
  if (field_is_nil(map, key))
    buf_append_str(grid_cell(g), "-");
  else
    show_count(grid_cell(g), (uint64_t)field_int(map, key, 0));
  grid_end(g);
}

static void figures(struct grid *g, struct bytes name, struct bytes row) {
  show_text(grid_cell(g), name), grid_end(g);
  count_cell(g, row, "rows"), count_cell(g, row, "came");
  number_cell(g, row, "auc", "%.3f");
  number_cell(g, row, "average_precision", "%.3f");
  number_cell(g, row, "log_loss", "%.4f"), number_cell(g, row, "brier", "%.4f");
  number_cell(g, row, "calibration_error", "%.4f");
  number_cell(g, row, "lift_10", "%.2f");
}

// What model.json says of the same figures: "auc", or as people write it who mean the later period, "auc_later". Appends a map
// with the plain names; false: it says nothing of them.
static bool put_trained(struct bytes training, struct buf *out) {
  uint32_t count = 0;
  struct buf all = {0};
  for (int k = 0; k < METRICS; k++) {
    char later[64];
    const char *name = metric_name((enum metric)k);
    snprintf(later, sizeof later, "%s_later", name);
    double x = field_number(training, name, field_number(training, later, NAN));
    if (!isfinite(x)) continue;
    mp_put_cstr(&all, name), mp_put_float(&all, x);
    count++;
  }
  mp_put_map(out, count);
  buf_append_bytes(out, buf_bytes(&all));
  buf_deinit(&all);
  return count > 0;
}

static void show_figures(struct bytes s, bool is_own, bool has_hold_out, struct buf *out) {
  static const char *const heads[] = {"since",    "rows",  "came",        "AUC",     "avg. precision",
                                      "log loss", "Brier", "calibration", "lift 10%"};
  struct grid g;
  struct bytes row, all = field(s, "all");
  struct buf trained = {0};
  grid_init(&g, "lrrrrrrrr");
  for (size_t i = 0; i < 9; i++) grid_add_str(&g, heads[i]);
  if (is_own && put_trained(field(s, "training"), &trained)) figures(&g, BYTES_LIT("training"), buf_bytes(&trained));
  for (struct each each = each_of(field(s, "periods")); each_next(&each, &row);)
    figures(&g, field_text(row, "from"), row);
  figures(&g, BYTES_LIT("all"), all);
  if (has_hold_out) figures(&g, BYTES_LIT("held out"), field(s, "held_out"));
  grid_put(&g, show_width(), out);
  grid_deinit(&g);
  buf_deinit(&trained);
  double error = field_number(all, "auc_error", NAN);
  if (isfinite(error)) buf_printf(out, "AUC of all: %.4f more or less, for the width of a bin. ", error);
  show_count(out, (uint64_t)field_int(all, "waiting", 0));
  buf_append_str(out, " decisions wait: ");
  show_span(out, field_int(s, "within_ms", 0));
  buf_append_str(out, " have not passed for all of their day.\n");
  if (field_int(all, "unjudged", 0)) {
    show_count(out, (uint64_t)field_int(all, "unjudged", 0));
    buf_append_str(out, " can't be judged any more: their journal was let go before that time had passed.\n");
  }
}

static void show_tenths(struct bytes s, struct buf *out) {
  static const char *const heads[] = {"tenth from", "rows", "said", "was", "95 % from", "to", "lift", "gain"};
  struct grid g;
  struct bytes row;
  uint32_t count = 0;
  grid_init(&g, "rrrrrrrr");
  for (size_t i = 0; i < 8; i++) grid_add_str(&g, heads[i]);
  for (struct each each = each_of(field(s, "tenths")); each_next(&each, &row); count++) {
    number_cell(&g, row, "score_low", "%.1f"), number_cell(&g, row, "rows", "%.0f");
    number_cell(&g, row, "probability", "%.4f"), number_cell(&g, row, "rate", "%.4f");
    number_cell(&g, row, "low", "%.4f"), number_cell(&g, row, "high", "%.4f");
    number_cell(&g, row, "lift", "%.2f"), number_cell(&g, row, "gain", "%.2f");
  }
  if (count) buf_append_u8(out, '\n'), grid_put(&g, show_width(), out);
  grid_deinit(&g);
}

static void show_series(struct bytes s, bool has_hold_out, struct buf *out) {
  bool is_own = field_is(s, "own"), is_combined = bytes_is(field_text(s, "score"), "combined");
  show_text(out, field_text(s, "model"));
  buf_append_u8(out, '@');
  show_text(out, field_text(s, "version"));
  buf_append_str(out, is_own ? ": its score " : is_combined ? ": the score " : ": of its score the part ");
  show_text(out, field_text(s, "score"));
  buf_append_str(out, is_own || !is_combined ? " and whether " : " that it has a part in, and whether ");
  show_text(out, field_text(s, "event"));
  buf_append_str(out, " came within ");
  show_span(out, field_int(s, "within_ms", 0));
  if (field_text(s, "unless").n) {
    buf_append_str(out, " and before ");
    show_text(out, field_text(s, "unless"));
  }
  buf_append_str(out, " (");
  show_text(out, field_text(s, "label"));
  buf_append_str(out, ")\n\n");
  show_figures(s, is_own, has_hold_out, out);
  if (is_own) show_tenths(s, out);
  buf_append_u8(out, '\n');
}

static void show_all(struct bytes all, struct buf *out) {
  struct bytes s;
  bool has_hold_out = field_is(all, "has_hold_out");
  for (struct each each = each_of(field(all, "series")); each_next(&each, &s);) show_series(s, has_hold_out, out);
  buf_append_str(
      out, has_hold_out ? "What was done about a lead hung on its score: what came may have come of that. Only those "
                          "held out were left alone.\n"
                        : "No policy in this journal holds leads out (action.limits hold_out): what came may have come "
                          "of what was done because of the score.\n");
  if (field_int(all, "left_out", 0)) {
    show_count(out, (uint64_t)field_int(all, "left_out", 0));
    buf_append_str(out, " scores are left out: there are too many versions and labels.\n");
  }
}

// ---- the command ----
static int read_by(const struct args *args, enum by *by, struct error *err) {
  const char *text = args_text(args, "by");
  static const char *const names[] = {"month", "week", "all"};
  *by = BY_MONTH;
  for (int i = 0; text && i < 3; i++)
    if (strcmp(text, names[i]) == 0) return *by = (enum by)i, 0;
  return text ? error_set(err, ITD_EINVAL, "--by: \"%.40s\" is not allowed; allowed: week, month, all", text) : 0;
}

int model_quality(const struct args *args) {
  struct model_track t = {0};
  struct error err = {0};
  struct buf all = {0}, out = {0};
  enum by by;
  if (args_flag(args, "triggers")) return model_triggers(args);
  int rc = read_by(args, &by, &err), code = COMMAND_USAGE;
  if (rc == 0) {
    rc = model_track_open(args, &t, &err);
    code = model_track_exit_of(rc);
  }
  if (rc == 0) {
    put_all(args, &all, &t, by);
    if (args_flag(args, "json")) {
      show_json(buf_bytes(&all));
    } else {
      show_all(buf_bytes(&all), &out);
      show_print(&out);
    }
  }
  model_track_close(&t);
  buf_deinit(&all), buf_deinit(&out);
  return rc ? command_fail(args, code, &err) : COMMAND_OK;
}
