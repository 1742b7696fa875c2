// What a row of 20 terms costs, beside a bare dot product of 20 numbers in the same run. Prints ns and the ratio.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "model/model.h"

enum { TERMS = 20, ROWS = 4096, TURNS = 200, ROUNDS = 7 };

static void sign(struct bytes weights, char hex[2 * SHA256_SIZE + 1]) {
  uint8_t digest[SHA256_SIZE];
  sha256_of(weights, digest);
  hex_encode(bytes_of(digest, sizeof(digest)), hex);
}

// `each` writes the rest of a term after its feature.
static struct model_bound *make(const char *kind, const char *base, const char *each, struct feature_set **set) {
  struct buf head, weights, declarations;
  buf_init(&head), buf_init(&weights), buf_init(&declarations);
  buf_printf(&weights, "{\"%s\": 1, \"terms\": [", base);
  mp_put_array(&declarations, TERMS);
  for (int t = 0; t < TERMS; t++) {
    char name[8];
    snprintf(name, sizeof(name), "f%d", t);
    mp_put_map(&declarations, 2);
    mp_put_cstr(&declarations, "name"), mp_put_cstr(&declarations, name);
    mp_put_cstr(&declarations, "op"), mp_put_cstr(&declarations, "count");
    buf_printf(&weights, "%s{\"feature\": \"%s\", \"missing\": 0, %s}", t ? ", " : "", name, each);
  }
  buf_append_str(&weights, "]}");
  char hex[2 * SHA256_SIZE + 1];
  sign(buf_bytes(&weights), hex);
  buf_printf(
      &head,
      "{\"name\": \"m\", \"version\": \"1\", \"kind\": \"%s\", \"sha256\": \"%s\", \"target\": \"t\", \"rationale\": "
      "\"r\", \"scale\": {\"points_to_double_odds\": 10, \"points_at_even_odds\": 50}, \"features\": [",
      kind, hex);
  for (int t = 0; t < TERMS; t++) buf_printf(&head, "%s{\"name\": \"f%d\", \"definition\": null}", t ? ", " : "", t);
  buf_append_str(&head, "]}");
  struct model *model = NULL;
  struct model_bound *bound = NULL;
  struct error err = {0};
  int status = feature_set_compile(buf_bytes(&declarations), set, &err);
  if (status == ITD_OK) status = model_parse(buf_bytes(&head), buf_bytes(&weights), &model, &err);
  if (status == ITD_OK) status = model_bind(model, *set, &bound, &err);
  if (status) fprintf(stderr, "%s\n", err.text), abort();
  buf_deinit(&head), buf_deinit(&weights), buf_deinit(&declarations);
  return bound; // the process ends soon: model and set stay
}

static double rows[ROWS][TERMS];
static volatile double sink;

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double ns[ROUNDS]) {
  qsort(ns, ROUNDS, sizeof(ns[0]), by_size);
  return ns[ROUNDS / 2];
}

static double time_dot(void) {
  double ns[ROUNDS], weight[TERMS];
  for (int t = 0; t < TERMS; t++) weight[t] = 0.01 * t;
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t start = clock_mono_ns();
    for (int turn = 0; turn < TURNS; turn++) {
      for (int r = 0; r < ROWS; r++) {
        double sum = 1;
        for (int t = 0; t < TERMS; t++) sum += weight[t] * rows[r][t];
        sink = sum;
      }
    }
    ns[round] = (double)(clock_mono_ns() - start) / ((double)TURNS * ROWS);
  }
  return median(ns);
}

static double time_model(const struct model_bound *bound) {
  static const struct bytes texts[TERMS];
  double ns[ROUNDS], contributions[TERMS], points[TERMS];
  struct model_output out;
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t start = clock_mono_ns();
    for (int turn = 0; turn < TURNS; turn++) {
      for (int r = 0; r < ROWS; r++) {
        model_score(bound, rows[r], texts, contributions, points, &out);
        sink = out.points;
      }
    }
    ns[round] = (double)(clock_mono_ns() - start) / ((double)TURNS * ROWS);
  }
  return median(ns);
}

int main(void) {
  for (int r = 0; r < ROWS; r++)
    for (int t = 0; t < TERMS; t++) rows[r][t] = 100 * hash_unit(hash_mix((uint64_t)r, (uint64_t)t));
  struct feature_set *set = NULL;
  const struct {
    const char *name, *kind, *base, *each;
  } cases[] = {
      {"logistic, identity", "logistic", "intercept", "\"weight\": 0.125"},
      {"logistic, clip", "logistic", "intercept",
       "\"weight\": 0.125, \"transform\": \"clip\", \"min\": 5, \"max\": 50"},
      {"logistic, log1p", "logistic", "intercept", "\"weight\": 0.125, \"transform\": \"log1p\""},
      {"scorecard, 4 bins", "scorecard", "base",
       "\"bins\": [{\"under\": 10, \"points\": 1}, {\"under\": 40, \"points\": 2}, {\"under\": 80, \"points\": 3}, "
       "{\"points\": 4}]"},
  };
  double dot = time_dot();
  printf("%-22s %7.1f ns a row of %d\n", "bare dot product", dot, TERMS);
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    double ns = time_model(make(cases[i].kind, cases[i].base, cases[i].each, &set));
    printf("%-22s %7.1f ns a row of %d   ratio %.1f\n", cases[i].name, ns, TERMS, ns / dot);
  }
  return 0;
}
