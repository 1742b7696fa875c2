// Who is who: each lead's key and each identity's text, outside of the journal and nowhere else in clear.
// docs/decisions/vault.md says why; format: docs/journal.md#vault.
//
// A row of files DIR/vault/LL-SSSSSSSS.vault, one log a shard, to which records are appended; they stay for ever, or until
// one is erased in place. An address names a record for ever (log 8 bits, file 24, offset 32, as a place in the journal;
// 0: none). The identities of a lead are a chain: each record names the one before it, and who holds the lead's key
// record knows the last.
//
// One thread owns a vault. Reading, scanning and erasing are apart from it: they look at files.
#pragma once
#include "base/buf.h"
#include "engine/lead.h"

#define VAULT_FORMAT  2
#define LEAD_KEY_SIZE 32

enum vault_type { VAULT_LEAD = 1, VAULT_IDENTITY = 2, VAULT_COMMIT = 3, VAULT_ERASED = 255 };
struct vault_record {
  enum vault_type type; // LEAD or IDENTITY: who reads never sees another
  struct lead_id lead;
  uint64_t made;              // LEAD: how many ids its slot had made, this one counted
  uint8_t key[LEAD_KEY_SIZE]; // LEAD
  struct hash128 identity;    // IDENTITY: keyed hash
  uint64_t previous;          // IDENTITY: address of the lead's identity before this one; 0: its first
  uint8_t kind;               // IDENTITY
  struct bytes value;         // IDENTITY: points into what it was read from
};

// How far a log goes: everything before this is whole. All zero: there is nothing yet.
struct vault_tip {
  uint32_t number, end;
};

struct vault;
// Goes on at the end of a log's last file (cutting what was torn behind it), or makes its first. `tip` comes from
// vault_scan; what lies behind `seen` in the tip's file was read but may not be on disk, and is written again. Every
// commit is synced, whatever journal.sync says. ITD_EFULL, ITD_EIO.
int vault_open(const char *dir, unsigned log, struct vault_tip tip, struct vault_tip seen, struct vault **out,
               struct error *err) ITD_MUST_USE;
void vault_close(struct vault *vault); // what is staged is dropped
#define VAULT_VALUE_MAX 65535
uint64_t vault_stage(struct vault *vault, const struct vault_record *record); // returns its address
bool vault_is_staged(const struct vault *vault);
// A staged record; the view is good until the next vault_stage or vault_commit. False: not staged.
bool vault_peek(const struct vault *vault, uint64_t address, struct vault_record *record);
// As journal_commit: ITD_EFULL keeps what is staged, ITD_EIO is final.
int vault_commit(struct vault *vault, struct error *err) ITD_MUST_USE;
struct vault_tip vault_tip(const struct vault *vault); // behind the last commit
// Fills zeros ahead of need, and makes the next file; any thread; a full disk is no failure.
void vault_prepare(struct vault *vault);

// ---- reading ----
struct vault_reader; // keeps a few files open; one thread
struct vault_reader *vault_reader_new(const char *dir);
void vault_reader_free(struct vault_reader *reader);
// The record at an address; views point into `raw`. ITD_ENOTFOUND: it was erased. ITD_ECORRUPT: it is none, or damaged.
int vault_read(struct vault_reader *reader, uint64_t address, struct buf *raw, struct vault_record *record,
               struct error *err) ITD_MUST_USE;

// Visits all records, log by log, from where `from` says for each of the 256 logs; `to` gets how far each goes. Erased ones
// and torn ends are passed over; damage is ITD_ECORRUPT. Reads only.
typedef int (*vault_visit)(void *context, uint64_t address, const struct vault_record *record, struct error *err);
int vault_scan(const char *dir, const struct vault_tip from[256], vault_visit visit, void *context,
               struct vault_tip to[256], struct error *err) ITD_MUST_USE;

// ---- erasing (one thread at a time) ----
// Overwrites records in place, so that nothing of them is left: first the list of addresses is kept in DIR/vault/erasing,
// then each head becomes that of an erased record, then the bodies become zeros, then the list is emptied; each is synced
// before the next. Erased already is no failure. ITD_EFULL, ITD_EIO: it may be half done; called again it ends that first, as
// vault_erase_rest does. ITD_ECORRUPT (no record there).
int vault_erase(const char *dir, const uint64_t *addresses, size_t count, struct error *err) ITD_MUST_USE;
// Nothing is erased until vault_release: for who copies the vault. -1: there is none, or it can't be opened.
int vault_hold(const char *dir);
void vault_release(int hold); // -1 does nothing
// At a start, before anything is read: ends what vault_erase had begun.
int vault_erase_rest(const char *dir, struct error *err) ITD_MUST_USE;
