// intent policy: which version is in force, and loading the files anew.
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/grid.h"
#include "cli/policy_doc.h"
#include "cli/show.h"

#include "base/suggest.h"

static void row(struct grid *t, const char *name, struct bytes value) {
  grid_add_str(t, name);
  show_value(grid_cell(t), value, NULL);
  grid_end(t);
}

static void put_status(struct bytes status, struct buf *out) {
  struct grid t;
  grid_init(&t, "ll");
  static const char *const names[] = {"policy", "version", "hash", "data", "number", "signals", "owner", "mode"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) row(&t, names[i], field(status, names[i]));
  grid_add_str(&t, "in force since");
  show_time(grid_cell(&t), field_int(status, "since", 0));
  grid_end(&t);
  grid_add_str(&t, "switch");
  show_text(grid_cell(&t), field_text(status, "switch.to"));
  if (!field_is_nil(status, "switch.at")) {
    buf_append_str(grid_cell(&t), " since "), show_time(grid_cell(&t), field_int(status, "switch.at", 0));
    buf_append_str(grid_cell(&t), ", by "), show_text(grid_cell(&t), field_text(status, "switch.by"));
    buf_append_str(grid_cell(&t), ": "), show_text(grid_cell(&t), field_text(status, "switch.why"));
  }
  grid_end(&t);
  row(&t, "reloads", field(status, "reloads"));
  row(&t, "that failed", field(status, "reload_failures"));
  if (field(status, "error").n) row(&t, "last failure", field(status, "error.detail"));
  grid_put(&t, show_width(), out);
  grid_deinit(&t);
}

static int status(const struct args *args) {
  struct client *client;
  struct buf answer = {0}, out = {0};
  int code = connect_daemon(args, &client);
  if (code) return code;
  code = connect_ask(args, client, "policy.status", NULL, &answer);
  if (code == 0) {
    if (args_flag(args, "json"))
      show_json(buf_bytes(&answer));
    else
      put_status(buf_bytes(&answer), &out);
    show_print(&out);
    if (field(buf_bytes(&answer), "error").n) code = COMMAND_NO;
  }
  client_close(client);
  buf_deinit(&answer);
  buf_deinit(&out);
  return code;
}

static void show_version(struct buf *out, struct bytes version) {
  show_text(out, version.n ? version : BYTES_LIT("none"));
}

static void put_reloaded(struct bytes before, struct bytes answer, struct buf *out) {
  bool changed = field_is(answer, "changed");
  show_text(out, field_text(answer, "status.policy"));
  buf_append_u8(out, ' ');
  show_text(out, field_text(before, "version"));
  bool is_data = changed && bytes_eq(field_text(before, "version"), field_text(answer, "status.version"));
  if (is_data) {
    buf_append_str(out, ": the same rules, data ");
    show_version(out, field_text(before, "data"));
    buf_append_str(out, " -> ");
    show_version(out, field_text(answer, "status.data"));
    buf_append_u8(out, '\n');
  } else if (changed) {
    buf_append_str(out, " -> ");
    show_text(out, field_text(answer, "status.version"));
    buf_append_u8(out, '\n');
  } else {
    buf_append_str(out, ": the files are those in force\n");
  }
}

static int reload(const struct args *args) {
  struct error err = {0};
  struct buf before = {0}, answer = {0}, out = {0};
  struct client *client = NULL;
  int code = connect_admin(args, &client);
  if (code) return code;
  code = connect_ask(args, client, "policy.status", NULL, &before);
  if (code == 0) {
    struct buf params = {0};
    mp_put_array(&params, 1), mp_put_map(&params, 1);
    mp_put_cstr(&params, "allow_late"), mp_put_bool(&params, args_flag(args, "allow-late"));
    int failed = client_call(client, "policy.reload", buf_bytes(&params), &answer, &err);
    buf_deinit(&params);
    if (failed == ITD_EPOLICY || failed == ITD_EMODEL || failed == ITD_ELATE)
      code = command_fail(args, COMMAND_NO, &err);
    else if (failed < 0)
      code = connect_fail(args, client, failed, &err);
  }
  if (code == 0) {
    if (args_flag(args, "json"))
      show_json(buf_bytes(&answer));
    else
      put_reloaded(buf_bytes(&before), buf_bytes(&answer), &out);
    show_print(&out);
  }
  client_close(client);
  buf_deinit(&before);
  buf_deinit(&answer);
  buf_deinit(&out);
  return code;
}

static int run(const struct args *args) {
  static const char *const names[] = {"status", "reload", "doc"};
  const char *word = args->operand[0];
  struct error err = {0};
  bool is_doc = strcmp(word, "doc") == 0;
  if (is_doc != (args->operand_count == 2) && (is_doc || strcmp(word, "status") == 0 || strcmp(word, "reload") == 0)) {
    error_set(&err, ITD_EINVAL,
              is_doc ? "doc takes a policy's folder: intent policy doc policies/b2b_saas" : "%.40s takes options only",
              word);
    return command_fail(args, COMMAND_USAGE, &err);
  }
  if (is_doc) return policy_doc(args, args->operand[1]);
  if (strcmp(word, "status") == 0) return status(args);
  if (strcmp(word, "reload") == 0) return reload(args);
  const char *near = suggest(bytes_str(word), names, 3);
  error_set(&err, ITD_EINVAL, "there is status, reload and doc, not \"%.40s\"%s%s%s", word,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  return command_fail(args, COMMAND_USAGE, &err);
}

static const struct option options[] = {
    {"allow-late", NULL, "reload: also a version that newly reads features which are not filled in yet"},
    {"html", "FILE", "doc: write the page to this file, as HTML, instead of Markdown to standard output"},
    {0}};

const struct command command_policy = {
    .name = "policy",
    .operands = "status|reload|doc [DIR]",
    .operands_min = 1,
    .operands_max = 2,
    .uses = USES_DAEMON | USES_POLICIES,
    .options = options,
    .summary = "which policy version is in force; load its files anew; its boundaries as a page",
    .help =
        "status: the policy in force, its version and since when. When the last reload failed it says why, and the "
        "exit\n"
        "code is 1.\n"
        "reload: checks and compiles the files and puts them in force, or leaves everything as it is and says which "
        "file\n"
        "and line is wrong (exit code 1). It goes over the socket in the data directory: --data DIR (default ./data).\n"
        "A version that newly reads features of which leads lack the time before is refused, too: intent feature "
        "backfill\n"
        "--switch-in fills them in and then puts it in force; --allow-late decides by them as they are.\n"
        "doc: what a policy's folder decides, as a page: who is eligible, what counts how much and what can be "
        "reached, the "
        "journey with a\n"
        "diagram (Mermaid), routes in their order, offers. No daemon is needed.\n"
        "\n"
        "  intent policy reload --data data\n"
        "  intent policy doc policies/b2b_saas --html b2b_saas.html",
    .run = run,
};
