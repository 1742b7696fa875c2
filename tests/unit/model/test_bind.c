#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/pmath.h"
#include "model/model.h"
#include "model_text.h"

// Names that begin with "who" are of the profile.
static void declare(struct buf *out, const char *name, bool is_text) {
  bool is_profile = strncmp(name, "who", 3) == 0;
  mp_put_map(out, (is_text ? 4u : 2u) + is_profile);
  if (is_profile) mp_put_cstr(out, "class"), mp_put_cstr(out, "profile");
  mp_put_cstr(out, "name");
  mp_put_cstr(out, name);
  mp_put_cstr(out, "op");
  mp_put_cstr(out, is_text ? "last" : "count");
  if (!is_text) return;
  mp_put_cstr(out, "of");
  mp_put_cstr(out, "properties.region");
  mp_put_cstr(out, "text");
  mp_put_bool(out, true);
}

// A set with these features; a name that begins with '"' is a text.
static struct feature_set *compile(const char *const *names, size_t count) {
  struct buf declarations;
  buf_init(&declarations);
  mp_put_array(&declarations, (uint32_t)count);
  for (size_t i = 0; i < count; i++) declare(&declarations, names[i] + (names[i][0] == '"'), names[i][0] == '"');
  struct feature_set *set = NULL;
  struct error err = {0};
  if (feature_set_compile(buf_bytes(&declarations), &set, &err)) fail_msg("%s", err.text);
  buf_deinit(&declarations);
  return set;
}

// The good model of model_text.h with any definition of `amount`, or the one given.
static struct model *parse(const char *definition) {
  char *text = text_replace(good_model, "\"00000000000000ff\"", definition);
  struct model *model = NULL;
  struct error err = {0};
  if (parse_texts(text, good_weights, &model, &err)) fail_msg("%s", err.text);
  free(text);
  return model;
}

static void terms_find_their_features_wherever_they_lie(void **state) {
  (void)state;
  const char *const names[] = {"other", "\"region", "idle", "more", "amount", "visits"};
  struct feature_set *set = compile(names, 6);
  char own[20];
  snprintf(own, sizeof(own), "\"%016llx\"", (unsigned long long)feature_info(set, 4)->definition_hash);
  struct model *model = parse(own); // the very definition that the set has
  struct model_bound *bound = NULL;
  struct error err = {0};
  if (model_bind(model, set, &bound, &err)) fail_msg("%s", err.text);
  assert_ptr_equal(model_bound_info(bound), model_info(model));
  assert_int_equal(model_terms(bound), 4);
  const int want[] = {5, 4, 2, 1};
  for (size_t t = 0; t < 4; t++) assert_int_equal(model_term_feature(bound, t), want[t]);

  double values[6] = {1e9, NAN, 2, 1e9, 0, 3}, contributions[4], points[4];
  struct bytes texts[6] = {[1] = BYTES_LIT("amer")};
  struct model_output out;
  model_score(bound, values, texts, contributions, points, &out);
  assert_true(contributions[0] == 0.75 && contributions[1] == 0 && contributions[2] == -1 && contributions[3] == -0.25);
  assert_true(out.margin == -2 && out.base_margin == -1.5);
  assert_true(out.probability == pm_sigmoid(-2));
  model_bound_free(bound);
  model_bound_free(NULL);
  model_free(model);
  feature_set_free(set);
}

// What a fresh lead has: nothing is known, and that is a row like any other.
static void a_fresh_state_can_be_scored(void **state) {
  (void)state;
  const char *const names[] = {"visits", "amount", "idle", "\"region"};
  struct feature_set *set = compile(names, 4);
  struct model *model = parse("null");
  struct model_bound *bound = NULL;
  assert_int_equal(model_bind(model, set, &bound, NULL), ITD_OK);
  uint8_t *lead = xmalloc(feature_state_size(set) + 1);
  feature_state_init(set, lead);
  double values[4], contributions[4], points[4];
  struct bytes texts[4];
  feature_read(set, lead, 1000, values, texts);
  struct model_output out;
  model_score(bound, values, texts, contributions, points, &out);
  assert_true(contributions[3] == -1); // no region yet
  assert_true(isfinite(out.margin));
  free(lead);
  model_bound_free(bound);
  model_free(model);
  feature_set_free(set);
}

// Random weights, classes and rows: each part is the base and its class's terms, calibrated, and the two miss the whole by the
// base that both have.
static void parts_of_a_row(void **state) {
  (void)state;
  uint64_t rng = test_seed();
  for (int round = 0; round < 200; round++) {
    enum { TERMS = 6 };
    char name[TERMS][8], json[1400], weights[700];
    const char *names[TERMS];
    bool is_profile[TERMS], has_calibration = test_random(&rng) % 2;
    size_t n = 0, w = 0;
    double slope = 0.25 + test_unit(&rng), shift = test_unit(&rng) - 0.5;
    n += (size_t)snprintf(json, sizeof(json),
                          "{\"name\": \"m\", \"version\": \"1\", \"kind\": \"logistic\", \"sha256\": \"" DIGEST_PLACE
                          "\", \"target\": \"t\", \"rationale\": \"r\", \"scale\": {\"points_to_double_odds\": 10, "
                          "\"points_at_even_odds\": 50}, ");
    if (has_calibration)
      n += (size_t)snprintf(json + n, sizeof(json) - n,
                            "\"calibration\": {\"kind\": \"platt\", \"slope\": %.17g, \"intercept\": %.17g}, ", slope,
                            shift);
    n += (size_t)snprintf(json + n, sizeof(json) - n, "\"features\": [");
    w += (size_t)snprintf(weights, sizeof(weights), "{\"intercept\": %.17g, \"terms\": [", test_unit(&rng) - 0.5);
    for (size_t t = 0; t < TERMS; t++) {
      is_profile[t] = test_random(&rng) % 2;
      snprintf(name[t], sizeof(name[t]), "%s%zu", is_profile[t] ? "who" : "did", t);
      names[t] = name[t];
      n += (size_t)snprintf(json + n, sizeof(json) - n, "%s{\"name\": \"%s\", \"definition\": null}", t ? ", " : "",
                            name[t]);
      w += (size_t)snprintf(weights + w, sizeof(weights) - w,
                            "%s{\"feature\": \"%s\", \"weight\": %.17g, \"missing\": 1}", t ? ", " : "", name[t],
                            test_unit(&rng) * 4 - 2);
    }
    snprintf(json + n, sizeof(json) - n, "]}"), snprintf(weights + w, sizeof(weights) - w, "]}");
    struct model *model = NULL;
    struct model_bound *bound = NULL;
    struct error err = {0};
    struct feature_set *set = compile(names, TERMS);
    if (parse_texts(json, weights, &model, &err) || model_bind(model, set, &bound, &err)) fail_msg("%s", err.text);
    double values[TERMS], contributions[TERMS], points[TERMS];
    struct bytes texts[TERMS] = {0};
    for (size_t t = 0; t < TERMS; t++) values[t] = test_random(&rng) % 5 ? test_unit(&rng) * 6 - 3 : (double)NAN;
    struct model_output whole, part[2];
    model_score(bound, values, texts, contributions, points, &whole);
    double margin[2] = {whole.base_margin, whole.base_margin};
    for (size_t t = 0; t < TERMS; t++) {
      assert_int_equal(model_term_class(bound, t), is_profile[t] ? FEATURE_PROFILE : FEATURE_BEHAVIOUR);
      margin[is_profile[t]] += contributions[t];
    }
    for (int k = 0; k < 2; k++) {
      double odds = has_calibration ? slope * margin[k] + shift : margin[k];
      model_part(bound, k ? FEATURE_PROFILE : FEATURE_BEHAVIOUR, contributions, points, &whole, &part[k]);
      assert_true(fabs(part[k].margin - margin[k]) < 1e-12 && fabs(part[k].calibrated - odds) < 1e-12);
      assert_true(fabs(part[k].points - (50 + odds * 10 / 0.69314718055994531)) < 1e-9);
      assert_true(fabs(part[k].probability - pm_sigmoid(odds)) < 1e-12);
    }
    assert_true(fabs(part[0].margin + part[1].margin - whole.base_margin - whole.margin) < 1e-12);
    model_bound_free(bound), model_free(model), feature_set_free(set);
  }
}

static void bind_refused(const char *const *names, size_t count, const char *definition, const char *const *says) {
  struct feature_set *set = compile(names, count);
  struct model *model = parse(definition);
  struct model_bound *bound = (struct model_bound *)0x1;
  struct error err = {0};
  assert_int_equal(model_bind(model, set, &bound, NULL), ITD_EMODEL);
  assert_int_equal(model_bind(model, set, &bound, &err), ITD_EMODEL);
  assert_ptr_equal(bound, (struct model_bound *)0x1);
  for (; *says; says++)
    if (!strstr(err.text, *says)) fail_msg("says: %s\nbut not: %s", err.text, *says);
  model_free(model);
  feature_set_free(set);
}

static void every_misfit_is_listed(void **state) {
  (void)state;
  const char *const misspelt[] = {"vists", "amount", "idle", "\"region"};
  bind_refused(
      misspelt, 4, "null",
      (const char *[]){"model buyers/1: features: ", "'visits' is not declared (did you mean 'vists'?)", NULL});
  const char *const two[] = {"amount", "\"region"};
  bind_refused(two, 2, "null", (const char *[]){"'visits' is not declared; 'idle' is not declared", NULL});
  const char *const kinds[] = {"visits", "\"amount", "idle", "region"};
  bind_refused(kinds, 4, "null",
               (const char *[]){"'amount' is a text, the model wants a number",
                                "'region' is a number, the model wants a text", NULL});
  const char *const whole[] = {"visits", "amount", "idle", "\"region"};
  bind_refused(whole, 4, "\"00000000000000ff\"",
               (const char *[]){"'amount' has definition ", "the model was made for 00000000000000ff", NULL});
}

// More misfits than an error holds: what has no room is counted, and the count is right.
static void many_misfits_are_counted(void **state) {
  (void)state;
  struct buf features, weights;
  buf_init(&features);
  buf_init(&weights);
  buf_append_str(&features, "{\"name\": \"m\", \"version\": \"1\", \"kind\": \"scorecard\", \"sha256\": \"" DIGEST_PLACE
                            "\", \"target\": \"t\", \"rationale\": \"r\", \"scale\": {\"points_to_double_odds\": 1, "
                            "\"points_at_even_odds\": 0}, \"features\": [");
  buf_append_str(&weights, "{\"base\": 0, \"terms\": [");
  const size_t count = 200;
  for (size_t i = 0; i < count; i++) {
    buf_printf(&features, "%s{\"name\": \"absent_feature_%zu\", \"definition\": null}", i ? "," : "", i);
    buf_printf(&weights, "%s{\"feature\": \"absent_feature_%zu\", \"bins\": [{\"points\": 1}], \"missing\": 0}",
               i ? "," : "", i);
  }
  buf_append(&features, "]}", 3);
  buf_append(&weights, "]}", 3);
  struct model *model = NULL;
  assert_int_equal(parse_texts((char *)features.p, (char *)weights.p, &model, NULL), ITD_OK);
  const char *const names[] = {"visits"};
  struct feature_set *set = compile(names, 1);
  struct model_bound *bound = NULL;
  struct error err = {0};
  assert_int_equal(model_bind(model, set, &bound, &err), ITD_EMODEL);
  size_t listed = 0, more = 0;
  for (const char *at = err.text; (at = strstr(at, "is not declared")); at++) listed++;
  const char *rest = strstr(err.text, "; and ");
  assert_non_null(rest);
  assert_int_equal(sscanf(rest, "; and %zu more", &more), 1);
  assert_true(listed >= 5 && listed + more == count);
  feature_set_free(set);
  model_free(model);
  buf_deinit(&features);
  buf_deinit(&weights);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(terms_find_their_features_wherever_they_lie),
      cmocka_unit_test(a_fresh_state_can_be_scored),
      cmocka_unit_test(parts_of_a_row),
      cmocka_unit_test(every_misfit_is_listed),
      cmocka_unit_test(many_misfits_are_counted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
