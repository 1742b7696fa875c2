#include "model/forest.h"

#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "model/forest_nodes.h"

// ---- growing ----

struct forest *forest_new(size_t features, struct forest_arithmetic arithmetic) {
  CHECK(features > 0 && features <= FOREST_FEATURES_MAX);
  struct forest *f = xcalloc(1, sizeof(*f));
  f->features = features;
  f->arithmetic = arithmetic;
  return f;
}

void forest_free(struct forest *f) {
  if (!f) return;
  free(f->nodes);
  free(f->means);
  free(f->shares);
  free(f->category_words);
  free(f->trees);
  free(f->path_begin);
  free(f->path_feature);
  free(f->path_delta);
  free(f);
}

size_t forest_trees(const struct forest *f) { return f->tree_count; }
size_t forest_leaves(const struct forest *f) { return f->leaf_count; }

// Room for one more of `size` bytes each: doubled, so that adding is cheap.
static void *room(void *array, size_t count, size_t more, size_t size) {
  size_t capacity = count == 0 ? 0 : (size_t)1 << (64 - __builtin_clzll(count));
  if (array && count + more < capacity) return array;
  size_t want = (size_t)1 << (64 - __builtin_clzll(count + more));
  return xrealloc(array, want * size);
}

// A node on its way: where it is in the file's numbers, where it comes to lie, how deep.
struct growing {
  int grown;
  uint32_t at;
  int depth;
};

static int refuse_split(const struct forest *f, int index, const struct grown_node *n, size_t count,
                        struct error *err) {
  if (n->left <= 0 || n->right <= 0 || (size_t)n->left >= count || (size_t)n->right >= count)
    return error_set(err, ITD_EMODEL, "node %d: its children are %d and %d; they must be nodes 1 to %zu", index,
                     n->left, n->right, count - 1);
  if (n->feature < 0 || (size_t)n->feature >= f->features)
    return error_set(err, ITD_EMODEL, "node %d: asks about feature %d; the features are 0 to %zu", index, n->feature,
                     f->features - 1);
  if (!n->categories && !isfinite(n->threshold))
    return error_set(err, ITD_EMODEL, "node %d: its threshold is not a finite number", index);
  if (n->categories && n->category_words > FOREST_CATEGORY_MAX / 32)
    return error_set(err, ITD_EMODEL, "node %d: a category is above %d", index, FOREST_CATEGORY_MAX - 1);
  return ITD_OK;
}

static int refuse_node(const struct forest *f, int index, const struct grown_node *n, size_t count, struct error *err) {
  if (!(n->cover >= 0) || !isfinite(n->cover))
    return error_set(err, ITD_EMODEL, "node %d: its cover (the weight of its training rows) is not a number from 0 on",
                     index);
  if (!n->is_leaf) return refuse_split(f, index, n, count, err);
  if (!(fabs(n->value) <= FOREST_LEAF_MAX))
    return error_set(err, ITD_EMODEL, "node %d: its leaf is not a number from -%g to %g", index, FOREST_LEAF_MAX,
                     FOREST_LEAF_MAX);
  return ITD_OK;
}

static struct forest_node place_leaf(const struct forest *f, const struct grown_node *n, uint32_t at) {
  // No value of the last slot is at or above a leaf's: a walk stays here.
  return (struct forest_node){.number = n->value, .left = at, .slot = (uint16_t)(2 * f->features)};
}

static struct forest_node place_split(struct forest *f, const struct grown_node *n, uint32_t left) {
  struct forest_node node = {.left = left, .slot = (uint16_t)(2 * n->feature + (n->missing_left ? 0 : 1))};
  if (!n->categories) {
    node.number = n->threshold;
    return node;
  }
  node.is_category = true;
  node.set.first = (uint32_t)f->category_word_count;
  node.set.words = (uint32_t)n->category_words;
  f->category_words = room(f->category_words, f->category_word_count, n->category_words + 1, sizeof(uint32_t));
  memcpy(f->category_words + f->category_word_count, n->categories, n->category_words * sizeof(uint32_t));
  f->category_word_count += n->category_words;
  return node;
}

// Training rows never went one way: as good as never, so that no share is 0 and none 1.
static double share_of(double here, double there) {
  static const double never = 0x1p-40;
  double all = here + there;
  double share = all > 0 ? here / all : 0.5;
  return share < never ? never : share > 1 - never ? 1 - never : share;
}

static void reserve_nodes(struct forest *f, size_t more) {
  f->nodes = room(f->nodes, f->node_count, more, sizeof(*f->nodes));
  f->means = room(f->means, f->node_count, more, sizeof(*f->means));
  f->shares = room(f->shares, f->node_count, more, sizeof(*f->shares));
}

// Lays the tree out breadth first, so that siblings lie side by side and the first steps of a walk share lines.
static int lay_out(struct forest *f, const struct grown_node *nodes, size_t count, struct growing *queue,
                   uint8_t *is_seen, struct error *err) {
  size_t head = 0, tail = 1;
  struct forest_tree *tree = &f->trees[f->tree_count];
  *tree = (struct forest_tree){.root = (uint32_t)f->node_count};
  queue[0] = (struct growing){0, tree->root, 0};
  reserve_nodes(f, 1);
  f->shares[f->node_count++] = 1;
  is_seen[0] = 1;
  while (head < tail) {
    struct growing g = queue[head++];
    const struct grown_node *n = &nodes[g.grown];
    int status = refuse_node(f, g.grown, n, count, err);
    if (status) return status;
    if (n->is_leaf) {
      f->nodes[g.at] = place_leaf(f, n, g.at);
      f->leaf_count++;
      continue;
    }
    if (is_seen[n->left] || is_seen[n->right] || n->left == n->right)
      return error_set(err, ITD_EMODEL, "node %d: a child of it (%d, %d) has another parent too: this is no tree",
                       g.grown, n->left, n->right);
    if (g.depth == FOREST_DEPTH_MAX) return error_set(err, ITD_EMODEL, "it is deeper than %d steps", FOREST_DEPTH_MAX);
    if (f->node_count + 2 > FOREST_NODES_MAX)
      return error_set(err, ITD_EMODEL, "with it the trees have more than %u nodes", FOREST_NODES_MAX);
    is_seen[n->left] = is_seen[n->right] = 1;
    uint32_t left = (uint32_t)f->node_count;
    reserve_nodes(f, 2);
    f->node_count += 2;
    f->nodes[g.at] = place_split(f, n, left);
    f->shares[left] = share_of(nodes[n->left].cover, nodes[n->right].cover);
    f->shares[left + 1] = 1 - f->shares[left];
    queue[tail++] = (struct growing){n->left, left, g.depth + 1};
    queue[tail++] = (struct growing){n->right, left + 1, g.depth + 1};
    if (g.depth + 1 > tree->depth) tree->depth = g.depth + 1;
    tree->has_categories |= n->categories != NULL;
  }
  return ITD_OK;
}

int forest_add(struct forest *f, const struct grown_node *nodes, size_t count, struct error *err) {
  if (count == 0) return error_set(err, ITD_EMODEL, "it has no nodes");
  if (count > FOREST_NODES_MAX || f->node_count >= FOREST_NODES_MAX)
    return error_set(err, ITD_EMODEL, "with it the trees have more than %u nodes", FOREST_NODES_MAX);
  if (f->tree_count == FOREST_TREES_MAX)
    return error_set(err, ITD_EMODEL, "there are more than %d trees", FOREST_TREES_MAX);
  f->trees = room(f->trees, f->tree_count, 1, sizeof(*f->trees));
  struct growing *queue = xmalloc(count * sizeof(*queue));
  uint8_t *is_seen = xcalloc(count, 1);
  int status = lay_out(f, nodes, count, queue, is_seen, err);
  free(queue);
  free(is_seen);
  if (status == ITD_OK) f->tree_count++;
  return status;
}

// ---- what is computed once ----

static bool is_leaf(const struct forest *f, uint32_t at) { return f->nodes[at].left == at; }

// Children lie behind their parents, so that one pass from the end has both before it needs them.
static void find_means(struct forest *f) {
  for (size_t at = f->node_count; at-- > 0;) {
    const struct forest_node *n = &f->nodes[at];
    f->means[at] = n->left == at
                       ? n->number
                       : f->shares[n->left] * f->means[n->left] + f->shares[n->left + 1] * f->means[n->left + 1];
  }
}

struct path {
  uint16_t feature[FOREST_DEPTH_MAX];
  double delta[FOREST_DEPTH_MAX];
  size_t count;
};

static void keep_path(struct forest *f, const struct path *path) {
  f->path_feature = room(f->path_feature, f->path_steps, path->count + 1, sizeof(*f->path_feature));
  f->path_delta = room(f->path_delta, f->path_steps, path->count + 1, sizeof(*f->path_delta));
  memcpy(f->path_feature + f->path_steps, path->feature, path->count * sizeof(path->feature[0]));
  memcpy(f->path_delta + f->path_steps, path->delta, path->count * sizeof(path->delta[0]));
  f->path_steps += path->count;
}

static void path_step(struct path *path, uint16_t feature, double delta) {
  for (size_t i = 0; i < path->count; i++) {
    if (path->feature[i] != feature) continue;
    path->delta[i] += delta;
    return;
  }
  path->feature[path->count] = feature;
  path->delta[path->count++] = delta;
}

// `path` as it is above `at`; each leaf gets one entry a feature, however often it was asked about on the way. Leaves are
// met in another order than they lie, so that their places are kept by where the walk began to write.
static size_t find_paths(struct forest *f, uint32_t at, const struct path *path) {
  if (is_leaf(f, at)) {
    f->path_begin[at] = (struct forest_path){(uint32_t)f->path_steps, (uint32_t)path->count};
    keep_path(f, path);
    return path->count;
  }
  size_t widest = 0;
  for (uint32_t child = f->nodes[at].left; child <= f->nodes[at].left + 1; child++) {
    struct path below = *path;
    path_step(&below, f->nodes[at].slot / 2, f->means[child] - f->means[at]);
    size_t width = find_paths(f, child, &below);
    if (width > widest) widest = width;
  }
  return widest;
}

void forest_finish(struct forest *f) {
  CHECK(f->tree_count > 0);
  find_means(f);
  f->path_begin = xcalloc(f->node_count, sizeof(*f->path_begin));
  f->base = f->arithmetic.base_margin;
  for (size_t t = 0; t < f->tree_count; t++) {
    struct path path = {.count = 0};
    f->trees[t].features = (int)find_paths(f, f->trees[t].root, &path);
    f->base += f->means[f->trees[t].root];
  }
  quadrature_init(&f->quadrature);
}

// ---- walking ----

bool forest_goes_right(const struct forest *f, const struct forest_node *n, const double *slots) {
  double x = slots[n->slot];
  if (!n->is_category) return x >= n->number;
  if (x == (double)INFINITY) return true; // missing, and that goes right
  if (!(x >= 0) || x >= 32.0 * n->set.words) return false;
  uint32_t code = (uint32_t)x;
  return f->category_words[n->set.first + code / 32] >> code % 32 & 1;
}

void forest_slots(const struct forest *f, const double *row, double *slots) {
  for (size_t i = 0; i < f->features; i++) {
    double x = f->arithmetic.is_float32 ? (double)(float)row[i] : row[i];
    bool is_missing = x != x;
    slots[2 * i] = is_missing ? -(double)INFINITY : x;
    slots[2 * i + 1] = is_missing ? (double)INFINITY : x;
  }
  slots[2 * f->features] = -(double)INFINITY;
}

static uint32_t walk_one(const struct forest *f, const struct forest_tree *tree, const double *slots) {
  uint32_t at = tree->root;
  while (!is_leaf(f, at)) at = f->nodes[at].left + forest_goes_right(f, &f->nodes[at], slots);
  return at;
}

// Several trees at a time and no branch on what is found: a processor waits for eight loads at once, and never guesses.
// Walks that are over stay on their leaf.
#define ABREAST 8
static void walk_abreast(const struct forest *f, const struct forest_tree *trees, const double *slots, uint32_t *at) {
  int depth = 0;
  for (int k = 0; k < ABREAST; k++) {
    at[k] = trees[k].root;
    if (trees[k].depth > depth) depth = trees[k].depth;
  }
  const struct forest_node *nodes = f->nodes;
  for (int step = 0; step < depth; step++) {
    for (int k = 0; k < ABREAST; k++) {
      const struct forest_node *n = &nodes[at[k]];
      at[k] = n->left + (slots[n->slot] >= n->number);
    }
  }
}

// The leaves of up to ABREAST trees from `t` on; returns of how many.
static size_t walk(const struct forest *f, size_t t, const double *slots, uint32_t *at) {
  size_t count = f->tree_count - t < ABREAST ? f->tree_count - t : ABREAST;
  bool is_plain = count == ABREAST;
  for (size_t k = 0; k < count; k++) is_plain &= !f->trees[t + k].has_categories;
  if (is_plain) {
    walk_abreast(f, f->trees + t, slots, at);
    return count;
  }
  for (size_t k = 0; k < count; k++) at[k] = walk_one(f, &f->trees[t + k], slots);
  return count;
}

static double add(const struct forest *f, double sum, double leaf) {
  return f->arithmetic.is_float32 ? (double)((float)sum + (float)leaf) : sum + leaf;
}

double forest_margin(const struct forest *f, const double *row) {
  double slots[FOREST_SLOTS_MAX], sum = f->arithmetic.base_margin;
  uint32_t at[ABREAST];
  forest_slots(f, row, slots);
  for (size_t t = 0; t < f->tree_count;) {
    size_t count = walk(f, t, slots, at);
    for (size_t k = 0; k < count; k++) sum = add(f, sum, f->nodes[at[k]].number);
    t += count;
  }
  return sum;
}

double forest_margin_by_path(const struct forest *f, const double *row, double *contributions, double *base) {
  double slots[FOREST_SLOTS_MAX], sum = f->arithmetic.base_margin;
  uint32_t at[ABREAST];
  forest_slots(f, row, slots);
  memset(contributions, 0, f->features * sizeof(*contributions));
  for (size_t t = 0; t < f->tree_count;) {
    size_t count = walk(f, t, slots, at);
    for (size_t k = 0; k < count; k++) {
      struct forest_path path = f->path_begin[at[k]];
      for (uint32_t i = path.begin; i < path.begin + path.count; i++)
        contributions[f->path_feature[i]] += f->path_delta[i];
      sum = add(f, sum, f->nodes[at[k]].number);
    }
    t += count;
  }
  *base = f->base;
  return sum;
}
