#include "model/trees.h"

#include "base/pmath.h"
#include "model/forest_lightgbm.h"
#include "model/forest_xgboost.h"

int trees_read(struct bytes weights, struct model *model, struct error *err) {
  bool is_text[MODEL_TERMS_MAX];
  for (size_t t = 0; t < model->term_count; t++) is_text[t] = model->terms[t].form == TERM_LEVELS;
  if (model->info.kind == MODEL_LIGHTGBM)
    return forest_read_lightgbm(weights, model->term_count, is_text, &model->forest, err);
  const struct xgboost_shape shape = {.features = model->term_count,
                                      .is_text = is_text,
                                      .base_margin = model->has_base_margin ? &model->base_margin : NULL};
  return forest_read_xgboost(weights, &shape, &model->forest, err);
}

// A text is known by its number; one that the model was not trained on has the next number behind, which no split names.
static double code_of(const struct term *term, struct bytes text) {
  if (text.n == 0) return __builtin_nan("");
  const struct level *level = level_find(term, text);
  return level ? (double)level->code : (double)term->count;
}

void trees_score(const struct model *model, const int *feature_of, const double *values, const struct bytes *texts,
                 bool is_exact, double *contributions, double *points, struct model_output *out) {
  double row[MODEL_TERMS_MAX], base, margin;
  for (size_t t = 0; t < model->term_count; t++) {
    int at = feature_of[t];
    row[t] = model->terms[t].form == TERM_LEVELS ? code_of(&model->terms[t], texts[at]) : values[at];
  }
  if (is_exact) {
    margin = forest_margin(model->forest, row);
    forest_shapley(model->forest, row, contributions, &base);
  } else {
    margin = forest_margin_by_path(model->forest, row, contributions, &base);
  }
  for (size_t t = 0; t < model->term_count; t++) {
    contributions[t] += 0.0; // no negative zero
    points[t] = contributions[t] * model->factor + 0.0;
  }
  double even = model->info.points_at_even_odds;
  *out = (struct model_output){.margin = margin + 0.0,
                               .base_margin = base,
                               .probability = pm_sigmoid(margin),
                               .points = even + margin * model->factor,
                               .base_points = even + base * model->factor};
}
