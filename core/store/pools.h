// Pools in a shard: grants that come to its leads, pools that are to be woken or told of another team, and what is asked about them
// (engine/pool.h, docs/decisions/pools.md). Private to store/.
#pragma once
#include "store/intake_private.h"

void pools_init(struct intake *in);
// Applies a grant to a lead, and stages its frames; what nobody waits for goes back.
void pools_grant(struct intake *in, const struct message *message, const struct arrival *arrival);
// For a lead that is to be forgotten: appends what it gives back.
void pools_put_forget(struct store *store, const struct lead *lead, struct buf *list);
// The seat that a lead hands over with its owner; person 0: none. And giving one back that nobody took.
struct seat_back pools_seat_of(struct lead *lead);
void pools_put_back(struct store *store, uint16_t workspace, const struct seat_back *seat, struct buf *list);
// The grant of a GRANT frame; empty: it is none.
struct bytes pools_grant_of(const struct frame *frame);
// A pool of this shard whose time has come (store_due); false: `id` is none.
bool pools_wake(struct intake *in, struct lead_id id, int64_t now_ms);
// After another release came in force: this shard's pools learn whom their teams have now.
void pools_use(struct intake *in);
