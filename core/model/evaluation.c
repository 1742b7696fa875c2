// All in one pass over rows in the order of their scores, tie by tie. A row counts as often as its lead was drawn: once each
// when nothing was drawn.
#include "model/evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/pmath.h"

#define TENTHS 10

static const double least = 1e-15; // of a probability in a logarithm

struct row {
  double score, probability;
  double loss, square; // of log loss and Brier
  uint32_t lead;       // its place among all leads
  bool came;
};

struct evaluation {
  struct row *rows;
  size_t count, leads;
};

// Rows of one score, as often as they count.
struct tie {
  uint64_t rows, came;
  double probability, loss, square; // sums
  double score;
};

static const struct {
  const char *name;
  bool higher_is_better;
} names[METRICS] = {
    [METRIC_AUC] = {"auc", true},
    [METRIC_AVERAGE_PRECISION] = {"average_precision", true},
    [METRIC_LOG_LOSS] = {"log_loss", false},
    [METRIC_BRIER] = {"brier", false},
    [METRIC_CALIBRATION_ERROR] = {"calibration_error", false},
    [METRIC_LIFT_10] = {"lift_10", true},
    [METRIC_GAIN_20] = {"gain_20", true},
};

const char *metric_name(enum metric metric) { return names[metric].name; }
bool metric_higher_is_better(enum metric metric) { return names[metric].higher_is_better; }

// ---- in order ----
static int order_of(double a, double b) { return (a > b) - (a < b); }

static int by_number(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

// The highest first. Rows that differ in nothing are one as good as the other, so the order, and each sum, is fixed.
static int by_score(const void *a, const void *b) {
  const struct row *x = a, *y = b;
  int order = order_of(y->score, x->score);
  if (order == 0) order = order_of(x->probability, y->probability);
  if (order == 0) order = (x->lead > y->lead) - (x->lead < y->lead);
  return order ? order : (int)x->came - (int)y->came;
}

static size_t place_of(const uint32_t *leads, size_t count, uint32_t lead) {
  const uint32_t *at = bsearch(&lead, leads, count, sizeof(*leads), by_number);
  return (size_t)(at - leads);
}

static struct row row_of(const struct judged *j) {
  CHECK(!isnan(j->score) && j->probability >= 0 && j->probability <= 1);
  double said = j->came ? j->probability : 1 - j->probability, miss = j->probability - (j->came ? 1 : 0);
  double held = said < least ? least : said > 1 - least ? 1 - least : said;
  return (struct row){.score = j->score + 0.0,
                      .probability = j->probability,
                      .loss = -pm_log(held),
                      .square = miss * miss,
                      .came = j->came};
}

struct evaluation *evaluation_new(const struct judged *rows, size_t count) {
  CHECK(count <= EVALUATION_ROWS_MAX);
  struct evaluation *e = xcalloc(1, sizeof(*e));
  e->rows = xmalloc(count * sizeof(*e->rows) + 1);
  e->count = count;
  uint32_t *leads = xmalloc(count * sizeof(*leads) + 1);
  for (size_t i = 0; i < count; i++) leads[i] = rows[i].lead;
  if (count) qsort(leads, count, sizeof(*leads), by_number);
  for (size_t i = 0; i < count; i++)
    if (e->leads == 0 || leads[i] != leads[e->leads - 1]) leads[e->leads++] = leads[i];
  for (size_t i = 0; i < count; i++) {
    e->rows[i] = row_of(&rows[i]);
    e->rows[i].lead = (uint32_t)place_of(leads, e->leads, rows[i].lead);
  }
  if (count) qsort(e->rows, count, sizeof(*e->rows), by_score);
  free(leads);
  return e;
}

void evaluation_free(struct evaluation *e) {
  if (!e) return;
  free(e->rows);
  free(e);
}

// ---- tie by tie ----
// The tie that begins at row *at, which moves behind it; `times` by lead, or NULL: each once. False at the end.
static bool next_tie(const struct evaluation *e, const uint32_t *times, size_t *at, struct tie *tie) {
  if (*at == e->count) return false;
  *tie = (struct tie){.score = e->rows[*at].score};
  for (; *at < e->count && !(e->rows[*at].score < tie->score); ++*at) {
    const struct row *r = &e->rows[*at];
    uint32_t n = times ? times[r->lead] : 1;
    tie->rows += n;
    tie->came += r->came ? n : 0;
    tie->probability += n * r->probability;
    tie->loss += n * r->loss;
    tie->square += n * r->square;
  }
  return true;
}

static void count_all(const struct evaluation *e, const uint32_t *times, uint64_t *rows, uint64_t *came) {
  *rows = *came = 0;
  for (size_t i = 0; i < e->count; i++) {
    uint32_t n = times ? times[e->rows[i].lead] : 1;
    *rows += n;
    *came += e->rows[i].came ? n : 0;
  }
}

// Equal parts that are being filled from the top.
struct parts {
  size_t count, at;
  double all, begun; // rows in total, rows so far
  struct evaluation_bin *bin;
};

static void parts_begin(struct parts *p, size_t count, uint64_t rows, struct evaluation_bin *bin) {
  *p = (struct parts){.count = count, .all = (double)rows, .bin = bin};
  for (size_t i = 0; i < count; i++)
    bin[i] = (struct evaluation_bin){.score_high = (double)NAN, .score_low = (double)NAN};
}

static double edge_of(const struct parts *p, size_t part) { return p->all * (double)(part + 1) / (double)p->count; }

static void parts_add(struct parts *p, const struct tie *tie) {
  double end = p->begun + (double)tie->rows;
  while (p->begun < end) {
    double edge = p->at + 1 < p->count ? edge_of(p, p->at) : end;
    double to = edge < end ? edge : end, taken = to - p->begun, share = taken / (double)tie->rows;
    struct evaluation_bin *b = &p->bin[p->at];
    if (taken > 0) {
      if (isnan(b->score_high)) b->score_high = tie->score;
      b->score_low = tie->score;
      b->rows += taken;
      b->came += (double)tie->came * share;
      b->probability += tie->probability * share; // the sum, for now
    }
    p->begun = to;
    if (to >= edge && p->at + 1 < p->count) p->at++;
  }
}

// ---- numbers of all rows ----
static double part_of(uint64_t a, uint64_t b) { return b ? (double)a / (double)b : (double)NAN; }

static void from_tenths(const struct evaluation_bin *tenth, struct metrics *m) {
  double error = 0, rows = (double)m->rows, rate = part_of(m->came, m->rows);
  for (size_t i = 0; i < TENTHS; i++) error += fabs(tenth[i].probability - tenth[i].came);
  m->value[METRIC_CALIBRATION_ERROR] = m->rows ? error / rows : (double)NAN;
  m->value[METRIC_LIFT_10] = m->came ? tenth[0].came / tenth[0].rows / rate : (double)NAN;
  m->value[METRIC_GAIN_20] = m->came ? (tenth[0].came + tenth[1].came) / (double)m->came : (double)NAN;
}

static struct metrics judge(const struct evaluation *e, const uint32_t *times) {
  struct metrics m = {.rows = 0};
  struct evaluation_bin tenth[TENTHS];
  struct parts parts;
  struct tie tie;
  count_all(e, times, &m.rows, &m.came);
  parts_begin(&parts, TENTHS, m.rows, tenth);
  // Pairs are counted twice over, so that a tie's half is a whole number: exact below 2^63.
  uint64_t above = 0, came = 0, pairs = 0, lost = m.rows - m.came;
  double precision = 0, loss = 0, square = 0;
  for (size_t at = 0; next_tie(e, times, &at, &tie);) {
    if (tie.rows == 0) continue;
    uint64_t without = tie.rows - tie.came;
    above += tie.rows, came += tie.came;
    pairs += without * (2 * (came - tie.came) + tie.came);
    precision += (double)tie.came * part_of(came, above);
    loss += tie.loss, square += tie.square;
    parts_add(&parts, &tie);
  }
  m.value[METRIC_AUC] = m.came && lost ? (double)pairs / (2 * (double)m.came * (double)lost) : (double)NAN;
  m.value[METRIC_AVERAGE_PRECISION] = m.came ? precision / (double)m.came : (double)NAN;
  m.value[METRIC_LOG_LOSS] = m.rows ? loss / (double)m.rows : (double)NAN;
  m.value[METRIC_BRIER] = m.rows ? square / (double)m.rows : (double)NAN;
  from_tenths(tenth, &m);
  return m;
}

struct metrics evaluation_metrics(const struct evaluation *e) {
  return judge(e, NULL);
}

// ---- tables and curves ----
// A share's interval that stays inside 0 to 1 and holds for few rows (Wilson 1927).
static void wilson(double rows, double came, double *low, double *high) {
  static const double z = 1.959963984540054;
  double p = came / rows, around = p + z * z / (2 * rows), scale = 1 + z * z / rows;
  double half = z * sqrt(p * (1 - p) / rows + z * z / (4 * rows * rows));
  *low = fmax(0, (around - half) / scale);
  *high = fmin(1, (around + half) / scale);
}

void evaluation_bins(const struct evaluation *e, size_t bins, struct evaluation_bin *out) {
  CHECK(bins >= 1 && bins <= EVALUATION_BINS_MAX);
  uint64_t rows, all;
  struct parts parts;
  struct tie tie;
  count_all(e, NULL, &rows, &all);
  parts_begin(&parts, bins, rows, out);
  for (size_t at = 0; next_tie(e, NULL, &at, &tie);) parts_add(&parts, &tie);
  double came = 0;
  for (size_t i = 0; i < bins; i++) {
    struct evaluation_bin *b = &out[i];
    came += b->came;
    b->gain = all ? fmin(1, came / (double)all) : (double)NAN;
    b->probability = b->rows > 0 ? b->probability / b->rows : (double)NAN;
    b->rate = b->rows > 0 ? fmin(1, b->came / b->rows) : (double)NAN;
    b->lift = b->rate / part_of(all, rows);
    b->low = b->high = (double)NAN;
    if (b->rows > 0) wilson(b->rows, b->rate * b->rows, &b->low, &b->high);
  }
}

static size_t count_ties(const struct evaluation *e) {
  struct tie tie;
  size_t n = 0;
  for (size_t at = 0; next_tie(e, NULL, &at, &tie);) n++;
  return n;
}

size_t evaluation_roc(const struct evaluation *e, size_t max, struct roc_point *out) {
  CHECK(max >= 2);
  uint64_t rows, all, came = 0, lost = 0;
  struct tie tie;
  size_t ties = count_ties(e), n = 0, seen = 0;
  count_all(e, NULL, &rows, &all);
  if (all == 0 || all == rows) return 0;
  out[n++] = (struct roc_point){0, 0};
  for (size_t at = 0; next_tie(e, NULL, &at, &tie);) {
    came += tie.came, lost += tie.rows - tie.came;
    // The place of this corner among `max - 1` places: taken when it is the last that falls there.
    size_t steps = max - 1, here = seen * steps / ties, next = (seen + 1) * steps / ties;
    seen++;
    if (ties > steps && here == next) continue;
    out[n++] = (struct roc_point){part_of(lost, rows - all), part_of(came, all)};
  }
  return n;
}

// ---- draws ----
void evaluation_draws(const struct evaluation *e, uint64_t seed, size_t draws, struct metrics *out) {
  uint32_t *times = xmalloc(e->leads * sizeof(*times) + 1);
  for (size_t d = 0; d < draws; d++) {
    memset(times, 0, e->leads * sizeof(*times));
    uint64_t state = hash_mix(seed, d);
    for (size_t k = 0; k < e->leads; k++) times[(size_t)(((unsigned __int128)hash_mix(state, k) * e->leads) >> 64)]++;
    out[d] = judge(e, times);
  }
  free(times);
}

static int by_value(const void *a, const void *b) { return order_of(*(const double *)a, *(const double *)b); }

static double quantile(const double *ascending, size_t count, double share) {
  double place = share * (double)(count - 1);
  size_t below = (size_t)place;
  if (below + 1 >= count) return ascending[count - 1];
  double part = place - (double)below;
  if (part == 0) return ascending[below]; // and an infinite neighbour does not matter
  return ascending[below] + part * (ascending[below + 1] - ascending[below]);
}

// Puts the numbers of `values` in order, what is none left out.
static struct interval middle_of(double *values, size_t count, double level) {
  CHECK(level > 0 && level < 1);
  size_t n = 0;
  for (size_t i = 0; i < count; i++)
    if (!isnan(values[i])) values[n++] = values[i];
  if (n == 0) return (struct interval){(double)NAN, (double)NAN, 0};
  qsort(values, n, sizeof(*values), by_value);
  double out = (1 - level) / 2;
  return (struct interval){quantile(values, n, out), quantile(values, n, 1 - out), n};
}

struct interval interval_of(const double *values, size_t count, double level) {
  double *copy = xmalloc(count * sizeof(*copy) + 1);
  for (size_t i = 0; i < count; i++) copy[i] = values[i];
  struct interval out = middle_of(copy, count, level);
  free(copy);
  return out;
}

struct interval metric_interval(const struct metrics *draws, size_t count, enum metric metric, double level) {
  double *values = xmalloc(count * sizeof(*values) + 1);
  for (size_t i = 0; i < count; i++) values[i] = draws[i].value[metric];
  struct interval out = middle_of(values, count, level);
  free(values);
  return out;
}

struct interval metric_difference(const struct metrics *a, const struct metrics *b, size_t count, enum metric metric,
                                  double level) {
  double *values = xmalloc(count * sizeof(*values) + 1);
  for (size_t i = 0; i < count; i++) values[i] = a[i].value[metric] - b[i].value[metric];
  struct interval out = middle_of(values, count, level);
  free(values);
  return out;
}
