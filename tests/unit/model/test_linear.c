#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "base/pmath.h"
#include "model/terms.h"
#include "model_text.h"

enum { TERMS_MOST = 40, ENTRIES_MOST = 12 };

// A model as the test invents it: from here its files are written, and, apart from the code under test, its rows
// computed.
struct sketch_entry {
  double under, amount;
  char text[24];
};
struct sketch_term {
  enum { IDENTITY, LOG1P, LOG1P_BOUNDED, CLIP, BINS, LEVELS } form;
  double weight, low, high, other, missing;
  size_t count;
  struct sketch_entry entry[ENTRIES_MOST];
};
struct sketch {
  bool is_card;
  double double_odds, even, base;
  size_t count;
  struct sketch_term term[TERMS_MOST];
};

static double amount(uint64_t *rng, bool is_card) {
  double wide = test_random(rng) % 8 == 0 ? 1e6 : is_card ? 50 : 4;
  double number = (2 * test_unit(rng) - 1) * wide;
  return test_random(rng) % 4 == 0 ? pm_round_even(number) : number;
}

static void sketch_term(struct sketch_term *term, bool is_card, uint64_t *rng) {
  *term = (struct sketch_term){.form = is_card ? BINS : (int)(test_random(rng) % 4)};
  if (test_random(rng) % 4 == 0) term->form = LEVELS;
  term->weight = amount(rng, false);
  term->other = amount(rng, is_card);
  term->missing = amount(rng, is_card);
  term->low = test_unit(rng) * 100;
  term->high = term->low + 1 + test_unit(rng) * 1e6;
  if (term->form == CLIP && test_random(rng) % 2) term->low = -term->low;
  term->count = 1 + (size_t)(test_random(rng) % ENTRIES_MOST);
  double under = -50 * test_unit(rng);
  for (size_t i = 0; i < term->count; i++) {
    struct sketch_entry *entry = &term->entry[i];
    under += 0.01 + 20 * test_unit(rng);
    *entry = (struct sketch_entry){.under = under, .amount = amount(rng, is_card)};
    snprintf(entry->text, sizeof(entry->text), "%c%zu", (char)('a' + (int)(test_random(rng) % 26)), i);
  }
}

static void sketch_make(struct sketch *sketch, uint64_t *rng) {
  sketch->is_card = test_random(rng) % 2;
  sketch->double_odds = 0.1 + test_unit(rng) * (test_random(rng) % 4 ? 40 : 900);
  sketch->even = (2 * test_unit(rng) - 1) * (test_random(rng) % 4 ? 100 : 1e6);
  sketch->base = amount(rng, sketch->is_card);
  sketch->count = 1 + (size_t)(test_random(rng) % TERMS_MOST);
  for (size_t t = 0; t < sketch->count; t++) sketch_term(&sketch->term[t], sketch->is_card, rng);
}

static void write_entries(const struct sketch_term *term, bool are_levels, struct buf *out) {
  for (size_t i = 0; i < term->count; i++) {
    const struct sketch_entry *entry = &term->entry[i];
    if (i > 0) buf_append_str(out, ", ");
    if (are_levels)
      buf_printf(out, "\"%s\": %.17g", entry->text, entry->amount);
    else if (i + 1 == term->count)
      buf_printf(out, "{\"points\": %.17g}", entry->amount);
    else
      buf_printf(out, "{\"under\": %.17g, \"points\": %.17g}", entry->under, entry->amount);
  }
}

static void write_term(const struct sketch_term *term, size_t t, struct buf *out) {
  static const char *const names[] = {"identity", "log1p", "log1p", "clip"};
  buf_printf(out, "%s{\"feature\": \"f%zu\", \"missing\": %.17g", t ? ",\n" : "", t, term->missing);
  if (term->form == LEVELS) {
    buf_printf(out, ", \"other\": %.17g, \"levels\": {", term->other);
    write_entries(term, true, out);
    buf_append_str(out, "}}");
  } else if (term->form == BINS) {
    buf_append_str(out, ", \"bins\": [");
    write_entries(term, false, out);
    buf_append_str(out, "]}");
  } else {
    buf_printf(out, ", \"weight\": %.17g", term->weight);
    if (term->form != IDENTITY) buf_printf(out, ", \"transform\": \"%s\"", names[term->form]);
    if (term->form == CLIP || term->form == LOG1P_BOUNDED)
      buf_printf(out, ", \"min\": %.17g, \"max\": %.17g", term->low, term->high);
    buf_append_str(out, "}");
  }
}

static struct model *sketch_parse(const struct sketch *sketch) {
  struct buf head, weights;
  buf_init(&head);
  buf_init(&weights);
  buf_printf(&head,
             "{\"name\": \"s\", \"version\": \"1\", \"kind\": \"%s\", \"sha256\": \"" DIGEST_PLACE
             "\", \"target\": \"t\", "
             "\"scale\": {\"points_to_double_odds\": %.17g, \"points_at_even_odds\": %.17g}, \"rationale\": \"r\", "
             "\"features\": [",
             sketch->is_card ? "scorecard" : "logistic", sketch->double_odds, sketch->even);
  buf_printf(&weights, "{\"%s\": %.17g, \"terms\": [", sketch->is_card ? "base" : "intercept", sketch->base);
  for (size_t t = 0; t < sketch->count; t++) {
    buf_printf(&head, "%s{\"name\": \"f%zu\", \"definition\": null}", t ? ", " : "", t);
    write_term(&sketch->term[t], t, &weights);
  }
  buf_append(&head, "]}", 3);
  buf_append(&weights, "]}", 3);
  struct model *model = NULL;
  struct error err = {0};
  if (parse_texts((char *)head.p, (char *)weights.p, &model, &err)) fail_msg("%s\n%s", err.text, (char *)weights.p);
  buf_deinit(&head);
  buf_deinit(&weights);
  return model;
}

struct row {
  double value[TERMS_MOST];
  struct bytes text[TERMS_MOST];
  char room[TERMS_MOST][32];
};

static double any_value(const struct sketch_term *term, uint64_t *rng) {
  switch (test_random(rng) % 12) {
  case 0: return NAN;
  case 1: return test_random(rng) % 2 ? INFINITY : -INFINITY;
  case 2: return test_random(rng) % 2 ? DBL_MAX : -DBL_MAX;
  case 3: return test_random(rng) % 2 ? 0.0 : -0.0;
  case 4: return term->entry[test_random(rng) % term->count].under; // on an edge
  case 5: return nextafter(term->entry[test_random(rng) % term->count].under, -INFINITY);
  case 6: return test_unit(rng) * 1e12;
  case 7: return test_random(rng) % 2 ? term->low : term->high;
  case 8: return test_unit(rng) * 1e-300;
  default: return (2 * test_unit(rng) - 1) * 120;
  }
}

static void row_make(struct row *row, const struct sketch *sketch, uint64_t *rng) {
  for (size_t t = 0; t < sketch->count; t++) {
    const struct sketch_term *term = &sketch->term[t];
    row->value[t] = any_value(term, rng);
    row->text[t] = bytes_of(NULL, 0);
    if (term->form != LEVELS) continue;
    row->value[t] = NAN; // as feature_read gives it for text
    uint64_t which = test_random(rng) % 8;
    const char *known = term->entry[test_random(rng) % term->count].text;
    if (which == 0) continue;
    snprintf(row->room[t], sizeof(row->room[t]), "%s%s", known, which == 1 ? "x" : "");
    if (which == 2) row->room[t][strlen(row->room[t]) - 1] = '\0'; // a prefix
    row->text[t] = bytes_str(row->room[t]);
  }
}

// What the files say the term adds, in the unit they are written in, with the precision of long double.
static long double oracle_written(const struct sketch_term *term, double value, struct bytes text) {
  if (term->form == LEVELS) {
    for (size_t i = 0; i < term->count; i++)
      if (bytes_is(text, term->entry[i].text)) return term->entry[i].amount;
    return text.n ? term->other : term->missing;
  }
  if (term->form == BINS) {
    if (isnan(value)) return term->missing;
    for (size_t i = 0; i + 1 < term->count; i++)
      if (value < term->entry[i].under) return term->entry[i].amount;
    return term->entry[term->count - 1].amount;
  }
  long double x = isnan(value) ? term->missing : value;
  if (term->form == LOG1P && x < 0) x = 0;
  if (term->form == CLIP || term->form == LOG1P_BOUNDED)
    x = x < term->low ? term->low : x > term->high ? term->high : x;
  if (isinf(x)) x = x > 0 ? DBL_MAX : -DBL_MAX;
  if (term->form == LOG1P || term->form == LOG1P_BOUNDED) x = log1pl(x);
  x *= term->weight;
  return x > 1e6L ? 1e6L : x < -1e6L ? -1e6L : x;
}

static void near_to(double got, long double want, long double slack, const char *what) {
  long double bound = slack * (fabsl(want) > 1 ? fabsl(want) : 1);
  if (!(fabsl(got - want) <= bound)) fail_msg("%s: got %.17g, want %.21Lg", what, got, want);
}

static bool same_bits(double a, double b) { return memcmp(&a, &b, sizeof(a)) == 0; }

static const int in_order[TERMS_MOST] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,
                                         14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
                                         28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39};

static void check_row(const struct sketch *sketch, const struct model *model, const struct row *row) {
  const long double ln2 = 0.693147180559945309417232121458176568L, factor = sketch->double_odds / ln2;
  double contributions[TERMS_MOST], points[TERMS_MOST];
  struct model_output out;
  linear_score(model, in_order, row->value, row->text, contributions, points, &out);

  // Each term against the files; a scorecard's points to the bit.
  long double exact = sketch->is_card ? (sketch->base - sketch->even) / factor : sketch->base, size = fabsl(exact);
  for (size_t t = 0; t < sketch->count; t++) {
    long double written = oracle_written(&sketch->term[t], row->value[t], row->text[t]);
    long double log_odds = sketch->is_card ? written / factor : written;
    near_to(contributions[t], log_odds, 1e-15L, "a contribution");
    near_to(points[t], log_odds * factor, 1e-15L, "its points");
    if (sketch->is_card) assert_true(points[t] == (double)written);
    assert_false(contributions[t] == 0 && signbit(contributions[t]));
    assert_false(points[t] == 0 && signbit(points[t]));
    exact += log_odds;
    size += fabsl(log_odds);
  }

  // The sums, in the order of the terms, to the bit; and what they stand for.
  double margin = out.base_margin, total = out.base_points;
  for (size_t t = 0; t < sketch->count; t++) margin += contributions[t], total += points[t];
  assert_true(same_bits(margin, out.margin) && same_bits(total, out.points));
  assert_true(isfinite(out.margin) && isfinite(out.points));
  assert_true(same_bits(out.probability, pm_sigmoid(out.margin)));
  assert_true(out.probability >= 0 && out.probability <= 1);
  long double slack = 1e-15L * (long double)(sketch->count + 2) * (size + 1);
  assert_true(fabsl(out.margin - exact) <= slack);
  assert_true(fabsl(out.points - (sketch->even + exact * factor)) <=
              (slack + 1e-14L) * (factor + fabsl(sketch->even) + 1));

  // The ledger: the thousandths of the rows and of the whole part by no more than one for each row.
  long long sum = pm_milli(out.base_points);
  for (size_t t = 0; t < sketch->count; t++) sum += pm_milli(points[t]);
  long long rounding = pm_milli(out.points) - sum;
  assert_true(llabs(rounding) <= (long long)sketch->count + 1);

  // Adding one row after another says the same as asking for the row again.
  struct model_output again;
  linear_score(model, in_order, row->value, row->text, contributions, points, &again);
  assert_memory_equal(&out, &again, sizeof(out));
}

static void random_models_agree_with_the_oracle(void **state) {
  (void)state;
  uint64_t rng = test_seed();
  static struct sketch sketch;
  static struct row row;
  for (int round = 0; round < 600; round++) {
    sketch_make(&sketch, &rng);
    struct model *model = sketch_parse(&sketch);
    for (int i = 0; i < 60; i++) {
      row_make(&row, &sketch, &rng);
      check_row(&sketch, model, &row);
    }
    model_free(model);
  }
}

// The largest that the files allow, all on one side: nothing overflows, and pm_milli takes it.
static void the_largest_of_all_stays_a_number(void **state) {
  (void)state;
  static struct sketch sketch;
  static struct row row;
  for (int sign = -1; sign <= 1; sign += 2) {
    for (int is_card = 0; is_card <= 1; is_card++) {
      sketch = (struct sketch){.is_card = is_card, .double_odds = is_card ? 0.1 : 1000, .even = sign * 1e6};
      sketch.base = sign * 1e6;
      sketch.count = TERMS_MOST;
      for (size_t t = 0; t < TERMS_MOST; t++) {
        struct sketch_term *term = &sketch.term[t];
        *term = (struct sketch_term){.form = is_card ? BINS : IDENTITY, .weight = sign * 1e6, .count = 1};
        term->entry[0].amount = sign * 1e6;
        row.value[t] = t % 2 ? INFINITY : DBL_MAX;
        row.text[t] = bytes_of(NULL, 0);
      }
      struct model *model = sketch_parse(&sketch);
      check_row(&sketch, model, &row);
      model_free(model);
    }
  }
}

// By hand, from docs/models.md: small numbers that a person can add up.
static void the_small_models_add_up(void **state) {
  (void)state;
  double nan = NAN, contributions[4], points[4];
  struct model_output out;
  struct model *model = NULL;
  char *card = text_replace(good_model, "\"logistic\"", "\"scorecard\"");
  assert_int_equal(parse_texts(card, good_scorecard, &model, NULL), ITD_OK);
  struct bytes texts[4] = {[3] = BYTES_LIT("emea")};
  double values[4] = {1, 77, -0.5, nan};
  linear_score(model, in_order, values, texts, contributions, points, &out);
  assert_true(points[0] == 2.5 && points[1] == 3 && points[2] == 1 && points[3] == 10);
  assert_true(out.base_points == 30 && out.points == 46.5);
  assert_true(out.margin < 0 && out.probability < 0.5); // below the points of even odds
  values[0] = values[1] = values[2] = nan;
  texts[3] = bytes_of(NULL, 0);
  linear_score(model, in_order, values, texts, contributions, points, &out);
  assert_true(out.points == 27);
  texts[3] = BYTES_LIT("EMEA"); // exact: letter case counts
  linear_score(model, in_order, values, texts, contributions, points, &out);
  assert_true(points[3] == 0);
  model_free(model);
  char *negative_zero = text_replace(good_scorecard, "\"points\": 2.5", "\"points\": -0.0");
  assert_int_equal(parse_texts(card, negative_zero, &model, NULL), ITD_OK);
  values[0] = 1;
  linear_score(model, in_order, values, texts, contributions, points, &out);
  assert_true(same_bits(points[0], 0.0) && same_bits(contributions[0], 0.0)); // a ledger shows no "-0"
  free(negative_zero);
  model_free(model);
  assert_int_equal(parse_texts(good_model, good_weights, &model, NULL), ITD_OK);
  values[0] = 4, values[1] = 1e9, values[2] = 25;
  linear_score(model, in_order, values, texts, contributions, points, &out);
  assert_true(contributions[0] == 1 && contributions[2] == -5 && contributions[3] == 0);
  assert_true(same_bits(contributions[1], 0.125 * pm_log1p(50000)));
  assert_true(same_bits(points[0], linear_factor(10)));
  double margin = -1.5 + 1 + contributions[1] - 5;
  assert_true(same_bits(out.margin, margin));
  values[1] = values[2] = nan; // missing: as if 1000 and 10 had come
  linear_score(model, in_order, values, texts, contributions, points, &out);
  assert_true(same_bits(contributions[1], 0.125 * pm_log1p(1000)) && contributions[2] == -5);
  model_free(model);
  free(card);
}

// Ten points more are twice the odds, and even odds are fifty points.
static void the_scale_is_what_it_says(void **state) {
  (void)state;
  const double factor = linear_factor(10), ln2 = pm_log1p(1);
  assert_true(fabs(factor * ln2 - 10) < 1e-14);
  struct model *model = NULL;
  char *even = text_replace(good_weights, "-1.5", "0");
  assert_int_equal(parse_texts(good_model, even, &model, NULL), ITD_OK);
  assert_true(model->base.points == 50);
  model_free(model);
  char *doubled = text_replace(good_weights, "-1.5", "0.69314718055994530942");
  assert_int_equal(parse_texts(good_model, doubled, &model, NULL), ITD_OK);
  assert_true(fabs(model->base.points - 60) < 1e-13);
  model_free(model);
  free(even);
  free(doubled);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_models_agree_with_the_oracle),
      cmocka_unit_test(the_largest_of_all_stays_a_number),
      cmocka_unit_test(the_small_models_add_up),
      cmocka_unit_test(the_scale_is_what_it_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
