// The engine on the shipped b2b policy: random lives of leads, and what must hold for every decision.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "base/hash.h"
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS 400

static struct policy *policy;
static struct release release;
static struct event_limits limits;

static struct policy *policy_of(void *context, uint32_t number) {
  (void)context;
  return number == release.number ? policy : NULL;
}

static struct engine *fresh_engine(bool hook) {
  struct vm_limits vm = VM_LIMITS_DEFAULT;
  vm.hook = hook;
  struct engine *engine = engine_new(ENGINE_CLOCK_EVENT, &vm, policy_of, NULL);
  struct error err = {0};
  assert_int_equal(engine_prepare(engine, &release, &err), 0);
  engine_use(engine);
  return engine;
}

static int setup(void **state) {
  (void)state;
  struct policy_source source = {
      .policies_dir = "policies", .models_dir = "policies/models", .scripts_dir = "scripts", .name = "b2b_saas"};
  struct lua_limits build = LUA_LIMITS_DEFAULT;
  struct error err = {0};
  if (policy_load(&source, &build, &policy, NULL, &err) < 0) {
    fprintf(stderr, "%s\n", err.text);
    return -1;
  }
  release = (struct release){.policy = policy, .number = 7, .signals = 1, .models = 1};
  limits = EVENT_LIMITS_DEFAULT;
  return 0;
}

static int teardown(void **state) {
  (void)state;
  policy_release(policy);
  return 0;
}

// ---- random events of one lead ----

static const char *const names[] = {
    "Pricing Viewed",        "Docs Viewed",           "Demo Requested", "Feature Used",    "Teammate Invited",
    "Integration Connected", "Email Link Clicked",    "Unsubscribed",   "crm.call_logged", "crm.opportunity_created",
    "crm.lead_rejected",     "Case Study Downloaded", "Trial Started"};

static void put_pair(struct buf *b, const char *key, const char *value) {
  mp_put_cstr(b, key);
  mp_put_cstr(b, value);
}

static void random_event(struct buf *b, int64_t at_ms) {
  unsigned what = (unsigned)random_below(20);
  buf_clear(b);
  mp_put_map(b, what == 0 ? 4 : 6);
  put_pair(b, "userId", "maria@acme.example");
  mp_put_cstr(b, "timestamp");
  mp_put_int(b, at_ms);
  if (what == 0) {
    put_pair(b, "type", "identify");
    mp_put_cstr(b, "traits");
    mp_put_map(b, 5);
    put_pair(b, "email", random_below(4) ? "maria@acme.example" : "maria@gmail.com");
    put_pair(b, "region", random_below(2) ? "emea" : "amer");
    put_pair(b, "industry", random_below(2) ? "Software" : "Retail");
    put_pair(b, "tier", random_below(3) ? "mid" : "strategic");
    mp_put_cstr(b, "employees");
    mp_put_int(b, (int64_t)random_below(5000));
    return;
  }
  put_pair(b, "type", what < 5 ? "page" : "track");
  put_pair(b, "event", names[random_below(sizeof names / sizeof *names)]);
  put_pair(b, "channel", random_below(2) ? "product" : "web");
  mp_put_cstr(b, "properties");
  mp_put_map(b, 1);
  put_pair(b, "feature", random_below(2) ? "export" : "share");
}

struct life {
  struct buf event[EVENTS];
};

static void make_life(struct life *life) {
  int64_t at_ms = 1767603600000;
  for (int i = 0; i < EVENTS; i++) {
    at_ms += random_below(12) ? (int64_t)random_below(6 * 3600000) : (int64_t)random_below(30 * 86400000ull);
    int64_t late_ms = random_below(10) ? 0 : (int64_t)random_below(86400000);
    random_event(&life->event[i], at_ms - late_ms);
  }
}

static void free_life(struct life *life) {
  for (int i = 0; i < EVENTS; i++) buf_deinit(&life->event[i]);
}

static struct event decoded(const struct buf *map, struct event_digits *digits) {
  struct event event;
  struct error err = {0};
  assert_int_equal(event_decode(buf_bytes(map), 0, &limits, digits, &event, &err), 0);
  return event;
}

static struct lead *fresh_lead(const struct event *first) {
  struct lead_id id = {{3, 1, 4, 1, 5}};
  return lead_new(id, 0, policy, release.number, first->timestamp_ms);
}

// ---- what must hold ----

static int64_t int_of(struct bytes map, const char *path) {
  struct bytes value;
  assert_true(mp_find_path(map, bytes_str(path), &value));
  return mp_value_of(value).i;
}

static void check_ledger(struct bytes answer) {
  struct bytes reasons;
  int64_t score = 0, intent = 0, rounding = 0;
  assert_true(mp_find(answer, BYTES_LIT("reasons"), &reasons));
  struct mp m = mp_of(reasons);
  uint32_t rows = mp_next(&m).count;
  for (uint32_t i = 0; i < rows; i++) {
    struct bytes row = mp_take(&m), kind, points;
    assert_true(mp_find(row, BYTES_LIT("kind"), &kind) && mp_as_str(kind, &kind));
    if (!mp_find(row, BYTES_LIT("points"), &points)) continue;
    int64_t milli = mp_value_of(points).i;
    if (bytes_is(kind, "evidence") || bytes_is(kind, "channel_cap"))
      intent += milli;
    else
      score += milli;
    if (bytes_is(kind, "rounding")) rounding = milli;
  }
  assert_int_equal(score, int_of(answer, "scores.combined"));
  assert_int_equal(intent, int_of(answer, "scores.intent"));
  assert_true(llabs(rounding) <= (int64_t)rows + 2);
}

static void every_ledger_sums(void **state) {
  (void)state;
  struct engine *engine = fresh_engine(false);
  struct engine_result result;
  size_t decisions = 0, timers = 0;
  for (int lives = 0; lives < 20; lives++) {
    struct life *life = calloc(1, sizeof *life);
    make_life(life);
    struct lead *lead = NULL;
    for (int i = 0; i < EVENTS; i++) {
      struct event_digits digits;
      struct event event = decoded(&life->event[i], &digits);
      if (!lead) lead = fresh_lead(&event);
      struct error err = {0};
      assert_int_equal(engine_event(engine, &lead, &event, 0, &limits, &result, &err), 0);
      for (size_t d = 0; d < result.count; d++) {
        check_ledger(result.decision[d].answer);
        assert_int_equal(result.decision[d].answer.p[result.decision[d].answer.n - 1], 0xc2);
        timers += result.decision[d].is_timer;
        decisions++;
      }
    }
    assert_int_equal(lead->number, result.decision[result.count - 1].number);
    lead_free(lead);
    free_life(life);
    free(life);
  }
  assert_true(decisions >= 20 * EVENTS);
  assert_true(timers > 0); // the lives are long enough for timers to fire: else this tests less than it says
  engine_free(engine);
}

static void same_hashes_with_and_without_jit(void **state) {
  (void)state;
  struct engine *engine[] = {fresh_engine(false), fresh_engine(true)};
  struct life *life = calloc(1, sizeof *life);
  make_life(life);
  uint64_t hash[2] = {0, 0};
  for (int e = 0; e < 2; e++) {
    struct lead *lead = NULL;
    for (int i = 0; i < EVENTS; i++) {
      struct event_digits digits;
      struct event event = decoded(&life->event[i], &digits);
      if (!lead) lead = fresh_lead(&event);
      struct engine_result result;
      struct error err = {0};
      assert_int_equal(engine_event(engine[e], &lead, &event, 0, &limits, &result, &err), 0);
      for (size_t d = 0; d < result.count; d++) hash[e] = hash_mix(hash[e], result.decision[d].hash);
    }
    lead_free(lead);
  }
  assert_true(hash[0] == hash[1]);
  assert_true(hash[0] != 0);
  free_life(life);
  free(life);
  engine_free(engine[0]);
  engine_free(engine[1]);
}

static struct lead *copy_of(const struct lead *lead) {
  struct lead *copy = xmalloc(lead_size(lead));
  return memcpy(copy, lead, lead_size(lead));
}

// Recovery without Lua reaches the same state, and an explanation computes the same decision again.
static void refold_and_explain_agree(void **state) {
  (void)state;
  struct engine *engine = fresh_engine(false);
  struct life *life = calloc(1, sizeof *life);
  make_life(life);
  struct lead *lead = NULL, *refolded = NULL;
  for (int i = 0; i < EVENTS; i++) {
    struct event_digits digits;
    struct event event = decoded(&life->event[i], &digits);
    if (!lead) {
      lead = fresh_lead(&event);
      refolded = copy_of(lead);
    }
    struct engine_result result;
    struct error err = {0};
    assert_int_equal(engine_event(engine, &lead, &event, 0, &limits, &result, &err), 0);
    for (size_t d = 0; d < result.count; d++) {
      const struct decision *made = &result.decision[d];
      struct lead *before = copy_of(refolded);
      assert_int_equal(engine_refold(&refolded, policy, policy, release.number, made->is_timer ? NULL : &event,
                                     made->now_ms, made->number, made->effects, made->shared, &err),
                       0);
      assert_true(lead_digest(refolded) == made->digest);
      struct buf out = {0};
      struct bytes again;
      assert_int_equal(engine_explain(engine, &release, &before, made->is_timer ? NULL : &event, NULL,
                                      (struct bytes){0}, made->now_ms, made->shared, &out, &err),
                       0);
      assert_true(mp_find(buf_bytes(&out), BYTES_LIT("decision"), &again));
      assert_true(bytes_eq(again, made->answer));
      buf_deinit(&out);
      lead_free(before);
    }
    assert_int_equal(lead_size(lead), lead_size(refolded));
    assert_memory_equal(lead->state, refolded->state, lead_size(lead) - sizeof *lead);
  }
  lead_free(lead);
  lead_free(refolded);
  free_life(life);
  free(life);
  engine_free(engine);
}

static void time_out_of_bounds_changes_nothing(void **state) {
  (void)state;
  struct engine *engine = fresh_engine(false);
  struct buf map = {0};
  random_event(&map, 1767603600000);
  struct event_digits digits;
  struct event event = decoded(&map, &digits);
  struct lead *lead = fresh_lead(&event), *before;
  struct engine_result result;
  struct error err = {0};
  assert_int_equal(engine_event(engine, &lead, &event, 0, &limits, &result, &err), 0);
  before = copy_of(lead);
  event.timestamp_ms -= limits.late_max_ms + 1;
  assert_int_equal(engine_event(engine, &lead, &event, 0, &limits, &result, &err), ITD_ETIME);
  assert_int_equal(result.count, 0);
  assert_non_null(strstr(err.text, "event.late"));
  assert_memory_equal(lead, before, lead_size(lead));
  lead_free(lead);
  lead_free(before);
  buf_deinit(&map);
  engine_free(engine);
}

static void blocks_from_disk_are_checked(void **state) {
  (void)state;
  struct lead_id id = {{1}};
  struct lead *lead = lead_new(id, 0, policy, release.number, 1000);
  size_t n = lead_size(lead);
  struct error err = {0};
  assert_int_equal(lead_check(bytes_of(lead, n), &err), 0);
  for (size_t cut = 0; cut < n; cut += 7) assert_int_equal(lead_check(bytes_of(lead, cut), &err), ITD_ECORRUPT);
  lead->feature_bytes += 8;
  assert_int_equal(lead_check(bytes_of(lead, n), &err), ITD_ECORRUPT);
  lead->feature_bytes -= 8;
  lead->format++;
  assert_int_equal(lead_check(bytes_of(lead, n), &err), ITD_ECORRUPT);
  lead_free(lead);
}

static void lead_ids_have_one_text(void **state) {
  (void)state;
  struct lead_id id, again;
  random_bytes(id.b, sizeof id.b);
  char text[LEAD_ID_TEXT];
  lead_id_format(id, text);
  assert_int_equal(strlen(text), 32);
  assert_int_equal(lead_id_parse(bytes_str(text), &again), 0);
  assert_true(lead_id_eq(id, again));
  assert_true(lead_id_parse(BYTES_LIT("1234"), &again) < 0);
  text[5] = 'x';
  assert_true(lead_id_parse(bytes_str(text), &again) < 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_ledger_sums),
      cmocka_unit_test(same_hashes_with_and_without_jit),
      cmocka_unit_test(refold_and_explain_agree),
      cmocka_unit_test(time_out_of_bounds_changes_nothing),
      cmocka_unit_test(blocks_from_disk_are_checked),
      cmocka_unit_test(lead_ids_have_one_text),
  };
  random_start();
  return cmocka_run_group_tests(tests, setup, teardown);
}
