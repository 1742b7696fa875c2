// The lists of a declaration: `on`, the alternatives of which one must hold, `where`, the conditions that all must, and
// `steps`, what a match weighs at which age.
#include "feature/reader.h"
#include <stdio.h>
#include <stdlib.h>

#define CLAUSE_MAX 32 // bytes of "where 12"

// A list with one element may be written as that element, and Lua's empty table may come as an empty map.
struct mp elements_of(struct bytes value, uint32_t *count) {
  struct mp m = mp_of(value);
  struct mp_value head = mp_value_of(value);
  if (head.type == MP_ARRAY || (head.type == MP_MAP && head.count == 0)) {
    mp_next(&m);
    *count = head.count;
  } else {
    *count = 1;
  }
  return m;
}

// ---- on ----
enum { ON_type, ON_event, ON_channel, ON_KEYS };
static const char *const on_keys[] = {"type", "event", "channel"};

#define TYPES_ALL ((1u << EVENT_TYPES) - 1)

static int read_types(const struct reader *r, const char *where, struct bytes value, uint8_t *types) {
  const char *names[EVENT_TYPES];
  char key[CLAUSE_MAX + 8];
  size_t index;
  for (unsigned i = 0; i < EVENT_TYPES; i++) names[i] = event_type_name((enum event_type)i);
  snprintf(key, sizeof key, "%s: type", where);
  int rc = read_name(r, key, value, names, EVENT_TYPES, &index);
  if (rc == 0) *types = (uint8_t)(1u << index);
  return rc;
}

static int read_alternative(const struct reader *r, const char *where, struct bytes value, struct alternative *out) {
  char key[CLAUSE_MAX + 8];
  *out = (struct alternative){.types = TYPES_ALL};
  if (mp_value_of(value).type == MP_STR) return read_text(r, where, value, FEATURE_WORD_MAX, &out->event);
  if (mp_value_of(value).type != MP_MAP)
    return reader_fail(r, "%s must be an event's name or a map with type, event or channel, not %s", where,
                       kind_of(value));
  struct mp m = mp_of(value);
  uint32_t pairs = mp_next(&m).count;
  uint64_t seen = 0;
  for (uint32_t i = 0; i < pairs; i++) {
    size_t index;
    struct bytes word = mp_take(&m), of = mp_take(&m);
    int rc = read_key(r, where, word, on_keys, ON_KEYS, &seen, &index);
    if (rc != 0) return rc;
    snprintf(key, sizeof key, "%s: %s", where, on_keys[index]);
    if (index == ON_type)
      rc = read_types(r, where, of, &out->types);
    else
      rc = read_text(r, key, of, FEATURE_WORD_MAX, index == ON_event ? &out->event : &out->channel);
    if (rc != 0) return rc;
  }
  if (pairs == 0) return reader_fail(r, "%s is empty; name a type, event or channel, or leave `on` out", where);
  return 0;
}

int read_on(const struct reader *r, struct bytes value, const struct alternative **out, uint32_t *on_count) {
  uint32_t count;
  struct mp m = elements_of(value, &count);
  if (count == 0) return reader_fail(r, "on is an empty list, which no event meets; leave it out for every event");
  if (count > FEATURE_ON_MAX)
    return reader_fail(r, "on has %u alternatives, at most %d are allowed", count, FEATURE_ON_MAX);
  struct alternative *on = arena_alloc(r->arena, count * sizeof *on);
  for (uint32_t i = 0; i < count; i++) {
    char where[CLAUSE_MAX];
    snprintf(where, sizeof where, "on %u", i + 1);
    int rc = read_alternative(r, where, mp_take(&m), &on[i]);
    if (rc != 0) return rc;
  }
  *out = on;
  *on_count = count;
  return 0;
}

// ---- where ----
enum { WHERE_path, WHERE_is, WHERE_in, WHERE_exists, WHERE_at_least, WHERE_under, WHERE_starts_with, WHERE_KEYS };
static const char *const where_keys[] = {"path", "is", "in", "exists", "at_least", "under", "starts_with"};

static int by_scalar(const void *a, const void *b) { return scalar_compare(a, b); }

static int read_scalar(const struct reader *r, const char *key, struct bytes value, struct scalar *out) {
  struct scalar s = scalar_of(value);
  if (s.kind == SCALAR_NONE)
    return reader_fail(r, "%s must be text, a finite number, true or false, not %s", key, kind_of(value));
  if (s.text.n > FEATURE_WORD_MAX)
    return reader_fail(r, "%s has %zu bytes, at most %d are allowed", key, s.text.n, FEATURE_WORD_MAX);
  s.text = arena_copy(r->arena, s.text);
  *out = s;
  return 0;
}

static int read_in(const struct reader *r, const char *key, struct bytes value, struct condition *c) {
  struct mp m = mp_of(value);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY) return reader_fail(r, "%s must be a list of values, not %s", key, kind_of(value));
  if (head.count == 0 || head.count > FEATURE_IN_MAX)
    return reader_fail(r, "%s has %u values, 1 to %d are allowed", key, head.count, FEATURE_IN_MAX);
  struct scalar *in = arena_alloc(r->arena, head.count * sizeof *in);
  for (uint32_t i = 0; i < head.count; i++) {
    int rc = read_scalar(r, key, mp_take(&m), &in[i]);
    if (rc != 0) return rc;
  }
  qsort(in, head.count, sizeof *in, by_scalar);
  uint32_t kept = 1;
  for (uint32_t i = 1; i < head.count; i++)
    if (!scalar_eq(in[i], in[kept - 1])) in[kept++] = in[i];
  *c = (struct condition){.test = TEST_IN, .in = in, .in_count = kept};
  return 0;
}

static int read_bound(const struct reader *r, const char *key, struct bytes value, enum test test,
                      struct condition *c) {
  *c = (struct condition){.test = test};
  struct scalar s = scalar_of(value);
  if (s.kind == SCALAR_BOOL || !scalar_number(&s, &c->bound))
    return reader_fail(r, "%s must be a finite number, not %s", key,
                       mp_value_of(value).type == MP_FLOAT ? "NaN or infinite" : kind_of(value));
  return 0;
}

static int read_test(const struct reader *r, const char *where, size_t index, struct bytes value, struct condition *c) {
  char key[CLAUSE_MAX + 16];
  snprintf(key, sizeof key, "%s: %s", where, where_keys[index]);
  bool exists = false;
  int rc;
  switch (index) {
  case WHERE_is: {
    if (mp_value_of(value).type == MP_ARRAY) return read_in(r, key, value, c); // `in` is a word of Lua's own
    struct scalar *is = arena_alloc(r->arena, sizeof *is);
    *c = (struct condition){.test = TEST_IN, .in = is, .in_count = 1};
    return read_scalar(r, key, value, is);
  }
  case WHERE_in: return read_in(r, key, value, c);
  case WHERE_exists:
    rc = read_bool(r, key, value, &exists);
    *c = (struct condition){.test = exists ? TEST_EXISTS : TEST_ABSENT};
    return rc;
  case WHERE_at_least: return read_bound(r, key, value, TEST_AT_LEAST, c);
  case WHERE_under: return read_bound(r, key, value, TEST_UNDER, c);
  default:
    *c = (struct condition){.test = TEST_STARTS_WITH};
    return read_text(r, key, value, FEATURE_WORD_MAX, &c->text);
  }
}

// One map of `where`: a path and one or more tests, each a condition of its own. Appends them to `out`, which has room.
static int read_conditions(const struct reader *r, const char *where, struct bytes value, struct condition *out,
                           uint32_t *count) {
  if (mp_value_of(value).type != MP_MAP)
    return reader_fail(r, "%s must be a map with a path and a test, not %s", where, kind_of(value));
  struct mp m = mp_of(value);
  uint32_t pairs = mp_next(&m).count, first = *count;
  uint64_t seen = 0;
  struct bytes path = {0};
  for (uint32_t i = 0; i < pairs; i++) {
    size_t index;
    char key[CLAUSE_MAX + 8];
    struct bytes word = mp_take(&m), of = mp_take(&m);
    int rc = read_key(r, where, word, where_keys, WHERE_KEYS, &seen, &index);
    if (rc != 0) return rc;
    snprintf(key, sizeof key, "%s: path", where);
    if (index == WHERE_path)
      rc = read_path(r, key, of, &path);
    else
      rc = read_test(r, where, index, of, &out[(*count)++]);
    if (rc != 0) return rc;
  }
  if (path.n == 0) return reader_fail(r, "%s lacks a path", where);
  if (*count == first)
    return reader_fail(r, "%s has no test: one of is, in, exists, at_least, under, starts_with", where);
  for (uint32_t i = first; i < *count; i++) out[i].path_text = path;
  return 0;
}

int read_where(const struct reader *r, struct bytes value, const struct condition **out, uint32_t *where_count) {
  uint32_t count, tests = 0;
  struct mp m = elements_of(value, &count);
  if (count > FEATURE_WHERE_MAX)
    return reader_fail(r, "where has %u conditions, at most %d are allowed", count, FEATURE_WHERE_MAX);
  struct condition *where = arena_alloc(r->arena, (count * WHERE_KEYS + 1) * sizeof *where);
  for (uint32_t i = 0; i < count; i++) {
    char at[CLAUSE_MAX];
    snprintf(at, sizeof at, "where %u", i + 1);
    int rc = read_conditions(r, at, mp_take(&m), where, &tests);
    if (rc != 0) return rc;
  }
  *out = where;
  *where_count = tests;
  return 0;
}

// ---- steps of a decay ----
static int read_age(const struct reader *r, const char *where, struct bytes value, struct age *out) {
  static const char *const names[] = {"age", "weight"};
  if (mp_value_of(value).type != MP_MAP)
    return reader_fail(r, "%s must be a map with age and weight, not %s", where, kind_of(value));
  struct mp m = mp_of(value);
  uint64_t seen = 0;
  for (uint32_t pairs = mp_next(&m).count; pairs > 0; pairs--) {
    size_t index;
    char key[CLAUSE_MAX + 8];
    struct bytes word = mp_take(&m), of = mp_take(&m);
    int rc = read_key(r, where, word, names, 2, &seen, &index);
    if (rc != 0) return rc;
    snprintf(key, sizeof key, "%s: %s", where, names[index]);
    rc = index == 0 ? read_duration(r, key, of, 1000, &out->age_ms) : read_number(r, key, of, 0, 1000, &out->weight);
    if (rc != 0) return rc;
  }
  return seen == 3 ? 0 : reader_fail(r, "%s needs age and weight", where);
}

int read_ages(struct reader *r, struct bytes value) {
  uint32_t count;
  struct mp m = elements_of(value, &count);
  if (count == 0 || count > FEATURE_STEPS_MAX)
    return reader_fail(r, "steps has %u entries, 1 to %d are allowed", count, FEATURE_STEPS_MAX);
  struct age *steps = arena_alloc(r->arena, count * sizeof *steps);
  for (uint32_t i = 0; i < count; i++) {
    char where[CLAUSE_MAX];
    snprintf(where, sizeof where, "steps %u", i + 1);
    int rc = read_age(r, where, mp_take(&m), &steps[i]);
    if (rc != 0) return rc;
    if (i > 0 && steps[i].age_ms <= steps[i - 1].age_ms)
      return reader_fail(r, "%s: its age is not above that of the step before", where);
  }
  r->feature->ages = steps;
  r->feature->age_count = count;
  return 0;
}
