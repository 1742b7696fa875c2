#include "cli/lead_say.h"

#include "cli/connect.h"
#include "cli/field.h"
#include "cli/show.h"

static const struct word {
  const char *option, *say, *named; // `named`: what the option's text is of
} words[] = {{"owner", "owner_set", "owner"},      {"no-owner", "owner_cleared", NULL}, {"stage", "stage_set", "stage"},
             {"disqualify", "disqualified", NULL}, {"requalify", "requalified", NULL},  {"reject", "rejected", NULL},
             {"accept", "accepted", NULL}};
#define WORDS (sizeof words / sizeof *words)

static bool is_there(const struct args *args, const struct word *w) {
  return w->named ? args_text(args, w->option) != NULL : args_flag(args, w->option);
}

bool lead_says(const struct args *args) {
  bool says = args_text(args, "why") != NULL;
  for (size_t i = 0; i < WORDS; i++) says |= is_there(args, &words[i]);
  return says;
}

static const struct word *word_of(const struct args *args, struct error *err) {
  const struct word *word = NULL;
  for (size_t i = 0; i < WORDS; i++) {
    if (!is_there(args, &words[i])) continue;
    if (word) return error_set(err, ITD_EINVAL, "--%s or --%s, not both", word->option, words[i].option), NULL;
    word = &words[i];
  }
  if (!word)
    error_set(err, ITD_EINVAL,
              "--why of what? --owner, --no-owner, --stage, --disqualify, --requalify, --reject, --accept");
  else if (!args_text(args, "why") || !*args_text(args, "why"))
    error_set(err, ITD_EINVAL, "--why TEXT: the journal keeps the reason, and whoever looks later asks for it");
  return err->code ? NULL : word;
}

static void put_pair(struct buf *out, const char *key, const char *value) {
  mp_put_cstr(out, key);
  mp_put_cstr(out, value);
}

static void put_done(struct bytes decision, struct buf *out) {
  struct bytes reason;
  for (struct each each = each_of(field(decision, "reasons")); each_next(&each, &reason);) {
    if (!bytes_is(field_text(reason, "kind"), "sales")) continue;
    show_text(out, field_text(reason, "name"));
    if (field_text(reason, "value").n) buf_append_str(out, ": "), show_text(out, field_text(reason, "value"));
    buf_append_u8(out, '\n');
  }
  buf_append_str(out, "decision "), show_text(out, field_text(decision, "decision_id"));
  buf_append_str(out, ", stage "), show_text(out, field_text(decision, "stage"));
  buf_append_str(out, ", owner "), show_value(out, field(decision, "owner"), NULL);
  buf_append_u8(out, '\n');
}

int lead_say(const struct args *args) {
  struct error err = {0};
  struct client *client = NULL;
  struct buf params = {0}, answer = {0}, out = {0};
  const struct word *word = word_of(args, &err);
  if (!word) return command_fail(args, COMMAND_USAGE, &err);
  int code = connect_admin(args, &client);
  if (code) return code;
  mp_put_array(&params, 1), mp_put_map(&params, word->named ? 4 : 3);
  put_pair(&params, "lead", args->operand[0]);
  put_pair(&params, "say", word->say);
  put_pair(&params, "why", args_text(args, "why"));
  if (word->named) put_pair(&params, word->named, args_text(args, word->option));
  int status = client_call(client, "lead.sales", buf_bytes(&params), &answer, &err);
  if (status == ITD_ENOTFOUND)
    code = command_fail(args, COMMAND_NO, &err);
  else if (status < 0)
    code = connect_fail(args, client, status, &err);
  if (code == 0 && args_flag(args, "json"))
    show_json(buf_bytes(&answer));
  else if (code == 0)
    put_done(buf_bytes(&answer), &out);
  show_print(&out);
  client_close(client);
  buf_deinit(&params), buf_deinit(&answer), buf_deinit(&out);
  return code;
}
