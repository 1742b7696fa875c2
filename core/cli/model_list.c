#include "cli/field.h"
#include "cli/grid.h"
#include "cli/model.h"
#include "cli/show.h"
#include "model/model.h"
#include "policy/registry.h"

// One row: what the files say, or why they do not read.
static void put_version(const char *dir, const struct registry_version *v, struct buf *out) {
  struct buf json = {0}, weights = {0};
  struct model *model = NULL;
  struct error err = {0};
  int status = registry_read(dir, v->name, v->version, &json, &weights, NULL, &err);
  if (status == 0) status = model_parse(buf_bytes(&json), buf_bytes(&weights), &model, &err);
  mp_put_map(out, 5);
  mp_put_cstr(out, "name"), mp_put_cstr(out, v->name);
  mp_put_cstr(out, "version"), mp_put_cstr(out, v->version);
  mp_put_cstr(out, "kind");
  if (status == 0)
    mp_put_cstr(out, model_kind_name(model_info(model)->kind));
  else
    mp_put_nil(out);
  mp_put_cstr(out, "target");
  if (status == 0)
    mp_put_cstr(out, model_info(model)->target);
  else
    mp_put_nil(out);
  mp_put_cstr(out, "problem");
  if (status == 0)
    mp_put_nil(out);
  else
    mp_put_cstr(out, err.text);
  model_free(model);
  buf_deinit(&json), buf_deinit(&weights);
}

static void put_table(struct bytes rows, struct buf *out) {
  struct grid t;
  struct bytes row;
  grid_init(&t, "llll");
  static const char *const heads[] = {"model", "version", "kind", "target"};
  for (size_t i = 0; i < 4; i++) grid_add_str(&t, heads[i]);
  for (struct each each = each_of(rows); each_next(&each, &row);) {
    show_text(grid_cell(&t), field_text(row, "name")), grid_end(&t);
    show_text(grid_cell(&t), field_text(row, "version")), grid_end(&t);
    bool is_broken = field(row, "problem").n > 0;
    show_text(grid_cell(&t), is_broken ? BYTES_LIT("does not load") : field_text(row, "kind")), grid_end(&t);
    show_text(grid_cell(&t), field_text(row, is_broken ? "problem" : "target")), grid_end(&t);
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
}

int model_list(const struct args *args) {
  const char *dir = model_folder(args), *only = args->operand_count > 1 ? args->operand[1] : NULL;
  struct registry_version *list = NULL;
  size_t count = 0, n = 0;
  struct error err = {0};
  int status = registry_list(dir, &list, &count, &err);
  if (status < 0) return command_fail(args, model_exit_of(status), &err);
  struct buf each = {0}, rows = {0}, out = {0};
  for (size_t i = 0; i < count; i++) {
    if (only && strcmp(only, list[i].name) != 0) continue;
    put_version(dir, &list[i], &each);
    n++;
  }
  mp_put_array(&rows, (uint32_t)n);
  buf_append_bytes(&rows, buf_bytes(&each));
  int code = COMMAND_OK;
  if (n == 0) {
    error_set(&err, ITD_ENOTFOUND, "%.300s has no model%s%.64s", dir, only ? " " : "", only ? only : "");
    code = command_fail(args, COMMAND_NO, &err);
  } else if (args_flag(args, "json")) {
    show_json(buf_bytes(&rows));
  } else {
    put_table(buf_bytes(&rows), &out);
    show_print(&out);
  }
  buf_deinit(&each), buf_deinit(&rows), buf_deinit(&out);
  registry_free(list, count);
  return code;
}
