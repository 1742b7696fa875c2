// How a forest lies in memory, for forest.c (which builds and walks it) and forest_shapley.c.
//
// A node is 16 bytes, its right child lies behind its left one, and children lie behind their parents. A row is spread
// into slots, two a feature: what is missing is -inf in the first, which goes left everywhere, and +inf in the second,
// which goes right. So a step is one load and one comparison. One more slot at the end is always -inf: leaves ask it.
#pragma once
#include "model/forest.h"

#define FOREST_SLOTS_MAX      (2 * FOREST_FEATURES_MAX + 1)
#define QUADRATURE_POINTS_MAX (FOREST_DEPTH_MAX / 2)

struct forest_node {
  union {
    double number; // a split's threshold, a leaf's value
    struct {
      uint32_t first, words; // in category_words
    } set;
  };
  uint32_t left; // a leaf's is itself
  uint16_t slot;
  bool is_category;
};

struct forest_tree {
  uint32_t root;
  int depth;    // steps to the deepest leaf
  int features; // different ones on the way to one leaf, at most
  bool has_categories;
};

// What a leaf adds to the features asked about on the way to it: entries of path_feature and path_delta.
struct forest_path {
  uint32_t begin, count;
};

// Gauss-Legendre on 0 to 1: rule n (from 1 on) has n points and is exact for polynomials up to degree 2n - 1.
struct quadrature {
  double point[QUADRATURE_POINTS_MAX + 1][QUADRATURE_POINTS_MAX];
  double weight[QUADRATURE_POINTS_MAX + 1][QUADRATURE_POINTS_MAX];
};
void quadrature_init(struct quadrature *q);

struct forest {
  size_t features;
  struct forest_arithmetic arithmetic;
  struct forest_tree *trees;
  size_t tree_count, leaf_count, node_count;
  struct forest_node *nodes;
  double *means;  // by node: of the leaves below, weighted by the rows that came by
  double *shares; // by node: of the parent's rows, those that came here
  uint32_t *category_words;
  size_t category_word_count;
  struct forest_path *path_begin; // by node; only leaves have any
  uint16_t *path_feature;
  double *path_delta;
  size_t path_steps;
  double base; // base margin and the mean of each tree
  struct quadrature quadrature;
};

// slots[2 * features + 1] of a row.
void forest_slots(const struct forest *f, const double *row, double *slots);
bool forest_goes_right(const struct forest *f, const struct forest_node *n, const double *slots);
