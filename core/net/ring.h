// A bounded ring of pointers between two threads: one pushes, one pops, nobody waits.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct ring;
struct ring *ring_new(size_t capacity);        // a power of two
void ring_free(struct ring *ring);             // what is still in it is the owner's to free first
bool ring_push(struct ring *ring, void *item); // false: full
void *ring_pop(struct ring *ring);             // NULL: empty
