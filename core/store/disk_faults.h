// A disk that fails as told: for tests only. Without a plan it is one predictable branch in each call of disk.c.
//
// A plan is a list of rules, with ";" between them; the daemon takes one from the environment variable
// INTENTD_DISK_FAULTS, and says so in its log.
//
//   seed=N                    what chance decides, it decides the same way again
//   OPERATION:FILES:WHEN:WHAT
//
// OPERATION  open read write sync truncate reserve rename unlink folder (the sync of a folder), or any
// FILES      a shell pattern for "FOLDER/NAME", such as journal/*.log or */format; * stands for anything
// WHEN       N: the N-th such operation; N+M: M of them from the N-th on; N+: all from the N-th on; 1/N: each with that
//            chance; @PATH: as long as there is a file PATH
// WHAT       an errno (ENOSPC, EIO, EROFS, EMFILE, …); short: only a part of a write is done; part+ERRNO: a part, and then
//            the errno; power: the power goes before it
//
// A sync that fails loses what was written since the last one, as on Linux: either at once (some sectors are as they were
// before), or the kernel goes on showing what the disk will never have, and only writing it again and syncing that helps.
// When the power goes, some sectors of what was not synced are as they were, names that were made, changed and taken away
// since their folder's sync are as before, and the process is killed. Only what goes through disk.h is known here.
#pragma once
#include "base/status.h"

#include <stdatomic.h>
#include <sys/types.h>

enum disk_operation {
  DISK_OPEN,
  DISK_READ,
  DISK_WRITE,
  DISK_SYNC,
  DISK_TRUNCATE,
  DISK_RESERVE,
  DISK_RENAME,
  DISK_UNLINK,
  DISK_FOLDER,
  DISK_ANY
};

// Begins to fail by a plan, in place of the one before. ITD_EINVAL: what does not read, in words.
int disk_faults_start(const char *plan, struct error *err) ITD_MUST_USE;
void disk_faults_stop(void); // all is well from now on; what could have been lost is kept
// Called instead of killing the process when the power goes, with the disk held still; what it does not lose stays.
void disk_faults_on_power(void (*goes)(void));
// The power goes now: calls what disk_faults_on_power was given, with the disk held still.
void disk_faults_power(void);
// Takes from the folder `copy`, a copy of `dir`, what a power cut now could take from `dir` (which may be `copy` itself).
void disk_faults_lose(const char *dir, const char *copy);

extern _Atomic bool disk_faults_are_on;
static inline bool disk_faults_on(void) {
  return __builtin_expect(atomic_load_explicit(&disk_faults_are_on, memory_order_relaxed), 0);
}

// The system's calls with faults, for disk.c: the same results and errno.
int faulty_open(const char *path, int flags, mode_t mode);
ssize_t faulty_pread(int fd, void *p, size_t n, off_t at);
ssize_t faulty_pwrite(int fd, const void *p, size_t n, off_t at);
int faulty_sync(int fd, int (*call)(int fd)); // fsync or fdatasync
int faulty_truncate(int fd, off_t size);
int faulty_reserve(int fd, off_t size); // returns the errno, as posix_fallocate
int faulty_rename(const char *from, const char *to);
int faulty_unlink(const char *path);
int faulty_sync_folder(const char *path, int fd);
