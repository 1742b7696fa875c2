// Forests against a plain walk of the same nodes, and their Shapley values against the sum over all subsets. Random trees
// and rows; SEED=, ROUNDS=.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "model/forest.h"
#include "model_text.h"

enum { FEATURES_MOST = 9, NODES_MOST = 127, TREES_MOST = 21 };

struct plain_tree {
  struct grown_node node[NODES_MOST];
  uint32_t words[NODES_MOST][2];
  size_t count;
};
struct plain {
  size_t features, trees;
  bool is_float32, is_text[FEATURES_MOST];
  double base_margin;
  struct plain_tree tree[TREES_MOST];
};

static uint64_t rng;
static size_t draw(size_t n) { return (size_t)(test_random(&rng) % n); }
static double number(void) {
  static const double edges[] = {0, -0.0, 1, -1, 1e30, -1e30, 4.9e-324, 0.1, 3};
  return draw(4) == 0 ? edges[draw(9)] : (test_unit(&rng) - 0.5) * 8;
}
static double as_kept(const struct plain *p, double x) { return p->is_float32 ? (double)(float)x : x; }

// Splits the leaf `at` until it is deep enough; children in an order of chance.
static void grow(struct plain *p, struct plain_tree *t, int at, int depth, double cover) {
  struct grown_node *n = &t->node[at];
  *n = (struct grown_node){.is_leaf = true, .value = as_kept(p, test_unit(&rng) - 0.5), .cover = as_kept(p, cover)};
  if (depth == 0 || t->count + 2 > NODES_MOST || draw(6) == 0) return;
  n->is_leaf = false;
  n->feature = (int)draw(p->features);
  n->threshold = as_kept(p, number());
  n->missing_left = draw(2);
  if (p->is_text[n->feature]) {
    n->category_words = 1 + draw(2);
    for (size_t w = 0; w < n->category_words; w++) t->words[at][w] = (uint32_t)test_random(&rng);
    n->categories = t->words[at];
  }
  int first = (int)t->count, second = first + 1;
  t->count += 2;
  bool is_swapped = draw(2);
  n->left = is_swapped ? second : first, n->right = is_swapped ? first : second;
  double share = draw(10) == 0 ? 0 : test_unit(&rng);
  grow(p, t, n->left, depth - 1, cover * share);
  grow(p, t, n->right, depth - 1, cover * (1 - share));
}

static void plant(struct plain *p, size_t features, size_t trees, int depth) {
  memset(p, 0, sizeof(*p));
  p->features = features, p->trees = trees;
  p->is_float32 = draw(2);
  p->base_margin = as_kept(p, test_unit(&rng) - 0.5);
  for (size_t i = 0; i < features; i++) p->is_text[i] = draw(4) == 0;
  for (size_t t = 0; t < trees; t++) {
    p->tree[t].count = 1;
    grow(p, &p->tree[t], 0, (int)draw((size_t)depth + 1), 100);
  }
}

static struct forest *forest_of(const struct plain *p) {
  struct error err = {0};
  struct forest *f =
      forest_new(p->features, (struct forest_arithmetic){.is_float32 = p->is_float32, .base_margin = p->base_margin});
  for (size_t t = 0; t < p->trees; t++)
    if (forest_add(f, p->tree[t].node, p->tree[t].count, &err) != 0) fail_msg("%s", err.text);
  forest_finish(f);
  return f;
}

static void row_of(const struct plain *p, double *row) {
  for (size_t i = 0; i < p->features; i++)
    row[i] = draw(5) == 0 ? (double)NAN : p->is_text[i] ? (double)draw(70) : number();
}

static bool goes_right(const struct plain *p, const struct grown_node *n, const double *row) {
  double x = as_kept(p, row[n->feature]);
  if (isnan(x)) return !n->missing_left;
  if (!n->categories) return x >= n->threshold;
  size_t code = (size_t)x;
  return code < 32 * n->category_words && (n->categories[code / 32] >> code % 32 & 1);
}

static double plain_margin(const struct plain *p, const double *row) {
  double sum = p->base_margin;
  for (size_t t = 0; t < p->trees; t++) {
    const struct grown_node *n = p->tree[t].node;
    while (!n->is_leaf) n = &p->tree[t].node[goes_right(p, n, row) ? n->right : n->left];
    sum = p->is_float32 ? (double)((float)sum + (float)n->value) : sum + n->value;
  }
  return sum;
}

static double share_of(double here, double there) {
  double all = here + there, share = all > 0 ? here / all : 0.5;
  return share < 0x1p-40 ? 0x1p-40 : share > 1 - 0x1p-40 ? 1 - 0x1p-40 : share;
}

// What a tree gives when only the features in `known` are: both ways, weighed, at the others.
static double expected(const struct plain *p, const struct plain_tree *t, int at, const double *row, unsigned known) {
  const struct grown_node *n = &t->node[at];
  if (n->is_leaf) return n->value;
  if (known >> n->feature & 1) return expected(p, t, goes_right(p, n, row) ? n->right : n->left, row, known);
  double left = share_of(t->node[n->left].cover, t->node[n->right].cover);
  return left * expected(p, t, n->left, row, known) + (1 - left) * expected(p, t, n->right, row, known);
}

static double game(const struct plain *p, const double *row, unsigned known) {
  double sum = p->base_margin;
  for (size_t t = 0; t < p->trees; t++) sum += expected(p, &p->tree[t], 0, row, known);
  return sum;
}

static void brute_shapley(const struct plain *p, const double *row, double *out) {
  double factorial[FEATURES_MOST + 1] = {1};
  for (size_t i = 1; i <= p->features; i++) factorial[i] = factorial[i - 1] * (double)i;
  for (size_t i = 0; i < p->features; i++) out[i] = 0;
  for (unsigned known = 0; known < 1u << p->features; known++) {
    double value = game(p, row, known);
    size_t s = (size_t)__builtin_popcount(known), d = p->features;
    for (size_t i = 0; i < d; i++) {
      if (known >> i & 1)
        out[i] += value * factorial[s - 1] * factorial[d - s] / factorial[d];
      else
        out[i] -= value * factorial[s] * factorial[d - s - 1] / factorial[d];
    }
  }
}

static size_t rounds(size_t usual) {
  const char *text = getenv("ROUNDS");
  return text ? (size_t)strtoul(text, NULL, 10) : usual;
}

static void test_margin(void **state) {
  (void)state;
  static struct plain p;
  double row[FEATURES_MOST], contributions[FEATURES_MOST], base;
  for (size_t round = 0; round < rounds(200); round++) {
    plant(&p, 1 + draw(FEATURES_MOST), 1 + draw(TREES_MOST), 7);
    struct forest *f = forest_of(&p);
    for (int k = 0; k < 50; k++) {
      row_of(&p, row);
      double expects = plain_margin(&p, row), margin = forest_margin(f, row);
      assert_memory_equal(&expects, &margin, sizeof(margin));
      margin = forest_margin_by_path(f, row, contributions, &base);
      assert_memory_equal(&expects, &margin, sizeof(margin));
      for (size_t i = 0; i < p.features; i++) base += contributions[i];
      assert_true(fabs(base - margin) < 1e-5);
    }
    forest_free(f);
  }
}

static void test_shapley(void **state) {
  (void)state;
  static struct plain p;
  double row[FEATURES_MOST], brute[FEATURES_MOST], values[FEATURES_MOST], base;
  for (size_t round = 0; round < rounds(60); round++) {
    plant(&p, 1 + draw(FEATURES_MOST), 1 + draw(4), 6);
    struct forest *f = forest_of(&p);
    for (int k = 0; k < 5; k++) {
      row_of(&p, row);
      brute_shapley(&p, row, brute);
      forest_shapley(f, row, values, &base);
      assert_true(fabs(base - game(&p, row, 0)) < 1e-10);
      double sum = base;
      for (size_t i = 0; i < p.features; i++) {
        if (fabs(values[i] - brute[i]) > 1e-10)
          fail_msg("feature %zu: %.17g, by subsets %.17g", i, values[i], brute[i]);
        sum += values[i];
      }
      assert_true(fabs(sum - forest_margin(f, row)) < 1e-5);
    }
    forest_free(f);
  }
}

// As deep as it may be, all steps on two features: the quadrature's largest rule, and shares that nearly vanish.
static void test_a_deep_tree(void **state) {
  (void)state;
  struct grown_node nodes[2 * FOREST_DEPTH_MAX + 3];
  size_t count = 1;
  struct error err = {0};
  for (int d = 0; d < FOREST_DEPTH_MAX; d++) {
    int left = (int)count, right = left + 1;
    nodes[d == 0 ? 0 : left - 1] =
        (struct grown_node){.left = left, .right = right, .feature = d % 2, .threshold = d, .cover = ldexp(1, -d)};
    nodes[left] = (struct grown_node){.is_leaf = true, .value = d, .cover = ldexp(1, -d - 1)};
    nodes[right] = (struct grown_node){.is_leaf = true, .value = -1, .cover = ldexp(1, -d - 1)};
    count += 2;
  }
  struct forest *f = forest_new(2, (struct forest_arithmetic){0});
  assert_int_equal(forest_add(f, nodes, count, &err), 0);
  forest_finish(f);
  for (int k = -1; k <= FOREST_DEPTH_MAX; k++) {
    double row[2] = {k, FOREST_DEPTH_MAX - k}, values[2], base;
    forest_shapley(f, row, values, &base);
    assert_true(fabs(base + values[0] + values[1] - forest_margin(f, row)) < 1e-9);
  }
  forest_free(f);
  // One step deeper.
  nodes[count - 1] = (struct grown_node){.left = (int)count, .right = (int)count + 1};
  nodes[count] = nodes[count + 1] = (struct grown_node){.is_leaf = true};
  f = forest_new(2, (struct forest_arithmetic){0});
  assert_int_equal(forest_add(f, nodes, count + 2, &err), ITD_EMODEL);
  assert_string_equal(err.text, "it is deeper than 64 steps");
  forest_free(f);
}

struct fault {
  struct grown_node node[3];
  const char *text;
};

static void test_what_is_no_tree(void **state) {
  (void)state;
  const struct grown_node leaf = {.is_leaf = true, .value = 1, .cover = 1};
  const struct fault faults[] = {
      {{{.left = 1, .right = 1}, leaf, leaf}, "node 0: a child of it (1, 1) has another parent too: this is no tree"},
      {{{.left = 1, .right = 2}, {.left = 2, .right = 1}, leaf},
       "node 1: a child of it (2, 1) has another parent too: this is no tree"},
      {{{.left = 1, .right = 0}, leaf, leaf}, "node 0: its children are 1 and 0; they must be nodes 1 to 2"},
      {{{.left = 1, .right = 3}, leaf, leaf}, "node 0: its children are 1 and 3; they must be nodes 1 to 2"},
      {{{.left = -1, .right = 2}, leaf, leaf}, "node 0: its children are -1 and 2; they must be nodes 1 to 2"},
      {{{.left = 1, .right = 2, .feature = 2}, leaf, leaf}, "node 0: asks about feature 2; the features are 0 to 1"},
      {{{.left = 1, .right = 2, .feature = -1}, leaf, leaf}, "node 0: asks about feature -1; the features are 0 to 1"},
      {{{.left = 1, .right = 2, .threshold = (double)INFINITY}, leaf, leaf},
       "node 0: its threshold is not a finite number"},
      {{{.left = 1, .right = 2}, {.is_leaf = true, .value = (double)NAN}, leaf},
       "node 1: its leaf is not a number from -10000 to 10000"},
      {{{.left = 1, .right = 2, .cover = -1}, leaf, leaf},
       "node 0: its cover (the weight of its training rows) is not a number from 0 on"},
  };
  for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
    struct error err = {0};
    struct forest *f = forest_new(2, (struct forest_arithmetic){0});
    assert_int_equal(forest_add(f, faults[i].node, 3, &err), ITD_EMODEL);
    assert_string_equal(err.text, faults[i].text);
    forest_free(f);
  }
}

int main(void) {
  rng = test_seed();
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_margin), cmocka_unit_test(test_shapley),
                                     cmocka_unit_test(test_a_deep_tree), cmocka_unit_test(test_what_is_no_tree)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
