// Pools: shares, capacity, leave, who waits, teams that change, and what is refused. An oracle that reads nothing but the
// grants keeps its own books.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "engine/pool.h"

#define PEOPLE 12

static uint64_t seed_of_run(void) {
  const char *text = getenv("SEED");
  return text ? strtoull(text, NULL, 10) : clock_mono_ns();
}

static uint64_t next(uint64_t *state) { return *state = hash_mix(*state, 0x9e3779b97f4a7c15u); }

struct member {
  char name[16];
  int64_t weight, capacity, from, until; // from < until: one leave
  const char *skill;                     // NULL: none
};

static void put_team(struct buf *out, const struct member *m, unsigned count) {
  mp_put_array(out, count);
  for (unsigned i = 0; i < count; i++) {
    mp_put_array(out, 5);
    mp_put_cstr(out, m[i].name);
    mp_put_int(out, m[i].weight);
    mp_put_int(out, m[i].capacity);
    mp_put_array(out, m[i].from < m[i].until);
    if (m[i].from < m[i].until) {
      mp_put_array(out, 2);
      mp_put_int(out, m[i].from);
      mp_put_int(out, m[i].until);
    }
    mp_put_array(out, m[i].skill != NULL);
    if (m[i].skill) mp_put_uint(out, pool_person(bytes_str(m[i].skill)));
  }
}

struct world {
  struct entity *pool;
  struct message_effects effects;
  struct buf body, team;
  int64_t now_ms;
};

static void begin(struct world *w) { *w = (struct world){.pool = entity_new(ENTITY_POOL, (struct lead_id){{7}}, 0)}; }

static void end(struct world *w) {
  entity_free(w->pool);
  message_effects_deinit(&w->effects);
  buf_deinit(&w->body);
  buf_deinit(&w->team);
}

static struct lead_id lead_of(uint32_t n) {
  struct lead_id id = {{1}};
  memcpy(id.b + 4, &n, sizeof n);
  return id;
}

static uint32_t number_of(struct lead_id id) {
  uint32_t n;
  memcpy(&n, id.b + 4, sizeof n);
  return n;
}

static void tell(struct world *w, uint32_t lead, unsigned kind) {
  struct message m = {.to = w->pool->id,
                      .from = lead_of(lead),
                      .kind = (uint16_t)kind,
                      .at_ms = w->now_ms,
                      .body = buf_bytes(&w->body)};
  struct error err = {0};
  assert_int_equal(message_check(kind, m.body, NULL), 0);
  message_apply(&w->pool, &m, &w->effects);
  assert_int_equal(entity_check(bytes_of(w->pool, entity_size(w->pool)), &err), 0);
}

static void set_team(struct world *w, const struct member *m, unsigned count) {
  buf_clear(&w->team);
  put_team(&w->team, m, count);
}

static void ask(struct world *w, uint32_t lead, struct pool_asked asked) {
  asked.ask = 1;
  if (!asked.pick) asked.pick = POOL_ROUND_ROBIN;
  buf_clear(&w->body);
  pool_put_ask(&w->body, &asked, buf_bytes(&w->team));
  tell(w, lead, MESSAGE_POOL_ASK);
  assert_false(w->effects.is_refused);
}

static void back(struct world *w, uint32_t lead, uint64_t person) {
  buf_clear(&w->body);
  pool_put_back(&w->body, 1, person);
  tell(w, lead, MESSAGE_POOL_BACK);
  assert_false(w->effects.is_refused);
}

// The next grant of the last message: false at its end. `name`: empty, nobody.
static bool next_grant(struct bytes *list, uint32_t *lead, struct bytes *name) {
  struct message m;
  struct pool_granted g;
  if (message_next(list, &m, NULL) <= 0) return false;
  assert_int_equal(m.kind, MESSAGE_POOL_GRANT);
  assert_true(pool_read_grant(m.body, &g));
  assert_int_equal(g.ask, 1);
  *lead = number_of(m.to);
  *name = g.name;
  return true;
}

// Who got the only grant.
static struct bytes only_grant(struct world *w) {
  struct bytes list = buf_bytes(&w->effects.messages), name;
  uint32_t lead;
  assert_true(next_grant(&list, &lead, &name));
  assert_int_equal(list.n, 0);
  return name;
}

// ---- shares ----
static void nobody_is_a_whole_lead_off(void **state) {
  (void)state;
  uint64_t seed = seed_of_run(), r = seed;
  print_message("SEED=%llu\n", (unsigned long long)seed);
  for (int round = 0; round < 40; round++) {
    struct world w;
    struct member m[PEOPLE] = {0};
    unsigned count = 1 + (unsigned)(next(&r) % PEOPLE);
    int64_t total = 0, got[PEOPLE] = {0};
    begin(&w);
    for (unsigned i = 0; i < count; i++) {
      snprintf(m[i].name, sizeof m[i].name, "p%u", i);
      m[i].weight = next(&r) % 4 == 0 ? (int64_t)(next(&r) % POOL_WEIGHT_MAX) : (int64_t)(next(&r) % 5) * 1000;
      m[i].capacity = -1;
      total += m[i].weight;
    }
    if (!total) m[0].weight = total = 1000;
    set_team(&w, m, count);
    for (int64_t k = 1; k <= 500; k++) {
      ask(&w, (uint32_t)k, (struct pool_asked){0});
      struct bytes name = only_grant(&w);
      for (unsigned i = 0; i < count; i++) {
        got[i] += bytes_is(name, m[i].name);
        // |got - k * weight / total| < 1, in whole numbers
        int64_t off = got[i] * total - k * m[i].weight;
        if (off <= -total || off >= total)
          fail_msg("SEED=%llu: after %lld leads '%s' of weight %lld of %lld has %lld", (unsigned long long)seed,
                   (long long)k, m[i].name, (long long)m[i].weight, (long long)total, (long long)got[i]);
      }
    }
    end(&w);
  }
}

// ---- everything at once, against plain books ----
#define LEADS 400
struct books {
  struct member m[PEOPLE];
  unsigned count;
  int8_t owner[LEADS + 1]; // index of a name ever used; -1: none
  bool waits[LEADS + 1];
  uint32_t queue[LEADS + 1];
  unsigned waiting;
};

static int index_of(struct bytes name) {
  assert_true(name.n >= 2 && name.p[0] == 'p');
  return atoi((const char *)name.p + 1); // ends with what is no digit, or with the list
}

static int seats(const struct books *b, int person) {
  int n = 0;
  for (int i = 1; i <= LEADS; i++) n += b->owner[i] == person;
  return n;
}

static const struct member *member_of(const struct books *b, int person) {
  for (unsigned i = 0; i < b->count; i++)
    if (atoi(b->m[i].name + 1) == person) return &b->m[i];
  return NULL;
}

static bool may_get(const struct books *b, const struct member *m, int64_t now_ms) {
  bool is_away = m->from <= now_ms && now_ms < m->until;
  return m->weight > 0 && !is_away && (m->capacity < 0 || seats(b, atoi(m->name + 1)) < m->capacity);
}

static bool somebody_can(const struct books *b, int64_t now_ms) {
  for (unsigned i = 0; i < b->count; i++)
    if (may_get(b, &b->m[i], now_ms)) return true;
  return false;
}

// Enters what the last message granted; each grant must be one that could be given, and the queue's first comes first.
static void enter(struct books *b, struct world *w, uint32_t asked) {
  struct bytes list = buf_bytes(&w->effects.messages), name;
  uint32_t lead;
  while (next_grant(&list, &lead, &name)) {
    if (lead != asked) {
      assert_int_equal(b->queue[0], lead);
      memmove(b->queue, b->queue + 1, --b->waiting * sizeof *b->queue);
    }
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)name.n, (const char *)name.p);
    int person = index_of(bytes_str(text));
    const struct member *m = member_of(b, person);
    assert_non_null(m);
    assert_true(may_get(b, m, w->now_ms));
    assert_int_equal(b->owner[lead], -1);
    b->owner[lead] = (int8_t)person;
    if (lead == asked) asked = 0;
  }
  if (asked) b->queue[b->waiting++] = asked;
  assert_true(b->waiting == 0 || !somebody_can(b, w->now_ms)); // nobody waits while somebody has room
}

static void change_team(struct books *b, uint64_t *r, int64_t now_ms) {
  b->count = 0;
  for (int i = 0; i < PEOPLE; i++) {
    if (next(r) % 3 == 0) continue;
    struct member *m = &b->m[b->count++];
    *m = (struct member){.weight = (int64_t)(next(r) % 4) * 500, .capacity = (int64_t)(next(r) % 14) - 1};
    snprintf(m->name, sizeof m->name, "p%d", i);
    if (next(r) % 3 == 0) m->from = now_ms + (int64_t)(next(r) % 50), m->until = m->from + 1 + (int64_t)(next(r) % 100);
  }
}

static void nobody_gets_more_than_he_has_room_for(void **state) {
  (void)state;
  uint64_t seed = seed_of_run(), r = seed;
  print_message("SEED=%llu\n", (unsigned long long)seed);
  for (int round = 0; round < 20; round++) {
    struct world w;
    struct books b = {0};
    memset(b.owner, -1, sizeof b.owner);
    begin(&w);
    change_team(&b, &r, 0);
    uint32_t free_lead = 1;
    for (int step = 0; step < 700; step++) {
      w.now_ms += (int64_t)(next(&r) % 5);
      set_team(&w, b.m, b.count);
      uint32_t lead = 1 + (uint32_t)(next(&r) % LEADS);
      switch (next(&r) % 8) {
      case 0:
      case 1:
      case 2:
      case 3:
        if (free_lead > LEADS) break;
        ask(&w, free_lead, (struct pool_asked){.pick = 1 + (enum pool_pick)(next(&r) % 2)});
        enter(&b, &w, free_lead++);
        break;
      case 4:
      case 5:
        if (b.owner[lead] < 0) break;
        char name[16];
        snprintf(name, sizeof name, "p%d", b.owner[lead]);
        b.owner[lead] = -1;
        back(&w, lead, pool_person(bytes_str(name)));
        enter(&b, &w, 0);
        break;
      case 6:
        if (!b.waiting) break;
        lead = b.queue[b.waiting / 2];
        memmove(b.queue + b.waiting / 2, b.queue + b.waiting / 2 + 1,
                (b.waiting - b.waiting / 2 - 1) * sizeof *b.queue);
        b.waiting--;
        back(&w, lead, 0);
        enter(&b, &w, 0);
        break;
      default:
        if (next(&r) % 4 == 0) change_team(&b, &r, w.now_ms);
        set_team(&w, b.m, b.count);
        buf_clear(&w.body);
        pool_put_team(&w.body, buf_bytes(&w.team));
        tell(&w, 0, MESSAGE_POOL_TEAM);
        enter(&b, &w, 0);
      }
      if (pool_due(w.pool) <= w.now_ms) {
        buf_clear(&w.body);
        pool_put_wake(&w.body);
        tell(&w, 0, MESSAGE_POOL_WAKE);
        enter(&b, &w, 0);
      }
    }
    end(&w);
  }
}

// ---- one thing at a time ----
static void who_is_wished_gets_it_and_who_must_not_does_not(void **state) {
  (void)state;
  struct world w;
  struct member m[] = {{"ann", 1000, 2, 0, 0, NULL}, {"bob", 1000, -1, 0, 0, NULL}};
  uint64_t ann = pool_person(BYTES_LIT("ann")), bob = pool_person(BYTES_LIT("bob"));
  begin(&w);
  set_team(&w, m, 2);
  for (uint32_t i = 1; i <= 2; i++) {
    ask(&w, i, (struct pool_asked){.rather = ann});
    assert_true(bytes_is(only_grant(&w), "ann"));
  }
  ask(&w, 3, (struct pool_asked){.rather = ann}); // she is full
  assert_true(bytes_is(only_grant(&w), "bob"));
  ask(&w, 4, (struct pool_asked){.barred = {bob}, .may_refuse = true});
  assert_int_equal(only_grant(&w).n, 0);
  ask(&w, 5, (struct pool_asked){.barred = {bob}});
  assert_int_equal(w.effects.messages.n, 0); // waits
  back(&w, 3, bob);
  assert_int_equal(w.effects.messages.n, 0); // not for him
  back(&w, 1, ann);
  assert_true(bytes_is(only_grant(&w), "ann"));
  for (uint32_t i = 6; i <= 7; i++) { // the shares make up for who was preferred
    ask(&w, i, (struct pool_asked){0});
    assert_true(bytes_is(only_grant(&w), "bob"));
  }
  end(&w);
}

static void the_least_busy_has_the_fewest_for_his_weight(void **state) {
  (void)state;
  struct world w;
  struct member m[] = {{"ann", 2000, -1, 0, 0, NULL}, {"bob", 1000, -1, 0, 0, NULL}};
  begin(&w);
  set_team(&w, m, 2);
  unsigned anns = 0;
  for (uint32_t i = 1; i <= 9; i++) {
    ask(&w, i, (struct pool_asked){.pick = POOL_LEAST_BUSY});
    anns += bytes_is(only_grant(&w), "ann");
  }
  assert_int_equal(anns, 6);
  for (uint32_t i = 1; i <= 6; i++) back(&w, i, pool_person(BYTES_LIT("ann")));
  for (uint32_t i = 10; i <= 15; i++) {
    ask(&w, i, (struct pool_asked){.pick = POOL_LEAST_BUSY});
    assert_true(bytes_is(only_grant(&w), "ann"));
  }
  end(&w);
}

static void a_skill_is_asked_for(void **state) {
  (void)state;
  struct world w;
  struct member m[] = {{"ann", 1000, -1, 0, 0, NULL}, {"bob", 1000, 2, 0, 0, "german"}};
  begin(&w);
  set_team(&w, m, 2);
  for (uint32_t i = 1; i <= 2; i++) {
    ask(&w, i, (struct pool_asked){.skill = pool_person(BYTES_LIT("german"))});
    assert_true(bytes_is(only_grant(&w), "bob"));
  }
  ask(&w, 3, (struct pool_asked){.skill = pool_person(BYTES_LIT("german"))});
  assert_int_equal(w.effects.messages.n, 0);
  ask(&w, 4, (struct pool_asked){0});
  assert_true(bytes_is(only_grant(&w), "ann"));
  back(&w, 1, pool_person(BYTES_LIT("bob")));
  assert_true(bytes_is(only_grant(&w), "bob"));
  end(&w);
}

static void who_left_the_team_keeps_what_he_has(void **state) {
  (void)state;
  struct world w;
  struct member m[] = {{"ann", 1000, 5, 0, 0, NULL}, {"bob", 1000, 5, 0, 0, NULL}};
  struct buf shown = {0};
  begin(&w);
  set_team(&w, m, 1);
  ask(&w, 1, (struct pool_asked){0});
  set_team(&w, m + 1, 1);
  ask(&w, 2, (struct pool_asked){0});
  assert_true(bytes_is(only_grant(&w), "bob"));
  pool_show(w.pool, &shown);
  struct bytes people;
  assert_true(mp_find(buf_bytes(&shown), BYTES_LIT("people"), &people));
  assert_int_equal(mp_value_of(people).count, 2);
  back(&w, 1, pool_person(BYTES_LIT("ann")));
  buf_clear(&shown);
  pool_show(w.pool, &shown);
  assert_true(mp_find(buf_bytes(&shown), BYTES_LIT("people"), &people));
  assert_int_equal(mp_value_of(people).count, 1);
  buf_deinit(&shown);
  end(&w);
}

static void a_pool_wakes_when_a_leave_is_over(void **state) {
  (void)state;
  struct world w;
  struct member m[] = {{"ann", 1000, -1, 100, 500, NULL}};
  begin(&w);
  set_team(&w, m, 1);
  w.now_ms = 200;
  ask(&w, 1, (struct pool_asked){0});
  assert_int_equal(w.effects.messages.n, 0);
  assert_int_equal(pool_due(w.pool), 500);
  w.now_ms = 500;
  buf_clear(&w.body);
  pool_put_wake(&w.body);
  tell(&w, 0, MESSAGE_POOL_WAKE);
  assert_true(bytes_is(only_grant(&w), "ann"));
  assert_int_equal(pool_due(w.pool), INT64_MAX);
  end(&w);
}

static void what_is_no_message_is_refused(void **state) {
  (void)state;
  struct world w;
  struct member twice[] = {{"ann", 1000, -1, 0, 0, NULL}, {"ann", 1000, -1, 0, 0, NULL}};
  begin(&w);
  mp_put_nil(&w.body);
  for (unsigned kind = MESSAGE_POOL_ASK; kind <= MESSAGE_POOL_TEAM; kind++) {
    tell(&w, 1, kind);
    assert_true(w.effects.is_refused);
  }
  set_team(&w, twice, 2);
  buf_clear(&w.body);
  pool_put_team(&w.body, buf_bytes(&w.team));
  tell(&w, 1, MESSAGE_POOL_TEAM);
  assert_true(w.effects.is_refused);
  end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nobody_is_a_whole_lead_off),
      cmocka_unit_test(nobody_gets_more_than_he_has_room_for),
      cmocka_unit_test(who_is_wished_gets_it_and_who_must_not_does_not),
      cmocka_unit_test(the_least_busy_has_the_fewest_for_his_weight),
      cmocka_unit_test(a_skill_is_asked_for),
      cmocka_unit_test(who_left_the_team_keeps_what_he_has),
      cmocka_unit_test(a_pool_wakes_when_a_leave_is_over),
      cmocka_unit_test(what_is_no_message_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
