// decay: a sum in which each value halves every half_life. Time is cut into half-lives q = 0, 1, … from 1970. A value v
// at time t in half-life q weighs v * 2^(t's fraction of q), and the sum is kept relative to the newest q that had a
// match: moving it on by n half-lives is an exact multiplication with 2^-n. So a value's weight is the same bits
// whenever it arrives, late ones need no special case, and the order of arrival shows only as the rounding of
// additions. State: q, then the sum.
#include "base/pmath.h"
#include "feature/ops.h"

// x * 2^-n, n >= 0: exact unless it falls below the normal doubles.
static double halve(double x, int64_t n) {
  for (; n >= 1000; n -= 1000) {
    if (x == 0) return 0;
    x *= 0x1p-1000;
  }
  uint64_t bits = (uint64_t)(1023 - n) << 52;
  double scale;
  memcpy(&scale, &bits, sizeof scale);
  return x * scale;
}

// The fraction of its half-life that has gone at `time_ms`, in [0, 1).
static double fraction(const struct feature *f, int64_t time_ms, int64_t q) {
  return (double)(time_ms - q * f->half_life_ms) / (double)f->half_life_ms;
}

size_t op_decay_size(const struct feature *f) { return (void)f, 16; }
void op_decay_init(const struct feature *f, uint8_t *state) { (void)f, store_i64(state, TIME_NONE); }

void op_decay_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  int64_t newest = load_i64(state), q = floor_div(sample->time_ms, f->half_life_ms);
  double sum = load_f64(state + 8);
  double weight = saturate(sample->number * pm_exp2(fraction(f, sample->time_ms, q)));
  if (newest == TIME_NONE) newest = q;
  if (q > newest) sum = halve(sum, q - newest), newest = q;
  store_i64(state, newest);
  store_f64(state + 8, saturate(sum + halve(weight, newest - q)));
}

double op_decay_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  int64_t newest = load_i64(state), q = floor_div(now_ms, f->half_life_ms);
  if (newest == TIME_NONE) return 0;
  if (q < newest) return load_f64(state + 8); // only when asked about a time before the last match
  return halve(load_f64(state + 8) * pm_exp2(-fraction(f, now_ms, q)), q - newest);
}

void op_decay_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  (void)f;
  int64_t a = load_i64(into), b = load_i64(other), newest = a > b ? a : b; // TIME_NONE is below every half-life
  double sum = a == TIME_NONE ? 0 : halve(load_f64(into + 8), newest - a);
  if (b != TIME_NONE) sum = saturate(sum + halve(load_f64(other + 8), newest - b));
  store_i64(into, newest);
  store_f64(into + 8, sum);
}
