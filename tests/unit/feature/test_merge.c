// Merging two leads' states, case by case; tests/unit/feature/test_oracle.c does it at random.
#include "support.h"

struct pair {
  struct one a, b;
};
static struct pair pair_open(const char *json) { return (struct pair){one_open(json), one_open(json)}; }
static void pair_close(struct pair *p) { one_close(&p->a), one_close(&p->b); }

// Merges b into a and the other way round, which must leave the same; a is then both.
static void merge(struct pair *p, int64_t now_ms) {
  size_t size = feature_state_size(p->a.set);
  uint8_t *other = xmalloc(size);
  memcpy(other, p->b.state, size);
  feature_state_merge(p->a.set, other, p->a.state, now_ms);
  feature_state_merge(p->a.set, p->a.state, p->b.state, now_ms);
  assert_memory_equal(p->a.state, other, size);
  free(other);
}

#define PAGE "'type': 'page'"
static const char *of(int v) {
  static char text[64];
  snprintf(text, sizeof text, "'type': 'track', 'event': 'E', 'properties': {'v': %d}", v);
  return text;
}

static void test_rings_of_other_days(void **state) {
  (void)state;
  struct pair p = pair_open("'op': 'count', 'window': '7d'");
  for (int day = 0; day < 10; day++) at(&p.a, T0 + day * DAY, PAGE);
  for (int day = 5; day < 12; day += 2) at(&p.b, T0 + day * DAY, PAGE);
  merge(&p, T0 + 11 * DAY);
  assert_value(&p.a, T0 + 11 * DAY, 5 + 4); // days 5 to 9 of one, 5 7 9 11 of the other
  at(&p.a, T0 + 12 * DAY, PAGE);
  assert_value(&p.a, T0 + 12 * DAY, 4 + 3 + 1); // goes on as one lead
  pair_close(&p);

  p = pair_open("'op': 'sum', 'of': 'properties.v', 'window': '7d'"); // far apart: the older ring is gone
  at(&p.a, T0, of(1)), at(&p.b, T0 + 400 * DAY, of(2));
  merge(&p, T0 + 400 * DAY);
  assert_value(&p.a, T0 + 400 * DAY, 2);
  pair_close(&p);

  p = pair_open("'op': 'mean', 'of': 'properties.v', 'window': '2d', 'tile': '1d'");
  at(&p.a, T0, of(1)), at(&p.a, T0 + DAY, of(2)), at(&p.b, T0, of(3));
  merge(&p, T0 + DAY);
  assert_value(&p.a, T0 + DAY, 2);
  assert_value(&p.a, T0 + 2 * DAY, 2);
  assert_value(&p.a, T0 + 3 * DAY, NAN);
  pair_close(&p);

  p = pair_open("'op': 'velocity', 'window': '7d'");
  for (int i = 0; i < 3; i++) at(&p.a, T0, PAGE);
  for (int i = 0; i < 6; i++) at(&p.b, T0 + 7 * DAY, PAGE);
  merge(&p, T0 + 7 * DAY);
  assert_value(&p.a, T0 + 7 * DAY, 2);
  pair_close(&p);
}

// Of equal times nobody knows which lead's came first: values decide.
static void test_ties(void **state) {
  (void)state;
  struct pair p = pair_open("'op': 'first', 'of': 'properties.v'");
  at(&p.a, T0, of(5)), at(&p.b, T0, of(-3));
  merge(&p, T0);
  assert_value(&p.a, T0, -3);
  pair_close(&p);
  p = pair_open("'op': 'last', 'of': 'properties.v'");
  at(&p.a, T0, of(5)), at(&p.b, T0, of(-3));
  merge(&p, T0);
  assert_value(&p.a, T0, 5);
  late(&p.b, T0 + 1, T0 + 1, of(2)); // a later one wins, whatever its value
  merge(&p, T0 + 1);
  assert_value(&p.a, T0 + 1, 2);
  pair_close(&p);

  const char *ops[] = {"first", "last"}, *expected[] = {"ab", "b"};
  for (int i = 0; i < 2; i++) {
    char json[80];
    snprintf(json, sizeof json, "'op': '%s', 'of': 'properties.v', 'text': true", ops[i]);
    p = pair_open(json);
    at(&p.a, T0, "'type': 'page', 'properties': {'v': 'b'}"), at(&p.b, T0, "'type': 'page', 'properties': {'v': 'ab'}");
    merge(&p, T0);
    assert_text(&p.a, T0, expected[i]);
    pair_close(&p);
  }
  p = pair_open("'op': 'gap'"); // at once on both: no time between them
  at(&p.a, T0, PAGE), at(&p.b, T0, PAGE);
  merge(&p, T0);
  assert_value(&p.a, T0, 0);
  pair_close(&p);
}

static void test_distinct(void **state) {
  (void)state;
  struct pair p = pair_open("'op': 'distinct', 'of': 'properties.v', 'limit': 8");
  for (int i = 0; i < 5; i++) at(&p.a, T0, of(i)), at(&p.b, T0, of(i + 3));
  merge(&p, T0);
  assert_value(&p.a, T0, 8);
  at(&p.b, T0, of(100));
  merge(&p, T0);
  assert_true(value(&p.a, T0) > 8); // an estimate from here
  pair_close(&p);
}

// A run of each that overlap are one; what one only counts is taken to lie apart from the other's.
static void test_sessions(void **state) {
  (void)state;
  struct pair p = pair_open("'op': 'sessions', 'session_gap': '1h'");
  at(&p.a, T0, PAGE), at(&p.b, T0 + 30 * MINUTE, PAGE), at(&p.a, T0 + 90 * MINUTE, PAGE);
  at(&p.b, T0 + 5 * HOUR, PAGE);
  assert_value(&p.a, T0 + 5 * HOUR, 2);
  merge(&p, T0 + 5 * HOUR);
  assert_value(&p.a, T0 + 5 * HOUR, 2); // 0:00 0:30 1:30, and 5:00
  pair_close(&p);

  p = pair_open("'op': 'sessions', 'session_gap': '1h'");
  for (int i = 0; i < 6; i++) at(&p.a, T0 + i * DAY, PAGE), at(&p.b, T0 + i * DAY + MINUTE, PAGE);
  merge(&p, T0 + 6 * DAY);
  assert_value(&p.a, T0 + 6 * DAY, 8); // four joined; two closed of each
  late(&p.a, T0 + 2 * DAY + HOUR, T0 + 6 * DAY, PAGE);
  assert_value(&p.a, T0 + 6 * DAY, 8); // and its runs are still runs
  pair_close(&p);

  p = pair_open("'op': 'sessions'"); // one before the other: all of both
  for (int i = 0; i < 9; i++) at(&p.a, T0 + i * DAY, PAGE), at(&p.b, T0 + (100 + i) * DAY, PAGE);
  merge(&p, T0 + 200 * DAY);
  assert_value(&p.a, T0 + 200 * DAY, 18);
  pair_close(&p);
}

static void test_streak(void **state) {
  (void)state;
  struct pair p = pair_open("'op': 'streak'");
  for (int day = 0; day < 60; day++) at(day % 3 ? &p.a : &p.b, T0 + day * DAY, PAGE);
  merge(&p, T0 + 59 * DAY);
  assert_value(&p.a, T0 + 59 * DAY, 60);
  pair_close(&p);

  p = pair_open("'op': 'streak'"); // longer than the bitmap, and one lead has all of the old days
  for (int day = 0; day < 200; day++) at(day < 180 ? &p.a : &p.b, T0 + day * DAY, PAGE);
  merge(&p, T0 + 199 * DAY);
  assert_value(&p.a, T0 + 199 * DAY, 200);
  pair_close(&p);

  p = pair_open("'op': 'streak'"); // each has every other day of the old ones: they are not known any more
  for (int day = 0; day < 200; day++) at(day % 2 ? &p.a : &p.b, T0 + day * DAY, PAGE);
  merge(&p, T0 + 199 * DAY);
  assert_value(&p.a, T0 + 199 * DAY, 65);
  pair_close(&p);
}

static void test_decay(void **state) {
  (void)state;
  struct pair p = pair_open("'op': 'decay', 'half_life': '1d'");
  at(&p.a, T0, PAGE), at(&p.b, T0 + 2 * DAY, PAGE);
  merge(&p, T0 + 2 * DAY);
  assert_value(&p.a, T0 + 2 * DAY, 1.25);
  pair_close(&p);
}

// Beyond the limit: what one lead does not keep it may have had as often as the rarest that it keeps.
static void test_most_common(void **state) {
  (void)state;
  struct pair p = pair_open("'op': 'most_common', 'of': 'properties.v', 'limit': 4");
  for (int i = 0; i < 3; i++) at(&p.a, T0, of(9));
  static const int counts[] = {0, 6, 5, 5, 4};
  for (int v = 1; v <= 4; v++)
    for (int i = 0; i < counts[v]; i++) at(&p.b, T0, of(v));
  at(&p.b, T0, of(5)); // takes the place of 4, and its count
  assert_value(&p.b, T0, 1);
  merge(&p, T0);
  assert_value(&p.a, T0, 9); // 3 and at most 5, against 6
  pair_close(&p);

  p = pair_open("'op': 'most_common', 'of': 'properties.v', 'limit': 4"); // as many as fit: exact
  at(&p.a, T0, of(1)), at(&p.a, T0, of(2)), at(&p.b, T0, of(3)), at(&p.b, T0, of(2)), at(&p.b, T0, of(4));
  merge(&p, T0);
  assert_value(&p.a, T0, 2);
  pair_close(&p);
}

// Two ranges of bins far apart: the greater decides what the lowest bin is.
static void test_quantile(void **state) {
  (void)state;
  struct pair p = pair_open("'op': 'quantile', 'of': 'properties.v', 'q': 0.5, 'limit': 16");
  for (int i = 0; i < 3; i++) at(&p.a, T0, of(1)), at(&p.b, T0, of(1000000));
  at(&p.a, T0, of(-5)), at(&p.b, T0, of(0));
  merge(&p, T0);
  double lowest = value(&p.a, T0); // the fourth of -5 0 1 1 | 1 …: what 1 became
  assert_true(lowest > 1e6 / 6 && lowest < 1e6 / 4);
  pair_close(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rings_of_other_days),
      cmocka_unit_test(test_ties),
      cmocka_unit_test(test_distinct),
      cmocka_unit_test(test_sessions),
      cmocka_unit_test(test_streak),
      cmocka_unit_test(test_decay),
      cmocka_unit_test(test_most_common),
      cmocka_unit_test(test_quantile),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
