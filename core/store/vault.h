// Who is who, outside of the journal: a row of small append-only files DIR/vault/LL-SSSSSSSS.vault, one log a shard, in
// which new leads and identities wait until the checkpoint has them in LMDB. docs/decisions/vault.md says why they are
// apart; format: docs/journal.md#vault.
//
// One thread owns a vault; vault_prepare and vault_drop are the checkpointer's.
#pragma once
#include "store/state.h"

enum vault_type { VAULT_LEAD = 1, VAULT_IDENTITY = 2 };
struct vault_record {
  enum vault_type type;
  struct lead_id lead;
  uint64_t made;              // LEAD: how many ids its slot had made, this one counted
  uint8_t key[LEAD_KEY_SIZE]; // LEAD
  struct hash128 identity;    // IDENTITY
  uint8_t kind;               // IDENTITY
  struct bytes value;         // IDENTITY: points into what it was read from
  struct bytes raw;           // read: the record's own bytes; not looked at by vault_stage
};
// The next record of `from`, which begins with one and is moved on. False: no more. Bytes come from vault_scan or
// vault_rotate.
bool vault_next(struct bytes *from, struct vault_record *record);

struct vault;
// Begins a new file after the last there is. Every commit is synced, whatever journal.sync says. ITD_EFULL, ITD_EIO.
int vault_open(const char *dir, unsigned log, struct vault **out, struct error *err) ITD_MUST_USE;
void vault_close(struct vault *vault); // an empty file is taken away
#define VAULT_VALUE_MAX 65535
void vault_stage(struct vault *vault, const struct vault_record *record);
bool vault_is_staged(const struct vault *vault);
// As journal_commit: ITD_EFULL keeps what is staged, ITD_EIO is final.
int vault_commit(struct vault *vault, struct error *err) ITD_MUST_USE;
// Hands over the records of all commits since the last rotation (appended to `records`) and goes on in the next file,
// if one is prepared. *upto: files up to this number hold nothing but what was handed over, now or earlier; 0: none.
// Nothing may be staged.
void vault_rotate(struct vault *vault, struct buf *records, uint32_t *upto);
// Records since the last rotation, committed and staged: views until the next call that changes the vault. The owner's
// thread.
struct bytes vault_recent(const struct vault *vault);
struct bytes vault_staged(const struct vault *vault);
void vault_prepare(
    struct vault *vault); // makes the next file when there is none; any thread; a full disk is no failure
void vault_drop(struct vault *vault, uint32_t upto); // takes files away whose records are durable in LMDB; any thread

// All records in the files of a directory, log by log. Torn ends are passed over as in the journal; ITD_ECORRUPT for
// damage.
typedef int (*vault_visit)(void *context, const struct vault_record *record, struct error *err);
int vault_scan(const char *dir, vault_visit visit, void *context, struct error *err) ITD_MUST_USE;
// The files of a directory as "NAME" below DIR/vault: to be taken away when their records are durable elsewhere.
int vault_files(const char *dir, char ***names, size_t *count, struct error *err) ITD_MUST_USE; // dir_list_free
