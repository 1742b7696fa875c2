// Model files from hostile hands. The first byte chooses what the rest is: model.json alone, or the weights of a
// logistic model, of a scorecard or of trees (signed here, since no fuzzer finds a digest). What is refused says where, in text
// that can be shown; what is read scores any row to numbers whose sum is the margin, to the bit.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/pmath.h"
#include "model/trees.h"

enum { FEATURES = 3 };

static struct bytes sign(char *out, size_t size, const char *kind, struct bytes weights) {
  uint8_t digest[SHA256_SIZE];
  char hex[2 * SHA256_SIZE + 1];
  sha256_of(weights, digest);
  hex_encode(bytes_of(digest, sizeof(digest)), hex);
  int n = snprintf(out, size,
                   "{\"name\": \"m\", \"version\": \"1\", \"kind\": \"%s\", \"sha256\": \"%s\", \"target\": \"t\", "
                   "\"rationale\": \"r\", \"scale\": {\"points_to_double_odds\": 10, \"points_at_even_odds\": 50}, "
                   "\"features\": [{\"name\": \"a\", \"definition\": null}, {\"name\": \"b\", \"definition\": null}, "
                   "{\"name\": \"c\", \"definition\": null%s}]}",
                   kind, hex,
                   strcmp(kind, "xgboost") == 0 || strcmp(kind, "lightgbm") == 0
                       ? ", \"categories\": [\"emea\", \"x\", \"y\"]"
                       : "");
  CHECK(n > 0 && (size_t)n < size);
  return bytes_of(out, (size_t)n);
}

static void check_score(const struct model *model) {
  static const int places[MODEL_TERMS_MAX] = {0, 1, 2};
  static const double edges[] = {0, -0.0, 1, -1, 1e300, -1e300, INFINITY, -INFINITY, NAN, 4.9e-324};
  double contributions[MODEL_TERMS_MAX], points[MODEL_TERMS_MAX];
  for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
    double values[FEATURES] = {edges[i], edges[(i + 3) % 10], edges[(i + 7) % 10]};
    struct bytes texts[FEATURES] = {BYTES_LIT("emea"), BYTES_LIT(""), BYTES_LIT("x")};
    struct model_output out;
    linear_score(model, places, values, texts, contributions, points, &out);
    double margin = out.base_margin, total = out.base_points;
    long long ledger = pm_milli(out.base_points);
    for (size_t t = 0; t < model->term_count; t++) {
      margin += contributions[t];
      total += points[t];
      ledger += pm_milli(points[t]);
    }
    CHECK(memcmp(&margin, &out.margin, sizeof(margin)) == 0 && memcmp(&total, &out.points, sizeof(total)) == 0);
    CHECK(isfinite(margin) && isfinite(total) && out.probability >= 0 && out.probability <= 1);
    CHECK(llabs(pm_milli(total) - ledger) <= (long long)model->term_count + 1);
  }
}

// Trees give what a walk gives, however they are explained: both sums are the margin but for rounding.
static void check_trees(const struct model *model) {
  static const int places[MODEL_TERMS_MAX] = {0, 1, 2};
  static const double edges[] = {0, -0.0, 1, -1, 1e300, -1e300, INFINITY, -INFINITY, NAN, 4.9e-324};
  double parts[MODEL_TERMS_MAX], points[MODEL_TERMS_MAX];
  for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
    double values[FEATURES] = {edges[i], edges[(i + 3) % 10], NAN};
    struct bytes texts[FEATURES] = {{0}, {0}, i % 3 ? BYTES_LIT("emea") : BYTES_LIT("none")};
    struct model_output out[2];
    for (int is_exact = 0; is_exact < 2; is_exact++) {
      trees_score(model, places, values, texts, is_exact, parts, points, &out[is_exact]);
      double sum = out[is_exact].base_margin, largest = fabs(sum) + fabs(out[is_exact].margin) + 1;
      for (size_t t = 0; t < model->term_count; t++) {
        CHECK(isfinite(parts[t]) && isfinite(points[t]));
        sum += parts[t];
        largest += fabs(parts[t]);
      }
      CHECK(fabs(sum - out[is_exact].margin) <= 1e-4 * largest * (double)forest_trees(model->forest));
      CHECK(isfinite(out[is_exact].points) && out[is_exact].probability >= 0 && out[is_exact].probability <= 1);
    }
    CHECK(out[0].margin == out[1].margin && out[0].base_margin == out[1].base_margin);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  char head[1024];
  struct bytes rest = bytes_of(data + 1, size - 1), model_json = rest, weights = BYTES_LIT("{}");
  if (data[0] % 5 != 0) {
    static const char *const kinds[] = {NULL, "logistic", "scorecard", "xgboost", "lightgbm"};
    model_json = sign(head, sizeof(head), kinds[data[0] % 5], rest);
    weights = rest;
  }
  struct model *model = NULL;
  struct error err = {0};
  int status = model_parse(model_json, weights, &model, &err);
  CHECK(status == ITD_OK || status == ITD_EMODEL);
  if (status) {
    CHECK(model == NULL && err.code == status && bytes_is_utf8(bytes_str(err.text)));
    CHECK(strncmp(err.text, "model.json: ", 12) == 0 || strncmp(err.text, "weights.json: ", 14) == 0 ||
          strncmp(err.text, "weights.txt: ", 13) == 0);
    return 0;
  }
  CHECK(data[0] % 5 != 0); // no model.json has a digest of "{}" and terms in it
  if (model->forest)
    check_trees(model);
  else
    check_score(model);
  model_free(model);
  return 0;
}
