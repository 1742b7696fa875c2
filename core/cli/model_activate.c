// intent model activate and rollback: what the daemon is asked, and what became of it.
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/model.h"
#include "cli/show.h"

static void put_refused(struct bytes answer, struct buf *out) {
  struct bytes problem;
  show_text(out, field_text(answer, "name"));
  buf_append_str(out, " ");
  show_text(out, field_text(answer, "version"));
  buf_append_str(out, " does not fit the policy in force, and nothing was changed:\n");
  for (struct each each = each_of(field(answer, "problems")); each_next(&each, &problem);) {
    struct bytes text;
    buf_append_str(out, "  ");
    if (mp_as_str(problem, &text)) show_text(out, text);
    buf_append_u8(out, '\n');
  }
}

static void put_done(struct bytes answer, struct buf *out) {
  show_text(out, field_text(answer, "name"));
  buf_append_u8(out, ' ');
  if (field_is(answer, "changed")) {
    show_text(out, field_text(answer, "before"));
    buf_append_str(out, " -> ");
    show_text(out, field_text(answer, "version"));
    buf_printf(out, ", release %lld\n", (long long)field_int(answer, "number", 0));
  } else {
    show_text(out, field_text(answer, "version"));
    buf_append_str(out, " is in force already\n");
  }
}

static int order(const struct args *args, const char *method, const char *version) {
  const char *why = args_text(args, "why");
  struct error err = {0};
  struct client *client = NULL;
  struct buf params = {0}, answer = {0}, out = {0};
  if (!why || !*why) {
    error_set(&err, ITD_EINVAL, "--why TEXT: the journal keeps the reason, and whoever looks later asks for it");
    return command_fail(args, COMMAND_USAGE, &err);
  }
  int code = connect_admin(args, &client);
  if (code) return code;
  mp_put_array(&params, 1);
  mp_put_map(&params, version ? 3 : 2);
  mp_put_cstr(&params, "name"), mp_put_cstr(&params, args->operand[1]);
  if (version) mp_put_cstr(&params, "version"), mp_put_cstr(&params, version);
  mp_put_cstr(&params, "why"), mp_put_cstr(&params, why);
  int status = client_call(client, method, buf_bytes(&params), &answer, &err);
  if (status == ITD_EMODEL || status == ITD_EPOLICY)
    code = command_fail(args, COMMAND_NO, &err);
  else if (status < 0)
    code = connect_fail(args, client, status, &err);
  bool is_refused = code == 0 && each_of(field(buf_bytes(&answer), "problems")).left > 0;
  if (code == 0 && args_flag(args, "json"))
    show_json(buf_bytes(&answer));
  else if (is_refused)
    put_refused(buf_bytes(&answer), &out);
  else if (code == 0)
    put_done(buf_bytes(&answer), &out);
  show_print(&out);
  client_close(client);
  buf_deinit(&params), buf_deinit(&answer), buf_deinit(&out);
  return is_refused ? COMMAND_NO : code;
}

int model_activate(const struct args *args) { return order(args, "model.activate", args->operand[2]); }
int model_rollback(const struct args *args) { return order(args, "model.rollback", NULL); }
