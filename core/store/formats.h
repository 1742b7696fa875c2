// Which versions of the files a program reads: all that it wrote, and no other. What is of another one is refused before
// anything of the directory is opened, locked or changed. docs/operations.md#upgrade says when a number changes.
#pragma once
#include "base/status.h"

// ITD_EVERSION, with a text that says what to do. `what` names the file or the thing; `found` is of it, `own` this program's.
int format_refuse(struct error *err, const char *what, unsigned found, unsigned own);
// Looks at DIR/format, and at the number in each segment, base and file of the vault. Reads only; a daemon may be writing.
// What does not read at all is not judged here. ITD_EVERSION, ITD_EIO, ITD_EFULL.
int formats_check(const char *dir, struct error *err) ITD_MUST_USE;
