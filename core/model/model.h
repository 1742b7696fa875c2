// Models: a versioned directory's content, and one row's margin with exact contributions. Pure: files are read by the
// caller. A model may be shared by threads. docs/models.md shows both files of each kind, whole.
//
// models/NAME/VERSION/model.json (target, scale, trained and metrics as below; `trained`, `metrics`, `calibration` may be absent):
//   {"name", "version", "kind": "scorecard" | "logistic" | "xgboost" | "lightgbm", "sha256": of weights.json's bytes, "target",
//    "scale": {"points_to_double_odds": 10, "points_at_even_odds": 50},
//    "features": [{"name", "definition": hex of the feature's definition hash, or null: any}],
//    "trained": {"by", "when", "window", "data", "rows"}, "metrics": {…}, "calibration": {…} (model/calibration.h),
//    "rationale"}
// weights.json, logistic:  {"intercept": b, "terms": [{"feature", "weight", "transform": "identity" | "log1p" | "clip",
//      "min", "max", "missing": value used for NaN}]}  and for text  {"feature", "levels": {"emea": w, …}, "other": w,
//      "missing": w}
// weights.json, scorecard: {"base": points, "terms": [{"feature", "bins": [{"under": x, "points": p}, …,
//      {"points": p}], "missing": p}]}, for text {"feature", "levels": {…}, "other", "missing"}: the first bin whose
//      `under` is above the value; points are on the scale.
// Terms name the features of model.json, each once and in the same order.
//
// transform: identity (the default) takes the value as it is; clip first raises it to `min` and lowers it to `max`;
// log1p takes log(1 + value) of the value so bounded (`min` 0 unless given, `max` optional). The bounds hold for
// `missing` too.
//
// weights.json, xgboost: the booster as XGBoost 1.7 or later saves it as JSON (model/forest_xgboost.h), its features in model.json's
// order. A text feature has in model.json {"name", "definition", "categories": [texts]}: the first is category 0 of the
// booster; a text that is not there is one that training never saw, an empty one is missing. "base_margin": optional, beside
// "scale": the margin that the library begins with, as a float (9 digits); without it it is computed from the booster's
// base_score, and its last bit may differ from what the library's machine computes.
//
// weights.txt in place of weights.json, lightgbm: the booster as LightGBM saves it as text (model/forest_lightgbm.h), otherwise as
// xgboost; it has no base_margin.
//
// The scale is linear in log-odds: points = points_at_even_odds + margin * points_to_double_odds / ln 2. A scorecard's
// margin is the same line read backwards. Nothing is capped here but nonsense: one term adds at most MODEL_TERM_MAX to
// either side, so that no value, an infinite one included, makes a margin that is not a number. Caps are the policy's
// business and get a row of the ledger.
#pragma once
#include "feature/feature.h"

#define MODEL_FILE_MAX   (4u << 20)  // bytes of each file, but
#define MODEL_TREES_MAX  (16u << 20) // of weights.json with trees
#define MODEL_TERMS_MAX  256
#define MODEL_BINS_MAX   256  // a term
#define MODEL_LEVELS_MAX 1024 // a term
#define MODEL_TERM_MAX   1e6  // log-odds that one term of a logistic model can add

enum model_kind { MODEL_SCORECARD, MODEL_LOGISTIC, MODEL_XGBOOST, MODEL_LIGHTGBM };

const char *model_kind_name(enum model_kind kind); // as model.json writes it

struct model;

struct model_info {
  const char *name, *version;
  enum model_kind kind;
  const char *target;
  const char *rationale;
  double points_to_double_odds, points_at_even_odds;
  const char *sha256;   // of weights.json, 64 hex digits
  uint64_t number_hash; // hash64 of both files: what "the same version" means
};

bool model_is_name(const char *text);    // a-z, 0-9 and _, a letter first; 63 bytes at most
bool model_is_version(const char *text); // letters, digits and . _ -, a letter or digit first; 32 bytes at most

// Parses and validates; a file that is cut short, wrong counts, absurd numbers, unknown keys or transforms, a digest
// that does not match: ITD_EMODEL with the file, the place and what is allowed. The model keeps nothing of the two
// files' memory.
int model_parse(struct bytes model_json, struct bytes weights_json, struct model **out, struct error *err) ITD_MUST_USE;
void model_free(struct model *model); // NULL does nothing
const struct model_info *model_info(const struct model *model);

// Calls `each` (may be NULL) for every feature of the model, in its order: `problem` is NULL where the set has it as the model
// needs it. Returns how many it has not.
size_t model_match(const struct model *model, const struct feature_set *set,
                   void (*each)(void *context, const char *feature, const char *problem), void *context);
// Ties the model's terms to a set's features. ITD_EMODEL lists every feature that is missing (with "did you mean"),
// differs in definition, or is text where the model wants a number or the other way round; what the text has no room
// for is counted. `bound` is immutable, keeps a pointer to the model, which must outlive it, and speaks of places in
// that set.
struct model_bound;
int model_bind(const struct model *model, const struct feature_set *set, struct model_bound **out,
               struct error *err) ITD_MUST_USE;
void model_bound_free(struct model_bound *bound); // NULL does nothing
const struct model_info *model_bound_info(const struct model_bound *bound);

// One row of a ledger: what a feature adds. Terms in the model's order.
size_t model_terms(const struct model_bound *bound);
int model_term_feature(const struct model_bound *bound, size_t term); // index in the feature set
enum feature_class model_term_class(const struct model_bound *bound, size_t term);
struct model_output {
  // log-odds; base_margin + sum of contributions, added in term order. Of trees it is the library's margin to the bit, and
  // the sum that but for rounding (1e-5 of the largest of them).
  double margin;
  double base_margin;
  double calibrated;  // log-odds: the margin, calibrated where the model says how (model/calibration.h)
  double probability; // pm_sigmoid(calibrated)
  // On the scale: base_points + sum of the terms' points, added in term order (of trees: but for rounding),
  // + calibration_points.
  double points;
  double calibration_points; // what calibration adds; 0 without one
  double base_points;        // points of the base alone: points_at_even_odds + base_margin * factor
};
// Computes one row; `values` and `texts` as feature_read gives them. contributions[t] is in log-odds, points[t] the
// same in points (model_terms entries each); a scorecard's points are those written in its file, to the bit. Nothing
// that comes out is NaN, infinite or a negative zero, and |points| stays far below what pm_milli takes. Allocates
// nothing. Fixed order of additions: the same bits everywhere.
void model_score(const struct model_bound *bound, const double *values, const struct bytes *texts,
                 double *contributions, double *points, struct model_output *out);
// The same with each feature's exact share: of a linear model the contributions above; of trees Shapley's values (some tens
// of microseconds for a hundred trees), where model_score has what each step down a tree changed.
void model_explain(const struct model_bound *bound, const double *values, const struct bytes *texts,
                   double *contributions, double *points, struct model_output *out);
// What the model says by the features of one class alone, as if those of the other added nothing: the base and that class's
// terms of a row that model_score gave, calibrated as any margin is. Margin and points are the base's and those terms',
// added in term order.
void model_part(const struct model_bound *bound, enum feature_class class, const double *contributions,
                const double *points, const struct model_output *whole, struct model_output *part);
