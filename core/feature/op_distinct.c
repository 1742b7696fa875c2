// distinct: how many different values. Up to `limit` of them their 64-bit hashes are kept, in order, and the count is
// exact. One more, and the hashes become HyperLogLog registers in the same bytes: Flajolet, Fusy, Gandouet, Meunier,
// "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm" (2007), with its correction for small
// counts; 64 bits need none for large ones. Its relative standard error is 1.04 / sqrt(registers), and where the
// correction ends (2.5 to 4 values a register) the estimate leans up by at most 2.5 %. Either form depends
// only on the set of values seen, so the order of arrival never shows, and two of them unite exactly.
// State: how many hashes are kept, or REGISTERS (32 bits), 32 zero bits, then hashes, least first, or one byte a
// register; unused bytes are zero.
#include "base/pmath.h"
#include "feature/ops.h"

#define REGISTERS UINT32_MAX
static const size_t BODY = 8;

static size_t registers_of(const struct feature *f) { return (size_t)1 << f->precision; }
static size_t body_of(const struct feature *f) {
  size_t exact = 8 * (size_t)f->limit;
  return exact > registers_of(f) ? exact : registers_of(f);
}

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

// The upper bits of the hash choose the register; it keeps the greatest number of zeros before the first one, plus 1,
// of the bits behind them.
static void enter(const struct feature *f, uint8_t *registers, uint64_t hash) {
  uint8_t *at = registers + (hash >> (64 - f->precision));
  uint64_t rest = hash << f->precision | UINT64_C(1) << (f->precision - 1); // the last one ends it
  uint8_t zeros = (uint8_t)(__builtin_clzll(rest) + 1);
  if (zeros > *at) *at = zeros;
}

static void to_registers(const struct feature *f, uint8_t *state) {
  uint64_t hashes[FEATURE_LIMIT_MAX];
  uint32_t kept = load_u32(state);
  for (uint32_t i = 0; i < kept; i++) hashes[i] = load_u64(state + BODY + 8 * i);
  store_u32(state, REGISTERS);
  memset(state + BODY, 0, body_of(f));
  for (uint32_t i = 0; i < kept; i++) enter(f, state + BODY, hashes[i]);
}

size_t op_distinct_size(const struct feature *f) { return BODY + body_of(f); }

void op_distinct_init(const struct feature *f, uint8_t *state) { (void)f, (void)state; }

static void add(const struct feature *f, uint8_t *state, uint64_t hash) {
  uint8_t *hashes = state + BODY;
  uint32_t kept = load_u32(state);
  if (kept != REGISTERS) {
    uint32_t at = rank_of(hashes, kept, hash);
    if (at < kept && load_u64(hashes + 8 * at) == hash) return;
    if (kept < f->limit) {
      memmove(hashes + 8 * (at + 1), hashes + 8 * at, 8 * (size_t)(kept - at));
      store_u64(hashes + 8 * at, hash);
      store_u32(state, kept + 1);
      return;
    }
    to_registers(f, state);
  }
  enter(f, hashes, hash);
}

void op_distinct_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  add(f, state, sample->hash);
}

void op_distinct_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  uint32_t kept = load_u32(other);
  if (kept != REGISTERS) {
    for (uint32_t i = 0; i < kept; i++) add(f, into, load_u64(other + BODY + 8 * i));
    return;
  }
  if (load_u32(into) != REGISTERS) to_registers(f, into);
  for (size_t i = BODY; i < BODY + registers_of(f); i++)
    if (other[i] > into[i]) into[i] = other[i];
}

static double two_to_minus(unsigned n) { // exact for all that a register holds
  uint64_t bits = (uint64_t)(1023 - n) << 52;
  double v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

// Bias of the harmonic mean: from the paper, its table for few registers and its formula for more.
static double alpha(double m) {
  if (m <= 16) return 0.673;
  if (m <= 32) return 0.697;
  if (m <= 64) return 0.709;
  return 0.7213 / (1 + 1.079 / m);
}

double op_distinct_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  (void)now_ms;
  uint32_t kept = load_u32(state);
  if (kept != REGISTERS) return kept;
  size_t count = registers_of(f), empty = 0;
  double m = (double)count, sum = 0;
  for (size_t i = 0; i < count; i++) {
    sum += two_to_minus(state[BODY + i]);
    empty += state[BODY + i] == 0;
  }
  double estimate = alpha(m) * m * m / sum;
  if (estimate <= 2.5 * m && empty > 0) estimate = m * pm_log(m / (double)empty); // few: how many stayed empty
  estimate = pm_round_even(estimate);
  return estimate > f->limit ? estimate : f->limit + 1.0; // there were more than could be kept
}
