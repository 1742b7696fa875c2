// Baselines of sources: steady streams are never strange, a spike, a drop, a silence, nulls and a new name are; a restart; hostile names.
#include "../random.h"
#include "schema/baseline.h"
#include "support.h"

#include <math.h>

#define MINUTE INT64_C(60000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define STEP   (5 * MINUTE)

static struct event event_of(const char *source, const char *name, const char *properties, struct buf *map) {
  struct event e = {.type = EVENT_TRACK, .name = bytes_str(name), .channel = bytes_str(source)};
  buf_clear(map);
  pack(properties, map);
  e.properties = buf_bytes(map);
  return e;
}

struct stream {
  const char *source, *name;
  double per_hour, nulls; // share of events without `p`
  int64_t next_ms;
};

static int64_t gap(double per_hour) { return (int64_t)(-log(1 - random_unit()) * (double)HOUR / per_hour) + 1; }

static void run(struct baselines *b, struct stream *s, size_t count, int64_t from_ms, int64_t until_ms) {
  struct buf with = {0}, without = {0};
  for (size_t i = 0; i < count; i++) s[i].next_ms = from_ms + gap(s[i].per_hour);
  for (int64_t now = from_ms; now < until_ms; now += STEP) {
    for (size_t i = 0; i < count; i++) {
      struct event full = event_of(s[i].source, s[i].name, "{'p': 1, 'q': 'x'}", &with);
      struct event bare = event_of(s[i].source, s[i].name, "{'p': null, 'q': 'x'}", &without);
      for (; s[i].next_ms < now + STEP; s[i].next_ms += gap(s[i].per_hour))
        baselines_count(b, (unsigned)random_below(3), random_unit() < s[i].nulls ? &bare : &full, s[i].next_ms);
    }
    baselines_turn(b, now + STEP);
  }
  buf_deinit(&with);
  buf_deinit(&without);
}

struct totals {
  uint64_t total[BASELINE_KINDS];
  bool is_now[BASELINE_KINDS];
  size_t series, usual;
};

static void add(void *context, const struct baseline_stats *s) {
  struct totals *t = context;
  t->series++;
  t->usual += s->usual >= 0;
  for (int k = 0; k < BASELINE_KINDS; k++) t->total[k] += s->total[k], t->is_now[k] |= s->is_now[k];
}

static struct totals totals(struct baselines *b, int64_t now_ms) {
  struct totals t = {0};
  baselines_visit(b, now_ms, add, &t);
  return t;
}

static void steady_streams_are_usual(void **state) {
  (void)state;
  const char *text = getenv("BASELINE_DAYS");
  int64_t days = text ? atoll(text) : 60;
  struct stream s[] = {{"a", "E", 300, 0.05, 0}, {"a", "F", 40, 0, 0},  {"b", "E", 5, 0.5, 0},
                       {"c", "E", 1, 0.01, 0},   {"d", "E", 0.2, 0, 0}, {"e", "E", 100, 0.98, 0}};
  struct baselines *b = baselines_new();
  run(b, s, sizeof s / sizeof *s, T0, T0 + days * DAY);
  struct totals t = totals(b, T0 + days * DAY);
  for (int k = 0; k < BASELINE_KINDS; k++)
    if (t.total[k]) fail_msg("%llu false alarms of kind %s", (unsigned long long)t.total[k], baseline_kinds[k]);
  assert_int_equal(t.series, 11);
  assert_int_equal(t.usual, 11);
  assert_int_equal(baselines_untracked(b), 0);
  baselines_free(b);
}

static void what_is_strange_is_said(void **state) {
  (void)state;
  struct stream s = {"a", "E", 200, 0.02, 0};
  struct baselines *b = baselines_new();
  int64_t at = T0 + 10 * DAY;
  run(b, &s, 1, T0, at);
  s.per_hour = 2000;
  run(b, &s, 1, at, at + HOUR / 2); // it does not take the whole hour
  struct totals t = totals(b, at + HOUR / 2);
  assert_true(t.is_now[BASELINE_SPIKE]);
  s.per_hour = 200;
  run(b, &s, 1, at + HOUR / 2, at + 3 * HOUR);
  t = totals(b, at + 3 * HOUR);
  assert_false(t.is_now[BASELINE_SPIKE]);
  assert_int_equal(t.total[BASELINE_SPIKE], 2); // the source's and the event's
  s.per_hour = 5;
  run(b, &s, 1, at + 3 * HOUR, at + 5 * HOUR);
  assert_true(totals(b, at + 5 * HOUR).is_now[BASELINE_DROP]);
  s.per_hour = 200, s.nulls = 0.6;
  run(b, &s, 1, at + 5 * HOUR, at + 7 * HOUR);
  t = totals(b, at + 7 * HOUR);
  assert_true(t.is_now[BASELINE_NULLS]);
  assert_false(t.is_now[BASELINE_DROP]);
  s.nulls = 0.02;
  run(b, &s, 1, at + 7 * HOUR, at + 9 * HOUR);
  assert_false(totals(b, at + 9 * HOUR).is_now[BASELINE_NULLS]);
  s.name = "G";
  run(b, &s, 1, at + 9 * HOUR, at + 10 * HOUR);
  assert_int_equal(totals(b, at + 10 * HOUR).total[BASELINE_NEW_EVENT], 1);
  run(b, &s, 0, at + 10 * HOUR, at + 30 * HOUR);
  assert_true(totals(b, at + 30 * HOUR).is_now[BASELINE_SILENCE]);
  run(b, &s, 1, at + 30 * HOUR, at + 31 * HOUR);
  t = totals(b, at + 31 * HOUR);
  assert_false(t.is_now[BASELINE_SILENCE]);
  assert_true(t.total[BASELINE_SILENCE] >= 1); // the slow hours may hold another
  baselines_free(b);
}

static void nights_and_weekends_are_usual(void **state) {
  (void)state;
  struct stream s = {"a", "E", 120, 0, 0};
  struct baselines *b = baselines_new();
  for (int day = 0; day < 42; day++) // 2026-01-01 is a Thursday
    for (int hour = 0; hour < 24; hour++) {
      bool is_office = hour >= 8 && hour < 18 && day % 7 != 2 && day % 7 != 3;
      run(b, &s, is_office, T0 + day * DAY + hour * HOUR, T0 + day * DAY + (hour + 1) * HOUR);
    }
  struct totals t = totals(b, T0 + 42 * DAY);
  for (int k = 0; k < BASELINE_KINDS; k++)
    if (t.total[k]) fail_msg("%llu false alarms of kind %s", (unsigned long long)t.total[k], baseline_kinds[k]);
  run(b, &s, 1, T0 + 42 * DAY, T0 + 42 * DAY + HOUR); // at midnight
  assert_true(totals(b, T0 + 42 * DAY + HOUR).total[BASELINE_SPIKE] > 0);
  baselines_free(b);
}

static void a_restart_forgets_nothing(void **state) {
  (void)state;
  struct stream s = {"a", "E", 200, 0, 0};
  struct baselines *b = baselines_new(), *again = baselines_new();
  struct buf saved = {0}, twice = {0};
  run(b, &s, 1, T0, T0 + 10 * DAY);
  baselines_save(b, &saved);
  for (size_t cut = 0; cut < saved.n; cut += 1 + random_below(saved.n / 50)) {
    assert_int_equal(baselines_load(again, bytes_of(saved.p, cut), NULL), ITD_ECORRUPT);
    saved.p[cut] ^= 1;
    assert_int_equal(baselines_load(again, buf_bytes(&saved), NULL), ITD_ECORRUPT);
    saved.p[cut] ^= 1;
  }
  assert_int_equal(baselines_load(again, buf_bytes(&saved), NULL), 0);
  baselines_save(again, &twice);
  int64_t at = T0 + 20 * DAY; // it stood still for long: no source's silence, no drop
  run(again, &s, 1, at + HOUR / 2, at + 5 * HOUR);
  struct totals t = totals(again, at + 5 * HOUR);
  assert_int_equal(t.total[BASELINE_SILENCE] + t.total[BASELINE_DROP] + t.total[BASELINE_SPIKE], 0);
  s.per_hour = 3000;
  run(again, &s, 1, at + 5 * HOUR, at + 6 * HOUR);
  assert_true(totals(again, at + 6 * HOUR).is_now[BASELINE_SPIKE]);
  buf_deinit(&saved);
  buf_deinit(&twice);
  baselines_free(b);
  baselines_free(again);
}

static void strangers_fill_no_memory(void **state) {
  (void)state;
  struct baselines *b = baselines_new();
  struct buf map = {0}, properties = {0};
  char name[400];
  mp_put_map(&properties, 3);
  mp_put_cstr(&properties, "ada@example.com"), mp_put_uint(&properties, 1);
  mp_put_uint(&properties, 7), mp_put_nil(&properties);
  mp_put_cstr(&properties, ""), mp_put_map(&properties, 0);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 2000; i++) {
      snprintf(name, sizeof name, "%d\n\xc3\xa9%0300llu", i, (unsigned long long)random_next());
      struct event e = event_of(name, name, "{}", &map);
      if (i % 2) e.properties = buf_bytes(&properties);
      if (i % 3 == 0) e.properties = e.channel = (struct bytes){0};
      baselines_count(b, (unsigned)random_below(200), &e, T0 + (int64_t)random_below(1000000));
    }
    baselines_turn(b, T0 + (int64_t)random_below(1000) * DAY - 500 * DAY);
  }
  assert_true(totals(b, T0).series <= BASELINE_SERIES_MAX);
  for (int i = 0; i < 400 * 25; i++) { // those that are used are not driven out
    snprintf(name, sizeof name, "n%d", i / 25);
    struct event e = event_of("s", name, "{}", &map);
    baselines_count(b, 0, &e, T0);
  }
  baselines_turn(b, T0);
  assert_true(totals(b, T0).series <= BASELINE_SERIES_MAX);
  assert_true(baselines_untracked(b) > 0);
  buf_deinit(&map);
  buf_deinit(&properties);
  baselines_free(b);
}

int main(void) {
  random_start();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steady_streams_are_usual),      cmocka_unit_test(what_is_strange_is_said),
      cmocka_unit_test(nights_and_weekends_are_usual), cmocka_unit_test(a_restart_forgets_nothing),
      cmocka_unit_test(strangers_fill_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
