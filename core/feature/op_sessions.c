// sessions: runs of matches no more than session_gap apart. The last SESSIONS_OPEN runs are kept with their first and
// last times, so that a late match finds its run, makes a new one between two others, or joins two into one. Older runs
// are only counted. The kept runs span at least (SESSIONS_OPEN - 1) gaps, so a match that is at most that much older
// than the newest one before it is counted exactly; one from before all kept runs changes nothing once older runs are
// closed. State: closed runs, open runs, then first and last time of each open run, oldest first, unused ones zero.
#include "feature/ops.h"

#define SESSIONS_OPEN 4
static const size_t RUNS = 16, RUN = 16;

static int64_t run_first(const uint8_t *state, uint64_t i) { return load_i64(state + RUNS + RUN * i); }
static int64_t run_last(const uint8_t *state, uint64_t i) { return load_i64(state + RUNS + RUN * i + 8); }
static void run_store(uint8_t *state, uint64_t i, int64_t first, int64_t last) {
  store_i64(state + RUNS + RUN * i, first);
  store_i64(state + RUNS + RUN * i + 8, last);
}
static void runs_move(uint8_t *state, uint64_t to, uint64_t from, uint64_t n) {
  memmove(state + RUNS + RUN * to, state + RUNS + RUN * from, RUN * n);
}

size_t op_sessions_size(const struct feature *f) { return (void)f, RUNS + RUN * SESSIONS_OPEN; }
void op_sessions_init(const struct feature *f, uint8_t *state) { (void)f, (void)state; }

// The match lies within a gap of run i: the run grows, and may reach the next one.
static void run_extend(const struct feature *f, uint8_t *state, uint64_t i, uint64_t open, int64_t time) {
  int64_t first = run_first(state, i), last = run_last(state, i);
  if (time < first) first = time;
  if (time > last) last = time;
  if (i + 1 < open && run_first(state, i + 1) <= last + f->session_gap_ms) {
    last = run_last(state, i + 1);
    runs_move(state, i + 1, i + 2, open - i - 2);
    run_store(state, open - 1, 0, 0);
    store_u64(state + 8, open - 1);
  }
  run_store(state, i, first, last);
}

// The match is a run of its own, before run i. A full list closes its oldest run.
static void run_insert(uint8_t *state, uint64_t i, uint64_t open, int64_t time) {
  if (open == SESSIONS_OPEN) {
    store_u64(state, load_u64(state) + 1);
    if (i == 0) return; // the new run is itself the oldest
    runs_move(state, 0, 1, i - 1);
    run_store(state, i - 1, time, time);
    return;
  }
  runs_move(state, i + 1, i, open - i);
  run_store(state, i, time, time);
  store_u64(state + 8, open + 1);
}

void op_sessions_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  uint64_t closed = load_u64(state), open = load_u64(state + 8), i = 0;
  while (i < open && sample->time_ms > run_last(state, i) + f->session_gap_ms) i++;
  if (i < open && sample->time_ms >= run_first(state, i) - f->session_gap_ms)
    run_extend(f, state, i, open, sample->time_ms);
  else if (i > 0 || closed == 0)
    run_insert(state, i, open, sample->time_ms);
}

double op_sessions_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  (void)f, (void)now_ms;
  return (double)(load_u64(state) + load_u64(state + 8));
}

// Takes the earlier of the next runs of two leads; false when there is none.
static bool run_next(const uint8_t *a, uint64_t *i, const uint8_t *b, uint64_t *k, int64_t *first, int64_t *last) {
  bool more_a = *i < load_u64(a + 8), more_b = *k < load_u64(b + 8);
  if (!more_a && !more_b) return false;
  bool is_a = more_a && (!more_b || run_first(a, *i) <= run_first(b, *k));
  const uint8_t *state = is_a ? a : b;
  uint64_t at = is_a ? (*i)++ : (*k)++;
  *first = run_first(state, at);
  *last = run_last(state, at);
  return true;
}

// The runs that both keep are joined where they touch. Closed ones have no times any more: they are taken to have
// touched no run of the other lead.
void op_sessions_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  uint8_t runs[16 + 16 * 2 * SESSIONS_OPEN] = {0};
  uint64_t i = 0, k = 0, n = 0, closed = load_u64(into) + load_u64(other);
  int64_t first, last;
  while (run_next(into, &i, other, &k, &first, &last)) {
    if (n > 0 && first <= run_last(runs, n - 1) + f->session_gap_ms) {
      if (last > run_last(runs, n - 1)) run_store(runs, n - 1, run_first(runs, n - 1), last);
    } else {
      run_store(runs, n++, first, last);
    }
  }
  uint64_t surplus = n > SESSIONS_OPEN ? n - SESSIONS_OPEN : 0;
  store_u64(into, closed + surplus);
  store_u64(into + 8, n - surplus);
  memcpy(into + RUNS, runs + RUNS + RUN * surplus, RUN * SESSIONS_OPEN);
}
