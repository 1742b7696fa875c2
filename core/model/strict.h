// Reading JSON that a person wrote, strictly: every helper names the file, the place and what is allowed, and refuses
// what it does not know. Inside this layer only; jansson's types stay in here and the two readers above it.
#pragma once
#include <jansson.h>

#include "base/bytes.h"
#include "base/status.h"

struct strict {
  const char *file; // as messages name it
  struct error *err;
};

#define STRICT_PLACE_MAX 96
struct strict_place {
  char text[STRICT_PLACE_MAX]; // "terms[3].bins[0]"; "" is the whole file
};

// Text from the file, made fit for a message: cut at 48 bytes, without control characters.
struct strict_shown {
  char text[56];
};
struct strict_shown strict_show(const char *text);

// ITD_EMODEL with "file: place: text".
int strict_refuse(const struct strict *s, const char *place, const char *format, ...) ITD_PRINTF(3, 4);

struct strict_place strict_key(const char *place, const char *key);
struct strict_place strict_item(const char *place, size_t index);

// One JSON object and nothing after it, at most `limit` bytes, no key twice. *root is the caller's to json_decref.
int strict_load(const struct strict *s, struct bytes json, size_t limit, json_t **root) ITD_MUST_USE;
// `object` is an object and has no key but these.
int strict_keys(const struct strict *s, const char *place, json_t *object, const char *const *allowed,
                size_t count) ITD_MUST_USE;

// The value of a key that must be there. Numbers lie within [low, high]; texts have 1 to bytes_max bytes and live as
// long as the root; arrays and objects have `low` to `high` entries.
int strict_number(const struct strict *s, const char *place, json_t *object, const char *key, double low, double high,
                  double *out) ITD_MUST_USE;
int strict_text(const struct strict *s, const char *place, json_t *object, const char *key, size_t bytes_max,
                const char **out) ITD_MUST_USE;
int strict_array(const struct strict *s, const char *place, json_t *object, const char *key, size_t low, size_t high,
                 json_t **out) ITD_MUST_USE;
int strict_object(const struct strict *s, const char *place, json_t *object, const char *key, size_t low, size_t high,
                  json_t **out) ITD_MUST_USE;
