// A lead: everything that is kept about one, as one flat block of bytes that can be copied, stored and digested as it
// is. Owned by the partition of its id; changed only by frames there. Pure.
#pragma once
#include "policy/policy.h"

struct lead_id {
  uint8_t b[16]; // b[0] is the slot; the rest is random and says nothing of who it is
};
#define LEAD_ID_TEXT 33
void lead_id_format(struct lead_id id, char out[LEAD_ID_TEXT]);        // 32 hexadecimal digits
int lead_id_parse(struct bytes text, struct lead_id *id) ITD_MUST_USE; // ITD_EINVAL
// Entities are dealt into 256 slots, for ever, and slots onto the partitions that a directory has: an id outlives a
// change of their number.
#define SLOTS 256u
static inline unsigned lead_id_slot(struct lead_id id) { return id.b[0]; }
static inline bool lead_id_eq(struct lead_id a, struct lead_id b) { return memcmp(a.b, b.b, 16) == 0; }
uint64_t lead_id_hash(struct lead_id id); // for tables, hold-outs and weighted routes

#define LEAD_FORMAT 3
// One allocation: this head, then the policy state, then the feature state (both padded to 8 bytes). Little-endian.
struct lead {
  struct lead_id id;
  uint64_t seq;     // partition sequence of the last frame folded in
  uint64_t place;   // where that frame lies in the journal (store/journal.h); 0: none
  int64_t now_ms;   // the lead's clock: never goes back
  int64_t first_ms; // its first event's time
  uint32_t number;  // decisions so far: the running number of the last one
  uint32_t release; // number of the policy version whose layout the two states have
  uint32_t policy_bytes, feature_bytes;
  uint16_t format; // LEAD_FORMAT
  uint16_t workspace;
  uint32_t flags; // LEAD_…; see below
  // Merging (engine/merge.h). SEALED: whom it is part of now; WAITS: who gets it once `asks` is 0; else zeros.
  struct lead_id into;
  uint32_t asks;       // merge.asks that it sent, and that are not answered
  uint32_t asks_known; // those of them that went to a userId
  uint8_t state[];
};
#define LEAD_KNOWN  1u // a userId was seen
#define LEAD_SEALED 2u // merged into another: it has no states any more, and only says whom it is part of
#define LEAD_WAITS  4u // will be

static inline struct policy_state *lead_policy_state(struct lead *l) { return (struct policy_state *)(void *)l->state; }
static inline uint8_t *lead_feature_state(struct lead *l) { return l->state + ((l->policy_bytes + 7u) & ~7u); }
size_t lead_size(const struct lead *lead);          // of the whole block
struct bytes lead_effects(const struct lead *lead); // its policy state, as frames hold it; a view

struct lead *lead_new(struct lead_id id, uint16_t workspace, const struct policy *policy, uint32_t release,
                      int64_t now_ms);
void lead_free(struct lead *lead);
// Makes the lead's states fit `to` (by names and definition hashes); frees the old block, returns the new one.
struct lead *lead_migrate(struct lead *lead, const struct policy *from, const struct policy *to, uint32_t release,
                          int64_t now_ms);
// Takes another lead, of the same release, in: features as feature_state_merge, the journey as policy_state_merge, the
// clock is the later one. Nothing is decided.
void lead_merge(struct lead *into, const struct lead *other, const struct policy *policy);
// The lead without its states, SEALED; frees the old block, returns the new one.
struct lead *lead_seal(struct lead *lead, struct lead_id into);
// Digest of what decisions depend on: clock, number, release, both states, what it was merged into. Not of seq and place,
// nor of what it waits for.
uint64_t lead_digest(const struct lead *lead);
// Checks a block that was read from disk: sizes, format, ranges. ITD_ECORRUPT.
int lead_check(struct bytes block, struct error *err) ITD_MUST_USE;
