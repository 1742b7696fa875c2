#include "store/archiver.h"
#include "store/disk.h"
#include "store/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

#define LOOK_MS    500
#define AGAIN_MS   1000 // after a failure, doubled each time
#define AGAIN_MAX  60000
#define END_MS     5000 // a program has to end when it is asked to
#define COPY_CHUNK (1u << 20)
#define SYNC_EVERY (4u << 20) // small syncs leave the disk to commits in between
#define NICE       10
#define FILE_MAX   65536

extern char **environ;

struct archiver {
  char *dir, *folder, *command; // folder, command: NULL none
  char destination[2 * SHA256_SIZE + 1];
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  _Atomic bool is_stopping;
  uint32_t done[256];          // of each log: archived up to this number; 0: nothing yet
  _Atomic uint32_t noted[256]; // the same, once DIR/archived says so
  int64_t look_ms, first_again_ms, again_ms;
  _Atomic uint64_t segments, failures, waiting;
  _Atomic uint64_t since_ns; // when the first that waits was found; 0: none
};

// ---- how far it has come ----
// "intentd archived 1", "destination HEX", a line "LL SSSSSSSS" for each log, "crc32c HEX" over the lines before it.
static void progress_path(const struct archiver *a, char out[PATH_MAX]) {
  snprintf(out, PATH_MAX, "%s/archived", a->dir);
}

static void put_progress(const struct archiver *a, struct buf *out) {
  buf_printf(out, "intentd archived 1\ndestination %s\n", a->destination);
  for (unsigned i = 0; i < 256; i++)
    if (a->done[i]) buf_printf(out, "%02x %08x\n", i, a->done[i]);
  buf_printf(out, "crc32c %08x\n", crc32c(0, buf_bytes(out)));
}

static int write_progress(const struct archiver *a, struct error *err) {
  char path[PATH_MAX];
  struct buf text;
  buf_init(&text);
  progress_path(a, path);
  put_progress(a, &text);
  int rc = disk_replace(path, buf_bytes(&text), err);
  buf_deinit(&text);
  return rc;
}

// What was read must give the very bytes again.
static bool parse_progress(struct archiver *a, struct bytes text, bool *is_other) {
  char destination[2 * SHA256_SIZE + 1], own[sizeof destination];
  unsigned log, segment;
  int at = 0, n = 0;
  const char *p = (const char *)text.p;
  if (sscanf(p, "intentd archived 1\ndestination %64[0-9a-f]\n%n", destination, &at) != 1 || !at) return false;
  while (p[at] && p[at + 1] && p[at + 2] == ' ' && sscanf(p + at, "%2x %8x\n%n", &log, &segment, &n) == 2) {
    a->done[log] = segment;
    at += n;
  }
  memcpy(own, a->destination, sizeof own);
  memcpy(a->destination, destination, sizeof own);
  struct buf again;
  buf_init(&again);
  put_progress(a, &again);
  bool reads = bytes_eq(buf_bytes(&again), text);
  buf_deinit(&again);
  memcpy(a->destination, own, sizeof own);
  *is_other = strcmp(own, destination) != 0;
  return reads;
}

static int read_progress(struct archiver *a, struct error *err) {
  char path[PATH_MAX];
  struct buf text;
  bool is_other = false;
  buf_init(&text);
  progress_path(a, path);
  int rc = disk_load(path, FILE_MAX, &text, err);
  if (rc == 0) {
    buf_append_u8(&text, 0); // for sscanf
    if (!parse_progress(a, bytes_of(text.p, text.n - 1), &is_other))
      rc = error_set(err, ITD_ECORRUPT, "%s: damaged; without it everything is archived again", path);
    for (unsigned i = 0; is_other && i < 256; i++) a->done[i] = 0;
  } else if (rc == ITD_ENOTFOUND) {
    rc = 0;
  }
  buf_deinit(&text);
  return rc;
}

// ---- into a folder ----
static int copy_bytes(const struct archiver *a, int from, int to, struct error *err) {
  uint8_t *chunk = xmalloc(COPY_CHUNK);
  int rc = 0;
  for (off_t at = 0; rc == 0;) {
    size_t got = 0;
    int e = disk_read(from, chunk, COPY_CHUNK, at, &got);
    if (e == 0 && got) e = disk_write(to, chunk, got, at);
    if (e) rc = error_set(err, disk_status(e), "%s", strerror(e));
    if (rc == 0 && atomic_load(&a->is_stopping)) rc = error_set(err, ITD_ESHUTDOWN, "stopped before its end");
    if (!got) break;
    at += (off_t)got;
    if (rc == 0 && at % SYNC_EVERY == 0 && (e = disk_sync(to))) rc = error_set(err, disk_status(e), "%s", strerror(e));
  }
  free(chunk);
  return rc;
}

static int same_files(const char *one, const char *other, bool *same, struct error *err) {
  int a = -1, b = -1;
  int e = disk_open(one, O_RDONLY, &a);
  if (e == 0) e = disk_open(other, O_RDONLY, &b);
  uint8_t *p = xmalloc(2 * COPY_CHUNK), *q = p + COPY_CHUNK;
  *same = true;
  for (off_t at = 0; e == 0 && *same;) {
    size_t n = 0, m = 0;
    e = disk_read(a, p, COPY_CHUNK, at, &n);
    if (e == 0) e = disk_read(b, q, COPY_CHUNK, at, &m);
    *same = n == m && memcmp(p, q, n) == 0;
    if (!n) break;
    at += (off_t)n;
  }
  free(p);
  if (a >= 0) close(a);
  if (b >= 0) close(b);
  return e ? error_set(err, disk_status(e), "%s: %s", other, strerror(e)) : 0;
}

static int copy_to(const struct archiver *a, const char *from, const char *part, const char *to, struct error *err) {
  int in, out, e = disk_open(from, O_RDONLY, &in);
  if (e) return error_set(err, disk_status(e), "%s: %s", from, strerror(e));
  e = disk_open(part, O_RDWR | O_CREAT | O_TRUNC, &out);
  if (e) {
    close(in);
    return error_set(err, disk_status(e), "%s: %s", part, strerror(e));
  }
  int rc = copy_bytes(a, in, out, err);
  if (rc == 0 && (e = disk_sync_whole(out))) rc = error_set(err, disk_status(e), "%s", strerror(e));
  close(in);
  close(out);
  if (rc == 0 && (e = disk_rename(part, to))) rc = error_set(err, disk_status(e), "%s", strerror(e));
  if (rc == 0 && (e = disk_sync_folder(a->folder, "."))) rc = error_set(err, disk_status(e), "%s", strerror(e));
  if (rc) {
    (void)disk_unlink(part);
    error_prefix(err, "%s", to);
  }
  return rc;
}

static int to_folder(const struct archiver *a, const char *from, const char *name, struct error *err) {
  char to[PATH_MAX], part[PATH_MAX];
  bool same = false;
  int n = snprintf(part, sizeof part, "%s/%s.part", a->folder, name);
  if (n >= (int)sizeof part) return error_set(err, ITD_EINVAL, "archive.dir: too long a path");
  snprintf(to, sizeof to, "%s/%s", a->folder, name);
  if (access(to, F_OK) != 0) return copy_to(a, from, part, to, err);
  int rc = same_files(from, to, &same, err); // it was brought there, and the machine stopped before that was noted
  if (rc || same) return rc;
  return error_set(err, ITD_EBUSY, "%s: another file of that name is there; it is not overwritten", to);
}

// ---- to a program ----
static void wait_ms(struct archiver *a, int64_t ms) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_sec += ms / 1000;
  t.tv_nsec += ms % 1000 * 1000000;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  pthread_mutex_lock(&a->lock);
  if (!atomic_load(&a->is_stopping)) pthread_cond_timedwait(&a->wake, &a->lock, &t);
  pthread_mutex_unlock(&a->lock);
}

static int start_program(const struct archiver *a, const char *file, pid_t *pid) {
  posix_spawnattr_t attr;
  posix_spawn_file_actions_t files;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_init(&attr);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attr, 0); // so that what it starts ends with it
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setsigdefault(&attr, &all);
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0); // what it says on standard error is heard
  char *argv[] = {a->command, (char *)(uintptr_t)file, NULL};
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  int e = posix_spawn(pid, a->command, &files, &attr, argv, environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attr);
  return e;
}

// Waits for its end; when the daemon stops, asks it to end, then kills it.
static int await_program(struct archiver *a, pid_t pid, int *status) {
  uint64_t asked_ns = 0;
  bool is_killed = false;
  int64_t pause = 1;
  for (;;) {
    pid_t got = waitpid(pid, status, WNOHANG);
    if (got == pid) return 0;
    if (got < 0 && errno != EINTR) return errno;
    if (!atomic_load(&a->is_stopping)) {
      wait_ms(a, pause);
      pause = pause < 100 ? pause * 2 : 100;
      continue;
    }
    if (!asked_ns) {
      kill(-pid, SIGTERM);
      asked_ns = clock_mono_ns();
    } else if (!is_killed && clock_mono_ns() - asked_ns > END_MS * 1000000ull) {
      kill(-pid, SIGKILL);
      is_killed = true;
    }
    usleep(10000);
  }
}

static int to_program(struct archiver *a, const char *file, struct error *err) {
  pid_t pid;
  int status = 0, e = start_program(a, file, &pid);
  if (e == 0) e = await_program(a, pid, &status);
  if (e) return error_set(err, ITD_EIO, "%s: %s", a->command, strerror(e));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  if (atomic_load(&a->is_stopping)) return error_set(err, ITD_ESHUTDOWN, "stopped before its end");
  if (WIFEXITED(status)) return error_set(err, ITD_EIO, "%s: exit status %d", a->command, WEXITSTATUS(status));
  return error_set(err, ITD_EIO, "%s: ended by signal %d", a->command, WTERMSIG(status));
}

// ---- which is next ----
struct found { // of each log: the least sealed segment beyond those that are archived
  uint32_t next;
  uint32_t least; // of all segments that are there
  uint64_t count;
};

static int look(const struct archiver *a, struct found found[256], struct error *err) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/journal", a->dir);
  DIR *d = opendir(path);
  if (!d) return error_set(err, disk_status(errno), "%s: %s", path, strerror(errno));
  memset(found, 0, 256 * sizeof *found);
  for (struct dirent *e; (e = readdir(d));) {
    unsigned log;
    uint32_t segment;
    enum segment_file kind = segment_file(e->d_name, &log, &segment);
    if (kind == SEGMENT_FILE_NONE) continue;
    struct found *f = &found[log];
    if (!f->least || segment < f->least) f->least = segment;
    if (kind != SEGMENT_FILE_SEALED || segment <= a->done[log]) continue;
    f->count++;
    if (!f->next || segment < f->next) f->next = segment;
  }
  closedir(d);
  return 0;
}

// In the order of their numbers: one that is not sealed yet is waited for. False: nothing to do.
static bool choose(const struct archiver *a, const struct found found[256], unsigned *log, uint32_t *segment) {
  for (unsigned i = 0; i < 256; i++) {
    uint32_t first = a->done[i] ? a->done[i] + 1 : found[i].least;
    if (!found[i].next || found[i].next != first) continue;
    char path[SEGMENT_PATH_MAX];
    segment_path(path, a->dir, i, first);
    if (access(path, F_OK) == 0) continue; // it is being sealed
    *log = i, *segment = first;
    return true;
  }
  return false;
}

// One that was never archived and is gone: nobody may take it for archived.
static int find_gap(const struct archiver *a, const struct found found[256], struct error *err) {
  for (unsigned i = 0; i < 256; i++)
    if (a->done[i] && found[i].least > a->done[i] + 1)
      return error_set(
          err, ITD_ECORRUPT,
          "segment %02x-%08x was never archived and is gone; remove %s/archived to begin anew with what is left", i,
          a->done[i] + 1, a->dir);
  return 0;
}

static int archive(struct archiver *a, unsigned log, uint32_t segment, struct error *err) {
  char path[SEGMENT_PATH_MAX];
  sealed_path(path, a->dir, log, segment);
  int rc = a->folder ? to_folder(a, path, strrchr(path, '/') + 1, err) : 0;
  if (rc == 0 && a->command) rc = to_program(a, path, err);
  if (rc) return rc;
  uint32_t before = a->done[log];
  a->done[log] = segment;
  rc = write_progress(a, err);
  if (rc) {
    a->done[log] = before; // it is archived again after that
    return rc;
  }
  atomic_fetch_add(&a->segments, 1);
  atomic_store(&a->noted[log], segment);
  return 0;
}

// ---- the thread ----
static void note_waiting(struct archiver *a, uint64_t waiting) {
  atomic_store(&a->waiting, waiting);
  if (!waiting)
    atomic_store(&a->since_ns, 0);
  else if (!atomic_load(&a->since_ns))
    atomic_store(&a->since_ns, clock_mono_ns());
}

static void fail(struct archiver *a, int rc, const struct error *err) {
  if (rc == ITD_ESHUTDOWN) return;
  atomic_fetch_add(&a->failures, 1);
  log_line(LOG_WARN, "archive_failed", "error=%s", log_quote(err->text));
  a->again_ms = a->again_ms ? a->again_ms * 2 : a->first_again_ms;
  if (a->again_ms > AGAIN_MAX) a->again_ms = AGAIN_MAX;
}

// True: something was archived, there may be more.
static bool step(struct archiver *a) {
  struct found found[256];
  struct error err = {0};
  unsigned log;
  uint32_t segment;
  uint64_t waiting = 0;
  int rc = look(a, found, &err);
  for (unsigned i = 0; rc == 0 && i < 256; i++) waiting += found[i].count;
  if (rc == 0) note_waiting(a, waiting);
  if (rc == 0) rc = find_gap(a, found, &err);
  bool is_work = rc == 0 && choose(a, found, &log, &segment);
  if (is_work && (rc = archive(a, log, segment, &err))) error_prefix(&err, "segment %02x-%08x", log, segment);
  if (rc) {
    fail(a, rc, &err);
    return false;
  }
  a->again_ms = 0;
  if (!is_work) return false;
  atomic_store(&a->since_ns, 0);
  note_waiting(a, waiting - 1);
  log_line(LOG_DEBUG, "segment_archived", "segment=%02x-%08x", log, segment);
  return true;
}

static void *work(void *arg) {
  struct archiver *a = arg;
  setpriority(PRIO_PROCESS, 0, NICE); // of this thread alone; it goes on without
  while (!atomic_load(&a->is_stopping))
    if (!step(a)) wait_ms(a, a->again_ms ? a->again_ms : a->look_ms);
  return NULL;
}

static void archiver_free(struct archiver *a) {
  pthread_mutex_destroy(&a->lock);
  pthread_cond_destroy(&a->wake);
  free(a->dir);
  free(a->folder);
  free(a->command);
  free(a);
}

static void name_destination(struct archiver *a) {
  struct buf b;
  uint8_t sum[SHA256_SIZE];
  buf_init(&b);
  buf_append_str(&b, a->folder ? a->folder : "");
  buf_append_u8(&b, 0);
  buf_append_str(&b, a->command ? a->command : "");
  sha256_of(buf_bytes(&b), sum);
  hex_encode(bytes_of(sum, sizeof sum), a->destination);
  buf_deinit(&b);
}

int archiver_start(const struct archiver_options *o, struct archiver **out, struct error *err) {
  bool has_folder = o->folder && *o->folder, has_command = o->command && *o->command;
  if ((has_folder && *o->folder != '/') || (has_command && *o->command != '/'))
    return error_set(err, ITD_EINVAL, "archive.dir and archive.command must be absolute paths");
  struct archiver *a = xcalloc(1, sizeof *a);
  char *dir = realpath(o->dir, NULL); // the program is told a path that it can open from anywhere
  a->dir = dir ? dir : xstrdup(o->dir);
  a->folder = has_folder ? xstrdup(o->folder) : NULL;
  a->command = has_command ? xstrdup(o->command) : NULL;
  name_destination(a);
  pthread_mutex_init(&a->lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&a->wake, &attr);
  pthread_condattr_destroy(&attr);
  int rc = read_progress(a, err);
  if (rc) {
    archiver_free(a);
    return rc;
  }
  for (unsigned i = 0; i < 256; i++) atomic_store(&a->noted[i], a->done[i]);
  a->look_ms = o->look_ms ? o->look_ms : LOOK_MS;
  a->first_again_ms = o->again_ms ? o->again_ms : AGAIN_MS;
  CHECK(pthread_create(&a->thread, NULL, work, a) == 0);
  *out = a;
  return 0;
}

void archiver_stop(struct archiver *a) {
  if (!a) return;
  pthread_mutex_lock(&a->lock);
  atomic_store(&a->is_stopping, true);
  pthread_cond_signal(&a->wake);
  pthread_mutex_unlock(&a->lock);
  pthread_join(a->thread, NULL);
  archiver_free(a);
}

bool archiver_has(const struct archiver *a, unsigned log, uint32_t segment) {
  CHECK(log < 256);
  return !a || segment <= atomic_load(&a->noted[log]);
}

struct archiver_stats archiver_stats(const struct archiver *a) {
  if (!a) return (struct archiver_stats){0};
  uint64_t since_ns = atomic_load(&a->since_ns);
  return (struct archiver_stats){.segments = atomic_load(&a->segments),
                                 .failures = atomic_load(&a->failures),
                                 .waiting = atomic_load(&a->waiting),
                                 .waiting_ms = since_ns ? (int64_t)((clock_mono_ns() - since_ns) / 1000000) : 0};
}
