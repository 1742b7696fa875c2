#include "net/origin.h"

#include "base/check.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct origin {
  struct fabric *fabric;
  unsigned index;
  size_t *credits; // a shard each
  bool *touched;   // shards to wake
};

struct fabric {
  unsigned shards, origins;
  struct ring **there; // [origin * shards + shard]
  struct ring **back;  // the same
  struct origin *origin;
  int *wake;           // a thread each
  _Atomic bool *awake; // a wake-up is under way: the next one need not write
  unsigned *turn;      // a shard each: whose ring is looked at next
  bool **answered;     // [shard][origin]: to wake
};

struct fabric *fabric_new(unsigned shards, unsigned origins) {
  CHECK(origins >= shards);
  struct fabric *f = xcalloc(1, sizeof *f);
  f->shards = shards;
  f->origins = origins;
  f->there = xcalloc((size_t)origins * shards, sizeof *f->there);
  f->back = xcalloc((size_t)origins * shards, sizeof *f->back);
  f->origin = xcalloc(origins, sizeof *f->origin);
  f->wake = xcalloc(origins, sizeof *f->wake);
  f->awake = xcalloc(origins, sizeof *f->awake);
  f->turn = xcalloc(shards, sizeof *f->turn);
  f->answered = xcalloc(shards, sizeof *f->answered);
  for (unsigned i = 0; i < origins * shards; i++) {
    f->there[i] = ring_new(ORIGIN_CREDITS);
    f->back[i] = ring_new(ORIGIN_CREDITS);
  }
  for (unsigned s = 0; s < shards; s++) f->answered[s] = xcalloc(origins, sizeof **f->answered);
  for (unsigned o = 0; o < origins; o++) {
    f->wake[o] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(f->wake[o] >= 0);
    f->origin[o] = (struct origin){
        .fabric = f, .index = o, .credits = xcalloc(shards, sizeof(size_t)), .touched = xcalloc(shards, 1)};
    for (unsigned s = 0; s < shards; s++) f->origin[o].credits[s] = ORIGIN_CREDITS;
  }
  return f;
}

void fabric_free(struct fabric *f) {
  if (!f) return;
  for (unsigned i = 0; i < f->origins * f->shards; i++) {
    struct task *task;
    while ((task = ring_pop(f->there[i]))) task_free(task);
    while ((task = ring_pop(f->back[i]))) task_free(task);
    ring_free(f->there[i]);
    ring_free(f->back[i]);
  }
  for (unsigned o = 0; o < f->origins; o++) {
    close(f->wake[o]);
    free(f->origin[o].credits);
    free(f->origin[o].touched);
  }
  for (unsigned s = 0; s < f->shards; s++) free(f->answered[s]);
  free(f->there);
  free(f->back);
  free(f->origin);
  free(f->wake);
  free((void *)f->awake);
  free(f->turn);
  free(f->answered);
  free(f);
}

struct origin *fabric_origin(struct fabric *f, unsigned index) {
  return &f->origin[index];
}
unsigned fabric_shards(const struct fabric *f) { return f->shards; }
int fabric_wake_fd(const struct fabric *f, unsigned index) { return f->wake[index]; }

void fabric_wake(struct fabric *f, unsigned index) {
  if (atomic_exchange_explicit(&f->awake[index], true, memory_order_acq_rel)) return;
  uint64_t one = 1;
  ssize_t n = write(f->wake[index], &one, sizeof one);
  (void)n; // the counter is never near its end
}

void fabric_woken(struct fabric *f, unsigned index) {
  uint64_t count;
  ssize_t n = read(f->wake[index], &count, sizeof count);
  (void)n;
  // Only now may others ring again: what they push after this store is seen by the next wake-up, what they pushed
  // before by this one.
  atomic_exchange_explicit(&f->awake[index], false, memory_order_acq_rel);
}

bool origin_send(struct origin *o, unsigned shard, struct task *task) {
  if (!o->credits[shard]) return false;
  o->credits[shard]--;
  task->origin = o->index;
  task->sent_ns = clock_mono_ns();
  CHECK(ring_push(o->fabric->there[o->index * o->fabric->shards + shard], task));
  o->touched[shard] = true;
  return true;
}

void origin_flush(struct origin *o) {
  for (unsigned s = 0; s < o->fabric->shards; s++) {
    if (!o->touched[s]) continue;
    o->touched[s] = false;
    fabric_wake(o->fabric, s);
  }
}

size_t origin_collect(struct origin *o) {
  size_t count = 0;
  for (unsigned s = 0; s < o->fabric->shards; s++) {
    struct task *task;
    while ((task = ring_pop(o->fabric->back[o->index * o->fabric->shards + s]))) {
      o->credits[s]++;
      count++;
      request_settle(task->request);
    }
  }
  return count;
}

size_t origin_room(const struct origin *o) {
  size_t room = ORIGIN_CREDITS;
  for (unsigned s = 0; s < o->fabric->shards; s++)
    if (o->credits[s] < room) room = o->credits[s];
  return room;
}

size_t origin_under_way(const struct origin *o) {
  size_t n = 0;
  for (unsigned s = 0; s < o->fabric->shards; s++) n += ORIGIN_CREDITS - o->credits[s];
  return n;
}

struct task *fabric_take(struct fabric *f, unsigned shard) {
  for (unsigned i = 0; i < f->origins; i++) {
    unsigned o = f->turn[shard]++ % f->origins;
    struct task *task = ring_pop(f->there[o * f->shards + shard]);
    if (task) return task;
  }
  return NULL;
}

void fabric_return(struct fabric *f, unsigned shard, struct task *task) {
  unsigned o = task->origin;
  CHECK(ring_push(f->back[o * f->shards + shard], task));
  f->answered[shard][o] = true;
}

void fabric_flush(struct fabric *f, unsigned shard) {
  for (unsigned o = 0; o < f->origins; o++) {
    if (!f->answered[shard][o]) continue;
    f->answered[shard][o] = false;
    fabric_wake(f, o);
  }
}

struct request *request_new(uint32_t count, void (*done)(struct request *), void *owner) {
  struct request *request = xcalloc(1, sizeof *request + count * sizeof(struct task *));
  request->left = request->count = count;
  request->done = done;
  request->owner = owner;
  return request;
}

void request_free(struct request *request) {
  if (!request) return;
  for (uint32_t i = 0; i < request->count; i++) task_free(request->task[i]);
  buf_deinit(&request->tail);
  free(request);
}

struct task *task_new(enum task_kind kind, struct bytes input, int64_t received_ms) {
  struct task *task = xcalloc(1, sizeof *task);
  task->kind = kind;
  task->received_ms = received_ms;
  buf_append_bytes(&task->input, input);
  return task;
}

void task_free(struct task *task) {
  if (!task) return;
  buf_deinit(&task->input);
  buf_deinit(&task->answer);
  free(task);
}

void request_settle(struct request *request) {
  CHECK(request->left > 0);
  if (--request->left) return;
  request->done(request);
  request_free(request);
}
