// struct arena: a list of blocks, newest first; allocation moves a mark in the newest.
#include "base/arena.h"

#include "base/buf.h"
#include "base/check.h"

#include <stdlib.h>

enum { ALIGN = 16, BLOCK_MIN = 4096 - 64, BLOCK_MAX = 1 << 20 };

struct arena_block {
  struct arena_block *older;
  size_t used, cap;
  _Alignas(ALIGN) uint8_t data[];
};

void arena_init(struct arena *a) { a->block = NULL; }

static void free_blocks(struct arena_block *block) {
  while (block) {
    struct arena_block *older = block->older;
    free(block);
    block = older;
  }
}

void arena_deinit(struct arena *a) {
  free_blocks(a->block);
  a->block = NULL;
}

void arena_reset(struct arena *a) {
  struct arena_block **largest = &a->block;
  for (struct arena_block **at = &a->block; *at; at = &(*at)->older)
    if ((*at)->cap > (*largest)->cap) largest = at;
  struct arena_block *kept = *largest;
  if (!kept) return;
  *largest = kept->older;
  free_blocks(a->block);
  kept->older = NULL;
  kept->used = 0;
  a->block = kept;
}

static struct arena_block *new_block(size_t cap) {
  if (cap > SIZE_MAX - sizeof(struct arena_block)) out_of_memory(cap);
  struct arena_block *block = xmalloc(sizeof *block + cap);
  block->used = 0;
  block->cap = cap;
  return block;
}

// A request that would take much of a block gets one of its own behind the newest, whose rest stays in use.
static struct arena_block *block_for(struct arena *a, size_t n) {
  struct arena_block *newest = a->block;
  if (newest && n <= newest->cap - newest->used) return newest;
  size_t cap = !newest ? BLOCK_MIN : newest->cap < BLOCK_MAX / 2 ? newest->cap * 2 : BLOCK_MAX;
  bool own = n > cap / 4;
  struct arena_block *block = new_block(own ? n : cap);
  if (own && newest) {
    block->older = newest->older;
    newest->older = block;
  } else {
    block->older = newest;
    a->block = block;
  }
  return block;
}

void *arena_alloc(struct arena *a, size_t n) {
  if (n > SIZE_MAX - ALIGN) out_of_memory(n);
  size_t rounded = n ? (n + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
  struct arena_block *block = block_for(a, rounded);
  void *p = block->data + block->used;
  block->used += rounded;
  return memset(p, 0, rounded);
}

struct bytes arena_copy(struct arena *a, struct bytes b) {
  if (b.n == SIZE_MAX) out_of_memory(b.n);
  uint8_t *p = arena_alloc(a, b.n + 1);
  if (b.n) memcpy(p, b.p, b.n);
  return bytes_of(p, b.n);
}

char *arena_str(struct arena *a, struct bytes b) { return (char *)(uintptr_t)arena_copy(a, b).p; }
