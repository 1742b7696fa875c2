// How old a feature is: the time of its latest match, by which an age is told. Some ops keep it anyway, at the beginning
// of their state (knows_latest). For others it is 8 bytes behind the op's part, and only where a declaration asks for it
// (max_age): so a set whose ages nobody asks for pays nothing. The latest of times does not depend on the order of
// arrival, and that of two leads' matches is the later one: late events, migration and merging need no more.
#include "feature/ops.h"
#include <math.h>

void latest_lay(struct feature *f) {
  f->keeps_latest = (f->info.max_age_ms > 0 || f->is_age_asked) && !f->op->knows_latest && !is_derived(f);
  f->info.has_age = f->keeps_latest || f->op->knows_latest;
  f->latest = f->offset + (f->keeps_latest ? f->size : 0);
}

void latest_init(const struct feature *f, uint8_t *state) {
  if (f->keeps_latest) store_i64(state + f->latest, TIME_NONE);
}

void latest_fold(const struct feature *f, uint8_t *state, int64_t time_ms) {
  if (time_ms > load_i64(state + f->latest)) store_i64(state + f->latest, time_ms);
}

void latest_migrate(const struct feature *from, const uint8_t *old_state, const struct feature *f, uint8_t *state) {
  if (f->keeps_latest)
    store_i64(state + f->latest, from->keeps_latest ? load_i64(old_state + from->latest) : TIME_NONE);
}

void latest_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  if (f->keeps_latest) latest_fold(f, into, load_i64(other + f->latest)); // TIME_NONE is below every time
}

void feature_ages(const struct feature_set *set, const uint8_t *state, int64_t now_ms, double *ages) {
  int64_t now = clamp_time(now_ms);
  for (size_t i = 0; i < set->count; i++) {
    const struct feature *f = &set->features[i];
    int64_t latest = f->info.has_age && !is_derived(f) ? load_i64(state + f->latest) : TIME_NONE;
    ages[i] = latest == TIME_NONE ? NAN : now > latest ? (double)(now - latest) : 0;
  }
  derived_ages(set, ages);
}
