// The compiled schema against a validator that knows nothing of trees and passes: it looks at one field at a time, at every
// value that its path names. Patterns against one that tries everything. And what the comparison of versions promises: when
// it finds no fault, no event that the older version accepts is refused after its upcast.
//
//   SEED=… the same again; STREAMS=… more rounds (default 4000)
#include "../random.h"
#include "schema/pattern.h"
#include "support.h"

// ---- values ----

enum kind { NIL, BOOL, INT, FLOAT, TEXT, LIST, MAP };
struct value {
  enum kind kind;
  double number;
  const char *text;
  size_t count;
  const char *key[6];
  struct value *at[6];
};

static bool is_plain; // no key twice in a map, and none with a dot
static struct value pool[4000];
static size_t pooled;

static const char *const texts[] = {"x", "y", "xy", "ab-1", "", "\xc3\xa4", "2026-01-05"};
static const char *const keys[] = {"a", "b", "c", "l", "a.c", "a.b", "l.c", "z"};
#define PICK(list) ((list)[random_below(sizeof(list) / sizeof *(list))])

static const char *random_key(size_t i) {
  static const char *const plain[] = {"a", "b", "c", "l", "z"};
  static size_t from;
  if (!is_plain) return PICK(keys);
  if (i == 0) from = random_below(5);
  return plain[(from + i) % 5];
}

static struct value *new_value(enum kind kind) {
  CHECK(pooled < sizeof pool / sizeof *pool);
  pool[pooled] = (struct value){.kind = kind};
  return &pool[pooled++];
}

static struct value *random_value(unsigned depth) {
  struct value *v = new_value((enum kind)random_below(depth ? 7 : 5));
  switch (v->kind) {
  case BOOL: v->number = (double)random_below(2); break;
  case INT: v->number = (double)random_below(7) - 2; break;
  case FLOAT: v->number = (double)random_below(13) / 2 - 2; break;
  case TEXT: v->text = PICK(texts); break;
  case LIST:
  case MAP:
    v->count = random_below(4);
    for (size_t i = 0; i < v->count; i++) {
      v->at[i] = random_value(depth - 1);
    }
    for (size_t i = 0; i < v->count; i++) v->key[i] = random_key(i);
    break;
  default: break;
  }
  return v;
}

static void put(struct buf *b, const struct value *v) {
  switch (v->kind) {
  case NIL: mp_put_nil(b); break;
  case BOOL: mp_put_bool(b, v->number != 0); break;
  case INT: mp_put_int(b, (int64_t)v->number); break;
  case FLOAT: mp_put_float(b, v->number); break;
  case TEXT: mp_put_cstr(b, v->text); break;
  case LIST: mp_put_array(b, (uint32_t)v->count); break;
  case MAP: mp_put_map(b, (uint32_t)v->count); break;
  }
  for (size_t i = 0; i < v->count; i++) {
    if (v->kind == MAP) mp_put_cstr(b, v->key[i]);
    put(b, v->at[i]);
  }
}

// ---- schemas ----

static const char *const types[] = {"any", "text", "integer", "number", "bool", "time", "list", "map"};
struct field {
  const char *path;
  unsigned type;
  bool required, closed, has_least, has_most;
  int least, most, min_length, max_length; // lengths: -1 none
  unsigned is;                             // bits of `literals`
  const char *pattern;
};
static const char *const literals[] = {"'x'", "'y'", "1", "2.5", "true"};
static const char *const patterns[] = {"[a-z]+", "x?y*", "[a-z]{2}-[0-9]"};
static const char *const paths[] = {"properties",         "properties.a",     "properties.b",   "properties.c",
                                    "properties.a.b",     "properties.l",     "properties.a.c", "properties.l[]",
                                    "traits.a",           "properties.l[].c", "traits.a.b",     "properties.l[].a",
                                    "properties.l[].a.b", "context.c"};

static bool starts(const char *path, const char *with) {
  size_t n = strlen(with);
  return strncmp(path, with, n) == 0 && (path[n] == '.' || path[n] == '[');
}

static void random_field(struct field *f, const char *path) {
  *f = (struct field){.path = path, .type = (unsigned)random_below(8), .min_length = -1, .max_length = -1};
  size_t n = strlen(path);
  bool is_element = path[n - 1] == ']';
  f->required = !is_element && random_below(4) == 0;
  f->closed = f->type == 7 && random_below(3) == 0;
  bool is_number = f->type == 2 || f->type == 3;
  if (is_number && random_below(3) == 0) f->has_least = true, f->least = (int)random_below(3) - 1;
  if (is_number && random_below(3) == 0) f->has_most = true, f->most = (int)random_below(3) + 1;
  if ((f->type == 1 || f->type == 6) && random_below(3) == 0) f->min_length = (int)random_below(2);
  if ((f->type == 1 || f->type == 6) && random_below(3) == 0) f->max_length = (int)random_below(3) + 1;
  static const unsigned fits[] = {31, 3, 12, 12, 16, 0, 0, 0};
  if (fits[f->type] && random_below(3) == 0) {
    f->is = (unsigned)random_below(32) & fits[f->type];
    if (f->type == 2) f->is &= ~8u;
  }
  if (f->type == 1 && random_below(3) == 0) f->pattern = PICK(patterns);
}

// Fields whose types agree with what lies below them.
static size_t random_fields(struct field *out) {
  size_t count = 0, wanted = random_below(6);
  for (size_t i = 0; i < wanted; i++) {
    struct field f;
    const char *path = PICK(paths);
    bool is_taken = false;
    for (size_t k = 0; k < count; k++) is_taken |= strcmp(out[k].path, path) == 0;
    if (is_taken) continue;
    random_field(&f, path);
    out[count++] = f;
  }
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < count; k++) {
      struct field *f = &out[i];
      bool has_key = starts(out[k].path, f->path), is_list = has_key && out[k].path[strlen(f->path)] == '[';
      unsigned must = strcmp(f->path, "properties") == 0 ? 7 : !has_key ? f->type : is_list ? 6 : 7;
      if (must == f->type) continue;
      *f = (struct field){.path = f->path, .type = must, .required = f->required, .min_length = -1, .max_length = -1};
    }
  return count;
}

static void put_fields(struct buf *json, const struct field *f, size_t count) {
  for (size_t i = 0; i < count; i++, f++) {
    buf_printf(json, "%s{'path': '%s', 'type': '%s', 'required': %s", i ? "," : "", f->path, types[f->type],
               f->required ? "true" : "false");
    if (f->type == 7) buf_printf(json, ", 'closed': %s", f->closed ? "true" : "false");
    if (f->has_least) buf_printf(json, ", 'at_least': %d", f->least);
    if (f->has_most) buf_printf(json, ", 'at_most': %d", f->most);
    if (f->min_length >= 0) buf_printf(json, ", 'min_length': %d", f->min_length);
    if (f->max_length >= 0) buf_printf(json, ", 'max_length': %d", f->max_length);
    if (f->pattern) buf_printf(json, ", 'pattern': '%s'", f->pattern);
    const char *comma = "";
    if (f->is) buf_append_str(json, ", 'is': [");
    for (unsigned k = 0; k < 5; k++)
      if (f->is >> k & 1) buf_printf(json, "%s%s", comma, literals[k]), comma = ",";
    buf_append_str(json, f->is ? "]}" : "}");
  }
}

// ---- the other matcher: tries every number of times ----

static bool one(const char *element, size_t n, unsigned char c) {
  if (element[0] == '.') return true;
  if (element[0] != '[') return (unsigned char)element[0] == c;
  for (size_t i = 1; i + 1 < n;) {
    bool is_range = i + 3 < n && element[i + 1] == '-';
    if (c >= (unsigned char)element[i] && c <= (unsigned char)element[is_range ? i + 2 : i]) return true;
    i += is_range ? 3 : 1;
  }
  return false;
}

static bool try_all(const char *p, const char *t) {
  if (!*p) return !*t;
  size_t n = p[0] == '[' ? strcspn(p, "]") + 1 : 1;
  const char *rest = p + n;
  int least = 1, most = 1;
  if (*rest == '?')
    least = 0, rest++;
  else if (*rest == '*')
    least = 0, most = 1000, rest++;
  else if (*rest == '+')
    most = 1000, rest++;
  else if (*rest == '{') {
    char *end;
    least = most = (int)strtol(rest + 1, &end, 10);
    if (*end == ',') most = end[1] == '}' ? 1000 : (int)strtol(end + 1, &end, 10);
    rest = strchr(rest, '}') + 1;
  }
  for (int i = 0;; i++) {
    if (i >= least && try_all(rest, t)) return true;
    if (i == most || !*t || !one(p, n, (unsigned char)*t)) return false;
    t++;
  }
}

// ---- the other validator ----

struct hits {
  const struct value *v[400];
  size_t count;
};

// Every value that the rest of a path names below `v`.
static void hit(const struct value *v, const char *path, struct hits *out) {
  if (!*path) {
    CHECK(out->count < 400);
    out->v[out->count++] = v;
    return;
  }
  if (path[0] == '[') {
    if (v->kind == LIST)
      for (size_t i = 0; i < v->count; i++) hit(v->at[i], path + 2, out);
    return;
  }
  path++; // the dot
  if (v->kind != MAP) return;
  for (size_t i = 0; i < v->count; i++) {
    size_t n = strlen(v->key[i]);
    bool is_it = strncmp(path, v->key[i], n) == 0 && (path[n] == 0 || path[n] == '.' || path[n] == '[');
    if (is_it && v->at[i]->kind != NIL) hit(v->at[i], path + n, out);
  }
}

static bool literal_is(const struct value *v, unsigned k) {
  switch (k) {
  case 0: return v->kind == TEXT && strcmp(v->text, "x") == 0;
  case 1: return v->kind == TEXT && strcmp(v->text, "y") == 0;
  case 2: return (v->kind == INT || v->kind == FLOAT) && v->number == 1;
  case 3: return (v->kind == INT || v->kind == FLOAT) && v->number == 2.5;
  default: return v->kind == BOOL && v->number == 1;
  }
}

static int length_of(const struct value *v) {
  if (v->kind == LIST) return (int)v->count;
  return strcmp(v->text, "\xc3\xa4") == 0 ? 1 : (int)strlen(v->text);
}

static bool value_ok(const struct field *f, const struct value *v) {
  bool is_number = v->kind == INT || v->kind == FLOAT, is_whole = is_number && v->number == (double)(int)v->number;
  const bool of_type[] = {true,
                          v->kind == TEXT,
                          is_whole,
                          is_number,
                          v->kind == BOOL,
                          (v->kind == TEXT && strcmp(v->text, "2026-01-05") == 0) || is_whole,
                          v->kind == LIST,
                          v->kind == MAP};
  if (!of_type[f->type]) return false;
  if (f->has_least && v->number < f->least) return false;
  if (f->has_most && v->number > f->most) return false;
  if (f->min_length >= 0 && length_of(v) < f->min_length) return false;
  if (f->max_length >= 0 && length_of(v) > f->max_length) return false;
  if (f->pattern && !try_all(f->pattern, v->text)) return false;
  bool is = !f->is;
  for (unsigned k = 0; k < 5; k++) is |= (f->is >> k & 1) && literal_is(v, k);
  return is;
}

static bool is_path(const struct field *f, size_t count, const char *path) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(f[i].path, path) == 0 || starts(f[i].path, path)) return true;
  return false;
}

static bool closed_ok(const struct field *all, size_t count, const struct field *f, const struct value *v) {
  for (size_t i = 0; i < v->count; i++) {
    char path[200];
    snprintf(path, sizeof path, "%s.%s", f->path, v->key[i]);
    if (!is_path(all, count, path)) return false;
  }
  return true;
}

static void all_at(const struct value *const roots[3], const char *path, struct hits *out) {
  static const char *const names[] = {"properties", "traits", "context"};
  out->count = 0;
  for (int r = 0; r < 3; r++) {
    size_t n = strlen(names[r]);
    bool is_it = strncmp(path, names[r], n) == 0 && (!path[n] || path[n] == '.' || path[n] == '[');
    if (is_it && roots[r]) hit(roots[r], path + n, out);
  }
}

// Must the value at a path be there, wherever what it lies in is?
static bool must(const struct field *all, size_t count, const char *path) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(all[i].path, path) == 0) return all[i].required;
  for (size_t i = 0; i < count; i++) { // no field: when it must hold something
    if (!starts(all[i].path, path) || all[i].path[strlen(path)] != '.') continue;
    char next[200];
    size_t n = strlen(path) + 1;
    n += strcspn(all[i].path + n, ".[");
    snprintf(next, sizeof next, "%.*s", (int)n, all[i].path);
    if (must(all, count, next)) return true;
  }
  return false;
}

static bool required_ok(const struct field *all, size_t count, const struct value *const roots[3], const char *path) {
  char up[200];
  const char *dot = strrchr(path, '.');
  if (!must(all, count, path)) return true;
  struct hits hits;
  if (!dot) {
    all_at(roots, path, &hits);
    return hits.count > 0;
  }
  snprintf(up, sizeof up, "%.*s", (int)(dot - path), path);
  all_at(roots, up, &hits);
  for (size_t i = 0; i < hits.count; i++) {
    bool is_there = hits.v[i]->kind != MAP;
    for (size_t k = 0; k < hits.v[i]->count && !is_there; k++)
      is_there = strcmp(hits.v[i]->key[k], dot + 1) == 0 && hits.v[i]->at[k]->kind != NIL;
    if (!is_there) return false;
  }
  return true;
}

static bool oracle(const struct field *all, size_t count, const struct value *const roots[3]) {
  struct hits hits;
  for (size_t i = 0; i < count; i++) {
    all_at(roots, all[i].path, &hits);
    for (size_t k = 0; k < hits.count; k++) {
      if (!value_ok(&all[i], hits.v[k])) return false;
      if (all[i].closed && !closed_ok(all, count, &all[i], hits.v[k])) return false;
    }
    for (const char *c = all[i].path;; c++) { // each place on the way is what the path says, and there when it must be
      if (*c && *c != '.' && *c != '[') continue;
      char path[200];
      snprintf(path, sizeof path, "%.*s", (int)(c - all[i].path), all[i].path);
      if (*c != '[' && path[strlen(path) - 1] != ']' && !required_ok(all, count, roots, path)) return false;
      if (*c == '[' && !required_ok(all, count, roots, path)) return false;
      all_at(roots, path, &hits);
      for (size_t k = 0; *c && k < hits.count; k++)
        if (hits.v[k]->kind != (*c == '[' ? LIST : MAP)) return false;
      if (!*c) break;
    }
  }
  return true;
}

// ---- the tests ----

static size_t rounds(void) {
  const char *text = getenv("STREAMS");
  return text ? (size_t)strtoull(text, NULL, 10) : 4000;
}

static void put_event(struct buf *map, const struct value *const roots[3], const char *schema) {
  static const char *const names[] = {"properties", "traits", "context"};
  uint32_t count = 3 + (schema != NULL);
  for (int i = 0; i < 3; i++) count += roots[i] != NULL;
  mp_put_map(map, count);
  mp_put_cstr(map, "type"), mp_put_cstr(map, "track");
  mp_put_cstr(map, "event"), mp_put_cstr(map, "E");
  mp_put_cstr(map, "userId"), mp_put_cstr(map, "u");
  if (schema) mp_put_cstr(map, "schema"), mp_put_cstr(map, schema);
  for (int i = 0; i < 3; i++)
    if (roots[i]) mp_put_cstr(map, names[i]), put(map, roots[i]);
}

static struct value *random_root(void) {
  struct value *v = new_value(MAP);
  v->count = random_below(5);
  for (size_t i = 0; i < v->count; i++) {
    v->at[i] = random_value(3);
  }
  for (size_t i = 0; i < v->count; i++) v->key[i] = random_key(i);
  return v;
}

static void random_event(const struct value *roots[3]) {
  pooled = 0;
  roots[0] = random_below(8) ? random_root() : NULL;
  roots[1] = random_below(2) ? random_root() : NULL;
  roots[2] = random_below(3) == 0 ? random_root() : NULL;
}

static void random_schemas_and_events_agree_with_the_oracle(void **state) {
  (void)state;
  size_t good = 0, bad = 0;
  for (size_t i = 0; i < rounds(); i++) {
    struct field fields[8];
    struct buf json = {0};
    size_t count = random_fields(fields);
    buf_append_str(&json, "[{'name': 's', 'version': 1, 'on': 'E', 'fields': [");
    put_fields(&json, fields, count);
    buf_append_str(&json, "]}]");
    buf_append_u8(&json, 0);
    struct schema_set *set = compile((const char *)json.p);
    for (int k = 0; k < 20; k++) {
      const struct value *roots[3];
      struct buf map = {0};
      struct given g;
      random_event(roots);
      put_event(&map, roots, NULL);
      given_open(&g, buf_bytes(&map));
      bool is_ok = schema_judge(set, &g.event, &g.scratch, &g.seen, &g.err) == 0;
      if (is_ok != oracle(fields, count, roots)) {
        struct buf shown = {0};
        mp_to_json(buf_bytes(&map), &shown);
        fail_msg("schema %s\nevent %.*s\nthe compiled one says %s, the oracle not", (char *)json.p, (int)shown.n,
                 (char *)shown.p, is_ok ? "yes" : g.err.text);
      }
      *(is_ok ? &good : &bad) += 1;
      given_close(&g);
      buf_deinit(&map);
    }
    schema_set_free(set);
    buf_deinit(&json);
  }
  print_message("%zu accepted, %zu refused\n", good, bad);
  assert_true(good > bad / 50 && bad > good / 50);
}

static void random_patterns_agree_with_the_oracle(void **state) {
  (void)state;
  static const char *const elements[] = {"a", "b", ".", "[ab]", "[b-c]", "[a]"};
  static const char *const times[] = {"", "", "", "?", "*", "+", "{2}", "{1,}", "{0,2}", "{2,3}"};
  size_t matched = 0;
  for (size_t i = 0; i < rounds() * 4; i++) {
    char pattern[100] = "", text[12];
    struct pattern p;
    struct error err = {0};
    for (size_t k = random_below(5); k > 0; k--) strcat(strcat(pattern, PICK(elements)), PICK(times));
    size_t n = random_below(sizeof text - 1);
    for (size_t k = 0; k < n; k++) text[k] = (char)('a' + random_below(3));
    text[n] = 0;
    if (pattern_compile(bytes_str(pattern), &p, &err) != 0) fail_msg("%s: %s", pattern, err.text);
    bool is = pattern_matches(&p, bytes_str(text));
    matched += is;
    if (is != try_all(pattern, text)) fail_msg("pattern %s on %s: %d", pattern, text, is);
  }
  assert_true(matched > rounds() / 20);
}

static void random_step(struct buf *json) {
  static const char *const at[] = {"properties.a",   "properties.b", "properties.c",
                                   "properties.a.b", "traits.a",     "context.c"};
  const char *path = PICK(at), *to = PICK(at);
  while (strcmp(to, path) == 0 || starts(to, path)) to = PICK(at);
  switch (random_below(6)) {
  case 0: buf_printf(json, "{'move': '%s', 'to': '%s'}", path, to); break;
  case 1: buf_printf(json, "{'default': '%s', 'value': %s}", path, PICK(literals)); break;
  case 2: buf_printf(json, "{'map': '%s', 'values': [['x', %s], [1, 'y']]}", path, PICK(literals)); break;
  case 3: buf_printf(json, "{'map': '%s', 'values': [['x', 'x']], 'otherwise': %s}", path, PICK(literals)); break;
  case 4: buf_printf(json, "{'scale': '%s', 'by': %s}", path, random_below(2) ? "-2" : "0.5"); break;
  default: buf_printf(json, "{'drop': '%s'}", path);
  }
}

static void no_fault_means_no_refusal(void **state) {
  (void)state;
  size_t faultless = 0, accepted_old = 0;
  is_plain = true;
  for (size_t i = 0; i < rounds() * 4; i++) {
    struct field from[8], to[8];
    struct buf json = {0};
    size_t count = random_fields(from), to_count = count;
    memcpy(to, from, sizeof to);
    if (random_below(3) == 0) to_count = random_fields(to);
    buf_append_str(&json, "[{'name': 's', 'version': 1, 'fields': [");
    put_fields(&json, from, count);
    buf_append_str(&json, "]}, {'name': 's', 'version': 2, 'fields': [");
    put_fields(&json, to, to_count);
    buf_append_str(&json, "], 'upcast': [");
    size_t steps = random_below(4);
    for (size_t k = 0; k < steps; k++) {
      if (k) buf_append_u8(&json, ',');
      random_step(&json);
    }
    buf_append_str(&json, "]}]");
    buf_append_u8(&json, 0);
    struct schema_set *set = compile((const char *)json.p);
    bool is_faultless = schema_check(set, NULL, NULL, NULL) == 0;
    faultless += is_faultless;
    for (int k = 0; k < 60 && is_faultless; k++) {
      const struct value *roots[3];
      struct buf map = {0};
      struct given g;
      random_event(roots);
      bool is_old = oracle(from, count, roots);
      put_event(&map, roots, "s@1");
      given_open(&g, buf_bytes(&map));
      int rc = schema_judge(set, &g.event, &g.scratch, &g.seen, &g.err);
      accepted_old += is_old;
      if (is_old && rc != 0) {
        struct buf shown = {0};
        mp_to_json(buf_bytes(&map), &shown);
        fail_msg("schemas %s\nevent %.*s\nno fault was found, and: %s", (char *)json.p, (int)shown.n, (char *)shown.p,
                 g.err.text);
      }
      given_close(&g);
      buf_deinit(&map);
    }
    schema_set_free(set);
    buf_deinit(&json);
  }
  print_message("%zu pairs without a fault, %zu events of the older version\n", faultless, accepted_old);
  assert_true(faultless > rounds() / 20 && accepted_old > rounds());
}

static int begin(void **state) {
  (void)state;
  random_start();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_schemas_and_events_agree_with_the_oracle),
      cmocka_unit_test(random_patterns_agree_with_the_oracle),
      cmocka_unit_test(no_fault_means_no_refusal),
  };
  return cmocka_run_group_tests(tests, begin, NULL);
}
