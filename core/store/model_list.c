#include "store/model_list.h"

#include "policy/registry.h"
#include "wire/mp.h"

#include <stdio.h>
#include <stdlib.h>

// ---- one version's files ----

static int folder_files(const struct model_places *p, const char *name, const char *version, struct buf *model_json,
                        struct buf *weights_json, struct error *err) {
  if (p->models_dir) return registry_read(p->models_dir, name, version, model_json, weights_json, NULL, err);
  return error_set(err, ITD_ENOTFOUND, "%.64s@%.64s was never in force", name, version);
}

static bool was_in_force(const struct model_places *p, const char *name, const char *version) {
  return p->history && model_history_last(p->history, name, version);
}

static int kept_files(const struct model_places *p, const char *name, const char *version, struct buf *model_json,
                      struct buf *weights_json, struct error *err) {
  int rc = model_history_files(p->data_dir, p->history, name, version, model_json, weights_json, err);
  struct buf json = {0}, weights = {0};
  struct error gone = {0}; // it need not be in the folder any more
  if (rc == 0 && p->models_dir && registry_read(p->models_dir, name, version, &json, &weights, NULL, &gone) == 0 &&
      (!bytes_eq(buf_bytes(&json), buf_bytes(model_json)) || !bytes_eq(buf_bytes(&weights), buf_bytes(weights_json))))
    rc = error_set(err, ITD_EMODEL,
                   "models/%s/%s: is not the model that was in force under this version, which never changes: give the "
                   "change a version of its own",
                   name, version);
  buf_deinit(&json), buf_deinit(&weights);
  return rc;
}

int model_files(const struct model_places *p, const char *name, const char *version, struct buf *model_json,
                struct buf *weights_json, struct error *err) {
  return was_in_force(p, name, version) ? kept_files(p, name, version, model_json, weights_json, err)
                                        : folder_files(p, name, version, model_json, weights_json, err);
}

// ---- the list ----

struct row {
  const char *name, *version;
  bool in_folder;
};

static void put_text(struct buf *out, const char *key, const char *text) {
  mp_put_cstr(out, key);
  if (text)
    mp_put_cstr(out, text);
  else
    mp_put_nil(out);
}

static void put_roles(const struct model_places *p, const struct row *row, struct buf *out) {
  const char *role[8];
  uint32_t count = 0;
  bool is_pinned = false;
  for (size_t r = 0; p->policy && r < policy_roles(); r++) {
    struct policy_model_use use;
    if (!policy_model_of(p->policy, r, &use) || strcmp(use.model.name, row->name) != 0) continue;
    if (count < 8) role[count++] = use.role;
    is_pinned |= use.is_pinned;
  }
  mp_put_cstr(out, "roles"), mp_put_array(out, count);
  for (uint32_t i = 0; i < count; i++) mp_put_cstr(out, role[i]);
  mp_put_cstr(out, "pinned"), mp_put_bool(out, is_pinned);
}

// Of a version that decides for nobody now, by any line of it.
static const char *state_before(const struct model_places *p, const struct model_use *of) {
  for (size_t i = 0; i < p->history->count; i++) {
    const struct model_use *u = &p->history->use[i];
    if (strcmp(u->name, of->name) == 0 && strcmp(u->version, of->version) == 0 && u->how != MODEL_CANARY &&
        u->how != MODEL_ENDED)
      return "was_in_force";
  }
  return "was_canary";
}

static void put_uses(const struct model_places *p, const struct row *row, struct buf *out) {
  const struct model_use *in_force = p->history ? model_history_in_force(p->history, row->name) : NULL;
  const struct model_use *last = p->history ? model_history_last(p->history, row->name, row->version) : NULL;
  const struct model_use *canary = p->history ? model_history_canary(p->history, row->name) : NULL;
  bool is_in_force = in_force && strcmp(in_force->version, row->version) == 0;
  bool is_canary = !is_in_force && canary && strcmp(canary->version, row->version) == 0;
  if (is_in_force) last = in_force;
  put_text(out, "state", is_in_force ? "in_force" : is_canary ? "canary" : last ? state_before(p, last) : "new");
  mp_put_cstr(out, "share");
  if (is_canary)
    mp_put_uint(out, canary->share);
  else
    mp_put_nil(out);
  put_roles(p, row, out);
  mp_put_cstr(out, "since");
  if (last)
    mp_put_int(out, last->at_ms);
  else
    mp_put_nil(out);
  put_text(out, "by", last ? last->by : NULL);
  put_text(out, "why", last ? last->why : NULL);
  put_text(out, "how", last ? model_how_name(last->how) : NULL);
  mp_put_cstr(out, "number");
  if (last)
    mp_put_uint(out, last->number);
  else
    mp_put_nil(out);
}

static bool is_read_by(const struct policy *policy, const char *name) {
  struct policy_model_use use;
  for (size_t role = 0; policy && role < policy_roles(); role++)
    if (policy_model_of(policy, role, &use) && strcmp(use.model.name, name) == 0) return true;
  return false;
}

// Whether it could be put in force: it loads, and the features of a policy that reads it are its own. Those that are no
// features of one role are found when it is tried.
static int judge(const struct model_places *p, const struct row *row, struct model **model, struct error *err) {
  struct buf json = {0}, weights = {0};
  struct model_bound *bound = NULL;
  int status = model_files(p, row->name, row->version, &json, &weights, err);
  if (status == 0) status = model_parse(buf_bytes(&json), buf_bytes(&weights), model, err);
  if (status == 0 && is_read_by(p->policy, row->name))
    status = model_bind(*model, policy_features(p->policy), &bound, err);
  model_bound_free(bound);
  buf_deinit(&json), buf_deinit(&weights);
  return status;
}

static void put_row(const struct model_places *p, const struct row *row, struct buf *out) {
  struct model *model = NULL;
  struct error err = {0};
  int status = judge(p, row, &model, &err);
  mp_put_map(out, 15);
  put_text(out, "name", row->name);
  put_text(out, "version", row->version);
  put_text(out, "kind", model ? model_kind_name(model_info(model)->kind) : NULL);
  put_text(out, "target", model ? model_info(model)->target : NULL);
  mp_put_cstr(out, "in_folder"), mp_put_bool(out, row->in_folder);
  put_uses(p, row, out);
  put_text(out, "problem", status < 0 ? err.text : NULL);
  model_free(model);
}

static int by_name_and_version(const void *a, const void *b) {
  const struct row *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order ? order : registry_compare(x->version, y->version);
}

static size_t add_row(struct row *rows, size_t count, const char *name, const char *version, bool in_folder) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(rows[i].name, name) == 0 && strcmp(rows[i].version, version) == 0) return count;
  rows[count] = (struct row){name, version, in_folder};
  return count + 1;
}

int model_list_put(const struct model_places *p, const char *only, struct buf *out, struct error *err) {
  struct registry_version *list = NULL;
  size_t listed = 0, count = 0, used = p->history ? p->history->count : 0;
  int status = p->models_dir ? registry_list(p->models_dir, &list, &listed, err) : 0;
  if (status == ITD_ENOTFOUND && p->history) status = 0; // a directory's models need no folder
  if (status < 0) return status;
  struct row *rows = xcalloc(listed + used + 1, sizeof *rows);
  for (size_t i = 0; i < listed; i++)
    if (!only || strcmp(only, list[i].name) == 0) count = add_row(rows, count, list[i].name, list[i].version, true);
  for (size_t i = 0; i < used; i++) {
    const struct model_use *u = &p->history->use[i];
    if (!only || strcmp(only, u->name) == 0) count = add_row(rows, count, u->name, u->version, false);
  }
  if (count > 1) qsort(rows, count, sizeof *rows, by_name_and_version);
  mp_put_array(out, (uint32_t)count);
  for (size_t i = 0; i < count; i++) put_row(p, &rows[i], out);
  free(rows);
  registry_free(list, listed);
  return (int)count;
}
