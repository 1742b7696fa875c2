// ratio and difference: values, what they take over from what they read, and what is refused.
#include <float.h>

#include "support.h"

#define OF(v) "'type': 'track', 'event': 'E', 'properties': {'v': " #v "}"

struct bed {
  struct feature_set *set;
  uint8_t *state;
  double values[8], ages[8];
  struct bytes texts[8];
};
static struct bed bed_open(const char *json) {
  struct bed b = {.set = compile(json)};
  b.state = xmalloc(feature_state_size(b.set) + 1);
  feature_state_init(b.set, b.state);
  return b;
}
static void bed_close(struct bed *b) {
  feature_set_free(b->set);
  free(b->state);
}
static double read_one(struct bed *b, const char *name, int64_t now_ms) {
  int at = feature_find(b->set, bytes_str(name));
  assert_true(at >= 0);
  feature_read(b->set, b->state, now_ms, b->values, b->texts);
  feature_ages(b->set, b->state, now_ms, b->ages);
  assert_int_equal(b->texts[at].n, 0);
  return b->values[at];
}
static const struct feature_info *info_of(const struct feature_set *set, const char *name) {
  return feature_info(set, (size_t)feature_find(set, bytes_str(name)));
}

// Declared before what they read, and one of the other.
#define SET                                                                                                            \
  "[{'name': 'growth', 'op': 'ratio', 'of': ['week', 'all']},"                                                         \
  " {'name': 'all', 'op': 'count'}, {'name': 'week', 'op': 'count', 'window': '7d'},"                                  \
  " {'name': 'before', 'op': 'difference', 'of': ['all', 'week']},"                                                    \
  " {'name': 'share', 'op': 'ratio', 'of': ['before', 'growth']}]"

static void test_values(void **state) {
  (void)state;
  struct bed b = bed_open(SET);
  assert_true(isnan(read_one(&b, "growth", T0))); // 0 / 0
  assert_true(read_one(&b, "before", T0) == 0);
  for (int i = 0; i < 3; i++) assert_int_equal(fold_json(b.set, b.state, OF(1), T0, T0), 2); // both counts, no others
  assert_true(read_one(&b, "growth", T0) == 1);
  fold_json(b.set, b.state, OF(1), T0 + 30 * DAY, T0 + 30 * DAY);
  assert_true(read_one(&b, "growth", T0 + 30 * DAY) == 0.25);
  assert_true(read_one(&b, "before", T0 + 30 * DAY) == 3);
  assert_true(read_one(&b, "share", T0 + 30 * DAY) == 12);
  assert_true(read_one(&b, "growth", T0 + 60 * DAY) == 0 && isnan(read_one(&b, "share", T0 + 60 * DAY)));
  bed_close(&b);
}

static uint64_t bits_of(double v) {
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  return bits;
}

// Never infinite, never -0, and one NaN.
static void test_edges(void **state) {
  (void)state;
  struct bed b = bed_open("[{'name': 'a', 'op': 'last', 'of': 'properties.a'}, {'name': 'b', 'op': 'last', 'of': "
                          "'properties.b'}, {'name': 'r', 'op': 'ratio', 'of': ['a', 'b']}, {'name': 'd', 'op': "
                          "'difference', 'of': ['a', 'b']}]");
  static const struct {
    double a, b, ratio, difference;
  } cases[] = {
      {1, 4, 0.25, -3},
      {0, -5, 0, 5},
      {5, 0, NAN, 5},
      {0, 0, NAN, 0},
      {1e308, 1e-308, DBL_MAX, 1e308},
      {-1e308, 1e-308, -DBL_MAX, -1e308},
      {DBL_MAX, -DBL_MAX, -1, DBL_MAX},
      {5e-324, DBL_MAX, 0, -DBL_MAX},
      {-5e-324, DBL_MAX, 0, -DBL_MAX},
  };
  assert_true(bits_of(read_one(&b, "r", T0)) == bits_of(NAN) && bits_of(read_one(&b, "d", T0)) == bits_of(NAN));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char json[128];
    snprintf(json, sizeof json, "'type': 'page', 'properties': {'a': %.17g, 'b': %.17g}", cases[i].a, cases[i].b);
    fold_json(b.set, b.state, json, T0 + (int64_t)i, T0 + (int64_t)i);
    assert_true(bits_of(read_one(&b, "r", T0 + 100)) == bits_of(cases[i].ratio));
    assert_true(bits_of(read_one(&b, "d", T0 + 100)) == bits_of(cases[i].difference));
  }
  bed_close(&b);
}

static void test_what_is_taken_over(void **state) {
  (void)state;
  struct feature_set *set =
      compile("[{'name': 'a', 'op': 'recency', 'personal': true}, {'name': 'b', 'op': 'gap', 'freshness': 'batch'},"
              " {'name': 'd', 'op': 'difference', 'of': ['a', 'b']}, {'name': 'r', 'op': 'ratio', 'of': ['b', 'b']},"
              " {'name': 'e', 'op': 'difference', 'of': ['d', 'r'], 'class': 'profile'}, {'name': 'n', 'op': 'count'},"
              " {'name': 'f', 'op': 'ratio', 'of': ['n', 'n']}]");
  const struct feature_info *d = info_of(set, "d"), *r = info_of(set, "r"), *e = info_of(set, "e"),
                            *f = info_of(set, "f");
  assert_true(d->is_personal && !r->is_personal && e->is_personal && !f->is_personal);
  assert_true(d->is_duration && !r->is_duration && !e->is_duration);
  assert_true(d->freshness == FEATURE_BATCH && e->freshness == FEATURE_BATCH && f->freshness == FEATURE_LIVE);
  assert_true(d->class == FEATURE_BEHAVIOUR && e->class == FEATURE_PROFILE);
  assert_true(d->has_age && e->has_age && !f->has_age && d->state_size == 0);
  assert_int_equal(feature_state_size(set), 8 + 16 + 8);
  feature_set_free(set);
}

// The age is that of the older one; asked of a derived one, what it reads keeps its time.
static void test_ages(void **state) {
  (void)state;
  struct bed b = bed_open("[{'name': 'a', 'op': 'count', 'on': 'A'}, {'name': 'r', 'op': 'ratio', 'of': ['a', 'b']},"
                          " {'name': 's', 'op': 'difference', 'of': ['r', 'a'], 'max_age': '1d'},"
                          " {'name': 'b', 'op': 'count', 'on': 'B'}]");
  assert_int_equal(feature_state_size(b.set), 4 * 8);
  assert_true(info_of(b.set, "a")->has_age && info_of(b.set, "r")->has_age && info_of(b.set, "s")->has_age);
  fold_json(b.set, b.state, "'type': 'track', 'event': 'A'", T0, T0);
  read_one(&b, "s", T0 + 5);
  assert_true(b.ages[0] == 5 && isnan(b.ages[1]) && isnan(b.ages[2]) && isnan(b.ages[3]));
  fold_json(b.set, b.state, "'type': 'track', 'event': 'B'", T0 + 3, T0 + 3);
  read_one(&b, "s", T0 + 5);
  assert_true(b.ages[1] == 5 && b.ages[2] == 5 && b.ages[3] == 2);
  bed_close(&b);
}

// A definition holds those that it reads, and not their names.
static void test_definitions(void **state) {
  (void)state;
  static const char *const sets[] = {
      "[{'name': 'a', 'op': 'count'}, {'name': 'b', 'op': 'gap'}, {'name': 'x', 'op': 'ratio', 'of': ['a', 'b']}]",
      "[{'name': 'c', 'op': 'count'}, {'name': 'x', 'op': 'ratio', 'of': ['c', 'd']}, {'name': 'd', 'op': 'gap'}]",
      "[{'name': 'a', 'op': 'count'}, {'name': 'b', 'op': 'gap'}, {'name': 'x', 'op': 'ratio', 'of': ['b', 'a']}]",
      "[{'name': 'a', 'op': 'count'}, {'name': 'b', 'op': 'gap'}, {'name': 'x', 'op': 'difference', 'of': ['a', "
      "'b']}]",
      "[{'name': 'a', 'op': 'count', 'on': 'A'}, {'name': 'b', 'op': 'gap'}, {'name': 'x', 'op': 'ratio', 'of': ['a', "
      "'b']}]",
  };
  uint64_t hash[5];
  for (int i = 0; i < 5; i++) {
    struct feature_set *set = compile(sets[i]);
    hash[i] = info_of(set, "x")->definition_hash;
    feature_set_free(set);
    for (int k = 0; k < i; k++) assert_true((hash[i] == hash[k]) == (i == 1));
  }
}

static void test_migrate_and_merge(void **state) {
  (void)state;
  struct bed a = bed_open(SET), b = bed_open(SET);
  struct bed to = bed_open("[{'name': 'n', 'op': 'count'}, {'name': 'w', 'op': 'count', 'window': '7d'},"
                           " {'name': 'g', 'op': 'ratio', 'of': ['w', 'n']}]");
  for (int i = 0; i < 3; i++) fold_json(a.set, a.state, OF(1), T0, T0);
  fold_json(b.set, b.state, OF(1), T0 + 30 * DAY, T0 + 30 * DAY);
  feature_state_merge(a.set, a.state, b.state, T0 + 30 * DAY);
  assert_true(read_one(&a, "growth", T0 + 30 * DAY) == 0.25);
  assert_int_equal(feature_state_migrate(a.set, a.state, to.set, to.state), 3);
  assert_true(read_one(&to, "g", T0 + 30 * DAY) == 0.25);
  bed_close(&a), bed_close(&b), bed_close(&to);
}

static void refuse(const char *json, const char *text) {
  struct buf b;
  struct feature_set *set = NULL;
  struct error err = {0};
  buf_init(&b);
  pack(json, &b);
  assert_int_equal(feature_set_compile(buf_bytes(&b), &set, &err), ITD_EPOLICY);
  assert_string_equal(err.text, text);
  buf_deinit(&b);
}

#define X "[{'name': 'week', 'op': 'count'}, {'name': 'x', 'op': 'ratio', "
static void test_refused(void **state) {
  (void)state;
  refuse("[{'name': 'x', 'op': 'ratio'}]", "features: x: ratio needs of");
  const char *two = "features: x: of must be a list of two features' names, like {\"a\", \"b\"}, for ratio";
  refuse(X "'of': 'week'}]", two);
  refuse(X "'of': []}]", two);
  refuse(X "'of': ['week']}]", two);
  refuse(X "'of': ['week', 'week', 'week']}]", two);
  refuse(X "'of': {'a': 'week', 'b': 'week'}}]", two);
  refuse(X "'of': ['week', 7]}]", "features: x: a name in of must be text, not a number");
  refuse(X "'of': ['week', '']}]", "features: x: a name in of is empty");
  refuse(X "'of': ['week', 'weeks']}]",
         "features: x: of names \"weeks\", which is no feature of the set (did you mean \"week\"?)");
  refuse(X "'of': ['a\\nb', 'week']}]", "features: x: of names \"a?b\", which is no feature of the set");
  refuse(X "'of': ['x', 'week']}]", "features: x: of names this feature itself");
  refuse(X "'of': ['y', 'week']}, {'name': 'y', 'op': 'ratio', 'of': ['x', 'week']}]",
         "features: x: of names \"y\", which is a ratio that is declared later; declare it before this one");
  refuse(X "'of': ['week', 't']}, {'name': 't', 'op': 'last', 'of': 'traits.t', 'text': true}]",
         "features: x: of names \"t\", which is text; a ratio is of numbers");
  refuse(X "'of': ['week', 'week'], 'on': 'A'}]",
         "features: x: on does not go with ratio: it reads features, not events");
  refuse(X "'of': ['week', 'week'], 'where': []}]",
         "features: x: where does not go with ratio: it reads features, not events");
  refuse(X "'of': ['week', 'week'], 'within': '7d'}]",
         "features: x: within does not go with ratio; it goes with: funnel, sequence, co_occurrence");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values),  cmocka_unit_test(test_edges),       cmocka_unit_test(test_what_is_taken_over),
      cmocka_unit_test(test_ages),    cmocka_unit_test(test_definitions), cmocka_unit_test(test_migrate_and_merge),
      cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
