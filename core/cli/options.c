#include "cli/options.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/suggest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct option always[] = {
    {"json", NULL, "print JSON, a line a value, instead of a table"}, {"help", NULL, "print this"}, {0}};
static const struct option daemon_options[] = {
    {"to", "HOST:PORT", "the daemon's MessagePack port (default 127.0.0.1:7411)"},
    {"data", "DIR", "go through the daemon's data directory instead: DIR/intentd.sock"},
    {0}};
static const struct option policy_options[] = {
    {"models", "DIR", "where models lie (default: models in the policies folder, beside it, or the shipped ones)"},
    {"scripts", "DIR", "where the policy library lies (default: as for --models)"},
    {0}};

static void add_options(struct args *args, const struct option *rows) {
  for (; rows && rows->name; rows++) {
    CHECK(args->option_count < OPTIONS_MAX);
    args->option[args->option_count++] = rows;
  }
}

static void add_all(struct args *args, const struct command *command) {
  *args = (struct args){.command = command};
  add_options(args, command->options);
  if (command->uses & USES_DAEMON) add_options(args, daemon_options);
  if (command->uses & USES_POLICIES) add_options(args, policy_options);
  add_options(args, always);
}

static int find(const struct args *args, struct bytes name) {
  for (size_t i = 0; i < args->option_count; i++)
    if (bytes_is(name, args->option[i]->name)) return (int)i;
  return -1;
}

static int unknown(const struct args *args, struct bytes name, struct error *err) {
  const char *names[OPTIONS_MAX];
  for (size_t i = 0; i < args->option_count; i++) names[i] = args->option[i]->name;
  const char *near = suggest(name, names, args->option_count);
  return error_set(err, ITD_EINVAL, "no option --%.*s%s%s%s", (int)(name.n > 60 ? 60 : name.n), (const char *)name.p,
                   near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

// One option at argv[*at]; its value may be the next word.
static int take_option(struct args *args, int argc, char *const *argv, int *at, struct error *err) {
  const char *word = argv[*at] + 2;
  const char *equals = strchr(word, '=');
  struct bytes name = bytes_of(word, equals ? (size_t)(equals - word) : strlen(word));
  int i = find(args, name);
  if (i < 0) return unknown(args, name, err);
  const struct option *option = args->option[i];
  if (args->given_count == GIVEN_MAX) return error_set(err, ITD_EINVAL, "more than %d options", GIVEN_MAX);
  if (!option->value) {
    if (equals) return error_set(err, ITD_EINVAL, "--%s takes no value", option->name);
    args->value[i] = "";
    return 0;
  }
  if (equals)
    args->value[i] = equals + 1;
  else if (*at + 1 < argc)
    args->value[i] = argv[++*at];
  else
    return error_set(err, ITD_EINVAL, "--%s needs a value: --%s %s", option->name, option->name, option->value);
  args->given[args->given_count].option = (uint8_t)i;
  args->given[args->given_count++].value = args->value[i];
  return 0;
}

static bool wants_help(int argc, char *const *argv) {
  for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
  return false;
}

static int check_operands(const struct args *args, struct error *err) {
  const struct command *c = args->command;
  if (args->operand_count >= c->operands_min && args->operand_count <= c->operands_max) return 0;
  if (c->operands_max == 0) return error_set(err, ITD_EINVAL, "takes options only, not \"%.60s\"", args->operand[0]);
  return error_set(err, ITD_EINVAL, "%s: it takes %s",
                   args->operand_count < c->operands_min ? "too little" : "too much", c->operands);
}

int args_parse(const struct command *command, int argc, char *const *argv, struct args *args, struct error *err) {
  add_all(args, command);
  args->help = wants_help(argc, argv);
  if (args->help) return 0;
  bool only_operands = false;
  for (int i = 0; i < argc; i++) {
    const char *word = argv[i];
    if (!only_operands && strcmp(word, "--") == 0) {
      only_operands = true;
    } else if (!only_operands && word[0] == '-' && word[1] == '-') {
      int status = take_option(args, argc, argv, &i, err);
      if (status < 0) return status;
    } else if (!only_operands && word[0] == '-' && word[1]) {
      return error_set(err, ITD_EINVAL, "no option %.60s: options are words, like --json", word);
    } else {
      if (args->operand_count == OPERANDS_MAX) return error_set(err, ITD_EINVAL, "more than %d operands", OPERANDS_MAX);
      args->operand[args->operand_count++] = word;
    }
  }
  return check_operands(args, err);
}

size_t args_all(const struct args *args, const char *name, const char *out[], size_t max) {
  int option = find(args, bytes_str(name));
  size_t n = 0;
  for (size_t i = 0; i < args->given_count && n < max; i++)
    if (args->given[i].option == option) out[n++] = args->given[i].value;
  return n;
}

const char *args_text(const struct args *args, const char *name) {
  int i = find(args, bytes_str(name));
  CHECK(i >= 0);
  return args->value[i];
}

bool args_flag(const struct args *args, const char *name) { return args_text(args, name) != NULL; }

int args_number(const struct args *args, const char *name, int64_t otherwise, int64_t min, int64_t max, int64_t *out,
                struct error *err) {
  const char *text = args_text(args, name);
  if (!text) {
    *out = otherwise;
    return 0;
  }
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  bool is_digits = *text == '-' || (*text >= '0' && *text <= '9');
  if (!is_digits || end == text || *end || errno || value < min || value > max)
    return error_set(err, ITD_EINVAL, "--%s is a whole number from %lld to %lld, not \"%.40s\"", name, (long long)min,
                     (long long)max, text);
  *out = value;
  return 0;
}

void args_help(const struct command *command, struct buf *out) {
  struct args args;
  add_all(&args, command);
  buf_printf(out, "intent %s%s%s [options]\n%s\n\n%s\n\nOptions\n", command->name, *command->operands ? " " : "",
             command->operands, command->summary, command->help);
  for (size_t i = 0; i < args.option_count; i++) {
    char left[48];
    const struct option *o = args.option[i];
    snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    buf_printf(out, "  %-20s %s\n", left, o->help);
  }
}
