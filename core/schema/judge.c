// An event's maps against one schema: one pass, no allocation. What no field names is passed over as it lies. Errors name
// paths and what was declared, never what the event holds.
#include "schema/program.h"

#include "base/clock.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

struct judging {
  const struct schema *schema;
  struct error *err;
};

static int broken(const struct judging *j, struct bytes path, const char *format, ...) ITD_PRINTF(3, 4);
static int broken(const struct judging *j, struct bytes path, const char *format, ...) {
  char text[300];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return error_set(j->err, ITD_ESCHEMA, "schema %s@%u: %.*s %s", j->schema->name, j->schema->version, (int)path.n,
                   (const char *)path.p, text);
}

static const char *kind_of(const struct mp_value *v) {
  switch (v->type) {
  case MP_NIL: return "nil";
  case MP_BOOL: return "a bool";
  case MP_INT:
  case MP_UINT: return "an integer";
  case MP_FLOAT: return "a float";
  case MP_STR: return "text";
  case MP_BIN: return "binary";
  case MP_ARRAY: return "a list";
  case MP_MAP: return "a map";
  default: return "an extension";
  }
}

// ---- one value ----

#define WHOLE_MAX 9007199254740992.0 // 2^53: beyond it a float is no longer every integer

static bool whole_float(double x) { return x >= -WHOLE_MAX && x <= WHOLE_MAX && x == (double)(int64_t)x; }

static bool number_of(const struct mp_value *v, double *number) {
  switch (v->type) {
  case MP_INT: *number = (double)v->i; return true;
  case MP_UINT: *number = (double)v->u; return true;
  case MP_FLOAT: *number = v->f; return isfinite(v->f);
  default: return false;
  }
}

// The forms that an event's own times may have (docs/events.md#time).
static bool time_of(const struct mp_value *v, double *ms) {
  int64_t at = 0;
  bool ok;
  switch (v->type) {
  case MP_STR: ok = time_parse(v->s, &at) == 0; break;
  case MP_INT: ok = true, at = v->i; break;
  case MP_FLOAT: ok = whole_float(v->f), at = ok ? (int64_t)v->f : 0; break;
  default: ok = mp_as_timestamp(v, &at);
  }
  *ms = (double)at;
  return ok && at >= MP_TIME_MIN_MS && at <= MP_TIME_MAX_MS;
}

static int out_of_bounds(const struct judging *j, const struct schema_node *node, bool is_less) {
  char bound[TIME_TEXT_MAX + 8];
  double x = is_less ? node->at_least : node->at_most;
  if (node->type == TYPE_TIME)
    time_format((int64_t)x, bound);
  else
    snprintf(bound, sizeof bound, "%.15g", x);
  return broken(j, node->path, is_less ? "is less than %s (at_least)" : "is more than %s (at_most)", bound);
}

static int bounds(const struct judging *j, const struct schema_node *node, double number) {
  if (node->has_least && number < node->at_least) return out_of_bounds(j, node, true);
  if (node->has_most && number > node->at_most) return out_of_bounds(j, node, false);
  return 0;
}

static int one_of(const struct judging *j, const struct schema_node *node, const struct mp_value *v) {
  struct literal at = {0};
  if (v->type == MP_STR) at = (struct literal){.kind = LITERAL_TEXT, .text = v->s};
  if (v->type == MP_BOOL) at = (struct literal){.kind = LITERAL_BOOL, .number = v->b};
  if (number_of(v, &at.number)) at.kind = LITERAL_NUMBER;
  for (uint32_t i = 0; i < node->is_count; i++)
    if (literal_eq(node->is[i], at)) return 0;
  char list[200];
  size_t n = 0;
  for (uint32_t i = 0; i < node->is_count && n < sizeof list - 60; i++) {
    const struct literal *l = &node->is[i];
    const char *comma = i ? ", " : "";
    if (l->kind == LITERAL_TEXT)
      n += (size_t)snprintf(list + n, sizeof list - n, "%s\"%.*s\"", comma, l->text.n < 40 ? (int)l->text.n : 40,
                            (const char *)l->text.p);
    else if (l->kind == LITERAL_BOOL)
      n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", comma, l->number != 0 ? "true" : "false");
    else
      n += (size_t)snprintf(list + n, sizeof list - n, "%s%.15g", comma, l->number);
  }
  return broken(j, node->path, "is none of: %s%s", list, n >= sizeof list - 60 ? ", …" : "");
}

static int length(const struct judging *j, const struct schema_node *node, int64_t n, const char *unit) {
  if (node->min_length >= 0 && n < node->min_length)
    return broken(j, node->path, "has %lld %s, at least %lld are wanted", (long long)n, unit,
                  (long long)node->min_length);
  if (node->max_length >= 0 && n > node->max_length)
    return broken(j, node->path, "has %lld %s, at most %lld are allowed", (long long)n, unit,
                  (long long)node->max_length);
  return 0;
}

static int64_t characters(struct bytes text) {
  int64_t n = 0;
  for (size_t i = 0; i < text.n; i++) n += (text.p[i] & 0xc0) != 0x80;
  return n;
}

static int text_value(const struct judging *j, const struct schema_node *node, struct bytes text) {
  if (!bytes_is_utf8(text)) return broken(j, node->path, "is not UTF-8");
  int rc = 0;
  if (node->min_length >= 0 || node->max_length >= 0) rc = length(j, node, characters(text), "characters");
  if (rc == 0 && node->pattern && !pattern_matches(node->pattern, text))
    rc = broken(j, node->path, "does not match the pattern %.*s", (int)node->pattern_text.n,
                (const char *)node->pattern_text.p);
  return rc;
}

static int scalar_value(const struct judging *j, const struct schema_node *node, const struct mp_value *v) {
  double number = 0;
  bool ok = true;
  int rc = 0;
  switch (node->type) {
  case TYPE_TEXT: ok = v->type == MP_STR; break;
  case TYPE_BOOL: ok = v->type == MP_BOOL; break;
  case TYPE_INTEGER: ok = number_of(v, &number) && (v->type != MP_FLOAT || whole_float(v->f)); break;
  case TYPE_NUMBER: ok = number_of(v, &number); break;
  case TYPE_TIME: ok = time_of(v, &number); break;
  default: break;
  }
  if (!ok)
    return broken(j, node->path, "is %s, not %s%s", kind_of(v),
                  node->type == TYPE_INTEGER ? "an integer" : schema_types[node->type],
                  node->type == TYPE_TIME ? " (RFC 3339 text, milliseconds, or a MessagePack timestamp)" : "");
  if (node->type == TYPE_TEXT) rc = text_value(j, node, v->s);
  if (rc == 0 && (node->has_least || node->has_most)) rc = bounds(j, node, number);
  if (rc == 0 && node->is_count) rc = one_of(j, node, v);
  return rc;
}

// ---- maps and lists ----

static int value_at(const struct judging *j, const struct schema_node *node, struct mp *m);

static const struct schema_node *child_of(const struct schema_node *node, struct bytes key, uint32_t *index) {
  for (uint32_t i = 0; i < node->child_count; i++)
    if (bytes_eq(node->child[i]->key, key)) return *index = i, node->child[i];
  return NULL;
}

// A key that has dots itself is read as the path that it spells, as features do.
static const struct schema_node *spelled(const struct schema_node *node, struct bytes key) {
  for (size_t dot = 0; dot < key.n; dot++) {
    uint32_t ignored;
    const struct schema_node *child;
    if (key.p[dot] != '.' || !(child = child_of(node, bytes_of(key.p, dot), &ignored))) continue;
    struct bytes rest = bytes_of(key.p + dot + 1, key.n - dot - 1);
    const struct schema_node *below = child_of(child, rest, &ignored);
    return below ? below : spelled(child, rest);
  }
  return NULL;
}

static bool is_plain(struct bytes key) {
  bool ok = key.n > 0 && key.n <= 40;
  for (size_t i = 0; ok && i < key.n; i++) {
    uint8_t c = key.p[i];
    ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (i > 0 && c >= '0' && c <= '9');
  }
  return ok;
}

// A key may hold anything, somebody's address too: only one that looks like a name is said.
static int unknown_key(const struct judging *j, const struct schema_node *node, struct bytes key) {
  if (!is_plain(key)) return broken(j, node->path, "has a key that is no field, and it is closed");
  return broken(j, node->path, "has the key %.*s, which is no field, and it is closed", (int)key.n,
                (const char *)key.p);
}

static int missing(const struct judging *j, const struct schema_node *node, uint64_t seen) {
  uint64_t lacks = node->required & ~seen;
  return broken(j, node->child[__builtin_ctzll(lacks)]->path, "is required, and not there");
}

static int map_at(const struct judging *j, const struct schema_node *node, struct mp *m) {
  uint64_t seen = 0;
  for (uint32_t left = mp_next(m).count; left > 0; left--) {
    struct bytes key = {0};
    uint32_t index = 0;
    bool is_text = mp_take_str(m, &key);
    const struct schema_node *child = is_text ? child_of(node, key, &index) : NULL;
    bool is_nil = mp_peek(m) == MP_NIL;
    if (child && !is_nil)
      seen |= 1ull << index;
    else if (!child && is_text && memchr(key.p, '.', key.n))
      child = spelled(node, key);
    if (!child && node->is_closed) return unknown_key(j, node, key);
    if (!child || is_nil) {
      mp_take(m);
      continue;
    }
    int rc = value_at(j, child, m);
    if (rc) return rc;
  }
  return node->required & ~seen ? missing(j, node, seen) : 0;
}

static int list_at(const struct judging *j, const struct schema_node *node, struct mp *m) {
  uint32_t count = mp_next(m).count;
  int rc = length(j, node, count, "elements");
  for (uint32_t i = 0; rc == 0 && i < count; i++) {
    if (node->element)
      rc = value_at(j, node->element, m);
    else
      mp_take(m);
  }
  return rc;
}

// Recursive: as deep as the schema's paths are.
static int value_at(const struct judging *j, const struct schema_node *node, struct mp *m) {
  enum mp_type type = mp_peek(m);
  if (node->type == TYPE_ANY && !node->is_count) {
    mp_take(m);
    return 0;
  }
  if (type == MP_MAP && node->type == TYPE_MAP) return map_at(j, node, m);
  if (type == MP_ARRAY && node->type == TYPE_LIST) return list_at(j, node, m);
  struct mp_value v = mp_value_of(mp_take(m));
  if (node->type == TYPE_MAP || node->type == TYPE_LIST)
    return broken(j, node->path, "is %s, not a %s", kind_of(&v), schema_types[node->type]);
  return scalar_value(j, node, &v);
}

int judge_event(const struct schema *schema, const struct event *event, struct error *err) {
  const struct judging j = {.schema = schema, .err = err};
  const struct bytes maps[SCHEMA_ROOTS] = {event->properties, event->traits, event->context};
  for (int i = 0; i < SCHEMA_ROOTS; i++) {
    const struct schema_node *root = schema->root[i];
    if (!maps[i].n) {
      if (!root->is_required) continue;
      if (root->required) return missing(&j, root, 0);
      return broken(&j, root->path, "is required, and not there");
    }
    if (!root->child_count && !root->is_closed) continue;
    struct mp m = mp_of(maps[i]);
    int rc = map_at(&j, root, &m);
    if (rc) return rc;
  }
  return 0;
}
