// quantile: DDSketch (Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
// guarantees", 2019). A number's size |x| falls into bin i = ceil(log_g |x|), g = (1 + accuracy) / (1 - accuracy), and
// (1 - accuracy) g^i is within `accuracy` of everything in it. Positive and negative numbers have `limit` bins each, from
// the greatest size seen downwards; what is smaller falls into the lowest of them. So the bins depend only on which
// numbers came: the order of arrival never shows, and two sketches add up exactly.
// State: how many zeros, then for positive and for negative numbers how many, the greatest bin's number (TIME_NONE: none)
// and `limit` counts of 32 bits, the lowest bin first.
#include "base/pmath.h"
#include "feature/ops.h"
#include "feature/tiles.h"
#include <math.h>

static size_t bins_size(const struct feature *f) { return 8 + tiles_size(f->limit, 4); }
static size_t positive_at(void) { return 8; }
static size_t negative_at(const struct feature *f) { return 8 + bins_size(f); }

static int64_t bin_of(const struct feature *f, double size) { return (int64_t)pm_ceil(pm_log(size) / f->bin_log); }
static double value_of(const struct feature *f, int64_t bin) {
  return saturate(pm_exp((double)bin * f->bin_log) * (1 - f->accuracy));
}

static const size_t TOP = 8, CELLS = 16;
static uint32_t cell(const uint8_t *bins, uint32_t i) { return load_u32(bins + CELLS + 4 * i); }
static void cell_add(uint8_t *bins, uint32_t i, uint64_t n) {
  uint64_t sum = cell(bins, i) + n;
  store_u32(bins + CELLS + 4 * i, sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX);
}

// The greatest bin moves up by `by`; what lies below the new lowest one falls into it.
static void move_up(const struct feature *f, uint8_t *bins, uint64_t by) {
  uint32_t out = by < f->limit ? (uint32_t)by : f->limit;
  uint64_t fallen = 0;
  for (uint32_t i = 0; i < out; i++) fallen += cell(bins, i);
  memmove(bins + CELLS, bins + CELLS + 4 * out, 4 * (size_t)(f->limit - out));
  memset(bins + CELLS + 4 * (f->limit - out), 0, 4 * (size_t)out);
  cell_add(bins, 0, fallen);
}

static void add(const struct feature *f, uint8_t *bins, int64_t bin, uint64_t n) {
  int64_t top = load_i64(bins + TOP);
  if (top == TIME_NONE || bin > top) {
    if (top != TIME_NONE) move_up(f, bins, (uint64_t)(bin - top));
    store_i64(bins + TOP, top = bin);
  }
  store_u64(bins, load_u64(bins) + n);
  int64_t below = top - bin;
  cell_add(bins, below < f->limit ? f->limit - 1 - (uint32_t)below : 0, n);
}

size_t op_quantile_size(const struct feature *f) { return 8 + 2 * bins_size(f); }
void op_quantile_init(const struct feature *f, uint8_t *state) {
  store_i64(state + positive_at() + TOP, TIME_NONE);
  store_i64(state + negative_at(f) + TOP, TIME_NONE);
}

void op_quantile_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  double x = sample->number;
  if (x == 0)
    store_u64(state, load_u64(state) + 1);
  else
    add(f, state + (x > 0 ? positive_at() : negative_at(f)), bin_of(f, fabs(x)), 1);
}

// The value of that rank from 0 by size, among `total` of one sign: from the nearer end.
static double by_rank(const struct feature *f, const uint8_t *bins, uint64_t rank) {
  uint64_t total = load_u64(bins), passed = 0;
  uint32_t i;
  if (rank < total / 2) {
    for (i = 0; i + 1 < f->limit && (passed += cell(bins, i)) <= rank;) i++;
  } else {
    for (i = f->limit - 1; i > 0 && (passed += cell(bins, i)) < total - rank;) i--;
  }
  return value_of(f, load_i64(bins + TOP) - (f->limit - 1 - i));
}

// Of the numbers in order, the one of that rank from 0: the negative ones begin with the greatest size.
double op_quantile_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  (void)now_ms;
  const uint8_t *negative = state + negative_at(f), *positive = state + positive_at();
  uint64_t below = load_u64(negative), zeros = load_u64(state), n = below + zeros + load_u64(positive);
  if (n == 0) return NAN;
  uint64_t rank = (uint64_t)(f->q * (double)(n - 1));
  if (rank < below) return -by_rank(f, negative, below - 1 - rank);
  return rank < below + zeros ? 0 : by_rank(f, positive, rank - below - zeros);
}

static void merge_bins(const struct feature *f, uint8_t *into, const uint8_t *other) {
  int64_t top = load_i64(other + TOP);
  if (top == TIME_NONE) return;
  for (uint32_t i = f->limit; i-- > 0;) // the greatest first: the others move once
    if (cell(other, i)) add(f, into, top - (f->limit - 1 - i), cell(other, i));
}
void op_quantile_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  store_u64(into, load_u64(into) + load_u64(other));
  merge_bins(f, into + positive_at(), other + positive_at());
  merge_bins(f, into + negative_at(f), other + negative_at(f));
}
