// How old a feature is: against the latest match of all events, in any order of arrival, over a change of the set, and
// what it costs.
#include "../random.h"
#include "support.h"

static double age_of(const struct feature_set *set, const uint8_t *state, const char *name, int64_t now_ms) {
  double ages[FEATURES_MAX];
  feature_ages(set, state, now_ms, ages);
  int index = feature_find(set, bytes_str(name));
  assert_true(index >= 0);
  return ages[index];
}

static const char mixed[] =
    "[{'name': 'views', 'op': 'count', 'on': 'View', 'window': '7d', 'max_age': '1d'},"
    " {'name': 'plain', 'op': 'count', 'on': 'View', 'window': '7d', 'tile': '12h'},"
    " {'name': 'paid', 'op': 'sum', 'of': 'properties.amount', 'on': 'Paid', 'max_age': '2d', 'freshness': 'batch'},"
    " {'name': 'seen', 'op': 'recency', 'on': 'View'}, {'name': 'any', 'op': 'flag', 'max_age': '5d'},"
    " {'name': 'plan', 'op': 'last', 'of': 'properties.plan', 'text': true, 'on': 'Paid'},"
    " {'name': 'pause', 'op': 'gap', 'on': 'View'}]";

static void an_age_goes_by_the_latest_match(void **unused) {
  (void)unused;
  struct feature_set *set = compile(mixed);
  uint8_t *state = xmalloc(feature_state_size(set));
  feature_state_init(set, state);
  static const char *const all[] = {"views", "plain", "paid", "seen", "any", "plan", "pause"};
  for (size_t i = 0; i < 7; i++) assert_true(isnan(age_of(set, state, all[i], T0)));
  fold_json(set, state, "'type': 'track', 'event': 'View'", T0, T0);
  assert_true(age_of(set, state, "views", T0 + HOUR) == HOUR);
  assert_true(isnan(age_of(set, state, "plain", T0 + HOUR))); // nobody asked, so nothing is kept
  assert_true(age_of(set, state, "seen", T0 + HOUR) == HOUR);
  assert_true(age_of(set, state, "pause", T0 + HOUR) == HOUR); // known before the gap is
  assert_true(isnan(age_of(set, state, "paid", T0 + HOUR)));
  // what the op cannot use is no match, and makes nothing younger
  fold_json(set, state, "'type': 'track', 'event': 'Paid', 'properties': {'amount': 'much'}", T0 + HOUR, T0 + HOUR);
  assert_true(isnan(age_of(set, state, "paid", T0 + HOUR)));
  fold_json(set, state, "'type': 'track', 'event': 'Paid', 'properties': {'amount': 3, 'plan': 'pro'}", T0 + DAY,
            T0 + DAY);
  assert_true(age_of(set, state, "paid", T0 + DAY) == 0);
  assert_true(age_of(set, state, "plan", T0 + 2 * DAY) == DAY);
  // a sender's clock that runs ahead is taken for now
  fold_json(set, state, "'type': 'track', 'event': 'View'", T0 + 3 * DAY, T0 + 2 * DAY);
  assert_true(age_of(set, state, "views", T0 + 2 * DAY) == 0);
  free(state);
  feature_set_free(set);
}

static void what_nobody_asks_for_costs_nothing(void **unused) {
  (void)unused;
  struct feature_set *set = compile(mixed);
  static const struct {
    const char *name;
    uint32_t size;
    bool has_age;
    int64_t max_age;
  } want[] = {{"views", 0, true, DAY},   {"paid", 16, true, 2 * DAY}, {"seen", 8, true, 0},
              {"any", 8, true, 5 * DAY}, {"plan", 56, true, 0},       {"pause", 16, true, 0}};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    const struct feature_info *info = feature_info(set, (size_t)feature_find(set, bytes_str(want[i].name)));
    assert_int_equal(info->has_age, want[i].has_age);
    assert_int_equal(info->max_age_ms, want[i].max_age);
    if (strcmp(want[i].name, "views") != 0) assert_int_equal(info->state_size, want[i].size);
  }
  assert_int_equal(feature_info(set, 2)->freshness, FEATURE_BATCH);
  assert_string_equal(feature_freshness_name(feature_info(set, 0)->freshness), "live");
  struct feature_set *without = compile("[{'name': 'views', 'op': 'count', 'on': 'View', 'window': '7d'}]");
  struct feature_set *with = compile("[{'name': 'v', 'op': 'count', 'on': 'View', 'window': '7d', 'max_age': '1d'}]");
  assert_int_equal(feature_state_size(with), feature_state_size(without) + 8);
  assert_true(feature_info(with, 0)->definition_hash == feature_info(without, 0)->definition_hash);
  feature_set_free(set), feature_set_free(with), feature_set_free(without);
}

static void a_value_is_not_lost_when_its_age_is_asked_for(void **unused) {
  (void)unused;
  struct feature_set *without = compile("[{'name': 'a', 'op': 'count', 'on': 'View'}, {'name': 'b', 'op': 'count'}]");
  struct feature_set *with = compile("[{'name': 'b', 'op': 'count', 'max_age': '1d'},"
                                     " {'name': 'c', 'op': 'count', 'on': 'View', 'max_age': '9d'}]");
  uint8_t *old = xmalloc(feature_state_size(without)), *new = xmalloc(feature_state_size(with));
  uint8_t *again = xmalloc(feature_state_size(with));
  feature_state_init(without, old);
  fold_json(without, old, "'type': 'track', 'event': 'View'", T0, T0);
  assert_int_equal(feature_state_migrate(without, old, with, new), 2);
  double values[2];
  struct bytes texts[2];
  feature_read(with, new, T0 + DAY, values, texts);
  assert_true(values[0] == 1 && values[1] == 1);
  assert_true(isnan(age_of(with, new, "c", T0 + DAY))); // unknown until its next match
  fold_json(with, new, "'type': 'track', 'event': 'View'", T0 + DAY, T0 + DAY);
  assert_int_equal(feature_state_migrate(with, new, with, again), 2);
  assert_memory_equal(new, again, feature_state_size(with));
  assert_true(age_of(with, again, "c", T0 + 2 * DAY) == DAY);
  free(old), free(new), free(again);
  feature_set_free(without), feature_set_free(with);
}

// Random streams, folded in the order of time, in another one, and as two leads that become one: the same bytes, and the
// oracle's age.
static void the_order_of_arrival_does_not_show(void **unused) {
  (void)unused;
  struct feature_set *set = compile(mixed);
  size_t size = feature_state_size(set);
  uint8_t *one = xmalloc(size), *other = xmalloc(size), *half = xmalloc(size);
  random_start();
  for (int round = 0; round < 200; round++) {
    enum { EVENTS = 12 };
    int64_t time[EVENTS], newest = INT64_MIN, now = T0 + 30 * DAY;
    int order[EVENTS];
    for (int i = 0; i < EVENTS; i++) {
      time[i] = T0 + (int64_t)(random_below(30 * 24)) * HOUR;
      if (time[i] > newest) newest = time[i];
      order[i] = i;
    }
    for (int i = EVENTS - 1; i > 0; i--) {
      int k = (int)random_below((uint64_t)i + 1), kept = order[i];
      order[i] = order[k], order[k] = kept;
    }
    feature_state_init(set, one), feature_state_init(set, other);
    for (int i = 0; i < EVENTS; i++) {
      fold_json(set, one, "'type': 'track', 'event': 'View'", time[i], now);
      fold_json(set, other, "'type': 'track', 'event': 'View'", time[order[i]], now);
    }
    assert_memory_equal(one, other, size);
    feature_state_init(set, other), feature_state_init(set, half);
    for (int i = 0; i < EVENTS; i++)
      fold_json(set, i % 3 ? other : half, "'type': 'track', 'event': 'View'", time[i], now);
    feature_state_merge(set, other, half, now);
    assert_true(age_of(set, other, "views", now) == (double)(now - newest));
    assert_true(age_of(set, other, "any", now) == (double)(now - newest));
    assert_true(age_of(set, one, "views", now) == (double)(now - newest));
  }
  free(one), free(other), free(half);
  feature_set_free(set);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(an_age_goes_by_the_latest_match),
                                     cmocka_unit_test(what_nobody_asks_for_costs_nothing),
                                     cmocka_unit_test(a_value_is_not_lost_when_its_age_is_asked_for),
                                     cmocka_unit_test(the_order_of_arrival_does_not_show)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
