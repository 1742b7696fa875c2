// A run: messages of some time, sorted by their hash, in a file that never changes again; made to say quickly what it
// does not hold. Reading: any thread. Writing: one thread a writer.
//
// DIR/dedupe/NNNNNNNN.run: a header page, pages of records (127 a page, with a sum), then, in memory while it is open,
// the first hash of each page and a blocked Bloom filter (Putze, Sanders, Singler 2007): 512 bits a block, one cache
// line; a message sets one bit in each of its eight words. Format: docs/journal.md#dedupe.
#pragma once
#include "base/buf.h"
#include "base/hash.h"

struct dedupe_record {
  struct hash128 message; // its first byte (of hi) is the slot
  uint64_t place;
  int64_t received_ms;
};
static inline unsigned message_slot(struct hash128 message) { return (unsigned)(message.hi & 0xff); }
static inline struct hash128 message_in_slot(struct hash128 hash, unsigned slot) {
  return (struct hash128){(hash.hi & ~(uint64_t)0xff) | slot, hash.lo};
}
struct slots { // a set of them
  uint8_t bit[32];
};
static inline void slots_add(struct slots *s, unsigned slot) { s->bit[slot / 8] |= (uint8_t)(1u << (slot % 8)); }
static inline bool slots_have(const struct slots *s, unsigned slot) { return s->bit[slot / 8] >> (slot % 8) & 1; }
// The order of a run: by the low half, which is evenly spread, then by the high one.
static inline int dedupe_order(struct hash128 a, struct hash128 b) {
  if (a.lo != b.lo) return a.lo < b.lo ? -1 : 1;
  return a.hi < b.hi ? -1 : a.hi > b.hi;
}

#define RUN_BITS        16u           // of the filter, a message
#define RUN_RECORDS_MAX (64ull << 20) // of one file: 2 GiB of records, 128 MiB of filter
struct dedupe_run {
  uint32_t number;
  _Atomic uint32_t holders;
  uint64_t count, pages, blocks;
  int64_t oldest_ms, newest_ms;
  struct slots slots; // whose messages it may hold
  const uint64_t *filter, *index;
  uint8_t *map; // filter and index
  size_t map_size;
  int fd;
  bool is_unlisted; // not in the manifest yet
};
// Opens a run and checks its header, its size, filter and index (records are checked as they are read). ITD_ENOTFOUND,
// ITD_ECORRUPT, ITD_EIO. run_release closes it with its last holder.
int run_open(const char *dir, uint32_t number, struct dedupe_run **out, struct error *err) ITD_MUST_USE;
struct dedupe_run *run_hold(struct dedupe_run *run);
void run_release(struct dedupe_run *run);
#define RUN_PATH_MAX 4096
void run_path(char out[RUN_PATH_MAX], const char *dir, uint32_t number);

static inline bool run_has_slot(const struct dedupe_run *run, unsigned slot) { return slots_have(&run->slots, slot); }
static inline const uint64_t *run_block(const struct dedupe_run *run, struct hash128 message) {
  return run->filter + (uint64_t)((unsigned __int128)message.lo * run->blocks >> 64) * 8;
}
// False: the run does not hold the message. True: it may.
static inline bool run_may_hold(const uint64_t *block, struct hash128 message) {
  uint64_t h = message.hi >> 16, all = 1;
  for (int i = 0; i < 8; i++, h >>= 6) all &= block[i] >> (h & 63); // no branch in it could be foretold
  return all & 1;
}
// Looks at the records. 1: found; 0: not there; ITD_ECORRUPT, ITD_EIO.
int run_find(const struct dedupe_run *run, struct hash128 message, struct dedupe_record *out,
             struct error *err) ITD_MUST_USE;

// All records of a run in order.
struct run_cursor {
  const struct dedupe_run *run;
  uint64_t page;
  unsigned at, count; // of the records in `b`
  uint8_t b[4096];
};
void run_cursor_init(struct run_cursor *c, const struct dedupe_run *run);
// 1: a record; 0: the end; ITD_ECORRUPT, ITD_EIO.
int run_next(struct run_cursor *c, struct dedupe_record *out, struct error *err) ITD_MUST_USE;

// Writes DIR/dedupe/NUMBER.run, of at most `most` records of these slots, that come in order. It is there, synced, when run_end returns
// 0. ITD_EFULL, ITD_EIO: nothing is left of it.
struct run_writer;
int run_begin(const char *dir, uint32_t number, const struct slots *slots, uint64_t most, struct run_writer **out,
              struct error *err) ITD_MUST_USE;
int run_add(struct run_writer *w, const struct dedupe_record *record, struct error *err) ITD_MUST_USE;
int run_end(struct run_writer *w, struct error *err) ITD_MUST_USE; // frees the writer, whatever comes of it
void run_abort(struct run_writer *w);
