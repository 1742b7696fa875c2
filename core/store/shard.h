// What the store's own files share: the store, a shard, and a lead's entry in its table. Private to store/.
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "store/checkpoint.h"
#include "store/datadir.h"
#include "store/dedupe.h"
#include "store/due.h"
#include "store/ids.h"
#include "store/journal_scan.h"
#include "store/keeper.h"
#include "store/outbox.h"
#include "store/quarantine.h"
#include "store/seal.h"
#include "store/store.h"
#include "store/versions.h"

// Flags of a lead's entry; SOUGHT: LMDB has nothing we lack.
enum { LEAD_HAS_KEY = 2, LEAD_WAS_SOUGHT = 4, LEAD_IS_FORGOTTEN = 8, ENTITY_IS_UNSENT = 16 };

struct lead_entry {
  struct table_entry head; // key: lead_key
  struct lead *lead;       // NULL: not loaded, or not there yet
  uint64_t place;          // of its last frame, staged ones included
  uint32_t counted;        // bytes told to checkpoint_dirty
  uint32_t round;          // of the shard, in which it changed first and was not copied yet; 0: LMDB has it, or will
  uint64_t key_address;    // in the vault; this and what follows: when LEAD_HAS_KEY
  uint64_t last_identity;  // likewise: the end of the chain of its identities
  uint8_t key[LEAD_KEY_SIZE];
};

struct entity_entry {      // of an entity that is no lead; the rest is as in lead_entry
  struct table_entry head; // flags: LEAD_WAS_SOUGHT, ENTITY_IS_UNSENT
  struct entity *entity;
  uint32_t counted, round;
};

struct identity_entry {
  struct table_entry head; // key: the keyed hash
  struct lead_id lead;
};

struct partition_state {
  int64_t release_ms; // received_ms of its newest FRAME_RELEASE
  uint32_t release;   // and the policy's number; 0: none
};

struct shard_counters {
  _Atomic uint64_t leads, identities, lead_reads, quarantined, entities;
};

struct store_shard {
  struct store *store;
  unsigned index;
  struct journal *journal;
  struct vault *vault;
  struct journal_reader *reader;
  struct state_reader *state;
  struct vault_reader *who;
  struct table leads, identities;
  struct dedupe dedupe;
  struct due due;
  struct seal seal;
  struct partition_state partition[256]; // its own ones
  uint64_t made[SLOTS];                  // lead ids, in its own slots
  struct outbox *outbox;
  struct table entities;
  struct changed_entities {
    struct entity_entry **entry;
    size_t count, cap;
  } dirty_entities, flush_entities; // as `dirty` and `flush`
  size_t flush_entities_at;
  struct unsent_account { // accounts whose copies were held back, the first one first
    struct lead_id id;
    int64_t since_ms;
  } * unsent;
  size_t unsent_count, unsent_cap;
  struct buf scratch, record;    // record: of the vault, as read
  struct forget_job *forgetting; // those whose frames are staged
  struct checkpoint_who *fresh;  // new in the vault, for the next cycle
  size_t fresh_count, fresh_cap;
  // checkpoint: leads that changed, and those that a cycle has to copy
  struct lead_entry **dirty, **flush;
  size_t dirty_count, dirty_cap, flush_count, flush_at, flush_cap;
  // Of changes: a new one begins with each cycle, which has to copy what changed in the one before, as it was then. So a
  // lead whose round is not 0 and not this one waits to be copied: before it changes again, at the latest.
  uint32_t round;
  uint32_t cycle; // that this shard gave for last, or is giving for
  bool is_giving;
  struct checkpoint_part *part;   // while giving
  struct checkpoint_chunk *chunk; // likewise: being filled, or NULL
  struct shard_counters counters;
};

struct store {
  struct store_options options;
  struct datadir dir;
  struct state *state;
  struct versions *versions;
  struct quarantine *quarantine;
  struct checkpoint *checkpoint;
  struct keeper *keeper;
  struct sealer *sealer;
  struct archiver *archiver; // NULL: nothing is archived
  struct forget *forget;
  struct vault_tip vault_tip[256]; // of each log, as recovery found it
  struct dedupe_files *dedupe;
  uint8_t identity_key[16], message_key[16], entity_key[16];
  uint32_t session;
  _Atomic uint32_t last_release;
  pthread_mutex_t release_lock;
  int64_t release_ms;
  struct store_shard *shard[256];
};

static inline struct store_shard *shard_of(const struct store *store, unsigned partition) {
  return store->shard[partition % store->options.shards];
}
static inline void count_up(_Atomic uint64_t *n) {
  atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}
static inline void count_down(_Atomic uint64_t *n) {
  atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) - 1, memory_order_relaxed);
}

// shard.c
struct store_shard *shard_new(struct store *store, unsigned index);
void shard_free(struct store_shard *shard);
void shard_abandon(struct store_shard *shard); // its files stay as they are now, as after a crash
struct lead_entry *shard_entry(struct store_shard *shard, struct lead_id id); // found or added
bool shard_owns(const struct store_shard *shard, unsigned partition);
void shard_release(struct store_shard *shard, const struct frame *frame); // remembers a FRAME_RELEASE
bool shard_has_message(const struct frame *frame);                        // whose duplicates are to be found
bool shard_give(struct store_shard *shard,
                size_t bytes_max);                    // a slice of the running cycle; true: all given, or none runs
bool shard_can_give(const struct store_shard *shard); // nothing staged
// Room for a copy in the running cycle.
// `key` is the lead's, NULL for an entity that is none.
uint8_t *shard_copy(struct store_shard *shard, const uint8_t *key, struct lead_id id, int64_t due_ms, size_t size,
                    size_t counted);

// accounts.c: remembers an account that holds copies back.
void shard_note_account(struct store_shard *shard, const struct entity *entity, int64_t since_ms);
// entity.c
void shard_note_pool(struct store_shard *shard, const struct entity *entity); // when it is to be woken; others: nothing
struct entity_entry *shard_entity_entry(struct store_shard *shard, struct lead_id id);
void entities_begin(struct store_shard *shard); // a cycle: what changed in the round before waits to be copied
bool entities_give(struct store_shard *shard, size_t *given, size_t bytes_max); // true: nothing waits
// Applies a MESSAGE frame to an entity that is no lead; *entity NULL: its first. Checks digest and messages.
// ITD_ECORRUPT, ITD_EVERSION.
int entity_fold(struct entity **entity, const struct frame *frame, uint64_t place, struct error *err) ITD_MUST_USE;
// What a ROW_ENTITY holds. ITD_ECORRUPT, ITD_EVERSION.
int entity_row(struct bytes row, struct entity **out, struct error *err) ITD_MUST_USE;
// What a MESSAGE frame applied, as it came: views into the frame. The same errors.
int entity_message(const struct frame *frame, struct message *message, struct error *err) ITD_MUST_USE;
static inline bool shard_waits(const struct store_shard *s, const struct lead_entry *e) {
  return e->round && e->round != s->round; // the running cycle has to copy it, as it is
}
size_t shard_give_copy(struct store_shard *shard, struct lead_entry *entry); // of a lead that waits; returns its size

// who.c
bool shard_may_ask_state(const struct store_shard *shard); // LMDB may know what memory does not
_Noreturn void shard_die_of(const struct error *err);
// The entry of a lead with its key in it; NULL: the key is gone, or was never there.
struct lead_entry *shard_key(struct store_shard *shard, struct lead_id lead);
// A record that was staged or scanned, into memory and for the next cycle; on the shard of its lead.
void shard_take_link(struct store_shard *shard, struct lead_id lead, uint64_t address); // the new end of its chain
void shard_take_record(struct store_shard *shard, uint64_t address, const struct vault_record *record);
// Takes a lead out of memory; returns what is left to do (store/forget.h).
struct forget_job *shard_forget(struct store_shard *shard, struct lead_id lead, int64_t at_ms);
void shard_give_forgotten(struct store_shard *shard);

// store.c
// A last checkpoint. False: it failed, or what is in memory is not to be trusted.
bool store_checkpoint(struct store *store);
void store_close_parts(struct store *store); // all but the directory's lock and secret
int store_open_parts(struct store *store, struct store_recovery *recovery,
                     struct error *err) ITD_MUST_USE; // again; a failure leaves them to store_close_parts

// history.c
int history_event(struct store_shard *shard, const struct frame *frame, struct buf *map,
                  struct error *err) ITD_MUST_USE;
// Folds an EVENT, TIMER or STOPPED frame into a lead; *lead NULL: its first. Checks the digest. ITD_ECORRUPT,
// ITD_EVERSION, ITD_ENOTFOUND (key gone).
int history_fold(struct store_shard *shard, const struct frame *frame, uint64_t place, struct lead **lead,
                 struct error *err) ITD_MUST_USE;

// The lead that a ROW_LEAD holds (store/base.h): malloc'd. ITD_ECORRUPT.
int history_row_lead(struct store_shard *shard, struct lead_id id, struct bytes row, struct lead **lead,
                     struct error *err) ITD_MUST_USE;

// recovery.c
struct recovery_result {
  uint64_t folded_bytes; // of frames behind the checkpoint
  struct journal_tip tip[256];
  int64_t received_ms;
  bool is_resharded; // the session that begins is the first of its number of partitions
  struct store_recovery recovery;
  struct vault_tip vault_seen[256]; // how much of each log LMDB had
};
// Fills the shards' tables from vault, LMDB and journal; then cuts what is torn. On failure nothing on disk was
// changed.
int recover(struct store *store, struct recovery_result *result, struct error *err) ITD_MUST_USE;
