// The courier: carries messages between entities from one shard to another, and to itself, over the fabric's rings. Batches
// have rings and credits of their own: a shard that takes no events (its outbox is full) goes on taking batches, and a way
// that is full of events has room for them. A batch is given back as soon as it was read; what acknowledges it is a batch
// of the other direction, when it is on disk (store/outbox.h).
#pragma once
#include "net/origin.h"

// Takes batches that came to a shard, at most some a turn. A release must be in force. True: there may be more.
bool courier_take(struct fabric *fabric, unsigned shard, struct intake *intake, int64_t received_ms);
void courier_drop(struct fabric *fabric, unsigned shard); // gives back what came, unread
// After a commit: sends what may leave. *due_ns: when to call again even if nothing comes (CLOCK_MONOTONIC; UINT64_MAX:
// never). True: call again at once.
bool courier_give(struct origin *origin, struct store_shard *store, uint64_t now_ns, uint64_t *due_ns);
