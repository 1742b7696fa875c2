// One row through 100 trees of depth 6 over 30 features: our margin, the margin with path attribution, Shapley values, each beside
// libxgboost's call for one row (XGBoosterPredictFromDense, and XGBoosterPredict on a matrix of one row for contributions). The
// margins must be the library's to the bit. Prints ns of CPU time (median of rounds) and ratios.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xgboost/c_api.h>

#include "base/check.h"
#include "base/hash.h"
#include "model/forest_xgboost.h"

enum { FEATURES = 30, TREES = 100, TRAIN = 20000, ROWS = 4096, ROUNDS = 9 };

static float train_rows[TRAIN * FEATURES], labels[TRAIN], rows[ROWS * FEATURES];
static double wide[ROWS][FEATURES];
static uint64_t rng = 7;
static double unit(void) { return hash_unit(rng = hash_mix(rng, 3)); }

static double cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(int rc) {
  if (rc != 0) fprintf(stderr, "libxgboost: %s\n", XGBGetLastError()), exit(1);
}

static void fill(float *to, size_t n) {
  for (size_t i = 0; i < n * FEATURES; i++) to[i] = unit() < 0.1 ? NAN : (float)(unit() * 20 - 10);
}

static BoosterHandle train(void) {
  DMatrixHandle m;
  BoosterHandle b;
  fill(train_rows, TRAIN);
  for (size_t r = 0; r < TRAIN; r++) {
    double sum = unit() * 6 - 3;
    for (size_t i = 0; i < FEATURES; i++) {
      float x = train_rows[r * FEATURES + i];
      if (!isnan(x)) sum += (double)x * (i % 3 ? 0.1 : -0.2);
    }
    labels[r] = sum > 0;
  }
  must(XGDMatrixCreateFromMat(train_rows, TRAIN, FEATURES, NAN, &m));
  must(XGDMatrixSetFloatInfo(m, "label", labels, TRAIN));
  must(XGBoosterCreate(&m, 1, &b));
  must(XGBoosterSetParam(b, "objective", "binary:logistic"));
  must(XGBoosterSetParam(b, "max_depth", "6"));
  must(XGBoosterSetParam(b, "tree_method", "hist"));
  must(XGBoosterSetParam(b, "nthread", "1"));
  for (int i = 0; i < TREES; i++) must(XGBoosterUpdateOneIter(b, i, m));
  must(XGDMatrixFree(m));
  return b;
}

static float theirs(BoosterHandle b, const float *row) {
  char values[200];
  const bst_ulong *shape;
  bst_ulong dim;
  const float *out;
  snprintf(values, sizeof values, "{\"data\": [%llu, true], \"shape\": [1, %d], \"typestr\": \"<f4\", \"version\": 3}",
           (unsigned long long)(uintptr_t)row, FEATURES);
  must(XGBoosterPredictFromDense(b, values,
                                 "{\"type\": 1, \"iteration_begin\": 0, \"iteration_end\": 0, \"strict_shape\": false, "
                                 "\"missing\": NaN, \"cache_id\": 0}",
                                 NULL, &shape, &dim, &out));
  return out[0];
}

static double their_shapley(BoosterHandle b, const float *row) {
  DMatrixHandle m;
  bst_ulong n;
  const float *out;
  must(XGDMatrixCreateFromMat(row, 1, FEATURES, NAN, &m));
  must(XGBoosterPredict(b, m, 4, 0, 0, &n, &out));
  double first = (double)out[0];
  must(XGDMatrixFree(m));
  return first;
}

enum what { MARGIN, BY_PATH, SHAPLEY, THEIR_MARGIN, THEIR_SHAPLEY, WHATS };
static double sink;

static double measure(enum what what, const struct forest *f, BoosterHandle b, size_t n) {
  double parts[FEATURES], base, began = cpu_ns();
  for (size_t r = 0; r < n; r++) {
    switch (what) {
    case MARGIN: sink += forest_margin(f, wide[r]); break;
    case BY_PATH: sink += forest_margin_by_path(f, wide[r], parts, &base); break;
    case SHAPLEY: forest_shapley(f, wide[r], parts, &base), sink += parts[0]; break;
    case THEIR_MARGIN: sink += (double)theirs(b, rows + r * FEATURES); break;
    case THEIR_SHAPLEY: sink += their_shapley(b, rows + r * FEATURES); break;
    case WHATS: break;
    }
  }
  return (cpu_ns() - began) / (double)n;
}

static int by_number(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

int main(void) {
  static const size_t each[WHATS] = {ROWS, ROWS, 256, ROWS, 64};
  double ns[WHATS][ROUNDS], median[WHATS];
  struct error err = {0};
  struct forest *f;
  bst_ulong size;
  const char *json;
  BoosterHandle b = train();
  bool is_text[FEATURES] = {0};
  struct xgboost_shape shape = {.features = FEATURES, .is_text = is_text};
  must(XGBoosterSaveModelToBuffer(b, "{\"format\": \"json\"}", &size, &json));
  if (forest_read_xgboost(bytes_of((const uint8_t *)json, size), &shape, &f, &err) != 0)
    return fprintf(stderr, "%s\n", err.text), 1;
  fill(rows, ROWS);
  for (size_t r = 0; r < ROWS; r++)
    for (size_t i = 0; i < FEATURES; i++) wide[r][i] = (double)rows[r * FEATURES + i];
  for (size_t r = 0; r < ROWS; r++) CHECK(forest_margin(f, wide[r]) == (double)theirs(b, rows + r * FEATURES));
  for (int round = 0; round < ROUNDS; round++)
    for (int w = 0; w < WHATS; w++) ns[w][round] = measure((enum what)w, f, b, each[w]);
  for (int w = 0; w < WHATS; w++) {
    qsort(ns[w], ROUNDS, sizeof(double), by_number);
    median[w] = ns[w][ROUNDS / 2];
  }
  printf("trees=%zu leaves=%zu features=%d\n", forest_trees(f), forest_leaves(f), FEATURES);
  printf("margin_ns=%.0f by_path_ns=%.0f xgboost_ns=%.0f xgboost/margin=%.1f xgboost/by_path=%.1f\n", median[MARGIN],
         median[BY_PATH], median[THEIR_MARGIN], median[THEIR_MARGIN] / median[MARGIN],
         median[THEIR_MARGIN] / median[BY_PATH]);
  printf("shapley_us=%.1f xgboost_shapley_us=%.1f xgboost/shapley=%.1f (%d)\n", median[SHAPLEY] / 1000,
         median[THEIR_SHAPLEY] / 1000, median[THEIR_SHAPLEY] / median[SHAPLEY], sink != 0);
  forest_free(f);
  must(XGBoosterFree(b));
  return 0;
}
