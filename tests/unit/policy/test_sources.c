// Sources through the real Lua side: what is shipped loads, a payload's events are the same whatever came before, and a
// mapping that loops, hoards or remembers is stopped or refused, and the next payload is mapped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "base/file.h"
#include "policy/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct sources *sources;
static struct buf out, json;
static struct error err;
static char path[64];

static int begin(void **unused) {
  (void)unused;
  err = (struct error){0};
  strcpy(path, "/tmp/test_sources.XXXXXX");
  assert_non_null(mkdtemp(path));
  strcat(path, "/try.lua");
  return 0;
}

static int end(void **unused) {
  (void)unused;
  sources_release(sources);
  sources = NULL;
  buf_deinit(&out);
  buf_deinit(&json);
  unlink(path);
  *strrchr(path, '/') = 0;
  rmdir(path);
  return 0;
}

#define HEAD                                                                                                           \
  "local s = require 'source'\nlocal kept = {}\nreturn s.source 'try' { owner = 'o', rationale = 'r', userId = 'u',\n"

static int open_file(const char *body, const struct sources_limits *limits) {
  struct buf text = {0};
  buf_printf(&text, HEAD "%s }", body);
  assert_int_equal(file_replace(path, buf_bytes(&text), &err), 0);
  buf_deinit(&text);
  return sources_of_file("scripts", path, limits, &sources, &err);
}

static void open_try(const char *body) {
  struct sources_limits limits = SOURCES_LIMITS_DEFAULT;
  limits.instructions_max = 300000;
  limits.cpu_ms_max = 2000;
  limits.memory_max = 8u << 20;
  if (open_file(body, &limits) < 0) fail_msg("%s", err.text);
}

static int map_value(struct bytes payload) {
  const struct sources_call call = {.source = "try", .payload = payload, .events_max = 100};
  buf_clear(&out);
  err = (struct error){0};
  return sources_map(sources, &call, &out, &err);
}

static int map_json(const char *text) {
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  struct buf payload = {0};
  assert_int_equal(mp_from_json(bytes_str(text), &limits, &payload, &err), 0);
  int status = map_value(buf_bytes(&payload));
  buf_deinit(&payload);
  return status;
}

static const char *output(void) {
  buf_clear(&json);
  mp_to_json(buf_bytes(&out), &json);
  buf_append_u8(&json, 0);
  return (const char *)json.p;
}

static void gives(const char *payload, const char *expected) {
  if (map_json(payload) < 0) fail_msg("%s", err.text);
  assert_string_equal(output(), expected);
}

static void says(const char *payload, const char *part) {
  if (map_json(payload) < 0) fail_msg("%s", err.text);
  if (!strstr(output(), part)) fail_msg("%s lacks %s", output(), part);
}

static void the_shipped_ones_load(void **unused) {
  (void)unused;
  const struct sources_limits limits = SOURCES_LIMITS_DEFAULT;
  if (sources_of_set("scripts", "policies", "b2b", &limits, &sources, &err) < 0) fail_msg("%s", err.text);
  static const char *const names[] = {"crm_export", "hubspot", "product_log", "salesforce", "stripe"};
  static const enum source_scheme schemes[] = {SOURCE_UNSIGNED, SOURCE_HUBSPOT_V3, SOURCE_UNSIGNED, SOURCE_TOKEN,
                                               SOURCE_STRIPE};
  assert_int_equal(sources_count(sources), 5);
  for (size_t i = 0; i < 5; i++) {
    assert_string_equal(sources_info(sources, i)->name, names[i]);
    assert_int_equal(sources_info(sources, i)->scheme, schemes[i]);
    assert_int_equal(sources_show(sources, names[i], &out, &err), 0);
  }
  assert_string_equal(sources_find(sources, BYTES_LIT("stripe"))->header, "Stripe-Signature");
  assert_int_equal(sources_find(sources, BYTES_LIT("stripe"))->tolerance_ms, 300000);
  assert_null(sources_find(sources, BYTES_LIT("strip")));
  assert_int_equal(sources_unknown(sources, BYTES_LIT("strip"), &err), ITD_ENOTFOUND);
  assert_non_null(
      strstr(err.text, "no source 'strip'; there are crm_export, hubspot, product_log, salesforce, stripe"));
}

static void a_set_without_sources_has_none(void **unused) {
  (void)unused;
  const struct sources_limits limits = SOURCES_LIMITS_DEFAULT;
  assert_int_equal(sources_of_set("scripts", "policies", "nothing", &limits, &sources, &err), ITD_ENOTFOUND);
  assert_int_equal(sources_of_set("scripts", "policies", "../b2b", &limits, &sources, &err), ITD_EPOLICY);
}

static void payloads_become_events(void **unused) {
  (void)unused;
  open_try("messageId = s.pick 'id', rules = { s.skip 'no' { when = { no = true }, why = 'w' },"
           " s.rule 'r' { event = 'E', properties = { big = s.pick 'big', all = s.pick 'list' } } }");
  gives("{\"id\": 7, \"big\": 9007199254740993, \"list\": [1, null, 2]}",
        "{\"events\":[[0,{\"context\":{\"source\":\"try\"},\"event\":\"E\",\"messageId\":\"try-7\",\"properties\":{"
        "\"all\":[1,2],\"big\":\"9007199254740993\"},\"type\":\"track\",\"userId\":\"u\"}]],\"refused\":[],"
        "\"skipped\":[]}");
  gives("[{\"no\": true}, 5, null]",
        "{\"events\":[],\"refused\":[[1,\"\",\"a payload is an object, or a list of them\",[\"u\"]],[2,\"\",\"a "
        "payload is an object, or a list of them\",[\"u\"]]],\"skipped\":[[0,\"no\",\"w\"]]}");
  gives("[]", "{\"events\":[],\"refused\":[],\"skipped\":[]}");
}

// Payloads without an id: the same bytes the same id, other bytes another, and with a salt a new one.
static void digests_are_of_the_payload(void **unused) {
  (void)unused;
  open_try("rules = { s.rule 'r' { event = 'E' } }");
  char first[600];
  assert_int_equal(map_json("{\"a\": 1, \"b\": null}"), 0);
  snprintf(first, sizeof first, "%s", output());
  assert_int_equal(map_json(" { \"a\":1 } "), 0);
  assert_string_equal(output(), first);
  assert_int_equal(map_json("[{\"a\": 1}]"), 0);
  assert_string_equal(output(), first);
  assert_int_equal(map_json("{\"a\": 2}"), 0);
  assert_string_not_equal(output(), first);
  static const uint8_t payload[] = {0x81, 0xa1, 'a', 1}, salt[SOURCES_SALT] = {1};
  const struct sources_call call = {
      .source = "try", .payload = bytes_of(payload, sizeof payload), .events_max = 1, .salt = salt};
  buf_clear(&out);
  assert_int_equal(sources_map(sources, &call, &out, &err), 0);
  assert_string_not_equal(output(), first);
}

static void stopped(const char *payload, const char *part) {
  int status = map_json(payload);
  if (status != ITD_ESTOPPED || !strstr(err.text, part)) fail_msg("%d %s, not '%s'", status, err.text, part);
  assert_int_equal(out.n, 0);
}

static void a_loop_is_stopped_and_the_next_payload_mapped(void **unused) {
  (void)unused;
  open_try(
      "messageId = 'm', rules = { s.rule 'loop' { when = { kind = 'loop' }, event = s.custom('c', { why = 'w' }, "
      "function() while true do end end) },"
      " s.rule 'caught' { when = { kind = 'caught' }, event = s.custom('c', { why = 'w' }, function() while true do "
      "pcall(function() while true do end end) end end) },"
      " s.rule 'deep' { when = { kind = 'deep' }, event = s.custom('c', { why = 'w' }, function() local function f() "
      "return 1 + f() end return f() end) },"
      " s.rule 'rest' { event = 'E' } }");
  for (int i = 0; i < 3; i++) {
    stopped("{\"kind\": \"loop\"}", "stopped after 300000 instructions");
    stopped("{\"kind\": \"caught\"}", "stopped after 300000 instructions");
    says("{\"kind\": \"deep\"}", "\"refused\":[[0,\"deep\",\"custom 'c': ");
    says("{\"kind\": \"good\"}", "\"event\":\"E\"");
  }
}

static void hoarding_is_refused_and_costs_nobody_else(void **unused) {
  (void)unused;
  open_try(
      "messageId = 'm', rules = { s.rule 'hoard' { when = { kind = 'hoard' }, event = s.custom('c', { why = 'w' }, "
      "function() local t = {} for i = 1, 1e9 do t[i] = { i, {}, {} } end end) },"
      " s.rule 'text' { when = { kind = 'text' }, event = s.custom('c', { why = 'w' }, function() return "
      "(('x'):rep(1e6)):rep(100) end) },"
      " s.rule 'rest' { event = 'E', properties = { all = s.pick '.' } } }");
  for (int i = 0; i < 3; i++) {
    int status = map_json("{\"kind\": \"hoard\"}");
    if (status == 0)
      assert_non_null(strstr(output(), "not enough memory"));
    else
      assert_int_equal(status, ITD_ESTOPPED);
    says("{\"kind\": \"text\"}", "\"refused\":[[0,\"text\"");
    says("{\"kind\": \"good\"}", "\"event\":\"E\"");
  }
  // What many large payloads leave behind does not count against the next: each fits, together they would not.
  struct buf large = {0};
  mp_put_map(&large, 1);
  mp_put_cstr(&large, "list"), mp_put_array(&large, 5000);
  for (int i = 0; i < 5000; i++) mp_put_map(&large, 1), mp_put_cstr(&large, "k"), mp_put_cstr(&large, "a value");
  for (int i = 0; i < 40; i++)
    if (map_value(buf_bytes(&large)) < 0) fail_msg("after %d: %s", i, err.text);
  buf_deinit(&large);
}

// What a function holds on to is frozen: nothing stays from one payload to the next.
static void nothing_is_remembered(void **unused) {
  (void)unused;
  open_try("messageId = 'm', rules = { s.rule 'r' { event = s.custom('c', { why = 'w' }, function(p) "
           "kept[#kept + 1] = p.x return 'E' .. #kept end) } }");
  says("{\"x\": 1}", "no modification allowed");
  struct sources_limits limits = SOURCES_LIMITS_DEFAULT;
  sources_release(sources), sources = NULL;
  assert_int_equal(open_file("messageId = 'm', rules = { s.rule 'r' { event = s.custom('c', { why = 'w' }, "
                             "function(p) kept = p return 'E' end) } }",
                             &limits),
                   ITD_EPOLICY);
  assert_non_null(strstr(err.text, "keeps state between calls"));
}

static void a_broken_mapping_does_not_load(void **unused) {
  (void)unused;
  const struct sources_limits limits = SOURCES_LIMITS_DEFAULT;
  static const char *const cases[][2] = {
      {"rules = { s.rule 'r' { event = s.pick(5) } }", "try.lua:4: pick takes a path"},
      {"rules = { s.rule 'r' { event = os.time() } }", "unknown name os"},
      {"rules = { s.rule 'r' { event = ", "unexpected symbol"},
      {"rules = { s.rule 'r' { event = s.custom('c', { why = 'w' }, io) } }", "unknown name io"},
      {"x = (function() while true do end end)(), rules = {}", "instructions"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    err = (struct error){0};
    assert_int_equal(open_file(cases[i][0], &limits), ITD_EPOLICY);
    if (!strstr(err.text, cases[i][1])) fail_msg("%s lacks %s", err.text, cases[i][1]);
  }
}

// ---- hostile payloads ----

static void put_random(struct buf *b, int depth) {
  static const char *const keys[] = {"__index", "__gc",   "__metatable", "id",       "",
                                     "type",    "x.y",    "data",        "1",        "-1",
                                     "nan",     "userId", "kind",        "\xc3\xa4", "constructor"};
  uint64_t kind = random_below(depth > 6 ? 7 : 9);
  uint32_t n = (uint32_t)random_below(5);
  switch (kind) {
  case 0: mp_put_nil(b); break;
  case 1: mp_put_bool(b, random_below(2)); break;
  case 2: mp_put_int(b, (int64_t)random_next()); break;
  case 3: mp_put_uint(b, random_next()); break;
  case 4: {
    static const double odd[] = {0.0, -0.0, 1e308, -1e308, 1e-320, 0.1};
    double f = random_below(8) == 0 ? 0.0 / 1e-320 * 0 : odd[random_below(6)];
    mp_put_float(b, random_below(10) == 0 ? f / 0.0 : f); // infinities and NaN, too
    break;
  }
  case 5: mp_put_cstr(b, keys[random_below(sizeof keys / sizeof *keys)]); break;
  case 6: {
    uint8_t raw[8];
    if (random_below(10)) { // it refuses the whole payload
      mp_put_bool(b, false);
      break;
    }
    for (size_t i = 0; i < sizeof raw; i++) raw[i] = (uint8_t)random_next();
    mp_put_bin(b, bytes_of(raw, random_below(sizeof raw)));
    break;
  }
  case 7:
    mp_put_array(b, n);
    for (uint32_t i = 0; i < n; i++) put_random(b, depth + 1);
    break;
  default:
    mp_put_map(b, n);
    for (uint32_t i = 0; i < n; i++) {
      mp_put_cstr(b, keys[random_below(sizeof keys / sizeof *keys)]);
      put_random(b, depth + 1);
    }
  }
}

// Whatever comes: a result, each event a map with an id and a source, the same again.
static void random_payloads(void **unused) {
  (void)unused;
  random_start();
  open_try(
      "userId = s.first { 'userId', 'id' }, messageId = s.pick 'id', timestamp = s.maybe(s.epoch_ms 'x'),\n"
      "rules = { s.rule 'list' { when = s.has 'data', each = 'data', event = s.text 'type', traits = s.pick 'x' },\n"
      "s.rule 'all' { event = s.first { 'type', 'kind' }, properties = s.pick '.', context = s.pick 'data.x.y' } }");
  struct buf payload = {0}, first = {0};
  for (int i = 0; i < 3000; i++) {
    buf_clear(&payload);
    put_random(&payload, 0);
    int status = map_value(buf_bytes(&payload));
    if (status < 0) fail_msg("%d: %s", i, err.text);
    buf_clear(&first);
    buf_append_bytes(&first, buf_bytes(&out));
    assert_int_equal(map_value(buf_bytes(&payload)), 0);
    assert_true(bytes_eq(buf_bytes(&first), buf_bytes(&out)));
    struct bytes list, id;
    assert_true(mp_find(buf_bytes(&out), BYTES_LIT("events"), &list));
    struct mp m = mp_of(list);
    for (uint32_t left = mp_next(&m).count; left > 0; left--) {
      assert_int_equal(mp_next(&m).count, 2);
      (void)mp_next(&m);
      assert_true(mp_find(mp_take(&m), BYTES_LIT("messageId"), &id) && mp_value_of(id).type != MP_NIL);
    }
  }
  buf_deinit(&payload);
  buf_deinit(&first);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(the_shipped_ones_load, begin, end),
      cmocka_unit_test_setup_teardown(a_set_without_sources_has_none, begin, end),
      cmocka_unit_test_setup_teardown(payloads_become_events, begin, end),
      cmocka_unit_test_setup_teardown(digests_are_of_the_payload, begin, end),
      cmocka_unit_test_setup_teardown(a_loop_is_stopped_and_the_next_payload_mapped, begin, end),
      cmocka_unit_test_setup_teardown(hoarding_is_refused_and_costs_nobody_else, begin, end),
      cmocka_unit_test_setup_teardown(nothing_is_remembered, begin, end),
      cmocka_unit_test_setup_teardown(a_broken_mapping_does_not_load, begin, end),
      cmocka_unit_test_setup_teardown(random_payloads, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
