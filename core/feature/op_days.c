// active_days: on how many days there was a match, of the last ones or of a period of the calendar. A ring of bits, one a
// day. It never lies ahead of today, so a day that has left the ring has left the window: exact, in any order of arrival.
// State: the newest day with a match, then the bits, day d's being bit d modulo their number.
#include "feature/calendar.h"
#include "feature/ops.h"

static int64_t bits_of(const struct feature *f) { return (f->days + 63) / 64 * 64; }
static int64_t slot_of(int64_t day, int64_t bits) { return day - floor_div(day, bits) * bits; }
static uint8_t *word_of(uint8_t *state, int64_t slot) { return state + 8 + slot / 64 * 8; }

size_t op_days_size(const struct feature *f) { return 8 + (size_t)bits_of(f) / 8; }
void op_days_init(const struct feature *f, uint8_t *state) { (void)f, store_i64(state, TIME_NONE); }

static void clear(uint8_t *state, int64_t bits, int64_t first, int64_t last) {
  for (int64_t day = first; day <= last; day++) {
    int64_t slot = slot_of(day, bits);
    uint8_t *word = word_of(state, slot);
    store_u64(word, load_u64(word) & ~(UINT64_C(1) << slot % 64));
  }
}

static void set(const struct feature *f, uint8_t *state, int64_t day) {
  int64_t newest = load_i64(state), bits = bits_of(f);
  if (newest == TIME_NONE || day - newest >= bits)
    memset(state + 8, 0, (size_t)bits / 8);
  else if (day > newest)
    clear(state, bits, newest + 1, day);
  else if (day <= newest - bits)
    return;
  if (newest == TIME_NONE || day > newest) store_i64(state, day);
  int64_t slot = slot_of(day, bits);
  uint8_t *word = word_of(state, slot);
  store_u64(word, load_u64(word) | UINT64_C(1) << slot % 64);
}

void op_days_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  set(f, state, local_day(&f->zone, sample->time_ms));
}

double op_days_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  int64_t newest = load_i64(state), today = local_day(&f->zone, now_ms), bits = bits_of(f), count = 0;
  if (newest == TIME_NONE) return 0;
  int64_t day = f->calendar ? calendar_first_day(f->calendar, today) : today - f->days + 1;
  int64_t last = newest < today ? newest : today;
  if (day <= newest - bits) day = newest - bits + 1;
  while (day <= last) { // what of the range lies in one word
    int64_t slot = slot_of(day, bits), n = 64 - slot % 64;
    if (n > last - day + 1) n = last - day + 1;
    count += __builtin_popcountll(load_u64(state + 8 + slot / 64 * 8) >> slot % 64 << (64 - n));
    day += n;
  }
  return (double)count;
}

void op_days_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  int64_t newest = load_i64(other), bits = bits_of(f);
  if (newest == TIME_NONE) return;
  for (int64_t day = newest; day > newest - bits; day--) {
    int64_t slot = slot_of(day, bits);
    if (load_u64(other + 8 + slot / 64 * 8) >> slot % 64 & 1) set(f, into, day);
  }
}
