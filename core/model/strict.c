#include "model/strict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"

struct strict_shown strict_show(const char *text) {
  struct strict_shown shown;
  size_t n = strlen(text), most = 48;
  if (n > most) {
    n = most;
    while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80) n--; // not within a letter
  }
  bool is_utf8 = bytes_is_utf8(bytes_of(text, n));
  for (size_t i = 0; i < n; i++) {
    uint8_t c = (uint8_t)text[i];
    shown.text[i] = c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8) ? '?' : (char)c;
  }
  strcpy(shown.text + n, text[n] ? "…" : "");
  return shown;
}

int strict_refuse(const struct strict *s, const char *place, const char *format, ...) {
  char text[400];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  return error_set(s->err, ITD_EMODEL, "%s: %s%s%s", s->file, place, *place ? ": " : "", text);
}

struct strict_place strict_key(const char *place, const char *key) {
  struct strict_place out;
  snprintf(out.text, sizeof(out.text), "%.*s%s%s", STRICT_PLACE_MAX - 60, place, *place ? "." : "",
           strict_show(key).text);
  return out;
}

struct strict_place strict_item(const char *place, size_t index) {
  struct strict_place out;
  snprintf(out.text, sizeof(out.text), "%.*s[%zu]", STRICT_PLACE_MAX - 30, place, index);
  return out;
}

static const char *type_name(const json_t *value) {
  switch (json_typeof(value)) {
  case JSON_OBJECT: return "an object";
  case JSON_ARRAY: return "a list";
  case JSON_STRING: return "a text";
  case JSON_INTEGER:
  case JSON_REAL: return "a number";
  case JSON_TRUE: return "true";
  case JSON_FALSE: return "false";
  case JSON_NULL: break;
  }
  return "null";
}

int strict_load(const struct strict *s, struct bytes json, size_t limit, json_t **root) {
  if (json.n > limit) return strict_refuse(s, "", "has %zu bytes; allowed are at most %zu", json.n, limit);
  json_error_t problem;
  json_t *value =
      json_loadb((const char *)(json.n ? json.p : (const uint8_t *)""), json.n, JSON_REJECT_DUPLICATES, &problem);
  if (!value)
    return strict_refuse(s, "", "line %d, column %d: not JSON: %s", problem.line, problem.column,
                         strict_show(problem.text).text);
  if (!json_is_object(value)) {
    int status = strict_refuse(s, "", "is %s, and must be an object", type_name(value));
    json_decref(value);
    return status;
  }
  *root = value;
  return ITD_OK;
}

static bool is_among(const char *word, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(word, names[i]) == 0) return true;
  return false;
}

// "a, b and c" of the names; what has no room is left out.
static void list_names(char *out, size_t size, const char *const *names, size_t count) {
  size_t used = 0;
  out[0] = '\0';
  for (size_t i = 0; i < count && used < size; i++) {
    int n = snprintf(out + used, size - used, "%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", names[i]);
    if (n > 0) used += (size_t)n;
  }
}

int strict_keys(const struct strict *s, const char *place, json_t *object, const char *const *allowed, size_t count) {
  if (!json_is_object(object)) return strict_refuse(s, place, "is %s, and must be an object", type_name(object));
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    if (is_among(key, allowed, count)) continue;
    char names[200];
    list_names(names, sizeof(names), allowed, count);
    const char *near = suggest(bytes_str(key), allowed, count);
    if (near)
      return strict_refuse(s, strict_key(place, key).text, "unknown key (did you mean '%s'?); allowed are %s", near,
                           names);
    return strict_refuse(s, strict_key(place, key).text, "unknown key; allowed are %s", names);
  }
  return ITD_OK;
}

static int required(const struct strict *s, const char *place, json_t *object, const char *key, const char *what,
                    json_t **out) {
  *out = json_object_get(object, key);
  return *out ? ITD_OK : strict_refuse(s, strict_key(place, key).text, "is missing; it must be %s", what);
}

int strict_number(const struct strict *s, const char *place, json_t *object, const char *key, double low, double high,
                  double *out) {
  json_t *value;
  int status = required(s, place, object, key, "a number", &value);
  if (status) return status;
  struct strict_place here = strict_key(place, key);
  if (!json_is_number(value)) return strict_refuse(s, here.text, "is %s, and must be a number", type_name(value));
  double number = json_number_value(value);
  if (!(number >= low && number <= high))
    return strict_refuse(s, here.text, "is %g; allowed is %g to %g", number, low, high);
  *out = number + 0.0; // no negative zero
  return ITD_OK;
}

int strict_text(const struct strict *s, const char *place, json_t *object, const char *key, size_t bytes_max,
                const char **out) {
  json_t *value;
  int status = required(s, place, object, key, "a text", &value);
  if (status) return status;
  struct strict_place here = strict_key(place, key);
  if (!json_is_string(value)) return strict_refuse(s, here.text, "is %s, and must be a text", type_name(value));
  size_t n = json_string_length(value);
  if (n == 0 || n > bytes_max) return strict_refuse(s, here.text, "has %zu bytes; allowed are 1 to %zu", n, bytes_max);
  *out = json_string_value(value);
  return ITD_OK;
}

int strict_array(const struct strict *s, const char *place, json_t *object, const char *key, size_t low, size_t high,
                 json_t **out) {
  json_t *value;
  int status = required(s, place, object, key, "a list", &value);
  if (status) return status;
  struct strict_place here = strict_key(place, key);
  if (!json_is_array(value)) return strict_refuse(s, here.text, "is %s, and must be a list", type_name(value));
  size_t n = json_array_size(value);
  if (n < low || n > high) return strict_refuse(s, here.text, "has %zu entries; allowed are %zu to %zu", n, low, high);
  *out = value;
  return ITD_OK;
}

int strict_object(const struct strict *s, const char *place, json_t *object, const char *key, size_t low, size_t high,
                  json_t **out) {
  json_t *value;
  int status = required(s, place, object, key, "an object", &value);
  if (status) return status;
  struct strict_place here = strict_key(place, key);
  if (!json_is_object(value)) return strict_refuse(s, here.text, "is %s, and must be an object", type_name(value));
  size_t n = json_object_size(value);
  if (n < low || n > high) return strict_refuse(s, here.text, "has %zu entries; allowed are %zu to %zu", n, low, high);
  *out = value;
  return ITD_OK;
}
