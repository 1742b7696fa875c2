// Rules for sources: what each check says, its windows, and rules that must be refused.
#include <pthread.h>

#include "schema/quality.h"
#include "support.h"

static struct quality *rules(const char *json) {
  struct buf b = {0};
  struct quality *q = NULL;
  struct error err = {0};
  pack(json, &b);
  if (quality_compile(buf_bytes(&b), &q, &err) != 0) fail_msg("%s", err.text);
  buf_deinit(&b);
  return q;
}

static struct schema_set *none(void) {
  struct schema_set *set = NULL;
  assert_int_equal(schema_set_compile((struct bytes){0}, &set, NULL), 0);
  return set;
}

// 0: it passes; 1: refused for what it is; 2: for what others sent.
static int ask(struct quality *q, const struct schema_set *set, const char *json, int64_t at_ms) {
  struct given g;
  struct buf map = {0};
  bool by_traffic;
  pack(json, &map);
  given_open(&g, buf_bytes(&map));
  int rc = quality_judge(q, set, &g.event, at_ms, &by_traffic, &g.err);
  if (rc != 0) assert_int_equal(rc, ITD_EQUALITY);
  given_close(&g);
  buf_deinit(&map);
  return rc == 0 ? 0 : 1 + by_traffic;
}

#define WEB "{'type': 'track', 'event': 'E', 'userId': 'u', 'channel': 'web', 'properties': {'p': 1}}"
#define APP "{'type': 'track', 'event': 'F', 'userId': 'u', 'channel': 'app', 'context': {'source': 's'}}"

static void an_event_by_itself(void **state) {
  (void)state;
  struct schema_set *set = compile("[{'name': 's', 'version': 1, 'on': 'E'}]");
  struct quality *q = rules("[{'name': 'a', 'on': {'channel': 'app'}, 'names': ['E'], 'refuse': true},"
                            "{'name': 'b', 'on': {'channel': 'web'}, 'names': ['G']},"
                            "{'name': 'c', 'schema': true, 'source': 's'}]");
  assert_int_equal(ask(q, set, WEB, T0), 0);
  assert_int_equal(ask(q, set, APP, T0), 1);
  assert_int_equal(ask(q, set, APP, QUALITY_DRY), 1);
  assert_int_equal(quality_stats(q, 0).refused, 1); // what was only looked at does not count
  assert_int_equal(quality_stats(q, 1).breaches, 1);
  assert_int_equal(quality_stats(q, 1).refused, 0);
  quality_free(q);
  q = rules("[{'name': 'c', 'schema': true, 'refuse': true}]");
  assert_int_equal(ask(q, set, WEB, T0), 0);
  assert_int_equal(ask(q, set, APP, T0), 1);
  quality_free(q);
  schema_set_free(set);
}

static void at_most_counts_what_passes(void **state) {
  (void)state;
  struct schema_set *set = none();
  struct quality *q = rules("[{'name': 'a', 'at_most': 2, 'window': '10s', 'refuse': true}]");
  const int64_t t = T0 / 10000 * 10000;
  assert_int_equal(ask(q, set, WEB, t), 0);
  assert_int_equal(ask(q, set, WEB, t + 5), 0);
  assert_int_equal(ask(q, set, WEB, t + 9999), 2);
  assert_int_equal(ask(q, set, WEB, QUALITY_DRY), 0);
  assert_int_equal(ask(q, set, WEB, t + 10000), 0);
  assert_int_equal(ask(q, set, WEB, t + 9990), 0); // another shard's clock: counted in the newer window
  assert_int_equal(ask(q, set, WEB, t + 10001), 2);
  assert_int_equal(ask(q, set, WEB, t - 1000000), 0); // set back: begins anew
  assert_int_equal(quality_stats(q, 0).refused, 2);
  quality_free(q);
  schema_set_free(set);
}

static void windows_are_judged_when_they_end(void **state) {
  (void)state;
  struct schema_set *set = none();
  struct quality *q =
      rules("[{'name': 'low', 'at_least': 3, 'window': '1s'}, {'name': 'steady', 'change': 2, 'window': '1s'},"
            "{'name': 'known', 'path': 'properties.p', 'nulls': 0.5, 'window': '1s'}]");
  const int64_t t = T0 / 1000 * 1000;
  for (int i = 0; i < 2; i++) ask(q, set, WEB, t + 500); // the first window is not whole
  for (int w = 1; w <= 4; w++)
    for (int i = 0; i < 40; i++) ask(q, set, i % 4 ? WEB : APP, t + w * 1000);
  quality_turn(q, t + 5000);
  for (int i = 0; i < 3; i++) assert_int_equal(quality_stats(q, (size_t)i).breaches, 0);
  assert_int_equal(quality_stats(q, 1).window_events, 40);
  for (int i = 0; i < 81; i++) ask(q, set, APP, t + 5000);
  quality_turn(q, t + 6000);
  assert_int_equal(quality_stats(q, 0).breaches, 0);
  assert_int_equal(quality_stats(q, 1).breaches, 1); // 81 after 40
  assert_int_equal(quality_stats(q, 2).breaches, 1); // none has it
  quality_turn(q, t + 9000);                         // three of silence
  assert_int_equal(quality_stats(q, 0).breaches, 3);
  assert_int_equal(quality_stats(q, 1).breaches, 4);
  assert_int_equal(quality_stats(q, 2).breaches, 1); // too few to tell
  assert_true(quality_stats(q, 0).is_breached);
  quality_turn(q, t + 100000000); // a long silence costs no more than a short one
  assert_true(quality_stats(q, 0).breaches <= 3 + QUALITY_WINDOWS + 1);
  for (int i = 0; i < 5; i++) ask(q, set, WEB, t + 100000000);
  quality_turn(q, t + 100001000);
  assert_false(quality_stats(q, 0).is_breached);
  quality_free(q);
  schema_set_free(set);
}

struct thread {
  pthread_t thread;
  struct quality *q;
  struct schema_set *set;
  int passed;
};
static void *work(void *arg) {
  struct thread *t = arg;
  for (int i = 0; i < 5000; i++) t->passed += ask(t->q, t->set, WEB, T0) == 0;
  return NULL;
}

static void threads_share_a_counter(void **state) {
  (void)state;
  struct schema_set *set = none();
  struct quality *q = rules("[{'name': 'a', 'at_most': 7000, 'window': '7d', 'refuse': true}]");
  struct thread t[3];
  int passed = 0;
  for (int i = 0; i < 3; i++) {
    t[i] = (struct thread){.q = q, .set = set};
    assert_int_equal(pthread_create(&t[i].thread, NULL, work, &t[i]), 0);
  }
  for (int i = 0; i < 3; i++) {
    pthread_join(t[i].thread, NULL);
    passed += t[i].passed;
  }
  assert_int_equal(passed, 7000);
  assert_int_equal(quality_stats(q, 0).refused, 8000);
  quality_free(q);
  schema_set_free(set);
}

static void wrong(const char *json, const char *why) {
  struct buf b = {0};
  struct quality *q = NULL;
  struct error err = {0};
  pack(json, &b);
  if (quality_compile(buf_bytes(&b), &q, &err) != ITD_EPOLICY) fail_msg("accepted: %s", json);
  if (!strstr(err.text, why)) fail_msg("\"%s\" does not say \"%s\"", err.text, why);
  buf_deinit(&b);
}

static void rules_that_are_refused(void **state) {
  (void)state;
  wrong("{'a': 1}", "a list of rules");
  wrong("[5]", "#1: a rule is a table");
  wrong("[{'schema': true}]", "no name");
  wrong("[{'name': 'A', 'schema': true}]", "begins with a-z");
  wrong("[{'name': 'a'}]", "needs one of");
  wrong("[{'name': 'a', 'schema': true, 'at_most': 1}]", "needs one of");
  wrong("[{'name': 'a', 'schema': true}, {'name': 'a', 'schema': true}]", "a: it is there twice");
  wrong("[{'name': 'a', 'schema': false}]", "schema is true");
  wrong("[{'name': 'a', 'shcema': true}]", "did you mean 'schema'");
  wrong("[{'name': 'a', 'at_most': -1}]", "not below 0");
  wrong("[{'name': 'a', 'change': 1}]", "above 1");
  wrong("[{'name': 'a', 'change': 2, 'refuse': true}]", "refuse is for");
  wrong("[{'name': 'a', 'nulls': 2, 'path': 'properties.a'}]", "from 0 to 1");
  wrong("[{'name': 'a', 'nulls': 0.5}]", "takes a path");
  wrong("[{'name': 'a', 'nulls': 0.5, 'path': 'a'}]", "path lies below");
  wrong("[{'name': 'a', 'at_most': 1, 'path': 'properties.a'}]", "takes a path");
  wrong("[{'name': 'a', 'at_most': 1, 'window': '10ms'}]", "from \"1s\"");
  wrong("[{'name': 'a', 'names': ['x'], 'window': '1m'}]", "window is for");
  wrong("[{'name': 'a', 'names': []}]", "1 to 256 texts");
  wrong("[{'name': 'a', 'names': [1]}]", "must be a text");
  wrong("[{'name': 'a', 'schema': true, 'on': [{'type': 'x'}]}]", "quality: a: on 1: type is");
  struct buf b = {0};
  mp_put_array(&b, QUALITY_RULES_MAX + 1);
  for (int i = 0; i <= QUALITY_RULES_MAX; i++) mp_put_nil(&b);
  struct quality *q = NULL;
  assert_int_equal(quality_compile(buf_bytes(&b), &q, NULL), ITD_EPOLICY);
  buf_deinit(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_event_by_itself),
      cmocka_unit_test(at_most_counts_what_passes),
      cmocka_unit_test(windows_are_judged_when_they_end),
      cmocka_unit_test(threads_share_a_counter),
      cmocka_unit_test(rules_that_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
