// What sales says outranks rules: random lives on the shipped b2b policy, in which sales has its say again and again, held
// against a plain record of what was said; and the same lives by way of recovery, explanation and merges.
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

#define EVENTS   300
#define DAY_MS   86400000ll
#define HALF_DAY (DAY_MS / 2)

static struct policy *policy;
static struct release release;
static struct event_limits limits;
static struct engine *engine;

static struct policy *policy_of(void *context, uint32_t number) {
  (void)context;
  return number == release.number ? policy : NULL;
}

static int setup(void **state) {
  (void)state;
  struct policy_source source = {
      .policies_dir = "policies", .models_dir = "policies/models", .scripts_dir = "scripts", .name = "b2b_saas"};
  struct lua_limits build = LUA_LIMITS_DEFAULT;
  struct vm_limits vm = VM_LIMITS_DEFAULT;
  struct error err = {0};
  limits = EVENT_LIMITS_DEFAULT;
  if (policy_load(&source, &build, &policy, NULL, &err) < 0) return fprintf(stderr, "%s\n", err.text), -1;
  release = (struct release){.policy = policy, .number = 7, .signals = 1, .models = 1};
  engine = engine_new(ENGINE_CLOCK_EVENT, &vm, policy_of, NULL);
  if (engine_prepare(engine, &release, &err) < 0) return fprintf(stderr, "%s\n", err.text), -1;
  engine_use(engine);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  engine_free(engine);
  policy_release(policy);
  return 0;
}

// ---- what was said, as anybody would note it down ----

struct record {
  char owner[64]; // by hand; "": nobody
  bool is_disqualified;
  char rejected[3][64]; // who gave it back, the latest first
  int64_t rejected_ms[3];
};

static void give_back(struct record *r, const char *who, int64_t now_ms) {
  int at = 0;
  while (at < 2 && strcmp(r->rejected[at], who) != 0) at++;
  for (; at > 0; at--) {
    memcpy(r->rejected[at], r->rejected[at - 1], 64);
    r->rejected_ms[at] = r->rejected_ms[at - 1];
  }
  snprintf(r->rejected[0], 64, "%s", who);
  r->rejected_ms[0] = now_ms;
}

// ---- events ----

static void put_pair(struct buf *b, const char *key, const char *value) {
  mp_put_cstr(b, key);
  mp_put_cstr(b, value);
}

static void make(struct buf *b, int64_t at_ms, const char *event, const char *key, const char *value) {
  buf_clear(b);
  mp_put_map(b, 5);
  put_pair(b, "userId", "maria@acme.example");
  put_pair(b, "type", "track");
  put_pair(b, "event", event);
  mp_put_cstr(b, "timestamp"), mp_put_int(b, at_ms);
  mp_put_cstr(b, "properties"), mp_put_map(b, key ? 3 : 0);
  if (key) put_pair(b, key, value), put_pair(b, "by", "chen@acme.example"), put_pair(b, "why", "Asked for it, twice.");
}

static void make_profile(struct buf *b, int64_t at_ms) {
  buf_clear(b);
  mp_put_map(b, 4);
  put_pair(b, "userId", "maria@acme.example");
  put_pair(b, "type", "identify");
  mp_put_cstr(b, "timestamp"), mp_put_int(b, at_ms);
  mp_put_cstr(b, "traits"), mp_put_map(b, 2);
  put_pair(b, "region", random_below(2) ? "emea" : "amer");
  put_pair(b, "tier", random_below(4) ? "mid" : "strategic");
}

static const char *person(void) {
  static const char *const strangers[] = {"Ingrid from the agency",
                                          "a name that is longer than what is kept of a name"};
  size_t people = policy_entries(policy, POLICY_OWNERS), who = (size_t)random_below(people + 2);
  return who < people ? policy_entry(policy, POLICY_OWNERS, who)->name : strangers[who - people];
}

static const char *stage(void) {
  size_t stages = policy_entries(policy, POLICY_STAGES), which = (size_t)random_below(stages + 1);
  return which < stages ? policy_entry(policy, POLICY_STAGES, which)->name : "nowhere";
}

struct said {
  enum policy_said what;
  const char *value;
};

// A random event: in two of five cases sales has its say.
static struct said make_event(struct buf *b, int64_t at_ms) {
  static const char *const names[] = {"Pricing Viewed", "Demo Requested", "Trial Started", "Teammate Invited"};
  static const char *const says[] = {"crm.owner_set",         "crm.owner_cleared",    "crm.stage_set",
                                     "crm.lead_disqualified", "crm.lead_requalified", "crm.lead_rejected",
                                     "crm.lead_accepted"};
  unsigned what = (unsigned)random_below(10);
  if (what == 0) return make_profile(b, at_ms), (struct said){0};
  if (what < 6) return make(b, at_ms, names[random_below(4)], NULL, NULL), (struct said){0};
  unsigned k = (unsigned)random_below(8);
  if (k == 7) k = 4; // or a life would be disqualified half of the time
  struct said said = {(enum policy_said)(k + 1), NULL};
  if (said.what == SAID_OWNER_SET) said.value = person();
  if (said.what == SAID_STAGE_SET) said.value = stage();
  make(b, at_ms, says[k],
       said.what == SAID_STAGE_SET ? "stage"
       : said.value                ? "owner"
                                   : "note",
       said.value ? said.value : "");
  return said;
}

static struct event decoded(const struct buf *map, struct event_digits *digits) {
  struct event event;
  struct error err = {0};
  assert_int_equal(event_decode(buf_bytes(map), 0, &limits, digits, &event, &err), 0);
  return event;
}

// ---- what must hold ----

static struct bytes text_at(struct bytes map, const char *key) {
  struct bytes value, text = {0};
  if (mp_find(map, bytes_str(key), &value) && mp_as_str(value, &text)) return text;
  return (struct bytes){0};
}

static unsigned rows_of(struct bytes answer, const char *kind, const char *name) {
  struct bytes rows;
  unsigned found = 0;
  assert_true(mp_find(answer, BYTES_LIT("reasons"), &rows));
  struct mp m = mp_of(rows);
  for (uint32_t i = 0, count = mp_next(&m).count; i < count; i++) {
    struct bytes row = mp_take(&m);
    found += bytes_is(text_at(row, "kind"), kind) && (!name || bytes_is(text_at(row, "name"), name));
  }
  return found;
}

static bool is_cut_of(struct bytes shown, const char *name) {
  size_t n = strlen(name) < POLICY_SALES_NAME ? strlen(name) : POLICY_SALES_NAME - 1;
  return bytes_eq(shown, bytes_of(name, n));
}

struct tally {
  unsigned by_hand, out, given_back, routed_again, moved;
};

static void note(struct record *r, const struct said *said, struct bytes owner_before, int64_t now_ms) {
  char who[64];
  snprintf(who, sizeof who, "%.*s", (int)owner_before.n, (const char *)owner_before.p);
  bool is_one_of_us = false;
  for (size_t i = 0; i < policy_entries(policy, POLICY_OWNERS); i++)
    is_one_of_us |= strcmp(who, policy_entry(policy, POLICY_OWNERS, i)->name) == 0;
  if (said->what == SAID_OWNER_SET) snprintf(r->owner, sizeof r->owner, "%s", said->value);
  if (said->what == SAID_REJECTED && is_one_of_us) give_back(r, who, now_ms);
  if (said->what == SAID_OWNER_CLEARED || said->what == SAID_REJECTED) r->owner[0] = 0;
  if (said->what == SAID_DISQUALIFIED || said->what == SAID_REQUALIFIED)
    r->is_disqualified = said->what == SAID_DISQUALIFIED;
}

static void check(const struct record *r, const struct said *said, const struct decision *d, struct bytes owner_before,
                  struct tally *t) {
  struct bytes a = d->answer, owner = text_at(a, "owner"), after = text_at(a, "stage");
  bool is_moved_by_hand = said->what == SAID_STAGE_SET && bytes_is(after, said->value);
  if (said->what) assert_int_equal(rows_of(a, "sales", policy_said_name(said->what)), 1);
  if (r->owner[0]) {
    assert_true(is_cut_of(owner, r->owner));
    assert_int_equal(rows_of(a, "route", NULL), 0);
    assert_int_equal(rows_of(a, "sales", "owner_set"), 1);
    t->by_hand++;
  } else {
    assert_int_equal(rows_of(a, "sales", "owner_set"), 0);
  }
  if (r->is_disqualified) {
    assert_true(bytes_is(text_at(a, "ineligible"), "disqualified") && bytes_is(text_at(a, "action"), "wait"));
    assert_true(bytes_is(text_at(a, "held"), "not_eligible"));
    assert_int_equal(rows_of(a, "transition", NULL) + rows_of(a, "route", NULL), 0);
    assert_true(is_moved_by_hand || bytes_eq(after, text_at(a, "stage_before")));
    t->out++;
  } else {
    assert_false(bytes_is(text_at(a, "ineligible"), "disqualified"));
  }
  if (is_moved_by_hand && !bytes_eq(after, text_at(a, "stage_before"))) {
    assert_int_equal(rows_of(a, "transition", NULL), 0);
    t->moved++;
  }
  if (said->what == SAID_STAGE_SET && strcmp(said->value, "nowhere") == 0) assert_false(is_moved_by_hand);
  if (said->what == SAID_REJECTED && owner_before.n) {
    assert_false(bytes_eq(owner, owner_before));
    t->given_back++;
  }
  if (said->what == SAID_OWNER_CLEARED) t->routed_again += owner.n > 0;
  if (rows_of(a, "route", NULL) == 0) return;
  for (int i = 0; i < 3; i++)
    if (r->rejected[i][0] && d->now_ms - r->rejected_ms[i] < 30 * DAY_MS) assert_false(bytes_is(owner, r->rejected[i]));
}

static struct lead *copy_of(const struct lead *lead) { return memcpy(xmalloc(lead_size(lead)), lead, lead_size(lead)); }

// By recovery and by explanation the same comes out.
static void check_again(struct lead **refolded, const struct event *event, const struct decision *d) {
  struct lead *before = copy_of(*refolded);
  struct error err = {0};
  struct buf out = {0};
  struct bytes again;
  assert_int_equal(engine_refold(refolded, policy, policy, release.number, d->is_timer ? NULL : event, d->now_ms,
                                 d->number, d->effects, d->shared, &err),
                   0);
  assert_true(lead_digest(*refolded) == d->digest);
  assert_int_equal(engine_explain(engine, &release, &before, d->is_timer ? NULL : event, NULL, (struct bytes){0},
                                  d->now_ms, d->shared, &out, &err),
                   0);
  assert_true(mp_find(buf_bytes(&out), BYTES_LIT("decision"), &again) && bytes_eq(again, d->answer));
  buf_deinit(&out);
  lead_free(before);
}

static void live(struct tally *t, int64_t at_ms, struct lead **out, struct record *r) {
  struct buf map = {0}, last = {0};
  struct lead *lead = NULL, *refolded = NULL;
  struct record kept = *r;
  for (int i = 0; i < EVENTS; i++) {
    at_ms += (int64_t)random_below(2 * HALF_DAY);
    struct said said = make_event(&map, at_ms);
    struct event_digits digits;
    struct event event = decoded(&map, &digits);
    struct lead_id id = {{3, (uint8_t)random_below(256), (uint8_t)random_below(256)}};
    if (!lead) lead = lead_new(id, 0, policy, release.number, at_ms), refolded = copy_of(lead);
    struct engine_result result;
    struct error err = {0};
    assert_int_equal(engine_event(engine, &lead, &event, 0, &limits, &result, &err), 0);
    for (size_t d = 0; d < result.count; d++) {
      const struct decision *made = &result.decision[d];
      struct said what = made->is_timer ? (struct said){0} : said;
      struct bytes owner_before = text_at(buf_bytes(&last), "owner");
      note(&kept, &what, owner_before, made->now_ms);
      check(&kept, &what, made, owner_before, t);
      buf_clear(&last);
      buf_append_bytes(&last, made->answer);
    }
    for (size_t d = 0; d < result.count; d++) // explaining uses the engine's scratch, but none of the result
      check_again(&refolded, &event, &result.decision[d]);
    assert_memory_equal(lead->state, refolded->state, lead_size(lead) - sizeof *lead);
  }
  lead_free(refolded);
  buf_deinit(&map);
  buf_deinit(&last);
  *out = lead;
  *r = kept;
}

static void sales_outranks_rules(void **state) {
  (void)state;
  struct tally t = {0};
  for (int lives = 0; lives < 12; lives++) {
    struct record record = {0};
    struct lead *lead;
    live(&t, 1767603600000, &lead, &record);
    lead_free(lead);
  }
  assert_true(t.by_hand > 0 && t.out > 0 && t.given_back > 0 && t.routed_again > 0 && t.moved > 0);
}

// Of what was said of two leads the later counts; who gave either back is known of both.
static void a_merge_keeps_what_was_said_last(void **state) {
  (void)state;
  for (int round = 0; round < 6; round++) {
    struct tally t = {0};
    struct record mine = {0}, theirs = {0};
    struct lead *lead, *other;
    live(&t, 1767603600000, &lead, &mine);
    live(&t, 1767603600000 + (int64_t)random_below(200 * DAY_MS), &other, &theirs);
    const struct policy_state *a = lead_policy_state(lead), *b = lead_policy_state(other);
    const struct policy_sales sa = *policy_sales(policy, a), sb = *policy_sales(policy, b);
    bool is_out = sb.judged_at_ms > sa.judged_at_ms ? sb.is_disqualified : sa.is_disqualified;
    bool is_manual = a->owner_is_manual || b->owner_is_manual;
    const char *owner = policy_owner_name(policy, a);
    bool is_theirs = policy_owner_name(policy, b) &&
                     (!owner || (b->owner_is_manual && (!a->owner_is_manual || sb.owner_at_ms > sa.owner_at_ms)));
    char *wanted = xstrdup(is_theirs ? policy_owner_name(policy, b) : owner ? owner : "");
    uint16_t latest = sb.rejected_at_ms[0] > sa.rejected_at_ms[0] ? sb.rejected[0] : sa.rejected[0];
    lead_merge(lead, other, policy);
    const struct policy_state *merged = lead_policy_state(lead);
    const struct policy_sales *s = policy_sales(policy, merged);
    struct error err = {0};
    if (policy_state_check(policy, lead_effects(lead), &err) < 0) fail_msg("%s", err.text);
    assert_int_equal(s->is_disqualified, is_out);
    assert_int_equal(merged->owner_is_manual, is_manual);
    const char *now = policy_owner_name(policy, merged);
    assert_string_equal(now ? now : "", wanted);
    assert_int_equal(s->rejected[0], latest);
    for (int i = 0; i < POLICY_REJECTS; i++)
      for (int k = 0; k < i; k++) assert_true(s->rejected[i] == 0 || s->rejected[i] != s->rejected[k]);
    free(wanted);
    lead_free(lead), lead_free(other);
  }
}

// A lead of which sales said nothing costs a frame nothing.
static void silence_takes_no_room(void **state) {
  (void)state;
  struct buf map = {0};
  struct event_digits digits;
  struct engine_result result;
  struct error err = {0};
  make(&map, 1767603600000, "Pricing Viewed", NULL, NULL);
  struct event event = decoded(&map, &digits);
  struct lead_id id = {{3}};
  struct lead *lead = lead_new(id, 0, policy, release.number, event.timestamp_ms);
  assert_int_equal(engine_event(engine, &lead, &event, 0, &limits, &result, &err), 0);
  assert_int_equal(result.decision[0].effects.n,
                   policy_state_size(policy) - sizeof(struct policy_sales) - sizeof(struct policy_seat));
  make(&map, 1767603600000, "crm.lead_accepted", NULL, NULL); // nobody's, so nothing is to be kept
  event = decoded(&map, &digits);
  assert_int_equal(engine_event(engine, &lead, &event, 0, &limits, &result, &err), 0);
  assert_int_equal(result.decision[0].effects.n,
                   policy_state_size(policy) - sizeof(struct policy_sales) - sizeof(struct policy_seat));
  make(&map, 1767603600000, "crm.lead_disqualified", NULL, NULL);
  event = decoded(&map, &digits);
  assert_int_equal(engine_event(engine, &lead, &event, 0, &limits, &result, &err), 0);
  assert_int_equal(result.decision[0].effects.n, policy_state_size(policy));
  lead_free(lead);
  buf_deinit(&map);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sales_outranks_rules),
      cmocka_unit_test(a_merge_keeps_what_was_said_last),
      cmocka_unit_test(silence_takes_no_room),
  };
  random_start();
  return cmocka_run_group_tests(tests, setup, teardown);
}
