// Boosted trees, flat: one row's margin, what each feature added on the way (path attribution), and exact Shapley values.
// Inside this layer only; the readers (forest_xgboost.c, forest_lightgbm.c) build it, model.h shows it.
//
// A forest is immutable once it is finished, and may be shared by threads. Rows are `double[features]`, NaN for what is
// not known; a text feature's value is the index of the text in the model's list of categories (forest_row.c).
#pragma once
#include "base/arena.h"
#include "base/status.h"

#define FOREST_TREES_MAX    10000
#define FOREST_NODES_MAX    (1u << 22) // of all trees together
#define FOREST_DEPTH_MAX    64         // steps from the root to a leaf
#define FOREST_FEATURES_MAX 256
#define FOREST_LEAF_MAX     1e4   // log-odds; more in one leaf is no knowledge of anything
#define FOREST_CATEGORY_MAX 65536 // codes from 0 on

// How the library that grew the trees computes with them. Its margin is ours to the bit.
struct forest_arithmetic {
  bool is_float32;    // values, and the sums of leaves, are rounded to float: XGBoost
  double base_margin; // where the sum begins
};

// One node as it was grown, in the words of its file; children are indexes into the tree's nodes, 0 is the root.
struct grown_node {
  bool is_leaf;
  double value; // a leaf's
  double cover; // weight of the training rows that came by; not negative
  // A split. Left is below `threshold`, or a category that is not in the set.
  int left, right, feature;
  double threshold;
  bool missing_left;
  const uint32_t *categories; // bit c of word c / 32: category c goes right; NULL is a split by number
  size_t category_words;
};

struct forest;

// `features` is how many a row has. The forest keeps nothing of what it is given.
struct forest *forest_new(size_t features, struct forest_arithmetic arithmetic);
void forest_free(struct forest *f); // NULL does nothing
// Adds a tree. Refused (ITD_EMODEL, the text without the name of the file) unless the nodes that the root reaches are a
// tree no deeper than FOREST_DEPTH_MAX, whose numbers are finite and whose features are there, within the limits above.
// Nodes that the root does not reach are left out: XGBoost leaves such behind when it prunes. After a refusal the forest
// can only be freed.
int forest_add(struct forest *f, const struct grown_node *nodes, size_t count, struct error *err) ITD_MUST_USE;
// Makes it ready; at least one tree was added, nothing is added after.
void forest_finish(struct forest *f);

size_t forest_trees(const struct forest *f);
size_t forest_leaves(const struct forest *f);

// The sum of one leaf a tree, begun with the base margin, added in the trees' order and the library's precision.
double forest_margin(const struct forest *f, const double *row);

// The same margin, and what each step down a tree changed in the mean of the leaves that could still be reached, added
// up by the feature that the step asked about: contributions[features], in the margin's unit. *base is the base margin
// and every tree's mean; *base + their sum is the margin but for rounding (below 1e-6 of the largest).
double forest_margin_by_path(const struct forest *f, const double *row, double *contributions, double *base);

// Exact Shapley values of the game in which an unknown feature is averaged over by the training rows that went either
// way (path-dependent TreeSHAP; Lundberg, Erion, Lee 2018). *base as above, and the same sum.
//
// A leaf with value v behind conditions on features 1 … d gives feature i
//   v (o_i - z_i) * integral from 0 to 1 over t of the product over j != i of (t o_j + (1 - t) z_j)
// where o is 1 if the row fulfils j's conditions and 0 if not, and z the share of rows that went that way: the weights
// s! (d - s - 1)! / d! of Shapley's sum are Beta integrals. The product is a polynomial in t of degree d - 1, so that
// Gauss-Legendre with ceil(d / 2) points is exact, and one walk down each tree carries the product at those points.
void forest_shapley(const struct forest *f, const double *row, double *contributions, double *base);
