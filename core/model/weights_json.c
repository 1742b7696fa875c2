#include "model/weights.h"

#include <float.h>
#include <stdlib.h>

#include "base/suggest.h"
#include "model/strict.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// Beyond these a number is a slip of the pen. In order: an amount, of log-odds or of points; a value of a feature,
// which has room for milliseconds of thirty thousand years.
static const double amount_max = 1e6, value_max = 1e15;

static struct amount amount_of(const struct model *model, double written) {
  if (model->info.kind == MODEL_LOGISTIC) return (struct amount){written, written * model->factor};
  return (struct amount){written / model->factor, written};
}

static struct amount base_of(const struct model *model, double written) {
  double even = model->info.points_at_even_odds;
  if (model->info.kind == MODEL_LOGISTIC) return (struct amount){written, even + written * model->factor};
  return (struct amount){(written - even) / model->factor, written};
}

static int read_amount(const struct strict *s, const char *place, json_t *object, const char *key,
                       const struct model *model, struct amount *out) {
  double written;
  int status = strict_number(s, place, object, key, -amount_max, amount_max, &written);
  if (status == ITD_OK) *out = amount_of(model, written);
  return status;
}

// ---- a number's weight (logistic) ----

enum transform { TRANSFORM_IDENTITY, TRANSFORM_LOG1P, TRANSFORM_CLIP };
static const char *const transform_names[] = {"identity", "log1p", "clip"};

static int read_transform(const struct strict *s, const char *place, json_t *object, enum transform *out) {
  const char *name;
  *out = TRANSFORM_IDENTITY;
  if (!json_object_get(object, "transform")) return ITD_OK;
  int status = strict_text(s, place, object, "transform", 64, &name);
  if (status) return status;
  for (size_t i = 0; i < COUNT(transform_names); i++) {
    if (strcmp(name, transform_names[i]) != 0) continue;
    *out = (enum transform)i;
    return ITD_OK;
  }
  const char *near = suggest(bytes_str(name), transform_names, COUNT(transform_names));
  return strict_refuse(s, strict_key(place, "transform").text, "is '%s'%s%s%s; allowed are identity, log1p and clip",
                       strict_show(name).text, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static int read_bounds(const struct strict *s, const char *place, json_t *object, enum transform transform,
                       struct term *term) {
  bool has_low = json_object_get(object, "min") != NULL, has_high = json_object_get(object, "max") != NULL;
  term->low = transform == TRANSFORM_LOG1P ? 0 : -DBL_MAX;
  term->high = DBL_MAX;
  if (transform == TRANSFORM_IDENTITY && (has_low || has_high))
    return strict_refuse(s, place, "has min or max; they belong to the transforms clip and log1p");
  if (transform == TRANSFORM_CLIP && !(has_low && has_high))
    return strict_refuse(s, place, "clips, and must have both min and max");
  double low_min = transform == TRANSFORM_LOG1P ? 0 : -value_max;
  int status = ITD_OK;
  if (has_low) status = strict_number(s, place, object, "min", low_min, value_max, &term->low);
  if (status == ITD_OK && has_high) status = strict_number(s, place, object, "max", low_min, value_max, &term->high);
  if (status == ITD_OK && !(term->low < term->high))
    status = strict_refuse(s, place, "min is %g and max %g; min must be the smaller", term->low, term->high);
  return status;
}

static int read_number(const struct strict *s, const char *place, json_t *object, const struct model *model,
                       struct term *term) {
  static const char *const keys[] = {"feature", "weight", "transform", "min", "max", "missing"};
  enum transform transform;
  double missing;
  int status = strict_keys(s, place, object, keys, COUNT(keys));
  if (status == ITD_OK) status = strict_number(s, place, object, "weight", -amount_max, amount_max, &term->weight);
  if (status == ITD_OK) status = strict_number(s, place, object, "missing", -value_max, value_max, &missing);
  if (status == ITD_OK) status = read_transform(s, place, object, &transform);
  if (status == ITD_OK) status = read_bounds(s, place, object, transform, term);
  if (status) return status;
  term->form = TERM_NUMBER;
  term->is_log1p = transform == TRANSFORM_LOG1P;
  term->missing = linear_number(term, model->factor, missing);
  return ITD_OK;
}

// ---- bins (scorecard) ----

static int read_bin(const struct strict *s, const char *place, json_t *object, const struct model *model, bool is_last,
                    struct bin *bin) {
  static const char *const keys[] = {"under", "points"};
  int status = strict_keys(s, place, object, keys, COUNT(keys));
  if (status) return status;
  if (is_last && json_object_get(object, "under"))
    return strict_refuse(s, place, "is the last bin and has 'under'; the last one takes all that is left");
  if (!is_last) status = strict_number(s, place, object, "under", -value_max, value_max, &bin->under);
  if (status == ITD_OK) status = read_amount(s, place, object, "points", model, &bin->amount);
  return status;
}

static int read_bins(const struct strict *s, const char *place, json_t *object, struct model *model,
                     struct term *term) {
  static const char *const keys[] = {"feature", "bins", "missing"};
  json_t *list = NULL;
  int status = strict_keys(s, place, object, keys, COUNT(keys));
  if (status == ITD_OK) status = strict_array(s, place, object, "bins", 1, MODEL_BINS_MAX, &list);
  if (status == ITD_OK) status = read_amount(s, place, object, "missing", model, &term->missing);
  if (status) return status;
  size_t count = json_array_size(list);
  struct bin *bins = arena_alloc(&model->arena, count * sizeof(*bins));
  for (size_t i = 0; i < count; i++) {
    struct strict_place here = strict_item(strict_key(place, "bins").text, i);
    bool is_last = i + 1 == count;
    status = read_bin(s, here.text, json_array_get(list, i), model, is_last, &bins[i]);
    if (status) return status;
    if (i > 0 && !is_last && !(bins[i - 1].under < bins[i].under))
      return strict_refuse(s, here.text, "under is %g after %g; each must be above the one before", bins[i].under,
                           bins[i - 1].under);
  }
  term->form = TERM_BINS;
  term->bins = bins;
  term->count = count;
  return ITD_OK;
}

// ---- levels (both kinds) ----

static int read_level(const struct strict *s, const char *place, json_t *object, const char *key, struct model *model,
                      struct level *level) {
  struct bytes text = bytes_str(key);
  if (text.n == 0 || text.n > FEATURE_TEXT_MAX)
    return strict_refuse(s, strict_key(place, key).text,
                         "a level of %zu bytes never matches; allowed are 1 to %d (no text at all is 'missing')",
                         text.n, FEATURE_TEXT_MAX);
  level->text = arena_copy(&model->arena, text);
  return read_amount(s, place, object, key, model, &level->amount);
}

static int read_levels(const struct strict *s, const char *place, json_t *object, struct model *model,
                       struct term *term) {
  static const char *const keys[] = {"feature", "levels", "other", "missing"};
  json_t *map = NULL, *value;
  const char *key;
  int status = strict_keys(s, place, object, keys, COUNT(keys));
  if (status == ITD_OK) status = strict_object(s, place, object, "levels", 1, MODEL_LEVELS_MAX, &map);
  if (status == ITD_OK) status = read_amount(s, place, object, "other", model, &term->other);
  if (status == ITD_OK) status = read_amount(s, place, object, "missing", model, &term->missing);
  if (status) return status;
  size_t count = 0;
  struct level *levels = arena_alloc(&model->arena, json_object_size(map) * sizeof(*levels));
  struct strict_place here = strict_key(place, "levels");
  json_object_foreach(map, key, value) {
    (void)value;
    status = read_level(s, here.text, map, key, model, &levels[count++]);
    if (status) return status;
  }
  qsort(levels, count, sizeof(*levels), level_order);
  term->form = TERM_LEVELS;
  term->levels = levels;
  term->count = count;
  return ITD_OK;
}

// ---- the file ----

static int read_term(const struct strict *s, size_t index, json_t *object, struct model *model) {
  struct term *term = &model->terms[index];
  struct strict_place here = strict_item("terms", index);
  const char *feature;
  if (!json_is_object(object)) return strict_refuse(s, here.text, "must be an object");
  int status = strict_text(s, here.text, object, "feature", 64, &feature);
  if (status) return status;
  if (strcmp(feature, term->feature) != 0)
    return strict_refuse(
        s, strict_key(here.text, "feature").text,
        "is '%s', but model.json lists '%s' in this place; both files must have the same features in the "
        "same order",
        strict_show(feature).text, term->feature);
  if (json_object_get(object, "levels")) return read_levels(s, here.text, object, model, term);
  if (model->info.kind == MODEL_SCORECARD) return read_bins(s, here.text, object, model, term);
  return read_number(s, here.text, object, model, term);
}

static int read_file(const struct strict *s, json_t *root, struct model *model) {
  static const char *const logistic_keys[] = {"intercept", "terms"}, *const scorecard_keys[] = {"base", "terms"};
  const char *const *keys = model->info.kind == MODEL_LOGISTIC ? logistic_keys : scorecard_keys;
  double base;
  json_t *list = NULL;
  int status = strict_keys(s, "", root, keys, 2);
  if (status == ITD_OK) status = strict_number(s, "", root, keys[0], -amount_max, amount_max, &base);
  if (status == ITD_OK) status = strict_array(s, "", root, "terms", 1, MODEL_TERMS_MAX, &list);
  if (status) return status;
  if (json_array_size(list) != model->term_count)
    return strict_refuse(s, "terms", "has %zu entries, and model.json lists %zu features", json_array_size(list),
                         model->term_count);
  model->base = base_of(model, base);
  for (size_t i = 0; i < model->term_count && status == ITD_OK; i++)
    status = read_term(s, i, json_array_get(list, i), model);
  return status;
}

int weights_read(struct bytes json, struct model *model, struct error *err) {
  const struct strict s = {"weights.json", err};
  json_t *root;
  int status = strict_load(&s, json, MODEL_FILE_MAX, &root);
  if (status) return status;
  status = read_file(&s, root, model);
  json_decref(root);
  return status;
}
