// A trainer on libxgboost. One thread, so that sums are added in one order and trees are the same bit for bit.
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xgboost/c_api.h>

#include "intentd/plugin.h"

struct itd_rows {
  DMatrixHandle matrix;
  uint64_t count;
};

struct itd_booster {
  BoosterHandle handle;
  struct itd_rows *training;
  int trees;
};

static int fail(char *error, const char *what) {
  const char *said = XGBGetLastError();
  const char *line = strchr(said, ']'); // "[12:00:00] file:line: what", and a stack behind
  snprintf(error, ITD_PLUGIN_ERROR, "libxgboost: %s: %.300s", what, line && line[1] ? line + 2 : said);
  for (char *c = error; *c; c++)
    if (*c == '\n') *c = ' ';
  return -1;
}

static int set_types(DMatrixHandle matrix, const struct itd_table *table) {
  const char **types = calloc(table->columns + 1, sizeof(*types));
  if (!types) return -1;
  for (uint32_t i = 0; i < table->columns; i++) types[i] = table->categories[i] ? "c" : "q";
  int rc = XGDMatrixSetStrFeatureInfo(matrix, "feature_type", types, table->columns);
  free(types);
  return rc;
}

static void rows_free(struct itd_rows *rows) {
  if (!rows) return;
  if (rows->matrix) XGDMatrixFree(rows->matrix);
  free(rows);
}

static int rows_new(const struct itd_table *table, struct itd_rows **out, char *error) {
  struct itd_rows *rows = calloc(1, sizeof(*rows));
  if (!rows) return snprintf(error, ITD_PLUGIN_ERROR, "out of memory"), -1;
  rows->count = table->rows;
  int rc = XGDMatrixCreateFromMat_omp(table->values, table->rows, table->columns, NAN, &rows->matrix, 1);
  if (rc == 0) rc = set_types(rows->matrix, table);
  if (rc == 0) rc = XGDMatrixSetFloatInfo(rows->matrix, "label", table->labels, table->rows);
  if (rc != 0) {
    rows_free(rows);
    return fail(error, "taking the rows");
  }
  *out = rows;
  return 0;
}

// ---- settings ----
static int set(BoosterHandle b, const char *name, const char *value) { return XGBoosterSetParam(b, name, value); }
static int set_number(BoosterHandle b, const char *name, double value) {
  char text[40];
  snprintf(text, sizeof(text), "%.9g", value);
  return set(b, name, text);
}

static int set_all(BoosterHandle b, const struct itd_settings *s) {
  char seed[24];
  snprintf(seed, sizeof(seed), "%u", (unsigned)(s->seed & 0x7fffffff));
  // Each exactly once: the library takes the first failure's text with it.
  int rc = set(b, "objective", "binary:logistic");
  rc = rc ? rc : set(b, "booster", "gbtree");
  rc = rc ? rc : set(b, "tree_method", "hist");
  rc = rc ? rc : set(b, "nthread", "1");
  rc = rc ? rc : set(b, "verbosity", "0");
  rc = rc ? rc : set(b, "seed", seed);
  rc = rc ? rc : set_number(b, "base_score", s->base_rate);
  rc = rc ? rc : set_number(b, "max_depth", s->depth);
  rc = rc ? rc : set_number(b, "eta", s->eta);
  rc = rc ? rc : set_number(b, "subsample", s->row_share);
  rc = rc ? rc : set_number(b, "colsample_bytree", s->column_share);
  rc = rc ? rc : set_number(b, "min_child_weight", s->weight_min);
  rc = rc ? rc : set_number(b, "lambda", s->shrink);
  return rc;
}

// ---- a booster ----
static void end(struct itd_booster *b) {
  if (!b) return;
  if (b->handle) XGBoosterFree(b->handle);
  free(b);
}

static int begin(const struct itd_settings *settings, struct itd_rows *training, struct itd_rows *watched,
                 struct itd_booster **out, char *error) {
  if (settings->version != 1 || settings->size < sizeof(*settings))
    return snprintf(error, ITD_PLUGIN_ERROR, "settings of another version"), -1;
  struct itd_booster *b = calloc(1, sizeof(*b));
  if (!b) return snprintf(error, ITD_PLUGIN_ERROR, "out of memory"), -1;
  b->training = training;
  DMatrixHandle known[] = {training->matrix, watched->matrix}; // whose sums the library keeps from tree to tree
  int rc = XGBoosterCreate(known, 2, &b->handle);
  if (rc == 0) rc = set_all(b->handle, settings);
  if (rc != 0) {
    end(b);
    return fail(error, "beginning");
  }
  *out = b;
  return 0;
}

static int grow(struct itd_booster *b, char *error) {
  if (XGBoosterUpdateOneIter(b->handle, b->trees, b->training->matrix) != 0) return fail(error, "growing a tree");
  b->trees++;
  return 0;
}

static int cut(struct itd_booster *b, uint32_t trees, char *error) {
  BoosterHandle less;
  if (trees == 0 || trees > (uint32_t)b->trees) return snprintf(error, ITD_PLUGIN_ERROR, "no such number of trees"), -1;
  if (XGBoosterSlice(b->handle, 0, (int)trees, 1, &less) != 0) return fail(error, "keeping the first trees");
  XGBoosterFree(b->handle);
  b->handle = less;
  b->trees = (int)trees;
  return set(less, "nthread", "1") ? fail(error, "keeping the first trees") : 0;
}

static int margins(struct itd_booster *b, struct itd_rows *rows, float *out, char *error) {
  static const char how[] = "{\"type\": 1, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, "
                            "\"strict_shape\": false}";
  const bst_ulong *shape;
  const float *said;
  bst_ulong dim;
  if (XGBoosterPredictFromDMatrix(b->handle, rows->matrix, how, &shape, &dim, &said) != 0)
    return fail(error, "asking for margins");
  memcpy(out, said, rows->count * sizeof(*out));
  return 0;
}

static int save(struct itd_booster *b, const char **bytes, uint64_t *size, char *error) {
  bst_ulong n;
  if (XGBoosterSaveModelToBuffer(b->handle, "{\"format\": \"json\"}", &n, bytes) != 0) return fail(error, "saving");
  *size = n;
  return 0;
}

// ---- what this is ----
const struct itd_plugin *itd_plugin(uint32_t host) {
  static char library[48];
  static const struct itd_trainer trainer = {.size = sizeof(trainer),
                                             .version = 1,
                                             .kind = "xgboost",
                                             .library = library,
                                             .rows_new = rows_new,
                                             .rows_free = rows_free,
                                             .begin = begin,
                                             .grow = grow,
                                             .cut = cut,
                                             .margins = margins,
                                             .save = save,
                                             .end = end};
  static const struct itd_plugin plugin = {
      .size = sizeof(plugin), .version = ITD_PLUGIN_VERSION, .kind = ITD_PLUGIN_TRAINER, .functions = &trainer};
  int major = 0, minor = 0, patch = 0;
  if (host != ITD_PLUGIN_VERSION) return NULL;
  XGBoostVersion(&major, &minor, &patch);
  snprintf(library, sizeof(library), "libxgboost %d.%d.%d", major, minor, patch);
  return &plugin;
}
