// Rings and origins: nothing lost, nothing twice, order kept, credits bounded, with real threads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "net/origin.h"
#include "store/dedupe_run.h"
#include "store/ids.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static void ring_is_bounded_and_in_order(void **state) {
  (void)state;
  struct ring *ring = ring_new(4);
  int item[5];
  assert_null(ring_pop(ring));
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 4; i++) assert_true(ring_push(ring, &item[i]));
    assert_false(ring_push(ring, &item[4]));
    for (int i = 0; i < 4; i++) assert_ptr_equal(ring_pop(ring), &item[i]);
    assert_null(ring_pop(ring));
  }
  ring_free(ring);
}

#define SENT    40000
#define SHARDS  3
#define ORIGINS 4

static struct fabric *fabric;
static _Atomic bool is_over;

// A shard that answers each task with its own number.
static void *shard_thread(void *arg) {
  unsigned shard = (unsigned)(uintptr_t)arg;
  while (!atomic_load(&is_over)) {
    struct pollfd fd = {.fd = fabric_wake_fd(fabric, shard), .events = POLLIN};
    if (poll(&fd, 1, 20) > 0) fabric_woken(fabric, shard);
    struct task *task;
    while ((task = fabric_take(fabric, shard))) {
      task->status = -(int)shard - 1;
      fabric_return(fabric, shard, task);
    }
    fabric_flush(fabric, shard);
  }
  return NULL;
}

struct sender {
  struct origin *origin;
  uint32_t done, wrong, next[SHARDS];
};

static void on_done(struct request *request) {
  struct sender *sender = request->owner;
  unsigned shard = request->task[0]->partition;
  // Of one origin and one shard, answers come in the order in which the tasks were sent.
  if (request->id != sender->next[shard]++ || request->task[0]->status != -(int)shard - 1) sender->wrong++;
  sender->done++;
}

static void origins_get_every_task_back_in_order(void **state) {
  (void)state;
  fabric = fabric_new(SHARDS, ORIGINS);
  atomic_store(&is_over, false);
  pthread_t thread[SHARDS];
  for (uintptr_t s = 0; s < SHARDS; s++) assert_int_equal(pthread_create(&thread[s], NULL, shard_thread, (void *)s), 0);
  struct sender sender = {.origin = fabric_origin(fabric, ORIGINS - 1)}; // one without a shard, as HTTP's
  uint32_t sent = 0, numbers[SHARDS] = {0}, refused = 0;
  while (sender.done < SENT) {
    while (sent < SENT) {
      unsigned shard = sent * 2654435761u >> 16;
      shard %= SHARDS;
      struct request *request = request_new(1, on_done, &sender);
      request->task[0] = task_new(TASK_EVENT, (struct bytes){0}, 0);
      request->task[0]->partition = shard;
      request->task[0]->request = request;
      request->id = numbers[shard];
      if (!origin_send(sender.origin, shard, request->task[0])) {
        request_free(request);
        refused++;
        break;
      }
      numbers[shard]++;
      sent++;
    }
    origin_flush(sender.origin);
    struct pollfd fd = {.fd = fabric_wake_fd(fabric, ORIGINS - 1), .events = POLLIN};
    if (poll(&fd, 1, 20) > 0) fabric_woken(fabric, ORIGINS - 1);
    origin_collect(sender.origin);
    assert_true(origin_under_way(sender.origin) <= (size_t)SHARDS * ORIGIN_CREDITS);
  }
  assert_int_equal(sender.wrong, 0);
  assert_int_equal(origin_under_way(sender.origin), 0);
  assert_int_equal(origin_room(sender.origin), ORIGIN_CREDITS);
  atomic_store(&is_over, true);
  for (unsigned s = 0; s < SHARDS; s++) pthread_join(thread[s], NULL);
  fabric_free(fabric);
}

static void credits_run_out_and_come_back(void **state) {
  (void)state;
  fabric = fabric_new(1, 1);
  struct sender sender = {.origin = fabric_origin(fabric, 0)};
  for (uint32_t i = 0; i <= ORIGIN_CREDITS; i++) {
    struct request *request = request_new(1, on_done, &sender);
    request->task[0] = task_new(TASK_EVENT, (struct bytes){0}, 0);
    request->task[0]->request = request;
    request->id = i;
    bool sent = origin_send(sender.origin, 0, request->task[0]);
    assert_int_equal(sent, i < ORIGIN_CREDITS);
    if (!sent) request_free(request);
  }
  assert_int_equal(origin_room(sender.origin), 0);
  struct task *task = fabric_take(fabric, 0);
  task->status = -1;
  fabric_return(fabric, 0, task);
  assert_int_equal(origin_collect(sender.origin), 1);
  assert_int_equal(origin_room(sender.origin), 1);
  assert_int_equal(sender.wrong, 0);
  while ((task = fabric_take(fabric, 0))) {
    task->status = -1;
    fabric_return(fabric, 0, task);
  }
  assert_int_equal(origin_collect(sender.origin), ORIGIN_CREDITS - 1);
  fabric_free(fabric);
}

// ---- merged leads are passed by, but none that may know the message ----
enum { LEADS = 40, TRIPS = 3000, PARTITIONS = 8 };

static struct lead_id lead_of(unsigned n) {
  struct lead_id id = {{(uint8_t)(n * 37)}};
  uint64_t h = hash_mix(n, 9);
  memcpy(id.b + 8, &h, sizeof h);
  return id;
}

static unsigned number_of(struct lead_id id) {
  unsigned n = 0;
  while (!lead_id_eq(lead_of(n), id)) n++;
  return n;
}

struct trip {
  bool was_asked[LEADS];
  unsigned asked, end;
};

// What the shard of a lead answers: lead n is merged into n + 1, what was decided there counts until knows_ms[n].
static void answer(struct task *task, const int64_t *knows_ms, unsigned links, bool is_first, struct trip *trip) {
  unsigned n = number_of(task->way.to);
  struct hash128 message = message_in_slot((struct hash128){1, 2}, lead_id_slot(task->way.to));
  assert_true(is_first || (message.hi == task->way.message.hi && message.lo == task->way.message.lo));
  assert_int_equal(task->partition, slot_partition(lead_id_slot(task->way.to), PARTITIONS));
  assert_false(trip->was_asked[n]);
  trip->was_asked[n] = true;
  trip->asked++;
  trip->end = n;
  if (n == links) {
    task->status = 0;
    return;
  }
  task->way = (struct intake_way){.to = lead_of(n + 1), .passes_ms = INT64_MAX, .message = message};
  task->way.message = message_in_slot(message, lead_id_slot(task->way.to));
  if (!is_first) task->way.from = lead_of(n), task->way.passes_ms = knows_ms[n];
  task->partition = slot_partition(lead_id_slot(task->way.to), PARTITIONS);
  task->has_way = task->goes_on = true;
}

static void count_one(struct request *request) { ++*(int *)request->owner; }

static struct trip travel(struct origin *o, const int64_t *knows_ms, unsigned links, unsigned from, int64_t received_ms,
                          enum task_kind kind) {
  struct trip trip = {0};
  int done = 0;
  struct request *request = request_new(1, count_one, &done);
  struct task *task = request->task[0] = task_new(kind, (struct bytes){0}, received_ms);
  task->request = request;
  task->way.to = lead_of(from); // as its identity's
  task->partition = slot_partition(lead_id_slot(task->way.to), PARTITIONS);
  answer(task, knows_ms, links, true, &trip);
  origin_settle(o, task);
  for (int hops = 0; !done && hops < 2 * LEADS; hops++) {
    for (unsigned s = 0; s < SHARDS; s++) {
      struct task *there = fabric_take(fabric, s);
      if (!there) continue;
      answer(there, knows_ms, links, false, &trip);
      fabric_return(fabric, s, there);
    }
    origin_collect(o);
  }
  assert_int_equal(done, 1);
  return trip;
}

static void merges_are_passed_by_that_know_no_message(void **state) {
  (void)state;
  uint64_t d = 77;
  fabric = fabric_new(SHARDS, SHARDS);
  fabric_set_partitions(fabric, PARTITIONS);
  struct origin *o = fabric_origin(fabric, 1);
  int64_t knows_ms[LEADS], now_ms = 0;
  unsigned links = 0;
  for (int i = 0; i < TRIPS; i++) {
    d = hash_mix(d, 1);
    now_ms += (int64_t)(d % 50);
    if (d >> 20 & 1 && links < LEADS - 2 && i % 60 == 0) knows_ms[links++] = now_ms + (int64_t)(d >> 8 & 0xfff);
    bool is_replay = (d >> 40) % 8 == 0;
    unsigned from = links ? (unsigned)((d >> 44) % links) : 0;
    int64_t received_ms = now_ms - (int64_t)((d >> 50) % 5000); // some have waited for long
    struct trip trip = travel(o, knows_ms, links, from, received_ms, is_replay ? TASK_REPLAY : TASK_EVENT);
    assert_int_equal(trip.end, links);
    for (unsigned n = from; n < links; n++)
      assert_true(trip.was_asked[n] || (!is_replay && n > from && received_ms > knows_ms[n]));
  }
  assert_true(links > 10);
  travel(o, knows_ms, links, 0, now_ms + 100000, TASK_EVENT);
  struct trip trip = travel(o, knows_ms, links, 0, now_ms + 100000, TASK_EVENT);
  assert_int_equal(trip.asked, 2); // the first and the last
  trip = travel(o, knows_ms, links, 0, now_ms + 100000, TASK_REPLAY);
  assert_int_equal(trip.asked, links + 1);
  fabric_free(fabric);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ring_is_bounded_and_in_order),
      cmocka_unit_test(origins_get_every_task_back_in_order),
      cmocka_unit_test(credits_run_out_and_come_back),
      cmocka_unit_test(merges_are_passed_by_that_know_no_message),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
