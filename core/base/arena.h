// struct arena: memory that lives and goes together (a parsed policy, one event's scratch). Pointers never move.
#pragma once
#include "base/bytes.h"

struct arena {
  struct arena_block *block; // newest first
};

void arena_init(struct arena *a);
void arena_deinit(struct arena *a);
void arena_reset(struct arena *a);                        // keeps the largest block, forgets its content
void *arena_alloc(struct arena *a, size_t n);             // zeroed, aligned to 16; aborts when out of memory
struct bytes arena_copy(struct arena *a, struct bytes b); // the copy is followed by a NUL that n does not count
char *arena_str(struct arena *a, struct bytes b);         // the same as a C string
