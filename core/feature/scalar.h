// struct scalar: one value of an event or a declaration in a form where equal values have equal bytes, however they
// were sent: 1 and 1.0 are the same number, true is no number, text is text. Nil, NaN, infinities, lists, maps and
// binary are no value.
#pragma once
#include "wire/mp.h"

enum scalar_kind { SCALAR_NONE, SCALAR_BOOL, SCALAR_INT, SCALAR_UINT, SCALAR_FLOAT, SCALAR_TEXT };

struct scalar {
  enum scalar_kind kind;
  uint64_t bits;     // of the bool, integer or double; 0 for text
  struct bytes text; // into what it was read from
};

struct scalar scalar_of(struct bytes value); // one MessagePack value, or empty: none
struct scalar scalar_text(struct bytes text);
static inline bool scalar_eq(struct scalar a, struct scalar b) {
  return a.kind == b.kind && a.bits == b.bits && bytes_eq(a.text, b.text);
}
int scalar_compare(const struct scalar *a, const struct scalar *b); // a total order, for lists in a canonical order
uint64_t scalar_hash(const struct scalar *s); // spread over all 64 bits; part of the meaning of `distinct`

// As a number: always finite, bools are 0 and 1, never -0 (which zero came first must not show). False for text and
// none.
bool scalar_number(const struct scalar *s, double *number);

enum text_part { PART_WHOLE, PART_LOWER, PART_DOMAIN };
#define TEXT_PART_MAX 255 // bytes that a part looks at; the longest domain name has 253

// Applies the part; `scratch` holds the folded text. Empty: there is no such part.
struct bytes text_part_of(struct bytes text, enum text_part part, char scratch[TEXT_PART_MAX]);
// Cuts to at most `max` bytes, not inside a UTF-8 character.
struct bytes text_cut(struct bytes text, size_t max);
