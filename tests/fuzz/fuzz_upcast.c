// Upcasts: versions with whatever steps, made of the input so that they compile, on whatever event. Maps stay whole and no deeper than
// what walks them allows, seeing is the same twice, and the steps of all versions at once are those of one after the other.
#include "fuzz.h"
#include "schema/schema.h"

#define NOW_MS 1767600000000ll

struct source {
  const uint8_t *p;
  size_t n;
};
static unsigned draw(struct source *s, unsigned below) {
  if (s->n == 0) return 0;
  s->n--;
  return *s->p++ % below;
}

static void put_path(struct source *s, struct buf *out, unsigned least, unsigned most) {
  static const char *const roots[] = {"properties", "properties", "traits", "context"};
  static const char *const keys[] = {"a", "b", "c", "d", "1", "aa"};
  struct buf path = {0};
  buf_append_str(&path, roots[draw(s, 4)]);
  for (unsigned left = least + draw(s, most - least + 1); left > 0; left--) buf_printf(&path, ".%s", keys[draw(s, 6)]);
  mp_put_str(out, buf_bytes(&path));
  buf_deinit(&path);
}

static void put_literal(struct source *s, struct buf *out) {
  switch (draw(s, 6)) {
  case 0: mp_put_cstr(out, "x"); break;
  case 1: mp_put_uint(out, draw(s, 4)); break;
  case 2: mp_put_float(out, 0.5); break;
  case 3: mp_put_bool(out, draw(s, 2)); break;
  case 4: mp_put_int(out, INT64_MIN); break;
  default: mp_put_cstr(out, "a longer text than the others are, for what it moves"); break;
  }
}

static void put_step(struct source *s, struct buf *out) {
  static const double factors[] = {2, -1, 0.001, 1e9, -1e9, 3.5};
  unsigned kind = draw(s, 6);
  mp_put_map(out, kind == 2 ? 1 : kind == 4 ? 3 : 2);
  static const char *const verbs[] = {"rename", "move", "drop", "default", "map", "scale"};
  mp_put_cstr(out, verbs[kind]), put_path(s, out, 1, 11);
  if (kind == 0) mp_put_cstr(out, "to"), mp_put_cstr(out, draw(s, 2) ? "b" : "zz");
  if (kind == 1) mp_put_cstr(out, "to"), put_path(s, out, 1, 11);
  if (kind == 3) mp_put_cstr(out, "value"), put_literal(s, out);
  if (kind == 4) {
    mp_put_cstr(out, "values"), mp_put_array(out, 1), mp_put_array(out, 2), put_literal(s, out), put_literal(s, out);
    mp_put_cstr(out, "otherwise"), put_literal(s, out);
  }
  if (kind == 5) mp_put_cstr(out, "by"), mp_put_float(out, factors[draw(s, 6)]);
}

// A list of schemas "s" 1 to `versions`, each step that does not compile left out.
static struct schema_set *make_set(struct source *s, unsigned versions) {
  struct buf list = {0};
  struct schema_set *set = NULL;
  mp_put_array(&list, versions);
  for (unsigned v = 1; v <= versions; v++) {
    struct buf steps = {0}, one = {0};
    uint32_t count = 0;
    for (unsigned i = v > 1 ? draw(s, 20) : 0; i > 0; i--) {
      struct buf alone = {0};
      buf_clear(&one);
      put_step(s, &one);
      mp_put_array(&alone, 2);
      for (unsigned k = 1; k <= 2; k++) {
        mp_put_map(&alone, k == 1 ? 2 : 3);
        mp_put_cstr(&alone, "name"), mp_put_cstr(&alone, "s"), mp_put_cstr(&alone, "version"), mp_put_uint(&alone, k);
        if (k == 2) mp_put_cstr(&alone, "upcast"), mp_put_array(&alone, 1), mp_put_raw(&alone, buf_bytes(&one));
      }
      if (schema_set_compile(buf_bytes(&alone), &set, NULL) == 0) {
        schema_set_free(set);
        buf_append_bytes(&steps, buf_bytes(&one));
        count++;
      }
      buf_deinit(&alone);
    }
    mp_put_map(&list, 3);
    mp_put_cstr(&list, "name"), mp_put_cstr(&list, "s"), mp_put_cstr(&list, "version"), mp_put_uint(&list, v);
    mp_put_cstr(&list, "upcast"), mp_put_array(&list, v > 1 ? count : 0);
    if (v > 1) buf_append_bytes(&list, buf_bytes(&steps));
    buf_deinit(&steps);
    buf_deinit(&one);
  }
  struct error err = {0};
  int rc = schema_set_compile(buf_bytes(&list), &set, &err);
  CHECK(rc == 0 || rc == ITD_EPOLICY);
  buf_deinit(&list);
  return rc ? NULL : set;
}

static void put_value(struct source *s, struct buf *out, unsigned depth) {
  unsigned kind = draw(s, 12);
  if (kind < 6 && depth < 10) {
    static const char *const keys[] = {"a", "b", "c", "d", "1", "aa", "a.b", "zz"};
    unsigned n = draw(s, 4);
    mp_put_map(out, n);
    for (unsigned i = 0; i < n; i++) mp_put_cstr(out, keys[draw(s, 8)]), put_value(s, out, depth + 1);
  } else if (kind == 6 && depth < 10) {
    mp_put_array(out, 1), put_value(s, out, depth + 1);
  } else if (kind == 7) {
    mp_put_nil(out);
  } else {
    put_literal(s, out);
  }
}

static void put_event(struct source *s, struct buf *out) {
  mp_put_map(out, 6);
  mp_put_cstr(out, "type"), mp_put_cstr(out, "track"), mp_put_cstr(out, "event"), mp_put_cstr(out, "E");
  mp_put_cstr(out, "userId"), mp_put_cstr(out, "u"), mp_put_cstr(out, "schema"), mp_put_cstr(out, "s@1");
  for (int i = 0; i < 2; i++) {
    mp_put_cstr(out, i ? "traits" : "properties");
    mp_put_map(out, 2);
    mp_put_cstr(out, "a"), put_value(s, out, 2), mp_put_cstr(out, "b"), put_value(s, out, 2);
  }
}

static void is_map(struct bytes map) {
  if (map.n) CHECK(fuzz_is_one_value(map) && mp_value_of(map).type == MP_MAP);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  struct source s = {p, n};
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  struct schema_set *set = make_set(&s, 1 + draw(&s, 6));
  if (!set) return 0;
  for (int i = 0; i < 3; i++) {
    struct buf map = {0};
    struct event event, seen, again;
    struct event_digits digits;
    struct schema_scratch scratch = {0}, other = {0};
    struct error err = {0};
    put_event(&s, &map);
    struct buf exact = fuzz_exact(buf_bytes(&map));
    CHECK(event_decode(buf_bytes(&exact), NOW_MS, &limits, &digits, &event, &err) == 0);
    int rc = schema_judge(set, &event, &scratch, &seen, &err);
    CHECK(rc == 0 || (rc == ITD_ESCHEMA && err.text[0]));
    schema_see(set, &event, &other, &again);
    is_map(again.properties), is_map(again.traits), is_map(again.context);
    CHECK(rc || (bytes_eq(seen.properties, again.properties) && bytes_eq(seen.traits, again.traits) &&
                 bytes_eq(seen.context, again.context)));
    schema_see(set, &event, &scratch, &seen); // in a scratch that was used
    CHECK(bytes_eq(seen.properties, again.properties) && bytes_eq(seen.traits, again.traits));
    schema_scratch_deinit(&scratch);
    schema_scratch_deinit(&other);
    buf_deinit(&exact);
    buf_deinit(&map);
  }
  schema_set_free(set);
  return 0;
}
