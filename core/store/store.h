// The store: a data directory and what it remembers. Opened once; it recovers, and then each shard owns its partitions.
//
// DIR/intentd.lock   held by the daemon           DIR/format    version of the directory, partitions, secret of the keyed hashes
// DIR/journal/…      logs (store/journal.h)       DIR/vault/…   who is who: identity -> lead, and each lead's key; outside of the journal
// DIR/state/…        LMDB: leads, addresses in the vault, due timers, progress of the checkpoint   DIR/versions/HASH  bundles ever active
// DIR/forgotten      leads that were forgotten (store/forget.h)
// DIR/forget-first   in a restored directory, leads to forget before anything is served (store/forget_first.h)
// DIR/quarantine/…   events that were refused, bounded                            DIR/intentd.sock  administration (net/)
//
// State = fold(LMDB, journal since). Everything in LMDB carries the sequence number of the last frame folded into it. A lead or
// identity is in memory after its first use; LMDB is written by the checkpointer's thread from encoded copies.
#pragma once
#include "store/archiver.h"
#include "store/journal.h"
#include "store/outbox.h"
#include "store/sealer.h"

#define STORE_FORMAT 5

struct store_options {
  const char *dir;
  unsigned partitions;            // of a new directory: default 16, 1..256; an existing one keeps its own
  unsigned shards;                // 1..partitions
  struct journal_options journal; // dir and log are set by the store
  int64_t dedupe_window_ms;       // dedupe.window, default 24 h
  bool is_without_dedupe;         // no event is taken in this opening: DIR/dedupe is neither read nor written (tools)
  int64_t dedupe_recent_ms;       // dedupe.recent, default 1 h: what is older lies in files
  size_t
      dedupe_max; // dedupe.entries in memory over all shards, default 4 million; at half of it files are written early
  uint64_t map_bytes; // state.map, LMDB's address space, default 64 GiB (sparse)
  // checkpoint.dirty: bytes of changed leads before intake slows to the checkpoint's pace, default 512 MiB; as much again is held while
  // copies are written.
  size_t dirty_max;
  uint64_t
      checkpoint_journal; // checkpoint.journal: bytes of journal since the last checkpoint before intake slows, default 4 GiB
  int64_t checkpoint_ms; // checkpoint.interval, default 10 s
  struct keep_options {
    int64_t base_interval_ms; // base.interval: between two bases while anything changes, default 24 h
    uint64_t base_bytes;      // base.journal: or after so many bytes of journal, default 4 GiB
    unsigned
        bases; // base.keep: of each partition, at least 2, default 3; the oldest that history needs is kept as well
    int64_t age_ms; // retention.age, default 0: for ever
    uint64_t bytes; // retention.bytes of journal, default 0: no bound
  } keep;
  bool seal;      // journal.seal: full segments are sealed in the background (store/sealer.h)
  int seal_level; // journal.compression, 1 to 19
  // archive.dir, archive.command: where sealed segments are brought (store/archiver.h); NULL or "": nowhere. Needs `seal`.
  const char *archive_dir, *archive_command;
  size_t quarantine_max; // quarantine.bytes, default 64 MiB; the oldest half goes
  // outbox.bytes over all shards, default 64 MiB: messages that wait before no more events are taken. The rest: outbox.h.
  size_t outbox_max;
  unsigned outbox_window;
  int64_t outbox_resend_ms;
  unsigned
      recovery_threads; // that fold the journal, at most one a shard; 1: none beside the reading one; 0: as many as cores
  const uint8_t *seed; // 32 bytes for a new directory: makes ids the same in every run (tests); NULL: random
};
#define STORE_OPTIONS_DEFAULT                                                                                          \
  ((struct store_options){.partitions = 16,                                                                            \
                          .shards = 1,                                                                                 \
                          .journal = {.segment_bytes = 64u << 20},                                                     \
                          .dedupe_window_ms = 86400000,                                                                \
                          .dedupe_recent_ms = 3600000,                                                                 \
                          .dedupe_max = 4000000,                                                                       \
                          .map_bytes = 64ull << 30,                                                                    \
                          .dirty_max = 512u << 20,                                                                     \
                          .checkpoint_journal = 4ull << 30,                                                            \
                          .checkpoint_ms = 10000,                                                                      \
                          .keep = {.base_interval_ms = 86400000, .base_bytes = 4ull << 30, .bases = 4},                \
                          .seal = true,                                                                                \
                          .seal_level = 3,                                                                             \
                          .quarantine_max = 64u << 20,                                                                 \
                          .outbox_max = 64u << 20,                                                                     \
                          .outbox_window = OUTBOX_WINDOW,                                                              \
                          .outbox_resend_ms = OUTBOX_RESEND_MS})

struct store;
struct store_shard; // one thread's part: its partitions, its log, its tables

struct store_recovery {
  uint64_t frames, skipped, torn_bytes, leads;
  uint64_t forgotten; // leads whose forgetting a crash had cut short
  int64_t took_ms;
};
// Opens or makes the directory. ITD_EBUSY: another daemon holds it (its pid is in the text). ITD_EVERSION: of another version.
// ITD_ECORRUPT: damage, named; nothing was changed.
int store_open(const struct store_options *options, struct store **out, struct store_recovery *recovery,
               struct error *err) ITD_MUST_USE;
// A last checkpoint, tried once; then all is freed. Shards must have stopped. Where frames are still staged they are dropped, and no
// checkpoint is written: the next start recovers.
void store_close(struct store *store);
// Drops all that is in memory without a checkpoint, as a crash would, and recovers from the files, which stay locked meanwhile. For when
// a sync failed: no shard may use the store during this, and every store_shard is another one afterwards. On failure (as store_open)
// the store is closed: call this again later, or store_close; only the functions of "who" below may still be called.
int store_reopen(struct store *store, struct store_recovery *recovery, struct error *err) ITD_MUST_USE;
struct store_shard *store_shard(struct store *store, unsigned shard);
unsigned store_partitions(const struct store *store);
// How many partitions the directory at `dir` has, without opening it; 0: there is none, or it can't be read.
unsigned store_partitions_in(const char *dir);
unsigned store_shard_of(const struct store *store, unsigned partition); // partition % shards

// ---- who (any thread: pure) ----
// LINK: none that an event can name: in the vault, in a lead's chain of identities, it leads to a lead that was merged into it.
enum identity_kind { IDENTITY_USER = 1, IDENTITY_ANONYMOUS = 2, IDENTITY_LINK = 3 };
struct hash128 store_identity(const struct store *store, uint16_t workspace, enum identity_kind kind,
                              struct bytes value);
unsigned store_slot_of(struct hash128 identity); // the slot of the lead that an identity founds
unsigned store_partition_of(const struct store *store, struct hash128 identity);
unsigned store_partition_of_lead(const struct store *store, struct lead_id lead);
// Its first byte (of hi) is the identity's slot: a message leads to its shard whatever the number of partitions.
struct hash128 store_message(const struct store *store, struct hash128 identity, struct bytes message_id);

// ---- versions (any thread) ----
// Keeps a policy's archive under its hash and gives it a number (the same hash: the same number, for ever). Synced.
int store_version_put(struct store *store, struct policy *policy, uint32_t *number, struct error *err) ITD_MUST_USE;
// The policy of a number, loaded from its archive when it is not in memory; the store keeps it retained. NULL: unknown or unreadable.
struct policy *store_version(struct store *store, uint32_t number);
// The release that was in force last (the newest FRAME_RELEASE), 0: none.
uint32_t store_last_release(const struct store *store);
// Whether there is any lead, as of some moment during the call. Any thread.
bool store_has_leads(const struct store *store);

// ---- a shard's work (its thread only) ----
// The lead of an identity. False: never seen.
bool store_find(struct store_shard *shard, struct hash128 identity, struct lead_id *lead);
// Makes a lead id (random, in the identity's slot) and a key for an identity, and stages both for the vault. `value` is the identity's text.
// Durable with the next store_commit, before the frames of the same commit.
struct lead_id store_found(struct store_shard *shard, enum identity_kind kind, struct hash128 identity,
                           struct bytes value);
// ---- merging (store/merge.h) ----
// The id by which a lead asks for an identity: the same whenever it asks, in the identity's slot, and it says nothing else of it. `again`: 0;
// others give other ids. Any thread.
struct lead_id store_ask_id(const struct store *store, struct lead_id asker, struct hash128 identity, uint32_t again);
// As store_found, with that id, or one of its likes where it is taken.
struct lead_id store_found_asked(struct store_shard *shard, enum identity_kind kind, struct hash128 identity,
                                 struct bytes value, struct lead_id asker);
// Where the vault has a lead's key, and the last of its identities. False: the lead was forgotten.
struct store_who {
  uint64_t key, last;
};
bool store_who(struct store_shard *shard, struct lead_id lead, struct store_who *out);
// Opens what was sealed under the key of a lead of any shard that lies at an address in the vault. ITD_ENOTFOUND: it was forgotten.
int store_unseal_at(struct store_shard *shard, uint64_t key, struct lead_id lead, struct bytes sealed,
                    struct buf *secret, struct error *err) ITD_MUST_USE;
// Notes in the vault, with the next store_commit, that a lead was merged into this shard's `lead`; and each that was, perhaps twice.
void store_link(struct store_shard *shard, struct lead_id lead, struct lead_id merged, struct store_who who);
void store_links(struct store_shard *shard, struct lead_id lead, void (*each)(void *context, struct lead_id merged),
                 void *context);
// The identities of a lead and of all that were merged into it, for people who ask: calls back with each kind and text.
void store_identities(struct store_shard *shard, struct lead_id lead,
                      void (*each)(void *context, enum identity_kind kind, struct bytes value), void *context);
// The lead itself: from memory, else from LMDB, else NULL. The store owns it; the pointer is good until the next call for this shard
// that can move it (store_put).
struct lead *store_lead(struct store_shard *shard, struct lead_id id);
// Gives the store a lead that changed or is new (it may have moved), with the frame's seq and place set in it. Marks it dirty. Between the
// engine's change and this call only store_append, store_seal and store_quarantine may be called for the lead.
void store_put(struct store_shard *shard, struct lead *lead);
// ---- messages between entities (docs/decisions/messages.md; what they do: store/intake.h) ----
// The id of an entity that is named by a text and no lead: the same for ever in a directory. Any thread.
struct lead_id store_entity_id(const struct store *store, enum entity_kind kind, uint16_t workspace, struct bytes name);
// As store_lead and store_put, for entities that are no leads.
struct entity *store_entity(struct store_shard *shard, struct lead_id id);
void store_put_entity(struct store_shard *shard, struct entity *entity);
// After a commit: gives what may leave (outbox_give: `now_ms` is a clock that does not go back). *due_ms: when to call
// again even if nothing comes. True: at once.
bool store_give(struct store_shard *shard, int64_t now_ms, const struct outbox_transport *transport, int64_t *due_ms);
// At outbox.bytes: no more events, but messages.
bool store_outbox_full(struct store_shard *shard);

// The place of the frame that decided a message first, when that arrived at most dedupe.window before `received_ms`; else 0.
uint64_t store_seen(struct store_shard *shard, struct hash128 message, int64_t received_ms);
// Stages a frame: fills epoch, seq and `previous`; remembers `message` for store_seen. Returns its place.
uint64_t store_append(struct store_shard *shard, struct frame *frame);
// ---- forgetting ----
struct forget_job;                                                             // store/forget.h
bool store_is_forgotten(const struct store_shard *shard, struct lead_id lead); // any thread
// Forgets the lead of a FRAME_FORGET, which it stages: nobody finds the lead from here on. `done` is called (on another
// thread) once nothing of it is left anywhere, some time after the store_commit; job->status says whether it came to that.
// An event of its identities that comes meanwhile founds another lead.
void store_forget(struct store_shard *shard, struct frame *frame,
                  void (*done)(void *context, const struct forget_job *job), void *context);
// Calls `done`, likewise, once a lead that was forgotten before is left nowhere.
void store_await_forgotten(struct store_shard *shard, struct lead_id lead,
                           void (*done)(void *context, const struct forget_job *job), void *context);
// Seals personal bytes under the lead's key (AES-256-GCM when the machine has AES, else XChaCha20-Poly1305: named in the first byte), and back.
// Opening: ITD_ENOTFOUND when the key is gone (forgotten), ITD_ECORRUPT.
void store_seal(struct store_shard *shard, struct lead_id lead, struct bytes secret, struct buf *sealed);
int store_unseal(struct store_shard *shard, struct lead_id lead, struct bytes sealed, struct buf *secret,
                 struct error *err) ITD_MUST_USE;
// Vault first, then the journal: one write and one sync each, the vault's only when it has something (and then in every sync mode).
// Errors as journal_commit.
int store_commit(struct store_shard *shard, struct error *err) ITD_MUST_USE;
// Returns when all that was committed before is on disk, whatever `journal.sync` says. ITD_EIO: as of store_check.
int store_sync(struct store_shard *shard, struct error *err) ITD_MUST_USE;
bool store_is_dirty(const struct store_shard *shard); // staged frames wait for store_commit
// What failed in the background, where no commit has told yet: a sync of the journal, an erasing, LMDB for good. The shard must be given up as after
// ITD_EIO. 0 or ITD_EIO.
int store_check(const struct store_shard *shard, struct error *err) ITD_MUST_USE;
// True when the lead's last frame is staged: what it is in memory is not durable.
bool store_is_staged(struct store_shard *shard, struct lead_id lead);
// Work between commits, at least every second or so, events or not: hands copies of changed leads to the checkpointer (a bounded slice a
// call; none while frames are staged). True: intake should slow down, because dirty bytes are at their bound.
bool store_turn(struct store_shard *shard, int64_t now_ms);
// The frame at a place, staged ones included.
int store_read(struct store_shard *shard, uint64_t place, struct buf *raw, struct frame *frame,
               struct error *err) ITD_MUST_USE;
// The frame of a lead's running number (walks back from its last).
int store_read_number(struct store_shard *shard, struct lead_id lead, uint32_t number, struct buf *raw,
                      struct frame *frame, struct error *err) ITD_MUST_USE;
// That of its last decision. ITD_ENOTFOUND: it has none, or it is not kept any more.
int store_read_last(struct store_shard *shard, struct lead_id lead, struct buf *raw, struct frame *frame,
                    struct error *err) ITD_MUST_USE;
bool frame_is_decision(const struct frame *frame);
// Rebuilds the lead as it was just before its decision `number` (0 or 1: as new) by folding its frames from the first.
int store_lead_before(struct store_shard *shard, struct lead_id lead, uint32_t number, struct lead **out,
                      struct error *err) ITD_MUST_USE;
// Takes the next lead of this shard whose timer is due by now, in the order of (due, lead); store_put puts its next timer in again.
// False: none.
bool store_due(struct store_shard *shard, int64_t now_ms, struct lead_id *lead);
int64_t store_next_due(const struct store_shard *shard); // INT64_MAX: none
// Keeps a refused event's bytes and reason (best effort, bounded, not synced). Any shard thread.
struct quarantine *
store_quarantine_of(struct store *store); // valid until store_close, or the store's next store_reopen
void store_quarantine(struct store_shard *shard, const struct error *reason, struct bytes event, int64_t received_ms);
void store_count_quarantined(struct store_shard *shard, uint64_t n); // others, which were added to it otherwise

struct store_stats {
  uint64_t leads_in_memory, identities_in_memory, dirty_bytes, journal_bytes, checkpoints, checkpoint_failures,
      lead_reads, quarantined, entities_in_memory, forgotten, forget_failures;
  uint64_t dedupe_entries, dedupe_file_hits,
      dedupe_false_positives; // in memory; found in files; files looked at in vain
  uint64_t dedupe_files, dedupe_file_entries, dedupe_filter_bytes, dedupe_merges, dedupe_failures; // of all shards
  struct outbox_stats outbox;
  struct journal_stats journal;
};
struct keep_stats {                   // of the whole store
  uint64_t bases, failures;           // sets of bases written; tries that failed
  int64_t base_ms, base_took_ms;      // when the newest set was made (wall clock; 0: never), how long it took
  uint64_t base_bytes;                // of the newest set
  uint64_t segments_gone, bytes_gone; // of journal, let go in this run
  int64_t snapshot_ms;                // how long the open snapshot of LMDB has been open; 0: none is
};
struct keep_stats store_keep_stats(struct store *store);         // any thread
struct store_stats store_stats(const struct store_shard *shard); // any thread: relaxed reads
struct sealer_stats store_sealing(const struct store *store);    // any thread; store/sealer.h
struct archiver_stats store_archiving(const struct store *store);
// Walks all frames of a data directory in partition order without opening it for writing (tools, replay, tests). Also of a live one.
int store_walk(const char *dir, int partition /* -1: all */, journal_visit visit, void *context,
               struct error *err) ITD_MUST_USE;
