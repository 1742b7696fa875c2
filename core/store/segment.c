// Files of a log and the helper thread that prepares, syncs and retires them.
#include "store/segment.h"
#include "store/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "store/source.h"

#define FILL_CHUNK      (1u << 20)
#define FILL_SYNC_EVERY 4u // chunks: small syncs leave the disk to commits in between

struct retired {
  int fd;
  uint32_t number, end;
  struct retired *next;
};

struct segments {
  struct journal_options options;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  bool is_stopping;

  // the current segment; fd and number are changed by the owner under the lock
  int fd;
  uint32_t number, written;
  _Atomic uint32_t synced;
  uint64_t write_count, sync_count; // writes made, writes covered by a sync
  unsigned sync_waiters;
  bool sync_asked;            // by one who does not wait
  uint64_t unsynced_since_ns; // clock_mono_ns of the oldest write not synced; 0: none
  _Atomic bool is_failed;
  _Atomic uint64_t syncs;

  // the next one
  uint32_t wanted;            // number that the helper shall prepare; 0: none
  uint32_t ready;             // number that `ready_fd` is; 0: none
  int ready_fd, ready_status; // status of `wanted` when it failed
  char ready_text[200];
  struct retired *retired;
};

// ---- files ----
static int fill_with_zeros(int fd, uint64_t bytes, const uint8_t header[SEGMENT_HEADER_SIZE]) {
  uint8_t *zeros = xcalloc(1, FILL_CHUNK);
  int e = disk_reserve(fd, (off_t)bytes); // all or nothing: no half-filled segment on a full disk
  unsigned chunks = 0;
  for (uint64_t at = 0; e == 0 && at < bytes; at += FILL_CHUNK) {
    uint64_t n = bytes - at < FILL_CHUNK ? bytes - at : FILL_CHUNK;
    e = disk_write(fd, zeros, n, (off_t)at);
    if (e == 0 && ++chunks % FILL_SYNC_EVERY == 0) e = disk_sync(fd);
  }
  free(zeros);
  if (e == 0) e = disk_write(fd, header, SEGMENT_HEADER_SIZE, 0);
  if (e == 0) e = disk_sync_whole(fd);
  return e;
}

static int prepare(const struct journal_options *o, uint32_t number, int *out, char text[200]) {
  char path[SEGMENT_PATH_MAX];
  segment_path(path, o->dir, o->log, number);
  int fd = -1;
  int e = disk_open(path, O_RDWR | O_CREAT | O_TRUNC, &fd);
  if (e == 0) {
    uint8_t header[SEGMENT_HEADER_SIZE];
    segment_header_put(header, &(struct segment_header){.log = o->log,
                                                        .segment = number,
                                                        .session = o->session,
                                                        .partitions = o->partitions,
                                                        .bytes = o->segment_bytes,
                                                        .created_ms = clock_wall_ms()});
    e = fill_with_zeros(fd, o->segment_bytes, header);
  }
  if (e == 0) e = disk_sync_folder(o->dir, "journal");
  if (e == 0) {
    *out = fd;
    return 0;
  }
  if (fd >= 0) close(fd), (void)disk_unlink(path);
  snprintf(text, 200, "journal/%02x-%08x.log, %llu bytes: %s", o->log, number, (unsigned long long)o->segment_bytes,
           strerror(e));
  return disk_status(e);
}

int segments_last(const char *dir, unsigned log, uint32_t *last, struct error *err) {
  char path[SEGMENT_PATH_MAX];
  snprintf(path, sizeof path, "%s/journal", dir);
  DIR *d = opendir(path);
  if (!d) return error_set(err, disk_status(errno), "%s: %s", path, strerror(errno));
  *last = 0;
  for (struct dirent *e; (e = readdir(d));) {
    unsigned l;
    uint32_t n;
    bool is_number = segment_file(e->d_name, &l, &n) != SEGMENT_FILE_NONE || segment_gone_file(e->d_name, &l, &n);
    if (is_number && l == log && n > *last) *last = n;
  }
  closedir(d);
  return 0;
}

bool segment_gone_file(const char *name, unsigned *log, uint32_t *number) {
  int end = 0;
  return sscanf(name, "%2x-%8x.gone%n", log, number, &end) == 2 && end == 16 && !name[end];
}

int segments_note_gone(const char *dir, unsigned log, uint32_t number) {
  char path[SEGMENT_PATH_MAX];
  int n = snprintf(path, sizeof path, "%s/journal/%02x-%08x.gone", dir, log, number);
  CHECK(n > 0 && n < SEGMENT_PATH_MAX);
  int fd, e = disk_open(path, O_RDWR | O_CREAT, &fd);
  if (e) return e;
  close(fd);
  return disk_sync_folder(dir, "journal");
}

// ---- the helper ----
static void cut(int fd, uint32_t end) {
  int e = disk_truncate(fd, (off_t)end);
  if (e) log_line(LOG_WARN, "segment_cut", "error=%s", log_quote(strerror(e)));
  close(fd);
}

static void help_retire(struct segments *s) {
  struct retired *r = s->retired;
  pthread_mutex_unlock(&s->lock);
  cut(r->fd, r->end);
  pthread_mutex_lock(&s->lock);
  struct retired **at = &s->retired; // the owner may have put another one before it
  while (*at != r) at = &(*at)->next;
  *at = r->next;
  free(r);
}

static void help_prepare(struct segments *s) {
  uint32_t number = s->wanted;
  pthread_mutex_unlock(&s->lock);
  int fd = -1;
  char text[200] = "";
  int status = prepare(&s->options, number, &fd, text);
  pthread_mutex_lock(&s->lock);
  s->wanted = 0;
  s->ready_status = status;
  memcpy(s->ready_text, text, sizeof text);
  if (status == 0) s->ready = number, s->ready_fd = fd;
  pthread_cond_broadcast(&s->done);
}

static void help_sync(struct segments *s) {
  uint64_t covers = s->write_count;
  uint32_t written = s->written, number = s->number;
  int fd = s->fd;
  s->unsynced_since_ns = 0;
  s->sync_asked = false;
  pthread_mutex_unlock(&s->lock);
  int e = disk_sync(fd);
  pthread_mutex_lock(&s->lock);
  if (e) {
    atomic_store(&s->is_failed, true);
    log_line(LOG_ERROR, "journal_sync_failed", "log=%u error=%s", s->options.log, log_quote(strerror(e)));
  } else {
    s->sync_count = covers;
    if (number == s->number) atomic_store(&s->synced, written);
    atomic_fetch_add_explicit(&s->syncs, 1, memory_order_relaxed);
  }
  pthread_cond_broadcast(&s->done);
}

static bool sync_is_due(const struct segments *s) {
  if (s->sync_count == s->write_count || atomic_load(&s->is_failed)) return false;
  if (s->sync_waiters || s->sync_asked) return true;
  return s->options.sync == SYNC_INTERVAL && s->unsynced_since_ns &&
         clock_mono_ns() - s->unsynced_since_ns >= s->options.interval_ms * 1000000ull;
}

static void wait_for_work(struct segments *s) {
  if (s->options.sync != SYNC_INTERVAL || !s->unsynced_since_ns) {
    pthread_cond_wait(&s->work, &s->lock);
    return;
  }
  uint64_t until = s->unsynced_since_ns + s->options.interval_ms * 1000000ull;
  struct timespec t = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};
  pthread_cond_timedwait(&s->work, &s->lock, &t);
}

static void *helper(void *arg) {
  struct segments *s = arg;
  pthread_mutex_lock(&s->lock);
  for (;;) {
    if (sync_is_due(s))
      help_sync(s);
    else if (s->wanted && !s->is_stopping)
      help_prepare(s);
    else if (s->retired)
      help_retire(s);
    else if (s->is_stopping)
      break;
    else
      wait_for_work(s);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

// ---- the owner's side ----
struct segments *segments_start(const struct journal_options *options) {
  struct segments *s = xcalloc(1, sizeof *s);
  s->options = *options;
  s->fd = s->ready_fd = -1;
  pthread_mutex_init(&s->lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&s->work, &attr);
  pthread_cond_init(&s->done, &attr);
  pthread_condattr_destroy(&attr);
  CHECK(pthread_create(&s->thread, NULL, helper, s) == 0);
  return s;
}

void segments_stop(struct segments *s, bool in_order) {
  pthread_mutex_lock(&s->lock);
  s->is_stopping = true;
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
  pthread_join(s->thread, NULL);
  if (s->fd >= 0 && in_order)
    cut(s->fd, s->written);
  else if (s->fd >= 0)
    close(s->fd);
  if (s->ready) { // never used: the next opening makes its own
    char path[SEGMENT_PATH_MAX];
    segment_path(path, s->options.dir, s->options.log, s->ready);
    close(s->ready_fd);
    (void)disk_unlink(path);
  }
  pthread_mutex_destroy(&s->lock);
  pthread_cond_destroy(&s->work);
  pthread_cond_destroy(&s->done);
  free(s);
}

static void want(struct segments *s, uint32_t number) {
  if (s->ready == number || s->wanted == number) return;
  CHECK(!s->ready && !s->wanted);
  s->wanted = number;
  s->ready_status = 0;
  pthread_cond_signal(&s->work);
}

int segments_next(struct segments *s, uint32_t number, struct error *err) {
  pthread_mutex_lock(&s->lock);
  while (s->wanted && s->wanted != number) pthread_cond_wait(&s->done, &s->lock);
  want(s, number);
  while (s->ready != number && s->wanted) pthread_cond_wait(&s->done, &s->lock);
  if (s->ready != number) {
    int status = s->ready_status;
    error_set(err, status, "%s", s->ready_text);
    pthread_mutex_unlock(&s->lock);
    return status;
  }
  if (s->fd >= 0) {
    struct retired *r = xmalloc(sizeof *r);
    *r = (struct retired){.fd = s->fd, .number = s->number, .end = s->written, .next = s->retired};
    s->retired = r;
    pthread_cond_signal(&s->work);
  }
  s->fd = s->ready_fd;
  s->number = number;
  s->ready = 0, s->ready_fd = -1;
  s->written = SEGMENT_HEADER_SIZE;
  atomic_store(&s->synced, SEGMENT_HEADER_SIZE);
  pthread_mutex_unlock(&s->lock);
  return 0;
}

// The next segment is asked for when the current one is half full: at any speed that is long before it is needed, and a
// daemon that hardly writes keeps one segment and not two.
static void ask_ahead(struct segments *s) {
  if (s->written >= s->options.segment_bytes / 2 && !s->ready && !s->wanted && s->ready_status == 0)
    want(s, s->number + 1);
}

int segments_write(struct segments *s, uint32_t offset, struct bytes b, bool sync, struct error *err) {
  int e = disk_write(s->fd, b.p, b.n, (off_t)offset);
  if (e == 0 && sync) {
    e = disk_sync(s->fd);
    if (e == 0) atomic_fetch_add_explicit(&s->syncs, 1, memory_order_relaxed);
  }
  if (e) return error_set(err, disk_status(e), "journal/%02x-%08x.log: %s", s->options.log, s->number, strerror(e));
  pthread_mutex_lock(&s->lock);
  s->written = offset + (uint32_t)b.n;
  s->write_count++;
  if (sync) {
    s->sync_count = s->write_count;
    atomic_store(&s->synced, s->written);
  } else if (!s->unsynced_since_ns) {
    s->unsynced_since_ns = clock_mono_ns();
    if (s->options.sync == SYNC_INTERVAL) pthread_cond_signal(&s->work);
  }
  ask_ahead(s);
  pthread_mutex_unlock(&s->lock);
  return 0;
}

int segments_sync(struct segments *s, struct error *err) {
  pthread_mutex_lock(&s->lock);
  uint64_t target = s->write_count;
  s->sync_waiters++;
  pthread_cond_signal(&s->work);
  while (s->sync_count < target && !atomic_load(&s->is_failed)) pthread_cond_wait(&s->done, &s->lock);
  s->sync_waiters--;
  bool is_synced = s->sync_count >= target;
  pthread_mutex_unlock(&s->lock);
  return is_synced ? 0 : error_set(err, ITD_EIO, "a sync of the journal failed");
}

uint32_t segments_retired(struct segments *s) {
  pthread_mutex_lock(&s->lock);
  uint32_t upto = s->number ? s->number - 1 : 0;
  for (const struct retired *r = s->retired; r; r = r->next)
    if (r->number <= upto) upto = r->number - 1;
  pthread_mutex_unlock(&s->lock);
  return upto;
}

void segments_ask_sync(struct segments *s) {
  pthread_mutex_lock(&s->lock);
  if (s->sync_count < s->write_count) {
    s->sync_asked = true;
    pthread_cond_signal(&s->work);
  }
  pthread_mutex_unlock(&s->lock);
}

uint32_t segments_synced(struct segments *s) { return atomic_load(&s->synced); }
bool segments_failed(struct segments *s) { return atomic_load(&s->is_failed); }
uint64_t segments_syncs(struct segments *s) { return atomic_load_explicit(&s->syncs, memory_order_relaxed); }
