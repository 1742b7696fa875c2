// time_of_day and weekday: what the clock showed at the latest match, in that match's own zone (fold.c finds it). Of
// matches at the same time in different zones the greatest is kept, so that the order of arrival never shows. State: the
// time, then the value.
#include "feature/calendar.h"
#include "feature/ops.h"
#include <math.h>

static void keep(uint8_t *state, int64_t time, double value) {
  int64_t newest = load_i64(state);
  if (time < newest || (time == newest && value <= load_f64(state + 8))) return;
  store_i64(state, time);
  store_f64(state + 8, value);
}

size_t op_hours_size(const struct feature *f) { return (void)f, 16; }
void op_hours_init(const struct feature *f, uint8_t *state) {
  (void)f;
  store_i64(state, TIME_NONE);
  store_f64(state + 8, NAN);
}
void op_hours_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  (void)f;
  int64_t ms = sample->local_ms - floor_div(sample->local_ms, DAY_MS) * DAY_MS;
  keep(state, sample->time_ms, (double)ms / 3600000);
}
double op_hours_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  return (void)f, (void)now_ms, load_f64(state + 8);
}
void op_hours_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  (void)f;
  if (load_i64(other) != TIME_NONE) keep(into, load_i64(other), load_f64(other + 8));
}

size_t op_weekday_size(const struct feature *f) { return op_hours_size(f); }
void op_weekday_init(const struct feature *f, uint8_t *state) { op_hours_init(f, state); }
void op_weekday_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  (void)f;
  keep(state, sample->time_ms, (double)weekday_of(floor_div(sample->local_ms, DAY_MS)));
}
double op_weekday_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  return op_hours_read(f, state, now_ms);
}
void op_weekday_merge(const struct feature *f, uint8_t *into, const uint8_t *other) { op_hours_merge(f, into, other); }
