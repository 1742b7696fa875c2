// A sealed segment: DIR/journal/LL-SSSSSSSS.seg, the bytes of a segment that nobody writes any more, as zstd frames of some 64 KiB each (whole
// records, so that one frame is one read), then an index by place, time and lead in skippable frames. `zstd -dc` gives the segment byte for
// byte. Every bit of the file is under a checksum. Format: docs/journal.md#sealed-segments.
//
// What is open here never changes: any thread may read it, each with a cache of its own.
#pragma once
#include "store/journal_format.h"

#define SEALED_FORMAT      1
#define SEALED_BLOCK       (64u << 10) // a block ends before the record that would take it beyond this
#define SEALED_BLOCK_MAX   (1u << 20)  // a longer record is cut into pieces of this
#define SEALED_ENTRY_SIZE  32u         // of a block in the index
#define SEALED_TIP_SIZE    48u         // of a partition in the index
#define SEALED_LEAD_SIZE   12u         // of a lead in the index
#define SEALED_FOOTER_SIZE 128u        // with the head of its skippable frame
#define SEALED_LEVEL_MIN   1
#define SEALED_LEVEL_MAX   19

void sealed_path(char out[SEGMENT_PATH_MAX], const char *dir, unsigned log, uint32_t segment);

struct sealed_info {
  unsigned log;
  uint32_t segment, session;
  unsigned partitions;
  uint32_t raw_bytes; // of the segment, up to the end of its last record
  uint32_t blocks, leads;
  bool is_closed;                          // ends with the closing of a log
  uint64_t frames;                         // commits not counted
  int64_t least_ms, greatest_ms;           // received_ms of its frames; least > greatest: it has none
  uint64_t index_at, leads_at, file_bytes; // offsets in the file
};
struct sealed_block {
  uint64_t at;                   // in the file
  uint32_t raw, crc;             // where its bytes lie in the segment; CRC-32C of the zstd frame
  int64_t least_ms, greatest_ms; // received_ms of the frames that begin in it
};

struct sealed;
// Opens and judges everything but the blocks and the lead index, which are judged when they are read. ITD_ENOTFOUND, ITD_EIO, ITD_EVERSION,
// ITD_ECORRUPT with the offset. The text does not name the file for sealed_open_fd, which takes the descriptor over, whatever it returns.
int sealed_open(const char *path, struct sealed **out, struct error *err) ITD_MUST_USE;
int sealed_open_fd(int fd, struct sealed **out, struct error *err) ITD_MUST_USE;
void sealed_close(struct sealed *s);
const struct sealed_info *sealed_info(const struct sealed *s);
struct sealed_block sealed_block(const struct sealed *s, uint32_t block);
uint32_t sealed_block_size(const struct sealed *s, uint32_t block); // raw bytes
uint32_t sealed_block_at(const struct sealed *s,
                         uint32_t offset); // the block of a raw offset, which is below raw_bytes
// Where a partition stands at the segment's end, as far as the segment knows: its opening, and its commits since.
struct journal_tip sealed_tip(const struct sealed *s, unsigned partition);

// The blocks in which a frame of this lead may begin, in order: all of those where one does, hardly ever another. ITD_ECORRUPT, ITD_EIO.
int sealed_blocks_of(struct sealed *s, struct lead_id lead, uint32_t **blocks /* malloc'd */, uint32_t *count,
                     struct error *err) ITD_MUST_USE;

// ---- blocks in clear ----
// A few blocks that were read last, and what zstd needs. One thread. May serve any number of sealed segments, closed ones too.
struct sealed_cache;
struct sealed_cache *sealed_cache_new(unsigned blocks);
void sealed_cache_free(struct sealed_cache *c);
// One block in clear: good until the cache is used again. ITD_ECORRUPT: its checksums or its length do not hold. ITD_EIO.
int sealed_read_block(const struct sealed *s, struct sealed_cache *c, uint32_t block, struct bytes *out,
                      struct error *err) ITD_MUST_USE;

// ---- the index, made from the records ----
// For whoever seals, and for whoever checks that an index says what its segment holds. Blocks and records come in order.
struct sealed_index;
struct sealed_index *sealed_index_new(void);
void sealed_index_free(struct sealed_index *x);
void sealed_index_block(struct sealed_index *x, uint32_t raw); // a block begins
void sealed_index_record(struct sealed_index *x, const uint8_t *record);
// Appends the payload of the lead index.
void sealed_index_leads(struct sealed_index *x, struct buf *out);

// ---- writing ----
struct sealed_result {
  uint64_t raw_bytes, file_bytes;
};
// Seals the segment whose log lies open at `log_fd` into the empty file `out_fd`: every record is judged on the way. Syncs now and then,
// and leaves the last sync to the caller.
// `stop` (may be NULL) becoming true ends it soon. ITD_ECORRUPT: it is not whole commits up to zeros. ITD_EFULL, ITD_EIO, ITD_ESHUTDOWN.
int sealed_write(int log_fd, unsigned log, uint32_t segment, int level, int out_fd, const _Atomic bool *stop,
                 struct sealed_result *result, struct error *err) ITD_MUST_USE;
// Is everything in the file as its records say: blocks, both indexes, footer? The chain is not followed here (scan_segment does that).
// `log_fd` >= 0: and are the records those of this log, byte for byte? ITD_ECORRUPT with the offset in the file; ITD_EIO, ITD_ESHUTDOWN.
int sealed_check(struct sealed *s, int log_fd, const _Atomic bool *stop, struct error *err) ITD_MUST_USE;
