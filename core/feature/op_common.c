// most_common: the value that occurred most often. Up to `limit` different values each has its count, and the answer is
// exact. One more takes the place of the rarest one, and goes on from its count: Space-Saving (Metwally, Agrawal, El
// Abbadi, "Efficient computation of frequent and top-k elements in data streams", 2005). A count is then too high by at
// most matches / limit, and what occurred more often than that is there. Of equal counts the least value is the answer:
// while all values are counted, the order of arrival never shows.
// State: how many are kept, whether there were more (32 bits each), then a count and a value each, in the order of the
// values, unused ones zero. A value is a number (8 bytes) or text (its length in one byte, FEATURE_TEXT_MAX bytes).
#include "feature/ops.h"
#include <math.h>

#define TEXT_CELL (1 + FEATURE_TEXT_MAX)
static const size_t ENTRIES = 8;

static size_t entry_of(const struct feature *f) { return 8 + (f->input == INPUT_TEXT ? TEXT_CELL : 8); }
static size_t entries_size(const struct feature *f, uint32_t count) { return ENTRIES + count * entry_of(f); }
static struct bytes entry_text(const uint8_t *entry) { return bytes_of(entry + 9, entry[8]); }

static int compare(const struct feature *f, const uint8_t *a, const uint8_t *b) {
  if (f->input == INPUT_TEXT) return bytes_compare(entry_text(a), entry_text(b));
  double x = load_f64(a + 8), y = load_f64(b + 8);
  return (x > y) - (x < y);
}

// How many entries have a lesser value.
static uint32_t rank_of(const struct feature *f, const uint8_t *state, const uint8_t *entry) {
  uint32_t low = 0, high = load_u32(state);
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (compare(f, state + entries_size(f, middle), entry) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void insert(const struct feature *f, uint8_t *state, uint32_t at, const uint8_t *entry) {
  uint32_t kept = load_u32(state);
  uint8_t *to = state + entries_size(f, at);
  memmove(to + entry_of(f), to, entry_of(f) * (kept - at));
  memcpy(to, entry, entry_of(f));
  store_u32(state, kept + 1);
}

static void take_out(const struct feature *f, uint8_t *state, uint32_t at) {
  uint32_t kept = load_u32(state) - 1;
  uint8_t *from = state + entries_size(f, at);
  memmove(from, from + entry_of(f), entry_of(f) * (kept - at));
  memset(state + entries_size(f, kept), 0, entry_of(f));
  store_u32(state, kept);
}

// The rarest; of equal counts the greatest value.
static uint32_t rarest(const struct feature *f, const uint8_t *state) {
  uint32_t found = 0;
  for (uint32_t i = 1; i < load_u32(state); i++)
    if (load_u64(state + entries_size(f, i)) <= load_u64(state + entries_size(f, found))) found = i;
  return found;
}

size_t op_common_size(const struct feature *f) { return entries_size(f, f->limit); }
void op_common_init(const struct feature *f, uint8_t *state) { (void)f, (void)state; }

void op_common_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  uint8_t entry[8 + TEXT_CELL] = {0};
  if (f->input == INPUT_TEXT) {
    struct bytes text = text_cut(sample->text, FEATURE_TEXT_MAX);
    entry[8] = (uint8_t)text.n;
    memcpy(entry + 9, text.p, text.n);
  } else {
    store_f64(entry + 8, sample->number);
  }
  uint32_t at = rank_of(f, state, entry);
  uint8_t *there = state + entries_size(f, at);
  if (at < load_u32(state) && compare(f, there, entry) == 0) {
    store_u64(there, load_u64(there) + 1);
    return;
  }
  uint64_t count = 1;
  if (load_u32(state) == f->limit) {
    uint32_t out = rarest(f, state);
    count += load_u64(state + entries_size(f, out));
    take_out(f, state, out);
    store_u32(state + 4, 1);
    at -= out < at;
  }
  store_u64(entry, count);
  insert(f, state, at, entry);
}

static const uint8_t *most(const struct feature *f, const uint8_t *state) {
  const uint8_t *found = NULL;
  for (uint32_t i = 0; i < load_u32(state); i++) {
    const uint8_t *entry = state + entries_size(f, i);
    if (!found || load_u64(entry) > load_u64(found)) found = entry;
  }
  return found;
}

double op_common_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  (void)now_ms;
  const uint8_t *entry = f->input == INPUT_TEXT ? NULL : most(f, state);
  return entry ? load_f64(entry + 8) : NAN;
}

struct bytes op_common_text(const uint8_t *state) {
  static const struct feature text = {.input = INPUT_TEXT};
  const uint8_t *entry = most(&text, state);
  return entry ? entry_text(entry) : bytes_of(NULL, 0);
}

// What a value that is not kept may have occurred at most.
static uint64_t unseen(const struct feature *f, const uint8_t *state) {
  return load_u32(state + 4) ? load_u64(state + entries_size(f, rarest(f, state))) : 0;
}

// The counts of both, as in Agarwal and others, "Mergeable summaries" (2012): what only one keeps may have been in the
// other as often as its rarest.
void op_common_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  uint8_t both[8 + 2 * FEATURE_COMMON_MAX * (8 + TEXT_CELL)];
  uint32_t mine = load_u32(into), theirs = load_u32(other), i = 0, k = 0, n = 0;
  uint64_t mine_unseen = unseen(f, into), their_unseen = unseen(f, other);
  while (i < mine || k < theirs) {
    const uint8_t *a = into + entries_size(f, i), *b = other + entries_size(f, k);
    int order = i == mine ? 1 : k == theirs ? -1 : compare(f, a, b);
    uint8_t *to = both + entries_size(f, n++);
    memcpy(to, order <= 0 ? a : b, entry_of(f));
    store_u64(to, (order <= 0 ? load_u64(a) : mine_unseen) + (order >= 0 ? load_u64(b) : their_unseen));
    i += order <= 0, k += order >= 0;
  }
  store_u32(both, n);
  store_u32(both + 4, load_u32(into + 4) | load_u32(other + 4) | (n > f->limit));
  for (; n > f->limit; n--) take_out(f, both, rarest(f, both));
  memset(into, 0, op_common_size(f));
  memcpy(into, both, entries_size(f, n));
}
