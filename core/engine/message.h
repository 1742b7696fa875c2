// Messages: how entities speak. A message is an effect of its sender's frame; it is sent after that frame is on disk,
// repeated until it is acknowledged, and applied once (store/outbox.h). Applying it is a frame of the receiver, whose
// effects may be messages again. Here is what a message is, which kinds there are, and what each does. Pure.
//
// A kind's number and meaning never change: journals are folded with it for ever. What should act otherwise is a new
// kind. A body is never personal in clear: frames hold it as it is (what is personal goes sealed under its lead's key).
#pragma once
#include "engine/entity.h"

#define MESSAGE_BODY_MAX (512u << 10)
struct message {
  struct lead_id to;
  struct lead_id from; // whose frame sent it: that one's running number is `number`; both zero: from outside
  uint32_t number;
  uint16_t kind, workspace;
  int64_t at_ms;     // the sender's clock in that frame
  struct bytes body; // one MessagePack value, as the kind wants it
};

// ---- a frame's list: what its entity sends, MessagePack values [to, kind, body] one after the other ----
// `body` has passed message_check (CHECKed).
void message_put(struct buf *list, struct lead_id to, unsigned kind, struct bytes body);
// For a message from outside: a kind that there is, and a body that is one bounded value. ITD_EINVAL, ITD_ETOOBIG.
int message_check(unsigned kind, struct bytes body, struct error *err) ITD_MUST_USE;
// Takes the first of the list off; fills `to`, `kind` and `body` (a view). 1; 0: the list is at its end; ITD_ECORRUPT.
int message_next(struct bytes *list, struct message *message, struct error *err) ITD_MUST_USE;

// ---- kinds ----
// What applying a message does. All but `is_refused` begins empty.
struct message_effects {
  struct buf state;    // the entity's after
  struct buf messages; // what it sends (message_put)
  struct buf answer;   // one MessagePack map for whoever asked, or nothing
  struct message_hits {
    uint32_t evicted, dropped, idle, traits;
    uint32_t granted, waits,
        full; // of a pool (engine/pool.h): turns given, leads that begin to wait, and that found nobody
  } hits; // of an account's bounds (engine/account.h): people no longer told apart, slots with active people beyond the
          // fan-out, slots without any that are active, traits; for metrics alone, no part of what a frame records
  bool is_refused; // nothing changes, nothing is sent; the answer is {code, message}
};
void message_effects_deinit(struct message_effects *effects);
// For a kind's own use: drops what was done, and says why.
void message_refuse(struct message_effects *effects, int status, const char *why);

struct message_kind {
  unsigned number;
  const char *name;
  enum entity_kind entity; // who can get it: one that is not there yet begins with an empty state
  // It can't fail: what it does not like, it refuses. The same inputs give the same effects, for ever. NULL: for leads,
  // whose messages need more than the lead's own state (engine/merge.h, store/merge.h).
  void (*apply)(const struct entity *before, const struct message *message, struct message_effects *effects);
};
enum {
  MESSAGE_TALLY_ADD = 1,
  MESSAGE_MERGE_ASK = 2, // these: engine/merge.h
  MESSAGE_MERGE_HAND = 3,
  MESSAGE_MERGE_NONE = 4,
  MESSAGE_MERGE_FORGET = 5,
  MESSAGE_MERGE_SEAL = 6,
  MESSAGE_MERGE_WISH = 7,
  MESSAGE_ACCOUNT_UPDATE = 16, // these: engine/account.h
  MESSAGE_ACCOUNT_LEAVE = 17,
  MESSAGE_ACCOUNT_FLUSH = 18,
  MESSAGE_ACCOUNT_COPY = 19,
  MESSAGE_ACCOUNT_TRAITS = 20,
  MESSAGE_POOL_ASK = 24, // these: engine/pool.h
  MESSAGE_POOL_BACK = 25,
  MESSAGE_POOL_TEAM = 26,
  MESSAGE_POOL_WAKE = 27,
  MESSAGE_POOL_GRANT = 28
};
const struct message_kind *message_kind_of(unsigned number); // NULL: this program has none of that number

// Applies a message to the entity that it is for, which may move: state, clock (never back), running number. Returns the
// hash of inputs and outputs, as a decision has one.
uint64_t message_apply(struct entity **entity, const struct message *message, struct message_effects *effects);
