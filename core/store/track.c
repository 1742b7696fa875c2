#include "store/track.h"

#include "base/check.h"
#include "base/pmath.h"
#include "model/evaluation.h"
#include "store/disk.h"
#include "store/table.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FORMAT 1
#define LN2    0.69314718055994530942

struct place { // of a cell; hashed as bytes, so nothing of it is left out
  uint32_t series;
  int32_t day;
  uint32_t bin, is_held_out;
};
struct cell {
  struct table_entry head; // key: the hash of `at`
  struct place at;
  int32_t only;      // thousandths of a point above the bin's lower edge, while all its scores are that one; MIXED
  uint32_t count[3]; // by enum outcome
};
enum { MIXED = -1 };
struct track {
  struct track_series *series; // texts are its own
  size_t series_count;
  struct table cells;
  const struct cell **order; // the cells by place, once somebody asked; `ordered` of them
  size_t ordered;
  int64_t until_ms;
  uint64_t left_out;
};

struct track *track_new(void) {
  struct track *t = xcalloc(1, sizeof *t);
  t->until_ms = INT64_MIN;
  table_init(&t->cells, sizeof(struct cell));
  return t;
}

static void free_texts(struct track_series *s) {
  const char *texts[] = {s->label, s->event, s->unless};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free((char *)(uintptr_t)texts[i]);
}

void track_free(struct track *t) {
  if (!t) return;
  for (size_t i = 0; i < t->series_count; i++) free_texts(&t->series[i]);
  free(t->series);
  free(t->order);
  table_deinit(&t->cells);
  free(t);
}

// ---- counting ----
static bool same_scale(const struct judge_model *a, const struct judge_model *b) {
  return a->points_at_even_odds == b->points_at_even_odds && a->points_to_double_odds == b->points_to_double_odds;
}

// -1: there are too many.
static int series_of(struct track *t, const struct track_series *like) {
  for (size_t i = 0; i < t->series_count; i++) {
    const struct track_series *s = &t->series[i];
    if (s->score == like->score && s->within_ms == like->within_ms && strcmp(s->label, like->label) == 0 &&
        strcmp(s->event, like->event) == 0 && strcmp(s->unless, like->unless) == 0 &&
        strcmp(s->model.name, like->model.name) == 0 && strcmp(s->model.version, like->model.version) == 0 &&
        same_scale(&s->model, &like->model))
      return (int)i;
  }
  if (t->series_count == TRACK_SERIES_MAX) return -1;
  t->series = xrealloc(t->series, (t->series_count + 1) * sizeof *t->series);
  struct track_series *s = &t->series[t->series_count];
  *s = *like;
  s->label = xstrdup(like->label), s->event = xstrdup(like->event), s->unless = xstrdup(like->unless);
  s->first_day = s->end_day = 0; // none yet
  return (int)t->series_count++;
}

static struct cell *cell_of(struct track *t, struct place at, int32_t only) {
  struct hash128 key = hash128(bytes_of(&at, sizeof at));
  struct cell *cell = table_find(&t->cells, key);
  if (cell) {
    if (cell->only != only) cell->only = MIXED;
    return cell;
  }
  cell = table_add(&t->cells, key);
  cell->at = at;
  cell->only = only;
  struct track_series *s = &t->series[at.series];
  bool is_none = s->first_day == s->end_day;
  if (is_none || at.day < s->first_day) s->first_day = at.day;
  if (is_none || at.day >= s->end_day) s->end_day = at.day + 1;
  return cell;
}

static uint32_t bin_of(double points) {
  double bin = pm_floor((points - TRACK_POINTS_MIN) * TRACK_BINS_PER_POINT);
  return bin < 0 ? 0 : bin >= TRACK_BINS ? TRACK_BINS - 1 : (uint32_t)bin;
}

static double edge_of(uint32_t bin) { return TRACK_POINTS_MIN + (double)bin / TRACK_BINS_PER_POINT; }
static double points_of(uint32_t bin, int32_t only) {
  return edge_of(bin) + (only == MIXED ? 0.5 / TRACK_BINS_PER_POINT : (double)only / 1000);
}
static int32_t only_of(uint32_t bin, double points) {
  double above = pm_round_even((points - edge_of(bin)) * 1000);
  return above >= 0 && above < 1000 / TRACK_BINS_PER_POINT ? (int32_t)above : MIXED; // beyond the outermost bins
}

static int64_t day_of(int64_t ms) { return ms / OUTCOMES_DAY_MS - (ms % OUTCOMES_DAY_MS < 0); }

static void count(struct track *t, const struct policy_label *label, const struct judge_model *model, enum score score,
                  const struct judged_decision *d, enum outcome outcome) {
  struct buf unless = {0};
  for (size_t i = 0; i < label->unless_count; i++) buf_printf(&unless, "%s%s", i ? ", " : "", label->unless[i]);
  buf_append_u8(&unless, 0);
  struct track_series like = {.label = label->name,
                              .event = label->event,
                              .unless = (const char *)unless.p,
                              .within_ms = label->within_ms,
                              .model = *model,
                              .score = score};
  int series = series_of(t, &like);
  buf_deinit(&unless);
  if (series < 0) {
    t->left_out++;
    return;
  }
  struct place at = {.series = (uint32_t)series,
                     .day = (int32_t)day_of(d->at_ms),
                     .bin = bin_of(d->points[score]),
                     .is_held_out = d->is_held_out};
  cell_of(t, at, only_of(at.bin, d->points[score]))->count[outcome]++;
}

// The combined score stands with each model that has a part in it, under that model's name and on its own scale.
static void count_combined(struct track *t, const struct policy_label *label, const struct judged_decision *d,
                           enum outcome outcome) {
  const struct judge_model *fit = &d->model[SCORE_FIT], *engagement = &d->model[SCORE_ENGAGEMENT];
  struct judge_model as = d->model[SCORE_COMBINED];
  bool is_one = strcmp(fit->name, engagement->name) == 0 && strcmp(fit->version, engagement->version) == 0;
  if (d->has[SCORE_ENGAGEMENT]) count(t, label, &as, SCORE_COMBINED, d, outcome);
  if (!d->has[SCORE_FIT] || (d->has[SCORE_ENGAGEMENT] && is_one)) return;
  memcpy(as.name, fit->name, sizeof as.name), memcpy(as.version, fit->version, sizeof as.version);
  count(t, label, &as, SCORE_COMBINED, d, outcome);
}

void track_add(struct track *t, const struct policy_label *label, size_t label_count, const struct judged_decision *d) {
  for (size_t k = 0; k < label_count; k++) {
    for (int s = SCORE_FIT; s <= SCORE_ENGAGEMENT; s++)
      if (d->has[s]) count(t, &label[k], &d->model[s], (enum score)s, d, d->outcome[k]);
    if (d->has[SCORE_COMBINED]) count_combined(t, &label[k], d, d->outcome[k]);
  }
}

void track_take_before(struct track *t, const struct track *older, int64_t day) {
  struct track *merged = track_new();
  for (int part = 0; part < 2; part++) {
    const struct track *from = part == 0 ? older : t;
    if (from->until_ms > merged->until_ms) merged->until_ms = from->until_ms;
    merged->left_out += from->left_out;
    for (size_t i = 0; i < table_count(&from->cells); i++) {
      const struct cell *cell = table_at(&from->cells, i);
      if ((cell->at.day < day) != (part == 0)) continue;
      struct place at = cell->at;
      int series = series_of(merged, &from->series[at.series]);
      if (series < 0) {
        merged->left_out += (uint64_t)cell->count[0] + cell->count[1] + cell->count[2];
        continue;
      }
      at.series = (uint32_t)series;
      memcpy(cell_of(merged, at, cell->only)->count, cell->count, sizeof cell->count);
    }
  }
  struct track own = *t;
  *t = *merged;
  *merged = own;
  track_free(merged);
}

// ---- as bytes ----
static int by_place(const void *a, const void *b) {
  const struct place *x = &(*(const struct cell *const *)a)->at, *y = &(*(const struct cell *const *)b)->at;
  if (x->series != y->series) return x->series < y->series ? -1 : 1;
  if (x->day != y->day) return x->day < y->day ? -1 : 1;
  if (x->is_held_out != y->is_held_out) return x->is_held_out < y->is_held_out ? -1 : 1;
  return (x->bin > y->bin) - (x->bin < y->bin);
}

// By series, day, hold-out and bin. Cells are never taken away, so a number tells whether there are new ones.
static const struct cell **sorted(const struct track *track) {
  struct track *t = (struct track *)(uintptr_t)track; // what it says stays the same
  size_t n = table_count(&t->cells);
  if (t->order && t->ordered == n) return t->order;
  t->order = xrealloc(t->order, (n + 1) * sizeof *t->order);
  for (size_t i = 0; i < n; i++) t->order[i] = table_at(&t->cells, i);
  qsort(t->order, n, sizeof *t->order, by_place);
  t->ordered = n;
  return t->order;
}

// The first cell of a series that is of that day or later.
static size_t first_of(const struct track *t, size_t series, int64_t day) {
  const struct cell **cell = sorted(t);
  size_t low = 0, high = table_count(&t->cells);
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const struct place *at = &cell[middle]->at;
    if (at->series < series || (at->series == series && at->day < day))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void put_series(const struct track_series *s, struct buf *out) {
  mp_put_array(out, 9);
  mp_put_cstr(out, s->label);
  mp_put_cstr(out, s->event);
  mp_put_cstr(out, s->unless);
  mp_put_int(out, s->within_ms);
  mp_put_cstr(out, s->model.name);
  mp_put_cstr(out, s->model.version);
  mp_put_float(out, s->model.points_at_even_odds);
  mp_put_float(out, s->model.points_to_double_odds);
  mp_put_uint(out, s->score);
}

// [FORMAT, until_ms, left_out, [series], [cells: series, day, held out, bin, only or -1, open, no, yes one behind the other]], and 8
// bytes of hash over it.
void track_save(const struct track *t, struct buf *out) {
  size_t start = out->n, n = table_count(&t->cells);
  const struct cell **cell = sorted(t);
  mp_put_array(out, 5);
  mp_put_uint(out, FORMAT);
  mp_put_int(out, t->until_ms);
  mp_put_uint(out, t->left_out);
  mp_put_array(out, (uint32_t)t->series_count);
  for (size_t i = 0; i < t->series_count; i++) put_series(&t->series[i], out);
  mp_put_array(out, (uint32_t)(n * 8));
  for (size_t i = 0; i < n; i++) {
    const struct place *at = &cell[i]->at;
    mp_put_uint(out, at->series), mp_put_int(out, at->day), mp_put_uint(out, at->is_held_out);
    mp_put_uint(out, at->bin), mp_put_int(out, cell[i]->only);
    for (int k = 0; k < 3; k++) mp_put_uint(out, cell[i]->count[k]);
  }
  uint64_t hash = hash64(bytes_of(out->p + start, out->n - start));
  buf_append(out, &hash, sizeof hash);
}

struct reader {
  struct mp m;
  bool is_bad;
};
static int64_t read_int(struct reader *r, int64_t least, int64_t most) {
  if (r->is_bad || mp_done(&r->m)) return r->is_bad = true, least;
  struct mp_value v = mp_next(&r->m);
  if (v.type != MP_INT || v.i < least || v.i > most) return r->is_bad = true, least;
  return v.i;
}
static uint32_t read_array(struct reader *r, uint32_t most) {
  if (r->is_bad || mp_done(&r->m) || mp_peek(&r->m) != MP_ARRAY) return r->is_bad = true, 0;
  uint32_t n = mp_next(&r->m).count;
  if (n > most) r->is_bad = true;
  return r->is_bad ? 0 : n;
}
static struct bytes read_text(struct reader *r, size_t most) {
  struct bytes text = {0};
  if (r->is_bad || mp_done(&r->m) || mp_peek(&r->m) != MP_STR) return r->is_bad = true, text;
  text = mp_next(&r->m).s;
  if (text.n > most || memchr(text.p, 0, text.n)) r->is_bad = true;
  return text;
}
static double read_number(struct reader *r) {
  double x = 0;
  if (r->is_bad || mp_done(&r->m) || !mp_as_number(mp_take(&r->m), &x) || !isfinite(x)) r->is_bad = true;
  return x;
}

static void read_series(struct reader *r, struct track *t) {
  if (read_array(r, 9) != 9) r->is_bad = true;
  struct bytes label = read_text(r, 1024), event = read_text(r, 1024);
  struct bytes unless = read_text(r, 1024 * POLICY_UNLESS_MAX);
  struct track_series s = {.within_ms = read_int(r, 1, OUTCOMES_HORIZON_MAX)};
  struct bytes name = read_text(r, sizeof s.model.name - 1), version = read_text(r, sizeof s.model.version - 1);
  s.model.points_at_even_odds = read_number(r);
  s.model.points_to_double_odds = read_number(r);
  s.score = (enum score)read_int(r, 0, SCORES - 1);
  if (r->is_bad || !(s.model.points_to_double_odds > 0)) {
    r->is_bad = true;
    return;
  }
  memcpy(s.model.name, name.p, name.n), memcpy(s.model.version, version.p, version.n);
  size_t before = t->series_count;
  s.label = xstrndup(label.p, label.n), s.event = xstrndup(event.p, event.n), s.unless = xstrndup(unless.p, unless.n);
  series_of(t, &s);
  free_texts(&s);
  if (t->series_count == before) r->is_bad = true; // twice
}

static void read_cells(struct reader *r, struct track *t) {
  uint32_t n = read_array(r, UINT32_MAX);
  if (n % 8) r->is_bad = true;
  if (n && !t->series_count) r->is_bad = true;
  for (uint32_t i = 0; i < n / 8 && !r->is_bad; i++) {
    struct place at; // one after the other: an initialiser has no order
    at.series = (uint32_t)read_int(r, 0, (int64_t)t->series_count - 1);
    at.day = (int32_t)read_int(r, -1000000, 3000000);
    at.is_held_out = (uint32_t)read_int(r, 0, 1);
    at.bin = (uint32_t)read_int(r, 0, TRACK_BINS - 1);
    int32_t only = (int32_t)read_int(r, MIXED, 1000 / TRACK_BINS_PER_POINT - 1);
    uint32_t counts[3];
    for (int k = 0; k < 3; k++) counts[k] = (uint32_t)read_int(r, 0, UINT32_MAX);
    if (!r->is_bad) memcpy(cell_of(t, at, only)->count, counts, sizeof counts);
  }
}

int track_load(struct bytes bytes, struct track **out, struct error *err) {
  const struct mp_limits limits = {.depth_max = 4, .objects_max = UINT32_MAX, .bytes_max = TRACK_FILE_MAX};
  uint64_t hash;
  size_t whole;
  if (bytes.n < sizeof hash) return error_set(err, ITD_ECORRUPT, "it is too short");
  bytes.n -= sizeof hash;
  memcpy(&hash, bytes.p + bytes.n, sizeof hash);
  if (hash64(bytes) != hash) return error_set(err, ITD_ECORRUPT, "its bytes are not those that were written");
  if (mp_scan(bytes, &limits, &whole, NULL) != 1 || whole != bytes.n)
    return error_set(err, ITD_ECORRUPT, "it is no record");
  struct reader r = {.m = mp_of(bytes)};
  if (read_array(&r, 5) != 5) return error_set(err, ITD_ECORRUPT, "it is no record");
  int64_t format = read_int(&r, 0, INT64_MAX);
  if (format != FORMAT)
    return error_set(err, ITD_EVERSION, "it has format %lld; this program reads %d", (long long)format, FORMAT);
  struct track *t = track_new();
  t->until_ms = read_int(&r, INT64_MIN, MP_TIME_MAX_MS);
  if (t->until_ms != INT64_MIN && t->until_ms < MP_TIME_MIN_MS) r.is_bad = true; // INT64_MIN: nobody has said
  t->left_out = (uint64_t)read_int(&r, 0, INT64_MAX);
  for (uint32_t n = read_array(&r, TRACK_SERIES_MAX); n > 0 && !r.is_bad; n--) read_series(&r, t);
  read_cells(&r, t);
  if (r.is_bad || !mp_done(&r.m)) {
    track_free(t);
    return error_set(err, ITD_ECORRUPT, "it holds what no record does");
  }
  *out = t;
  return 0;
}

// ---- a directory's ----
static void path_of(const char *dir, char out[PATH_MAX]) { snprintf(out, PATH_MAX, "%s/track", dir); }

int track_keep(const char *dir, const struct track *t, struct error *err) {
  char path[PATH_MAX];
  struct buf out = {0};
  path_of(dir, path);
  track_save(t, &out);
  int rc = out.n > TRACK_FILE_MAX
               ? error_set(err, ITD_ETOOBIG, "%s would have %zu bytes, over %u", path, out.n, TRACK_FILE_MAX)
               : disk_replace(path, buf_bytes(&out), err);
  buf_deinit(&out);
  return rc;
}

int track_kept(const char *dir, struct track **out, struct error *err) {
  char path[PATH_MAX];
  struct buf in = {0};
  path_of(dir, path);
  int rc = disk_load(path, TRACK_FILE_MAX, &in, err);
  if (rc == 0 && (rc = track_load(buf_bytes(&in), out, err)) < 0) error_prefix(err, "%s", path);
  buf_deinit(&in);
  return rc;
}

static void take_kept(const char *dir, struct track *t, int64_t day, struct error *kept) {
  struct track *older;
  int rc = track_kept(dir, &older, kept);
  if (rc == ITD_ENOTFOUND) *kept = (struct error){0};
  if (rc) return;
  track_take_before(t, older, day);
  track_free(older);
}

struct reading {
  const struct outcomes_options *o;
  struct track *track;
};
static int visit(void *context, const struct judged_decision *d, struct error *err) {
  (void)err;
  struct reading *r = context;
  track_add(r->track, r->o->label, r->o->label_count, d);
  return 0;
}
static void pass_progress(void *context, uint64_t done, uint64_t total) {
  const struct reading *r = context;
  r->o->progress(r->o->context, done, total);
}
static bool pass_is_over(void *context) {
  const struct reading *r = context;
  return r->o->is_over(r->o->context);
}

int track_read(const struct outcomes_options *o, struct track **out, struct outcomes_stats *stats, struct error *kept,
               struct error *err) {
  struct reading r = {.o = o, .track = track_new()};
  struct outcomes_options walk = *o;
  walk.visit = visit, walk.context = &r;
  if (o->progress) walk.progress = pass_progress;
  if (o->is_over) walk.is_over = pass_is_over;
  *kept = (struct error){0};
  int rc = outcomes_walk(&walk, stats, err);
  if (rc) {
    track_free(r.track);
    return rc;
  }
  track_set_until(r.track, stats->until_ms);
  // A day that began before the journal that is kept: its decisions are not all there.
  if (stats->whole_ms != INT64_MIN) take_kept(o->dir, r.track, day_of(stats->whole_ms - 1) + 1, kept);
  *out = r.track;
  return 0;
}

// ---- what it says ----
size_t track_count(const struct track *t) { return t->series_count; }
const struct track_series *track_at(const struct track *t, size_t series) {
  CHECK(series < t->series_count);
  return &t->series[series];
}
int64_t track_until_ms(const struct track *t) { return t->until_ms; }
void track_set_until(struct track *t, int64_t until_ms) { t->until_ms = until_ms; }
uint64_t track_left_out(const struct track *t) { return t->left_out; }

bool track_is_judged(const struct track *t, size_t series, int64_t day) {
  return (day + 1) * OUTCOMES_DAY_MS + track_at(t, series)->within_ms <= t->until_ms;
}

static void add_rows(struct track_rows *out, size_t *cap, double points, double probability, bool came, uint32_t rows) {
  if (out->count + rows > *cap) {
    *cap = (out->count + rows) * 2;
    out->row = xrealloc(out->row, *cap * sizeof *out->row);
  }
  for (uint32_t i = 0; i < rows; i++) {
    out->row[out->count] =
        (struct judged){.score = points, .probability = probability, .came = came, .lead = (uint32_t)out->count};
    out->count++;
  }
}

void track_rows(const struct track *t, size_t series, int64_t from, int64_t end, enum track_who who,
                struct track_rows *out) {
  const struct track_series *s = track_at(t, series);
  uint64_t came[TRACK_BINS] = {0}, not [TRACK_BINS] = {0}, all_came = 0, all_not = 0;
  int32_t only[TRACK_BINS];
  size_t cap = 0;
  *out = (struct track_rows){0};
  const struct cell **order = sorted(t);
  for (size_t i = first_of(t, series, from), last = first_of(t, series, end); i < last; i++) {
    const struct cell *cell = order[i];
    if (who == TRACK_HELD_OUT && !cell->at.is_held_out) continue;
    if (!track_is_judged(t, series, cell->at.day)) {
      out->waiting += (uint64_t)cell->count[0] + cell->count[1] + cell->count[2];
      continue;
    }
    out->unjudged += cell->count[OUTCOME_OPEN];
    bool is_first = !came[cell->at.bin] && !not [cell->at.bin];
    only[cell->at.bin] = is_first || only[cell->at.bin] == cell->only ? cell->only : MIXED;
    not [cell->at.bin] += cell->count[OUTCOME_NO], all_not += cell->count[OUTCOME_NO];
    came[cell->at.bin] += cell->count[OUTCOME_YES], all_came += cell->count[OUTCOME_YES];
  }
  double tied = 0;
  for (uint32_t bin = 0; bin < TRACK_BINS; bin++) {
    if (!came[bin] && !not [bin]) continue;
    double points = points_of(bin, only[bin]);
    double odds = (points - s->model.points_at_even_odds) / s->model.points_to_double_odds * LN2;
    double probability = pm_sigmoid(odds);
    add_rows(out, &cap, points, probability, true, (uint32_t)came[bin]);
    add_rows(out, &cap, points, probability, false, (uint32_t) not [bin]);
    tied += (double)came[bin] * (double)not [bin];
  }
  out->auc_error = all_came && all_not ? tied / 2 / ((double)all_came * (double)all_not) : NAN;
}

uint64_t track_histogram(const struct track *t, size_t series, int64_t from, int64_t end, uint64_t bin[TRACK_BINS]) {
  uint64_t all = 0;
  memset(bin, 0, TRACK_BINS * sizeof *bin);
  const struct cell **order = sorted(t);
  for (size_t i = first_of(t, series, from), last = first_of(t, series, end); i < last; i++) {
    const struct cell *cell = order[i];
    uint64_t n = (uint64_t)cell->count[0] + cell->count[1] + cell->count[2];
    bin[cell->at.bin] += n, all += n;
  }
  return all;
}

double track_stability(const uint64_t before[TRACK_BINS], const uint64_t now[TRACK_BINS]) {
  enum { PARTS = 10 };
  const double least = 1e-4;
  double all_before = 0, all_now = 0, index = 0, seen = 0, part_before = 0, part_now = 0;
  for (int i = 0; i < TRACK_BINS; i++) all_before += (double)before[i], all_now += (double)now[i];
  if (all_before == 0 || all_now == 0) return NAN;
  int parts = 0;
  for (int i = 0; i < TRACK_BINS; i++) {
    seen += (double)before[i], part_before += (double)before[i], part_now += (double)now[i];
    bool is_last = i == TRACK_BINS - 1;
    if (!is_last && (parts == PARTS - 1 || seen < all_before * (parts + 1) / PARTS)) continue;
    double p = part_before / all_before, q = part_now / all_now;
    if (p < least) p = least;
    if (q < least) q = least;
    index += (q - p) * pm_log(q / p);
    part_before = part_now = 0;
    while (parts < PARTS - 1 && seen >= all_before * (parts + 1) / PARTS) parts++; // one bin may fill several
  }
  return index;
}

void track_latest(const struct track *t, size_t series, int64_t days, struct track_latest *out) {
  const struct track_series *s = track_at(t, series);
  struct track_rows rows, after;
  *out = (struct track_latest){.auc = NAN, .calibration_error = NAN, .lift_10 = NAN, .stability = NAN};
  if (t->until_ms == INT64_MIN) return;
  int64_t end = day_of(t->until_ms - s->within_ms); // the days before it are judged
  track_rows(t, series, end - days, end, TRACK_ALL, &rows);
  track_rows(t, series, end, s->end_day, TRACK_ALL, &after);
  struct evaluation *e = evaluation_new(rows.row, rows.count);
  struct metrics m = evaluation_metrics(e);
  *out = (struct track_latest){.rows = m.rows,
                               .came = m.came,
                               .waiting = after.waiting,
                               .auc = m.value[METRIC_AUC],
                               .calibration_error = m.value[METRIC_CALIBRATION_ERROR],
                               .lift_10 = m.value[METRIC_LIFT_10],
                               .stability = NAN};
  evaluation_free(e);
  free(rows.row), free(after.row);
  if (s->end_day - s->first_day < 2 * days) return;
  uint64_t first[TRACK_BINS], last[TRACK_BINS];
  track_histogram(t, series, s->first_day, s->first_day + days, first);
  track_histogram(t, series, s->end_day - days, s->end_day, last);
  out->stability = track_stability(first, last);
}
