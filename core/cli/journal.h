// intent journal: its words, in journal.c (verify, head) and journal_show.c (show, export).
#pragma once
#include "cli/command.h"

int journal_verify(const struct args *args);
int journal_head(const struct args *args);
int journal_show(const struct args *args);
int journal_export(const struct args *args);
const char *journal_data(const struct args *args); // --data, or the default
int journal_exit_of(int status);                   // of what the store answered
