// From an event to the features whose `on` it meets, without asking each: one row of bit masks for alternatives of any
// name, one for each name that is declared, found by the name's hash. Alternatives of one channel are short lists
// beside the masks.
#include "base/check.h"
#include "feature/program.h"

static uint32_t row_of(struct dispatch *d, struct bytes event) {
  return event.n == 0 ? 0 : 1 + names_add(&d->events, event);
}

static void mask_set(uint64_t *mask, size_t feature) { mask[feature / 64] |= UINT64_C(1) << (feature % 64); }

static void add_alternative(struct dispatch *d, const struct alternative *a, size_t feature) {
  struct dispatch_row *row = &d->rows[row_of(d, a->event)];
  if (a->channel.n > 0) {
    row->rules[row->rule_count++] = (struct channel_rule){
        .types = a->types, .channel = (uint16_t)names_add(&d->channels, a->channel), .feature = (uint16_t)feature};
    return;
  }
  for (unsigned type = 0; type < EVENT_TYPES; type++)
    if (a->types >> type & 1) mask_set(row->by_type[type], feature);
}

// Names first, then room, then the rules: rows do not grow.
void dispatch_build(struct dispatch *d, const struct feature *features, size_t count, struct arena *arena) {
  names_init(&d->events, arena);
  names_init(&d->channels, arena);
  for (size_t i = 0; i < count; i++)
    for (uint32_t k = 0; k < features[i].on_count; k++) row_of(d, features[i].on[k].event);
  d->rows = arena_alloc(arena, (1 + d->events.count) * sizeof *d->rows);
  for (size_t i = 0; i < count; i++)
    for (uint32_t k = 0; k < features[i].on_count; k++)
      if (features[i].on[k].channel.n > 0) d->rows[row_of(d, features[i].on[k].event)].rule_count++;
  for (size_t row = 0; row <= d->events.count; row++) {
    d->rows[row].rules = arena_alloc(arena, (d->rows[row].rule_count + 1) * sizeof(struct channel_rule));
    d->rows[row].rule_count = 0;
  }
  for (size_t i = 0; i < count; i++) {
    static const struct alternative every = {.types = (1u << EVENT_TYPES) - 1};
    if (is_derived(&features[i]) || features[i].op->is_account) continue;
    if (features[i].on_count == 0) add_alternative(d, &every, i);
    for (uint32_t k = 0; k < features[i].on_count; k++) add_alternative(d, &features[i].on[k], i);
  }
}

bool alternatives_hold(const struct alternative *on, uint32_t count, const struct event *event) {
  for (uint32_t i = 0; i < count; i++) {
    const struct alternative *a = &on[i];
    if (!(a->types >> event->type & 1)) continue;
    if (a->event.n > 0 && !bytes_eq(a->event, event->name)) continue;
    if (a->channel.n > 0 && !bytes_eq(a->channel, event->channel)) continue;
    return true;
  }
  return count == 0;
}

static void take_row(const struct dispatch_row *row, unsigned type, int channel, uint64_t *mask) {
  for (unsigned word = 0; word < FEATURE_MASK_WORDS; word++) mask[word] |= row->by_type[type][word];
  for (uint32_t i = 0; channel >= 0 && i < row->rule_count; i++)
    if (row->rules[i].channel == channel && row->rules[i].types >> type & 1) mask_set(mask, row->rules[i].feature);
}

void dispatch_find(const struct dispatch *d, const struct event *event, uint64_t mask[FEATURE_MASK_WORDS]) {
  unsigned type = (unsigned)event->type;
  CHECK(type < EVENT_TYPES);
  int name = event->name.n > 0 ? names_find(&d->events, event->name) : -1;
  int channel = event->channel.n > 0 ? names_find(&d->channels, event->channel) : -1;
  memset(mask, 0, FEATURE_MASK_WORDS * sizeof *mask);
  take_row(&d->rows[0], type, channel, mask);
  if (name >= 0) take_row(&d->rows[1 + name], type, channel, mask);
}
