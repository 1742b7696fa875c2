// Two files that take turns. Reading them: quarantine_walk.c.
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
#include "base/hash.h"
#include "base/log.h"
#include "store/disk.h"
#include "store/quarantine_private.h"
#include "wire/mp.h"

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

// What a crash left cut would hide what is written behind it.
static int take_off_cut(struct quarantine *q) {
  size_t end;
  int e = quarantine_each(q->path, 0, q->bytes, NULL, NULL, &end);
  if (e || end == q->bytes) return e;
  log_line(LOG_WARN, "quarantine_cut", "bytes=%zu note=\"behind the last whole entry; a crash left them\"",
           q->bytes - end);
  e = disk_truncate(q->fd, (off_t)end);
  if (e == 0) q->bytes = end;
  return e;
}

int quarantine_open(const char *dir, size_t bytes_max, struct quarantine **out, struct error *err) {
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s/quarantine", dir);
  int rc = dir_make(folder, err);
  if (rc) return rc;
  struct quarantine *q = xcalloc(1, sizeof *q);
  q->max = bytes_max;
  q->is_new = true;
  snprintf(q->path, sizeof q->path, "%s/quarantine/events.mp", dir);
  snprintf(q->older, sizeof q->older, "%s/quarantine/events.1.mp", dir);
  remove_rests(q);
  buf_init(&q->out);
  pthread_mutex_init(&q->lock, NULL);
  int e = reopen(q);
  if (e == 0) e = take_off_cut(q);
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
  quarantine_forget_known(q);
  free(q);
}

static void put(struct quarantine *q, const struct error *reason, struct bytes event, int64_t received_ms,
                char text[QUARANTINE_ID + 1]) {
  uint8_t id[QUARANTINE_ID / 2];
  random_bytes(id, sizeof id);
  hex_encode(bytes_of(id, sizeof id), text);
  buf_clear(&q->out);
  mp_put_map(&q->out, 5);
  mp_put_cstr(&q->out, "code");
  mp_put_cstr(&q->out, status_code(reason->code));
  mp_put_cstr(&q->out, "text");
  mp_put_cstr(&q->out, reason->text);
  mp_put_cstr(&q->out, "received_ms");
  mp_put_int(&q->out, received_ms);
  mp_put_cstr(&q->out, "event");
  mp_put_bin(&q->out, event);
  mp_put_cstr(&q->out, "id");
  mp_put_cstr(&q->out, text);
}

// Writes q->out behind what is there. With the lock held. 0 or an errno; E2BIG: more than half of the bound.
static int write_out(struct quarantine *q) {
  size_t half = q->max / 2;
  if (q->out.n > half) return E2BIG;
  if (q->fd < 0) (void)reopen(q); // there were too many open files
  if (q->fd >= 0 && q->bytes + q->out.n > half) {
    close(q->fd);
    (void)disk_rename(q->path, q->older);
    (void)reopen(q);
    q->turns++;
    q->is_new = true;
  }
  if (q->fd < 0) return EMFILE;
  // Half a map that stays behind a failed write is written over by the next one.
  int e = disk_write(q->fd, q->out.p, q->out.n, (off_t)q->bytes);
  if (e == 0)
    q->bytes += q->out.n;
  else
    (void)disk_truncate(q->fd, (off_t)q->bytes);
  return e;
}

bool quarantine_add(struct quarantine *q, const struct error *reason, struct bytes event, int64_t received_ms) {
  char id[QUARANTINE_ID + 1];
  pthread_mutex_lock(&q->lock);
  put(q, reason, event, received_ms, id);
  bool kept = write_out(q) == 0;
  pthread_mutex_unlock(&q->lock);
  return kept;
}

int quarantine_write(struct quarantine *q, const struct error *reason, struct bytes event, int64_t received_ms,
                     char id[QUARANTINE_ID + 1], struct quarantine_place *place) {
  pthread_mutex_lock(&q->lock);
  put(q, reason, event, received_ms, id);
  place->turns = q->turns, place->at = q->bytes;
  int e = write_out(q);
  place->end = q->bytes;
  pthread_mutex_unlock(&q->lock);
  return e;
}

// ---- notes ----

struct looking {
  struct bytes id;
  bool is_there;
};

static int look(void *context, const struct quarantine_entry *entry) {
  struct looking *l = context;
  l->is_there |= bytes_is(l->id, entry->id);
  return 0;
}

int quarantine_fix(struct quarantine *q, struct bytes id, struct bytes event, const char *by, int64_t now_ms,
                   struct error *err) {
  struct looking looking = {.id = id};
  char dir[PATH_MAX];
  snprintf(dir, sizeof dir, "%.*s", (int)(strlen(q->path) - strlen("/quarantine/events.mp")), q->path);
  int rc = quarantine_walk(dir, look, &looking, err);
  if (rc < 0) return rc;
  if (!looking.is_there)
    return error_set(err, ITD_ENOTFOUND, "no entry of the quarantine has the id %.*s (any more)", (int)id.n,
                     (const char *)id.p);
  pthread_mutex_lock(&q->lock);
  buf_clear(&q->out);
  mp_put_map(&q->out, 4);
  mp_put_cstr(&q->out, "fix");
  mp_put_str(&q->out, id);
  mp_put_cstr(&q->out, "event");
  mp_put_bin(&q->out, event);
  mp_put_cstr(&q->out, "by");
  mp_put_cstr(&q->out, by);
  mp_put_cstr(&q->out, "at_ms");
  mp_put_int(&q->out, now_ms);
  int e = q->is_purging ? EBUSY : write_out(q);
  pthread_mutex_unlock(&q->lock);
  if (e == 0) return quarantine_sync(q, err);
  if (e == EBUSY) return error_set(err, ITD_EBUSY, "somebody is being forgotten; try again");
  if (e == E2BIG) return error_set(err, ITD_ETOOBIG, "the event is larger than half of quarantine.bytes");
  return e ? error_set(err, disk_status(e), "%s: %s", q->path, strerror(e)) : 0;
}

bool quarantine_replayed(struct quarantine *q, struct bytes id, const char *by, struct bytes decision, int64_t now_ms) {
  pthread_mutex_lock(&q->lock);
  buf_clear(&q->out);
  mp_put_map(&q->out, 4);
  mp_put_cstr(&q->out, "replayed");
  mp_put_str(&q->out, id);
  mp_put_cstr(&q->out, "by");
  mp_put_cstr(&q->out, by);
  mp_put_cstr(&q->out, "at_ms");
  mp_put_int(&q->out, now_ms);
  mp_put_cstr(&q->out, "decision");
  mp_put_str(&q->out, decision);
  bool kept = write_out(q) == 0;
  pthread_mutex_unlock(&q->lock);
  return kept;
}

// A sync that failed may have taken bytes out of the midst: what is cut goes, so that what comes then is found; and what is
// there counts when it was written again.
static void distrust(struct quarantine *q) {
  pthread_mutex_lock(&q->lock);
  q->is_new = q->is_unsettled = true;
  q->rewrites++;
  if (q->fd >= 0) (void)take_off_cut(q);
  pthread_mutex_unlock(&q->lock);
}

static int settle_file(const char *path) {
  struct stat st;
  int fd, e = disk_open(path, O_RDWR, &fd);
  if (e) return e == ENOENT ? 0 : e;
  e = fstat(fd, &st) == 0 ? disk_settle(fd, 0, st.st_size) : errno;
  close(fd);
  return e;
}

// Shards wait for it: it is rare.
static int settle(struct quarantine *q) {
  pthread_mutex_lock(&q->lock);
  int e = q->is_purging ? EBUSY : settle_file(q->older);
  if (e == 0) e = settle_file(q->path);
  if (e == 0) q->is_unsettled = false;
  pthread_mutex_unlock(&q->lock);
  return e;
}

static int sync_files(struct quarantine *q, bool *is_new) {
  int fd[2] = {-1, -1};
  pthread_mutex_lock(&q->lock);
  *is_new = q->is_new;
  int e = disk_open(q->path, O_RDWR, &fd[0]);
  if (e == 0 && *is_new && (e = disk_open(q->older, O_RDWR, &fd[1])) == ENOENT) e = 0;
  if (e == 0) q->is_new = false;
  pthread_mutex_unlock(&q->lock);
  for (int i = 0; i < 2 && e == 0; i++)
    if (fd[i] >= 0) e = disk_sync_whole(fd[i]);
  for (int i = 0; i < 2; i++)
    if (fd[i] >= 0) close(fd[i]);
  return e;
}

// Shards write meanwhile: they don't wait for the disk. Of a file that was begun since the last sync its name must last,
// and what its forerunner took since then, too.
int quarantine_sync(struct quarantine *q, struct error *err) {
  char folder[PATH_MAX];
  bool is_new = true;
  pthread_mutex_lock(&q->lock);
  bool is_unsettled = q->is_unsettled;
  pthread_mutex_unlock(&q->lock);
  int e = is_unsettled ? settle(q) : 0;
  if (e == EBUSY) return error_set(err, ITD_EBUSY, "somebody is being forgotten; try again");
  if (e == 0) e = sync_files(q, &is_new);
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(q->path, '/') - q->path), q->path);
  if (e == 0 && is_new) e = disk_sync_folder(folder, ".");
  if (e == 0) return 0;
  distrust(q);
  return error_set(err, disk_status(e), "%s: %s", q->path, strerror(e));
}

// ---- taking out ----
struct purge {
  const struct bytes *text;
  size_t count;
  struct gone {
    uint64_t id;
    size_t text;
  } * gone; // ids of what goes, and for which text: all that has one of them goes along
  size_t gone_count, gone_cap;
  uint64_t *removed, *before; // entries, and what they were before the file at hand
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

static bool holds(struct bytes bytes, struct bytes text) {
  return bytes.n && memmem(bytes.p, bytes.n, text.p, text.n) != NULL;
}

static struct bytes said(struct bytes record, const char *key) {
  struct bytes value;
  if (!mp_find(record, bytes_str(key), &value)) return (struct bytes){0};
  struct mp_value v = mp_value_of(value);
  return v.type == MP_BIN || v.type == MP_STR ? v.s : (struct bytes){0};
}

// Which text a record holds; -1: none. Looked at is what a sender may have said: ids of entries and leads are random digits, in
// which a short text stands soon.
static int64_t text_in(struct bytes record, bool is_whole, const struct purge *p) {
  struct bytes event = is_whole ? said(record, "event") : (struct bytes){0};
  struct bytes why = is_whole ? said(record, "text") : (struct bytes){0};
  for (size_t i = 0; i < p->count; i++) {
    struct bytes text = p->text[i];
    if (!text.n) continue;
    bool is_in = is_whole ? holds(event, text) || holds(why, text) || says_number(event, text) : holds(record, text);
    if (is_in) return (int64_t)i;
  }
  return -1;
}

static int by_id(const void *a, const void *b) {
  const struct gone *x = a, *y = b;
  return (x->id > y->id) - (x->id < y->id);
}

// Which text an id goes for; -1: it stays.
static int64_t gone_for(const struct purge *p, uint64_t id) {
  struct gone key = {.id = id};
  const struct gone *found = p->gone_count ? bsearch(&key, p->gone, p->gone_count, sizeof key, by_id) : NULL;
  return found ? (int64_t)found->text : -1;
}

static void add_gone(struct purge *p, struct bytes record, size_t text) {
  if (p->gone_count == p->gone_cap)
    p->gone = xrealloc(p->gone, (p->gone_cap = p->gone_cap ? 2 * p->gone_cap : 64) * sizeof *p->gone);
  p->gone[p->gone_count++] = (struct gone){quarantine_record_of(record).id, text};
}

static bool is_of(struct bytes record, bool is_whole, const struct purge *p) {
  int64_t text = text_in(record, is_whole, p);
  struct quarantine_record r = is_whole ? quarantine_record_of(record) : (struct quarantine_record){0};
  if (text < 0 && is_whole) text = gone_for(p, r.id);
  if (text < 0) return false;
  if (r.kind == RECORD_ENTRY) p->removed[text]++;
  return true;
}

// Notes the ids of what goes. What a crash left cut has none.
static void gather(struct bytes from, struct purge *p) {
  int64_t text;
  size_t n;
  for (; quarantine_next(from, &n); from = bytes_of(from.p + n, from.n - n))
    if ((text = text_in(bytes_of(from.p, n), true, p)) >= 0) add_gone(p, bytes_of(from.p, n), (size_t)text);
}

// Appends the records that stay. What a crash left cut is looked at as one.
static void filter(struct bytes from, const struct purge *p, struct buf *out) {
  while (from.n) {
    size_t n;
    bool is_whole = quarantine_next(from, &n);
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
  char fresh[PATH_MAX + 8], folder[PATH_MAX];
  struct stat st;
  int fd = -1, old = -1;
  snprintf(fresh, sizeof fresh, "%s.new", path);
  int e = disk_open(path, O_RDWR, &old);
  if (e == 0) e = disk_open(fresh, O_RDWR | O_CREAT | O_TRUNC, &fd);
  if (e == 0) e = disk_write(fd, content.p, content.n, 0);
  if (e == 0) e = disk_sync_whole(fd);
  if (e == 0) e = disk_rename(fresh, path);
  // A power cut must not bring the old name back with zeros in it.
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
  if (e == 0) e = disk_sync_folder(folder, ".");
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
  memcpy(p->before, p->removed, p->count * sizeof *p->before);
  pthread_mutex_lock(&q->lock);
  uint64_t turns = q->turns;
  size_t n = is_current ? q->bytes : stat(path, &st) == 0 ? (size_t)st.st_size : 0;
  pthread_mutex_unlock(&q->lock);
  int e = read_part(path, 0, n, &in);
  size_t bytes = in.n;
  if (e == 0) filter(buf_bytes(&in), p, &out);
  pthread_mutex_lock(&q->lock);
  *again = q->turns != turns;
  if (e == 0 && !*again && is_current && q->bytes > n) {
    buf_clear(&in);
    e = read_part(path, n, q->bytes, &in);
    bytes += in.n;
    if (e == 0) filter(buf_bytes(&in), p, &out);
  }
  if (e == 0 && !*again && out.n != bytes) {
    e = replace(path, buf_bytes(&out));
    q->rewrites++;
    if (is_current) { // even when it failed: the name may be the new file's
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

static void set_purging(struct quarantine *q, bool is_purging) {
  pthread_mutex_lock(&q->lock);
  q->is_purging = is_purging;
  pthread_mutex_unlock(&q->lock);
}

// Both files are looked through before either changes: an entry may lie in the one and its repair in the other.
static int gather_files(struct quarantine *q, struct purge *p) {
  const char *paths[] = {q->older, q->path};
  int e = 0;
  for (int i = 0; e == 0 && i < 2; i++) {
    struct buf in = {0};
    struct stat st;
    if (stat(paths[i], &st) == 0) e = read_part(paths[i], 0, (size_t)st.st_size, &in);
    if (e == 0) gather(buf_bytes(&in), p);
    if (in.p) explicit_bzero(in.p, in.cap);
    buf_deinit(&in);
  }
  if (p->gone_count) qsort(p->gone, p->gone_count, sizeof *p->gone, by_id);
  return e;
}

int quarantine_purge(struct quarantine *q, const struct bytes *text, size_t count, uint64_t *removed,
                     struct error *err) {
  struct purge p = {.text = text, .count = count, .removed = removed, .before = xcalloc(count, sizeof *removed)};
  bool again = true;
  set_purging(q, true);
  int e = gather_files(q, &p);
  while (e == 0 && again) { // the older one first: what moves there meanwhile is seen the next time round
    e = purge_file(q, false, &p, &again);
    if (e == 0 && !again) e = purge_file(q, true, &p, &again);
  }
  set_purging(q, false);
  free(p.before);
  free(p.gone);
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(q->path, '/') - q->path), q->path);
  if (e == 0) e = disk_sync_folder(folder, ".");
  return e ? error_set(err, disk_status(e), "%s: %s", folder, strerror(e)) : 0;
}
