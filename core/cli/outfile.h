// The file of an --out: made anew, and there under its name only once it is whole. Until then it is written beside that name,
// under a hidden one; what a killed program leaves behind can't be taken for the whole.
//
//   struct outfile out;
//   if ((rc = outfile_open(&out, path, err)) == 0) {
//     rc = write_all(out.to, err);
//     rc = outfile_end(&out, rc, err);
//   }
#pragma once
#include "base/buf.h"

#include <stdio.h>

struct outfile {
  FILE *to;
  const char *path; // NULL: standard output
  char *hidden;
};

// `path` NULL: standard output. It is the caller's and must stay. ITD_EINVAL: something is there already, and is left as it is;
// ITD_ENOTFOUND, ITD_EFULL, ITD_EIO: no file can be made there.
int outfile_open(struct outfile *out, const char *path, struct error *err) ITD_MUST_USE;
// `status` 0: synced and given its name. Else what was written goes, and `status` is returned. Also where its own work fails;
// ITD_EINVAL: something got that name meanwhile.
int outfile_end(struct outfile *out, int status, struct error *err) ITD_MUST_USE;
// Whether an outfile of that name could be begun, without making any: for commands that work long before they write.
int outfile_check(const char *path, struct error *err) ITD_MUST_USE;
