// Reading single frames by place, for explanations and for repeats of a message. Keeps a few segments open.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "store/disk.h"
#include "store/journal_format.h"

#define OPEN_MAX   16   // segments kept open
#define FIRST_READ 4096 // most frames are whole in it

struct open_segment {
  uint64_t place; // of offset 0; 0: free
  int fd;
  uint64_t used; // when it was used last
};

struct journal_reader {
  char *dir;
  struct open_segment segment[OPEN_MAX];
  uint64_t clock;
};

struct journal_reader *journal_reader_new(const char *dir) {
  struct journal_reader *r = xcalloc(1, sizeof *r);
  r->dir = xstrdup(dir);
  return r;
}

void journal_reader_free(struct journal_reader *r) {
  if (!r) return;
  for (int i = 0; i < OPEN_MAX; i++)
    if (r->segment[i].place) close(r->segment[i].fd);
  free(r->dir);
  free(r);
}

static int segment_fd(struct journal_reader *r, uint64_t place, int *fd, struct error *err) {
  uint64_t key = place & ~(uint64_t)UINT32_MAX;
  struct open_segment *oldest = &r->segment[0];
  for (int i = 0; i < OPEN_MAX; i++) {
    struct open_segment *s = &r->segment[i];
    if (s->place == key) {
      s->used = ++r->clock;
      *fd = s->fd;
      return 0;
    }
    if (!s->place || (oldest->place && s->used < oldest->used)) oldest = s;
  }
  char path[SEGMENT_PATH_MAX];
  segment_path(path, r->dir, place_log(place), place_segment(place));
  int new_fd;
  int e = disk_open(path, O_RDONLY, &new_fd);
  if (e) return error_set(err, e == ENOENT ? ITD_ENOTFOUND : disk_status(e), "%s: %s", path, strerror(e));
  if (oldest->place) close(oldest->fd);
  *oldest = (struct open_segment){.place = key, .fd = new_fd, .used = ++r->clock};
  *fd = new_fd;
  return 0;
}

static int fill(int fd, struct buf *raw, size_t n, uint32_t offset, struct error *err) {
  buf_reserve(raw, n - raw->n);
  size_t got = 0;
  int e = disk_read(fd, raw->p + raw->n, n - raw->n, (off_t)(offset + raw->n), &got);
  if (e) return error_set(err, disk_status(e), "journal: %s", strerror(e));
  raw->n += got;
  return 0;
}

int journal_read(struct journal_reader *r, uint64_t place, struct buf *raw, struct frame *frame, struct error *err) {
  if (!place_segment(place)) return error_set(err, ITD_ENOTFOUND, "%016llx is no place", (unsigned long long)place);
  int fd = -1;
  int rc = segment_fd(r, place, &fd, err);
  if (rc) return rc;
  buf_clear(raw);
  size_t need = FIRST_READ, size = 0;
  while (!size && need > raw->n) {
    size_t want = need;
    rc = fill(fd, raw, want, place_offset(place), err);
    if (rc) return rc;
    size = record_check(buf_bytes(raw), place, &need);
    if (raw->n < want) break; // the file ends
  }
  if (!size || record_kind(raw->p) == FRAME_COMMIT)
    return error_set(err, ITD_ECORRUPT, "journal/%02x-%08x.log, offset %u: no frame, or its checksum does not hold",
                     place_log(place), place_segment(place), place_offset(place));
  frame_get(raw->p, frame);
  return 0;
}
