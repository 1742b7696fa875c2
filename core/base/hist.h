// struct hist: a latency histogram with fixed log-linear buckets (8 per power of two, 12 % wide at most), one writer
// thread, any readers. Values are whole units that the owner names (nanoseconds, bytes). No allocation after init.
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#define HIST_BUCKETS (8 * 41) // up to 2^43 units (2.4 hours in ns); larger values count in the last bucket

struct hist {
  _Atomic uint64_t count, sum;
  _Atomic uint64_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t value);               // relaxed stores: the owner's thread only
void hist_merge(struct hist *into, const struct hist *from); // `into` belongs to the caller
uint64_t hist_quantile(const struct hist *h, double q);      // upper edge of the bucket where it lies; 0 if empty
uint64_t hist_upper(unsigned bucket); // the largest value that the bucket counts; UINT64_MAX for the last
