// Portable exp, log, pow and their kin. How: a value that must be known better than a double can hold is a sum of two
// doubles (struct dd, after Dekker 1971 and Knuth); exponentials reduce by ln 2 after Cody and Waite, with a Taylor
// series whose first two terms are exact; logarithms reduce by a table of reciprocals after Tang 1990. The result is
// rounded from such a sum once, so that errors stay near half an ULP. Pure; any thread.
#include "base/pmath.h"

#include "base/check.h"
#include "base/pmath_table.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "portable results need IEEE-754 arithmetic as it is written"
#endif
_Static_assert(FLT_EVAL_METHOD == 0 && DBL_MANT_DIG == 53, "double arithmetic in doubles");

static const double inf = INFINITY;

static inline uint64_t to_bits(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline double from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

#define SIGN_BIT      0x8000000000000000u
#define MANTISSA_BITS 0x000FFFFFFFFFFFFFu

// Not NAN: 0/0 has another sign on x86 than on other machines, and payloads would travel.
static inline double canonical_nan(void) { return from_bits(0x7FF8000000000000u); }
static inline double absolute(double x) { return from_bits(to_bits(x) & ~SIGN_BIT); }
static inline double with_sign_of(double x, double sign) {
  return from_bits((to_bits(x) & ~SIGN_BIT) | (to_bits(sign) & SIGN_BIT));
}
static inline double power_of_2(int n) { return from_bits((uint64_t)(n + 1023) << 52); } // -1022 <= n <= 1023

// The top 26 bits of the significand: the product of two such is exact, and so is x minus its own.
static inline double top(double x) { return from_bits(to_bits(x) & ~(uint64_t)0x7FFFFFF); }

// ---- sums of two doubles, h + l with |l| at most half an ULP of h (but for the last bits)

struct dd {
  double h, l;
};

// Exact when |a| >= |b| or a is 0.
static inline struct dd fast_sum(double a, double b) {
  double h = a + b;
  return (struct dd){h, b - (h - a)};
}

static inline struct dd exact_sum(double a, double b) {
  double h = a + b, b_seen = h - a;
  return (struct dd){h, (a - (h - b_seen)) + (b - b_seen)};
}

static inline struct dd exact_product(double a, double b) {
  double ah = top(a), al = a - ah, bh = top(b), bl = b - bh, h = a * b;
  return (struct dd){h, ((ah * bh - h) + (ah * bl + al * bh)) + al * bl};
}

static inline struct dd multiply(struct dd a, struct dd b) {
  struct dd p = exact_product(a.h, b.h);
  return fast_sum(p.h, p.l + (a.h * b.l + a.l * b.h));
}

static inline double quotient(struct dd a, struct dd b) {
  double q = a.h / b.h;
  struct dd p = exact_product(q, b.h);
  return q + (((a.h - p.h) - p.l) + (a.l - q * b.l)) / b.h;
}

static const struct dd ln_2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
static const struct dd inverse_ln_2 = {0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56};
static const struct dd inverse_ln_10 = {0x1.bcb7b1526e50ep-2, 0x1.95355baaafad3p-57};
// These have h in multiples of 2^-42: h times a whole number below 2^11 is exact.
static const struct dd ln_2_step = {0x1.62e42fefa38p-1, 0x1.ef35793c7673p-45};
static const struct dd log10_2_step = {0x1.34413509f8p-2, -0x1.80433b83b532ap-44};

// ---- the core of the exponentials

// The nearest whole number, for |x| < 2^51: beyond 2^52 doubles have no fractions left.
static inline double nearest(double x) { return (x + 0x1.8p52) - 0x1.8p52; }

// 1/3! + r/4! + … + r^12/15!, for |r| <= 0.35: what it leaves out is below 2^-62 of e^r.
static inline double exp_series(double r) {
  double r2 = r * r, r4 = r2 * r2;
  double a =
      (0x1.5555555555555p-3 + r * 0x1.5555555555555p-5) + r2 * (0x1.1111111111111p-7 + r * 0x1.6c16c16c16c17p-10);
  double b =
      (0x1.a01a01a01a01ap-13 + r * 0x1.a01a01a01a01ap-16) + r2 * (0x1.71de3a556c734p-19 + r * 0x1.27e4fb7789f5cp-22);
  double c =
      (0x1.ae64567f544e4p-26 + r * 0x1.1eed8eff8d898p-29) + r2 * (0x1.6124613a86d09p-33 + r * 0x1.93974a8c07c9dp-37);
  return a + r4 * (b + r4 * (c + r4 * 0x1.ae7f3e733b81fp-41));
}

// e^(r + low) - 1 for |r| <= 0.35 and low below an ULP of r: r + r²/2 is exact, the rest is small beside it.
static inline struct dd expm1_near_0(double r, double low) {
  double rh = top(r);
  struct dd sum = fast_sum(r, 0.5 * (rh * rh));
  double rest = 0.5 * ((r + rh) * (r - rh)) + (low + low * r) + (r * r) * r * exp_series(r);
  return (struct dd){sum.h, sum.l + rest};
}

struct scaled {
  struct dd v; // its l up to 2^-6 of h: one more fast_sum makes it as small as elsewhere
  int k;       // times 2^k
};

// x + low = k ln 2 + r; k ln_2_step.h is exact for |x| < 1400, and so is the difference to x.
static inline struct dd reduce_exp(double x, double low, double k) {
  double r = x - k * ln_2_step.h;
  return fast_sum(r, low - k * ln_2_step.l);
}

// e^(x + low) for |x| < 760, its v in [0.7, 1.42].
static inline struct scaled exp_core(double x, double low) {
  double k = nearest(x * inverse_ln_2.h);
  struct dd r = reduce_exp(x, low, k), e = expm1_near_0(r.h, r.l), sum = fast_sum(1, e.h);
  return (struct scaled){{sum.h, sum.l + e.l}, (int)k};
}

// v * 2^k rounded once, also where the result is subnormal; infinity when it is too large.
static inline double round_scaled(struct scaled s) {
  double v = s.v.h + s.v.l;
  if (__builtin_expect(s.k >= -1021 && s.k <= 1023, 1)) return v * power_of_2(s.k);
  if (s.k > 1023) return v * 0x1p1023 * power_of_2(s.k - 1023);
  if (s.k == -1022 && v >= 1) return v * 0x1p-1022;
  // Beside 1 the last place is 2^-52, which 2^-1022 turns into the last place of the subnormals.
  double scale = power_of_2(s.k + 1022);
  struct dd sum = fast_sum(1, s.v.h * scale);
  return ((sum.h + (sum.l + s.v.l * scale)) - 1) * 0x1p-1022;
}

double pm_exp(double x) {
  if (x != x) return canonical_nan();
  if (x > 710) return inf;
  if (x < -746) return 0;
  return round_scaled(exp_core(x, 0));
}

double pm_exp2(double x) {
  if (x != x) return canonical_nan();
  if (x > 1025) return inf;
  if (x < -1080) return 0;
  double k = nearest(x);
  struct dd r = multiply((struct dd){x - k, 0}, ln_2), e = expm1_near_0(r.h, r.l), sum = fast_sum(1, e.h);
  return round_scaled((struct scaled){{sum.h, sum.l + e.l}, (int)k});
}

// e^x - 1 for 2^-54 <= |x| <= 64.
static inline struct dd expm1_core(double x) {
  double k = nearest(x * inverse_ln_2.h);
  struct dd r = reduce_exp(x, 0, k), e = expm1_near_0(r.h, r.l);
  if (k == 0) return fast_sum(e.h, e.l);
  double scale = power_of_2((int)k);
  struct dd power = fast_sum(1, e.h); // 2^k (1 + e) - 1: the cancellation at k = -1 and 1 costs 2 bits of many
  struct dd sum = exact_sum(scale * power.h, -1);
  return fast_sum(sum.h, sum.l + scale * (power.l + e.l));
}

double pm_expm1(double x) {
  if (x != x) return canonical_nan();
  if (absolute(x) < 0x1p-54) return x;
  if (x > 64) return pm_exp(x);
  if (x < -40) return -1;
  return expm1_core(x).h;
}

double pm_tanh(double x) {
  if (x != x) return canonical_nan();
  double a = absolute(x);
  if (a < 0x1p-28) return x;
  if (a > 20) return with_sign_of(1, x);
  struct dd e = expm1_core(2 * a), sum = exact_sum(e.h, 2);
  sum.l += e.l;
  return with_sign_of(quotient(e, sum), x);
}

double pm_sigmoid(double x) {
  if (x != x) return canonical_nan();
  if (x > 40) return 1;
  if (x < -40) return pm_exp(x);
  struct scaled s = exp_core(-absolute(x), 0);
  double scale = power_of_2(s.k);
  struct dd t = fast_sum(s.v.h * scale, s.v.l * scale), sum = fast_sum(1, t.h);
  sum.l += t.l;
  return quotient(x < 0 ? t : (struct dd){1, 0}, sum);
}

// ---- the core of the logarithms

struct log_parts {
  double k; // log x = k ln 2 + row + log(1 + f)
  struct dd row, f;
};

// For 0 < x < infinity; |f| < 2^-7. f is exact: the table's reciprocals have 11 bits, so that each half of m may be
// multiplied by them without rounding. Next to 1, on both sides, k and row are 0 and f is x - 1.
static inline struct log_parts log_reduce(double x) {
  int k = -1023;
  if (x < 0x1p-1022) x *= 0x1p54, k -= 54;
  uint64_t mantissa = to_bits(x) & MANTISSA_BITS;
  unsigned row = (unsigned)((mantissa + ((uint64_t)1 << 44)) >> 45);
  k += (int)(to_bits(x) >> 52) + (row >= LOG_FIRST_HALVED);
  const struct log_row *t = &log_table[row];
  double m = from_bits(mantissa | 0x3FF0000000000000u), high = top(m);
  struct dd f = exact_sum(high * t->inverse - 1, (m - high) * t->inverse);
  return (struct log_parts){k, {t->log_h, t->log_l}, f};
}

// 1/3 - f/4 + … + f^8/11, for |f| < 2^-7: what it leaves out is below 2^-73 of log(1 + f).
static inline double log_series(double f) {
  double f2 = f * f, f4 = f2 * f2;
  double a = (0x1.5555555555555p-2 - f * 0.25) + f2 * (0x1.999999999999ap-3 - f * 0x1.5555555555555p-3);
  double b = (0x1.2492492492492p-3 - f * 0.125) + f2 * (0x1.c71c71c71c71cp-4 - f * 0x1.999999999999ap-4);
  return a + f4 * (b + f4 * 0x1.745d1745d1746p-4);
}

// base + log(1 + f), where base is 0 or larger than f; base.h + f.h and f²/2 are exact, the rest is small beside them.
static inline struct dd log_sum(struct dd base, struct dd f) {
  double r = f.h, rh = top(r);
  struct dd first = fast_sum(base.h, r), second = fast_sum(first.h, -0.5 * (rh * rh));
  double rest = (base.l + (f.l - f.l * r)) - 0.5 * ((r + rh) * (r - rh)) + (r * r) * r * log_series(r);
  return fast_sum(second.h, (first.l + second.l) + rest);
}

// log(x + low) for 0 < x < infinity and low at most half an ULP of x.
static inline struct dd log_core(double x, double low) {
  struct log_parts p = log_reduce(x);
  double h = p.k * ln_2_step.h + p.row.h, l = p.k * ln_2_step.l + p.row.l;
  return log_sum((struct dd){h, l + low / x}, p.f);
}

// True when the logarithm of x is a special case, and then which one it is.
static inline bool log_special(double x, double *result) {
  if (__builtin_expect(x > 0 && x < inf, 1)) return false;
  *result = x == 0 ? -inf : x == inf ? inf : canonical_nan();
  return true;
}

double pm_log(double x) {
  double special;
  if (log_special(x, &special)) return special;
  struct log_parts p = log_reduce(x);
  double h = p.k * ln_2_step.h + p.row.h, l = p.k * ln_2_step.l + p.row.l;
  return log_sum((struct dd){h, l}, p.f).h;
}

double pm_log1p(double x) {
  double special;
  if (absolute(x) < 0x1p-54) return x;
  if (log_special(1 + x, &special)) return special;
  if (absolute(x) < 0x1p-8) return log_sum((struct dd){0, 0}, (struct dd){x, 0}).h;
  struct dd sum = exact_sum(1, x);
  return log_core(sum.h, sum.l).h;
}

double pm_log2(double x) {
  double special;
  if (log_special(x, &special)) return special;
  struct log_parts p = log_reduce(x);
  struct dd v = multiply(log_sum(p.row, p.f), inverse_ln_2), sum = fast_sum(p.k, v.h);
  return sum.h + (sum.l + v.l);
}

double pm_log10(double x) {
  double special;
  if (log_special(x, &special)) return special;
  struct log_parts p = log_reduce(x);
  struct dd v = multiply(log_sum(p.row, p.f), inverse_ln_10), sum = fast_sum(p.k * log10_2_step.h, v.h);
  return sum.h + (sum.l + (p.k * log10_2_step.l + v.l));
}

// ---- pow

enum parity { FRACTION, EVEN, ODD };

static inline enum parity parity_of(double y) {
  double a = absolute(y);
  if (a >= 0x1p53) return EVEN;
  if (a < 1) return a == 0 ? EVEN : FRACTION;
  uint64_t significand = (to_bits(a) & MANTISSA_BITS) | (MANTISSA_BITS + 1);
  int fraction_bits = 52 - ((int)(to_bits(a) >> 52) - 1023);
  if (significand & (((uint64_t)1 << fraction_bits) - 1)) return FRACTION;
  return significand >> fraction_bits & 1 ? ODD : EVEN;
}

// x^y for 0 < x < infinity; y finite.
static double pow_positive(double x, double y) {
  double a = absolute(y);
  if (x == 1 || a < 0x1p-66) return 1; // |log x| < 2^10: the result is nearer to 1 than to its neighbours
  if (a < 0x1p66) {                    // else |y log x| > 2^12
    struct dd p = multiply((struct dd){y, 0}, log_core(x, 0));
    if (p.h <= 710 && p.h >= -746) return round_scaled(exp_core(p.h, p.l));
  }
  return (x > 1) == (y > 0) ? inf : 0;
}

double pm_pow(double x, double y) {
  if (x == 1 || y == 0) return 1; // whatever the other is, NaN too
  if (x != x || y != y) return canonical_nan();
  double a = absolute(x);
  if (absolute(y) == inf) return a == 1 ? 1 : (a > 1) == (y > 0) ? inf : 0;
  enum parity parity = parity_of(y);
  bool negative = (to_bits(x) & SIGN_BIT) && parity == ODD;
  double result;
  if (a == 0 || a == inf) {
    result = (a == 0) == (y < 0) ? inf : 0;
  } else {
    if (x < 0 && parity == FRACTION) return canonical_nan();
    result = pow_positive(a, y);
  }
  return negative ? -result : result;
}

// ---- rounding to whole numbers

// Adding and taking away 2^52 leaves no room for fractions; from there on there are none. The sign of 0 is kept.
double pm_round_even(double x) {
  if (x != x) return canonical_nan();
  double a = absolute(x);
  if (a >= 0x1p52) return x;
  return with_sign_of((a + 0x1p52) - 0x1p52, x);
}

double pm_floor(double x) {
  double r = pm_round_even(x);
  return r > x ? r - 1 : r;
}

double pm_ceil(double x) {
  double r = pm_round_even(x);
  return r < x ? with_sign_of(r + 1, x) : r;
}

long long pm_milli(double points) {
  CHECK(points >= -9e12 && points <= 9e12);
  // A product that rounds to a tie need not be one: its error, exactly known, says on which side the value lies.
  double high = top(points);
  struct dd p = fast_sum(high * 1000, (points - high) * 1000);
  double r = pm_round_even(p.h), off = p.h - r;
  if (off == 0.5 && p.l > 0) r += 1;
  if (off == -0.5 && p.l < 0) r -= 1;
  return (long long)r;
}
