// The way of one event: the index names the features it may change, each one's conditions are tested, its value taken,
// its op run. What a path leads to is looked up and read when first asked for, and once. Everything lives on the stack.
#include "feature/ops.h"

struct found {
  bool exists;          // nil does not
  struct scalar scalar; // none when it is a list, a map, NaN, …
};

struct lookups {
  const struct feature_set *set;
  const struct event *event;
  bool clock_asked, clock_known; // context.timezone, once for all features
  struct zone clock;
  uint64_t done[FEATURE_PATHS_MAX / 64];
  struct found found[FEATURE_PATHS_MAX]; // set where done
};

static struct found look_up(const struct path *path, const struct event *event) {
  struct bytes map = path->root == ROOT_PROPERTIES ? event->properties
                     : path->root == ROOT_TRAITS   ? event->traits
                                                   : event->context;
  struct bytes value;
  struct found none = {.exists = false};
  if (map.n == 0) return none;
  bool found = path->nested ? mp_find_path(map, path->rest, &value) : mp_find(map, path->rest, &value);
  if (!found || mp_value_of(value).type == MP_NIL) return none;
  return (struct found){.exists = true, .scalar = scalar_of(value)};
}

static const struct found *find(struct lookups *l, uint16_t path) {
  uint64_t bit = UINT64_C(1) << (path % 64);
  if (!(l->done[path / 64] & bit)) {
    l->done[path / 64] |= bit;
    l->found[path] = look_up(&l->set->path[path], l->event);
  }
  return &l->found[path];
}

// ---- where ----
static bool is_in(const struct condition *c, const struct scalar *s) {
  uint32_t low = 0, high = c->in_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = scalar_compare(&c->in[middle], s);
    if (order == 0) return true;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return false;
}

static bool starts_with(const struct scalar *s, struct bytes prefix) {
  return s->kind == SCALAR_TEXT && s->text.n >= prefix.n && memcmp(s->text.p, prefix.p, prefix.n) == 0;
}

static bool condition_holds(const struct condition *c, const struct found *found) {
  double number;
  if (!found->exists) return c->test == TEST_ABSENT;
  switch (c->test) {
  case TEST_IN: return is_in(c, &found->scalar);
  case TEST_EXISTS: return true;
  case TEST_ABSENT: return false;
  case TEST_AT_LEAST: return scalar_number(&found->scalar, &number) && number >= c->bound;
  case TEST_UNDER: return scalar_number(&found->scalar, &number) && number < c->bound;
  case TEST_STARTS_WITH: return starts_with(&found->scalar, c->text);
  }
  return false;
}

static bool conditions_hold(struct lookups *l, const struct condition *where, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (!condition_holds(&where[i], find(l, where[i].path))) return false;
  return true;
}

// The steps that the event does.
static uint32_t steps_met(struct lookups *l, const struct feature *f) {
  uint32_t met = 0;
  for (uint32_t i = 0; i < f->step_count; i++) {
    const struct step *s = &f->steps[i];
    if (alternatives_hold(s->on, s->on_count, l->event) && conditions_hold(l, s->where, s->where_count)) met |= 1u << i;
  }
  return met;
}

// ---- of ----
static bool take_text(const struct feature *f, struct scalar s, char scratch[TEXT_PART_MAX], struct sample *sample) {
  if (s.kind != SCALAR_TEXT) return false;
  sample->text = text_part_of(s.text, f->part, scratch);
  return sample->text.n > 0 && bytes_is_utf8(text_cut(sample->text, FEATURE_TEXT_MAX));
}

static bool take_value(const struct feature *f, struct scalar s, char scratch[TEXT_PART_MAX], struct sample *sample) {
  if (s.kind != SCALAR_TEXT && f->part != PART_WHOLE) return false;
  if (s.kind == SCALAR_TEXT) s.text = text_part_of(s.text, f->part, scratch);
  if (s.kind == SCALAR_NONE || (s.kind == SCALAR_TEXT && s.text.n == 0)) return false;
  sample->hash = scalar_hash(&s);
  return true;
}

static bool take_word(const struct feature *f, struct bytes word, char scratch[TEXT_PART_MAX], struct sample *sample) {
  if (f->input == INPUT_TEXT) return take_text(f, scalar_text(word), scratch, sample);
  return take_value(f, scalar_text(word), scratch, sample);
}

// The event says where its clock stands, or the declaration does.
static bool take_clock(struct lookups *l, const struct feature *f, struct sample *sample) {
  if (!l->clock_asked) {
    const struct found *found = find(l, f->of);
    l->clock_asked = true;
    l->clock_known = found->exists && found->scalar.kind == SCALAR_TEXT && zone_find(found->scalar.text, &l->clock);
  }
  const struct zone *zone = l->clock_known ? &l->clock : &f->zone;
  sample->local_ms = sample->time_ms + zone_offset_ms(zone, sample->time_ms);
  return true;
}

// What the op takes from the event; false when there is nothing that it can use.
static bool take_input(struct lookups *l, const struct feature *f, char scratch[TEXT_PART_MAX], struct sample *sample) {
  switch (f->source) {
  case SOURCE_NONE: sample->number = 1; return true;
  case SOURCE_CHANNEL: return take_word(f, l->event->channel, scratch, sample);
  case SOURCE_EVENT: return take_word(f, l->event->name, scratch, sample);
  case SOURCE_CLOCK: return take_clock(l, f, sample);
  case SOURCE_PATH: break;
  }
  const struct found *found = find(l, f->of);
  if (f->input == INPUT_NUMBER) return scalar_number(&found->scalar, &sample->number);
  if (f->input == INPUT_TEXT) return take_text(f, found->scalar, scratch, sample);
  return take_value(f, found->scalar, scratch, sample);
}

static bool fold_one(struct lookups *l, const struct feature *f, uint8_t *state, struct sample *sample) {
  char scratch[TEXT_PART_MAX];
  if (!conditions_hold(l, f->where, f->where_count) || !take_input(l, f, scratch, sample)) return false;
  if (f->step_count > 0 && (sample->steps = steps_met(l, f)) == 0) return false;
  f->op->fold(f, state + f->offset, sample);
  if (f->keeps_latest) latest_fold(f, state, sample->time_ms);
  return true;
}

bool fold_take(const struct feature_set *set, const struct feature *f, const struct event *event,
               char scratch[TEXT_PART_MAX], double *number, struct bytes *text) {
  struct lookups l;
  struct sample sample = {0};
  l.set = set, l.event = event, l.clock_asked = false;
  memset(l.done, 0, sizeof l.done);
  if (!take_input(&l, f, scratch, &sample)) return false;
  *number = sample.number;
  *text = sample.text;
  return true;
}

size_t feature_fold_only(const struct feature_set *set, uint8_t *state, const struct event *event, int64_t now_ms,
                         const struct feature_mask *only) {
  uint64_t mask[FEATURE_MASK_WORDS];
  struct lookups l; // `found` stays unset: done says what is there
  l.set = set, l.event = event, l.clock_asked = false;
  memset(l.done, 0, sizeof l.done);
  // A sender's clock may run ahead; what it sends has happened by now at the latest.
  int64_t now = clamp_time(now_ms), time = clamp_time(event->timestamp_ms);
  struct sample sample = {.time_ms = time < now ? time : now};
  size_t touched = 0;
  dispatch_find(&set->dispatch, event, mask);
  for (unsigned word = 0; word < FEATURE_MASK_WORDS; word++)
    for (uint64_t bits = mask[word] & (only ? only->word[word] : UINT64_MAX); bits != 0; bits &= bits - 1)
      touched += fold_one(&l, &set->features[word * 64 + (unsigned)__builtin_ctzll(bits)], state, &sample);
  return touched;
}

size_t feature_fold(const struct feature_set *set, uint8_t *state, const struct event *event, int64_t now_ms) {
  return feature_fold_only(set, state, event, now_ms, NULL);
}
