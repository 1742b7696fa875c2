// The checkpointer's thread and the queue that leads to it.
#include "store/checkpoint.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/le.h"
#include "base/log.h"
#include "store/disk.h"
#include "store/seal.h"

#define CHUNK_BYTES (1u << 20)
#define BATCH       1000u // puts in one LMDB transaction
#define RETRY_MS    1000

struct copy { // in a chunk, before each block
  struct lead_id id;
  int64_t due_ms;
  uint64_t size;
  bool is_entity; // no lead
  uint8_t key[LEAD_KEY_SIZE];
};
struct checkpoint_chunk {
  struct checkpoint_chunk *next;
  size_t n, cap, counted, copies;
  uint8_t *p;
};

enum phase { IDLE, GATHER, WRITE };

struct checkpoint {
  struct checkpoint_options options;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  bool is_stopping, is_asked;
  enum phase phase;
  unsigned given;                    // shards that are done with this cycle
  struct checkpoint_part *part[256]; // of this cycle
  struct checkpoint_chunk *chunks;
  uint32_t tried; // the cycle that was tried to be written last
  bool wants_snapshot;
  struct state_snapshot *snapshot; // taken, and waiting to be fetched
  _Atomic uint32_t cycle, finished;
  uint64_t journal_begun;        // when this cycle began
  _Atomic uint64_t journal_base; // when the last one that is durable did
  _Atomic size_t dirty;
  _Atomic bool has_vault;
  _Atomic uint64_t checkpoints, failures;
};

// ---- shards ----
static void ask(struct checkpoint *c) {
  pthread_mutex_lock(&c->lock);
  c->is_asked = true;
  pthread_cond_signal(&c->work);
  pthread_mutex_unlock(&c->lock);
}

void checkpoint_dirty(struct checkpoint *c, size_t bytes) {
  size_t before = atomic_fetch_add_explicit(&c->dirty, bytes, memory_order_relaxed), half = c->options.dirty_max / 2;
  if (before < half && before + bytes >= half) ask(c);
}
void checkpoint_undirty(struct checkpoint *c, size_t bytes) {
  atomic_fetch_sub_explicit(&c->dirty, bytes, memory_order_relaxed);
}
static uint64_t journal_written(const struct checkpoint *c) {
  uint64_t n = c->options.journal_before;
  for (unsigned i = 0; i < c->options.shards; i++) n += journal_stats(c->options.shard[i].journal).bytes;
  return n;
}
static uint64_t journal_since(const struct checkpoint *c) { return journal_written(c) - atomic_load(&c->journal_base); }

uint64_t checkpoint_journal_bytes(struct checkpoint *c) {
  uint64_t n = journal_since(c);
  bool is_half = c->options.journal_max && n >= c->options.journal_max / 2;
  if (is_half && atomic_load(&c->cycle) == atomic_load(&c->finished)) ask(c);
  return n;
}

bool checkpoint_is_full(const struct checkpoint *c) {
  if (c->options.journal_max && journal_since(c) >= c->options.journal_max) return true;
  return atomic_load_explicit(&c->dirty, memory_order_relaxed) >= c->options.dirty_max;
}
size_t checkpoint_dirty_bytes(const struct checkpoint *c) {
  return atomic_load_explicit(&c->dirty, memory_order_relaxed);
}
void checkpoint_vault_dirty(struct checkpoint *c) { atomic_store_explicit(&c->has_vault, true, memory_order_relaxed); }
uint32_t checkpoint_cycle(const struct checkpoint *c) { return atomic_load(&c->cycle); }
uint32_t checkpoint_finished(const struct checkpoint *c) { return atomic_load(&c->finished); }

struct checkpoint_chunk *checkpoint_chunk_new(struct checkpoint *c) {
  (void)c;
  struct checkpoint_chunk *chunk = xmalloc(sizeof *chunk);
  *chunk = (struct checkpoint_chunk){.cap = CHUNK_BYTES, .p = xmalloc(CHUNK_BYTES)};
  return chunk;
}

void checkpoint_chunk_free(struct checkpoint_chunk *chunk) {
  if (!chunk) return;
  explicit_bzero(chunk->p, chunk->n); // leads and their keys
  free(chunk->p);
  free(chunk);
}

uint8_t *checkpoint_copy(struct checkpoint_chunk *chunk, struct lead_id id, int64_t due_ms,
                         const uint8_t key[LEAD_KEY_SIZE], size_t size, size_t counted) {
  size_t need = sizeof(struct copy) + ((size + 7) & ~(size_t)7);
  if (need > chunk->cap - chunk->n && chunk->n) return NULL;
  if (need > chunk->cap) chunk->p = xrealloc(chunk->p, chunk->cap = need);
  struct copy *copy = (struct copy *)(void *)(chunk->p + chunk->n);
  *copy = (struct copy){.id = id, .due_ms = due_ms, .size = size};
  if (key) memcpy(copy->key, key, sizeof copy->key);
  chunk->n += need;
  chunk->counted += counted;
  chunk->copies++;
  return (uint8_t *)(copy + 1);
}

uint8_t *checkpoint_copy_entity(struct checkpoint_chunk *chunk, struct lead_id id, size_t size, size_t counted) {
  uint8_t *to = checkpoint_copy(chunk, id, INT64_MAX, NULL, size, counted);
  if (to) ((struct copy *)(void *)to)[-1].is_entity = true;
  return to;
}

void checkpoint_part_free(struct checkpoint_part *part) {
  if (!part) return;
  if (part->who) explicit_bzero(part->who, part->who_count * sizeof *part->who);
  free(part->who);
  for (unsigned i = 0; i < part->count; i++) buf_deinit(&part->channels[i]);
  buf_deinit(&part->messages.records);
  free(part);
}

void checkpoint_give(struct checkpoint *c, struct checkpoint_chunk *chunk) {
  pthread_mutex_lock(&c->lock);
  CHECK(c->phase == GATHER);
  chunk->next = c->chunks;
  c->chunks = chunk;
  pthread_mutex_unlock(&c->lock);
}

void checkpoint_done(struct checkpoint *c, unsigned shard, struct checkpoint_part *part) {
  pthread_mutex_lock(&c->lock);
  CHECK(c->phase == GATHER && !c->part[shard]);
  c->part[shard] = part;
  if (++c->given == c->options.shards) {
    c->phase = WRITE;
    pthread_cond_signal(&c->work);
  }
  pthread_mutex_unlock(&c->lock);
}

// ---- writing ----
static int by_id(const void *a, const void *b) {
  const struct copy *const *x = a, *const *y = b;
  return memcmp((*x)->id.b, (*y)->id.b, sizeof(*x)->id.b);
}

// One transaction after another, so that no one of them holds LMDB's writer or its dirty pages for long.
struct batch {
  struct state *state;
  const struct forget *forget;
  struct state_txn *txn;
  unsigned puts;
  struct seal seal;
  struct buf sealed;
};

static int batch_next(struct batch *b, struct error *err) {
  if (b->puts++ % BATCH == 0 && b->txn) {
    struct state_txn *full = b->txn;
    b->txn = NULL;
    int rc = state_commit(full, err);
    if (rc) return rc;
  }
  return b->txn ? 0 : state_begin(b->state, &b->txn, err);
}

// What is forgotten is looked for within the transaction: whoever forgets marks it first and then waits for this one.
static int put_who(struct batch *b, const struct checkpoint_who *w, struct error *err) {
  int rc = batch_next(b, err);
  if (rc || forget_has(b->forget, w->lead)) return rc;
  if (w->type == VAULT_IDENTITY) return state_put_identity(b->txn, w->identity, w->address, err);
  uint8_t last[8];
  put64(last, w->last);
  buf_clear(&b->sealed);
  seal_put(&b->seal, w->key, w->lead, bytes_of(last, sizeof last), &b->sealed);
  return state_put_key(b->txn, w->lead, w->address, buf_bytes(&b->sealed), err);
}

static int write_who(struct batch *b, const struct checkpoint_part *part, struct error *err) {
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < part->who_count; i++) rc = put_who(b, &part->who[i], err);
  return rc;
}

static int put_copy(struct batch *b, const struct copy *copy, struct error *err) {
  int rc = batch_next(b, err);
  if (rc == 0 && copy->is_entity) return state_put_entity(b->txn, copy->id, bytes_of(copy + 1, copy->size), err);
  if (rc || forget_has(b->forget, copy->id)) return rc;
  buf_clear(&b->sealed);
  seal_put(&b->seal, copy->key, copy->id, bytes_of(copy + 1, copy->size), &b->sealed);
  return state_put_lead(b->txn, copy->id, copy->due_ms, buf_bytes(&b->sealed), err);
}

static int write_leads(struct batch *b, struct checkpoint_chunk *chunks, struct error *err) {
  size_t count = 0, n = 0;
  for (struct checkpoint_chunk *k = chunks; k; k = k->next) count += k->copies;
  if (!count) return 0;
  struct copy **list = xmalloc(count * sizeof *list);
  for (struct checkpoint_chunk *k = chunks; k; k = k->next)
    for (size_t at = 0; at < k->n;) {
      struct copy *copy = list[n++] = (struct copy *)(void *)(k->p + at);
      at += sizeof *copy + ((copy->size + 7) & ~(size_t)7);
    }
  qsort(list, count, sizeof *list, by_id);
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < count; i++) rc = put_copy(b, list[i], err);
  free(list);
  return rc;
}

static int write_progress(struct batch *b, const struct checkpoint_part *part, struct error *err) {
  int rc = 0;
  for (unsigned i = 0; rc == 0 && i < part->count; i++) {
    rc = batch_next(b, err);
    if (rc == 0) rc = state_put_progress(b->txn, part->partition[i], &part->progress[i], err);
    if (rc == 0 && part->channels[i].n)
      rc = state_put_channels(b->txn, part->partition[i], buf_bytes(&part->channels[i]), err);
  }
  for (unsigned slot = 0; rc == 0 && slot < SLOTS; slot++)
    if (part->made[slot]) {
      rc = batch_next(b, err);
      if (rc == 0) rc = state_put_made(b->txn, slot, part->made[slot], err);
    }
  for (unsigned i = 0; rc == 0 && i < part->logs; i++) rc = state_put_vault(b->txn, part->log[i], part->tip[i], err);
  return rc;
}

static int finish_batch(struct batch *b, int rc, struct error *err) {
  struct state_txn *last = b->txn;
  b->txn = NULL;
  if (rc == 0) return last ? state_commit(last, err) : 0;
  state_abort(last);
  return rc;
}

// Progress goes in a transaction after all others are durable, and after all that was to be forgotten before is: it must
// never promise what is not there.
static int write_cycle(struct checkpoint *c, struct checkpoint_chunk *chunks, struct error *err) {
  struct batch b = {.state = c->options.state, .forget = c->options.forget};
  seal_init(&b.seal);
  int rc = 0;
  for (unsigned i = 0; rc == 0 && i < c->options.shards; i++) rc = journal_sync(c->options.shard[i].journal, err);
  for (unsigned i = 0; rc == 0 && c->options.dedupe && i < c->options.shards; i++)
    dedupe_files_log(c->options.dedupe, &c->part[i]->messages, atomic_load(&c->cycle));
  for (unsigned i = 0; rc == 0 && i < c->options.shards; i++) rc = write_who(&b, c->part[i], err);
  if (rc == 0) rc = write_leads(&b, chunks, err);
  rc = finish_batch(&b, rc, err);
  if (rc == 0) rc = forget_wait(c->options.forget, err);
  for (unsigned i = 0; rc == 0 && i < c->options.shards; i++) rc = write_progress(&b, c->part[i], err);
  buf_deinit(&b.sealed);
  return finish_batch(&b, rc, err);
}

static void forget_cycle(struct checkpoint *c, struct checkpoint_chunk *chunks) {
  size_t counted = 0;
  while (chunks) {
    struct checkpoint_chunk *next = chunks->next;
    counted += chunks->counted;
    checkpoint_chunk_free(chunks);
    chunks = next;
  }
  atomic_fetch_sub_explicit(&c->dirty, counted, memory_order_relaxed);
  for (unsigned i = 0; i < c->options.shards; i++) {
    checkpoint_part_free(c->part[i]);
    c->part[i] = NULL;
  }
}

static void wait_ms(struct checkpoint *c, int64_t ms) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_sec += (time_t)(ms / 1000);
  t.tv_nsec += (long)(ms % 1000) * 1000000;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  pthread_cond_timedwait(&c->work, &c->lock, &t);
}

void checkpoint_want_snapshot(struct checkpoint *c) {
  pthread_mutex_lock(&c->lock);
  c->wants_snapshot = true;
  pthread_mutex_unlock(&c->lock);
  ask(c);
}

struct state_snapshot *checkpoint_take_snapshot(struct checkpoint *c) {
  pthread_mutex_lock(&c->lock);
  struct state_snapshot *snapshot = c->snapshot;
  c->snapshot = NULL;
  pthread_mutex_unlock(&c->lock);
  return snapshot;
}

// After a cycle and before the next one writes: LMDB is as the cut was. With the lock held.
static void take_snapshot(struct checkpoint *c) {
  struct error err = {0};
  if (!c->wants_snapshot || c->snapshot || c->is_stopping) return;
  if (state_snapshot_open(c->options.state, &c->snapshot, &err)) {
    log_line(LOG_ERROR, "snapshot_failed", "error=%s", log_quote(err.text));
    return;
  }
  c->wants_snapshot = false;
}

// Called and left with the lock held; without it in between.
static void write_what_was_given(struct checkpoint *c) {
  struct checkpoint_chunk *chunks = c->chunks;
  uint32_t cycle = atomic_load(&c->cycle);
  pthread_mutex_unlock(&c->lock);
  struct error err = {0};
  int rc = write_cycle(c, chunks, &err);
  for (unsigned i = 0; i < c->options.shards; i++) vault_prepare(c->options.shard[i].vault);
  if (rc) log_line(LOG_ERROR, "checkpoint_failed", "code=%s error=%s", status_code(rc), log_quote(err.text));
  pthread_mutex_lock(&c->lock);
  atomic_fetch_add_explicit(rc ? &c->failures : &c->checkpoints, 1, memory_order_relaxed);
  c->tried = cycle;
  if (rc == 0) {
    forget_cycle(c, chunks);
    c->chunks = NULL;
    c->given = 0;
    c->phase = IDLE;
    atomic_store(&c->journal_base, c->journal_begun);
    atomic_store(&c->finished, cycle);
    take_snapshot(c);
  }
  pthread_cond_broadcast(&c->done);
  if (rc && !c->is_stopping) wait_ms(c, RETRY_MS);
}

static void begin_cycle(struct checkpoint *c) {
  c->is_asked = false;
  c->phase = GATHER;
  atomic_store(&c->has_vault, false);
  c->journal_begun = journal_written(c);
  atomic_fetch_add(&c->cycle, 1);
}

static void *checkpointer(void *arg) {
  struct checkpoint *c = arg;
  for (unsigned i = 0; i < c->options.shards; i++) vault_prepare(c->options.shard[i].vault);
  uint64_t last_ns = clock_mono_ns();
  pthread_mutex_lock(&c->lock);
  while (!c->is_stopping) {
    int64_t since_ms = (int64_t)((clock_mono_ns() - last_ns) / 1000000);
    bool has_work = checkpoint_dirty_bytes(c) || atomic_load(&c->has_vault);
    if (c->phase == WRITE) {
      write_what_was_given(c);
    } else if (c->phase == IDLE &&
               (c->is_asked || checkpoint_is_full(c) || (has_work && since_ms >= c->options.interval_ms))) {
      last_ns = clock_mono_ns();
      begin_cycle(c);
    } else {
      int64_t left = c->options.interval_ms - since_ms;
      wait_ms(c, left > 0 ? left : c->options.interval_ms);
    }
  }
  pthread_mutex_unlock(&c->lock);
  return NULL;
}

// ---- life ----
struct checkpoint *checkpoint_start(const struct checkpoint_options *options) {
  struct checkpoint *c = xcalloc(1, sizeof *c);
  c->options = *options;
  if (c->options.interval_ms < 1) c->options.interval_ms = 1;
  struct checkpoint_shard *shard = xmalloc(options->shards * sizeof *shard);
  memcpy(shard, options->shard, options->shards * sizeof *shard);
  c->options.shard = shard;
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&c->work, &attr);
  pthread_cond_init(&c->done, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&c->lock, NULL);
  CHECK(pthread_create(&c->thread, NULL, checkpointer, c) == 0);
  return c;
}

void checkpoint_stop(struct checkpoint *c) {
  if (!c) return;
  pthread_mutex_lock(&c->lock);
  c->is_stopping = true;
  pthread_cond_signal(&c->work);
  pthread_mutex_unlock(&c->lock);
  pthread_join(c->thread, NULL);
  forget_cycle(c, c->chunks);
  state_snapshot_close(c->snapshot);
  pthread_mutex_destroy(&c->lock);
  pthread_cond_destroy(&c->work);
  pthread_cond_destroy(&c->done);
  free((void *)(uintptr_t)c->options.shard);
  free(c);
}

uint32_t checkpoint_begin(struct checkpoint *c) {
  pthread_mutex_lock(&c->lock);
  if (c->phase == IDLE) begin_cycle(c);
  uint32_t cycle = atomic_load(&c->cycle);
  pthread_mutex_unlock(&c->lock);
  return cycle;
}

bool checkpoint_wait(struct checkpoint *c, uint32_t cycle) {
  pthread_mutex_lock(&c->lock);
  // A cycle that failed before gets one more try from now.
  if (c->phase == WRITE && c->tried == cycle) c->tried = cycle - 1;
  pthread_cond_signal(&c->work);
  while (atomic_load(&c->finished) != cycle && c->tried != cycle) pthread_cond_wait(&c->done, &c->lock);
  bool is_durable = atomic_load(&c->finished) == cycle;
  pthread_mutex_unlock(&c->lock);
  return is_durable;
}

struct checkpoint_stats checkpoint_stats(const struct checkpoint *c) {
  return (struct checkpoint_stats){.checkpoints = atomic_load_explicit(&c->checkpoints, memory_order_relaxed),
                                   .failures = atomic_load_explicit(&c->failures, memory_order_relaxed)};
}
