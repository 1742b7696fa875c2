#include "store/disk.h"
#include "store/disk_faults.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

#define COPY_CHUNK (1u << 20)
#define LOAD_CHUNK (64u << 10)

int disk_status(int number) {
  switch (number) {
  case ENOSPC:
  case EDQUOT:
  case EROFS:
  case EMFILE:
  case ENFILE:
  case EFBIG: // RLIMIT_FSIZE
  case ENOMEM: return ITD_EFULL;
  default: return ITD_EIO;
  }
}

// The system's call, or the one that fails as planned.
#define CALL(name, ...) (disk_faults_on() ? faulty_##name(__VA_ARGS__) : name(__VA_ARGS__))

int disk_open(const char *path, int flags, int *out) {
  int fd = CALL(open, path, flags | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  *out = fd;
  return 0;
}

int disk_write(int fd, const void *from, size_t n, off_t at) {
  const uint8_t *p = from;
  while (n) {
    ssize_t k = CALL(pwrite, fd, p, n, at);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) return k < 0 ? errno : EIO;
    p += k, n -= (size_t)k, at += k;
  }
  return 0;
}

int disk_read(int fd, void *to, size_t n, off_t at, size_t *got) {
  uint8_t *p = to;
  size_t have = 0;
  while (have < n) {
    ssize_t k = CALL(pread, fd, p + have, n - have, at + (off_t)have);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) return errno;
    if (k == 0) break;
    have += (size_t)k;
  }
  *got = have;
  return 0;
}

// A sync that a signal interrupts has failed like any other: what it left undone is not known.
static int sync_by(int fd, int (*call)(int)) { return (disk_faults_on() ? faulty_sync(fd, call) : call(fd)) ? EIO : 0; }
int disk_sync(int fd) { return sync_by(fd, fdatasync); }
int disk_sync_whole(int fd) { return sync_by(fd, fsync); }

int disk_truncate(int fd, off_t size) {
  return (disk_faults_on() ? faulty_truncate(fd, size) : ftruncate(fd, size)) ? errno : 0;
}
int disk_reserve(int fd, off_t size) {
  return disk_faults_on() ? faulty_reserve(fd, size) : posix_fallocate(fd, 0, size);
}
int disk_rename(const char *from, const char *to) { return CALL(rename, from, to) ? errno : 0; }
int disk_unlink(const char *path) { return CALL(unlink, path) ? errno : 0; }

int disk_sync_folder(const char *dir, const char *name) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  int e = (disk_faults_on() ? faulty_sync_folder(path, fd) : fsync(fd)) ? EIO : 0;
  close(fd);
  return e;
}

int disk_settle(int fd, off_t at, off_t end) {
  uint8_t *b = xmalloc(COPY_CHUNK);
  int e = 0;
  while (e == 0 && at < end) {
    size_t n = end - at < (off_t)COPY_CHUNK ? (size_t)(end - at) : COPY_CHUNK, got = 0;
    e = disk_read(fd, b, n, at, &got);
    if (e == 0 && got < n) e = EIO; // it was longer when it was read before
    if (e == 0) e = disk_write(fd, b, n, at);
    at += (off_t)n;
  }
  free(b);
  return e ? e : disk_sync_whole(fd);
}

// ---- whole files ----
static int fail(struct error *err, int number, const char *doing, const char *path) {
  return error_set(err, number == ENOENT || number == ENOTDIR ? ITD_ENOTFOUND : disk_status(number), "cannot %s %s: %s",
                   doing, path, strerror(number));
}

int disk_load(const char *path, size_t limit, struct buf *out, struct error *err) {
  int fd;
  int e = disk_open(path, O_RDONLY, &fd);
  if (e) return fail(err, e, "open", path);
  size_t before = out->n, got = LOAD_CHUNK;
  int rc = 0;
  while (rc == 0 && got == LOAD_CHUNK) {
    e = disk_read(fd, buf_reserve(out, LOAD_CHUNK), LOAD_CHUNK, (off_t)(out->n - before), &got);
    if (e)
      rc = fail(err, e, "read", path);
    else if ((out->n += got) - before > limit)
      rc = error_set(err, ITD_ETOOBIG, "%s is larger than %zu bytes", path, limit);
  }
  close(fd);
  if (rc) out->n = before;
  return rc;
}

// The name beside it is hidden: what a crash leaves there is never taken for content.
int disk_replace(const char *path, struct bytes content, struct error *err) {
  const char *slash = strrchr(path, '/');
  CHECK(slash);
  char beside[PATH_MAX], folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
  int n = snprintf(beside, sizeof beside, "%s/.%s.new", folder, slash + 1);
  CHECK(n > 0 && n < PATH_MAX);
  int fd;
  int e = disk_open(beside, O_RDWR | O_CREAT | O_TRUNC, &fd);
  if (e) return fail(err, e, "write beside", path);
  e = disk_write(fd, content.p, content.n, 0);
  if (e == 0) e = disk_sync_whole(fd);
  close(fd);
  if (e == 0) e = disk_rename(beside, path);
  if (e) {
    (void)disk_unlink(beside);
    return fail(err, e, "write", path);
  }
  e = disk_sync_folder(folder, ".");
  return e ? fail(err, e, "sync", folder) : 0;
}
