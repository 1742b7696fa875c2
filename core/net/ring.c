#include "net/ring.h"

#include "base/buf.h"
#include "base/check.h"

#include <stdatomic.h>
#include <stdlib.h>

// Head and tail on cache lines of their own, each with a private copy of the other side's: a push or a pop touches a
// shared line only when its copy says full or empty.
struct ring {
  _Alignas(64) _Atomic size_t tail; // written by the pusher
  size_t head_seen;
  _Alignas(64) _Atomic size_t head; // written by the popper
  size_t tail_seen;
  _Alignas(64) size_t mask;
  void **slot;
};

struct ring *ring_new(size_t capacity) {
  CHECK(capacity && (capacity & (capacity - 1)) == 0);
  struct ring *ring = aligned_alloc(64, sizeof *ring);
  if (!ring) out_of_memory(sizeof *ring);
  memset(ring, 0, sizeof *ring);
  ring->mask = capacity - 1;
  ring->slot = xcalloc(capacity, sizeof *ring->slot);
  return ring;
}

void ring_free(struct ring *ring) {
  if (!ring) return;
  free(ring->slot);
  free(ring);
}

bool ring_push(struct ring *ring, void *item) {
  size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
  if (tail - ring->head_seen > ring->mask) {
    ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (tail - ring->head_seen > ring->mask) return false;
  }
  ring->slot[tail & ring->mask] = item;
  atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
  return true;
}

void *ring_pop(struct ring *ring) {
  size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
  if (head == ring->tail_seen) {
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (head == ring->tail_seen) return NULL;
  }
  void *item = ring->slot[head & ring->mask];
  atomic_store_explicit(&ring->head, head + 1, memory_order_release);
  return item;
}
