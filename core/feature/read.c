// Values at a time. Reading changes nothing: a state read twice at the same time gives the same bits.
#include "feature/ops.h"

void feature_read(const struct feature_set *set, const uint8_t *state, int64_t now_ms, double *values,
                  struct bytes *texts) {
  int64_t now = clamp_time(now_ms);
  for (size_t i = 0; i < set->count; i++) {
    const struct feature *f = &set->features[i];
    if (!is_derived(f)) values[i] = f->op->read(f, state + f->offset, now);
    texts[i] = f->info.is_text ? f->op->text(state + f->offset) : bytes_of(NULL, 0);
  }
  derived_read(set, values);
}
