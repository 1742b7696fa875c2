// Seals segments that nobody writes any more, one after the other, on a thread of its own of low priority: full ones of this session, and
// those that earlier ones left. A log goes only after what it was sealed into was synced, read back and compared.
#pragma once
#include "store/sealed.h"

struct sealer;
struct sealer_options {
  const char *dir;                // kept
  unsigned shards;                // logs that are written
  struct journal *const *journal; // of each
  int level;                      // of compression
};
struct sealer *sealer_start(const struct sealer_options *options);
void sealer_stop(struct sealer *s); // what is under way is given up

struct sealer_stats {
  uint64_t segments, raw_bytes, file_bytes; // sealed since the start
  uint64_t failures;
  uint64_t waiting;   // segments that are full and not sealed
  int64_t waiting_ms; // how long the first of them has been waiting
};
struct sealer_stats sealer_stats(const struct sealer *s); // any thread

// Takes a segment away for good, whichever file holds it; one that is being sealed does not come back. 0 (also when it was not there) or an errno.
int segment_drop(const char *dir, unsigned log, uint32_t segment);
// Seals one segment, whole: temporary file, sync, comparison, rename, sync of the folder; then its log goes. Whatever fails, the log is there.
// Errors as sealed_write.
int seal_segment(const char *dir, unsigned log, uint32_t segment, int level, const _Atomic bool *stop,
                 struct sealed_result *result, struct error *err) ITD_MUST_USE;
