// The memory of one Lua state: a capped arena that every allocation of the state comes from, so that no policy takes
// more than its share, what it costs is known, and throwing a state away gives everything back. Blocks of a few dozen
// sizes, each with a list of free ones; nothing is merged, so that allocating and freeing take a handful of
// instructions. Owned by one thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_CLASSES 160

struct lua_memory {
  uint8_t *base;
  size_t cap;        // bytes of address space; pages become real when they are first used
  size_t top;        // bytes ever handed out: above them nothing was touched
  size_t used;       // bytes in live blocks, rounded up to their class
  size_t single_max; // the largest block: bounds what one instruction can copy
  void *free[MEMORY_CLASSES];
};

bool memory_open(struct lua_memory *m, size_t cap); // false: the system gives no address space
void memory_close(struct lua_memory *m);
// A lua_Alloc whose user data is the struct lua_memory. NULL at the cap; shrinking never fails.
void *memory_allocate(void *m, void *p, size_t old_size, size_t new_size);
