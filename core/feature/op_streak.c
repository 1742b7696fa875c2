// streak: consecutive days with a match. The last 64 days are a bitmap (bit 0 the newest day with a match), and
// `before` is the length of the run that ends on the day just before the bitmap. A match up to 63 days older than the
// newest day sets its own bit: exact. An older one counts only when it is the day just before the bitmap. State: the
// newest day, the bitmap, before.
#include "feature/ops.h"

#define DAYS 64

size_t op_streak_size(const struct feature *f) { return (void)f, 24; }
void op_streak_init(const struct feature *f, uint8_t *state) { (void)f, store_i64(state, TIME_NONE); }

// Days leave the bitmap at its old end, one after the other: each continues the run before it, or ends it.
static void advance(uint8_t *state, int64_t days) {
  uint64_t bits = load_u64(state + 8), before = load_u64(state + 16);
  if (days > DAYS) {
    bits = 0, before = 0;
  } else {
    for (; days > 0; days--) {
      before = bits >> (DAYS - 1) ? before + 1 : 0;
      bits <<= 1;
    }
  }
  store_u64(state + 8, bits);
  store_u64(state + 16, before);
}

void op_streak_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  int64_t day = local_day(&f->zone, sample->time_ms), newest = load_i64(state);
  if (newest == TIME_NONE) newest = day, store_i64(state, day);
  if (day > newest) {
    advance(state, day - newest);
    store_i64(state, day);
    newest = day;
  }
  int64_t age = newest - day;
  if (age < DAYS)
    store_u64(state + 8, load_u64(state + 8) | UINT64_C(1) << age);
  else if (age == DAYS && load_u64(state + 16) == 0)
    store_u64(state + 16, 1);
}

double op_streak_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  int64_t newest = load_i64(state), today = local_day(&f->zone, now_ms);
  if (newest == TIME_NONE || newest < today - 1) return 0;
  uint64_t holes = ~load_u64(state + 8);
  if (holes != 0) return __builtin_ctzll(holes);
  return (double)(DAYS + load_u64(state + 16));
}

// Both bitmaps at the same days. The runs before them end on the same day, if they are there: the longer one holds the
// other.
void op_streak_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  (void)f;
  uint8_t b[24];
  memcpy(b, other, sizeof b);
  int64_t newest = load_i64(into), its = load_i64(b);
  if (its == TIME_NONE) return;
  if (newest == TIME_NONE) newest = its;
  if (newest < its) advance(into, its - newest), newest = its;
  advance(b, newest - its);
  store_i64(into, newest);
  store_u64(into + 8, load_u64(into + 8) | load_u64(b + 8));
  if (load_u64(b + 16) > load_u64(into + 16)) store_u64(into + 16, load_u64(b + 16));
}
