// A shard: one thread with an event loop, its connections, its partitions. A turn of the loop reads what has come,
// decides, commits once, and only then lets answers out. Everything here is called on the shard's thread unless it says
// otherwise.
#pragma once
#include "net/metrics.h"
#include "net/origin.h"

#include <event2/event.h>

struct conn;
struct daemon;

struct net_limits {
  unsigned connections_max; // net.connections: a shard's; default 4,096
  size_t out_max;           // net.answer_bytes: unread answers before a connection is not read from; default 1 MiB
  size_t subscriber_max;    // net.subscriber_bytes: a subscriber further behind is closed; default 16 MiB
  int64_t stall_ms;         // net.stall: a message must end this long after it began; default 30 s
  uint32_t batch_max;       // net.batch: events of one event.batch; default 1,000
  struct mp_limits frame;   // frame.depth, frame.objects, frame.bytes
};
#define NET_LIMITS_DEFAULT                                                                                             \
  ((struct net_limits){.connections_max = 4096,                                                                        \
                       .out_max = 1u << 20,                                                                            \
                       .subscriber_max = 16u << 20,                                                                    \
                       .stall_ms = 30000,                                                                              \
                       .batch_max = 1000,                                                                              \
                       .frame = MP_LIMITS_DEFAULT})

// What a shard can do with its store. FULL: a commit found no room (ITD_EFULL). Its frames stay staged, the answers of that
// turn are held, and it is tried again; events are refused meanwhile, questions answered. LOST: a write or a sync failed
// (ITD_EIO). What was not committed has been answered with an error, and everything is refused until the control thread
// has recovered the store from its files (net/recover.h).
enum shard_storage { STORAGE_GOOD, STORAGE_FULL, STORAGE_LOST };

struct shard {
  struct daemon *daemon;
  unsigned index;
  struct event_base *base;
  struct origin *origin;
  struct fabric *fabric;
  struct store_shard *store; // these two: NULL while the store is recovered
  struct intake *intake;
  enum shard_storage storage;
  struct error refusal;      // what is answered unless storage is GOOD
  struct task_list answered; // tasks that wait for this turn's commit
  struct task_list held;     // likewise, for one that found no room
  const struct net_limits *limits;
  struct metrics *metrics;
  struct conn *conns;    // all of this shard
  struct conn *flushing; // those with something to write at the end of the turn
  bool has_room;         // answers of a stalled connection were written: it may go on
  size_t conn_count;
  bool is_paused;     // nothing is read or decided: the checkpoint must catch up, or messages get away
  struct buf publish; // decisions of this turn for subscribers: one MessagePack value after another
  uint64_t turn_ns;   // clock_mono_ns when the bytes at hand were read, or the turn's work began
  int64_t turn_ms;    // clock_wall_ms, likewise: the arrival of what is read
};

// Brings the shard's clocks up to now: the loop may have slept since.
static inline void shard_tick(struct shard *shard) {
  shard->turn_ns = clock_mono_ns();
  shard->turn_ms = clock_wall_ms();
}

struct shard_thread; // thread, mailbox, listeners: shard.c
struct shard_thread *shard_start(struct daemon *daemon, unsigned index);
// From the control thread, in this order for all shards: answers that wait for room are given up; no more reading; then,
// when nothing is under way anywhere, end and join.
void shard_give_up(struct shard_thread *thread);
void shard_quiet(struct shard_thread *thread);
bool shard_is_idle(struct shard_thread *thread);
void shard_stop(struct shard_thread *thread);
struct shard *shard_of(struct shard_thread *thread);
// Runs `work` on the shard's thread between two turns. Any thread; never blocks.
void shard_post(struct shard_thread *thread, void (*work)(struct shard *shard, void *context), void *context);
// The same and waits for it. Not from a shard's thread.
void shard_call(struct shard_thread *thread, void (*work)(struct shard *shard, void *context), void *context);
// Begins to accept on a listening socket, which the caller keeps open until the shard has stopped.
enum conn_role { CONN_PUBLIC, CONN_FORWARD, CONN_ADMIN };
void shard_listen(struct shard_thread *thread, int fd, enum conn_role role);

// Does one task now when the partition is this shard's, else sends it; settles or will settle its request. The caller
// has made sure of origin_room.
void shard_submit(struct shard *shard, struct request *request, uint32_t slot, enum task_kind kind, unsigned partition,
                  struct bytes input);
// Runs a task against this shard's intake.
void shard_do(struct shard *shard, struct task *task);
// Has a task that met INTAKE_ELSEWHERE go on, once this turn is committed and it is back at its origin.
void shard_send_on(struct shard *shard, struct task *task, const struct intake_way *way);
// serve_quarantine.c: TASK_REPLAY, as intake_replay.
int serve_replay(struct shard *shard, struct task *task, const struct intake_way *on, struct intake_way *way);
// 0, or ITD_EUNAVAILABLE when the store does not allow a task of this kind now.
int shard_allows(const struct shard *shard, enum task_kind kind, struct error *err) ITD_MUST_USE;
// Keeps what was refused, as intake_refuse, unless there is no store.
void shard_quarantine(struct shard *shard, const struct error *reason, struct bytes bytes);

// ---- recovery (net/recover.h): the control thread has these called on every shard by shard_call ----
// Commits what is staged if it can, else answers it with an error; then lets go of the store. `context`: a struct error, why.
void shard_leave_store(struct shard *shard, void *context);
void shard_join_store(struct shard *shard,
                      void *context); // the store is there again; still LOST: no release is in force
void shard_serve_store(struct shard *shard, void *context);
void shard_say_why(struct shard *shard, void *context); // a struct error: what is answered from now on while it is LOST
