// intent model activate, canary and rollback: what the daemon is asked, and what became of it.
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

static void put_share(struct buf *out, struct bytes answer) {
  buf_printf(out, "%g %%", (double)field_int(answer, "share", 0) / 100);
}

// Who decides now.
static void put_now(struct bytes answer, struct buf *out) {
  struct bytes canary = field_text(answer, "canary");
  show_text(out, field_text(answer, "version"));
  if (canary.n) {
    buf_append_str(out, ", and ");
    show_text(out, canary);
    buf_append_str(out, " for ");
    put_share(out, answer);
    buf_append_str(out, " of the leads");
  }
}

static void put_done(struct bytes answer, struct buf *out) {
  struct bytes before = field_text(answer, "before"), ended = field_text(answer, "canary_before");
  bool is_other = !bytes_eq(before, field_text(answer, "version"));
  show_text(out, field_text(answer, "name"));
  buf_append_u8(out, ' ');
  if (field_is(answer, "changed") && is_other) show_text(out, before), buf_append_str(out, " -> ");
  put_now(answer, out);
  if (!field_is(answer, "changed")) {
    buf_append_str(out, ": so it was already\n");
    return;
  }
  if (ended.n && !is_other && field_is_nil(answer, "canary")) {
    buf_append_str(out, " for all leads: ");
    show_text(out, ended);
    buf_append_str(out, " is on canary no more");
  }
  buf_printf(out, ", release %lld\n", (long long)field_int(answer, "number", 0));
}

// `share`: ten-thousandths of the leads; -1: not said.
static int order(const struct args *args, const char *method, const char *version, int share) {
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
  mp_put_map(&params, 2u + (version != NULL) + (share >= 0));
  mp_put_cstr(&params, "name"), mp_put_cstr(&params, args->operand[1]);
  if (version) mp_put_cstr(&params, "version"), mp_put_cstr(&params, version);
  if (share >= 0) mp_put_cstr(&params, "share"), mp_put_int(&params, share);
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

int model_activate(const struct args *args) { return order(args, "model.activate", args->operand[2], -1); }
int model_rollback(const struct args *args) { return order(args, "model.rollback", NULL, -1); }

// "5%", "5" or "0.5%", to hundredths of a percent. False: it is none, or not below 100.
static bool read_percent(const char *text, int *share) {
  unsigned whole = 0, part = 0, digits = 0;
  const char *at = text;
  for (; *at >= '0' && *at <= '9' && whole < 1000; at++) whole = 10 * whole + (unsigned)(*at - '0');
  bool has_digits = at != text;
  if (has_digits && *at == '.')
    for (at++; *at >= '0' && *at <= '9' && digits < 2; at++, digits++) part = 10 * part + (unsigned)(*at - '0');
  if (digits == 1) part *= 10;
  if (*at == '%') at++;
  *share = (int)(100 * whole + part);
  return has_digits && !*at && *share < (int)POLICY_SHARE_ALL;
}

int model_canary(const struct args *args) {
  struct error err = {0};
  int share;
  if (read_percent(args->operand[3], &share)) return order(args, "model.canary", args->operand[2], share);
  error_set(&err, ITD_EINVAL,
            "%.40s is no share of the leads: write 5%% or 0.25%% (0%% ends the canary, and for all leads a version is "
            "activated)",
            args->operand[3]);
  return command_fail(args, COMMAND_USAGE, &err);
}
