// intent model list: by the daemon that runs on the directory, else by its files.
#include "cli/client.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/model.h"
#include "cli/show.h"

#include <stdio.h>
#include <unistd.h>

// Asks a daemon. False: none is there, or it said no; then the files are read.
static bool ask(const char *data, struct buf *rows) {
  static const uint8_t none = 0x90;
  struct buf address = {0}, answer = {0};
  struct client *client = NULL;
  struct error err = {0};
  buf_printf(&address, "%s%s/intentd.sock", strchr(data, '/') ? "" : "./", data);
  buf_append_u8(&address, 0);
  bool is_there = access((const char *)address.p, F_OK) == 0 &&
                  client_open((const char *)address.p, &client, &err) == 0 &&
                  client_call(client, "model.list", bytes_of(&none, 1), &answer, &err) == 0;
  if (is_there) buf_append_bytes(rows, field(buf_bytes(&answer), "models"));
  client_close(client);
  buf_deinit(&address), buf_deinit(&answer);
  return is_there;
}

static int read_rows(const struct args *args, const char *only, struct buf *rows) {
  struct model_search search;
  struct error err = {0};
  bool says_where = args_text(args, "models") || args_text(args, "policy");
  const char *data = args_text(args, "data");
  if (data && !says_where && ask(data, rows)) return 0;
  int code = model_search_open(args, &search);
  if (code) return code;
  int status = model_list_put(&search.places, only, rows, &err);
  model_search_close(&search);
  return status < 0 ? command_fail(args, model_exit_of(status), &err) : 0;
}

// Those of one model alone: a daemon answers with all.
static void keep_only(struct buf *rows, const char *only) {
  struct buf kept = {0}, list = {0};
  struct bytes row;
  uint32_t count = 0;
  for (struct each each = each_of(buf_bytes(rows)); each_next(&each, &row);) {
    if (only && !bytes_is(field_text(row, "name"), only)) continue;
    buf_append_bytes(&kept, row);
    count++;
  }
  mp_put_array(&list, count);
  buf_append_bytes(&list, buf_bytes(&kept));
  buf_deinit(&kept);
  buf_deinit(rows);
  *rows = list;
}

static void put_state(struct bytes row, struct buf *cell) {
  struct bytes state = field_text(row, "state");
  if (bytes_is(state, "in_force"))
    buf_append_str(cell, field_is(row, "pinned") ? "in force, pinned" : "in force");
  else if (bytes_is(state, "canary"))
    buf_printf(cell, "canary, %g %%", (double)field_int(row, "share", 0) / 100);
  else
    buf_append_str(cell, bytes_is(state, "was_in_force") ? "was in force"
                         : bytes_is(state, "was_canary") ? "was on canary"
                                                         : "new");
}

static void put_remark(struct bytes row, struct buf *cell) {
  bool has_problem = field(row, "problem").n > 0;
  if (has_problem) buf_append_str(cell, field(row, "kind").n ? "does not fit: " : "does not load: ");
  show_text(cell, field_text(row, has_problem ? "problem" : field_text(row, "why").n ? "why" : "target"));
}

static void put_table(struct bytes rows, struct buf *out) {
  struct grid t;
  struct bytes row;
  grid_init(&t, "lllllll");
  static const char *const heads[] = {"model", "version", "kind", "state", "since", "by", "why, or what for"};
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) grid_add_str(&t, heads[i]);
  for (struct each each = each_of(rows); each_next(&each, &row);) {
    show_text(grid_cell(&t), field_text(row, "name")), grid_end(&t);
    show_text(grid_cell(&t), field_text(row, "version")), grid_end(&t);
    show_value(grid_cell(&t), field(row, "kind"), NULL), grid_end(&t);
    put_state(row, grid_cell(&t)), grid_end(&t);
    if (field_is_nil(row, "since"))
      buf_append_str(grid_cell(&t), "-");
    else
      show_time(grid_cell(&t), field_int(row, "since", 0));
    grid_end(&t);
    struct bytes by = field_text(row, "by");
    show_text(grid_cell(&t), by.n ? by : BYTES_LIT("-")), grid_end(&t);
    put_remark(row, grid_cell(&t)), grid_end(&t);
  }
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
}

int model_list(const struct args *args) {
  const char *only = args->operand_count > 1 ? args->operand[1] : NULL;
  struct buf rows = {0}, out = {0};
  struct error err = {0};
  int code = read_rows(args, only, &rows);
  if (code) {
    buf_deinit(&rows);
    return code;
  }
  keep_only(&rows, only);
  if (each_of(buf_bytes(&rows)).left == 0) {
    error_set(&err, ITD_ENOTFOUND, "there is no model%s%.64s", only ? " " : "", only ? only : "");
    code = command_fail(args, COMMAND_NO, &err);
  } else if (args_flag(args, "json")) {
    show_json(buf_bytes(&rows));
  } else {
    put_table(buf_bytes(&rows), &out);
    show_print(&out);
  }
  buf_deinit(&rows), buf_deinit(&out);
  return code;
}
