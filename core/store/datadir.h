// The data directory itself: who holds it, of which version it is, and its secret.
#pragma once
#include "store/journal.h"

#define STORE_SECRET_SIZE 32

struct datadir {
  char *path;
  int lock_fd;
  unsigned partitions;
  struct journal_boundary since;     // where this number of partitions began; all zero: with the directory
  uint8_t secret[STORE_SECRET_SIZE]; // of keyed hashes and lead ids; never leaves the directory
};
// Opens and locks `path`, or makes it with `partitions` and a secret (`seed`, else random). ITD_EBUSY (with the
// holder's pid), ITD_EINVAL (it holds other files), ITD_EVERSION, ITD_ECORRUPT, ITD_EIO. datadir_close lets go.
int datadir_open(const char *path, unsigned partitions, const uint8_t *seed, struct datadir *out,
                 struct error *err) ITD_MUST_USE;
// From now on it has another number of partitions, which begin at `since`: durable on return. When it fails it is as
// before, unless the sync of the folder failed (ITD_EIO): then the disk may show either. ITD_EFULL, ITD_EIO.
int datadir_renumber(struct datadir *d, unsigned partitions, const struct journal_boundary *since,
                     struct error *err) ITD_MUST_USE;
void datadir_close(struct datadir *d);
// Does a daemon hold it, and which process? Without taking the lock, which could make one that starts just now fail.
bool datadir_is_held(const char *path, long *pid);
// What a file `format` says, without holding the directory: partitions, since, secret. ITD_ENOTFOUND, ITD_EVERSION,
// ITD_ECORRUPT, ITD_EIO.
int datadir_read_file(const char *file, struct datadir *out, struct error *err) ITD_MUST_USE;
// The same of the directory at `path`. ITD_ENOTFOUND: it is no data directory.
int datadir_read(const char *path, struct datadir *out, struct error *err) ITD_MUST_USE;
