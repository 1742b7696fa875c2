#include "engine/shapley.h"

#include "engine/answer.h"

static const char *const roles[] = {"fit", "engagement", "split"};
enum { ROLES = 3 };

static bool is_trees(const struct model_bound *model) {
  enum model_kind kind = model_bound_info(model)->kind;
  return kind == MODEL_XGBOOST || kind == MODEL_LIGHTGBM;
}

// Those of trees, by role; NULL: none.
static size_t find_models(const struct policy_scorers *scorers, const struct model_bound *model[ROLES]) {
  size_t count = 0;
  model[0] = scorers->fit, model[1] = scorers->engagement, model[2] = scorers->split;
  for (int r = 0; r < ROLES; r++) {
    if (model[r] && !is_trees(model[r])) model[r] = NULL;
    count += model[r] != NULL;
  }
  return count;
}

// ---- what was read ----

static void put_row(const struct feature_set *set, const struct model_bound *model, const double *values,
                    const struct bytes *texts, struct buf *out) {
  mp_put_array(out, (uint32_t)model_terms(model));
  for (size_t t = 0; t < model_terms(model); t++) {
    size_t at = (size_t)model_term_feature(model, t);
    bool is_text = feature_info(set, at)->is_text;
    if (is_text ? !texts[at].n : values[at] != values[at])
      mp_put_nil(out);
    else if (is_text)
      mp_put_str(out, texts[at]);
    else
      mp_put_float(out, values[at]);
  }
}

void shapley_put_inputs(const struct policy *policy, const struct policy_scorers *scorers, const double *values,
                        const struct bytes *texts, struct bytes rules, struct buf *out) {
  const struct model_bound *model[ROLES];
  size_t count = find_models(scorers, model) + (rules.n > 0);
  if (!count) return;
  mp_put_map(out, (uint32_t)count);
  for (int r = 0; r < ROLES; r++) {
    if (!model[r]) continue;
    mp_put_cstr(out, roles[r]);
    put_row(policy_features(policy), model[r], values, texts, out);
  }
  if (!rules.n) return;
  mp_put_cstr(out, "rules");
  buf_append_bytes(out, rules);
}

struct bytes shapley_rules(struct bytes inputs) {
  struct bytes rules = {0};
  return inputs.n && mp_find(inputs, BYTES_LIT("rules"), &rules) ? rules : (struct bytes){0};
}

// ---- and what follows ----

// A row back into places of the feature set; false: it is none of this model.
static bool read_row(const struct feature_set *set, const struct model_bound *model, struct bytes row, double *values,
                     struct bytes *texts) {
  struct mp m = mp_of(row);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY || head.count != model_terms(model)) return false;
  for (size_t t = 0; t < head.count; t++) {
    size_t at = (size_t)model_term_feature(model, t);
    struct mp_value v = mp_next(&m);
    bool is_text = feature_info(set, at)->is_text;
    if (v.type != MP_NIL && v.type != (is_text ? MP_STR : MP_FLOAT)) return false;
    values[at] = v.type == MP_FLOAT ? v.f : __builtin_nan("");
    texts[at] = v.type == MP_STR ? v.s : (struct bytes){0};
  }
  return true;
}

static void put_number(struct buf *out, const char *key, double value) {
  mp_put_cstr(out, key);
  mp_put_float(out, value);
}

static void put_terms(const struct feature_set *set, const struct model_bound *model, const double *values,
                      const struct bytes *texts, const double *contributions, const double *points, struct buf *out) {
  mp_put_cstr(out, "terms");
  mp_put_array(out, (uint32_t)model_terms(model));
  for (size_t t = 0; t < model_terms(model); t++) {
    size_t at = (size_t)model_term_feature(model, t);
    const struct feature_info *info = feature_info(set, at);
    mp_put_map(out, 4);
    mp_put_cstr(out, "name");
    mp_put_cstr(out, info->name);
    mp_put_cstr(out, "value");
    answer_put_value(info, values[at], texts[at], out);
    put_number(out, "contribution", contributions[t]);
    put_number(out, "points", points[t]);
  }
}

static bool put_model(const struct policy *policy, int role, const struct model_bound *model, struct bytes row,
                      struct buf *out) {
  const struct feature_set *set = policy_features(policy);
  double values[FEATURES_MAX], contributions[MODEL_TERMS_MAX], points[MODEL_TERMS_MAX];
  struct bytes texts[FEATURES_MAX];
  struct model_output output;
  if (!read_row(set, model, row, values, texts)) return false;
  model_explain(model, values, texts, contributions, points, &output);
  mp_put_map(out, 7);
  mp_put_cstr(out, "role");
  mp_put_cstr(out, roles[role]);
  mp_put_cstr(out, "name");
  mp_put_cstr(out, model_bound_info(model)->name);
  mp_put_cstr(out, "version");
  mp_put_cstr(out, model_bound_info(model)->version);
  put_number(out, "base", output.base_margin);
  put_number(out, "margin", output.margin);
  put_number(out, "calibrated", output.calibrated);
  put_terms(set, model, values, texts, contributions, points, out);
  return true;
}

int shapley_put(const struct policy *policy, const struct policy_scorers *scorers, struct bytes inputs, struct buf *out,
                struct error *err) {
  static const struct mp_limits limits = {.depth_max = 5, .objects_max = 1u << 18, .bytes_max = 4u << 20};
  const struct model_bound *model[ROLES];
  size_t begin = out->n, length = 0, count = find_models(scorers, model);
  bool is_good = !inputs.n || (mp_scan(inputs, &limits, &length, NULL) == 1 && length == inputs.n &&
                               mp_value_of(inputs).type == MP_MAP &&
                               mp_value_of(inputs).count == count + (shapley_rules(inputs).n > 0));
  mp_put_array(out, inputs.n ? (uint32_t)count : 0);
  for (int r = 0; inputs.n && r < ROLES && is_good; r++) {
    struct bytes row;
    if (model[r]) is_good = mp_find(inputs, bytes_str(roles[r]), &row) && put_model(policy, r, model[r], row, out);
  }
  if (is_good) return 0;
  out->n = begin;
  return error_set(err, ITD_ECORRUPT, "what the models read is not kept as the policy's models read it");
}
