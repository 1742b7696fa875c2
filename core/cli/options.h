// The command line of `intent`: a command declares its options as rows, and what was typed is held against them. Pure.
#pragma once
#include "base/bytes.h"
#include "base/status.h"

#define OPTIONS_MAX  24 // of one command, shared ones included
#define OPERANDS_MAX 16
#define GIVEN_MAX    64 // options on one command line

struct option {
  const char *name;  // without the dashes; NULL ends a list of rows
  const char *value; // what the help calls its value ("FILE"); NULL: a flag
  const char *help;  // one sentence, with the default
};

enum command_uses {
  USES_DAEMON = 1,  // --to, --data
  USES_POLICIES = 2 // --models, --scripts
};

struct args;
struct command {
  const char *name;
  const char *operands; // as the help shows them: "[FILE…]"; "" none
  unsigned operands_min, operands_max;
  unsigned uses;                // bits of enum command_uses
  const char *summary;          // one line
  const char *help;             // paragraphs: what it does, what it prints, examples
  const struct option *options; // its own; NULL: none
  int (*run)(const struct args *args);
};

struct args {
  const struct command *command;
  const struct option *option[OPTIONS_MAX]; // all that the command has
  const char *value[OPTIONS_MAX];           // what was given ("" for a flag), NULL: not given
  size_t option_count;
  struct {
    uint8_t option;
    const char *value;
  } given[GIVEN_MAX]; // all of them, in their order
  size_t given_count;
  const char *operand[OPERANDS_MAX];
  size_t operand_count;
  bool help;
};

// Reads what follows the command's name. `--name value`, `--name=value`, in any order with operands; `--` ends options;
// of one given twice the last counts. With --help nothing else is judged. Views point into argv.
// ITD_EINVAL: what is wrong, and the nearest option.
int args_parse(const struct command *command, int argc, char *const *argv, struct args *args,
               struct error *err) ITD_MUST_USE;
// An option that the command has (else it is a programmer's error): its text or NULL; whether it was given; its number.
const char *args_text(const struct args *args, const char *name);
// All values of an option that may be given several times; returns how many, at most `max`.
size_t args_all(const struct args *args, const char *name, const char *out[], size_t max);
bool args_flag(const struct args *args, const char *name);
// A whole number from `min` to `max`, or `otherwise` when it was not given. ITD_EINVAL.
int args_number(const struct args *args, const char *name, int64_t otherwise, int64_t min, int64_t max, int64_t *out,
                struct error *err) ITD_MUST_USE;

struct buf;
void args_help(const struct command *command, struct buf *out);
