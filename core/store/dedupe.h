// Which messages were seen in the window, and where the frame lies that decided each first. A shard's part: what is
// recent lies in a table, what is older in files (store/dedupe_files.h). One thread.
//
// A generation of the table is frozen when it is older than `recent_ms` or holds half of `max`, and handed over to be
// written; until its file is in place it is looked at too, so that nothing is forgotten inside the window. At `max`
// dedupe_turn says that intake should slow down.
#pragma once
#include "store/dedupe_files.h"
#include "store/table.h"

struct dedupe_options {
  struct dedupe_files *files; // NULL: no files; everything stays in memory (tools)
  unsigned shard;
  struct slots slots; // of the shard
  size_t max;         // entries in memory
  int64_t window_ms, recent_ms;
};
struct dedupe {
  struct dedupe_options options;
  struct table table;
  struct dedupe_generation *frozen; // handed over, not in place yet; or NULL
  const struct dedupe_set *set;
  uint32_t version;             // of `set`
  uint32_t generation;          // of `table`, from 1
  int64_t oldest_ms, newest_ms; // of `table`
  int64_t told_ms;              // greatest arrival that the files know of
  bool is_soon;                 // freeze at the next chance
  // For the sidecar: entries before `logged` are in it, but for those that were decided again (their numbers).
  size_t logged, log_at, log_end;
  uint32_t *again;
  size_t again_count, again_cap;
  uint64_t from[256]; // of each of its partitions: the sidecar has what lies at or before this frame
  _Atomic uint64_t entries, file_hits, false_positives;
};

void dedupe_init(struct dedupe *d, const struct dedupe_options *options);
void dedupe_deinit(struct dedupe *d);
// *place: of the frame that decided the message first, when that came at most the window before `received_ms`; else 0.
// ITD_ECORRUPT, ITD_EIO: a file does not read, so nobody can tell.
int dedupe_find(struct dedupe *d, struct hash128 message, int64_t received_ms, uint64_t *place,
                struct error *err) ITD_MUST_USE;
// Remembers a message that was not seen.
void dedupe_add(struct dedupe *d, struct hash128 message, uint64_t place, int64_t received_ms);
size_t dedupe_count(const struct dedupe *d); // in memory

// ---- recovery ----
// A message that a sidecar has: as dedupe_add, before any other.
void dedupe_load(struct dedupe *d, const struct dedupe_record *record);
// The table holds half of its bound: writes it, at once. ITD_EFULL, ITD_EIO.
int dedupe_spill(struct dedupe *d, struct error *err) ITD_MUST_USE;

// ---- with nothing staged ----
// Hands the table over when that is due. `tips[i]`: where its i-th partition stands. True: at the bound, slow down.
bool dedupe_turn(struct dedupe *d, const struct dedupe_tip *tips, unsigned count);
// What a checkpoint's cycle adds to the sidecar: notes how far, then appends the records, at most `most` a call. True:
// all. No dedupe_turn in between.
void dedupe_log_begin(struct dedupe *d, struct dedupe_log *log, const struct dedupe_tip *tips, unsigned count);
bool dedupe_log_more(struct dedupe *d, struct dedupe_log *log, size_t most);
