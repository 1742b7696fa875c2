// For fuzzers of what reads files: a folder of this process, in memory where there is such a file system, gone at its end.
#pragma once
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

static char fuzz_folder[64];

static int fuzz_remove(const char *path, const struct stat *st, int type, struct FTW *at) {
  (void)st, (void)type, (void)at;
  return remove(path);
}
static void fuzz_end(void) { nftw(fuzz_folder, fuzz_remove, 8, FTW_DEPTH | FTW_PHYS); }

// The folder with `sub` below it (NULL: none).
static inline const char *fuzz_dir(const char *sub) {
  if (fuzz_folder[0]) return fuzz_folder;
  snprintf(fuzz_folder, sizeof fuzz_folder, "%s/itd-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  CHECK(mkdtemp(fuzz_folder));
  atexit(fuzz_end);
  if (sub) {
    char path[200];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder, sub);
    CHECK(mkdir(path, 0700) == 0);
  }
  return fuzz_folder;
}

static inline void fuzz_put(const char *name, struct bytes content) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", fuzz_dir(NULL), name);
  FILE *f = fopen(path, "w");
  CHECK(f && fwrite(content.p ? content.p : (const uint8_t *)"", 1, content.n, f) == content.n && fclose(f) == 0);
}

static inline void fuzz_get(const char *name, struct buf *out) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", fuzz_dir(NULL), name);
  FILE *f = fopen(path, "r");
  if (!f) return;
  for (size_t n; (n = fread(buf_reserve(out, 4096), 1, 4096, f)) > 0;) out->n += n;
  fclose(f);
}

// What lies before the first byte of `mark`, and what behind it.
static inline struct bytes fuzz_cut(struct bytes *rest, uint8_t mark) {
  const uint8_t *at = rest->n ? memchr(rest->p, mark, rest->n) : NULL;
  size_t n = at ? (size_t)(at - rest->p) : rest->n;
  struct bytes head = bytes_of(rest->p, n);
  *rest = bytes_of(rest->p + n + (at != NULL), rest->n - n - (at != NULL));
  return head;
}
