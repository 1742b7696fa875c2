#include "feature/scalar.h"
#include "base/hash.h"
#include <math.h>

static struct scalar from_double(double f) {
  if (!isfinite(f)) return (struct scalar){.kind = SCALAR_NONE};
  if (f >= -0x1p63 && f < 0x1p63 && f == (double)(int64_t)f)
    return (struct scalar){.kind = SCALAR_INT, .bits = (uint64_t)(int64_t)f};
  if (f >= 0x1p63 && f < 0x1p64) return (struct scalar){.kind = SCALAR_UINT, .bits = (uint64_t)f};
  struct scalar s = {.kind = SCALAR_FLOAT};
  memcpy(&s.bits, &f, sizeof f);
  return s;
}

struct scalar scalar_text(struct bytes text) {
  return (struct scalar){.kind = SCALAR_TEXT, .text = text};
}

struct scalar scalar_of(struct bytes value) {
  if (value.n == 0) return (struct scalar){.kind = SCALAR_NONE};
  struct mp_value v = mp_value_of(value);
  switch (v.type) {
  case MP_BOOL: return (struct scalar){.kind = SCALAR_BOOL, .bits = v.b};
  case MP_INT: return (struct scalar){.kind = SCALAR_INT, .bits = (uint64_t)v.i};
  case MP_UINT: return (struct scalar){.kind = SCALAR_UINT, .bits = v.u};
  case MP_FLOAT: return from_double(v.f);
  case MP_STR: return scalar_text(v.s);
  default: return (struct scalar){.kind = SCALAR_NONE};
  }
}

int scalar_compare(const struct scalar *a, const struct scalar *b) {
  if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
  if (a->bits != b->bits) return a->bits < b->bits ? -1 : 1;
  return bytes_compare(a->text, b->text);
}

uint64_t scalar_hash(const struct scalar *s) {
  if (s->kind == SCALAR_TEXT) return hash64_seed(s->text, SCALAR_TEXT);
  uint8_t bytes[8];
  for (unsigned i = 0; i < 8; i++) bytes[i] = (uint8_t)(s->bits >> (8 * i));
  return hash64_seed(bytes_of(bytes, sizeof bytes), s->kind);
}

bool scalar_number(const struct scalar *s, double *number) {
  switch (s->kind) {
  case SCALAR_BOOL:
  case SCALAR_UINT: *number = (double)s->bits; return true;
  case SCALAR_INT: *number = (double)(int64_t)s->bits; return true;
  case SCALAR_FLOAT: memcpy(number, &s->bits, sizeof *number); return true;
  default: return false;
  }
}

struct bytes text_cut(struct bytes text, size_t max) {
  if (text.n <= max) return text;
  size_t n = max;
  while (n > 0 && max - n < 3 && (text.p[n] & 0xc0) == 0x80) n--;
  return bytes_of(text.p, n);
}

struct bytes text_part_of(struct bytes text, enum text_part part, char scratch[TEXT_PART_MAX]) {
  if (part == PART_WHOLE) return text;
  if (part == PART_DOMAIN) {
    const uint8_t *at = text.n > 0 ? memrchr(text.p, '@', text.n) : NULL;
    if (!at) return bytes_of(NULL, 0);
    text = bytes_of(at + 1, text.n - (size_t)(at + 1 - text.p));
  }
  text = text_cut(text, TEXT_PART_MAX);
  for (size_t i = 0; i < text.n; i++) {
    uint8_t c = text.p[i];
    scratch[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  }
  return bytes_of(scratch, text.n);
}
