// Calibration: what it does to a margin, to a model's output, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/pmath.h"
#include "model/terms.h"
#include "model_text.h"
#include "wire/mp.h"

// The good model with a calibration in it.
static int parse(const char *calibration, struct model **model, struct error *err) {
  char text[2048];
  snprintf(text, sizeof(text), "\"rationale\": \"Who comes back, buys.\", \"calibration\": %s", calibration);
  char *with = text_replace(good_model, "\"rationale\": \"Who comes back, buys.\"", text);
  char *head = text_sign(with, bytes_str(good_weights));
  int status = model_parse(bytes_str(head), bytes_str(good_weights), model, err);
  free(with), free(head);
  return status;
}

static struct calibration calibration_of(const char *text, struct model **model) {
  struct error err = {0};
  if (parse(text, model, &err) != 0) fail_msg("%s", err.text);
  return (*model)->calibration;
}

static void platt_is_a_line(void **state) {
  (void)state;
  struct model *model;
  struct calibration c = calibration_of("{\"kind\": \"platt\", \"slope\": 0.5, \"intercept\": -1.25}", &model);
  assert_true(calibration_apply(&c, 0) == -1.25 && calibration_apply(&c, 4) == 0.75);
  model_free(model);
}

static double logit(double p) { return pm_log(p / (1 - p)); }

static void isotonic_goes_from_knot_to_knot(void **state) {
  (void)state;
  struct model *model;
  struct calibration c = calibration_of(
      "{\"kind\": \"isotonic\", \"margins\": [-2, 0, 1, 5], \"probabilities\": [0, 0.25, 0.25, 1]}", &model);
  assert_true(calibration_apply(&c, -1) == logit(0.125) && calibration_apply(&c, 0) == logit(0.25));
  assert_true(calibration_apply(&c, 0.5) == logit(0.25) && calibration_apply(&c, 3) == logit(0.625));
  // Beyond the ends, and where there would be no log-odds.
  assert_true(calibration_apply(&c, -1e6) == logit(1e-6) && calibration_apply(&c, -2) == logit(1e-6));
  assert_true(calibration_apply(&c, 1e6) == logit(1 - 1e-6));
  double last = -INFINITY;
  for (double m = -8; m < 8; m += 0.001) { // it never turns round
    double x = calibration_apply(&c, m);
    assert_true(isfinite(x) && x >= last);
    last = x;
  }
  model_free(model);
}

// Its points are a part of their own, and all parts add up.
static void an_output_adds_up(void **state) {
  (void)state;
  static const char declared[] = "[{\"name\": \"visits\", \"op\": \"count\"}, {\"name\": \"amount\", \"op\": \"sum\", "
                                 "\"of\": \"properties.v\"}, {\"name\": \"idle\", \"op\": \"recency\"}, {\"name\": "
                                 "\"region\", \"op\": \"last\", \"of\": \"traits.region\", \"text\": true}]";
  static const char *const calibrations[] = {
      "{\"kind\": \"platt\", \"slope\": 0.5, \"intercept\": -1.25}",
      "{\"kind\": \"isotonic\", \"margins\": [-3, 3], \"probabilities\": [0.1, 0.4]}"};
  struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct buf packed = {0};
  struct feature_set *set;
  assert_int_equal(mp_from_json(bytes_str(declared), &limits, &packed, NULL), 0);
  assert_int_equal(feature_set_compile(buf_bytes(&packed), &set, NULL), 0);
  uint64_t rng = test_seed();
  for (size_t i = 0; i < 2; i++) {
    struct model *model;
    struct model_bound *bound;
    struct error err = {0};
    if (parse(calibrations[i], &model, &err) != 0) fail_msg("%s", err.text);
    model->terms[1].any_definition = true;
    if (model_bind(model, set, &bound, &err) != 0) fail_msg("%s", err.text);
    for (int k = 0; k < 1000; k++) {
      double values[4] = {test_unit(&rng) * 20, test_unit(&rng) * 9000, test_unit(&rng) * 10, NAN};
      struct bytes texts[4] = {{0}, {0}, {0}, k % 2 ? BYTES_LIT("emea") : BYTES_LIT("x")};
      double parts[4], points[4];
      struct model_output out;
      model_score(bound, values, texts, parts, points, &out);
      double margin = out.base_margin, sum = out.base_points;
      for (int t = 0; t < 4; t++) margin += parts[t], sum += points[t];
      assert_true(margin == out.margin);
      assert_true(out.calibrated == calibration_apply(&model->calibration, margin));
      assert_true(out.points == sum + out.calibration_points);
      assert_true(fabs(out.points - (50 + 10 / log(2) * out.calibrated)) < 1e-9);
      assert_true(out.probability == pm_sigmoid(out.calibrated));
    }
    model_bound_free(bound), model_free(model);
  }
  feature_set_free(set);
  buf_deinit(&packed);
}

static void slips_are_refused(void **state) {
  (void)state;
  static const char *const slips[][2] = {
      {"{\"kind\": \"plat\", \"slope\": 1, \"intercept\": 0}",
       "model.json: calibration.kind: is 'plat' (did you mean 'platt'?); allowed are platt and isotonic"},
      {"{\"kind\": \"platt\", \"slope\": 0, \"intercept\": 0}", "model.json: calibration.slope: "},
      {"{\"kind\": \"platt\", \"slope\": -1, \"intercept\": 0}", "model.json: calibration.slope: "},
      {"{\"kind\": \"platt\", \"slope\": 1}", "model.json: calibration.intercept: is missing"},
      {"{\"kind\": \"platt\", \"slope\": 1, \"intercept\": 0, \"margins\": []}",
       "model.json: calibration.margins: unknown key"},
      {"{\"kind\": \"isotonic\", \"margins\": [0], \"probabilities\": [0]}", "model.json: calibration.margins: "},
      {"{\"kind\": \"isotonic\", \"margins\": [0, 0], \"probabilities\": [0, 1]}",
       "model.json: calibration.margins[1]: is 0 after 0; they must ascend"},
      {"{\"kind\": \"isotonic\", \"margins\": [0, 1], \"probabilities\": [0.5, 0.4]}",
       "model.json: calibration.probabilities[1]: is 0.4 after 0.5; they must not descend"},
      {"{\"kind\": \"isotonic\", \"margins\": [0, 1], \"probabilities\": [0.5, 1.5]}",
       "model.json: calibration.probabilities[1]: must be a number from 0 to 1"},
      {"{\"kind\": \"isotonic\", \"margins\": [0, 1, 2], \"probabilities\": [0, 1]}",
       "model.json: calibration: has 3 margins and 2 probabilities"},
      {"[]", "model.json: calibration: "},
  };
  for (size_t i = 0; i < sizeof(slips) / sizeof(*slips); i++) {
    struct model *model;
    struct error err = {0};
    assert_int_equal(parse(slips[i][0], &model, &err), ITD_EMODEL);
    if (strncmp(err.text, slips[i][1], strlen(slips[i][1])) != 0) fail_msg("%s\nsays: %s", slips[i][0], err.text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(platt_is_a_line),
                                     cmocka_unit_test(isotonic_goes_from_knot_to_knot),
                                     cmocka_unit_test(an_output_adds_up), cmocka_unit_test(slips_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
