#include "cli/command.h"

#include "base/buf.h"
#include "base/suggest.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const struct command *const commands[] = {
    &command_send,    &command_import,  &command_simulate, &command_lead,    &command_account,
    &command_pool,    &command_explain, &command_tail,     &command_check,   &command_test,
    &command_policy,  &command_replay,  &command_journal,  &command_reshard, &command_backup,
    &command_restore, &command_doctor,  &command_feature,  &command_source,  &command_quarantine,
    &command_model,   &command_train,   &command_switch,   &command_new,     &command_repl};
#define COMMANDS (sizeof commands / sizeof *commands)

#define OVERVIEW_COLUMNS 30 // of a command and its operands, before its summary

static void put_overview(struct buf *out) {
  buf_append_str(out, "intent: send events to intentd, ask it about leads and decisions, check and test policies.\n\n");
  for (size_t i = 0; i < COMMANDS; i++) {
    char left[96];
    int bytes = snprintf(left, sizeof left, "%s %s", commands[i]->name, commands[i]->operands), columns = 0;
    for (const char *p = left; *p; p++) columns += ((unsigned char)*p & 0xc0) != 0x80; // "…" has three bytes
    if (columns > OVERVIEW_COLUMNS)                                                    // the summary goes below
      buf_printf(out, "  intent %s\n%*s", left, 10 + OVERVIEW_COLUMNS, "");
    else
      buf_printf(out, "  intent %-*s ", OVERVIEW_COLUMNS + bytes - columns, left);
    buf_printf(out, "%s\n", commands[i]->summary);
  }
  buf_append_str(
      out, "\nEach has --help and --json.\n"
           "Exit codes: 0 done; 1 the answer is no (check found errors, a spec failed, nothing found, some events\n"
           "refused); 2 the command line is wrong or names a file that can't be read; 3 no daemon reachable;\n"
           "4 the daemon answered with an error.\n");
}

static void print(const struct buf *text) {
  fwrite(text->p, 1, text->n, stdout);
  fflush(stdout);
}

static const struct command *find(const char *name) {
  for (size_t i = 0; i < COMMANDS; i++)
    if (strcmp(name, commands[i]->name) == 0) return commands[i];
  return NULL;
}

static int unknown(const char *name) {
  const char *names[COMMANDS];
  for (size_t i = 0; i < COMMANDS; i++) names[i] = commands[i]->name;
  const char *near = suggest(bytes_str(name), names, COMMANDS);
  fprintf(stderr, "intent: no command \"%.60s\"%s%s%s\nintent --help lists them\n", name, near ? "; did you mean " : "",
          near ? near : "", near ? "?" : "");
  return COMMAND_USAGE;
}

int command_fail(const struct args *args, int exit_code, const struct error *err) {
  fflush(stdout);
  fprintf(stderr, "intent %s: %s\n", args->command->name, err->text);
  if (exit_code == COMMAND_USAGE) fprintf(stderr, "intent %s --help says how\n", args->command->name);
  return exit_code;
}

int command_exit_of(int status) { return status == ITD_ENOTFOUND ? COMMAND_NO : COMMAND_FAILED; }

static int help(const struct command *command) {
  struct buf text = {0};
  if (command)
    args_help(command, &text);
  else
    put_overview(&text);
  print(&text);
  buf_deinit(&text);
  return COMMAND_OK;
}

static int run(const struct command *command, int argc, char **argv) {
  struct args args;
  struct error err = {0};
  if (args_parse(command, argc, argv, &args, &err) < 0) return command_fail(&args, COMMAND_USAGE, &err);
  if (args.help) return help(command);
  int code = command->run(&args);
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fprintf(stderr, "intent %s: standard output can't be written\n", command->name);
    if (code == COMMAND_OK) code = COMMAND_USAGE;
  }
  return code;
}

int command_main(int argc, char **argv) {
  signal(SIGPIPE, SIG_DFL); // `intent tail | head` ends quietly
  const char *word = argc > 1 ? argv[1] : NULL;
  if (!word) {
    struct buf text = {0};
    put_overview(&text);
    fwrite(text.p, 1, text.n, stderr);
    buf_deinit(&text);
    return COMMAND_USAGE;
  }
  if (strcmp(word, "--version") == 0) {
    puts("intent " INTENTD_VERSION);
    return COMMAND_OK;
  }
  bool asks_help = strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
  if (asks_help && argc < 3) return help(NULL);
  const struct command *command = find(asks_help ? argv[2] : word);
  if (!command) return unknown(asks_help ? argv[2] : word);
  return asks_help ? help(command) : run(command, argc - 2, argv + 2);
}
