// The directory itself: who holds it, rights, room, versions, who is who, what was left behind.
#include "store/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "store/backup.h"
#include "store/datadir.h"
#include "store/disk.h"
#include "store/doctor_private.h"
#include "store/forget_first.h"
#include "store/hold.h"
#include "store/source.h"
#include "store/store.h"
#include "store/vault.h"

#define DAY_MS      86400000ll
#define FILES_MAX   (1u << 24)
#define QUICK_VAULT (256ull << 20) // a larger one is read only with is_deep
#define CLOCK_MS    60000          // that clocks may differ
#define CHUNK       (1u << 20)

// ---- the report ----
const char *doctor_severity_name(enum doctor_severity severity) {
  static const char *const names[] = {"ok", "note", "warning", "error"};
  return names[severity];
}

void doctor_report_deinit(struct doctor_report *r) {
  free(r->finding);
  *r = (struct doctor_report){0};
}

enum doctor_severity doctor_worst(const struct doctor_report *r) {
  enum doctor_severity worst = DOCTOR_OK;
  for (size_t i = 0; i < r->count; i++)
    if (r->finding[i].severity > worst) worst = r->finding[i].severity;
  return worst;
}

void doctor_add(struct doctor_report *r, enum doctor_severity severity, const char *subject, const char *advice,
                const char *format, ...) {
  if (r->count == r->cap) r->finding = xrealloc(r->finding, (r->cap = r->cap ? r->cap * 2 : 16) * sizeof *r->finding);
  struct doctor_finding *f = &r->finding[r->count++];
  *f = (struct doctor_finding){.severity = severity};
  snprintf(f->subject, sizeof f->subject, "%s", subject);
  snprintf(f->advice, sizeof f->advice, "%s", advice);
  va_list list;
  va_start(list, format);
  vsnprintf(f->text, sizeof f->text, format, list);
  va_end(list);
}

static void path_in(char out[PATH_MAX], const struct doctor *d, const char *name) {
  snprintf(out, PATH_MAX, "%s/%s", d->dir, name);
}

static unsigned long long mib(uint64_t bytes) { return (bytes + (1u << 20) - 1) >> 20; }

// ---- is it one? ----
static bool look_at_folder(struct doctor *d) {
  struct stat st;
  if (stat(d->dir, &st)) {
    FINDING(d, DOCTOR_ERROR, "directory", "name the data directory with --data", "%s: %s", d->dir, strerror(errno));
    return false;
  }
  if (!S_ISDIR(st.st_mode)) {
    FINDING(d, DOCTOR_ERROR, "directory", "name the data directory with --data", "%s is no folder", d->dir);
    return false;
  }
  if (access(d->dir, R_OK | X_OK)) {
    FINDING(d, DOCTOR_ERROR, "permissions", "run this as the user that owns the directory, or as root",
            "%s is of user %u and may not be read by this one (%u)", d->dir, st.st_uid, geteuid());
    return false;
  }
  return true;
}

static bool look_at_format(struct doctor *d) {
  struct datadir format = {0};
  struct error err = {0};
  int rc = datadir_read(d->dir, &format, &err);
  d->partitions = format.partitions;
  d->since = format.since;
  if (rc == 0) {
    FINDING(d, DOCTOR_OK, "format", "", "version %d, %u partitions", STORE_FORMAT, d->partitions);
    return true;
  }
  const char *advice =
      "take the file from a backup of this directory: it never changes, and without its secret nobody is "
      "known";
  char journal[PATH_MAX];
  path_in(journal, d, "journal");
  if (rc == ITD_EVERSION)
    advice = "use the program of the version that wrote it; nothing was changed";
  else if (rc == ITD_ENOTFOUND && access(journal, F_OK))
    advice = "name the data directory with --data; a daemon makes a new one where there is none";
  else if (rc == ITD_ENOTFOUND)
    advice =
        "was a restore made here, it did not end well: empty the folder and restore again. Else take the file from a "
        "backup of this directory: it never changes, and without its secret nobody is known";
  FINDING(d, DOCTOR_ERROR, "format", advice, "%s", err.text);
  return false;
}

// ---- who holds it ----
static void look_at_lock(struct doctor *d) {
  d->is_held = datadir_is_held(d->dir, &d->holder);
  if (d->is_held)
    FINDING(d, DOCTOR_OK, "lock", "", "a daemon runs on it (process %ld)", d->holder);
  else
    FINDING(d, DOCTOR_OK, "lock", "", "no daemon runs on it");
}

#define RIGHTS_ADVICE "give everything in the directory to the daemon's user, with mode 700 and 600"

struct strangers { // files of another user than the directory's
  uid_t owner, other;
  unsigned count;
  char first[PATH_MAX];
};

static void count_strangers(struct strangers *s, const char *folder) { // it ends with a slash
  DIR *dir = opendir(folder);
  if (!dir) return;
  for (struct dirent *e; (e = readdir(dir));) {
    struct stat st;
    if (strcmp(e->d_name, "..") == 0 || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW)) continue;
    if (st.st_uid == s->owner || s->count++) continue;
    s->other = st.st_uid;
    snprintf(s->first, sizeof s->first, "%.3800s%.255s", folder, e->d_name);
  }
  closedir(dir);
}

// What root did with a tool in the directory of a daemon that is not root's.
static bool look_at_owners(struct doctor *d, const struct stat *st) {
  static const char *const folders[] = {"",          "journal/", "bases/",  "vault/",
                                        "versions/", "state/",   "dedupe/", "quarantine/"};
  struct strangers s = {.owner = st->st_uid};
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    char path[PATH_MAX];
    path_in(path, d, folders[i]);
    count_strangers(&s, path);
  }
  if (s.count)
    FINDING(d, DOCTOR_ERROR, "permissions", RIGHTS_ADVICE "; run tools as that user",
            "the directory is of user %u, but %s is of user %u (files of others: %u)", s.owner, s.first, s.other,
            s.count);
  return s.count == 0;
}

static void look_at_rights(struct doctor *d) {
  static const char *const folders[] = {"journal", "bases", "vault", "versions", "state"};
  struct stat st;
  if (stat(d->dir, &st)) return;
  bool is_well = look_at_owners(d, &st);
  if (st.st_mode & (S_IRWXG | S_IRWXO)) {
    FINDING(d, DOCTOR_WARNING, "permissions", "chmod 700 the directory",
            "%s may be used by others than its user (mode %03o): it holds personal data and the keys to it", d->dir,
            st.st_mode & 0777u);
    is_well = false;
  }
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    char path[PATH_MAX];
    path_in(path, d, folders[i]);
    if (access(path, F_OK) || access(path, R_OK | X_OK) == 0) continue;
    FINDING(d, DOCTOR_ERROR, "permissions", RIGHTS_ADVICE, "%s may not be read", path);
    is_well = false;
  }
  if (is_well) FINDING(d, DOCTOR_OK, "permissions", "", "for its user only");
}

// ---- room ----
// Bytes of the segments that were written in the day before the newest frame.
static uint64_t bytes_of_a_day(const struct doctor *d) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < d->count; i++) {
    char path[SEGMENT_PATH_MAX];
    struct stat st;
    const struct segment_info *s = &d->list[i], *next = segment_after(d->list, d->count, s);
    if (!s->has_opening || (next && next->received_ms < d->newest_ms - DAY_MS)) continue;
    if (s->is_sealed)
      sealed_path(path, d->dir, s->log, s->number);
    else
      segment_path(path, d->dir, s->log, s->number);
    if (stat(path, &st) == 0) bytes += (uint64_t)st.st_size;
  }
  return bytes;
}

static void look_at_room(struct doctor *d) {
  struct statvfs fs;
  if (statvfs(d->dir, &fs)) {
    FINDING(d, DOCTOR_WARNING, "disk", "", "%s: %s", d->dir, strerror(errno));
    return;
  }
  static const char make_room[] = "make room, or let old journal go (retention.age, retention.bytes). Full: nothing is "
                                  "acknowledged until there is room; nothing that was is at risk";
  uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize, day = bytes_of_a_day(d);
  if (fs.f_flag & ST_RDONLY)
    FINDING(d, DOCTOR_ERROR, "disk",
            "a daemon needs to write: mount it so; a file system that failed is remounted "
            "read-only by the system, see its log",
            "the file system is read-only");
  if (left < d->options->free_bytes)
    FINDING(d, DOCTOR_WARNING, "disk", make_room, "%llu MiB are free", mib(left));
  else if (day && left / day < 3)
    FINDING(d, DOCTOR_WARNING, "disk", make_room, "%llu MiB are free; the journal grew by %llu MiB in its last day",
            mib(left), mib(day));
  else
    FINDING(d, DOCTOR_OK, "disk", "", "%llu MiB are free; the journal grew by %llu MiB in its last day", mib(left),
            mib(day));
  if (fs.f_files && fs.f_favail < 1000)
    FINDING(d, DOCTOR_WARNING, "disk", "take files away", "the file system has room for %llu more files only",
            (unsigned long long)fs.f_favail);
}

// ---- versions of the policy ----
static void look_at_versions(struct doctor *d) {
  char path[PATH_MAX], hash[65], line[128];
  unsigned number, count = 0, missing = 0, first_missing = 0;
  path_in(path, d, "versions/numbers");
  FILE *numbers = fopen(path, "re");
  if (!numbers && d->newest_ms)
    FINDING(d, DOCTOR_ERROR, "versions", "take the folder versions/ from a backup: it only ever grows", "%s: %s", path,
            strerror(errno));
  if (!numbers) return;
  while (fgets(line, sizeof line, numbers)) {
    if (sscanf(line, "%u %64[0-9a-f]", &number, hash) != 2) {
      FINDING(d, DOCTOR_ERROR, "versions", "take it from a backup", "%s: line %u does not read", path, count + 1);
      break;
    }
    char archive[PATH_MAX];
    snprintf(archive, sizeof archive, "%.3900s/versions/%s", d->dir, hash);
    if (access(archive, R_OK) && !missing++) first_missing = number;
    count++;
  }
  fclose(numbers);
  if (missing)
    FINDING(d, DOCTOR_ERROR, "versions", "take the folder versions/ from a backup: it only ever grows",
            "%u of %u versions of the policy are missing, the first is number %u: decisions of theirs can't be folded",
            missing, count, first_missing);
  else
    FINDING(d, DOCTOR_OK, "versions", "", "%u of the policy", count);
}

// ---- who is who, who was forgotten, who was refused ----
static uint64_t folder_bytes(const char *path, size_t *files) {
  char **names;
  size_t count;
  uint64_t bytes = 0;
  *files = 0;
  if (access(path, F_OK) || dir_list(path, FILES_MAX, &names, &count, NULL)) return 0;
  for (size_t i = 0; i < count; i++) {
    char file[PATH_MAX];
    struct stat st;
    snprintf(file, sizeof file, "%.3000s/%.1000s", path, names[i]);
    if (stat(file, &st) == 0) bytes += (uint64_t)st.st_size;
  }
  *files = count;
  dir_list_free(names, count);
  return bytes;
}

#define VAULT_ADVICE "take this file from a backup that is newer than the damage, or restore"

struct counted {
  uint64_t leads, identities;
};

static int count_record(void *context, uint64_t address, const struct vault_record *r, struct error *err) {
  (void)address, (void)err;
  struct counted *c = context;
  c->leads += r->type == VAULT_LEAD;
  c->identities += r->type == VAULT_IDENTITY && r->kind != IDENTITY_LINK;
  return 0;
}

// Each file of the vault up to where LMDB saw it end. A log whose files are all gone is missed by nothing else.
static bool has_vault_files(struct doctor *d) {
  for (unsigned log = 0; d->has_state && log < 256; log++) {
    for (uint32_t number = 1; number <= d->state.vault[log].number; number++) {
      char path[PATH_MAX];
      snprintf(path, sizeof path, "%.3900s/vault/%02x-%08x.vault", d->dir, log, number);
      if (access(path, F_OK) == 0) continue;
      FINDING(d, DOCTOR_ERROR, "vault", VAULT_ADVICE, "%s is gone", path);
      return false;
    }
  }
  return true;
}

static void look_at_vault(struct doctor *d) {
  char path[PATH_MAX];
  size_t files;
  path_in(path, d, "vault");
  uint64_t bytes = folder_bytes(path, &files);
  if (access(path, F_OK)) {
    if (d->newest_ms)
      FINDING(d, DOCTOR_ERROR, "vault",
              "restore a backup: without the vault nobody is known and nothing personal opens", "%s is not there",
              path);
    return;
  }
  if (!has_vault_files(d)) return;
  if (!d->options->is_deep && bytes > QUICK_VAULT) {
    FINDING(d, DOCTOR_OK, "vault", "", "%llu MiB in %zu files; not read (--deep)", mib(bytes), files);
    return;
  }
  struct counted c = {0};
  struct error err = {0};
  struct vault_tip from[256] = {0}, to[256];
  if (vault_scan(d->dir, from, count_record, &c, to, &err) < 0)
    FINDING(d, DOCTOR_ERROR, "vault", VAULT_ADVICE, "%s", err.text);
  else
    FINDING(d, DOCTOR_OK, "vault", "", "%llu leads, %llu identities", (unsigned long long)c.leads,
            (unsigned long long)c.identities);
}

// The ledger is as old as the directory: every start makes one where there is none.
static void look_at_forgotten(struct doctor *d) {
  static const char advice[] =
      "take the file from the newest backup, and add what was forgotten since, a line "
      "\"LEAD MILLISECONDS\" each (intent journal export --kind forget): without it a restore of "
      "an older backup brings those leads back";
  char path[PATH_MAX];
  struct ledger_line *list = NULL;
  size_t count = 0;
  struct error err = {0};
  path_in(path, d, "forgotten");
  int rc = ledger_read(path, &list, &count, &err);
  if (rc == 0)
    FINDING(d, DOCTOR_OK, "forgotten", "", "%zu leads", count);
  else if (rc != ITD_ENOTFOUND)
    FINDING(d, DOCTOR_ERROR, "forgotten", advice, "%s", err.text);
  else if (d->newest_ms)
    FINDING(d, DOCTOR_WARNING, "forgotten", advice, "%s is not there", path);
  free(list);
}

static void look_at_quarantine(struct doctor *d) {
  char path[PATH_MAX];
  size_t files;
  path_in(path, d, "quarantine");
  uint64_t bytes = folder_bytes(path, &files);
  if (bytes)
    FINDING(d, DOCTOR_NOTE, "quarantine", "look at why, then take the files away: they hold personal data in clear",
            "%llu KiB of refused events are kept", (unsigned long long)((bytes + 1023) >> 10));
}

// ---- holds ----
static void look_at_holds(struct doctor *d) {
  struct hold *list;
  size_t count;
  struct error err = {0};
  if (holds_read(d->dir, &list, &count, &err) < 0) {
    FINDING(d, DOCTOR_ERROR, "holds", "mend the line, or take the file from a backup", "%s", err.text);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    int64_t age_ms = clock_wall_ms() - list[i].made_ms;
    if (age_ms > d->options->hold_age_ms)
      FINDING(d, DOCTOR_NOTE, "holds", "release it when it is not needed any more",
              "\"%s\" has kept the journal for %lld days: %s", list[i].name, (long long)(age_ms / DAY_MS), list[i].why);
  }
  if (count) FINDING(d, DOCTOR_OK, "holds", "", "%zu", count);
  free(list);
}

// ---- the clock ----
static void look_at_clock(struct doctor *d) {
  int64_t ahead_ms = d->newest_ms - clock_wall_ms();
  if (ahead_ms > CLOCK_MS)
    FINDING(d, DOCTOR_WARNING, "clock", "mend the machine's clock before a daemon starts",
            "the newest frame was received %lld seconds from now: the clock was set back",
            (long long)(ahead_ms / 1000));
}

// ---- rests ----
static bool is_rest(const char *name) {
  size_t n = strlen(name);
  return (n > 4 && strcmp(name + n - 4, ".new") == 0) || (n > 5 && strcmp(name + n - 5, ".part") == 0);
}

static void look_at_rests(struct doctor *d) {
  static const char *const folders[] = {".", "journal", "bases", "vault", "versions", "quarantine", "dedupe"};
  unsigned count = 0;
  char first[PATH_MAX] = "";
  if (d->is_held) return; // it may be writing them
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    char path[PATH_MAX];
    path_in(path, d, folders[i]);
    DIR *dir = opendir(path);
    if (!dir) continue;
    for (struct dirent *e; (e = readdir(dir));)
      if (is_rest(e->d_name) && !count++) snprintf(first, sizeof first, "%s/%.255s", folders[i], e->d_name);
    closedir(dir);
  }
  if (count)
    FINDING(d, DOCTOR_NOTE, "leftovers", "the next start takes them away or writes over them",
            "%u files were being made when the daemon ended, such as %s", count, first);
}

// ---- a backup ----
static bool has_digest(const char *path, const struct manifest_file *f) {
  uint8_t is[SHA256_SIZE];
  int fd, e = disk_open(path, O_RDONLY, &fd);
  if (e) return false;
  uint8_t *chunk = xmalloc(CHUNK);
  struct sha256 *sum = sha256_new();
  sha256_begin(sum);
  uint64_t at = 0;
  for (size_t got = 1; got && at < f->size; at += got) {
    if (disk_read(fd, chunk, f->size - at < CHUNK ? (size_t)(f->size - at) : CHUNK, (off_t)at, &got)) break;
    sha256_add(sum, bytes_of(chunk, got));
  }
  sha256_end(sum, is);
  sha256_free(sum);
  free(chunk);
  close(fd);
  return at == f->size && memcmp(is, f->sha256, SHA256_SIZE) == 0;
}

static void look_at_backup(struct doctor *d) {
  struct manifest m;
  struct error err = {0};
  unsigned missing = 0;
  if (manifest_read(d->dir, &m, &err) < 0) {
    FINDING(d, DOCTOR_ERROR, "backup", "make a new backup in an empty folder", "%s", err.text);
    return;
  }
  for (size_t i = 0; i < m.count; i++) {
    char path[PATH_MAX];
    struct stat st;
    path_in(path, d, m.file[i].stored);
    bool is_there = stat(path, &st) == 0 && (uint64_t)st.st_size >= m.file[i].size;
    if (is_there && (!d->options->is_deep || has_digest(path, &m.file[i]))) continue;
    if (!missing++)
      FINDING(d, DOCTOR_ERROR, "backup", "make a new backup in an empty folder", "%s %s", path,
              is_there ? "is not as its digest says" : "is missing or cut");
  }
  int64_t age_ms = clock_wall_ms() - m.began_ms;
  if (!missing)
    FINDING(d, DOCTOR_OK, "backup", "intent restore verifies every byte of it",
            "a backup with %zu files, made %lld hours ago%s", m.count, (long long)(age_ms / 3600000),
            d->options->is_deep ? "; each is as its digest says" : "; digests were not read (--deep)");
  manifest_deinit(&m);
}

// ---- all of it ----
void doctor_look(const struct doctor_options *options, struct doctor_report *report) {
  struct doctor d = {.options = options, .report = report, .dir = options->dir};
  char backup[PATH_MAX];
  if (!look_at_folder(&d)) return;
  manifest_path(backup, d.dir);
  if (access(backup, F_OK) == 0) {
    look_at_backup(&d);
    return;
  }
  if (!look_at_format(&d)) return;
  d.scan = xcalloc(1, sizeof *d.scan);
  look_at_lock(&d);
  look_at_rights(&d);
  doctor_state(&d); // before the journal, which only grows meanwhile
  doctor_list_bases(&d);
  doctor_journal(&d);
  doctor_bases(&d);
  doctor_lag(&d);
  look_at_room(&d);
  look_at_versions(&d);
  look_at_vault(&d);
  look_at_forgotten(&d);
  look_at_quarantine(&d);
  look_at_holds(&d);
  look_at_clock(&d);
  look_at_rests(&d);
  segment_list_free(d.list, d.count);
  base_list_free(d.base);
  free(d.scan);
}
