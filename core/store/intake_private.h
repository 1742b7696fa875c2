// What intake.c and ask.c share. Private to store/.
#pragma once
#include "base/check.h"
#include "store/flaps.h"
#include "store/intake.h"
#include "store/table.h"

#include <stdatomic.h>

struct intake_counters {
  _Atomic uint64_t events, duplicates, refused, stopped, timers, new_leads, flaps, merges, went_on, people_evicted,
      copies_dropped, copies_idle, traits_dropped, inputs_kept, pool_grants, pool_waits, pool_full;
};

struct intake {
  struct store *store;
  struct store_shard *shard;
  unsigned index;
  struct intake_options options;
  struct engine *engine;
  struct buf clear, secret, sealed, raw, error; // scratch of one event
  struct buf inputs;                            // of one decision
  struct message_effects effects;               // of one message
  struct buf list, block;                       // messages of one frame; a lead that was handed over
  struct table passes;                          // of sealed leads that events came on to: intake_way.passes_ms
  struct table asked; // what this shard's leads have asked for (store_ask_id), so that it is not asked for again …
  size_t asked_at;    // … since so many leads were forgotten: after that an answer may be another
  struct schema_scratch scratch; // of one judgement
  unsigned wants;                // INTAKE_TRACE, INTAKE_TIMES
  const char *replaying;         // what is taken comes out of the quarantine: by whom; else NULL
  // Leads whose due timers have no place in the release in force: they keep the state of their own release until an
  // event comes, and wake again when another release is put in force.
  struct lead_id *waiting;
  size_t waiting_count, waiting_cap;
  bool is_held; // what is staged may stay so for long
  struct intake_counters counters;
  struct flaps *flaps;
};

// How a message came, as its frame says.
struct arrival {
  uint16_t from;
  uint64_t from_n;
  struct hash128 message;
  struct bytes cause;
  int64_t received_ms;
};
// A frame of a message that came so; and the {kind, body} that it holds.
struct frame message_frame(struct intake *in, enum frame_kind kind, struct lead_id entity, const struct arrival *a);
void put_message(struct buf *out, unsigned kind, struct bytes body);
// Ends and appends the frame of a message that made the lead decide: its event is in->clear, what is sent beside the decision's
// messages in in->list. `d` NULL: the policy's call was stopped, because of `why`. The lead is not put away yet.
void append_decided(struct intake *in, struct lead *lead, const struct decision *d, const struct error *why,
                    struct frame *frame);
// A message came to an address behind which there is nobody; `list`: what is sent all the same.
void append_nobody(struct intake *in, const struct message *m, const struct arrival *a, struct bytes list);
void append_timers(struct intake *in, struct lead *lead, const struct engine_result *result, int64_t received_ms);
void append_stopped_timer(struct intake *in, struct lead *lead, int64_t received_ms, const struct error *why);

void intake_stamp(const struct intake *in, struct frame *frame); // what is in force
// Appends the pairs that are wanted: "trace", "times". Never fails: nil. Returns how many pairs.
uint32_t intake_put_trace(struct intake *in, struct policy *policy, struct bytes read, struct buf *pairs);
// Puts what models and rules read for a decision that acts into its frame, sealed; good until the next one's.
void intake_keep_inputs(struct intake *in, struct lead_id lead, const struct decision *d, struct frame *frame);
// accounts.c
void accounts_init(struct intake *in);
// Sends the copies that were held back for the interval, of at most `limit` accounts. When to call again.
void intake_tell_of(const struct intake *in, const struct decision *d); // whoever wants to know of decisions
// For a lead that is to be sealed: tells its account that it is gone.
void accounts_put_leave(struct intake *in, const struct lead *lead, struct buf *list);
int64_t accounts_wake(struct intake *in, int64_t now_ms, unsigned limit);
// 0, or ITD_EUNAVAILABLE for a lead that must not be shown while a commit waits for room.
int intake_may_show(struct intake *in, struct lead_id lead, struct error *err);
// The event of a frame as it was sent, appended to `map`; nothing for a timer and a merge. ITD_ENOTFOUND when its lead was
// forgotten.
int intake_event_of(struct intake *in, const struct frame *frame, struct buf *map, struct error *err);
