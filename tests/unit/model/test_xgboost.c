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

#include "feature/feature.h"
#include "model/forest_xgboost.h"
#include "model_text.h"
#include "wire/mp.h"

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
  if (draw(4) == 0) set_number(t->booster, "num_parallel_tree", (double)(2 + draw(4)));
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

// ---- as a model of the registry, its texts by name ----
static void put_model(const struct trained *t, struct bytes weights, struct buf *json, struct buf *declared) {
  uint8_t digest[SHA256_SIZE];
  char hex[2 * SHA256_SIZE + 1];
  sha256_of(weights, digest);
  hex_encode(bytes_of(digest, sizeof(digest)), hex);
  buf_printf(json,
             "{\"name\": \"m\", \"version\": \"1\", \"kind\": \"xgboost\", \"sha256\": \"%s\", \"target\": \"t\", "
             "\"rationale\": \"r\", \"base_margin\": %.9g, "
             "\"scale\": {\"points_to_double_odds\": 10, \"points_at_even_odds\": 50}, \"features\": [",
             hex, t->base_margin);
  mp_put_array(declared, (uint32_t)t->data.features);
  for (size_t i = 0; i < t->data.features; i++) {
    char name[24];
    snprintf(name, sizeof(name), "f%zu", i);
    buf_printf(json, "%s{\"name\": \"%s\", \"definition\": null", i ? ", " : "", name);
    if (t->data.is_text[i]) {
      buf_append_str(json, ", \"categories\": [");
      for (size_t k = 0; k < t->data.texts[i]; k++) buf_printf(json, "%s\"c%zu\"", k ? ", " : "", k);
      buf_append_str(json, "]");
    }
    buf_append_str(json, "}");
    mp_put_map(declared, t->data.is_text[i] ? 4 : 3);
    mp_put_cstr(declared, "name"), mp_put_cstr(declared, name);
    mp_put_cstr(declared, "op"), mp_put_cstr(declared, "last");
    mp_put_cstr(declared, "of"), mp_put_cstr(declared, "properties.v");
    if (t->data.is_text[i]) mp_put_cstr(declared, "text"), mp_put_bool(declared, true);
  }
  buf_append_str(json, "]}");
}

static void check_rows(const struct trained *t, const struct model_bound *bound) {
  static float rows[ROWS_TEST * FEATURES_MOST];
  fill(&t->data, ROWS_TEST, true, rows);
  DMatrixHandle m = matrix_of(&t->data, rows, ROWS_TEST);
  const float *theirs = predict(t, m, 1);
  for (size_t r = 0; r < ROWS_TEST; r++) {
    double values[FEATURES_MOST], parts[FEATURES_MOST], points[FEATURES_MOST];
    char names[FEATURES_MOST][16];
    struct bytes texts[FEATURES_MOST];
    for (size_t i = 0; i < t->data.features; i++) {
      float x = rows[r * t->data.features + i];
      values[i] = t->data.is_text[i] ? (double)NAN : (double)x;
      snprintf(names[i], sizeof(names[i]), "c%d", isnan(x) ? 0 : (int)x);
      texts[i] = t->data.is_text[i] && !isnan(x) ? bytes_str(names[i]) : (struct bytes){0};
    }
    for (int is_exact = 0; is_exact < 2; is_exact++) {
      struct model_output out;
      (is_exact ? model_explain : model_score)(bound, values, texts, parts, points, &out);
      assert_true(out.margin == (double)theirs[r]);
      double sum = out.base_margin, total = out.base_points;
      for (size_t i = 0; i < t->data.features; i++) sum += parts[i], total += points[i];
      assert_true(fabs(sum - out.margin) < 1e-4 && fabs(total - out.points) < 1e-3);
      assert_true(out.probability >= 0 && out.probability <= 1); // 1 beyond a margin of 37
    }
  }
  must(XGDMatrixFree(m));
}

static void test_models(void **state) {
  (void)state;
  for (int round = 0; round < 8; round++) {
    struct trained t = {0};
    struct buf json = {0}, declared = {0};
    struct feature_set *features;
    struct model *model;
    struct model_bound *bound;
    struct error err = {0};
    bst_ulong size;
    const char *weights;
    train(&t);
    must(XGBoosterSaveModelToBuffer(t.booster, "{\"format\": \"json\"}", &size, &weights));
    put_model(&t, bytes_of((const uint8_t *)weights, size), &json, &declared);
    if (model_parse(buf_bytes(&json), bytes_of((const uint8_t *)weights, size), &model, &err) != 0)
      fail_msg("%s", err.text);
    if (feature_set_compile(buf_bytes(&declared), &features, &err) != 0) fail_msg("%s", err.text);
    if (model_bind(model, features, &bound, &err) != 0) fail_msg("%s", err.text);
    check_rows(&t, bound);
    model_bound_free(bound), model_free(model), feature_set_free(features);
    buf_deinit(&json), buf_deinit(&declared);
    must(XGBoosterFree(t.booster));
  }
}

// ---- what is seldom, but comes ----
struct seldom {
  size_t stumps, texts_by_one, texts_by_set, parallel;
};

static size_t count_of(const char *text, const char *what) {
  size_t n = 0;
  for (const char *at = text; (at = strstr(at, what)); at++) n++;
  return n;
}

// Infinite values are above and below all others, as the greatest and the least float are; what is too large for a float is
// infinite; a double is rounded before it is compared.
static void check_extremes(const struct trained *t, const struct forest *f) {
  static const struct {
    double ours;
    float theirs;
  } same[] = {{(double)INFINITY, FLT_MAX},
              {-(double)INFINITY, -FLT_MAX},
              {1e300, FLT_MAX},
              {-1e39, -FLT_MAX},
              {1e-300, 0},
              {0.1, 0.1f},
              {16777217.0, 16777216.0f},
              {(double)NAN, NAN}};
  enum { ROWS = 64 };
  static float theirs[ROWS * FEATURES_MOST];
  double ours[ROWS * FEATURES_MOST];
  size_t n = t->data.features;
  fill(&t->data, ROWS, true, theirs);
  for (size_t i = 0; i < ROWS * n; i++) {
    size_t k = draw(8);
    bool is_extreme = !t->data.is_text[i % n] && draw(2);
    ours[i] = is_extreme ? same[k].ours : (double)theirs[i];
    if (is_extreme) theirs[i] = same[k].theirs;
  }
  DMatrixHandle m = matrix_of(&t->data, theirs, ROWS);
  const float *margins = predict(t, m, 1);
  for (size_t r = 0; r < ROWS; r++) assert_true(forest_margin(f, ours + r * n) == (double)margins[r]);
  must(XGDMatrixFree(m));
}

static void test_seldom(void **state) {
  (void)state;
  struct seldom seen = {0};
  for (int round = 0; round < 40; round++) {
    struct trained t = {0};
    bst_ulong size;
    const char *json;
    train(&t);
    struct forest *f = read(&t);
    check_extremes(&t, f);
    must(XGBoosterSaveModelToBuffer(t.booster, "{\"format\": \"json\"}", &size, &json));
    char *text = xstrndup(json, size);
    seen.stumps += count_of(text, "\"left_children\":[-1]");
    seen.texts_by_one += count_of(text, "\"categories_sizes\":[1");
    for (int k = 2; k < 10; k++) {
      char set_of[32];
      snprintf(set_of, sizeof(set_of), "\"categories_sizes\":[%d", k);
      seen.texts_by_set += count_of(text, set_of);
    }
    seen.parallel += !strstr(text, "\"num_parallel_tree\":\"1\"");
    free(text);
    forest_free(f);
    must(XGBoosterFree(t.booster));
  }
  printf("trees of one leaf %zu, first split by one text %zu, by a set %zu; boosters of parallel trees %zu\n",
         seen.stumps, seen.texts_by_one, seen.texts_by_set, seen.parallel);
}

// The file with one thing said otherwise: `is_taken`, and then with the same margin; else refused with `says`.
static void say(const struct trained *t, const char *json, const char *from, const char *to, bool is_taken,
                const char *says) {
  char *text = text_replace(json, from, to);
  struct xgboost_shape shape = {
      .features = t->data.features, .is_text = t->data.is_text, .base_margin = &t->base_margin};
  struct forest *f = NULL, *before = read(t);
  struct error err = {0};
  int status = forest_read_xgboost(bytes_str(text), &shape, &f, &err);
  if (is_taken) {
    if (status) fail_msg("%s", err.text);
    double row[FEATURES_MOST] = {1, (double)NAN, 7};
    assert_true(forest_margin(f, row) == forest_margin(before, row));
    forest_free(f);
  } else {
    assert_int_equal(status, ITD_EMODEL);
    if (!strstr(err.text, says)) fail_msg("says: %s\nbut not: %s", err.text, says);
  }
  forest_free(before);
  free(text);
}

static char *saved(const struct trained *t) {
  bst_ulong size;
  const char *json;
  must(XGBoosterSaveModelToBuffer(t->booster, "{\"format\": \"json\"}", &size, &json));
  return xstrndup(json, size);
}

// The value of a key whose value is a text, quotes and key included.
static void pair_of(const char *json, const char *key, char out[80]) {
  const char *at = strstr(json, key);
  if (!at) fail_msg("no %s", key);
  size_t n = strlen(key) + strcspn(at + strlen(key), ",}");
  assert_true(n < 80);
  memcpy(out, at, n), out[n] = 0;
}

static void test_forms(void **state) {
  (void)state;
  struct trained t = {0};
  char base[80], changed[120];
  train(&t);
  char *json = saved(&t);
  pair_of(json, "\"base_score\":\"", base);
  snprintf(changed, sizeof(changed), "\"base_score\":\"[%.*s]\"", (int)strlen(base) - 15, base + 14);
  say(&t, json, base, changed, true, NULL); // as 3.x writes it
  snprintf(changed, sizeof(changed), "\"base_score\":\"[%.*s,5E-1]\"", (int)strlen(base) - 15, base + 14);
  say(&t, json, base, changed, false, "learner_model_param.base_score: is '[");
  say(&t, json, base, "\"base_score\":\"[]\"", false, "it must be one number");
  say(&t, json, base, "\"base_score\":\"1\"", false, "above 0 and below 1");
  say(&t, json, base, "\"base_score\":\"9E-1\"", false, "model.json says");
  say(&t, json, "\"name\":\"gbtree\"", "\"name\":\"gblinear\"", false, "learner.gradient_booster.name: is 'gblinear'");
  say(&t, json, "\"trees\":[", "\"trees\":[],\"others\":[", false, "trees: has 0 entries");
  say(&t, json, "\"num_target\":\"1\"", "\"num_target\":\"2\"", false, "a lead has one margin");
  say(&t, json, "\"num_class\":\"0\"", "\"num_class\":\"3\"", false, "a lead has one margin");
  say(&t, json, "\"objective\":{\"name\":\"", "\"objective\":{\"name\":\"x", false, "learner.objective.name");
  free(json);
  must(XGBoosterFree(t.booster));
}

static void test_early_stopped(void **state) {
  (void)state;
  struct trained t = {0};
  do {
    if (t.booster) must(XGBoosterFree(t.booster));
    t = (struct trained){0};
    train(&t);
    int rounds;
    must(XGBoosterBoostedRounds(t.booster, &rounds));
    if (rounds < 3) continue;
    char *json = saved(&t), best[80];
    snprintf(best, sizeof(best), "\"attributes\":{\"best_iteration\":\"%d\"}", rounds - 1);
    say(&t, json, "\"attributes\":{}", best, true, NULL);
    snprintf(best, sizeof(best), "\"attributes\":{\"best_iteration\":\"%d\"}", rounds - 2);
    say(&t, json, "\"attributes\":{}", best, false, "learner.attributes.best_iteration: is ");
    say(&t, json, "\"attributes\":{}", "\"attributes\":{\"best_iteration\":\"x\"}", false, "must be one number");
    free(json);
    // The library's own slice takes the attribute away.
    BoosterHandle less;
    snprintf(best, sizeof(best), "%d", rounds - 2);
    must(XGBoosterSetAttr(t.booster, "best_iteration", best));
    must(XGBoosterSlice(t.booster, 0, rounds - 1, 1, &less));
    struct trained sliced = {.data = t.data, .booster = less, .base_margin = t.base_margin};
    struct forest *f = read(&sliced);
    check_extremes(&sliced, f);
    forest_free(f);
    must(XGBoosterFree(less));
    break;
  } while (true);
  must(XGBoosterFree(t.booster));
}

static void test_dart(void **state) {
  (void)state;
  static float values[ROWS_TRAIN], labels[ROWS_TRAIN];
  struct trained t = {.data = {.features = 1}};
  for (size_t i = 0; i < ROWS_TRAIN; i++) values[i] = (float)i, labels[i] = i % 3 == 0;
  DMatrixHandle m = matrix_of(&t.data, values, ROWS_TRAIN);
  must(XGDMatrixSetFloatInfo(m, "label", labels, ROWS_TRAIN));
  must(XGBoosterCreate(&m, 1, &t.booster));
  set(t.booster, "objective", "binary:logistic"), set(t.booster, "booster", "dart"), set(t.booster, "nthread", "1");
  must(XGBoosterUpdateOneIter(t.booster, 0, m));
  char *json = saved(&t);
  struct xgboost_shape shape = {.features = 1, .is_text = t.data.is_text};
  struct forest *f = NULL;
  struct error err = {0};
  assert_int_equal(forest_read_xgboost(bytes_str(json), &shape, &f, &err), ITD_EMODEL);
  assert_non_null(strstr(err.text, "learner.gradient_booster.name: is 'dart'; only gbtree can be read"));
  free(json);
  must(XGDMatrixFree(m)), must(XGBoosterFree(t.booster));
}

// ---- files that were broken ----
// A byte changed, or the end cut off, anywhere: refused with the file's name, or still trees that give a number.
static void test_broken_files(void **state) {
  (void)state;
  for (int round = 0; round < 6; round++) {
    struct trained t = {0};
    bst_ulong size;
    const char *json;
    train(&t);
    must(XGBoosterSaveModelToBuffer(t.booster, "{\"format\": \"json\"}", &size, &json));
    uint8_t *broken = xmalloc(size);
    for (int k = 0; k < 300; k++) {
      static const char bytes[] = "0123456789-.eE[]{},:\"N";
      memcpy(broken, json, size);
      size_t n = size;
      for (size_t changes = 1 + draw(3); changes-- > 0;) broken[draw(size)] = (uint8_t)bytes[draw(sizeof(bytes) - 1)];
      if (draw(10) == 0) n = draw(size);
      struct xgboost_shape shape = {.features = t.data.features, .is_text = t.data.is_text};
      struct forest *f = NULL;
      struct error err = {0};
      double row[FEATURES_MOST] = {0}, parts[FEATURES_MOST], base;
      int status = forest_read_xgboost(bytes_of(broken, n), &shape, &f, &err);
      if (status) {
        assert_int_equal(status, ITD_EMODEL);
        assert_int_equal(strncmp(err.text, "weights.json: ", 14), 0);
        continue;
      }
      assert_true(isfinite(forest_margin(f, row)));
      forest_shapley(f, row, parts, &base);
      assert_true(isfinite(base + parts[0]));
      forest_free(f);
    }
    free(broken);
    must(XGBoosterFree(t.booster));
  }
}

int main(void) {
  rng = test_seed();
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_parity),        cmocka_unit_test(test_models),
                                     cmocka_unit_test(test_seldom),        cmocka_unit_test(test_forms),
                                     cmocka_unit_test(test_early_stopped), cmocka_unit_test(test_dart),
                                     cmocka_unit_test(test_broken_files)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
