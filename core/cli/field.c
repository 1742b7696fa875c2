#include "cli/field.h"

struct bytes field(struct bytes map, const char *path) {
  struct bytes value;
  if (!map.n || !mp_find_path(map, bytes_str(path), &value)) return (struct bytes){0};
  return mp_value_of(value).type == MP_NIL ? (struct bytes){0} : value;
}

struct bytes field_text(struct bytes map, const char *path) {
  struct bytes value = field(map, path), text;
  return value.n && mp_as_str(value, &text) ? text : (struct bytes){0};
}

int64_t field_int(struct bytes map, const char *path, int64_t otherwise) {
  struct bytes value = field(map, path);
  if (!value.n) return otherwise;
  struct mp_value v = mp_value_of(value);
  return v.type == MP_INT ? v.i : otherwise;
}

double field_number(struct bytes map, const char *path, double otherwise) {
  struct bytes value = field(map, path);
  double number;
  return value.n && mp_as_number(value, &number) ? number : otherwise;
}

bool field_is(struct bytes map, const char *path) {
  struct bytes value = field(map, path);
  if (!value.n) return false;
  struct mp_value v = mp_value_of(value);
  return v.type == MP_BOOL && v.b;
}

bool field_is_nil(struct bytes map, const char *path) { return field(map, path).n == 0; }

static struct each begin(struct bytes value, enum mp_type type) {
  struct each each = {.mp = mp_of(value)};
  if (!value.n) return each;
  struct mp_value head = mp_next(&each.mp);
  if (head.type == type) each.left = head.count;
  return each;
}

struct each each_of(struct bytes list) {
  return begin(list, MP_ARRAY);
}
struct each each_of_map(struct bytes map) {
  return begin(map, MP_MAP);
}

bool each_next(struct each *each, struct bytes *value) {
  if (!each->left) return false;
  each->left--;
  *value = mp_take(&each->mp);
  return true;
}

bool each_next_pair(struct each *each, struct bytes *key, struct bytes *value) {
  if (!each->left) return false;
  each->left--;
  *key = mp_take(&each->mp);
  *value = mp_take(&each->mp);
  return true;
}
