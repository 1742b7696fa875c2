// The journal: write-ahead log, audit record and replay source. Format: docs/journal.md.
//
// A shard writes one log: a row of preallocated segment files DIR/journal/LL-SSSSSSSS.log. All frames of one loop turn are staged, and
// journal_commit writes them with one write and syncs once. A commit ends with a trailer that chains, for each partition in
// it, SHA-256 over the bytes as stored; a commit without a whole trailer was never acknowledged and is cut at recovery.
// One thread owns a `journal`; reading by place is for any thread.
#pragma once
#include "base/clock.h"
#include "engine/engine.h"

// EVENT and TIMER: a decision; recovery refolds them. STOPPED: a policy call that was stopped: recovery refolds it without its event (the
// effects say what the policy state is, the features did not move). RELEASE and COMMIT have no entity.
// REFUSED: an event that was refused for its time, so that its duplicate gets the same error. FORGET: the lead is no more. MESSAGE: what
// another entity sent was applied. MERGE: a lead that was handed over (engine/message.h, MESSAGE_MERGE_HAND) was folded in, and a decision
// made; its block is in `secret`, whole, sealed under the lead's key. FILL: features took in what the lead's history before their definition
// gives (store/fill.h); nothing was decided. GRANT: a pool gave the lead an owner, or nobody (engine/pool.h), and a decision was made.
enum frame_kind {
  FRAME_EVENT = 1,
  FRAME_TIMER = 2,
  FRAME_STOPPED = 3,
  FRAME_RELEASE = 4,
  FRAME_COMMIT = 5,
  FRAME_REFUSED = 6,
  FRAME_FORGET = 7,
  FRAME_MESSAGE = 8,
  FRAME_MERGE = 9,
  FRAME_FILL = 10,
  FRAME_GRANT = 11,
  FRAME_KIND_END // one more than the last
};

// One frame, read or to be written. Sections are views.
struct frame {
  uint8_t kind;
  uint16_t workspace, partition;
  uint16_t entity_kind; // ENTITY_…: what `entity` is
  uint32_t epoch;
  uint64_t seq; // of the partition; from 1
  struct lead_id entity;
  int64_t now_ms;                   // the lead's clock at the decision
  int64_t received_ms;              // arrival by the wall clock
  uint32_t signals, models, policy; // numbers of the release in force
  uint32_t semantics;               // POLICY_SEMANTICS and FEATURE_SEMANTICS
  uint32_t number;                  // the lead's running number
  uint64_t previous;                // place of the lead's frame before this one; 0: its first
  uint16_t from;     // MESSAGE, MERGE, FORGET: the partition that sent it, and its number in the channel from there;
  uint64_t from_n;   // 0: it came from outside
  uint16_t switched; // enum policy_switch: what the workspace let the policy do
  struct hash128 message; // keyed hash of (identity, messageId); 0: none
  uint64_t digest, hash;  // of the lead after; of the decision
  struct bytes
      event; // clear part (wire/event.h event_split); RELEASE: the bundle's hash and who; MESSAGE: {kind, body}
  struct bytes secret;   // sealed personal part: nonce, ciphertext, tag; empty: nothing personal
  struct bytes shared;   // shared values read (none yet: accounts and pools come with messages)
  struct bytes effects;  // the policy state after
  struct bytes messages; // what the entity sends to others (engine/message.h)
  struct bytes decision; // the answer as sent; STOPPED: the error map
  struct bytes cause;    // traceparent; MESSAGE: the sender's frame, as a decision_id
  struct bytes inputs;   // sealed: what rules and models of trees read (engine/shapley.h); only of a decision that acts
};

// A place names a frame for ever: log (8 bits), segment (24), offset (32). 0: none.
static inline uint64_t place_of(unsigned log, uint32_t segment, uint32_t offset) {
  return (uint64_t)log << 56 | (uint64_t)(segment & 0xffffffu) << 32 | offset;
}

// Where a partition stands: the sequence number of its last frame and the chain over its commits. All zero: nothing yet.
struct journal_tip {
  uint64_t seq;
  int64_t received_ms; // greatest of the partition's log so far
  uint8_t chain[SHA256_SIZE];
};

// Where one number of partitions ends and another begins (store/reshard.h): every new partition goes on from here. `seq` is
// greater than that of any frame before, and no frame has it. All zero: there was always one number.
struct journal_boundary {
  unsigned before; // partitions
  uint64_t seq;
  uint8_t chain[SHA256_SIZE];
};
// From where the old partitions stand (tips[0] to tips[before - 1]) to `after` new ones. Pure.
void journal_boundary_of(unsigned before, const struct journal_tip *tips, unsigned after, struct journal_boundary *out);

struct journal;
struct journal_options {
  const char *dir;        // of the data directory; DIR/journal is made
  unsigned log;           // the shard's number
  uint64_t segment_bytes; // journal.segment, default 64 MiB, preallocated; 1 MiB to 4 GiB - 8
  enum { SYNC_ALWAYS, SYNC_INTERVAL, SYNC_OFF } sync;
  unsigned interval_ms; // SYNC_INTERVAL: about this long between a write and its sync, which a thread beside does
  // What the store knows (it fills these in): which opening of the directory this is, how many partitions there are, and over how
  // many logs they are spread (partition % shards == log: this log writes it).
  uint32_t session;
  unsigned partitions, shards;
  const struct journal_tip *tips; // of all partitions, copied; NULL: all new
  int64_t received_ms;            // greatest received_ms so far in the directory
  bool is_resharded;              // no session before had this number of partitions: `tips` are the boundary
};
// Begins a new segment after the last there is (the caller has cut what was torn), with its opening commit synced.
// ITD_EFULL, ITD_EIO; ITD_EINVAL: segment_bytes out of its range.
int journal_open(const struct journal_options *options, struct journal **out, struct error *err) ITD_MUST_USE;
void journal_close(struct journal *journal);   // commits nothing: what is staged is dropped
void journal_abandon(struct journal *journal); // journal_close will leave the files as they are, as a crash would
bool journal_is_failed(const struct journal *journal); // a write or a sync failed for good, perhaps in the background
// Stages a frame and returns its place. CHECKs that it fits a segment (the largest event does, many times), that the partition is
// this log's and that `seq` is the partition's next.
uint64_t journal_stage(struct journal *journal, const struct frame *frame);
size_t journal_staged(const struct journal *journal); // frames
// The last sequence number of a partition, staged frames included; only of partitions that this log writes.
uint64_t journal_seq(const struct journal *journal, unsigned partition);
// Where a partition stands, when nothing is staged: with its chain.
struct journal_tip journal_tip(const struct journal *journal, unsigned partition);
// A staged frame that is not written yet: views are good until the next journal_stage or journal_commit. False: not staged.
bool journal_peek(const struct journal *journal, uint64_t place, struct frame *frame);
// Writes and syncs what is staged. ITD_EFULL: no room; nothing was acknowledged, what is staged stays, call again later.
// ITD_EIO: a write or a sync failed, which is never retried: the owner stops acknowledging and the process ends (recovery).
// A commit that meets the end of a segment becomes two commits, the first synced before the second is written: after a crash
// frames of the first may be there although nobody was told, which the sender's retry finds as duplicates.
int journal_commit(struct journal *journal, struct error *err) ITD_MUST_USE;
// Returns when all that journal_commit wrote before this call is on disk, whatever `sync` says. Any thread. ITD_EIO.
int journal_sync(struct journal *journal, struct error *err) ITD_MUST_USE;
// Segments of this log up to this number are never written again: they may be sealed. Any thread.
uint32_t journal_retired(const struct journal *journal);
// Everything of this log before that place is on disk, whatever `sync` says. Its owner's thread.
uint64_t journal_synced(const struct journal *journal);
// Has what is written synced soon by the thread beside (SYNC_INTERVAL and SYNC_OFF), without waiting for it. Any thread.
void journal_ask_sync(struct journal *journal);
struct journal_stats {
  uint64_t frames, bytes, commits, syncs, full;
};
struct journal_stats journal_stats(const struct journal *journal); // any thread: relaxed reads

// Reads the frame at a place, checks its checksum; the views point into `raw`. ITD_ENOTFOUND (segment gone), ITD_ECORRUPT.
struct journal_reader; // caches open segments; one thread
struct journal_reader *journal_reader_new(const char *dir);
void journal_reader_free(struct journal_reader *reader);
int journal_read(struct journal_reader *reader, uint64_t place, struct buf *raw, struct frame *frame,
                 struct error *err) ITD_MUST_USE;

// Walks a log from a segment on, commit by commit: `visit` is called for each frame of whole commits in order, with its place.
// A torn tail ends the walk (*torn_bytes says how much is cut); damage before the tail is ITD_ECORRUPT with file and offset.
typedef int (*journal_visit)(void *context, const struct frame *frame, uint64_t place, struct error *err);
int journal_walk(const char *dir, unsigned log, uint32_t from_segment, journal_visit visit, void *context,
                 uint64_t *torn_bytes, struct error *err) ITD_MUST_USE;
