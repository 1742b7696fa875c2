// The checkpoint: moves changed leads, identities and keys into LMDB in the background, a cycle at a time.
//
// A cycle: the checkpointer's thread asks for it; each shard, at its next store_turn with nothing staged, notes how far
// its partitions are, and hands over a copy of every lead that changed until then, as it was then, slice by slice: the
// state of a partition in LMDB after a cycle is the fold of its frames up to the noted one, exactly. When all have, the
// journals are synced (where the mode does not do it anyway), the messages seen are put down (dedupe_files.h), everything
// is written to LMDB sorted by key in
// transactions of 1,000, each synced, then how far the partitions and the vault are. A lead's block is sealed under its
// key on the way, and what was forgotten meanwhile is left out. What fails is tried again; nothing is lost meanwhile: it
// is in the journal and in the vault.
#pragma once
#include "store/dedupe_files.h"
#include "store/forget.h"

struct checkpoint_shard { // what the checkpointer needs of a shard; all thread-safe
  struct journal *journal;
  struct vault *vault;
};
struct checkpoint_options {
  struct state *state;
  unsigned shards;
  const struct checkpoint_shard *shard;
  struct forget *forget;
  struct dedupe_files *dedupe; // whose sidecars grow with each cycle
  int64_t interval_ms;
  size_t dirty_max;
  uint64_t journal_max;    // bytes of journal since the last checkpoint; 0: no bound
  uint64_t journal_before; // of a former run, since then
};
struct checkpoint;
struct checkpoint *checkpoint_start(const struct checkpoint_options *options);
void checkpoint_stop(struct checkpoint *c); // ends the thread; what was not written stays in the journal

// ---- for shards ----
// Bytes of leads that changed and are not in LMDB yet. At half of the bound a cycle begins early. True: at the bound.
void checkpoint_dirty(struct checkpoint *c, size_t bytes);
void checkpoint_undirty(struct checkpoint *c, size_t bytes); // of a lead that is no more
// True as well when that much journal lies behind the last checkpoint: a start would have to read it.
bool checkpoint_is_full(const struct checkpoint *c);
// Bytes of journal since the last checkpoint. At half of the bound a cycle begins early: to be asked now and then.
uint64_t checkpoint_journal_bytes(struct checkpoint *c);
size_t checkpoint_dirty_bytes(const struct checkpoint *c);
void checkpoint_vault_dirty(struct checkpoint *c); // there are new vault records
// The cycle that shards are asked to give for; grows by one with each. And the last one that is durable.
uint32_t checkpoint_cycle(const struct checkpoint *c);
uint32_t checkpoint_finished(const struct checkpoint *c);

// Copies on their way: a chunk is filled by the shard (checkpoint_copy until it says it is full) and given away.
struct checkpoint_chunk;
struct checkpoint_chunk *checkpoint_chunk_new(struct checkpoint *c);
void checkpoint_chunk_free(struct checkpoint_chunk *chunk); // one that was not given; NULL does nothing
// Room for one lead's block, or NULL when the chunk is full (never of an empty chunk). `counted`: as told to
// checkpoint_dirty.
// `key` is the lead's.
uint8_t *checkpoint_copy(struct checkpoint_chunk *chunk, struct lead_id id, int64_t due_ms,
                         const uint8_t key[LEAD_KEY_SIZE], size_t size, size_t counted);
// The same for an entity that is no lead.
uint8_t *checkpoint_copy_entity(struct checkpoint_chunk *chunk, struct lead_id id, size_t size, size_t counted);
void checkpoint_give(struct checkpoint *c, struct checkpoint_chunk *chunk);
// Where the vault has a lead's key and its last identity, or an identity.
struct checkpoint_who {
  enum vault_type type;
  struct lead_id lead;
  uint64_t address;
  uint64_t last;              // LEAD: address of the last identity; lies there sealed
  uint8_t key[LEAD_KEY_SIZE]; // LEAD: to seal it with
  struct hash128 identity;    // IDENTITY
};
// The shard has given everything for this cycle: `who` is new in the vault, whose logs go up to `tip` with it.
// progress[i] and channels[i] (outbox_save; empty: as they were) of partition[i].
struct checkpoint_part {
  struct checkpoint_who *who; // malloc'd
  size_t who_count;
  unsigned logs;
  uint16_t log[256];
  struct vault_tip tip[256];
  unsigned count;
  uint16_t partition[256];
  struct state_progress progress[256];
  uint64_t made[SLOTS]; // lead ids, by slot; 0: none, or another shard's
  struct buf channels[256];
  struct dedupe_log messages; // of this shard, new since the cycle before
};
void checkpoint_part_free(struct checkpoint_part *part); // NULL does nothing
void checkpoint_done(struct checkpoint *c, unsigned shard,
                     struct checkpoint_part *part); // takes `part` (malloc'd) over

// ---- for bases ----
// Asks for a cycle, and for a snapshot of LMDB as it is when that is durable: the state of every partition at its
// progress. Any one thread.
void checkpoint_want_snapshot(struct checkpoint *c);
struct state_snapshot *checkpoint_take_snapshot(struct checkpoint *c); // the caller's from now on; NULL: not yet

// ---- for the last one ----
// Asks for a cycle now unless one runs; returns its number.
uint32_t checkpoint_begin(struct checkpoint *c);
// After all shards gave: waits until it is durable or was tried once. True: durable.
bool checkpoint_wait(struct checkpoint *c, uint32_t cycle);
struct checkpoint_stats {
  uint64_t checkpoints, failures;
};
struct checkpoint_stats checkpoint_stats(const struct checkpoint *c);
