// The steps, the ledger, and the queue that leads to the thread.
#include "store/forget.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "store/disk.h"
#include "store/ids.h"
#include "store/store.h"
#include "store/table.h"

#define BATCH       256 // leads that are forgotten together: one transaction, one rewriting of the quarantine
#define RETRY_MS    200
#define LEDGER_MAX  (1u << 30)
#define SETTLE_TAIL 65536 // of the ledger: lines that a process may have left unsynced

struct forget {
  char *dir;
  struct state *state;
  struct quarantine *quarantine;
  int fd; // of the ledger
  off_t end;
  pthread_rwlock_t known_lock;
  struct table known;
  _Atomic size_t known_count;
  pthread_t thread;
  bool is_running;
  pthread_mutex_t lock; // guards what follows
  pthread_cond_t work, done;
  bool is_stopping;
  struct forget_job *first, **last;
  uint64_t given, finished, failed;
  struct error why; // of the last failure
  _Atomic bool is_broken;
  _Atomic uint64_t count, failures;
};

// ---- jobs ----
struct forget_job *forget_job_new(struct lead_id lead, int64_t at_ms) {
  struct forget_job *job = xcalloc(1, sizeof *job);
  job->lead = lead;
  job->at_ms = at_ms;
  return job;
}

void forget_job_add(struct forget_job *job, struct hash128 hash, uint64_t address, struct bytes text) {
  if (job->count == job->cap)
    job->identity = xrealloc(job->identity, (job->cap = job->cap ? job->cap * 2 : 4) * sizeof *job->identity);
  job->identity[job->count++] =
      (struct forget_identity){.hash = hash, .address = address, .text = bytes_of(xstrndup(text.p, text.n), text.n)};
}

void forget_job_link(struct forget_job *job, struct lead_id merged, uint64_t address) {
  forget_job_add(job, (struct hash128){0}, address, (struct bytes){0});
  for (size_t i = 0; i < job->merged_count; i++)
    if (lead_id_eq(job->merged[i], merged)) return;
  job->merged = xrealloc(job->merged, (job->merged_count + 1) * sizeof *job->merged);
  job->merged[job->merged_count++] = merged;
}

void forget_job_end(struct forget_job *job, int status, const struct error *err) {
  job->status = status;
  if (err) job->error = *err;
  if (job->done) job->done(job->context, job);
  for (size_t i = 0; i < job->count; i++) {
    void *text = (void *)(uintptr_t)job->identity[i].text.p;
    explicit_bzero(text, job->identity[i].text.n);
    free(text);
  }
  free(job->identity);
  free(job->merged);
  free(job);
}

// ---- who was forgotten ----
bool forget_has(const struct forget *f, struct lead_id lead) {
  if (!atomic_load_explicit(&f->known_count, memory_order_acquire)) return false;
  pthread_rwlock_t *lock = (pthread_rwlock_t *)(uintptr_t)&f->known_lock;
  pthread_rwlock_rdlock(lock);
  bool has = table_find(&f->known, lead_key(lead)) != NULL;
  pthread_rwlock_unlock(lock);
  return has;
}

size_t forget_known(const struct forget *f) { return atomic_load_explicit(&f->known_count, memory_order_acquire); }

enum { IN_LEDGER = 1 }; // flags of an entry

static void mark(struct forget *f, struct lead_id lead, uint32_t flags) {
  pthread_rwlock_wrlock(&f->known_lock);
  struct table_entry *e = table_find(&f->known, lead_key(lead));
  if (!e) e = table_add(&f->known, lead_key(lead));
  e->flags |= flags;
  atomic_store_explicit(&f->known_count, table_count(&f->known), memory_order_release);
  pthread_rwlock_unlock(&f->known_lock);
}

void forget_mark(struct forget *f, struct lead_id lead) { mark(f, lead, 0); }

static bool is_in_ledger(struct forget *f, struct lead_id lead) {
  pthread_rwlock_rdlock(&f->known_lock);
  const struct table_entry *e = table_find(&f->known, lead_key(lead));
  bool is = e && e->flags & IN_LEDGER;
  pthread_rwlock_unlock(&f->known_lock);
  return is;
}

static int read_lines(struct forget *f, struct bytes text, struct error *err) {
  unsigned line = 0;
  while (text.n) {
    const uint8_t *end = memchr(text.p, '\n', text.n);
    if (!end) return 0; // torn: it is written again
    size_t n = (size_t)(end - text.p);
    struct lead_id lead;
    line++;
    if (n < 34 || text.p[32] != ' ' || lead_id_parse(bytes_of(text.p, 32), &lead))
      return error_set(err, ITD_ECORRUPT, "%s/forgotten, line %u: it must be a lead's id and a time", f->dir, line);
    mark(f, lead, IN_LEDGER);
    f->end += (off_t)n + 1;
    text = bytes_of(end + 1, text.n - n - 1);
  }
  return 0;
}

struct lost_ledger {
  struct buf lines;
  uint64_t frames, leads;
};

static void put_line(struct buf *out, struct lead_id lead, int64_t at_ms) {
  char id[LEAD_ID_TEXT];
  lead_id_format(lead, id);
  buf_printf(out, "%s %lld\n", id, (long long)at_ms);
}

static int see_frame(void *context, const struct frame *frame, uint64_t place, struct error *err) {
  (void)place, (void)err;
  struct lost_ledger *l = context;
  l->frames++;
  if (frame->kind != FRAME_FORGET) return 0;
  put_line(&l->lines, frame->entity, frame->received_ms);
  l->leads++;
  return 0;
}

// A directory that was in use has a ledger. Without one, what the journal still says of the forgotten is written again, lest the restore of
// an older copy bring them back.
static int make_ledger(struct forget *f, const char *path, struct error *err) {
  struct lost_ledger lost = {0};
  int rc = store_walk(f->dir, -1, see_frame, &lost, err);
  if (rc == 0 && lost.lines.n) rc = disk_replace(path, buf_bytes(&lost.lines), err);
  if (rc == 0 && lost.frames)
    log_line(LOG_WARN, "ledger_rebuilt",
             "file=forgotten leads=%llu why=\"it was missing; forgettings from before the journal that is left are not "
             "in it\"",
             (unsigned long long)lost.leads);
  buf_deinit(&lost.lines);
  return rc;
}

static int open_ledger(struct forget *f, struct error *err) {
  char path[PATH_MAX];
  struct buf b = {0};
  snprintf(path, sizeof path, "%s/forgotten", f->dir);
  bool is_new = access(path, F_OK) != 0;
  int made = is_new ? make_ledger(f, path, err) : 0;
  if (made) return made;
  int e = disk_open(path, O_RDWR | O_CREAT, &f->fd);
  if (e == 0 && is_new) e = disk_sync_folder(f->dir, ".");
  if (e) return error_set(err, disk_status(e), "%s: %s", path, strerror(e));
  int rc = disk_load(path, LEDGER_MAX, &b, err);
  if (rc == 0) rc = read_lines(f, buf_bytes(&b), err);
  buf_deinit(&b);
  if (rc) return rc;
  e = disk_truncate(f->fd, f->end);
  if (e == 0) e = disk_settle(f->fd, f->end > SETTLE_TAIL ? f->end - SETTLE_TAIL : 0, f->end);
  return e ? error_set(err, disk_status(e), "%s: %s", path, strerror(e)) : 0;
}

static int add_lines(struct forget *f, const struct forget_job *jobs, struct error *err) {
  struct buf b = {0};
  for (const struct forget_job *job = jobs; job; job = job->next) {
    if (!job->is_waiting && !is_in_ledger(f, job->lead)) put_line(&b, job->lead, job->at_ms);
  }
  int e = b.n ? disk_write(f->fd, b.p, b.n, f->end) : 0;
  if (e == 0 && b.n) e = disk_sync(f->fd);
  if (e == 0) f->end += (off_t)b.n;
  buf_deinit(&b);
  if (e) return error_set(err, disk_status(e), "%s/forgotten: %s", f->dir, strerror(e));
  for (const struct forget_job *job = jobs; job; job = job->next) mark(f, job->lead, IN_LEDGER);
  return 0;
}

// ---- the steps ----
static int sync_frames(const struct forget_job *jobs, struct error *err) {
  int rc = 0;
  for (const struct forget_job *job = jobs; rc == 0 && job; job = job->next)
    if (job->journal) rc = journal_sync(job->journal, err);
  return rc;
}

typedef int (*drop_one)(struct state_txn *txn, const struct forget_job *job, struct error *err);

static int drop_identities(struct state_txn *txn, const struct forget_job *job, struct error *err) {
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < job->count; i++)
    if (job->identity[i].text.n) rc = state_drop_identity(txn, job->identity[i].hash, job->identity[i].address, err);
  return rc;
}

static int drop_lead(struct state_txn *txn, const struct forget_job *job, struct error *err) {
  return state_drop_lead(txn, job->lead, err);
}

static int drop_from_state(struct forget *f, const struct forget_job *jobs, drop_one drop, struct error *err) {
  struct state_txn *txn;
  int rc = state_begin(f->state, &txn, err);
  if (rc) return rc;
  for (const struct forget_job *job = jobs; rc == 0 && job; job = job->next) rc = drop(txn, job, err);
  if (rc == 0) return state_commit(txn, err);
  state_abort(txn);
  return rc;
}

static size_t identities(const struct forget_job *jobs) {
  size_t n = 0;
  for (const struct forget_job *job = jobs; job; job = job->next) n += job->count;
  return n; // links counted
}

static int purge_quarantine(struct forget *f, struct forget_job *jobs, struct error *err) {
  size_t n = 0, count = identities(jobs);
  if (!count) return 0;
  struct bytes *text = xmalloc(count * sizeof *text);
  uint64_t *removed = xcalloc(count, sizeof *removed);
  for (const struct forget_job *job = jobs; job; job = job->next)
    for (size_t i = 0; i < job->count; i++)
      if (job->identity[i].text.n) text[n++] = job->identity[i].text;
  int rc = n ? quarantine_purge(f->quarantine, text, n, removed, err) : 0;
  n = 0;
  for (struct forget_job *job = jobs; job; job = job->next)
    for (size_t i = 0; i < job->count; i++)
      if (job->identity[i].text.n) job->quarantined += removed[n++];
  free(text);
  free(removed);
  return rc;
}

static int erase(struct forget *f, struct forget_job *jobs, struct error *err) {
  size_t n = 0, max = identities(jobs);
  for (const struct forget_job *job = jobs; job; job = job->next) max++;
  uint64_t *address = xmalloc(max * sizeof *address);
  for (struct forget_job *job = jobs; job; job = job->next) {
    job->erased = job->count + (job->key_address != 0);
    if (job->key_address) address[n++] = job->key_address;
    for (size_t i = 0; i < job->count; i++) address[n++] = job->identity[i].address;
  }
  int rc = vault_erase(f->dir, address, n, err);
  free(address);
  return rc;
}

static int run(struct forget *f, struct forget_job *jobs, struct error *err) {
  int rc = sync_frames(jobs, err);
  if (rc == 0) rc = drop_from_state(f, jobs, drop_identities, err);
  if (rc == 0) rc = purge_quarantine(f, jobs, err);
  if (rc == 0) rc = erase(f, jobs, err);
  if (rc == 0) rc = drop_from_state(f, jobs, drop_lead, err);
  if (rc == 0) rc = add_lines(f, jobs, err);
  if (rc) error_prefix(err, "forgetting");
  return rc;
}

static uint64_t end_all(struct forget_job *jobs, int status, const struct error *err) {
  uint64_t n = 0;
  for (struct forget_job *next; jobs; jobs = next, n++) {
    next = jobs->next;
    forget_job_end(jobs, status, err);
  }
  return n;
}

static uint64_t leads(const struct forget_job *jobs) {
  uint64_t n = 0;
  for (; jobs; jobs = jobs->next) n += !jobs->is_waiting;
  return n;
}

int forget_now(struct forget *f, struct forget_job *jobs, struct error *err) {
  struct error local = {0};
  if (!err) err = &local;
  int rc = jobs ? run(f, jobs, err) : 0;
  if (rc == 0) atomic_fetch_add_explicit(&f->count, leads(jobs), memory_order_relaxed);
  end_all(jobs, rc, err);
  return rc;
}

// ---- the thread ----
void forget_give(struct forget *f, struct forget_job *job) {
  job->next = NULL;
  pthread_mutex_lock(&f->lock);
  *f->last = job;
  f->last = &job->next;
  f->given++;
  pthread_cond_signal(&f->work);
  pthread_mutex_unlock(&f->lock);
}

int forget_wait(struct forget *f, struct error *err) {
  pthread_mutex_lock(&f->lock);
  uint64_t until = f->given, failed = f->failed;
  while (f->finished < until && f->failed == failed && !f->is_broken) pthread_cond_wait(&f->done, &f->lock);
  int rc = f->finished < until ? error_set(err, f->why.code ? f->why.code : ITD_EIO, "%s", f->why.text) : 0;
  pthread_mutex_unlock(&f->lock);
  return rc;
}

bool forget_is_broken(const struct forget *f) { return atomic_load_explicit(&f->is_broken, memory_order_relaxed); }

struct forget_stats forget_stats(const struct forget *f) {
  return (struct forget_stats){.done = atomic_load_explicit(&f->count, memory_order_relaxed),
                               .failures = atomic_load_explicit(&f->failures, memory_order_relaxed)};
}

// The first BATCH of the queue. With the lock held.
static struct forget_job *take(struct forget *f) {
  struct forget_job *jobs = f->first, **end = &f->first;
  for (int i = 0; i < BATCH && *end; i++) end = &(*end)->next;
  f->first = *end;
  *end = NULL;
  if (!f->first) f->last = &f->first;
  return jobs;
}

static void wait_ms(struct forget *f, int64_t ms) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_nsec += (long)ms * 1000000;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  pthread_cond_timedwait(&f->work, &f->lock, &t);
}

// Called and left with the lock held; without it in between. No room: it is tried until there is, or until the end.
static void forget_all_of(struct forget *f, struct forget_job *jobs) {
  struct error err = {0};
  int rc;
  for (;;) {
    pthread_mutex_unlock(&f->lock);
    err = (struct error){0};
    rc = run(f, jobs, &err);
    if (rc) log_line(LOG_ERROR, "forget_failed", "code=%s error=%s", status_code(rc), log_quote(err.text));
    pthread_mutex_lock(&f->lock);
    if (rc == 0) break;
    atomic_fetch_add_explicit(&f->failures, 1, memory_order_relaxed);
    f->failed++;
    f->why = err;
    if (rc != ITD_EFULL) f->is_broken = true;
    pthread_cond_broadcast(&f->done);
    if (f->is_broken || f->is_stopping) break;
    wait_ms(f, RETRY_MS);
  }
  pthread_mutex_unlock(&f->lock);
  // Counted before whoever waits is told: he may look.
  if (rc == 0) atomic_fetch_add_explicit(&f->count, leads(jobs), memory_order_relaxed);
  uint64_t n = end_all(jobs, rc == ITD_EFULL ? ITD_ESHUTDOWN : rc, &err);
  pthread_mutex_lock(&f->lock);
  if (rc == 0) f->finished += n;
  pthread_cond_broadcast(&f->done);
}

static void *forgetter(void *arg) {
  struct forget *f = arg;
  pthread_setname_np(pthread_self(), "forget");
  pthread_mutex_lock(&f->lock);
  while (!f->is_broken && (f->first || !f->is_stopping)) {
    if (f->first)
      forget_all_of(f, take(f));
    else
      pthread_cond_wait(&f->work, &f->lock);
  }
  pthread_mutex_unlock(&f->lock);
  return NULL;
}

// ---- life ----
int forget_open(const char *dir, struct state *state, struct quarantine *quarantine, struct forget **out,
                struct error *err) {
  struct forget *f = xcalloc(1, sizeof *f);
  f->dir = xstrdup(dir);
  f->state = state;
  f->quarantine = quarantine;
  f->fd = -1;
  f->last = &f->first;
  table_init(&f->known, sizeof(struct table_entry));
  pthread_rwlock_init(&f->known_lock, NULL);
  pthread_mutex_init(&f->lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&f->work, &attr);
  pthread_cond_init(&f->done, &attr);
  pthread_condattr_destroy(&attr);
  int rc = open_ledger(f, err);
  if (rc)
    forget_close(f);
  else
    *out = f;
  return rc;
}

void forget_start(struct forget *f) {
  CHECK(pthread_create(&f->thread, NULL, forgetter, f) == 0);
  f->is_running = true;
}

void forget_close(struct forget *f) {
  if (!f) return;
  if (f->is_running) {
    pthread_mutex_lock(&f->lock);
    f->is_stopping = true;
    pthread_cond_signal(&f->work);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
  }
  struct error err = {0};
  error_set(&err, ITD_ESHUTDOWN, "the daemon stopped: its next start forgets the lead");
  end_all(f->first, ITD_ESHUTDOWN, &err);
  if (f->fd >= 0) close(f->fd);
  table_deinit(&f->known);
  pthread_rwlock_destroy(&f->known_lock);
  pthread_mutex_destroy(&f->lock);
  pthread_cond_destroy(&f->work);
  pthread_cond_destroy(&f->done);
  free(f->dir);
  free(f);
}
