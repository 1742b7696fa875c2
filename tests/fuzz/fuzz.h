// What the fuzzers share. A postcondition that does not hold aborts (CHECK), and libFuzzer keeps the input.
#pragma once
#include "base/check.h"
#include "wire/mp.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

// Small limits, so that short inputs reach them.
static const struct mp_limits fuzz_limits = {.depth_max = 16, .objects_max = 512, .bytes_max = 4096};

// The bytes in memory of just their size, so that the sanitizer sees a read one behind them.
static inline struct buf fuzz_exact(struct bytes b) {
  struct buf copy = {.p = xmalloc(b.n ? b.n : 1), .n = b.n, .cap = b.n ? b.n : 1};
  if (b.n > 0) memcpy(copy.p, b.p, b.n);
  return copy;
}

// Is this exactly one whole value, within limits that nothing of ours exceeds?
static inline bool fuzz_is_one_value(struct bytes b) {
  const struct mp_limits wide = {MP_DEPTH_MAX, UINT32_MAX, SIZE_MAX};
  size_t len;
  return mp_scan(b, &wide, &len, NULL) == 1 && len == b.n;
}
