#include "cli/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *path, struct error *err) {
  int number = errno;
  if (number == EEXIST)
    return error_set(err, ITD_EINVAL, "%.300s is there already, and nothing is written over: give another name", path);
  int code = number == ENOENT || number == ENOTDIR                     ? ITD_ENOTFOUND
             : number == ENOSPC || number == EDQUOT || number == EROFS ? ITD_EFULL
                                                                       : ITD_EIO;
  return error_set(err, code, "%.300s can't be written: %s", path, strerror(number));
}

// Of `path` the folder with its last "/", or nothing.
static int folder_bytes(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? (int)(slash - path) + 1 : 0;
}

static int is_free(const char *path, struct error *err) {
  struct stat st;
  if (!path[folder_bytes(path)]) return error_set(err, ITD_EINVAL, "\"%.300s\" names no file", path);
  if (lstat(path, &st) == 0) {
    errno = EEXIST;
    return fail(path, err);
  }
  return errno == ENOENT ? 0 : fail(path, err);
}

int outfile_check(const char *path, struct error *err) {
  int rc = is_free(path, err), n = folder_bytes(path);
  if (rc) return rc;
  char *folder = n ? xstrndup(path, (size_t)n) : xstrdup(".");
  rc = access(folder, W_OK | X_OK) == 0 ? 0 : fail(path, err);
  free(folder);
  return rc;
}

int outfile_open(struct outfile *out, const char *path, struct error *err) {
  *out = (struct outfile){.to = stdout, .path = path};
  if (!path) return 0;
  int rc = is_free(path, err), n = folder_bytes(path);
  if (rc) return rc;
  struct buf name = {0};
  buf_printf(&name, "%.*s.%.200s.XXXXXX", n, path, path + n);
  buf_append_u8(&name, 0);
  out->hidden = (char *)name.p;
  int fd = mkostemp(out->hidden, O_CLOEXEC);
  mode_t mask = umask(0); // mkostemp makes it private; a file that was asked for is like any other
  umask(mask);
  out->to = fd >= 0 && fchmod(fd, 0666 & ~mask) == 0 ? fdopen(fd, "wb") : NULL;
  if (out->to) return 0;
  rc = fail(path, err);
  if (fd >= 0) close(fd), unlink(out->hidden);
  free(out->hidden);
  return rc;
}

static int name_it(const struct outfile *out) {
  if (renameat2(AT_FDCWD, out->hidden, AT_FDCWD, out->path, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL) return -1; // a file system that can't: then by a second name
  return link(out->hidden, out->path) || unlink(out->hidden);
}

static void sync_folder(const char *path) { // the file is whole by now, whatever becomes of its name
  int n = folder_bytes(path);
  char *folder = n ? xstrndup(path, (size_t)n) : xstrdup(".");
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) (void)fsync(fd), close(fd);
  free(folder);
}

int outfile_end(struct outfile *out, int status, struct error *err) {
  bool is_written = fflush(out->to) == 0 && !ferror(out->to);
  if (!out->path)
    return status == 0 && !is_written ? error_set(err, ITD_EIO, "standard output: %s", strerror(errno)) : status;
  is_written = is_written && fsync(fileno(out->to)) == 0;
  int number = errno;
  is_written = fclose(out->to) == 0 && is_written;
  errno = number;
  if (status == 0 && (!is_written || name_it(out))) status = fail(out->path, err);
  if (status)
    (void)unlink(out->hidden);
  else
    sync_folder(out->path);
  free(out->hidden);
  return status;
}
