// Reading the quarantine's files: entries with what was noted of them since.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "store/disk.h"
#include "store/quarantine_private.h"
#include "wire/mp.h"

bool quarantine_next(struct bytes from, size_t *n) {
  const struct mp_limits limits = {.depth_max = 4, .objects_max = 64, .bytes_max = SIZE_MAX};
  return from.n && mp_scan(from, &limits, n, NULL) == 1 && mp_value_of(bytes_of(from.p, *n)).type == MP_MAP;
}

struct bytes quarantine_text_of(struct bytes record, const char *key) {
  struct bytes value, text = {0};
  if (mp_find(record, bytes_str(key), &value)) mp_as_str(value, &text);
  return text;
}

static struct bytes rest_of(struct bytes all, size_t at) {
  return at < all.n ? bytes_of(all.p + at, all.n - at) : (struct bytes){0};
}

enum { WINDOW = 4 << 20 };

int quarantine_each(const char *path, size_t at, size_t end, void (*visit)(void *context, struct bytes record),
                    void *context, size_t *whole) {
  const struct mp_limits any = {.depth_max = 4, .objects_max = 64, .bytes_max = SIZE_MAX};
  struct buf window = {0};
  size_t want = WINDOW, n;
  int fd = -1, e = at < end ? disk_open(path, O_RDONLY, &fd) : ENOENT;
  *whole = at;
  for (bool more = e == 0; e == 0 && more;) {
    size_t from = *whole, left = end - from < want ? end - from : want, got = 0;
    buf_clear(&window);
    if (left) e = disk_read(fd, buf_reserve(&window, left), left, (off_t)from, &got);
    window.n = e ? 0 : got;
    struct bytes rest = buf_bytes(&window);
    for (; quarantine_next(rest, &n); rest = rest_of(rest, n)) {
      if (visit) visit(context, bytes_of(rest.p, n));
      *whole += n;
    }
    more = got == left && left < end - from;                        // it goes on behind the window
    if (rest.n && mp_scan(rest, &any, &n, NULL) != 0) more = false; // damage, not a record that the window cuts
    want = rest.n == window.n ? 2 * want : WINDOW;
  }
  if (fd >= 0) close(fd);
  if (window.p) explicit_bzero(window.p, window.cap);
  buf_deinit(&window);
  return e == ENOENT ? 0 : e;
}

static int64_t int_of(struct bytes record, const char *key) {
  struct bytes value;
  struct mp_value v;
  if (!mp_find(record, bytes_str(key), &value)) return 0;
  v = mp_value_of(value);
  return v.type == MP_INT ? v.i : 0;
}

struct bytes quarantine_bin_of(struct bytes record, const char *key) {
  struct bytes value;
  if (!mp_find(record, bytes_str(key), &value)) return (struct bytes){0};
  struct mp_value v = mp_value_of(value);
  return v.type == MP_BIN ? v.s : (struct bytes){0};
}

bool quarantine_id_read(struct bytes text, uint64_t *id) {
  uint8_t b[QUARANTINE_ID / 2];
  if (text.n != QUARANTINE_ID || hex_decode(text, b, sizeof b) != 0) return false;
  *id = 0;
  for (size_t i = 0; i < sizeof b; i++) *id = *id << 8 | b[i];
  return true;
}

void quarantine_id_text(uint64_t id, char out[QUARANTINE_ID + 1]) {
  snprintf(out, QUARANTINE_ID + 1, "%016llx", (unsigned long long)id);
}

struct quarantine_record quarantine_record_of(struct bytes record) {
  struct quarantine_record r = {.kind = RECORD_FIX};
  if (quarantine_id_read(quarantine_text_of(record, "fix"), &r.id)) return r;
  r.kind = RECORD_REPLAY;
  if (quarantine_id_read(quarantine_text_of(record, "replayed"), &r.id)) return r;
  r.kind = RECORD_ENTRY;
  if (!quarantine_id_read(quarantine_text_of(record, "id"), &r.id)) r.id = hash64(record);
  return r;
}

// ---- both files ----
struct files {
  struct buf bytes;
  uint64_t older; // which file the older one is: its inode
};

static int read_file(const char *path, struct buf *out, uint64_t *inode) {
  struct stat st;
  size_t got = 0;
  int fd = -1, e = disk_open(path, O_RDONLY, &fd);
  *inode = 0;
  if (e) return e == ENOENT ? 0 : e;
  if (fstat(fd, &st) == 0 && st.st_size > 0) {
    *inode = (uint64_t)st.st_ino;
    e = disk_read(fd, buf_reserve(out, (size_t)st.st_size), (size_t)st.st_size, 0, &got);
    out->n += e ? 0 : got;
  }
  close(fd);
  return e;
}

// The older file, then the newer one; once more when they took turns meanwhile. What is cut at the end of the first is
// left out.
static int read_files(const char *dir, struct files *f, struct error *err) {
  char path[2][PATH_MAX];
  snprintf(path[0], PATH_MAX, "%s/quarantine/events.1.mp", dir);
  snprintf(path[1], PATH_MAX, "%s/quarantine/events.mp", dir);
  int e = 0;
  for (int attempt = 0; attempt < 8; attempt++) {
    uint64_t inode[2];
    struct stat st = {0};
    buf_clear(&f->bytes);
    e = read_file(path[0], &f->bytes, &inode[0]);
    size_t at = 0, n;
    while (quarantine_next(rest_of(buf_bytes(&f->bytes), at), &n)) at += n;
    f->bytes.n = at;
    if (e == 0) e = read_file(path[1], &f->bytes, &inode[1]);
    uint64_t now = stat(path[0], &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_ino : 0;
    if (e || now == inode[0]) break;
  }
  return e ? error_set(err, disk_status(e), "%s/quarantine: %s", dir, strerror(e)) : 0;
}

// ---- what was noted ----
struct note {
  uint64_t id;
  size_t at; // where it begins: the later one counts
  enum quarantine_kind kind;
  struct bytes record;
};

static int by_place(const void *a, const void *b) {
  const struct note *x = a, *y = b;
  if (x->id != y->id) return x->id < y->id ? -1 : 1;
  return (x->at > y->at) - (x->at < y->at);
}

static struct note *gather_notes(struct bytes all, size_t *count) {
  struct note *notes = NULL;
  size_t cap = 0, n;
  *count = 0;
  for (size_t at = 0; quarantine_next(rest_of(all, at), &n); at += n) {
    struct quarantine_record r = quarantine_record_of(bytes_of(all.p + at, n));
    if (r.kind == RECORD_ENTRY) continue;
    if (*count == cap) notes = xrealloc(notes, (cap = cap ? 2 * cap : 64) * sizeof *notes);
    notes[(*count)++] = (struct note){r.id, at, r.kind, bytes_of(all.p + at, n)};
  }
  if (*count) qsort(notes, *count, sizeof *notes, by_place);
  return notes;
}

static void add_notes(struct quarantine_entry *e, uint64_t id, const struct note *notes, size_t count) {
  size_t from = 0, to = count;
  while (from < to) { // the first of that id
    size_t middle = (from + to) / 2;
    if (notes[middle].id < id)
      from = middle + 1;
    else
      to = middle;
  }
  for (; from < count && notes[from].id == id; from++) {
    struct bytes record = notes[from].record;
    if (notes[from].kind == RECORD_FIX) {
      e->fixed = quarantine_bin_of(record, "event");
      e->fixed_by = quarantine_text_of(record, "by");
      e->fixed_ms = int_of(record, "at_ms");
    } else {
      e->replayed_by = quarantine_text_of(record, "by");
      e->decision = quarantine_text_of(record, "decision");
      e->replayed_ms = int_of(record, "at_ms");
    }
  }
}

int quarantine_walk(const char *dir, quarantine_visit visit, void *context, struct error *err) {
  struct files f = {0};
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s/quarantine", dir);
  if (access(folder, F_OK) != 0)
    return error_set(err, ITD_ENOTFOUND, "%s is no data directory, or one without its quarantine", dir);
  int rc = read_files(dir, &f, err);
  struct bytes all = buf_bytes(&f.bytes);
  size_t count = 0, n;
  struct note *notes = rc == 0 ? gather_notes(all, &count) : NULL;
  for (size_t at = 0; rc == 0 && quarantine_next(rest_of(all, at), &n); at += n) {
    struct bytes record = bytes_of(all.p + at, n);
    struct quarantine_record r = quarantine_record_of(record);
    if (r.kind != RECORD_ENTRY) continue;
    struct quarantine_entry e = {.code = quarantine_text_of(record, "code"),
                                 .text = quarantine_text_of(record, "text"),
                                 .event = quarantine_bin_of(record, "event"),
                                 .received_ms = int_of(record, "received_ms")};
    quarantine_id_text(r.id, e.id);
    add_notes(&e, r.id, notes, count);
    rc = visit(context, &e);
  }
  free(notes);
  if (f.bytes.p) explicit_bzero(f.bytes.p, f.bytes.cap);
  buf_deinit(&f.bytes);
  return rc;
}
