// intent send: events as JSON lines, from files or standard input.
#include "base/clock.h"
#include "base/hash.h"
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/input.h"
#include "cli/message_id.h"
#include "cli/sender.h"
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINE_MAX_BYTES = 4 << 20 };

static const struct option options[] = {
    {"again", NULL, "send files once more as new events: missing messageIds are made afresh"},
    {"verbose", NULL, "print each decision as it comes"},
    {"window", "N", "events in flight, 1 to 65536 (default 256)"},
    {"patience", "SECONDS", "how long to try again when the daemon is busy or gone (default 30)"},
    {0}};

struct sending {
  const struct args *args;
  struct sender *sender;
  bool json, verbose;
  uint8_t salt[MESSAGE_SALT]; // of the ids that are made here
  struct buf event;
};

// ---- printing answers ----

static void print_line(uint64_t line, struct bytes decision) {
  struct buf out = {0};
  buf_printf(&out, "%llu  ", (unsigned long long)line);
  show_text(&out, field_text(decision, "decision_id"));
  buf_append_str(&out, "  ");
  show_score(&out, field_int(decision, "scores.combined", 0));
  buf_append_str(&out, "  ");
  struct bytes before = field_text(decision, "stage_before"), stage = field_text(decision, "stage");
  if (!bytes_eq(before, stage)) {
    show_text(&out, before);
    buf_append_str(&out, " -> ");
  }
  show_text(&out, stage);
  buf_append_str(&out, "  ");
  show_text(&out, field_text(decision, "action"));
  if (field_is(decision, "duplicate")) buf_append_str(&out, "  duplicate");
  buf_append_u8(&out, '\n');
  show_print(&out);
  buf_deinit(&out);
}

static void print_json(uint64_t line, const char *key, struct bytes value) {
  struct buf out = {0};
  mp_put_map(&out, 2);
  mp_put_cstr(&out, "line");
  mp_put_uint(&out, line);
  mp_put_cstr(&out, key);
  mp_put_raw(&out, value);
  show_json(buf_bytes(&out));
  buf_deinit(&out);
}

static void on_answer(void *context, uint64_t line, struct bytes decision, struct bytes failure) {
  const struct sending *s = context;
  if (s->json)
    print_json(line, decision.n ? "decision" : "error", decision.n ? decision : failure);
  else if (s->verbose && decision.n)
    print_line(line, decision);
  else if (s->verbose) {
    struct error err = {0};
    (void)client_failure(failure, &err);
    struct buf out = {0};
    buf_printf(&out, "%llu  refused (%s): ", (unsigned long long)line, status_code(err.code));
    show_text(&out, bytes_str(err.text));
    buf_append_u8(&out, '\n');
    show_print(&out);
    buf_deinit(&out);
  }
}

// ---- lines ----

static int send_line(struct sending *s, const char *file, uint64_t number, struct bytes line, struct error *err) {
  struct error why = {0};
  const struct mp_limits limits = MP_LIMITS_DEFAULT;
  buf_clear(&s->event);
  if (mp_from_json(line, &limits, &s->event, &why) < 0) {
    static const char line_1[] = "JSON, line 1, "; // its own line is always the first; what counts is the file's
    char text[sizeof why.text + 8];
    size_t skip = strncmp(why.text, line_1, strlen(line_1)) == 0 ? strlen(line_1) : 0;
    snprintf(text, sizeof text, "%s%s", skip ? "JSON, " : "", why.text + skip);
    sender_refuse(s->sender, number, "invalid_json", text);
    return 0;
  }
  message_id_add(s->salt, file, number, line, &s->event);
  return sender_add(s->sender, buf_bytes(&s->event), number, err);
}

static bool is_blank(struct bytes line) {
  for (size_t i = 0; i < line.n; i++)
    if (line.p[i] != ' ' && line.p[i] != '\t') return false;
  return true;
}

// 0, or the exit code after the error was printed.
static int send_file(struct sending *s, const char *file) {
  struct input input;
  struct error err = {0};
  if (input_open(file, &input, &err) < 0) return command_fail(s->args, COMMAND_USAGE, &err);
  // What comes through a pipe is new each time; a file that is sent twice is the same events.
  if (strcmp(file, "-") == 0 || args_flag(s->args, "again"))
    random_bytes(s->salt, sizeof s->salt);
  else
    memset(s->salt, 0, sizeof s->salt);
  struct bytes line;
  uint64_t number = 0;
  int found, code = 0;
  while (code == 0 && (found = input_line(&input, LINE_MAX_BYTES, &line, &err)) != 0) {
    if (found < 0)
      code = command_fail(s->args, COMMAND_USAGE, &err);
    else if (number++, !is_blank(line) && send_line(s, file, number, line, &err) < 0)
      code = command_fail(s->args, COMMAND_UNREACHABLE, &err);
  }
  input_close(&input);
  return code;
}

static int run(const struct args *args) {
  struct sending s = {.args = args, .json = args_flag(args, "json"), .verbose = args_flag(args, "verbose")};
  struct error err = {0};
  int64_t window, patience;
  if (args_number(args, "window", 256, 1, 65536, &window, &err) < 0 ||
      args_number(args, "patience", 30, 0, 86400, &patience, &err) < 0)
    return command_fail(args, COMMAND_USAGE, &err);
  struct client *client;
  int code = connect_daemon(args, &client);
  if (code) return code;
  struct buf address = {0};
  connect_address(args, &address);
  buf_append_u8(&address, 0);
  struct sender_options how = {
      .address = (const char *)address.p, .window = (unsigned)window, .patience_ms = patience * 1000, .context = &s};
  if (s.json || s.verbose) how.each = on_answer;
  s.sender = sender_new(client, &how);
  uint64_t start = clock_mono_ns();
  for (size_t i = 0; code == 0 && i < args->operand_count; i++) code = send_file(&s, args->operand[i]);
  if (code == 0 && args->operand_count == 0) code = send_file(&s, "-");
  if (code != COMMAND_UNREACHABLE && sender_finish(s.sender, &err) < 0)
    code = command_fail(args, COMMAND_UNREACHABLE, &err);
  sender_report(s.sender, clock_mono_ns() - start, s.json);
  if (code == 0 && sender_tally(s.sender)->refused) code = COMMAND_NO;
  sender_free(s.sender);
  buf_deinit(&address);
  buf_deinit(&s.event);
  return code;
}

const struct command command_send = {
    .name = "send",
    .operands = "[FILE…]",
    .operands_max = OPERANDS_MAX,
    .uses = USES_DAEMON,
    .summary = "send events: JSON lines from files or standard input",
    .help = "Each line is one event, as in docs/events.md; a file may be gzip. Events go over one connection, many in "
            "flight, and\n"
            "are decided in their order. What fails in a way that may pass is tried again.\n"
            "An event of a file without a messageId gets one made of the file's name, the line's number and its text, "
            "so that\n"
            "sending the file again changes nothing (see --again). From standard input each run is new events.\n"
            "\n"
            "  intent send events.jsonl\n"
            "  echo '{\"type\":\"page\",\"userId\":\"u1\",\"name\":\"Pricing\"}' | intent send --verbose",
    .options = options,
    .run = run,
};
