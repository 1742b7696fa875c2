// Retention: which journal and which bases may go, and taking them away. One thread at a time.
//
// The journal is let go up to the cut of one set of bases, for all partitions and logs together, so that what is left has
// no gap and a base to begin from:
// - by age: up to the newest set that is older than `age_ms`; all that is younger can be played again;
// - by size: up to the oldest set whose removal brings the journal below `bytes`.
// Whatever these say, nothing of the window of duplicates goes, and nothing that a hold keeps (store/hold.h).
#pragma once
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct retention {
  const char *dir;
  unsigned partitions;
  uint64_t since_seq; // where this number of partitions began: what lies before goes as a whole
  int64_t age_ms;     // 0: nothing goes for its age
  uint64_t bytes;     // 0: nothing goes for its size
  int64_t window_ms;  // of duplicates
  unsigned bases;     // of each partition, at least 2: of more, those go whose neighbours are closest; never the oldest
  const struct archiver *archiver; // what it has not brought away stays (store/archiver.h); NULL: there is none
};
struct retention_result {
  uint64_t segments, bytes; // of journal that went
};
// ITD_EBUSY: somebody reads the journal whole (holds_share). ITD_ECORRUPT: the holds do not read, so nothing went. ITD_EFULL, ITD_EIO: what went before it stays gone.
int retention_apply(const struct retention *retention, int64_t now_ms, struct retention_result *result,
                    struct error *err) ITD_MUST_USE;
