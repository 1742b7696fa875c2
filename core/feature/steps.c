// The steps of an ordered op: a list, in order, of what each event must be. A step is an `on`, or a map of `on` and
// `where` where it has conditions. An event reaches the feature when it may do any of the steps, so the alternatives of
// all of them become the feature's own.
#include "feature/ordered.h"
#include "feature/reader.h"
#include <stdio.h>

enum { STEP_on, STEP_where, STEP_KEYS };
static const char *const step_keys[] = {"on", "where"};

// With a key of its own; a map of type, event or channel is an alternative.
static bool is_whole(struct bytes value) {
  struct bytes ignored;
  return mp_value_of(value).type == MP_MAP &&
         (mp_find(value, BYTES_LIT("on"), &ignored) || mp_find(value, BYTES_LIT("where"), &ignored));
}

static int read_step(const struct reader *r, struct bytes value, struct step *out) {
  *out = (struct step){0};
  if (!is_whole(value)) return read_on(r, value, &out->on, &out->on_count);
  struct mp m = mp_of(value);
  uint64_t seen = 0;
  for (uint32_t pairs = mp_next(&m).count; pairs > 0; pairs--) {
    size_t index;
    struct bytes word = mp_take(&m), of = mp_take(&m);
    int rc = read_key(r, "it", word, step_keys, STEP_KEYS, &seen, &index);
    if (rc == 0 && index == STEP_on) rc = read_on(r, of, &out->on, &out->on_count);
    if (rc == 0 && index == STEP_where) rc = read_where(r, of, &out->where, &out->where_count);
    if (rc != 0) return rc;
  }
  return 0;
}

// All steps' alternatives; none when a step takes every event.
static void gather_on(const struct reader *r, const struct step *steps, uint32_t count) {
  uint32_t total = 0, at = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (steps[i].on_count == 0) return;
    total += steps[i].on_count;
  }
  struct alternative *on = arena_alloc(r->arena, total * sizeof *on);
  for (uint32_t i = 0; i < count; i++)
    for (uint32_t k = 0; k < steps[i].on_count; k++) on[at++] = steps[i].on[k];
  r->feature->on = on;
  r->feature->on_count = total;
}

int read_steps(struct reader *r, struct bytes value) {
  struct feature *f = r->feature;
  if (!f->op->machine) return 0; // judged with all other keys that an op has no use for
  uint32_t most = f->op->machine->steps_max, count = 0;
  bool is_list = mp_value_of(value).type == MP_ARRAY;
  struct mp m = elements_of(value, &count);
  if (!is_list || count < 2 || count > most)
    return most == 2 ? reader_fail(r, "steps must be a list of two")
                     : reader_fail(r, "steps must be a list of 2 to %u, in their order", most);
  struct step *steps = arena_alloc(r->arena, count * sizeof *steps);
  for (uint32_t i = 0; i < count; i++) {
    snprintf(r->in, sizeof r->in, "step %u: ", (i + 1) % 100);
    int rc = read_step(r, mp_take(&m), &steps[i]);
    if (rc != 0) return rc;
  }
  r->in[0] = '\0';
  f->steps = steps;
  f->step_count = count;
  gather_on(r, steps, count);
  return 0;
}
