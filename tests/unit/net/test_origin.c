// Rings and origins: nothing lost, nothing twice, order kept, credits bounded, with real threads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "net/origin.h"

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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ring_is_bounded_and_in_order),
      cmocka_unit_test(origins_get_every_task_back_in_order),
      cmocka_unit_test(credits_run_out_and_come_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
