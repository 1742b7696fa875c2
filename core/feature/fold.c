// The way of one event: the index names the features it may change, each one's conditions are tested, its value taken,
// its op run. What a path leads to is looked up when first asked for, and once. Everything lives on the stack.
#include "feature/ops.h"

struct lookups {
  const struct feature_set *set;
  const struct event *event;
  uint64_t done[FEATURE_PATHS_MAX / 64];
  struct bytes value[FEATURE_PATHS_MAX]; // where done: the value, or empty when there is none (nil is none)
};

static struct bytes look_up(const struct path *path, const struct event *event) {
  struct bytes map = path->root == ROOT_PROPERTIES ? event->properties
                     : path->root == ROOT_TRAITS   ? event->traits
                                                   : event->context;
  struct bytes value;
  if (map.n == 0) return map;
  bool found = path->nested ? mp_find_path(map, path->rest, &value) : mp_find(map, path->rest, &value);
  if (!found || mp_value_of(value).type == MP_NIL) return bytes_of(NULL, 0);
  return value;
}

static struct bytes value_at(struct lookups *l, uint16_t path) {
  uint64_t bit = UINT64_C(1) << (path % 64);
  if (!(l->done[path / 64] & bit)) {
    l->done[path / 64] |= bit;
    l->value[path] = look_up(&l->set->path[path], l->event);
  }
  return l->value[path];
}

// ---- where ----
static bool is_in(const struct condition *c, struct bytes value) {
  struct scalar s = scalar_of(value);
  uint32_t low = 0, high = c->in_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = scalar_compare(c->in[middle], s);
    if (order == 0) return true;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return false;
}

static bool starts_with(struct bytes value, struct bytes prefix) {
  struct bytes text;
  return mp_as_str(value, &text) && text.n >= prefix.n && memcmp(text.p, prefix.p, prefix.n) == 0;
}

static bool condition_holds(const struct condition *c, struct bytes value) {
  double number;
  if (value.n == 0) return c->test == TEST_ABSENT;
  switch (c->test) {
  case TEST_IN: return is_in(c, value);
  case TEST_EXISTS: return true;
  case TEST_ABSENT: return false;
  case TEST_AT_LEAST: return scalar_number(value, &number) && number >= c->bound;
  case TEST_UNDER: return scalar_number(value, &number) && number < c->bound;
  case TEST_STARTS_WITH: return starts_with(value, c->text);
  }
  return false;
}

static bool conditions_hold(struct lookups *l, const struct feature *f) {
  for (uint32_t i = 0; i < f->where_count; i++)
    if (!condition_holds(&f->where[i], value_at(l, f->where[i].path))) return false;
  return true;
}

// ---- of ----
static struct scalar scalar_at(struct lookups *l, const struct feature *f) {
  if (f->source == SOURCE_PATH) return scalar_of(value_at(l, f->of));
  struct bytes text = f->source == SOURCE_CHANNEL ? l->event->channel : l->event->name;
  return text.n > 0 ? scalar_text(text) : (struct scalar){.kind = SCALAR_NONE};
}

// What the op takes from the event; false when there is nothing that it can use.
static bool take_input(struct lookups *l, const struct feature *f, char scratch[TEXT_PART_MAX], struct sample *sample) {
  struct scalar s;
  switch (f->input) {
  case INPUT_NONE: sample->number = 1; return true;
  case INPUT_NUMBER: return scalar_number(value_at(l, f->of), &sample->number);
  case INPUT_TEXT:
    s = scalar_at(l, f);
    if (s.kind != SCALAR_TEXT) return false;
    sample->text = text_part_of(s.text, f->part, scratch);
    return sample->text.n > 0 && bytes_is_utf8(text_cut(sample->text, FEATURE_TEXT_MAX));
  case INPUT_VALUE:
    s = scalar_at(l, f);
    if (s.kind == SCALAR_NONE) return false;
    if (f->part != PART_WHOLE) {
      if (s.kind != SCALAR_TEXT) return false;
      s.text = text_part_of(s.text, f->part, scratch);
    }
    if (s.kind == SCALAR_TEXT && s.text.n == 0) return false;
    sample->hash = scalar_hash(s);
    return true;
  }
  return false;
}

static bool fold_one(struct lookups *l, const struct feature *f, uint8_t *state, struct sample *sample) {
  char scratch[TEXT_PART_MAX];
  if (!conditions_hold(l, f) || !take_input(l, f, scratch, sample)) return false;
  f->op->fold(f, state + f->offset, sample);
  return true;
}

size_t feature_fold(const struct feature_set *set, uint8_t *state, const struct event *event, int64_t now_ms) {
  uint64_t mask[FEATURE_MASK_WORDS];
  struct lookups l; // `value` stays unset: done says what is there
  l.set = set, l.event = event;
  memset(l.done, 0, sizeof l.done);
  // A sender's clock may run ahead; what it sends has happened by now at the latest.
  int64_t now = clamp_time(now_ms), time = clamp_time(event->timestamp_ms);
  struct sample sample = {.time_ms = time < now ? time : now};
  size_t touched = 0;
  dispatch_find(&set->dispatch, event, mask);
  for (unsigned word = 0; word < FEATURE_MASK_WORDS; word++)
    for (uint64_t bits = mask[word]; bits != 0; bits &= bits - 1)
      touched += fold_one(&l, &set->features[word * 64 + (unsigned)__builtin_ctzll(bits)], state, &sample);
  return touched;
}
