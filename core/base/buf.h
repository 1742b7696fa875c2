// struct buf: a growable byte buffer. Append at the end, consume at the front. Not thread-safe. Out of memory aborts.
#pragma once
#include "base/bytes.h"
#include "base/status.h"

struct buf {
  uint8_t *p;
  size_t n;   // bytes in use
  size_t cap; // bytes allocated
};

void buf_init(struct buf *b);
void buf_deinit(struct buf *b); // frees; the buffer is as after buf_init
// Room for `extra` more bytes; returns where they start. The caller adds what it wrote to b->n.
uint8_t *buf_reserve(struct buf *b, size_t extra);
void buf_append(struct buf *b, const void *p, size_t n);
void buf_append_bytes(struct buf *b, struct bytes bytes);
void buf_append_str(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) ITD_PRINTF(2, 3);
void buf_consume(struct buf *b, size_t n); // drops n bytes at the front (moves the rest)
static inline void buf_clear(struct buf *b) { b->n = 0; }
static inline void buf_append_u8(struct buf *b, uint8_t v) { *buf_reserve(b, 1) = v, b->n++; }
static inline struct bytes buf_bytes(const struct buf *b) { return (struct bytes){b->p, b->n}; }

// Allocation that aborts instead of failing; free with free().
void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *text);
char *xstrndup(const void *p, size_t n); // a NUL-terminated copy
