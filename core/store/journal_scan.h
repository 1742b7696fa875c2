// Reading logs whole, for recovery and for tools: which segments there are, what their openings say, and a walk that
// tells a torn tail from damage. Reads only. One thread a scan.
#pragma once
#include "store/journal_format.h"

// One segment file, from its header and its opening commit.
struct segment_info {
  unsigned log;
  uint32_t number;
  bool has_header;     // false: never prepared in full, or damaged
  bool has_opening;    // false: nothing was ever committed here, or damaged
  bool begins_session; // the first of its log in its session: its opening is right for all partitions, not only owned
                       // ones
  bool is_sealed;      // when the list was made
  bool is_resharded;   // the first session of its number of partitions began here, at what the opening says
  bool is_unreadable;  // segment_list_all told why
  bool has_successor;  // another segment of this log follows in the list
  struct segment_header header;
  int64_t received_ms; // opening: greatest received_ms before it
  unsigned era;        // how often the number of partitions changed before it, since the oldest segment there is
  uint64_t *seq;       // opening: last sequence number of each partition; header.partitions of them
  uint8_t owned[32];   // opening: bits of the partitions that this log writes
};
// All segments of a directory, ordered by (session, log, number); what has no header comes last in its log.
// ITD_EVERSION, ITD_EIO, ITD_ECORRUPT when a log has a hole in its numbers. No journal folder: an empty list.
int segment_list(const char *dir, struct segment_info **list, size_t *count, struct error *err) ITD_MUST_USE;
// The same, but what is wrong is told to `problem` (with its status; `info` is the segment, or the one behind a hole), which returns 0 to go on.
typedef int (*segment_problem)(void *context, const struct segment_info *info, int status, const struct error *what,
                               struct error *err);
int segment_list_all(const char *dir, struct segment_info **list, size_t *count, segment_problem problem, void *context,
                     struct error *err) ITD_MUST_USE;
void segment_list_free(struct segment_info *list, size_t count);

// What is known about the time after a segment: the opening of the log's next one, or of any log's first in a later
// session. NULL: nothing.
const struct segment_info *segment_after(const struct segment_info *list, size_t count, const struct segment_info *s);

// Are all frames of a segment at or before `seq`, which says of each partition of an era how far something has got? What
// was written under a former number of partitions is: a reshard begins when all of it is folded.
bool segment_is_before(const struct segment_info *s, const struct segment_info *next, unsigned era,
                       const uint64_t *seq);

struct scan_tip {
  bool is_known;
  uint64_t from; // the frame behind which the walk of this partition began
  struct journal_tip tip;
};
struct scan {
  const char *dir;
  journal_visit visit; // NULL: only checks
  // After each commit, for each partition in it: where it stands now. NULL: nobody wants to know.
  void (*at_tip)(void *context, unsigned partition, const struct journal_tip *tip);
  void *context;
  // Of each partition: a gap up to this frame is no damage where segments in between were left out; NULL: none is
  // allowed, and where the number of partitions changes the new ones must go on from all the old ones.
  const uint64_t *floor;
  const struct journal_boundary *since; // where the newest number of partitions began; NULL: nobody knows
  // The directory may be written meanwhile: a log ends at the first segment whose successor is not in use when it was
  // read, even if it is by the time that one would be read.
  bool is_live;
  // carried from segment to segment
  bool has_ended[256]; // logs, when live
  struct scan_tip tip[256];
  int64_t received_ms; // greatest seen
  uint32_t session;    // greatest seen
  uint64_t frames;
  unsigned partitions; // of the session that is read; 0: none yet
  uint32_t numbered;   // the session in which this number was seen first
  unsigned last_log;   // of the segment before
  uint32_t last_number;
};
struct scan_end {
  uint32_t end;        // offset behind the last whole commit; SEGMENT_HEADER_SIZE or 0 when there is none
  uint32_t bad;        // the first record that does not read, in the commit that begins at `end`
  bool is_closed;      // the last commit is a closing
  bool is_torn;        // bytes follow that were never a whole synced commit
  uint32_t synced;     // what lies before is proven to have reached the disk; between here and `end` it may not have
  bool is_settled;     // it was closed in order, or is sealed: all of it has, and nothing behind it was cut
  uint64_t torn_bytes; // from `end` to the last 8 bytes that are not zero
};
// Walks one segment. Segments must come in the order of segment_list. ITD_ECORRUPT: damage, with file and offset; end->end
// then says how far it was whole.
int scan_segment(struct scan *scan, const struct segment_info *info, struct scan_end *end,
                 struct error *err) ITD_MUST_USE;
