#include "model/forest_nodes.h"

// Legendre's polynomial of degree n at x, and of degree n - 1.
static double legendre(int n, double x, double *before) {
  double p = 1, last = 0;
  for (int k = 1; k <= n; k++) {
    double next = ((2 * k - 1) * x * p - (k - 1) * last) / k;
    last = p;
    p = next;
  }
  *before = last;
  return p;
}

// The one root between low and high, by halving: no starting guess, so no libm and the same bits everywhere.
static double root_between(int n, double low, double high) {
  double before;
  bool is_rising = legendre(n, high, &before) > legendre(n, low, &before);
  for (;;) {
    double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return middle;
    if ((legendre(n, middle, &before) > 0) == is_rising)
      high = middle;
    else
      low = middle;
  }
}

// The roots of one degree part those of the next.
void quadrature_init(struct quadrature *q) {
  double roots[QUADRATURE_POINTS_MAX + 2] = {-1, 1};
  for (int n = 1; n <= QUADRATURE_POINTS_MAX; n++) {
    double next[QUADRATURE_POINTS_MAX + 2];
    next[0] = -1, next[n + 1] = 1;
    for (int i = 1; i <= n; i++) {
      double x = root_between(n, roots[i - 1], roots[i]), before;
      double p = legendre(n, x, &before);
      double slope = n * (before - x * p) / (1 - x * x);
      next[i] = x;
      q->point[n][i - 1] = (x + 1) / 2;
      q->weight[n][i - 1] = 1 / ((1 - x * x) * slope * slope);
    }
    memcpy(roots, next, sizeof(roots));
  }
}
