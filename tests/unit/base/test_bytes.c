#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "base/bytes.h"

static void views_of_literals_and_strings(void **state) {
  (void)state;
  assert_true(bytes_is(BYTES_LIT("abc"), "abc"));
  assert_int_equal(BYTES_LIT("a\0b").n, 3);
  assert_false(bytes_is(BYTES_LIT("a\0b"), "a"));
  assert_int_equal(bytes_str(NULL).n, 0);
  assert_true(bytes_eq((struct bytes){NULL, 0}, BYTES_LIT("")));
  assert_false(bytes_eq(BYTES_LIT("ab"), BYTES_LIT("ac")));
}

static void order_is_by_bytes_with_a_prefix_first(void **state) {
  (void)state;
  const char *sorted[] = {"", "A", "AB", "B", "a", "ab", "abc", "b", "\x7f", "\x80", "\xff", "\xff\x01"};
  enum { N = sizeof sorted / sizeof *sorted };
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++)
      assert_int_equal(bytes_compare(bytes_str(sorted[i]), bytes_str(sorted[j])), (i > j) - (i < j));
  assert_int_equal(bytes_compare((struct bytes){NULL, 0}, (struct bytes){NULL, 0}), 0);
  assert_int_equal(bytes_compare((struct bytes){NULL, 0}, BYTES_LIT("\0")), -1);
}

// A slow decoder that follows the definition instead of the ranges: value, then shortest form, surrogates, the limit.
static size_t oracle_first(const uint8_t *p, size_t n) {
  if (n == 0) return 0;
  size_t length = p[0] < 0x80             ? 1
                  : (p[0] & 0xE0) == 0xC0 ? 2
                  : (p[0] & 0xF0) == 0xE0 ? 3
                  : (p[0] & 0xF8) == 0xF0 ? 4
                                          : 0;
  if (length == 0 || n < length) return 0;
  uint32_t value = length == 1 ? p[0] : p[0] & (0x7Fu >> length);
  for (size_t i = 1; i < length; i++) {
    if ((p[i] & 0xC0) != 0x80) return 0;
    value = value << 6 | (p[i] & 0x3Fu);
  }
  size_t shortest = value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
  bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  return shortest == length && !surrogate && value <= 0x10FFFF ? length : 0;
}

static bool oracle_is_utf8(const uint8_t *p, size_t n) {
  while (n > 0) {
    size_t length = oracle_first(p, n);
    if (length == 0) return false;
    p += length, n -= length;
  }
  return true;
}

static void every_three_bytes_agree_with_the_definition(void **state) {
  (void)state;
  for (uint32_t v = 0; v < 1u << 24; v++) {
    uint8_t p[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    if (bytes_utf8_first(bytes_of(p, 3)) != oracle_first(p, 3)) fail_msg("%02x %02x %02x", p[0], p[1], p[2]);
  }
}

static void four_bytes_agree_at_the_edges(void **state) {
  (void)state;
  static const uint8_t edge[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xED, 0xF0, 0xF4, 0xFF};
  for (unsigned first = 0xE0; first < 0x100; first++)
    for (unsigned second = 0; second < 0x100; second++)
      for (size_t i = 0; i < sizeof edge; i++)
        for (size_t j = 0; j < sizeof edge; j++) {
          uint8_t p[4] = {(uint8_t)first, (uint8_t)second, edge[i], edge[j]};
          for (size_t n = 0; n <= 4; n++) assert_int_equal(bytes_utf8_first(bytes_of(p, n)), oracle_first(p, n));
        }
}

static void texts_with_flaws_anywhere(void **state) {
  (void)state;
  static const char *const parts[] = {"plain ascii text", "é", "€", "😀", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF", "", "x"};
  for (int round = 0; round < 200000; round++) {
    uint8_t text[128];
    size_t n = 0;
    for (uint64_t k = random_below(6); k > 0; k--) {
      const char *part = parts[random_below(sizeof parts / sizeof *parts)];
      memcpy(text + n, part, strlen(part));
      n += strlen(part);
    }
    assert_true(bytes_is_utf8(bytes_of(text, n)));
    if (n == 0) continue;
    if (random_below(2))
      text[random_below(n)] = (uint8_t)random_next();
    else
      n = random_below(n);
    assert_int_equal(bytes_is_utf8(bytes_of(text, n)), oracle_is_utf8(text, n));
  }
}

int main(void) {
  random_start();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(views_of_literals_and_strings),
      cmocka_unit_test(order_is_by_bytes_with_a_prefix_first),
      cmocka_unit_test(every_three_bytes_agree_with_the_definition),
      cmocka_unit_test(four_bytes_agree_at_the_edges),
      cmocka_unit_test(texts_with_flaws_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
