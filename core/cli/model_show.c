#include "cli/field.h"
#include "cli/grid.h"
#include "cli/model.h"
#include "cli/show.h"
#include "model/model.h"
#include "policy/registry.h"

#include <stdlib.h>

static void row(struct grid *t, const char *name, struct bytes value) {
  if (!value.n || mp_value_of(value).type == MP_NIL) return;
  grid_add_str(t, name);
  show_value(grid_cell(t), value, NULL);
  grid_end(t);
}

// Rows of a map, "metrics.auc_later", each on a line of its own.
static void rows(struct grid *t, const char *name, struct bytes map) {
  struct bytes key, value, text;
  for (struct each each = each_of_map(map); each_next_pair(&each, &key, &value);) {
    struct buf *cell = grid_cell(t);
    buf_printf(cell, "%s ", name);
    if (mp_as_str(key, &text)) show_text(cell, text);
    grid_end(t);
    show_value(grid_cell(t), value, NULL);
    grid_end(t);
  }
}

// ---- features ----

struct feature_rows {
  struct grid grid;
  struct each list; // of model.json, in the same order
};

static void put_feature(void *context, const char *name, const char *problem) {
  struct feature_rows *r = context;
  struct bytes feature = {0};
  each_next(&r->list, &feature);
  grid_add_str(&r->grid, name);
  bool is_any = field_is_nil(feature, "definition");
  show_text(grid_cell(&r->grid), is_any ? BYTES_LIT("any") : field_text(feature, "definition")), grid_end(&r->grid);
  grid_add_str(&r->grid, problem ? problem : "yes");
}

static void put_features(const struct model *model, const struct policy *policy, struct bytes head, struct buf *out) {
  struct feature_rows r = {.list = each_of(field(head, "features"))};
  struct bytes feature;
  grid_init(&r.grid, policy ? "lll" : "ll");
  grid_add_str(&r.grid, "feature"), grid_add_str(&r.grid, "definition");
  if (policy) {
    grid_add_str(&r.grid, "as the policy has it");
    model_match(model, policy_features(policy), put_feature, &r);
  }
  while (!policy && each_next(&r.list, &feature)) {
    show_text(grid_cell(&r.grid), field_text(feature, "name")), grid_end(&r.grid);
    bool is_any = field_is_nil(feature, "definition");
    show_text(grid_cell(&r.grid), is_any ? BYTES_LIT("any") : field_text(feature, "definition")), grid_end(&r.grid);
  }
  grid_put(&r.grid, show_width(), out);
  grid_deinit(&r.grid);
}

// ---- the page ----

static void put_use(const struct model_places *p, struct bytes head, struct grid *t) {
  struct bytes version = field_text(head, "version"), name = field_text(head, "name");
  for (size_t i = 0; p->history && i < p->history->count; i++) {
    const struct model_use *u = &p->history->use[i];
    if (!bytes_is(name, u->name) || !bytes_is(version, u->version)) continue;
    grid_add_str(t, u->how == MODEL_LEFT ? "no policy read it" : "came into force");
    struct buf *cell = grid_cell(t);
    show_time(cell, u->at_ms);
    buf_printf(cell, "%s%s: ", *u->by ? " by " : "", u->by);
    show_text(cell, bytes_str(u->why));
    grid_end(t);
  }
}

static void put_page(const struct model *model, const struct model_places *p, struct bytes head, struct buf *out) {
  struct grid t;
  grid_init(&t, "ll");
  static const char *const names[] = {"name", "version", "kind", "target", "rationale", "sha256"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) row(&t, names[i], field(head, names[i]));
  put_use(p, head, &t);
  rows(&t, "trained", field(head, "trained"));
  rows(&t, "metrics", field(head, "metrics"));
  rows(&t, "scale", field(head, "scale"));
  row(&t, "calibration", field(head, "calibration.kind"));
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
  buf_append_u8(out, '\n');
  put_features(model, p->policy, head, out);
}

// The version that is meant when none is named: the one in force, else the folder's highest. malloc'd.
static int choose(const struct args *args, const struct model_places *p, char **version, struct error *err) {
  const char *name = args->operand[1];
  if (args->operand_count > 2) {
    *version = xstrdup(args->operand[2]);
    return 0;
  }
  const struct model_use *in_force = p->history ? model_history_in_force(p->history, name) : NULL;
  if (!in_force) return registry_highest(p->models_dir, name, version, err);
  *version = xstrdup(in_force->version);
  return 0;
}

int model_show(const struct args *args) {
  struct model_search search;
  char *version = NULL;
  struct buf json = {0}, weights = {0}, head = {0}, out = {0};
  struct model *model = NULL;
  struct error err = {0};
  struct mp_limits limits = MP_LIMITS_DEFAULT;
  int code = model_search_open(args, &search);
  if (code) return code;
  int status = choose(args, &search.places, &version, &err);
  if (status == 0) status = model_files(&search.places, args->operand[1], version, &json, &weights, &err);
  if (status == 0) status = model_parse(buf_bytes(&json), buf_bytes(&weights), &model, &err);
  if (status == 0) status = mp_from_json(buf_bytes(&json), &limits, &head, &err);
  if (status < 0) {
    code = command_fail(args, model_exit_of(status), &err);
  } else if (args_flag(args, "json")) {
    show_json(buf_bytes(&head));
  } else {
    put_page(model, &search.places, buf_bytes(&head), &out);
    show_print(&out);
  }
  model_search_close(&search);
  model_free(model);
  free(version);
  buf_deinit(&json), buf_deinit(&weights), buf_deinit(&head), buf_deinit(&out);
  return code;
}
