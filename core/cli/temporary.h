// A folder for what a command needs for a moment: in TMPDIR, else in /tmp.
#pragma once
#include "base/status.h"

// Makes one, for its user alone; malloc'd. `what`: a word of its name. ITD_EIO.
int temporary_make(const char *what, char **dir, struct error *err) ITD_MUST_USE;
void temporary_remove(char *dir); // with all that is in it; frees the text. NULL does nothing
