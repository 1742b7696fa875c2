// Splitting an event into clear and secret, and joining: nothing personal stays, nothing else goes, byte for byte back.
#include "wire_test.h"

#include "wire/event.h"

static void splits(const char *json, const char *paths, const char *clear_json, const char *secret_json) {
  struct bytes path[8];
  size_t count = 0;
  char *copy = xstrdup(paths), *save = NULL;
  for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save)) path[count++] = bytes_str(p);
  struct buf event = from_json(json), clear, secret, joined;
  buf_init(&clear), buf_init(&secret), buf_init(&joined);
  buf_append_str(&clear, "before"), buf_append_str(&secret, "this"),
      buf_append_str(&joined, "kept"); // all are appended
  event_split(buf_bytes(&event), &(struct personal_paths){path, count}, &clear, &secret);
  struct bytes c = bytes_of(clear.p + 6, clear.n - 6), s = bytes_of(secret.p + 4, secret.n - 4);
  assert_json(c, clear_json);
  if (secret_json) {
    struct buf values; // only the values, in their order
    buf_init(&values);
    struct mp m = mp_of(s);
    uint32_t n = mp_next(&m).count;
    mp_put_array(&values, n);
    for (; n > 0; n--) {
      assert_int_equal(mp_next(&m).count, 2);
      assert_int_equal(c.p[mp_next(&m).i], 0xc0);
      mp_put_raw(&values, mp_take(&m));
    }
    assert_true(mp_done(&m));
    assert_json(buf_bytes(&values), secret_json);
    buf_deinit(&values);
  } else {
    assert_int_equal(s.n, 0);
  }
  assert_int_equal(event_join(c, s, &joined, NULL), 0);
  assert_memory_equal(joined.p, "kept", 4);
  assert_bytes(bytes_of(joined.p + 4, joined.n - 4), buf_bytes(&event));
  buf_deinit(&event), buf_deinit(&clear), buf_deinit(&secret), buf_deinit(&joined), free(copy);
}

static void test_split_and_join(void **state) {
  (void)state;
  splits("{\"type\":\"page\",\"n\":1}", "", "{\"type\":\"page\",\"n\":1}", NULL);
  splits("{\"userId\":\"u\",\"a\":{\"userId\":\"in\"},\"anonymousId\":5,\"previousId\":{\"x\":1}}", "",
         "{\"userId\":null,\"a\":{\"userId\":\"in\"},\"anonymousId\":null,\"previousId\":null}", "[\"u\",5,{\"x\":1}]");
  splits("{\"userId\":null}", "", "{\"userId\":null}", NULL);
  splits("{\"traits\":{\"email\":\"e\",\"plan\":\"p\",\"address\":{\"city\":\"c\"}}}", "traits.email traits.address",
         "{\"traits\":{\"email\":null,\"plan\":\"p\",\"address\":null}}", "[\"e\",{\"city\":\"c\"}]");
  splits("{\"traits\":{\"address\":{\"city\":\"c\",\"zip\":1}}}", "traits.address.city",
         "{\"traits\":{\"address\":{\"city\":null,\"zip\":1}}}", "[\"c\"]");
  splits("{\"traits\":{\"emails\":1,\"emai\":2,\"x\":{\"email\":3}},\"email\":4}", "traits.email",
         "{\"traits\":{\"emails\":1,\"emai\":2,\"x\":{\"email\":3}},\"email\":4}", NULL);
  splits("{\"traits\":\"text\"}", "traits.email", "{\"traits\":\"text\"}", NULL);
  splits("{\"traits\":{\"a\":1}}", "traits traits.a", "{\"traits\":null}", "[{\"a\":1}]");
}

static void test_traits_of_the_context_are_traits(void **state) {
  (void)state;
  splits("{\"context\":{\"ip\":\"i\",\"traits\":{\"email\":\"e\",\"plan\":1}}}", "traits.email",
         "{\"context\":{\"ip\":\"i\",\"traits\":{\"email\":null,\"plan\":1}}}", "[\"e\"]");
  splits(
      "{\"context\":{\"traits\":{\"email\":\"e\"},\"x\":{\"traits\":{\"email\":1}}},\"x\":{\"traits\":{\"email\":2}}}",
      "traits", "{\"context\":{\"traits\":null,\"x\":{\"traits\":{\"email\":1}}},\"x\":{\"traits\":{\"email\":2}}}",
      "[{\"email\":\"e\"}]");
  splits("{\"context\":{\"ip\":\"i\",\"traits\":{\"a\":{\"b\":1,\"c\":2}}}}",
         "context.ip context.traits.a.b traits.a.c",
         "{\"context\":{\"ip\":null,\"traits\":{\"a\":{\"b\":null,\"c\":null}}}}", "[\"i\",1,2]");
  splits("{\"context\":{\"ip\":\"i\"}}", "context", "{\"context\":null}", "[{\"ip\":\"i\"}]");
}

// What, when and in which channel needs no key.
static void test_what_is_left_in_the_clear_decodes(void **state) {
  (void)state;
  struct bytes paths[] = {BYTES_LIT("traits.email"), BYTES_LIT("context.ip")};
  struct buf event = from_json(
                 "{\"event\":\"Won\",\"userId\":\"u\",\"anonymousId\":7,\"timestamp\":1767603600123,"
                 "\"channel\":\"crm\",\"traits\":{\"email\":\"e\",\"plan\":\"p\"},\"context\":{\"ip\":\"i\"}}"),
             clear = {0}, secret = {0};
  struct event whole, left;
  struct event_digits digits;
  struct event_limits limits = EVENT_LIMITS_DEFAULT;
  event_split(buf_bytes(&event), &(struct personal_paths){paths, 2}, &clear, &secret);
  assert_int_equal(event_decode(buf_bytes(&clear), 1767603600000, &limits, &digits, &left, NULL), ITD_EEVENT);
  assert_int_equal(event_decode(buf_bytes(&event), 1767603600000, &limits, &digits, &whole, NULL), 0);
  assert_int_equal(event_decode_clear(buf_bytes(&clear), 1767603600000, &left, NULL), 0);
  assert_true(bytes_eq(left.name, whole.name) && left.timestamp_ms == whole.timestamp_ms && left.type == whole.type);
  assert_true(bytes_eq(left.channel, whole.channel) && left.user_id.n == 0 && left.anonymous_id.n == 0);
  assert_json(left.traits, "{\"email\":null,\"plan\":\"p\"}");
  buf_deinit(&event), buf_deinit(&clear), buf_deinit(&secret);
}

static void test_keys_with_dots_and_lists(void **state) {
  (void)state;
  splits("{\"traits.email\":1,\"traits\":{\"email\":2},\"traits.x\":{\"y\":3}}", "traits.email traits.x.y",
         "{\"traits.email\":null,\"traits\":{\"email\":null},\"traits.x\":{\"y\":null}}", "[1,2,3]");
  splits("{\"a\":{\"b.c\":{\"d\":1}},\"a.b\":{\"c.d\":2,\"c\":{\"d\":3}}}", "a.b.c.d",
         "{\"a\":{\"b.c\":{\"d\":null}},\"a.b\":{\"c.d\":null,\"c\":{\"d\":null}}}", "[1,2,3]");
  splits("{\"properties\":{\"people\":[{\"email\":1,\"x\":2},5,[{\"email\":3}]]}}", "properties.people.email",
         "{\"properties\":{\"people\":[{\"email\":null,\"x\":2},5,[{\"email\":null}]]}}", "[1,3]");
}

static void test_every_one_of_equal_keys_goes(void **state) {
  (void)state;
  struct bytes event = BYTES_LIT("\x83\xa6userId\xa1u\xa6userId\xa1v\xc4\x06userId\xa1w");
  struct buf clear, secret;
  buf_init(&clear), buf_init(&secret);
  event_split(event, &(struct personal_paths){NULL, 0}, &clear, &secret);
  assert_bytes(buf_bytes(&clear), BYTES_LIT("\x83\xa6userId\xc0\xa6userId\xc0\xc4\x06userId\xa1w"));
  assert_bytes(buf_bytes(&secret), BYTES_LIT("\xdd\0\0\0\x02\x92\x08\xa1u\x92\x10\xa1v"));
  buf_deinit(&clear), buf_deinit(&secret);
}

// ---- random events: what the paths name is gone from the clear bytes, and all comes back ----
static const char *const names[] = {"traits", "context", "a", "b", "userId", "a.b", "traits.a", ""};
static void random_event(struct buf *b, unsigned depth, uint32_t *marks) {
  uint32_t kind = rng_below(depth > 0 ? 5 : 2), n = rng_below(5);
  if (depth == 4) kind = 4;
  switch (kind) {
  case 0: mp_put_nil(b); return;
  case 1: mp_put_uint(b, 0x1234567800000000u + (*marks)++); return;
  case 2:
    mp_put_array(b, n);
    for (uint32_t i = 0; i < n; i++) random_event(b, depth - 1, marks);
    return;
  default:
    mp_put_map(b, n);
    for (uint32_t i = 0; i < n; i++) {
      if (rng_below(10))
        mp_put_cstr(b, names[rng_below(8)]);
      else
        random_event(b, 0, marks);
      random_event(b, depth - 1, marks);
    }
  }
}

// The same question answered the slow way: all dotted names of a value, built as text.
static void expect(struct mp *m, const char *name, const char *in_traits, bool is_hidden,
                   const struct personal_paths *paths, struct buf *clear) {
  struct mp_value v = mp_value_of(bytes_of(m->p, (size_t)(m->end - m->p)));
  if (is_hidden) {
    mp_take(m);
    mp_put_nil(clear);
  } else if (v.type == MP_MAP) {
    mp_next(m);
    mp_put_map(clear, v.count);
    for (uint32_t i = 0; i < v.count; i++) {
      struct bytes key = mp_take(m), text;
      mp_put_raw(clear, key);
      if (!mp_as_str(key, &text)) {
        mp_put_raw(clear, mp_take(m));
        continue;
      }
      char full[200], alias[200] = "";
      bool top = name == NULL;
      snprintf(full, sizeof full, "%s%s%.*s", top ? "" : name, top ? "" : ".", (int)text.n, (const char *)text.p);
      if (in_traits[0])
        snprintf(alias, sizeof alias, "%s.%.*s", in_traits, (int)text.n, (const char *)text.p);
      else if (!top && strcmp(name, "context") == 0 && bytes_is(text, "traits"))
        strcpy(alias, "traits");
      bool hide = top && (bytes_is(text, "userId"));
      for (size_t p = 0; p < paths->count; p++)
        hide |= bytes_is(paths->path[p], full) || (alias[0] && bytes_is(paths->path[p], alias));
      expect(m, full, alias, hide, paths, clear);
    }
  } else if (v.type == MP_ARRAY) {
    mp_next(m);
    mp_put_array(clear, v.count);
    for (uint32_t i = 0; i < v.count; i++) expect(m, name, in_traits, false, paths, clear);
  } else {
    mp_put_raw(clear, mp_take(m));
  }
}

static void test_random_events(void **state) {
  (void)state;
  rng_begin(6);
  struct buf event, clear, secret, joined, want;
  buf_init(&event), buf_init(&clear), buf_init(&secret), buf_init(&joined), buf_init(&want);
  unsigned with_secret = 0, spoiled = 0;
  for (int i = 0; i < 60000; i++) {
    buf_clear(&event), buf_clear(&clear), buf_clear(&secret), buf_clear(&joined), buf_clear(&want);
    uint32_t marks = 0;
    random_event(&event, 4, &marks);
    char text[3][64];
    struct bytes path[3];
    struct personal_paths paths = {path, 1 + rng_below(3)};
    for (size_t p = 0; p < paths.count; p++) {
      snprintf(text[p], 64, "%s.%s", names[rng_below(3)], names[rng_below(7)]);
      if (rng_below(2)) strcat(strcat(text[p], "."), names[rng_below(7)]);
      path[p] = bytes_str(text[p]);
    }
    event_split(buf_bytes(&event), &paths, &clear, &secret);
    struct mp m = mp_of(buf_bytes(&event));
    expect(&m, NULL, "", false, &paths, &want);
    assert_bytes(buf_bytes(&clear), buf_bytes(&want));
    assert_int_equal(event_join(buf_bytes(&clear), buf_bytes(&secret), &joined, NULL), 0);
    assert_bytes(buf_bytes(&joined), buf_bytes(&event));
    if (secret.n == 0) continue;
    with_secret++;
    // A spoiled secret is refused, or gives some whole value; never a crash, never a rest.
    secret.p[rng_below((uint32_t)secret.n)] ^= (uint8_t)(1u << rng_below(8));
    if (rng_below(3) == 0) secret.n -= 1 + rng_below((uint32_t)secret.n - 1);
    buf_clear(&joined);
    struct error err = {0};
    size_t len;
    const struct mp_limits l = {MP_DEPTH_MAX, UINT32_MAX, SIZE_MAX};
    int rc = event_join(buf_bytes(&clear), buf_bytes(&secret), &joined, &err);
    if (rc == 0) {
      assert_int_equal(mp_scan(buf_bytes(&joined), &l, &len, NULL), 1);
      assert_int_equal(len, joined.n);
    } else {
      assert_true(rc == ITD_ECORRUPT && joined.n == 0);
      spoiled++;
    }
  }
  print_message("with something personal %u, spoiled ones refused %u\n", with_secret, spoiled);
  assert_true(with_secret > 10000 && spoiled > 5000);
  buf_deinit(&event), buf_deinit(&clear), buf_deinit(&secret), buf_deinit(&joined), buf_deinit(&want);
}

static void corrupt(struct bytes clear, struct bytes secret) {
  struct buf map;
  struct error err = {0};
  buf_init(&map);
  buf_append_str(&map, "kept");
  assert_int_equal(event_join(clear, secret, &map, &err), ITD_ECORRUPT);
  assert_text(buf_bytes(&map), "kept");
  assert_non_null(strstr(err.text, "do not fit"));
  buf_deinit(&map);
}
#define SECRET(pairs) BYTES_LIT("\xdd\0\0\0\x01" pairs)
static void test_what_does_not_fit_is_refused(void **state) {
  (void)state;
  struct bytes clear = BYTES_LIT("\x82\xa1"
                                 "a\xc0\xa1\xc0\xc0"); // a nil at 3 and 6, and a text that holds such a byte at 5
  struct buf map;
  buf_init(&map);
  assert_int_equal(event_join(clear, SECRET("\x92\x03\x07"), &map, NULL), 0);
  assert_bytes(buf_bytes(&map), BYTES_LIT("\x82\xa1"
                                          "a\x07\xa1\xc0\xc0"));
  buf_deinit(&map);
  corrupt(clear, SECRET("\x92\x05\x07"));
  corrupt(clear, SECRET("\x92\x00\x07"));
  corrupt(clear, SECRET("\x92\x07\x07"));
  corrupt(clear, SECRET("\x92\xff\x07"));
  corrupt(clear, SECRET("\x92\xa1\x03\x07"));
  corrupt(clear, SECRET("\x92\x03"));
  corrupt(clear, SECRET("\x92\x03\x07\x07"));
  corrupt(clear, SECRET("\x93\x03\x07\x07"));
  corrupt(clear, SECRET("\x92\x03\xc1"));
  corrupt(clear, SECRET(""));
  corrupt(clear, BYTES_LIT("\xdd\0\0\0\x02\x92\x06\x07\x92\x03\x07")); // falling offsets
  corrupt(clear, BYTES_LIT("\xdd\0\0\0\x02\x92\x03\x07\x92\x03\x07")); // twice the same
  corrupt(clear, BYTES_LIT("\xdd\0\0"));
  corrupt(clear, BYTES_LIT("\x91\x92\x03\x07"));
  corrupt(BYTES_LIT("\x82\xa1"
                    "a"),
          BYTES_LIT(""));
  corrupt(BYTES_LIT("\x80\x80"), BYTES_LIT(""));
  corrupt(BYTES_LIT(""), BYTES_LIT(""));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_split_and_join),
      cmocka_unit_test(test_what_is_left_in_the_clear_decodes),
      cmocka_unit_test(test_traits_of_the_context_are_traits),
      cmocka_unit_test(test_keys_with_dots_and_lists),
      cmocka_unit_test(test_every_one_of_equal_keys_goes),
      cmocka_unit_test(test_random_events),
      cmocka_unit_test(test_what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
