// A consistent, incremental copy of a data directory, of a running daemon too, and back. Design:
// docs/decisions/backup.md. One thread; reads the directory only, and takes part in nothing that the daemon does but two
// locks: retention lets nothing go meanwhile, and nothing is erased while the vault is copied.
//
// TO/backup.json (manifest.h) says what the backup is; beside it lie the copies under the names that they have in the
// directory, with "@RUN" behind those that changed. Only what the newest manifest names belongs to it.
#pragma once
#include "store/manifest.h"
#include "store/salvage.h"

typedef void (*copy_progress)(void *context, uint64_t done, uint64_t total); // bytes

struct backup_options {
  const char *dir, *to;
  bool with_quarantine;
  struct salvage *salvage; // not NULL: of a stopped, damaged directory, what can be had; filled in
  copy_progress progress;  // NULL: none
  void *context;
};
struct backup_result {
  struct manifest manifest;     // as written; the caller's: manifest_deinit
  uint64_t copied, kept;        // files
  uint64_t copied_bytes, bytes; // written; of all files
  uint64_t reached;             // frames: the sum over partitions
  int64_t took_ms;
};
// What was acknowledged before the call is in it (with journal.sync = always; else what was written). On failure the
// backup that was there before still holds. ITD_ENOTFOUND: `dir` is no data directory. ITD_EINVAL: `to` is something
// else, or a backup of another directory. ITD_EBUSY: another backup runs there, or a daemon on what is to be salvaged.
// ITD_ECORRUPT: damage in what was to be copied, named; ITD_EVERSION, ITD_EFULL, ITD_EIO.
int store_backup(const struct backup_options *options, struct backup_result *out, struct error *err) ITD_MUST_USE;

struct restore_options {
  const char *from, *to;
  const char *const *forgotten; // ledgers of leads that were forgotten later, or the folders they lie in
  size_t forgotten_count;
  copy_progress progress;
  void *context;
};
struct restore_result {
  struct manifest manifest; // the caller's: manifest_deinit
  uint64_t bytes, frames, bases, identities;
  uint64_t later; // lines that the ledgers add: those leads are forgotten when the directory is opened
};
// Everything is verified before the directory can be opened: sizes and digests, the journal's chain up to what the
// manifest says, bases, vault. `format` is written last: without it no daemon starts. ITD_EINVAL: `to` is not empty.
// ITD_ENOTFOUND: no backup there. ITD_ECORRUPT: the file is named.
int store_restore(const struct restore_options *options, struct restore_result *out, struct error *err) ITD_MUST_USE;
