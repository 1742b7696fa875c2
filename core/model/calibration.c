#include "model/calibration.h"

#include "base/pmath.h"
#include "base/suggest.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const double least = 1e-6; // of a probability, and of what it lacks of 1

static int read_platt(const struct strict *s, json_t *object, struct calibration *out) {
  static const char *const keys[] = {"kind", "slope", "intercept"};
  int status = strict_keys(s, "calibration", object, keys, COUNT(keys));
  if (status == ITD_OK) status = strict_number(s, "calibration", object, "slope", 1e-6, 1000, &out->slope);
  if (status == ITD_OK) status = strict_number(s, "calibration", object, "intercept", -1e6, 1e6, &out->intercept);
  out->kind = CALIBRATION_PLATT;
  return status;
}

// A list of numbers within bounds, each above the one before, or at least not below it.
static int read_knots(const struct strict *s, json_t *object, const char *key, double low, double high, bool is_strict,
                      struct arena *arena, size_t *count, const double **out) {
  json_t *list;
  int status = strict_array(s, "calibration", object, key, 2, CALIBRATION_KNOTS_MAX, &list);
  if (status) return status;
  struct strict_place place = strict_key("calibration", key);
  size_t n = json_array_size(list);
  double *numbers = arena_alloc(arena, n * sizeof(*numbers));
  for (size_t i = 0; i < n; i++) {
    json_t *value = json_array_get(list, i);
    numbers[i] = json_number_value(value);
    if (!json_is_number(value) || !(numbers[i] >= low && numbers[i] <= high))
      return strict_refuse(s, strict_item(place.text, i).text, "must be a number from %g to %g", low, high);
    if (i > 0 && (is_strict ? !(numbers[i] > numbers[i - 1]) : numbers[i] < numbers[i - 1]))
      return strict_refuse(s, strict_item(place.text, i).text, "is %g after %g; they must %s", numbers[i],
                           numbers[i - 1], is_strict ? "ascend" : "not descend");
  }
  *count = n;
  *out = numbers;
  return ITD_OK;
}

static int read_isotonic(const struct strict *s, json_t *object, struct arena *arena, struct calibration *out) {
  static const char *const keys[] = {"kind", "margins", "probabilities"};
  size_t probabilities;
  int status = strict_keys(s, "calibration", object, keys, COUNT(keys));
  if (status == ITD_OK) status = read_knots(s, object, "margins", -1e6, 1e6, true, arena, &out->count, &out->margins);
  if (status == ITD_OK)
    status = read_knots(s, object, "probabilities", 0, 1, false, arena, &probabilities, &out->probabilities);
  if (status == ITD_OK && probabilities != out->count)
    status = strict_refuse(s, "calibration", "has %zu margins and %zu probabilities; each margin has one", out->count,
                           probabilities);
  out->kind = CALIBRATION_ISOTONIC;
  return status;
}

int calibration_read(const struct strict *s, json_t *root, struct arena *arena, struct calibration *out) {
  static const char *const kinds[] = {"platt", "isotonic"};
  json_t *object;
  const char *kind;
  *out = (struct calibration){.kind = CALIBRATION_NONE};
  if (!json_object_get(root, "calibration")) return ITD_OK;
  int status = strict_object(s, "", root, "calibration", 0, SIZE_MAX, &object);
  if (status == ITD_OK) status = strict_text(s, "calibration", object, "kind", 64, &kind);
  if (status) return status;
  if (strcmp(kind, kinds[0]) == 0) return read_platt(s, object, out);
  if (strcmp(kind, kinds[1]) == 0) return read_isotonic(s, object, arena, out);
  const char *near = suggest(bytes_str(kind), kinds, COUNT(kinds));
  return strict_refuse(s, "calibration.kind", "is '%s'%s%s%s; allowed are platt and isotonic", strict_show(kind).text,
                       near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static double probability_at(const struct calibration *c, double margin) {
  size_t from = 0, to = c->count - 1; // margins[from] <= margin < margins[to]
  if (margin <= c->margins[0]) return c->probabilities[0];
  if (margin >= c->margins[to]) return c->probabilities[to];
  while (to - from > 1) {
    size_t middle = from + (to - from) / 2;
    if (c->margins[middle] <= margin)
      from = middle;
    else
      to = middle;
  }
  double share = (margin - c->margins[from]) / (c->margins[to] - c->margins[from]);
  return c->probabilities[from] + share * (c->probabilities[to] - c->probabilities[from]);
}

double calibration_apply(const struct calibration *c, double margin) {
  switch (c->kind) {
  case CALIBRATION_NONE: break;
  case CALIBRATION_PLATT: return c->slope * margin + c->intercept;
  case CALIBRATION_ISOTONIC: {
    double p = probability_at(c, margin);
    p = p < least ? least : p > 1 - least ? 1 - least : p;
    return pm_log(p / (1 - p));
  }
  }
  return margin;
}
