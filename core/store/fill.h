// Filling in: what a lead's history before a definition gives the features of that definition (docs/decisions/backfill.md).
// The history is folded from the journal (store/backfill.h), and a FILL frame of the lead takes it in. Private to store/ but for
// intake_fill.
//
// The frame's event section, MessagePack: {of: the lead whose history it is, 32 digits; until: the place of the last frame of it that
// is in, 16 digits; features: [definition hashes]}. `of` is another lead where that one was merged into this one. Its secret,
// sealed under the lead's own key: feature_slices_put's map. Its effects: the policy state after, as a decision's.
#pragma once
#include "store/intake.h"

struct fill {
  struct lead_id of;
  uint64_t until;
  struct bytes slices;
};

// Takes a fill in for `to`, a lead of this shard's partitions, and stages its frame. 1: it did; 0: the release in force defines
// none of it, and nothing changed. FILL_ELSEWHERE: `to` was merged into another lead, and *to is now that one.
// ITD_ENOTFOUND: the lead is not there, or was forgotten. ITD_ECORRUPT.
#define FILL_ELSEWHERE 2
int intake_fill(struct intake *intake, struct lead_id *to, const struct fill *fill, int64_t received_ms,
                struct error *err) ITD_MUST_USE;

// What a FILL frame says of whose history it took in, and of which definitions. `hashes` has room for FEATURES_MAX; *count of them.
// ITD_ECORRUPT.
int fill_read(const struct frame *frame, struct fill *fill, uint64_t *hashes, size_t *count,
              struct error *err) ITD_MUST_USE;
