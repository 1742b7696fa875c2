#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/suggest.h"
#include "model/strict.h"
#include "model/trees.h"
#include "model/weights.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// ---- names ----

static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool model_is_name(const char *text) {
  if (!is_lower(*text) || strlen(text) > 63) return false;
  while (is_lower(*text) || is_digit(*text) || *text == '_') text++;
  return *text == '\0';
}

// A version is the name of a folder, so it begins with no dot and holds no slash.
bool model_is_version(const char *text) {
  if (!*text || *text == '.' || *text == '-' || strlen(text) > 32) return false;
  while (is_lower(*text) || is_digit(*text) || (*text >= 'A' && *text <= 'Z') || (*text && strchr("._-", *text)))
    text++;
  return *text == '\0';
}

static bool is_hex(const char *text, size_t digits) {
  size_t n = 0;
  while (is_digit(text[n]) || (text[n] >= 'a' && text[n] <= 'f')) n++;
  return n == digits && text[n] == '\0';
}

// Reads a text and keeps a copy with the model.
static int keep_text(const struct strict *s, json_t *root, const char *key, size_t bytes_max, struct model *model,
                     const char **out) {
  const char *text;
  int status = strict_text(s, "", root, key, bytes_max, &text);
  if (status == ITD_OK) *out = arena_str(&model->arena, bytes_str(text));
  return status;
}

static int read_names(const struct strict *s, json_t *root, struct model *model) {
  struct model_info *info = &model->info;
  int status = keep_text(s, root, "name", 63, model, &info->name);
  if (status) return status;
  if (!model_is_name(info->name))
    return strict_refuse(s, "name", "is '%s'; allowed are a-z, 0-9 and _, a letter first",
                         strict_show(info->name).text);
  status = keep_text(s, root, "version", 32, model, &info->version);
  if (status) return status;
  if (!model_is_version(info->version))
    return strict_refuse(s, "version", "is '%s'; allowed are letters, digits and . _ -, a letter or digit first",
                         strict_show(info->version).text);
  status = keep_text(s, root, "sha256", 64, model, &info->sha256);
  if (status) return status;
  if (!is_hex(info->sha256, 64)) return strict_refuse(s, "sha256", "must be 64 of the digits 0-9 and a-f");
  status = keep_text(s, root, "target", 200, model, &info->target);
  if (status == ITD_OK) status = keep_text(s, root, "rationale", 4000, model, &info->rationale);
  return status;
}

static const char *const kinds[] = {[MODEL_SCORECARD] = "scorecard",
                                    [MODEL_LOGISTIC] = "logistic",
                                    [MODEL_XGBOOST] = "xgboost",
                                    [MODEL_LIGHTGBM] = "lightgbm"};

const char *model_kind_name(enum model_kind kind) { return kinds[kind]; }

static int read_kind(const struct strict *s, json_t *root, enum model_kind *out) {
  const char *kind;
  int status = strict_text(s, "", root, "kind", 64, &kind);
  if (status) return status;
  for (size_t i = 0; i < COUNT(kinds); i++) {
    if (strcmp(kind, kinds[i]) != 0) continue;
    *out = (enum model_kind)i;
    return ITD_OK;
  }
  const char *near = suggest(bytes_str(kind), kinds, COUNT(kinds));
  return strict_refuse(s, "kind", "is '%s'%s%s%s; allowed are scorecard, logistic, xgboost and lightgbm",
                       strict_show(kind).text, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static int read_scale(const struct strict *s, json_t *root, struct model_info *info) {
  static const char *const keys[] = {"points_to_double_odds", "points_at_even_odds"};
  json_t *scale;
  int status = strict_object(s, "", root, "scale", 0, SIZE_MAX, &scale);
  if (status == ITD_OK) status = strict_keys(s, "scale", scale, keys, COUNT(keys));
  if (status == ITD_OK) status = strict_number(s, "scale", scale, keys[0], 0.1, 1000, &info->points_to_double_odds);
  if (status == ITD_OK) status = strict_number(s, "scale", scale, keys[1], -1e6, 1e6, &info->points_at_even_odds);
  return status;
}

// ---- features ----

static int read_definition(const struct strict *s, const char *place, json_t *object, struct term *term) {
  json_t *value = json_object_get(object, "definition");
  term->any_definition = json_is_null(value);
  if (term->any_definition) return ITD_OK;
  const char *text = json_string_value(value); // NULL when absent or no text
  if (!text || !is_hex(text, 16))
    return strict_refuse(s, strict_key(place, "definition").text,
                         "must be 16 of the digits 0-9 and a-f, or null for any definition");
  term->definition = strtoull(text, NULL, 16);
  return ITD_OK;
}

static bool has_trees(const struct model *model) {
  return model->info.kind == MODEL_XGBOOST || model->info.kind == MODEL_LIGHTGBM;
}

// A text feature of trees: the texts in the order of the booster's categories.
static int read_categories(const struct strict *s, const char *place, json_t *object, struct model *model,
                           struct term *term) {
  json_t *list;
  char here[STRICT_PLACE_MAX];
  int status = strict_array(s, place, object, "categories", 1, MODEL_LEVELS_MAX, &list);
  if (status) return status;
  snprintf(here, sizeof(here), "%s", strict_key(place, "categories").text);
  term->form = TERM_LEVELS;
  term->count = json_array_size(list);
  struct level *levels = arena_alloc(&model->arena, term->count * sizeof(*levels));
  for (size_t i = 0; i < term->count; i++) {
    const char *text = json_string_value(json_array_get(list, i));
    if (!text || !*text || strlen(text) > FEATURE_TEXT_MAX)
      return strict_refuse(s, strict_item(here, i).text, "must be a text of 1 to %d bytes", FEATURE_TEXT_MAX);
    levels[i] = (struct level){.text = arena_copy(&model->arena, bytes_str(text)), .code = (uint32_t)i};
  }
  qsort(levels, term->count, sizeof(*levels), level_order);
  for (size_t i = 1; i < term->count; i++)
    if (bytes_eq(levels[i - 1].text, levels[i].text))
      return strict_refuse(s, here, "has '%s' twice", strict_show((const char *)levels[i].text.p).text);
  term->levels = levels;
  return ITD_OK;
}

static int read_feature(const struct strict *s, size_t index, json_t *object, struct model *model) {
  static const char *const all[] = {"name", "definition", "categories"};
  const size_t known = has_trees(model) ? 3 : 2;
  struct strict_place here = strict_item("features", index);
  const char *name;
  int status = strict_keys(s, here.text, object, all, known);
  if (status == ITD_OK) status = strict_text(s, here.text, object, "name", 63, &name);
  if (status) return status;
  if (!model_is_name(name))
    return strict_refuse(s, strict_key(here.text, "name").text, "is '%s'; allowed are a-z, 0-9 and _, a letter first",
                         strict_show(name).text);
  for (size_t i = 0; i < index; i++)
    if (strcmp(model->terms[i].feature, name) == 0)
      return strict_refuse(s, here.text, "'%s' is listed twice (also as features[%zu]); each feature has one term",
                           name, i);
  model->terms[index].feature = arena_str(&model->arena, bytes_str(name));
  if (known == 3 && json_object_get(object, "categories")) {
    status = read_categories(s, here.text, object, model, &model->terms[index]);
    if (status) return status;
  }
  return read_definition(s, here.text, object, &model->terms[index]);
}

static int read_features(const struct strict *s, json_t *root, struct model *model) {
  json_t *list;
  int status = strict_array(s, "", root, "features", 1, MODEL_TERMS_MAX, &list);
  if (status) return status;
  model->term_count = json_array_size(list);
  model->terms = arena_alloc(&model->arena, model->term_count * sizeof(*model->terms));
  for (size_t i = 0; i < model->term_count && status == ITD_OK; i++)
    status = read_feature(s, i, json_array_get(list, i), model);
  return status;
}

// ---- what is kept for people only: judged, so that a slip is found when it is made ----

static int check_trained(const struct strict *s, json_t *root) {
  static const char *const keys[] = {"by", "when", "window", "data", "rows"};
  json_t *trained = json_object_get(root, "trained");
  if (!trained) return ITD_OK;
  int status = strict_keys(s, "trained", trained, keys, COUNT(keys));
  for (size_t i = 0; i < 4 && status == ITD_OK; i++) {
    const char *text;
    if (json_object_get(trained, keys[i])) status = strict_text(s, "trained", trained, keys[i], 1000, &text);
  }
  json_t *rows = json_object_get(trained, "rows");
  if (status == ITD_OK && rows && !(json_is_integer(rows) && json_integer_value(rows) >= 0))
    status = strict_refuse(s, "trained.rows", "must be a whole number from 0 on");
  return status;
}

static int check_metrics(const struct strict *s, json_t *root) {
  json_t *metrics, *value;
  const char *key;
  if (!json_object_get(root, "metrics")) return ITD_OK;
  int status = strict_object(s, "", root, "metrics", 0, 256, &metrics);
  if (status) return status;
  json_object_foreach(metrics, key, value) {
    if (!json_is_number(value) && !json_is_string(value))
      return strict_refuse(s, strict_key("metrics", key).text, "must be a number or a text");
  }
  return ITD_OK;
}

// ---- the whole ----

static int read_root(const struct strict *s, json_t *root, struct model *model) {
  static const char *const keys[] = {"name",     "version",   "kind",    "sha256",  "target",      "scale",
                                     "features", "rationale", "trained", "metrics", "calibration", "base_margin"};
  int status = read_kind(s, root, &model->info.kind);
  bool has_base = status == ITD_OK && model->info.kind == MODEL_XGBOOST;
  if (status == ITD_OK) status = strict_keys(s, "", root, keys, COUNT(keys) - !has_base);
  if (status == ITD_OK) status = read_names(s, root, model);
  if (status == ITD_OK) status = read_scale(s, root, &model->info);
  if (status == ITD_OK && has_base && json_object_get(root, "base_margin")) {
    model->has_base_margin = true;
    status = strict_number(s, "", root, "base_margin", -1000, 1000, &model->base_margin);
  }
  if (status == ITD_OK) status = read_features(s, root, model);
  if (status == ITD_OK) status = check_trained(s, root);
  if (status == ITD_OK) status = check_metrics(s, root);
  if (status == ITD_OK) status = calibration_read(s, root, &model->arena, &model->calibration);
  model->factor = linear_factor(model->info.points_to_double_odds);
  return status;
}

static int check_digest(const struct model *model, struct bytes weights_json, struct error *err) {
  uint8_t digest[SHA256_SIZE];
  char hex[2 * SHA256_SIZE + 1];
  sha256_of(weights_json, digest);
  hex_encode(bytes_of(digest, sizeof(digest)), hex);
  if (strcmp(hex, model->info.sha256) == 0) return ITD_OK;
  return error_set(
      err, ITD_EMODEL,
      "weights.json: its sha256 is %s, but model.json says %s: it was changed or cut short after model.json "
      "was written. Where the change is meant, put the first one into model.json; of a version that was used make a "
      "new one",
      hex, model->info.sha256);
}

int model_parse(struct bytes model_json, struct bytes weights_json, struct model **out, struct error *err) {
  const struct strict s = {"model.json", err};
  json_t *root;
  int status = strict_load(&s, model_json, MODEL_FILE_MAX, &root);
  if (status) return status;
  struct model *model = xcalloc(1, sizeof(*model));
  arena_init(&model->arena);
  status = read_root(&s, root, model);
  json_decref(root);
  if (status == ITD_OK) status = check_digest(model, weights_json, err);
  if (status == ITD_OK)
    status = has_trees(model) ? trees_read(weights_json, model, err) : weights_read(weights_json, model, err);
  if (status) {
    model_free(model);
    return status;
  }
  model->info.number_hash = hash64_seed(weights_json, hash64(model_json));
  *out = model;
  return ITD_OK;
}

void model_free(struct model *model) {
  if (!model) return;
  forest_free(model->forest);
  arena_deinit(&model->arena);
  free(model);
}

const struct model_info *model_info(const struct model *model) { return &model->info; }
