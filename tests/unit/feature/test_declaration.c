// Hostile and mistaken declarations: each is refused with a text that names the feature, the fault and the cure.
#include "support.h"

struct fault {
  const char *json;
  const char *text;
};

static void assert_refused(struct bytes declarations, const char *text) {
  struct feature_set *set = (struct feature_set *)1;
  struct error err = {0};
  assert_int_equal(feature_set_compile(declarations, &set, &err), ITD_EPOLICY);
  assert_string_equal(err.text, text);
  assert_int_equal(err.code, ITD_EPOLICY);
  assert_ptr_equal(set, (struct feature_set *)1); // untouched
  assert_int_equal(feature_set_compile(declarations, &set, NULL), ITD_EPOLICY);
}

static void refuse_all(const struct fault *faults, size_t count) {
  for (size_t i = 0; i < count; i++) {
    struct buf b;
    buf_init(&b);
    pack(faults[i].json, &b);
    assert_refused(buf_bytes(&b), faults[i].text);
    buf_deinit(&b);
  }
}
#define REFUSE(faults) refuse_all(faults, sizeof faults / sizeof *faults)

#define OPS                                                                                                            \
  "count, sum, mean, min, max, variance, stddev, first, last, distinct, most_common, quantile, recency, decay, "       \
  "velocity, sessions, session_length, active_days, time_of_day, weekday, streak, flag, gap, funnel, sequence, "       \
  "co_occurrence, account, ratio, difference"
#define KEYS                                                                                                           \
  "name, op, on, where, of, part, text, window, tile, half_life, session_gap, limit, precision, q, accuracy, shape, "  \
  "over, stat, zone, steps, within, pending, lateness, roll, urgent, class, personal, freshness, max_age, "            \
  "description, owner"

static void test_names_and_ops(void **state) {
  (void)state;
  static const struct fault faults[] = {
      {"{'a': 1}", "features: the declarations must be a list of maps"},
      {"'count'", "features: the declarations must be a list of maps"},
      {"[7]", "features: #1: a declaration must be a map, not a number"},
      {"[{'name': 'a', 'op': 'count'}, []]", "features: #2: a declaration must be a map, not a list"},
      {"[{}]", "features: #1: name is missing"},
      {"[{'op': 'count'}]", "features: #1: name is missing"},
      {"[{'name': 7, 'op': 'count'}]", "features: #1: name must be text, not a number"},
      {"[{'name': '', 'op': 'count'}]",
       "features: #1: name \"\" is not allowed: a to z first, then also 0 to 9 and _, at most 64 bytes"},
      {"[{'name': 'Visits', 'op': 'count'}]",
       "features: #1: name \"Visits\" is not allowed: a to z first, then also 0 to 9 and _, at most 64 bytes"},
      {"[{'name': '7d', 'op': 'count'}]",
       "features: #1: name \"7d\" is not allowed: a to z first, then also 0 to 9 and _, at most 64 bytes"},
      {"[{'name': 'a\\nb', 'op': 'count'}]",
       "features: #1: name \"a?b\" is not allowed: a to z first, then also 0 to 9 and _, at most 64 bytes"},
      {"[{'name': 'x', 'op': 'count'}, {'name': 'x', 'op': 'gap'}]", "features: x: the name is declared twice"},
      {"[{'name': 'x'}]", "features: x: op is missing; allowed: " OPS},
      {"[{'name': 'x', 'op': 'cuont'}]", "features: x: unknown op \"cuont\" (did you mean \"count\"?); allowed: " OPS},
      {"[{'name': 'x', 'op': 'distnict'}]",
       "features: x: unknown op \"distnict\" (did you mean \"distinct\"?); allowed: " OPS},
      {"[{'name': 'x', 'op': 'zzz'}]", "features: x: unknown op \"zzz\"; allowed: " OPS},
      {"[{'name': 'x', 'op': null}]", "features: x: op must be text, not nil"},
      {"[{'name': 'x', 'op': 'count', 'wher': []}]",
       "features: x: the declaration has an unknown key \"wher\" (did you mean \"where\"?); allowed: " KEYS},
      {"[{'name': 'x', 'op': 'count', 'halflife': '7d'}]",
       "features: x: the declaration has an unknown key \"halflife\" (did you mean \"half_life\"?); allowed: " KEYS},
  };
  REFUSE(faults);
}

static void test_keys_and_their_ops(void **state) {
  (void)state;
  static const struct fault faults[] = {
      {"[{'name': 'x', 'op': 'distinct', 'of': 'channel', 'window': '7d'}]",
       "features: x: window does not go with distinct; it goes with: count, sum, mean, min, max, variance, stddev, "
       "velocity, active_days, flag, funnel, sequence, co_occurrence, account"},
      {"[{'name': 'x', 'op': 'count', 'half_life': '7d'}]",
       "features: x: half_life does not go with count; it goes with: decay"},
      {"[{'name': 'x', 'op': 'count', 'of': 'properties.a'}]",
       "features: x: of does not go with count; it goes with: sum, mean, min, max, variance, stddev, first, last, "
       "distinct, most_common, quantile, decay, account, ratio, difference"},
      {"[{'name': 'x', 'op': 'sum', 'of': 'properties.a', 'text': true}]",
       "features: x: text does not go with sum; it goes with: first, last, most_common, account"},
      {"[{'name': 'x', 'op': 'gap', 'zone': 60}]",
       "features: x: zone does not go with gap; it goes with: count, sum, mean, min, max, variance, stddev, velocity, "
       "active_days, time_of_day, weekday, streak, flag, funnel, sequence, co_occurrence"},
      {"[{'name': 'x', 'op': 'gap', 'limit': 60}]",
       "features: x: limit does not go with gap; it goes with: distinct, most_common, quantile"},
      {"[{'name': 'x', 'op': 'gap', 'session_gap': '1h'}]",
       "features: x: session_gap does not go with gap; it goes with: count, sum, sessions, session_length"},
      {"[{'name': 'x', 'op': 'sum'}]", "features: x: sum needs of"},
      {"[{'name': 'x', 'op': 'last', 'text': true}]", "features: x: last needs of"},
      {"[{'name': 'x', 'op': 'decay'}]", "features: x: decay of shape \"exponential\" needs half_life"},
      {"[{'name': 'x', 'op': 'velocity'}]", "features: x: velocity needs window"},
      {"[{'name': 'x', 'op': 'velocity', 'tile': '1d'}]", "features: x: velocity needs window"},
      {"[{'name': 'x', 'op': 'count', 'tile': '1d'}]", "features: x: tile needs window"},
      {"[{'name': 'x', 'op': 'count', 'tile': '1d', 'window': 'today'}]",
       "features: x: tile does not go with window \"today\""},
      {"[{'name': 'x', 'op': 'count', 'window': '7d', 'zone': 60}]",
       "features: x: zone needs a window of the calendar: today, this_week, this_month, this_quarter, this_year"},
      {"[{'name': 'x', 'op': 'count', 'window': 'thisweek'}]",
       "features: x: unknown window \"thisweek\" (did you mean \"this_week\"?); allowed: today, this_week, this_month, "
       "this_quarter, this_year, session"},
      {"[{'name': 'x', 'op': 'streak', 'zone': 'Europe/Amsterdm'}]",
       "features: x: unknown zone \"Europe/Amsterdm\" (did you mean \"Europe/Amsterdam\"?); allowed: minutes from UTC, "
       "or an IANA name like \"Europe/Amsterdam\""},
      {"[{'name': 'x', 'op': 'distinct', 'of': 'channel', 'part': 'lower'}]", "features: x: part needs a path in of"},
      {"[{'name': 'x', 'op': 'last', 'of': 'traits.email', 'part': 'domain', 'text': false}]",
       "features: x: part takes text, so text cannot be false"},
      {"[{'name': 'x', 'op': 'last', 'of': 'traits.email', 'part': 'domian'}]",
       "features: x: unknown part \"domian\" (did you mean \"domain\"?); allowed: lower, domain"},
  };
  REFUSE(faults);
}

// What only some shapes, windows and stats take.
static void test_keys_among_each_other(void **state) {
  (void)state;
  static const struct fault faults[] = {
      {"[{'name': 'x', 'op': 'mean', 'of': 'traits.a', 'window': 'session'}]",
       "features: x: window \"session\" does not go with mean; it goes with: count, sum"},
      {"[{'name': 'x', 'op': 'count', 'window': 'session', 'tile': '1d'}]",
       "features: x: tile does not go with window \"session\""},
      {"[{'name': 'x', 'op': 'count', 'window': 'session', 'zone': 60}]",
       "features: x: zone does not go with window \"session\""},
      {"[{'name': 'x', 'op': 'count', 'window': '7d', 'session_gap': '1h'}]",
       "features: x: session_gap needs window \"session\""},
      {"[{'name': 'x', 'op': 'count', 'session_gap': '1h'}]", "features: x: session_gap needs window \"session\""},
      {"[{'name': 'x', 'op': 'active_days'}]", "features: x: active_days needs window"},
      {"[{'name': 'x', 'op': 'active_days', 'window': '36h'}]",
       "features: x: window of active_days must be whole days, 1d to 400d, or one of the calendar"},
      {"[{'name': 'x', 'op': 'active_days', 'window': '401d'}]",
       "features: x: window of active_days must be whole days, 1d to 400d, or one of the calendar"},
      {"[{'name': 'x', 'op': 'active_days', 'window': 'session'}]",
       "features: x: window \"session\" does not go with active_days; it goes with: count, sum"},
      {"[{'name': 'x', 'op': 'gap', 'stat': 'max'}]", "features: x: unknown stat \"max\"; allowed: last, mean"},
      {"[{'name': 'x', 'op': 'session_length', 'stat': 'totl'}]",
       "features: x: unknown stat \"totl\" (did you mean \"total\"?); allowed: last, mean, max, total"},
      {"[{'name': 'x', 'op': 'sessions', 'stat': 'mean'}]",
       "features: x: stat does not go with sessions; it goes with: session_length, gap"},
      {"[{'name': 'x', 'op': 'most_common', 'of': 'channel', 'text': false}]",
       "features: x: channel and event are text, so text cannot be false"},
      {"[{'name': 'x', 'op': 'most_common', 'of': 'event', 'part': 'lower'}]", "features: x: part needs a path in of"},
      {"[{'name': 'x', 'op': 'most_common', 'of': 'traits.a', 'limit': 65}]",
       "features: x: limit must be a whole number from 4 to 64"},
      {"[{'name': 'x', 'op': 'quantile', 'of': 'traits.a'}]", "features: x: quantile needs q"},
      {"[{'name': 'x', 'op': 'quantile', 'of': 'traits.a', 'q': 1.5}]", "features: x: q must be a number from 0 to 1"},
      {"[{'name': 'x', 'op': 'quantile', 'of': 'traits.a', 'q': true}]", "features: x: q must be a number from 0 to 1"},
      {"[{'name': 'x', 'op': 'quantile', 'of': 'traits.a', 'q': 0.5, 'accuracy': 0}]",
       "features: x: accuracy must be a number from 0.001 to 0.5"},
      {"[{'name': 'x', 'op': 'quantile', 'of': 'traits.a', 'q': 0.5, 'limit': 15}]",
       "features: x: limit must be a whole number from 16 to 1024"},
      {"[{'name': 'x', 'op': 'time_of_day', 'of': 'traits.a'}]",
       "features: x: of does not go with time_of_day; it goes with: sum, mean, min, max, variance, stddev, first, "
       "last, "
       "distinct, most_common, quantile, decay, account, ratio, difference"},
  };
  REFUSE(faults);
}

#define DECAY "[{'name': 'x', 'op': 'decay', 'shape': "
static void test_shapes(void **state) {
  (void)state;
  static const struct fault faults[] = {
      {DECAY "'linaer', 'over': '7d'}]",
       "features: x: unknown shape \"linaer\" (did you mean \"linear\"?); allowed: exponential, linear, step"},
      {DECAY "'linear'}]", "features: x: decay of shape \"linear\" needs over"},
      {DECAY "'linear', 'half_life': '7d'}]",
       "features: x: half_life does not go with shape \"linear\"; it goes with \"exponential\""},
      {DECAY "'exponential', 'half_life': '7d', 'over': '7d'}]",
       "features: x: over does not go with shape \"exponential\"; it goes with \"linear\""},
      {DECAY "'exponential', 'half_life': '7d', 'tile': '1d'}]",
       "features: x: tile needs shape \"linear\" or \"step\""},
      {DECAY "'linear', 'over': '7d', 'tile': '8d'}]", "features: x: tile is longer than over"},
      {DECAY "'linear', 'over': '32d', 'tile': '1d'}]",
       "features: x: over holds 33 tiles, at most 32 are allowed: a tile of at least 86401s"},
      {DECAY "'step'}]", "features: x: decay of shape \"step\" needs steps"},
      {DECAY "'step', 'steps': []}]", "features: x: steps has 0 entries, 1 to 8 are allowed"},
      {DECAY "'step', 'steps': [7]}]", "features: x: steps 1 must be a map with age and weight, not a number"},
      {DECAY "'step', 'steps': [{'age': '7d'}]}]", "features: x: steps 1 needs age and weight"},
      {DECAY "'step', 'steps': [{'age': '7d', 'weight': -1}]}]",
       "features: x: steps 1: weight must be a number from 0 to 1000"},
      {DECAY "'step', 'steps': [{'age': '7d', 'wieght': 1}]}]",
       "features: x: steps 1 has an unknown key \"wieght\" (did you mean \"weight\"?); allowed: age, weight"},
      {DECAY "'step', 'steps': [{'age': '7d', 'weight': 1}, {'age': '7d', 'weight': 0.5}]}]",
       "features: x: steps 2: its age is not above that of the step before"},
      {DECAY "'step', 'steps': [{'age': '1d', 'weight': 1}, {'age': '33d', 'weight': 0.5}]}]",
       "features: x: the first step is shorter than a tile, 1485m; the last one may be at most 32 times the first"},
      {DECAY "'step', 'tile': '1d', 'steps': [{'age': '1d', 'weight': 1}, {'age': '33d', 'weight': 0.5}]}]",
       "features: x: the last step holds 33 tiles, at most 32 are allowed: a tile of at least 1485m"},
  };
  REFUSE(faults);
}

static void test_values(void **state) {
  (void)state;
  static const struct fault faults[] = {
      {"[{'name': 'x', 'op': 'count', 'window': 7}]",
       "features: x: window must be a duration like \"7d\", not a number"},
      {"[{'name': 'x', 'op': 'count', 'window': '7 days'}]",
       "features: x: window \"7 days\" is no duration: a whole number and ms, s, m, h, d or w, like \"30m\" or "
       "\"7d\", up to 100 years"},
      {"[{'name': 'x', 'op': 'count', 'window': '-7d'}]",
       "features: x: window \"-7d\" is no duration: a whole number and ms, s, m, h, d or w, like \"30m\" or \"7d\", "
       "up to 100 years"},
      {"[{'name': 'x', 'op': 'count', 'window': '0d'}]",
       "features: x: window \"0d\" is no duration: a whole number and ms, s, m, h, d or w, like \"30m\" or \"7d\", "
       "up to 100 years"},
      {"[{'name': 'x', 'op': 'count', 'window': '999999999999w'}]",
       "features: x: window \"999999999999w\" is no duration: a whole number and ms, s, m, h, d or w, like \"30m\" or "
       "\"7d\", up to 100 years"},
      {"[{'name': 'x', 'op': 'count', 'window': '999ms'}]",
       "features: x: window \"999ms\" is too short, at least 1s is allowed"},
      {"[{'name': 'x', 'op': 'count', 'window': '1d', 'tile': '2d'}]", "features: x: tile is longer than window"},
      {"[{'name': 'x', 'op': 'count', 'window': '33d', 'tile': '1d'}]",
       "features: x: window holds 33 tiles, at most 32 are allowed: a tile of at least 1485m"},
      {"[{'name': 'x', 'op': 'decay', 'half_life': '1ms'}]",
       "features: x: half_life \"1ms\" is too short, at least 1s is allowed"},
      {"[{'name': 'x', 'op': 'sessions', 'session_gap': '1ms'}]",
       "features: x: session_gap \"1ms\" is too short, at least 1s is allowed"},
      {"[{'name': 'x', 'op': 'distinct', 'of': 'event', 'limit': 3}]",
       "features: x: limit must be a whole number from 4 to 1024"},
      {"[{'name': 'x', 'op': 'distinct', 'of': 'event', 'limit': 1025}]",
       "features: x: limit must be a whole number from 4 to 1024"},
      {"[{'name': 'x', 'op': 'distinct', 'of': 'event', 'precision': 15}]",
       "features: x: precision must be a whole number from 4 to 14"},
      {"[{'name': 'x', 'op': 'last', 'of': 'traits.a', 'precision': 10}]",
       "features: x: precision does not go with last; it goes with: distinct"},
      {"[{'name': 'x', 'op': 'distinct', 'of': 'event', 'limit': 16.5}]",
       "features: x: limit must be a whole number from 4 to 1024"},
      {"[{'name': 'x', 'op': 'distinct', 'of': 'event', 'limit': 9223372036854775807}]",
       "features: x: limit must be a whole number from 4 to 1024"},
      {"[{'name': 'x', 'op': 'streak', 'zone': 841}]", "features: x: zone must be a whole number from -720 to 840"},
      {"[{'name': 'x', 'op': 'streak', 'zone': true}]", "features: x: zone must be a whole number from -720 to 840"},
      {"[{'name': 'x', 'op': 'count', 'class': 'behavior'}]",
       "features: x: unknown class \"behavior\" (did you mean \"behaviour\"?); allowed: behaviour, profile"},
      {"[{'name': 'x', 'op': 'count', 'freshness': 'hourly'}]",
       "features: x: unknown freshness \"hourly\"; allowed: live, minutes, batch"},
      {"[{'name': 'x', 'op': 'count', 'personal': 1}]", "features: x: personal must be true or false, not a number"},
      {"[{'name': 'x', 'op': 'count', 'owner': {}}]", "features: x: owner must be text, not a map"},
      {"[{'name': 'x', 'op': 'sum', 'of': 'amount'}]",
       "features: x: of \"amount\" is no path: it begins with properties., traits. or context. and has no empty step"},
      {"[{'name': 'x', 'op': 'sum', 'of': 'properties.'}]",
       "features: x: of \"properties.\" is no path: it begins with properties., traits. or context. and has no empty "
       "step"},
      {"[{'name': 'x', 'op': 'sum', 'of': 'traits.a..b'}]",
       "features: x: of \"traits.a..b\" is no path: it begins with properties., traits. or context. and has no empty "
       "step"},
      {"[{'name': 'x', 'op': 'sum', 'of': 'traits.a.'}]",
       "features: x: of \"traits.a.\" is no path: it begins with properties., traits. or context. and has no empty "
       "step"},
      {"[{'name': 'x', 'op': 'sum', 'of': 'channel'}]",
       "features: x: of \"channel\" is no path: it begins with properties., traits. or context. and has no empty step"},
      {"[{'name': 'x', 'op': 'sum', 'of': ''}]", "features: x: of is empty"},
  };
  REFUSE(faults);
}

static void test_on(void **state) {
  (void)state;
  static const struct fault faults[] = {
      {"[{'name': 'x', 'op': 'count', 'on': []}]",
       "features: x: on is an empty list, which no event meets; leave it out for every event"},
      {"[{'name': 'x', 'op': 'count', 'on': {}}]",
       "features: x: on is an empty list, which no event meets; leave it out for every event"},
      {"[{'name': 'x', 'op': 'count', 'on': 7}]",
       "features: x: on 1 must be an event's name or a map with type, event or channel, not a number"},
      {"[{'name': 'x', 'op': 'count', 'on': ['Page Viewed', {}]}]",
       "features: x: on 2 is empty; name a type, event or channel, or leave `on` out"},
      {"[{'name': 'x', 'op': 'count', 'on': ['']}]", "features: x: on 1 is empty"},
      {"[{'name': 'x', 'op': 'count', 'on': [{'type': 'pages'}]}]",
       "features: x: unknown on 1: type \"pages\" (did you mean \"page\"?); allowed: track, identify, page, screen, "
       "group, alias"},
      {"[{'name': 'x', 'op': 'count', 'on': [{'evnet': 'a'}]}]",
       "features: x: on 1 has an unknown key \"evnet\" (did you mean \"event\"?); allowed: type, event, channel"},
      {"[{'name': 'x', 'op': 'count', 'on': [{'channel': 1}]}]",
       "features: x: on 1: channel must be text, not a number"},
  };
  REFUSE(faults);
}

static void test_where(void **state) {
  (void)state;
  static const struct fault faults[] = {
      {"[{'name': 'x', 'op': 'count', 'where': 'a'}]",
       "features: x: where 1 must be a map with a path and a test, not text"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'is': 1}]}]", "features: x: where 1 lacks a path"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a'}]}]",
       "features: x: where 1 has no test: one of is, in, exists, at_least, under, starts_with"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a', 'is': 1}, {'path': 'a', 'is': 1}]}]",
       "features: x: where 2: path \"a\" is no path: it begins with properties., traits. or context. and has no empty "
       "step"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a', 'atleast': 1}]}]",
       "features: x: where 1 has an unknown key \"atleast\" (did you mean \"at_least\"?); allowed: path, is, in, "
       "exists, at_least, under, starts_with"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a', 'is': null}]}]",
       "features: x: where 1: is must be text, a finite number, true or false, not nil"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a', 'in': []}]}]",
       "features: x: where 1: in has 0 values, 1 to 256 are allowed"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a', 'is': []}]}]",
       "features: x: where 1: is has 0 values, 1 to 256 are allowed"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a', 'in': 'b'}]}]",
       "features: x: where 1: in must be a list of values, not text"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a', 'in': ['b', {}]}]}]",
       "features: x: where 1: in must be text, a finite number, true or false, not a map"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a', 'at_least': '7'}]}]",
       "features: x: where 1: at_least must be a finite number, not text"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a', 'under': true}]}]",
       "features: x: where 1: under must be a finite number, not a bool"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a', 'exists': 'yes'}]}]",
       "features: x: where 1: exists must be true or false, not text"},
      {"[{'name': 'x', 'op': 'count', 'where': [{'path': 'properties.a', 'starts_with': ''}]}]",
       "features: x: where 1: starts_with is empty"},
  };
  REFUSE(faults);
}

// ---- what JSON cannot say ----
static void put_head(struct buf *b, uint32_t pairs) {
  mp_put_array(b, 1);
  mp_put_map(b, pairs);
  mp_put_cstr(b, "name"), mp_put_cstr(b, "x");
  mp_put_cstr(b, "op"), mp_put_cstr(b, "count");
}

static void test_bytes(void **state) {
  (void)state;
  struct buf b;
  buf_init(&b);
  assert_refused(buf_bytes(&b), "features: the declarations are cut short");
  buf_append_u8(&b, 0xc1);
  assert_refused(buf_bytes(&b),
                 "features: the declarations are not readable: byte 0xc1 at offset 0 is not MessagePack");
  buf_clear(&b);
  mp_put_array(&b, 2), mp_put_nil(&b);
  assert_refused(buf_bytes(&b), "features: the declarations are cut short");
  buf_clear(&b);
  mp_put_array(&b, 0), mp_put_nil(&b);
  assert_refused(buf_bytes(&b), "features: 1 bytes follow the declarations");
  buf_clear(&b);
  for (int i = 0; i < 9; i++) mp_put_array(&b, 1);
  mp_put_nil(&b);
  assert_refused(buf_bytes(&b),
                 "features: the declarations are not readable: the value is nested deeper than 8 (frame.depth)");
  buf_clear(&b);
  put_head(&b, 3), mp_put_int(&b, 7), mp_put_nil(&b);
  assert_refused(buf_bytes(&b), "features: x: the declaration has a key that is a number, not text");
  buf_clear(&b);
  put_head(&b, 3), mp_put_cstr(&b, "op"), mp_put_cstr(&b, "gap");
  assert_refused(buf_bytes(&b), "features: x: the declaration has the key op twice");
  buf_clear(&b);
  put_head(&b, 3), mp_put_cstr(&b, "owner"), mp_put_str(&b, BYTES_LIT("a\0b"));
  assert_refused(buf_bytes(&b), "features: x: owner is not UTF-8 text");
  buf_clear(&b);
  put_head(&b, 3), mp_put_cstr(&b, "on"), mp_put_str(&b, BYTES_LIT("\xff"));
  assert_refused(buf_bytes(&b), "features: x: on 1 is not UTF-8 text");
  buf_clear(&b);
  put_head(&b, 3), mp_put_str(&b, BYTES_LIT("\xff\xfe")), mp_put_nil(&b);
  assert_refused(buf_bytes(&b), "features: x: the declaration has an unknown key (not UTF-8); allowed: " KEYS);
  buf_clear(&b);
  put_head(&b, 3), mp_put_cstr(&b, "where"), mp_put_map(&b, 2), mp_put_cstr(&b, "path"), mp_put_cstr(&b, "traits.a"),
      mp_put_cstr(&b, "at_least"), mp_put_float(&b, NAN);
  assert_refused(buf_bytes(&b), "features: x: where 1: at_least must be a finite number, not NaN or infinite");
  buf_clear(&b);
  put_head(&b, 3), mp_put_cstr(&b, "owner"), mp_put_bin(&b, BYTES_LIT("a"));
  assert_refused(buf_bytes(&b), "features: x: owner must be text, not binary");
  buf_deinit(&b);
}

// A list of `count` declarations; `each` is printed with the number.
static void put_many(struct buf *b, unsigned count, const char *op, const char *key, const char *each) {
  mp_put_array(b, count);
  for (unsigned i = 0; i < count; i++) {
    char text[300];
    mp_put_map(b, key ? 3 : 2);
    snprintf(text, sizeof text, "f%u", i);
    mp_put_cstr(b, "name"), mp_put_cstr(b, text);
    mp_put_cstr(b, "op"), mp_put_cstr(b, op);
    if (!key) continue;
    snprintf(text, sizeof text, each, i);
    mp_put_cstr(b, key), pack(text, b);
  }
}

static void test_limits(void **state) {
  (void)state;
  struct buf b;
  buf_init(&b);
  put_many(&b, FEATURES_MAX + 1, "count", NULL, NULL);
  assert_refused(buf_bytes(&b), "features: 257 are declared, at most 256 are allowed");
  buf_clear(&b);
  put_many(&b, FEATURES_MAX, "velocity", "window", "'32d'");
  struct feature_set *set = NULL;
  struct error err = {0};
  assert_int_equal(feature_set_compile(buf_bytes(&b), &set, &err), 0); // 12 tiles each: it fits
  feature_set_free(set);
  buf_clear(&b);
  mp_put_array(&b, 8);
  for (unsigned i = 0; i < 8; i++) {
    char name[16];
    snprintf(name, sizeof name, "f%u", i);
    mp_put_map(&b, 4), mp_put_cstr(&b, "name"), mp_put_cstr(&b, name), mp_put_cstr(&b, "op");
    mp_put_cstr(&b, "distinct"), mp_put_cstr(&b, "of"), mp_put_cstr(&b, "event");
    mp_put_cstr(&b, "limit"), mp_put_int(&b, 1024);
  }
  assert_refused(buf_bytes(&b), "features: f7: with its 8200 bytes a lead's state grows beyond 65536");
  buf_clear(&b);
  put_many(&b, 1, "count", "on",
           "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33]");
  assert_refused(buf_bytes(&b), "features: f0: on has 33 alternatives, at most 32 are allowed");
  buf_clear(&b);
  put_many(&b, 1, "count", "where", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]");
  assert_refused(buf_bytes(&b), "features: f0: where has 17 conditions, at most 16 are allowed");
  buf_clear(&b);
  mp_put_array(&b, 1), mp_put_map(&b, 3), mp_put_cstr(&b, "name"), mp_put_cstr(&b, "x");
  mp_put_cstr(&b, "op"), mp_put_cstr(&b, "count"), mp_put_cstr(&b, "on");
  char word[400];
  memset(word, 'w', sizeof word);
  mp_put_str(&b, bytes_of(word, 257));
  assert_refused(buf_bytes(&b), "features: x: on 1 has 257 bytes, at most 256 are allowed");
  buf_deinit(&b);
}

static void test_too_many_paths(void **state) {
  (void)state;
  struct buf b;
  buf_init(&b);
  mp_put_array(&b, 33);
  for (unsigned i = 0; i < 33; i++) {
    char text[64];
    mp_put_map(&b, 3);
    snprintf(text, sizeof text, "f%u", i);
    mp_put_cstr(&b, "name"), mp_put_cstr(&b, text), mp_put_cstr(&b, "op"), mp_put_cstr(&b, "count");
    mp_put_cstr(&b, "where"), mp_put_array(&b, 16);
    for (unsigned k = 0; k < 16; k++) {
      snprintf(text, sizeof text, "{'path': 'properties.p%u', 'exists': true}", i * 16 + k);
      pack(text, &b);
    }
  }
  assert_refused(buf_bytes(&b), "features: f32: the set asks for more than 512 different paths");
  buf_deinit(&b);
}

#define FUNNEL "[{'name': 'x', 'op': 'funnel', 'within': '1d', 'steps': "
static void test_steps(void **state) {
  (void)state;
  static const struct fault faults[] = {
      {"[{'name': 'x', 'op': 'funnel', 'within': '1d'}]", "features: x: funnel needs steps"},
      {"[{'name': 'x', 'op': 'funnel', 'steps': ['A', 'B']}]", "features: x: funnel needs within"},
      {"[{'name': 'x', 'op': 'count', 'steps': ['A', 'B']}]",
       "features: x: steps does not go with count; it goes with: decay, funnel, sequence, co_occurrence"},
      {"[{'name': 'x', 'op': 'count', 'within': '1d'}]",
       "features: x: within does not go with count; it goes with: funnel, sequence, co_occurrence"},
      {FUNNEL "'A'}]", "features: x: steps must be a list of 2 to 8, in their order"},
      {FUNNEL "['A']}]", "features: x: steps must be a list of 2 to 8, in their order"},
      {FUNNEL "{}}]", "features: x: steps must be a list of 2 to 8, in their order"},
      {FUNNEL "['A', 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A']}]",
       "features: x: steps must be a list of 2 to 8, in their order"},
      {"[{'name': 'x', 'op': 'co_occurrence', 'within': '1d', 'steps': ['A', 'B', 'C']}]",
       "features: x: steps must be a list of two"},
      {FUNNEL "['A', 'B'], 'on': 'C'}]", "features: x: on does not go with funnel: each of its steps has its own"},
      {"[{'name': 'x', 'op': 'sequence', 'within': '1d', 'steps': ['A', 'B'], 'where': []}]",
       "features: x: where does not go with sequence: each of its steps has its own"},
      {FUNNEL "['A', 7]}]",
       "features: x: step 2: on 1 must be an event's name or a map with type, event or channel, not a number"},
      {FUNNEL "['A', []]}]",
       "features: x: step 2: on is an empty list, which no event meets; leave it out for every event"},
      {FUNNEL "['A', {'on': 'B', 'wher': []}]}]",
       "features: x: step 2: it has an unknown key \"wher\" (did you mean \"where\"?); allowed: on, where"},
      {FUNNEL "['A', {'on': 'B', 'type': 'page'}]}]",
       "features: x: step 2: it has an unknown key \"type\"; allowed: on, where"},
      {FUNNEL "[{'type': 'pgae'}, 'B']}]",
       "features: x: step 1: unknown on 1: type \"pgae\" (did you mean \"page\"?); allowed: track, identify, page, "
       "screen, group, alias"},
      {FUNNEL "['A', {'where': {'path': 'n', 'is': 1}}]}]", "features: x: step 2: where 1: path \"n\" is no path: it "
                                                            "begins with properties., traits. or context. and has no "
                                                            "empty step"},
      {FUNNEL "['A', 'B'], 'window': '7d', 'tile': '1d'}]",
       "features: x: tile does not go with funnel; it goes with: "
       "count, sum, mean, min, max, variance, stddev, decay, velocity, "
       "flag, sequence, co_occurrence, account"},
      {FUNNEL "['A', 'B'], 'window': '7d', 'zone': 60}]",
       "features: x: zone needs a window of the calendar: today, this_week, this_month, this_quarter, this_year"},
      {FUNNEL "['A', 'B'], 'pending': 3}]", "features: x: pending must be a whole number from 4 to 64"},
      {FUNNEL "['A', 'B'], 'pending': 65}]", "features: x: pending must be a whole number from 4 to 64"},
      {FUNNEL "['A', 'B'], 'lateness': '10ms'}]",
       "features: x: lateness \"10ms\" is too short, at least 1s is allowed"},
  };
  REFUSE(faults);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names_and_ops), cmocka_unit_test(test_keys_and_their_ops),
      cmocka_unit_test(test_values),        cmocka_unit_test(test_keys_among_each_other),
      cmocka_unit_test(test_shapes),        cmocka_unit_test(test_on),
      cmocka_unit_test(test_where),         cmocka_unit_test(test_bytes),
      cmocka_unit_test(test_limits),        cmocka_unit_test(test_too_many_paths),
      cmocka_unit_test(test_steps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
