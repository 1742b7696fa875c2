// The folded state in LMDB: leads, where the vault has their keys and identities, due timers, and how far the checkpoint
// has come. The only file that knows LMDB.
//
// Nothing in it says who a lead is: LMDB keeps what was deleted until its pages are used again, so what must be
// forgotten is here only as an address in the vault, or sealed under the lead's key.
// Tables: `leads` id -> hash64 of the rest, due, sealed block; `identities` keyed hash -> address of its record; `keys`
// lead -> address of its key's record, sealed address of its last identity's; `due` due (big-endian) + lead -> nothing;
// `entities` id -> hash64 of the rest, block; `channels` partition + number of the piece (big-endian) -> a piece of what
// outbox_save gave; `meta` "progress" + partition -> struct state_progress, "made" + slot -> how many lead ids were made in
// it, "vault" + log -> struct vault_tip. Writing: one thread at a time (LMDB sees to it). Reading: a state_reader for each
// thread; no read transaction outlives a call, so that pages can always be used again.
#pragma once
#include "store/vault.h"

struct state_progress {
  uint64_t seq;       // every lead that changed at or before this frame is in here, and nothing later
  int64_t release_ms; // received_ms of the newest FRAME_RELEASE, and its policy number; 0: none
  uint32_t release;
  int64_t received_ms;        // greatest received_ms in the partition's log at seq
  uint8_t chain[SHA256_SIZE]; // of the partition's journal at seq
};

struct state;
// ITD_EFULL, ITD_ECORRUPT, ITD_EVERSION, ITD_EIO.
int state_open(const char *dir, uint64_t map_bytes, struct state **out, struct error *err) ITD_MUST_USE;
void state_close(struct state *state);
// True when it held no lead and no identity at state_open: then nobody needs to look.
bool state_was_empty(const struct state *state);
// LMDB could not write its root page, and refuses everything until it is opened again. Any thread.
bool state_is_dead(const struct state *state);

struct state_reader;
struct state_reader *state_reader_new(struct state *state);
void state_reader_free(struct state_reader *reader);
// ITD_ENOTFOUND, ITD_ECORRUPT, ITD_EIO.
int state_lead(struct state_reader *reader, struct lead_id id, struct buf *sealed, struct error *err) ITD_MUST_USE;
int state_identity(struct state_reader *reader, struct hash128 identity, uint64_t *address,
                   struct error *err) ITD_MUST_USE;
int state_key(struct state_reader *reader, struct lead_id id, uint64_t *address, struct buf *sealed_last,
              struct error *err) ITD_MUST_USE;
// How much of a log of the vault is in here. ITD_ENOTFOUND: nothing.
int state_vault(struct state_reader *reader, unsigned log, struct vault_tip *tip, struct error *err) ITD_MUST_USE;
int state_progress(struct state_reader *reader, unsigned partition, struct state_progress *progress,
                   struct error *err) ITD_MUST_USE;
uint64_t state_leads(struct state *state); // how many there are; 0 also when that can't be told
int state_made(struct state_reader *reader, unsigned slot, uint64_t *made, struct error *err) ITD_MUST_USE;
int state_entity(struct state_reader *reader, struct lead_id id, struct buf *block, struct error *err) ITD_MUST_USE;
int state_channels(struct state_reader *reader, unsigned partition, struct buf *saved, struct error *err) ITD_MUST_USE;
// Every entity's block, in the order of ids; what `each` returns, when it is not 0. ITD_ECORRUPT.
int state_each_entity(struct state_reader *reader, int (*each)(void *context, struct bytes block, struct error *err),
                      void *context, struct error *err) ITD_MUST_USE;
int state_each_due(struct state_reader *reader, void (*each)(void *context, int64_t due_ms, struct lead_id id),
                   void *context, struct error *err) ITD_MUST_USE;

// ---- writing ----
struct state_txn;
int state_begin(struct state *state, struct state_txn **txn, struct error *err) ITD_MUST_USE;
// A put that fails leaves the transaction to be aborted. due_ms INT64_MAX: no timer.
int state_put_lead(struct state_txn *txn, struct lead_id id, int64_t due_ms, struct bytes sealed,
                   struct error *err) ITD_MUST_USE;
int state_put_identity(struct state_txn *txn, struct hash128 identity, uint64_t address,
                       struct error *err) ITD_MUST_USE;
int state_put_key(struct state_txn *txn, struct lead_id lead, uint64_t address, struct bytes sealed_last,
                  struct error *err) ITD_MUST_USE;
// An entity that is no lead; a partition's channels as outbox_save gave them.
int state_put_entity(struct state_txn *txn, struct lead_id id, struct bytes block, struct error *err) ITD_MUST_USE;
int state_put_channels(struct state_txn *txn, unsigned partition, struct bytes saved, struct error *err) ITD_MUST_USE;
int state_put_vault(struct state_txn *txn, unsigned log, struct vault_tip tip, struct error *err) ITD_MUST_USE;
// Takes a lead away: block, key and timer. What is not there is no failure.
int state_drop_lead(struct state_txn *txn, struct lead_id lead, struct error *err) ITD_MUST_USE;
// Takes an identity away, unless it was founded anew meanwhile and means another record.
int state_drop_identity(struct state_txn *txn, struct hash128 identity, uint64_t address,
                        struct error *err) ITD_MUST_USE;
int state_put_progress(struct state_txn *txn, unsigned partition, const struct state_progress *progress,
                       struct error *err) ITD_MUST_USE;
int state_put_made(struct state_txn *txn, unsigned slot, uint64_t made, struct error *err) ITD_MUST_USE;
// The partitions `from` to `to` - 1 have neither progress nor channels any more.
int state_drop_partitions(struct state_txn *txn, unsigned from, unsigned to, struct error *err) ITD_MUST_USE;
// Takes everything away but who is who: to be built anew from bases.
int state_clear(struct state_txn *txn, struct error *err) ITD_MUST_USE;
// One row, as state_snapshot_rows gave it.
int state_put_row(struct state_txn *txn, uint8_t table, struct bytes key, struct bytes value,
                  struct error *err) ITD_MUST_USE;
int state_commit(struct state_txn *txn,
                 struct error *err) ITD_MUST_USE; // durable on return; frees txn, whatever comes of it
void state_abort(struct state_txn *txn);

// ---- the rows of a partition: what a base holds ----
// A read transaction of its own, for any one thread at a time. Pages that it sees can't be used again while it lives:
// LMDB's file grows meanwhile.
struct state_snapshot;
int state_snapshot_open(struct state *state, struct state_snapshot **out, struct error *err) ITD_MUST_USE;
void state_snapshot_close(struct state_snapshot *snapshot); // NULL does nothing
int state_snapshot_progress(struct state_snapshot *snapshot, unsigned partition, struct state_progress *progress,
                            struct error *err) ITD_MUST_USE; // ITD_ENOTFOUND
// Tables as bases name them; these numbers never change.
#define STATE_CHANNELS_KEY 6
void state_channels_key(unsigned partition, uint32_t piece, uint8_t out[STATE_CHANNELS_KEY]); // of a ROW_CHANNELS
enum state_row {
  ROW_LEAD = 1,
  ROW_ENTITY = 2,
  ROW_CHANNELS = 3,
  ROW_MADE = 4,
  ROW_PROGRESS = 255 // the last: where it is, all of its partition is
};
typedef int (*state_visit)(void *context, uint8_t table, struct bytes key, struct bytes value, struct error *err);
// Every row of a partition (of `partitions`), table by table, keys in order; no ROW_PROGRESS where it has none. Views are
// good during the call.
int state_snapshot_rows(struct state_snapshot *snapshot, unsigned partition, unsigned partitions, state_visit visit,
                        void *context, struct error *err) ITD_MUST_USE;
// The ROW_PROGRESS of a progress.
int state_visit_progress(unsigned partition, const struct state_progress *progress, state_visit visit, void *context,
                         struct error *err) ITD_MUST_USE;
// The sealed block that a ROW_LEAD holds, appended. ITD_ECORRUPT.
int state_row_lead(struct bytes value, struct buf *sealed, struct error *err) ITD_MUST_USE;
// The same of a ROW_ENTITY.
int state_row_entity(struct bytes value, struct buf *block, struct error *err) ITD_MUST_USE;

// ---- looking at it from outside: another process may hold it ----
// The sealed blocks of some leads, all of one moment: `take` is called for each that is there. Reads only, and changes nothing.
// ITD_ENOTFOUND: there is no state. Else as state_open; what `take` returns, when it is not 0.
int state_peek(const char *dir, const struct lead_id *leads, size_t count,
               int (*take)(void *context, struct lead_id lead, struct bytes sealed, struct error *err), void *context,
               struct error *err) ITD_MUST_USE;
struct state_look {
  uint64_t map_bytes, used_bytes; // address space as it was at the last writing; and how much of it is in use
  uint64_t transactions;          // committed so far
  unsigned readers, readers_max;  // places for readers: taken, and how many there are
  unsigned stale;                 // taken by processes that are gone
  bool has_oldest;                // a snapshot is held: by this process, from so many transactions ago
  long oldest_pid;
  uint64_t oldest_behind;
  bool has_progress[256];
  struct state_progress progress[256];
  struct vault_tip vault[256]; // of each log, as of the last checkpoint
};
// Reads only, and changes nothing. ITD_ENOTFOUND: there is none. Else as state_open.
int state_look(const char *dir, unsigned partitions, struct state_look *out, struct error *err) ITD_MUST_USE;
