// intent account: what the people of one company add up to, and who they are.
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/show.h"

#include <stdio.h>

static void time_row(struct grid *t, const char *what, struct bytes account, const char *key) {
  int64_t clock = field_int(account, "clock", 0), at = field_int(account, key, clock);
  grid_add_str(t, what);
  struct buf *cell = grid_cell(t);
  if (field_is_nil(account, key)) {
    buf_append_str(cell, "never");
  } else {
    show_time(cell, at);
    if (clock > at) buf_append_str(cell, ", "), show_span(cell, clock - at), buf_append_str(cell, " before");
  }
  grid_end(t);
}

static void put_head(struct bytes account, unsigned width, struct buf *out) {
  struct grid t;
  grid_init(&t, "ll");
  grid_add_str(&t, "account");
  show_text(grid_cell(&t), field_text(account, "account"));
  grid_end(&t);
  grid_add_str(&t, "clock");
  show_time(grid_cell(&t), field_int(account, "clock", 0));
  grid_end(&t);
  time_row(&t, "first touch", account, "first_touch");
  time_row(&t, "last touch", account, "last_touch");
  time_row(&t, "copies", account, "copies_at");
  if (field_is(account, "is_dirty")) {
    grid_add_str(&t, "");
    grid_add_str(&t, "newer ones wait for account.interval");
  }
  int64_t evicted = field_int(account, "evicted", 0);
  if (evicted > 0) {
    grid_add_str(&t, "not told apart");
    show_count(grid_cell(&t), (uint64_t)evicted);
    grid_end(&t);
  }
  grid_put(&t, width, out);
  grid_deinit(&t);
}

static void put_people(struct bytes account, unsigned width, struct buf *out) {
  struct grid t;
  struct bytes person;
  grid_init(&t, "ll");
  t.indent = 2;
  for (struct each each = each_of(field(account, "people")); each_next(&each, &person);) {
    show_text(grid_cell(&t), field_text(person, "lead"));
    grid_end(&t);
    show_time(grid_cell(&t), field_int(person, "touch", 0));
    grid_end(&t);
  }
  buf_append_str(out, "\npeople, and when they were last seen\n");
  grid_put(&t, width, out);
  grid_deinit(&t);
}

static int run(const struct args *args) {
  struct error err = {0};
  if (!bytes_is(bytes_str(args->operand[0]), "show")) {
    error_set(&err, ITD_EINVAL, "intent account show GROUPID; not \"%.60s\"", args->operand[0]);
    return command_fail(args, COMMAND_USAGE, &err);
  }
  struct client *client;
  struct buf answer = {0}, out = {0};
  int code = connect_daemon(args, &client);
  if (code) return code;
  code = connect_ask(args, client, "account.get", args->operand[1], &answer);
  if (code == 0 && args_flag(args, "json")) {
    show_json(buf_bytes(&answer));
  } else if (code == 0) {
    struct bytes account = field(buf_bytes(&answer), "account");
    put_head(account, show_width(), &out);
    show_features(&out, field(buf_bytes(&answer), "features"), show_width());
    put_people(account, show_width(), &out);
    show_print(&out);
  }
  client_close(client);
  buf_deinit(&answer);
  buf_deinit(&out);
  return code;
}

const struct command command_account = {
    .name = "account",
    .operands = "show GROUPID",
    .operands_min = 2,
    .operands_max = 2,
    .uses = USES_DAEMON,
    .summary = "what the people of an account add up to, and which leads they are",
    .help =
        "GROUPID is the groupId of the `group` events that tied leads to the account.\n"
        "Values are at the account's clock: the latest that it heard of any of its leads. Durations are milliseconds.\n"
        "\n"
        "  intent account show acme",
    .run = run,
};
