// Plugins: shared objects that the tool loads at run time, and all that they and it know of each other. Plain C, no other
// header of intentd; a plugin needs none of its code.
//
// A plugin has one function, itd_plugin, which answers with what it is. Each struct begins with its size in bytes and the
// version of its kind, set by who fills it: a reader looks at no member beyond that size, and refuses another version.
// Members are only ever added at the end; a version changes when what is there comes to mean something else.
//
// Functions return 0, or -1 with a text in `error` (ITD_PLUGIN_ERROR bytes, always ended by a NUL). Nothing is called from
// two threads at a time. Pointers that go in are read during the call only, unless it is said otherwise.
#pragma once
#include <stdint.h>

#define ITD_PLUGIN_VERSION 1
#define ITD_PLUGIN_ERROR   400
#define ITD_PLUGIN_ENTRY   "itd_plugin"

enum itd_plugin_kind { ITD_PLUGIN_TRAINER = 1 };

struct itd_plugin {
  uint32_t size, version; // ITD_PLUGIN_VERSION
  uint32_t kind;          // enum itd_plugin_kind
  uint32_t reserved;      // 0
  const void *functions;  // ITD_PLUGIN_TRAINER: struct itd_trainer
};
// `host`: the ITD_PLUGIN_VERSION that the loader was built with. NULL: this plugin can't work with it. What is returned
// lives as long as the plugin is loaded.
typedef const struct itd_plugin *itd_plugin_entry(uint32_t host);
const struct itd_plugin *itd_plugin(uint32_t host);

// ---- trainers: boosted trees of rows of numbers ----

// Rows to learn from, or to be asked about. A number that is not known is NaN, and none is infinite. A text is the number of
// its category, 0 … categories - 1; one that is none of them has the number `categories`, and is not to be learnt from.
struct itd_table {
  uint32_t size, version; // 1
  uint64_t rows;
  uint32_t columns;
  uint32_t reserved;
  const float *values;        // row by row
  const uint32_t *categories; // of each column; 0: numbers
  const float *labels;        // 0 or 1, of each row
};

struct itd_settings {
  uint32_t size, version; // 1
  uint32_t depth;         // steps down a tree, at most
  uint32_t reserved;
  uint64_t seed;       // of what is drawn (rows, columns): the same seed and rows give the same trees, bit for bit
  double eta;          // how much of a tree is taken
  double base_rate;    // of rows that came: where the sum of trees begins, 0 < base_rate < 1
  double row_share;    // of the rows, drawn for each tree
  double column_share; // of the columns, likewise
  double weight_min;   // of the rows in a leaf (sum of the hessian)
  double shrink;       // L2 on a leaf's value
};

struct itd_rows;    // the plugin's
struct itd_booster; // the plugin's

struct itd_trainer {
  uint32_t size, version; // 1
  const char *kind;       // what model.json calls such a model: "xgboost"
  const char *library;    // for people, with its version: "libxgboost 1.7.4"
  // Copies a table.
  int (*rows_new)(const struct itd_table *table, struct itd_rows **out, char *error);
  void (*rows_free)(struct itd_rows *rows); // NULL does nothing
  // Begins a booster without trees on `training`; `watched` will be asked about after each tree. Both must outlive it.
  int (*begin)(const struct itd_settings *settings, struct itd_rows *training, struct itd_rows *watched,
               struct itd_booster **out, char *error);
  int (*grow)(struct itd_booster *booster, char *error); // one more tree
  // Keeps the first `trees` of them (at least 1): nothing is grown after it.
  int (*cut)(struct itd_booster *booster, uint32_t trees, char *error);
  // Log-odds of each row, into `out`; of a booster without trees where the sum begins.
  int (*margins)(struct itd_booster *booster, struct itd_rows *rows, float *out, char *error);
  // The model's file as the library writes it: good until the booster is asked for something else.
  int (*save)(struct itd_booster *booster, const char **bytes, uint64_t *size, char *error);
  void (*end)(struct itd_booster *booster); // NULL does nothing
};
