// Double-double: a number as the unevaluated sum of two doubles, about 106 bits, by additions and multiplications alone
// (no FMA). The steps are Knuth's exact sum and Dekker's exact product, as in Hida, Li, Bailey, "Library for double-double
// and quad-double arithmetic" (2000). Sums of whole numbers are exact while they stay below 2^100, and a number has one
// form: then neither value nor bytes depend on the order of additions.
#pragma once

struct dd {
  double hi, lo; // hi is the nearest double of the whole
};

static inline struct dd dd_sum(double a, double b) {
  double s = a + b, t = s - a;
  return (struct dd){s, (a - (s - t)) + (b - t)};
}
static inline struct dd dd_quick_sum(double a, double b) { // |a| >= |b|, or a is 0
  double s = a + b;
  return (struct dd){s, b - (s - a)};
}

static inline struct dd dd_product(double a, double b) { // |a|, |b| below 2^990
  const double half = 0x1p27 + 1;
  double p = a * b, ta = half * a, tb = half * b;
  double ah = ta - (ta - a), al = a - ah, bh = tb - (tb - b), bl = b - bh;
  return (struct dd){p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}

static inline struct dd dd_add(struct dd a, struct dd b) {
  struct dd s = dd_sum(a.hi, b.hi), t = dd_sum(a.lo, b.lo);
  s = dd_quick_sum(s.hi, s.lo + t.hi);
  return dd_quick_sum(s.hi, s.lo + t.lo);
}

static inline struct dd dd_multiply(struct dd a, struct dd b) {
  struct dd p = dd_product(a.hi, b.hi);
  return dd_quick_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}
