// What a daemon learned of what its sources usually send, from DIR/baselines (schema/baseline.h), as a table or as JSON lines.
#pragma once
#include "cli/command.h"

// `source`: only of this one; NULL: of all. Returns the exit code: COMMAND_NO when nothing is known.
int source_usual(const struct args *args, const char *source);
