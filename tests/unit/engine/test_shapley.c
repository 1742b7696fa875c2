// What models of trees read, kept and read back: the same shares as from the features themselves, to the bit; what was cut or changed
// is refused or is other inputs, and never more. SEED= repeats a run.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "base/hash.h"
#include "engine/shapley.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct policy *policy;
static struct policy_scorers scorers; // of any lead: there is no canary
static char folder[] = "/tmp/intentd-shapley.XXXXXX";

// ---- a folder of models ----
static void put_tree(struct buf *out, int features) {
  buf_append_str(out, "{\"left_children\": [1, 3, 5, -1, -1, -1, -1], \"right_children\": [2, 4, 6, -1, -1, -1, -1], "
                      "\"default_left\": [1, 0, 1, 0, 0, 0, 0], \"sum_hessian\": [10, 6, 4, 1, 5, 2, 2], ");
  buf_printf(out, "\"split_indices\": [%d, %d, %d, 0, 0, 0, 0], \"split_conditions\": [",
             (int)random_below((size_t)features), (int)random_below((size_t)features),
             (int)random_below((size_t)features));
  for (int i = 0; i < 7; i++) buf_printf(out, "%s%d.5", i ? ", " : "", (int)random_below(6) - 3);
  buf_append_str(out, "]}");
}

static void write_text(const char *path, const struct buf *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(text->p, 1, text->n, f), text->n);
  fclose(f);
}

static void write_model(const char *name, int features, const char *list) {
  struct buf weights = {0}, json = {0};
  char path[200];
  buf_printf(
      &weights,
      "{\"learner\": {\"learner_model_param\": {\"base_score\": \"5E-1\", \"num_class\": \"0\", \"num_feature\": "
      "\"%d\", \"num_target\": \"1\"}, \"objective\": {\"name\": \"binary:logistic\"}, \"gradient_booster\": "
      "{\"name\": \"gbtree\", \"model\": {\"tree_info\": [0, 0, 0, 0, 0, 0, 0, 0], \"trees\": [",
      features);
  for (int i = 0; i < 8; i++) {
    if (i) buf_append_str(&weights, ", ");
    put_tree(&weights, features);
  }
  buf_append_str(&weights, "]}}}, \"version\": [1, 7, 4]}");
  uint8_t digest[SHA256_SIZE];
  char hex[2 * SHA256_SIZE + 1];
  sha256_of(buf_bytes(&weights), digest);
  hex_encode(bytes_of(digest, sizeof digest), hex);
  buf_printf(
      &json,
      "{\"name\": \"%s\", \"version\": \"1\", \"kind\": \"xgboost\", \"sha256\": \"%s\", \"target\": \"t\", "
      "\"rationale\": \"r\", \"scale\": {\"points_to_double_odds\": 10, \"points_at_even_odds\": 50}, \"features\": "
      "[%s]}",
      name, hex, list);
  snprintf(path, sizeof path, "%s/%s", folder, name), mkdir(path, 0700);
  snprintf(path, sizeof path, "%s/%s/1", folder, name), mkdir(path, 0700);
  snprintf(path, sizeof path, "%s/%s/1/weights.json", folder, name), write_text(path, &weights);
  snprintf(path, sizeof path, "%s/%s/1/model.json", folder, name), write_text(path, &json);
  buf_deinit(&weights), buf_deinit(&json);
}

static int setup(void **state) {
  (void)state;
  assert_non_null(mkdtemp(folder));
  write_model("b2b_fit", 2,
              "{\"name\": \"company_size\", \"definition\": null}, {\"name\": \"is_known\", \"definition\": null}");
  write_model("b2b_engagement", 3,
              "{\"name\": \"usage_7d\", \"definition\": null}, {\"name\": \"idle\", \"definition\": null}, {\"name\": "
              "\"sessions\", \"definition\": null}");
  struct policy_source source = {.policies_dir = INTENTD_ROOT "/policies",
                                 .models_dir = folder,
                                 .scripts_dir = INTENTD_ROOT "/scripts",
                                 .name = "b2b_saas"};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  struct error err = {0};
  if (policy_load(&source, &limits, &policy, NULL, &err) != 0) fail_msg("%s", err.text);
  scorers = policy_scorers(policy, 1);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  policy_release(policy);
  char command[80];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  return system(command);
}

static void random_features(double *values, struct bytes *texts) {
  for (size_t i = 0; i < feature_count(policy_features(policy)); i++) {
    bool is_text = feature_info(policy_features(policy), i)->is_text;
    values[i] = is_text || !random_below(4) ? (double)NAN
                : !random_below(9)          ? (double)INFINITY
                                            : (double)random_below(12) - 6;
    texts[i] = is_text && random_below(2) ? BYTES_LIT("emea") : (struct bytes){0};
  }
}

static double number_at(struct bytes map, const char *key) {
  struct bytes value;
  double number;
  assert_true(mp_find(map, bytes_str(key), &value) && mp_as_number(value, &number));
  return number;
}

// One model of what shapley_put gave against the model itself.
static void check_model(struct bytes given, const struct model_bound *model, const double *values,
                        const struct bytes *texts) {
  double contributions[MODEL_TERMS_MAX], points[MODEL_TERMS_MAX];
  struct model_output output;
  struct bytes terms;
  model_explain(model, values, texts, contributions, points, &output);
  assert_true(number_at(given, "margin") == output.margin && number_at(given, "base") == output.base_margin);
  assert_true(mp_find(given, BYTES_LIT("terms"), &terms));
  struct mp m = mp_of(terms);
  assert_int_equal(mp_next(&m).count, model_terms(model));
  double sum = output.base_margin;
  for (size_t t = 0; t < model_terms(model); t++) {
    struct bytes term = mp_take(&m);
    assert_true(number_at(term, "contribution") == contributions[t] && number_at(term, "points") == points[t]);
    sum += contributions[t];
  }
  assert_true(fabs(sum - output.margin) < 1e-5);
}

static void kept_inputs_give_the_same_shares(void **state) {
  (void)state;
  for (int round = 0; round < 500; round++) {
    double values[FEATURES_MAX];
    struct bytes texts[FEATURES_MAX];
    struct buf inputs = {0}, out = {0};
    struct error err = {0};
    random_features(values, texts);
    shapley_put_inputs(policy, &scorers, values, texts, (struct bytes){0}, &inputs);
    if (shapley_put(policy, &scorers, buf_bytes(&inputs), &out, &err) != 0) fail_msg("%s", err.text);
    struct mp m = mp_of(buf_bytes(&out));
    assert_int_equal(mp_next(&m).count, 2);
    check_model(mp_take(&m), policy_model_fit(policy), values, texts);
    check_model(mp_take(&m), policy_model_engagement(policy), values, texts);
    assert_true(mp_done(&m));
    buf_deinit(&inputs), buf_deinit(&out);
  }
}

static void broken_inputs_are_refused(void **state) {
  (void)state;
  double values[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  struct buf inputs = {0}, out = {0};
  size_t refused = 0;
  random_features(values, texts);
  shapley_put_inputs(policy, &scorers, values, texts, (struct bytes){0}, &inputs);
  buf_append_str(&out, "before");
  for (size_t n = 1; n < inputs.n; n++) {
    assert_int_equal(shapley_put(policy, &scorers, bytes_of(inputs.p, n), &out, NULL), ITD_ECORRUPT);
    assert_int_equal(out.n, 6);
  }
  for (int round = 0; round < 3000; round++) {
    uint8_t *copy = xmalloc(inputs.n);
    memcpy(copy, inputs.p, inputs.n);
    copy[random_below(inputs.n)] = (uint8_t)random_below(256);
    int status = shapley_put(policy, &scorers, bytes_of(copy, inputs.n), &out, NULL);
    assert_true(status == 0 ? out.n > 6 : status == ITD_ECORRUPT && out.n == 6);
    refused += status != 0;
    out.n = 6;
    free(copy);
  }
  assert_true(refused > 0);
  assert_int_equal(shapley_put(policy, &scorers, (struct bytes){0}, &out, NULL), 0); // none were kept: no models
  assert_int_equal(out.p[6], 0x90);
  buf_deinit(&inputs), buf_deinit(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(kept_inputs_give_the_same_shares),
                                     cmocka_unit_test(broken_inputs_are_refused)};
  random_start();
  return cmocka_run_group_tests(tests, setup, teardown);
}
