// intent lead ID --fixture FILE: a recorded lead's events as a file for specs (cli/fixture.h). For lead.c.
#pragma once
#include "cli/command.h"

// ID and --data, --to of `args`; the command's exit code. What is personal is left out: the events as the journal holds them in
// the clear, with made-up ids.
int lead_fixture(const struct args *args, const char *id, const char *path);
