// What dedupe_files.c and dedupe_recent.c share.
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "store/dedupe_files.h"
#include "store/dedupe_private.h"
#include "store/disk.h"

struct dedupe_generation {
  struct dedupe_generation *next; // in the queue, or in the garbage
  struct table table;
  struct slots slots;
  unsigned shard, tip_count;
  bool is_queued;
  _Atomic bool is_placed;
  struct dedupe_tip tip[];
};

struct recent { // a sidecar
  uint32_t number;
  bool is_known[256]; // partitions that it speaks of
  uint64_t to[256];
};
struct recent_writer { // of a shard
  int fd;              // -1: none
  uint32_t generation, cycle;
  uint64_t at;
  struct recent file;
};

struct dedupe_files {
  struct dedupe_files_options options;
  char *dir;
  pthread_mutex_t lock; // of set, next, the queue and the garbage
  pthread_cond_t work, idle;
  pthread_t thread;
  bool is_running, is_distrusted, is_busy;
  _Atomic bool is_stopping, is_given_up;
  struct dedupe_set *set;
  _Atomic uint32_t version;
  uint32_t next;    // number of a file
  uint64_t lineage; // changes when all is made again: what was there before speaks of runs that are no more
  struct dedupe_generation *first, *last, *garbage;
  _Atomic int64_t newest_ms;
  uint64_t said_ns; // the thread's: when it last said that it fails
  // The thread's; of recovery before there is one.
  struct dedupe_run **run;
  unsigned run_count, run_cap;
  uint64_t placed[256];  // the runs hold every message of these partitions up to these frames
  uint64_t covered[256]; // at the start: and the sidecars

  pthread_mutex_t recent_lock; // of what follows
  struct recent *old;          // sidecars that nobody writes any more
  size_t old_count, old_cap;
  struct recent_writer writer[256]; // of each shard; generation 0: none yet
  uint64_t dropped[256];            // `placed`, as dedupe_recent_drop saw it last

  _Atomic uint64_t stats_files, stats_entries, stats_bytes, stats_merges, stats_failures;
};
uint32_t dedupe_files_number(struct dedupe_files *f); // a new one

// dedupe_recent.c
void dedupe_recent_drop(struct dedupe_files *f);   // takes away what the runs have
void dedupe_recent_remove(struct dedupe_files *f); // takes all away
void dedupe_recent_close(struct dedupe_files *f);
