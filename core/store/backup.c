#include "store/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "store/base.h"
#include "store/cut.h"
#include "store/datadir.h"
#include "store/disk.h"
#include "store/forget_first.h"
#include "store/hold.h"
#include "store/segment.h"
#include "store/vault.h"

#define CHUNK     (1u << 20)
#define FILES_MAX (1u << 24)
// A file that was written less long ago may be written again without another time of change.
#define RACY_NS 2000000000ll

static const char *const FOLDERS[] = {"journal", "bases", "vault", "versions", "quarantine"};
#define FOLDER_COUNT (sizeof FOLDERS / sizeof *FOLDERS)

struct backing {
  const struct backup_options *options;
  struct manifest old; // none: run 0
  struct backup_result *result;
  struct manifest *manifest; // the new one
  uint64_t done, total;
  int lock;
  uint8_t *chunk;
};

static void advance(struct backing *b, uint64_t bytes) {
  b->done += bytes;
  if (b->total < b->done) b->total = b->done;
  if (b->options->progress) b->options->progress(b->options->context, b->done, b->total);
}

static void path_in(char out[PATH_MAX], const char *dir, const char *name) {
  int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
  CHECK(n > 0 && n < PATH_MAX);
}

// ---- reading a file, or a segment's records ----
struct feed {
  int fd;                // of a file
  struct source *source; // of a segment; else NULL
  struct sealed_cache *cache;
  const char *path; // for errors
};

static int feed_read(const struct feed *f, uint64_t at, void *out, size_t n, struct error *err) {
  size_t got = 0;
  if (f->source) {
    int rc = source_read(f->source, f->cache, at, out, n, &got, err);
    if (rc) return rc;
  } else {
    int e = disk_read(f->fd, out, n, (off_t)at, &got);
    if (e) return error_set(err, disk_status(e), "%s: %s", f->path, strerror(e));
  }
  return got == n ? 0 : error_set(err, ITD_EIO, "%s became shorter while it was copied", f->path);
}

static size_t piece(uint64_t at, uint64_t size) { return size - at < CHUNK ? (size_t)(size - at) : CHUNK; }

// ---- copies ----
static bool is_stored(const struct manifest *m, const char *stored) {
  for (size_t i = 0; i < m->count; i++)
    if (strcmp(m->file[i].stored, stored) == 0) return true;
  return false;
}

static int write_failed(const char *path, int e, struct error *err) {
  return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
}

// The first `size` bytes of the feed as a file of the backup, under a name that the backup before does not use.
static int copy_new(struct backing *b, const struct feed *feed, struct manifest_file *entry, struct error *err) {
  char stored[PATH_MAX], path[PATH_MAX], part[PATH_MAX + 8];
  snprintf(stored, sizeof stored, "%s", entry->path);
  if (is_stored(&b->old, stored))
    snprintf(stored, sizeof stored, "%s@%llu", entry->path, (unsigned long long)b->manifest->run);
  path_in(path, b->options->to, stored);
  snprintf(part, sizeof part, "%s.part", path);
  int fd, rc = 0, e = disk_open(part, O_RDWR | O_CREAT | O_TRUNC, &fd);
  if (e) return write_failed(part, e, err);
  struct sha256 *sum = sha256_new();
  sha256_begin(sum);
  for (uint64_t at = 0; rc == 0 && at < entry->size;) {
    size_t n = piece(at, entry->size);
    rc = feed_read(feed, at, b->chunk, n, err);
    if (rc == 0 && (e = disk_write(fd, b->chunk, n, (off_t)at))) rc = write_failed(part, e, err);
    sha256_add(sum, bytes_of(b->chunk, n));
    at += n;
    advance(b, n);
  }
  sha256_end(sum, entry->sha256);
  sha256_free(sum);
  if (rc == 0 && (e = disk_sync_whole(fd))) rc = write_failed(part, e, err);
  close(fd);
  if (rc == 0 && (e = disk_rename(part, path))) rc = write_failed(path, e, err);
  if (rc) {
    (void)disk_unlink(part);
    return rc;
  }
  entry->stored = stored;
  manifest_add(b->manifest, entry);
  b->result->copied++;
  b->result->copied_bytes += entry->size;
  return 0;
}

static void keep(struct backing *b, const struct manifest_file *entry) {
  manifest_add(b->manifest, entry);
  b->result->kept++;
  advance(b, entry->size);
}

static uint64_t size_of(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

// The copy of before, when the feed has only grown since: what is new is written behind it, which the manifest of before
// does not see. *grown false: it is another file.
static int copy_behind(struct backing *b, const struct feed *feed, const struct manifest_file *old,
                       struct manifest_file *entry, bool *grown, struct error *err) {
  char path[PATH_MAX];
  uint8_t before[SHA256_SIZE];
  path_in(path, b->options->to, old->stored);
  *grown = false;
  if (old->size > entry->size || size_of(path) < old->size) return 0;
  struct sha256 *head = sha256_new(), *all = sha256_new();
  int fd = -1, rc = 0, e = 0;
  sha256_begin(head);
  sha256_begin(all);
  for (uint64_t at = 0; rc == 0 && at < old->size;) {
    size_t n = piece(at, old->size);
    rc = feed_read(feed, at, b->chunk, n, err);
    sha256_add(head, bytes_of(b->chunk, n));
    sha256_add(all, bytes_of(b->chunk, n));
    at += n;
  }
  sha256_end(head, before);
  *grown = rc == 0 && memcmp(before, old->sha256, SHA256_SIZE) == 0;
  if (*grown && entry->size > old->size && (e = disk_open(path, O_RDWR, &fd))) rc = write_failed(path, e, err);
  if (*grown) advance(b, old->size);
  for (uint64_t at = old->size; *grown && rc == 0 && at < entry->size;) {
    size_t n = piece(at, entry->size);
    rc = feed_read(feed, at, b->chunk, n, err);
    if (rc == 0 && (e = disk_write(fd, b->chunk, n, (off_t)at))) rc = write_failed(path, e, err);
    sha256_add(all, bytes_of(b->chunk, n));
    at += n;
    advance(b, n);
  }
  if (rc == 0 && fd >= 0 && (e = disk_sync_whole(fd))) rc = write_failed(path, e, err);
  if (fd >= 0) close(fd);
  sha256_end(all, entry->sha256);
  sha256_free(head);
  sha256_free(all);
  if (rc || !*grown) return rc;
  bool is_longer = entry->size > old->size;
  b->result->copied += is_longer;
  b->result->kept += !is_longer;
  b->result->copied_bytes += entry->size - old->size;
  entry->stored = old->stored;
  manifest_add(b->manifest, entry);
  return 0;
}

// When a file was changed last; 0: so short ago that it may be changed again without another time.
static int64_t changed_ns(const struct stat *st, bool may_change) {
  int64_t ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
  return may_change && clock_wall_ms() * 1000000 - ns < RACY_NS ? 0 : ns;
}

static bool is_as_copied(const struct backing *b, const struct manifest_file *old, const struct stat *st) {
  char path[PATH_MAX];
  path_in(path, b->options->to, old->stored);
  return old->source_ns && old->source_ns == changed_ns(st, false) && old->source_size == (uint64_t)st->st_size &&
         size_of(path) >= old->size;
}

// The first `end` bytes of a segment's records. `st`: of its log, when nobody writes it any more; else NULL.
static int copy_records(struct backing *b, const struct feed *feed, const char *name, uint64_t end,
                        const struct stat *st, struct error *err) {
  struct manifest_file entry = {.path = (char *)(uintptr_t)name, .size = end};
  if (st) entry.source_size = (uint64_t)st->st_size, entry.source_ns = changed_ns(st, true);
  const struct manifest_file *old = manifest_find(&b->old, name);
  bool is_done = false;
  int rc = old ? copy_behind(b, feed, old, &entry, &is_done, err) : 0;
  return rc || is_done ? rc : copy_new(b, feed, &entry, err);
}

enum copy_kind {
  COPY_FIXED,  // comes under its name whole, and is replaced by another file or never changes
  COPY_CHANGES // may be changed in place
};

// One file as it is, unless the backup has it. One that is not there is no failure: *there says so.
static int copy_file(struct backing *b, const char *name, enum copy_kind kind, bool *there, struct error *err) {
  char path[PATH_MAX];
  struct stat st;
  path_in(path, b->options->dir, name);
  struct feed feed = {.path = path};
  int e = disk_open(path, O_RDONLY, &feed.fd);
  if (there) *there = e == 0;
  if (e == ENOENT) return 0;
  if (e) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  CHECK(fstat(feed.fd, &st) == 0);
  struct manifest_file entry = {.path = (char *)(uintptr_t)name,
                                .size = (uint64_t)st.st_size,
                                .source_size = (uint64_t)st.st_size,
                                .source_ns = changed_ns(&st, kind == COPY_CHANGES)};
  const struct manifest_file *old = manifest_find(&b->old, name);
  int rc = 0;
  if (old && is_as_copied(b, old, &st)) {
    keep(b, old);
  } else {
    rc = copy_new(b, &feed, &entry, err);
  }
  close(feed.fd);
  return rc;
}

static int copy_folder(struct backing *b, const char *folder, enum copy_kind kind, struct error *err) {
  char path[PATH_MAX], name[PATH_MAX];
  char **names;
  size_t count;
  path_in(path, b->options->dir, folder);
  if (access(path, F_OK)) return 0;
  int rc = dir_list(path, FILES_MAX, &names, &count, err);
  if (rc) return rc;
  for (size_t i = 0; rc == 0 && i < count; i++) {
    path_in(name, folder, names[i]);
    rc = copy_file(b, name, kind, NULL, err);
  }
  dir_list_free(names, count);
  return rc;
}

// ---- the parts ----
static int copy_bases(struct backing *b, const struct cut *cut, const struct base_info *list, size_t count,
                      struct error *err) {
  const struct salvage *salvage = b->options->salvage;
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < count; i++) {
    char path[4096];
    const struct base_head *h = &list[i].head;
    bool is_here = !salvage || !salvage->is_damaged || // else not behind the end, nor before the beginning
                   (h->partitions == cut->partitions && h->seq <= cut->tip[h->partition].seq &&
                    (h->made_ms >= salvage->bases_ms || base_at(list, count, h->partition, UINT64_MAX) == &list[i]));
    if (!is_here || (salvage && base_check(b->options->dir, &list[i], NULL))) continue;
    base_path(path, b->options->dir, list[i].head.partition, list[i].head.seq);
    if (list[i].is_whole) rc = copy_file(b, path + strlen(b->options->dir) + 1, COPY_FIXED, NULL, err);
  }
  return rc;
}

// What nobody writes any more and the backup has is neither read nor walked again.
static bool has_segment(struct backing *b, const struct segment_info *s) {
  char name[64], path[PATH_MAX];
  struct stat st;
  snprintf(name, sizeof name, "journal/%02x-%08x.%s", s->log, s->number, s->is_sealed ? "seg" : "log");
  path_in(path, b->options->dir, name);
  const struct manifest_file *old = manifest_find(&b->old, name);
  if (!old || stat(path, &st) || !is_as_copied(b, old, &st)) return false;
  keep(b, old);
  return true;
}

static int copy_segment(struct backing *b, const struct segment_info *s, uint64_t end, struct error *err) {
  char name[64];
  bool is_there = false;
  struct stat st;
  struct source *source;
  int rc = source_open(b->options->dir, s->log, s->number, &source, err);
  if (rc) return rc;
  bool is_sealed = source_sealed(source) != NULL;
  snprintf(name, sizeof name, "journal/%02x-%08x.%s", s->log, s->number, is_sealed ? "seg" : "log");
  if (!is_sealed) {
    CHECK(fstat(source_fd(source), &st) == 0);
    rc = copy_records(b, &(struct feed){.source = source, .path = source_path(source)}, name, end, &st, err);
  } else {
    rc = copy_file(b, name, COPY_FIXED, &is_there, err);
    if (rc == 0 && !is_there) rc = error_set(err, ITD_EIO, "%s is gone", source_path(source));
  }
  source_close(source);
  return rc;
}

static int copy_end(struct backing *b, const struct cut *cut, const struct cut_end *e, struct error *err) {
  char name[64];
  snprintf(name, sizeof name, "journal/%02x-%08x.log", e->log, e->segment);
  struct feed feed = {.source = e->source, .cache = cut->cache, .path = source_path(e->source)};
  return copy_records(b, &feed, name, e->end, NULL, err);
}

// Walks a segment: is it whole? `end`: how much of it is.
static int walk(struct scan *scan, const struct segment_info *s, uint64_t *end, struct error *err) {
  struct scan_end e;
  int rc = scan_segment(scan, s, &e, err);
  *end = e.end;
  return rc;
}

static int copy_journal(struct backing *b, const struct cut *cut, struct error *err) {
  struct scan *scan = xcalloc(1, sizeof *scan);
  uint64_t any[256], end;
  memset(any, 0xff, sizeof any); // what the backup has is not walked
  *scan = (struct scan){.dir = b->options->dir, .floor = any, .is_live = true};
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < cut->list_count; i++) {
    const struct segment_info *s = &cut->list[i];
    bool is_last = cut->first[s->log] && s->number >= cut->first[s->log];
    if (!is_last && has_segment(b, s)) continue;
    if (is_last && !s->has_opening) continue; // made ahead
    rc = walk(scan, s, &end, err);
    if (rc == 0 && !is_last && end > SEGMENT_HEADER_SIZE) rc = copy_segment(b, s, end, err);
  }
  free(scan);
  for (size_t i = 0; rc == 0 && i < cut->count; i++) rc = copy_end(b, cut, &cut->end[i], err);
  for (unsigned p = 0; p < b->manifest->partitions; p++) {
    b->manifest->tip[p].seq = cut->tip[p].seq;
    memcpy(b->manifest->tip[p].chain, cut->tip[p].chain, SHA256_SIZE);
    b->result->reached += cut->tip[p].seq;
  }
  return rc;
}

// A ledger that does not read would be found by a restore only, and no copy of it could be mended: its digest is kept.
static int check_ledger(const struct backing *b, struct error *err) {
  char path[PATH_MAX];
  struct ledger_line *list = NULL;
  size_t count;
  path_in(path, b->options->dir, "forgotten");
  int rc = ledger_read(path, &list, &count, err);
  free(list);
  return rc == ITD_ENOTFOUND ? 0 : rc;
}

// Who is who, after the cut, so that the key of every frame is there; and with nothing erased between the two, so that
// whoever is erased here is forgotten by a frame of the cut.
static int copy_who(struct backing *b, struct cut *cut, struct error *err) {
  int hold = vault_hold(b->options->dir);
  int rc = b->options->salvage ? salvage_find(b->options->dir, b->manifest->partitions, cut, b->options->salvage, err)
                               : cut_find(b->options->dir, cut, err);
  if (rc == 0) rc = copy_folder(b, "vault", COPY_CHANGES, err);
  if (rc == 0) rc = check_ledger(b, err);
  if (rc == 0) rc = copy_file(b, "forgotten", COPY_CHANGES, NULL, err);
  vault_release(hold);
  return rc;
}

// Which numbers logs had that lost all their segments.
static int copy_numbers(struct backing *b, struct error *err) {
  char path[PATH_MAX], name[PATH_MAX];
  char **names;
  size_t count;
  unsigned log;
  uint32_t number;
  path_in(path, b->options->dir, "journal");
  int rc = dir_list(path, FILES_MAX, &names, &count, err);
  if (rc) return rc;
  for (size_t i = 0; rc == 0 && i < count; i++) {
    if (!segment_gone_file(names[i], &log, &number)) continue;
    path_in(name, "journal", names[i]);
    rc = copy_file(b, name, COPY_FIXED, NULL, err);
  }
  dir_list_free(names, count);
  return rc;
}

static int copy_rest(struct backing *b, struct error *err) {
  int rc = copy_numbers(b, err);
  if (rc == 0) rc = copy_folder(b, "versions", COPY_FIXED, err);
  if (rc == 0 && b->options->with_quarantine) rc = copy_folder(b, "quarantine", COPY_CHANGES, err);
  if (rc == 0) rc = copy_file(b, "holds", COPY_FIXED, NULL, err);
  if (rc == 0) rc = copy_file(b, "track", COPY_FIXED, NULL, err); // it goes back beyond the journal
  if (rc == 0) rc = copy_file(b, "format", COPY_FIXED, NULL, err);
  return rc;
}

// ---- the target ----
static bool is_inside(const char *inner, const char *outer) {
  size_t n = strlen(outer);
  return strncmp(inner, outer, n) == 0 && (inner[n] == '/' || !inner[n]);
}

static int check_apart(const struct backup_options *o, struct error *err) {
  char dir[PATH_MAX], to[PATH_MAX];
  if (!realpath(o->dir, dir) || !realpath(o->to, to)) return error_set(err, ITD_EIO, "%s: %s", o->to, strerror(errno));
  if (is_inside(dir, to) || is_inside(to, dir))
    return error_set(err, ITD_EINVAL, "%s and %s lie in each other: a backup belongs elsewhere, best on another disk",
                     o->dir, o->to);
  return 0;
}

static int take_target(struct backing *b, struct error *err) {
  char path[PATH_MAX];
  path_in(path, b->options->to, "backup.lock");
  bool is_new = access(path, F_OK) != 0;
  char **names = NULL;
  size_t count = 0;
  int rc = is_new ? dir_list(b->options->to, 1, &names, &count, NULL) : 0;
  dir_list_free(names, count);
  if (rc || count)
    return error_set(err, ITD_EINVAL, "%s is neither empty nor a backup: nothing was changed there", b->options->to);
  int e = disk_open(path, O_RDWR | O_CREAT, &b->lock);
  if (e) {
    b->lock = -1;
    return write_failed(path, e, err);
  }
  if (flock(b->lock, LOCK_EX | LOCK_NB))
    return error_set(err, ITD_EBUSY, "%s: another backup is being made there", b->options->to);
  rc = manifest_read(b->options->to, &b->old, err);
  if (rc == ITD_ENOTFOUND) return 0;
  if (rc == 0 && strcmp(b->old.directory, b->manifest->directory) != 0)
    return error_set(err, ITD_EINVAL, "%s is the backup of another data directory than %s", b->options->to,
                     b->options->dir);
  return rc;
}

static int make_folders(struct backing *b, struct error *err) {
  char path[PATH_MAX];
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < FOLDER_COUNT; i++) {
    path_in(path, b->options->to, FOLDERS[i]);
    rc = dir_make(path, err);
  }
  return rc;
}

static int sync_folders(struct backing *b, struct error *err) {
  int e = 0;
  for (size_t i = 0; e == 0 && i < FOLDER_COUNT; i++) e = disk_sync_folder(b->options->to, FOLDERS[i]);
  if (e == 0) e = disk_sync_folder(b->options->to, ".");
  return e ? write_failed(b->options->to, e, err) : 0;
}

static bool is_ours(const char *name) {
  for (size_t i = 0; i < FOLDER_COUNT; i++)
    if (strncmp(name, FOLDERS[i], strlen(FOLDERS[i])) == 0 && name[strlen(FOLDERS[i])] == '/') return true;
  return !strchr(name, '/') && (strchr(name, '@') || strstr(name, ".part"));
}

// What the newest manifest does not name: copies that were replaced (a forgotten lead's key is in them), rests.
static void sweep(struct backing *b) {
  char **names, path[PATH_MAX];
  size_t count;
  if (dir_list(b->options->to, FILES_MAX, &names, &count, NULL)) return;
  for (size_t i = 0; i < count; i++) {
    if (!is_ours(names[i]) || is_stored(b->manifest, names[i])) continue;
    path_in(path, b->options->to, names[i]);
    (void)disk_unlink(path);
  }
  dir_list_free(names, count);
}

// ---- all of it ----
static void add_sizes(struct backing *b) {
  for (size_t i = 0; i < FOLDER_COUNT; i++) {
    char path[PATH_MAX], name[PATH_MAX];
    char **names;
    size_t count;
    path_in(path, b->options->dir, FOLDERS[i]);
    if (access(path, F_OK) || dir_list(path, FILES_MAX, &names, &count, NULL)) continue;
    for (size_t k = 0; k < count; k++) {
      path_in(name, path, names[k]);
      b->total += size_of(name);
    }
    dir_list_free(names, count);
  }
}

static int copy_all(struct backing *b, struct error *err) {
  struct base_info *bases = NULL;
  size_t base_count = 0;
  struct cut cut = {0};
  int lock = holds_share(b->options->dir);
  add_sizes(b);
  // Bases before the cut: each is of a frame that was on disk when it was made. Versions after it.
  int rc = base_list(b->options->dir, &bases, &base_count, err);
  bool has_newest = !b->options->salvage; // which set is whole is not known then
  if (rc == 0 && has_newest) rc = copy_file(b, "bases/newest", COPY_FIXED, NULL, err);
  if (rc == 0) rc = copy_who(b, &cut, err);
  if (rc == 0) rc = copy_bases(b, &cut, bases, base_count, err);
  if (rc == 0) rc = copy_journal(b, &cut, err);
  cut_close(&cut);
  base_list_free(bases);
  holds_unlock(lock);
  return rc ? rc : copy_rest(b, err);
}

static int begin(struct backing *b, struct error *err) {
  struct datadir d;
  int rc = datadir_read(b->options->dir, &d, err);
  if (rc) return rc;
  long pid;
  if (b->options->salvage && datadir_is_held(b->options->dir, &pid))
    return error_set(err, ITD_EBUSY, "%s: a daemon runs on it (process %ld): stop it first", b->options->dir, pid);
  if (!head_directory(b->options->dir, b->manifest->directory))
    return error_set(err, ITD_EIO, "%s/format does not read", b->options->dir);
  b->manifest->partitions = d.partitions;
  b->manifest->began_ms = clock_wall_ms();
  b->manifest->has_quarantine = b->options->with_quarantine;
  snprintf(b->manifest->program, sizeof b->manifest->program, "%s", INTENTD_VERSION);
  rc = dir_make(b->options->to, err);
  if (rc == 0) rc = check_apart(b->options, err);
  if (rc == 0) rc = take_target(b, err);
  b->manifest->run = b->old.run + 1;
  return rc ? rc : make_folders(b, err);
}

// The format that was copied must be that of the cut: a reshard in between makes another one.
static int check_format(const struct backing *b, struct error *err) {
  struct datadir d;
  int rc = datadir_read(b->options->dir, &d, err);
  return rc || d.partitions == b->manifest->partitions
             ? rc
             : error_set(err, ITD_EBUSY, "%s came to have another number of partitions meanwhile: run it again",
                         b->options->dir);
}

int store_backup(const struct backup_options *options, struct backup_result *out, struct error *err) {
  struct backup_result result = {0};
  uint64_t began_ns = clock_mono_ns();
  struct backing b = {
      .options = options, .result = &result, .manifest = &result.manifest, .lock = -1, .chunk = xmalloc(CHUNK)};
  int rc = begin(&b, err);
  if (rc == 0) rc = copy_all(&b, err);
  if (rc == 0) rc = check_format(&b, err);
  if (rc == 0) rc = sync_folders(&b, err);
  if (rc == 0) {
    manifest_sort(b.manifest);
    b.manifest->ended_ms = clock_wall_ms();
    rc = manifest_write(options->to, b.manifest, err);
  }
  if (rc == 0) sweep(&b);
  for (size_t i = 0; i < b.manifest->count; i++) result.bytes += b.manifest->file[i].size;
  result.took_ms = (int64_t)((clock_mono_ns() - began_ns) / 1000000);
  if (b.lock >= 0) close(b.lock);
  manifest_deinit(&b.old);
  free(b.chunk);
  if (rc)
    manifest_deinit(&result.manifest);
  else
    *out = result;
  return rc;
}
