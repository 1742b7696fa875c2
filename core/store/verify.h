// Is a journal whole, and is it the one that was written? Of a directory that a daemon holds or of a copy of one; without its lock and its
// secret, and without writing anything.
//
// Checked: every checksum; every partition's sequence, epochs and chain over all its frames, from log to log and session to session; openings and
// closings; numbers of segments without holes; both indexes and the footer of sealed segments against their records; bases, whose chain the
// journal must have where they stand; the messages of every channel: applied once, in order, and none that was not sent; the vault's structure; and that the journal has what a signed head says.
#pragma once
#include "store/head.h"
#include "store/journal_scan.h"

enum verify_kind {
  VERIFY_DAMAGE,  // bytes that are not as they were written
  VERIFY_MISSING, // a file or frames that were there
  VERIFY_HEAD,    // the journal is not the one of the head, or ends before it
  VERIFY_TORN,    // the end of a commit that was never acknowledged: what a crash leaves
  VERIFY_OPEN,    // a log whose last session was not closed in order: the daemon runs, or crashed
};
const char *verify_kind_name(enum verify_kind kind); // "damage", "missing", …

struct verify_finding {
  enum verify_kind kind;
  char file[64];   // below the directory; "" : no one file
  uint64_t offset; // of the first byte of it; 0 when it is the whole file
  char text[500];
};
struct verify_options {
  const char *dir;
  const struct journal_head *head;                                // NULL: none
  bool must_be_closed;                                            // a log that was not closed in order is a failure
  void (*progress)(void *context, uint64_t done, uint64_t total); // bytes; NULL: nobody looks
  void *context;
};
#define VERIFY_FINDINGS_MAX 100
struct verify_result {
  bool
      is_whole; // no finding that is a failure: TORN and OPEN are failures only under must_be_closed, TORN with a head too
  uint64_t segments, sealed, frames, bytes, bases;
  unsigned partitions;
  uint32_t sessions; // the number of the last one
  uint64_t torn_bytes;
  bool is_closed;       // every log of the last session was closed in order
  bool head_directory;  // the head names this directory; false: it could not be told
  struct scan_tip *tip; // of each partition; malloc'd
  size_t count;         // findings, in the order of the journal; at most VERIFY_FINDINGS_MAX
  struct verify_finding finding[VERIFY_FINDINGS_MAX];
};
// ITD_ENOTFOUND: there is no journal. ITD_EIO: a file cannot be read. ITD_EVERSION. What is wrong with the journal is no error of this call.
int store_verify(const struct verify_options *options, struct verify_result *result, struct error *err) ITD_MUST_USE;
