// struct bytes: a view of bytes that somebody else owns. Cheap to pass by value; valid as long as its owner says.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
  const uint8_t *p; // may be NULL when n is 0
  size_t n;
};

#define BYTES_LIT(literal) ((struct bytes){(const uint8_t *)("" literal), sizeof(literal) - 1})

static inline struct bytes bytes_of(const void *p, size_t n) { return (struct bytes){p, n}; }
static inline struct bytes bytes_str(const char *text) {
  return (struct bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}
static inline bool bytes_eq(struct bytes a, struct bytes b) {
  return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool bytes_is(struct bytes a, const char *text) { return bytes_eq(a, bytes_str(text)); }
// Order by bytes, a prefix first: the same on every machine.
int bytes_compare(struct bytes a, struct bytes b);
// True when `b` is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
bool bytes_is_utf8(struct bytes b);
// The length of the well-formed UTF-8 character at the start of `b`; 0 when there is none.
size_t bytes_utf8_first(struct bytes b);
