// The tables in memory against plain lists: what was added is found, what was dropped is not, whatever the numbers of
// entries wrap to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"
#include "store/due.h"
#include "store/ids.h"

static uint64_t seed;

struct item {
  struct table_entry head;
  uint64_t value;
};

// Keys from a small space, so that buckets chain; the low half is mixed as the table asks for.
static struct hash128 key_of(uint64_t i) { return (struct hash128){hash_mix(i, 1), hash_mix(i, 2) >> 40}; }

static void run(uint32_t start, size_t live_max, uint64_t rounds) {
  struct draw d = {seed};
  struct table t;
  table_init(&t, sizeof(struct item));
  t.first = t.end = start;
  uint64_t added = 0, dropped = 0; // key i is in the table when dropped <= i < added
  struct item *pinned = NULL;
  for (uint64_t n = 0; n < rounds; n++) {
    if (added - dropped < live_max && draw(&d, 3)) {
      assert_null(table_find(&t, key_of(added)));
      struct item *e = table_add(&t, key_of(added));
      assert_int_equal(e->value, 0);
      e->value = added;
      if (added == dropped) pinned = e;
      added++;
    } else if (added > dropped) {
      assert_int_equal(((struct item *)table_at(&t, 0))->value, dropped);
      table_drop_oldest(&t);
      dropped++;
      if (t.first == UINT32_MAX) table_drop_oldest(&t); // the number that nobody has
      pinned = added > dropped ? table_at(&t, 0) : NULL;
    }
    if (added > dropped) {
      uint64_t i = dropped + draw(&d, added - dropped);
      struct item *e = table_find(&t, key_of(i));
      assert_non_null(e);
      assert_int_equal(e->value, i);
      if (pinned) assert_ptr_equal(table_find(&t, pinned->head.key), pinned); // entries do not move
    }
    if (dropped) assert_null(table_find(&t, key_of(draw(&d, dropped))));
  }
  assert_true(added > rounds / 3);
  for (uint64_t i = dropped; i < added; i++) assert_non_null(table_find(&t, key_of(i)));
  table_deinit(&t);
}

static void a_table_is_a_queue_and_a_map(void **state) {
  (void)state;
  run(0, 100, 20000);
  run(0, 1000000, 300000);
  run(UINT32_MAX - 4095 - 2 * 4096, 5000, 60000); // numbers wrap on the way
  run(UINT32_MAX - 4095 - 2 * 4096, 200000, 300000);
}

static void timers_come_in_order(void **state) {
  (void)state;
  struct draw d = {seed + 1};
  enum { LEADS = 300 };
  struct due due;
  due_init(&due);
  int64_t oracle[LEADS];
  struct lead_id id[LEADS];
  for (int i = 0; i < LEADS; i++) {
    oracle[i] = INT64_MAX;
    draw_bytes(&d, id[i].b, 16);
  }
  for (int n = 0; n < 200000; n++) {
    if (draw(&d, 3)) {
      size_t i = (size_t)draw(&d, LEADS);
      oracle[i] = draw(&d, 4) ? (int64_t)draw(&d, 1000) - 500 : INT64_MAX;
      due_set(&due, id[i], oracle[i]);
      continue;
    }
    int first = -1;
    for (int i = 0; i < LEADS; i++) {
      if (oracle[i] == INT64_MAX) continue;
      if (first < 0 || oracle[i] < oracle[first] ||
          (oracle[i] == oracle[first] && memcmp(id[i].b, id[first].b, 16) < 0))
        first = i;
    }
    assert_int_equal(due_next(&due), first < 0 ? INT64_MAX : oracle[first]);
    struct lead_id lead;
    int64_t now_ms = (int64_t)draw(&d, 1000) - 500;
    bool is_due = first >= 0 && oracle[first] <= now_ms;
    assert_int_equal(due_take(&due, now_ms, &lead), is_due);
    if (!is_due) continue;
    assert_memory_equal(lead.b, id[first].b, 16);
    oracle[first] = INT64_MAX;
  }
  due_deinit(&due);
}

static void keys_keep_the_order_of_ids(void **state) {
  (void)state;
  struct draw d = {seed + 2};
  for (int i = 0; i < 1000; i++) {
    struct lead_id a, b;
    draw_bytes(&d, a.b, 16);
    b = a;
    b.b[draw(&d, 16)] = (uint8_t)draw(&d, 256);
    struct hash128 x = lead_key(a), y = lead_key(b);
    int order = x.hi != y.hi   ? (x.hi < y.hi ? -1 : 1)
                : x.lo != y.lo ? (x.lo < y.lo ? -1 : 1)
                               : 0,
        c = memcmp(a.b, b.b, 16);
    assert_int_equal(order, c < 0 ? -1 : c > 0);
    assert_true(lead_id_eq(lead_of_key(x), a));
  }
}

int main(void) {
  seed = seed_of_run();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_table_is_a_queue_and_a_map),
      cmocka_unit_test(timers_come_in_order),
      cmocka_unit_test(keys_keep_the_order_of_ids),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
