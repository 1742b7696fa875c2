// The data directory itself: who holds it, of which version it is, and its secret.
#pragma once
#include "base/hash.h"
#include "base/status.h"

#define STORE_SECRET_SIZE 32

struct datadir {
  char *path;
  int lock_fd;
  unsigned partitions;
  uint8_t secret[STORE_SECRET_SIZE]; // of keyed hashes and lead ids; never leaves the directory
};
// Opens and locks `path`, or makes it with `partitions` and a secret (`seed`, else random). ITD_EBUSY (with the
// holder's pid), ITD_EVERSION, ITD_ECORRUPT, ITD_EIO. datadir_close lets go.
int datadir_open(const char *path, unsigned partitions, const uint8_t *seed, struct datadir *out,
                 struct error *err) ITD_MUST_USE;
void datadir_close(struct datadir *d);
// The secret of the directory at `path`, without opening it. False: DIR/format is not there or does not read.
bool datadir_secret(const char *path, uint8_t out[STORE_SECRET_SIZE]);
