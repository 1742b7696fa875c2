// co_occurrence: how many pairs of matches of the two steps lie within a time of each other, each match in one pair at
// most. A match makes a pair with the one that has waited longest among those of the other step that are within the time;
// if there is none, it waits. One that does both steps pairs with whatever waits. So all that wait at a moment do the
// same steps. At most WAITING wait; then the oldest gives way. State: the count (as op_count.c keeps it); the steps of
// those that wait and how many, a byte each; their times, oldest first.
#include "feature/ordered.h"

#define WAITING 16

static uint8_t *waiting_of(const struct feature *f, uint8_t *machine) { return machine + op_count_size(f); }
static size_t size(const struct feature *f) { return op_count_size(f) + 8 + 8 * WAITING; }
static void init(const struct feature *f, uint8_t *machine) { op_count_init(f, machine); }

static void drop(uint8_t *w, uint32_t n) { // the oldest n
  uint32_t left = w[1] - n;
  memmove(w + 8, w + 8 + 8 * (size_t)n, 8 * (size_t)left);
  memset(w + 8 + 8 * (size_t)left, 0, 8 * (size_t)n);
  w[1] = (uint8_t)left;
  if (left == 0) w[0] = 0;
}

static void step(const struct feature *f, uint8_t *machine, int64_t time_ms, uint32_t steps) {
  uint8_t *w = waiting_of(f, machine);
  uint32_t gone = 0;
  while (gone < w[1] && time_ms - load_i64(w + 8 + 8 * (size_t)gone) > f->within_ms) gone++;
  if (gone > 0) drop(w, gone);
  if (w[1] > 0 && (w[0] | steps) == 3) {
    drop(w, 1);
    op_count_fold(f, machine, &(struct sample){.time_ms = time_ms});
    return;
  }
  if (w[1] == WAITING) drop(w, 1);
  store_i64(w + 8 + 8 * (size_t)w[1], time_ms);
  w[0] = (uint8_t)steps;
  w[1]++;
}

static double read(const struct feature *f, const uint8_t *machine, int64_t now_ms) {
  return op_count_read(f, machine, now_ms);
}

// The pairs of each, and those that now find each other among the ones that wait.
static void join(const struct feature *f, uint8_t *into, const uint8_t *other) {
  uint8_t a[8 + 8 * WAITING], b[8 + 8 * WAITING], *w = waiting_of(f, into);
  memcpy(a, w, sizeof a);
  memcpy(b, other + op_count_size(f), sizeof b);
  op_count_merge(f, into, other);
  memset(w, 0, sizeof a);
  for (uint32_t i = 0, k = 0; i < a[1] || k < b[1];) {
    int64_t x = i < a[1] ? load_i64(a + 8 + 8 * (size_t)i) : INT64_MAX;
    int64_t y = k < b[1] ? load_i64(b + 8 + 8 * (size_t)k) : INT64_MAX;
    bool is_a = x != y ? x < y : a[0] <= b[0];
    step(f, into, is_a ? x : y, is_a ? a[0] : b[0]);
    if (is_a)
      i++;
    else
      k++;
  }
}

const struct machine machine_pairs = {
    .steps_max = 2, .size = size, .init = init, .step = step, .read = read, .join = join};
