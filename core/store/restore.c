// Back from a backup: everything is copied and verified, and `format` comes last.
#include "store/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "store/base.h"
#include "store/datadir.h"
#include "store/disk.h"
#include "store/forget_first.h"
#include "store/journal_scan.h"
#include "store/vault.h"

#define CHUNK (1u << 20)

struct restoring {
  const struct restore_options *options;
  struct restore_result *result;
  struct manifest *manifest;
  struct datadir format;
  uint64_t done;
  uint8_t *chunk;
};

static int copy_failed(const char *path, int e, struct error *err) {
  return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
}

// ---- copies ----
static int copy_one(struct restoring *r, const struct manifest_file *f, const char *name, struct error *err) {
  char from[PATH_MAX], to[PATH_MAX];
  uint8_t is[SHA256_SIZE];
  snprintf(from, sizeof from, "%s/%s", r->options->from, f->stored);
  snprintf(to, sizeof to, "%s/%s", r->options->to, name);
  int in, out, rc = 0, e = disk_open(from, O_RDONLY, &in);
  if (e == ENOENT) return error_set(err, ITD_ECORRUPT, "%s is missing", from);
  if (e) return copy_failed(from, e, err);
  if ((e = disk_open(to, O_RDWR | O_CREAT | O_EXCL, &out))) {
    close(in);
    return copy_failed(to, e, err);
  }
  struct sha256 *sum = sha256_new();
  sha256_begin(sum);
  for (uint64_t at = 0; rc == 0 && at < f->size;) {
    size_t n = f->size - at < CHUNK ? (size_t)(f->size - at) : CHUNK, got;
    if ((e = disk_read(in, r->chunk, n, (off_t)at, &got)))
      rc = copy_failed(from, e, err);
    else if (got < n)
      rc = error_set(err, ITD_ECORRUPT, "%s: it ends at %llu of %llu bytes", from, (unsigned long long)(at + got),
                     (unsigned long long)f->size);
    else if ((e = disk_write(out, r->chunk, n, (off_t)at)))
      rc = copy_failed(to, e, err);
    sha256_add(sum, bytes_of(r->chunk, n));
    at += n;
    r->done += n;
    if (r->options->progress) r->options->progress(r->options->context, r->done, r->result->bytes);
  }
  sha256_end(sum, is);
  sha256_free(sum);
  if (rc == 0 && memcmp(is, f->sha256, SHA256_SIZE) != 0)
    rc = error_set(err, ITD_ECORRUPT, "%s: its digest is not the manifest's: it was changed since the backup", from);
  if (rc == 0 && (e = disk_sync_whole(out))) rc = copy_failed(to, e, err);
  close(in);
  close(out);
  if (rc) (void)disk_unlink(to);
  return rc;
}

static int make_folder(const struct restoring *r, const char *path, struct error *err) {
  char folder[PATH_MAX];
  const char *slash = strchr(path, '/');
  if (!slash) return 0;
  snprintf(folder, sizeof folder, "%s/%.*s", r->options->to, (int)(slash - path), path);
  return dir_make(folder, err);
}

#define FORMAT_PART ".format.new" // until everything else is verified

static int copy_files(struct restoring *r, struct error *err) {
  char format[PATH_MAX];
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < r->manifest->count; i++) {
    const struct manifest_file *f = &r->manifest->file[i];
    rc = make_folder(r, f->path, err);
    if (rc == 0) rc = copy_one(r, f, strcmp(f->path, "format") == 0 ? FORMAT_PART : f->path, err);
  }
  snprintf(format, sizeof format, "%s/" FORMAT_PART, r->options->to);
  if (rc == 0) rc = datadir_read_file(format, &r->format, err);
  if (rc == 0 && r->format.partitions != r->manifest->partitions)
    rc = error_set(err, ITD_ECORRUPT, "%s: of %u partitions, the manifest says %u", format, r->format.partitions,
                   r->manifest->partitions);
  return rc;
}

static int put_format(const struct restoring *r, struct error *err) {
  char from[PATH_MAX], to[PATH_MAX];
  snprintf(from, sizeof from, "%s/" FORMAT_PART, r->options->to);
  snprintf(to, sizeof to, "%s/format", r->options->to);
  int e = disk_rename(from, to);
  return e ? copy_failed(to, e, err) : 0;
}

static int sync_folders(const struct restoring *r, struct error *err) {
  int e = 0;
  for (size_t i = 0; e == 0 && i < r->manifest->count; i++) {
    const char *slash = strchr(r->manifest->file[i].path, '/');
    char folder[256];
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - r->manifest->file[i].path) : 1,
             slash ? r->manifest->file[i].path : ".");
    e = disk_sync_folder(r->options->to, folder);
  }
  return e ? copy_failed(r->options->to, e, err) : 0;
}

// ---- is it whole? ----
static int check_tips(const struct restoring *r, const struct scan *scan, struct error *err) {
  for (unsigned p = 0; p < r->manifest->partitions; p++) {
    const struct manifest_tip *said = &r->manifest->tip[p];
    const struct journal_tip *is = &scan->tip[p].tip;
    if (is->seq != said->seq || memcmp(is->chain, said->chain, SHA256_SIZE) != 0)
      return error_set(err, ITD_ECORRUPT,
                       "%s/journal: partition %u ends with frame %llu, the manifest says frame %llu%s",
                       r->options->from, p, (unsigned long long)is->seq, (unsigned long long)said->seq,
                       is->seq == said->seq ? " with another chain" : "");
  }
  return 0;
}

static int check_journal(struct restoring *r, struct scan *scan, struct error *err) {
  struct segment_info *list;
  size_t count;
  int rc = segment_list(r->options->to, &list, &count, err);
  if (rc) return rc;
  *scan = (struct scan){.dir = r->options->to};
  for (size_t i = 0; rc == 0 && i < count; i++) {
    struct scan_end end;
    rc = scan_segment(scan, &list[i], &end, err);
    if (rc == 0 && (end.is_torn || end.end <= SEGMENT_HEADER_SIZE))
      rc = error_set(err, ITD_ECORRUPT, "%s/journal: segment %02x-%08x does not end with a whole commit",
                     r->options->from, list[i].log, list[i].number);
  }
  segment_list_free(list, count);
  r->result->frames = scan->frames;
  return rc ? rc : check_tips(r, scan, err);
}

static int check_bases(struct restoring *r, const struct scan *scan, struct error *err) {
  struct base_info *list;
  size_t count;
  int rc = base_list(r->options->to, &list, &count, err);
  if (rc) return rc;
  for (size_t i = 0; rc == 0 && i < count; i++) rc = base_check(r->options->to, &list[i], err);
  r->result->bases = count;
  base_only(list, &count, r->format.partitions, r->format.since.seq);
  for (unsigned p = 0; rc == 0 && p < r->manifest->partitions; p++) {
    const struct base_info *base = base_at(list, count, p, UINT64_MAX);
    uint64_t seq = base ? base->head.seq : 0;
    if (seq < scan->tip[p].from || seq > scan->tip[p].tip.seq)
      rc = error_set(err, ITD_ECORRUPT,
                     "%s: the journal of partition %u has the frames %llu to %llu, its base is of %llu",
                     r->options->from, p, (unsigned long long)scan->tip[p].from + 1,
                     (unsigned long long)scan->tip[p].tip.seq, (unsigned long long)seq);
  }
  base_list_free(list);
  return rc;
}

static int count_record(void *context, uint64_t address, const struct vault_record *record, struct error *err) {
  (void)address, (void)err;
  struct restoring *r = context;
  r->result->identities += record->type == VAULT_IDENTITY && record->kind != IDENTITY_LINK;
  return 0;
}

static int check_all(struct restoring *r, struct error *err) {
  struct scan *scan = xcalloc(1, sizeof *scan);
  int rc = check_journal(r, scan, err);
  if (rc == 0) rc = check_bases(r, scan, err);
  free(scan);
  struct vault_tip from[256] = {0}, to[256];
  return rc ? rc : vault_scan(r->options->to, from, count_record, r, to, err);
}

// ---- who was forgotten later ----
struct ledgers {
  struct ledger_line *line; // of all that were given, one after the other
  size_t count;
};

static int add_ledger(struct ledgers *all, const char *path, const struct ledger_line *known, size_t known_count,
                      bool *has_known, struct error *err) {
  char inside[PATH_MAX];
  struct stat st;
  struct ledger_line *list;
  size_t count, has = 0;
  if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
    snprintf(inside, sizeof inside, "%s/forgotten", path);
    path = inside;
  }
  int rc = ledger_read(path, &list, &count, err);
  if (rc) return rc;
  for (size_t i = 0; i < known_count; i++) has += ledger_has(list, count, known[i].lead);
  *has_known |= has == known_count;
  all->line = xrealloc(all->line, (all->count + count + 1) * sizeof *all->line);
  if (count) memcpy(all->line + all->count, list, count * sizeof *list);
  all->count += count;
  free(list);
  return 0;
}

// What the ledgers have and the backup has not is left for the first opening of the directory.
static int leave_later(struct restoring *r, const struct ledgers *all, const struct ledger_line *known,
                       size_t known_count, struct error *err) {
  struct ledger_line *later = xcalloc(all->count + 1, sizeof *later);
  size_t n = 0;
  for (size_t i = 0; i < all->count; i++)
    if (!ledger_has(known, known_count, all->line[i].lead)) later[n++] = all->line[i];
  r->result->later = n;
  int rc = n ? forget_first_write(r->options->to, later, n, err) : 0;
  free(later);
  return rc;
}

static int take_ledgers(struct restoring *r, struct error *err) {
  char path[PATH_MAX];
  struct ledger_line *known = NULL;
  size_t known_count = 0;
  struct ledgers all = {0};
  bool has_known = false;
  snprintf(path, sizeof path, "%s/forgotten", r->options->to);
  int rc = access(path, F_OK) ? 0 : ledger_read(path, &known, &known_count, err);
  for (size_t i = 0; rc == 0 && i < r->options->forgotten_count; i++)
    rc = add_ledger(&all, r->options->forgotten[i], known, known_count, &has_known, err);
  if (rc == 0 && r->options->forgotten_count && !has_known)
    rc = error_set(err, ITD_EINVAL,
                   "%s: leads are missing in it that were forgotten before the backup was made: it is older, or of "
                   "another directory",
                   r->options->forgotten[0]);
  if (rc == 0) rc = leave_later(r, &all, known, known_count, err);
  free(known);
  free(all.line);
  return rc;
}

// ---- all of it ----
static int check_empty(const char *path, struct error *err) {
  DIR *d = opendir(path);
  bool is_empty = true;
  if (!d) return copy_failed(path, errno, err);
  for (struct dirent *e; (e = readdir(d));)
    is_empty = is_empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
  closedir(d);
  return is_empty ? 0 : error_set(err, ITD_EINVAL, "%s is not empty: a backup is restored into an empty folder", path);
}

static int restore(struct restoring *r, struct error *err) {
  int rc = manifest_read(r->options->from, r->manifest, err);
  if (rc == ITD_ENOTFOUND)
    return error_set(err, rc, "%s is no backup: it has no whole file \"backup.json\"", r->options->from);
  if (rc == 0) rc = dir_make(r->options->to, err);
  if (rc == 0) rc = check_empty(r->options->to, err);
  for (size_t i = 0; i < r->manifest->count; i++) r->result->bytes += r->manifest->file[i].size;
  if (rc == 0) rc = copy_files(r, err);
  if (rc == 0) rc = check_all(r, err);
  if (rc == 0) rc = take_ledgers(r, err);
  if (rc == 0) rc = sync_folders(r, err);
  if (rc == 0) rc = put_format(r, err);
  if (rc == 0) rc = sync_folders(r, err);
  return rc;
}

int store_restore(const struct restore_options *options, struct restore_result *out, struct error *err) {
  struct restore_result result = {0};
  struct restoring r = {.options = options, .result = &result, .manifest = &result.manifest, .chunk = xmalloc(CHUNK)};
  int rc = restore(&r, err);
  free(r.chunk);
  if (rc)
    manifest_deinit(&result.manifest);
  else
    *out = result;
  return rc;
}
