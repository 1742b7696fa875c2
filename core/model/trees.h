// A model whose weights are boosted trees: its row, and its output on the scale. Inside this layer only.
#pragma once
#include "model/terms.h"

// The weights as XGBoost or LightGBM saves them. `model` has its info, factor, terms (with their categories) and base_margin.
int trees_read(struct bytes weights, struct model *model, struct error *err) ITD_MUST_USE;
// As model_score and model_explain.
void trees_score(const struct model *model, const int *feature_of, const double *values, const struct bytes *texts,
                 bool is_exact, double *contributions, double *points, struct model_output *out);
