#include "store/keeper.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "store/base.h"
#include "store/hold.h"
#include "store/retention.h"

#define TICK_MS  100
#define LOOK_MS  60000 // how often retention looks, besides after every set of bases
#define RETRY_MS 30000 // after a base that failed

struct keeper {
  struct keeper_options options;
  pthread_t thread;
  pthread_mutex_t lock; // of `stats` and `is_stopping`
  pthread_cond_t work;
  bool is_stopping;
  struct keep_stats stats;
  uint64_t snapshot_ns; // when the open snapshot was taken; 0: none

  // the thread's own
  uint64_t bytes_at_base; // of the journals, when the newest set was asked for
  uint64_t bytes_asked;   // and the one that is under way
  int64_t base_ms;        // when that was
  bool is_asked;          // for a snapshot
  bool has_set;           // there is a whole set of bases
  uint64_t looked_ns, retry_ns;
};

static bool is_stopping(struct keeper *k) {
  pthread_mutex_lock(&k->lock);
  bool stops = k->is_stopping;
  pthread_mutex_unlock(&k->lock);
  return stops;
}

static uint64_t journal_bytes(const struct keeper *k) {
  uint64_t n = 0;
  for (unsigned i = 0; i < k->options.shards; i++) n += journal_stats(k->options.journal[i]).bytes;
  return n;
}

// ---- bases ----
struct writing {
  struct keeper *keeper;
  struct base_writer *writer;
};

static int write_row(void *context, uint8_t table, struct bytes key, struct bytes value, struct error *err) {
  struct writing *w = context;
  if (is_stopping(w->keeper)) return error_set(err, ITD_ESHUTDOWN, "the daemon stops");
  return base_row(w->writer, table, key, value, err);
}

// The base of one partition, unless it has not moved since the last. *bytes grows by what it takes.
static int write_base(struct keeper *k, struct state_snapshot *snapshot, unsigned partition,
                      const struct base_info *before, int64_t made_ms, struct error *err) {
  struct state_progress progress;
  int rc = state_snapshot_progress(snapshot, partition, &progress, err);
  if (rc) return rc == ITD_ENOTFOUND ? 0 : rc;
  if (!progress.seq || (before && before->head.seq >= progress.seq)) return 0;
  struct base_head head = {.partition = partition,
                           .partitions = k->options.partitions,
                           .seq = progress.seq,
                           .made_ms = made_ms,
                           .received_ms = progress.received_ms,
                           .session = k->options.session};
  memcpy(head.chain, progress.chain, sizeof head.chain);
  if (before) {
    head.before_seq = before->head.seq;
    memcpy(head.before_digest, before->digest, sizeof head.before_digest);
  }
  struct writing w = {.keeper = k};
  rc = base_begin(k->options.dir, &head, &w.writer, err);
  if (rc) return rc;
  rc = state_snapshot_rows(snapshot, partition, k->options.partitions, write_row, &w, err);
  if (rc == 0) return base_end(w.writer, err);
  base_abort(w.writer);
  return rc;
}

static int write_set(struct keeper *k, struct state_snapshot *snapshot, int64_t made_ms, struct error *err) {
  struct base_info *list;
  size_t count;
  int rc = base_list(k->options.dir, &list, &count, err);
  if (rc == 0) base_only(list, &count, k->options.partitions, k->options.since_seq);
  for (unsigned p = 0; rc == 0 && p < k->options.partitions; p++)
    rc = write_base(k, snapshot, p, base_at(list, count, p, UINT64_MAX), made_ms, err);
  base_list_free(list);
  if (rc == 0) rc = base_set_write(k->options.dir, made_ms, err);
  k->has_set |= rc == 0;
  return rc;
}

static uint64_t set_bytes(const struct keeper *k, int64_t made_ms) {
  struct base_info *list;
  size_t count;
  uint64_t n = 0;
  if (base_list(k->options.dir, &list, &count, NULL)) return 0;
  for (size_t i = 0; i < count; i++) n += list[i].head.made_ms == made_ms ? list[i].bytes : 0;
  base_list_free(list);
  return n;
}

static void make_bases(struct keeper *k, struct state_snapshot *snapshot) {
  struct error err = {0};
  uint64_t began_ns = clock_mono_ns();
  int64_t made_ms = clock_wall_ms();
  int rc = write_set(k, snapshot, made_ms, &err);
  state_snapshot_close(snapshot);
  k->is_asked = false;
  uint64_t ended_ns = clock_mono_ns(), size = rc == 0 ? set_bytes(k, made_ms) : 0;
  pthread_mutex_lock(&k->lock);
  k->snapshot_ns = 0;
  if (rc == 0) {
    k->stats.bases++;
    k->stats.base_ms = made_ms;
    k->stats.base_took_ms = (int64_t)((ended_ns - began_ns) / 1000000);
    k->stats.base_bytes = size;
  } else if (!k->is_stopping) {
    k->stats.failures++;
  }
  pthread_mutex_unlock(&k->lock);
  if (rc == 0) {
    k->base_ms = made_ms;
    k->bytes_at_base = k->bytes_asked;
    k->looked_ns = 0; // retention may have been waiting for it
    log_line(LOG_INFO, "bases", "bytes=%llu ms=%lld", (unsigned long long)size,
             (long long)((ended_ns - began_ns) / 1000000));
  } else if (rc != ITD_ESHUTDOWN) {
    k->retry_ns = ended_ns + RETRY_MS * 1000000ull;
    log_line(LOG_ERROR, "base_failed", "code=%s error=%s", status_code(rc), log_quote(err.text));
  }
}

static bool base_is_due(const struct keeper *k) {
  if (clock_mono_ns() < k->retry_ns) return false;
  int64_t since_ms = clock_wall_ms() - k->base_ms;
  bool is_old = since_ms >= k->options.keep.base_interval_ms || since_ms < 0; // or the clock was set back
  uint64_t grown = journal_bytes(k) - k->bytes_at_base;
  return (is_old && grown) || grown >= k->options.keep.base_bytes;
}

// ---- retention ----
static void let_go(struct keeper *k) {
  const struct retention retention = {.dir = k->options.dir,
                                      .partitions = k->options.partitions,
                                      .since_seq = k->options.since_seq,
                                      .age_ms = k->options.keep.age_ms,
                                      .bytes = k->options.keep.bytes,
                                      .window_ms = k->options.window_ms,
                                      .bases = k->options.keep.bases,
                                      .archiver = k->options.archiver};
  struct retention_result result;
  struct error err = {0};
  int rc = retention_apply(&retention, clock_wall_ms(), &result, &err);
  pthread_mutex_lock(&k->lock);
  k->stats.segments_gone += result.segments;
  k->stats.bytes_gone += result.bytes;
  pthread_mutex_unlock(&k->lock);
  if (result.segments) log_line(LOG_INFO, "journal_let_go", "segments=%llu", (unsigned long long)result.segments);
  if (rc == ITD_EBUSY)
    k->looked_ns = 0; // whoever reads the journal again and again leaves little time between
  else if (rc)
    log_line(LOG_ERROR, "retention_failed", "code=%s error=%s", status_code(rc), log_quote(err.text));
}

// ---- the thread ----
static void step(struct keeper *k) {
  struct state_snapshot *snapshot = checkpoint_take_snapshot(k->options.checkpoint);
  if (snapshot) {
    pthread_mutex_lock(&k->lock);
    k->snapshot_ns = clock_mono_ns();
    pthread_mutex_unlock(&k->lock);
    make_bases(k, snapshot);
  } else if (!k->is_asked && base_is_due(k)) {
    k->is_asked = true;
    k->bytes_asked = journal_bytes(k); // before the cut: what comes between the two counts for the next one
    checkpoint_want_snapshot(k->options.checkpoint);
  }
  if (!k->has_set || is_stopping(k)) return;
  uint64_t now_ns = clock_mono_ns();
  if (k->looked_ns && now_ns - k->looked_ns < LOOK_MS * 1000000ull) return;
  k->looked_ns = now_ns;
  let_go(k);
}

static void *run(void *arg) {
  struct keeper *k = arg;
  pthread_setname_np(pthread_self(), "keeper");
  pthread_mutex_lock(&k->lock);
  while (!k->is_stopping) {
    pthread_mutex_unlock(&k->lock);
    step(k);
    pthread_mutex_lock(&k->lock);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += TICK_MS * 1000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    if (!k->is_stopping) pthread_cond_timedwait(&k->work, &k->lock, &t);
  }
  pthread_mutex_unlock(&k->lock);
  return NULL;
}

// ---- life ----
struct keeper *keeper_start(const struct keeper_options *options) {
  CHECK(options->keep.bases >= 2 && options->shards <= 256);
  struct keeper *k = xcalloc(1, sizeof *k);
  k->options = *options;
  struct journal **journal = xcalloc(options->shards, sizeof *journal);
  memcpy(journal, options->journal, options->shards * sizeof *journal);
  k->options.journal = journal;
  k->options.dir = xstrdup(options->dir);
  k->base_ms = clock_wall_ms(); // of a directory without bases the first comes an interval from now
  k->stats.base_ms = base_set_read(options->dir);
  k->has_set = k->stats.base_ms != 0;
  if (k->has_set) k->base_ms = k->stats.base_ms;
  int lock; // for who reads the journal whole, from the beginning
  if (holds_try(options->dir, &lock, NULL) == 0) holds_unlock(lock);
  pthread_mutex_init(&k->lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&k->work, &attr);
  pthread_condattr_destroy(&attr);
  CHECK(pthread_create(&k->thread, NULL, run, k) == 0);
  return k;
}

void keeper_stop(struct keeper *k) {
  if (!k) return;
  pthread_mutex_lock(&k->lock);
  k->is_stopping = true;
  pthread_cond_signal(&k->work);
  pthread_mutex_unlock(&k->lock);
  pthread_join(k->thread, NULL);
  pthread_mutex_destroy(&k->lock);
  pthread_cond_destroy(&k->work);
  free((void *)(uintptr_t)k->options.journal);
  free((void *)(uintptr_t)k->options.dir);
  free(k);
}

struct keep_stats keeper_stats(struct keeper *k) {
  pthread_mutex_lock(&k->lock);
  struct keep_stats stats = k->stats;
  if (k->snapshot_ns) stats.snapshot_ms = (int64_t)((clock_mono_ns() - k->snapshot_ns) / 1000000);
  pthread_mutex_unlock(&k->lock);
  return stats;
}
