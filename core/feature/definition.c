// A definition's canonical bytes: every part that can change a value, each behind its length, lists in one order
// without doubles. The bytes are hashed and forgotten; their form is fixed by FEATURE_SEMANTICS and a test with known
// hashes.
#include "base/check.h"
#include "feature/program.h"
#include <stdlib.h>

static void put_int(struct buf *b, int64_t v) {
  for (unsigned i = 0; i < 8; i++) buf_append_u8(b, (uint8_t)((uint64_t)v >> (8 * i)));
}
static void put_double(struct buf *b, double v) {
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  put_int(b, (int64_t)bits);
}
static void put_bytes(struct buf *b, struct bytes text) {
  put_int(b, (int64_t)text.n);
  buf_append_bytes(b, text);
}
static void put_scalar(struct buf *b, struct scalar s) {
  put_int(b, s.kind);
  put_int(b, (int64_t)s.bits);
  put_bytes(b, s.text);
}

static void put_alternative(struct buf *b, const void *item) {
  const struct alternative *a = item;
  put_int(b, a->types);
  put_bytes(b, a->event);
  put_bytes(b, a->channel);
}

static void put_condition(struct buf *b, const void *item) {
  const struct condition *c = item;
  put_int(b, c->test);
  put_bytes(b, c->path_text);
  put_double(b, c->bound);
  put_bytes(b, c->text);
  put_int(b, c->in_count);
  for (uint32_t i = 0; i < c->in_count; i++) put_scalar(b, c->in[i]);
}

static int by_bytes(const void *a, const void *b) {
  return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

// Items as a set: sorted by their bytes, equal ones once.
static void put_set(struct buf *b, const void *items, size_t count, size_t size,
                    void (*put)(struct buf *, const void *)) {
  struct arena arena;
  arena_init(&arena);
  struct bytes *sorted = arena_alloc(&arena, (count + 1) * sizeof *sorted);
  for (size_t i = 0; i < count; i++) {
    struct buf one;
    buf_init(&one);
    put(&one, (const uint8_t *)items + i * size);
    sorted[i] = arena_copy(&arena, buf_bytes(&one));
    buf_deinit(&one);
  }
  qsort(sorted, count, sizeof *sorted, by_bytes);
  for (size_t i = 0; i < count; i++)
    if (i == 0 || !bytes_eq(sorted[i], sorted[i - 1])) put_bytes(b, sorted[i]);
  put_int(b, -1); // the end: no length is negative
  arena_deinit(&arena);
}

// Its rule, not its name: a rule that changes is another meaning.
static void put_zone(struct buf *b, const struct zone *zone) {
  const struct zone_change *changes[] = {&zone->start, &zone->end};
  put_int(b, zone->standard_s);
  put_int(b, zone->summer_s);
  for (unsigned i = 0; i < 2; i++) {
    put_int(b, changes[i]->month);
    put_int(b, changes[i]->week);
    put_int(b, changes[i]->weekday);
    put_int(b, changes[i]->seconds);
  }
}

static void put_steps(struct buf *b, const struct feature *f) {
  put_int(b, f->step_count);
  for (uint32_t i = 0; i < f->step_count; i++) {
    put_set(b, f->steps[i].on, f->steps[i].on_count, sizeof *f->steps[i].on, put_alternative);
    put_set(b, f->steps[i].where, f->steps[i].where_count, sizeof *f->steps[i].where, put_condition);
  }
  put_int(b, f->within_ms);
  put_int(b, f->lateness_ms);
  put_int(b, f->pending);
  put_int(b, f->window_ms);
}

uint64_t definition_hash(const struct feature *f) {
  struct buf b;
  buf_init(&b);
  put_int(&b, FEATURE_SEMANTICS);
  put_bytes(&b, bytes_str(f->op->name));
  put_set(&b, f->on, f->on_count, sizeof *f->on, put_alternative);
  put_set(&b, f->where, f->where_count, sizeof *f->where, put_condition);
  put_int(&b, f->input);
  put_int(&b, f->source);
  put_bytes(&b, f->of_text);
  put_int(&b, f->part);
  put_int(&b, f->tiles);
  put_int(&b, f->tile_ms);
  put_int(&b, f->limit);
  put_int(&b, f->precision);
  put_int(&b, f->half_life_ms);
  put_int(&b, f->session_gap_ms);
  put_int(&b, f->calendar);
  put_int(&b, f->by_session);
  put_int(&b, f->days);
  put_int(&b, f->shape);
  put_int(&b, f->stat);
  put_int(&b, f->over_ms);
  put_double(&b, f->q);
  put_double(&b, f->accuracy);
  put_int(&b, f->age_count);
  for (uint32_t i = 0; i < f->age_count; i++) put_int(&b, f->ages[i].age_ms), put_double(&b, f->ages[i].weight);
  put_zone(&b, &f->zone);
  if (f->step_count > 0) put_steps(&b, f);
  for (unsigned k = 0; is_derived(f) && k < 2; k++) put_int(&b, (int64_t)f->operands[k]->info.definition_hash);
  uint64_t hash = hash64(buf_bytes(&b));
  buf_deinit(&b);
  return hash;
}
