// The keeper: makes bases, and lets go of journal that nobody needs any more. One thread beside the shards; a base is
// written from a snapshot of LMDB, so that no shard does anything for it.
//
// A segment goes only when all of this holds: every partition has a base behind it; it is older than
// `age_ms`, or the journal is larger than `bytes`; it is older than the window of duplicates; no hold is at or before
// its end. Old segments go before younger ones, so that what is left has no gap.
#pragma once
#include "store/checkpoint.h"
#include "store/store.h"

struct keeper_options {
  struct keep_options keep;
  const char *dir;
  unsigned partitions, shards;
  int64_t window_ms; // dedupe.window
  uint32_t session;
  struct checkpoint *checkpoint;
  struct journal *const *journal; // of each shard
};
struct keeper;
struct keeper *keeper_start(const struct keeper_options *options);
void keeper_stop(struct keeper *keeper); // a base that is being written is given up. NULL does nothing

struct keep_stats keeper_stats(struct keeper *keeper); // any thread
