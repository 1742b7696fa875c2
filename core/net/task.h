// A task: one thing to do in one partition, on its way from the thread that has the sender (its origin) to the shard
// that owns the partition, and back with the answer. A request: what one sender waits for, made of one task or more.
#pragma once
#include "store/intake.h"

enum task_kind {
  TASK_EVENT,
  TASK_VALIDATE,
  TASK_LEAD,
  TASK_DECISION,
  TASK_EXPLAIN,
  TASK_WHO,
  TASK_ACCOUNT,
  TASK_POOL,
  TASK_REPLAY,
  TASK_MESSAGES
};

struct task {
  enum task_kind kind;
  unsigned partition;
  unsigned origin; // index of the origin that waits for it
  int64_t received_ms;
  uint64_t sent_ns; // when its origin sent it (CLOCK_MONOTONIC)
  struct buf
      input; // the event's map, or who or which; REPLAY: an entry of the quarantine (serve_quarantine.c); MESSAGES: a batch for a shard (net/courier.h), which has no request
  struct buf answer; // a MessagePack map when status is 0
  // The lead that is meant was merged into another: the task goes on to `partition`, from its origin, when it is back there.
  bool goes_on;
  bool has_way;   // it came on
  unsigned wants; // INTAKE_TRACE, INTAKE_TIMES (store/intake.h)
  bool is_sent;   // it is in a ring, or came out of one, and holds a credit of its origin's
  struct intake_way way;
  int status;
  struct error error;      // when status is not 0
  struct request *request; // the origin's
  struct task *next;       // in the shard's list of answers that wait for the commit
};

// Tasks in the order of their arrival.
struct task_list {
  struct task *first, *last;
};
static inline void task_list_add(struct task_list *list, struct task *task) {
  task->next = NULL;
  if (list->first)
    list->last->next = task;
  else
    list->first = task;
  list->last = task;
}
static inline struct task *task_list_take(struct task_list *list) {
  struct task *task = list->first;
  if (task) list->first = task->next;
  return task;
}

// Owned by its origin. `done` is called once on the origin's thread when every task is back, and
// the request with its tasks is freed after it.
struct request {
  uint32_t left, count;
  void (*done)(struct request *request);
  void *owner;         // a connection, an HTTP exchange
  uint32_t id;         // the RPC's
  bool has_reply;      // false: a notification
  unsigned wants;      // of its tasks
  size_t weight;       // bytes of what was asked, while it is under way
  struct buf tail;     // protocol's own: a chunk to acknowledge
  struct task *task[]; // NULL where an element was refused before it became a task: see error
};
