// Merging one lead into another, by messages between the two (docs/decisions/merges.md). Private to store/.
//
// An identify or alias makes its lead, the asking one, ask for the other identity: `merge.ask`. That identity's lead, founded
// now where there is none, seals itself and hands its state over (`merge.hand`), or answers `merge.none`: it is merged already, or
// cannot be. The asking one takes the state in and decides: a MERGE frame. From then on what comes for the sealed
// lead goes on to the other. A lead that waits for answers of its own is not sealed before it has them (it tells itself by `merge.seal`): so no message meets a sealed lead but asks, and no circle can come about.
//
// Bodies, MessagePack arrays; an address is 8 bytes of a lead's key record, or its last identity's, in the vault, little-endian:
//   ask     [kind of identity, lead, address of its key, sealed]           sealed under its key: [kind, the identity's text]; the lead
//                                                                          is the asking one, or whose wish it was at first
//   hand    [kind of identity, lead, address of its key, of its last identity, sealed]   sealed under its key: its block
//           and, where it has an owner of a pool, whose seat it hands over, two more: team and person (engine/pool.h)
//   none    [kind of identity, why, the ask's body or nil]                 why: enum merge_none
//   forget  nil                                                            to a lead that was merged into one that is forgotten
//   wish    [address, an ask's body]                                       from a lead that is waited for, to who waits: it asks instead
//   seal    nil                                                            to itself: it has all answers, and somebody waits for it
// The frame of a MERGE says the same as a hand without what was sealed: that lies in the frame's `secret`, under its own
// lead's key. Other frames of a lead (kind MESSAGE) have an answer {merge, into, asks, asks_known}: what became of it.
#pragma once
#include "store/intake_private.h"

enum merge_none { MERGE_SAME = 1, MERGE_TAKEN = 2, MERGE_BUSY = 3, MERGE_GONE = 4 };

struct merge_asks { // how many
  uint32_t all, known;
};
// What a list of messages asks for.
struct merge_asks merge_asks_of(struct bytes list);
// Appends the asks that an event makes of its lead, unless it has asked before.
struct merge_asks merge_put_asks(struct intake *in, const struct lead *lead, const struct event *event,
                                 struct buf *list);
// What a lead that is forgotten tells others, into `list`, which its FORGET frame gets a view of.
void merge_put_forgets(struct store_shard *shard, const struct lead *lead, struct buf *list, struct frame *frame);
// Applies a message to a lead, and stages its frames.
void merge_apply(struct intake *in, const struct message *message, const struct arrival *arrival);

// ---- frames again ----
// A MESSAGE frame of a lead, applied as it is recorded. *lead NULL: its first. *hash: what the frame should have.
// `counts_asks`: false in a replay, where nobody waits for answers. ITD_ECORRUPT.
int merge_fold(struct lead **lead, const struct frame *frame, const struct policy *policy, bool counts_asks,
               uint64_t *hash, struct error *err) ITD_MUST_USE;
// Whether a MESSAGE frame sealed its lead, and what it is part of since.
bool merge_sealed(const struct frame *frame, struct lead_id *into);
// The lead that a MERGE frame took in, and which one it was: its block, malloc'd. ITD_ENOTFOUND (the key is gone), ITD_ECORRUPT.
int merge_other(struct store_shard *shard, const struct frame *frame, struct lead **other,
                struct error *err) ITD_MUST_USE;
// The same from its block. ITD_ECORRUPT.
int merge_lead_of(struct bytes block, struct lead **out, struct error *err) ITD_MUST_USE;
// An ask was answered by a MERGE frame.
int merge_answered(struct lead *lead, const struct frame *frame, struct error *err) ITD_MUST_USE;
