// Reading the maps that a daemon answers with, where a field may be missing or of another kind than expected. Pure.
#pragma once
#include "wire/mp.h"

// The value at a path "a.b" of nested maps; empty when it is not there or nil.
struct bytes field(struct bytes map, const char *path);
struct bytes field_text(struct bytes map, const char *path);              // empty when it is no text
int64_t field_int(struct bytes map, const char *path, int64_t otherwise); // whole numbers
double field_number(struct bytes map, const char *path, double otherwise);
bool field_is(struct bytes map, const char *path);     // true only for true
bool field_is_nil(struct bytes map, const char *path); // nil, or not there

// The elements of a list (none when it is no list) and the pairs of a map:
//   for (struct each each = each_of(list); each_next(&each, &value);)
struct each {
  struct mp mp;
  uint32_t left;
};
struct each each_of(struct bytes list);
bool each_next(struct each *each, struct bytes *value);
struct each each_of_map(struct bytes map);
bool each_next_pair(struct each *each, struct bytes *key, struct bytes *value);
