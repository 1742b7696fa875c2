// distinct: how many different values, by the k least of their 64-bit hashes (k = limit). Up to k values they are all
// there and the count is exact. Beyond, the k-th least hash as a fraction u of the hash space gives the estimate (k -
// 1) / u, which is unbiased with a relative standard error of 1 / sqrt(k - 2): Bar-Yossef et al., "Counting distinct
// elements in a data stream" (2002), and Beyer et al., "On synopses for distinct-value estimation under multiset
// operations" (2007). The k least do not depend on order. State: how many are kept and whether there were more (32 bits
// each), then the hashes, least first.
#include "base/pmath.h"
#include "feature/ops.h"

static const size_t HASHES = 8;

// How many of the kept hashes are below `hash`.
static uint32_t rank_of(const uint8_t *hashes, uint32_t kept, uint64_t hash) {
  uint32_t low = 0, high = kept;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (load_u64(hashes + 8 * middle) < hash)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

size_t op_distinct_size(const struct feature *f) { return HASHES + 8 * (size_t)f->limit; }

void op_distinct_init(const struct feature *f, uint8_t *state) { (void)f, (void)state; }

void op_distinct_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  uint8_t *hashes = state + HASHES;
  uint32_t kept = load_u32(state);
  uint32_t at = rank_of(hashes, kept, sample->hash);
  if (at < kept && load_u64(hashes + 8 * at) == sample->hash) return;
  if (kept == f->limit) {
    store_u32(state + 4, 1);
    if (at == kept) return;
    kept--; // the greatest makes room
  }
  memmove(hashes + 8 * (at + 1), hashes + 8 * at, 8 * (size_t)(kept - at));
  store_u64(hashes + 8 * at, sample->hash);
  store_u32(state, kept + 1);
}

double op_distinct_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  (void)now_ms;
  uint32_t kept = load_u32(state);
  if (load_u32(state + 4) == 0) return kept;
  double u = ((double)load_u64(state + HASHES + 8 * (f->limit - 1)) + 1) * 0x1p-64;
  double estimate = pm_round_even((f->limit - 1) / u);
  return estimate > f->limit ? estimate : f->limit + 1.0; // there were more than are kept
}
