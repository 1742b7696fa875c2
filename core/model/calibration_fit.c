#include "model/calibration_fit.h"

#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/pmath.h"
#include "model/calibration.h"

#define NEWTON_STEPS 100

static const double slope_least = 1e-6, slope_most = 1000; // what model.json takes
static const double loss_least = 1e-15;

const char *fit_kind_name(enum fit_kind kind) {
  static const char *const names[] = {"none", "platt", "isotonic"};
  return names[kind];
}

static int by_margin(const void *a, const void *b) {
  const struct judged *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? -1 : 1;
  return (int)x->came - (int)y->came;
}

static struct judged *sorted(const struct judged *rows, size_t count) {
  struct judged *copy = xmalloc(count * sizeof(*copy) + 1);
  for (size_t i = 0; i < count; i++) copy[i] = rows[i];
  if (count) qsort(copy, count, sizeof(*copy), by_margin);
  return copy;
}

static size_t count_came(const struct judged *rows, size_t count) {
  size_t came = 0;
  for (size_t i = 0; i < count; i++) came += rows[i].came;
  return came;
}

// ---- Platt ----
struct line {
  double slope, intercept;
};
struct targets {
  double came, lost;
};

// -(t ln p + (1 - t) ln(1 - p)) with p = sigmoid(z), without overflow.
static double loss_of(double z, double target) {
  double away = pm_log1p(pm_exp(-fabs(z)));
  return away + (z > 0 ? (1 - target) * z : -target * z);
}

static double total(const struct judged *rows, size_t count, struct targets t, struct line l) {
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += loss_of(l.slope * rows[i].score + l.intercept, rows[i].came ? t.came : t.lost);
  return sum;
}

// One Newton step, halved until it helps. False: it does not.
static bool step(const struct judged *rows, size_t count, struct targets t, struct line *l, double *loss) {
  double ga = 0, gb = 0, aa = 1e-12, ab = 0, bb = 1e-12;
  for (size_t i = 0; i < count; i++) {
    double x = rows[i].score, p = pm_sigmoid(l->slope * x + l->intercept);
    double miss = p - (rows[i].came ? t.came : t.lost), weight = p * (1 - p);
    ga += miss * x, gb += miss;
    aa += weight * x * x, ab += weight * x, bb += weight;
  }
  double det = aa * bb - ab * ab;
  if (!(det > 0)) return false;
  double da = -(bb * ga - ab * gb) / det, db = -(aa * gb - ab * ga) / det;
  for (double share = 1; share > 1e-10; share /= 2) {
    struct line next = {l->slope + share * da, l->intercept + share * db};
    double less = total(rows, count, t, next);
    if (!(less < *loss)) continue;
    bool goes_on = *loss - less > 1e-12 * (1 + fabs(less));
    *l = next, *loss = less;
    return goes_on;
  }
  return false;
}

static bool fit_line(const struct judged *rows, size_t count, struct fit *out) {
  double came = (double)count_came(rows, count), lost = (double)count - came;
  struct targets t = {(came + 1) / (came + 2), 1 / (lost + 2)};
  struct line l = {0, pm_log((came + 1) / (lost + 1))};
  double loss = total(rows, count, t, l);
  for (int i = 0; i < NEWTON_STEPS && step(rows, count, t, &l, &loss); i++) continue;
  if (!(l.slope >= slope_least && l.slope <= slope_most && fabs(l.intercept) <= 1e6)) return false;
  *out = (struct fit){.kind = FIT_PLATT, .slope = l.slope, .intercept = l.intercept};
  return true;
}

// ---- isotonic ----
struct block {
  double low, high;  // margins
  double rows, came; // added up
  double seen, sum;  // rows without those that are added, and their margins' sum
};

static double rate(const struct block *b) { return b->came / b->rows; }

// Rows of one margin, joined with neighbours until there are few enough groups; each group is larger than its share.
static size_t group(const struct judged *rows, size_t count, struct block *out) {
  size_t ties = 0, n = 0;
  for (size_t i = 0; i < count; i++) ties += i == 0 || rows[i].score > rows[i - 1].score;
  double least = ties > FIT_GROUPS_MAX ? (double)count / FIT_GROUPS_MAX : 0;
  for (size_t i = 0; i < count; i++) {
    bool is_new = i == 0 || (rows[i].score > rows[i - 1].score && out[n - 1].rows >= least);
    if (is_new) out[n++] = (struct block){.low = rows[i].score};
    out[n - 1].high = rows[i].score;
    out[n - 1].rows += 1;
    out[n - 1].came += rows[i].came;
    out[n - 1].seen += 1;
    out[n - 1].sum += rows[i].score;
  }
  out[0].rows += 1, out[0].came += 1;
  out[n - 1].rows += 1;
  return n;
}

// Neighbours that fall are one block, as often as it takes.
static size_t pool(struct block *b, size_t count) {
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    b[n++] = b[i];
    while (n > 1 && rate(&b[n - 2]) >= rate(&b[n - 1])) {
      b[n - 2].high = b[n - 1].high;
      b[n - 2].rows += b[n - 1].rows;
      b[n - 2].came += b[n - 1].came;
      b[n - 2].seen += b[n - 1].seen;
      b[n - 2].sum += b[n - 1].sum;
      n--;
    }
  }
  return n;
}

static void put_knot(struct fit *out, double margin, double probability) {
  out->margins[out->count] = margin, out->probabilities[out->count++] = probability;
}

// Held within the block: the mean of equal numbers may be off by a bit.
static double centre(const struct block *b) { return fmin(fmax(b->sum / b->seen, b->low), b->high); }

// The line through two blocks' centres, at a margin beyond the second; at most half the way to 0 or 1.
static double beyond(const struct block *inner, const struct block *outer, double margin) {
  double slope = (rate(outer) - rate(inner)) / (centre(outer) - centre(inner));
  double p = rate(outer) + slope * (margin - centre(outer));
  return fmin(fmax(p, rate(outer) / 2), (1 + rate(outer)) / 2);
}

static bool fit_rising(const struct judged *rows, size_t count, struct fit *out) {
  struct block *b = xmalloc((count + 1) * sizeof(*b));
  size_t n = pool(b, group(rows, count, b));
  *out = (struct fit){.kind = FIT_ISOTONIC};
  if (n >= 2) {
    const struct block *last = &b[n - 1];
    if (b[0].low < centre(&b[0])) put_knot(out, b[0].low, beyond(&b[1], &b[0], b[0].low));
    for (size_t i = 0; i < n; i++) put_knot(out, centre(&b[i]), rate(&b[i]));
    if (last->high > centre(last)) put_knot(out, last->high, beyond(&b[n - 2], last, last->high));
  }
  free(b);
  return n >= 2;
}

bool fit_rows(enum fit_kind kind, const struct judged *rows, size_t count, struct fit *out) {
  size_t came = count_came(rows, count);
  bool is_fit = false;
  *out = (struct fit){.kind = FIT_NONE};
  if (kind == FIT_NONE) return true;
  if (came == 0 || came == count) return false;
  struct judged *copy = sorted(rows, count);
  is_fit = kind == FIT_PLATT ? fit_line(copy, count, out) : fit_rising(copy, count, out);
  free(copy);
  if (!is_fit) *out = (struct fit){.kind = FIT_NONE};
  return is_fit;
}

double fit_apply(const struct fit *fit, double margin) {
  struct calibration c = {.kind = CALIBRATION_NONE};
  if (fit->kind == FIT_PLATT)
    c = (struct calibration){.kind = CALIBRATION_PLATT, .slope = fit->slope, .intercept = fit->intercept};
  if (fit->kind == FIT_ISOTONIC)
    c = (struct calibration){.kind = CALIBRATION_ISOTONIC,
                             .count = fit->count,
                             .margins = fit->margins,
                             .probabilities = fit->probabilities};
  return calibration_apply(&c, margin);
}

// ---- which one ----
static size_t fold_of(const struct judged *row) { return (size_t)(hash_mix(0x666f6c64, row->lead) % FIT_FOLDS); }

// The mean log loss of the rows of each fold under the fit to the others; NaN where some fold has no fit.
static double loss_unseen(enum fit_kind kind, const struct judged *ordered, size_t count) {
  struct judged *others = xmalloc(count * sizeof(*others) + 1);
  struct fit *fit = xmalloc(sizeof(*fit));
  double sum = 0;
  bool is_fit = true;
  for (size_t fold = 0; fold < FIT_FOLDS && is_fit; fold++) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
      if (fold_of(&ordered[i]) != fold) others[n++] = ordered[i];
    if (n == count) continue; // nobody is in it
    is_fit = fit_rows(kind, others, n, fit);
    for (size_t i = 0; i < count && is_fit; i++) {
      if (fold_of(&ordered[i]) != fold) continue;
      double z = fit_apply(fit, ordered[i].score), p = pm_sigmoid(ordered[i].came ? z : -z);
      sum -= pm_log(fmax(p, loss_least));
    }
  }
  free(others), free(fit);
  return is_fit && count ? sum / (double)count : (double)NAN;
}

static int by_all(const void *a, const void *b) {
  const struct judged *x = a, *y = b;
  int order = by_margin(a, b);
  return order ? order : (x->lead > y->lead) - (x->lead < y->lead);
}

void fit_choose(const struct judged *rows, size_t count, struct fit *out, struct fit_choice *choice) {
  struct judged *ordered = sorted(rows, count);
  if (count) qsort(ordered, count, sizeof(*ordered), by_all); // the sum's order does not depend on the rows'
  enum fit_kind best = FIT_NONE;
  for (enum fit_kind k = FIT_NONE; k <= FIT_ISOTONIC; k++) {
    choice->log_loss[k] = loss_unseen(k, ordered, count);
    if (choice->log_loss[k] < choice->log_loss[best]) best = k;
  }
  if (!fit_rows(best, ordered, count, out)) *out = (struct fit){.kind = FIT_NONE};
  free(ordered);
}
