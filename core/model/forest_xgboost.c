#include "model/forest_xgboost.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/pmath.h"
#include "model/model.h"
#include "model/strict.h"

// ---- JSON as XGBoost writes it ----

// The library writes NaN, which JSON has not, where a split by category has no threshold. The copy has an empty text
// there, as many bytes long, which is no number either.
static struct bytes without_nan(struct bytes json, uint8_t **copy) {
  *copy = xmalloc(json.n + 1);
  memcpy(*copy, json.p, json.n);
  bool in_text = false;
  for (size_t i = 0; i < json.n; i++) {
    uint8_t c = (*copy)[i];
    if (in_text && c == '\\')
      i++;
    else if (c == '"')
      in_text = !in_text;
    else if (!in_text && json.n - i >= 3 && memcmp(*copy + i, "NaN", 3) == 0) {
      memcpy(*copy + i, "\"\" ", 3);
      i += 2;
    }
  }
  return bytes_of(*copy, json.n);
}

// The float that a decimal is nearest to. A double in between could round it twice: what was written has at most 15
// digits, which the double still tells.
static double as_float(double number) {
  char digits[40];
  snprintf(digits, sizeof(digits), "%.15g", number);
  return (double)strtof(digits, NULL);
}

static int read_float(const struct strict *s, const char *place, size_t index, json_t *list, double *out) {
  json_t *value = json_array_get(list, index);
  if (!json_is_number(value) || !isfinite(as_float(json_number_value(value))))
    return strict_refuse(s, strict_item(place, index).text, "must be a number that a float has room for");
  *out = as_float(json_number_value(value));
  return ITD_OK;
}

// Whole numbers, which older versions also write as 0.0, and switches.
static int read_whole(const struct strict *s, const char *place, size_t index, json_t *list, int *out) {
  json_t *value = json_array_get(list, index);
  double number = json_is_boolean(value) ? json_is_true(value) : json_number_value(value);
  bool is_whole = (json_is_number(value) || json_is_boolean(value)) && number == pm_floor(number) && number >= -1 &&
                  number <= INT32_MAX;
  if (!is_whole) return strict_refuse(s, strict_item(place, index).text, "must be a whole number from -1 on");
  *out = (int)number;
  return ITD_OK;
}

// A number within a text, as all parameters are; 3.x puts brackets around the base score.
static int read_parameter(const struct strict *s, const char *place, json_t *object, const char *key, double *out) {
  const char *text;
  int status = strict_text(s, place, object, key, 64, &text);
  if (status) return status;
  bool is_list = *text == '[';
  char *end;
  *out = (double)strtof(text + is_list, &end);
  if (end == text + is_list || strcmp(end, is_list ? "]" : "") != 0 || !isfinite(*out))
    return strict_refuse(s, strict_key(place, key).text, "is '%s'; it must be one number", strict_show(text).text);
  return ITD_OK;
}

static int object_at(const struct strict *s, const char *place, json_t *object, const char *key, json_t **out) {
  return strict_object(s, place, object, key, 0, SIZE_MAX, out);
}

// ---- the head ----

static int read_objective(const struct strict *s, json_t *learner, bool *is_raw) {
  static const char *const logistic[] = {"binary:logistic", "reg:logistic", "binary:logitraw"};
  json_t *objective;
  const char *name;
  int status = object_at(s, "learner", learner, "objective", &objective);
  if (status == ITD_OK) status = strict_text(s, "learner.objective", objective, "name", 64, &name);
  if (status) return status;
  for (size_t i = 0; i < 3; i++) {
    if (strcmp(name, logistic[i]) != 0) continue;
    *is_raw = i == 2;
    return ITD_OK;
  }
  return strict_refuse(s, "learner.objective.name",
                       "is '%s'; a lead's margin must be log-odds: binary:logistic, reg:logistic or binary:logitraw",
                       strict_show(name).text);
}

// XGBoost computes log(1 / p - 1) in float.
static double margin_of(double probability) {
  float odds_against = 1.0f / (float)probability - 1.0f;
  return (double)(float)-pm_log((double)odds_against);
}

static bool is_near(double a, double b) { return fabs(a - b) <= 1e-6 * (fabs(a) > 1 ? fabs(a) : 1); }

static int read_base(const struct strict *s, json_t *params, const struct xgboost_shape *shape, double *out) {
  static const char place[] = "learner.learner_model_param";
  double score;
  int status = read_parameter(s, place, params, "base_score", &score);
  if (status) return status;
  if (!(score > 0 && score < 1))
    return strict_refuse(s, "learner.learner_model_param.base_score",
                         "is %g; for log-odds it must be a probability above 0 and below 1", score);
  *out = margin_of(score);
  if (!shape->base_margin) return ITD_OK;
  double said = as_float(*shape->base_margin);
  if (!is_near(said, *out))
    return strict_refuse(s, "learner.learner_model_param.base_score",
                         "is %g, a margin of %.9g; model.json says %.9g, which must be that but for its last digits",
                         score, *out, said);
  *out = said;
  return ITD_OK;
}

static int one_of(const struct strict *s, json_t *params, const char *key) {
  double number;
  if (!json_object_get(params, key)) return ITD_OK;
  int status = read_parameter(s, "learner.learner_model_param", params, key, &number);
  if (status || number <= 1) return status;
  return strict_refuse(s, strict_key("learner.learner_model_param", key).text, "is %g; a lead has one margin", number);
}

static int read_head(const struct strict *s, json_t *learner, const struct xgboost_shape *shape, double *base) {
  json_t *params;
  double features;
  bool is_raw;
  int status = read_objective(s, learner, &is_raw);
  if (status == ITD_OK) status = object_at(s, "learner", learner, "learner_model_param", &params);
  if (status == ITD_OK) status = one_of(s, params, "num_class");
  if (status == ITD_OK) status = one_of(s, params, "num_target");
  if (status == ITD_OK) status = read_base(s, params, shape, base);
  if (status == ITD_OK) status = read_parameter(s, "learner.learner_model_param", params, "num_feature", &features);
  if (status == ITD_OK && features != (double)shape->features)
    return strict_refuse(s, "learner.learner_model_param.num_feature",
                         "is %g, and model.json lists %zu features: both must name the same, in one order", features,
                         shape->features);
  return status;
}

// ---- trees ----

// A tree's lists, one entry a node; `type` is absent where nothing is split by category.
struct lists {
  json_t *left, *right, *feature, *threshold, *missing_left, *cover, *type;
  size_t count;
};

static int find_lists(const struct strict *s, const char *place, json_t *tree, struct lists *l) {
  const struct {
    const char *key;
    json_t **to;
  } all[] = {{"left_children", &l->left},    {"right_children", &l->right},
             {"split_indices", &l->feature}, {"split_conditions", &l->threshold},
             {"sum_hessian", &l->cover},     {"default_left", &l->missing_left},
             {"split_type", &l->type}};
  *l = (struct lists){0};
  for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
    if (i == 6 && !json_object_get(tree, all[i].key)) continue;
    int status = strict_array(s, place, tree, all[i].key, 1, FOREST_NODES_MAX, all[i].to);
    if (status) return status;
    if (i == 0) l->count = json_array_size(*all[i].to);
    if (json_array_size(*all[i].to) != l->count)
      return strict_refuse(s, strict_key(place, all[i].key).text,
                           "has %zu entries, and left_children %zu: each has one a node", json_array_size(*all[i].to),
                           l->count);
  }
  return ITD_OK;
}

static int read_node(const struct strict *s, const char *place, const struct lists *l, size_t i,
                     struct grown_node *node, bool *is_category) {
  int missing_left, type = 0;
  double number = 0;
  int status = read_whole(s, strict_key(place, "left_children").text, i, l->left, &node->left);
  if (status == ITD_OK) status = read_whole(s, strict_key(place, "right_children").text, i, l->right, &node->right);
  if (status == ITD_OK) status = read_whole(s, strict_key(place, "split_indices").text, i, l->feature, &node->feature);
  if (status == ITD_OK)
    status = read_whole(s, strict_key(place, "default_left").text, i, l->missing_left, &missing_left);
  if (status == ITD_OK) status = read_float(s, strict_key(place, "sum_hessian").text, i, l->cover, &node->cover);
  if (status == ITD_OK && l->type) status = read_whole(s, strict_key(place, "split_type").text, i, l->type, &type);
  if (status) return status;
  node->is_leaf = node->left == -1;
  node->missing_left = missing_left == 1;
  *is_category = !node->is_leaf && type == 1;
  if (!*is_category) status = read_float(s, strict_key(place, "split_conditions").text, i, l->threshold, &number);
  node->threshold = node->value = number;
  return status;
}

// The categories of a tree: node categories_nodes[k] has categories_sizes[k] of them from categories_segments[k] on.
struct categories {
  json_t *all, *nodes, *segments, *sizes;
};

static int find_categories(const struct strict *s, const char *place, json_t *tree, struct categories *c) {
  int status = strict_array(s, place, tree, "categories", 0, SIZE_MAX, &c->all);
  if (status == ITD_OK) status = strict_array(s, place, tree, "categories_nodes", 0, FOREST_NODES_MAX, &c->nodes);
  if (status == ITD_OK) status = strict_array(s, place, tree, "categories_segments", 0, FOREST_NODES_MAX, &c->segments);
  if (status == ITD_OK) status = strict_array(s, place, tree, "categories_sizes", 0, FOREST_NODES_MAX, &c->sizes);
  if (status) return status;
  if (json_array_size(c->nodes) != json_array_size(c->segments) ||
      json_array_size(c->nodes) != json_array_size(c->sizes))
    return strict_refuse(s, place, "categories_nodes, categories_segments and categories_sizes must be equally long");
  return ITD_OK;
}

static int read_set(const struct strict *s, const char *place, const struct categories *c, size_t k,
                    struct arena *arena, struct grown_node *node) {
  int begin, size, most = 0, code;
  char where[STRICT_PLACE_MAX];
  int status = read_whole(s, strict_key(place, "categories_segments").text, k, c->segments, &begin);
  if (status == ITD_OK) status = read_whole(s, strict_key(place, "categories_sizes").text, k, c->sizes, &size);
  if (status) return status;
  snprintf(where, sizeof(where), "%s", strict_key(place, "categories").text);
  if (begin < 0 || size < 0 || (size_t)begin + (size_t)size > json_array_size(c->all))
    return strict_refuse(s, where, "has %zu entries; a node wants those from %d on, %d", json_array_size(c->all), begin,
                         size);
  for (int pass = 0; pass < 2; pass++) { // how large, then which
    uint32_t *words = NULL;
    if (pass == 1) {
      node->category_words = (size_t)most / 32 + 1;
      node->categories = words = arena_alloc(arena, node->category_words * sizeof(*words));
    }
    for (int i = begin; i < begin + size; i++) {
      status = read_whole(s, where, (size_t)i, c->all, &code);
      if (status) return status;
      if (code < 0 || code >= FOREST_CATEGORY_MAX)
        return strict_refuse(s, strict_item(where, (size_t)i).text, "is %d; categories are 0 to %d", code,
                             FOREST_CATEGORY_MAX - 1);
      if (pass == 1) words[code / 32] |= 1u << code % 32;
      if (code > most) most = code;
    }
  }
  return ITD_OK;
}

static int read_categories(const struct strict *s, const char *place, json_t *tree, struct grown_node *nodes,
                           size_t count, struct arena *arena) {
  struct categories c;
  int status = find_categories(s, place, tree, &c), node;
  for (size_t k = 0; status == ITD_OK && k < json_array_size(c.nodes); k++) {
    status = read_whole(s, strict_key(place, "categories_nodes").text, k, c.nodes, &node);
    if (status) return status;
    if (node < 0 || (size_t)node >= count || nodes[node].categories)
      return strict_refuse(s, strict_key(place, "categories_nodes").text,
                           "names node %d, which is not there or was named before", node);
    status = read_set(s, place, &c, k, arena, &nodes[node]);
  }
  return status;
}

// A feature is split the way that model.json says: texts by category, numbers by threshold.
static int check_kinds(const struct strict *s, const char *place, const struct xgboost_shape *shape,
                       const struct grown_node *nodes, const bool *is_category, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const struct grown_node *n = &nodes[i];
    if (n->is_leaf) continue;
    if (is_category[i] != (n->categories != NULL))
      return strict_refuse(s, place, "node %zu: split_type and categories_nodes disagree about it", i);
    if (n->feature < 0 || (size_t)n->feature >= shape->features) continue; // forest_add says so
    if (is_category[i] != shape->is_text[n->feature])
      return strict_refuse(s, place, "node %zu splits feature %d by %s, and model.json has it as a %s", i, n->feature,
                           is_category[i] ? "category" : "number", is_category[i] ? "number" : "text");
  }
  return ITD_OK;
}

static int read_tree(const struct strict *s, size_t index, json_t *tree, const struct xgboost_shape *shape,
                     struct forest *forest) {
  struct strict_place place = strict_item("trees", index);
  struct lists l;
  if (!json_is_object(tree)) return strict_refuse(s, place.text, "must be an object");
  int status = find_lists(s, place.text, tree, &l);
  if (status) return status;
  struct arena arena;
  arena_init(&arena);
  struct grown_node *nodes = xcalloc(l.count, sizeof(*nodes));
  bool *is_category = xcalloc(l.count, sizeof(*is_category));
  for (size_t i = 0; i < l.count && status == ITD_OK; i++)
    status = read_node(s, place.text, &l, i, &nodes[i], &is_category[i]);
  if (status == ITD_OK && json_object_get(tree, "categories"))
    status = read_categories(s, place.text, tree, nodes, l.count, &arena);
  if (status == ITD_OK) status = check_kinds(s, place.text, shape, nodes, is_category, l.count);
  if (status == ITD_OK) {
    struct error why = {0};
    status = forest_add(forest, nodes, l.count, &why);
    if (status) strict_refuse(s, place.text, "%s", why.text);
  }
  free(nodes);
  free(is_category);
  arena_deinit(&arena);
  return status;
}

// How many trees a round of boosting adds; older versions do not say it here, and mean 1.
static int read_per_round(const struct strict *s, json_t *model, double *out) {
  static const char place[] = "learner.gradient_booster.model.gbtree_model_param";
  json_t *params = json_object_get(model, "gbtree_model_param");
  *out = 1;
  if (!json_is_object(params) || !json_object_get(params, "num_parallel_tree")) return ITD_OK;
  int status = read_parameter(s, place, params, "num_parallel_tree", out);
  if (status == ITD_OK && !(*out >= 1)) *out = 1;
  return status;
}

// A booster that was stopped early may be saved with the rounds behind its best one. The library's own interfaces do not agree
// whether these count, so that nobody can know what is meant.
static int check_best(const struct strict *s, json_t *learner, json_t *model, size_t trees) {
  static const char place[] = "learner.attributes";
  json_t *attributes = json_object_get(learner, "attributes");
  double best, per_round;
  if (!json_is_object(attributes) || !json_object_get(attributes, "best_iteration")) return ITD_OK;
  int status = read_parameter(s, place, attributes, "best_iteration", &best);
  if (status == ITD_OK) status = read_per_round(s, model, &per_round);
  if (status) return status;
  double rounds = pm_floor((double)trees / per_round);
  if (best + 1 >= rounds) return ITD_OK;
  return strict_refuse(s, "learner.attributes.best_iteration",
                       "is %g, and there are %g rounds: whether those behind the best count is not said; save "
                       "booster[:%g], or take the attribute away",
                       best, rounds, best + 1);
}

static int read_trees(const struct strict *s, json_t *learner, const struct xgboost_shape *shape,
                      struct forest *forest) {
  static const char place[] = "learner.gradient_booster";
  json_t *booster, *model, *trees, *groups;
  const char *name;
  int status = object_at(s, "learner", learner, "gradient_booster", &booster);
  if (status == ITD_OK) status = strict_text(s, place, booster, "name", 64, &name);
  if (status) return status;
  if (strcmp(name, "gbtree") != 0)
    return strict_refuse(s, "learner.gradient_booster.name", "is '%s'; only gbtree can be read",
                         strict_show(name).text);
  status = object_at(s, place, booster, "model", &model);
  if (status == ITD_OK) status = strict_array(s, place, model, "trees", 1, FOREST_TREES_MAX, &trees);
  if (status == ITD_OK) status = strict_array(s, place, model, "tree_info", 1, FOREST_TREES_MAX, &groups);
  if (status) return status;
  if (json_array_size(groups) != json_array_size(trees))
    return strict_refuse(s, "tree_info", "has %zu entries, and there are %zu trees", json_array_size(groups),
                         json_array_size(trees));
  status = check_best(s, learner, model, json_array_size(trees));
  for (size_t i = 0; i < json_array_size(trees) && status == ITD_OK; i++) {
    int group;
    status = read_whole(s, "tree_info", i, groups, &group);
    if (status == ITD_OK && group != 0)
      status = strict_refuse(s, strict_item("tree_info", i).text, "is %d; a lead has one margin, group 0", group);
    if (status == ITD_OK) status = read_tree(s, i, json_array_get(trees, i), shape, forest);
  }
  return status;
}

// ---- the whole ----

int forest_read_xgboost(struct bytes json, const struct xgboost_shape *shape, struct forest **out, struct error *err) {
  const struct strict s = {"weights.json", err};
  json_t *root, *learner;
  uint8_t *copy = NULL;
  if (json.n > MODEL_TREES_MAX)
    return strict_refuse(&s, "", "has %zu bytes; allowed are at most %u", json.n, MODEL_TREES_MAX);
  int status = strict_load(&s, without_nan(json, &copy), MODEL_TREES_MAX, &root);
  free(copy);
  if (status) return status;
  struct forest *forest = NULL;
  double base = 0;
  status = object_at(&s, "", root, "learner", &learner);
  if (status == ITD_OK) status = read_head(&s, learner, shape, &base);
  if (status == ITD_OK) {
    forest = forest_new(shape->features, (struct forest_arithmetic){.is_float32 = true, .base_margin = base});
    status = read_trees(&s, learner, shape, forest);
  }
  json_decref(root);
  if (status) {
    forest_free(forest);
    return status;
  }
  forest_finish(forest);
  *out = forest;
  return ITD_OK;
}
