#include "lua/memory.h"
#include "base/check.h"
#include <string.h>
#include <sys/mman.h>

#define SMALL_STEP 16
#define SMALL_MAX  512

// The class of a size, and the size that its blocks have: steps of 16 up to 512, then four steps a power of two.
static unsigned class_of(size_t n, size_t *block) {
  if (n <= SMALL_MAX) {
    unsigned steps = n == 0 ? 1 : (unsigned)((n + SMALL_STEP - 1) / SMALL_STEP);
    *block = (size_t)steps * SMALL_STEP;
    return steps - 1;
  }
  unsigned power = 63u - (unsigned)__builtin_clzl(n - 1); // 2^power < n <= 2^(power+1)
  size_t step = (size_t)1 << (power - 2);
  size_t quarter = (n - 1 - ((size_t)1 << power)) / step; // 0..3
  *block = ((size_t)1 << power) + (quarter + 1) * step;
  return SMALL_MAX / SMALL_STEP + (power - 9) * 4 + (unsigned)quarter;
}

bool memory_open(struct lua_memory *m, size_t cap) {
  memset(m, 0, sizeof *m);
  void *base = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return false;
  m->base = base;
  m->cap = cap;
  m->single_max = cap;
  return true;
}

void memory_close(struct lua_memory *m) {
  if (m->base) CHECK(munmap(m->base, m->cap) == 0);
  memset(m, 0, sizeof *m);
}

static void *take(struct lua_memory *m, size_t n) {
  size_t block;
  unsigned class = class_of(n, &block);
  void *p = m->free[class];
  if (p) {
    memcpy(&m->free[class], p, sizeof(void *)); // a free block begins with the next one
  } else {
    if (block > m->cap - m->top) return NULL;
    p = m->base + m->top;
    m->top += block;
  }
  m->used += block;
  return p;
}

static void give(struct lua_memory *m, void *p, size_t n) {
  size_t block;
  unsigned class = class_of(n, &block);
  memcpy(p, &m->free[class], sizeof(void *));
  m->free[class] = p;
  m->used -= block;
}

void *memory_allocate(void *user, void *p, size_t old_size, size_t new_size) {
  struct lua_memory *m = user;
  if (new_size == 0) {
    if (p) give(m, p, old_size);
    return NULL;
  }
  if (!p) return new_size > m->single_max ? NULL : take(m, new_size);
  size_t old_block, new_block;
  if (class_of(old_size, &old_block) == class_of(new_size, &new_block)) return p;
  void *moved = new_size > m->single_max && new_size > old_size ? NULL : take(m, new_size);
  if (!moved) {
    if (new_size > old_size) return NULL;
    m->used -= old_block - new_block; // Lua counts on shrinking: the rest of the block is lost until the state ends
    return p;
  }
  memcpy(moved, p, old_size < new_size ? old_size : new_size);
  give(m, p, old_size);
  return moved;
}
