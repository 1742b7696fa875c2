// A set as a whole: layout, lookup, what a definition's hash depends on, and states that move to another set.
#include "support.h"

static uint64_t definition(const char *json) {
  struct one o = one_open(json);
  uint64_t hash = feature_info(o.set, 0)->definition_hash;
  one_close(&o);
  return hash;
}

static void test_info_and_layout(void **state) {
  (void)state;
  struct feature_set *set = compile(
      "[{'name': 'visits', 'op': 'count', 'description': 'All of them', 'owner': 'ops@example.com'},"
      " {'name': 'domain', 'op': 'last', 'of': 'traits.email', 'part': 'domain', 'class': 'profile', 'personal': true},"
      " {'name': 'week', 'op': 'count', 'window': '7d'}, {'name': 'values', 'op': 'distinct', 'of': 'event'}]");
  assert_int_equal(feature_count(set), 4);
  const struct feature_info *a = feature_info(set, 0), *b = feature_info(set, 1), *c = feature_info(set, 2);
  assert_string_equal(a->name, "visits");
  assert_string_equal(a->op, "count");
  assert_string_equal(a->description, "All of them");
  assert_string_equal(a->owner, "ops@example.com");
  assert_string_equal(b->description, "");
  assert_true(a->class == FEATURE_BEHAVIOUR && b->class == FEATURE_PROFILE);
  assert_true(!a->is_text && b->is_text && !a->is_personal && b->is_personal && !a->is_duration);
  assert_int_equal(a->state_offset, 0);
  assert_int_equal(a->state_size, 8);
  assert_int_equal(b->state_offset, 8);
  assert_int_equal(b->state_size, 56);
  assert_int_equal(c->state_offset, 64);
  assert_int_equal(c->state_size, 8 + 32); // 7 tiles of 4 bytes, to whole words
  assert_int_equal(feature_state_size(set), 64 + 40 + 8 + 16 * 8);
  assert_int_equal(feature_find(set, BYTES_LIT("week")), 2);
  assert_int_equal(feature_find(set, BYTES_LIT("weeks")), -1);
  assert_int_equal(feature_find(set, BYTES_LIT("")), -1);
  feature_set_free(set);
  feature_set_free(NULL);
}

static void test_empty_sets(void **state) {
  (void)state;
  static const char *const empty[] = {"[]", "{}"};
  for (int i = 0; i < 2; i++) {
    struct feature_set *set = compile(empty[i]);
    assert_int_equal(feature_count(set) + feature_state_size(set), 0);
    assert_int_equal(feature_find(set, BYTES_LIT("x")), -1);
    assert_int_equal(fold_json(set, NULL, "'type': 'page'", T0, T0), 0);
    feature_read(set, NULL, T0, NULL, NULL);
    feature_set_free(set);
  }
}

// Equal meaning, other words.
static void test_definition_is_meaning(void **state) {
  (void)state;
  static const char *const same[][2] = {
      {"'op': 'count', 'window': '7d'", "'window': '168h', 'tile': '1d', 'op': 'count'"},
      {"'op': 'count', 'window': '7d', 'tile': '1d'", "'op': 'count', 'window': '150h', 'tile': '24h'"},
      {"'op': 'count', 'on': 'A'", "'op': 'count', 'on': [{'event': 'A'}, 'A']"},
      {"'op': 'count', 'on': ['A', 'B']", "'op': 'count', 'on': ['B', 'A']"},
      {"'op': 'count', 'where': {'path': 'traits.a', 'is': 1}",
       "'op': 'count', 'where': [{'path': 'traits.a', 'in': [1.0, 1]}]"},
      {"'op': 'count', 'where': {'path': 'traits.a', 'at_least': 1, 'under': 2}",
       "'op': 'count', 'where': [{'path': 'traits.a', 'under': 2}, {'path': 'traits.a', 'at_least': 1}]"},
      {"'op': 'count', 'where': []", "'op': 'count'"},
      {"'op': 'sessions'", "'op': 'sessions', 'session_gap': '1800s'"},
      {"'op': 'distinct', 'of': 'event'", "'op': 'distinct', 'of': 'event', 'limit': 16"},
      {"'op': 'last', 'of': 'traits.a', 'part': 'lower'",
       "'op': 'last', 'of': 'traits.a', 'part': 'lower', 'text': true"},
      {"'op': 'streak'", "'op': 'streak', 'zone': 0, 'description': 'd', 'owner': 'o', 'class': 'profile', "
                         "'personal': true"},
      {"'op': 'funnel', 'steps': ['A', ['B', 'C']], 'within': '1d', 'pending': 16, 'lateness': '30d'",
       "'op': 'funnel', 'steps': [{'on': {'event': 'A'}}, {'on': ['C', 'B'], 'where': []}], 'within': '24h'"},
  };
  for (size_t i = 0; i < sizeof same / sizeof *same; i++)
    if (definition(same[i][0]) != definition(same[i][1])) fail_msg("%s differs from %s", same[i][0], same[i][1]);
}

static void test_definition_tells_apart(void **state) {
  (void)state;
  static const char *const other[] = {
      "'op': 'count'",
      "'op': 'flag'",
      "'op': 'recency'",
      "'op': 'count', 'window': '7d'",
      "'op': 'count', 'window': '8d', 'tile': '1d'",
      "'op': 'count', 'window': '7h', 'tile': '1h'",
      "'op': 'count', 'on': 'A'",
      "'op': 'count', 'on': 'B'",
      "'op': 'count', 'on': ['A', 'B']",
      "'op': 'count', 'on': {'channel': 'A'}",
      "'op': 'count', 'on': {'type': 'page'}",
      "'op': 'count', 'on': {'type': 'page', 'event': 'A'}",
      "'op': 'count', 'where': {'path': 'traits.a', 'is': 1}",
      "'op': 'count', 'where': {'path': 'traits.a', 'is': 1.5}",
      "'op': 'count', 'where': {'path': 'traits.a', 'is': '1'}",
      "'op': 'count', 'where': {'path': 'traits.a', 'is': true}",
      "'op': 'count', 'where': {'path': 'traits.a', 'in': [1, 2]}",
      "'op': 'count', 'where': {'path': 'properties.a', 'is': 1}",
      "'op': 'count', 'where': {'path': 'traits.a', 'at_least': 1}",
      "'op': 'count', 'where': {'path': 'traits.a', 'under': 1}",
      "'op': 'count', 'where': {'path': 'traits.a', 'exists': true}",
      "'op': 'count', 'where': {'path': 'traits.a', 'exists': false}",
      "'op': 'count', 'where': {'path': 'traits.a', 'starts_with': '1'}",
      "'op': 'sum', 'of': 'traits.a'",
      "'op': 'sum', 'of': 'traits.b'",
      "'op': 'last', 'of': 'traits.a'",
      "'op': 'last', 'of': 'traits.a', 'text': true",
      "'op': 'last', 'of': 'traits.a', 'part': 'lower'",
      "'op': 'last', 'of': 'traits.a', 'part': 'domain'",
      "'op': 'distinct', 'of': 'traits.a'",
      "'op': 'distinct', 'of': 'event'",
      "'op': 'distinct', 'of': 'channel'",
      "'op': 'distinct', 'of': 'channel', 'limit': 17",
      "'op': 'distinct', 'of': 'channel', 'precision': 10",
      "'op': 'decay', 'half_life': '1d'",
      "'op': 'decay', 'half_life': '2d'",
      "'op': 'decay', 'half_life': '1d', 'of': 'traits.a'",
      "'op': 'sessions'",
      "'op': 'session_length'",
      "'op': 'session_length', 'stat': 'mean'",
      "'op': 'session_length', 'stat': 'total'",
      "'op': 'count', 'window': 'session'",
      "'op': 'count', 'window': 'session', 'session_gap': '1h'",
      "'op': 'gap'",
      "'op': 'gap', 'stat': 'mean'",
      "'op': 'active_days', 'window': '7d'",
      "'op': 'active_days', 'window': '8d'",
      "'op': 'active_days', 'window': 'this_week'",
      "'op': 'active_days', 'window': '7d', 'zone': 60",
      "'op': 'time_of_day'",
      "'op': 'time_of_day', 'zone': 'Asia/Tokyo'",
      "'op': 'weekday'",
      "'op': 'most_common', 'of': 'traits.a'",
      "'op': 'most_common', 'of': 'traits.a', 'text': true",
      "'op': 'most_common', 'of': 'traits.a', 'limit': 9",
      "'op': 'most_common', 'of': 'channel'",
      "'op': 'quantile', 'of': 'traits.a', 'q': 0.5",
      "'op': 'quantile', 'of': 'traits.a', 'q': 0.9",
      "'op': 'quantile', 'of': 'traits.a', 'q': 0.5, 'accuracy': 0.01",
      "'op': 'decay', 'shape': 'linear', 'over': '7d'",
      "'op': 'decay', 'shape': 'linear', 'over': '7d', 'tile': '1d'",
      "'op': 'decay', 'shape': 'linear', 'over': '8d', 'tile': '1d'",
      "'op': 'decay', 'shape': 'step', 'steps': {'age': '7d', 'weight': 1}",
      "'op': 'decay', 'shape': 'step', 'steps': [{'age': '6d', 'weight': 1}, {'age': '7d', 'weight': 1}]",
      "'op': 'decay', 'shape': 'step', 'steps': {'age': '7d', 'weight': 0.5}",
      "'op': 'sessions', 'session_gap': '31m'",
      "'op': 'streak'",
      "'op': 'streak', 'zone': 60",
      "'op': 'streak', 'zone': 'Europe/Amsterdam'",
      "'op': 'streak', 'zone': 'Europe/London'",
      "'op': 'count', 'window': 'today'",
      "'op': 'count', 'window': 'this_week'",
      "'op': 'count', 'window': 'this_month'",
      "'op': 'count', 'window': 'this_quarter'",
      "'op': 'count', 'window': 'this_year'",
      "'op': 'count', 'window': 'this_year', 'zone': 'America/New_York'",
      "'op': 'funnel', 'steps': ['A', 'B'], 'within': '1d'",
      "'op': 'funnel', 'steps': ['B', 'A'], 'within': '1d'",
      "'op': 'funnel', 'steps': ['A', 'B', 'B'], 'within': '1d'",
      "'op': 'funnel', 'steps': [['A', 'B'], 'B'], 'within': '1d'",
      "'op': 'funnel', 'steps': ['A', {'on': 'B', 'where': {'path': 'traits.a', 'is': 1}}], 'within': '1d'",
      "'op': 'funnel', 'steps': ['A', 'B'], 'within': '2d'",
      "'op': 'funnel', 'steps': ['A', 'B'], 'within': '1d', 'window': '7d'",
      "'op': 'funnel', 'steps': ['A', 'B'], 'within': '1d', 'window': 'today'",
      "'op': 'funnel', 'steps': ['A', 'B'], 'within': '1d', 'pending': 8",
      "'op': 'funnel', 'steps': ['A', 'B'], 'within': '1d', 'lateness': '1d'",
      "'op': 'sequence', 'steps': ['A', 'B'], 'within': '1d'",
      "'op': 'sequence', 'steps': ['A', 'B'], 'within': '1d', 'window': '7d'",
      "'op': 'co_occurrence', 'steps': ['A', 'B'], 'within': '1d'",
  };
  enum { N = sizeof other / sizeof *other };
  uint64_t hash[N];
  for (size_t i = 0; i < N; i++) {
    hash[i] = definition(other[i]);
    for (size_t k = 0; k < i; k++)
      if (hash[i] == hash[k]) fail_msg("%s is told from %s by nothing", other[i], other[k]);
  }
}

// Journals and model files hold these numbers: they change only with FEATURE_SEMANTICS.
static void test_known_hashes(void **state) {
  (void)state;
  assert_int_equal(definition("'op': 'count'"), UINT64_C(0x70b60e7490c7558d));
  assert_int_equal(definition("'op': 'sum', 'of': 'properties.amount', 'window': '7d', 'on': ['Order', {'type': "
                              "'page', 'channel': 'web'}], 'where': {'path': 'traits.a', 'in': [2, 'x', true, 0.5]}"),
                   UINT64_C(0x3ba18d87b276d4d5));
  struct feature_set *set = compile("[{'name': 'a', 'op': 'count'}, {'name': 'b', 'op': 'gap'}]");
  assert_int_equal(feature_set_hash(set), UINT64_C(0xbe4bfd90aa3be625));
  feature_set_free(set);
  assert_int_equal(definition("'op': 'funnel', 'within': '1d', 'window': '7d', 'steps': ['A', {'on': ['B', 'C'], "
                              "'where': {'path': 'properties.n', 'at_least': 3}}]"),
                   UINT64_C(0x73a8fa983d9ceab7));
  set = compile("[{'name': 'a', 'op': 'count'}, {'name': 'b', 'op': 'ratio', 'of': ['a', 'a']}]");
  assert_int_equal(feature_info(set, 1)->definition_hash, UINT64_C(0x89241326d4074524));
  feature_set_free(set);
}

static void test_set_hash(void **state) {
  (void)state;
  static const char *const sets[] = {
      "[]",
      "[{'name': 'a', 'op': 'count'}]",
      "[{'name': 'b', 'op': 'count'}]",
      "[{'name': 'a', 'op': 'count', 'personal': true}]",
      "[{'name': 'a', 'op': 'count', 'class': 'profile'}]",
      "[{'name': 'a', 'op': 'count'}, {'name': 'b', 'op': 'gap'}]",
      "[{'name': 'b', 'op': 'gap'}, {'name': 'a', 'op': 'count'}]",
  };
  enum { N = sizeof sets / sizeof *sets };
  uint64_t hash[N];
  for (size_t i = 0; i < N; i++) {
    struct feature_set *set = compile(sets[i]);
    hash[i] = feature_set_hash(set);
    feature_set_free(set);
    for (size_t k = 0; k < i; k++) assert_true(hash[i] != hash[k]);
  }
  struct feature_set *set = compile("[{'op': 'count', 'description': 'd', 'name': 'a'}]");
  assert_true(feature_set_hash(set) == hash[1]);
  feature_set_free(set);
}

// Every byte is written, whatever was there before; and the state needs no alignment.
static void test_state_has_no_gaps(void **state) {
  (void)state;
  struct feature_set *set = compile(
      "[{'name': 'a', 'op': 'count', 'window': '7d'}, {'name': 'b', 'op': 'last', 'of': 'traits.e', 'text': "
      "true}, {'name': 'c', 'op': 'distinct', 'of': 'event'}, {'name': 'd', 'op': 'sessions'}, {'name': 'e', "
      "'op': 'streak'}, {'name': 'f', 'op': 'min', 'of': 'traits.n'}, {'name': 'g', 'op': 'decay', "
      "'half_life': '1d'}, {'name': 'h', 'op': 'mean', 'of': 'traits.n', 'window': '2h', 'tile': '1h'}, "
      "{'name': 'i', 'op': 'most_common', 'of': 'traits.e', 'text': true, 'limit': 4}, {'name': 'j', 'op': "
      "'quantile', 'of': 'traits.n', 'q': 0.5, 'limit': 17}, {'name': 'k', 'op': 'session_length'}, {'name': 'l', "
      "'op': 'sum', 'of': 'traits.n', 'window': 'session'}, {'name': 'm', 'op': 'active_days', 'window': '5d'}, "
      "{'name': 'n', 'op': 'weekday'}, {'name': 'o', 'op': 'decay', 'shape': 'linear', 'over': '9h'}, {'name': "
      "'p', 'op': 'variance', 'of': 'traits.n', 'window': '5h'}, {'name': 'q', 'op': 'distinct', 'of': "
      "'traits.n', 'limit': 5}]");
  size_t size = feature_state_size(set);
  uint8_t *a = xmalloc(size + 1), *b = xmalloc(size);
  memset(a, 0x00, size + 1), memset(b, 0xff, size);
  feature_state_init(set, a + 1), feature_state_init(set, b);
  for (int i = 0; i < 50; i++) {
    char json[100];
    snprintf(json, sizeof json, "'type': 'identify', 'traits': {'e': '%.*s', 'n': %d}", i % 9, "abcdefghi", i);
    fold_json(set, a + 1, json, T0 + i * HOUR, T0 + i * HOUR), fold_json(set, b, json, T0 + i * HOUR, T0 + i * HOUR);
    assert_memory_equal(a + 1, b, size);
  }
  free(a), free(b);
  feature_set_free(set);
}

static void test_migrate(void **state) {
  (void)state;
  struct feature_set *from =
      compile("[{'name': 'a', 'op': 'count'}, {'name': 'b', 'op': 'recency'}, {'name': 'c', 'op': 'count', 'window': "
              "'7d'}, {'name': 'd', 'op': 'last', 'of': 'properties.v'}]");
  struct feature_set *to =
      compile("[{'name': 'd', 'op': 'last', 'of': 'properties.v'}, {'name': 'new', 'op': 'min', 'of': 'properties.v'},"
              "{'name': 'c', 'op': 'count', 'window': '8d', 'tile': '1d'}, {'name': 'renamed', 'op': 'count'}, "
              "{'name': 'twin', 'op': 'count'}]");
  uint8_t *old = xmalloc(feature_state_size(from)), *new = xmalloc(feature_state_size(to));
  memset(new, 0xee, feature_state_size(to));
  feature_state_init(from, old);
  for (int i = 0; i < 3; i++)
    fold_json(from, old, "'type': 'track', 'event': 'E', 'properties': {'v': 7}", T0 + i, T0 + i);
  assert_int_equal(feature_state_migrate(from, old, to, new), 3);
  double v[5];
  struct bytes t[5];
  feature_read(to, new, T0 + 2, v, t);
  assert_true(v[0] == 7 && isnan(v[1]) && v[2] == 0 && v[3] == 3 && v[4] == 3);
  fold_json(to, new, "'type': 'track', 'event': 'E', 'properties': {'v': 5}", T0 + 3, T0 + 3);
  feature_read(to, new, T0 + 3, v, t);
  assert_true(v[0] == 5 && v[1] == 5 && v[2] == 1 && v[3] == 4 && v[4] == 4);
  struct feature_set *none = compile("[]");
  assert_int_equal(feature_state_migrate(from, old, none, NULL), 0);
  assert_int_equal(feature_state_migrate(none, NULL, to, new), 0);
  feature_read(to, new, T0 + 3, v, t);
  assert_true(isnan(v[0]) && isnan(v[1]) && v[2] == 0 && v[3] == 0 && v[4] == 0);
  free(old), free(new);
  feature_set_free(from), feature_set_free(to), feature_set_free(none);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_info_and_layout),       cmocka_unit_test(test_empty_sets),
      cmocka_unit_test(test_definition_is_meaning), cmocka_unit_test(test_definition_tells_apart),
      cmocka_unit_test(test_known_hashes),          cmocka_unit_test(test_set_hash),
      cmocka_unit_test(test_state_has_no_gaps),     cmocka_unit_test(test_migrate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
