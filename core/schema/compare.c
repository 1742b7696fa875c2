// Whether a version reads what the one before it accepted. The older one's fields become a list of what a value may be at
// each path; the upcast's steps change that list as they change events; then every field of the newer one is held
// against it.
#include "schema/program.h"

#include "base/pmath.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// What the older version lets a value at a path be. A path may have several: a value is one of them.
struct shape {
  struct bytes path;
  bool is_absent;          // nothing can be there
  bool is_undeclared;      // it said nothing of it
  struct schema_node node; // its tests; `child` and `element` are not looked at
};

struct comparing {
  const struct schema *from, *to;
  struct arena arena;
  struct shape *shape;
  size_t count, cap, errors;
  schema_found found;
  void *context;
};

static void fault(struct comparing *c, const char *format, ...) ITD_PRINTF(2, 3);
static void fault(struct comparing *c, const char *format, ...) {
  char text[480];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  c->errors++;
  if (c->found) c->found(c->context, true, c->to->name, c->to->version, text);
}

// ---- the older version's shapes ----

static struct shape *add_shape(struct comparing *c, struct bytes path) {
  if (c->count == c->cap) {
    c->cap = c->cap ? 2 * c->cap : 64;
    c->shape = xrealloc(c->shape, c->cap * sizeof *c->shape);
  }
  struct shape *s = &c->shape[c->count++];
  *s = (struct shape){.path = path};
  return s;
}

static void gather(struct comparing *c, const struct schema_node *node, bool is_root) {
  if (!is_root || node->is_declared || node->child_count) {
    struct shape *s = add_shape(c, node->path);
    s->node = *node;
    if (is_root) s->node.type = TYPE_MAP;
  }
  for (uint32_t i = 0; i < node->child_count; i++) gather(c, node->child[i], false);
  if (node->element) gather(c, node->element, false);
}

static bool is_below(struct bytes path, struct bytes above) {
  return path.n > above.n && memcmp(path.p, above.p, above.n) == 0 &&
         (path.p[above.n] == '.' || path.p[above.n] == '[');
}

static struct bytes above(struct bytes path) {
  size_t n = path.n;
  if (n >= 2 && path.p[n - 1] == ']') return bytes_of(path.p, n - 2);
  while (n > 0 && path.p[n - 1] != '.') n--;
  return bytes_of(path.p, n ? n - 1 : 0);
}

static bool has_shape(const struct comparing *c, struct bytes path) {
  for (size_t i = 0; i < c->count; i++)
    if (bytes_eq(c->shape[i].path, path)) return true;
  return false;
}

// Can the older version's events hold something at a path that it did not declare?
static bool may_hold(const struct comparing *c, struct bytes path) {
  for (struct bytes up = above(path); up.n; up = above(up)) {
    bool is_known = false, may = false;
    for (size_t i = 0; i < c->count; i++) {
      const struct shape *s = &c->shape[i];
      if (!bytes_eq(s->path, up)) continue;
      is_known = true;
      bool is_map = s->node.type == TYPE_MAP && !s->node.is_closed, is_list = s->node.type == TYPE_LIST;
      may |= !s->is_absent && (s->node.type == TYPE_ANY ? !s->node.is_count : is_map || is_list);
    }
    if (is_known) return may;
  }
  return true;
}

// ---- steps ----

static void remove_at(struct comparing *c, struct bytes path) {
  size_t kept = 0;
  for (size_t i = 0; i < c->count; i++)
    if (!bytes_eq(c->shape[i].path, path) && !is_below(c->shape[i].path, path)) c->shape[kept++] = c->shape[i];
  c->count = kept;
}

static void add_absent(struct comparing *c, struct bytes path) { add_shape(c, path)->is_absent = true; }

static void add_undeclared(struct comparing *c, struct bytes path) {
  struct shape *s = add_shape(c, path);
  s->is_undeclared = true;
  s->node = (struct schema_node){.path = path, .min_length = -1, .max_length = -1};
}

// What an undeclared value is before a step reads it.
static void ensure(struct comparing *c, struct bytes path) {
  if (has_shape(c, path) || !may_hold(c, path)) return;
  add_undeclared(c, path);
}

// A value can be put into maps alone: what else may lie on the way would stop the step.
static void check_way(struct comparing *c, struct bytes path) {
  for (struct bytes up = above(path); above(up).n; up = above(up)) {
    bool may_be_other = !has_shape(c, up) && may_hold(c, up);
    for (size_t i = 0; i < c->count; i++)
      may_be_other |= bytes_eq(c->shape[i].path, up) && !c->shape[i].is_absent && c->shape[i].node.type != TYPE_MAP;
    if (may_be_other)
      fault(
          c,
          "a step of upcast puts %.*s into %.*s, which version %u did not declare a map: { drop = \"%.*s\" } before it",
          (int)path.n, (const char *)path.p, (int)up.n, (const char *)up.p, c->from->version, (int)up.n,
          (const char *)up.p);
  }
}

// Is something at a path of every event?
static bool is_sure(const struct comparing *c, struct bytes path) {
  bool is = true, is_any = false;
  for (; path.n && is; path = above(path)) {
    for (size_t i = 0; i < c->count; i++)
      if (bytes_eq(c->shape[i].path, path)) is_any |= c->shape[i].node.is_required && !c->shape[i].is_absent;
    is = is_any;
    is_any = false;
  }
  return is;
}

// Is anything known of what lies below a path, also that it is absent?
static bool is_known_below(const struct comparing *c, struct bytes path) {
  for (size_t i = 0; i < c->count; i++)
    if (is_below(c->shape[i].path, path)) return true;
  return false;
}

static bool may_be_there(const struct comparing *c, struct bytes path) {
  for (size_t i = 0; i < c->count; i++)
    if (bytes_eq(c->shape[i].path, path) && !c->shape[i].is_absent) return true;
  return false;
}

// Maps on the way are made where nothing was, and hold just what is put there.
static void make_way(struct comparing *c, struct bytes path, bool must) {
  for (struct bytes up = above(path); up.n; up = above(up)) {
    bool was_sure = is_sure(c, up);
    if (!has_shape(c, up)) add_absent(c, up);
    for (size_t i = 0; i < c->count; i++) {
      struct shape *s = &c->shape[i];
      // A map that may not have been there may now lack what it had to hold.
      bool is_on_way = must && (bytes_eq(s->path, path) || is_below(path, s->path));
      if (!was_sure && !is_on_way && bytes_eq(above(s->path), up)) s->node.is_required = false;
    }
    for (size_t i = 0; i < c->count; i++) {
      struct shape *s = &c->shape[i];
      if (!bytes_eq(s->path, up)) continue;
      if (s->is_absent)
        *s = (struct shape){
            .path = up,
            .node = {.path = up, .type = TYPE_MAP, .min_length = -1, .max_length = -1, .is_closed = above(up).n > 0}};
      s->node.is_required |= must;
    }
  }
}

static bool is_at(struct bytes path, struct bytes above) { return bytes_eq(path, above) || is_below(path, above); }

// Takes what lies at and below `path` out of the list, each under the path that it gets: one of the two may lie in the other.
static struct shape *take_out(struct comparing *c, const struct step *step, size_t *count) {
  struct shape *taken = arena_alloc(&c->arena, (c->count + 1) * sizeof *taken);
  size_t kept = 0;
  *count = 0;
  for (size_t i = 0; i < c->count; i++) {
    const struct shape *s = &c->shape[i];
    if (!is_at(s->path, step->path)) {
      c->shape[kept++] = *s;
      continue;
    }
    struct buf joined = {0};
    buf_append_bytes(&joined, step->to);
    buf_append(&joined, s->path.p + step->path.n, s->path.n - step->path.n);
    taken[*count] = *s;
    taken[(*count)++].path = arena_copy(&c->arena, buf_bytes(&joined));
    buf_deinit(&joined);
  }
  c->count = kept;
  return taken;
}

static void move(struct comparing *c, const struct step *step) {
  check_way(c, step->to);
  ensure(c, step->path);
  ensure(c, step->to);                // what is there stays where nothing moves
  bool must = is_sure(c, step->path); // required alone says: if what it lies in is there
  bool may_stay = !must && may_be_there(c, step->to);
  if (may_stay && (is_known_below(c, step->path) || is_known_below(c, step->to))) {
    // The one or the other lies there, each with its own fields: as if nothing were known.
    remove_at(c, step->to);
    remove_at(c, step->path);
    add_undeclared(c, step->to);
    add_absent(c, step->path);
    make_way(c, step->to, false);
    return;
  }
  size_t count;
  const struct shape *taken = take_out(c, step, &count);
  if (!may_stay) remove_at(c, step->to);
  for (size_t i = 0; i < count; i++) {
    struct shape *s = add_shape(c, taken[i].path);
    *s = taken[i];
    s->node.is_required &= must || !bytes_eq(s->path, step->to);
  }
  add_absent(c, step->path);
  make_way(c, step->to, false);
}

static struct schema_node only(struct comparing *c, struct bytes path, const struct literal *is, uint32_t count) {
  struct literal *copy = arena_alloc(&c->arena, (count + 1) * sizeof *copy);
  memcpy(copy, is, count * sizeof *copy);
  return (struct schema_node){.path = path, .min_length = -1, .max_length = -1, .is = copy, .is_count = count};
}

static void set_default(struct comparing *c, const struct step *step) {
  check_way(c, step->path);
  ensure(c, step->path);
  struct literal value = literal_of(step->value);
  for (size_t i = 0; i < c->count; i++) {
    struct shape *s = &c->shape[i];
    if (bytes_eq(s->path, step->path) && s->is_absent)
      c->shape[i--] = c->shape[--c->count];
    else if (bytes_eq(s->path, step->path))
      s->node.is_required = true;
  }
  struct shape *s = add_shape(c, step->path);
  s->node = only(c, step->path, &value, 1);
  s->node.is_required = true;
  make_way(c, step->path, true);
}

static void map_values(struct comparing *c, const struct step *step) {
  ensure(c, step->path);
  for (size_t i = 0, n = c->count; i < n; i++) {
    struct shape *s = &c->shape[i];
    if (s->is_absent || !bytes_eq(s->path, step->path)) continue;
    struct literal into[2 * SCHEMA_VALUES_MAX + 1];
    uint32_t count = 0;
    for (uint32_t k = 0; k < (s->node.is_count ? s->node.is_count : step->rows); k++) {
      struct bytes to = step->value;
      struct literal is = s->node.is_count ? s->node.is[k] : step->from[k];
      for (uint32_t r = 0; r < step->rows; r++)
        if (literal_eq(step->from[r], is)) to = step->into[r];
      into[count++] = to.n ? literal_of(to) : is;
    }
    bool is_open = !s->node.is_count && !step->value.n; // all else stays what it was
    if (!s->node.is_count && step->value.n) into[count++] = literal_of(step->value);
    struct schema_node node = only(c, step->path, into, count);
    node.is_required = s->node.is_required;
    if (is_open)
      add_shape(c, step->path)->node = node;
    else
      s->node = node;
  }
}

static void scale(struct comparing *c, const struct step *step) {
  bool is_whole = step->by >= -9e15 && step->by <= 9e15 && step->by == (double)(int64_t)step->by;
  ensure(c, step->path);
  for (size_t i = 0; i < c->count; i++) {
    struct schema_node *n = &c->shape[i].node;
    if (!bytes_eq(c->shape[i].path, step->path) || c->shape[i].is_absent) continue;
    if (n->type == TYPE_INTEGER && !is_whole) n->type = TYPE_NUMBER;
    if (n->type == TYPE_TIME) { // it may be a number, and then is any
      n->type = TYPE_ANY;
      n->has_least = n->has_most = false;
    }
    if (n->type != TYPE_INTEGER && n->type != TYPE_NUMBER && !n->is_count) continue;
    double least = n->at_least * step->by, most = n->at_most * step->by;
    bool is_turned = step->by < 0, has_least = n->has_least, has_most = n->has_most;
    n->at_least = is_turned ? most : least, n->at_most = is_turned ? least : most;
    n->has_least = is_turned ? has_most : has_least, n->has_most = is_turned ? has_least : has_most;
    struct literal *is = arena_alloc(&c->arena, (n->is_count + 1) * sizeof *is);
    for (uint32_t k = 0; k < n->is_count; k++) {
      is[k] = n->is[k];
      if (is[k].kind == LITERAL_NUMBER) is[k].number *= step->by;
    }
    n->is = is;
  }
}

static void take_steps(struct comparing *c) {
  for (uint32_t i = 0; i < c->to->step_count; i++) {
    const struct step *step = &c->to->steps[i];
    switch (step->kind) {
    case STEP_MOVE: move(c, step); break;
    case STEP_DROP:
      remove_at(c, step->path);
      add_absent(c, step->path);
      break;
    case STEP_DEFAULT: set_default(c, step); break;
    case STEP_MAP: map_values(c, step); break;
    case STEP_SCALE: scale(c, step); break;
    }
  }
}

// ---- the newer version's fields ----

static int64_t characters(struct bytes text) {
  int64_t n = 0;
  for (size_t i = 0; i < text.n; i++) n += (text.p[i] & 0xc0) != 0x80;
  return n;
}

static bool accepts(const struct schema_node *node, struct literal l) {
  bool ok = node->is_count == 0;
  for (uint32_t i = 0; i < node->is_count; i++) ok |= literal_eq(node->is[i], l);
  switch (node->type) {
  case TYPE_ANY: return ok;
  case TYPE_TEXT: ok &= l.kind == LITERAL_TEXT; break;
  case TYPE_BOOL: ok &= l.kind == LITERAL_BOOL; break;
  case TYPE_INTEGER: ok &= l.kind == LITERAL_NUMBER && l.number == pm_floor(l.number); break;
  case TYPE_NUMBER: ok &= l.kind == LITERAL_NUMBER; break;
  default: return false;
  }
  if (ok && l.kind == LITERAL_NUMBER)
    ok = (!node->has_least || l.number >= node->at_least) && (!node->has_most || l.number <= node->at_most);
  if (ok && l.kind == LITERAL_TEXT) {
    int64_t n = characters(l.text);
    ok = (node->min_length < 0 || n >= node->min_length) && (node->max_length < 0 || n <= node->max_length) &&
         (!node->pattern || pattern_matches(node->pattern, l.text));
  }
  return ok;
}

static bool type_widens(enum schema_type from, enum schema_type to) {
  return to == TYPE_ANY || from == to || (from == TYPE_INTEGER && to == TYPE_NUMBER);
}

#define PATH(node) (int)(node)->path.n, (const char *)(node)->path.p

static void compare_tests(struct comparing *c, const struct schema_node *to, const struct schema_node *from) {
  uint32_t before = c->from->version;
  if (to->is_count)
    fault(c,
          "%.*s must be one of a list, and version %u let it be more: lengthen `is`, or bring the others into it by "
          "{ map = …, values = …, otherwise = … } in upcast",
          PATH(to), before);
  if (to->has_least && !(from->has_least && from->at_least >= to->at_least))
    fault(c, "%.*s is at_least %.15g, and version %u took less: lower it", PATH(to), to->at_least, before);
  if (to->has_most && !(from->has_most && from->at_most <= to->at_most))
    fault(c, "%.*s is at_most %.15g, and version %u took more: raise it", PATH(to), to->at_most, before);
  int64_t least = from->min_length < 0 ? 0 : from->min_length;
  if (to->min_length > least)
    fault(c, "%.*s has min_length %lld, and version %u took shorter ones: lower it", PATH(to),
          (long long)to->min_length, before);
  if (to->max_length >= 0 && (from->max_length < 0 || from->max_length > to->max_length))
    fault(c, "%.*s has max_length %lld, and version %u took longer ones: raise it", PATH(to), (long long)to->max_length,
          before);
  if (to->pattern && !(from->pattern && bytes_eq(from->pattern_text, to->pattern_text)))
    fault(c, "%.*s has a pattern that version %u did not have: leave it out, or give the field a new name", PATH(to),
          before);
  if (to->is_closed && !from->is_closed)
    fault(c,
          "%.*s is closed, and version %u let other keys be: leave it open, or drop what may be there in upcast and "
          "keep it open",
          PATH(to), before);
}

static bool is_free(const struct schema_node *to) { return to->type == TYPE_ANY && !to->is_count; }

static void compare_shape(struct comparing *c, const struct schema_node *to, const struct schema_node *from) {
  if (from->is_count) {
    for (uint32_t i = 0; i < from->is_count; i++) {
      if (accepts(to, from->is[i])) continue;
      const struct literal *l = &from->is[i];
      if (l->kind == LITERAL_TEXT)
        fault(c,
              "%.*s no longer takes \"%.*s\", which version %u did: take it, or bring it into another by { map = … } "
              "in upcast",
              PATH(to), l->text.n < 40 ? (int)l->text.n : 40, (const char *)l->text.p, c->from->version);
      else
        fault(c,
              "%.*s no longer takes %s, which version %u did: take it, or bring it into another by { map = … } in "
              "upcast",
              PATH(to), l->kind == LITERAL_NUMBER ? "a number" : "a bool", c->from->version);
      return;
    }
    return;
  }
  if (!type_widens(from->type, to->type)) {
    fault(c, "%.*s is %s, and version %u took %s: widen the type, or give the field a new name", PATH(to),
          schema_types[to->type], c->from->version, from->type == TYPE_ANY ? "anything" : schema_types[from->type]);
    return;
  }
  compare_tests(c, to, from);
}

static void compare_node(struct comparing *c, const struct schema_node *to, bool is_root) {
  bool is_there = false, must = false, may_be = false;
  for (size_t i = 0; i < c->count; i++) {
    const struct shape *s = &c->shape[i];
    if (!bytes_eq(s->path, to->path)) continue;
    is_there = true;
    must |= s->node.is_required && !s->is_absent;
    if (s->is_absent) continue;
    may_be = true;
    if (s->is_undeclared && !is_free(to))
      fault(c,
            "%.*s may hold whatever version %u let lie there, which it did not declare: { drop = \"%.*s\" } before the "
            "other steps of upcast",
            PATH(to), c->from->version, PATH(to));
    else
      compare_shape(c, to, &s->node);
  }
  if (to->is_required && !must)
    fault(c,
          "%.*s is required, and version %u took events without it: { default = \"%.*s\", value = … } in upcast, or "
          "don't require it",
          PATH(to), c->from->version, PATH(to));
  if (!is_there && is_root && to->is_closed)
    fault(c, "%.*s is closed, and version %u let any key be: leave it open", PATH(to), c->from->version);
  if (!is_there && !is_root && !is_free(to) && may_hold(c, to->path)) {
    fault(
        c,
        "%.*s is new, and version %u took whatever lay there: { drop = \"%.*s\" } in upcast says that it meant nothing",
        PATH(to), c->from->version, PATH(to));
    return; // what lies below would be said again
  }
  if (is_there && !may_be) return;
  for (uint32_t i = 0; i < to->child_count; i++) compare_node(c, to->child[i], false);
  if (to->element) compare_node(c, to->element, false);
}

static const struct schema_node *node_of(const struct schema *s, struct bytes path) {
  const struct schema_node *node = NULL;
  for (int i = 0; i < SCHEMA_ROOTS; i++) {
    struct bytes key = s->root[i]->path;
    if (bytes_eq(path, key)) return s->root[i];
    if (is_below(path, key)) node = s->root[i];
  }
  while (node && !bytes_eq(node->path, path)) {
    const struct schema_node *next = node->element;
    for (uint32_t i = 0; i < node->child_count; i++) {
      struct bytes p = node->child[i]->path;
      if (bytes_eq(p, path) || is_below(path, p)) next = node->child[i];
    }
    node = next && (bytes_eq(next->path, path) || is_below(path, next->path)) ? next : NULL;
  }
  return node;
}

// A field that is gone from a map that is closed.
static void compare_gone(struct comparing *c) {
  for (size_t i = 0; i < c->count; i++) {
    const struct shape *s = &c->shape[i];
    const struct schema_node *up = s->is_absent ? NULL : node_of(c->to, above(s->path));
    if (up && up->is_closed && !node_of(c->to, s->path))
      fault(c, "%.*s is gone, and %.*s is closed: { drop = \"%.*s\" } in upcast, or keep the field", PATH(s), PATH(up),
            PATH(s));
  }
}

// What was personal must not turn up where nothing protects it.
static void compare_personal(struct comparing *c) {
  for (size_t i = 0; i < c->count; i++) {
    const struct shape *s = &c->shape[i];
    const struct schema_node *node = s->is_absent || !s->node.is_personal ? NULL : node_of(c->to, s->path);
    if (s->is_absent || !s->node.is_personal || (node && node->is_personal)) continue;
    if (c->found)
      c->found(
          c->context, false, c->to->name, c->to->version,
          "a field that is personal in the version before is not in this one: say personal = true there, or in the "
          "set's personal list");
    return;
  }
}

static size_t compare(const struct schema *from, const struct schema *to, schema_found found, void *context) {
  struct comparing c = {.from = from, .to = to, .found = found, .context = context};
  arena_init(&c.arena);
  for (int i = 0; i < SCHEMA_ROOTS; i++) gather(&c, from->root[i], true);
  take_steps(&c);
  for (int i = 0; i < SCHEMA_ROOTS; i++) compare_node(&c, to->root[i], true);
  compare_gone(&c);
  compare_personal(&c);
  free(c.shape);
  arena_deinit(&c.arena);
  return c.errors;
}

// ---- against an earlier release ----

// A declaration without what is for people alone.
static void strip(struct mp *m, struct buf *out) {
  struct mp_value head = mp_value_of(bytes_of(m->p, (size_t)(m->end - m->p)));
  if (head.type != MP_MAP && head.type != MP_ARRAY) {
    buf_append_bytes(out, mp_take(m));
    return;
  }
  mp_next(m);
  buf_append_u8(out, head.type == MP_MAP ? 'm' : 'a');
  for (uint32_t i = 0; i < head.count; i++) {
    struct bytes key = {0};
    if (head.type == MP_MAP) {
      struct bytes packed = mp_take(m);
      bool is_text = mp_as_str(packed, &key);
      if (is_text && (bytes_is(key, "description") || bytes_is(key, "owner"))) {
        mp_take(m);
        continue;
      }
      buf_append_bytes(out, packed);
    }
    strip(m, out);
  }
  buf_append_u8(out, 'e');
}

static bool is_same(const struct schema *a, const struct schema *b) {
  struct buf x = {0}, y = {0};
  struct mp m = mp_of(a->declaration), n = mp_of(b->declaration);
  strip(&m, &x);
  strip(&n, &y);
  bool same = bytes_eq(buf_bytes(&x), buf_bytes(&y));
  buf_deinit(&x);
  buf_deinit(&y);
  return same;
}

static const struct schema *version_of(const struct schema_set *set, const struct schema *like) {
  for (size_t i = 0; i < set->count; i++)
    if (set->schemas[i].version == like->version && strcmp(set->schemas[i].name, like->name) == 0)
      return &set->schemas[i];
  return NULL;
}

size_t schema_check(const struct schema_set *set, const struct schema_set *before, schema_found found, void *context) {
  size_t errors = 0;
  for (size_t i = 1; i < set->count; i++) {
    const struct schema *from = &set->schemas[i - 1], *to = &set->schemas[i];
    if (strcmp(from->name, to->name) == 0) errors += compare(from, to, found, context);
  }
  for (size_t i = 0; before && i < before->count; i++) {
    const struct schema *was = &before->schemas[i], *is = version_of(set, was);
    if (!is && found)
      found(
          context, false, was->name, was->version,
          "it was in force and is not in the set any more: events that claim it are refused from now on; put its file "
          "back unless nobody sends it");
    if (!is || is_same(was, is)) continue;
    errors++;
    if (found)
      found(context, true, was->name, was->version,
            "it is not what was in force under this number: a version never changes; put the file back as it was, and "
            "make the change a new version");
  }
  return errors;
}
