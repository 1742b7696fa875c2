// The keeper: makes bases, and lets go of journal that nobody needs any more. One thread beside the shards; a base is
// written from a snapshot of LMDB, so that no shard does anything for it.
//
// What may go, retention.h decides; it is asked after every set of bases, and now and then.
#pragma once
#include "store/checkpoint.h"
#include "store/store.h"

struct keeper_options {
  struct keep_options keep;
  const char *dir;
  unsigned partitions, shards;
  uint64_t since_seq; // where this number of partitions began
  int64_t window_ms;  // dedupe.window
  uint32_t session;
  struct checkpoint *checkpoint;
  const struct archiver *archiver; // what it has not brought away stays; NULL: there is none
  struct journal *const *journal;  // of each shard
};
struct keeper;
struct keeper *keeper_start(const struct keeper_options *options);
void keeper_stop(struct keeper *keeper); // a base that is being written is given up. NULL does nothing

struct keep_stats keeper_stats(struct keeper *keeper); // any thread
