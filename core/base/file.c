// Small files and folders. errno is translated here and nowhere above.
#include "base/file.h"

#include "base/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_CHUNK = 64 * 1024, DEPTH_MAX = 32 };

static int fail(struct error *err, const char *doing, const char *path) {
  int number = errno;
  int code = number == ENOENT || number == ENOTDIR ? ITD_ENOTFOUND
             : number == ENOSPC || number == EDQUOT || number == EROFS || number == EMFILE || number == ENFILE
                 ? ITD_EFULL
                 : ITD_EIO;
  char text[128];
  return error_set(err, code, "cannot %s %s: %s", doing, path, strerror_r(number, text, sizeof text));
}

int file_read(const char *path, size_t limit, struct buf *out, struct error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC), status = 0;
  if (fd < 0) return fail(err, "open", path);
  size_t before = out->n;
  for (;;) {
    ssize_t n = read(fd, buf_reserve(out, READ_CHUNK), READ_CHUNK);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) status = fail(err, "read", path);
    if (n <= 0) break;
    out->n += (size_t)n;
    if (out->n - before > limit) {
      status = error_set(err, ITD_ETOOBIG, "%s is larger than %zu bytes", path, limit);
      break;
    }
  }
  close(fd);
  if (status != 0) out->n = before;
  return status;
}

static int write_all(int fd, struct bytes b) {
  while (b.n > 0) {
    ssize_t n = write(fd, b.p, b.n);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    b.p += n, b.n -= (size_t)n;
  }
  return 0;
}

// The folder that `path` stands in, as a malloc'd string that ends in "/" (or is ".").
static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
}

static int sync_folder_of(const char *path, struct error *err) {
  char *folder = folder_of(path);
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int status = fd < 0 || fsync(fd) != 0 ? fail(err, "sync", folder) : 0;
  if (fd >= 0) close(fd);
  free(folder);
  return status;
}

// A hidden name in the same folder: what a crash leaves behind is then never listed as content.
static char *temporary_beside(const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  struct buf b;
  buf_init(&b);
  buf_append(&b, path, (size_t)(name - path));
  buf_printf(&b, ".%.200s.XXXXXX", name);
  buf_append_u8(&b, 0);
  return (char *)b.p;
}

// The new file has the permissions of the one that it replaces.
static int fill(int fd, const char *path, struct bytes content) {
  struct stat old;
  if (stat(path, &old) == 0 && S_ISREG(old.st_mode) && fchmod(fd, old.st_mode & 0777) != 0) return -1;
  if (write_all(fd, content) != 0) return -1;
  return fsync(fd);
}

int file_replace(const char *path, struct bytes content, struct error *err) {
  char *temporary = temporary_beside(path);
  int status = 0, fd = mkostemp(temporary, O_CLOEXEC);
  if (fd < 0) {
    status = fail(err, "write beside", path);
    goto done;
  }
  if (fill(fd, path, content) != 0) status = fail(err, "write", path);
  if (close(fd) != 0 && status == 0) status = fail(err, "write", path);
  if (status == 0 && rename(temporary, path) != 0) status = fail(err, "replace", path);
  if (status != 0) {
    unlink(temporary);
    goto done;
  }
  status = sync_folder_of(path, err);
done:
  free(temporary);
  return status;
}

struct listing {
  char **names;
  size_t count, cap, limit;
  char root[PATH_MAX]; // resolved, for telling whether a link leads out
  struct error *err;
};

static int list_add(struct listing *l, const char *name) {
  if (l->count == l->limit) return error_set(l->err, ITD_ETOOBIG, "%s holds more than %zu files", l->root, l->limit);
  if (l->count == l->cap) {
    l->cap = l->cap ? 2 * l->cap : 16;
    l->names = xrealloc(l->names, l->cap * sizeof *l->names);
  }
  l->names[l->count++] = xstrdup(name);
  return 0;
}

static bool leads_out(const struct listing *l, const char *path) {
  char real[PATH_MAX];
  if (!realpath(path, real)) return true; // dangling
  size_t n = strlen(l->root);
  return strncmp(real, l->root, n) != 0 || (real[n] != '/' && n > 1);
}

static int list_folder(struct listing *l, const char *relative, int depth);

static int list_entry(struct listing *l, const char *relative, int depth) {
  struct buf path;
  buf_init(&path);
  buf_printf(&path, "%s/%s", l->root, relative);
  buf_append_u8(&path, 0);
  struct stat st;
  int status = 0;
  if (lstat((char *)path.p, &st) != 0) {
    if (errno != ENOENT) status = fail(l->err, "look at", (char *)path.p);
  } else if (S_ISDIR(st.st_mode)) {
    status = list_folder(l, relative, depth + 1);
  } else if (S_ISREG(st.st_mode)) {
    status = list_add(l, relative);
  } else if (S_ISLNK(st.st_mode) && !leads_out(l, (char *)path.p)) {
    // A link to a folder is left out too: its files have a name already, and it might lead to a folder around it.
    if (stat((char *)path.p, &st) == 0 && S_ISREG(st.st_mode)) status = list_add(l, relative);
  }
  buf_deinit(&path);
  return status;
}

static int list_folder(struct listing *l, const char *relative, int depth) {
  struct buf path;
  buf_init(&path);
  buf_printf(&path, "%s/%s", l->root, relative);
  buf_append_u8(&path, 0);
  int status = 0;
  DIR *dir = NULL;
  if (depth > DEPTH_MAX) {
    status = error_set(l->err, ITD_ETOOBIG, "%s is more than %d folders deep", (char *)path.p, (int)DEPTH_MAX);
    goto done;
  }
  dir = opendir((char *)path.p);
  if (!dir) {
    status = fail(l->err, "open", (char *)path.p);
    goto done;
  }
  while (status == 0) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (!entry) {
      if (errno != 0) status = fail(l->err, "list", *relative ? relative : l->root);
      break;
    }
    if (entry->d_name[0] == '.') continue;
    buf_clear(&path);
    buf_printf(&path, "%s%s%s", relative, *relative ? "/" : "", entry->d_name);
    buf_append_u8(&path, 0);
    status = list_entry(l, (char *)path.p, depth);
  }
done:
  if (dir) closedir(dir);
  buf_deinit(&path);
  return status;
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int dir_list(const char *dir, size_t limit, char ***names, size_t *count, struct error *err) {
  struct listing l = {.limit = limit, .err = err};
  if (!realpath(dir, l.root)) return fail(err, "open", dir);
  int status = list_folder(&l, "", 0);
  if (status != 0) {
    dir_list_free(l.names, l.count);
    return status;
  }
  if (l.count) qsort(l.names, l.count, sizeof *l.names, by_bytes);
  *names = l.names ? l.names : xcalloc(1, sizeof *l.names);
  *count = l.count;
  return 0;
}

void dir_list_free(char **names, size_t count) {
  for (size_t i = 0; i < count; i++) free(names[i]);
  free(names);
}

static int make_one(const char *path, struct error *err) {
  if (mkdir(path, 0700) == 0) return sync_folder_of(path, err);
  if (errno != EEXIST) return fail(err, "make the folder", path);
  struct stat st;
  if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return 0;
  return error_set(err, ITD_EIO, "%s is not a folder", path);
}

int dir_make(const char *path, struct error *err) {
  char *part = xstrdup(path);
  int status = 0;
  size_t n = strlen(part);
  while (n > 1 && part[n - 1] == '/') part[--n] = '\0';
  for (char *slash = strchr(part + (*part == '/'), '/'); slash && status == 0; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    status = make_one(part, err);
    *slash = '/';
  }
  if (status == 0) status = make_one(part, err);
  free(part);
  return status;
}
