// Calibrations that are found: isotonic against the definition of the pooled means and the order of margins, Platt against a plain search, and the
// choice between them where it is known. SEED= repeats a run.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "../random.h"
#include "base/buf.h"
#include "model/calibration_fit.h"

enum { ROWS_MOST = 4000 };
static struct judged rows[ROWS_MOST];
static struct fit fit;
static struct fit_choice choice;

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

// Margins of few values; the chance that a row comes is `chance` of its margin.
static void fill(size_t count, unsigned steps, double (*chance)(double)) {
  for (size_t i = 0; i < count; i++) {
    double m = steps ? ((double)random_below(steps) - steps / 2.0) / 4 : random_unit() * 8 - 4;
    rows[i] = (struct judged){.score = m, .lead = (uint32_t)i, .came = random_unit() < chance(m)};
  }
}

// ---- isotonic ----
// Value of the regression at a group: the largest over beginnings of the least over ends of the means between (Barlow 1972).
static double min_max(const double *rows_of, const double *came_of, size_t n, size_t at) {
  double best = -1;
  for (size_t a = 0; a <= at; a++) {
    double least = 2;
    for (size_t b = at; b < n; b++) {
      double r = 0, c = 0;
      for (size_t i = a; i <= b; i++) r += rows_of[i], c += came_of[i];
      least = fmin(least, c / r);
    }
    best = fmax(best, least);
  }
  return best;
}

static double wavy(double m) { return 0.5 + 0.45 * sin(m * 2); }

// The steps' centres carry the pooled means, and between them and beyond them the line rises.
static void isotonic_is_the_best_that_rises(void **state) {
  (void)state;
  int fits = 0;
  for (int round = 0; round < 60; round++) {
    unsigned steps = 2 + (unsigned)random_below(20);
    size_t count = 20 + random_below(300);
    double of[24] = {0}, came[24] = {0}, margin[24], seen[24], known[24], came_known[24], best[24];
    fill(count, steps, wavy);
    for (size_t i = 0; i < count; i++) {
      size_t k = (size_t)(rows[i].score * 4 + steps / 2.0 + 0.25);
      of[k] += 1, came[k] += rows[i].came;
    }
    size_t n = 0, blocks = 0;
    for (size_t k = 0; k < steps; k++) {
      if (of[k] == 0) continue;
      margin[n] = ((double)k - steps / 2.0) / 4, seen[n] = known[n] = of[k], came_known[n++] = came[k];
    }
    known[0] += 1, came_known[0] += 1, known[n - 1] += 1; // the two rows that are added
    for (size_t k = 0; k < n; k++) best[k] = min_max(known, came_known, n, k);
    for (size_t k = 0; k < n; k++) blocks += k == 0 || best[k] > best[k - 1] + 1e-12;
    assert_int_equal(fit_rows(FIT_ISOTONIC, rows, count, &fit), blocks >= 2);
    if (blocks < 2) continue;
    fits++;
    for (size_t i = 1; i < fit.count; i++)
      assert_true(fit.margins[i] > fit.margins[i - 1] && fit.probabilities[i] > fit.probabilities[i - 1]);
    for (size_t k = 1; k < n; k++) assert_true(fit_apply(&fit, margin[k]) > fit_apply(&fit, margin[k - 1]));
    for (size_t k = 0, end; k < n; k = end) {
      double rows_in = 0, sum = 0;
      for (end = k; end < n && fabs(best[end] - best[k]) < 1e-12; end++)
        rows_in += seen[end], sum += seen[end] * margin[end];
      assert_true(fabs(sigmoid(fit_apply(&fit, sum / rows_in)) - best[k]) < 1e-9);
    }
  }
  assert_true(fits > 10);
}

// What a calibration says of rows must rank them as their margins do: a score that is one number for half of all leads is none.
static void no_order_is_lost(void **state) {
  (void)state;
  fill(ROWS_MOST, 0, wavy);
  assert_true(fit_rows(FIT_ISOTONIC, rows, ROWS_MOST, &fit));
  static struct judged said[ROWS_MOST];
  for (size_t i = 0; i < ROWS_MOST; i++) {
    said[i] = rows[i];
    said[i].score = fit_apply(&fit, rows[i].score);
  }
  struct evaluation *a = evaluation_new(rows, ROWS_MOST), *b = evaluation_new(said, ROWS_MOST);
  assert_true(evaluation_metrics(a).value[METRIC_AUC] == evaluation_metrics(b).value[METRIC_AUC]);
  evaluation_free(a), evaluation_free(b);
}

static void many_margins_become_groups(void **state) {
  (void)state;
  fill(ROWS_MOST, 0, sigmoid);
  assert_true(fit_rows(FIT_ISOTONIC, rows, ROWS_MOST, &fit));
  assert_true(fit.count >= 2 && fit.count <= FIT_GROUPS_MAX + 2);
  for (size_t i = 0; i < fit.count; i++) assert_true(fit.probabilities[i] > 0 && fit.probabilities[i] < 1);
}

// ---- Platt ----
static double loss(double slope, double intercept, size_t count, double came, double lost) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) {
    double t = rows[i].came ? (came + 1) / (came + 2) : 1 / (lost + 2);
    double p = sigmoid(slope * rows[i].score + intercept);
    sum -= t * log(p) + (1 - t) * log(1 - p);
  }
  return sum;
}

static double half(double m) { return sigmoid(0.5 * m - 0.7); }

static void platt_has_the_least_loss(void **state) {
  (void)state;
  for (int round = 0; round < 20; round++) {
    size_t count = 300 + random_below(1000);
    double came = 0;
    fill(count, 0, half);
    for (size_t i = 0; i < count; i++) came += rows[i].came;
    assert_true(fit_rows(FIT_PLATT, rows, count, &fit));
    double lost = (double)count - came, least = loss(fit.slope, fit.intercept, count, came, lost);
    for (int k = 0; k < 40; k++) {
      double a = fit.slope + (random_unit() - 0.5) * 0.2, b = fit.intercept + (random_unit() - 0.5) * 0.2;
      assert_true(loss(a, b, count, came, lost) >= least - 1e-9 * least);
    }
    assert_true(fabs(fit.slope - 0.5) < 0.25 && fabs(fit.intercept + 0.7) < 0.6);
  }
}

static double always(double m) { return m > 0; }
static double falls(double m) { return sigmoid(-2 * m); }
static double never(double m) { return 0 * m; }

static void what_can_not_be_had(void **state) {
  (void)state;
  fill(500, 0, always); // separable: a finite slope all the same
  assert_true(fit_rows(FIT_PLATT, rows, 500, &fit) && fit.slope > 1 && fit.slope < 1000);
  assert_true(isfinite(fit_apply(&fit, 1e6)));
  fill(500, 0, falls); // the model is upside down
  assert_false(fit_rows(FIT_PLATT, rows, 500, &fit));
  assert_int_equal(fit.kind, FIT_NONE);
  fit_choose(rows, 500, &fit, &choice);
  assert_true(isnan(choice.log_loss[FIT_PLATT]));
  fill(500, 0, never);
  assert_false(fit_rows(FIT_PLATT, rows, 500, &fit) || fit_rows(FIT_ISOTONIC, rows, 500, &fit));
  fit_choose(rows, 500, &fit, &choice);
  assert_true(fit.kind == FIT_NONE && fit_apply(&fit, 1.25) == 1.25);
  fit_choose(rows, 0, &fit, &choice);
  assert_int_equal(fit.kind, FIT_NONE);
  fill(200, 1, half); // one margin only: there is no second knot, and no slope
  assert_false(fit_rows(FIT_ISOTONIC, rows, 200, &fit));
}

// ---- the choice ----
static double step_up(double m) { return m > 0 ? 0.9 : 0.1; }

static void the_right_one_is_chosen(void **state) {
  (void)state;
  fill(ROWS_MOST, 0, half);
  fit_choose(rows, ROWS_MOST, &fit, &choice);
  assert_true(choice.log_loss[FIT_PLATT] < choice.log_loss[FIT_NONE] && fit.kind != FIT_NONE);
  fill(ROWS_MOST, 0, step_up); // no line says that
  fit_choose(rows, ROWS_MOST, &fit, &choice);
  assert_int_equal(fit.kind, FIT_ISOTONIC);
  // Another order, the same bits.
  struct fit again;
  struct fit_choice choice_again;
  for (size_t i = ROWS_MOST; i > 1; i--) {
    size_t k = random_below(i);
    struct judged t = rows[i - 1];
    rows[i - 1] = rows[k], rows[k] = t;
  }
  fit_choose(rows, ROWS_MOST, &again, &choice_again);
  assert_memory_equal(&choice, &choice_again, sizeof(choice));
  assert_true(fit.count == again.count);
  assert_memory_equal(fit.margins, again.margins, fit.count * sizeof(double));
  assert_memory_equal(fit.probabilities, again.probabilities, fit.count * sizeof(double));
}

int main(void) {
  random_start();
  const struct CMUnitTest tests[] = {cmocka_unit_test(isotonic_is_the_best_that_rises),
                                     cmocka_unit_test(no_order_is_lost),
                                     cmocka_unit_test(many_margins_become_groups),
                                     cmocka_unit_test(platt_has_the_least_loss),
                                     cmocka_unit_test(what_can_not_be_had),
                                     cmocka_unit_test(the_right_one_is_chosen)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
