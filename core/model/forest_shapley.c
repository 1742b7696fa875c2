#include "base/check.h"
#include "model/forest_nodes.h"

// Conditions of one feature on the way down, taken together: does the row fulfil all, and which share of the rows does.
struct condition {
  bool is_there, is_met;
  double share;
};

struct shapley {
  const struct forest *forest;
  const double *slots;
  double *contributions;
  int points; // of the quadrature
  const double *point, *weight;
  struct condition of[FOREST_FEATURES_MAX];
};

#define POINTS QUADRATURE_POINTS_MAX
#define FEW    4 // points of trees that ask about 8 features at most on the way to a leaf, as nearly all do

// A condition's factor of the product at each point; never 0, since every share is above 0 and every point within.
static inline void factors(const struct shapley *s, int points, struct condition c, double *factor, double *inverse) {
  double met = c.is_met ? 1 : 0;
  for (int q = 0; q < points; q++) {
    factor[q] = c.is_there ? met * s->point[q] + (1 - s->point[q]) * c.share : 1;
    inverse[q] = 1 / factor[q];
  }
}

// The integral of the leaves' products without one condition's factor.
static inline double without(const struct shapley *s, int points, const double *sums, const double *inverse) {
  double integral = 0;
  for (int q = 0; q < points; q++) integral += s->weight[q] * (sums[q] * inverse[q]);
  return integral;
}

static double amount(struct condition c) { return (c.is_met ? 1 : 0) - c.share; }

typedef void (*descend)(struct shapley *s, uint32_t at, const double *product, double *sums);

// Goes down with the product of all conditions' factors, comes back with the sum of leaf times product over the leaves
// below. An edge gives its feature what is due for these leaves; where a feature is asked about again, the edge further
// down is the one that counts, and what the one above gives for its leaves is taken back.
static inline __attribute__((always_inline)) void descend_by(struct shapley *s, uint32_t at, const double *product,
                                                             double *sums, const int points, const int room,
                                                             descend next) {
  const struct forest_node *n = &s->forest->nodes[at];
  if (n->left == at) {
    for (int q = 0; q < points; q++) sums[q] = n->number * product[q];
    return;
  }
  int feature = n->slot / 2;
  struct condition above = s->of[feature];
  bool goes_right = forest_goes_right(s->forest, n, s->slots);
  double factor_above[room], inverse_above[room], factor[room], inverse[room], below[room], part[room];
  factors(s, points, above, factor_above, inverse_above);
  for (int q = 0; q < points; q++) sums[q] = 0;
  for (uint32_t side = 0; side < 2; side++) {
    static const double share_min = 1e-200; // of very many conditions on one feature: still above 0
    double share = (above.is_there ? above.share : 1) * s->forest->shares[n->left + side];
    struct condition here = {.is_there = true, .share = share < share_min ? share_min : share};
    here.is_met = (!above.is_there || above.is_met) && goes_right == (side == 1);
    factors(s, points, here, factor, inverse);
    for (int q = 0; q < points; q++) below[q] = product[q] * (inverse_above[q] * factor[q]);
    s->of[feature] = here;
    next(s, n->left + side, below, part);
    s->contributions[feature] += amount(here) * without(s, points, part, inverse);
    if (above.is_there) s->contributions[feature] -= amount(above) * without(s, points, part, inverse_above);
    for (int q = 0; q < points; q++) sums[q] += part[q];
  }
  s->of[feature] = above;
}

static void descend_few(struct shapley *s, uint32_t at, const double *product, double *sums) {
  descend_by(s, at, product, sums, FEW, FEW, descend_few);
}

static void descend_many(struct shapley *s, uint32_t at, const double *product, double *sums) {
  descend_by(s, at, product, sums, s->points, POINTS, descend_many);
}

void forest_shapley(const struct forest *f, const double *row, double *contributions, double *base) {
  double slots[FOREST_SLOTS_MAX];
  struct shapley s = {.forest = f, .slots = slots, .contributions = contributions};
  forest_slots(f, row, slots);
  memset(contributions, 0, f->features * sizeof(*contributions));
  for (size_t t = 0; t < f->tree_count; t++) {
    if (f->trees[t].features == 0) continue; // one leaf: all of it is in the base
    double product[POINTS], sums[POINTS];
    s.points = (f->trees[t].features + 1) / 2;
    if (s.points < FEW) s.points = FEW; // exact for more is exact for less
    s.point = f->quadrature.point[s.points];
    s.weight = f->quadrature.weight[s.points];
    for (int q = 0; q < s.points; q++) product[q] = 1;
    (s.points == FEW ? descend_few : descend_many)(&s, f->trees[t].root, product, sums);
  }
  *base = f->base;
}
