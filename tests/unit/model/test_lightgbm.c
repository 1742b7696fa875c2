// LightGBM's text: random trees are written as it writes them and walked as its documentation says, node by node of the file's own
// lists; the forest that is read must give the same, to the bit. And what is refused. SEED=, ROUNDS=.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "model/forest_lightgbm.h"
#include "model_text.h"

enum { FEATURES_MOST = 6, LEAVES_MOST = 40, TREES_MOST = 12, SETS_MOST = 40 };

struct tree {
  size_t leaves, sets;
  int feature[LEAVES_MOST], decision[LEAVES_MOST], left[LEAVES_MOST], right[LEAVES_MOST], count[LEAVES_MOST];
  double threshold[LEAVES_MOST], value[LEAVES_MOST];
  int leaf_count[LEAVES_MOST];
  uint32_t words[SETS_MOST][2];
};
struct booster {
  size_t features, trees;
  bool is_text[FEATURES_MOST];
  struct tree tree[TREES_MOST];
};

static uint64_t rng;
static size_t draw(size_t n) { return (size_t)(test_random(&rng) % n); }
static double number(void) {
  static const double edges[] = {0, -0.0, 1e-35, -1e-36, 1e300, -1e300, 3, 0.1};
  return draw(3) == 0 ? edges[draw(8)] : (double)draw(9) - 4 + (draw(2) ? test_unit(&rng) : 0);
}

// As LightGBM grows: a leaf becomes a split, whose left child keeps the leaf's number and whose right one is a new leaf.
static void grow(struct booster *b, struct tree *t) {
  size_t most = 1 + draw(LEAVES_MOST - 1);
  int parent[LEAVES_MOST] = {-1}; // of each leaf, and on which side of it
  bool is_right[LEAVES_MOST] = {false};
  memset(t, 0, sizeof(*t));
  t->leaves = 1;
  while (t->leaves < most) {
    int leaf = (int)draw(t->leaves), node = (int)t->leaves - 1, other = (int)t->leaves;
    if (parent[leaf] >= 0) *(is_right[leaf] ? &t->right[parent[leaf]] : &t->left[parent[leaf]]) = node;
    t->feature[node] = (int)draw(b->features);
    t->left[node] = ~leaf, t->right[node] = ~other;
    parent[leaf] = parent[other] = node;
    is_right[leaf] = false, is_right[other] = true;
    t->count[node] = (int)draw(100);
    if (b->is_text[t->feature[node]]) {
      t->decision[node] = 1;
      t->threshold[node] = (double)t->sets;
      t->words[t->sets][0] = (uint32_t)test_random(&rng), t->words[t->sets][1] = (uint32_t)test_random(&rng);
      t->sets++;
    } else {
      t->decision[node] = (draw(2) ? 2 : 0) | (draw(2) ? 8 : 0); // default left; missing is NaN, or none was met
      t->threshold[node] = number();
    }
    t->leaves++;
  }
  for (size_t i = 0; i < t->leaves; i++) t->value[i] = test_unit(&rng) - 0.5, t->leaf_count[i] = (int)draw(50);
}

static void plant(struct booster *b) {
  b->features = 1 + draw(FEATURES_MOST);
  b->trees = 1 + draw(TREES_MOST);
  for (size_t i = 0; i < b->features; i++) b->is_text[i] = draw(4) == 0;
  for (size_t i = 0; i < b->trees; i++) grow(b, &b->tree[i]);
}

static void put_ints(struct buf *out, const char *key, const int *list, size_t n) {
  buf_printf(out, "%s=", key);
  for (size_t i = 0; i < n; i++) buf_printf(out, "%s%d", i ? " " : "", list[i]);
  buf_append_u8(out, '\n');
}
static void put_doubles(struct buf *out, const char *key, const double *list, size_t n) {
  buf_printf(out, "%s=", key);
  for (size_t i = 0; i < n; i++) buf_printf(out, "%s%.17g", i ? " " : "", list[i]);
  buf_append_u8(out, '\n');
}

static void put_booster(const struct booster *b, struct buf *out) {
  buf_printf(out,
             "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=%zu\n"
             "objective=binary sigmoid:1\nfeature_names=a\nfeature_infos=none\ntree_sizes=1\n\n",
             b->features - 1);
  for (size_t k = 0; k < b->trees; k++) {
    const struct tree *t = &b->tree[k];
    size_t splits = t->leaves - 1;
    buf_printf(out, "Tree=%zu\nnum_leaves=%zu\nnum_cat=%zu\n", k, t->leaves, t->sets);
    put_ints(out, "split_feature", t->feature, splits);
    put_doubles(out, "threshold", t->threshold, splits);
    put_ints(out, "decision_type", t->decision, splits);
    put_ints(out, "left_child", t->left, splits);
    put_ints(out, "right_child", t->right, splits);
    put_doubles(out, "leaf_value", t->value, t->leaves);
    put_ints(out, "leaf_count", t->leaf_count, splits ? t->leaves : 0);
    put_ints(out, "internal_count", t->count, splits);
    if (t->sets) {
      buf_append_str(out, "cat_boundaries=0");
      for (size_t i = 1; i <= t->sets; i++) buf_printf(out, " %zu", 2 * i);
      buf_append_str(out, "\ncat_threshold=");
      for (size_t i = 0; i < t->sets; i++) buf_printf(out, "%s%u %u", i ? " " : "", t->words[i][0], t->words[i][1]);
      buf_append_u8(out, '\n');
    }
    buf_append_str(out, "is_linear=0\nshrinkage=0.1\n\n\n");
  }
  buf_append_str(out,
                 "end of trees\n\nfeature_importances:\na=1\n\nparameters:\n[boosting: gbdt]\nend of parameters\n");
}

static double walk(const struct tree *t, const double *row) {
  if (t->leaves == 1) return t->value[0];
  int at = 0;
  do {
    double x = row[t->feature[at]];
    bool is_left;
    if (t->decision[at] & 1) {
      int code = isnan(x) ? -1 : (int)x;
      is_left = code >= 0 && code < 64 && (t->words[(int)t->threshold[at]][code / 32] >> code % 32 & 1);
    } else if (isnan(x) && t->decision[at] & 8) {
      is_left = t->decision[at] & 2;
    } else {
      is_left = (isnan(x) ? 0 : x) <= t->threshold[at];
    }
    at = is_left ? t->left[at] : t->right[at];
  } while (at >= 0);
  return t->value[~at];
}

static void reads_what_is_written(void **state) {
  (void)state;
  static struct booster b;
  const char *said = getenv("ROUNDS");
  size_t rounds = said ? (size_t)strtoul(said, NULL, 10) : 80;
  for (size_t round = 0; round < rounds; round++) {
    struct buf text = {0};
    struct forest *f;
    struct error err = {0};
    plant(&b);
    put_booster(&b, &text);
    if (forest_read_lightgbm(buf_bytes(&text), b.features, b.is_text, &f, &err) != 0) fail_msg("%s", err.text);
    for (int k = 0; k < 50; k++) {
      double row[FEATURES_MOST], parts[FEATURES_MOST], base, expects = 0;
      for (size_t i = 0; i < b.features; i++)
        row[i] = draw(5) == 0 ? (double)NAN : b.is_text[i] ? (double)draw(80) : number();
      for (size_t i = 0; i < b.trees; i++) expects += walk(&b.tree[i], row);
      double margin = forest_margin(f, row);
      assert_memory_equal(&expects, &margin, sizeof(margin));
      forest_shapley(f, row, parts, &base);
      for (size_t i = 0; i < b.features; i++) base += parts[i];
      assert_true(fabs(base - margin) < 1e-9);
    }
    forest_free(f);
    // Cut short, or a byte changed: refused by name, or still trees.
    for (int k = 0; k < 40; k++) {
      static const char bytes[] = "0123456789-. =\ne";
      struct buf broken = {0};
      buf_append_bytes(&broken, buf_bytes(&text));
      if (k % 4 == 0)
        broken.n = draw(broken.n);
      else
        broken.p[draw(broken.n)] = (uint8_t)bytes[draw(sizeof(bytes) - 1)];
      err = (struct error){0};
      if (forest_read_lightgbm(buf_bytes(&broken), b.features, b.is_text, &f, &err) != 0) {
        assert_int_equal(err.code, ITD_EMODEL);
        assert_int_equal(strncmp(err.text, "weights.txt: ", 13), 0);
      } else {
        double row[FEATURES_MOST] = {0};
        assert_true(isfinite(forest_margin(f, row)));
        forest_free(f);
      }
      buf_deinit(&broken);
    }
    buf_deinit(&text);
  }
}

static const char good[] =
    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=1\n"
    "objective=binary sigmoid:1\n\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=0.5\n"
    "decision_type=10\nleft_child=-1\nright_child=-2\nleaf_value=1 2\nleaf_count=3 4\n"
    "internal_count=7\nis_linear=0\n\n\nend of trees\n";

static void slips_are_refused(void **state) {
  (void)state;
  static const char *const slips[][3] = {
      {"tree\n", "three\n", "weights.txt: does not begin with the line 'tree'"},
      {"num_class=1", "num_class=3", "weights.txt: num_class: is 3"},
      {"binary sigmoid:1", "regression", "weights.txt: objective: is 'regression'"},
      {"binary sigmoid:1", "binary sigmoid:2", "weights.txt: objective: is 'binary sigmoid:2'"},
      {"max_feature_idx=1", "max_feature_idx=5", "weights.txt: max_feature_idx: is 5, and model.json lists 2 features"},
      {"version=v4", "average_output", "weights.txt: average_output: is a random forest's"},
      {"is_linear=0", "is_linear=1", "weights.txt: trees[0]: has linear leaves"},
      {"decision_type=10", "decision_type=4", "weights.txt: trees[0]: node 0 takes zero for missing"},
      {"decision_type=10", "decision_type=1", "weights.txt: trees[0]: node 0 splits feature 0 by category"},
      {"decision_type=10", "decision_type=99", "weights.txt: trees[0]: node 0: its decision_type is unknown"},
      {"split_feature=0", "split_feature=2", "weights.txt: trees[0]: node 0: asks about feature 2"},
      {"left_child=-1", "left_child=-3", "weights.txt: trees[0]: node 0: its children are -3 and -2"},
      {"left_child=-1", "left_child=-2", "weights.txt: trees[0]: node 0: a child of it (2, 2) has another parent too"},
      {"left_child=-1", "left_child=0", "weights.txt: trees[0]: node 0: its children are 0 and 2"},
      {"leaf_value=1 2", "leaf_value=1", "weights.txt: trees[0].leaf_value: must be 2 numbers"},
      {"leaf_value=1 2", "leaf_value=1 2 3", "weights.txt: trees[0].leaf_value: must be 2 numbers"},
      {"leaf_value=1 2", "leaf_value=1 nan", "weights.txt: trees[0]: node 2: its leaf is not a number"},
      {"threshold=0.5\n", "\n", "weights.txt: trees[0]: has no line 'threshold='"},
      {"end of trees\n", "", "weights.txt: has no line 'end of trees': it is cut short"},
  };
  bool is_text[2] = {false, false};
  struct forest *f;
  struct error err = {0};
  assert_int_equal(forest_read_lightgbm(bytes_str(good), 2, is_text, &f, &err), 0);
  double row[2] = {0.5, 0};
  assert_true(forest_margin(f, row) == 1); // at the threshold: left
  row[0] = nextafter(0.5, 1);
  assert_true(forest_margin(f, row) == 2);
  forest_free(f);
  for (size_t i = 0; i < sizeof(slips) / sizeof(*slips); i++) {
    char *text = text_replace(good, slips[i][0], slips[i][1]);
    err = (struct error){0};
    assert_int_equal(forest_read_lightgbm(bytes_str(text), 2, is_text, &f, &err), ITD_EMODEL);
    if (strncmp(err.text, slips[i][2], strlen(slips[i][2])) != 0) fail_msg("'%s' says: %s", slips[i][1], err.text);
    free(text);
  }
}

int main(void) {
  rng = test_seed();
  const struct CMUnitTest tests[] = {cmocka_unit_test(reads_what_is_written), cmocka_unit_test(slips_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
