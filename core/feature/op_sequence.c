// sequence: how often all steps were done in order within a time of the first. It is complete at the earliest match that
// may complete it, and then begins anew, so that no match is part of two: no other choice gives more. State: the count
// (as op_count.c keeps it), then for each depth but the last the latest start of those that reached it.
#include "feature/ordered.h"

static uint8_t *start_of(const struct feature *f, uint8_t *machine, uint32_t depth) { // from 0
  return machine + op_count_size(f) + 8 * (size_t)depth;
}

static size_t size(const struct feature *f) { return op_count_size(f) + 8 * (size_t)(f->step_count - 1); }

static void begin_anew(const struct feature *f, uint8_t *machine) {
  for (uint32_t i = 0; i + 1 < f->step_count; i++) store_i64(start_of(f, machine, i), TIME_NONE);
}

static void init(const struct feature *f, uint8_t *machine) {
  op_count_init(f, machine);
  begin_anew(f, machine);
}

static void step(const struct feature *f, uint8_t *machine, int64_t time_ms, uint32_t steps) {
  for (uint32_t i = f->step_count; i-- > 0;) {
    if (!(steps >> i & 1)) continue;
    int64_t start = i == 0 ? time_ms : load_i64(start_of(f, machine, i - 1));
    if (start == TIME_NONE || time_ms - start > f->within_ms) continue;
    if (i + 1 == f->step_count) {
      op_count_fold(f, machine, &(struct sample){.time_ms = time_ms});
      begin_anew(f, machine);
      return;
    }
    if (start > load_i64(start_of(f, machine, i))) store_i64(start_of(f, machine, i), start);
  }
}

static double read(const struct feature *f, const uint8_t *machine, int64_t now_ms) {
  return op_count_read(f, machine, now_ms);
}

// What each has completed alone, and what each has begun.
static void join(const struct feature *f, uint8_t *into, const uint8_t *other) {
  op_count_merge(f, into, other);
  for (uint32_t i = 0; i + 1 < f->step_count; i++) {
    int64_t start = load_i64(other + op_count_size(f) + 8 * (size_t)i);
    if (start > load_i64(start_of(f, into, i))) store_i64(start_of(f, into, i), start);
  }
}

const struct machine machine_sequence = {
    .steps_max = FEATURE_STEPS_MAX, .size = size, .init = init, .step = step, .read = read, .join = join};
