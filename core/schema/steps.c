// Upcast: a closed set of steps on the packed maps of an event, so that it is the same wherever it is taken, and needs
// no Lua.
#include "schema/program.h"
#include "wire/mp_edit.h"

#include <math.h>
#include <stdio.h>

// ---- reading them ----

static const char *const step_keys[] = {"rename", "move",  "drop",      "default", "map", "scale",
                                        "to",     "value", "otherwise", "values",  "by"};
enum { S_rename, S_move, S_drop, S_default, S_map, S_scale, S_to, S_value, S_otherwise, S_values, S_by, STEP_KEYS };
#define STEP_VERBS S_to

static int copy_value(struct declaring *d, const char *where, struct bytes value, struct bytes *out) {
  struct literal ignored;
  int rc = declare_literal(d, where, value, &ignored);
  if (rc == 0) *out = arena_copy(d->arena, value);
  return rc;
}

static int read_rows(struct declaring *d, const char *where, struct bytes value, struct step *step) {
  struct mp m = mp_of(value);
  struct mp_value head = mp_next(&m);
  if (head.type != MP_ARRAY || head.count == 0 || head.count > SCHEMA_VALUES_MAX)
    return declare_fail(d, "%s: values is a list of 1 to %d pairs { from, to }", where, SCHEMA_VALUES_MAX);
  struct literal *from = arena_alloc(d->arena, head.count * sizeof *from);
  struct bytes *into = arena_alloc(d->arena, head.count * sizeof *into);
  for (uint32_t i = 0; i < head.count; i++) {
    struct mp_value pair = mp_next(&m);
    if (pair.type != MP_ARRAY || pair.count != 2)
      return declare_fail(d, "%s: values is a list of pairs { from, to }", where);
    struct bytes a = mp_take(&m), b = mp_take(&m);
    int rc = declare_literal(d, where, a, &from[i]);
    if (rc == 0) rc = copy_value(d, where, b, &into[i]);
    if (rc) return rc;
    for (uint32_t k = 0; k < i; k++)
      if (literal_eq(from[k], from[i]))
        return declare_fail(d, "%s: the %uth pair is of a value that has one", where, i + 1);
  }
  step->from = from, step->into = into, step->rows = head.count;
  return 0;
}

// `to` of a rename is a key; of a move a path.
static int read_to(struct declaring *d, const char *where, bool is_rename, struct bytes value, struct step *step) {
  struct bytes text;
  int rc = declare_text(d, where, value, SCHEMA_WORD_MAX, &text);
  if (rc) return rc;
  if (is_rename) {
    if (memchr(text.p, '.', text.n) || memchr(text.p, '[', text.n))
      return declare_fail(d, "%s: to is a key in the same map; { move = …, to = … } takes a path", where);
    size_t up = step->path.n;
    while (up > 0 && step->path.p[up - 1] != '.') up--;
    struct buf joined = {0};
    buf_append(&joined, step->path.p, up);
    buf_append_bytes(&joined, text);
    text = arena_copy(d->arena, buf_bytes(&joined));
    buf_deinit(&joined);
  }
  if (!schema_path_ok(text)) return declare_fail(d, "%s: to is no path below properties, traits or context", where);
  bool is_inside =
      text.n > step->path.n && memcmp(text.p, step->path.p, step->path.n) == 0 && text.p[step->path.n] == '.';
  if (bytes_eq(text, step->path) || is_inside) return declare_fail(d, "%s: to lies where it comes from", where);
  step->to = text;
  return 0;
}

static int read_verb(struct declaring *d, const char *where, int verb, const struct bytes *value, struct step *step) {
  static const enum step_kind kinds[] = {STEP_MOVE, STEP_MOVE, STEP_DROP, STEP_DEFAULT, STEP_MAP, STEP_SCALE};
  static const uint32_t takes[] = {1u << S_to, 1u << S_to, 0, 1u << S_value, 1u << S_values | 1u << S_otherwise,
                                   1u << S_by};
  step->kind = kinds[verb];
  for (int i = STEP_VERBS; i < STEP_KEYS; i++) {
    if (value[i].n && !(takes[verb] >> i & 1))
      return declare_fail(d, "%s: %s takes no %s", where, step_keys[verb], step_keys[i]);
    if (!value[i].n && takes[verb] >> i & 1 && i != S_otherwise)
      return declare_fail(d, "%s: %s takes %s", where, step_keys[verb], step_keys[i]);
  }
  int rc = 0;
  struct literal by;
  if (step->kind == STEP_MOVE) return read_to(d, where, verb == S_rename, value[S_to], step);
  if (step->kind == STEP_DEFAULT) return copy_value(d, where, value[S_value], &step->value);
  if (step->kind == STEP_MAP) {
    rc = read_rows(d, where, value[S_values], step);
    if (rc == 0 && value[S_otherwise].n) rc = copy_value(d, where, value[S_otherwise], &step->value);
  }
  if (step->kind == STEP_SCALE) {
    by = literal_of(value[S_by]);
    if (by.kind != LITERAL_NUMBER || by.number == 0 || by.number < -1e9 || by.number > 1e9)
      return declare_fail(d, "%s: by is a number from -1e9 to 1e9, and not 0", where);
    step->by = by.number;
  }
  return rc;
}

static int read_step(struct declaring *d, const char *where, struct bytes map, struct step *step) {
  struct bytes value[STEP_KEYS] = {{0}};
  if (mp_value_of(map).type != MP_MAP)
    return declare_fail(d, "%s must be a table such as { drop = \"properties.x\" }", where);
  struct mp m = mp_of(map);
  uint32_t pairs = mp_next(&m).count, seen = 0;
  for (uint32_t i = 0; i < pairs; i++) {
    size_t index;
    struct bytes key = mp_take(&m), of = mp_take(&m);
    int rc = declare_key(d, where, key, step_keys, STEP_KEYS, &seen, &index);
    if (rc) return rc;
    value[index] = of;
  }
  int verb = -1, verbs = 0;
  for (int i = 0; i < STEP_VERBS; i++)
    if (value[i].n) verb = i, verbs++;
  if (verbs != 1) return declare_fail(d, "%s must be one of rename, move, drop, default, map and scale", where);
  int rc = declare_text(d, where, value[verb], SCHEMA_WORD_MAX, &step->path);
  if (rc) return rc;
  if (!schema_path_ok(step->path))
    return declare_fail(d, "%s: %s names a path below properties, traits or context, without []", where,
                        step_keys[verb]);
  return read_verb(d, where, verb, value, step);
}

int steps_declare(struct declaring *d, struct bytes value) {
  uint32_t count;
  struct mp m = declare_list(value, &count);
  if (count > SCHEMA_STEPS_MAX)
    return declare_fail(d, "upcast has %u steps, at most %d are allowed", count, SCHEMA_STEPS_MAX);
  struct step *steps = arena_alloc(d->arena, (count + 1) * sizeof *steps);
  for (uint32_t i = 0; i < count; i++) {
    char where[24];
    snprintf(where, sizeof where, "upcast, step %u", i + 1);
    int rc = read_step(d, where, mp_take(&m), &steps[i]);
    if (rc) return rc;
  }
  d->schema->steps = steps;
  d->schema->step_count = count;
  return 0;
}

// ---- taking them ----

static bool find(const struct schema_scratch *s, struct bytes path, struct bytes *value) {
  return mp_find_path(buf_bytes(&s->maps), path, value) && value->p[0] != 0xc0;
}

static bool map_value(const struct step *step, struct schema_scratch *s) {
  struct bytes value;
  if (!find(s, step->path, &value)) return true;
  struct literal at = literal_of(value);
  for (uint32_t i = 0; i < step->rows; i++)
    if (literal_eq(step->from[i], at)) return mp_set(&s->maps, step->path, step->into[i]);
  return step->value.n == 0 || mp_set(&s->maps, step->path, step->value);
}

static bool scale_value(const struct step *step, struct schema_scratch *s) {
  struct bytes value;
  if (!find(s, step->path, &value)) return true;
  struct mp_value v = mp_value_of(value);
  double number;
  if (v.type == MP_BOOL || !mp_as_number(value, &number)) return true;
  int64_t whole;
  bool is_whole = v.type == MP_INT && step->by >= -9007199254740992.0 && step->by <= 9007199254740992.0 &&
                  step->by == (double)(int64_t)step->by && !__builtin_mul_overflow(v.i, (int64_t)step->by, &whole);
  double scaled = number * step->by;
  if (!is_whole && !isfinite(scaled)) return true; // it stays, and the schema says what it thinks of it
  buf_clear(&s->value);
  if (is_whole)
    mp_put_int(&s->value, whole);
  else
    mp_put_float(&s->value, scaled);
  return mp_set(&s->maps, step->path, buf_bytes(&s->value));
}

// Steps that put what they move into one another would else nest it without end.
static bool is_too_deep(struct bytes value, struct bytes to) {
  struct mp_limits limits = {.depth_max = MP_DEPTH_MAX - 1, .objects_max = UINT32_MAX, .bytes_max = SIZE_MAX};
  size_t n;
  for (size_t i = 0; i < to.n; i++) limits.depth_max -= to.p[i] == '.';
  return mp_scan(value, &limits, &n, NULL) != 1;
}

static bool move_value(const struct step *step, struct schema_scratch *s) {
  struct bytes value;
  if (!find(s, step->path, &value)) return true;
  if (is_too_deep(value, step->to)) return false;
  buf_clear(&s->value);
  return mp_cut(&s->maps, step->path, &s->value) && mp_set(&s->maps, step->to, buf_bytes(&s->value));
}

static bool take(const struct step *step, struct schema_scratch *s) {
  struct bytes value;
  switch (step->kind) {
  case STEP_MOVE: return move_value(step, s);
  case STEP_DROP: mp_cut(&s->maps, step->path, NULL); return true;
  case STEP_DEFAULT: return find(s, step->path, &value) || mp_set(&s->maps, step->path, step->value);
  case STEP_MAP: return map_value(step, s);
  default: return scale_value(step, s);
  }
}

int steps_take(const struct schema *schema, struct schema_scratch *s, struct error *err) {
  for (uint32_t i = 0; i < schema->step_count; i++) {
    const struct step *step = &schema->steps[i];
    if (take(step, s)) continue;
    struct bytes to = step->kind == STEP_MOVE ? step->to : step->path, value;
    if (step->kind == STEP_MOVE && find(s, step->path, &value)) // it was left where it is
      return error_set(err, ITD_ESCHEMA, "it can't become %s@%u: %.*s would be nested deeper than %d", schema->name,
                       schema->version, (int)to.n, (const char *)to.p, MP_DEPTH_MAX);
    return error_set(err, ITD_ESCHEMA, "it can't become %s@%u: what lies on the way to %.*s is no map", schema->name,
                     schema->version, (int)to.n, (const char *)to.p);
  }
  return 0;
}
