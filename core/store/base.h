// Bases: snapshots of one partition each, from which the state is built anew when LMDB has none, and behind which the
// journal may be let go. Format: docs/journal.md#bases. Writing and reading from any thread, each file by one at a time.
//
// DIR/bases/PP-SEQ.base holds the rows of a partition as LMDB had them at frame SEQ exactly: leads sealed under their
// keys, which are in the vault. A base names the partition's chain at SEQ, and the digest of the base before it.
#pragma once
#include "store/journal.h"

#define BASE_FORMAT 1

struct base_head {
  unsigned partition, partitions;
  uint64_t seq;               // of the last frame that is folded in
  uint8_t chain[SHA256_SIZE]; // of the partition's journal there
  int64_t made_ms;            // when, by the wall clock
  int64_t received_ms;        // greatest received_ms in the partition's log at SEQ
  uint32_t session;
  uint64_t before_seq;                // of the partition's base before this one; 0: it is the first
  uint8_t before_digest[SHA256_SIZE]; // and its digest; zeros
};

// ---- writing ----
struct base_writer;
// Under another name until base_end. ITD_EFULL, ITD_EIO.
int base_begin(const char *dir, const struct base_head *head, struct base_writer **out, struct error *err) ITD_MUST_USE;
// Rows of one table together, in the order of their keys; key: at most 54 bytes.
int base_row(struct base_writer *w, uint8_t table, struct bytes key, struct bytes value,
             struct error *err) ITD_MUST_USE;
// Durable under its name on return. Frees the writer, whatever comes of it.
int base_end(struct base_writer *w, struct error *err) ITD_MUST_USE;
void base_abort(struct base_writer *w); // NULL does nothing

// ---- reading ----
struct base_info {
  struct base_head head;
  uint8_t digest[SHA256_SIZE]; // of the whole base
  uint64_t bytes, rows;
  bool is_whole; // head and end are there and hold; false: nothing but the name's partition and seq is known
};
// All bases of a directory by (partitions, partition, seq): some may be of a former number of partitions. Those of another
// format are ITD_EVERSION.
int base_list(const char *dir, struct base_info **list, size_t *count, struct error *err) ITD_MUST_USE;
void base_list_free(struct base_info *list);
// The newest whole base of a partition with seq <= `seq`; NULL: none.
const struct base_info *base_at(const struct base_info *list, size_t count, unsigned partition, uint64_t seq);
// Likewise of the partition that a slot was in then: sequence numbers grow where the number of partitions changes.
const struct base_info *base_of_slot(const struct base_info *list, size_t count, unsigned slot, uint64_t seq);
// Leaves in the list what is of so many partitions, and whole, and not before `since_seq`.
void base_only(struct base_info *list, size_t *count, unsigned partitions, uint64_t since_seq);
void base_path(char out[4096], const char *dir, unsigned partition, uint64_t seq);
// Which set of bases is the newest that was written whole: the time that its bases say they were made at. Kept in
// DIR/bases/newest. 0: none. Reading: what does not read counts as none.
int base_set_write(const char *dir, int64_t made_ms, struct error *err) ITD_MUST_USE;
int64_t base_set_read(const char *dir);
// Reads all of it and holds it against its digest and checksums. ITD_ECORRUPT names file and offset.
int base_check(const char *dir, const struct base_info *info, struct error *err) ITD_MUST_USE;
typedef int (*base_visit)(void *context, uint8_t table, struct bytes key, struct bytes value, struct error *err);
int base_read(const char *dir, const struct base_info *info, base_visit visit, void *context,
              struct error *err) ITD_MUST_USE;
// Single rows by their keys: the file stays open, and its index in memory. One thread.
struct base_reader;
int base_open(const char *dir, const struct base_info *info, struct base_reader **out, struct error *err) ITD_MUST_USE;
void base_close(struct base_reader *r); // NULL does nothing
// Appends the row's value. ITD_ENOTFOUND.
int base_lookup(struct base_reader *r, uint8_t table, struct bytes key, struct buf *value,
                struct error *err) ITD_MUST_USE;
// The three in one.
int base_find(const char *dir, const struct base_info *info, uint8_t table, struct bytes key, struct buf *value,
              struct error *err) ITD_MUST_USE;
