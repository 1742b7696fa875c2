// Schemas as they are declared, judged and upcast: each rule by example, and declarations that must be refused.
#include "support.h"

static void tests_of_a_field_hold(void **state) {
  (void)state;
  struct schema_set *set = compile("[{'name': 's', 'version': 1, 'on': 'E', 'fields': ["
                                   "{'path': 'properties.t', 'type': 'text', 'min_length': 2, 'max_length': 3},"
                                   "{'path': 'properties.i', 'type': 'integer', 'at_least': 1, 'at_most': 9},"
                                   "{'path': 'properties.n', 'type': 'number', 'is': [1, 2.5]},"
                                   "{'path': 'properties.b', 'type': 'bool'},"
                                   "{'path': 'properties.w', 'type': 'time', 'at_least': '2026-01-01'},"
                                   "{'path': 'properties.p', 'type': 'text', 'pattern': '[A-Z]{2}-[0-9]+'},"
                                   "{'path': 'properties.l', 'type': 'list', 'max_length': 2},"
                                   "{'path': 'properties.l[].price', 'type': 'number', 'required': true},"
                                   "{'path': 'properties.l[]', 'type': 'map', 'closed': true},"
                                   "{'path': 'properties.a', 'is': ['x', 1, true]}]}]");
#define E(properties) "{'type': 'track', 'event': 'E', 'userId': 'u', 'properties': {" properties "}}"
  accepted(set, E(""));
  accepted(set, E("'t': 'äöü', 'i': 9.0, 'n': 1, 'b': false, 'w': '2026-02-01T00:00:00Z', 'p': 'AB-1', 'a': true"));
  accepted(set, E("'t': null, 'i': null"));
  accepted(set, E("'l': [{'price': 1}, {'price': 2.5}]"));
  accepted(set, "{'type': 'track', 'event': 'F', 'userId': 'u', 'properties': {'t': 1}}");
  refused(set, E("'t': 'a'"), "properties.t has 1 characters, at least 2");
  refused(set, E("'t': 'abcd'"), "at most 3");
  refused(set, E("'t': 7"), "properties.t is an integer, not text");
  refused(set, E("'i': 0"), "less than 1");
  refused(set, E("'i': 10"), "more than 9");
  refused(set, E("'i': 1.5"), "not an integer");
  refused(set, E("'i': true"), "is a bool");
  refused(set, E("'n': 2"), "is none of: 1, 2.5");
  refused(set, E("'b': 1"), "not bool");
  refused(set, E("'w': '2025-12-31'"), "is less than 2026-01-01T00:00:00");
  refused(set, E("'w': 'soon'"), "not time");
  refused(set, E("'p': 'AB-'"), "pattern");
  refused(set, E("'p': 'xAB-1'"), "pattern");
  refused(set, E("'l': {}"), "is a map, not a list");
  refused(set, E("'l': [{'price': 1}, {'price': 1}, {'price': 1}]"), "3 elements");
  refused(set, E("'l': [{}]"), "properties.l[].price is required");
  refused(set, E("'l': [{'price': 1, 'x': 2}]"), "properties.l[] has the key x");
  refused(set, E("'l': [{'price': 1, 'bob@example.com': 2}]"), "has a key that is no field");
  refused(set, E("'l': [5]"), "not a map");
  refused(set, E("'a': 'y'"), "is none of: \"x\", 1, true");
  refused(set, E("'a': false"), "is none of");
  schema_set_free(set);
}

static void what_is_required_must_be_there(void **state) {
  (void)state;
  struct schema_set *set = compile("[{'name': 's', 'version': 1, 'on': [{'type': 'identify'}], 'fields': ["
                                   "{'path': 'traits.company.name', 'required': true},"
                                   "{'path': 'traits.address', 'type': 'map'},"
                                   "{'path': 'traits.address.city', 'type': 'text', 'required': true}]}]");
#define I(traits) "{'type': 'identify', 'userId': 'u'" traits "}"
  accepted(set, I(", 'traits': {'company': {'name': 5}}"));
  accepted(set, I(", 'context': {'traits': {'company': {'name': 5}}}"));
  accepted(set, I(", 'traits': {'company': {'name': 5}, 'address': {'city': 'x'}}"));
  refused(set, I(""), "traits.company is required");
  refused(set, I(", 'traits': {}"), "traits.company is required");
  refused(set, I(", 'traits': {'company': {}}"), "traits.company.name is required");
  refused(set, I(", 'traits': {'company': {'name': null}}"), "traits.company.name is required");
  refused(set, I(", 'traits': {'company': {'name': 5}, 'address': {}}"), "traits.address.city is required");
  // A key with dots is read as the path that it spells: it is held to that field, and is no map.
  refused(set, I(", 'traits': {'company': {'name': 5}, 'address.city': 7}"), "traits.address.city is an integer");
  refused(set, I(", 'traits': {'company.name': 5}"), "traits.company is required");
  schema_set_free(set);
}

static void claims_choose_a_version(void **state) {
  (void)state;
  struct schema_set *set =
      compile("[{'name': 's', 'version': 2, 'fields': [{'path': 'properties.b', 'required': true}],"
              " 'upcast': [{'rename': 'properties.a', 'to': 'b'}]},"
              "{'name': 's', 'version': 1, 'fields': [{'path': 'properties.a', 'required': true}]},"
              "{'name': 'lax', 'version': 1},"
              "{'name': 'all', 'version': 1, 'on': 'E', 'fields': [{'path': 'properties.c', 'type': "
              "'bool'}]}]");
#define C(schema, properties)                                                                                          \
  "{'type': 'track', 'event': 'E', 'userId': 'u', 'schema': '" schema "', 'properties': {" properties "}}"
  accepted(set, C("s@1", "'a': 1"));
  accepted(set, C("s@2", "'b': 1"));
  accepted(set, C("lax@1", "'b': 1"));
  refused(set, C("s@1", "'b': 1"), "schema s@1: properties.a is required");
  refused(set, C("s@2", "'a': 1"), "schema s@2: properties.b is required");
  refused(set, C("lax@1", "'c': 1"), "schema all@1: properties.c"); // a claim is no way around `on`
  refused(set, C("s@1", "'a': 1, 'c': 1"), "schema all@1: properties.c");
  refused(set, C("s@3", ""), "no version of s that");
  refused(set, C("t@1", ""), "no schema t@1");
  const char *odd[] = {"s", "@1", "s@", "s@x", "s@-1", "s@01", "s@1 ", "s@99999999999999999999", "s@1@1"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    char json[200];
    snprintf(json, sizeof json, C("%s", ""), odd[i]);
    refused(set, json, "s");
  }
  schema_set_free(set);
  set = compile("[]");
  accepted(set, C("whatever@7", ""));
  schema_set_free(set);
}

static void see(const char *steps, const char *properties, const char *want) {
  char json[2000];
  struct given g;
  snprintf(json, sizeof json, "[{'name': 's', 'version': 1}, {'name': 's', 'version': 2, 'upcast': [%s]}]", steps);
  struct schema_set *set = compile(json);
  snprintf(json, sizeof json, C("s@1", "%s"), properties);
  if (judge(&g, set, json) != 0) fail_msg("%s: %s", steps, g.err.text);
  char *seen = seen_json(&g);
  assert_string_equal(seen, want);
  free(seen);
  struct event again;
  schema_see(set, &g.event, &g.scratch, &again);
  g.seen = again;
  seen = seen_json(&g);
  assert_string_equal(seen, want);
  assert_true(g.seen.raw.p == g.map.p && g.seen.timestamp_ms == g.event.timestamp_ms);
  free(seen);
  given_close(&g);
  schema_set_free(set);
}

static void steps_of_an_upcast(void **state) {
  (void)state;
  see("{'rename': 'properties.a', 'to': 'b'}", "'x': 1, 'a': [1]", "{'x':1,'b':[1]}||");
  see("{'rename': 'properties.a', 'to': 'b'}", "'x': 1", "{'x':1}||");
  see("{'rename': 'properties.a', 'to': 'b'}", "'a': 2, 'b': 1", "{'b':2}||");
  see("{'move': 'properties.a', 'to': 'traits.c.d'}", "'a': 2", "{}|{'c':{'d':2}}|");
  see("{'move': 'properties.a.b', 'to': 'properties.b'}", "'a': {'b': 1, 'c': 2}", "{'a':{'c':2},'b':1}||");
  see("{'drop': 'properties.a'}", "'a': 2, 'b': 1", "{'b':1}||");
  see("{'default': 'properties.a', 'value': 'x'}", "", "{'a':'x'}||");
  see("{'default': 'properties.a', 'value': 'x'}", "'a': null", "{'a':'x'}||");
  see("{'default': 'properties.a', 'value': 'x'}", "'a': false", "{'a':false}||");
  see("{'map': 'properties.a', 'values': [['x', 'y'], [1, true]]}", "'a': 'x'", "{'a':'y'}||");
  see("{'map': 'properties.a', 'values': [['x', 'y'], [1, true]]}", "'a': 1.0", "{'a':true}||");
  see("{'map': 'properties.a', 'values': [['x', 'y'], [1, true]]}", "'a': true", "{'a':true}||");
  see("{'map': 'properties.a', 'values': [['x', 'y']], 'otherwise': 'z'}", "'a': 'q'", "{'a':'z'}||");
  see("{'map': 'properties.a', 'values': [['x', 'y']], 'otherwise': 'z'}", "", "{}||");
  see("{'scale': 'properties.a', 'by': 100}", "'a': 3", "{'a':300}||");
  see("{'scale': 'properties.a', 'by': 0.5}", "'a': 3", "{'a':1.5}||");
  see("{'scale': 'properties.a', 'by': 100}", "'a': 'x'", "{'a':'x'}||");
  see("{'scale': 'properties.a', 'by': 100}", "'a': 9223372036854775807", "{'a':9.223372036854776e+20}||");
  // What has dots in its key is found as features find it.
  see("{'rename': 'properties.a.b', 'to': 'c'}", "'a.b': 1", "{'a':{'c':1}}||");
}

static void an_upcast_that_cannot_be(void **state) {
  (void)state;
  struct schema_set *set =
      compile("[{'name': 's', 'version': 1}, {'name': 's', 'version': 2, 'upcast': [{'move': 'properties.a', 'to': "
              "'properties.b.c'}]}]");
  refused(set, C("s@1", "'a': 1, 'b': 2"), "no map");
  struct given g;
  assert_int_equal(judge(&g, set, C("s@1", "'a': 1, 'b': 2")), ITD_ESCHEMA);
  schema_see(set, &g.event, &g.scratch, &g.seen); // what was accepted once is seen as it came
  assert_true(g.seen.properties.p == g.event.properties.p);
  given_close(&g);
  schema_set_free(set);
}

static void personal_paths_are_of_all_versions(void **state) {
  (void)state;
  struct schema_set *set =
      compile("[{'name': 's', 'version': 1, 'fields': [{'path': 'traits.mail', 'personal': true}]},"
              "{'name': 's', 'version': 2, 'fields': [{'path': 'traits.list', 'type': 'list'}, {'path': "
              "'traits.list[].mail', 'personal': true}, {'path': 'traits.mail', 'personal': true}]}]");
  struct personal_paths paths = schema_personal(set);
  assert_int_equal(paths.count, 2);
  assert_true(bytes_is(paths.path[0], "traits.mail"));
  assert_true(bytes_is(paths.path[1], "traits.list.mail"));
  schema_set_free(set);
}

static void wrong(const char *schema, const char *why) {
  struct buf b = {0};
  struct schema_set *set = NULL;
  struct error err = {0};
  pack(schema, &b);
  if (schema_set_compile(buf_bytes(&b), &set, &err) != ITD_EPOLICY) fail_msg("accepted: %s", schema);
  assert_null(set);
  if (!strstr(err.text, why)) fail_msg("\"%s\" does not say \"%s\"", err.text, why);
  buf_deinit(&b);
}

#define F(field) "[{'name': 's', 'version': 1, 'fields': [" field "]}]"
#define U(step)  "[{'name': 's', 'version': 1}, {'name': 's', 'version': 2, 'upcast': [" step "]}]"

static void declarations_that_are_refused(void **state) {
  (void)state;
  wrong("{'a': 1}", "a list of schemas");
  wrong("[1]", "#1: a schema is a table");
  wrong("[{'name': 's', 'version': 1}, {'version': 1}]", "#2: it has no name");
  wrong("[{'name': 'S', 'version': 1}]", "begins with a-z");
  wrong("[{'name': 's'}]", "no version");
  wrong("[{'name': 's', 'version': 0}]", "whole number from 1");
  wrong("[{'name': 's', 'version': 1.5}]", "whole number");
  wrong("[{'name': 's', 'version': 1, 'feilds': []}]", "did you mean 'fields'");
  wrong("[{'name': 's', 'version': 1}, {'name': 's', 'version': 1}]", "s@1 is there twice");
  wrong("[{'name': 's', 'version': 1}, {'name': 's', 'version': 3}]", "none between them");
  wrong("[{'name': 's', 'version': 1, 'on': []}]", "on has 0 alternatives");
  wrong("[{'name': 's', 'version': 1, 'on': [{'type': 'trak'}]}]", "type is track");
  wrong("[{'name': 's', 'version': 1, 'upcast': []}]", "version 1 has no version before");
  wrong(F("{}"), "field 1 lacks a path");
  wrong(F("{'path': 'plan'}"), "a path is properties, traits or context");
  wrong(F("{'path': 'properties..a'}"), "a path is");
  wrong(F("{'path': 'properties.a.'}"), "a path is");
  wrong(F("{'path': 'properties.a[0]'}"), "a path is");
  wrong(F("{'path': 'properties.a.b.c.d.e.f.g.h.i.j.k.l'}"), "more than 12 steps");
  wrong(F("{'path': 'properties.a'}, {'path': 'properties.a'}"), "has a field already");
  wrong(F("{'path': 'properties.a', 'type': 'string'}"), "unknown type 'string'; allowed: text, ");
  wrong(F("{'path': 'properties.a', 'type': 'numbr'}"), "unknown type 'numbr' (did you mean 'number'?)");
  wrong(F("{'path': 'properties.a', 'type': 5}"), "type must be a text");
  wrong(F("{'path': 'properties.a', 'type': 'text', 'at_least': 1}"), "at_least is for");
  wrong(F("{'path': 'properties.a', 'pattern': 'a'}"), "pattern is for");
  wrong(F("{'path': 'properties.a', 'type': 'number', 'at_least': 2, 'at_most': 1}"), "above at_most");
  wrong(F("{'path': 'properties.a', 'type': 'text', 'min_length': 2, 'max_length': 1}"), "above max_length");
  wrong(F("{'path': 'properties.a', 'type': 'text', 'max_length': -1}"), "whole number");
  wrong(F("{'path': 'properties.a', 'type': 'text', 'is': []}"), "is has 0 values");
  wrong(F("{'path': 'properties.a', 'type': 'text', 'is': ['a', 1]}"), "the 2th, is no text");
  wrong(F("{'path': 'properties.a', 'type': 'text', 'pattern': '(a|a)*b'}"), "have no meaning here");
  wrong(F("{'path': 'properties.a', 'type': 'text', 'pattern': 'a{64}'}"), "more than 63 places");
  wrong(F("{'path': 'properties.a', 'type': 'text', 'pattern': '[a'}"), "without its ]");
  wrong(F("{'path': 'properties.a', 'type': 'text'}, {'path': 'properties.a.b'}"), "so its type is map");
  wrong(F("{'path': 'properties.a.b'}, {'path': 'properties.a[].b'}"), "both a map and a list");
  wrong(F("{'path': 'properties', 'type': 'text'}"), "is a map in every event");
  wrong(F("{'path': 'properties.a', 'required': 1}"), "must be true or false");
  wrong(F("{'path': 'properties.a[]', 'required': true}"), "min_length says");
  wrong(U("{}"), "must be one of rename");
  wrong(U("{'drop': 'properties.a', 'scale': 'properties.b', 'by': 1}"), "must be one of");
  wrong(U("{'drop': 'properties'}"), "names a path");
  wrong(U("{'drop': 'properties.a[].b'}"), "without []");
  wrong(U("{'rename': 'properties.a'}"), "takes to");
  wrong(U("{'rename': 'properties.a', 'to': 'properties.b'}"), "to is a key");
  wrong(U("{'move': 'properties.a', 'to': 'properties.a.b'}"), "lies where it comes from");
  wrong(U("{'scale': 'properties.a', 'by': 'x'}"), "from -1e9 to 1e9");
  wrong(U("{'map': 'properties.a', 'values': [['a', 'b'], ['a', 'c']]}"), "that has one");
  wrong(U("{'map': 'properties.a', 'values': {'a': 'b'}}"), "pairs");
  wrong(U("{'default': 'properties.a', 'value': [1]}"), "must be text");
  wrong(U("{'drop': 'properties.a', 'to': 'b'}"), "takes no to");
}

static void bounds_of_a_set(void **state) {
  (void)state;
  struct buf json = {0}, b = {0};
  struct schema_set *set = NULL;
  struct error err = {0};
  mp_put_array(&b, SCHEMAS_MAX + 1);
  for (int i = 0; i <= SCHEMAS_MAX; i++) mp_put_nil(&b);
  assert_int_equal(schema_set_compile(buf_bytes(&b), &set, &err), ITD_EPOLICY);
  buf_printf(&json, "[{'name': 's', 'version': 1, 'fields': [");
  for (int i = 0; i <= SCHEMA_KEYS_MAX; i++) buf_printf(&json, "%s{'path': 'properties.f%d'}", i ? "," : "", i);
  buf_append_str(&json, "]}]");
  buf_append_u8(&json, 0);
  wrong((const char *)json.p, "more than 64 fields in one map");
  buf_clear(&json);
  buf_append_str(&json, "[");
  for (int v = 1; v <= 6; v++) {
    buf_printf(&json, "%s{'name': 's', 'version': %d", v > 1 ? "," : "", v);
    for (int i = 0; v > 1 && i < SCHEMA_STEPS_MAX; i++)
      buf_printf(&json, "%s{'drop': 'properties.x%d'}", i ? "," : ", 'upcast': [", i);
    buf_append_str(&json, v > 1 ? "]}" : "}");
  }
  buf_append_str(&json, "]");
  buf_append_u8(&json, 0);
  wrong((const char *)json.p, "more than 256 steps");
  buf_deinit(&json);
  buf_deinit(&b);
}

// ---- a version and the one before it ----

struct findings {
  size_t count;
  char text[4000];
};
static void keep(void *context, bool is_error, const char *name, uint32_t version, const char *text) {
  struct findings *f = context;
  f->count += is_error;
  size_t n = strlen(f->text);
  snprintf(f->text + n, sizeof f->text - n, "%s@%u %s\n", name, version, text);
}

static void pair(const char *from, const char *to, const char *steps, const char *want) {
  char json[2000];
  struct findings f = {0};
  snprintf(json, sizeof json,
           "[{'name': 's', 'version': 1, 'fields': [%s]}, {'name': 's', 'version': 2, 'fields': [%s], 'upcast': [%s]}]",
           from, to, steps);
  struct schema_set *set = compile(json);
  size_t errors = schema_check(set, NULL, keep, &f);
  assert_int_equal(errors, f.count);
  if (want ? errors == 0 || !strstr(f.text, want) : errors != 0) fail_msg("%s -> %s (%s): %s", from, to, steps, f.text);
  schema_set_free(set);
}

static void a_version_reads_the_one_before(void **state) {
  (void)state;
#define A(more) "{'path': 'properties.a'" more "}"
  pair(A(", 'type': 'text'"), A(", 'type': 'text'"), "", NULL);
  pair(A(", 'type': 'integer'"), A(", 'type': 'number'"), "", NULL);
  pair(A(", 'type': 'number'"), A(", 'type': 'integer'"), "", "widen the type");
  pair(A(", 'type': 'text'"), A(""), "", NULL);
  pair(A(""), A(", 'type': 'text'"), "", "took anything");
  pair("", A(", 'type': 'text'"), "", "{ drop = \"properties.a\" }");
  pair("", A(", 'type': 'text'"), "{'drop': 'properties.a'}", NULL);
  pair("", A(""), "", NULL);
  pair("{'path': 'properties', 'type': 'map', 'closed': true}", A(", 'type': 'text'"), "", NULL);
  pair(A(""), A(", 'required': true"), "", "{ default = \"properties.a\"");
  pair(A(", 'required': true"), A(", 'required': true"), "", NULL);
  pair(A(", 'type': 'text'"), A(", 'type': 'text', 'required': true"), "{'default': 'properties.a', 'value': 'x'}",
       NULL);
  pair(A(", 'type': 'text'"), A(", 'type': 'text', 'required': true"), "{'default': 'properties.a', 'value': 1}",
       "no longer takes a number");
  pair(A(", 'type': 'number', 'at_least': 1"), A(", 'type': 'number', 'at_least': 0"), "", NULL);
  pair(A(", 'type': 'number', 'at_least': 0"), A(", 'type': 'number', 'at_least': 1"), "", "lower it");
  pair(A(", 'type': 'number'"), A(", 'type': 'number', 'at_most': 1"), "", "raise it");
  pair(A(", 'type': 'number', 'at_most': 1"), A(", 'type': 'number', 'at_most': 100"),
       "{'scale': 'properties.a', 'by': 100}", NULL);
  pair(A(", 'type': 'number', 'at_most': 2"), A(", 'type': 'number', 'at_most': 100"),
       "{'scale': 'properties.a', 'by': 100}", "raise it");
  pair(A(", 'type': 'integer'"), A(", 'type': 'integer'"), "{'scale': 'properties.a', 'by': 0.5}", "widen the type");
  pair(A(", 'type': 'text', 'max_length': 5"), A(", 'type': 'text', 'max_length': 4"), "", "took longer ones");
  pair(A(", 'type': 'text'"), A(", 'type': 'text', 'min_length': 1"), "", "took shorter ones");
  pair(A(", 'type': 'text', 'is': ['x', 'y']"), A(", 'type': 'text', 'is': ['y', 'x', 'z']"), "", NULL);
  pair(A(", 'type': 'text', 'is': ['x', 'y']"), A(", 'type': 'text', 'is': ['x']"), "", "no longer takes \"y\"");
  pair(A(", 'type': 'text', 'is': ['x', 'y']"), A(", 'type': 'text', 'is': ['x']"),
       "{'map': 'properties.a', 'values': [['y', 'x']]}", NULL);
  pair(A(", 'type': 'text'"), A(", 'type': 'text', 'is': ['x']"), "", "lengthen `is`");
  pair(A(", 'type': 'text'"), A(", 'type': 'text', 'is': ['x', 'z']"),
       "{'map': 'properties.a', 'values': [['q', 'x']], 'otherwise': 'z'}", NULL);
  pair(A(", 'type': 'text', 'is': ['ab']"), A(", 'type': 'text', 'pattern': '[a-z]+'"), "", NULL);
  pair(A(", 'type': 'text'"), A(", 'type': 'text', 'pattern': '[a-z]+'"), "", "pattern");
  pair(A(", 'type': 'map'"), A(", 'type': 'map', 'closed': true"), "", "is closed");
  pair(A(", 'type': 'map', 'closed': true") ", {'path': 'properties.a.b'}", A(", 'type': 'map', 'closed': true"), "",
       "is gone");
  pair(A(", 'type': 'map', 'closed': true") ", {'path': 'properties.a.b'}", A(", 'type': 'map', 'closed': true"),
       "{'drop': 'properties.a.b'}", NULL);
  pair(A(", 'type': 'text'"), "{'path': 'properties.b', 'type': 'text'}", "{'rename': 'properties.a', 'to': 'b'}",
       "{ drop = \"properties.b\" }");
  pair(A(", 'type': 'text'"), "{'path': 'properties.b', 'type': 'text'}",
       "{'drop': 'properties.b'}, {'rename': 'properties.a', 'to': 'b'}", NULL);
  pair(A(", 'type': 'text', 'required': true"), "{'path': 'properties.b', 'type': 'text', 'required': true}",
       "{'rename': 'properties.a', 'to': 'b'}", NULL);
}

static void what_was_in_force_stays(void **state) {
  (void)state;
  struct schema_set *before =
      compile("[{'name': 's', 'version': 1, 'fields': [" A("") "]}, {'name': 't', 'version': 1}]");
  struct schema_set *same = compile("[{'name': 's', 'version': 1, 'description': 'x', 'fields': [" A(
      ", 'description': 'y'") "]}, {'name': 't', 'version': 1}]");
  struct schema_set *other = compile("[{'name': 's', 'version': 1}]");
  struct findings f = {0};
  assert_int_equal(schema_check(same, before, keep, &f), 0);
  assert_string_equal(f.text, "");
  assert_int_equal(schema_check(other, before, keep, &f), 1);
  assert_non_null(strstr(f.text, "s@1 it is not what was in force"));
  assert_non_null(strstr(f.text, "t@1 it was in force and is not in the set any more"));
  schema_set_free(before);
  schema_set_free(same);
  schema_set_free(other);
}

// Moves that put what they move into one another make it deeper with each pair of steps. What walks maps stands on a bound.
static void moves_end_where_maps_are_too_deep(void **state) {
  (void)state;
  for (int pairs = 1; pairs <= 32; pairs++) {
    struct buf json = {0};
    buf_append_str(&json, "[{'name': 's', 'version': 1}, {'name': 's', 'version': 2, 'upcast': [");
    for (int i = 0; i < pairs; i++)
      buf_printf(
          &json,
          "%s{'move': 'properties.a', 'to': 'properties.n.n.n.n.n.n.n.n.n.n'}, {'rename': 'properties.n', 'to': 'a'}",
          i ? ", " : "");
    buf_append_str(&json, "]}]");
    buf_append_u8(&json, 0);
    struct schema_set *set = compile((const char *)json.p);
    struct given g;
    int rc = judge(&g, set, "{'type': 'track', 'event': 'E', 'userId': 'u', 'schema': 's@1', 'properties': {'a': 1}}");
    const struct mp_limits limits = {.depth_max = MP_DEPTH_MAX, .objects_max = UINT32_MAX, .bytes_max = SIZE_MAX};
    size_t n;
    schema_see(set, &g.event, &g.scratch, &g.seen);
    assert_int_equal(mp_scan(g.seen.properties, &limits, &n, NULL), 1);
    assert_int_equal(rc, 1 + 9 * pairs <= MP_DEPTH_MAX - 2 ? 0 : ITD_ESCHEMA);
    given_close(&g);
    schema_set_free(set);
    buf_deinit(&json);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tests_of_a_field_hold),
      cmocka_unit_test(what_is_required_must_be_there),
      cmocka_unit_test(claims_choose_a_version),
      cmocka_unit_test(steps_of_an_upcast),
      cmocka_unit_test(an_upcast_that_cannot_be),
      cmocka_unit_test(personal_paths_are_of_all_versions),
      cmocka_unit_test(declarations_that_are_refused),
      cmocka_unit_test(bounds_of_a_set),
      cmocka_unit_test(a_version_reads_the_one_before),
      cmocka_unit_test(what_was_in_force_stays),
      cmocka_unit_test(moves_end_where_maps_are_too_deep),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
