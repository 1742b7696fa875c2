#include "model/terms.h"

#include "base/pmath.h"

double linear_factor(double points_to_double_odds) {
  const double ln2 = 0x1.62e42fefa39efp-1;
  return points_to_double_odds / ln2;
}

static double between(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

// How many edges lie at or below the value: halving without a branch on the value, which no processor would foresee.
static size_t bin_of(const struct term *term, double value) {
  size_t i = 0, left = term->count - 1;
  while (left > 0) {
    size_t half = (left + 1) / 2;
    size_t is_past = !(value < term->bins[i + half - 1].under);
    i += half & (0 - is_past);
    left -= half;
  }
  return i;
}

struct amount linear_number(const struct term *term, double factor, double value) {
  if (value != value) return term->missing;
  if (term->form == TERM_BINS) return term->bins[bin_of(term, value)].amount;
  double x = between(value, term->low, term->high);
  if (term->is_log1p) x = pm_log1p(x);
  // + 0.0 makes a negative zero (weight below 0, value 0) an ordinary one: a ledger does not show "-0".
  double log_odds = between(term->weight * x, -MODEL_TERM_MAX, MODEL_TERM_MAX) + 0.0;
  return (struct amount){log_odds, log_odds * factor};
}

int level_order(const void *a, const void *b) {
  return bytes_compare(((const struct level *)a)->text, ((const struct level *)b)->text);
}

const struct level *level_find(const struct term *term, struct bytes text) {
  size_t from = 0, to = term->count;
  while (from < to) {
    size_t middle = from + (to - from) / 2;
    int order = bytes_compare(text, term->levels[middle].text);
    if (order == 0) return &term->levels[middle];
    if (order < 0)
      to = middle;
    else
      from = middle + 1;
  }
  return NULL;
}

struct amount linear_text(const struct term *term, struct bytes text) {
  if (text.n == 0) return term->missing;
  const struct level *level = level_find(term, text);
  return level ? level->amount : term->other;
}

void linear_score(const struct model *model, const int *feature_of, const double *values, const struct bytes *texts,
                  double *contributions, double *points, struct model_output *out) {
  struct amount sum = model->base;
  for (size_t t = 0; t < model->term_count; t++) {
    const struct term *term = &model->terms[t];
    int at = feature_of[t];
    struct amount amount =
        term->form == TERM_LEVELS ? linear_text(term, texts[at]) : linear_number(term, model->factor, values[at]);
    contributions[t] = amount.log_odds;
    points[t] = amount.points;
    sum.log_odds += amount.log_odds;
    sum.points += amount.points;
  }
  *out = (struct model_output){.margin = sum.log_odds,
                               .base_margin = model->base.log_odds,
                               .probability = pm_sigmoid(sum.log_odds),
                               .points = sum.points,
                               .base_points = model->base.points};
}
