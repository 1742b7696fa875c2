// Log-linear buckets: values below 8 have one each; from there every power of two is cut into 8 equal ones.
#include "base/hist.h"

#include <stdbool.h>

static unsigned bucket_of(uint64_t value) {
  if (value < 8) return (unsigned)value;
  unsigned exponent = 63u - (unsigned)__builtin_clzll(value);
  unsigned bucket = (exponent - 2) * 8 + (unsigned)(value >> (exponent - 3) & 7);
  return bucket < HIST_BUCKETS ? bucket : HIST_BUCKETS - 1;
}

uint64_t hist_upper(unsigned bucket) {
  if (bucket < 8) return bucket;
  if (bucket >= HIST_BUCKETS - 1) return UINT64_MAX;
  unsigned shift = bucket / 8 - 1;
  return ((uint64_t)(9 + bucket % 8) << shift) - 1;
}

// One writer: a plain load and store is enough, and costs a fraction of a locked add.
static void add_relaxed(_Atomic uint64_t *at, uint64_t n) {
  atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + n, memory_order_relaxed);
}

static uint64_t get_relaxed(const _Atomic uint64_t *at) { return atomic_load_explicit(at, memory_order_relaxed); }

void hist_add(struct hist *h, uint64_t value) {
  add_relaxed(&h->count, 1);
  add_relaxed(&h->sum, value);
  add_relaxed(&h->bucket[bucket_of(value)], 1);
}

void hist_merge(struct hist *into, const struct hist *from) {
  add_relaxed(&into->count, get_relaxed(&from->count));
  add_relaxed(&into->sum, get_relaxed(&from->sum));
  for (unsigned i = 0; i < HIST_BUCKETS; i++) add_relaxed(&into->bucket[i], get_relaxed(&from->bucket[i]));
}

// The rank (from 1) of the value sought among `total`: the smallest whole number >= q * total.
static uint64_t rank_of(double q, uint64_t total) {
  if (!(q > 0)) return 1;
  double exact = q * (double)total;
  if (exact >= (double)total) return total;
  uint64_t rank = (uint64_t)exact;
  return rank + ((double)rank < exact || rank == 0);
}

uint64_t hist_quantile(const struct hist *h, double q) {
  // The buckets, not the count: a reader that meets the writer half-way must still come to an end inside them.
  uint64_t copy[HIST_BUCKETS], total = 0;
  for (unsigned i = 0; i < HIST_BUCKETS; i++) total += copy[i] = get_relaxed(&h->bucket[i]);
  if (total == 0) return 0;
  uint64_t rank = rank_of(q, total);
  unsigned bucket = 0;
  for (uint64_t seen = copy[0]; seen < rank; seen += copy[bucket]) bucket++;
  return hist_upper(bucket);
}
