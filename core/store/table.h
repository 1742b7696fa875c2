// A table from 128-bit keys to entries, in memory, for millions of entries on a shard's thread. One thread.
//
// Entries lie in blocks and never move, in the order in which they were added, so that the oldest can be dropped.
// Buckets grow by one at a time (linear hashing, Litwin 1980), so that no insert ever waits for a table to be built
// anew; a bucket holds half an entry on average. Keys must be evenly spread in their low half: keyed hashes and random
// ids are.
#pragma once
#include "base/buf.h"
#include "base/hash.h"

struct table_entry { // every entry begins with it
  struct hash128 key;
  uint32_t next;  // the table's own
  uint32_t flags; // the user's
};

struct table {
  size_t entry_size;
  uint8_t **block;     // ring of blocks, addressed by the entry's number
  uint32_t block_cap;  // power of two
  uint32_t first, end; // numbers of the oldest entry and of the next one; they wrap
  uint32_t *bucket;
  uint32_t bucket_count, bucket_cap;
};

void table_init(struct table *t, size_t entry_size); // entry_size: with its table_entry
void table_deinit(struct table *t);
void *table_find(const struct table *t, struct hash128 key); // NULL: not there
void *table_add(struct table *t, struct hash128 key);        // zeroed but for the key; the key is not there yet
void table_drop_oldest(struct table *t);
static inline size_t table_count(const struct table *t) { return t->end - t->first; }
void *table_at(const struct table *t, size_t index); // the index-th oldest
