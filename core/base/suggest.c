#include "base/suggest.h"

enum { WORD_MAX = 63 };

static uint8_t fold(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c; }

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

// Edits between two short words, a swap of neighbours counting one and nothing edited twice (optimal string alignment).
static unsigned distance(struct bytes a, struct bytes b) {
  unsigned row[3][WORD_MAX + 1]; // the rows of i - 2, i - 1 and i, by turns
  for (size_t j = 0; j <= b.n; j++) row[0][j] = (unsigned)j;
  for (size_t i = 1; i <= a.n; i++) {
    unsigned *now = row[i % 3], *before = row[(i + 2) % 3], *two_before = row[(i + 1) % 3];
    now[0] = (unsigned)i;
    for (size_t j = 1; j <= b.n; j++) {
      uint8_t x = fold(a.p[i - 1]), y = fold(b.p[j - 1]);
      now[j] = least(least(before[j], now[j - 1]) + 1, before[j - 1] + (x != y));
      bool swapped = i > 1 && j > 1 && x == fold(b.p[j - 2]) && fold(a.p[i - 2]) == y;
      if (swapped) now[j] = least(now[j], two_before[j - 2] + 1);
    }
  }
  return row[a.n % 3][b.n];
}

const char *suggest(struct bytes word, const char *const *names, size_t count) {
  const char *best = NULL;
  unsigned best_distance = word.n < 3 ? 2 : (unsigned)word.n / 3 + 1; // one more than is forgiven
  if (word.n == 0 || word.n > WORD_MAX) return NULL;
  for (size_t i = 0; i < count; i++) {
    struct bytes name = bytes_str(names[i]);
    if (name.n == 0 || name.n > WORD_MAX) continue;
    unsigned d = distance(word, name);
    if (d >= name.n || d >= best_distance) continue; // a name of which nothing is left is no suggestion
    best = names[i];
    best_distance = d;
  }
  return best;
}
