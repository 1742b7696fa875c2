// The commands of `intent`: a row each in command.c. What a command prints goes to standard output, what went wrong and
// how far it is to standard error.
#pragma once
#include "cli/options.h"

// What a command's exit code means; the help says the same.
enum command_exit {
  COMMAND_OK = 0,
  COMMAND_NO = 1,          // the answer is no: check found errors, a spec failed, nothing found, some events refused
  COMMAND_USAGE = 2,       // the command line is wrong, or names a file that can't be read
  COMMAND_UNREACHABLE = 3, // no daemon there
  COMMAND_FAILED = 4,      // the daemon answered with an error
};

int command_main(int argc, char **argv);
// "intent NAME: text" on standard error; returns the exit code.
int command_fail(const struct args *args, int exit_code, const struct error *err);
// The exit code for what a daemon answered: COMMAND_NO for what is not there, else COMMAND_FAILED.
int command_exit_of(int status);

extern const struct command command_send, command_import, command_lead, command_account, command_pool, command_explain,
    command_tail, command_check, command_test, command_policy, command_switch, command_replay, command_simulate,
    command_journal, command_reshard, command_backup, command_restore, command_doctor, command_feature, command_source,
    command_quarantine, command_model, command_train, command_new, command_repl;
