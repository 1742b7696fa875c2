// Messages and the tallies that they add to: lists, what is refused, what is passed on, and equal sums as equal bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "engine/tally.h"

static struct lead_id id_of(unsigned n) { return (struct lead_id){{(uint8_t)n, 1, 2, 3}}; }

// Applies body to a tally; returns the hash.
static uint64_t tell(struct entity **tally, struct bytes body, struct message_effects *effects) {
  struct message m = {.to = (*tally)->id, .kind = MESSAGE_TALLY_ADD, .at_ms = 1000, .body = body};
  assert_int_equal(message_check(m.kind, body, NULL), 0);
  return message_apply(tally, &m, effects);
}

static uint64_t add(struct entity **tally, const char *key, int64_t n, struct message_effects *effects) {
  struct buf body = {0};
  tally_put_add(&body, bytes_str(key), n, (struct bytes){0});
  uint64_t hash = tell(tally, buf_bytes(&body), effects);
  buf_deinit(&body);
  return hash;
}

static void sums_do_not_know_their_order(void **state) {
  (void)state;
  static const struct {
    const char *key;
    int64_t n;
  } adds[] = {{"seats", 5}, {"budget", -7}, {"seats", 3}, {"a", 1}, {"seat", 9}, {"a", -1}, {"budget", INT64_MAX}};
  enum { ADDS = sizeof adds / sizeof *adds };
  struct message_effects effects = {0};
  struct entity *there = entity_new(ENTITY_TALLY, id_of(1), 0), *back = entity_new(ENTITY_TALLY, id_of(1), 0);
  for (size_t i = 0; i < ADDS; i++) {
    add(&there, adds[i].key, adds[i].n, &effects);
    assert_false(effects.is_refused);
    add(&back, adds[ADDS - 1 - i].key, adds[ADDS - 1 - i].n, &effects);
    assert_false(effects.is_refused);
  }
  assert_int_equal(tally_value(there, BYTES_LIT("seats")), 8);
  assert_int_equal(tally_value(there, BYTES_LIT("budget")), INT64_MAX - 7);
  assert_int_equal(tally_value(there, BYTES_LIT("a")), 0);
  assert_int_equal(tally_value(there, BYTES_LIT("nothing")), 0);
  assert_true(bytes_eq(entity_state(there), entity_state(back)));
  assert_int_equal(entity_digest(there), entity_digest(back));
  assert_int_equal(there->number, ADDS);
  assert_int_equal(there->now_ms, 1000);
  struct error err = {0};
  assert_int_equal(entity_check(bytes_of(there, entity_size(there)), &err), 0);
  assert_int_equal(entity_check(bytes_of(there, entity_size(there) - 1), &err), ITD_ECORRUPT);
  entity_free(there);
  entity_free(back);
  message_effects_deinit(&effects);
}

static void what_is_passed_on_is_taken_off(void **state) {
  (void)state;
  struct message_effects effects = {0};
  struct entity *tally = entity_new(ENTITY_TALLY, id_of(1), 0);
  struct buf legs = {0}, body = {0};
  mp_put_array(&legs, 2);
  mp_put_array(&legs, 3);
  mp_put_bin(&legs, bytes_of(id_of(2).b, 16));
  mp_put_int(&legs, 30);
  mp_put_nil(&legs);
  mp_put_array(&legs, 3);
  mp_put_bin(&legs, bytes_of(id_of(3).b, 16));
  mp_put_int(&legs, 20);
  mp_put_array(&legs, 1);
  mp_put_array(&legs, 3);
  mp_put_bin(&legs, bytes_of(id_of(4).b, 16));
  mp_put_int(&legs, 5);
  mp_put_nil(&legs);
  tally_put_add(&body, BYTES_LIT("k"), 100, buf_bytes(&legs));
  tell(&tally, buf_bytes(&body), &effects);
  assert_int_equal(tally_value(tally, BYTES_LIT("k")), 50);
  struct bytes list = buf_bytes(&effects.messages);
  struct message first = {0}, second = {0};
  assert_int_equal(message_next(&list, &first, NULL), 1);
  assert_int_equal(message_next(&list, &second, NULL), 1);
  assert_int_equal(message_next(&list, &second, NULL), 0);
  assert_true(lead_id_eq(first.to, id_of(2)) && lead_id_eq(second.to, id_of(3)));
  // The second passes on again.
  struct entity *third = entity_new(ENTITY_TALLY, id_of(3), 0);
  struct message_effects more = {0};
  message_apply(&third, &second, &more);
  assert_int_equal(tally_value(third, BYTES_LIT("k")), 15);
  list = buf_bytes(&more.messages);
  assert_int_equal(message_next(&list, &first, NULL), 1);
  assert_true(lead_id_eq(first.to, id_of(4)));
  entity_free(tally);
  entity_free(third);
  message_effects_deinit(&effects);
  message_effects_deinit(&more);
  buf_deinit(&legs);
  buf_deinit(&body);
}

static void what_is_wrong_is_refused_and_changes_nothing(void **state) {
  (void)state;
  struct message_effects effects = {0};
  struct entity *tally = entity_new(ENTITY_TALLY, id_of(1), 0);
  add(&tally, "k", INT64_MAX, &effects);
  struct buf was = {0}, body = {0}, long_key = {0};
  buf_append_bytes(&was, entity_state(tally));
  for (int i = 0; i <= TALLY_KEY_BYTES; i++) buf_append_str(&long_key, "x");
  for (int which = 0; which < 8; which++) {
    buf_clear(&body);
    mp_put_array(&body, which == 0 ? 4 : which >= 5 ? 3 : 2);
    mp_put_str(&body, which == 1 ? buf_bytes(&long_key) : which == 2 ? (struct bytes){0} : BYTES_LIT("k"));
    if (which == 3)
      mp_put_float(&body, 1.5);
    else
      mp_put_int(&body, 1); // 4: too large a sum
    if (which == 0) mp_put_nil(&body), mp_put_nil(&body);
    if (which == 5) mp_put_int(&body, 1);
    if (which >= 6) {
      mp_put_array(&body, 1);
      mp_put_array(&body, 3);
      mp_put_bin(&body, bytes_of(id_of(2).b, which == 6 ? 15 : 16));
      mp_put_int(&body, which == 7 ? INT64_MIN : 1);
      mp_put_nil(&body);
    }
    uint32_t number = tally->number;
    tell(&tally, buf_bytes(&body), &effects);
    assert_true(effects.is_refused);
    assert_int_equal(effects.messages.n, 0);
    struct bytes code;
    assert_true(mp_find(buf_bytes(&effects.answer), BYTES_LIT("code"), &code));
    assert_true(bytes_eq(entity_state(tally), buf_bytes(&was)));
    assert_int_equal(tally->number, number + 1); // its frame is one of the entity's all the same
  }
  entity_free(tally);
  message_effects_deinit(&effects);
  buf_deinit(&was);
  buf_deinit(&body);
  buf_deinit(&long_key);
}

static void more_keys_than_there_may_be_go_under_the_rest(void **state) {
  (void)state;
  struct message_effects effects = {0};
  struct entity *tally = entity_new(ENTITY_TALLY, id_of(1), 0);
  for (int i = 0; i < TALLY_KEYS_MAX + 40; i++) {
    char key[16];
    snprintf(key, sizeof key, "key-%d", i);
    add(&tally, key, 2, &effects);
    assert_false(effects.is_refused);
  }
  assert_int_equal(tally_value(tally, BYTES_LIT("key-3")), 2);
  assert_int_equal(tally_value(tally, BYTES_LIT("key-290")), 0);
  assert_int_equal(tally_value(tally, BYTES_LIT(TALLY_REST)), 80);
  add(&tally, "key-3", 1, &effects); // one that it has goes on
  assert_int_equal(tally_value(tally, BYTES_LIT("key-3")), 3);
  entity_free(tally);
  message_effects_deinit(&effects);
}

static void lists_that_are_damaged_are_told(void **state) {
  (void)state;
  struct buf list = {0}, body = {0};
  tally_put_add(&body, BYTES_LIT("k"), 1, (struct bytes){0});
  message_put(&list, id_of(1), MESSAGE_TALLY_ADD, buf_bytes(&body));
  struct message m;
  for (size_t n = 1; n < list.n; n++) {
    struct bytes cut = bytes_of(list.p, n);
    assert_int_equal(message_next(&cut, &m, NULL), ITD_ECORRUPT);
  }
  for (size_t i = 0; i < list.n; i++) // any byte may be another
    for (unsigned to = 0; to < 256; to++) {
      uint8_t was = list.p[i];
      list.p[i] = (uint8_t)to;
      struct bytes all = buf_bytes(&list);
      int more = message_next(&all, &m, NULL);
      assert_true(more == 1 || more == ITD_ECORRUPT);
      list.p[i] = was;
    }
  assert_int_equal(message_check(MESSAGE_TALLY_ADD, (struct bytes){0}, NULL), ITD_EINVAL);
  assert_int_equal(message_check(9999, buf_bytes(&body), NULL), ITD_EINVAL);
  buf_append_str(&body, "x");
  assert_int_equal(message_check(MESSAGE_TALLY_ADD, buf_bytes(&body), NULL), ITD_EINVAL);
  buf_deinit(&list);
  buf_deinit(&body);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_do_not_know_their_order),
      cmocka_unit_test(what_is_passed_on_is_taken_off),
      cmocka_unit_test(what_is_wrong_is_refused_and_changes_nothing),
      cmocka_unit_test(more_keys_than_there_may_be_go_under_the_rest),
      cmocka_unit_test(lists_that_are_damaged_are_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
