// The bytes of a journal: layout of segments, frames and commit trailers (docs/journal.md is the same for people).
// Pure. Used by the writer (journal.c) and the readers (journal_read.c); nobody else knows an offset.
#pragma once
#include "store/journal.h"

#define JOURNAL_FORMAT      4
#define SEGMENT_HEADER_SIZE 128u
#define FRAME_HEADER_SIZE   176u
#define TRAILER_HEADER_SIZE 48u
#define TRAILER_ENTRY_SIZE  48u
#define SEGMENT_BYTES_MIN   (1u << 20)
#define SEGMENT_BYTES_MAX   0xfffffff8u
#define SEGMENT_NUMBER_MAX  0xffffffu
#define CHAIN_SIZE          SHA256_SIZE

enum {
  TRAILER_OPENS = 1,
  TRAILER_CLOSES = 2,
  TRAILER_BEGINS = 4,
  TRAILER_RESHARDED = 8
}; // flags: the first of a segment; the last of a log that was closed in order; the first of a session; and of the first
    // session after a change of the number of partitions
enum { ENTRY_OWNED = 1 }; // flags of an entry: this log writes this partition

static inline unsigned place_log(uint64_t place) { return (unsigned)(place >> 56); }
static inline uint32_t place_segment(uint64_t place) { return (uint32_t)(place >> 32) & SEGMENT_NUMBER_MAX; }
static inline uint32_t place_offset(uint64_t place) { return (uint32_t)place; }
static inline size_t align8(size_t n) { return (n + 7) & ~(size_t)7; }

struct segment_header {
  unsigned log;
  uint32_t segment, session;
  unsigned partitions;
  uint64_t bytes; // preallocated
  int64_t created_ms;
};
void segment_header_put(uint8_t out[SEGMENT_HEADER_SIZE], const struct segment_header *header);
// ITD_EVERSION: of another format. ITD_ECORRUPT: anything else that is not a header of ours.
int segment_header_get(const uint8_t in[SEGMENT_HEADER_SIZE], struct segment_header *header,
                       struct error *err) ITD_MUST_USE;
#define SEGMENT_PATH_MAX 4096
void segment_path(char out[SEGMENT_PATH_MAX], const char *dir, unsigned log, uint32_t segment);

enum { FRAME_SECTIONS = 8 };
// Where a frame keeps its sections, in the order in which they are stored.
void frame_sections(struct frame *frame, struct bytes *out[FRAME_SECTIONS]);
size_t frame_size(const struct frame *frame); // as stored, padding included
void frame_put(uint8_t *out, size_t size, const struct frame *frame, uint64_t place);

struct trailer_entry {
  uint16_t partition, flags;
  uint32_t epoch;
  uint64_t seq; // of the partition's last frame
  uint8_t chain[CHAIN_SIZE];
};
struct trailer {
  uint16_t flags;
  uint16_t count;       // entries
  uint32_t frames;      // of the commit
  uint32_t synced;      // offset up to which this segment was known to be on disk when the trailer was made
  int64_t received_ms;  // greatest received_ms of any frame of this log so far
  const uint8_t *entry; // the bytes of the entries
};
static inline size_t trailer_size(size_t count) { return TRAILER_HEADER_SIZE + count * TRAILER_ENTRY_SIZE; }
// Fills the head and seals; the entries were put behind it by trailer_entry_put.
void trailer_put(uint8_t *out, const struct trailer *trailer, uint64_t place);
void trailer_entry_put(uint8_t *out, const struct trailer_entry *entry);
struct trailer_entry trailer_entry_get(const struct trailer *trailer, size_t index);

// What stands at `place`, whose bytes begin at `in`. Judges length, place, format, sections and checksum.
// Returns the length; 0: not valid, or more than `in` holds (*need: how many bytes are needed to tell, 0: no number of
// them helps).
size_t record_check(struct bytes in, uint64_t place, size_t *need);
// What a record that does not pass says of itself, as far as its place is right: " (by its header …)", else "".
void record_claims(struct bytes in, uint64_t place, char *out, size_t size);
const char *frame_kind_name(unsigned kind); // "event", "timer", …; "unknown"
static inline uint8_t record_kind(const uint8_t *record) { return record[9]; }
// Views of a record that passed record_check: a frame, or a trailer (kind FRAME_COMMIT).
void frame_get(const uint8_t *record, struct frame *frame);
void trailer_get(const uint8_t *record, struct trailer *trailer);
