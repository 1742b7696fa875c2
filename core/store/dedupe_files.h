// DIR/dedupe: the messages of the window that are no longer in memory, and what a start needs to know of those that
// are. All of it can be made again from the journal: what is missing or damaged is, at the next start.
//
// NNNNNNNN.run      messages of some time and some slots (store/dedupe_run.h); written by this module's thread from a
//                   table that a shard froze. Small ones are merged; one goes when its newest message has left the window.
// NNNNNNNN.recent   a sidecar: what a shard's table holds, added to by every checkpoint before it tells its progress.
// manifest          which runs there are, and, for each partition, up to which frame they hold every message.
//
// Every batch of a sidecar says after which frame of each partition it begins and up to which it goes. So whatever is
// lost, how far the files go is known, and the frames behind that are read from the journal.
#pragma once
#include "store/dedupe_run.h"

struct dedupe_tip { // every message of the partition's frames up to `seq`
  uint16_t partition;
  uint64_t seq;
};
struct dedupe_set { // the runs at some moment; of a shard until it takes the next one
  _Atomic uint32_t holders;
  unsigned count;
  struct dedupe_run *run[];
};

struct table;
struct dedupe_generation;
struct dedupe_files;
struct dedupe_files_options {
  const char *dir;
  unsigned partitions;
  int64_t window_ms;
  // Returns when a shard's journal is on disk up to what was committed before the call.
  int (*sync)(void *context, unsigned shard, struct error *err);
  void *context;
};
// Reads what there is; changes nothing. What does not fit (another window, other partitions, damage) is left out whole.
struct dedupe_files *dedupe_files_open(const struct dedupe_files_options *options);
void dedupe_files_stop(
    struct dedupe_files *f); // ends the thread; what was handed over is written, if it can be at once
void dedupe_files_close(struct dedupe_files *f); // stopped, and no shard holds anything of it
// Hands every record of the sidecars out. Once, before dedupe_files_covered.
void dedupe_files_load(struct dedupe_files *f, void (*each)(void *context, const struct dedupe_record *record),
                       void *context);
// Up to which frame of each partition the files hold every message of the window.
const uint64_t *dedupe_files_covered(const struct dedupe_files *f);
// After recovery: puts down what there is, takes away what there should not be, and starts the thread. `newest_ms`: the
// greatest arrival. ITD_EFULL, ITD_EIO.
int dedupe_files_start(struct dedupe_files *f, int64_t newest_ms, struct error *err) ITD_MUST_USE;
// A file turned out to be damaged: the next start makes all of it again.
void dedupe_files_distrust(struct dedupe_files *f);

// ---- for shards ----
// The set of now, held: dedupe_set_release. *version changes with every set.
const struct dedupe_set *dedupe_files_set(struct dedupe_files *f, uint32_t *version);
void dedupe_set_release(const struct dedupe_set *set);
uint32_t dedupe_files_version(const struct dedupe_files *f);
void dedupe_files_seen(struct dedupe_files *f, int64_t received_ms); // an arrival; files go by the greatest
// Takes a table over to be written (its entries are struct message_entry). The shard may go on reading it until it
// gives it back, which it does when it is in place.
struct dedupe_generation *dedupe_files_give(struct dedupe_files *f, unsigned shard, const struct slots *slots,
                                            struct table *table, const struct dedupe_tip *tips, unsigned count);
const struct table *dedupe_generation_table(const struct dedupe_generation *g);
bool dedupe_generation_is_placed(const struct dedupe_generation *g);
void dedupe_files_done(struct dedupe_files *f, struct dedupe_generation *g); // given back
int dedupe_files_spill(struct dedupe_files *f, const struct slots *slots, const struct table *table,
                       struct error *err) ITD_MUST_USE;
bool dedupe_files_are_many(const struct dedupe_files *f); // sidecars: freezing soon would let them go

// ---- for the checkpointer ----
struct dedupe_log { // a batch for the sidecar of a shard
  unsigned shard, count;
  uint32_t generation;
  uint16_t partition[256];
  uint64_t from[256], to[256];
  struct buf records; // as in a run
};
// Adds the batch, synced, unless that was done for this cycle. A disk that fails is no failure: the next start reads
// more of the journal.
void dedupe_files_log(struct dedupe_files *f, const struct dedupe_log *log, uint32_t cycle);

struct dedupe_files_stats {
  uint64_t files, entries, filter_bytes, merges, failures;
};
struct dedupe_files_stats dedupe_files_stats(const struct dedupe_files *f); // any thread
void dedupe_files_wait(struct dedupe_files *f); // until nothing is left to write or merge, or a try failed (tests)
