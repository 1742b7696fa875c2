// A binary heap whose entries know where they are.
#include "store/due.h"

#include <stdlib.h>

#include "store/ids.h"

#define NOWHERE UINT32_MAX

struct due_entry {
  struct table_entry head; // flags: position in the heap
  int64_t due_ms;
};

void due_init(struct due *d) {
  *d = (struct due){0};
  table_init(&d->index, sizeof(struct due_entry));
}

void due_deinit(struct due *d) {
  table_deinit(&d->index);
  free(d->heap);
}

static bool before(const struct due_entry *a, const struct due_entry *b) {
  if (a->due_ms != b->due_ms) return a->due_ms < b->due_ms;
  if (a->head.key.hi != b->head.key.hi) return a->head.key.hi < b->head.key.hi;
  return a->head.key.lo < b->head.key.lo;
}

static void set(struct due *d, size_t i, struct due_entry *e) {
  d->heap[i] = e;
  e->head.flags = (uint32_t)i;
}

static void sift_up(struct due *d, size_t i) {
  struct due_entry *e = d->heap[i];
  for (; i && before(e, d->heap[(i - 1) / 2]); i = (i - 1) / 2) set(d, i, d->heap[(i - 1) / 2]);
  set(d, i, e);
}

static void sift_down(struct due *d, size_t i) {
  struct due_entry *e = d->heap[i];
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= d->count) break;
    if (child + 1 < d->count && before(d->heap[child + 1], d->heap[child])) child++;
    if (!before(d->heap[child], e)) break;
    set(d, i, d->heap[child]);
    i = child;
  }
  set(d, i, e);
}

static void take_out(struct due *d, struct due_entry *e) {
  size_t i = e->head.flags;
  struct due_entry *last = d->heap[--d->count];
  e->head.flags = NOWHERE;
  if (last == e) return;
  set(d, i, last);
  sift_up(d, i);
  sift_down(d, last->head.flags);
}

void due_set(struct due *d, struct lead_id lead, int64_t due_ms) {
  struct hash128 key = lead_key(lead);
  struct due_entry *e = table_find(&d->index, key);
  if (!e) {
    if (due_ms == INT64_MAX) return;
    e = table_add(&d->index, key);
    e->head.flags = NOWHERE;
  }
  if (e->head.flags != NOWHERE) {
    if (e->due_ms == due_ms) return;
    take_out(d, e);
  }
  e->due_ms = due_ms;
  if (due_ms == INT64_MAX) return;
  if (d->count == d->cap) d->heap = xrealloc(d->heap, (d->cap = d->cap ? d->cap * 2 : 64) * sizeof *d->heap);
  set(d, d->count++, e);
  sift_up(d, e->head.flags);
}

bool due_take(struct due *d, int64_t now_ms, struct lead_id *lead) {
  if (!d->count || d->heap[0]->due_ms > now_ms) return false;
  *lead = lead_of_key(d->heap[0]->head.key);
  take_out(d, d->heap[0]);
  return true;
}

int64_t due_next(const struct due *d) { return d->count ? d->heap[0]->due_ms : INT64_MAX; }
