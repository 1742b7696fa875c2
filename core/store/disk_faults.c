// Plans, and what a disk may lose: for each page that was written and not synced, what was there before; for each name
// that changed since its folder's sync, the way back.
#include "store/disk_faults.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"

#define RULES_MAX 32
#define PAGE      4096
#define SECTOR    512

struct rule {
  enum disk_operation operation;
  char files[128];
  uint64_t from, count, chance; // chance: one in so many; 0: from, and count of them
  char switch_file[PATH_MAX];   // else: while it exists
  int number;                   // errno; 0: none
  bool is_short, is_power;
  uint64_t seen, fired;
};

struct lost { // a page of a file as it was when it was last synced
  char *path;
  off_t at;
  size_t n;
  uint8_t *was;
  bool is_lost; // a sync failed: only writing it again brings it to the disk
  bool
      is_cut; // by a truncation, which the file system's own journal keeps: a sync that failed may be followed by a good one
};

struct name_change {
  enum { MADE, RENAMED, REMOVED } what;
  char *path, *from; // from: RENAMED
  char *kept;        // where the file is that was replaced or removed; NULL: none
};

_Atomic bool disk_faults_are_on;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[RULES_MAX];
static size_t rule_count;
static uint64_t dice;
static void (*power_goes)(void);
static struct lost *lost;
static size_t lost_count, lost_cap;
static struct name_change *changes;
static size_t change_count, change_cap;
static unsigned kept_count;

static uint64_t throw(uint64_t sides) {
  dice = hash_mix(dice, 0x9e3779b97f4a7c15u);
  return dice % sides;
}

// ---- plans ----
static const char *const OPERATIONS[] = {"open",    "read",   "write",  "sync",   "truncate",
                                         "reserve", "rename", "unlink", "folder", "any"};
static const struct {
  const char *name;
  int number;
} ERRNOS[] = {{"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}, {"EMFILE", EMFILE},
              {"ENFILE", ENFILE}, {"ENOMEM", ENOMEM}, {"EIO", EIO},     {"EACCES", EACCES}};

static bool read_when(char *text, struct rule *r) {
  char *end;
  r->count = 1;
  if (*text == '@') return snprintf(r->switch_file, sizeof r->switch_file, "%s", text + 1) > 0 && text[1];
  r->from = strtoull(text, &end, 10);
  if (end == text || !r->from) return false;
  if (*end == '/' && r->from == 1) return (r->chance = strtoull(end + 1, &end, 10)) > 0 && !*end;
  if (strcmp(end, "+") == 0) return (r->count = UINT64_MAX);
  if (*end == '+') r->count = strtoull(end + 1, &end, 10);
  return !*end && r->count;
}

static bool read_what(const char *text, struct rule *r) {
  if (strcmp(text, "power") == 0) return r->is_power = true;
  if (strcmp(text, "short") == 0) return r->is_short = true;
  if (strncmp(text, "part+", 5) == 0) r->is_short = true, text += 5;
  for (size_t i = 0; i < sizeof ERRNOS / sizeof *ERRNOS; i++)
    if (strcmp(text, ERRNOS[i].name) == 0) r->number = ERRNOS[i].number;
  return r->number != 0;
}

static bool read_rule(char *text, struct rule *r) {
  char *rest = NULL, *operation = strtok_r(text, ":", &rest), *files = strtok_r(NULL, ":", &rest);
  char *when = strtok_r(NULL, ":", &rest), *what = strtok_r(NULL, ":", &rest);
  if (!what || strtok_r(NULL, ":", &rest) || strlen(files) >= sizeof r->files) return false;
  *r = (struct rule){.operation = DISK_ANY + 1};
  for (unsigned i = 0; i <= DISK_ANY; i++)
    if (strcmp(operation, OPERATIONS[i]) == 0) r->operation = i;
  strcpy(r->files, files);
  return r->operation <= DISK_ANY && read_when(when, r) && read_what(what, r);
}

int disk_faults_start(const char *plan, struct error *err) {
  char *text = xstrdup(plan), *rest = NULL;
  int rc = 0;
  disk_faults_stop();
  pthread_mutex_lock(&lock); // an operation may be under way
  rule_count = 0;
  dice = 1;
  for (char *item = strtok_r(text, "; \n", &rest); item && rc == 0; item = strtok_r(NULL, "; \n", &rest)) {
    char said[80];
    snprintf(said, sizeof said, "%s", item);
    if (strncmp(item, "seed=", 5) == 0)
      dice = hash_mix(1, strtoull(item + 5, NULL, 0));
    else if (rule_count == RULES_MAX || !read_rule(item, &rules[rule_count++]))
      rc = error_set(err, ITD_EINVAL,
                     "disk faults: \"%s\" is no OPERATION:FILES:WHEN:WHAT (store/disk_faults.h), or one "
                     "more than %d",
                     said, RULES_MAX);
  }
  pthread_mutex_unlock(&lock);
  free(text);
  if (rc == 0) atomic_store(&disk_faults_are_on, true);
  return rc;
}

void disk_faults_stop(void) { atomic_store(&disk_faults_are_on, false); }
void disk_faults_on_power(void (*goes)(void)) { power_goes = goes; }

static bool fires(struct rule *r) {
  r->seen++;
  if (r->switch_file[0]) return access(r->switch_file, F_OK) == 0;
  if (r->chance) return throw(r->chance) == 0;
  return r->seen >= r->from && r->seen - r->from < r->count;
}

static const char *last_two(const char *path) {
  const char *slash = strrchr(path, '/');
  while (slash && slash > path && slash[-1] != '/') slash--;
  return slash ? slash : path;
}

// The rule that the operation breaks on, or NULL. With the lock held, as all that follows.
static struct rule *rule_for(enum disk_operation operation, const char *path) {
  struct rule *found = NULL;
  for (size_t i = 0; i < rule_count; i++) {
    struct rule *r = &rules[i];
    if (r->operation != DISK_ANY && r->operation != operation) continue;
    if (fnmatch(r->files, last_two(path), 0) == 0 && fires(r) && !found) found = r;
  }
  if (!found) return NULL;
  found->fired++;
  log_line(LOG_WARN, "disk_fault", "operation=%s file=%s what=%s", OPERATIONS[operation], last_two(path),
           found->is_power                       ? "power"
           : !found->number                      ? "short"
           : found->is_short && found->fired % 2 ? "part"
                                                 : log_quote(strerror(found->number)));
  return found;
}

// ---- where ----
static void path_of(int fd, char path[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  path[n > 0 ? n : 0] = 0;
}

// As path_of would say it: the folder resolved, the name as given.
static void absolute(const char *path, char out[PATH_MAX]) {
  char folder[PATH_MAX], real[PATH_MAX];
  const char *slash = strrchr(path, '/');
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
  if (!realpath(folder, real)) snprintf(real, sizeof real, "%s", folder);
  int n = snprintf(out, PATH_MAX, "%s/%s", real, slash ? slash + 1 : path);
  CHECK(n > 0 && n < PATH_MAX);
}

static bool is_in(const char *path, const char *folder) {
  size_t n = strlen(folder);
  return strncmp(path, folder, n) == 0 && path[n] == '/';
}

// ---- what is not on disk yet ----
static void forget_page(struct lost *page) {
  free(page->path);
  free(page->was);
}

static void insert(size_t where, struct lost page) {
  if (lost_count == lost_cap) lost = xrealloc(lost, (lost_cap = lost_cap ? lost_cap * 2 : 256) * sizeof *lost);
  memmove(lost + where + 1, lost + where, (lost_count++ - where) * sizeof *lost);
  lost[where] = page;
}

static void keep_page(int fd, const char *path, off_t at, size_t n) {
  struct lost page = {.path = xstrdup(path), .at = at, .n = n, .was = xcalloc(1, n)};
  if (pread(fd, page.was, n, at) < 0) memset(page.was, 0, n); // beyond the end: zeros; opened for writing only: too
  insert(lost_count, page);
}

static struct lost part_of(const struct lost *page, off_t from, off_t to) {
  struct lost part = *page;
  part.path = xstrdup(page->path);
  part.at = from;
  part.n = (size_t)(to - from);
  part.was = memcpy(xmalloc(part.n), page->was + (from - page->at), part.n);
  return part;
}

// What is written again may reach the disk after all; what lies around it may not.
static void write_again(const char *path, off_t from, off_t to) {
  for (size_t i = 0; i < lost_count; i++) {
    struct lost page = lost[i];
    off_t end = page.at + (off_t)page.n, first = from > page.at ? from : page.at, last = to < end ? to : end;
    if (!page.is_lost || first >= last || strcmp(page.path, path) != 0) continue;
    if (page.at < first) insert(i++, part_of(&page, page.at, first));
    lost[i] = part_of(&page, first, last);
    lost[i].is_lost = false;
    if (last < end) insert(++i, part_of(&page, last, end));
    forget_page(&page);
  }
}

static bool is_zero(const uint8_t *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i]) return false;
  return true;
}

static void keep_pages(int fd, const char *path, off_t at, size_t n) {
  write_again(path, at, at + (off_t)n);
  while (n) {
    size_t part = PAGE - (size_t)at % PAGE;
    if (part > n) part = n;
    keep_page(fd, path, at, part);
    at += (off_t)part, n -= part;
  }
}

static void put_back(const struct lost *page, const char *path, unsigned how) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  for (size_t at = 0; fd >= 0 && at < page->n;) {
    size_t n = SECTOR - (size_t)(page->at + (off_t)at) % SECTOR;
    if (n > page->n - at) n = page->n - at;
    bool goes = how == 0 || (how == 1 && throw(2)) || (how == 2 && throw(10) == 0);
    if (goes && pwrite(fd, page->was + at, n, page->at + (off_t)at) < 0) break;
    at += n;
  }
  if (fd >= 0) close(fd);
}

// After a sync of a file: what it had pending is on disk, or, where it failed, will not be.
static void synced(const char *path, bool failed) {
  bool at_once = failed && throw(2);
  unsigned how = (unsigned) throw(4); // all, half, few, none of the sectors
  size_t left = 0;
  if (at_once)
    for (size_t i = lost_count; i-- > 0;)
      if (strcmp(lost[i].path, path) == 0 && !lost[i].is_cut) put_back(&lost[i], path, how);
  for (size_t i = 0; i < lost_count; i++) {
    bool is_its = strcmp(lost[i].path, path) == 0;
    if (is_its && failed && !lost[i].is_cut) lost[i].is_lost = true;
    if (is_its && ((at_once && !lost[i].is_cut) || (!failed && !lost[i].is_lost)))
      forget_page(&lost[i]);
    else
      lost[left++] = lost[i];
  }
  lost_count = left;
}

static void keep_change(struct name_change change) {
  if (change_count == change_cap)
    changes = xrealloc(changes, (change_cap = change_cap ? change_cap * 2 : 16) * sizeof *changes);
  changes[change_count++] = change;
}

static char *place_to_keep(const char *path) {
  char out[PATH_MAX];
  const char *slash = strrchr(path, '/');
  int n = snprintf(out, sizeof out, "%.*s/.kept-%ld-%u", (int)(slash - path), path, (long)getpid(), kept_count++);
  CHECK(n > 0 && n < PATH_MAX);
  return xstrdup(out);
}

static void pages_moved(const char *from, const char *to) {
  for (size_t i = 0; i < lost_count; i++) {
    if (strcmp(lost[i].path, from) != 0) continue;
    free(lost[i].path);
    lost[i].path = xstrdup(to);
  }
}

static void folder_synced(const char *folder) {
  size_t left = 0;
  for (size_t i = 0; i < change_count; i++) {
    struct name_change *c = &changes[i];
    if (!is_in(c->path, folder) || strchr(c->path + strlen(folder) + 1, '/')) {
      changes[left++] = *c;
      continue;
    }
    if (c->kept) unlink(c->kept);
    free(c->path), free(c->from), free(c->kept);
  }
  change_count = left;
}

// ---- the power goes ----
static void moved(const char *path, const char *dir, const char *copy, char out[PATH_MAX]) {
  snprintf(out, PATH_MAX, "%s%s", copy, path + strlen(dir));
}

static void undo(const struct name_change *c, const char *dir, const char *copy) {
  char path[PATH_MAX], other[PATH_MAX];
  moved(c->path, dir, copy, path);
  if (c->what == MADE) unlink(path);
  if (c->what == RENAMED) moved(c->from, dir, copy, other), rename(path, other);
  if (c->kept) moved(c->kept, dir, copy, other), rename(other, path);
}

static void lose(const char *dir, const char *copy) {
  char real[PATH_MAX], path[PATH_MAX];
  if (!realpath(dir, real)) return;
  if (strcmp(real, "/") == 0) real[0] = 0;
  unsigned how = (unsigned) throw(4);
  for (size_t i = lost_count; i-- > 0;) {
    if (!is_in(lost[i].path, real)) continue;
    moved(lost[i].path, real, copy, path);
    put_back(&lost[i], path, lost[i].is_lost ? 0 : how);
  }
  size_t stays = change_count ? (size_t) throw(change_count + 1) : 0; // a file system keeps their order
  for (size_t i = change_count; i-- > stays;)
    if (is_in(changes[i].path, real)) undo(&changes[i], real, copy);
}

static _Thread_local bool holds_lock;

void disk_faults_lose(const char *dir, const char *copy) {
  if (!holds_lock) pthread_mutex_lock(&lock);
  lose(dir, copy);
  if (!holds_lock) pthread_mutex_unlock(&lock);
}

static void cut_power(void) {
  if (power_goes) {
    holds_lock = true;
    power_goes();
    holds_lock = false;
    return;
  }
  lose("/", "");
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

void disk_faults_power(void) {
  pthread_mutex_lock(&lock);
  cut_power();
  pthread_mutex_unlock(&lock);
}

// ---- the calls ----
// What happens to an operation: an errno, or 0; *part says whether only a part of it is done.
static int fate(enum disk_operation operation, const char *path, bool *part) {
  struct rule *r = rule_for(operation, path);
  if (!r) return 0;
  if (r->is_power) {
    cut_power();
    return 0;
  }
  if (r->is_short && (!r->number || r->fired % 2)) {
    if (part) *part = true;
    return 0;
  }
  return r->number;
}

static int end(int rc, int number) {
  pthread_mutex_unlock(&lock);
  errno = number;
  return number ? -1 : rc;
}

int faulty_open(const char *path, int flags, mode_t mode) {
  char full[PATH_MAX];
  absolute(path, full);
  pthread_mutex_lock(&lock);
  int e = fate(DISK_OPEN, full, NULL);
  if (e) return end(-1, e);
  bool is_new = (flags & O_CREAT) && access(path, F_OK) != 0;
  int fd = open(path, flags, mode);
  if (fd >= 0 && is_new) keep_change((struct name_change){.what = MADE, .path = xstrdup(full)});
  return end(fd, fd < 0 ? errno : 0);
}

ssize_t faulty_pread(int fd, void *p, size_t n, off_t at) {
  char path[PATH_MAX];
  path_of(fd, path);
  pthread_mutex_lock(&lock);
  bool part = false;
  int e = fate(DISK_READ, path, &part);
  if (end(0, e)) return -1;
  return pread(fd, p, part && n > 1 ? n / 2 : n, at);
}

ssize_t faulty_pwrite(int fd, const void *p, size_t n, off_t at) {
  char path[PATH_MAX];
  path_of(fd, path);
  pthread_mutex_lock(&lock);
  bool part = false;
  int e = fate(DISK_WRITE, path, &part);
  if (e) return end(-1, e);
  if (part && n > 1) n = 1 + (size_t) throw(n - 1);
  keep_pages(fd, path, at, n);
  ssize_t k = pwrite(fd, p, n, at);
  e = k < 0 ? errno : 0;
  pthread_mutex_unlock(&lock);
  errno = e;
  return k;
}

int faulty_sync(int fd, int (*call)(int)) {
  char path[PATH_MAX];
  path_of(fd, path);
  pthread_mutex_lock(&lock);
  int e = fate(DISK_SYNC, path, NULL);
  if (e == 0 && call(fd)) e = errno;
  synced(path, e != 0);
  return end(0, e);
}

int faulty_truncate(int fd, off_t size) {
  char path[PATH_MAX];
  struct stat st;
  path_of(fd, path);
  pthread_mutex_lock(&lock);
  int e = fate(DISK_TRUNCATE, path, NULL);
  size_t before = lost_count;
  if (e == 0 && fstat(fd, &st) == 0 && st.st_size > size) keep_pages(fd, path, size, (size_t)(st.st_size - size));
  for (size_t i = before; i < lost_count; i++) lost[i].is_cut = true;
  while (lost_count > before && is_zero(lost[lost_count - 1].was, lost[lost_count - 1].n))
    forget_page(&lost[--lost_count]); // a file that ends in zeros may as well be cut
  if (e == 0 && ftruncate(fd, size)) e = errno;
  return end(0, e);
}

int faulty_reserve(int fd, off_t size) {
  char path[PATH_MAX];
  path_of(fd, path);
  pthread_mutex_lock(&lock);
  int e = fate(DISK_RESERVE, path, NULL);
  pthread_mutex_unlock(&lock);
  return e ? e : posix_fallocate(fd, 0, size);
}

int faulty_rename(const char *from, const char *to) {
  char full[PATH_MAX], full_from[PATH_MAX];
  absolute(to, full);
  absolute(from, full_from);
  pthread_mutex_lock(&lock);
  int e = fate(DISK_RENAME, full, NULL);
  if (e) return end(-1, e);
  struct name_change c = {
      .what = RENAMED, .path = xstrdup(full), .from = xstrdup(full_from), .kept = place_to_keep(full)};
  if (link(full, c.kept)) free(c.kept), c.kept = NULL;
  if (rename(from, to)) e = errno;
  if (e == 0) {
    if (c.kept) pages_moved(full, c.kept);
    pages_moved(full_from, full);
    keep_change(c);
  } else {
    if (c.kept) unlink(c.kept);
    free(c.path), free(c.from), free(c.kept);
  }
  return end(0, e);
}

int faulty_unlink(const char *path) {
  char full[PATH_MAX];
  absolute(path, full);
  pthread_mutex_lock(&lock);
  int e = fate(DISK_UNLINK, full, NULL);
  if (e) return end(-1, e);
  struct name_change c = {.what = REMOVED, .path = xstrdup(full), .kept = place_to_keep(full)};
  if (rename(full, c.kept)) e = errno;
  if (e == 0) {
    pages_moved(full, c.kept);
    keep_change(c);
  } else {
    free(c.path), free(c.kept);
  }
  return end(0, e);
}

int faulty_sync_folder(const char *path, int fd) {
  char real[PATH_MAX];
  if (!realpath(path, real)) snprintf(real, sizeof real, "%s", path);
  pthread_mutex_lock(&lock);
  int e = fate(DISK_FOLDER, real, NULL);
  if (e == 0 && fsync(fd)) e = errno;
  if (e == 0) folder_synced(real);
  return end(0, e);
}
