// Models: a versioned directory's content, and one row's margin with exact contributions. Pure: files are read by the caller.
// A model may be shared by threads.
//
// models/NAME/VERSION/model.json:
//   {"name", "version", "kind": "scorecard" | "logistic", "sha256": of weights.json's bytes, "target",
//    "scale": {"points_to_double_odds": 10, "points_at_even_odds": 50},
//    "features": [{"name", "definition": hex of the feature's definition hash, or null: any}],
//    "trained": {"by", "when", "window", "data", "rows"}, "metrics": {…}, "rationale"}
// weights.json, logistic:  {"intercept": b, "terms": [{"feature", "weight", "transform": "identity" | "log1p" | "clip",
//      "min", "max", "missing": value used for NaN}]}  and for text  {"feature", "levels": {"emea": w, …}, "other": w, "missing": w}
// weights.json, scorecard: {"base": points, "terms": [{"feature", "bins": [{"under": x, "points": p}, …, {"points": p}],
//      "levels": {…}, "other", "missing"}]}: the first bin whose `under` is above the value; points are on the scale.
//
// The scale is linear in log-odds: points = points_at_even_odds + margin * points_to_double_odds / ln 2. A scorecard's margin is
// the same line read backwards. Nothing is clipped here; caps are the policy's business and get a row of the ledger.
#pragma once
#include "feature/feature.h"

enum model_kind { MODEL_SCORECARD, MODEL_LOGISTIC };

struct model;

struct model_info {
  const char *name, *version;
  enum model_kind kind;
  const char *rationale;
  double points_to_double_odds, points_at_even_odds;
  const char *sha256; // of weights.json, 64 hex digits
  uint64_t number_hash; // hash64 of both files: what "the same version" means
};

// Parses and validates; a file that is cut short, wrong counts, absurd numbers, unknown keys or transforms, a digest that does not
// match: ITD_EMODEL with the file, the place and what is allowed.
int model_parse(struct bytes model_json, struct bytes weights_json, struct model **out, struct error *err) ITD_MUST_USE;
void model_free(struct model *model);
const struct model_info *model_info(const struct model *model);

// Ties the model's terms to a set's features. ITD_EMODEL lists every feature that is missing or differs in definition (with
// "did you mean"). `bound` is immutable and keeps pointers into both.
struct model_bound;
int model_bind(const struct model *model, const struct feature_set *set, struct model_bound **out,
               struct error *err) ITD_MUST_USE;
void model_bound_free(struct model_bound *bound);
const struct model_info *model_bound_info(const struct model_bound *bound);

// One row of a ledger: what a feature adds. Terms in the model's order.
size_t model_terms(const struct model_bound *bound);
int model_term_feature(const struct model_bound *bound, size_t term); // index in the feature set
struct model_output {
  double margin;      // log-odds; base_margin + sum of contributions, added in term order
  double base_margin;
  double probability; // pm_sigmoid(margin)
  double points;      // on the scale
  double base_points; // points of the base alone: points_at_even_odds + base_margin * factor
};
// Computes one row; `values` and `texts` as feature_read gives them. contributions[t] is in log-odds, points[t] the same in
// points (model_terms entries each). Allocates nothing. Fixed order of additions: the same bits everywhere.
void model_score(const struct model_bound *bound, const double *values, const struct bytes *texts, double *contributions,
                 double *points, struct model_output *out);
