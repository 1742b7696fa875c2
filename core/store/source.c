#include "store/source.h"
#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

struct source {
  int fd; // of a log
  struct sealed *sealed;
  char path[];
};

static struct source *source_new(int fd, struct sealed *sealed, const char *path) {
  struct source *s = xmalloc(sizeof *s + strlen(path) + 1);
  s->fd = fd;
  s->sealed = sealed;
  memcpy(s->path, path, strlen(path) + 1);
  return s;
}

int source_open(const char *dir, unsigned log, uint32_t segment, struct source **out, struct error *err) {
  char path[SEGMENT_PATH_MAX], sealed[SEGMENT_PATH_MAX];
  segment_path(path, dir, log, segment);
  int fd, e = disk_open(path, O_RDONLY, &fd);
  if (e == 0) {
    *out = source_new(fd, NULL, path);
    return 0;
  }
  if (e != ENOENT) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  sealed_path(sealed, dir, log, segment);
  struct sealed *s;
  int rc = sealed_open(sealed, &s, err);
  if (rc == ITD_ENOTFOUND) return error_set(err, rc, "%s: %s", path, strerror(ENOENT));
  if (rc) return rc;
  const struct sealed_info *i = sealed_info(s);
  if (i->log != log || i->segment != segment) {
    rc = error_set(err, ITD_ECORRUPT, "%s: is segment %02x-%08x by its footer", sealed, i->log, i->segment);
    sealed_close(s);
    return rc;
  }
  *out = source_new(-1, s, sealed);
  return 0;
}

void source_close(struct source *s) {
  if (!s) return;
  if (s->fd >= 0) close(s->fd);
  sealed_close(s->sealed);
  free(s);
}

const char *source_path(const struct source *s) { return s->path; }
struct sealed *source_sealed(const struct source *s) {
  return s->sealed;
}
int source_fd(const struct source *s) { return s->fd; }

int source_read(const struct source *s, struct sealed_cache *cache, uint64_t offset, void *out, size_t n, size_t *got,
                struct error *err) {
  *got = 0;
  if (!s->sealed) {
    int e = disk_read(s->fd, out, n, (off_t)offset, got);
    return e ? error_set(err, disk_status(e), "%s: %s", s->path, strerror(e)) : 0;
  }
  const uint64_t size = sealed_info(s->sealed)->raw_bytes;
  size_t had = 0;
  while (had < n && offset + had < size) {
    uint32_t block = sealed_block_at(s->sealed, (uint32_t)(offset + had));
    struct bytes raw;
    int rc = sealed_read_block(s->sealed, cache, block, &raw, err);
    if (rc) {
      error_prefix(err, "%s", s->path);
      return rc;
    }
    size_t skip = (size_t)(offset + had - sealed_block(s->sealed, block).raw);
    size_t k = raw.n - skip < n - had ? raw.n - skip : n - had;
    memcpy((uint8_t *)out + had, raw.p + skip, k);
    had += k;
  }
  *got = had;
  return 0;
}

size_t source_near(const struct source *s, uint64_t offset, size_t n) {
  if (!s->sealed || offset >= sealed_info(s->sealed)->raw_bytes) return n;
  uint32_t block = sealed_block_at(s->sealed, (uint32_t)offset);
  uint64_t end = (uint64_t)sealed_block(s->sealed, block).raw + sealed_block_size(s->sealed, block);
  return end - offset < n ? (size_t)(end - offset) : n;
}

// ---- names ----
static bool take_hex(const char *text, unsigned digits, uint32_t *out) {
  *out = 0;
  for (unsigned i = 0; i < digits; i++) {
    char c = text[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    *out = *out << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return true;
}

enum segment_file segment_file(const char *name, unsigned *log, uint32_t *segment) {
  uint32_t l, s;
  if (strlen(name) != 15 || !take_hex(name, 2, &l) || name[2] != '-' || !take_hex(name + 3, 8, &s) || !s ||
      s > SEGMENT_NUMBER_MAX)
    return SEGMENT_FILE_NONE;
  *log = l, *segment = s;
  if (strcmp(name + 11, ".log") == 0) return SEGMENT_FILE_LOG;
  return strcmp(name + 11, ".seg") == 0 ? SEGMENT_FILE_SEALED : SEGMENT_FILE_NONE;
}
