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
  uint64_t turns; // times that the first file took the place of the second
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

// What a crash left of a file that was to take another's place: nobody would look there for what must be forgotten.
static void remove_rests(const struct quarantine *q) {
  char rest[PATH_MAX + 8];
  snprintf(rest, sizeof rest, "%s.new", q->path);
  (void)disk_unlink(rest);
  snprintf(rest, sizeof rest, "%s.new", q->older);
  (void)disk_unlink(rest);
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
  remove_rests(q);
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
    q->turns++;
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

// ---- taking out ----
struct purge {
  const struct bytes *text;
  size_t count;
  uint64_t *removed, *before; // counts, and what they were before the file at hand
};

// An id may come as a number, which does not show as text.
static bool says_number(struct bytes event, struct bytes text) {
  static const char *const keys[] = {"userId", "anonymousId", "previousId"};
  struct mp_limits limits = {.depth_max = 64, .objects_max = UINT32_MAX, .bytes_max = SIZE_MAX};
  size_t n;
  for (size_t i = 0; i < text.n; i++)
    if ((text.p[i] < '0' || text.p[i] > '9') && (i || text.p[i] != '-')) return false;
  if (text.n > 20 || mp_scan(event, &limits, &n, NULL) != 1) return false;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    struct bytes found;
    char digits[24];
    if (!mp_find(bytes_of(event.p, n), bytes_str(keys[i]), &found)) continue;
    struct mp_value v = mp_value_of(found);
    if (v.type != MP_INT && v.type != MP_UINT) continue;
    int k = v.type == MP_INT ? snprintf(digits, sizeof digits, "%lld", (long long)v.i)
                             : snprintf(digits, sizeof digits, "%llu", (unsigned long long)v.u);
    if (bytes_eq(text, bytes_of(digits, (size_t)k))) return true;
  }
  return false;
}

static bool is_of(struct bytes entry, bool is_whole, const struct purge *p) {
  struct bytes event = {0};
  if (is_whole && mp_find(entry, BYTES_LIT("event"), &event)) event = mp_value_of(event).s;
  for (size_t i = 0; i < p->count; i++) {
    if (!p->text[i].n || (!memmem(entry.p, entry.n, p->text[i].p, p->text[i].n) && !says_number(event, p->text[i])))
      continue;
    p->removed[i]++;
    return true;
  }
  return false;
}

// Appends the entries that stay. What a crash left cut is looked at as one.
static void filter(struct bytes from, const struct purge *p, struct buf *out) {
  struct mp_limits limits = {.depth_max = 4, .objects_max = 64, .bytes_max = SIZE_MAX};
  while (from.n) {
    size_t n;
    bool is_whole = mp_scan(from, &limits, &n, NULL) == 1 && mp_value_of(bytes_of(from.p, n)).type == MP_MAP;
    if (!is_whole) n = from.n;
    if (!is_of(bytes_of(from.p, n), is_whole, p)) buf_append(out, from.p, n);
    from = bytes_of(from.p + n, from.n - n);
  }
}

static void wipe(int fd, size_t n) {
  uint8_t *zeros = xcalloc(1, n);
  if (disk_write(fd, zeros, n, 0) == 0) (void)disk_sync(fd);
  free(zeros);
}

// What a file holds from `at` to `end`.
static int read_part(const char *path, size_t at, size_t end, struct buf *out) {
  int fd = -1;
  size_t got = 0;
  int e = disk_open(path, O_RDWR, &fd);
  if (e) return e == ENOENT ? 0 : e;
  e = disk_read(fd, buf_reserve(out, end - at), end - at, (off_t)at, &got);
  out->n += e ? 0 : got;
  close(fd);
  return e;
}

// Puts `content` in the place of a file, whose bytes are overwritten. With the lock held for the current one.
static int replace(const char *path, struct bytes content) {
  char fresh[PATH_MAX + 8];
  struct stat st;
  int fd = -1, old = -1;
  snprintf(fresh, sizeof fresh, "%s.new", path);
  int e = disk_open(path, O_RDWR, &old);
  if (e == 0) e = disk_open(fresh, O_RDWR | O_CREAT | O_TRUNC, &fd);
  if (e == 0) e = disk_write(fd, content.p, content.n, 0);
  if (e == 0) e = disk_sync_whole(fd);
  if (e == 0) e = disk_rename(fresh, path);
  if (e == 0 && fstat(old, &st) == 0) wipe(old, (size_t)st.st_size);
  if (fd >= 0) close(fd);
  if (old >= 0) close(old);
  return e;
}

// Under the lock only what was added while the bulk was looked through: shards wait for it.
static int purge_file(struct quarantine *q, bool is_current, const struct purge *p, bool *again) {
  const char *path = is_current ? q->path : q->older;
  struct buf in = {0}, out = {0};
  struct stat st = {0};
  uint64_t sum_before = 0, sum = 0;
  memcpy(p->before, p->removed, p->count * sizeof *p->before);
  for (size_t i = 0; i < p->count; i++) sum_before += p->removed[i];
  pthread_mutex_lock(&q->lock);
  uint64_t turns = q->turns;
  size_t n = is_current ? q->bytes : stat(path, &st) == 0 ? (size_t)st.st_size : 0;
  pthread_mutex_unlock(&q->lock);
  int e = read_part(path, 0, n, &in);
  if (e == 0) filter(buf_bytes(&in), p, &out);
  pthread_mutex_lock(&q->lock);
  *again = q->turns != turns;
  if (e == 0 && !*again && is_current && q->bytes > n) {
    buf_clear(&in);
    e = read_part(path, n, q->bytes, &in);
    if (e == 0) filter(buf_bytes(&in), p, &out);
  }
  for (size_t i = 0; i < p->count; i++) sum += p->removed[i];
  if (e == 0 && !*again && sum != sum_before) {
    e = replace(path, buf_bytes(&out));
    if (e == 0 && is_current) {
      if (q->fd >= 0) close(q->fd);
      (void)reopen(q);
    }
  }
  pthread_mutex_unlock(&q->lock);
  if (e || *again) memcpy(p->removed, p->before, p->count * sizeof *p->before);
  if (in.p) explicit_bzero(in.p, in.cap);
  buf_deinit(&in);
  buf_deinit(&out);
  return e;
}

int quarantine_purge(struct quarantine *q, const struct bytes *text, size_t count, uint64_t *removed,
                     struct error *err) {
  struct purge p = {.text = text, .count = count, .removed = removed, .before = xcalloc(count, sizeof *removed)};
  int e = 0;
  bool again = true;
  while (e == 0 && again) { // the older one first: what moves there meanwhile is seen the next time round
    e = purge_file(q, false, &p, &again);
    if (e == 0 && !again) e = purge_file(q, true, &p, &again);
  }
  free(p.before);
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(q->path, '/') - q->path), q->path);
  if (e == 0) e = disk_sync_folder(folder, ".");
  return e ? error_set(err, disk_status(e), "%s: %s", folder, strerror(e)) : 0;
}
