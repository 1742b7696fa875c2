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

static void put_features(struct bytes list, struct buf *out) {
  struct grid t;
  struct bytes feature;
  grid_init(&t, "lll");
  static const char *const heads[] = {"feature", "definition", "categories"};
  for (size_t i = 0; i < 3; i++) grid_add_str(&t, heads[i]);
  for (struct each each = each_of(list); each_next(&each, &feature);) {
    show_text(grid_cell(&t), field_text(feature, "name")), grid_end(&t);
    bool is_any = field_is_nil(feature, "definition");
    show_text(grid_cell(&t), is_any ? BYTES_LIT("any") : field_text(feature, "definition")), grid_end(&t);
    show_value(grid_cell(&t), field(feature, "categories"), NULL), grid_end(&t);
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
}

static void put_page(struct bytes head, struct buf *out) {
  struct grid t;
  grid_init(&t, "ll");
  static const char *const names[] = {"name", "version", "kind", "target", "rationale", "sha256"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) row(&t, names[i], field(head, names[i]));
  rows(&t, "trained", field(head, "trained"));
  rows(&t, "metrics", field(head, "metrics"));
  rows(&t, "scale", field(head, "scale"));
  row(&t, "calibration", field(head, "calibration.kind"));
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
  buf_append_u8(out, '\n');
  put_features(field(head, "features"), out);
}

int model_show(const struct args *args) {
  const char *dir = model_folder(args), *name = args->operand[1];
  char *version = args->operand_count > 2 ? xstrdup(args->operand[2]) : NULL;
  struct buf json = {0}, weights = {0}, head = {0}, out = {0};
  struct model *model = NULL;
  struct error err = {0};
  struct mp_limits limits = MP_LIMITS_DEFAULT;
  int status = version ? 0 : registry_highest(dir, name, &version, &err);
  if (status == 0) status = registry_read(dir, name, version, &json, &weights, NULL, &err);
  if (status == 0) status = model_parse(buf_bytes(&json), buf_bytes(&weights), &model, &err);
  if (status == 0) status = mp_from_json(buf_bytes(&json), &limits, &head, &err);
  int code = COMMAND_OK;
  if (status < 0) {
    code = command_fail(args, model_exit_of(status), &err);
  } else if (args_flag(args, "json")) {
    show_json(buf_bytes(&head));
  } else {
    put_page(buf_bytes(&head), &out);
    show_print(&out);
  }
  model_free(model);
  free(version);
  buf_deinit(&json), buf_deinit(&weights), buf_deinit(&head), buf_deinit(&out);
  return code;
}
