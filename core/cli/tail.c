// intent tail: decisions as they are made.
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/show.h"

#include <stdio.h>

static const struct option options[] = {{"lead", "ID", "only of this lead (as for intent lead)"},
                                        {"stage", "NAME", "only with this stage after them"},
                                        {"action", "NAME", "only with this action"},
                                        {"owner", "NAME", "only with this owner"},
                                        {"changed", NULL, "only those that moved the stage"},
                                        {"count", "N", "stop after N decisions (default: go on until interrupted)"},
                                        {0}};

static void print_decision(struct bytes d) {
  struct buf out = {0};
  show_time(&out, field_int(d, "at", 0));
  buf_append_str(&out, "  ");
  show_text(&out, field_text(d, "decision_id"));
  buf_append_str(&out, "  combined ");
  show_score(&out, field_int(d, "scores.combined", 0));
  buf_append_str(&out, "  ");
  struct bytes before = field_text(d, "stage_before"), stage = field_text(d, "stage");
  if (!bytes_eq(before, stage)) {
    show_text(&out, before);
    buf_append_str(&out, " -> ");
  }
  show_text(&out, stage);
  struct bytes owner = field_text(d, "owner"), action = field_text(d, "action");
  if (owner.n) {
    buf_append_str(&out, "  owner ");
    show_text(&out, owner);
  }
  buf_append_str(&out, "  ");
  show_text(&out, action);
  if (bytes_is(field_text(d, "cause"), "timer")) buf_append_str(&out, "  (timer)");
  if (bytes_is(field_text(d, "cause"), "grant")) buf_append_str(&out, "  (grant)");
  buf_append_u8(&out, '\n');
  show_print(&out);
  buf_deinit(&out);
}

// The lead's own id, of which the filter knows, from whatever names it. 0 or the exit code.
static int find_lead(const struct args *args, struct client *client, const char *who, struct buf *id) {
  struct buf answer = {0};
  int code = connect_ask(args, client, "lead.get", who, &answer);
  if (code == 0) buf_append_bytes(id, field_text(buf_bytes(&answer), "lead.lead"));
  buf_deinit(&answer);
  return code;
}

static void put_filter(const struct args *args, struct bytes lead, struct buf *params) {
  static const char *const names[] = {"stage", "action", "owner"};
  uint32_t count = (lead.n > 0) + (uint32_t)args_flag(args, "changed");
  for (size_t i = 0; i < 3; i++) count += args_flag(args, names[i]);
  mp_put_array(params, 1);
  mp_put_map(params, count);
  if (lead.n) mp_put_cstr(params, "lead"), mp_put_str(params, lead);
  if (args_flag(args, "changed")) mp_put_cstr(params, "changed"), mp_put_bool(params, true);
  for (size_t i = 0; i < 3; i++)
    if (args_flag(args, names[i])) mp_put_cstr(params, names[i]), mp_put_cstr(params, args_text(args, names[i]));
}

static int follow(const struct args *args, struct client *client, int64_t count) {
  struct client_message message;
  struct error err = {0};
  for (int64_t seen = 0; count == 0 || seen < count;) {
    int n = client_next(client, -1, &message, &err);
    if (n < 0) return connect_fail(args, client, n, &err);
    if (n == 0 || !message.is_notification || !bytes_is(message.method, "decision")) continue;
    struct bytes decision;
    struct each each = each_of(message.result);
    if (!each_next(&each, &decision)) continue;
    if (args_flag(args, "json"))
      show_json(decision);
    else
      print_decision(decision);
    fflush(stdout);
    seen++;
  }
  return COMMAND_OK;
}

static int run(const struct args *args) {
  struct error err = {0};
  struct client *client;
  struct buf lead = {0}, params = {0}, result = {0};
  int64_t count;
  if (args_number(args, "count", 0, 1, INT64_MAX, &count, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  int code = connect_daemon(args, &client);
  if (code) return code;
  const char *who = args_text(args, "lead");
  if (who) code = find_lead(args, client, who, &lead);
  if (code == 0) {
    put_filter(args, buf_bytes(&lead), &params);
    int status = client_call(client, "decision.subscribe", buf_bytes(&params), &result, &err);
    code = status < 0 ? connect_fail(args, client, status, &err) : follow(args, client, count);
  }
  client_close(client);
  buf_deinit(&lead);
  buf_deinit(&params);
  buf_deinit(&result);
  return code;
}

const struct command command_tail = {
    .name = "tail",
    .operands = "",
    .uses = USES_DAEMON,
    .summary = "decisions as they are made, one line each",
    .help = "Prints each decision after it is durable: when, its id, the score, the stage, the owner and the action. "
            "Goes on until\n"
            "interrupted, or until --count. A reader that does not keep up is cut off by the daemon (exit code 3).\n"
            "\n"
            "  intent tail --stage sql\n"
            "  intent tail --lead maria@acme.example --json",
    .options = options,
    .run = run,
};
