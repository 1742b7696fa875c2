// The files of one log: the segment that is written now, the next one made ahead of need, full ones cut to their
// length. One thread (the journal's owner) calls all of this but segments_sync, segments_synced, segments_retired,
// segments_failed and segments_syncs, which any may; a helper thread does what would block: preallocation, retiring, and background syncs.
//
// Segments are filled with zeros before use: on ext4 a write into written blocks needs no change of metadata, and its
// fdatasync took 125 us where one into preallocated, unwritten blocks took 230 us and an append 245 us (64 KiB;
// docs/decisions/journal.md).
#pragma once
#include "store/journal.h"

struct segments;
struct segments *segments_start(const struct journal_options *options); // keeps the pointer `options->dir`
void segments_stop(struct segments *s, bool in_order); // in_order: the current segment is cut to what was written
// The highest segment number that a log ever had, as far as the directory tells; 0: none.
int segments_last(const char *dir, unsigned log, uint32_t *last, struct error *err) ITD_MUST_USE;
// Before the last segment of a log goes: leaves its number behind, in a file's name. Any thread. 0 or an errno.
int segments_note_gone(const char *dir, unsigned log, uint32_t number) ITD_MUST_USE;
// Is it the name of such a file?
bool segment_gone_file(const char *name, unsigned *log, uint32_t *number);

// Makes `segment` the current one; waits for it when it is not ready. ITD_EFULL (call again later), ITD_EIO.
int segments_next(struct segments *s, uint32_t segment, struct error *err) ITD_MUST_USE;
// Writes into the current segment, at the end of what was written. ITD_EFULL: call again with the same. ITD_EIO.
int segments_write(struct segments *s, uint32_t offset, struct bytes b, bool sync, struct error *err) ITD_MUST_USE;
int segments_sync(struct segments *s,
                  struct error *err) ITD_MUST_USE; // all that was written before the call is on disk
uint32_t segments_retired(struct segments *s);     // segments up to this number are full, synced and cut; any thread
void segments_ask_sync(struct segments *s);        // soon, by the helper, without waiting for it; any thread
uint32_t segments_synced(struct segments *s);      // offset in the current segment
bool segments_failed(struct segments *s);          // a sync in the background failed
uint64_t segments_syncs(struct segments *s);
