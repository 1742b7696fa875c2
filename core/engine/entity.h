// An entity that is no lead: one flat block of bytes, as a lead is, that can be copied, stored and digested as it is.
// Owned by the partition of its id; changed only by frames there, and so far only by messages. Pure.
#pragma once
#include "engine/lead.h"

enum entity_kind {
  ENTITY_LEAD = 0,  // engine/lead.h: a block of another shape
  ENTITY_TALLY = 1, // engine/tally.h
  // Behind an address there is nobody, or nobody any more: a frame says that a message came there. It has no block.
  ENTITY_NOBODY = 2,
  ENTITY_ACCOUNT = 3, // engine/account.h
  ENTITY_VIEW = 4,    // likewise: a copy of an account, in a slot of its leads
  ENTITY_POOL = 5,    // engine/pool.h
  ENTITY_KIND_END     // one more than the last
};

const char *entity_kind_name(unsigned kind); // "lead", "tally", …; "unknown"

#define ENTITY_FORMAT    1
#define ENTITY_STATE_MAX (1u << 20)
// Entities and leads share one space of ids: byte 0 is the slot.
struct entity {
  struct lead_id id;
  uint64_t seq;    // partition sequence of the last frame folded in
  uint64_t place;  // where that frame lies in the journal; 0: none
  int64_t now_ms;  // the entity's clock: never goes back
  uint32_t number; // frames so far: the running number of the last one
  uint32_t bytes;  // of the state
  uint16_t format; // ENTITY_FORMAT
  uint16_t workspace;
  uint16_t kind;
  uint16_t zero;
  uint8_t state[];
};

struct entity *entity_new(enum entity_kind kind, struct lead_id id, uint16_t workspace); // with an empty state
void entity_free(struct entity *entity);
static inline size_t entity_size(const struct entity *e) { return sizeof *e + ((e->bytes + 7u) & ~(size_t)7u); }
static inline struct bytes entity_state(const struct entity *e) { return bytes_of(e->state, e->bytes); }
// Takes another state; frees the old block, returns the new one.
struct entity *entity_set(struct entity *entity, struct bytes state);
// Digest of kind, clock, number and state. Not of seq and place.
uint64_t entity_digest(const struct entity *entity);
// Checks a block that was read from disk. ITD_ECORRUPT; ITD_EVERSION: of a kind or format that this program lacks.
int entity_check(struct bytes block, struct error *err) ITD_MUST_USE;
