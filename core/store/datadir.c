// Lock, format file, secret.
#include "store/datadir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/disk.h"
#include "store/formats.h"
#include "store/store.h"

static int take_lock(struct datadir *d, struct error *err) {
  char path[PATH_MAX], pid[32] = "";
  snprintf(path, sizeof path, "%s/intentd.lock", d->path);
  int e = disk_open(path, O_RDWR | O_CREAT, &d->lock_fd);
  if (e) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  if (flock(d->lock_fd, LOCK_EX | LOCK_NB)) {
    if (errno != EWOULDBLOCK) return error_set(err, ITD_EIO, "%s: %s", path, strerror(errno));
    ssize_t n = pread(d->lock_fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? strcspn(pid, "\n") : 0] = 0;
    return error_set(err, ITD_EBUSY, "%s is in use by another daemon (pid %s)", d->path, pid[0] ? pid : "unknown");
  }
  int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
  e = disk_truncate(d->lock_fd, 0);
  if (e == 0) e = disk_write(d->lock_fd, pid, (size_t)n, 0);
  if (e) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  return 0;
}

// "intentd 5\npartitions 16\nsecret HEX\ncrc32c HEX\n": text, so that a person can see what it is; the sum is over the
// lines before it. After a reshard there is a line "since BEFORE SEQ CHAIN\n" before the sum.
static void put_format(const struct datadir *d, struct buf *b) {
  char hex[2 * STORE_SECRET_SIZE + 1];
  hex_encode(bytes_of(d->secret, sizeof d->secret), hex);
  buf_printf(b, "intentd %d\npartitions %u\nsecret %s\n", STORE_FORMAT, d->partitions, hex);
  if (d->since.seq) {
    char chain[2 * SHA256_SIZE + 1];
    hex_encode(bytes_of(d->since.chain, sizeof d->since.chain), chain);
    buf_printf(b, "since %u %llu %s\n", d->since.before, (unsigned long long)d->since.seq, chain);
  }
  buf_printf(b, "crc32c %08x\n", crc32c(0, buf_bytes(b)));
}

static int write_format(struct datadir *d, const char *path, struct error *err) {
  struct buf b;
  buf_init(&b);
  put_format(d, &b);
  int rc = disk_replace(path, buf_bytes(&b), err);
  buf_deinit(&b);
  return rc;
}

static bool parse_since(struct datadir *d, const char *text) {
  const char *line = strstr(text, "\nsince ");
  char chain[2 * SHA256_SIZE + 1];
  unsigned long long seq;
  if (!line) return true;
  if (sscanf(line + 1, "since %u %llu %64[0-9a-f]\n", &d->since.before, &seq, chain) != 3 || !seq) return false;
  d->since.seq = seq;
  return d->since.before >= 1 && d->since.before <= 256 &&
         hex_decode(bytes_str(chain), d->since.chain, sizeof d->since.chain) == 0;
}

static int parse_format(struct datadir *d, const char *path, struct bytes text, struct error *err) {
  char secret[2 * STORE_SECRET_SIZE + 1];
  unsigned version = 0;
  if (sscanf((const char *)text.p, "intentd %u\n", &version) != 1)
    return error_set(err, ITD_ECORRUPT, "%s: not a data directory of intentd", path);
  if (version != STORE_FORMAT) return format_refuse(err, path, version, STORE_FORMAT);
  bool reads =
      sscanf((const char *)text.p, "intentd %*u\npartitions %u\nsecret %64[0-9a-f]\n", &d->partitions, secret) == 2 &&
      d->partitions >= 1 && d->partitions <= 256 && hex_decode(bytes_str(secret), d->secret, sizeof d->secret) == 0 &&
      parse_since(d, (const char *)text.p);
  struct buf again; // what was read must give the very bytes, sum and all
  buf_init(&again);
  if (reads) put_format(d, &again);
  reads = reads && bytes_eq(buf_bytes(&again), text);
  buf_deinit(&again);
  return reads ? 0 : error_set(err, ITD_ECORRUPT, "%s: damaged", path);
}

static int read_format(struct datadir *d, const char *path, struct error *err) {
  struct buf b;
  buf_init(&b);
  int rc = disk_load(path, 4096, &b, err);
  buf_append_u8(&b, 0); // for sscanf
  if (rc == 0) rc = parse_format(d, path, bytes_of(b.p, b.n - 1), err);
  buf_deinit(&b);
  return rc;
}

bool datadir_is_held(const char *path, long *pid) {
  char lock[PATH_MAX], line[256];
  struct stat st;
  bool is_held = false;
  snprintf(lock, sizeof lock, "%s/intentd.lock", path);
  FILE *locks = stat(lock, &st) == 0 ? fopen("/proc/locks", "re") : NULL;
  while (locks && fgets(line, sizeof line, locks)) {
    long holder;
    unsigned long inode;
    if (sscanf(line, "%*d: FLOCK %*s WRITE %ld %*x:%*x:%lu", &holder, &inode) != 2 || inode != st.st_ino) continue;
    is_held = true;
    *pid = holder;
  }
  if (locks) fclose(locks);
  return is_held;
}

int datadir_read_file(const char *file, struct datadir *out, struct error *err) {
  struct datadir d = {.lock_fd = -1};
  int rc = read_format(&d, file, err);
  if (rc == 0) *out = d;
  return rc;
}

int datadir_read(const char *path, struct datadir *out, struct error *err) {
  char format[PATH_MAX];
  snprintf(format, sizeof format, "%s/format", path);
  int rc = datadir_read_file(format, out, err);
  return rc == ITD_ENOTFOUND ? error_set(err, rc, "%s is no data directory: it has no file \"format\"", path) : rc;
}

unsigned store_partitions_in(const char *dir) {
  struct datadir d;
  return datadir_read(dir, &d, NULL) == 0 ? d.partitions : 0;
}

static bool has_content(const char *path, const char *name) {
  char full[PATH_MAX];
  snprintf(full, sizeof full, "%s/%s", path, name);
  return access(full, F_OK) == 0;
}

// A folder with other people's files in it is most likely a slip of the pen. What may lie in one that becomes a data
// directory: what a first start that was cut off left, and what file systems put into a new one.
static int check_empty(const char *path, struct error *err) {
  static const char *const ours[] = {".",         "..",          "lost+found", "intentd.lock", "intentd.sock",
                                     "forgotten", "forget-first"};
  DIR *dir = opendir(path);
  if (!dir) return error_set(err, ITD_EIO, "%s: %s", path, strerror(errno));
  int rc = 0;
  for (const struct dirent *e; rc == 0 && (e = readdir(dir));) {
    size_t n = strlen(e->d_name);
    bool is_ours = strncmp(e->d_name, "format", 6) == 0 ||
                   (e->d_name[0] == '.' && n > 4 && strcmp(e->d_name + n - 4, ".new") == 0); // of disk_replace
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) is_ours |= strcmp(e->d_name, ours[i]) == 0;
    if (!is_ours)
      rc = error_set(err, ITD_EINVAL,
                     "%s is no data directory, and not empty either (\"%.60s\" lies in it): name an empty or a new one",
                     path, e->d_name);
  }
  closedir(dir);
  return rc;
}

int datadir_open(const char *path, unsigned partitions, const uint8_t *seed, struct datadir *out, struct error *err) {
  char format[PATH_MAX];
  struct datadir d = {.lock_fd = -1};
  int rc = formats_check(path, err);
  if (rc == 0) rc = dir_make(path, err);
  if (rc) return rc;
  d.path = xstrdup(path);
  snprintf(format, sizeof format, "%s/format", path);
  bool is_new = access(format, F_OK) != 0 && !has_content(path, "journal") && !has_content(path, "state");
  if (is_new) rc = check_empty(path, err);
  if (rc == 0) rc = take_lock(&d, err);
  if (rc == 0 && access(format, F_OK) == 0) {
    rc = read_format(&d, format, err);
  } else if (rc == 0 && (has_content(path, "journal") || has_content(path, "state"))) {
    rc = error_set(err, ITD_ECORRUPT,
                   "%s: the file is missing, but there is a journal: without its secret nobody is known", format);
  } else if (rc == 0) {
    d.partitions = partitions;
    if (seed)
      memcpy(d.secret, seed, sizeof d.secret);
    else
      random_bytes(d.secret, sizeof d.secret);
    rc = write_format(&d, format, err);
  }
  if (rc) {
    datadir_close(&d);
    return rc;
  }
  *out = d;
  return 0;
}

int datadir_renumber(struct datadir *d, unsigned partitions, const struct journal_boundary *since, struct error *err) {
  char format[PATH_MAX];
  struct datadir other = *d;
  snprintf(format, sizeof format, "%s/format", d->path);
  other.partitions = partitions;
  other.since = *since;
  int rc = write_format(&other, format, err);
  if (rc == 0) *d = other;
  return rc;
}

void datadir_close(struct datadir *d) {
  if (d->lock_fd >= 0) close(d->lock_fd);
  free(d->path);
  *d = (struct datadir){.lock_fd = -1};
}
