#include "store/flaps.h"

#include <stdlib.h>

#include "base/check.h"

struct left {   // a lead left a stage
  uint64_t who; // hash of both; 0: nothing
  int64_t at_ms;
};
struct flaps {
  struct left place[FLAPS_MOVES];
};

struct flaps *flaps_new(void) {
  return xcalloc(1, sizeof(struct flaps));
}
void flaps_free(struct flaps *flaps) { free(flaps); }

static struct bytes text_of(struct bytes answer, const char *key) {
  struct bytes value, text = {0};
  if (mp_find(answer, bytes_str(key), &value) && mp_as_str(value, &text)) return text;
  return (struct bytes){0};
}

// Stages go by their names: numbers are a version's own.
static uint64_t who(struct lead_id lead, struct bytes stage) { return hash_mix(lead_id_hash(lead), hash64(stage)) | 1; }

bool flaps_take(struct flaps *flaps, struct lead_id lead, const struct decision *d) {
  struct policy_state state;
  if (d->effects.n < sizeof state) return false;
  memcpy(&state, d->effects.p, sizeof state);
  if (state.stage_since_ms != d->now_ms) return false; // it did not move: most do not
  struct bytes before = text_of(d->answer, "stage_before"), after = text_of(d->answer, "stage");
  if (bytes_eq(before, after)) return false;
  uint64_t entered = who(lead, after), left = who(lead, before);
  const struct left *was = &flaps->place[entered / 2 % FLAPS_MOVES];
  bool is_flap = was->who == entered && d->now_ms - was->at_ms <= FLAPS_WITHIN_MS;
  flaps->place[left / 2 % FLAPS_MOVES] = (struct left){.who = left, .at_ms = d->now_ms};
  return is_flap;
}
