// Views of bytes: order and UTF-8. Pure; any thread.
#include "base/bytes.h"

int bytes_compare(struct bytes a, struct bytes b) {
  size_t n = a.n < b.n ? a.n : b.n;
  int order = n ? memcmp(a.p, b.p, n) : 0;
  if (order != 0) return order < 0 ? -1 : 1;
  return (a.n > b.n) - (a.n < b.n);
}

static bool continues(uint8_t c) { return (c & 0xC0) == 0x80; }

size_t bytes_utf8_first(struct bytes b) {
  if (b.n == 0) return 0;
  uint8_t c = b.p[0];
  if (c < 0x80) return 1;
  if (c < 0xC2 || c > 0xF4) return 0; // a continuation, an overlong form, or beyond U+10FFFF
  size_t n = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
  if (b.n < n) return 0;
  // The second byte's range carries all the rest of RFC 3629's rules; the others are any continuation.
  uint8_t low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
  uint8_t high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
  if (b.p[1] < low || b.p[1] > high) return 0;
  for (size_t i = 2; i < n; i++)
    if (!continues(b.p[i])) return 0;
  return n;
}

bool bytes_is_utf8(struct bytes b) {
  while (b.n > 0) {
    uint64_t word;
    if (b.n >= sizeof word) { // most text is ASCII: eight bytes at a time
      memcpy(&word, b.p, sizeof word);
      if ((word & 0x8080808080808080u) == 0) {
        b.p += sizeof word, b.n -= sizeof word;
        continue;
      }
    }
    size_t n = bytes_utf8_first(b);
    if (n == 0) return false;
    b.p += n, b.n -= n;
  }
  return true;
}
