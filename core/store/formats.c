#include "store/formats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/le.h"
#include "store/base.h"
#include "store/disk.h"
#include "store/sealed_private.h"
#include "store/store.h"
#include "store/vault.h"

#define HEAD 32u // bytes of a file that are looked at

int format_refuse(struct error *err, const char *what, unsigned found, unsigned own) {
  const char *advice = found > own ? "a newer intentd wrote it: upgrade this one"
                                   : "an older intentd wrote it: use that one, or send its events again into a new "
                                     "directory";
  return error_set(err, ITD_EVERSION,
                   "%s is of version %u; this program (intentd " INTENTD_VERSION ") reads version %u. %s. Nothing was "
                   "changed",
                   what, found, own, advice);
}

// Every kind of file begins with eight bytes that name it and the u32 number of its format; a sealed segment, which is a
// zstd stream, ends so.
struct kind {
  const char *folder, *suffix, *magic;
  unsigned own;
  long at;      // of the eight bytes; negative: from the end
  bool has_sum; // the number counts only under the sum of bytes 0 to 27
};
static const struct kind kinds[] = {
    {"journal", ".log", "ITDJRNL\n", JOURNAL_FORMAT, 0, false},
    {"journal", ".seg", SEALED_NAME, SEALED_FORMAT, 8 - (long)SEALED_FOOTER_SIZE, false},
    {"bases", ".base", "ITDBASE\n", BASE_FORMAT, 0, false},
    {"vault", ".vault", "ITDVAULT", VAULT_FORMAT, 0, true},
};

static int check_file(const char *path, const struct kind *kind, struct error *err) {
  uint8_t b[HEAD];
  struct stat st;
  size_t got = 0;
  int fd, e = disk_open(path, O_RDONLY, &fd);
  if (e == ENOENT) return 0; // it was let go, or sealed
  if (e == 0) {
    off_t at = kind->at;
    if (at < 0) at = fstat(fd, &st) == 0 ? st.st_size + at : 0;
    if (at >= 0) e = disk_read(fd, b, sizeof b, at, &got);
    close(fd);
  }
  if (e) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  if (got < sizeof b || memcmp(b, kind->magic, 8) != 0 || get32(b + 8) == kind->own) return 0;
  if (kind->has_sum && get32(b + 28) != crc32c(0, bytes_of(b, 28))) return 0;
  return format_refuse(err, path, get32(b + 8), kind->own);
}

static bool ends_with(const char *name, const char *suffix) {
  size_t n = strlen(name), k = strlen(suffix);
  return n > k && strcmp(name + n - k, suffix) == 0;
}

static int check_folder(const char *dir, const struct kind *kind, struct error *err) {
  char path[PATH_MAX];
  int n = snprintf(path, sizeof path, "%s/%s", dir, kind->folder), rc = 0;
  if (n < 0 || (size_t)n + NAME_MAX + 2 > sizeof path) return 0; // too long to be one of ours
  DIR *d = opendir(path);
  if (!d) return errno == ENOENT ? 0 : error_set(err, disk_status(errno), "%s: %s", path, strerror(errno));
  for (struct dirent *e; rc == 0 && (e = readdir(d));) {
    if (!ends_with(e->d_name, kind->suffix)) continue;
    snprintf(path + n, sizeof path - (size_t)n, "/%s", e->d_name);
    rc = check_file(path, kind, err);
  }
  closedir(d);
  return rc;
}

static int check_directory(const char *dir, struct error *err) {
  char path[PATH_MAX], text[HEAD + 1] = {0};
  unsigned version;
  size_t got = 0;
  int fd;
  snprintf(path, sizeof path, "%s/format", dir);
  if (disk_open(path, O_RDONLY, &fd)) return 0;
  int e = disk_read(fd, text, HEAD, 0, &got);
  close(fd);
  if (e || sscanf(text, "intentd %u\n", &version) != 1 || version == STORE_FORMAT) return 0;
  return format_refuse(err, path, version, STORE_FORMAT);
}

int formats_check(const char *dir, struct error *err) {
  int rc = check_directory(dir, err);
  for (size_t i = 0; rc == 0 && i < sizeof kinds / sizeof *kinds; i++) rc = check_folder(dir, &kinds[i], err);
  return rc;
}
