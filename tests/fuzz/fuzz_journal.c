// Journal records and segment headers from a stranger, with checksums made right so that the fuzzer comes past them: refused, or
// every section lies within the record, and what was read is written and read again as the same.
#include <stdlib.h>

#include "base/le.h"
#include "engine/lead.h"
#include "fuzz.h"
#include "store/journal_format.h"

static const uint64_t place = (uint64_t)3 << 56 | (uint64_t)5 << 32 | 4096;

static void check_frame(const uint8_t *record, size_t size) {
  struct frame f, again;
  struct bytes *section[FRAME_SECTIONS], *other[FRAME_SECTIONS];
  size_t need, at = FRAME_HEADER_SIZE;
  frame_get(record, &f);
  frame_sections(&f, section);
  for (int i = 0; i < FRAME_SECTIONS; i++) {
    CHECK(section[i]->p == record + at && section[i]->n <= size - at);
    at += section[i]->n;
  }
  CHECK(frame_size(&f) == size);
  uint8_t *copy = xmalloc(size);
  memset(copy, 0xa5, size);
  frame_put(copy, size, &f, place);
  CHECK(record_check(bytes_of(copy, size), place, &need) == size);
  frame_get(copy, &again);
  frame_sections(&again, other);
  for (int i = 0; i < FRAME_SECTIONS; i++) {
    CHECK(bytes_eq(*section[i], *other[i]));
    *section[i] = *other[i] = (struct bytes){0};
  }
  // All the rest of the two, field by field as they are stored.
  CHECK(memcmp(record, copy, 4) == 0 && memcmp(record + 8, copy + 8, 96) == 0 &&
        get32(record + 104) == get64(copy + 104));
  CHECK(memcmp(record + 112, copy + 112, 144 + 4 * FRAME_SECTIONS - 112) == 0);
  free(copy);
}

static void check_trailer(const uint8_t *record, size_t size) {
  struct trailer t;
  size_t need;
  trailer_get(record, &t);
  CHECK(trailer_size(t.count) == size);
  uint8_t *copy = xcalloc(1, size);
  for (size_t i = 0; i < t.count; i++) {
    struct trailer_entry e = trailer_entry_get(&t, i);
    trailer_entry_put(copy + TRAILER_HEADER_SIZE + i * TRAILER_ENTRY_SIZE, &e);
  }
  trailer_put(copy, &t, place);
  CHECK(record_check(bytes_of(copy, size), place, &need) == size);
  CHECK(memcmp(record + TRAILER_HEADER_SIZE, copy + TRAILER_HEADER_SIZE, size - TRAILER_HEADER_SIZE) == 0);
  free(copy);
}

static void try_record(struct bytes in) {
  size_t need = 0, size = record_check(in, place, &need);
  char claims[160];
  record_claims(in, place, claims, sizeof claims);
  CHECK(bytes_is_utf8(bytes_str(claims)));
  CHECK(size <= in.n && (size == 0 || need == 0) && (need == 0 || need > in.n));
  if (size == 0) return;
  CHECK(record_check(bytes_of(in.p, size), place, &need) == size && record_check(in, place + 8, &need) == 0);
  CHECK(record_check(bytes_of(in.p, size - 1), place, &need) == 0 &&
        need == (size - 1 < TRAILER_HEADER_SIZE ? TRAILER_HEADER_SIZE : size));
  if (record_kind(in.p) == FRAME_COMMIT)
    check_trailer(in.p, size);
  else
    check_frame(in.p, size);
}

static void try_header(struct bytes in) {
  struct segment_header h;
  struct error err = {0};
  uint8_t again[SEGMENT_HEADER_SIZE];
  if (in.n < SEGMENT_HEADER_SIZE) return;
  int rc = segment_header_get(in.p, &h, &err);
  CHECK(rc == 0 || ((rc == ITD_ECORRUPT || rc == ITD_EVERSION) && err.text[0]));
  if (rc) return;
  segment_header_put(again, &h);
  CHECK(memcmp(in.p, again, 12) == 0 && memcmp(in.p + 16, again + 16, 32) == 0);
}

static void try_block(struct bytes in) {
  struct error err = {0};
  int rc = lead_check(in, &err);
  CHECK(rc == 0 || (rc == ITD_ECORRUPT && err.text[0]));
  if (rc == 0) CHECK(lead_size((const struct lead *)(const void *)in.p) == in.n);
  if (rc == 0) lead_digest((const struct lead *)(const void *)in.p);
  err = (struct error){0};
  rc = entity_check(in, &err);
  CHECK(rc == 0 || ((rc == ITD_ECORRUPT || rc == ITD_EVERSION) && err.text[0]));
  if (rc == 0) CHECK(entity_size((const struct entity *)(const void *)in.p) == in.n);
  if (rc == 0) entity_digest((const struct entity *)(const void *)in.p);
}

// What no fuzzer finds by itself: lengths, the place, checksums.
static void mend(struct buf *b) {
  size_t size = b->n & ~(size_t)7;
  if (size < TRAILER_HEADER_SIZE) return;
  put32(b->p, (uint32_t)size);
  b->p[8] = JOURNAL_FORMAT;
  put64(b->p + 16, place);
  if (b->p[9] == FRAME_COMMIT)
    put16(b->p + 12, (uint16_t)((size - TRAILER_HEADER_SIZE) / TRAILER_ENTRY_SIZE));
  else if (size >= FRAME_HEADER_SIZE)
    for (size_t i = 0, left = size - FRAME_HEADER_SIZE, n; i < FRAME_SECTIONS; i++, left -= n) {
      n = get32(b->p + 144 + 4 * i);
      if (n > left || i == FRAME_SECTIONS - 1) n = left;
      put32(b->p + 144 + 4 * i, (uint32_t)n);
    }
  put32(b->p + 4, crc32c(0, bytes_of(b->p + 8, size - 8)));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n > 1u << 16) return 0;
  struct buf b = fuzz_exact(bytes_of(p, n));
  try_record(buf_bytes(&b)), try_header(buf_bytes(&b)), try_block(buf_bytes(&b));
  mend(&b);
  try_record(buf_bytes(&b));
  if (n >= SEGMENT_HEADER_SIZE) {
    struct segment_header h = {0};
    uint8_t made[SEGMENT_HEADER_SIZE];
    segment_header_put(made, &h);
    memcpy(b.p, made, 12), memcpy(b.p + 48, made + 48, 48);
    put32(b.p + 12, crc32c(0, bytes_of(b.p + 16, SEGMENT_HEADER_SIZE - 16)));
    try_header(buf_bytes(&b));
  }
  buf_deinit(&b);
  return 0;
}
