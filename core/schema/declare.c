// Reads one schema's declaration. Nothing in it is believed: every count has a bound, every fault its place and cure.
#include "schema/program.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/suggest.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

const char *const schema_types[SCHEMA_TYPES] = {"any", "text", "integer", "number", "bool", "time", "list", "map"};
const char *const schema_roots[SCHEMA_ROOTS] = {"properties", "traits", "context"};

// ---- saying it ----

int declare_fail(const struct declaring *d, const char *format, ...) {
  char text[400];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return error_set(d->err, ITD_EPOLICY, "schemas: %s: %s", d->who, text);
}

// A text of a declaration as it may stand in a message.
#define SHOWN_MAX 84
static const char *shown(struct bytes text, char out[SHOWN_MAX]) {
  size_t n = text.n < SHOWN_MAX - 4 ? text.n : SHOWN_MAX - 4;
  while (n > 0 && n < text.n && (text.p[n] & 0xc0) == 0x80) n--;
  if (!bytes_is_utf8(bytes_of(text.p, n))) return "(not UTF-8)";
  for (size_t i = 0; i < n; i++) out[i] = (char)(text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i]);
  out[n] = 0;
  return out;
}

int declare_key(const struct declaring *d, const char *where, struct bytes key, const char *const *names, size_t count,
                uint32_t *seen, size_t *out) {
  struct bytes text;
  char quoted[SHOWN_MAX];
  if (!mp_as_str(key, &text)) return declare_fail(d, "%s has a key that is no text", where);
  for (size_t i = 0; i < count; i++) {
    if (!bytes_is(text, names[i])) continue;
    if (*seen >> i & 1) return declare_fail(d, "%s has the key %s twice", where, names[i]);
    *seen |= 1u << i;
    *out = i;
    return 0;
  }
  char list[300];
  size_t n = 0;
  for (size_t i = 0; i < count && n < sizeof list - 40; i++)
    n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", names[i]);
  const char *near = suggest(text, names, count);
  return declare_fail(d, "%s has an unknown key '%s'%s%s%s; allowed: %s", where, shown(text, quoted),
                      near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "", list);
}

int declare_text(const struct declaring *d, const char *where, struct bytes value, size_t max, struct bytes *out) {
  struct bytes text;
  if (!mp_as_str(value, &text) || text.n == 0) return declare_fail(d, "%s must be a text", where);
  if (text.n > max) return declare_fail(d, "%s has %zu bytes, at most %zu are allowed", where, text.n, max);
  if (!bytes_is_utf8(text) || memchr(text.p, 0, text.n)) return declare_fail(d, "%s is not UTF-8 text", where);
  *out = arena_copy(d->arena, text);
  return 0;
}

static int declare_bool(const struct declaring *d, const char *where, struct bytes value, bool *out) {
  struct mp_value v = mp_value_of(value);
  if (v.type != MP_BOOL) return declare_fail(d, "%s must be true or false", where);
  *out = v.b;
  return 0;
}

static int declare_number(const struct declaring *d, const char *where, struct bytes value, double *out) {
  struct literal l = literal_of(value);
  if (l.kind != LITERAL_NUMBER) return declare_fail(d, "%s must be a finite number", where);
  *out = l.number;
  return 0;
}

static int declare_whole(const struct declaring *d, const char *where, struct bytes value, int64_t least, int64_t most,
                         int64_t *out) {
  double x = 0;
  int rc = declare_number(d, where, value, &x);
  if (rc) return rc;
  if (x < (double)least || x > (double)most || x != (double)(int64_t)x)
    return declare_fail(d, "%s must be a whole number from %lld to %lld", where, (long long)least, (long long)most);
  *out = (int64_t)x;
  return 0;
}

struct mp declare_list(struct bytes value, uint32_t *count) {
  struct mp m = mp_of(value);
  struct mp_value head = mp_value_of(value);
  *count = 1;
  if (head.type == MP_ARRAY || (head.type == MP_MAP && head.count == 0)) {
    mp_next(&m);
    *count = head.count;
  }
  return m;
}

// ---- literals ----

struct literal literal_of(struct bytes value) {
  struct mp_value v = mp_value_of(value);
  double number;
  if (v.type == MP_STR) return (struct literal){.kind = LITERAL_TEXT, .text = v.s};
  if (v.type == MP_BOOL) return (struct literal){.kind = LITERAL_BOOL, .number = v.b};
  if (mp_as_number(value, &number) && isfinite(number)) return (struct literal){LITERAL_NUMBER, number, {0}};
  return (struct literal){0};
}

bool literal_eq(struct literal a, struct literal b) {
  if (a.kind != b.kind) return false;
  return a.kind == LITERAL_TEXT ? bytes_eq(a.text, b.text) : a.number == b.number;
}

int declare_literal(const struct declaring *d, const char *where, struct bytes value, struct literal *out) {
  struct literal l = literal_of(value);
  if (l.kind == LITERAL_NONE) return declare_fail(d, "%s must be text, a finite number, true or false", where);
  if (l.text.n > SCHEMA_WORD_MAX)
    return declare_fail(d, "%s has %zu bytes, at most %d are allowed", where, l.text.n, SCHEMA_WORD_MAX);
  l.text = arena_copy(d->arena, l.text);
  *out = l;
  return 0;
}

// ---- on ----

static const char *const on_keys[] = {"type", "event", "channel"};

static int read_type_of(const struct declaring *d, const char *where, struct bytes value, uint8_t *types) {
  struct bytes text;
  if (mp_as_str(value, &text))
    for (unsigned i = 0; i < EVENT_TYPES; i++)
      if (bytes_is(text, event_type_name((enum event_type)i))) return *types = (uint8_t)(1u << i), 0;
  return declare_fail(d, "%s: type is track, identify, page, screen, group or alias", where);
}

static int read_alternative(const struct declaring *d, const char *where, struct bytes value, struct schema_on *out) {
  *out = (struct schema_on){.types = (1u << EVENT_TYPES) - 1};
  if (mp_value_of(value).type == MP_STR) return declare_text(d, where, value, SCHEMA_WORD_MAX, &out->event);
  if (mp_value_of(value).type != MP_MAP)
    return declare_fail(d, "%s must be an event's name or a map with type, event or channel", where);
  struct mp m = mp_of(value);
  uint32_t pairs = mp_next(&m).count, seen = 0;
  for (uint32_t i = 0; i < pairs; i++) {
    size_t index;
    struct bytes key = mp_take(&m), of = mp_take(&m);
    int rc = declare_key(d, where, key, on_keys, 3, &seen, &index);
    if (rc == 0 && index == 0) rc = read_type_of(d, where, of, &out->types);
    if (rc == 0 && index > 0)
      rc = declare_text(d, where, of, SCHEMA_WORD_MAX, index == 1 ? &out->event : &out->channel);
    if (rc) return rc;
  }
  return pairs ? 0 : declare_fail(d, "%s is empty; name a type, event or channel, or leave `on` out", where);
}

int declare_on(struct declaring *d, struct bytes value) {
  uint32_t count;
  struct mp m = declare_list(value, &count);
  if (count == 0 || count > 32) return declare_fail(d, "on has %u alternatives, 1 to 32 are allowed", count);
  struct schema_on *on = arena_alloc(d->arena, count * sizeof *on);
  for (uint32_t i = 0; i < count; i++) {
    char where[16];
    snprintf(where, sizeof where, "on %u", i + 1);
    int rc = read_alternative(d, where, mp_take(&m), &on[i]);
    if (rc) return rc;
  }
  d->schema->on = on;
  d->schema->on_count = count;
  return 0;
}

// ---- fields: the tree ----

// Takes the next step off a path: a key, or "[]" behind a key.
static bool next_step(struct bytes *path, struct bytes *step) {
  if (path->n >= 2 && path->p[0] == '[') {
    if (path->p[1] != ']') return false;
    *step = bytes_of(path->p, 2);
    *path = bytes_of(path->p + 2, path->n - 2);
  } else {
    size_t n = 0;
    while (n < path->n && path->p[n] != '.' && path->p[n] != '[' && path->p[n] != ']') n++;
    if (n == 0) return false;
    *step = bytes_of(path->p, n);
    *path = bytes_of(path->p + n, path->n - n);
  }
  if (path->n == 0 || path->p[0] == '[') return true;
  if (path->p[0] != '.' || path->n == 1 || path->p[1] == '[') return false;
  *path = bytes_of(path->p + 1, path->n - 1);
  return true;
}

bool schema_path_ok(struct bytes path) {
  struct bytes step;
  bool is_root = true;
  for (size_t depth = 0; path.n; depth++, is_root = false) {
    if (depth == SCHEMA_DEPTH_MAX || !next_step(&path, &step) || step.p[0] == '[') return false;
    if (!is_root) continue;
    bool is_known = false;
    for (int i = 0; i < SCHEMA_ROOTS; i++) is_known |= bytes_is(step, schema_roots[i]);
    if (!is_known || path.n == 0) return false;
  }
  return !is_root;
}

static struct schema_node *node_new(const struct declaring *d, struct bytes key, struct bytes path) {
  struct schema_node *node = arena_alloc(d->arena, sizeof *node);
  *node = (struct schema_node){.key = key, .path = path, .min_length = -1, .max_length = -1};
  return node;
}

static struct schema_node *node_below(const struct declaring *d, struct schema_node *up, struct bytes key,
                                      struct bytes path) {
  if (key.p[0] == '[') {
    if (!up->element) up->element = node_new(d, key, path);
    return up->element;
  }
  for (uint32_t i = 0; i < up->child_count; i++)
    if (bytes_eq(up->child[i]->key, key)) return up->child[i];
  if (up->child_count == SCHEMA_KEYS_MAX) return NULL;
  return up->child[up->child_count++] = node_new(d, key, path);
}

static struct schema_node *root_of(const struct declaring *d, struct bytes key) {
  for (int i = 0; i < SCHEMA_ROOTS; i++)
    if (bytes_is(key, schema_roots[i])) return d->schema->root[i];
  return NULL;
}

static int node_at(const struct declaring *d, const char *where, struct bytes path, struct schema_node **out) {
  struct bytes rest = path, step;
  struct schema_node *node = NULL;
  for (unsigned depth = 0; rest.n; depth++) {
    if (depth == SCHEMA_DEPTH_MAX)
      return declare_fail(d, "%s: the path has more than %d steps", where, SCHEMA_DEPTH_MAX);
    bool ok = next_step(&rest, &step);
    if (ok && !node)
      ok = (node = root_of(d, step)) != NULL;
    else if (ok) {
      size_t until = (size_t)(step.p + step.n - path.p);
      node = node_below(d, node, step, bytes_of(path.p, until));
      if (!node) return declare_fail(d, "%s: more than %d fields in one map", where, SCHEMA_KEYS_MAX);
    }
    if (!ok)
      return declare_fail(d,
                          "%s: a path is properties, traits or context and steps behind dots, [] for each element of "
                          "a list: properties.items[].price",
                          where);
  }
  if (node->is_declared) return declare_fail(d, "%s: that path has a field already", where);
  node->is_declared = true;
  *out = node;
  return 0;
}

// ---- fields: what one says ----

// A list reads best as a list.
// clang-format off
#define FIELD_KEY_MAP(XX) \
  XX(path) XX(type) XX(required) XX(at_least) XX(at_most) XX(min_length) XX(max_length) XX(is) XX(pattern) XX(closed) \
  XX(personal) XX(description)
// clang-format on
enum field_key {
#define XX(key) FIELD_##key,
  FIELD_KEY_MAP(XX)
#undef XX
      FIELD_KEYS
};
static const char *const field_keys[] = {
#define XX(key) #key,
    FIELD_KEY_MAP(XX)
#undef XX
};

struct field {
  struct bytes value[FIELD_KEYS]; // empty: not given
  char where[SCHEMA_WORD_MAX + 24];
};

static int read_field_keys(const struct declaring *d, struct bytes map, struct field *f) {
  if (mp_value_of(map).type != MP_MAP) return declare_fail(d, "%s must be a map with a path", f->where);
  struct mp m = mp_of(map);
  uint32_t pairs = mp_next(&m).count, seen = 0;
  for (uint32_t i = 0; i < pairs; i++) {
    size_t index;
    struct bytes key = mp_take(&m), value = mp_take(&m);
    int rc = declare_key(d, f->where, key, field_keys, FIELD_KEYS, &seen, &index);
    if (rc) return rc;
    f->value[index] = value;
  }
  return f->value[FIELD_path].n ? 0 : declare_fail(d, "%s lacks a path", f->where);
}

static int unknown_type(const struct declaring *d, const struct field *f) {
  struct bytes text = {0};
  char quoted[SHOWN_MAX];
  if (!mp_as_str(f->value[FIELD_type], &text))
    return declare_fail(d, "%s: type must be a text: text, integer, number, bool, time, list, map or any", f->where);
  const char *near = suggest(text, schema_types, SCHEMA_TYPES);
  return declare_fail(d, "%s: unknown type '%s'%s%s%s; allowed: text, integer, number, bool, time, list, map, any",
                      f->where, shown(text, quoted), near ? " (did you mean '" : "", near ? near : "",
                      near ? "'?)" : "");
}

static int read_type(const struct declaring *d, struct field *f, struct schema_node *node) {
  struct bytes text;
  if (!f->value[FIELD_type].n) return 0;
  if (mp_as_str(f->value[FIELD_type], &text))
    for (int i = 0; i < SCHEMA_TYPES; i++)
      if (bytes_is(text, schema_types[i])) return node->type = (enum schema_type)i, 0;
  return unknown_type(d, f);
}

// Which types each test is for; a test of another is a mistake that would pass in silence.
static int check_fit(const struct declaring *d, const struct field *f, enum schema_type type) {
  static const struct {
    enum field_key key;
    uint32_t types;
    const char *text;
  } fits[] = {
      {FIELD_at_least, 1u << TYPE_INTEGER | 1u << TYPE_NUMBER | 1u << TYPE_TIME, "integer, number and time"},
      {FIELD_at_most, 1u << TYPE_INTEGER | 1u << TYPE_NUMBER | 1u << TYPE_TIME, "integer, number and time"},
      {FIELD_min_length, 1u << TYPE_TEXT | 1u << TYPE_LIST, "text and list"},
      {FIELD_max_length, 1u << TYPE_TEXT | 1u << TYPE_LIST, "text and list"},
      {FIELD_pattern, 1u << TYPE_TEXT, "text"},
      {FIELD_closed, 1u << TYPE_MAP, "map"},
      {FIELD_is, 1u << TYPE_TEXT | 1u << TYPE_INTEGER | 1u << TYPE_NUMBER | 1u << TYPE_BOOL | 1u << TYPE_ANY,
       "text, integer, number and bool"},
  };
  for (size_t i = 0; i < sizeof fits / sizeof *fits; i++)
    if (f->value[fits[i].key].n && !(fits[i].types >> type & 1))
      return declare_fail(d, "%s: %s is for type %s, not %s", f->where, field_keys[fits[i].key], fits[i].text,
                          schema_types[type]);
  return 0;
}

static int read_bound(const struct declaring *d, struct field *f, enum field_key key, enum schema_type type,
                      bool *is_there, double *out) {
  if (!f->value[key].n) return 0;
  *is_there = true;
  if (type != TYPE_TIME) return declare_number(d, f->where, f->value[key], out);
  struct bytes text;
  int64_t ms;
  if (!mp_as_str(f->value[key], &text) || time_parse(text, &ms) != 0)
    return declare_fail(d, "%s: %s of a time is RFC 3339 text such as 2026-01-05T08:30:00Z", f->where, field_keys[key]);
  *out = (double)ms;
  return 0;
}

static int read_is(const struct declaring *d, struct field *f, struct schema_node *node) {
  if (!f->value[FIELD_is].n) return 0;
  static const enum literal_kind of_type[SCHEMA_TYPES] = {[TYPE_TEXT] = LITERAL_TEXT,
                                                          [TYPE_INTEGER] = LITERAL_NUMBER,
                                                          [TYPE_NUMBER] = LITERAL_NUMBER,
                                                          [TYPE_BOOL] = LITERAL_BOOL};
  uint32_t count;
  struct mp m = declare_list(f->value[FIELD_is], &count);
  if (count == 0 || count > SCHEMA_VALUES_MAX)
    return declare_fail(d, "%s: is has %u values, 1 to %d are allowed", f->where, count, SCHEMA_VALUES_MAX);
  struct literal *is = arena_alloc(d->arena, count * sizeof *is);
  for (uint32_t i = 0; i < count; i++) {
    int rc = declare_literal(d, f->where, mp_take(&m), &is[i]);
    if (rc) return rc;
    if (node->type != TYPE_ANY && is[i].kind != of_type[node->type])
      return declare_fail(d, "%s: a value of is, the %uth, is no %s", f->where, i + 1, schema_types[node->type]);
  }
  node->is = is;
  node->is_count = count;
  return 0;
}

static int read_lengths(const struct declaring *d, struct field *f, struct schema_node *node) {
  int rc = 0;
  if (f->value[FIELD_min_length].n)
    rc = declare_whole(d, f->where, f->value[FIELD_min_length], 0, SCHEMA_LENGTH_MAX, &node->min_length);
  if (rc == 0 && f->value[FIELD_max_length].n)
    rc = declare_whole(d, f->where, f->value[FIELD_max_length], 0, SCHEMA_LENGTH_MAX, &node->max_length);
  if (rc) return rc;
  if (node->max_length >= 0 && node->min_length > node->max_length)
    return declare_fail(d, "%s: min_length is above max_length", f->where);
  if (node->has_least && node->has_most && node->at_least > node->at_most)
    return declare_fail(d, "%s: at_least is above at_most", f->where);
  return 0;
}

static int read_pattern(const struct declaring *d, struct field *f, struct schema_node *node) {
  if (!f->value[FIELD_pattern].n) return 0;
  struct error why = {0};
  int rc = declare_text(d, f->where, f->value[FIELD_pattern], SCHEMA_WORD_MAX, &node->pattern_text);
  if (rc) return rc;
  node->pattern = arena_alloc(d->arena, sizeof *node->pattern);
  rc = pattern_compile(node->pattern_text, node->pattern, &why);
  return rc ? declare_fail(d, "%s: %s", f->where, why.text) : 0;
}

static int read_field(struct declaring *d, size_t number, struct bytes map) {
  struct field f = {0};
  struct bytes path;
  struct schema_node *node = NULL;
  snprintf(f.where, sizeof f.where, "field %zu", number);
  int rc = read_field_keys(d, map, &f);
  if (rc == 0) rc = declare_text(d, f.where, f.value[FIELD_path], SCHEMA_WORD_MAX, &path);
  if (rc == 0) rc = node_at(d, f.where, path, &node);
  if (rc) return rc;
  snprintf(f.where, sizeof f.where, "%.*s", (int)path.n, (const char *)path.p);
  rc = read_type(d, &f, node);
  if (rc == 0) rc = check_fit(d, &f, node->type);
  if (rc == 0) rc = read_bound(d, &f, FIELD_at_least, node->type, &node->has_least, &node->at_least);
  if (rc == 0) rc = read_bound(d, &f, FIELD_at_most, node->type, &node->has_most, &node->at_most);
  if (rc == 0) rc = read_lengths(d, &f, node);
  if (rc == 0) rc = read_is(d, &f, node);
  if (rc == 0) rc = read_pattern(d, &f, node);
  if (rc == 0 && f.value[FIELD_required].n) rc = declare_bool(d, f.where, f.value[FIELD_required], &node->is_required);
  if (rc == 0 && f.value[FIELD_closed].n) rc = declare_bool(d, f.where, f.value[FIELD_closed], &node->is_closed);
  if (rc == 0 && f.value[FIELD_personal].n) rc = declare_bool(d, f.where, f.value[FIELD_personal], &node->is_personal);
  struct bytes ignored;
  if (rc == 0 && f.value[FIELD_description].n)
    rc = declare_text(d, f.where, f.value[FIELD_description], 1000, &ignored);
  if (rc == 0 && node->is_required && node->key.p[0] == '[')
    rc = declare_fail(d, "%s: an element can't be required; min_length says how many there must be", f.where);
  return rc;
}

// Children need a map to lie in, elements a list. Sets what must be there; true when something below must.
static int settle(const struct declaring *d, struct schema_node *node, bool *must) {
  *must = false;
  if (node->child_count && node->is_declared && node->type != TYPE_MAP)
    return declare_fail(d, "%.*s has fields below it, so its type is map", (int)node->path.n,
                        (const char *)node->path.p);
  if (node->element && node->is_declared && node->type != TYPE_LIST)
    return declare_fail(d, "%.*s has elements with fields, so its type is list", (int)node->path.n,
                        (const char *)node->path.p);
  if (node->child_count && node->element)
    return declare_fail(d, "%.*s can't be both a map and a list", (int)node->path.n, (const char *)node->path.p);
  if (!node->is_declared) node->type = node->element ? TYPE_LIST : TYPE_MAP;
  for (uint32_t i = 0; i < node->child_count; i++) {
    int rc = settle(d, node->child[i], must);
    if (rc) return rc;
    if (*must) node->required |= 1ull << i;
  }
  bool ignored;
  int rc = node->element ? settle(d, node->element, &ignored) : 0;
  // An undeclared map is there for what must be in it.
  *must = node->is_declared ? node->is_required : node->required != 0;
  node->is_required = *must;
  return rc;
}

static int read_fields(struct declaring *d, struct bytes value) {
  uint32_t count = 0;
  struct mp m = {0};
  for (int i = 0; i < SCHEMA_ROOTS; i++) {
    struct bytes key = bytes_str(schema_roots[i]);
    d->schema->root[i] = node_new(d, key, key);
  }
  if (value.n) m = declare_list(value, &count);
  if (count > SCHEMA_FIELDS_MAX) return declare_fail(d, "%u fields, at most %d are allowed", count, SCHEMA_FIELDS_MAX);
  for (uint32_t i = 0; i < count; i++) {
    int rc = read_field(d, i + 1, mp_take(&m));
    if (rc) return rc;
  }
  d->schema->field_count = count;
  for (int i = 0; i < SCHEMA_ROOTS; i++) {
    struct schema_node *root = d->schema->root[i];
    bool must;
    if (root->is_declared && root->type == TYPE_ANY) root->type = TYPE_MAP;
    if (root->type != TYPE_ANY && root->type != TYPE_MAP)
      return declare_fail(d, "%s is a map in every event", schema_roots[i]);
    int rc = settle(d, root, &must);
    if (rc) return rc;
  }
  return 0;
}

// ---- a schema ----

static const char *const schema_keys[] = {"name", "version", "on", "fields", "upcast", "description", "owner"};
enum { SCHEMA_name, SCHEMA_version, SCHEMA_on, SCHEMA_fields, SCHEMA_upcast, SCHEMA_description, SCHEMA_owner, KEYS };

static int read_head(struct declaring *d, const struct bytes *value) {
  struct bytes name, text;
  int64_t version = 0;
  if (!value[SCHEMA_name].n) return declare_fail(d, "it has no name");
  int rc = declare_text(d, "name", value[SCHEMA_name], SCHEMA_NAME_MAX, &name);
  if (rc) return rc;
  for (size_t i = 0; i < name.n; i++) {
    uint8_t ch = name.p[i];
    bool ok = (ch >= 'a' && ch <= 'z') || (i > 0 && ((ch >= '0' && ch <= '9') || ch == '_'));
    if (!ok) return declare_fail(d, "a name begins with a-z and goes on with a-z, 0-9 and _");
  }
  d->schema->name = (const char *)name.p;
  snprintf(d->who, sizeof d->who, "%s", d->schema->name);
  if (!value[SCHEMA_version].n) return declare_fail(d, "it has no version; the first is 1");
  rc = declare_whole(d, "version", value[SCHEMA_version], 1, 1000000, &version);
  if (rc) return rc;
  d->schema->version = (uint32_t)version;
  snprintf(d->who, sizeof d->who, "%s@%u", d->schema->name, d->schema->version);
  const char **texts[] = {&d->schema->description, &d->schema->owner};
  for (int i = 0; i < 2; i++) {
    *texts[i] = "";
    if (!value[SCHEMA_description + i].n) continue;
    rc = declare_text(d, schema_keys[SCHEMA_description + i], value[SCHEMA_description + i], 1000, &text);
    if (rc) return rc;
    *texts[i] = (const char *)text.p;
  }
  return 0;
}

int declare_schema(struct bytes map, size_t number, struct arena *arena, struct schema *out, struct error *err) {
  struct error ignored;
  struct declaring d = {.arena = arena, .err = err ? err : &ignored, .schema = out};
  struct bytes value[KEYS] = {{0}};
  snprintf(d.who, sizeof d.who, "#%zu", number);
  *out = (struct schema){.name = "", .declaration = arena_copy(arena, map)};
  if (mp_value_of(map).type != MP_MAP) return declare_fail(&d, "a schema is a table with name, version and fields");
  struct mp m = mp_of(map);
  uint32_t pairs = mp_next(&m).count, seen = 0;
  for (uint32_t i = 0; i < pairs; i++) {
    size_t index;
    struct bytes key = mp_take(&m), of = mp_take(&m);
    int rc = declare_key(&d, "it", key, schema_keys, KEYS, &seen, &index);
    if (rc) return rc;
    value[index] = of;
  }
  int rc = read_head(&d, value);
  if (rc == 0 && value[SCHEMA_on].n) rc = declare_on(&d, value[SCHEMA_on]);
  if (rc == 0) rc = read_fields(&d, value[SCHEMA_fields]);
  if (rc == 0 && value[SCHEMA_upcast].n && out->version == 1)
    rc = declare_fail(&d, "version 1 has no version before it to upcast from");
  if (rc == 0 && value[SCHEMA_upcast].n) rc = steps_declare(&d, value[SCHEMA_upcast]);
  return rc;
}
