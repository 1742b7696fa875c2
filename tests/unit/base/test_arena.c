#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "base/arena.h"

// What was handed out keeps its bytes, is aligned, zeroed and apart from everything else, whatever comes later.
static void allocations_stay_apart(void **state) {
  (void)state;
  enum { COUNT = 3000 };
  static struct {
    uint8_t *p;
    size_t n;
  } given[COUNT];
  struct arena a;
  arena_init(&a);
  for (int round = 0; round < 6; round++) {
    for (int i = 0; i < COUNT; i++) {
      size_t n = random_below(50) == 0 ? random_below(200000) : random_below(200);
      if (n > 1000 && random_below(4)) n = 1000;
      uint8_t *p = arena_alloc(&a, n);
      assert_int_equal((uintptr_t)p % 16, 0);
      for (size_t k = 0; k < n; k++)
        if (p[k] != 0) fail_msg("byte %zu of %zu is not zero", k, n);
      memset(p, i & 0xFF, n);
      given[i].p = p, given[i].n = n;
    }
    for (int i = 0; i < COUNT; i++)
      for (size_t k = 0; k < given[i].n; k++)
        if (given[i].p[k] != (uint8_t)i) fail_msg("allocation %d was overwritten", i);
    arena_reset(&a);
  }
  arena_deinit(&a);
  assert_null(a.block);
}

static void an_allocation_of_nothing_is_its_own(void **state) {
  (void)state;
  struct arena a;
  arena_init(&a);
  const void *one = arena_alloc(&a, 0), *two = arena_alloc(&a, 0);
  assert_non_null(one);
  assert_ptr_not_equal(one, two);
  arena_deinit(&a);
}

static void copies_are_followed_by_a_nul(void **state) {
  (void)state;
  struct arena a;
  arena_init(&a);
  struct bytes copy = arena_copy(&a, BYTES_LIT("a\0b"));
  assert_int_equal(copy.n, 3);
  assert_memory_equal(copy.p, "a\0b\0", 4);
  assert_string_equal(arena_str(&a, BYTES_LIT("text")), "text");
  assert_string_equal(arena_str(&a, (struct bytes){NULL, 0}), "");
  for (size_t n = 0; n < 100; n++) {
    char text[100];
    memset(text, 'x', n);
    const char *s = arena_str(&a, bytes_of(text, n));
    assert_int_equal(strlen(s), n);
  }
  arena_deinit(&a);
}

static void reset_keeps_the_largest_block(void **state) {
  (void)state;
  struct arena a;
  arena_init(&a);
  arena_reset(&a); // of an empty one
  assert_null(a.block);
  (void)arena_alloc(&a, 10);
  void *large = arena_alloc(&a, 3 << 20);
  for (int i = 0; i < 10000; i++) (void)arena_alloc(&a, 100);
  arena_reset(&a);
  assert_ptr_equal(arena_alloc(&a, 3 << 20), large);
  arena_reset(&a);
  assert_ptr_equal(arena_alloc(&a, 1), large);
  arena_deinit(&a);
}

int main(void) {
  random_start();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(allocations_stay_apart),
      cmocka_unit_test(an_allocation_of_nothing_is_its_own),
      cmocka_unit_test(copies_are_followed_by_a_nul),
      cmocka_unit_test(reset_keeps_the_largest_block),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
