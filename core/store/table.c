// Linear hashing over blocks of entries.
#include "store/table.h"

#include <stdlib.h>

#include "base/check.h"

#define NONE        UINT32_MAX
#define BLOCK_BITS  12
#define BLOCK       (1u << BLOCK_BITS)
#define BUCKETS_MIN 1024u
#define PER_ENTRY   2u // buckets

void table_init(struct table *t, size_t entry_size) {
  CHECK(entry_size >= sizeof(struct table_entry) && entry_size % 8 == 0);
  *t =
      (struct table){.entry_size = entry_size, .bucket_count = BUCKETS_MIN, .bucket_cap = BUCKETS_MIN, .block_cap = 16};
  t->block = xcalloc(t->block_cap, sizeof *t->block);
  t->bucket = xmalloc(BUCKETS_MIN * sizeof *t->bucket);
  memset(t->bucket, 0xff, BUCKETS_MIN * sizeof *t->bucket);
}

void table_deinit(struct table *t) {
  for (uint32_t i = 0; i < t->block_cap; i++) free(t->block[i]);
  free(t->block);
  free(t->bucket);
  *t = (struct table){0};
}

static struct table_entry *entry(const struct table *t, uint32_t number) {
  uint8_t *block = t->block[(number >> BLOCK_BITS) & (t->block_cap - 1)];
  return (struct table_entry *)(void *)(block + (size_t)(number & (BLOCK - 1)) * t->entry_size);
}

void *table_at(const struct table *t, size_t index) {
  CHECK(index < table_count(t));
  return entry(t, t->first + (uint32_t)index);
}

static uint32_t bucket_of(const struct table *t, struct hash128 key) {
  uint32_t mask =
      UINT32_MAX >> __builtin_clz((t->bucket_count - 1) | 1); // of the smallest power of two that holds them all
  uint32_t b = (uint32_t)key.lo & mask;
  return b < t->bucket_count ? b : b & (mask >> 1);
}

void *table_find(const struct table *t, struct hash128 key) {
  for (uint32_t n = t->bucket[bucket_of(t, key)]; n != NONE;) {
    struct table_entry *e = entry(t, n);
    if (hash128_eq(e->key, key)) return e;
    n = e->next;
  }
  return NULL;
}

// Adds one bucket and moves to it what belongs there from the bucket that it splits.
static void split(struct table *t) {
  if (t->bucket_count == t->bucket_cap) {
    t->bucket_cap *= 2;
    t->bucket = xrealloc(t->bucket, t->bucket_cap * sizeof *t->bucket);
  }
  uint32_t fresh = t->bucket_count++;
  uint32_t half = UINT32_MAX >> __builtin_clz(fresh | 1) >> 1;
  t->bucket[fresh] = NONE;
  uint32_t *keep = &t->bucket[fresh & half];
  uint32_t n = *keep;
  *keep = NONE;
  while (n != NONE) {
    struct table_entry *e = entry(t, n);
    uint32_t next = e->next, *head = bucket_of(t, e->key) == fresh ? &t->bucket[fresh] : &t->bucket[fresh & half];
    e->next = *head;
    *head = n;
    n = next;
  }
}

// Makes the ring of blocks twice as long; blocks keep their entries' numbers.
static void grow_blocks(struct table *t) {
  uint32_t cap = t->block_cap * 2;
  uint8_t **block = xcalloc(cap, sizeof *block);
  uint32_t n = t->first >> BLOCK_BITS, live = ((((t->end - 1) >> BLOCK_BITS) - n) & (UINT32_MAX >> BLOCK_BITS)) + 1;
  for (uint32_t i = 0; i < live; i++) block[(n + i) & (cap - 1)] = t->block[(n + i) & (t->block_cap - 1)];
  free(t->block);
  t->block = block;
  t->block_cap = cap;
}

static void make_block(struct table *t) {
  uint32_t n = t->end >> BLOCK_BITS;
  bool is_taken = table_count(t) && ((n - (t->first >> BLOCK_BITS)) & (UINT32_MAX >> BLOCK_BITS)) >= t->block_cap;
  if (is_taken) grow_blocks(t);
  uint8_t **slot = &t->block[n & (t->block_cap - 1)];
  if (!*slot) *slot = xmalloc(BLOCK * t->entry_size);
}

void *table_add(struct table *t, struct hash128 key) {
  CHECK(table_count(t) < UINT32_MAX / 2);
  if ((t->end & (BLOCK - 1)) == 0) make_block(t);
  if (t->end == NONE) entry(t, t->end++)->flags = 0; // that number means "none": an entry nobody finds takes it
  if ((t->end & (BLOCK - 1)) == 0) make_block(t);
  if (t->bucket_count / PER_ENTRY < table_count(t)) {
    for (unsigned i = 0; i < PER_ENTRY; i++) split(t);
  }
  uint32_t number = t->end++;
  struct table_entry *e = entry(t, number);
  uint32_t *head = &t->bucket[bucket_of(t, key)];
  memset(e, 0, t->entry_size);
  e->key = key;
  e->next = *head;
  *head = number;
  return e;
}

void table_drop_oldest(struct table *t) {
  CHECK(table_count(t));
  uint32_t number = t->first++;
  if (number != NONE) {
    struct table_entry *e = entry(t, number);
    uint32_t *link = &t->bucket[bucket_of(t, e->key)];
    while (*link != number) link = &entry(t, *link)->next;
    *link = e->next;
  }
  if ((t->first & (BLOCK - 1)) != 0) return;
  uint8_t **slot = &t->block[(number >> BLOCK_BITS) & (t->block_cap - 1)];
  free(*slot); // dropping and adding go on together: malloc hands the same block out again
  *slot = NULL;
}
