// Each op by hand: small streams whose values can be told without a program.
#include "support.h"
#include <float.h>

#define PAGE      "'type': 'track', 'event': 'Page Viewed'"
#define AMOUNT(x) "'type': 'track', 'event': 'Order', 'properties': {'amount': " x "}"

static void test_count(void **state) {
  (void)state;
  struct one o = one_open("'op': 'count', 'on': ['Page Viewed']");
  assert_value(&o, T0, 0);
  assert_int_equal(at(&o, T0, PAGE), 1);
  assert_int_equal(at(&o, T0, "'type': 'track', 'event': 'Docs Viewed'"), 0);
  assert_int_equal(at(&o, T0, "'type': 'identify'"), 0);
  assert_int_equal(late(&o, T0 - 3000 * DAY, T0, PAGE), 1);
  assert_value(&o, T0, 2);
  one_close(&o);
}

// Tiles of a day, seven of them: a match counts from its own moment on until the seventh midnight after it.
static void test_window(void **state) {
  (void)state;
  struct one o = one_open("'op': 'count', 'window': '7d', 'on': 'Page Viewed'");
  at(&o, T0 + 5 * HOUR, PAGE);
  assert_value(&o, T0 + 5 * HOUR, 1);
  assert_value(&o, T0 + 7 * DAY - 1, 1);
  assert_value(&o, T0 + 7 * DAY, 0);
  at(&o, T0 + 10 * DAY, PAGE);
  late(&o, T0 + 4 * DAY, T0 + 10 * DAY, PAGE);     // the oldest tile of the window
  late(&o, T0 + 4 * DAY - 1, T0 + 10 * DAY, PAGE); // just older: it changes nothing
  assert_value(&o, T0 + 10 * DAY, 2);
  assert_value(&o, T0 + 11 * DAY, 1);
  assert_value(&o, T0 + 4000 * DAY, 0);
  one_close(&o);
}

static void test_window_before_1970(void **state) {
  (void)state;
  struct one o = one_open("'op': 'count', 'window': '3d', 'tile': '1d'");
  struct event e = {.type = EVENT_PAGE, .timestamp_ms = -1};
  feature_fold(o.set, o.state, &e, -1);
  assert_value(&o, -1, 1);
  assert_value(&o, 2 * DAY - 1, 1);
  assert_value(&o, 2 * DAY, 0);
  one_close(&o);
}

static void test_a_clock_ahead(void **state) {
  (void)state;
  struct one o = one_open("'op': 'recency'");
  late(&o, T0 + HOUR, T0, PAGE); // the sender says in an hour: it is now
  assert_value(&o, T0, 0);
  assert_value(&o, T0 + MINUTE, 60000);
  one_close(&o);
}

static void test_the_ends_of_time(void **state) {
  (void)state;
  struct feature_set *set =
      compile("[{'name': 'a', 'op': 'count', 'window': '5200w', 'tile': '5200w'}, {'name': 'b', 'op': 'velocity', "
              "'window': '32s', 'tile': '1s'}, {'name': 'c', 'op': 'decay', 'half_life': '1s'}, {'name': 'd', 'op': "
              "'sessions', 'session_gap': '5200w'}, {'name': 'e', 'op': 'streak', 'zone': 840}, {'name': 'f', 'op': "
              "'gap'}, {'name': 'g', 'op': 'recency'}, {'name': 'h', 'op': 'flag', 'window': '7d'}, {'name': 'i', "
              "'op': 'velocity', "
              "'window': 'this_week', 'zone': 'Asia/Tokyo'}, {'name': 'j', 'op': 'active_days', 'window': '400d', "
              "'zone': 'America/New_York'}, {'name': 'k', 'op': 'decay', 'shape': 'linear', 'over': '5200w'}, {'name': "
              "'l', 'op': 'decay', 'shape': 'step', 'steps': {'age': '1s', 'weight': 1}}, {'name': 'm', 'op': "
              "'session_length', 'stat': 'total', 'session_gap': '5200w'}, {'name': 'n', 'op': 'count', 'window': "
              "'session', 'session_gap': '5200w'}, {'name': 'o', 'op': 'gap', 'stat': 'mean'}, {'name': 'p', 'op': "
              "'time_of_day', 'zone': 'Europe/London'}, {'name': 'q', 'op': 'weekday', 'zone': -720}, {'name': 'r', "
              "'op': 'active_days', 'window': 'this_year'}]");
  static const int64_t ends[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
  uint8_t *s = xmalloc(feature_state_size(set));
  double v[18];
  struct bytes t[18];
  for (size_t i = 0; i < 7; i++)
    for (size_t k = 0; k < 7; k++) {
      struct event e = {.type = EVENT_PAGE, .timestamp_ms = ends[i]};
      feature_state_init(set, s);
      assert_int_equal(feature_fold(set, s, &e, ends[k]), 18);
      e.timestamp_ms = ends[k];
      assert_int_equal(feature_fold(set, s, &e, INT64_MAX), 18);
      for (size_t r = 0; r < 7; r++) {
        feature_read(set, s, ends[r], v, t);
        for (size_t n = 0; n < 18; n++) assert_true(isfinite(v[n]) && v[n] >= 0);
      }
    }
  free(s);
  feature_set_free(set);
}

static void test_flag(void **state) {
  (void)state;
  struct one o = one_open("'op': 'flag'"), w = one_open("'op': 'flag', 'window': '2d', 'tile': '1d'");
  assert_value(&o, T0, 0);
  assert_value(&w, T0, 0);
  at(&o, T0, PAGE), at(&w, T0, PAGE);
  assert_value(&o, T0 + 9999 * DAY, 1);
  assert_value(&w, T0 + 2 * DAY - 1, 1);
  assert_value(&w, T0 + 2 * DAY, 0);
  one_close(&o), one_close(&w);
}

static void test_velocity(void **state) {
  (void)state;
  struct one o = one_open("'op': 'velocity', 'window': '2d', 'tile': '1d'");
  assert_value(&o, T0, 0);
  at(&o, T0, PAGE), at(&o, T0, PAGE);
  assert_value(&o, T0, 2); // nothing before: the count itself
  at(&o, T0 + 2 * DAY, PAGE), at(&o, T0 + 2 * DAY, PAGE), at(&o, T0 + 3 * DAY, PAGE);
  assert_value(&o, T0 + 3 * DAY, 1.5);
  assert_value(&o, T0 + 4 * DAY, 1.0 / 2);
  assert_value(&o, T0 + 5 * DAY, 0);
  assert_value(&o, T0 + 6 * DAY, 0);
  one_close(&o);
}

static void test_sum_and_mean(void **state) {
  (void)state;
  struct one s = one_open("'op': 'sum', 'of': 'properties.amount'"),
             m = one_open("'op': 'mean', 'of': 'properties.amount'"),
             w = one_open("'op': 'mean', 'of': 'properties.amount', 'window': '2d', 'tile': '1d'");
  assert_value(&s, T0, 0);
  assert_value(&m, T0, NAN);
  assert_value(&w, T0, NAN);
  static const char *const amounts[] = {AMOUNT("2"), AMOUNT("0.5"), AMOUNT("true")};
  for (int i = 0; i < 3; i++) at(&s, T0, amounts[i]), at(&m, T0, amounts[i]), at(&w, T0 + i * DAY, amounts[i]);
  static const char *const others[] = {AMOUNT("'9'"), AMOUNT("null"), AMOUNT("[9]"), PAGE};
  for (int i = 0; i < 4; i++) assert_int_equal(at(&s, T0, others[i]) + at(&m, T0, others[i]), 0);
  assert_value(&s, T0, 3.5);
  assert_value(&m, T0, 3.5 / 3);
  assert_value(&w, T0 + 2 * DAY, 0.75);
  assert_value(&w, T0 + 4 * DAY, NAN);
  one_close(&s), one_close(&m), one_close(&w);
}

static void test_min_and_max_in_a_window(void **state) {
  (void)state;
  struct one l = one_open("'op': 'min', 'of': 'properties.amount', 'window': '2d', 'tile': '1d'"),
             g = one_open("'op': 'max', 'of': 'properties.amount', 'window': '2d', 'tile': '1d'");
  assert_value(&l, T0, NAN);
  at(&l, T0, AMOUNT("-3")), at(&g, T0, AMOUNT("-3"));
  at(&l, T0 + DAY, AMOUNT("-0.0")), at(&g, T0 + DAY, AMOUNT("-7"));
  assert_value(&l, T0 + DAY, -3);
  assert_value(&l, T0 + 2 * DAY, 0); // zero is a number, not the absence of one
  assert_value(&g, T0 + DAY, -3);
  assert_value(&g, T0 + 2 * DAY, -7);
  assert_value(&g, T0 + 3 * DAY, NAN);
  one_close(&l), one_close(&g);
}

// Numbers that JSON has not.
static size_t fold_number(struct one *o, double number) {
  struct buf b;
  buf_init(&b);
  mp_put_map(&b, 1), mp_put_cstr(&b, "amount"), mp_put_float(&b, number);
  struct event e = {.type = EVENT_TRACK, .properties = buf_bytes(&b), .timestamp_ms = T0};
  size_t touched = feature_fold(o->set, o->state, &e, T0);
  buf_deinit(&b);
  return touched;
}

// Three whole numbers near 1e15 with a variance of 1: doubles alone would see nothing of it. And none overflows.
static void test_variance(void **state) {
  (void)state;
  struct one v = one_open("'op': 'variance', 'of': 'properties.amount'"),
             s = one_open("'op': 'stddev', 'of': 'properties.amount', 'window': '2d', 'tile': '1d'");
  assert_value(&v, T0, NAN);
  at(&v, T0, AMOUNT("1000000000000001"));
  assert_value(&v, T0, NAN);
  at(&v, T0, AMOUNT("1000000000000002")), at(&v, T0, AMOUNT("1000000000000003"));
  assert_value(&v, T0, 1);
  feature_state_init(v.set, v.state);
  for (int i = 0; i < 1000; i++) at(&v, T0, AMOUNT("0.1"));
  assert_true(value(&v, T0) < 1e-30); // the same number again and again
  fold_number(&v, -DBL_MAX), fold_number(&v, DBL_MAX);
  assert_true(isfinite(value(&v, T0)) && value(&v, T0) > 0x1p590);
  at(&s, T0, AMOUNT("2")), at(&s, T0 + DAY, AMOUNT("4")), at(&s, T0 + DAY, AMOUNT("9"));
  assert_value(&s, T0 + DAY, sqrt(13));
  assert_value(&s, T0 + 2 * DAY, sqrt(12.5));
  assert_value(&s, T0 + 3 * DAY, NAN);
  one_close(&v), one_close(&s);
}

static void test_numbers_that_are_none(void **state) {
  (void)state;
  static const char *const declared[] = {
      "sum', 'of': 'properties.amount'",      "mean', 'of': 'properties.amount'",
      "variance', 'of': 'properties.amount'", "stddev', 'of': 'properties.amount'",
      "min', 'of': 'properties.amount'",      "max', 'of': 'properties.amount'",
      "first', 'of': 'properties.amount'",    "last', 'of': 'properties.amount'",
      "distinct', 'of': 'properties.amount'", "decay', 'half_life': '1d', 'of': 'properties.amount'"};
  for (size_t i = 0; i < sizeof declared / sizeof *declared; i++) {
    char json[100];
    snprintf(json, sizeof json, "'op': '%s", declared[i]);
    struct one o = one_open(json);
    size_t size = feature_state_size(o.set);
    uint8_t *before = memcpy(xmalloc(size), o.state, size);
    assert_int_equal(fold_number(&o, NAN) + fold_number(&o, INFINITY) + fold_number(&o, -INFINITY), 0);
    assert_memory_equal(o.state, before, size);
    assert_int_equal(fold_number(&o, -0.0), 1);
    double v = value(&o, T0);
    bool spread = i == 2 || i == 3, distinct = i == 8;
    assert_true(spread ? isnan(v) : v == distinct && !signbit(v));
    free(before);
    one_close(&o);
  }
}

// Sums beyond the greatest double stay there: no infinity, and no NaN from two of them.
static void test_sums_stay_finite(void **state) {
  (void)state;
  struct one s = one_open("'op': 'sum', 'of': 'properties.amount'"),
             d = one_open("'op': 'decay', 'half_life': '1d', 'of': 'properties.amount'"),
             w = one_open("'op': 'sum', 'of': 'properties.amount', 'window': '2d', 'tile': '1d'");
  for (int i = 0; i < 3; i++) fold_number(&s, 1.7e308), fold_number(&d, 1.7e308), fold_number(&w, 1.7e308);
  assert_true(isfinite(value(&s, T0)) && value(&s, T0) > 1.7e308);
  assert_true(isfinite(value(&d, T0)) && value(&d, T0) > 1.7e308);
  assert_true(isfinite(value(&w, T0)) && value(&w, T0) > 1.7e308);
  one_close(&s), one_close(&d), one_close(&w);
}

static void test_min_and_max(void **state) {
  (void)state;
  struct one a = one_open("'op': 'min', 'of': 'properties.amount'"),
             b = one_open("'op': 'max', 'of': 'properties.amount'");
  assert_value(&a, T0, NAN);
  assert_value(&b, T0, NAN);
  static const char *const amounts[] = {AMOUNT("3"), AMOUNT("-7.5"), AMOUNT("4611686018427387904"), AMOUNT("4")};
  for (int i = 0; i < 4; i++) at(&a, T0, amounts[i]), at(&b, T0, amounts[i]);
  assert_value(&a, T0 + 999 * DAY, -7.5);
  assert_value(&b, T0, 0x1p62);
  one_close(&a), one_close(&b);
}

static void test_first_and_last(void **state) {
  (void)state;
  struct one f = one_open("'op': 'first', 'of': 'properties.amount'"),
             l = one_open("'op': 'last', 'of': 'properties.amount'");
  assert_value(&f, T0, NAN);
  assert_value(&l, T0, NAN);
  struct {
    int64_t time;
    const char *event;
    double first, last;
  } steps[] = {
      {T0 + 5, AMOUNT("1"), 1, 1}, {T0 + 3, AMOUNT("2"), 2, 1},
      {T0 + 7, AMOUNT("3"), 2, 3}, {T0 + 7, AMOUNT("4"), 2, 4}, // the same time: the later arrival is last,
      {T0 + 3, AMOUNT("5"), 2, 4},                              // and the earlier one first
      {T0 + 4, AMOUNT("6"), 2, 4}, {T0 + 9, PAGE, 2, 4},
  };
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    late(&f, steps[i].time, T0 + 9, steps[i].event), late(&l, steps[i].time, T0 + 9, steps[i].event);
    assert_value(&f, T0 + 9, steps[i].first);
    assert_value(&l, T0 + 9, steps[i].last);
  }
  one_close(&f), one_close(&l);
}

#define EMAIL(x) "'type': 'identify', 'traits': {'email': '" x "'}"

static void test_text(void **state) {
  (void)state;
  struct one l = one_open("'op': 'last', 'of': 'traits.email', 'text': true"),
             d = one_open("'op': 'last', 'of': 'traits.email', 'part': 'domain'"),
             w = one_open("'op': 'first', 'of': 'traits.email', 'part': 'lower'");
  assert_true(feature_info(d.set, 0)->is_text && feature_info(w.set, 0)->is_text);
  assert_text(&l, T0, "");
  at(&l, T0, EMAIL("Ann@Example.COM")), at(&d, T0, EMAIL("Ann@x@Example.COM")), at(&w, T0, EMAIL("Ann@Example.COM"));
  assert_text(&l, T0, "Ann@Example.COM");
  assert_text(&d, T0, "example.com");
  assert_text(&w, T0, "ann@example.com");
  // What has no such part, or is no text, is no match.
  assert_int_equal(at(&d, T0 + 1, EMAIL("nobody")) + at(&d, T0 + 1, EMAIL("nobody@")) + at(&l, T0 + 1, EMAIL("")), 0);
  assert_int_equal(at(&l, T0 + 1, "'type': 'identify', 'traits': {'email': 7}"), 0);
  assert_text(&d, T0 + 1, "example.com");
  // Shorter text leaves nothing of the longer one behind.
  at(&l, T0 + 2, EMAIL("b"));
  assert_text(&l, T0 + 2, "b");
  for (size_t i = 10; i < feature_state_size(l.set); i++) assert_int_equal(l.state[i], 0);
  one_close(&l), one_close(&d), one_close(&w);
}

static void test_text_is_cut_between_characters(void **state) {
  (void)state;
  struct one o = one_open("'op': 'last', 'of': 'traits.email', 'text': true");
  at(&o, T0, EMAIL("12345678901234567890123456789012345678901234567890"));
  assert_text(&o, T0, "12345678901234567890123456789012345678901234567");
  at(&o, T0, EMAIL("123456789012345678901234567890123456789012345\xe2\x82\xac"));
  assert_text(&o, T0, "123456789012345678901234567890123456789012345");
  at(&o, T0, EMAIL("12345678901234567890123456789012345678901234\xe2\x82\xac"));
  assert_text(&o, T0, "12345678901234567890123456789012345678901234\xe2\x82\xac");
  at(&o, T0, EMAIL("1234567890123456789012345678901234567890123456\xf0\x9f\x98\x80"));
  assert_text(&o, T0, "1234567890123456789012345678901234567890123456");
  struct buf b;
  buf_init(&b);
  mp_put_map(&b, 1), mp_put_cstr(&b, "email"), mp_put_cstr(&b, "\x80\x80\x80\x80");
  struct event e = {.type = EVENT_IDENTIFY, .traits = buf_bytes(&b), .timestamp_ms = T0};
  assert_int_equal(feature_fold(o.set, o.state, &e, T0), 0); // malformed text never gets in
  buf_deinit(&b);
  one_close(&o);
}

static void fold_plan(struct one *o, const char *json_value) {
  char json[200];
  snprintf(json, sizeof json, "'type': 'identify', 'traits': {'plan': %s}", json_value);
  at(o, T0, json);
}

static void test_distinct(void **state) {
  (void)state;
  struct one o = one_open("'op': 'distinct', 'of': 'traits.plan', 'limit': 8");
  assert_value(&o, T0, 0);
  static const char *const values[] = {"'a'", "'a'", "'A'", "1", "1.0", "true", "'1'", "1.5", "null", "[1]", "''", "0"};
  static const int so_far[] = {1, 1, 2, 3, 3, 4, 5, 6, 6, 6, 6, 7};
  for (int i = 0; i < 12; i++) {
    fold_plan(&o, values[i]);
    assert_value(&o, T0, so_far[i]);
  }
  fold_plan(&o, "'b'");
  assert_value(&o, T0, 8); // the limit itself is exact
  fold_plan(&o, "'a'");
  assert_value(&o, T0, 8);
  fold_plan(&o, "'c'");
  assert_true(value(&o, T0) >= 9); // an estimate, never below what is sure
  one_close(&o);
  struct one d = one_open("'op': 'distinct', 'of': 'traits.plan', 'part': 'domain'"),
             c = one_open("'op': 'distinct', 'of': 'channel'"), e = one_open("'op': 'distinct', 'of': 'event'");
  static const char *const mails[] = {"'a@x.com'", "'b@X.COM'", "'c@y.com'", "'x.com'", "7"};
  for (int i = 0; i < 5; i++) fold_plan(&d, mails[i]);
  assert_value(&d, T0, 2);
  static const char *const events[] = {"'type': 'track', 'event': 'a', 'channel': 'web'",
                                       "'type': 'track', 'event': 'b', 'channel': 'web'",
                                       "'type': 'track', 'event': 'c'", "'type': 'identify', 'channel': 'crm'"};
  for (int i = 0; i < 4; i++) at(&c, T0, events[i]), at(&e, T0, events[i]);
  assert_value(&c, T0, 2);
  assert_value(&e, T0, 3);
  one_close(&d), one_close(&c), one_close(&e);
}

// One value more than the limit is always noticed, wherever its hash lies among the kept ones.
static void test_distinct_beyond_the_limit(void **state) {
  (void)state;
  struct one o = one_open("'op': 'distinct', 'of': 'traits.plan', 'limit': 4");
  for (int trial = 0; trial < 100; trial++) {
    feature_state_init(o.set, o.state);
    for (int i = 0; i < 5; i++) {
      char number[16];
      assert_value(&o, T0, i);
      snprintf(number, sizeof number, "%d", trial * 5 + i);
      fold_plan(&o, number);
    }
    assert_true(value(&o, T0) >= 5);
  }
  one_close(&o);
}

static void fold_v(struct one *o, int64_t v) {
  struct buf b;
  buf_init(&b);
  mp_put_map(&b, 1), mp_put_cstr(&b, "v"), mp_put_int(&b, v);
  struct event e = {.type = EVENT_TRACK, .properties = buf_bytes(&b), .timestamp_ms = T0};
  feature_fold(o->set, o->state, &e, T0);
  buf_deinit(&b);
}

// Over many sets of values the estimate spreads as 1.04 / sqrt(registers) and leans far less than that, for few values
// (where empty registers are counted) and for many. Fixed values: no luck is involved.
static void test_distinct_error(void **state) {
  (void)state;
  static const struct {
    const char *declared;
    int registers, values, trials;
    double lean; // that is documented
  } cases[] = {
      {"'op': 'distinct', 'of': 'properties.v', 'limit': 18", 128, 50, 400, 0},
      {"'op': 'distinct', 'of': 'properties.v', 'limit': 18", 128, 3000, 400, 0},
      {"'op': 'distinct', 'of': 'properties.v', 'limit': 4", 32, 500, 1000, 0},
      {"'op': 'distinct', 'of': 'properties.v', 'limit': 4, 'precision': 4", 16, 500, 1000, 0},
      {"'op': 'distinct', 'of': 'properties.v', 'precision': 10", 1024, 900, 200, 0},
      {"'op': 'distinct', 'of': 'properties.v', 'precision': 10", 1024, 20000, 100, 0},
      {"'op': 'distinct', 'of': 'properties.v', 'precision': 13", 8192, 20600, 20, 0.025},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct one o = one_open(cases[i].declared);
    double mean = 0, square = 0, expected = 1.04 / sqrt(cases[i].registers);
    for (int trial = 0; trial < cases[i].trials; trial++) {
      feature_state_init(o.set, o.state);
      for (int v = 0; v < cases[i].values; v++) fold_v(&o, (int64_t)trial * 1000003 + v);
      double error = value(&o, T0) / cases[i].values - 1;
      mean += error / cases[i].trials, square += error * error / cases[i].trials;
    }
    if (fabs(mean) > expected / 4 + cases[i].lean || sqrt(square) > 1.15 * expected + cases[i].lean)
      fail_msg("%s, %d values: leans by %g, spreads by %g, expected %g", cases[i].declared, cases[i].values, mean,
               sqrt(square), expected);
    one_close(&o);
  }
}

// ---- most_common ----
static void test_most_common(void **state) {
  (void)state;
  struct one n = one_open("'op': 'most_common', 'of': 'traits.plan'"),
             t = one_open("'op': 'most_common', 'of': 'traits.plan', 'part': 'lower', 'limit': 4"),
             c = one_open("'op': 'most_common', 'of': 'channel'");
  assert_value(&n, T0, NAN);
  assert_text(&t, T0, "");
  static const char *const numbers[] = {"7", "2.5", "true", "'7'", "2.5", "1", "7.0", "null"};
  for (int i = 0; i < 8; i++) fold_plan(&n, numbers[i]);
  assert_value(&n, T0, 1); // three values twice each: the least
  fold_plan(&n, "7");
  assert_value(&n, T0, 7);
  static const char *const names[] = {"'Pro'", "'free'", "'pro'", "'FREE'", "''", "5"};
  for (int i = 0; i < 6; i++) fold_plan(&t, names[i]);
  assert_text(&t, T0, "free");
  fold_plan(&t, "'pRO'");
  assert_text(&t, T0, "pro");
  assert_true(feature_info(t.set, 0)->is_text && feature_info(c.set, 0)->is_text && !feature_info(n.set, 0)->is_text);
  at(&c, T0, "'type': 'page', 'channel': 'web'"), at(&c, T0, "'type': 'page'");
  assert_text(&c, T0, "web");
  one_close(&n), one_close(&t), one_close(&c);
}

// Beyond the limit: a value with more than matches / limit is there, wherever its matches lie, and of a stream of which
// it is more than half it is the answer.
static void test_most_common_beyond_the_limit(void **state) {
  (void)state;
  struct one o = one_open("'op': 'most_common', 'of': 'properties.v', 'limit': 4");
  for (int offset = 0; offset < 50; offset++) {
    feature_state_init(o.set, o.state);
    for (int i = 0; i < 400; i++) fold_v(&o, (i + offset) % 50 < 26 ? 77 : 1000 + i);
    assert_value(&o, T0, 77);
  }
  one_close(&o);
}

// ---- quantile ----
// Sizes over 12 orders of magnitude and both signs, against sorting; what lies too far below the greatest of its sign is
// never taken for more than the lowest bin holds.
static void test_quantile(void **state) {
  (void)state;
  static const double qs[] = {0, 0.01, 0.1, 0.5, 0.9, 0.99, 1};
  for (size_t k = 0; k < 7; k++) {
    char json[120];
    snprintf(json, sizeof json, "'op': 'quantile', 'of': 'properties.amount', 'accuracy': 0.02, 'limit': 1024, 'q': %g",
             qs[k]);
    struct one o = one_open(json);
    double v[500];
    assert_value(&o, T0, NAN);
    for (int i = 0; i < 500; i++) {
      double size = exp((double)((i * 7919) % 500) / 500 * 27); // 1 to 5e11
      v[i] = i % 50 == 0 ? 0 : i % 3 == 0 ? -size : size;
      fold_number(&o, v[i]);
    }
    for (int i = 1; i < 500; i++) // in order
      for (int n = i; n > 0 && v[n] < v[n - 1]; n--) {
        double other = v[n];
        v[n] = v[n - 1], v[n - 1] = other;
      }
    double want = v[(int)(qs[k] * 499)], got = value(&o, T0);
    if (fabs(got - want) > 0.02 * fabs(want) * (1 + 1e-9)) fail_msg("q %g: %.17g, expected %.17g", qs[k], got, want);
    one_close(&o);
  }
}

static void test_quantile_collapses(void **state) {
  (void)state;
  struct one o = one_open("'op': 'quantile', 'of': 'properties.amount', 'q': 0, 'limit': 16"),
             h = one_open("'op': 'quantile', 'of': 'properties.amount', 'q': 0.9, 'limit': 16");
  for (int i = 0; i < 20; i++) fold_number(&o, i < 10 ? 1 : 1e6), fold_number(&h, i < 10 ? 1 : 1e6);
  double lowest = value(&o, T0); // 16 bins of 10 % each below a million
  assert_true(lowest > 1e6 / 6 && lowest < 1e6 / 4);
  assert_true(fabs(value(&h, T0) / 1e6 - 1) <= 0.05 * (1 + 1e-9));
  fold_number(&o, -DBL_MAX), fold_number(&o, 0x1p-1074);
  assert_true(fabs(value(&o, T0) / -DBL_MAX - 1) <= 0.05 * (1 + 1e-9));
  one_close(&o), one_close(&h);
}

// ---- decay by tiles ----
static void test_linear_decay(void **state) {
  (void)state;
  struct one o = one_open("'op': 'decay', 'shape': 'linear', 'over': '10d', 'tile': '1d'"),
             s = one_open("'op': 'decay', 'shape': 'linear', 'over': '10d', 'of': 'properties.amount'");
  assert_value(&o, T0, 0);
  at(&o, T0 + 6 * HOUR, PAGE);
  assert_value(&o, T0 + 6 * HOUR, 1);
  assert_value(&o, T0 + 5 * DAY + 6 * HOUR, 0.5);
  assert_value(&o, T0 + 9 * DAY + 6 * HOUR, 0.1);
  assert_value(&o, T0 + 10 * DAY, 0.025);       // its tile is whole to the last
  assert_value(&o, T0 + 10 * DAY + 1, 0);       // and left out once a part of it is too old
  late(&o, T0 + 3 * DAY, T0 + 13 * DAY, PAGE);  // weighs nothing any more
  late(&o, T0 + 12 * DAY, T0 + 13 * DAY, PAGE); // what it would have weighed in time
  assert_value(&o, T0 + 13 * DAY, 0.9);
  at(&s, T0, AMOUNT("8")), at(&s, T0 + 5 * DAY, AMOUNT("-2"));
  assert_value(&s, T0 + 5 * DAY, 2);
  one_close(&o), one_close(&s);
}

static void test_step_decay(void **state) {
  (void)state;
  struct one o = one_open("'op': 'decay', 'shape': 'step', 'tile': '1d', 'steps': [{'age': '2d', 'weight': 1}, "
                          "{'age': '10d', 'weight': 0.25}]");
  at(&o, T0 + 6 * HOUR, PAGE), at(&o, T0 + 7 * HOUR, PAGE);
  assert_value(&o, T0 + 7 * HOUR, 2);
  assert_value(&o, T0 + 2 * DAY - 1, 2);
  assert_value(&o, T0 + 2 * DAY, 0.5); // two tiles on
  assert_value(&o, T0 + 10 * DAY - 1, 0.5);
  assert_value(&o, T0 + 10 * DAY, 0);
  one_close(&o);
}

// ---- days and clocks ----
static void test_active_days(void **state) {
  (void)state;
  struct one o = one_open("'op': 'active_days', 'window': '400d'"),
             m = one_open("'op': 'active_days', 'window': 'this_month', 'zone': 'Europe/Amsterdam'");
  for (int64_t day = 0; day < 800; day += 2) at(&o, T0 + day * DAY, PAGE), at(&o, T0 + day * DAY + HOUR, PAGE);
  assert_value(&o, T0 + 798 * DAY, 200);
  assert_value(&o, T0 + 799 * DAY, 200);
  assert_value(&o, T0 + 1000 * DAY, 99);
  assert_value(&o, T0 + 1199 * DAY, 0);
  late(&o, T0 + 799 * DAY - 399 * DAY + 1, T0 + 799 * DAY, PAGE);
  assert_value(&o, T0 + 799 * DAY, 200); // that day has matches
  late(&o, T0 + 401 * DAY, T0 + 799 * DAY, PAGE);
  assert_value(&o, T0 + 799 * DAY, 201);
  at(&m, T0 + 30 * DAY + 23 * HOUR - 1, PAGE); // 31 January, a millisecond before midnight there
  assert_value(&m, T0 + 30 * DAY + 23 * HOUR - 1, 1);
  assert_value(&m, T0 + 30 * DAY + 23 * HOUR, 0);
  one_close(&o), one_close(&m);
}

static void test_time_of_day_and_weekday(void **state) {
  (void)state;
  struct one h = one_open("'op': 'time_of_day', 'zone': 'Asia/Kathmandu'"), d = one_open("'op': 'weekday'");
  assert_value(&h, T0, NAN);
  assert_value(&d, T0, NAN);
  at(&h, T0, PAGE), at(&d, T0, PAGE);
  assert_value(&h, T0 + DAY, 5.75); // of the match, whatever time it is now
  assert_value(&d, T0 + DAY, 4);    // a Thursday
  at(&h, T0 + 1, PAGE ", 'context': {'timezone': 'America/New_York'}");
  at(&d, T0 + 1, PAGE ", 'context': {'timezone': 'America/New_York'}");
  assert_value(&h, T0 + DAY, 19 + 1 / 3600000.0);
  assert_value(&d, T0 + DAY, 3);
  static const char *const unknown[] = {"'Mars/Olympus'", "7", "null", "''"};
  for (int i = 0; i < 4; i++) {
    char json[100];
    snprintf(json, sizeof json, PAGE ", 'context': {'timezone': %s}", unknown[i]);
    at(&h, T0 + 2 + i, json);
    assert_true(fabs(value(&h, T0 + DAY) - 5.75) < 1e-5);
  }
  late(&h, T0 - DAY, T0 + HOUR, PAGE ", 'context': {'timezone': 'UTC'}"); // the latest counts
  assert_true(fabs(value(&h, T0 + DAY) - 5.75) < 1e-5);
  one_close(&h), one_close(&d);
}

static void test_calendar_velocity(void **state) {
  (void)state;
  struct one o = one_open("'op': 'velocity', 'window': 'this_month'"),
             w = one_open("'op': 'count', 'window': 'this_week', 'zone': 'America/New_York'"),
             f = one_open("'op': 'flag', 'window': 'this_year'");
  for (int i = 0; i < 4; i++) at(&o, T0 + 5 * DAY, PAGE);
  assert_value(&o, T0 + 30 * DAY, 4); // nothing in December
  for (int i = 0; i < 6; i++) at(&o, T0 + 31 * DAY, PAGE);
  assert_value(&o, T0 + 31 * DAY, 1.5);
  assert_value(&o, T0 + 58 * DAY, 1.5); // all of February, against all of January
  assert_value(&o, T0 + 59 * DAY, 0);
  at(&w, T0 + 3 * DAY, PAGE); // Sunday 4 January; the week ends on Monday at 5:00 UTC
  assert_value(&w, T0 + 4 * DAY + 5 * HOUR - 1, 1);
  assert_value(&w, T0 + 4 * DAY + 5 * HOUR, 0);
  at(&f, T0, PAGE);
  assert_value(&f, T0 + 365 * DAY - 1, 1);
  assert_value(&f, T0 + 365 * DAY, 0);
  one_close(&o), one_close(&w), one_close(&f);
}

// ---- sessions ----
static void test_session_length(void **state) {
  (void)state;
  static const char *const stats[] = {"last", "mean", "max", "total"};
  static const double want[] = {2 * MINUTE, 32.0 / 6 * MINUTE, 20 * MINUTE, 32 * MINUTE};
  for (int i = 0; i < 4; i++) {
    char json[100];
    snprintf(json, sizeof json, "'op': 'session_length', 'stat': '%s'", stats[i]);
    struct one o = one_open(json);
    assert_value(&o, T0, i == 3 ? 0 : NAN);
    for (int n = 0; n < 5; n++) { // 0, 20, 10, 0, 0 minutes
      at(&o, T0 + n * DAY, PAGE);
      if (n == 1) at(&o, T0 + n * DAY + 20 * MINUTE, PAGE);
      if (n == 2) at(&o, T0 + n * DAY + 10 * MINUTE, PAGE);
    }
    at(&o, T0 + 5 * DAY, PAGE), at(&o, T0 + 5 * DAY + 2 * MINUTE, PAGE);
    assert_value(&o, T0 + 9 * DAY, want[i]);
    assert_true(feature_info(o.set, 0)->is_duration);
    one_close(&o);
  }
}

static void test_session_window(void **state) {
  (void)state;
  struct one c = one_open("'op': 'count', 'window': 'session'"),
             s = one_open("'op': 'sum', 'of': 'properties.amount', 'window': 'session', 'session_gap': '1h'");
  assert_value(&c, T0, 0);
  at(&c, T0, PAGE), at(&c, T0 + 20 * MINUTE, PAGE), at(&c, T0 + 50 * MINUTE, PAGE);
  assert_value(&c, T0 + 80 * MINUTE, 3);
  assert_value(&c, T0 + 80 * MINUTE + 1, 0); // it is over
  at(&c, T0 + 2 * HOUR, PAGE);
  assert_value(&c, T0 + 2 * HOUR, 1);
  at(&s, T0, AMOUNT("2")), at(&s, T0 + 90 * MINUTE, AMOUNT("3"));
  assert_value(&s, T0 + 90 * MINUTE, 3);
  late(&s, T0 + 45 * MINUTE, T0 + 90 * MINUTE, AMOUNT("0.5")); // joins the two
  assert_value(&s, T0 + 90 * MINUTE, 5.5);
  one_close(&c), one_close(&s);
}

static void test_mean_gap(void **state) {
  (void)state;
  struct one o = one_open("'op': 'gap', 'stat': 'mean'");
  at(&o, T0 + 10 * MINUTE, PAGE);
  assert_value(&o, T0 + 10 * MINUTE, NAN);
  late(&o, T0, T0 + 10 * MINUTE, PAGE);
  assert_value(&o, T0 + DAY, 10 * MINUTE);
  late(&o, T0 + 4 * MINUTE, T0 + 10 * MINUTE, PAGE);
  assert_value(&o, T0 + DAY, 5 * MINUTE);
  one_close(&o);
}

static void test_recency_and_gap(void **state) {
  (void)state;
  struct one r = one_open("'op': 'recency'"), g = one_open("'op': 'gap'");
  assert_true(feature_info(r.set, 0)->is_duration && feature_info(g.set, 0)->is_duration);
  assert_value(&r, T0, NAN);
  struct {
    int64_t time;
    double gap;
  } steps[] = {{T0 + 10, NAN}, {T0 + 10, 0}, {T0 + 4, 0}, {T0 + 30, 20}, {T0 + 25, 5}, {T0 + 24, 5}, {T0 + 30, 0}};
  for (size_t i = 0; i < 7; i++) {
    late(&r, steps[i].time, T0 + 30, PAGE), late(&g, steps[i].time, T0 + 30, PAGE);
    assert_value(&g, T0 + 90, steps[i].gap);
  }
  assert_value(&r, T0 + 90, 60);
  one_close(&r), one_close(&g);
}

static void test_decay(void **state) {
  (void)state;
  struct one o = one_open("'op': 'decay', 'half_life': '7d'"),
             s = one_open("'op': 'decay', 'half_life': '1d', 'of': 'properties.amount'");
  assert_value(&o, T0, 0);
  at(&o, T0, PAGE);
  assert_value(&o, T0, 1); // 2026-01-01 is a whole number of weeks after 1970-01-01
  assert_value(&o, T0 + 7 * DAY, 0.5);
  assert_value(&o, T0 + 70 * DAY, 0x1p-10);
  assert_true(fabs(value(&o, T0 + 84 * HOUR) - 0.70710678118654752) < 1e-15);
  late(&o, T0 - 7 * DAY, T0, PAGE);
  assert_value(&o, T0, 1.5);
  assert_value(&o, T0 + 36500 * DAY, 0); // 5,214 half-lives: less than any double
  at(&s, T0, AMOUNT("12")), at(&s, T0 + DAY, AMOUNT("-2"));
  assert_value(&s, T0 + DAY, 4);
  at(&s, T0 + 9000 * DAY, AMOUNT("1")); // 9,000 half-lives later
  assert_value(&s, T0 + 9000 * DAY, 1);
  one_close(&o), one_close(&s);
}

static void test_sessions(void **state) {
  (void)state;
  struct one o = one_open("'op': 'sessions'");
  assert_value(&o, T0, 0);
  struct {
    int64_t minute;
    double sessions;
  } steps[] = {
      {0, 1},    {30, 1},  {61, 2},  // no more than 30 minutes apart
      {200, 3},  {150, 4},           // a late one between two
      {91, 4},   {121, 3},           // late ones join 61 … 121 and then 150
      {300, 4},  {400, 5}, {500, 6}, // the oldest are only counted now
      {-999, 6},                     // older than all that is kept: no change
      {201, 6},
  };
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    late(&o, T0 + steps[i].minute * MINUTE, T0 + 1000 * MINUTE, PAGE);
    assert_value(&o, T0 + 1000 * MINUTE, steps[i].sessions);
  }
  one_close(&o);
}

static void test_streak(void **state) {
  (void)state;
  struct one o = one_open("'op': 'streak'");
  assert_value(&o, T0, 0);
  at(&o, T0 + 23 * HOUR, PAGE);
  assert_value(&o, T0 + 23 * HOUR, 1);
  assert_value(&o, T0 + 2 * DAY - 1, 1); // yesterday still counts
  assert_value(&o, T0 + 2 * DAY, 0);
  at(&o, T0 + 2 * DAY, PAGE);
  assert_value(&o, T0 + 2 * DAY, 1);
  late(&o, T0 + DAY, T0 + 2 * DAY, PAGE); // the missing day
  assert_value(&o, T0 + 2 * DAY, 3);
  for (int day = 3; day < 200; day++) at(&o, T0 + day * DAY, PAGE);
  assert_value(&o, T0 + 199 * DAY, 200);
  for (int day = 201; day < 264; day++) at(&o, T0 + day * DAY, PAGE);
  assert_value(&o, T0 + 263 * DAY, 63);
  late(&o, T0 + 200 * DAY, T0 + 263 * DAY, PAGE); // 63 days late
  assert_value(&o, T0 + 263 * DAY, 264);
  at(&o, T0 + 400 * DAY, PAGE);
  assert_value(&o, T0 + 400 * DAY, 1);
  for (int day = 402; day < 500; day++) at(&o, T0 + day * DAY, PAGE);
  assert_value(&o, T0 + 499 * DAY, 98); // a hole stays one after it has left the last 64 days
  one_close(&o);
}

// A run that ends on the very day before the bitmap begins, and is joined later.
static void test_streak_beyond_the_bitmap(void **state) {
  (void)state;
  struct one o = one_open("'op': 'streak'");
  for (int day = 0; day < 3; day++) at(&o, T0 + day * DAY, PAGE);
  at(&o, T0 + 66 * DAY, PAGE); // 64 days later
  for (int day = 65; day >= 3; day--) {
    assert_value(&o, T0 + 66 * DAY, 66 - day);
    late(&o, T0 + day * DAY, T0 + 66 * DAY, PAGE);
  }
  assert_value(&o, T0 + 66 * DAY, 67);
  one_close(&o);
  o = one_open("'op': 'streak'");
  at(&o, T0, PAGE), at(&o, T0 + 65 * DAY, PAGE); // day 1 is just before the bitmap, day 0 is lost
  for (int day = 64; day >= 1; day--) late(&o, T0 + day * DAY, T0 + 65 * DAY, PAGE);
  assert_value(&o, T0 + 65 * DAY, 65); // one less than with events in order: what is 64 days late is promised nothing
  late(&o, T0, T0 + 65 * DAY, PAGE);
  assert_value(&o, T0 + 65 * DAY, 65);
  one_close(&o);
}

static void test_streak_zone(void **state) {
  (void)state;
  struct one o = one_open("'op': 'streak', 'zone': -300"); // New York in winter
  at(&o, T0 + 4 * HOUR, PAGE);                             // 31 December there
  at(&o, T0 + 6 * HOUR, PAGE);                             // 1 January there
  assert_value(&o, T0 + 6 * HOUR, 2);
  one_close(&o);
}

// ---- on and where ----
static void test_on(void **state) {
  (void)state;
  struct one o = one_open("'op': 'count', 'on': ['A', {'type': 'page', 'event': 'B'}, {'channel': 'crm'}, {'type': "
                          "'screen', 'channel': 'mobile'}, {'event': 'C', 'channel': 'web'}, {'type': 'alias'}]");
  struct {
    const char *event;
    size_t matches;
  } steps[] = {
      {"'type': 'track', 'event': 'A'", 1},
      {"'type': 'track', 'event': 'a'", 0},
      {"'type': 'page', 'name': 'A'", 1},
      {"'type': 'track', 'event': 'B'", 0},
      {"'type': 'page', 'name': 'B'", 1},
      {"'type': 'track', 'event': 'Z', 'channel': 'crm'", 1},
      {"'type': 'identify', 'channel': 'crm'", 1},
      {"'type': 'screen', 'channel': 'web'", 0},
      {"'type': 'screen', 'channel': 'mobile'", 1},
      {"'type': 'track', 'event': 'C', 'channel': 'web'", 1},
      {"'type': 'track', 'event': 'C', 'properties': {'channel': 'web'}", 1},
      {"'type': 'track', 'event': 'C', 'channel': 'mobile'", 0},
      {"'type': 'track', 'event': 'C'", 0},
      {"'type': 'alias', 'previousId': 'p'", 1},
      {"'type': 'group', 'groupId': 'g'", 0},
      {"'type': 'page', 'name': 'B', 'channel': 'crm'", 1}, // two alternatives: still one match
  };
  double total = 0;
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    assert_int_equal(at(&o, T0, steps[i].event), steps[i].matches);
    total += (double)steps[i].matches;
  }
  assert_value(&o, T0, total);
  one_close(&o);
}

static void test_where(void **state) {
  (void)state;
  struct {
    const char *where, *properties;
    size_t matches;
  } steps[] = {
      {"{'path': 'properties.a', 'is': 'x'}", "{'a': 'x'}", 1},
      {"{'path': 'properties.a', 'is': 'x'}", "{'a': 'X'}", 0},
      {"{'path': 'properties.a', 'is': 'x'}", "{}", 0},
      {"{'path': 'properties.a', 'is': 1}", "{'a': 1.0}", 1},
      {"{'path': 'properties.a', 'is': 1.0}", "{'a': 1}", 1},
      {"{'path': 'properties.a', 'is': 1}", "{'a': true}", 0},
      {"{'path': 'properties.a', 'is': true}", "{'a': true}", 1},
      {"{'path': 'properties.a', 'is': false}", "{'a': null}", 0},
      {"{'path': 'properties.a', 'is': 9007199254740993}", "{'a': 9007199254740992}", 0},
      {"{'path': 'properties.a', 'is': ''}", "{'a': ''}", 1},
      {"{'path': 'properties.a', 'in': ['z', 3, 'x', 'x', -2.5]}", "{'a': 'x'}", 1},
      {"{'path': 'properties.a', 'in': ['z', 3, 'x', 'x', -2.5]}", "{'a': 3}", 1},
      {"{'path': 'properties.a', 'in': ['z', 3, 'x', 'x', -2.5]}", "{'a': -2.5}", 1},
      {"{'path': 'properties.a', 'in': ['z', 3, 'x', 'x', -2.5]}", "{'a': 'y'}", 0},
      {"{'path': 'properties.a', 'in': ['z', 3]}", "{'a': ['z']}", 0},
      {"{'path': 'properties.a', 'is': ['z', 3]}", "{'a': 'z'}", 1},
      {"{'path': 'properties.a', 'is': ['z', 3]}", "{'a': 'y'}", 0},
      {"{'path': 'properties.a', 'exists': true}", "{'a': {}}", 1},
      {"{'path': 'properties.a', 'exists': true}", "{'a': null}", 0},
      {"{'path': 'properties.a', 'exists': true}", "{'b': 1}", 0},
      {"{'path': 'properties.a', 'exists': false}", "{'b': 1}", 1},
      {"{'path': 'properties.a', 'exists': false}", "{'a': 0}", 0},
      {"{'path': 'properties.a', 'at_least': 10}", "{'a': 10}", 1},
      {"{'path': 'properties.a', 'at_least': 10}", "{'a': 9.999}", 0},
      {"{'path': 'properties.a', 'at_least': 10}", "{'a': '99'}", 0},
      {"{'path': 'properties.a', 'under': 10}", "{'a': 10}", 0},
      {"{'path': 'properties.a', 'under': 10}", "{'a': -1e300}", 1},
      {"{'path': 'properties.a', 'under': 10}", "{}", 0},
      {"{'path': 'properties.a', 'at_least': 10, 'under': 20}", "{'a': 15}", 1},
      {"{'path': 'properties.a', 'at_least': 10, 'under': 20}", "{'a': 20}", 0},
      {"{'path': 'properties.a', 'starts_with': '/p/'}", "{'a': '/p/1'}", 1},
      {"{'path': 'properties.a', 'starts_with': '/p/'}", "{'a': '/p'}", 0},
      {"{'path': 'properties.a', 'starts_with': '/p/'}", "{'a': 7}", 0},
      {"{'path': 'properties.a.b', 'is': 1}", "{'a': {'b': 1}}", 1},
      {"{'path': 'properties.a.b', 'is': 1}", "{'a': 1}", 0},
      {"{'path': 'traits.a', 'is': 1}", "{'a': 1}", 0},
      {"[]", "{}", 1},
      {"[{'path': 'properties.a', 'is': 1}, {'path': 'properties.b', 'is': 2}]", "{'a': 1, 'b': 2}", 1},
      {"[{'path': 'properties.a', 'is': 1}, {'path': 'properties.b', 'is': 2}]", "{'a': 1, 'b': 1}", 0},
      {"[{'path': 'properties.a', 'is': 1}, {'path': 'properties.b', 'is': 2}]", "{'b': 2}", 0},
  };
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    char json[400];
    snprintf(json, sizeof json, "'op': 'count', 'where': %s", steps[i].where);
    struct one o = one_open(json);
    snprintf(json, sizeof json, "'type': 'track', 'event': 'E', 'properties': %s", steps[i].properties);
    if (at(&o, T0, json) != steps[i].matches) fail_msg("where %s of %s", steps[i].where, steps[i].properties);
    assert_value(&o, T0, (double)steps[i].matches);
    one_close(&o);
  }
}

static void test_roots(void **state) {
  (void)state;
  struct one o = one_open("'op': 'sum', 'of': 'traits.a', 'where': {'path': 'context.page.path', 'is': '/'}");
  at(&o, T0, "'type': 'identify', 'traits': {'a': 3}, 'context': {'page': {'path': '/'}}");
  at(&o, T0, "'type': 'identify', 'traits': {'a': 4}, 'context': {'page': {'path': '/x'}}");
  at(&o, T0, "'type': 'identify', 'traits': {'a': 5}");
  assert_value(&o, T0, 3);
  one_close(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_count),
      cmocka_unit_test(test_window),
      cmocka_unit_test(test_window_before_1970),
      cmocka_unit_test(test_a_clock_ahead),
      cmocka_unit_test(test_the_ends_of_time),
      cmocka_unit_test(test_flag),
      cmocka_unit_test(test_velocity),
      cmocka_unit_test(test_sum_and_mean),
      cmocka_unit_test(test_min_and_max_in_a_window),
      cmocka_unit_test(test_variance),
      cmocka_unit_test(test_numbers_that_are_none),
      cmocka_unit_test(test_sums_stay_finite),
      cmocka_unit_test(test_min_and_max),
      cmocka_unit_test(test_first_and_last),
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_text_is_cut_between_characters),
      cmocka_unit_test(test_most_common),
      cmocka_unit_test(test_most_common_beyond_the_limit),
      cmocka_unit_test(test_quantile),
      cmocka_unit_test(test_quantile_collapses),
      cmocka_unit_test(test_linear_decay),
      cmocka_unit_test(test_step_decay),
      cmocka_unit_test(test_active_days),
      cmocka_unit_test(test_time_of_day_and_weekday),
      cmocka_unit_test(test_calendar_velocity),
      cmocka_unit_test(test_session_length),
      cmocka_unit_test(test_session_window),
      cmocka_unit_test(test_mean_gap),
      cmocka_unit_test(test_distinct),
      cmocka_unit_test(test_distinct_beyond_the_limit),
      cmocka_unit_test(test_distinct_error),
      cmocka_unit_test(test_recency_and_gap),
      cmocka_unit_test(test_decay),
      cmocka_unit_test(test_sessions),
      cmocka_unit_test(test_streak),
      cmocka_unit_test(test_streak_beyond_the_bitmap),
      cmocka_unit_test(test_streak_zone),
      cmocka_unit_test(test_on),
      cmocka_unit_test(test_where),
      cmocka_unit_test(test_roots),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
