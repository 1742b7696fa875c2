// All schemas of a signal set: order, lookup, what is personal; and an event's way through them.
#include "schema/program.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>

// ---- compiling ----

static int by_version(const void *a, const void *b) {
  const struct schema *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order ? order : (x->version > y->version) - (x->version < y->version);
}

static int check_versions(struct schema_set *set, struct error *err) {
  uint32_t chain = 0;
  for (size_t i = 0; i < set->count; i++) {
    struct schema *s = &set->schemas[i];
    const struct schema *before = i > 0 && strcmp(s[-1].name, s->name) == 0 ? s - 1 : NULL;
    s->is_newest = i + 1 == set->count || strcmp(s[1].name, s->name) != 0;
    chain = before ? chain + s->step_count : 0;
    if (before && before->version == s->version)
      return error_set(err, ITD_EPOLICY, "schemas: %s@%u is there twice", s->name, s->version);
    if (before && before->version + 1 != s->version)
      return error_set(
          err, ITD_EPOLICY,
          "schemas: %s@%u is there and %s@%u, but none between them: every version from the oldest kept on "
          "keeps its file",
          s->name, before->version, s->name, s->version);
    if (chain > SCHEMA_CHAIN_MAX)
      return error_set(err, ITD_EPOLICY,
                       "schemas: %s: more than %d steps from its oldest version to version %u; let the oldest go when "
                       "nobody sends them any more",
                       s->name, SCHEMA_CHAIN_MAX, s->version);
  }
  return 0;
}

// Paths through lists are meant without their [] (event.h).
static void add_personal(struct schema_set *set, const struct schema_node *node) {
  if (node->is_personal) {
    uint8_t *text = arena_alloc(&set->arena, node->path.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < node->path.n; i++)
      if (node->path.p[i] != '[' && node->path.p[i] != ']') text[n++] = node->path.p[i];
    struct bytes path = bytes_of(text, n);
    for (size_t i = 0; i < set->personal_count; i++)
      if (bytes_eq(set->personal[i], path)) return;
    if ((set->personal_count & (set->personal_count - 1)) == 0) { // room doubles at the powers of two
      size_t room = set->personal_count ? 2 * set->personal_count : 1;
      struct bytes *more = arena_alloc(&set->arena, room * sizeof *more);
      if (set->personal_count) memcpy(more, set->personal, set->personal_count * sizeof *more);
      set->personal = more;
    }
    set->personal[set->personal_count++] = path;
  }
  for (uint32_t i = 0; i < node->child_count; i++) add_personal(set, node->child[i]);
  if (node->element) add_personal(set, node->element);
}

static int by_hash(const void *a, const void *b) {
  const struct schema_row *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return (x->schema > y->schema) - (x->schema < y->schema);
}

static void index_names(struct schema_set *set) {
  size_t rows = 0;
  for (size_t i = 0; i < set->count; i++) rows += set->schemas[i].on_count;
  set->rows = arena_alloc(&set->arena, (rows + 1) * sizeof *set->rows);
  set->nameless = arena_alloc(&set->arena, (set->count + 1) * sizeof *set->nameless);
  for (size_t i = 0; i < set->count; i++) {
    const struct schema *s = &set->schemas[i];
    bool is_nameless = false;
    for (uint32_t k = 0; k < s->on_count && s->is_newest; k++) is_nameless |= s->on[k].event.n == 0;
    if (is_nameless) set->nameless[set->nameless_count++] = s;
    for (uint32_t k = 0; k < s->on_count && s->is_newest && !is_nameless; k++)
      set->rows[set->row_count++] = (struct schema_row){hash64(s->on[k].event), s};
  }
  if (set->row_count) qsort(set->rows, set->row_count, sizeof *set->rows, by_hash);
  size_t kept = 0; // a name that a schema has twice
  for (size_t i = 0; i < set->row_count; i++)
    if (!kept || by_hash(&set->rows[kept - 1], &set->rows[i]) != 0) set->rows[kept++] = set->rows[i];
  set->row_count = kept;
}

static int compile(struct schema_set *set, struct bytes declarations, struct error *err) {
  uint32_t count = 0;
  struct mp m = {0};
  if (declarations.n) {
    struct mp_value head = mp_value_of(declarations);
    if (head.type != MP_ARRAY && !(head.type == MP_MAP && head.count == 0))
      return error_set(err, ITD_EPOLICY, "schemas: a list of schemas is wanted");
    m = declare_list(declarations, &count);
  }
  if (count > SCHEMAS_MAX)
    return error_set(err, ITD_EPOLICY, "schemas: %u versions, at most %d are allowed in a set", count, SCHEMAS_MAX);
  set->schemas = arena_alloc(&set->arena, (count + 1) * sizeof *set->schemas);
  for (; set->count < count; set->count++) {
    int rc = declare_schema(mp_take(&m), set->count + 1, &set->arena, &set->schemas[set->count], err);
    if (rc) return rc;
  }
  if (count > 1) qsort(set->schemas, count, sizeof *set->schemas, by_version);
  int rc = check_versions(set, err);
  if (rc == 0) index_names(set);
  for (size_t i = 0; rc == 0 && i < count; i++)
    for (int r = 0; r < SCHEMA_ROOTS; r++) add_personal(set, set->schemas[i].root[r]);
  return rc;
}

int schema_set_compile(struct bytes declarations, struct schema_set **out, struct error *err) {
  struct schema_set *set = xcalloc(1, sizeof *set);
  arena_init(&set->arena);
  int rc = compile(set, declarations, err);
  if (rc)
    schema_set_free(set);
  else
    *out = set;
  return rc;
}

void schema_set_free(struct schema_set *set) {
  if (!set) return;
  arena_deinit(&set->arena);
  free(set);
}

size_t schema_count(const struct schema_set *set) { return set->count; }

struct schema_info schema_info(const struct schema_set *set, size_t index) {
  const struct schema *s = &set->schemas[index];
  return (struct schema_info){.name = s->name,
                              .description = s->description,
                              .owner = s->owner,
                              .version = s->version,
                              .is_newest = s->is_newest,
                              .fields = s->field_count};
}

struct personal_paths schema_personal(const struct schema_set *set) {
  return (struct personal_paths){set->personal, set->personal_count};
}

void schema_scratch_deinit(struct schema_scratch *scratch) {
  buf_deinit(&scratch->maps);
  buf_deinit(&scratch->value);
}

// ---- which schemas ----

bool schema_on_meets(const struct schema_on *list, uint32_t count, const struct event *e) {
  for (uint32_t i = 0; i < count; i++) {
    const struct schema_on *on = &list[i];
    if ((on->types >> e->type & 1) && (!on->event.n || bytes_eq(on->event, e->name)) &&
        (!on->channel.n || bytes_eq(on->channel, e->channel)))
      return true;
  }
  return false;
}

static bool meets(const struct schema *s, const struct event *e) { return schema_on_meets(s->on, s->on_count, e); }

// "name@version": whether it is one; *schema NULL when the set has no such version.
static bool claimed(const struct schema_set *set, struct bytes claim, const struct schema **schema,
                    const struct schema **newest) {
  const uint8_t *at = memrchr(claim.p, '@', claim.n);
  *schema = *newest = NULL;
  if (!at || at == claim.p || at + 1 == claim.p + claim.n) return false;
  size_t n = (size_t)(at - claim.p);
  uint64_t version = 0;
  for (const uint8_t *p = at + 1; p < claim.p + claim.n; p++) {
    if (*p < '0' || *p > '9' || version > UINT32_MAX || (p == at + 1 && *p == '0')) return false;
    version = version * 10 + (*p - '0');
  }
  for (size_t i = 0; i < set->count; i++) {
    const struct schema *s = &set->schemas[i];
    if (!bytes_is(bytes_of(claim.p, n), s->name)) continue;
    if (s->version == version) *schema = s;
    *newest = s;
  }
  return true;
}

static size_t first_row(const struct schema_set *set, uint64_t hash) {
  size_t from = 0, to = set->row_count;
  while (from < to) {
    size_t middle = (from + to) / 2;
    if (set->rows[middle].hash < hash)
      from = middle + 1;
    else
      to = middle;
  }
  return from;
}

// The next newest schema that an event meets, in an order that is always the same; NULL: no more. *at: 0 to begin.
static const struct schema *next_met(const struct schema_set *set, const struct event *e, size_t *at) {
  while (*at < set->nameless_count) {
    const struct schema *s = set->nameless[(*at)++];
    if (meets(s, e)) return s;
  }
  if (set->row_count == 0) return NULL;
  uint64_t hash = hash64(e->name);
  if (*at == set->nameless_count) *at += first_row(set, hash);
  for (size_t row; (row = *at - set->nameless_count) < set->row_count && set->rows[row].hash == hash;) {
    ++*at;
    if (meets(set->rows[row].schema, e)) return set->rows[row].schema;
  }
  return NULL;
}

bool schema_covers(const struct schema_set *set, const struct event *event) {
  const struct schema *schema, *newest;
  size_t at = 0;
  if (event->schema.n && claimed(set, event->schema, &schema, &newest) && schema) return true;
  return next_met(set, event, &at) != NULL;
}

// ---- upcast ----

// The event's maps as one, step by step to the newest version, and the event with the maps that come out.
static int upcast(const struct schema *from, const struct event *event, struct schema_scratch *s, struct event *seen,
                  struct error *err) {
  const struct bytes maps[SCHEMA_ROOTS] = {event->properties, event->traits, event->context};
  uint32_t count = 0;
  for (int i = 0; i < SCHEMA_ROOTS; i++) count += maps[i].n > 0;
  buf_clear(&s->maps);
  mp_put_map(&s->maps, count);
  for (int i = 0; i < SCHEMA_ROOTS; i++) {
    if (!maps[i].n) continue;
    mp_put_cstr(&s->maps, schema_roots[i]);
    mp_put_raw(&s->maps, maps[i]);
  }
  for (const struct schema *to = from; !to->is_newest;) {
    int rc = steps_take(++to, s, err);
    if (rc) return rc;
  }
  *seen = *event;
  struct bytes *out[SCHEMA_ROOTS] = {&seen->properties, &seen->traits, &seen->context};
  for (int i = 0; i < SCHEMA_ROOTS; i++)
    if (!mp_find(buf_bytes(&s->maps), bytes_str(schema_roots[i]), out[i])) *out[i] = (struct bytes){0};
  return 0;
}

void schema_see(const struct schema_set *set, const struct event *event, struct schema_scratch *scratch,
                struct event *seen) {
  const struct schema *from, *newest;
  *seen = *event;
  if (!event->schema.n || !set->count || !claimed(set, event->schema, &from, &newest) || !from || from == newest)
    return;
  if (upcast(from, event, scratch, seen, NULL) != 0) *seen = *event;
}

// ---- judgement ----

static int unknown_claim(const struct event *event, const struct schema *newest, bool is_form, struct error *err) {
  struct bytes claim = event->schema;
  if (!is_form) return error_set(err, ITD_ESCHEMA, "schema must be name@version, such as \"demo@2\"");
  if (newest)
    return error_set(err, ITD_ESCHEMA, "the signal set has no version of %s that the event claims; its newest is %s@%u",
                     newest->name, newest->name, newest->version);
  return error_set(err, ITD_ESCHEMA, "the signal set has no schema %.*s, which the event claims",
                   claim.n < 100 ? (int)claim.n : 100, (const char *)claim.p);
}

static int judge_claim(const struct schema_set *set, const struct event *event, struct schema_scratch *scratch,
                       struct event *seen, const struct schema **newest, struct error *err) {
  const struct schema *from;
  bool is_form = claimed(set, event->schema, &from, newest);
  if (!from) return unknown_claim(event, *newest, is_form, err);
  if (from->on_count && !meets(from, event))
    return error_set(err, ITD_ESCHEMA, "the event claims %s@%u, which is for other events (its on)", from->name,
                     from->version);
  int rc = judge_event(from, event, err);
  if (rc || from == *newest) return rc;
  rc = upcast(from, event, scratch, seen, err);
  if (rc == 0) rc = judge_event(*newest, seen, err);
  if (rc) error_prefix(err, "after its upcast from %s@%u, which it claims and keeps", from->name, from->version);
  return rc;
}

int schema_judge(const struct schema_set *set, const struct event *event, struct schema_scratch *scratch,
                 struct event *seen, struct error *err) {
  *seen = *event;
  if (!set->count) return 0;
  const struct schema *newest = NULL;
  int rc = event->schema.n ? judge_claim(set, event, scratch, seen, &newest, err) : 0;
  size_t at = 0;
  for (const struct schema *s; rc == 0 && (s = next_met(set, event, &at));)
    if (s != newest) rc = judge_event(s, seen, err);
  return rc;
}
