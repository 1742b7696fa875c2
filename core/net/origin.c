#include "net/origin.h"

#include "base/check.h"
#include "store/dedupe_run.h"
#include "store/ids.h"
#include "store/table.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

// Tasks with a request, and batches of messages: neither ever waits for the other.
enum lane { REQUESTS, MESSAGES, LANES };
static const size_t CREDITS[LANES] = {ORIGIN_CREDITS, MESSAGE_CREDITS};
static enum lane lane_of(enum task_kind kind) { return kind == TASK_MESSAGES ? MESSAGES : REQUESTS; }

struct origin {
  struct fabric *fabric;
  unsigned index;
  size_t *credits[LANES]; // a shard each
  bool *touched;          // shards to wake
  struct table passes;    // merged leads that events may pass by, and to whom
  struct task_list going; // tasks that go on, and wait for a credit: no others are taken meanwhile
  size_t going_count;
};

#define PASSES_MAX 65536u
struct pass {
  struct table_entry head; // a lead
  struct lead_id to;
  int64_t after_ms; // an event that was received later
};

struct fabric {
  unsigned shards, origins, partitions;
  struct ring **there[LANES]; // [origin * shards + shard]
  struct ring **back[LANES];  // the same
  struct origin *origin;
  int *wake;             // a thread each
  _Atomic bool *awake;   // a wake-up is under way: the next one need not write
  unsigned *turn[LANES]; // a shard each: whose ring is looked at next
  bool **answered;       // [shard][origin]: to wake
};

static void make_lane(struct fabric *f, int lane) {
  f->there[lane] = xcalloc((size_t)f->origins * f->shards, sizeof *f->there[lane]);
  f->back[lane] = xcalloc((size_t)f->origins * f->shards, sizeof *f->back[lane]);
  f->turn[lane] = xcalloc(f->shards, sizeof *f->turn[lane]);
  for (unsigned i = 0; i < f->origins * f->shards; i++) {
    f->there[lane][i] = ring_new(CREDITS[lane]);
    f->back[lane][i] = ring_new(CREDITS[lane]);
  }
}

static void free_lane(struct fabric *f, int lane) {
  for (unsigned i = 0; i < f->origins * f->shards; i++) {
    struct task *task;
    while ((task = ring_pop(f->there[lane][i]))) task_free(task);
    while ((task = ring_pop(f->back[lane][i]))) task_free(task);
    ring_free(f->there[lane][i]);
    ring_free(f->back[lane][i]);
  }
  free(f->there[lane]);
  free(f->back[lane]);
  free(f->turn[lane]);
}

struct fabric *fabric_new(unsigned shards, unsigned origins) {
  CHECK(origins >= shards);
  struct fabric *f = xcalloc(1, sizeof *f);
  f->shards = shards;
  f->origins = origins;
  for (int lane = 0; lane < LANES; lane++) make_lane(f, lane);
  f->origin = xcalloc(origins, sizeof *f->origin);
  f->wake = xcalloc(origins, sizeof *f->wake);
  f->awake = xcalloc(origins, sizeof *f->awake);
  f->answered = xcalloc(shards, sizeof *f->answered);
  for (unsigned s = 0; s < shards; s++) f->answered[s] = xcalloc(origins, sizeof **f->answered);
  for (unsigned o = 0; o < origins; o++) {
    f->wake[o] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(f->wake[o] >= 0);
    f->origin[o] = (struct origin){.fabric = f, .index = o, .touched = xcalloc(shards, 1)};
    table_init(&f->origin[o].passes, sizeof(struct pass));
    for (int lane = 0; lane < LANES; lane++) {
      f->origin[o].credits[lane] = xcalloc(shards, sizeof(size_t));
      for (unsigned s = 0; s < shards; s++) f->origin[o].credits[lane][s] = CREDITS[lane];
    }
  }
  return f;
}

void fabric_free(struct fabric *f) {
  if (!f) return;
  for (int lane = 0; lane < LANES; lane++) free_lane(f, lane);
  for (unsigned o = 0; o < f->origins; o++) {
    close(f->wake[o]);
    for (int lane = 0; lane < LANES; lane++) free(f->origin[o].credits[lane]);
    free(f->origin[o].touched);
    table_deinit(&f->origin[o].passes);
    for (struct task *task; (task = task_list_take(&f->origin[o].going));) task_free(task);
  }
  for (unsigned s = 0; s < f->shards; s++) free(f->answered[s]);
  free(f->origin);
  free(f->wake);
  free((void *)f->awake);
  free(f->answered);
  free(f);
}

void fabric_set_partitions(struct fabric *f, unsigned partitions) { f->partitions = partitions; }

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
  enum lane lane = lane_of(task->kind);
  if (!o->credits[lane][shard]) return false;
  o->credits[lane][shard]--;
  task->origin = o->index;
  task->sent_ns = clock_mono_ns();
  task->is_sent = true;
  CHECK(ring_push(o->fabric->there[lane][o->index * o->fabric->shards + shard], task));
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

// In their order, as far as credits reach.
static void send_on(struct origin *o) {
  while (o->going.first) {
    unsigned shard = o->going.first->partition % o->fabric->shards;
    if (!origin_has_room(o, shard, o->going.first->kind)) return;
    CHECK(origin_send(o, shard, task_list_take(&o->going)));
    o->going_count--;
  }
}

static void learn(struct origin *o, const struct intake_way *way) {
  if (way->passes_ms == INT64_MAX) return;
  struct pass *pass = table_find(&o->passes, lead_key(way->from));
  if (!pass) {
    if (table_count(&o->passes) == PASSES_MAX) table_drop_oldest(&o->passes);
    pass = table_add(&o->passes, lead_key(way->from));
  }
  pass->to = way->to;
  pass->after_ms = way->passes_ms;
}

// A chain of merges is gone along once; whoever comes later goes from its first lead to its last.
static void pass_by(struct origin *o, struct task *task) {
  struct intake_way *way = &task->way;
  learn(o, way);
  struct pass *first = table_find(&o->passes, lead_key(way->to)), *pass = first;
  int64_t after_ms = INT64_MIN;
  for (; pass && task->received_ms > pass->after_ms; pass = table_find(&o->passes, lead_key(way->to))) {
    way->to = pass->to;
    if (pass->after_ms > after_ms) after_ms = pass->after_ms;
  }
  if (after_ms == INT64_MIN) return;
  first->to = way->to;
  first->after_ms = after_ms;
  if (way->message.hi || way->message.lo) way->message = message_in_slot(way->message, lead_id_slot(way->to));
  task->partition = slot_partition(lead_id_slot(way->to), o->fabric->partitions);
}

void origin_settle(struct origin *o, struct task *task) {
  if (!task->goes_on || task->status < 0) {
    request_settle(task->request);
    return;
  }
  task->goes_on = false;
  bool is_event = task->kind == TASK_EVENT || task->kind == TASK_VALIDATE;
  if (is_event && o->fabric->partitions) pass_by(o, task);
  task_list_add(&o->going, task);
  o->going_count++;
  send_on(o);
}

size_t origin_collect(struct origin *o) {
  size_t count = 0;
  for (unsigned s = 0; s < o->fabric->shards; s++) {
    struct task *task;
    while ((task = ring_pop(o->fabric->back[MESSAGES][o->index * o->fabric->shards + s]))) {
      o->credits[MESSAGES][s]++;
      task_free(task);
    }
    while ((task = ring_pop(o->fabric->back[REQUESTS][o->index * o->fabric->shards + s]))) {
      o->credits[REQUESTS][s]++;
      count++;
      task->is_sent = false;
      origin_settle(o, task);
    }
  }
  send_on(o);
  return count;
}

size_t origin_room(const struct origin *o) {
  size_t room = ORIGIN_CREDITS;
  if (o->going_count) return 0;
  for (unsigned s = 0; s < o->fabric->shards; s++)
    if (o->credits[REQUESTS][s] < room) room = o->credits[REQUESTS][s];
  return room;
}

bool origin_has_room(const struct origin *o, unsigned shard, enum task_kind kind) {
  return o->credits[lane_of(kind)][shard] > 0;
}

size_t origin_under_way(const struct origin *o) {
  size_t n = o->going_count;
  for (unsigned s = 0; s < o->fabric->shards; s++) n += ORIGIN_CREDITS - o->credits[REQUESTS][s];
  return n;
}

static struct task *take(struct fabric *f, enum lane lane, unsigned shard) {
  for (unsigned i = 0; i < f->origins; i++) {
    unsigned o = f->turn[lane][shard]++ % f->origins;
    struct task *task = ring_pop(f->there[lane][o * f->shards + shard]);
    if (task) return task;
  }
  return NULL;
}

struct task *fabric_take(struct fabric *f, unsigned shard) {
  return take(f, REQUESTS, shard);
}
struct task *fabric_take_messages(struct fabric *f, unsigned shard) {
  return take(f, MESSAGES, shard);
}

void fabric_return(struct fabric *f, unsigned shard, struct task *task) {
  unsigned o = task->origin;
  CHECK(ring_push(f->back[lane_of(task->kind)][o * f->shards + shard], task));
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
