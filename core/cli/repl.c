// intent repl: expressions of the policy language, tried on a real lead or on a recorded one. scripts/cli/repl.lua works them out.
#include "base/check.h"
#include "base/hash.h"
#include "cli/connect.h"
#include "cli/field.h"
#include "cli/fixture.h"
#include "cli/folder.h"
#include "cli/scripts.h"
#include "cli/show.h"
#include "engine/engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 16 << 10 };

struct session {
  const struct args *args;
  struct folder folder;
  struct policy *policy;
  struct scripts scripts;
  struct buf lead; // the question: what scripts/cli/repl.lua is told of the lead
  uint64_t failed; // expressions that could not be tried
};

// ---- what is known of the lead ----

static void put_decision(struct session *s, struct bytes decision) {
  static const char *const scores[] = {"combined", "fit", "engagement", "intent"};
  struct bytes reasons = field(decision, "reasons");
  mp_put_cstr(&s->lead, "scores"), mp_put_map(&s->lead, 4);
  for (size_t i = 0; i < 4; i++) {
    char path[32];
    snprintf(path, sizeof path, "scores.%s", scores[i]);
    mp_put_cstr(&s->lead, scores[i]);
    mp_put_float(&s->lead, (double)field_int(decision, path, 0) / 1000.0);
  }
  mp_put_cstr(&s->lead, "reasons");
  if (reasons.n)
    mp_put_raw(&s->lead, reasons);
  else
    mp_put_array(&s->lead, 0);
}

static void put_answer(struct session *s, struct bytes lead, struct bytes decision) {
  struct bytes ages = field(lead, "ages");
  mp_put_map(&s->lead, 4);
  mp_put_cstr(&s->lead, "features"), mp_put_raw(&s->lead, field(lead, "features"));
  mp_put_cstr(&s->lead, "ages");
  if (ages.n)
    mp_put_raw(&s->lead, ages);
  else
    mp_put_map(&s->lead, 0);
  put_decision(s, decision);
}

// Of a lead that lives here alone all values are shown.
static void put_own(struct session *s, struct lead *lead, struct bytes decision) {
  const struct feature_set *set = policy_features(s->policy);
  double values[FEATURES_MAX], ages[FEATURES_MAX];
  struct bytes texts[FEATURES_MAX];
  size_t count = feature_count(set);
  feature_read(set, lead_feature_state(lead), lead->now_ms, values, texts);
  feature_ages(set, lead_feature_state(lead), lead->now_ms, ages);
  mp_put_map(&s->lead, 4);
  mp_put_cstr(&s->lead, "features"), mp_put_map(&s->lead, (uint32_t)count);
  for (size_t i = 0; i < count; i++) {
    mp_put_cstr(&s->lead, feature_info(set, i)->name);
    if (!feature_info(set, i)->is_text)
      mp_put_known(&s->lead, values[i]);
    else if (texts[i].n)
      mp_put_str(&s->lead, texts[i]);
    else
      mp_put_nil(&s->lead);
  }
  mp_put_cstr(&s->lead, "ages"), mp_put_map(&s->lead, (uint32_t)count);
  for (size_t i = 0; i < count; i++) mp_put_cstr(&s->lead, feature_info(set, i)->name), mp_put_known(&s->lead, ages[i]);
  put_decision(s, decision);
}

// ---- from a file of events ----

static struct policy *no_other_policy(void *context, uint32_t number) {
  (void)context, (void)number;
  return NULL;
}

static int live(struct session *s, struct engine *engine, struct bytes events, uint32_t count, struct error *err) {
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  struct lead *lead = NULL;
  struct buf last = {0};
  struct mp m = mp_of(events);
  int status = 0;
  for (uint32_t i = 0; i < count && status == 0; i++) {
    struct engine_result result = {0};
    struct event event;
    struct event_digits digits;
    struct bytes map = mp_take(&m);
    status = event_decode(map, 0, &limits, &digits, &event, err);
    int64_t at_ms = status == 0 ? event.timestamp_ms : 0;
    struct lead_id id = {.b = {0, 1}};
    if (status == 0 && !lead) lead = lead_new(id, 0, s->policy, 1, at_ms);
    if (status == 0) status = engine_event(engine, &lead, &event, at_ms, &limits, &result, err);
    if (result.count) buf_clear(&last), buf_append_bytes(&last, result.decision[result.count - 1].answer);
    if (status < 0) error_prefix(err, "event %u", i + 1);
  }
  if (status == 0) put_own(s, lead, buf_bytes(&last));
  lead_free(lead);
  buf_deinit(&last);
  return status;
}

static int open_fixture(struct session *s, const char *path, struct error *err) {
  const struct vm_limits limits = VM_LIMITS_DEFAULT;
  struct buf events = {0};
  uint32_t count = 0;
  int status = fixture_read(path, &events, &count, err);
  struct engine *engine = engine_new(ENGINE_CLOCK_EVENT, &limits, no_other_policy, NULL);
  struct release release = {.policy = s->policy, .number = 1};
  if (status == 0) status = engine_prepare(engine, &release, err);
  if (status == 0) {
    engine_use(engine);
    status = live(s, engine, buf_bytes(&events), count, err);
  }
  engine_free(engine);
  buf_deinit(&events);
  return status;
}

// ---- from a daemon ----

// The folder of the policy in force, where it was not named: by its name, in ./policies.
static int find_policy(struct session *s, struct bytes name) {
  struct buf dir = {0};
  struct error err = {0};
  const char *given = args_text(s->args, "policy");
  if (given)
    buf_append_str(&dir, given);
  else
    buf_printf(&dir, "policies/%.*s", (int)name.n, (const char *)name.p);
  buf_append_u8(&dir, 0);
  int status = folder_find_at(s->args, (const char *)dir.p, &s->folder, &err);
  buf_deinit(&dir);
  if (status == 0 && s->folder.is_set) status = error_set(&err, ITD_EINVAL, "%s is a signal set", s->folder.dir);
  return status < 0 ? command_fail(s->args, COMMAND_USAGE, &err) : COMMAND_OK;
}

static int load_policy(struct session *s) {
  struct policy_report report = {0};
  struct error err = {0};
  int status = folder_load(&s->folder, &s->policy, &report, &err);
  if (status < 0) folder_print(&s->folder, &report, args_flag(s->args, "json"));
  policy_report_deinit(&report);
  return status < 0 ? command_fail(s->args, COMMAND_NO, &err) : COMMAND_OK;
}

static int open_daemon(struct session *s, const char *who) {
  struct client *client;
  struct buf answer = {0};
  int code = connect_daemon(s->args, &client);
  if (code) return code;
  code = connect_ask(s->args, client, "lead.get", who, &answer);
  client_close(client);
  struct bytes decision = field(buf_bytes(&answer), "decision");
  if (code == 0) code = find_policy(s, field_text(decision, "policy.name"));
  if (code == 0) code = load_policy(s);
  if (code == 0) {
    put_answer(s, field(buf_bytes(&answer), "lead"), decision);
    struct bytes version = field_text(decision, "policy.version");
    if (!bytes_is(version, policy_info(s->policy)->version))
      fprintf(stderr, "the lead's last decision was made by version %.*s; here %s is tried\n", (int)version.n,
              (const char *)version.p, policy_info(s->policy)->version);
  }
  buf_deinit(&answer);
  return code;
}

// ---- trying ----

// In front of an expression; of scripts/cli/repl_words.lua.
#define WORDS "local f, belief, score, signal, all, any, none = require('repl_words')(); return "

static int open_scripts(struct scripts *scripts, struct error *err) {
  int status = scripts_open(scripts, "scripts/cli/repl.lua", "repl", err);
  if (status == 0) status = scripts_more(scripts, "scripts/cli/repl_words.lua", "repl_words", err);
  return status == 0 ? scripts_more(scripts, "scripts/cli/outline.lua", "outline", err) : status;
}

static int ask(struct session *s, struct bytes expression, struct buf *answer, struct error *err) {
  struct buf text = {0};
  struct lua_limits limits = LUA_LIMITS_DEFAULT;
  struct lua_module modules[SCRIPTS_MAX + 1];
  size_t count = s->scripts.count;
  buf_append_str(&text, WORDS), buf_append_bytes(&text, expression);
  memcpy(modules, s->scripts.module, count * sizeof *modules);
  modules[count++] = (struct lua_module){.name = "expression", .path = "expression", .text = buf_bytes(&text)};
  int status = policy_ask(s->policy, modules, count, "repl", buf_bytes(&s->lead), &limits, answer, err);
  buf_deinit(&text);
  return status;
}

static void print_json(struct bytes expression, struct bytes answer, const char *why) {
  static const char *const names[] = {"kind", "text", "value", "holds"};
  struct buf out = {0};
  uint32_t count = 1;
  for (size_t i = 0; i < 4; i++) count += !why && field(answer, names[i]).n;
  mp_put_map(&out, count + (why != NULL));
  mp_put_cstr(&out, "expression"), mp_put_str(&out, expression);
  if (why) mp_put_cstr(&out, "error"), mp_put_cstr(&out, why);
  for (size_t i = 0; i < 4; i++)
    if (!why && field(answer, names[i]).n) mp_put_cstr(&out, names[i]), mp_put_raw(&out, field(answer, names[i]));
  show_json(buf_bytes(&out));
  buf_deinit(&out);
}

// Text of several lines, each made harmless by itself.
static void print_text(struct bytes text) {
  struct buf out = {0};
  for (size_t at = 0; at <= text.n;) {
    const uint8_t *end = at < text.n ? memchr(text.p + at, '\n', text.n - at) : NULL;
    size_t n = end ? (size_t)(end - text.p) - at : text.n - at;
    show_text(&out, bytes_of(text.p + at, n)), buf_append_u8(&out, '\n');
    at += n + 1;
  }
  show_print(&out);
  buf_deinit(&out);
}

static void try_one(struct session *s, struct bytes expression) {
  struct buf answer = {0};
  struct error err = {0};
  int status = ask(s, expression, &answer, &err);
  struct bytes why = field_text(buf_bytes(&answer), "error");
  if (status == 0 && why.n) status = error_set(&err, ITD_EPOLICY, "%.*s", (int)why.n, (const char *)why.p);
  const char *text = status < 0 ? err.text : NULL;
  if (text && strncmp(text, "expression:1: ", 14) == 0) text += 14;
  s->failed += status < 0;
  if (args_flag(s->args, "json"))
    print_json(expression, buf_bytes(&answer), text);
  else if (text)
    print_text(bytes_str(text));
  else
    print_text(field_text(buf_bytes(&answer), "text"));
  fflush(stdout);
  buf_deinit(&answer);
}

#define HELP                                                                                                           \
  "an expression of the policy language a line: f.NAME, f.NAME:at_least(3), all { … }, belief.intent, "              \
  "belief.channels,\n"                                                                                                 \
  "belief.passed \"gate\", score.fit, score.engagement, score.combined. exit ends.\n"

static void read_lines(struct session *s) {
  bool is_terminal = isatty(STDIN_FILENO) && !args_flag(s->args, "json");
  char line[LINE_MAX_BYTES];
  if (is_terminal) fputs(HELP "> ", stdout), fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    struct bytes text = bytes_of(line, strcspn(line, "\r\n"));
    while (text.n && (text.p[0] == ' ' || text.p[0] == '\t')) text.p++, text.n--;
    while (text.n && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t')) text.n--;
    if (bytes_is(text, "exit") || bytes_is(text, "quit")) break;
    if (bytes_is(text, "help") || bytes_is(text, "?"))
      fputs(HELP, stdout);
    else if (text.n)
      try_one(s, text);
    if (is_terminal) fputs("> ", stdout), fflush(stdout);
  }
}

static int run(const struct args *args) {
  struct session s = {.args = args};
  struct error err = {0};
  const char *fixture = args_text(args, "fixture");
  int code = COMMAND_OK;
  if ((fixture != NULL) == (args->operand_count == 1)) {
    error_set(&err, ITD_EINVAL, "a lead of a running daemon, or --fixture FILE; one of them");
    return command_fail(args, COMMAND_USAGE, &err);
  }
  if (fixture && !args_text(args, "policy")) {
    error_set(&err, ITD_EINVAL, "--fixture needs --policy DIR: the policy that the recorded lead is tried with");
    return command_fail(args, COMMAND_USAGE, &err);
  }
  if (!fixture) code = open_daemon(&s, args->operand[0]);
  if (fixture) code = find_policy(&s, (struct bytes){0});
  if (fixture && code == COMMAND_OK) code = load_policy(&s);
  if (fixture && code == COMMAND_OK && open_fixture(&s, fixture, &err) < 0)
    code = command_fail(args, COMMAND_USAGE, &err);
  if (code == COMMAND_OK && open_scripts(&s.scripts, &err) < 0) code = command_fail(args, COMMAND_FAILED, &err);
  if (code == COMMAND_OK) {
    read_lines(&s);
    code = s.failed ? COMMAND_NO : COMMAND_OK;
  }
  scripts_close(&s.scripts);
  policy_release(s.policy);
  folder_deinit(&s.folder);
  buf_deinit(&s.lead);
  return code;
}

static const struct option options[] = {
    {"fixture", "FILE", "a recorded lead instead: a file of events (intent lead ID --fixture FILE)"},
    {"policy", "DIR", "the policy's folder (default policies/NAME, by the name that is in force)"},
    {0}};

const struct command command_repl = {
    .name = "repl",
    .operands = "[LEAD]",
    .operands_min = 0,
    .operands_max = 1,
    .uses = USES_DAEMON | USES_POLICIES,
    .summary = "try expressions of the policy language on a real lead",
    .help =
        "Reads expressions, one a line, and prints what each is of this lead now: a value, or whether a condition "
        "holds, with the\n"
        "values that it looked at and each of its parts. LEAD is a lead of a running daemon, as in intent lead; "
        "personal values are\n"
        "not shown, and what asks for one can't be said. Nothing is changed: an expression runs in the sandbox, here "
        "and not in the\n"
        "daemon. belief and scores are those of the last decision. The exit code is 1 when one of the expressions "
        "can't be tried.\n"
        "\n"
        "  intent repl maria@acme.example\n"
        "  echo 'all { f.pricing_views_7d:at_least(3), belief.intent:at_least(20) }' | intent repl maria@acme.example\n"
        "  intent repl --fixture policies/b2b_saas/fixtures/maria.jsonl --policy policies/b2b_saas",
    .options = options,
    .run = run,
};
