// Folding leads anew from a directory's journal, from outside: without its lock, without writing, of a running daemon or
// of a copy. What comes out after each frame is what the engine had then, by the same code, bit for bit. For exports and
// for verifying; what decides again is store/replay.h.
//
// A lead begins with its first frame, or (where the journal's beginning was let go) with the oldest base that it can be
// folded on from: frames before that are passed over. One that was forgotten has no key any more and is left out.
#pragma once
#include "store/opener.h"

#define REFOLD_LEADS_MAX 200000 // in memory at once; more of them are several passes over the journal

// A lead after one of its frames. Views are good during the call.
struct refold_step {
  const struct frame
      *frame; // EVENT, TIMER, STOPPED, MERGE, MESSAGE or FILL (frame_is_decision tells those that decided)
  uint64_t place;
  const struct lead *lead;
  const struct policy *policy; // of the layout of the lead's states (one that was merged into another has none)
  const struct event *event;   // EVENT; NULL otherwise
  // The lead before this frame, where the frame carried it over to another release; and the lead that a MERGE took in. Each with
  // the policy of its layout; NULL otherwise.
  const struct lead *was, *other;
  const struct policy *was_policy, *other_policy;
  bool is_same; // the frame recorded this digest; false: what is kept and what is folded differ
  uint64_t digest;
};
struct refold_options {
  const char *dir;
  size_t leads_max; // 0: REFOLD_LEADS_MAX
  // All of these may be NULL but `visit`. What is not 0 ends it.
  bool (*wants)(void *context, struct lead_id lead);
  // Before a pass: the leads that are folded in it.
  int (*begin)(void *context, struct opener *opener, const struct lead_id *leads, size_t count, struct error *err);
  int (*visit)(void *context, const struct refold_step *step, struct error *err);
  int (*end)(void *context, struct error *err); // of a pass
  void (*progress)(void *context, uint64_t done, uint64_t total);
  void *context;
};
struct refold_stats {
  uint64_t leads;     // that were wanted
  uint64_t frames;    // folded
  uint64_t from_base; // leads that began with a base
  uint64_t unreached; // leads that no base reaches: none of their frames could be folded
};
// ITD_ENOTFOUND: no data directory, or no vault. ITD_ECORRUPT, ITD_EVERSION (frames of another meaning), ITD_EIO.
int store_refold(const struct refold_options *options, struct refold_stats *stats, struct error *err) ITD_MUST_USE;
