// intent source: what sources there are, what one does, and what becomes of a file of payloads, without a daemon.
#include "base/clock.h"
#include "base/file.h"
#include "cli/field.h"
#include "cli/rows.h"
#include "cli/show.h"
#include "cli/source_find.h"
#include "cli/source_usual.h"
#include "wire/event.h"

#include <stdio.h>
#include <stdlib.h>

enum { TRY_EVENTS = 100000 };

static const struct option options[] = {
    {"format", "FORMAT", "try: csv or json (default: by the file's name)"},
    {"separator", "CHAR", "try: between fields of CSV (default a comma)"},
    {"only", "refused", "try: print what would not be sent only"},
    {"data", "DIR", "list, show: what a daemon on DIR learned of what each usually sends"},
    SOURCE_OPTIONS,
    {0}};

// ---- list ----

static int list(const struct args *args) {
  if (args_text(args, "data")) return source_usual(args, NULL);
  char **names;
  size_t count;
  struct error err = {0};
  if (source_names(args, &names, &count, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  struct buf out = {0};
  for (size_t i = 0; i < count; i++) {
    if (args_flag(args, "json")) {
      const char *slash = strchr(names[i], '/');
      mp_put_map(&out, 2);
      mp_put_cstr(&out, "set"), mp_put_str(&out, bytes_of(names[i], (size_t)(slash - names[i])));
      mp_put_cstr(&out, "source"), mp_put_cstr(&out, slash + 1);
      show_json(buf_bytes(&out));
      buf_clear(&out);
    } else {
      buf_printf(&out, "%s\n", names[i]);
      show_print(&out);
    }
  }
  buf_deinit(&out);
  dir_list_free(names, count);
  return count ? COMMAND_OK : COMMAND_NO;
}

// ---- show ----

static void put_line(struct buf *out, const char *indent, struct bytes key, struct bytes text) {
  buf_printf(out, "%s%-13.*s ", indent, (int)key.n, (const char *)key.p);
  show_text(out, text);
  buf_append_u8(out, '\n');
}

// A list of [key, text].
static void put_fields(struct buf *out, const char *indent, struct bytes fields) {
  struct bytes pair, key, text;
  for (struct each each = each_of(fields); each_next(&each, &pair);) {
    struct each two = each_of(pair);
    if (each_next(&two, &key) && each_next(&two, &text) && mp_as_str(key, &key) && mp_as_str(text, &text))
      put_line(out, indent, key, text);
  }
}

static void put_text(struct buf *out, const char *indent, const char *key, struct bytes map) {
  struct bytes text = field_text(map, key);
  if (text.n) put_line(out, indent, bytes_str(key), text);
}

static void put_rule(struct buf *out, struct bytes rule) {
  struct bytes event;
  buf_append_str(out, field_is(rule, "is_skip") ? "\nskip  " : "\nrule  ");
  show_text(out, field_text(rule, "name"));
  buf_append_u8(out, '\n');
  put_text(out, "      ", "when", rule);
  put_text(out, "      ", "each", rule);
  put_text(out, "      ", "why", rule);
  for (struct each each = each_of(field(rule, "events")); each_next(&each, &event);) {
    buf_append_str(out, "    event\n");
    put_fields(out, "      ", event);
  }
}

static void put_source(struct buf *out, struct bytes source) {
  struct bytes rule;
  static const char *const about[] = {"name", "path", "owner", "rationale", "sign.scheme", "sign.header"};
  for (size_t i = 0; i < sizeof about / sizeof *about; i++) put_text(out, "", about[i], source);
  buf_append_str(out, "every event\n");
  put_fields(out, "      ", field(source, "fields"));
  for (struct each each = each_of(field(source, "rules")); each_next(&each, &rule);) put_rule(out, rule);
}

static int show(const struct args *args, struct source_found *found) {
  struct buf about = {0}, out = {0};
  struct error err = {0};
  int code = COMMAND_OK;
  if (sources_show(found->sources, found->info->name, &about, &err) < 0)
    code = command_fail(args, COMMAND_NO, &err);
  else if (args_flag(args, "json"))
    show_json(buf_bytes(&about));
  else {
    put_source(&out, buf_bytes(&about));
    show_print(&out);
    if (args_text(args, "data")) {
      printf("\n");
      code = source_usual(args, found->info->name);
    }
  }
  buf_deinit(&about);
  buf_deinit(&out);
  return code;
}

// ---- try ----

struct trying {
  const struct args *args;
  const struct source_found *found;
  const char *file;
  uint64_t payloads, events, skipped, refused;
  bool json, quiet;
};

static void say(struct trying *t, uint64_t line, const char *what, struct bytes rule, struct bytes why) {
  struct buf out = {0};
  buf_printf(&out, "%s:%llu: %s", t->file, (unsigned long long)line, what);
  if (rule.n) {
    buf_append_str(&out, " by rule '");
    show_text(&out, rule);
    buf_append_u8(&out, '\'');
  }
  buf_append_str(&out, ": ");
  show_text(&out, why);
  fflush(stdout);
  fprintf(stderr, "%.*s\n", (int)out.n, (const char *)out.p);
  buf_deinit(&out);
}

static void say_all(struct trying *t, uint64_t line, const char *what, struct bytes list) {
  struct bytes entry, index, rule, why;
  for (struct each each = each_of(list); each_next(&each, &entry);) {
    struct each parts = each_of(entry);
    if (!each_next(&parts, &index) || !each_next(&parts, &rule) || !each_next(&parts, &why)) continue;
    if (!mp_as_str(rule, &rule)) rule = (struct bytes){0};
    if (mp_as_str(why, &why)) say(t, line, what, rule, why);
  }
}

// By the bounds that a daemon has by default; its clock is its own.
static bool is_event(struct trying *t, uint64_t line, struct bytes bytes) {
  const struct event_limits limits = EVENT_LIMITS_DEFAULT;
  struct event event;
  struct event_digits digits;
  struct error err = {0};
  if (event_decode(bytes, clock_wall_ms(), &limits, &digits, &event, &err) == 0) return true;
  say(t, line, "would be refused by the daemon", (struct bytes){0}, bytes_str(err.text));
  return false;
}

static void take(struct trying *t, uint64_t line, struct bytes output) {
  struct bytes pair, index, event;
  t->refused += mp_value_of(field(output, "refused")).count;
  t->skipped += mp_value_of(field(output, "skipped")).count;
  for (struct each each = each_of(field(output, "events")); each_next(&each, &pair);) {
    struct each two = each_of(pair);
    if (!each_next(&two, &index) || !each_next(&two, &event)) continue;
    if (is_event(t, line, event))
      t->events++;
    else
      t->refused++;
    if (!t->json && !t->quiet) show_json(event);
  }
  if (t->json) {
    show_json(output);
  } else {
    say_all(t, line, "refused", field(output, "refused"));
    say_all(t, line, "skipped", field(output, "skipped"));
  }
}

static int try_payload(struct trying *t, uint64_t line, struct bytes payload, struct error *err) {
  struct buf list = {0}, output = {0};
  mp_put_array(&list, 1);
  buf_append_bytes(&list, payload);
  const struct sources_call call = {
      .source = t->found->info->name, .payload = buf_bytes(&list), .events_max = TRY_EVENTS};
  int status = sources_map(t->found->sources, &call, &output, err);
  t->payloads++;
  if (status == 0)
    take(t, line, buf_bytes(&output));
  else
    error_prefix(err, "%s:%llu", t->file, (unsigned long long)line);
  buf_deinit(&list);
  buf_deinit(&output);
  return status;
}

static int try_file(struct trying *t, enum rows_format format, char separator, struct error *err) {
  struct rows rows;
  struct buf payload = {0};
  int found = rows_open(&rows, t->file, format, separator, err);
  if (found < 0) return found;
  while ((found = rows_next(&rows, &payload, err)) > 0) {
    int status = try_payload(t, rows.line, buf_bytes(&payload), err);
    buf_clear(&payload);
    if (status < 0) {
      found = status;
      break;
    }
  }
  rows_close(&rows);
  buf_deinit(&payload);
  return found;
}

static int try(const struct args *args, struct source_found *found) {
  const char *format = args_text(args, "format"), *between = args_text(args, "separator");
  const char *only = args_text(args, "only");
  struct trying t = {.args = args, .found = found, .json = args_flag(args, "json"), .quiet = only != NULL};
  struct error err = {0};
  int status = 0;
  for (size_t i = 2; i < args->operand_count && status == 0; i++) {
    t.file = args->operand[i];
    status = try_file(&t,
                      !format                       ? ROWS_BY_NAME
                      : strcmp(format, "json") == 0 ? ROWS_JSON
                                                    : ROWS_CSV,
                      between && *between ? *between : ',', &err);
  }
  if (status < 0) return command_fail(args, status == ITD_ESTOPPED ? COMMAND_NO : COMMAND_USAGE, &err);
  fflush(stdout);
  fprintf(stderr, "%llu payloads: %llu events, %llu skipped, %llu refused; nothing was sent\n",
          (unsigned long long)t.payloads, (unsigned long long)t.events, (unsigned long long)t.skipped,
          (unsigned long long)t.refused);
  return t.refused ? COMMAND_NO : COMMAND_OK;
}

// ---- the command ----

static int check_words(const struct args *args, struct error *err) {
  const char *format = args_text(args, "format"), *only = args_text(args, "only"), *word = args->operand[0];
  if (format && strcmp(format, "csv") != 0 && strcmp(format, "json") != 0)
    return error_set(err, ITD_EINVAL, "--format is csv or json");
  if (only && strcmp(only, "refused") != 0) return error_set(err, ITD_EINVAL, "--only knows refused only");
  size_t wanted = strcmp(word, "list") == 0 ? 1 : strcmp(word, "show") == 0 ? 2 : strcmp(word, "try") == 0 ? 3 : 0;
  if (wanted == 0) return error_set(err, ITD_EINVAL, "intent source list, show NAME, or try NAME FILE…");
  if (args->operand_count < wanted || (wanted < 3 && args->operand_count > wanted))
    return error_set(err, ITD_EINVAL,
                     wanted == 1   ? "intent source list takes no operand"
                     : wanted == 2 ? "intent source show takes a source"
                                   : "intent source try takes a source and a file");
  return 0;
}

static int run(const struct args *args) {
  struct error err = {0};
  struct source_found found = {0};
  if (check_words(args, &err) < 0) return command_fail(args, COMMAND_USAGE, &err);
  if (strcmp(args->operand[0], "list") == 0) return list(args);
  int status = source_find(args, args->operand[1], &found, &err);
  if (status < 0) return command_fail(args, status == ITD_EPOLICY ? COMMAND_NO : COMMAND_USAGE, &err);
  int code = strcmp(args->operand[0], "show") == 0 ? show(args, &found) : try(args, &found);
  source_found_deinit(&found);
  return code;
}

const struct command command_source = {
    .name = "source",
    .operands = "list|show|try [NAME] [FILE…]",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .uses = 0,
    .summary = "what sources there are, what one does, and what becomes of a file",
    .help = "A source maps another system's payloads to events (docs/sources.md). NAME is one of a signal set "
            "(SET/NAME when several\n"
            "have it) or a file NAME.lua by itself; FILE is what intent import reads. try prints the events that would "
            "be sent as JSON\n"
            "lines, and on standard error what would not and why; it needs no daemon and sends nothing. With --data "
            "list shows\n"
            "every source and name of events that a daemon saw: what came in this hour, what is usual, what is strange "
            "(as of the\n"
            "last ten minutes at most).\n"
            "\n"
            "  intent source list\n"
            "  intent source list --data /var/lib/intentd\n"
            "  intent source show b2b/stripe\n"
            "  intent source try b2b/stripe policies/signals/b2b/sources/fixtures/stripe_invoice_paid.json",
    .options = options,
    .run = run,
};
