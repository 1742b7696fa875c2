// Models that libxgboost trains here, of random data and settings, against the library itself: every margin to the bit, Shapley
// values to its own rounding. Skipped where the library is not. SEED=, ROWS= (1000000: the long run).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <xgboost/c_api.h>

#include "model/forest_xgboost.h"
#include "model_text.h"

enum { FEATURES_MOST = 30, ROWS_TRAIN = 400, ROWS_TEST = 500 };

static uint64_t rng;
static size_t draw(size_t n) { return (size_t)(test_random(&rng) % n); }
static void must(int rc) {
  if (rc != 0) fail_msg("libxgboost: %s", XGBGetLastError());
}

struct data {
  size_t features;
  bool is_text[FEATURES_MOST];
  size_t texts[FEATURES_MOST];
};

// NaN, ties, tiny and huge values, and categories that training may not have seen.
static void fill(const struct data *d, size_t rows, bool is_wild, float *to) {
  static const float edges[] = {0, -0.0f, 1e-38f, 1e-45f, 3e38f, -3e38f, 1, 16777216.0f, 0.1f};
  for (size_t i = 0; i < rows * d->features; i++) {
    size_t f = i % d->features;
    if (draw(6) == 0)
      to[i] = NAN;
    else if (d->is_text[f])
      to[i] = (float)draw(d->texts[f] + (is_wild ? 8 : 0));
    else if (is_wild && draw(8) == 0)
      to[i] = edges[draw(9)];
    else
      to[i] = draw(2) ? (float)draw(12) : (float)((test_unit(&rng) - 0.5) * 20);
  }
}

static DMatrixHandle matrix_of(const struct data *d, const float *values, size_t rows) {
  DMatrixHandle m;
  const char *types[FEATURES_MOST];
  for (size_t i = 0; i < d->features; i++) types[i] = d->is_text[i] ? "c" : "q";
  must(XGDMatrixCreateFromMat(values, rows, d->features, NAN, &m));
  must(XGDMatrixSetStrFeatureInfo(m, "feature_type", types, d->features));
  return m;
}

struct trained {
  struct data data;
  BoosterHandle booster;
  double base_margin;
};

static void set(BoosterHandle b, const char *name, const char *value) { must(XGBoosterSetParam(b, name, value)); }
static void set_number(BoosterHandle b, const char *name, double value) {
  char text[40];
  snprintf(text, sizeof(text), "%.9g", value);
  set(b, name, text);
}

static void train(struct trained *t) {
  static const char *const objectives[] = {"binary:logistic", "reg:logistic"};
  static float values[ROWS_TRAIN * FEATURES_MOST], labels[ROWS_TRAIN];
  struct data *d = &t->data;
  d->features = 1 + draw(FEATURES_MOST);
  bool has_texts = draw(2);
  for (size_t i = 0; i < d->features; i++) {
    d->is_text[i] = has_texts && draw(3) == 0;
    d->texts[i] = 2 + draw(40);
  }
  fill(d, ROWS_TRAIN, false, values);
  for (size_t r = 0; r < ROWS_TRAIN; r++) {
    float x = values[r * d->features], y = values[r * d->features + d->features - 1];
    labels[r] = (isnan(x) ? 0 : x > 3) + (!isnan(y) && y > 1) + (draw(3) == 0) > 1;
  }
  DMatrixHandle m = matrix_of(d, values, ROWS_TRAIN);
  must(XGDMatrixSetFloatInfo(m, "label", labels, ROWS_TRAIN));
  must(XGBoosterCreate(&m, 1, &t->booster));
  float score = draw(3) ? (float)(0.01 + 0.98 * test_unit(&rng)) : 0.5f;
  set(t->booster, "objective", objectives[draw(2)]);
  set(t->booster, "nthread", "1");
  set(t->booster, "tree_method", has_texts || draw(2) ? "hist" : "exact");
  if (draw(2)) set(t->booster, "max_cat_to_onehot", "1");
  set_number(t->booster, "base_score", (double)score);
  set_number(t->booster, "max_depth", (double)(1 + draw(8)));
  set_number(t->booster, "eta", 0.05 + test_unit(&rng));
  set_number(t->booster, "min_child_weight", draw(2) ? 0 : 1);
  set_number(t->booster, "gamma", draw(3) ? 0 : 2);
  set_number(t->booster, "seed", (double)draw(1000));
  if (draw(2)) set(t->booster, "subsample", "0.7");
  for (int i = 0, trees = 1 + (int)draw(30); i < trees; i++) must(XGBoosterUpdateOneIter(t->booster, i, m));
  must(XGDMatrixFree(m));
  // As the library computes it, which takes the machine's logarithm.
  volatile float odds_against = 1.0f / score - 1.0f;
  t->base_margin = (double)-logf(odds_against);
}

static struct forest *read(const struct trained *t) {
  bst_ulong size;
  const char *json;
  struct forest *forest = NULL;
  struct error err = {0};
  must(XGBoosterSaveModelToBuffer(t->booster, "{\"format\": \"json\"}", &size, &json));
  struct xgboost_shape shape = {
      .features = t->data.features, .is_text = t->data.is_text, .base_margin = &t->base_margin};
  if (forest_read_xgboost(bytes_of((const uint8_t *)json, size), &shape, &forest, &err) != 0) fail_msg("%s", err.text);
  return forest;
}

static const float *predict(const struct trained *t, DMatrixHandle m, int type) {
  char config[160];
  const bst_ulong *shape;
  const float *out;
  bst_ulong dim;
  snprintf(config, sizeof(config),
           "{\"type\": %d, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, \"strict_shape\": false}",
           type);
  must(XGBoosterPredictFromDMatrix(t->booster, m, config, &shape, &dim, &out));
  return out;
}

static void row_of(const struct data *d, const float *values, double *row) {
  for (size_t i = 0; i < d->features; i++) row[i] = (double)values[i];
}

static void compare_margins(const struct trained *t, const struct forest *f, const float *values, DMatrixHandle m) {
  const float *theirs = predict(t, m, 1);
  for (size_t r = 0; r < ROWS_TEST; r++) {
    double row[FEATURES_MOST];
    row_of(&t->data, values + r * t->data.features, row);
    double ours = forest_margin(f, row);
    if (ours != (double)theirs[r]) fail_msg("row %zu: %.9g, the library says %.9g", r, ours, (double)theirs[r]);
  }
}

static void compare_shapley(const struct trained *t, const struct forest *f, const float *values, DMatrixHandle m) {
  size_t width = t->data.features + 1;
  const float *theirs = predict(t, m, 2);
  for (size_t r = 0; r < 20; r++) {
    double row[FEATURES_MOST], ours[FEATURES_MOST], base;
    row_of(&t->data, values + r * t->data.features, row);
    forest_shapley(f, row, ours, &base);
    double sum = base, largest = 1;
    for (size_t i = 0; i < t->data.features; i++) largest = fmax(largest, fabs(ours[i]));
    for (size_t i = 0; i < t->data.features; i++) {
      sum += ours[i];
      if (fabs(ours[i] - (double)theirs[r * width + i]) > 1e-4 * largest)
        fail_msg("row %zu, feature %zu: %.9g, the library says %.9g", r, i, ours[i], (double)theirs[r * width + i]);
    }
    assert_true(fabs(base - (double)theirs[r * width + width - 1]) <= 1e-4 * largest);
    assert_true(fabs(sum - forest_margin(f, row)) <= 1e-5 * largest);
  }
}

static void test_parity(void **state) {
  (void)state;
  static float values[ROWS_TEST * FEATURES_MOST];
  const char *said = getenv("ROWS");
  size_t rows = said ? (size_t)strtoul(said, NULL, 10) : 20000, done = 0, models = 0;
  while (done < rows) {
    struct trained t = {0};
    train(&t);
    struct forest *f = read(&t);
    for (int k = 0; k < 4; k++, done += ROWS_TEST) {
      fill(&t.data, ROWS_TEST, k > 0, values);
      DMatrixHandle m = matrix_of(&t.data, values, ROWS_TEST);
      compare_margins(&t, f, values, m);
      if (k == 0) compare_shapley(&t, f, values, m);
      must(XGDMatrixFree(m));
    }
    forest_free(f);
    must(XGBoosterFree(t.booster));
    models++;
  }
  printf("%zu models, %zu rows\n", models, done);
}

int main(void) {
  rng = test_seed();
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_parity)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
