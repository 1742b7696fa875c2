// first and last: the value of the earliest or latest match by event time. Among equal times, arrival decides: the
// first to arrive is first, the last to arrive is last; senders whose clocks count whole seconds send such runs in
// order. Of two leads' values with equal times, of which nobody knows which came first, the least is first and the
// greatest is last. State: the time, then the number (8 bytes) or the text (its length in one byte, then FEATURE_TEXT_MAX bytes,
// unused ones zero).
#include "feature/ops.h"
#include <math.h>

#define TEXT_CELL (1 + FEATURE_TEXT_MAX)
_Static_assert(TEXT_CELL % 8 == 0, "the state has no padding");

static void pick_store(const struct feature *f, uint8_t *state, const struct sample *sample) {
  store_i64(state, sample->time_ms);
  if (f->input == INPUT_NUMBER) {
    store_f64(state + 8, sample->number);
    return;
  }
  struct bytes text = text_cut(sample->text, FEATURE_TEXT_MAX);
  memset(state + 8, 0, TEXT_CELL);
  state[8] = (uint8_t)text.n;
  memcpy(state + 9, text.p, text.n);
}

struct bytes op_pick_text(const uint8_t *state) {
  return bytes_of(state + 9, state[8]);
}

size_t op_first_size(const struct feature *f) { return f->input == INPUT_NUMBER ? 16 : 8 + TEXT_CELL; }
void op_first_init(const struct feature *f, uint8_t *state) {
  store_i64(state, TIME_NONE);
  if (f->input == INPUT_NUMBER) store_f64(state + 8, NAN);
}
void op_first_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  int64_t time = load_i64(state);
  if (time == TIME_NONE || sample->time_ms < time) pick_store(f, state, sample);
}
double op_first_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  (void)now_ms;
  return f->input == INPUT_NUMBER ? load_f64(state + 8) : NAN;
}

size_t op_last_size(const struct feature *f) { return op_first_size(f); }
void op_last_init(const struct feature *f, uint8_t *state) { op_first_init(f, state); }
void op_last_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  if (sample->time_ms >= load_i64(state)) pick_store(f, state, sample); // TIME_NONE is below every time
}
double op_last_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  return op_first_read(f, state, now_ms);
}

// By bytes where it is text. Below 0, 0, above 0.
static int pick_compare(const struct feature *f, const uint8_t *a, const uint8_t *b) {
  if (f->input == INPUT_TEXT) return bytes_compare(op_pick_text(a), op_pick_text(b));
  double x = load_f64(a + 8), y = load_f64(b + 8);
  return (x > y) - (x < y);
}
void op_first_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  int64_t a = load_i64(into), b = load_i64(other);
  if (b == TIME_NONE) return;
  if (a == TIME_NONE || b < a || (b == a && pick_compare(f, other, into) < 0)) memcpy(into, other, f->size);
}
void op_last_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  int64_t a = load_i64(into), b = load_i64(other);
  if (b > a || (b == a && pick_compare(f, other, into) > 0)) memcpy(into, other, f->size);
}
