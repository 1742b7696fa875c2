#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pmath.h"
#include "model/terms.h"
#include "model_text.h"

static char *scorecard_model(void) { return text_replace(good_model, "\"logistic\"", "\"scorecard\""); }

static void a_good_model_is_read_whole(void **state) {
  (void)state;
  struct model *model = NULL;
  struct error err = {0};
  assert_int_equal(parse_texts(good_model, good_weights, &model, &err), ITD_OK);
  const struct model_info *info = model_info(model);
  assert_string_equal(info->name, "buyers");
  assert_string_equal(info->version, "1");
  assert_int_equal(info->kind, MODEL_LOGISTIC);
  assert_string_equal(info->target, "bought within 30 days");
  assert_string_equal(info->rationale, "Who comes back, buys.");
  assert_true(info->points_to_double_odds == 10 && info->points_at_even_odds == 50);
  assert_int_equal(strlen(info->sha256), 64);
  assert_int_equal(model->term_count, 4);
  assert_true(model->terms[0].any_definition && !model->terms[1].any_definition);
  assert_int_equal(model->terms[1].definition, 0xff);
  assert_true(model->base.log_odds == -1.5);
  assert_int_equal(err.code, 0);
  model_free(model);
  model_free(NULL);
}

static void what_nobody_needs_may_be_absent(void **state) {
  (void)state;
  char *short_model = text_replace(good_model, " \"metrics\": {\"auc\": 0.75, \"note\": \"on later data\"},\n", "");
  char *shorter = text_replace(short_model,
                               " \"trained\": {\"by\": \"a person\", \"when\": \"2026-01-05\", \"window\": \"2025\", "
                               "\"data\": \"ours\", \"rows\": 12},\n",
                               "");
  struct model *model = NULL;
  assert_int_equal(parse_texts(shorter, good_weights, &model, NULL), ITD_OK);
  model_free(model);
  free(short_model);
  free(shorter);
}

// One good text, one change, and what the refusal must say: the file, the place, and what is allowed.
struct slip {
  const char *from, *to;
  const char *says[3];
};

static void refused(const char *model_json, const char *weights, const struct slip *slip) {
  struct model *model = (struct model *)0x1;
  struct error err = {0};
  assert_int_equal(parse_texts(model_json, weights, &model, NULL), ITD_EMODEL);
  assert_int_equal(parse_texts(model_json, weights, &model, &err), ITD_EMODEL);
  assert_ptr_equal(model, (struct model *)0x1); // untouched
  assert_int_equal(err.code, ITD_EMODEL);
  assert_true(bytes_is_utf8(bytes_str(err.text)));
  for (size_t i = 0; i < 3 && slip->says[i]; i++) {
    if (!strstr(err.text, slip->says[i]))
      fail_msg("'%s' -> '%s' says: %s\nbut not: %s", slip->from, slip->to, err.text, slip->says[i]);
  }
}

#define X16 "xxxxxxxxxxxxxxxx"
static const struct slip model_slips[] = {
    {"\"target\"", "\"targte\"", {"model.json: targte", "did you mean 'target'", "allowed are name, version"}},
    {"\"rationale\": \"Who comes back, buys.\"", "\"rationale\": \"\"", {"model.json: rationale", "1 to 4000"}},
    {",\n \"rationale\": \"Who comes back, buys.\"", "", {"model.json: rationale: is missing", "a text"}},
    {"\"buyers\"", "7", {"model.json: name: is a number", "must be a text"}},
    {"\"buyers\"", "\"Buyers\"", {"model.json: name: is 'Buyers'", "a-z"}},
    {"\"buyers\"", "\"../buyers\"", {"model.json: name", "a-z"}},
    {"\"version\": \"1\"", "\"version\": 1", {"model.json: version: is a number", "must be a text"}},
    {"\"version\": \"1\"", "\"version\": \"..\"", {"model.json: version", "a letter or digit first"}},
    {"\"version\": \"1\"", "\"version\": \"1/2\"", {"model.json: version", "letters, digits"}},
    {"\"version\": \"1\"", "\"name\": \"1\"", {"model.json: line 1", "duplicate"}},
    {"\"logistic\"",
     "\"logisitc\"",
     {"model.json: kind: is 'logisitc'", "did you mean 'logistic'", "scorecard, logistic, xgboost and lightgbm"}},
    {"\"logistic\"", "\"forest\"", {"model.json: kind: is 'forest'", "scorecard, logistic, xgboost and lightgbm"}},
    {"\"logistic\"", "null", {"model.json: kind: is null"}},
    {X16, "XXXXXXXXXXXXXXXX", {"model.json: sha256", "64 of the digits"}},
    {X16, "0123", {"model.json: sha256", "64 of the digits"}},
    {"\"points_to_double_odds\": 10",
     "\"points_to_double_odds\": 0",
     {"model.json: scale.points_to_double_odds: is 0", "0.1 to 1000"}},
    {"\"points_to_double_odds\": 10",
     "\"points_to_double_odds\": -10",
     {"model.json: scale.points_to_double_odds: is -10"}},
    {"\"points_to_double_odds\": 10", "\"points_to_double_odds\": 1e999", {"model.json: line 3", "overflow"}},
    {"\"points_to_double_odds\": 10", "\"points_to_double_odds\": NaN", {"model.json: line 3", "not JSON"}},
    {"\"points_at_even_odds\": 50",
     "\"points_at_even_odds\": \"50\"",
     {"model.json: scale.points_at_even_odds: is a text"}},
    {"\"points_at_even_odds\": 50",
     "\"points_at_even_odds\": true",
     {"model.json: scale.points_at_even_odds: is true"}},
    {", \"points_at_even_odds\": 50", "", {"model.json: scale.points_at_even_odds: is missing"}},
    {"{\"points_to_double_odds\": 10, \"points_at_even_odds\": 50}",
     "[]",
     {"model.json: scale: is a list", "must be an object"}},
    {"\"name\": \"amount\"",
     "\"name\": \"visits\"",
     {"model.json: features[1]", "'visits' is listed twice", "features[0]"}},
    {"\"name\": \"amount\"", "\"name\": \"Amount\"", {"model.json: features[1].name", "a-z"}},
    {"\"definition\": null", "\"definition\": 255", {"model.json: features[0].definition", "16 of the digits"}},
    {"\"00000000000000ff\"", "\"ff\"", {"model.json: features[1].definition", "16 of the digits"}},
    {"\"00000000000000ff\"", "\"00000000000000FF\"", {"model.json: features[1].definition", "or null"}},
    {", \"definition\": null", "", {"model.json: features[0].definition", "or null"}},
    {"\"definition\": null", "\"defintion\": null", {"model.json: features[0].defintion", "did you mean 'definition'"}},
    {"{\"name\": \"visits\", \"definition\": null}",
     "\"visits\"",
     {"model.json: features[0]: is a text", "must be an object"}},
    {"\"rows\": 12", "\"rows\": -1", {"model.json: trained.rows"}},
    {"\"rows\": 12", "\"rows\": 1.5", {"model.json: trained.rows", "whole number"}},
    {"\"rows\": 12", "\"row\": 12", {"model.json: trained.row", "did you mean 'rows'"}},
    {"\"by\": \"a person\"", "\"by\": 1", {"model.json: trained.by: is a number"}},
    {"\"auc\": 0.75", "\"auc\": []", {"model.json: metrics.auc", "a number or a text"}},
    {"\"auc\": 0.75", "\"a\\u0001\\u20acuc\": []", {"model.json: metrics.a?€uc"}},
    {"\"auc\": 0.75", "\"auc\": -Infinity", {"model.json: line 8", "not JSON"}},
    {"{\"name\": \"buyers\",", "[{\"name\": \"buyers\",", {"model.json", "not JSON"}},
    {"buys.\"}", "buys.\"} {}", {"model.json", "not JSON"}},
};

static const struct slip weights_slips[] = {
    {"\"intercept\": -1.5", "\"intercept\": \"-1.5\"", {"weights.json: intercept: is a text", "must be a number"}},
    {"\"intercept\": -1.5", "\"base\": -1.5", {"weights.json: base: unknown key", "intercept and terms"}},
    {"\"intercept\": -1.5, ", "", {"weights.json: intercept: is missing"}},
    {"\"intercept\": -1.5", "\"intercept\": 1e7", {"weights.json: intercept: is 1e+07", "-1e+06 to 1e+06"}},
    {"\"intercept\": -1.5", "\"intercept\": 1e400", {"weights.json: line 1", "overflow"}},
    {"\"intercept\": -1.5", "\"intercept\": 99999999999999999999", {"weights.json: line 1", "too big"}},
    {"\"weight\": 0.25", "\"wieght\": 0.25", {"weights.json: terms[0].wieght", "did you mean 'weight'"}},
    {"\"weight\": 0.25", "\"weight\": Infinity", {"weights.json: line 2", "not JSON"}},
    {"\"weight\": 0.25, ", "", {"weights.json: terms[0].weight: is missing"}},
    {", \"missing\": 0}", "}", {"weights.json: terms[0].missing: is missing", "must be a number"}},
    {"\"missing\": 0", "\"missing\": null", {"weights.json: terms[0].missing: is null"}},
    {"\"missing\": 0", "\"missing\": 1e16", {"weights.json: terms[0].missing: is 1e+16", "1e+15"}},
    {"\"log1p\"",
     "\"logp1\"",
     {"weights.json: terms[1].transform: is 'logp1'", "did you mean 'log1p'", "identity, log1p and clip"}},
    {"\"log1p\"", "\"sqrt\"", {"weights.json: terms[1].transform: is 'sqrt'", "identity, log1p and clip"}},
    {"\"log1p\"", "\"identity\"", {"weights.json: terms[1]", "belong to the transforms clip and log1p"}},
    {"\"max\": 50000", "\"max\": 0", {"weights.json: terms[1]", "min must be the smaller"}},
    {"\"max\": 50000", "\"max\": -1", {"weights.json: terms[1].max"}},
    {"\"max\": 50000", "\"min\": -0.5", {"weights.json: terms[1].min: is -0.5"}},
    {"\"min\": 0, ", "", {"weights.json: terms[2]", "both min and max"}},
    {"\"min\": 0", "\"min\": 10", {"weights.json: terms[2]", "min must be the smaller"}},
    {"\"feature\": \"amount\"",
     "\"feature\": \"visits\"",
     {"weights.json: terms[1].feature: is 'visits'", "lists 'amount'", "same order"}},
    {"\"feature\": \"amount\", ", "", {"weights.json: terms[1].feature: is missing"}},
    {"\"emea\": 0.5", "\"emea\": \"0.5\"", {"weights.json: terms[3].levels.emea: is a text"}},
    {"\"emea\": 0.5", "\"amer\": 0.5", {"weights.json: line 5", "duplicate"}},
    {"\"emea\": 0.5", "\"\": 0.5", {"weights.json: terms[3].levels.", "never matches", "1 to 47"}},
    {"\"emea\": 0.5",
     "\"123456789012345678901234567890123456789012345678\": 1",
     {"weights.json: terms[3].levels.1234", "48 bytes never matches"}},
    {"{\"emea\": 0.5, \"amer\": -0.25}", "{}", {"weights.json: terms[3].levels: has 0 entries", "1 to 1024"}},
    {", \"other\": 0", "", {"weights.json: terms[3].other: is missing"}},
    {"\"missing\": -1}", "\"other_\": 1}", {"weights.json: terms[3].other_", "did you mean 'other'"}},
    {", \"missing\": -1}", "}", {"weights.json: terms[3].missing: is missing"}},
    {"\"other\": 0",
     "\"other\": 0, \"weight\": 1",
     {"weights.json: terms[3].weight: unknown key", "feature, levels, other and missing"}},
    {"\"terms\": [\n", "\"terms\": [ 1,\n", {"weights.json: terms: has 5 entries", "model.json lists 4"}},
    {"{\"feature\": \"visits\", \"weight\": 0.25, \"missing\": 0}",
     "[]",
     {"weights.json: terms[0]: must be an object"}},
    {"}]}", "}]} x", {"weights.json", "not JSON"}},
    {"visits", "vis\xffits", {"weights.json: line 2", "not JSON"}},
};

static const struct slip scorecard_slips[] = {
    {"\"base\": 30", "\"intercept\": 30", {"weights.json: intercept: unknown key", "base and terms"}},
    {"\"base\": 30", "\"base\": -1e7", {"weights.json: base: is -1e+07"}},
    {"\"under\": 5", "\"under\": 1", {"weights.json: terms[0].bins[1]: under is 1 after 1", "above the one before"}},
    {"\"under\": 5", "\"under\": 0.5", {"weights.json: terms[0].bins[1]: under is 0.5 after 1"}},
    {"\"under\": 5, ", "", {"weights.json: terms[0].bins[1].under: is missing"}},
    {"{\"points\": 20}",
     "{\"under\": 9, \"points\": 20}",
     {"weights.json: terms[0].bins[2]: is the last bin and has 'under'"}},
    {"\"points\": 2.5", "\"point\": 2.5", {"weights.json: terms[0].bins[1].point", "did you mean 'points'"}},
    {", \"points\": 2.5", "", {"weights.json: terms[0].bins[1].points: is missing"}},
    {"\"points\": 20", "\"points\": 2e6", {"weights.json: terms[0].bins[2].points: is 2e+06"}},
    {"], \"missing\": -1}", "]}", {"weights.json: terms[0].missing: is missing"}},
    {"\"bins\": [{\"points\": 3}]", "\"bins\": []", {"weights.json: terms[1].bins: has 0 entries", "1 to 256"}},
    {"\"bins\": [{\"points\": 3}]", "\"bins\": 3", {"weights.json: terms[1].bins: is a number", "must be a list"}},
    {"\"bins\": [{\"points\": 3}]",
     "\"bins\": [3]",
     {"weights.json: terms[1].bins[0]: is a number", "must be an object"}},
    {"\"bins\": [{\"points\": 3}]",
     "\"weight\": 3",
     {"weights.json: terms[1].weight: unknown key", "feature, bins and missing"}},
    {"\"missing\": -2", "\"bins\": [{\"points\": 3}]", {"weights.json: terms[3].bins: unknown key"}},
};

static void every_slip_is_refused_with_its_place(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(model_slips) / sizeof(*model_slips); i++) {
    char *broken = text_replace(good_model, model_slips[i].from, model_slips[i].to);
    refused(broken, good_weights, &model_slips[i]);
    free(broken);
  }
  for (size_t i = 0; i < sizeof(weights_slips) / sizeof(*weights_slips); i++) {
    char *broken = text_replace(good_weights, weights_slips[i].from, weights_slips[i].to);
    refused(good_model, broken, &weights_slips[i]);
    free(broken);
  }
  char *model_json = scorecard_model();
  struct model *whole = NULL;
  assert_int_equal(parse_texts(model_json, good_scorecard, &whole, NULL), ITD_OK);
  model_free(whole);
  for (size_t i = 0; i < sizeof(scorecard_slips) / sizeof(*scorecard_slips); i++) {
    char *broken = text_replace(good_scorecard, scorecard_slips[i].from, scorecard_slips[i].to);
    refused(model_json, broken, &scorecard_slips[i]);
    free(broken);
  }
  free(model_json);
}

static void a_digest_that_does_not_match_is_refused(void **state) {
  (void)state;
  char *signed_json = text_sign(good_model, bytes_str(good_weights));
  char *other = text_replace(good_weights, "-1.5", "-1.6");
  struct model *model = NULL;
  struct error err = {0};
  assert_int_equal(model_parse(bytes_str(signed_json), bytes_str(other), &model, &err), ITD_EMODEL);
  assert_non_null(strstr(err.text, "weights.json: its sha256 is "));
  assert_non_null(strstr(err.text, model ? "?" : "model.json says "));
  free(other);
  free(signed_json);
}

// A copy that ends where the text ends, so that the address sanitizer sees one byte read too many.
static int parse_cut(const char *model_json, size_t model_size, const char *weights, size_t weights_size) {
  struct model *model = NULL;
  uint8_t *a = xmalloc(model_size ? model_size : 1), *b = xmalloc(weights_size ? weights_size : 1);
  memcpy(a, model_json, model_size);
  memcpy(b, weights, weights_size);
  int status = model_parse(bytes_of(a, model_size), bytes_of(b, weights_size), &model, NULL);
  if (status == ITD_OK) model_free(model);
  free(a);
  free(b);
  return status;
}

static void cut_everywhere(const char *model_json, const char *weights) {
  char *signed_json = text_sign(model_json, bytes_str(weights));
  size_t model_size = strlen(signed_json), weights_size = strlen(weights);
  assert_int_equal(parse_cut(signed_json, model_size, weights, weights_size), ITD_OK);
  for (size_t n = 0; n < model_size; n++)
    assert_int_equal(parse_cut(signed_json, n, weights, weights_size), ITD_EMODEL);
  for (size_t n = 0; n < weights_size; n++) {
    assert_int_equal(parse_cut(signed_json, model_size, weights, n), ITD_EMODEL); // the digest speaks first
    char *resigned = text_sign(model_json, bytes_of(weights, n));                 // and without it the reader
    assert_int_equal(parse_cut(resigned, strlen(resigned), weights, n), ITD_EMODEL);
    free(resigned);
  }
  free(signed_json);
}

static void a_file_cut_short_is_always_refused(void **state) {
  (void)state;
  cut_everywhere(good_model, good_weights);
  char *model_json = scorecard_model();
  cut_everywhere(model_json, good_scorecard);
  free(model_json);
}

static void files_that_are_too_long_are_refused(void **state) {
  (void)state;
  struct buf padded;
  buf_init(&padded);
  buf_append_str(&padded, good_weights);
  while (padded.n < MODEL_FILE_MAX) buf_append_u8(&padded, ' ');
  buf_append_u8(&padded, 0);
  struct model *model = NULL;
  assert_int_equal(parse_texts(good_model, (char *)padded.p, &model, NULL), ITD_OK); // exactly the limit
  model_free(model);
  padded.n--;
  buf_append_str(&padded, " ");
  buf_append_u8(&padded, 0);
  struct slip slip = {"", "", {"weights.json: has 4194305 bytes", "at most 4194304"}};
  refused(good_model, (char *)padded.p, &slip);
  struct slip model_slip = {"", "", {"model.json: has 4194305 bytes", "at most 4194304"}};
  refused((char *)padded.p, good_weights, &model_slip);
  buf_deinit(&padded);
}

// Files with so many terms, bins a term and levels a term.
static int parse_counts(size_t terms, size_t bins, size_t levels, struct error *err) {
  struct buf features, weights;
  buf_init(&features);
  buf_init(&weights);
  buf_append_str(&weights, "{\"base\": 0, \"terms\": [");
  for (size_t t = 0; t < terms; t++) {
    buf_printf(&features, "%s{\"name\": \"f%zu\", \"definition\": null}", t ? "," : "", t);
    buf_printf(&weights, "%s{\"feature\": \"f%zu\", \"missing\": 0, ", t ? "," : "", t);
    if (levels > 0) buf_append_str(&weights, "\"other\": 0, \"levels\": {");
    for (size_t i = 0; i < levels; i++) buf_printf(&weights, "%s\"l%zu\": 1", i ? "," : "", i);
    if (levels == 0) buf_append_str(&weights, "\"bins\": [");
    for (size_t i = 0; levels == 0 && i + 1 < bins; i++) buf_printf(&weights, "{\"under\": %zu, \"points\": 1},", i);
    buf_append_str(&weights, levels > 0 ? "}}" : "{\"points\": 2}]}");
  }
  buf_append_str(&weights, "]}");
  buf_append_u8(&weights, 0);
  buf_append_u8(&features, 0);
  char *card = scorecard_model();
  char *at = strstr(card, "{\"name\": \"visits\""), *end = strstr(card, "],\n \"trained\"");
  assert_true(at && end);
  struct buf model_json;
  buf_init(&model_json);
  buf_append(&model_json, card, (size_t)(at - card));
  buf_append_str(&model_json, (char *)features.p);
  buf_append_str(&model_json, end);
  buf_append_u8(&model_json, 0);
  struct model *model = NULL;
  int status = parse_texts((char *)model_json.p, (char *)weights.p, &model, err);
  if (status == ITD_OK) model_free(model);
  free(card);
  buf_deinit(&features);
  buf_deinit(&weights);
  buf_deinit(&model_json);
  return status;
}

static void counts_are_bounded(void **state) {
  (void)state;
  struct error err = {0};
  assert_int_equal(parse_counts(MODEL_TERMS_MAX, 1, 0, &err), ITD_OK);
  assert_int_equal(parse_counts(MODEL_TERMS_MAX + 1, 1, 0, &err), ITD_EMODEL);
  assert_non_null(strstr(err.text, "model.json: features: has 257 entries; allowed are 1 to 256"));
  assert_int_equal(parse_counts(0, 1, 0, &err), ITD_EMODEL);
  assert_int_equal(parse_counts(2, MODEL_BINS_MAX, 0, &err), ITD_OK);
  assert_int_equal(parse_counts(2, MODEL_BINS_MAX + 1, 0, &err), ITD_EMODEL);
  assert_non_null(strstr(err.text, "weights.json: terms[0].bins: has 257 entries"));
  assert_int_equal(parse_counts(2, 0, MODEL_LEVELS_MAX, &err), ITD_OK);
  assert_int_equal(parse_counts(2, 0, MODEL_LEVELS_MAX + 1, &err), ITD_EMODEL);
  assert_non_null(strstr(err.text, "weights.json: terms[0].levels: has 1025 entries"));
}

static void the_number_hash_is_of_both_files(void **state) {
  (void)state;
  struct model *a = NULL, *b = NULL, *c = NULL, *d = NULL;
  char *other_model = text_replace(good_model, "buys.", "buys!"),
       *other_weights = text_replace(good_weights, "-1.5", "-1.6");
  assert_int_equal(parse_texts(good_model, good_weights, &a, NULL), ITD_OK);
  assert_int_equal(parse_texts(good_model, good_weights, &b, NULL), ITD_OK);
  assert_int_equal(parse_texts(other_model, good_weights, &c, NULL), ITD_OK);
  assert_int_equal(parse_texts(good_model, other_weights, &d, NULL), ITD_OK);
  assert_true(model_info(a)->number_hash == model_info(b)->number_hash);
  assert_true(model_info(a)->number_hash != model_info(c)->number_hash);
  assert_true(model_info(a)->number_hash != model_info(d)->number_hash);
  model_free(a), model_free(b), model_free(c), model_free(d);
  free(other_model);
  free(other_weights);
}

// Damaged bytes, signed again: refused with a text that can be shown, or a model whose numbers are all numbers.
static void damaged_bytes_never_crash(void **state) {
  (void)state;
  uint64_t rng = test_seed();
  size_t accepted = 0, refusals = 0;
  char *card = scorecard_model();
  for (int round = 0; round < 6000; round++) {
    bool is_card = round & 1, in_weights = round & 2;
    char *m = xstrdup(is_card ? card : good_model), *w = xstrdup(is_card ? good_scorecard : good_weights);
    char *victim = in_weights ? w : m;
    for (uint64_t k = test_random(&rng) % 3 + 1; k > 0; k--) {
      size_t at = (size_t)(test_random(&rng) % strlen(victim));
      static const char likely[] = "0123456789-.eE{}[],:\"\\ntfu";
      uint64_t r = test_random(&rng);
      victim[at] = r & 1 ? likely[(r >> 8) % (sizeof(likely) - 1)] : (char)((r >> 8) % 255 + 1);
    }
    struct model *model = NULL;
    struct error err = {0};
    int status = parse_texts(m, w, &model, &err);
    assert_true(status == ITD_OK || status == ITD_EMODEL);
    if (status) assert_true(*err.text && bytes_is_utf8(bytes_str(err.text)) && ++refusals);
    if (status == ITD_OK) {
      assert_true(model->base.log_odds - model->base.log_odds == 0 && model->factor > 0), accepted++;
      model_free(model);
    }
    free(m);
    free(w);
  }
  free(card);
  printf("damaged: %zu read, %zu refused\n", accepted, refusals);
  assert_true(accepted > 50 && refusals > 1000); // both ways were really walked
}

static void deep_and_wide_json_is_refused(void **state) {
  (void)state;
  struct buf deep;
  buf_init(&deep);
  buf_append_str(&deep, "{\"terms\": ");
  for (int i = 0; i < 1000000; i++) buf_append_u8(&deep, '[');
  buf_append_u8(&deep, 0);
  struct slip slip = {"", "", {"weights.json: line 1", "maximum parsing depth"}};
  refused(good_model, (char *)deep.p, &slip);
  buf_deinit(&deep);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_good_model_is_read_whole),
      cmocka_unit_test(what_nobody_needs_may_be_absent),
      cmocka_unit_test(every_slip_is_refused_with_its_place),
      cmocka_unit_test(a_digest_that_does_not_match_is_refused),
      cmocka_unit_test(a_file_cut_short_is_always_refused),
      cmocka_unit_test(files_that_are_too_long_are_refused),
      cmocka_unit_test(counts_are_bounded),
      cmocka_unit_test(the_number_hash_is_of_both_files),
      cmocka_unit_test(damaged_bytes_never_crash),
      cmocka_unit_test(deep_and_wide_json_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
