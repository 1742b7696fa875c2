// The one door from the store to the file system (LMDB keeps its own: state.h). Every call returns 0 or an errno, which
// disk_status turns into one of two classes that the whole daemon goes by:
//
// - room (ITD_EFULL): ENOSPC, EDQUOT, EROFS, EMFILE, ENFILE, ENOMEM, EFBIG. Nothing that counts was written; the same call with
//   the same bytes may succeed later.
// - broken (ITD_EIO): everything else, and every sync that failed, whatever its errno. It is never tried again: what the
//   disk holds is unknown until it is read again, so the owner drops what it has in memory and recovers from its files.
//
// Behind the door stands a fault layer for tests (disk_faults.h), inert without a plan. Any thread.
#pragma once
#include "base/buf.h"
#include "base/status.h"

#include <sys/types.h>

int disk_status(int number);

// O_CLOEXEC and mode 0600 are added. The caller closes *fd with close().
int disk_open(const char *path, int flags, int *fd);
int disk_write(int fd, const void *p, size_t n, off_t at);       // all of it
int disk_read(int fd, void *p, size_t n, off_t at, size_t *got); // all of it, less at the end of the file
int disk_sync(int fd);                                           // fdatasync; EIO for any failure
int disk_sync_whole(int fd);                                     // fsync, likewise: what is new has its length too
int disk_truncate(int fd, off_t size);
int disk_reserve(int fd, off_t size); // posix_fallocate: all or nothing
int disk_rename(const char *from, const char *to);
int disk_unlink(const char *path);
int disk_sync_folder(const char *dir,
                     const char *name); // dir/name, so that files made in it stay; EIO for any failure of the sync

// What was read from `at` to `end` may never have reached the disk: a process that was killed before its sync, or a sync
// that failed, leaves bytes that the kernel shows and the disk has not. Writes them again and syncs, so that they count; so
// does then where the file ends.
int disk_settle(int fd, off_t at, off_t end);

// As file_read and file_replace (base/file.h), through this door. The errors' texts name the path.
int disk_load(const char *path, size_t limit, struct buf *out, struct error *err) ITD_MUST_USE;
int disk_replace(const char *path, struct bytes content, struct error *err) ITD_MUST_USE;
