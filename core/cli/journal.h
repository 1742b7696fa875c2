// intent journal: its words, in journal.c (verify, head), journal_show.c (show, export) and journal_hold.c.
#pragma once
#include "cli/command.h"

int journal_verify(const struct args *args);
int journal_head(const struct args *args);
int journal_show(const struct args *args);
int journal_export(const struct args *args);
int journal_hold(const struct args *args);
// An option that is a time, or how long ago; *out stays when it was not given. ITD_EINVAL.
int journal_time(const struct args *args, const char *name, int64_t *out, struct error *err) ITD_MUST_USE;
const char *journal_data(const struct args *args); // --data, or the default
int journal_exit_of(int status);                   // of what the store answered
