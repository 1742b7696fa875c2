// Playing a journal again: every recorded event goes through the engine with the release that was in force, and the
// hash of each decision is held against the recorded one. Where the journal's beginning was let go, a lead begins with
// the oldest base that it can be played on from. The directory is opened as a start would (recovery, a
// checkpoint), so no daemon may hold it; no frame is added.
#pragma once
#include "store/store.h"

struct replay_options {
  const char *dir;
  unsigned threads;    // slots are dealt out over them; no more than there are partitions are used
  struct vm_limits vm; // hook: the JIT is off
};
struct replay_result {
  uint64_t frames, decisions, timers, stopped, fills;
  uint64_t messages;        // applied by entities: counted and compared as decisions are, but no decisions
  uint64_t merges;          // of the decisions: those that leads made that took another in
  uint64_t grants;          // likewise: those that a pool's grant made
  uint64_t forgotten;       // leads that were forgotten: they are left out
  uint64_t unreached;       // frames that no base reaches: what their leads were before them was let go (retention)
  uint64_t different;       // decisions whose hash is not the recorded one
  uint64_t hash;            // over all decisions, lead by lead: whatever the threads and the partitions
  char first_different[64]; // decision_id
};
// ITD_ENOTFOUND: no data directory. ITD_EBUSY: in use. ITD_ECORRUPT. A difference is not an error: see result->different.
int store_replay(const struct replay_options *options, struct replay_result *result, struct error *err) ITD_MUST_USE;
