// One moment of a journal that is being written: how far each log has to be read so that what is left is what a crash
// could leave. Reads only. One thread.
//
// Logs are written independently, and their ends are read one after the other. Partitions do not mind, but a message that
// one of them applied must not be there without the frame that sent it. A message is sent when its frame is on disk. So:
// the ends are read (E1), once more (E2), and once more (E3). The sender's frame of any message before E2 lies before
// E3. A commit between E1 and E2 that applies a message whose sender's frame lies behind the cut is cut off, and what
// follows it in its log, until nothing changes. What was on disk before the call always stays.
#pragma once
#include "store/journal_scan.h"
#include "store/source.h"

struct cut_end { // a segment of the cut that was written when it was made
  unsigned log;
  uint32_t segment;
  uint64_t end; // this many bytes of it; whole commits
  struct source *source;
};
struct cut {
  struct cut_end *end; // in the order of (log, segment)
  size_t count;
  struct sealed_cache *cache; // for `source`, where it was sealed meanwhile
  // All segments at that moment, as segment_list gives them. Those of a log from first[log] on (0: none) are in `end`
  // instead, or were not in use; the others are never written again.
  struct segment_info *list;
  size_t list_count;
  uint32_t first[256];
  uint32_t session;
  unsigned partitions;         // 0: nothing was ever committed
  struct journal_tip tip[256]; // where each partition is at the cut, as far as these segments say
};
// Which segments are the last of their logs is read anew. Nothing may be let go meanwhile (holds_share). ITD_EBUSY: the
// daemon started again and again. ITD_ECORRUPT, ITD_EIO, ITD_EVERSION.
int cut_find(const char *dir, struct cut *out, struct error *err) ITD_MUST_USE;
void cut_close(struct cut *cut);

extern void (*cut_between_logs)(void); // for tests: called after each reading of a log; NULL
