// An origin: a thread that has senders (a shard, or the HTTP thread) and its ways to every shard. It sends tasks and
// gets them back, never blocks, and never overruns: a task needs a credit, which comes back with its answer, so that
// every ring is large enough.
#pragma once
#include "net/ring.h"
#include "net/task.h"

#define ORIGIN_CREDITS  8192 // net.inflight: tasks that an origin may have under way to one shard
#define MESSAGE_CREDITS 16   // and batches of messages, which have rings and credits of their own

struct origin;
struct fabric; // all origins and shards of a daemon

struct fabric *fabric_new(unsigned shards, unsigned origins); // origin i < shards is shard i's own
// From then on events pass merged leads by where they may (intake_way); before, none does. The store's partitions.
void fabric_set_partitions(struct fabric *fabric, unsigned partitions);
void fabric_free(struct fabric *fabric); // all threads have stopped
struct origin *fabric_origin(struct fabric *fabric, unsigned index);
unsigned fabric_shards(const struct fabric *fabric);
// File descriptors (eventfd) to watch: a shard's and an origin's are one and the same for a shard.
int fabric_wake_fd(const struct fabric *fabric, unsigned index);
void fabric_wake(struct fabric *fabric, unsigned index);  // from any thread
void fabric_woken(struct fabric *fabric, unsigned index); // on its own thread: before looking at the rings

// ---- on the origin's thread ----
// False: no credit; the caller stops reading and tries again after origin_collect has returned something. On success
// the task is the shard's until it comes back.
bool origin_send(struct origin *origin, unsigned shard, struct task *task);
// A task that is back, or was done on this thread: counts down its request, or sends it on (task->goes_on) as soon as there is a
// credit.
void origin_settle(struct origin *origin, struct task *task);
// Finishes what came back: counts down requests and calls `done`. Returns how many tasks.
size_t origin_collect(struct origin *origin);
// Wakes the shards that got something since the last call (one write each, however many tasks).
void origin_flush(struct origin *origin);
size_t origin_under_way(const struct origin *origin); // of tasks with a request
bool origin_has_room(const struct origin *origin, unsigned shard, enum task_kind kind);
// So many tasks can be sent to whichever shard before a credit lacks: what a batch asks before it begins.
size_t origin_room(const struct origin *origin);

// ---- on the shard's thread ----
struct task *fabric_take(struct fabric *fabric,
                         unsigned shard); // the next task from any origin, fair among them; NULL: none
struct task *fabric_take_messages(struct fabric *fabric, unsigned shard); // TASK_MESSAGES come only here
void fabric_return(struct fabric *fabric, unsigned shard, struct task *task);
void fabric_flush(struct fabric *fabric, unsigned shard); // wakes the origins that got answers

// ---- requests (origin's thread) ----
struct request *request_new(uint32_t count, void (*done)(struct request *), void *owner);
void request_free(struct request *request); // and its tasks
struct task *task_new(enum task_kind kind, struct bytes input, int64_t received_ms);
void task_free(struct task *task);
// A task that needs no shard (refused at once, or decided on this thread) counts down its request; calls `done`
// at zero, and frees the request.
void request_settle(struct request *request);
