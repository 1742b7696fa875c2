// struct buf and the allocation that never fails.
#include "base/buf.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_MIN = 64 };

void buf_init(struct buf *b) { *b = (struct buf){0}; }

void buf_deinit(struct buf *b) {
  free(b->p);
  buf_init(b);
}

uint8_t *buf_reserve(struct buf *b, size_t extra) {
  if (extra > b->cap - b->n || !b->p) {
    size_t need, cap = b->cap ? b->cap : BUF_MIN;
    if (__builtin_add_overflow(b->n, extra, &need)) out_of_memory(extra);
    while (cap < need)
      if (__builtin_mul_overflow(cap, (size_t)2, &cap)) cap = need;
    b->p = xrealloc(b->p, cap);
    b->cap = cap;
  }
  return b->p + b->n;
}

void buf_append(struct buf *b, const void *p, size_t n) {
  if (n == 0) return;
  memcpy(buf_reserve(b, n), p, n);
  b->n += n;
}

void buf_append_bytes(struct buf *b, struct bytes bytes) { buf_append(b, bytes.p, bytes.n); }

void buf_append_str(struct buf *b, const char *text) { buf_append(b, text, strlen(text)); }

void buf_printf(struct buf *b, const char *format, ...) {
  va_list args;
  va_start(args, format);
  va_list again;
  va_copy(again, args);
  size_t room = b->cap - b->n;
  int n = vsnprintf(b->p ? (char *)b->p + b->n : NULL, b->p ? room : 0, format, args);
  CHECK(n >= 0);
  if ((size_t)n >= room) {
    char *at = (char *)buf_reserve(b, (size_t)n + 1);
    vsnprintf(at, (size_t)n + 1, format, again);
  }
  b->n += (size_t)n;
  va_end(again);
  va_end(args);
}

void buf_consume(struct buf *b, size_t n) {
  CHECK(n <= b->n);
  b->n -= n;
  if (n && b->n) memmove(b->p, b->p + n, b->n);
}

// A request of nothing still gets memory of its own, so that NULL never means success.
void *xmalloc(size_t n) {
  void *p = malloc(n ? n : 1);
  if (!p) out_of_memory(n);
  return p;
}

void *xcalloc(size_t count, size_t size) {
  void *p = calloc(count ? count : 1, size ? size : 1);
  if (!p) out_of_memory(count * size);
  return p;
}

void *xrealloc(void *p, size_t n) {
  p = realloc(p, n ? n : 1);
  if (!p) out_of_memory(n);
  return p;
}

char *xstrdup(const char *text) { return xstrndup(text, strlen(text)); }

char *xstrndup(const void *p, size_t n) {
  if (n == SIZE_MAX) out_of_memory(n);
  char *copy = xmalloc(n + 1);
  if (n) memcpy(copy, p, n);
  copy[n] = '\0';
  return copy;
}
