#include "store/sealer.h"
#include "store/disk.h"
#include "store/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

#define LOOK_MS   500  // between two looks at what is full
#define AGAIN_MS  2000 // after a failure, doubled each time
#define AGAIN_MAX 60000
#define NICE      10
#define TEMPORARY ".new" // behind the name of a file that is being made

// ---- one segment ----
static int sealed_as_said(const char *path, int log_fd, const _Atomic bool *stop, struct error *err) {
  struct sealed *s;
  int rc = sealed_open(path, &s, err);
  if (rc) return rc;
  rc = sealed_check(s, log_fd, stop, err);
  sealed_close(s);
  return rc;
}

static int make_sealed(const char *path, int log_fd, unsigned log, uint32_t segment, int level,
                       const _Atomic bool *stop, struct sealed_result *result, struct error *err) {
  int fd, e = disk_open(path, O_RDWR | O_CREAT | O_TRUNC, &fd);
  if (e) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  int rc = sealed_write(log_fd, log, segment, level, fd, stop, result, err);
  if (rc == 0 && (e = disk_sync_whole(fd))) rc = error_set(err, disk_status(e), "%s", strerror(e));
  close(fd);
  if (rc) error_prefix(err, "journal/%02x-%08x.log", log, segment);
  // What is on disk is what is kept for good: the log goes only after it was read back.
  if (rc == 0) rc = sealed_as_said(path, log_fd, stop, err);
  return rc;
}

// Held while a segment changes from one file to the other, or goes.
static pthread_mutex_t places = PTHREAD_MUTEX_INITIALIZER;

// 0 or an errno; ENOENT: the log was let go meanwhile.
static int put_in_place(const char *dir, const char *made, const char *from, const char *to) {
  pthread_mutex_lock(&places);
  int e = access(from, F_OK) ? errno : 0;
  if (e == 0) e = disk_rename(made, to);
  if (e == 0) e = disk_sync_folder(dir, "journal");
  if (e == 0) e = disk_unlink(from);
  pthread_mutex_unlock(&places);
  return e;
}

int seal_segment(const char *dir, unsigned log, uint32_t segment, int level, const _Atomic bool *stop,
                 struct sealed_result *result, struct error *err) {
  char from[SEGMENT_PATH_MAX], to[SEGMENT_PATH_MAX], made[SEGMENT_PATH_MAX + 8];
  segment_path(from, dir, log, segment);
  sealed_path(to, dir, log, segment);
  snprintf(made, sizeof made, "%s" TEMPORARY, to);
  int log_fd, e = disk_open(from, O_RDONLY, &log_fd);
  if (e) return error_set(err, e == ENOENT ? ITD_ENOTFOUND : disk_status(e), "%s: %s", from, strerror(e));
  int rc = make_sealed(made, log_fd, log, segment, level, stop, result, err);
  close(log_fd);
  if (rc == 0) e = put_in_place(dir, made, from, to);
  if (e) rc = error_set(err, e == ENOENT ? ITD_ENOTFOUND : disk_status(e), "%s: %s", to, strerror(e));
  if (rc) (void)disk_unlink(made);
  return rc;
}

int segment_drop(const char *dir, unsigned log, uint32_t segment) {
  char path[SEGMENT_PATH_MAX];
  pthread_mutex_lock(&places);
  sealed_path(path, dir, log, segment);
  int e = disk_unlink(path);
  segment_path(path, dir, log, segment);
  if (e == 0 || e == ENOENT) e = disk_unlink(path);
  pthread_mutex_unlock(&places);
  return e == ENOENT ? 0 : e;
}

// ---- what there is to do ----
struct work {
  unsigned log;
  uint32_t segment;
};

struct sealer {
  struct sealer_options options;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  _Atomic bool is_stopping;
  uint32_t seen[256]; // retired segments of each log when the folder was last looked through
  bool has_looked;
  struct work *work; // in order
  size_t count, cap, at;
  struct work *damaged; // left alone until the next start
  size_t damaged_count;
  int64_t again_ms; // until the next try; 0: nothing failed
  _Atomic uint64_t segments, raw_bytes, file_bytes, failures, waiting;
  _Atomic uint64_t since_ns; // when the first that waits was found; 0: none
};

static int by_segment(const void *a, const void *b) {
  const struct work *x = a, *y = b;
  if (x->log != y->log) return x->log < y->log ? -1 : 1;
  return x->segment < y->segment ? -1 : x->segment > y->segment;
}

static bool may_be_sealed(const struct sealer *s, unsigned log, uint32_t segment) {
  if (log < s->options.shards && segment > s->seen[log]) return false;
  for (size_t i = 0; i < s->damaged_count; i++)
    if (s->damaged[i].log == log && s->damaged[i].segment == segment) return false;
  return true;
}

// What an earlier run was making when it ended.
static void remove_rest(const struct sealer *s, const char *name) {
  char path[SEGMENT_PATH_MAX];
  size_t n = strlen(name), tail = strlen(".seg" TEMPORARY);
  if (n <= tail || strcmp(name + n - tail, ".seg" TEMPORARY) != 0) return;
  snprintf(path, sizeof path, "%s/journal/%s", s->options.dir, name);
  (void)disk_unlink(path);
}

static void look(struct sealer *s) {
  bool is_news = !s->has_looked;
  for (unsigned i = 0; i < s->options.shards; i++) {
    uint32_t retired = journal_retired(s->options.journal[i]);
    is_news |= retired != s->seen[i];
    s->seen[i] = retired;
  }
  if (!is_news) return;
  char path[SEGMENT_PATH_MAX];
  snprintf(path, sizeof path, "%s/journal", s->options.dir);
  DIR *d = opendir(path);
  if (!d) return; // the next look finds it, or the journal fails too
  s->count = s->at = 0;
  for (struct dirent *e; (e = readdir(d));) {
    struct work w;
    if (!s->has_looked) remove_rest(s, e->d_name);
    if (segment_file(e->d_name, &w.log, &w.segment) != SEGMENT_FILE_LOG || !may_be_sealed(s, w.log, w.segment))
      continue;
    if (s->count == s->cap) s->work = xrealloc(s->work, (s->cap = s->cap ? s->cap * 2 : 16) * sizeof *s->work);
    s->work[s->count++] = w;
  }
  closedir(d);
  s->has_looked = true;
  if (s->count) qsort(s->work, s->count, sizeof *s->work, by_segment);
}

static void note_waiting(struct sealer *s) {
  uint64_t waiting = s->count - s->at;
  atomic_store(&s->waiting, waiting);
  if (!waiting)
    atomic_store(&s->since_ns, 0);
  else if (!atomic_load(&s->since_ns))
    atomic_store(&s->since_ns, clock_mono_ns());
}

static void leave_alone(struct sealer *s, struct work w) {
  s->damaged = xrealloc(s->damaged, (s->damaged_count + 1) * sizeof *s->damaged);
  s->damaged[s->damaged_count++] = w;
  s->at++;
}

static void fail(struct sealer *s, struct work w, int rc, const struct error *err) {
  if (rc == ITD_ESHUTDOWN) return;
  atomic_fetch_add(&s->failures, 1);
  bool is_damage = rc == ITD_ECORRUPT || rc == ITD_EVERSION;
  log_line(is_damage ? LOG_ERROR : LOG_WARN, "seal_failed", "segment=%02x-%08x error=%s", w.log, w.segment,
           log_quote(err->text));
  if (is_damage) {
    leave_alone(s, w);
    return;
  }
  s->again_ms = s->again_ms ? s->again_ms * 2 : AGAIN_MS;
  if (s->again_ms > AGAIN_MAX) s->again_ms = AGAIN_MAX;
}

static void seal_next(struct sealer *s) {
  struct work w = s->work[s->at];
  struct sealed_result r = {0};
  struct error err = {0};
  int rc = seal_segment(s->options.dir, w.log, w.segment, s->options.level, &s->is_stopping, &r, &err);
  s->again_ms = rc ? s->again_ms : 0;
  if (rc == ITD_ENOTFOUND) { // it is gone: nothing to do
    s->at++;
    return;
  }
  if (rc) {
    fail(s, w, rc, &err);
    return;
  }
  s->at++;
  atomic_store(&s->since_ns, 0);
  atomic_fetch_add(&s->segments, 1);
  atomic_fetch_add(&s->raw_bytes, r.raw_bytes);
  atomic_fetch_add(&s->file_bytes, r.file_bytes);
  log_line(LOG_DEBUG, "segment_sealed", "segment=%02x-%08x bytes=%llu sealed=%llu", w.log, w.segment,
           (unsigned long long)r.raw_bytes, (unsigned long long)r.file_bytes);
}

// ---- the thread ----
static void pause_for(struct sealer *s, int64_t ms) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_sec += ms / 1000;
  t.tv_nsec += ms % 1000 * 1000000;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  pthread_mutex_lock(&s->lock);
  if (!atomic_load(&s->is_stopping)) pthread_cond_timedwait(&s->wake, &s->lock, &t);
  pthread_mutex_unlock(&s->lock);
}

static void *work(void *arg) {
  struct sealer *s = arg;
  setpriority(PRIO_PROCESS, 0, NICE); // of this thread alone; it goes on without
  while (!atomic_load(&s->is_stopping)) {
    look(s);
    note_waiting(s);
    if (s->at == s->count) {
      pause_for(s, LOOK_MS);
      continue;
    }
    seal_next(s);
    note_waiting(s);
    if (s->again_ms) pause_for(s, s->again_ms);
  }
  return NULL;
}

struct sealer *sealer_start(const struct sealer_options *options) {
  struct sealer *s = xcalloc(1, sizeof *s);
  s->options = *options;
  struct journal **journal = xcalloc(options->shards, sizeof *journal);
  memcpy(journal, options->journal, options->shards * sizeof *journal);
  s->options.journal = journal;
  pthread_mutex_init(&s->lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&s->wake, &attr);
  pthread_condattr_destroy(&attr);
  CHECK(pthread_create(&s->thread, NULL, work, s) == 0);
  return s;
}

void sealer_stop(struct sealer *s) {
  if (!s) return;
  pthread_mutex_lock(&s->lock);
  atomic_store(&s->is_stopping, true);
  pthread_cond_signal(&s->wake);
  pthread_mutex_unlock(&s->lock);
  pthread_join(s->thread, NULL);
  pthread_mutex_destroy(&s->lock);
  pthread_cond_destroy(&s->wake);
  free((void *)(uintptr_t)s->options.journal);
  free(s->work);
  free(s->damaged);
  free(s);
}

struct sealer_stats sealer_stats(const struct sealer *s) {
  if (!s) return (struct sealer_stats){0};
  uint64_t since_ns = atomic_load(&s->since_ns);
  return (struct sealer_stats){.segments = atomic_load(&s->segments),
                               .raw_bytes = atomic_load(&s->raw_bytes),
                               .file_bytes = atomic_load(&s->file_bytes),
                               .failures = atomic_load(&s->failures),
                               .waiting = atomic_load(&s->waiting),
                               .waiting_ms = since_ns ? (int64_t)((clock_mono_ns() - since_ns) / 1000000) : 0};
}
