// Manifest, runs and the thread that writes and merges them. Sidecars: dedupe_recent.c.
#include "store/dedupe_files.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "store/dedupe_files_private.h"

#define MANIFEST_MAX (16u << 20)
#define IDLE_MS      10000
#define RETRY_MS     200
#define SAY_NS       10000000000ull // between two lines that say that it fails
// Neighbours in time are merged while the older is at most twice the newer and both together span at most this part of
// the window; so there are about 16 files and the logarithm of what a small one has to a large one. When there are
// FILES_MAX of the same slots for another reason (a clock that jumps), the smallest pair is merged whatever it spans.
#define SPANS     4
#define FILES_MAX 40u

// ---- sets ----
static struct dedupe_set *set_of(struct dedupe_run *const *run, unsigned count) {
  struct dedupe_set *set = xmalloc(sizeof *set + count * sizeof *set->run);
  *set = (struct dedupe_set){.holders = 1, .count = count};
  for (unsigned i = 0; i < count; i++) set->run[i] = run_hold(run[i]);
  return set;
}

void dedupe_set_release(const struct dedupe_set *s) {
  struct dedupe_set *set = (struct dedupe_set *)(uintptr_t)s;
  if (!set || atomic_fetch_sub(&set->holders, 1) != 1) return;
  for (unsigned i = 0; i < set->count; i++) run_release(set->run[i]);
  free(set);
}

const struct dedupe_set *dedupe_files_set(struct dedupe_files *f, uint32_t *version) {
  pthread_mutex_lock(&f->lock);
  struct dedupe_set *set = f->set;
  atomic_fetch_add(&set->holders, 1);
  *version = atomic_load(&f->version);
  pthread_mutex_unlock(&f->lock);
  return set;
}

uint32_t dedupe_files_version(const struct dedupe_files *f) {
  return atomic_load_explicit(&f->version, memory_order_acquire);
}

// Shows the runs of now to the shards, and that the first of the queue is in place: its shard may give it back from then
// on.
static void publish(struct dedupe_files *f, struct dedupe_generation *placed) {
  struct dedupe_set *set = set_of(f->run, f->run_count);
  uint64_t entries = 0, bytes = 0;
  for (unsigned i = 0; i < f->run_count; i++) entries += f->run[i]->count, bytes += f->run[i]->map_size;
  atomic_store(&f->stats_files, f->run_count);
  atomic_store(&f->stats_entries, entries);
  atomic_store(&f->stats_bytes, bytes);
  pthread_mutex_lock(&f->lock);
  struct dedupe_set *was = f->set;
  f->set = set;
  if (placed) {
    CHECK(f->first == placed);
    f->first = placed->next;
    if (!f->first) f->last = NULL;
    placed->is_queued = false;
    atomic_store(&placed->is_placed, true);
  }
  atomic_fetch_add(&f->version, 1);
  pthread_mutex_unlock(&f->lock);
  dedupe_set_release(was);
}

static void add_run(struct dedupe_files *f, struct dedupe_run *run) {
  if (f->run_count == f->run_cap)
    f->run = xrealloc(f->run, (f->run_cap = f->run_cap ? f->run_cap * 2 : 32) * sizeof *f->run);
  f->run[f->run_count++] = run;
}

static void take_out(struct dedupe_files *f, unsigned i) {
  memmove(&f->run[i], &f->run[i + 1], (--f->run_count - i) * sizeof *f->run);
}

uint32_t dedupe_files_number(struct dedupe_files *f) {
  pthread_mutex_lock(&f->lock);
  uint32_t n = f->next++;
  pthread_mutex_unlock(&f->lock);
  return n;
}

// ---- the manifest: text, with a sum over the lines before it ----
static void manifest_path(const struct dedupe_files *f, char out[RUN_PATH_MAX]) {
  snprintf(out, RUN_PATH_MAX, "%s/dedupe/manifest", f->dir);
}

static void manifest_put(const struct dedupe_files *f, struct buf *b) {
  buf_printf(b, "dedupe 1\npartitions %u\nwindow %" PRId64 "\nlineage %016" PRIx64 "\n", f->options.partitions,
             f->options.window_ms, f->lineage);
  for (unsigned i = 0; i < f->run_count; i++)
    buf_printf(b, "run %08x %" PRIu64 "\n", f->run[i]->number, f->run[i]->count);
  for (unsigned p = 0; p < f->options.partitions; p++) buf_printf(b, "covered %u %" PRIu64 "\n", p, f->placed[p]);
  buf_printf(b, "crc32c %08x\n", crc32c(0, buf_bytes(b)));
}

static int manifest_write(struct dedupe_files *f, struct error *err) {
  if (atomic_load(&f->is_given_up)) return error_set(err, ITD_ECORRUPT, "a file of dedupe/ does not read");
  char path[RUN_PATH_MAX];
  struct buf b;
  buf_init(&b);
  manifest_path(f, path);
  manifest_put(f, &b);
  int rc = disk_replace(path, buf_bytes(&b), err);
  buf_deinit(&b);
  return rc;
}

void dedupe_files_distrust(struct dedupe_files *f) {
  char path[RUN_PATH_MAX];
  atomic_store(&f->is_given_up, true);
  manifest_path(f, path);
  int e = disk_unlink(path);
  if (e && e != ENOENT) log_line(LOG_WARN, "dedupe_unlink", "error=%s", log_quote(strerror(e)));
}

static int open_listed(struct dedupe_files *f, uint32_t number, uint64_t count, struct error *err) {
  struct dedupe_run *run;
  int rc = run_open(f->dir, number, &run, err);
  if (rc) return rc == ITD_ENOTFOUND ? ITD_ECORRUPT : rc;
  add_run(f, run);
  if (run->count != count) return error_set(err, ITD_ECORRUPT, "dedupe/%08x.run: another than the manifest's", number);
  return 0;
}

static int read_line(struct dedupe_files *f, const char *line, struct error *err) {
  uint32_t number;
  unsigned partition;
  uint64_t n;
  if (sscanf(line, "run %x %" SCNu64, &number, &n) == 2) return open_listed(f, number, n, err);
  if (sscanf(line, "covered %u %" SCNu64, &partition, &n) == 2 && partition < f->options.partitions) {
    f->placed[partition] = n;
    return 0;
  }
  return error_set(err, ITD_ECORRUPT, "the manifest does not read");
}

static int parse_manifest(struct dedupe_files *f, char *text, struct error *err) {
  unsigned partitions;
  int64_t window_ms;
  char *sum = strstr(text, "crc32c "), *line = strstr(text, "\nlineage ");
  unsigned crc;
  if (sscanf(text, "dedupe 1\npartitions %u\nwindow %" SCNd64 "\nlineage %" SCNx64, &partitions, &window_ms,
             &f->lineage) != 3 ||
      !sum || !line || sscanf(sum, "crc32c %x", &crc) != 1 || crc != crc32c(0, bytes_of(text, (size_t)(sum - text))))
    return error_set(err, ITD_ECORRUPT, "the manifest's sum does not hold");
  if (partitions != f->options.partitions) return error_set(err, ITD_EVERSION, "it is of another number of partitions");
  if (window_ms < f->options.window_ms) return error_set(err, ITD_EVERSION, "it is of a shorter window");
  int rc = 0;
  *sum = 0;
  char *save, *next = strtok_r(strchr(line + 1, '\n'), "\n", &save);
  for (; rc == 0 && next; next = strtok_r(NULL, "\n", &save)) rc = read_line(f, next, err);
  return rc;
}

static int read_manifest(struct dedupe_files *f, struct error *err) {
  char path[RUN_PATH_MAX];
  struct buf b;
  buf_init(&b);
  manifest_path(f, path);
  int rc = disk_load(path, MANIFEST_MAX, &b, err);
  buf_append_u8(&b, 0);
  if (rc == 0) rc = parse_manifest(f, (char *)b.p, err);
  buf_deinit(&b);
  return rc;
}

// ---- the folder ----
// Numbers are never used twice; what has one and is not listed goes when a start has succeeded.
static void list_folder(struct dedupe_files *f, bool removes) {
  char path[RUN_PATH_MAX];
  snprintf(path, sizeof path, "%s/dedupe", f->dir);
  DIR *d = opendir(path);
  for (struct dirent *e; d && (e = readdir(d));) {
    uint32_t number;
    char kind[16];
    if (sscanf(e->d_name, "%8x.%15s", &number, kind) != 2) continue;
    if (number >= f->next) f->next = number + 1;
    bool is_listed = strcmp(kind, "recent") == 0;
    for (unsigned i = 0; i < f->run_count; i++) is_listed = is_listed || f->run[i]->number == number;
    if (!removes || (is_listed && !strstr(kind, "tmp"))) continue;
    snprintf(path, sizeof path, "%s/dedupe/%.64s", f->dir, e->d_name);
    disk_unlink(path);
  }
  if (d) closedir(d);
}

static void leave_out(struct dedupe_files *f) {
  for (unsigned i = 0; i < f->run_count; i++) run_release(f->run[i]);
  f->run_count = 0;
  memset(f->placed, 0, sizeof f->placed);
}

struct dedupe_files *dedupe_files_open(const struct dedupe_files_options *options) {
  struct dedupe_files *f = xcalloc(1, sizeof *f);
  f->options = *options;
  f->options.dir = f->dir = xstrdup(options->dir);
  f->next = 1;
  atomic_store(&f->newest_ms, INT64_MIN);
  pthread_mutex_init(&f->lock, NULL);
  pthread_mutex_init(&f->recent_lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&f->work, &attr);
  pthread_cond_init(&f->idle, &attr);
  pthread_condattr_destroy(&attr);
  struct error err = {0};
  int rc = read_manifest(f, &err);
  if (rc) {
    f->is_distrusted = true;
    if (rc != ITD_ENOTFOUND) log_line(LOG_WARN, "dedupe_rebuilt", "why=%s", log_quote(err.text));
    leave_out(f);
  }
  list_folder(f, false);
  memcpy(f->covered, f->placed, sizeof f->covered);
  f->set = set_of(NULL, 0);
  publish(f, NULL);
  return f;
}

const uint64_t *dedupe_files_covered(const struct dedupe_files *f) { return f->covered; }

// ---- writing a table ----
static int by_message(const void *a, const void *b) {
  const struct dedupe_record *x = a, *y = b;
  return dedupe_order(x->message, y->message);
}

static int write_records(const struct dedupe_files *f, uint32_t number, const struct slots *slots,
                         const struct dedupe_record *r, size_t count, struct error *err) {
  struct run_writer *w;
  int rc = run_begin(f->dir, number, slots, count, &w, err);
  for (size_t i = 0; rc == 0 && i < count; i++) {
    rc = run_add(w, &r[i], err);
    if (rc) run_abort(w);
  }
  return rc ? rc : run_end(w, err);
}

static int write_table(struct dedupe_files *f, const struct slots *slots, const struct table *table,
                       struct dedupe_run **run, struct error *err) {
  size_t count = table_count(table);
  struct dedupe_record *r = xmalloc(count * sizeof *r);
  for (size_t i = 0; i < count; i++) {
    const struct message_entry *e = table_at(table, i);
    r[i] = (struct dedupe_record){e->head.key, e->place, e->received_ms};
  }
  qsort(r, count, sizeof *r, by_message);
  uint32_t number = dedupe_files_number(f);
  int rc = write_records(f, number, slots, r, count, err);
  free(r);
  return rc ? rc : run_open(f->dir, number, run, err);
}

// Of recovery: several threads, none of this module's yet.
int dedupe_files_spill(struct dedupe_files *f, const struct slots *slots, const struct table *table,
                       struct error *err) {
  char path[RUN_PATH_MAX];
  struct dedupe_run *run;
  snprintf(path, sizeof path, "%s/dedupe", f->dir);
  int rc = dir_make(path, err);
  if (rc == 0) rc = write_table(f, slots, table, &run, err);
  if (rc) return rc;
  pthread_mutex_lock(&f->recent_lock);
  add_run(f, run);
  publish(f, NULL);
  pthread_mutex_unlock(&f->recent_lock);
  return 0;
}

static void generation_free(struct dedupe_generation *g) {
  table_deinit(&g->table);
  free(g);
}

static void remove_run(const struct dedupe_files *f, struct dedupe_run *run) {
  char path[RUN_PATH_MAX];
  run_path(path, f->dir, run->number);
  int e = disk_unlink(path);
  if (e && e != ENOENT) log_line(LOG_WARN, "dedupe_unlink", "error=%s", log_quote(strerror(e)));
  run_release(run);
}

static int place(struct dedupe_files *f, struct dedupe_generation *g, struct error *err) {
  // What a file says must be in the journal whatever happens.
  int rc = f->options.sync ? f->options.sync(f->options.context, g->shard, err) : 0;
  struct dedupe_run *run = NULL;
  if (rc == 0 && table_count(&g->table)) rc = write_table(f, &g->slots, &g->table, &run, err);
  if (rc) return rc;
  uint64_t before[256];
  memcpy(before, f->placed, sizeof before);
  if (run) add_run(f, run);
  for (unsigned i = 0; i < g->tip_count; i++) f->placed[g->tip[i].partition] = g->tip[i].seq;
  rc = manifest_write(f, err);
  if (rc) {
    memcpy(f->placed, before, sizeof before);
    if (run) {
      take_out(f, f->run_count - 1);
      remove_run(f, run);
    }
    return rc;
  }
  publish(f, g);
  dedupe_recent_drop(f);
  return 0;
}

// ---- expiry and merging ----
// By the clock of now where it is behind the greatest arrival: one that was ahead and was set back ends no window.
static bool is_expired(const struct dedupe_files *f, const struct dedupe_run *run) {
  int64_t newest_ms = atomic_load(&f->newest_ms), now_ms = clock_wall_ms(), edge;
  if (newest_ms > now_ms) newest_ms = now_ms;
  return !__builtin_sub_overflow(newest_ms, f->options.window_ms, &edge) && run->newest_ms < edge;
}

// 1: something went; 0: nothing to do.
static int expire(struct dedupe_files *f, struct error *err) {
  unsigned kept = 0, gone = 0;
  struct dedupe_run **old = xmalloc((f->run_count + 1) * sizeof(struct dedupe_run *));
  for (unsigned i = 0; i < f->run_count; i++) {
    if (is_expired(f, f->run[i]))
      old[gone++] = f->run[i];
    else
      f->run[kept++] = f->run[i];
  }
  f->run_count = kept;
  int rc = gone ? manifest_write(f, err) : 0;
  if (rc == 0 && gone) publish(f, NULL);
  for (unsigned i = 0; i < gone; i++) {
    if (rc)
      add_run(f, old[i]);
    else
      remove_run(f, old[i]);
  }
  free(old);
  return rc ? rc : gone > 0;
}

static int by_time(const void *a, const void *b) {
  struct dedupe_run *const *x = a, *const *y = b;
  int slots = memcmp(&(*x)->slots, &(*y)->slots, sizeof(*x)->slots);
  if (slots) return slots;
  if ((*x)->oldest_ms != (*y)->oldest_ms) return (*x)->oldest_ms < (*y)->oldest_ms ? -1 : 1;
  return (*x)->number < (*y)->number ? -1 : 1;
}

static bool is_pair(const struct dedupe_run *a, const struct dedupe_run *b) {
  return memcmp(&a->slots, &b->slots, sizeof a->slots) == 0 && a->count + b->count <= RUN_RECORDS_MAX;
}

static bool should_merge(const struct dedupe_files *f, const struct dedupe_run *older, const struct dedupe_run *newer) {
  int64_t end = older->newest_ms > newer->newest_ms ? older->newest_ms : newer->newest_ms, span;
  if (!is_pair(older, newer) || older->count > 2 * newer->count) return false;
  return !__builtin_sub_overflow(end, older->oldest_ms, &span) && span <= f->options.window_ms / SPANS;
}

// The first of two neighbours to merge; runs must be in the order of time. -1: none.
static int find_pair(const struct dedupe_files *f) {
  for (int i = (int)f->run_count - 2; i >= 0; i--)
    if (should_merge(f, f->run[i], f->run[i + 1])) return i;
  int smallest = -1;
  for (unsigned i = 0, same = 0; i + 1 < f->run_count; i++) {
    same = is_pair(f->run[i], f->run[i + 1]) ? same + 1 : 0;
    if (!same) smallest = -1;
    if (same && (smallest < 0 ||
                 f->run[i]->count + f->run[i + 1]->count < f->run[smallest]->count + f->run[smallest + 1]->count))
      smallest = (int)i;
    if (same >= FILES_MAX) return smallest;
  }
  return -1;
}

static int merge_into(const struct dedupe_files *f, struct run_writer *w, const struct dedupe_run *a,
                      const struct dedupe_run *b, struct error *err) {
  struct run_cursor *cursor = xmalloc(2 * sizeof *cursor);
  struct dedupe_record r[2];
  int has[2], rc = 0;
  run_cursor_init(&cursor[0], a);
  run_cursor_init(&cursor[1], b);
  for (int i = 0; i < 2; i++) has[i] = run_next(&cursor[i], &r[i], err);
  while (rc == 0 && has[0] >= 0 && has[1] >= 0 && (has[0] || has[1]) && !atomic_load(&f->is_stopping)) {
    int order = !has[0] ? 1 : !has[1] ? -1 : dedupe_order(r[0].message, r[1].message);
    int from = order == 0 ? r[1].received_ms >= r[0].received_ms : order > 0; // seen again: the later one
    rc = run_add(w, &r[from], err);
    if (order <= 0) has[0] = run_next(&cursor[0], &r[0], err);
    if (order >= 0) has[1] = run_next(&cursor[1], &r[1], err);
  }
  free(cursor);
  if (rc == 0) rc = has[0] < 0 ? has[0] : has[1] < 0 ? has[1] : 0;
  return rc == 0 && (has[0] || has[1]) ? ITD_ESHUTDOWN : rc;
}

static int merge_at(struct dedupe_files *f, unsigned i, struct error *err) {
  struct dedupe_run *a = f->run[i], *b = f->run[i + 1], *both = NULL;
  struct run_writer *w;
  uint32_t number = dedupe_files_number(f);
  int rc = run_begin(f->dir, number, &a->slots, a->count + b->count, &w, err);
  if (rc) return rc;
  rc = merge_into(f, w, a, b, err);
  if (rc)
    run_abort(w);
  else
    rc = run_end(w, err);
  if (rc == 0) rc = run_open(f->dir, number, &both, err);
  if (rc) return rc;
  f->run[i] = both;
  take_out(f, i + 1);
  rc = manifest_write(f, err);
  if (rc) { // the folder is as it was, but for a file that nobody lists
    f->run[i] = a;
    add_run(f, b);
    remove_run(f, both);
    return rc;
  }
  atomic_fetch_add(&f->stats_merges, 1);
  publish(f, NULL);
  remove_run(f, a);
  remove_run(f, b);
  return 1;
}

// One step of keeping house. 1: there may be more to do; 0: done.
static int tidy(struct dedupe_files *f, struct error *err) {
  int rc = expire(f, err);
  if (rc) return rc;
  if (f->run_count) qsort(f->run, f->run_count, sizeof(struct dedupe_run *), by_time);
  int i = find_pair(f);
  return i < 0 ? 0 : merge_at(f, (unsigned)i, err);
}

// ---- the thread ----
static void wait_ms(struct dedupe_files *f, int64_t ms) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_sec += (time_t)(ms / 1000);
  t.tv_nsec += (long)(ms % 1000) * 1000000;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  pthread_cond_timedwait(&f->work, &f->lock, &t);
}

static void free_garbage(struct dedupe_files *f) {
  while (f->garbage) {
    struct dedupe_generation *g = f->garbage;
    f->garbage = g->next;
    pthread_mutex_unlock(&f->lock);
    generation_free(g);
    pthread_mutex_lock(&f->lock);
  }
}

// Called and left with the lock held; without it in between.
static int step(struct dedupe_files *f) {
  struct dedupe_generation *g = f->first;
  struct error err = {0};
  pthread_mutex_unlock(&f->lock);
  int rc = g ? place(f, g, &err) : tidy(f, &err);
  if (rc < 0 && rc != ITD_ESHUTDOWN) {
    atomic_fetch_add(&f->stats_failures, 1);
    bool is_said = f->said_ns && clock_mono_ns() - f->said_ns < SAY_NS; // a full disk stays full for a while
    if (!is_said) f->said_ns = clock_mono_ns();
    if (!is_said) log_line(LOG_ERROR, "dedupe_failed", "code=%s error=%s", status_code(rc), log_quote(err.text));
  }
  pthread_mutex_lock(&f->lock);
  return rc == 0 && g ? 1 : rc;
}

static void *write_on(void *arg) {
  struct dedupe_files *f = arg;
  pthread_mutex_lock(&f->lock);
  for (;;) {
    free_garbage(f);
    bool is_stopping = atomic_load(&f->is_stopping);
    if (is_stopping && !f->first) break;
    f->is_busy = true;
    int rc = step(f);
    if (rc > 0) continue;
    f->is_busy = false;
    pthread_cond_broadcast(&f->idle);
    if (is_stopping && rc < 0) break;
    if (!atomic_load(&f->is_stopping) && (rc < 0 || !f->first)) wait_ms(f, rc < 0 ? RETRY_MS : IDLE_MS);
  }
  pthread_mutex_unlock(&f->lock);
  return NULL;
}

int dedupe_files_start(struct dedupe_files *f, int64_t newest_ms, struct error *err) {
  char path[RUN_PATH_MAX];
  snprintf(path, sizeof path, "%s/dedupe", f->dir);
  int rc = dir_make(path, err);
  if (f->is_distrusted) dedupe_recent_remove(f);
  if (f->is_distrusted) random_bytes(&f->lineage, sizeof f->lineage);
  f->is_distrusted = false;
  if (rc == 0) rc = manifest_write(f, err);
  if (rc) return rc;
  list_folder(f, true);
  dedupe_recent_drop(f);
  dedupe_files_seen(f, newest_ms);
  CHECK(pthread_create(&f->thread, NULL, write_on, f) == 0);
  f->is_running = true;
  return 0;
}

void dedupe_files_stop(struct dedupe_files *f) {
  if (!f || !f->is_running) return;
  pthread_mutex_lock(&f->lock);
  atomic_store(&f->is_stopping, true);
  pthread_cond_signal(&f->work);
  pthread_mutex_unlock(&f->lock);
  pthread_join(f->thread, NULL);
  f->is_running = false;
}

void dedupe_files_close(struct dedupe_files *f) {
  if (!f) return;
  dedupe_files_stop(f);
  pthread_mutex_lock(&f->lock);
  free_garbage(f);
  pthread_mutex_unlock(&f->lock);
  dedupe_recent_close(f);
  dedupe_set_release(f->set);
  for (unsigned i = 0; i < f->run_count; i++) run_release(f->run[i]);
  free(f->run);
  pthread_mutex_destroy(&f->lock);
  pthread_mutex_destroy(&f->recent_lock);
  pthread_cond_destroy(&f->work);
  pthread_cond_destroy(&f->idle);
  free(f->dir);
  free(f);
}

// ---- for shards ----
void dedupe_files_seen(struct dedupe_files *f, int64_t received_ms) {
  int64_t was = atomic_load(&f->newest_ms);
  while (received_ms > was && !atomic_compare_exchange_weak(&f->newest_ms, &was, received_ms)) {
  }
}

struct dedupe_generation *dedupe_files_give(struct dedupe_files *f, unsigned shard, const struct slots *slots,
                                            struct table *table, const struct dedupe_tip *tips, unsigned count) {
  struct dedupe_generation *g = xcalloc(1, sizeof *g + count * sizeof *g->tip);
  g->table = *table;
  g->shard = shard;
  g->slots = *slots;
  g->tip_count = count;
  memcpy(g->tip, tips, count * sizeof *tips);
  g->is_queued = true;
  pthread_mutex_lock(&f->lock);
  if (f->last)
    f->last->next = g;
  else
    f->first = g;
  f->last = g;
  pthread_cond_signal(&f->work);
  pthread_mutex_unlock(&f->lock);
  return g;
}

const struct table *dedupe_generation_table(const struct dedupe_generation *g) { return &g->table; }
bool dedupe_generation_is_placed(const struct dedupe_generation *g) { return atomic_load(&g->is_placed); }

void dedupe_files_done(struct dedupe_files *f, struct dedupe_generation *g) {
  pthread_mutex_lock(&f->lock);
  if (g->is_queued && !f->is_running) { // it was never written: the next start reads the journal
    struct dedupe_generation **link = &f->first;
    while (*link != g) link = &(*link)->next;
    *link = g->next;
    g->is_queued = false;
  }
  g->next = f->garbage;
  f->garbage = g;
  pthread_mutex_unlock(&f->lock);
}

void dedupe_files_wait(struct dedupe_files *f) {
  pthread_mutex_lock(&f->lock);
  uint64_t failures = atomic_load(&f->stats_failures);
  f->is_busy = true;
  pthread_cond_signal(&f->work);
  while ((f->is_busy || f->first) && atomic_load(&f->stats_failures) == failures) pthread_cond_wait(&f->idle, &f->lock);
  pthread_mutex_unlock(&f->lock);
}

struct dedupe_files_stats dedupe_files_stats(const struct dedupe_files *f) {
  return (struct dedupe_files_stats){.files = atomic_load(&f->stats_files),
                                     .entries = atomic_load(&f->stats_entries),
                                     .filter_bytes = atomic_load(&f->stats_bytes),
                                     .merges = atomic_load(&f->stats_merges),
                                     .failures = atomic_load(&f->stats_failures)};
}
