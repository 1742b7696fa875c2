// intent feature list, show, lineage: what a signal set declares, what each feature is made of, and who reads it.
#include "base/clock.h"
#include "base/suggest.h"
#include "cli/feature.h"
#include "cli/feature_full.h"
#include "cli/feature_history.h"
#include "cli/field.h"
#include "cli/folder.h"
#include "cli/grid.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "store/in_force.h"

#include <stdio.h>
#include <stdlib.h>

// The policy that is asked about: of files (--policy), else the version in force in a data directory.
struct asked {
  const struct args *args;
  struct policy *policy; // retained
  struct feature_history history;
  bool has_history;
  struct feature_full full; // with a history
  struct progress bar;
};

static void draw(void *context, uint64_t done, uint64_t total) { progress_show(context, done, total, INT64_MIN); }

static int load_folder(struct asked *a, const char *dir, struct error *err) {
  struct folder folder;
  struct policy_report report = {0};
  int rc = folder_find_at(a->args, dir, &folder, err);
  if (rc) return rc;
  rc = folder_load(&folder, &a->policy, &report, err);
  policy_report_deinit(&report);
  folder_deinit(&folder);
  return rc;
}

// The one in force; where that is not known or does not read, the newest that does.
static int load_version(struct asked *a, struct error *err) {
  uint32_t number;
  int rc = in_force_number(feature_data(a->args), &number, err);
  for (size_t i = 0; i < a->history.count && rc == 0; i++) {
    const struct version_history *v = &a->history.version[i];
    if (!v->policy) continue;
    a->policy = v->policy;
    if (v->number == number) break;
  }
  if (a->policy) policy_retain(a->policy);
  if (a->policy || rc) return rc;
  return error_set(err, ITD_ENOTFOUND, "%s: no policy version in it can be read", feature_data(a->args));
}

// Where there is a directory, `counts`: with the decisions of each version; `wants_full`: with what features are owed.
static int open_asked(struct asked *a, const struct args *args, bool counts, bool wants_full, struct error *err) {
  const char *dir = args_text(args, "policy");
  *a = (struct asked){.args = args};
  int rc = 0;
  if (!dir || args_flag(args, "data")) {
    progress_begin(&a->bar, "reading the journal");
    rc = feature_history_read(feature_data(args), counts, draw, &a->bar, &a->history, err);
    progress_end(&a->bar);
    a->has_history = rc == 0;
  }
  if (rc) return rc;
  rc = dir ? load_folder(a, dir, err) : load_version(a, err);
  if (rc || !a->has_history || !wants_full) return rc;
  progress_begin(&a->bar, "folding what late features lack");
  feature_full_read(feature_data(args), a->policy, &a->history, draw, &a->bar, &a->full);
  progress_end(&a->bar);
  return 0;
}

static void close_asked(struct asked *a) {
  if (a->policy) policy_release(a->policy);
  if (a->has_history) feature_history_deinit(&a->history);
}

// ---- one feature, as a map ----
static struct bytes declared(const struct asked *a, size_t i, const char *key) {
  struct bytes value;
  return mp_find(policy_declaration(a->policy, i), bytes_str(key), &value) ? value : (struct bytes){0};
}

static void put_raw(struct buf *out, const char *key, struct bytes value) {
  mp_put_cstr(out, key);
  if (value.n)
    mp_put_raw(out, value);
  else
    mp_put_nil(out);
}

static void put_hash(struct buf *out, uint64_t hash) {
  char hex[17];
  snprintf(hex, sizeof hex, "%016llx", (unsigned long long)hash);
  mp_put_cstr(out, "hash"), mp_put_cstr(out, hex);
}

#define ABOUT_KEYS 11
static void put_about(const struct asked *a, size_t i, struct buf *out) {
  const struct feature_info *info = feature_info(policy_features(a->policy), i);
  mp_put_cstr(out, "name"), mp_put_cstr(out, info->name);
  mp_put_cstr(out, "op"), mp_put_cstr(out, info->op);
  put_raw(out, "window", declared(a, i, "window"));
  mp_put_cstr(out, "class"), mp_put_cstr(out, info->class == FEATURE_PROFILE ? "profile" : "behaviour");
  mp_put_cstr(out, "freshness"), mp_put_cstr(out, feature_freshness_name(info->freshness));
  mp_put_cstr(out, "personal"), mp_put_bool(out, info->is_personal);
  mp_put_cstr(out, "bytes"), mp_put_uint(out, info->state_size);
  put_hash(out, info->definition_hash);
  mp_put_cstr(out, "description"), mp_put_cstr(out, info->description);
  mp_put_cstr(out, "owner"), mp_put_cstr(out, info->owner);
  mp_put_cstr(out, "file"), mp_put_cstr(out, policy_feature_file(a->policy, i));
}

// Names in a declaration's `of` that are features: it is made of them.
static bool is_made_of(const struct asked *a, size_t i, const char *name) {
  struct bytes value = declared(a, i, "of"), text;
  bool is_account = strcmp(feature_info(policy_features(a->policy), i)->op, "account") == 0;
  if (is_account) return value.n && mp_as_str(value, &text) && bytes_is(text, name);
  if (!value.n || mp_value_of(value).type != MP_ARRAY) return false;
  for (struct each each = each_of(value); each_next(&each, &value);)
    if (mp_as_str(value, &text) && bytes_is(text, name)) return true;
  return false;
}

static void put_names(const struct asked *a, const char *key, size_t of, bool is_input, struct buf *out) {
  const struct feature_set *set = policy_features(a->policy);
  uint32_t count = 0;
  for (int pass = 0; pass < 2; pass++) {
    if (pass) mp_put_cstr(out, key), mp_put_array(out, count);
    for (size_t i = 0; i < feature_count(set); i++) {
      bool is_one =
          is_input ? is_made_of(a, of, feature_info(set, i)->name) : is_made_of(a, i, feature_info(set, of)->name);
      if (!is_one) continue;
      count += !pass;
      if (pass) mp_put_cstr(out, feature_info(set, i)->name);
    }
  }
}

// ---- who reads it ----
static size_t model_rows(const struct policy_model_use *use, size_t feature, struct buf *out) {
  size_t count = 0;
  for (size_t t = 0; t < model_terms(use->bound); t++) {
    if (model_term_feature(use->bound, t) != (int)feature) continue;
    count++;
    mp_put_map(out, 4);
    mp_put_cstr(out, "role"), mp_put_cstr(out, use->role);
    mp_put_cstr(out, "name"), mp_put_cstr(out, use->model.name);
    mp_put_cstr(out, "version"), mp_put_cstr(out, use->model.version);
    mp_put_cstr(out, "term"), mp_put_uint(out, t + 1);
  }
  return count;
}

// Of the models in force and of those on canary.
static size_t all_model_rows(const struct policy *policy, size_t feature, struct buf *out) {
  struct policy_model_use use;
  size_t count = 0;
  for (size_t role = 0; role < policy_roles(); role++) {
    if (policy_model_of(policy, role, &use)) count += model_rows(&use, feature, out);
    if (policy_canary_of(policy, role, &use)) count += model_rows(&use, feature, out);
  }
  return count;
}

static void put_models(const struct policy *policy, size_t feature, struct buf *out) {
  struct buf rows = {0};
  size_t count = all_model_rows(policy, feature, &rows);
  mp_put_cstr(out, "models"), mp_put_array(out, (uint32_t)count);
  buf_append_bytes(out, buf_bytes(&rows));
  buf_deinit(&rows);
}

static size_t rules_of(const struct policy *policy, size_t feature) {
  size_t count, n = 0;
  const struct policy_read *reads = policy_reads(policy, &count);
  for (size_t i = 0; i < count; i++) n += reads[i].feature == feature;
  return n;
}

static void put_rules(const struct policy *policy, size_t feature, struct buf *out) {
  size_t count;
  const struct policy_read *reads = policy_reads(policy, &count);
  mp_put_cstr(out, "rules"), mp_put_array(out, (uint32_t)rules_of(policy, feature));
  for (size_t i = 0; i < count; i++) {
    if (reads[i].feature != feature) continue;
    mp_put_map(out, 5);
    mp_put_cstr(out, "kind"), mp_put_cstr(out, reads[i].kind);
    mp_put_cstr(out, "name"), mp_put_cstr(out, reads[i].name);
    mp_put_cstr(out, "condition"), mp_put_cstr(out, reads[i].condition);
    mp_put_cstr(out, "path"), mp_put_cstr(out, reads[i].path);
    mp_put_cstr(out, "line"), mp_put_int(out, reads[i].line);
  }
}

static bool is_read(const struct policy *policy, size_t feature) {
  struct buf rows = {0};
  bool has_term = all_model_rows(policy, feature, &rows) > 0;
  buf_deinit(&rows);
  return has_term || rules_of(policy, feature);
}

// ---- since when ----
static void put_time(struct buf *out, const char *key, int64_t at_ms) {
  mp_put_cstr(out, key);
  if (at_ms == INT64_MIN)
    mp_put_nil(out);
  else
    mp_put_int(out, at_ms);
}

static void put_since(const struct asked *a, const struct feature_info *info, struct buf *out) {
  mp_put_cstr(out, "since");
  for (size_t i = 0; i < a->history.count; i++) {
    const struct version_history *v = &a->history.version[i];
    if (!v->policy || feature_like(v->policy, info) < 0) continue;
    mp_put_map(out, 4);
    mp_put_cstr(out, "number"), mp_put_uint(out, v->number);
    mp_put_cstr(out, "policy"), mp_put_cstr(out, policy_info(v->policy)->version);
    mp_put_cstr(out, "signals"), mp_put_cstr(out, policy_info(v->policy)->signals);
    put_time(out, "at", v->since_ms);
    return;
  }
  mp_put_nil(out);
}

// Decisions by versions that have the feature and read it.
static void put_decisions(const struct asked *a, const struct feature_info *info, struct buf *out) {
  const struct version_history *first = NULL, *last = NULL;
  uint64_t count = 0;
  for (size_t i = 0; i < a->history.count; i++) {
    const struct version_history *v = &a->history.version[i];
    int at = v->policy && v->decisions ? feature_like(v->policy, info) : -1;
    if (at < 0 || !is_read(v->policy, (size_t)at)) continue;
    count += v->decisions;
    if (!first || v->first_ms < first->first_ms) first = v;
    if (!last || v->last_ms >= last->last_ms) last = v;
  }
  mp_put_cstr(out, "decisions");
  mp_put_map(out, count ? 5 : 1);
  mp_put_cstr(out, "count"), mp_put_uint(out, count);
  if (!count) return;
  mp_put_cstr(out, "first"), mp_put_cstr(out, first->first_id);
  put_time(out, "first_at", first->first_ms);
  mp_put_cstr(out, "last"), mp_put_cstr(out, last->last_id);
  put_time(out, "last_at", last->last_ms);
}

static void put_lineage(const struct asked *a, size_t i, struct buf *out) {
  const struct feature_info *info = feature_info(policy_features(a->policy), i);
  mp_put_map(out, ABOUT_KEYS + (a->has_history ? 13 : 10));
  put_about(a, i, out);
  put_raw(out, "on", declared(a, i, "on"));
  put_raw(out, "where", declared(a, i, "where"));
  put_raw(out, "steps", declared(a, i, "steps"));
  put_raw(out, "of", declared(a, i, "of"));
  put_raw(out, "roll", declared(a, i, "roll"));
  put_names(a, "made_of", i, true, out);
  put_names(a, "derived", i, false, out);
  mp_put_cstr(out, "policy"), mp_put_cstr(out, policy_info(a->policy)->name);
  put_models(a->policy, i, out);
  put_rules(a->policy, i, out);
  if (!a->has_history) return;
  put_since(a, info, out);
  feature_full_put(&a->full, a->policy, i, out);
  put_decisions(a, info, out);
}

// ---- pages ----
static void value_row(struct grid *t, const char *name, struct bytes value) {
  if (!value.n || mp_value_of(value).type == MP_NIL) return;
  grid_add_str(t, name);
  show_value(grid_cell(t), value, NULL);
  grid_end(t);
}

static void begin_row(struct grid *t, const char *name, size_t *n) { grid_add_str(t, (*n)++ ? "" : name); }

static void reader_rows(struct grid *t, struct bytes map) {
  struct bytes row;
  size_t n = 0;
  for (struct each each = each_of(field(map, "models")); each_next(&each, &row);) {
    begin_row(t, "models", &n);
    show_text(grid_cell(t), field_text(row, "name"));
    buf_append_u8(grid_cell(t), '@');
    show_text(grid_cell(t), field_text(row, "version"));
    buf_printf(grid_cell(t), ", term %lld", (long long)field_int(row, "term", 0));
    grid_end(t);
  }
  n = 0;
  for (struct each each = each_of(field(map, "rules")); each_next(&each, &row);) {
    begin_row(t, "rules", &n);
    struct buf *cell = grid_cell(t);
    show_text(cell, field_text(row, "kind"));
    buf_append_u8(cell, ' ');
    show_text(cell, field_text(row, "name"));
    if (field_text(row, "condition").n) buf_append_str(cell, ": ");
    show_text(cell, field_text(row, "condition"));
    buf_append_str(cell, "  (");
    show_text(cell, field_text(row, "path"));
    buf_printf(cell, ":%lld)", (long long)field_int(row, "line", 0));
    grid_end(t);
  }
  n = 0;
  for (struct each each = each_of(field(map, "derived")); each_next(&each, &row);) {
    begin_row(t, "derived from it", &n);
    show_value(grid_cell(t), row, NULL);
    grid_end(t);
  }
}

static void history_rows(struct grid *t, struct bytes map) {
  if (field(map, "since").n) {
    grid_add_str(t, "since");
    struct buf *cell = grid_cell(t);
    show_text(cell, field_text(map, "since.signals"));
    buf_append_str(cell, ", policy ");
    show_text(cell, field_text(map, "since.policy"));
    if (field(map, "since.at").n) {
      buf_append_str(cell, ", ");
      show_time(cell, field_int(map, "since.at", 0));
    }
    grid_end(t);
  }
  if (field(map, "history").n) {
    grid_add_str(t, "history");
    feature_full_show(map, grid_cell(t));
    grid_end(t);
  }
  if (!field(map, "decisions").n) return;
  grid_add_str(t, "decisions");
  struct buf *cell = grid_cell(t);
  show_count(cell, (uint64_t)field_int(map, "decisions.count", 0));
  if (field(map, "decisions.first").n) {
    buf_append_str(cell, ", from ");
    show_text(cell, field_text(map, "decisions.first"));
    buf_append_str(cell, " (");
    show_time(cell, field_int(map, "decisions.first_at", 0));
    buf_append_str(cell, ") to ");
    show_text(cell, field_text(map, "decisions.last"));
    buf_append_str(cell, " (");
    show_time(cell, field_int(map, "decisions.last_at", 0));
    buf_append_u8(cell, ')');
  }
  grid_end(t);
}

static void put_page(struct bytes map, bool lineage, struct buf *out) {
  static const char *const about[] = {"name",  "op",   "window", "class",       "freshness",
                                      "bytes", "hash", "file",   "description", "owner"};
  static const char *const inputs[] = {"on", "where", "steps", "roll", "of", "made_of"};
  struct grid t;
  grid_init(&t, "ll");
  for (size_t i = 0; i < sizeof about / sizeof *about; i++) {
    struct bytes value = field(map, about[i]), text;
    if (value.n && (!mp_as_str(value, &text) || text.n)) value_row(&t, about[i], value);
  }
  for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
    struct bytes value = field(map, inputs[i]);
    bool is_empty = value.n && mp_value_of(value).type == MP_ARRAY && mp_value_of(value).count == 0;
    if (!is_empty) value_row(&t, inputs[i], value);
  }
  if (lineage) {
    reader_rows(&t, map);
    history_rows(&t, map);
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
}

// As a list has it: with what it is owed, where there is a directory.
static void put_listed(const struct asked *a, size_t i, struct buf *out) {
  mp_put_map(out, ABOUT_KEYS + a->has_history);
  put_about(a, i, out);
  if (a->has_history) feature_full_put(&a->full, a->policy, i, out);
}

static void put_notes(const struct asked *a, struct buf *out) {
  if (a->full.unknown.code) {
    buf_append_str(out, "what late features lack is not known: ");
    show_text(out, bytes_str(a->full.unknown.text));
    buf_append_u8(out, '\n');
  }
  if (a->full.stats.cut_short)
    buf_printf(out, "the beginning of %llu leads is not kept any more (retention): a late feature is full of what is\n",
               (unsigned long long)a->full.stats.cut_short);
}

static void put_list(const struct asked *a, struct buf *out) {
  static const char *const heads[] = {"name",  "op",   "window",  "class",      "freshness",
                                      "bytes", "hash", "history", "description"};
  struct grid t;
  grid_init(&t, a->has_history ? "lllllrlll" : "lllllrll");
  for (size_t k = 0; k < 9; k++)
    if (k != 7 || a->has_history) grid_add_str(&t, heads[k]);
  const struct feature_set *set = policy_features(a->policy);
  for (size_t i = 0; i < feature_count(set); i++) {
    struct buf map = {0};
    put_listed(a, i, &map);
    for (size_t k = 0; k < 9; k++) {
      struct bytes value = field(buf_bytes(&map), heads[k]);
      if (k == 7 && !a->has_history) continue;
      if (k == 7)
        feature_full_show(buf_bytes(&map), grid_cell(&t));
      else if (value.n)
        show_value(grid_cell(&t), value, NULL);
      grid_end(&t);
    }
    buf_deinit(&map);
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
  const struct policy_info *info = policy_info(a->policy);
  buf_printf(out, "\n%zu features of %s (hash %016llx), %zu bytes a lead; policy %s %s\n", feature_count(set),
             info->signals, (unsigned long long)info->signals_hash, feature_state_size(set), info->name, info->version);
  put_notes(a, out);
}

// ---- the words ----
int feature_list(const struct args *args) {
  struct asked a;
  struct error err = {0};
  struct buf out = {0}, map = {0};
  int rc = open_asked(&a, args, false, true, &err);
  for (size_t i = 0; rc == 0 && args_flag(args, "json") && i < feature_count(policy_features(a.policy)); i++) {
    buf_clear(&map);
    put_listed(&a, i, &map);
    show_json(buf_bytes(&map));
  }
  if (rc == 0 && !args_flag(args, "json")) put_list(&a, &out);
  show_print(&out);
  buf_deinit(&out), buf_deinit(&map);
  close_asked(&a);
  return rc < 0 ? command_fail(args, feature_exit_of(rc), &err) : COMMAND_OK;
}

static int find_feature(const struct asked *a, size_t *index, struct error *err) {
  const struct feature_set *set = policy_features(a->policy);
  const char *names[FEATURES_MAX], *word = a->args->operand[1];
  if (!word) return error_set(err, ITD_EINVAL, "which feature? intent feature list names them");
  int at = feature_find(set, bytes_str(word));
  if (at >= 0) {
    *index = (size_t)at;
    return 0;
  }
  for (size_t i = 0; i < feature_count(set); i++) names[i] = feature_info(set, i)->name;
  const char *near = suggest(bytes_str(word), names, feature_count(set));
  return error_set(err, ITD_ENOTFOUND, "no feature \"%.60s\" in %s%s%s%s", word, policy_info(a->policy)->signals,
                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static int about_one(const struct args *args, bool lineage) {
  struct asked a;
  struct error err = {0};
  struct buf out = {0}, map = {0};
  size_t index = 0;
  int rc = open_asked(&a, args, lineage, lineage, &err);
  if (rc == 0) rc = find_feature(&a, &index, &err);
  if (rc == 0) {
    put_lineage(&a, index, &map);
    if (args_flag(args, "json"))
      show_json(buf_bytes(&map));
    else
      put_page(buf_bytes(&map), lineage, &out);
  }
  show_print(&out);
  buf_deinit(&out), buf_deinit(&map);
  close_asked(&a);
  return rc < 0 ? command_fail(args, feature_exit_of(rc), &err) : COMMAND_OK;
}

int feature_show(const struct args *args) { return about_one(args, false); }
int feature_lineage(const struct args *args) { return about_one(args, true); }
