// What the tests of wire share: values written as JSON, random values, and a seed that is printed and can be given.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/mp.h"

static uint64_t rng_state;
static inline uint64_t rng(void) {
  rng_state ^= rng_state << 13, rng_state ^= rng_state >> 7, rng_state ^= rng_state << 17;
  return rng_state * 0x2545f4914f6cdd1dull;
}
static inline uint32_t rng_below(uint32_t n) { return (uint32_t)((rng() >> 32) % n); }

// A fixed seed by default, so that a failure is there again the next time.
static inline void rng_begin(uint64_t otherwise) {
  const char *text = getenv("SEED");
  uint64_t seed = text ? strtoull(text, NULL, 10) : otherwise;
  print_message("SEED=%llu\n", (unsigned long long)seed);
  rng_state = (seed * 0x9e3779b97f4a7c15ull) | 1;
}

static inline struct buf from_json(const char *json) {
  struct buf b;
  struct error err = {0};
  buf_init(&b);
  if (mp_from_json(bytes_str(json), &MP_LIMITS_DEFAULT, &b, &err) != 0) fail_msg("%s: %s", json, err.text);
  return b;
}

// The value as JSON text; free with free().
static inline char *to_json(struct bytes value) {
  struct buf b;
  buf_init(&b);
  mp_to_json(value, &b);
  buf_append_u8(&b, 0);
  return (char *)b.p;
}

static inline void assert_json(struct bytes value, const char *json) {
  char *text = to_json(value);
  assert_string_equal(text, json);
  free(text);
}

static inline void assert_bytes(struct bytes got, struct bytes want) {
  assert_int_equal(got.n, want.n);
  if (got.n > 0) assert_memory_equal(got.p, want.p, got.n);
}
static inline void assert_text(struct bytes got, const char *want) { assert_bytes(got, bytes_str(want)); }

// A random whole value of every form that MessagePack has, also of forms longer than need be; at most `depth` levels.
static inline void be_put(struct buf *b, uint64_t v, unsigned width) {
  while (width-- > 0) buf_append_u8(b, (uint8_t)(v >> (8 * width)));
}
static inline void random_value(struct buf *b, unsigned depth) {
  static const uint8_t plain[] = {0xc0, 0xc2, 0xc3, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3};
  static const uint8_t plain_width[] = {0, 0, 0, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
  uint32_t kind = rng_below(depth > 0 ? 10 : 7), form = rng_below(4), n = rng_below(rng_below(8) ? 6 : 40);
  uint64_t count_form = form == 0 ? 0 : form; // 0: in the first byte
  switch (kind) {
  case 0: buf_append_u8(b, (uint8_t)rng_below(128)); return;
  case 1: buf_append_u8(b, (uint8_t)(0xe0 + rng_below(32))); return;
  case 2:
  case 3: {
    uint32_t i = rng_below(sizeof plain);
    buf_append_u8(b, plain[i]);
    be_put(b, rng(), plain_width[i]);
    return;
  }
  case 4: // str or bin
  case 5:
    if (kind == 4 && count_form == 0)
      n %= 32, buf_append_u8(b, (uint8_t)(0xa0 + n));
    else {
      if (count_form == 0) count_form = 1;
      buf_append_u8(b, (uint8_t)((kind == 4 ? 0xd8 : 0xc3) + count_form));
      be_put(b, n, 1u << (count_form - 1));
    }
    for (uint32_t i = 0; i < n; i++) buf_append_u8(b, (uint8_t)(rng_below(4) ? 'a' + rng_below(26) : rng_below(256)));
    return;
  case 6: // ext
    if (count_form == 0) {
      uint32_t size = rng_below(5);
      buf_append_u8(b, (uint8_t)(0xd4 + size));
      n = 1u << size;
    } else {
      buf_append_u8(b, (uint8_t)(0xc6 + count_form));
      be_put(b, n, 1u << (count_form - 1));
    }
    buf_append_u8(b, (uint8_t)rng_below(256));
    for (uint32_t i = 0; i < n; i++) buf_append_u8(b, (uint8_t)rng_below(256));
    return;
  default: { // array or map
    bool is_map = kind == 9;
    n = rng_below(6);
    if (count_form < 2)
      buf_append_u8(b, (uint8_t)((is_map ? 0x80 : 0x90) + n));
    else {
      buf_append_u8(b, (uint8_t)((is_map ? 0xde : 0xdc) + count_form - 2));
      be_put(b, n, count_form == 2 ? 2 : 4);
    }
    for (uint32_t i = 0; i < n * (is_map ? 2 : 1); i++) random_value(b, depth - 1);
  }
  }
}
