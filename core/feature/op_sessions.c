// Runs of matches no more than session_gap apart: `sessions` counts them, `session_length` measures them, and count and
// sum with window = "session" look at the last one. The last SESSIONS_OPEN runs are kept with their first and last
// times, so that a late match finds its run, makes a new one between two others, or joins two into one. Older runs are
// closed: only numbers are left of them. The kept runs span at least (SESSIONS_OPEN - 1) gaps, so a match that is at most
// that much older than the newest one before it is counted exactly; one from before all kept runs changes nothing once
// older runs are closed. State: closed runs, open runs; session_length: the closed ones' total and greatest length in ms;
// then first and last time of each open run, and what count or sum have in it, oldest first, unused ones zero.
#include "feature/ops.h"
#include <math.h>

#define SESSIONS_OPEN 4
#define RUN_MAX       24
static size_t head_of(const struct feature *f) { return f->stat != STAT_NONE ? 32 : 16; }
static size_t run_size(const struct feature *f) { return f->by_session ? RUN_MAX : 16; }

struct run {
  int64_t first, last;
  double amount; // by_session alone
};
static uint8_t *run_at(const struct feature *f, uint8_t *state, uint64_t i) {
  return state + head_of(f) + run_size(f) * i;
}
static struct run run_load(const struct feature *f, const uint8_t *state, uint64_t i) {
  const uint8_t *at = state + head_of(f) + run_size(f) * i;
  return (struct run){load_i64(at), load_i64(at + 8), f->by_session ? load_f64(at + 16) : 0};
}
static void run_store(const struct feature *f, uint8_t *state, uint64_t i, struct run run) {
  uint8_t *at = run_at(f, state, i);
  store_i64(at, run.first);
  store_i64(at + 8, run.last);
  if (f->by_session) store_f64(at + 16, run.amount);
}
static void runs_move(const struct feature *f, uint8_t *state, uint64_t to, uint64_t from, uint64_t n) {
  memmove(run_at(f, state, to), run_at(f, state, from), run_size(f) * n);
}
static void run_close(const struct feature *f, uint8_t *state, struct run run) {
  store_u64(state, load_u64(state) + 1);
  if (f->stat == STAT_NONE) return;
  int64_t length = run.last - run.first;
  store_i64(state + 16, load_i64(state + 16) + length);
  if (length > load_i64(state + 24)) store_i64(state + 24, length);
}

size_t op_sessions_size(const struct feature *f) { return head_of(f) + run_size(f) * SESSIONS_OPEN; }
void op_sessions_init(const struct feature *f, uint8_t *state) { (void)f, (void)state; }

// The match lies within a gap of run i: the run grows, and may reach the next one.
static void run_extend(const struct feature *f, uint8_t *state, uint64_t i, uint64_t open, struct run match) {
  struct run run = run_load(f, state, i);
  if (match.first < run.first) run.first = match.first;
  if (match.last > run.last) run.last = match.last;
  run.amount = saturate(run.amount + match.amount);
  if (i + 1 < open && run_load(f, state, i + 1).first <= run.last + f->session_gap_ms) {
    struct run next = run_load(f, state, i + 1);
    run.last = next.last;
    run.amount = saturate(run.amount + next.amount);
    runs_move(f, state, i + 1, i + 2, open - i - 2);
    run_store(f, state, open - 1, (struct run){0});
    store_u64(state + 8, open - 1);
  }
  run_store(f, state, i, run);
}

// The match is a run of its own, before run i. A full list closes its oldest run.
static void run_insert(const struct feature *f, uint8_t *state, uint64_t i, uint64_t open, struct run match) {
  if (open == SESSIONS_OPEN) {
    run_close(f, state, i == 0 ? match : run_load(f, state, 0)); // the new run may itself be the oldest
    if (i == 0) return;
    runs_move(f, state, 0, 1, i - 1);
    run_store(f, state, i - 1, match);
    return;
  }
  runs_move(f, state, i + 1, i, open - i);
  run_store(f, state, i, match);
  store_u64(state + 8, open + 1);
}

void op_sessions_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  uint64_t closed = load_u64(state), open = load_u64(state + 8), i = 0;
  struct run match = {sample->time_ms, sample->time_ms, sample->number};
  while (i < open && match.first > run_load(f, state, i).last + f->session_gap_ms) i++;
  if (i < open && match.first >= run_load(f, state, i).first - f->session_gap_ms)
    run_extend(f, state, i, open, match);
  else if (i > 0 || closed == 0)
    run_insert(f, state, i, open, match);
}

double op_sessions_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  (void)f, (void)now_ms;
  return (double)(load_u64(state) + load_u64(state + 8));
}

// Takes the earlier of the next runs of two leads; false when there is none.
static bool run_next(const struct feature *f, const uint8_t *a, uint64_t *i, const uint8_t *b, uint64_t *k,
                     struct run *run) {
  bool more_a = *i < load_u64(a + 8), more_b = *k < load_u64(b + 8);
  if (!more_a && !more_b) return false;
  bool is_a = more_a && (!more_b || run_load(f, a, *i).first <= run_load(f, b, *k).first);
  *run = is_a ? run_load(f, a, (*i)++) : run_load(f, b, (*k)++);
  return true;
}

// The runs that both keep are joined where they touch. Closed ones have no times any more: they are taken to have
// touched no run of the other lead.
void op_sessions_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  struct run runs[2 * SESSIONS_OPEN], run;
  uint64_t i = 0, k = 0, n = 0;
  while (run_next(f, into, &i, other, &k, &run)) {
    if (n > 0 && run.first <= runs[n - 1].last + f->session_gap_ms) {
      if (run.last > runs[n - 1].last) runs[n - 1].last = run.last;
      runs[n - 1].amount = saturate(runs[n - 1].amount + run.amount);
    } else {
      runs[n++] = run;
    }
  }
  uint64_t surplus = n > SESSIONS_OPEN ? n - SESSIONS_OPEN : 0;
  store_u64(into, load_u64(into) + load_u64(other));
  if (f->stat != STAT_NONE) {
    store_i64(into + 16, load_i64(into + 16) + load_i64(other + 16));
    if (load_i64(other + 24) > load_i64(into + 24)) store_i64(into + 24, load_i64(other + 24));
  }
  for (i = 0; i < surplus; i++) run_close(f, into, runs[i]);
  store_u64(into + 8, n - surplus);
  for (i = 0; i < SESSIONS_OPEN; i++) run_store(f, into, i, surplus + i < n ? runs[surplus + i] : (struct run){0});
}

// ---- session_length ----
size_t op_length_size(const struct feature *f) { return op_sessions_size(f); }
void op_length_init(const struct feature *f, uint8_t *state) { op_sessions_init(f, state); }
void op_length_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  op_sessions_fold(f, state, sample);
}
double op_length_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  (void)now_ms;
  uint64_t open = load_u64(state + 8), runs = load_u64(state) + open;
  int64_t total = load_i64(state + 16), greatest = load_i64(state + 24), length = 0;
  for (uint64_t i = 0; i < open; i++) {
    struct run run = run_load(f, state, i);
    length = run.last - run.first;
    total += length;
    if (length > greatest) greatest = length;
  }
  if (f->stat == STAT_TOTAL) return (double)total;
  if (runs == 0) return NAN;
  if (f->stat == STAT_MEAN) return (double)total / (double)runs;
  return (double)(f->stat == STAT_MAX ? greatest : length);
}
void op_length_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  op_sessions_merge(f, into, other);
}

// ---- count and sum of the current session ----
size_t op_session_size(const struct feature *f) { return op_sessions_size(f); }
void op_session_init(const struct feature *f, uint8_t *state) { op_sessions_init(f, state); }
void op_session_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  op_sessions_fold(f, state, sample);
}
double op_session_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  uint64_t open = load_u64(state + 8);
  if (open == 0) return 0;
  struct run run = run_load(f, state, open - 1);
  return now_ms <= run.last + f->session_gap_ms ? run.amount : 0;
}
void op_session_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  op_sessions_merge(f, into, other);
}
