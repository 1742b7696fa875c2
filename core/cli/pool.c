// intent pool: whose turn it is among the people of a team, what each has, and who waits.
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/show.h"

#include <stdio.h>
#include <string.h>

static void put_number(struct grid *t, int64_t n) {
  buf_printf(grid_cell(t), "%lld", (long long)n);
  grid_end(t);
}

static void put_person(struct grid *t, struct bytes person) {
  double weight = 0;
  (void)mp_as_number(field(person, "weight"), &weight);
  show_text(grid_cell(t), field_text(person, "name"));
  grid_end(t);
  buf_printf(grid_cell(t), "%g", weight);
  grid_end(t);
  put_number(t, field_int(person, "seats", 0));
  if (field_is_nil(person, "capacity"))
    grid_add_str(t, "any");
  else
    put_number(t, field_int(person, "capacity", 0));
  put_number(t, field_int(person, "grants", 0));
  struct buf *cell = grid_cell(t);
  if (field_is(person, "is_gone")) {
    buf_append_str(cell, "left the team");
  } else if (!field_is_nil(person, "on_leave_until")) {
    buf_append_str(cell, "on leave until ");
    show_time(cell, field_int(person, "on_leave_until", 0));
  }
  grid_end(t);
}

static void put_pool(const char *team, struct bytes pool, unsigned width, struct buf *out) {
  static const char *const heads[] = {"name", "weight", "leads", "at most", "given", ""};
  struct grid t;
  struct bytes person, lead;
  buf_append_str(out, "team ");
  show_text(out, bytes_str(team));
  buf_append_u8(out, '\n');
  grid_init(&t, "lrrrrl");
  t.indent = 2;
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) grid_add_str(&t, heads[i]);
  for (struct each each = each_of(field(pool, "people")); each_next(&each, &person);) put_person(&t, person);
  grid_put(&t, width, out);
  grid_deinit(&t);
  int64_t waits = field_int(pool, "waits", 0);
  if (waits) buf_printf(out, "\n%lld waiting, the first first\n", (long long)waits);
  for (struct each each = each_of(field(pool, "waiting")); each_next(&each, &lead);) {
    buf_append_str(out, "  ");
    show_text(out, field_text(lead, "lead"));
    buf_append_str(out, "  since ");
    show_time(out, field_int(lead, "since", 0));
    buf_append_u8(out, '\n');
  }
}

static int show(const struct args *args, struct client *client, const char *team) {
  struct buf answer = {0}, out = {0};
  int code = connect_ask(args, client, "pool.get", team, &answer);
  if (code == 0 && args_flag(args, "json")) {
    show_json(buf_bytes(&answer));
  } else if (code == 0) {
    put_pool(team, buf_bytes(&answer), show_width(), &out);
    show_print(&out);
  }
  buf_deinit(&answer);
  buf_deinit(&out);
  return code;
}

static int list(const struct args *args, struct client *client) {
  struct buf answer = {0};
  struct bytes name;
  int code = connect_ask(args, client, "pool.list", NULL, &answer);
  if (code == 0 && args_flag(args, "json")) {
    show_json(buf_bytes(&answer));
  } else if (code == 0) {
    struct buf out = {0};
    for (struct each each = each_of(buf_bytes(&answer)); each_next(&each, &name);) {
      if (!mp_as_str(name, &name)) continue;
      show_text(&out, name);
      buf_append_u8(&out, '\n');
    }
    if (!out.n) buf_append_str(&out, "the policy in force asks no pool\n");
    show_print(&out);
    buf_deinit(&out);
  }
  buf_deinit(&answer);
  return code;
}

static int run(const struct args *args) {
  struct error err = {0};
  bool is_list = strcmp(args->operand[0], "list") == 0 && args->operand_count == 1;
  bool is_show = strcmp(args->operand[0], "show") == 0 && args->operand_count == 2;
  if (!is_list && !is_show) {
    error_set(&err, ITD_EINVAL, "intent pool list, or intent pool show TEAM");
    return command_fail(args, COMMAND_USAGE, &err);
  }
  struct client *client;
  int code = connect_daemon(args, &client);
  if (code) return code;
  code = is_list ? list(args, client) : show(args, client, args->operand[1]);
  client_close(client);
  return code;
}

const struct command command_pool = {
    .name = "pool",
    .operands = "list | show TEAM",
    .operands_min = 1,
    .operands_max = 2,
    .uses = USES_DAEMON,
    .summary = "the teams whose leads are dealt out by turns: who has how many, who is away, who waits",
    .help = "`list` names the teams of the policy in force that have a pool. `show` says of each of a team's people "
            "how many leads\n"
            "are open, how many there may be, how many turns there were, and which leads wait for somebody with room.\n"
            "\n"
            "  intent pool list\n"
            "  intent pool show emea",
    .run = run,
};
