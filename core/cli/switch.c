// intent switch: what the workspace lets its policy do with all leads.
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/show.h"

#include "base/suggest.h"

static void put_switch(struct bytes s, struct buf *out) {
  show_text(out, field_text(s, "to"));
  if (!field_is_nil(s, "at")) {
    buf_append_str(out, " since "), show_time(out, field_int(s, "at", 0));
    buf_append_str(out, ", by "), show_text(out, field_text(s, "by"));
    buf_append_str(out, ": "), show_text(out, field_text(s, "why"));
  }
  buf_append_u8(out, '\n');
}

static int show(const struct args *args) {
  struct client *client;
  struct buf answer = {0}, out = {0};
  int code = connect_daemon(args, &client);
  if (code) return code;
  code = connect_ask(args, client, "policy.status", NULL, &answer);
  if (code == 0 && args_flag(args, "json"))
    show_json(field(buf_bytes(&answer), "switch"));
  else if (code == 0)
    put_switch(field(buf_bytes(&answer), "switch"), &out);
  show_print(&out);
  client_close(client);
  buf_deinit(&answer), buf_deinit(&out);
  return code;
}

static int turn(const struct args *args, const char *to, const char *why) {
  struct error err = {0};
  struct client *client = NULL;
  struct buf params = {0}, answer = {0}, out = {0};
  int code = connect_admin(args, &client);
  if (code) return code;
  mp_put_array(&params, 1), mp_put_map(&params, 2);
  mp_put_cstr(&params, "to"), mp_put_cstr(&params, to);
  mp_put_cstr(&params, "why"), mp_put_cstr(&params, why);
  int status = client_call(client, "workspace.switch", buf_bytes(&params), &answer, &err);
  if (status < 0) code = connect_fail(args, client, status, &err);
  if (code == 0 && args_flag(args, "json")) {
    show_json(buf_bytes(&answer));
  } else if (code == 0) {
    show_text(&out, field_text(buf_bytes(&answer), "before"));
    buf_append_str(&out, " -> ");
    put_switch(field(buf_bytes(&answer), "switch"), &out);
  }
  show_print(&out);
  client_close(client);
  buf_deinit(&params), buf_deinit(&answer), buf_deinit(&out);
  return code;
}

static int run(const struct args *args) {
  static const char *const names[] = {"act", "score", "collect"};
  struct error err = {0};
  if (args->operand_count == 0) return show(args);
  const char *to = args->operand[0], *why = args_text(args, "why");
  size_t at = 0;
  while (at < 3 && strcmp(to, names[at]) != 0) at++;
  if (at == 3) {
    const char *near = suggest(bytes_str(to), names, 3);
    error_set(&err, ITD_EINVAL, "there is act, score and collect, not \"%.40s\"%s%s%s", to,
              near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return command_fail(args, COMMAND_USAGE, &err);
  }
  if (!why || !*why) {
    error_set(&err, ITD_EINVAL, "--why TEXT: the journal keeps the reason, and whoever looks later asks for it");
    return command_fail(args, COMMAND_USAGE, &err);
  }
  return turn(args, to, why);
}

static const struct option options[] = {{"why", "TEXT", "the reason, which the journal keeps"}, {0}};

const struct command command_switch = {
    .name = "switch",
    .operands = "[act|score|collect]",
    .operands_min = 0,
    .operands_max = 1,
    .uses = USES_DAEMON,
    .options = options,
    .summary = "what is done with all leads at once: act, score only, or collect only",
    .help =
        "act: what the policy says. score: stages move and leads are routed, but nobody is acted on. collect: events "
        "are\n"
        "folded and scored, and stages rest, too. It is never more than the policy's own mode, holds from the next "
        "event on,\n"
        "for every lead, and through restarts, until it is switched again. Without a word: which it is, since when, by "
        "whom\n"
        "and why.\n"
        "It goes over the socket in the data directory: --data DIR (default ./data).\n"
        "\n"
        "  intent switch score --why \"Mails go out twice; looking.\" --data /var/lib/intentd",
    .run = run,
};
