// The account by itself: what its messages do, bodies that are none, its bounds, and what a lead reads of a copy. That all of it
// adds up under way is tested with the store (store/test_accounts.c).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "engine/account.h"

#define T0 INT64_C(1767603600000)
static uint64_t seed;

static struct lead_id lead(unsigned n) {
  struct lead_id id = {{(uint8_t)(n * 7)}};
  uint64_t h = hash_mix(n, 3);
  memcpy(id.b + 4, &h, sizeof h);
  return id;
}

struct world {
  struct entity *e;
  struct message_effects effects;
  unsigned copies; // of the last message
  bool is_refused;
};

static struct world world_new(void) {
  return (struct world){.e = entity_new(ENTITY_ACCOUNT, (struct lead_id){{9, 1}}, 0)};
}

static void world_free(struct world *w) {
  entity_free(w->e);
  message_effects_deinit(&w->effects);
}

static void apply(struct world *w, unsigned from, unsigned kind, struct bytes body, int64_t at_ms) {
  struct message m = {.to = w->e->id, .from = lead(from), .kind = (uint16_t)kind, .at_ms = at_ms, .body = body};
  message_apply(&w->e, &m, &w->effects);
  w->is_refused = w->effects.is_refused;
  struct bytes list = buf_bytes(&w->effects.messages);
  for (w->copies = 0; list.n; w->copies++) assert_int_equal(message_next(&list, &m, NULL), 1);
}

static struct account_terms the_terms = ACCOUNT_TERMS_DEFAULT;
static const struct account_terms *every(int64_t interval_ms) {
  the_terms.interval_ms = interval_ms;
  return &the_terms;
}

static void put_number(struct buf *items, double v) {
  buf_clear(items);
  mp_put_array(items, 1);
  mp_put_array(items, 3);
  mp_put_uint(items, 77);
  mp_put_uint(items, ACCOUNT_NUMBER);
  mp_put_float(items, v);
}

static void update(struct world *w, unsigned from, double v, int64_t at_ms, int64_t interval_ms, bool is_urgent) {
  struct buf items = {0}, body = {0};
  put_number(&items, v);
  account_put_update(&body, at_ms, every(interval_ms), is_urgent, buf_bytes(&items));
  apply(w, from, MESSAGE_ACCOUNT_UPDATE, buf_bytes(&body), at_ms);
  assert_false(w->is_refused);
  buf_deinit(&items), buf_deinit(&body);
}

static void leave(struct world *w, unsigned from, int64_t at_ms) {
  struct buf body = {0};
  account_put_leave(&body, &(struct account_terms)ACCOUNT_TERMS_DEFAULT);
  apply(w, from, MESSAGE_ACCOUNT_LEAVE, buf_bytes(&body), at_ms);
  buf_deinit(&body);
}

static struct bytes show(const struct world *w, struct buf *out, const char *key) {
  struct bytes v;
  buf_clear(out);
  account_show(w->e, out);
  assert_true(mp_find(buf_bytes(out), bytes_str(key), &v));
  return v;
}

static void copies_wait_for_the_interval_unless_urgent(void **state) {
  (void)state;
  struct world w = world_new();
  static const uint8_t nothing = 0x90;
  update(&w, 1, 1, T0, 60000, false);
  assert_int_equal(w.copies, 1); // the first
  update(&w, 1, 2, T0 + 1000, 60000, false);
  assert_int_equal(w.copies, 0);
  assert_true(account_is_dirty(w.e));
  update(&w, 2, 3, T0 + 2000, 60000, false);
  assert_int_equal(w.copies, 1); // only to the newcomer
  assert_true(account_is_dirty(w.e));
  update(&w, 2, 4, T0 + 3000, 60000, true);
  assert_int_equal(w.copies, 2);
  assert_false(account_is_dirty(w.e));
  apply(&w, 0, MESSAGE_ACCOUNT_FLUSH, bytes_of(&nothing, 1), T0 + 3001);
  assert_int_equal(w.copies, 0); // nothing to tell
  update(&w, 1, 5, T0 + 4000, 60000, false);
  apply(&w, 0, MESSAGE_ACCOUNT_FLUSH, bytes_of(&nothing, 1), T0 + 4001);
  assert_int_equal(w.copies, 2);
  assert_false(account_is_dirty(w.e));
  update(&w, 1, 6, T0 + 70000, 60000, false);
  assert_int_equal(w.copies, 2); // the last ones are old enough
  update(&w, 3, 6, T0 + 70000 + ACCOUNT_ACTIVE_MS, 0, false);
  assert_int_equal(w.copies, 1); // the others are not active any more
  update(&w, 1, 6, T0 + 70001 + ACCOUNT_ACTIVE_MS, INT64_C(1) << 50, false);
  assert_int_equal(w.copies, 1); // but the one that comes back has it at once
  leave(&w, 3, T0 + 70002 + ACCOUNT_ACTIVE_MS);
  leave(&w, 17, T0 + 70002 + ACCOUNT_ACTIVE_MS); // who never was there
  assert_int_equal(w.copies, 0);
  world_free(&w);
}

static uint64_t draw(uint64_t *d, uint64_t below) { return (*d = hash_mix(*d, 0x9e37)) % below; }

// More people than are told apart: those that were touched last, whatever the order in which their messages came.
static void people_beyond_the_bound_do_not_depend_on_order(void **state) {
  (void)state;
  enum { PEOPLE = ACCOUNT_PEOPLE + 60 };
  struct buf first = {0}, again = {0};
  for (int run = 0; run < 2; run++) {
    unsigned order[PEOPLE];
    uint64_t d = seed + (uint64_t)run;
    for (unsigned i = 0; i < PEOPLE; i++) order[i] = i;
    for (unsigned i = PEOPLE - 1; i > 0; i--) {
      unsigned k = (unsigned)draw(&d, i + 1), swap = order[i];
      order[i] = order[k], order[k] = swap;
    }
    struct world w = world_new();
    struct buf items = {0}, body = {0};
    for (unsigned i = 0; i < PEOPLE; i++) {
      put_number(&items, order[i] % 10);
      buf_clear(&body);
      account_put_update(&body, T0 + order[i] / 3 * 1000, every(0), false,
                         buf_bytes(&items)); // touches that are equal, too
      apply(&w, order[i], MESSAGE_ACCOUNT_UPDATE, buf_bytes(&body), T0 + PEOPLE * 1000);
      assert_true(w.copies <= ACCOUNT_FANOUT + 1);
    }
    struct buf shown = {0};
    struct bytes copy = show(&w, &shown, "copy");
    buf_append_bytes(run ? &again : &first, copy);
    assert_int_equal(mp_value_of(show(&w, &shown, "people")).count, ACCOUNT_PEOPLE);
    assert_int_equal(mp_value_of(show(&w, &shown, "evicted")).i, PEOPLE - ACCOUNT_PEOPLE);
    assert_true(w.e->bytes < ENTITY_STATE_MAX);
    buf_deinit(&shown), buf_deinit(&items), buf_deinit(&body);
    world_free(&w);
  }
  assert_true(bytes_eq(buf_bytes(&first), buf_bytes(&again)));
  buf_deinit(&first), buf_deinit(&again);
}

// ---- traits ----
static void put_trait_items(struct buf *items, uint64_t key, const char *text) {
  buf_clear(items);
  mp_put_array(items, 2);
  for (uint64_t k = 0; k < 2; k++) {
    mp_put_array(items, 3);
    mp_put_uint(items, 2 * key + k);
    mp_put_uint(items, ACCOUNT_TRAIT);
    if (k)
      mp_put_float(items, (double)strlen(text));
    else
      mp_put_str(items, bytes_str(text));
  }
}

// One `group` event's: traits 2 * key, a text, and 2 * key + 1, its length.
struct said {
  uint64_t key;
  int64_t at_ms;
  char text[16];
};

static void say(struct world *w, const struct said *s, int64_t now_ms) {
  struct buf items = {0}, body = {0};
  put_trait_items(&items, s->key, s->text);
  account_put_traits(&body, s->at_ms, every(60000), false, buf_bytes(&items));
  apply(w, 1, MESSAGE_ACCOUNT_TRAITS, buf_bytes(&body), now_ms);
  assert_false(w->is_refused);
  buf_deinit(&items), buf_deinit(&body);
}

// What stays, from all that was said: of each key the latest, of one time the greater; of keys those with the latest.
static void check_traits(const struct world *w, const struct said *said, unsigned count) {
  enum { KEYS = 64 };
  const struct said *text[KEYS] = {0}, *length[KEYS] = {0};
  for (unsigned i = 0; i < count; i++) {
    const struct said *s = &said[i], *t = text[s->key], *n = length[s->key];
    if (!t || s->at_ms > t->at_ms ||
        (s->at_ms == t->at_ms &&
         (strlen(s->text) > strlen(t->text) || (strlen(s->text) == strlen(t->text) && strcmp(s->text, t->text) > 0))))
      text[s->key] = s;
    if (!n || s->at_ms > n->at_ms || (s->at_ms == n->at_ms && strlen(s->text) > strlen(n->text))) length[s->key] = s;
  }
  struct buf shown = {0};
  struct bytes value, traits = show(w, &shown, "traits");
  struct mp in = mp_of(traits);
  uint32_t kept = mp_next(&in).count, should = 0;
  for (unsigned k = 0; k < KEYS; k++) should += text[k] ? 2 : 0;
  assert_int_equal(kept, should < ACCOUNT_TRAITS_MAX ? should : ACCOUNT_TRAITS_MAX);
  for (uint32_t i = 0; i < kept; i++) {
    struct bytes map = mp_take(&in), key, at;
    assert_true(mp_find(map, BYTES_LIT("key"), &key) && mp_as_str(key, &key) && mp_find(map, BYTES_LIT("at"), &at) &&
                mp_find(map, BYTES_LIT("value"), &value));
    char hex[17] = {0};
    memcpy(hex, key.p, 16);
    uint64_t k = strtoull(hex, NULL, 16);
    const struct said *s = k % 2 ? length[k / 2] : text[k / 2];
    assert_non_null(s);
    assert_int_equal(mp_value_of(at).i, s->at_ms);
    if (k % 2)
      assert_true(mp_value_of(value).f == (double)strlen(s->text));
    else
      assert_true(bytes_is(mp_value_of(value).s, s->text));
    unsigned later = 0;
    for (unsigned other = 0; other < KEYS; other++) later += text[other] && text[other]->at_ms > s->at_ms ? 2 : 0;
    assert_true(later < ACCOUNT_TRAITS_MAX);
  }
  buf_deinit(&shown);
}

static struct feature_set *compile(const char *json);
// Of an account that nobody was of yet nothing but traits is known.
static void check_untouched(const struct world *w) {
  struct feature_set *set = compile("[{\"name\":\"first\",\"op\":\"account\",\"roll\":\"first_touch\"},"
                                    " {\"name\":\"last\",\"op\":\"account\",\"roll\":\"last_touch\"}]");
  uint8_t *st = xcalloc(1, feature_state_size(set));
  double values[2];
  struct bytes texts[2];
  struct buf shown = {0};
  feature_state_init(set, st);
  feature_account_take(set, st, show(w, &shown, "copy"), T0);
  feature_read(set, st, T0, values, texts);
  assert_true(isnan(values[0]) && isnan(values[1]));
  free(st);
  buf_deinit(&shown);
  feature_set_free(set);
}

static void traits_are_the_latest_in_whatever_order(void **state) {
  (void)state;
  enum { SAID = 200 };
  for (int stream = 0; stream < 20; stream++) {
    uint64_t d = seed + 100 + (uint64_t)stream, keys = stream % 2 ? 8 : 40;
    struct said said[SAID];
    for (unsigned i = 0; i < SAID; i++) {
      said[i] = (struct said){draw(&d, keys), T0 + (int64_t)draw(&d, 40) * 1000, ""};
      snprintf(said[i].text, sizeof said[i].text, "%.*s%u", (int)draw(&d, 5), "abcde", (unsigned)draw(&d, 30));
    }
    struct buf first = {0};
    for (int run = 0; run < 3; run++) {
      for (unsigned i = SAID - 1; run && i > 0; i--) {
        unsigned k = (unsigned)draw(&d, i + 1);
        struct said swap = said[i];
        said[i] = said[k], said[k] = swap;
      }
      struct world w = world_new();
      update(&w, 1, 1, T0, 0, false);
      for (unsigned i = 0; i < SAID; i++) say(&w, &said[i], T0 + 100000);
      leave(&w, 1, T0 + 100000); // they stay
      check_traits(&w, said, SAID);
      struct buf shown = {0};
      struct bytes traits = show(&w, &shown, "traits");
      if (!run) buf_append_bytes(&first, traits);
      assert_true(bytes_eq(buf_bytes(&first), traits));
      assert_int_equal(entity_check(bytes_of(w.e, entity_size(w.e)), NULL), 0);
      buf_deinit(&shown);
      world_free(&w);
    }
    buf_deinit(&first);
  }
}

static void a_trait_that_says_nothing_new_sends_nothing(void **state) {
  (void)state;
  struct world w = world_new();
  say(&w, &(struct said){1, T0, "pro"}, T0);
  check_untouched(&w);
  assert_int_equal(w.copies, 0); // nobody is there
  assert_false(account_is_dirty(w.e));
  update(&w, 1, 1, T0, 60000, false);
  assert_int_equal(w.copies, 1);
  say(&w, &(struct said){1, T0 + 1, "pro"}, T0 + 1);
  assert_false(account_is_dirty(w.e));
  say(&w, &(struct said){1, T0, "free"}, T0 + 1); // older
  assert_false(account_is_dirty(w.e));
  say(&w, &(struct said){1, T0 + 2, "team"}, T0 + 2);
  assert_true(account_is_dirty(w.e));
  assert_int_equal(w.copies, 0);
  say(&w, &(struct said){1, T0 + 2, "team"}, T0 + 70000);
  say(&w, &(struct said){1, T0 + 3, "pro"}, T0 + 70000);
  assert_int_equal(w.copies, 1); // the last ones are old enough
  world_free(&w);
}

// With the bounds of the message at hand: fewer people, and again more.
static void bounds_come_with_each_message(void **state) {
  (void)state;
  struct world w = world_new();
  the_terms.people = 3, the_terms.fanout = 1, the_terms.active_ms = 5000;
  for (unsigned i = 1; i <= 6; i++) update(&w, i, i, T0 + i * 1000, 0, false);
  struct buf shown = {0};
  assert_int_equal(mp_value_of(show(&w, &shown, "people")).count, 3);
  assert_int_equal(mp_value_of(show(&w, &shown, "evicted")).i, 3);
  assert_int_equal(w.copies, 1);
  assert_int_equal(w.effects.hits.dropped, 2);
  update(&w, 6, 7, T0 + 20000, 0, false);
  assert_true(w.copies == 1 && w.effects.hits.idle == 2 && w.effects.hits.dropped == 0);
  the_terms = (struct account_terms)ACCOUNT_TERMS_DEFAULT;
  update(&w, 1, 1, T0 + 20001, 0, false);
  assert_true(w.copies == 4 && w.effects.hits.evicted == 0);
  the_terms.people = 2;
  update(&w, 2, 1, T0 + 20002, 0, false);
  assert_true(w.effects.hits.evicted == 3);
  assert_int_equal(mp_value_of(show(&w, &shown, "people")).count, 2);
  the_terms = (struct account_terms)ACCOUNT_TERMS_DEFAULT;
  buf_deinit(&shown);
  world_free(&w);
}

// People in all slots, each with as many values as can be, and none that another has: what is sent at once is what a journal takes.
static void copies_are_as_large_as_a_frame_takes(void **state) {
  (void)state;
  enum { PEOPLE = 300 };
  struct world w = world_new();
  the_terms.people = the_terms.fanout = ACCOUNT_PEOPLE_MAX;
  struct buf items = {0}, body = {0};
  for (unsigned i = 0; i < PEOPLE; i++) {
    buf_clear(&items), buf_clear(&body);
    mp_put_array(&items, ACCOUNT_ITEMS_MAX);
    for (unsigned k = 0; k < ACCOUNT_ITEMS_MAX; k++) {
      mp_put_array(&items, 3);
      mp_put_uint(&items, UINT64_MAX - (i * ACCOUNT_ITEMS_MAX + k));
      mp_put_uint(&items, ACCOUNT_NUMBER);
      mp_put_float(&items, 1.5);
    }
    bool is_last = i == PEOPLE - 1;
    account_put_update(&body, T0 + i, every(is_last ? 0 : 1000000), is_last, buf_bytes(&items));
    apply(&w, i, MESSAGE_ACCOUNT_UPDATE, buf_bytes(&body), T0 + i);
    assert_false(w.is_refused);
    assert_true(w.effects.messages.n < 8u << 20);
  }
  assert_true(w.copies > 100);
  struct buf shown = {0};
  assert_int_equal(mp_value_of(show(&w, &shown, "people")).count, PEOPLE);
  assert_true(show(&w, &shown, "copy").n > 100000);
  the_terms = (struct account_terms)ACCOUNT_TERMS_DEFAULT;
  buf_deinit(&items), buf_deinit(&body), buf_deinit(&shown);
  world_free(&w);
}

// Any MessagePack value as a body: refused, or a contribution; never a crash, and what is refused changes nothing.
static void hostile_bodies(void **state) {
  (void)state;
  struct world w = world_new();
  update(&w, 1, 1, T0, 0, false);
  uint64_t d = seed;
  static const unsigned kinds[] = {MESSAGE_ACCOUNT_UPDATE, MESSAGE_ACCOUNT_LEAVE, MESSAGE_ACCOUNT_FLUSH,
                                   MESSAGE_ACCOUNT_TRAITS};
  struct buf items = {0}, good[2] = {{0}, {0}}, body = {0};
  put_number(&items, 5);
  account_put_update(&good[0], T0, every(0), true, buf_bytes(&items));
  put_trait_items(&items, 3, "enterprise");
  account_put_traits(&good[1], T0, every(0), true, buf_bytes(&items));
  unsigned refused = 0;
  for (int i = 0; i < 20000; i++) {
    buf_clear(&body);
    buf_append_bytes(&body, buf_bytes(&good[i % 2]));
    for (unsigned k = 1 + (unsigned)draw(&d, 3); k > 0; k--) body.p[draw(&d, body.n)] = (uint8_t)draw(&d, 256);
    unsigned kind = draw(&d, 4) ? kinds[3 * (i % 2)] : kinds[draw(&d, 4)];
    if (message_check(kind, buf_bytes(&body), NULL)) continue;
    uint64_t before = hash64(entity_state(w.e));
    apply(&w, (unsigned)draw(&d, 5), kind, buf_bytes(&body), T0 + i);
    refused += w.is_refused;
    if (w.is_refused) assert_true(hash64(entity_state(w.e)) == before && w.copies == 0);
    assert_int_equal(entity_check(bytes_of(w.e, entity_size(w.e)), NULL), 0);
  }
  assert_true(refused > 100);
  buf_deinit(&items), buf_deinit(&good[0]), buf_deinit(&good[1]), buf_deinit(&body);
  world_free(&w);
}

// ---- what a lead reads ----
static struct feature_set *compile(const char *json) {
  struct feature_set *set = NULL;
  struct buf declarations = {0};
  struct error err = {0};
  assert_int_equal(mp_from_json(bytes_str(json), &MP_LIMITS_DEFAULT, &declarations, &err), 0);
  if (feature_set_compile(buf_bytes(&declarations), &set, &err)) {
    print_error("%s\n", err.text);
    set = NULL;
  }
  buf_deinit(&declarations);
  return set;
}

static void a_copy_is_read_at_a_time(void **state) {
  (void)state;
  struct feature_set *set = compile("[{\"name\":\"n\",\"op\":\"count\"},"
                                    " {\"name\":\"sum\",\"op\":\"account\",\"roll\":\"sum\",\"of\":\"n\"},"
                                    " {\"name\":\"mean\",\"op\":\"account\",\"roll\":\"mean\",\"of\":\"n\"},"
                                    " {\"name\":\"least\",\"op\":\"account\",\"roll\":\"min\",\"of\":\"n\"},"
                                    " {\"name\":\"week\",\"op\":\"account\",\"roll\":\"people\",\"window\":\"7d\"},"
                                    " {\"name\":\"quiet\",\"op\":\"account\",\"roll\":\"last_touch\"},"
                                    " {\"name\":\"old\",\"op\":\"account\",\"roll\":\"first_touch\"},"
                                    " {\"name\":\"seen\",\"op\":\"account\",\"roll\":\"latest\",\"of\":\"n\"}]");
  assert_non_null(set);
  assert_int_equal(feature_accounts(set), 7);
  uint8_t *st = xcalloc(1, feature_state_size(set));
  double values[8], none[8];
  struct bytes texts[8];
  int64_t scores[2] = {0};
  struct world w = world_new();
  feature_state_init(set, st);
  feature_read(set, st, T0, none, texts);
  assert_true(none[1] == 0 && isnan(none[2]) && isnan(none[3]) && none[4] == 0 && isnan(none[5]));
  for (unsigned i = 1; i <= 4; i++) { // leads with 1 to 4 events, one a day
    int64_t at_ms = T0 + (int64_t)i * 86400000;
    struct buf items = {0}, body = {0};
    uint64_t urgent;
    double of[8] = {i};
    feature_contribute(set, st, of, texts, scores, at_ms, &items, &urgent);
    account_put_update(&body, at_ms, every(0), false, buf_bytes(&items));
    apply(&w, i, MESSAGE_ACCOUNT_UPDATE, buf_bytes(&body), at_ms);
    assert_false(w.is_refused);
    buf_deinit(&items), buf_deinit(&body);
  }
  struct buf shown = {0};
  struct bytes copy = show(&w, &shown, "copy");
  for (int day = 4; day < 13; day++) {
    int64_t now_ms = T0 + day * INT64_C(86400000);
    feature_account_take(set, st, copy, now_ms);
    feature_read(set, st, now_ms, values, texts);
    assert_true(values[1] == 10 && values[2] == 2.5 && values[3] == 1);
    int people = 0;
    for (int i = 1; i <= 4; i++) people += i > day - 7;
    assert_true(values[4] == people);
    assert_true(values[5] == (day - 4) * 86400000.0 && values[6] == (day - 1) * 86400000.0 && isnan(values[7]));
    double ages[8];
    feature_ages(set, st, now_ms, ages);
    assert_true(ages[1] == (day - 4) * 86400000.0);
  }
  struct buf saved = {0};
  feature_account_save(set, st, &saved);
  uint8_t *other = xcalloc(1, feature_state_size(set));
  feature_state_init(set, other);
  assert_int_equal(feature_account_load(set, other, buf_bytes(&saved), NULL), 0);
  assert_memory_equal(st, other, feature_state_size(set));
  assert_true(feature_account_load(set, other, bytes_of(saved.p, saved.n - 1), NULL) < 0);
  feature_account_take(set, st, (struct bytes){0}, T0); // of another account, of which nothing came yet
  feature_read(set, st, T0, values, texts);
  assert_memory_equal(values + 1, none + 1, sizeof none - sizeof *none);
  free(st), free(other);
  buf_deinit(&saved), buf_deinit(&shown);
  world_free(&w);
  feature_set_free(set);
}

static void a_lead_reads_traits_of_its_account(void **state) {
  (void)state;
  struct feature_set *set = compile(
      "[{\"name\":\"plan\",\"op\":\"account\",\"roll\":\"trait\",\"of\":\"traits.plan\",\"text\":true,\"urgent\":true},"
      " {\"name\":\"trade\",\"op\":\"account\",\"roll\":\"trait\",\"of\":\"traits.firm.trade\",\"part\":\"lower\"},"
      " {\"name\":\"size\",\"op\":\"account\",\"roll\":\"trait\",\"of\":\"traits.employees\"},"
      " {\"name\":\"again\",\"op\":\"account\",\"roll\":\"trait\",\"of\":\"traits.employees\"}]");
  assert_non_null(set);
  struct buf raw = {0}, items = {0}, body = {0}, shown = {0}, saved = {0};
  struct event event;
  struct event_digits digits;
  struct error err = {0};
  bool is_urgent;
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  assert_int_equal(
      mp_from_json(
          BYTES_LIT("{\"type\":\"group\",\"userId\":\"u\",\"groupId\":\"acme\",\"traits\":{\"plan\":"
                    "\"Enterprise plan with a very long name, longer than is kept\",\"firm\":{\"trade\":\"SOFTWARE\"},"
                    "\"employees\":250,\"other\":1}}"),
          &MP_LIMITS_DEFAULT, &raw, &err),
      0);
  assert_int_equal(event_decode(buf_bytes(&raw), T0, &limits, &digits, &event, &err), 0);
  assert_true(feature_traits(set, &event, &items, &is_urgent) && is_urgent);
  assert_int_equal(mp_value_of(buf_bytes(&items)).count, 3); // the size once
  account_put_traits(&body, T0, every(0), is_urgent, buf_bytes(&items));
  struct world w = world_new();
  apply(&w, 1, MESSAGE_ACCOUNT_TRAITS, buf_bytes(&body), T0);
  assert_false(w.is_refused);
  uint8_t *st = xcalloc(1, feature_state_size(set)), *other = xcalloc(1, feature_state_size(set));
  double values[4];
  struct bytes texts[4];
  feature_state_init(set, st);
  feature_read(set, st, T0, values, texts);
  assert_true(texts[0].n == 0 && texts[1].n == 0 && isnan(values[2]));
  feature_account_take(set, st, show(&w, &shown, "copy"), T0);
  feature_read(set, st, T0, values, texts);
  assert_true(bytes_is(texts[0], "Enterprise plan with a very long name, longer t"));
  assert_true(bytes_is(texts[1], "software") && values[2] == 250 && values[3] == 250);
  feature_account_save(set, st, &saved);
  feature_state_init(set, other);
  assert_int_equal(feature_account_load(set, other, buf_bytes(&saved), NULL), 0);
  assert_memory_equal(st, other, feature_state_size(set));
  assert_true(feature_account_say(set, st, 0, 0, BYTES_LIT("free"), T0));
  feature_read(set, st, T0, values, texts);
  assert_true(bytes_is(texts[0], "free"));
  free(st), free(other);
  buf_deinit(&raw), buf_deinit(&items), buf_deinit(&body), buf_deinit(&shown), buf_deinit(&saved);
  world_free(&w);
  feature_set_free(set);
}

// No account makes such copies. Whatever one says, what a lead reads of it can be shown and be counted with.
static void a_copy_of_nonsense_gives_no_nonsense(void **state) {
  (void)state;
  struct feature_set *set =
      compile("[{\"name\":\"n\",\"op\":\"count\"},{\"name\":\"sum\",\"op\":\"account\",\"roll\":\"sum\",\"of\":\"n\"},"
              "{\"name\":\"mean\",\"op\":\"account\",\"roll\":\"mean\",\"of\":\"n\"},"
              "{\"name\":\"first\",\"op\":\"account\",\"roll\":\"first_touch\"},"
              "{\"name\":\"plan\",\"op\":\"account\",\"roll\":\"trait\",\"of\":\"traits.plan\",\"text\":true}]");
  uint8_t *st = xcalloc(1, feature_state_size(set));
  double values[5], ages[5];
  struct bytes texts[5];
  struct buf items = {0}, body = {0}, copy = {0}, shown = {0}, traits = {0};
  uint64_t urgent;
  bool is_urgent;
  int64_t scores[2] = {0};
  struct event e = {
      .properties = BYTES_LIT("\x80"), .traits = BYTES_LIT("\x81\xa4plan\xa3pro"), .context = BYTES_LIT("\x80")};
  feature_state_init(set, st);
  feature_read(set, st, T0, values, texts);
  values[0] = 3;
  struct world w = world_new();
  feature_contribute(set, st, values, texts, scores, T0, &items, &urgent);
  account_put_update(&body, T0, every(0), false, buf_bytes(&items));
  apply(&w, 1, MESSAGE_ACCOUNT_UPDATE, buf_bytes(&body), T0);
  assert_true(feature_traits(set, &e, &traits, &is_urgent));
  buf_clear(&body);
  account_put_traits(&body, T0, every(0), false, buf_bytes(&traits));
  apply(&w, 1, MESSAGE_ACCOUNT_TRAITS, buf_bytes(&body), T0);
  struct bytes whole = show(&w, &shown, "copy"), rolls;
  feature_account_take(set, st, whole, T0);
  feature_read(set, st, T0, values, texts);
  assert_true(values[1] == 3 && bytes_is(texts[4], "pro"));
  struct mp m = mp_of(whole);
  for (int i = 0; i < 5; i++) mp_next(&m);
  rolls = mp_take(&m);
  mp_put_array(&copy, 5);
  for (int i = 0; i < 4; i++) mp_put_int(&copy, i == 1 ? INT64_MIN : i ? INT64_MAX : INT64_MIN + 1);
  mp_put_raw(&copy, rolls);
  for (size_t i = 0; i + 4 <= copy.n; i++) {
    static const char three[] = "\xcb\x40\x08\0\0\0\0\0";
    if (i + 9 <= copy.n && memcmp(copy.p + i, three, 9) == 0) memcpy(copy.p + i + 1, "\x7f\xf0", 2); // infinite
    if (memcmp(copy.p + i, "\xa3pro", 4) == 0) copy.p[i + 2] = 0xff;
  }
  feature_account_take(set, st, buf_bytes(&copy), T0);
  feature_read(set, st, T0, values, texts);
  feature_ages(set, st, T0, ages);
  assert_true(isnan(values[1]) && isnan(values[2]) && isfinite(values[3]) && texts[4].n == 0 && isfinite(ages[1]));
  free(st);
  buf_deinit(&items), buf_deinit(&body), buf_deinit(&copy), buf_deinit(&shown), buf_deinit(&traits);
  world_free(&w);
  feature_set_free(set);
}

static void declarations_that_can_not_be(void **state) {
  (void)state;
  static const char *const wrong[] = {
      "{\"name\":\"x\",\"op\":\"account\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"sum\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"summ\",\"of\":\"n\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"sum\",\"of\":\"m\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"sum\",\"of\":\"x\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"sum\",\"of\":\"secret\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"sum\",\"of\":\"role\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"distinct\",\"of\":\"n\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"latest\",\"of\":\"score.fit\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"people\",\"of\":\"n\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"sum\",\"of\":\"n\",\"window\":\"7d\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"people\",\"window\":\"today\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"people\",\"tile\":\"1d\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"people\",\"urgent\":true}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"people\",\"on\":\"A\"}",
      "{\"name\":\"x\",\"op\":\"count\",\"roll\":\"people\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"trait\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"trait\",\"of\":\"n\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"trait\",\"of\":\"properties.plan\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"trait\",\"of\":\"traits.plan\",\"personal\":true}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"trait\",\"of\":\"traits.plan\",\"window\":\"7d\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"trait\",\"of\":\"traits.plan\",\"part\":\"lower\",\"text\":false}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"sum\",\"of\":\"traits.plan\"}",
      "{\"name\":\"x\",\"op\":\"account\",\"roll\":\"sum\",\"of\":\"n\",\"text\":true}",
  };
  char text[400];
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    snprintf(text, sizeof text,
             "[{\"name\":\"n\",\"op\":\"count\"},{\"name\":\"role\",\"op\":\"last\",\"of\":\"traits.a\",\"text\":true},"
             "{\"name\":\"secret\",\"op\":\"count\",\"personal\":true},%s]",
             wrong[i]);
    assert_null(compile(text));
  }
}

int main(void) {
  const char *text = getenv("SEED");
  seed = text ? strtoull(text, NULL, 0) : 12345;
  printf("SEED=%llu\n", (unsigned long long)seed);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(copies_wait_for_the_interval_unless_urgent),
      cmocka_unit_test(people_beyond_the_bound_do_not_depend_on_order),
      cmocka_unit_test(traits_are_the_latest_in_whatever_order),
      cmocka_unit_test(a_trait_that_says_nothing_new_sends_nothing),
      cmocka_unit_test(bounds_come_with_each_message),
      cmocka_unit_test(copies_are_as_large_as_a_frame_takes),
      cmocka_unit_test(hostile_bodies),
      cmocka_unit_test(a_copy_is_read_at_a_time),
      cmocka_unit_test(a_lead_reads_traits_of_its_account),
      cmocka_unit_test(a_copy_of_nonsense_gives_no_nonsense),
      cmocka_unit_test(declarations_that_can_not_be),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
