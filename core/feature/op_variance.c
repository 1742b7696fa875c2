// variance and stddev, of a sample: with n numbers, s their sum and q the sum of their squares, (n q - s^2) / (n (n - 1)).
// The textbook warns of this form, for in doubles the difference cancels; running means, which it recommends instead,
// depend on the order of arrival. So s and q are kept in double-double: for whole numbers both are exact while q stays
// below 2^100, the difference loses about 2^-104 of n q, and the order never shows. Numbers beyond 2^300 count as that,
// so that nothing overflows. A cell: n, then s and q as two doubles each.
#include "feature/dd.h"
#include "feature/ops.h"
#include "feature/tiles.h"
#include <math.h>

#define CELL 40
#define MOST 0x1p300

struct moments {
  uint64_t n;
  struct dd sum, squares;
};

static struct moments load(const uint8_t *cell) {
  return (struct moments){.n = load_u64(cell),
                          .sum = {load_f64(cell + 8), load_f64(cell + 16)},
                          .squares = {load_f64(cell + 24), load_f64(cell + 32)}};
}

static void store(uint8_t *cell, struct moments m) {
  store_u64(cell, m.n);
  store_f64(cell + 8, m.sum.hi);
  store_f64(cell + 16, m.sum.lo);
  store_f64(cell + 24, m.squares.hi);
  store_f64(cell + 32, m.squares.lo);
}

static struct moments plus(struct moments a, struct moments b) {
  return (struct moments){a.n + b.n, dd_add(a.sum, b.sum), dd_add(a.squares, b.squares)};
}

size_t op_variance_size(const struct feature *f) { return f->tiles ? tiles_size(f->tiles, CELL) : CELL; }

void op_variance_init(const struct feature *f, uint8_t *state) {
  if (f->tiles) tiles_init(state);
}

void op_variance_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  uint8_t *cell = f->tiles ? tiles_at(state, f->tiles, CELL, tile_of(f, sample->time_ms)) : state;
  if (!cell) return;
  double x = sample->number > MOST ? MOST : sample->number < -MOST ? -MOST : sample->number;
  store(cell, plus(load(cell), (struct moments){1, {x, 0}, dd_product(x, x)}));
}

double op_variance_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  struct moments m = {0};
  if (f->tiles) {
    struct tiles_walk walk = tiles_window(f, state, f->tiles, CELL, now_ms);
    for (const uint8_t *cell; (cell = tiles_next(&walk));) m = plus(m, load(cell));
  } else {
    m = load(state);
  }
  if (m.n < 2) return NAN;
  double n = (double)m.n;
  struct dd square = dd_multiply(m.sum, m.sum);
  struct dd difference = dd_add(dd_multiply(m.squares, (struct dd){n, 0}), (struct dd){-square.hi, -square.lo});
  return difference.hi > 0 ? difference.hi / (n * (n - 1)) : 0;
}

static void join(uint8_t *cell, const uint8_t *more) { store(cell, plus(load(cell), load(more))); }

void op_variance_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  if (f->tiles)
    tiles_merge(into, other, f->tiles, CELL, join);
  else
    join(into, other);
}

size_t op_stddev_size(const struct feature *f) { return op_variance_size(f); }
void op_stddev_init(const struct feature *f, uint8_t *state) { op_variance_init(f, state); }
void op_stddev_fold(const struct feature *f, uint8_t *state, const struct sample *sample) {
  op_variance_fold(f, state, sample);
}
double op_stddev_read(const struct feature *f, const uint8_t *state, int64_t now_ms) {
  return sqrt(op_variance_read(f, state, now_ms)); // IEEE 754 rounds it correctly: the same everywhere
}
void op_stddev_merge(const struct feature *f, uint8_t *into, const uint8_t *other) {
  op_variance_merge(f, into, other);
}
