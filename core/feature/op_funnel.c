// funnel: how many steps were done in order, all within a time of the first: the rule of ClickHouse's windowFunnel. For
// each depth that was reached the latest start is kept of those that reached it, since whatever follows is within the
// time of that one if it is of any. State: for each depth its latest start; with a window also when it was reached last.
#include "feature/ordered.h"
#include "feature/tiles.h"

static bool is_windowed(const struct feature *f) { return f->window_ms > 0 || f->calendar != CALENDAR_NONE; }

static size_t size(const struct feature *f) { return 8 * (size_t)f->step_count * (is_windowed(f) ? 2 : 1); }

static void init(const struct feature *f, uint8_t *machine) {
  for (size_t at = 0; at < size(f); at += 8) store_i64(machine + at, TIME_NONE);
}

static uint8_t *start_of(uint8_t *machine, uint32_t depth) { return machine + 8 * depth; } // depth from 0
static uint8_t *reached_at(const struct feature *f, uint8_t *machine, uint32_t depth) {
  return machine + 8 * (f->step_count + depth);
}

static void later(uint8_t *at, int64_t time) {
  if (time > load_i64(at)) store_i64(at, time);
}

// From the deepest, so that one event does not do two steps of one run.
static void step(const struct feature *f, uint8_t *machine, int64_t time_ms, uint32_t steps) {
  for (uint32_t i = f->step_count; i-- > 0;) {
    if (!(steps >> i & 1)) continue;
    int64_t start = i == 0 ? time_ms : load_i64(start_of(machine, i - 1));
    if (start == TIME_NONE || time_ms - start > f->within_ms) continue;
    later(start_of(machine, i), start);
    if (is_windowed(f)) later(reached_at(f, machine, i), time_ms);
  }
}

static bool is_in_window(const struct feature *f, int64_t time_ms, int64_t now_ms) {
  if (f->calendar != CALENDAR_NONE) return tile_of(f, time_ms) == tile_of(f, now_ms);
  return now_ms - time_ms < f->window_ms;
}

static double read(const struct feature *f, const uint8_t *machine, int64_t now_ms) {
  for (uint32_t depth = f->step_count; depth > 0; depth--) {
    int64_t time = load_i64(machine + 8 * (depth - 1 + (is_windowed(f) ? f->step_count : 0)));
    if (time != TIME_NONE && (!is_windowed(f) || is_in_window(f, time, now_ms))) return depth;
  }
  return 0;
}

// Runs of each alone: of those that the two leads had in common nothing is known any more.
static void join(const struct feature *f, uint8_t *into, const uint8_t *other) {
  for (size_t at = 0; at < size(f); at += 8) later(into + at, load_i64(other + at));
}

const struct machine machine_funnel = {
    .steps_max = FEATURE_STEPS_MAX, .size = size, .init = init, .step = step, .read = read, .join = join};
