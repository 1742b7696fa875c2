// Subscriptions to decisions. A shard that has committed hands its decisions to every shard with subscribers; each of
// those picks and writes. Costs one relaxed load a turn when nobody listens. A subscriber that does not keep up is
// closed, never waited for.
#pragma once
#include "net/conn.h"

// Joins with a filter, a map with any of {lead, stage, action, owner: text; changed: true (only decisions that moved
// the stage)}; nil: all. ITD_EINVAL for anything else; ITD_EBUSY when the connection has one already.
int hub_join(struct conn *conn, struct bytes filter, struct error *err) ITD_MUST_USE;
void hub_leave(struct conn *conn);
bool hub_is_wanted(const struct daemon *daemon); // any thread
// A lead is forgotten: what this turn decided about it does not go out any more.
void hub_forget(struct shard *shard, struct lead_id lead);
// After a commit: the decisions in shard->publish go out, and the buffer is cleared.
void hub_publish(struct shard *shard);
