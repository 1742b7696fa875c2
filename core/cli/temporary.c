#include "cli/temporary.h"

#include "base/buf.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int temporary_make(const char *what, char **dir, struct error *err) {
  const char *base = getenv("TMPDIR");
  struct buf path = {0};
  buf_printf(&path, "%s/intent-%s-XXXXXX", base && *base ? base : "/tmp", what);
  buf_append_u8(&path, 0);
  if (mkdtemp((char *)path.p)) {
    *dir = (char *)path.p;
    return 0;
  }
  int rc = error_set(err, ITD_EIO, "%.300s: no temporary folder can be made there: %s (TMPDIR names another place)",
                     (const char *)path.p, strerror(errno));
  buf_deinit(&path);
  return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
  (void)st, (void)type, (void)at;
  return remove(path);
}

void temporary_remove(char *dir) {
  if (!dir) return;
  nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  free(dir);
}
