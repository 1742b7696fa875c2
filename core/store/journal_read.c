// Reading single frames by place, for explanations and for repeats of a message. Keeps a few segments open, and a few blocks of sealed ones
// in clear.
#include <stdlib.h>

#include "base/check.h"
#include "store/source.h"

#define OPEN_MAX   16   // segments kept open
#define BLOCKS_MAX 8    // blocks kept in clear
#define FIRST_READ 4096 // most frames are whole in it

struct open_segment {
  uint64_t place; // of offset 0; 0: free
  struct source *source;
  uint64_t used; // when it was used last
};

struct journal_reader {
  char *dir;
  struct open_segment segment[OPEN_MAX];
  struct sealed_cache *cache;
  uint64_t clock;
};

struct journal_reader *journal_reader_new(const char *dir) {
  struct journal_reader *r = xcalloc(1, sizeof *r);
  r->dir = xstrdup(dir);
  r->cache = sealed_cache_new(BLOCKS_MAX);
  return r;
}

void journal_reader_free(struct journal_reader *r) {
  if (!r) return;
  for (int i = 0; i < OPEN_MAX; i++) source_close(r->segment[i].source);
  sealed_cache_free(r->cache);
  free(r->dir);
  free(r);
}

static int segment_of(struct journal_reader *r, uint64_t place, struct source **out, struct error *err) {
  uint64_t key = place & ~(uint64_t)UINT32_MAX;
  struct open_segment *oldest = &r->segment[0];
  for (int i = 0; i < OPEN_MAX; i++) {
    struct open_segment *s = &r->segment[i];
    if (s->place == key) {
      s->used = ++r->clock;
      *out = s->source;
      return 0;
    }
    if (!s->place || (oldest->place && s->used < oldest->used)) oldest = s;
  }
  struct source *source;
  int rc = source_open(r->dir, place_log(place), place_segment(place), &source, err);
  if (rc) return rc;
  source_close(oldest->source);
  *oldest = (struct open_segment){.place = key, .source = source, .used = ++r->clock};
  *out = source;
  return 0;
}

int journal_read(struct journal_reader *r, uint64_t place, struct buf *raw, struct frame *frame, struct error *err) {
  if (!place_segment(place)) return error_set(err, ITD_ENOTFOUND, "%016llx is no place", (unsigned long long)place);
  struct source *source = NULL;
  int rc = segment_of(r, place, &source, err);
  if (rc) return rc;
  buf_clear(raw);
  size_t need = source_near(source, place_offset(place), FIRST_READ), size = 0;
  while (!size && need > raw->n) {
    size_t want = need - raw->n, got;
    uint8_t *to = buf_reserve(raw, want);
    rc = source_read(source, r->cache, place_offset(place) + (uint64_t)raw->n, to, want, &got, err);
    if (rc) return rc;
    raw->n += got;
    size = record_check(buf_bytes(raw), place, &need);
    if (got < want) break; // the segment ends
  }
  if (!size || record_kind(raw->p) == FRAME_COMMIT)
    return error_set(err, ITD_ECORRUPT, "%s, offset %u: no frame, or its checksum does not hold", source_path(source),
                     place_offset(place));
  frame_get(raw->p, frame);
  return 0;
}
