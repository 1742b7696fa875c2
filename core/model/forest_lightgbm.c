#include "model/forest_lightgbm.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "model/model.h"
#include "model/strict.h"

// decision_type of a node: two switches, then how it takes what is missing.
#define BY_CATEGORY  1
#define DEFAULT_LEFT 2
enum missing { MISSING_NONE, MISSING_ZERO, MISSING_NAN };

struct reading {
  struct strict s;
  struct bytes rest; // lines to come
  size_t features;
  const bool *is_text;
  struct forest *forest;
  bool is_at_end; // the line that ends the trees was met: the file is not cut short
};

// ---- lines ----
static bool next_line(struct reading *r, struct bytes *line) {
  if (r->rest.n == 0) return false;
  const uint8_t *end = memchr(r->rest.p, '\n', r->rest.n);
  size_t n = end ? (size_t)(end - r->rest.p) : r->rest.n;
  *line = bytes_of(r->rest.p, n > 0 && r->rest.p[n - 1] == '\r' ? n - 1 : n);
  size_t taken = end ? n + 1 : n;
  r->rest = bytes_of(r->rest.p + taken, r->rest.n - taken);
  return true;
}

// What stands behind KEY= in a block of lines; false: no line has it.
static bool value_of(struct bytes block, const char *key, struct bytes *value) {
  struct reading r = {.rest = block};
  struct bytes line;
  size_t n = strlen(key);
  while (next_line(&r, &line)) {
    if (line.n <= n || memcmp(line.p, key, n) != 0 || line.p[n] != '=') continue;
    *value = bytes_of(line.p + n + 1, line.n - n - 1);
    return true;
  }
  return false;
}

static int needs(const struct reading *r, const char *place, struct bytes block, const char *key, struct bytes *value) {
  if (value_of(block, key, value)) return ITD_OK;
  return strict_refuse(&r->s, place, "has no line '%s='", key);
}

// ---- numbers ----
// The next word of a line as a number, by itself in a buffer, since strtod wants an end.
static bool take_number(struct bytes *line, double *out) {
  char word[64];
  size_t n = 0;
  while (line->n > 0 && *line->p == ' ') *line = bytes_of(line->p + 1, line->n - 1);
  while (n < line->n && line->p[n] != ' ') n++;
  if (n == 0 || n >= sizeof(word)) return false;
  memcpy(word, line->p, n);
  word[n] = '\0';
  *line = bytes_of(line->p + n, line->n - n);
  char *end;
  *out = strtod(word, &end);
  return *end == '\0' && !isspace((unsigned char)word[0]);
}

// Exactly `count` numbers behind KEY=. The list is the caller's to free.
static int take_list(const struct reading *r, const char *place, struct bytes block, const char *key, size_t count,
                     double **out) {
  struct bytes line;
  int status = needs(r, place, block, key, &line);
  if (status) return status;
  double *list = xcalloc(count + 1, sizeof(*list));
  size_t n = 0;
  while (n < count && take_number(&line, &list[n])) n++;
  while (line.n > 0 && *line.p == ' ') line = bytes_of(line.p + 1, line.n - 1);
  if (n < count || line.n > 0) {
    free(list);
    return strict_refuse(&r->s, strict_key(place, key).text, "must be %zu numbers", count);
  }
  *out = list;
  return ITD_OK;
}

static bool is_whole(double x, double low, double high) { return x >= low && x <= high && x == floor(x); }

static int take_whole(const struct reading *r, const char *place, struct bytes block, const char *key, double low,
                      double high, size_t *out) {
  double *one;
  int status = take_list(r, place, block, key, 1, &one);
  if (status) return status;
  double number = one[0];
  free(one);
  if (!is_whole(number, low, high))
    return strict_refuse(&r->s, strict_key(place, key).text, "is %g; it must be a whole number from %g to %g", number,
                         low, high);
  *out = (size_t)number;
  return ITD_OK;
}

// ---- a tree ----
// Its lists, one entry an inner node, then one a leaf.
enum list { FEATURE, THRESHOLD, DECISION, LEFT, RIGHT, COUNT, VALUE, LEAF_COUNT, BOUNDARIES, WORDS, LISTS };
struct tree {
  size_t leaves, splits, sets, words;
  double *list[LISTS];
};

static int read_lists(const struct reading *r, const char *place, struct bytes block, struct tree *t) {
  static const char *const keys[LISTS] = {"split_feature",  "threshold",      "decision_type", "left_child",
                                          "right_child",    "internal_count", "leaf_value",    "leaf_count",
                                          "cat_boundaries", "cat_threshold"};
  int status = take_whole(r, place, block, "num_leaves", 1, FOREST_NODES_MAX / 2, &t->leaves);
  if (status == ITD_OK) status = take_whole(r, place, block, "num_cat", 0, FOREST_NODES_MAX, &t->sets);
  if (status) return status;
  t->splits = t->leaves - 1;
  if (t->splits == 0) return take_list(r, place, block, keys[VALUE], 1, &t->list[VALUE]);
  for (int i = 0; i < BOUNDARIES && status == ITD_OK; i++)
    status = take_list(r, place, block, keys[i], i < VALUE ? t->splits : t->leaves, &t->list[i]);
  if (status || t->sets == 0) return status;
  status = take_list(r, place, block, keys[BOUNDARIES], t->sets + 1, &t->list[BOUNDARIES]);
  for (size_t i = 0; i <= t->sets && status == ITD_OK; i++) {
    double low = i ? t->list[BOUNDARIES][i - 1] : 0;
    if (!is_whole(t->list[BOUNDARIES][i], low, FOREST_NODES_MAX))
      status =
          strict_refuse(&r->s, strict_key(place, keys[BOUNDARIES]).text, "must be whole numbers that do not descend");
  }
  if (status) return status;
  t->words = (size_t)t->list[BOUNDARIES][t->sets];
  return take_list(r, place, block, keys[WORDS], t->words, &t->list[WORDS]);
}

// Inner node k is ours k, leaf k is ours splits + k; in the file a leaf is -1 - k.
static bool child_of(const struct tree *t, double number, int *out) {
  double last = (double)t->splits - 1, first = -(double)t->leaves;
  if (!is_whole(number, first, last)) return false;
  *out = number >= 0 ? (int)number : (int)t->splits + (int)(-1 - number);
  return true;
}

static int read_numeric(const struct reading *r, const char *place, const struct tree *t, size_t k, unsigned how,
                        struct grown_node *n) {
  double threshold = t->list[THRESHOLD][k];
  enum missing missing = (enum missing)(how >> 2 & 3);
  if (missing == MISSING_ZERO)
    return strict_refuse(&r->s, place, "node %zu takes zero for missing; train without zero_as_missing", k);
  if (missing > MISSING_NAN) return strict_refuse(&r->s, place, "node %zu: its decision_type is unknown", k);
  // Where training met nothing missing, NaN counts as 0.
  n->missing_left = missing == MISSING_NAN ? (how & DEFAULT_LEFT) != 0 : 0 <= threshold;
  n->threshold = nextafter(threshold, (double)INFINITY); // right is what lies above it
  return ITD_OK;
}

// The file's set goes left, everything else right, what is missing too; ours goes right: the children change places.
static int read_category(const struct reading *r, const char *place, const struct tree *t, size_t k,
                         const uint32_t *words, struct grown_node *n) {
  double set = t->list[THRESHOLD][k];
  if (!is_whole(set, 0, (double)t->sets - 1))
    return strict_refuse(&r->s, place, "node %zu: names set %g of categories; there are %zu", k, set, t->sets);
  size_t begin = (size_t)t->list[BOUNDARIES][(size_t)set], end = (size_t)t->list[BOUNDARIES][(size_t)set + 1];
  int left = n->left;
  n->left = n->right;
  n->right = left;
  n->missing_left = true;
  n->categories = words + begin;
  n->category_words = end - begin;
  return ITD_OK;
}

static int read_split(const struct reading *r, const char *place, const struct tree *t, size_t k, const uint32_t *words,
                      struct grown_node *n) {
  double feature = t->list[FEATURE][k];
  if (!is_whole(feature, 0, (double)r->features - 1))
    return strict_refuse(&r->s, place, "node %zu: asks about feature %g; the features are 0 to %zu", k, feature,
                         r->features - 1);
  if (!is_whole(t->list[DECISION][k], 0, 15))
    return strict_refuse(&r->s, place, "node %zu: its decision_type is unknown", k);
  if (!child_of(t, t->list[LEFT][k], &n->left) || !child_of(t, t->list[RIGHT][k], &n->right))
    return strict_refuse(&r->s, place, "node %zu: its children are %g and %g; there are %zu splits and %zu leaves", k,
                         t->list[LEFT][k], t->list[RIGHT][k], t->splits, t->leaves);
  unsigned how = (unsigned)t->list[DECISION][k];
  bool by_category = how & BY_CATEGORY;
  n->feature = (int)feature;
  n->cover = t->list[COUNT][k];
  if (by_category != r->is_text[n->feature])
    return strict_refuse(&r->s, place, "node %zu splits feature %d by %s, and model.json has it as a %s", k, n->feature,
                         by_category ? "category" : "number", by_category ? "number" : "text");
  return by_category ? read_category(r, place, t, k, words, n) : read_numeric(r, place, t, k, how, n);
}

static int grow(const struct reading *r, const char *place, const struct tree *t) {
  struct grown_node *nodes = xcalloc(t->splits + t->leaves, sizeof(*nodes));
  uint32_t *words = xcalloc(t->words + 1, sizeof(*words));
  int status = ITD_OK;
  for (size_t i = 0; i < t->words && status == ITD_OK; i++) {
    if (is_whole(t->list[WORDS][i], 0, UINT32_MAX))
      words[i] = (uint32_t)t->list[WORDS][i];
    else
      status = strict_refuse(&r->s, strict_key(place, "cat_threshold").text, "must be whole numbers below 2^32");
  }
  for (size_t k = 0; k < t->splits && status == ITD_OK; k++) status = read_split(r, place, t, k, words, &nodes[k]);
  for (size_t k = 0; k < t->leaves; k++)
    nodes[t->splits + k] = (struct grown_node){
        .is_leaf = true, .value = t->list[VALUE][k], .cover = t->splits ? t->list[LEAF_COUNT][k] : 0};
  if (status == ITD_OK) {
    struct error why = {0};
    status = forest_add(r->forest, nodes, t->splits + t->leaves, &why);
    if (status) strict_refuse(&r->s, place, "%s", why.text);
  }
  free(nodes);
  free(words);
  return status;
}

static int read_tree(const struct reading *r, size_t index, struct bytes block) {
  struct strict_place place = strict_item("trees", index);
  struct tree t = {0};
  struct bytes linear;
  if (value_of(block, "is_linear", &linear) && !bytes_is(linear, "0"))
    return strict_refuse(&r->s, place.text, "has linear leaves; train without linear_tree");
  int status = read_lists(r, place.text, block, &t);
  if (status == ITD_OK) status = grow(r, place.text, &t);
  for (int i = 0; i < LISTS; i++) free(t.list[i]);
  return status;
}

// ---- the whole ----
// Up to the line that begins a tree, or ends them.
static struct bytes take_block(struct reading *r, bool *has_next) {
  struct bytes block = bytes_of(r->rest.p, 0), line;
  *has_next = false;
  while (next_line(r, &line)) {
    *has_next = line.n > 5 && memcmp(line.p, "Tree=", 5) == 0;
    if (bytes_is(line, "end of trees")) r->is_at_end = true;
    if (*has_next || r->is_at_end) break;
    block.n = (size_t)(line.p + line.n - block.p);
  }
  return block;
}

static int read_head(const struct reading *r, struct bytes head) {
  struct bytes objective, line;
  size_t n;
  if (head.n < 5 || memcmp(head.p, "tree\n", 5) != 0)
    return strict_refuse(&r->s, "", "does not begin with the line 'tree': it is no model that LightGBM saved");
  struct reading average = {.rest = head};
  while (next_line(&average, &line))
    if (bytes_is(line, "average_output"))
      return strict_refuse(&r->s, "average_output", "is a random forest's; only boosted trees can be read");
  int status = take_whole(r, "", head, "num_class", 1, 1, &n);
  if (status == ITD_OK) status = take_whole(r, "", head, "num_tree_per_iteration", 1, 1, &n);
  if (status == ITD_OK) status = needs(r, "", head, "objective", &objective);
  if (status == ITD_OK && !bytes_is(objective, "binary sigmoid:1")) {
    char text[64];
    snprintf(text, sizeof(text), "%.*s", (int)(objective.n > 60 ? 60 : objective.n), (const char *)objective.p);
    status = strict_refuse(&r->s, "objective", "is '%s'; a lead's margin must be log-odds: binary sigmoid:1",
                           strict_show(text).text);
  }
  if (status == ITD_OK) status = take_whole(r, "", head, "max_feature_idx", 0, FOREST_FEATURES_MAX, &n);
  if (status == ITD_OK && n + 1 != r->features)
    status = strict_refuse(&r->s, "max_feature_idx",
                           "is %zu, and model.json lists %zu features: both must name the same, in one order", n,
                           r->features);
  return status;
}

int forest_read_lightgbm(struct bytes text, size_t features, const bool *is_text, struct forest **out,
                         struct error *err) {
  struct reading r = {.s = {"weights.txt", err}, .rest = text, .features = features, .is_text = is_text};
  if (text.n > MODEL_TREES_MAX)
    return strict_refuse(&r.s, "", "has %zu bytes; allowed are at most %u", text.n, MODEL_TREES_MAX);
  bool has_next;
  int status = read_head(&r, take_block(&r, &has_next));
  if (status == ITD_OK && !has_next) status = strict_refuse(&r.s, "", "has no trees");
  if (status) return status;
  r.forest = forest_new(features, (struct forest_arithmetic){0});
  for (size_t i = 0; status == ITD_OK && has_next; i++) status = read_tree(&r, i, take_block(&r, &has_next));
  if (status == ITD_OK && !r.is_at_end) status = strict_refuse(&r.s, "", "has no line 'end of trees': it is cut short");
  if (status) {
    forest_free(r.forest);
    return status;
  }
  forest_finish(r.forest);
  *out = r.forest;
  return ITD_OK;
}
