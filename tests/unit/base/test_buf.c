#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "base/buf.h"

static void starts_empty_and_ends_empty(void **state) {
  (void)state;
  struct buf b;
  buf_init(&b);
  assert_int_equal(buf_bytes(&b).n, 0);
  buf_append(&b, NULL, 0);
  buf_append_bytes(&b, (struct bytes){NULL, 0});
  buf_consume(&b, 0);
  assert_non_null(buf_reserve(&b, 0));
  buf_append_str(&b, "x");
  buf_deinit(&b);
  assert_null(b.p);
  assert_int_equal(b.n + b.cap, 0);
  buf_deinit(&b);
}

// Any sequence of operations leaves what the same operations leave in a plain array.
static void agrees_with_a_plain_array(void **state) {
  (void)state;
  static uint8_t model[1 << 20];
  for (int round = 0; round < 200; round++) {
    struct buf b;
    buf_init(&b);
    size_t n = 0;
    for (int step = 0; step < 300; step++) {
      uint8_t bytes[300];
      size_t k = random_below(sizeof bytes);
      for (size_t i = 0; i < k; i++) bytes[i] = (uint8_t)random_next();
      switch (random_below(6)) {
      case 0:
        buf_append(&b, bytes, k);
        memcpy(model + n, bytes, k), n += k;
        break;
      case 1:
        buf_append_u8(&b, (uint8_t)k);
        model[n++] = (uint8_t)k;
        break;
      case 2:
        buf_printf(&b, "%zu,%s;", k, "word");
        n += (size_t)sprintf((char *)model + n, "%zu,%s;", k, "word");
        break;
      case 3:
        memcpy(buf_reserve(&b, k), bytes, k), b.n += k;
        memcpy(model + n, bytes, k), n += k;
        break;
      case 4:
        k = n ? random_below(n + 1) / (1 + random_below(4)) : 0;
        buf_consume(&b, k);
        memmove(model, model + k, n - k), n -= k;
        break;
      default:
        if (random_below(20) == 0) buf_clear(&b), n = 0;
      }
      assert_int_equal(b.n, n);
      assert_true(b.cap >= b.n);
      if (n) assert_memory_equal(b.p, model, n);
    }
    buf_deinit(&b);
  }
}

// Every length near a growth of the buffer, where the text fits exactly, or lacks only room for its end.
static void printf_at_every_fill(void **state) {
  (void)state;
  char text[200];
  memset(text, 'y', sizeof text);
  for (size_t before = 0; before < 140; before++)
    for (int length = 0; length < 140; length++) {
      struct buf b;
      buf_init(&b);
      for (size_t i = 0; i < before; i++) buf_append_u8(&b, 'x');
      buf_printf(&b, "%.*s", length, text);
      assert_int_equal(b.n, before + (size_t)length);
      for (size_t i = 0; i < b.n; i++) assert_int_equal(b.p[i], i < before ? 'x' : 'y');
      buf_deinit(&b);
    }
}

static void growth_is_amortised(void **state) {
  (void)state;
  struct buf b;
  buf_init(&b);
  int moves = 0;
  for (int i = 0; i < 1 << 20; i++) {
    size_t cap = b.cap;
    buf_append_u8(&b, (uint8_t)i);
    moves += b.cap != cap;
  }
  assert_true(moves < 24);
  buf_deinit(&b);
}

static void allocation_of_nothing_is_something(void **state) {
  (void)state;
  void *none = xmalloc(0), *cleared = xcalloc(0, 8), *grown = xrealloc(NULL, 0);
  assert_non_null(none);
  assert_non_null(cleared);
  assert_non_null(grown);
  free(none), free(cleared), free(grown);
  uint64_t *zeroes = xcalloc(100, sizeof *zeroes);
  for (int i = 0; i < 100; i++) assert_int_equal(zeroes[i], 0);
  free(zeroes);
  char *copy = xstrdup("text"), *part = xstrndup("a\0bc", 3), *empty = xstrndup(NULL, 0);
  assert_string_equal(copy, "text");
  assert_memory_equal(part, "a\0b\0", 4);
  assert_string_equal(empty, "");
  free(copy), free(part), free(empty);
}

int main(void) {
  random_start();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(starts_empty_and_ends_empty),
      cmocka_unit_test(agrees_with_a_plain_array),
      cmocka_unit_test(printf_at_every_fill),
      cmocka_unit_test(growth_is_amortised),
      cmocka_unit_test(allocation_of_nothing_is_something),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
