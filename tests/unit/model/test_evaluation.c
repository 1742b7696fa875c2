// Metrics against what their definitions say in plain loops: all pairs, all thresholds, each row's share of each part; draws
// against rows that are written out. SEED= repeats a run.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "../random.h"
#include "base/buf.h"
#include "base/hash.h"
#include "model/evaluation.h"

enum { ROWS_MOST = 300 };

static bool is_near(double a, double b) {
  return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= 1e-11 * fmax(1, fabs(a));
}

// Few scores make ties; extremes are there too.
static size_t fill(struct judged *rows) {
  size_t count = random_below(8) ? 1 + random_below(ROWS_MOST) : 1 + random_below(4);
  uint64_t scores = random_below(3) ? 1 + random_below(20) : UINT64_C(1) << 40, leads = 1 + random_below(count);
  double rate = random_unit();
  for (size_t i = 0; i < count; i++) {
    rows[i] = (struct judged){.score = (double)random_below(scores) - 3,
                              .probability = random_below(10) ? random_unit() : (double)random_below(2),
                              .lead = (uint32_t)random_below(leads) * 7919u,
                              .came = random_unit() < rate};
    if (random_below(40) == 0) rows[i].score = random_below(2) ? (double)INFINITY : (double)-INFINITY;
    if (random_below(40) == 0) rows[i].score = random_below(2) ? 0.0 : -0.0;
  }
  return count;
}

// ---- by definition ----
static double auc_of(const struct judged *r, size_t n) {
  double won = 0, pairs = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++) {
      if (!r[i].came || r[k].came) continue;
      pairs += 1;
      won += r[i].score > r[k].score ? 1 : r[i].score == r[k].score ? 0.5 : 0;
    }
  return won / pairs; // NaN without a pair
}

// Each row that came stands for a step of recall: the precision of all rows at its score and above.
static double precision_of(const struct judged *r, size_t n) {
  double sum = 0, all = 0;
  for (size_t i = 0; i < n; i++) {
    if (!r[i].came) continue;
    double above = 0, came = 0;
    for (size_t k = 0; k < n; k++)
      if (r[k].score >= r[i].score) above += 1, came += r[k].came;
    all += 1, sum += came / above;
  }
  return sum / all;
}

static void losses_of(const struct judged *r, size_t n, double *log_loss, double *brier) {
  *log_loss = *brier = 0;
  for (size_t i = 0; i < n; i++) {
    double said = r[i].came ? r[i].probability : 1 - r[i].probability;
    *log_loss -= log(fmin(fmax(said, 1e-15), 1 - 1e-15));
    *brier += pow(r[i].probability - r[i].came, 2);
  }
  *log_loss /= (double)n, *brier /= (double)n;
}

// A row shares the places of all rows of its score evenly.
static void parts_of(const struct judged *r, size_t n, size_t bins, struct evaluation_bin *out) {
  for (size_t b = 0; b < bins; b++) out[b] = (struct evaluation_bin){.rows = 0};
  for (size_t i = 0; i < n; i++) {
    double from = 0, ties = 0;
    for (size_t k = 0; k < n; k++) from += r[k].score > r[i].score, ties += r[k].score == r[i].score;
    for (size_t b = 0; b < bins; b++) {
      double low = (double)n * (double)b / (double)bins, high = (double)n * (double)(b + 1) / (double)bins;
      double share = fmax(0, fmin(high, from + ties) - fmax(low, from)) / ties;
      out[b].rows += share, out[b].came += share * r[i].came, out[b].probability += share * r[i].probability;
    }
  }
}

static void check_bins(const struct evaluation *e, const struct judged *r, size_t n, size_t bins) {
  struct evaluation_bin ours[EVALUATION_BINS_MAX], right[EVALUATION_BINS_MAX];
  double all = 0, came = 0;
  for (size_t i = 0; i < n; i++) all += r[i].came;
  evaluation_bins(e, bins, ours);
  parts_of(r, n, bins, right);
  for (size_t b = 0; b < bins; b++) {
    came += right[b].came;
    assert_true(is_near(ours[b].rows, right[b].rows) && fabs(ours[b].came - right[b].came) < 1e-9);
    assert_true(is_near(ours[b].rows, (double)n / (double)bins));
    assert_true(fabs(ours[b].probability - right[b].probability / right[b].rows) < 1e-9);
    assert_true(fabs(ours[b].rate - right[b].came / right[b].rows) < 1e-9);
    assert_true(ours[b].low <= ours[b].rate + 1e-12 && ours[b].rate <= ours[b].high + 1e-12 && ours[b].low >= 0 &&
                ours[b].high <= 1);
    assert_true(ours[b].score_high >= ours[b].score_low && (b == 0 || ours[b].score_high <= ours[b - 1].score_low));
    if (all == 0) {
      assert_true(isnan(ours[b].gain) && isnan(ours[b].lift));
      continue;
    }
    assert_true(fabs(ours[b].gain - came / all) < 1e-9);
    assert_true(fabs(ours[b].lift - right[b].came / right[b].rows / (all / (double)n)) < 1e-9 * fmax(1, (double)n));
  }
}

static void check_metrics(const struct metrics *m, const struct judged *r, size_t n) {
  struct evaluation_bin tenth[10];
  double log_loss, brier, all = 0, error = 0;
  losses_of(r, n, &log_loss, &brier);
  parts_of(r, n, 10, tenth);
  for (size_t i = 0; i < n; i++) all += r[i].came;
  for (size_t b = 0; b < 10; b++) error += fabs(tenth[b].probability - tenth[b].came) / (double)n;
  assert_true(m->rows == n && (double)m->came == all);
  assert_true(is_near(m->value[METRIC_AUC], auc_of(r, n)));
  assert_true(is_near(m->value[METRIC_AVERAGE_PRECISION], precision_of(r, n)));
  assert_true(is_near(m->value[METRIC_LOG_LOSS], log_loss) && is_near(m->value[METRIC_BRIER], brier));
  assert_true(fabs(m->value[METRIC_CALIBRATION_ERROR] - error) < 1e-9);
  if (all == 0) {
    assert_true(isnan(m->value[METRIC_LIFT_10]) && isnan(m->value[METRIC_GAIN_20]));
    return;
  }
  assert_true(fabs(m->value[METRIC_LIFT_10] - tenth[0].came / tenth[0].rows / (all / (double)n)) < 1e-9 * (double)n);
  assert_true(fabs(m->value[METRIC_GAIN_20] - (tenth[0].came + tenth[1].came) / all) < 1e-9);
}

// The curve's area is the AUC, when no corner was left out.
static void check_roc(const struct evaluation *e, const struct metrics *m) {
  struct roc_point all[ROWS_MOST + 2], few[8];
  size_t n = evaluation_roc(e, ROWS_MOST + 2, all), thin = evaluation_roc(e, 8, few);
  assert_int_equal(n == 0, isnan(m->value[METRIC_AUC]));
  if (n == 0) return;
  double area = 0;
  for (size_t i = 1; i < n; i++) {
    assert_true(all[i].false_share >= all[i - 1].false_share && all[i].true_share >= all[i - 1].true_share);
    area += (all[i].false_share - all[i - 1].false_share) * (all[i].true_share + all[i - 1].true_share) / 2;
  }
  assert_true(is_near(area, m->value[METRIC_AUC]));
  assert_true(thin >= 2 && thin <= 8 && few[0].true_share == 0 && few[thin - 1].false_share == 1 &&
              few[thin - 1].true_share == 1);
}

static void as_defined(void **state) {
  (void)state;
  static struct judged rows[ROWS_MOST];
  for (int round = 0; round < 400; round++) {
    size_t n = fill(rows);
    struct evaluation *e = evaluation_new(rows, n);
    struct metrics m = evaluation_metrics(e);
    check_metrics(&m, rows, n);
    check_bins(e, rows, n, 10);
    check_bins(e, rows, n, 1 + random_below(EVALUATION_BINS_MAX));
    check_roc(e, &m);
    evaluation_free(e);
  }
}

static void order_does_not_matter(void **state) {
  (void)state;
  static struct judged rows[ROWS_MOST];
  for (int round = 0; round < 60; round++) {
    size_t n = fill(rows);
    struct evaluation *a = evaluation_new(rows, n);
    for (size_t i = n; i > 1; i--) {
      size_t k = random_below(i);
      struct judged t = rows[i - 1];
      rows[i - 1] = rows[k], rows[k] = t;
    }
    struct evaluation *b = evaluation_new(rows, n);
    struct metrics of_a[5], of_b[5];
    evaluation_draws(a, 9, 4, of_a), evaluation_draws(b, 9, 4, of_b);
    of_a[4] = evaluation_metrics(a), of_b[4] = evaluation_metrics(b);
    assert_memory_equal(of_a, of_b, sizeof(of_a));
    evaluation_free(a), evaluation_free(b);
  }
}

// A few figures that anyone can check by hand.
static void known_figures(void **state) {
  (void)state;
  static const struct judged rows[] = {
      {0.9, 0.9, 1, true}, {0.8, 0.8, 2, false}, {0.7, 0.7, 3, true}, {0.6, 0.6, 4, false}};
  struct evaluation *e = evaluation_new(rows, 4);
  struct metrics m = evaluation_metrics(e);
  assert_true(m.value[METRIC_AUC] == 0.75 && is_near(m.value[METRIC_AVERAGE_PRECISION], (1 + 2 / 3.0) / 2));
  assert_true(is_near(m.value[METRIC_BRIER], (0.01 + 0.64 + 0.09 + 0.36) / 4));
  struct evaluation_bin half[2];
  evaluation_bins(e, 2, half);
  assert_true(half[0].rows == 2 && half[0].came == 1 && half[0].gain == 0.5 && half[1].gain == 1 && half[0].lift == 1);
  // 1 of 2, by Wilson: 0.0945 to 0.9055.
  assert_true(fabs(half[0].low - 0.09453) < 1e-5 && fabs(half[0].high - 0.90547) < 1e-5);
  evaluation_free(e);
  e = evaluation_new(NULL, 0);
  m = evaluation_metrics(e);
  for (size_t i = 0; i < METRICS; i++) assert_true(isnan(m.value[i]));
  evaluation_bins(e, 2, half);
  assert_true(half[0].rows == 0 && isnan(half[1].rate) && isnan(half[1].gain));
  struct metrics drawn[2];
  evaluation_draws(e, 1, 2, drawn);
  assert_true(drawn[0].rows == 0 && isnan(metric_interval(drawn, 2, METRIC_BRIER, 0.95).low));
  evaluation_free(e);
  evaluation_free(NULL);
}

// ---- draws ----
static int by_number(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

// Draw d as the header says it, its rows written out.
static struct judged *drawn_rows(const struct judged *rows, size_t n, uint64_t seed, size_t d, size_t *count) {
  uint32_t leads[ROWS_MOST];
  size_t unique = 0;
  for (size_t i = 0; i < n; i++) leads[i] = rows[i].lead;
  qsort(leads, n, sizeof(*leads), by_number);
  for (size_t i = 0; i < n; i++)
    if (i == 0 || leads[i] != leads[unique - 1]) leads[unique++] = leads[i];
  struct judged *out = xmalloc(n * unique * sizeof(*out));
  *count = 0;
  for (size_t k = 0; k < unique; k++) {
    uint32_t lead = leads[((unsigned __int128)hash_mix(hash_mix(seed, d), k) * unique) >> 64];
    for (size_t i = 0; i < n; i++)
      if (rows[i].lead == lead) out[(*count)++] = rows[i];
  }
  return out;
}

static void draws_are_by_lead(void **state) {
  (void)state;
  static struct judged rows[ROWS_MOST];
  for (int round = 0; round < 40; round++) {
    size_t n = fill(rows);
    uint64_t seed = random_next();
    struct metrics drawn[3];
    struct evaluation *e = evaluation_new(rows, n);
    evaluation_draws(e, seed, 3, drawn);
    evaluation_free(e);
    for (size_t d = 0; d < 3; d++) {
      size_t count;
      struct judged *written = drawn_rows(rows, n, seed, d, &count);
      e = evaluation_new(written, count);
      struct metrics m = evaluation_metrics(e);
      assert_true(m.rows == drawn[d].rows && m.came == drawn[d].came);
      for (size_t i = 0; i < METRICS; i++)
        assert_true(isnan(m.value[i]) ? isnan(drawn[d].value[i]) : fabs(m.value[i] - drawn[d].value[i]) < 1e-9);
      evaluation_free(e);
      free(written);
    }
  }
}

static void intervals(void **state) {
  (void)state;
  static const double values[] = {5, (double)NAN, 1, 4, 2, 3}; // 1 … 5: quantile q lies at 1 + 4 q
  struct interval i = interval_of(values, 6, 0.5);
  assert_true(i.low == 2 && i.high == 4 && i.draws == 5);
  i = interval_of(values, 6, 0.95);
  assert_true(fabs(i.low - 1.1) < 1e-12 && fabs(i.high - 4.9) < 1e-12);
  i = interval_of(values, 1, 0.9);
  assert_true(i.low == 5 && i.high == 5);
  i = interval_of(values + 1, 1, 0.9);
  assert_true(isnan(i.low) && isnan(i.high) && i.draws == 0);
  // A model against itself differs by nothing; against one that knows, by something.
  static struct judged guess[400], know[400];
  struct metrics a[200], b[200];
  for (size_t k = 0; k < 400; k++) {
    bool came = random_below(2);
    guess[k] = (struct judged){random_unit(), 0.5, (uint32_t)k, came};
    know[k] = (struct judged){(came ? 1 : 0) + random_unit(), 0.5, (uint32_t)k, came};
  }
  struct evaluation *e = evaluation_new(guess, 400), *f = evaluation_new(know, 400);
  evaluation_draws(e, 5, 200, a), evaluation_draws(f, 5, 200, b);
  i = metric_difference(a, a, 200, METRIC_AUC, 0.95);
  assert_true(i.low == 0 && i.high == 0);
  i = metric_difference(b, a, 200, METRIC_AUC, 0.95);
  assert_true(i.low > 0.2 && i.high < 0.8);
  evaluation_free(e), evaluation_free(f);
}

int main(void) {
  random_start();
  const struct CMUnitTest tests[] = {cmocka_unit_test(as_defined), cmocka_unit_test(order_does_not_matter),
                                     cmocka_unit_test(known_figures), cmocka_unit_test(draws_are_by_lead),
                                     cmocka_unit_test(intervals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
