// State: the machine; a copy of it that has had the pending matches, too; the time and steps of the last match that the
// first one has had, and how many are pending; their times, oldest first; their steps, a byte each; unused bytes are
// zero. A match that comes in order goes to the copy as it is; behind a late one the copy is made anew.
#include "feature/ordered.h"
#include "base/check.h"

#define LIST_HEAD 16
#define LIST_MAX  (LIST_HEAD + 9 * FEATURE_PENDING_MAX)

struct place { // of a match in the order of all
  int64_t time_ms;
  uint32_t steps;
};
static bool comes_before(struct place a, struct place b) {
  return a.time_ms != b.time_ms ? a.time_ms < b.time_ms : a.steps < b.steps;
}

// ---- the list ----
struct list {
  uint8_t *p;
  uint32_t room;
};
static size_t list_size(uint32_t room) { return LIST_HEAD + 8 * (size_t)room + (room + 7) / 8 * 8; }
static struct list list_of(const struct feature *f, uint8_t *state) {
  return (struct list){state + 2 * f->op->machine->size(f), f->pending};
}
static uint32_t list_count(struct list l) { return l.p[9]; }
static uint8_t *times(struct list l) { return l.p + LIST_HEAD; }
static uint8_t *steps(struct list l) { return l.p + LIST_HEAD + 8 * (size_t)l.room; }
static struct place list_at(struct list l, uint32_t i) {
  return (struct place){load_i64(times(l) + 8 * i), steps(l)[i]};
}
// What the machine has had last.
static struct place list_had(struct list l) { return (struct place){load_i64(l.p), l.p[8]}; }
static void list_set_had(struct list l, struct place place) {
  store_i64(l.p, place.time_ms);
  l.p[8] = (uint8_t)place.steps;
}

static void list_insert(struct list l, struct place place) {
  uint32_t count = list_count(l), i = count;
  while (i > 0 && comes_before(place, list_at(l, i - 1))) i--; // mostly none: events come in order
  memmove(times(l) + 8 * (i + 1), times(l) + 8 * i, 8 * (size_t)(count - i));
  memmove(steps(l) + i + 1, steps(l) + i, count - i);
  store_i64(times(l) + 8 * i, place.time_ms);
  steps(l)[i] = (uint8_t)place.steps;
  l.p[9] = (uint8_t)(count + 1);
}

static void list_drop(struct list l, uint32_t n) { // the oldest n
  uint32_t count = list_count(l), left = count - n;
  memmove(times(l), times(l) + 8 * n, 8 * (size_t)left);
  memmove(steps(l), steps(l) + n, left);
  memset(times(l) + 8 * left, 0, 8 * (size_t)n);
  memset(steps(l) + left, 0, n);
  l.p[9] = (uint8_t)left;
}

// ---- from the list to the machine ----
static void step(const struct feature *f, uint8_t *state, struct list l, struct place place) {
  f->op->machine->step(f, state, place.time_ms, place.steps);
  list_set_had(l, place);
}

// The oldest n.
static void settle(const struct feature *f, uint8_t *state, struct list l, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) step(f, state, l, list_at(l, i));
  if (n > 0) list_drop(l, n);
}

// `place` is not before what the machine has had.
static void push(const struct feature *f, uint8_t *state, struct list l, struct place place) {
  if (list_count(l) == l.room && !comes_before(list_at(l, 0), place)) {
    step(f, state, l, place);
    return;
  }
  if (list_count(l) == l.room) settle(f, state, l, 1);
  list_insert(l, place);
  uint32_t n = 0, count = list_count(l);
  int64_t oldest = list_at(l, count - 1).time_ms - f->lateness_ms;
  while (list_at(l, n).time_ms < oldest) n++; // the newest is not older than itself
  settle(f, state, l, n);
}

// ---- the copy that has had all ----
static uint8_t *whole(const struct feature *f, uint8_t *state) { return state + f->op->machine->size(f); }

static void make_whole(const struct feature *f, uint8_t *state, struct list l) {
  memcpy(whole(f, state), state, f->op->machine->size(f));
  for (uint32_t i = 0; i < list_count(l); i++) {
    struct place place = list_at(l, i);
    f->op->machine->step(f, whole(f, state), place.time_ms, place.steps);
  }
}

static bool is_newest(struct list l, struct place place) { // of all that has been had
  uint32_t count = list_count(l);
  return !comes_before(place, count > 0 ? list_at(l, count - 1) : list_had(l));
}

// ---- the op ----
size_t op_ordered_size(const struct feature *f) {
  size_t machine = f->op->machine->size(f);
  CHECK(machine % 8 == 0 && machine <= MACHINE_MAX);
  return 2 * machine + list_size(f->pending);
}

void op_ordered_init(const struct feature *f, uint8_t *state) {
  f->op->machine->init(f, state);
  f->op->machine->init(f, whole(f, state));
  list_set_had(list_of(f, state), (struct place){TIME_NONE, 0});
}

void op_ordered_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  struct list l = list_of(f, state);
  struct place place = {sample->time_ms, sample->steps};
  if (comes_before(place, list_had(l))) return;
  bool is_late = !is_newest(l, place);
  push(f, state, l, place);
  if (is_late)
    make_whole(f, state, l);
  else
    f->op->machine->step(f, whole(f, state), place.time_ms, place.steps);
}

double op_ordered_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  return f->op->machine->read(f, state + f->op->machine->size(f), now_ms);
}

// How many come before `place`.
static uint32_t list_rank(struct list l, struct place place) {
  uint32_t n = 0, count = list_count(l);
  while (n < count && comes_before(list_at(l, n), place)) n++;
  return n;
}

// What neither machine has had is put in order: exact. Up to the moment that one of them has reached the other has to
// catch up, each alone; then the machines are joined.
void op_ordered_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  uint8_t copy[2 * MACHINE_MAX + LIST_MAX];
  memcpy(copy, other, f->size);
  struct list a = list_of(f, into), b = list_of(f, copy);
  struct place had = comes_before(list_had(a), list_had(b)) ? list_had(b) : list_had(a);
  settle(f, into, a, list_rank(a, had));
  settle(f, copy, b, list_rank(b, had));
  f->op->machine->join(f, into, copy);
  list_set_had(a, had);
  for (uint32_t i = 0; i < list_count(b); i++) push(f, into, a, list_at(b, i));
  make_whole(f, into, a);
}
