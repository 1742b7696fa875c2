// Two files that take turns.
#include "store/quarantine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/disk.h"
#include "wire/mp.h"

struct quarantine {
  pthread_mutex_t lock;
  int fd;
  size_t bytes, max;
  char path[PATH_MAX], older[PATH_MAX];
  struct buf out;
};

static int reopen(struct quarantine *q) {
  struct stat st;
  q->fd = -1;
  int e = disk_open(q->path, O_RDWR | O_CREAT, &q->fd);
  q->bytes = e == 0 && fstat(q->fd, &st) == 0 ? (size_t)st.st_size : 0;
  return e;
}

int quarantine_open(const char *dir, size_t bytes_max, struct quarantine **out, struct error *err) {
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s/quarantine", dir);
  int rc = dir_make(folder, err);
  if (rc) return rc;
  struct quarantine *q = xcalloc(1, sizeof *q);
  q->max = bytes_max;
  snprintf(q->path, sizeof q->path, "%s/quarantine/events.mp", dir);
  snprintf(q->older, sizeof q->older, "%s/quarantine/events.1.mp", dir);
  buf_init(&q->out);
  pthread_mutex_init(&q->lock, NULL);
  int e = reopen(q);
  if (e) {
    rc = error_set(err, disk_status(e), "%s: %s", q->path, strerror(e));
    quarantine_close(q);
    return rc;
  }
  *out = q;
  return 0;
}

void quarantine_close(struct quarantine *q) {
  if (!q) return;
  if (q->fd >= 0) close(q->fd);
  pthread_mutex_destroy(&q->lock);
  buf_deinit(&q->out);
  free(q);
}

static void put(struct quarantine *q, const struct error *reason, struct bytes event, int64_t received_ms) {
  buf_clear(&q->out);
  mp_put_map(&q->out, 4);
  mp_put_cstr(&q->out, "code");
  mp_put_cstr(&q->out, status_code(reason->code));
  mp_put_cstr(&q->out, "text");
  mp_put_cstr(&q->out, reason->text);
  mp_put_cstr(&q->out, "received_ms");
  mp_put_int(&q->out, received_ms);
  mp_put_cstr(&q->out, "event");
  mp_put_bin(&q->out, event);
}

bool quarantine_add(struct quarantine *q, const struct error *reason, struct bytes event, int64_t received_ms) {
  pthread_mutex_lock(&q->lock);
  put(q, reason, event, received_ms);
  size_t half = q->max / 2;
  bool fits = q->out.n <= half;
  if (q->fd < 0) (void)reopen(q); // there were too many open files
  if (fits && q->fd >= 0 && q->bytes + q->out.n > half) {
    close(q->fd);
    (void)disk_rename(q->path, q->older);
    (void)reopen(q);
  }
  // Half a map that stays behind a failed write is written over by the next one.
  bool kept = fits && q->fd >= 0 && disk_write(q->fd, q->out.p, q->out.n, (off_t)q->bytes) == 0;
  if (kept)
    q->bytes += q->out.n;
  else if (fits && q->fd >= 0)
    (void)disk_truncate(q->fd, (off_t)q->bytes);
  pthread_mutex_unlock(&q->lock);
  return kept;
}
