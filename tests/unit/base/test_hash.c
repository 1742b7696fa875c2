#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../random.h"
#include "base/hash.h"
#include "base/status.h"

// Values that others published, or that the first release wrote into journals: none may ever change.
static void known_answers(void **state) {
  (void)state;
  assert_true(hash64(BYTES_LIT("")) == 0x2d06800538d394c2);
  assert_true(hash128_eq(hash128(BYTES_LIT("")), (struct hash128){0x99aa06d3014798d8, 0x6001c324468d497f}));
  assert_int_equal(crc32c(0, BYTES_LIT("123456789")), 0xE3069283);
  uint8_t zeroes[32] = {0}, ones[32], rising[32];
  memset(ones, 0xFF, sizeof ones);
  for (uint8_t i = 0; i < 32; i++) rising[i] = i;
  assert_int_equal(crc32c(0, bytes_of(zeroes, 32)), 0x8A9136AA); // RFC 3720, B.4
  assert_int_equal(crc32c(0, bytes_of(ones, 32)), 0x62A8AB43);
  assert_int_equal(crc32c(0, bytes_of(rising, 32)), 0x46DD794E);
  assert_int_equal(crc32c(0, BYTES_LIT("")), 0);

  uint8_t sum[SHA256_SIZE];
  char hex[2 * SHA256_SIZE + 1];
  sha256_of(BYTES_LIT("abc"), sum);
  hex_encode(bytes_of(sum, sizeof sum), hex);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  sha256_of((struct bytes){NULL, 0}, sum);
  hex_encode(bytes_of(sum, sizeof sum), hex);
  assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

  // The first two vectors of SipHash-2-4-128's reference: key 00 to 0f, input empty and 00.
  struct hash128 h = hash128_keyed(rising, (struct bytes){NULL, 0});
  assert_true(h.hi == 0xe6a825ba047f81a3 && h.lo == 0x930255c71472f66d);
  h = hash128_keyed(rising, bytes_of(rising, 1));
  assert_true(h.hi == 0x44af996bd8c187da && h.lo == 0x45fc229b11597634);
}

static void seeds_and_keys_matter(void **state) {
  (void)state;
  struct bytes b = BYTES_LIT("ada@example.com");
  assert_true(hash64(b) == hash64_seed(b, 0));
  assert_true(hash64_seed(b, 1) != hash64_seed(b, 2));
  const uint8_t one[16] = {1}, two[16] = {2};
  assert_false(hash128_eq(hash128_keyed(one, b), hash128_keyed(two, b)));
}

static uint32_t slow_crc32c(uint32_t crc, const uint8_t *p, size_t n) {
  for (crc = ~crc; n > 0; p++, n--) {
    crc ^= *p;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
  }
  return ~crc;
}

static void crc_agrees_with_the_definition_and_goes_on(void **state) {
  (void)state;
  uint8_t data[200];
  for (int round = 0; round < 20000; round++) {
    size_t n = random_below(sizeof data), cut = random_below(n + 1);
    for (size_t i = 0; i < n; i++) data[i] = (uint8_t)random_next();
    uint32_t expected = slow_crc32c(0, data, n);
    assert_int_equal(crc32c(0, bytes_of(data, n)), expected);
    assert_int_equal(crc32c(crc32c(0, bytes_of(data, cut)), bytes_of(data + cut, n - cut)), expected);
  }
}

static void sha256_in_pieces_is_sha256_of_the_whole(void **state) {
  (void)state;
  uint8_t data[500], whole[SHA256_SIZE], pieces[SHA256_SIZE];
  struct sha256 *s = sha256_new();
  for (int round = 0; round < 2000; round++) {
    size_t n = random_below(sizeof data);
    for (size_t i = 0; i < n; i++) data[i] = (uint8_t)random_next();
    sha256_of(bytes_of(data, n), whole);
    if (round > 0) sha256_begin(s); // a new one has begun already
    for (size_t at = 0, k; at < n; at += k) {
      k = random_below(n - at + 1);
      sha256_add(s, bytes_of(data + at, k));
    }
    sha256_end(s, pieces);
    assert_memory_equal(whole, pieces, sizeof whole);
  }
  sha256_begin(s);
  sha256_add(s, BYTES_LIT("left behind"));
  sha256_free(s);
  sha256_free(NULL);
}

static void mixing_spreads_every_bit_of_both(void **state) {
  (void)state;
  assert_true(hash_mix(1, 2) != hash_mix(2, 1));
  assert_true(hash_mix(0, 0) != 0);
  for (int bit = 0; bit < 128; bit++) {
    int flips = 0;
    for (int i = 0; i < 1000; i++) {
      uint64_t a = random_next(), b = random_next();
      uint64_t a2 = bit < 64 ? a ^ (uint64_t)1 << bit : a, b2 = bit < 64 ? b : b ^ (uint64_t)1 << (bit - 64);
      flips += __builtin_popcountll(hash_mix(a, b) ^ hash_mix(a2, b2));
    }
    assert_true(flips > 31000 && flips < 33000); // of 64000; eight standard deviations
  }
}

static void units_fill_zero_to_one(void **state) {
  (void)state;
  assert_true(hash_unit(0) == 0 && hash_unit(0x7FF) == 0);
  assert_true(hash_unit(UINT64_MAX) == 1 - 0x1p-53);
  assert_true(hash_unit((uint64_t)1 << 63) == 0.5);
  double sum = 0;
  for (uint64_t i = 0; i < 100000; i++) {
    double u = hash_unit(hash_mix(i, 7));
    assert_true(u >= 0 && u < 1);
    sum += u;
  }
  assert_true(sum > 49000 && sum < 51000);
}

static void hex_forth_and_back(void **state) {
  (void)state;
  uint8_t data[64], again[64];
  char text[129];
  for (int round = 0; round < 10000; round++) {
    size_t n = random_below(sizeof data);
    for (size_t i = 0; i < n; i++) data[i] = (uint8_t)random_next();
    hex_encode(bytes_of(data, n), text);
    assert_int_equal(strlen(text), 2 * n);
    for (size_t i = 0; i < 2 * n; i++)
      if (random_below(2) && text[i] >= 'a') text[i] = (char)(text[i] - 'a' + 'A');
    assert_int_equal(hex_decode(bytes_of(text, 2 * n), again, n), 0);
    assert_memory_equal(again, data, n);
  }
}

static void hex_that_is_none(void **state) {
  (void)state;
  uint8_t out[2] = {7, 7};
  static const char *const bad[] = {"",
                                    "abc",
                                    "abcde",
                                    "abcdef",
                                    "abcg",
                                    "ab d",
                                    "ab:d",
                                    "ab/0",
                                    "ab@0",
                                    "ab`0",
                                    ("ab\x80"
                                     "0")};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(hex_decode(bytes_str(bad[i]), out, 2), ITD_EINVAL);
    assert_true(out[0] == 7 && out[1] == 7);
  }
  assert_int_equal(hex_decode(BYTES_LIT("abcd"), out, SIZE_MAX / 2 + 3), ITD_EINVAL);
  assert_int_equal(hex_decode(BYTES_LIT(""), out, 0), 0);
}

static void random_bytes_differ(void **state) {
  (void)state;
  uint8_t a[1000] = {0}, b[1000] = {0};
  random_bytes(a, sizeof a);
  random_bytes(b, sizeof b);
  assert_memory_not_equal(a, b, sizeof a);
  assert_memory_not_equal(a + 984, (uint8_t[16]){0}, 16);
  random_bytes(NULL, 0);
}

int main(void) {
  random_start();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_answers),
      cmocka_unit_test(seeds_and_keys_matter),
      cmocka_unit_test(crc_agrees_with_the_definition_and_goes_on),
      cmocka_unit_test(sha256_in_pieces_is_sha256_of_the_whole),
      cmocka_unit_test(mixing_spreads_every_bit_of_both),
      cmocka_unit_test(units_fill_zero_to_one),
      cmocka_unit_test(hex_forth_and_back),
      cmocka_unit_test(hex_that_is_none),
      cmocka_unit_test(random_bytes_differ),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
